"""A month at a glance: what was deducted, by tag, mode and day, and the year that it ends (contract, Bills)."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from aws_platform.bill_rows import ADJUSTMENT_NAME, POSTPAID, PREPAID
from aws_platform.bill_totals import deducted
from aws_platform.shown import show_payment
from rating import money
from rating.civil import previous_month
from rating.funds import Fund

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from rating.catalog import Catalog

TREND_MONTHS = 12


def overview(
    dynamodb: DynamoDBClient, table: str, catalog: Catalog, account_id: str, month: str, *, by_usage: bool
) -> dict[str, Any]:
    """The sums of a month's charges; each split adds up to the same total, which is also the last of the trend.

    Tags are in the order of the catalog, with what is for no tag last. A day is named where something was charged for
    it, be it 0: by usage a monthly bill stands on the last day of its month.
    """
    months = [month]
    while len(months) < TREND_MONTHS:
        months.insert(0, previous_month(months[0]))
    totals = dict.fromkeys(months, money.ZERO)
    by_tag: dict[str, Decimal] = defaultdict(Decimal)
    by_day: dict[str, Decimal] = defaultdict(Decimal)
    by_mode = {PREPAID: money.ZERO, POSTPAID: money.ZERO}
    payment = dict.fromkeys(Fund, money.ZERO)
    for charge in deducted(dynamodb, table, account_id, months[0], month, by_usage=by_usage):
        totals[charge.month] += charge.amount
        if charge.month != month:
            continue
        by_tag[charge.tag] += charge.amount
        by_day[charge.day] += charge.amount
        by_mode[PREPAID if charge.prepaid else POSTPAID] += charge.amount
        for fund, amount in charge.payment.items():
            payment[Fund(fund)] += Decimal(amount)
    return {
        "month": month,
        "basis": "usage" if by_usage else "charge",
        "total": money.yuan(totals[month]),
        **show_payment(payment),
        "by_tag": [
            {"tag": tag or None, "name": catalog.tag(tag).name if tag else ADJUSTMENT_NAME, "total": money.yuan(total)}
            for tag, total in sorted(by_tag.items(), key=lambda one: _place(catalog, one[0]))
        ],
        "by_mode": [{"mode": mode, "total": money.yuan(total)} for mode, total in by_mode.items()],
        "by_day": [{"day": day, "total": money.yuan(total)} for day, total in sorted(by_day.items())],
        "trend": [{"month": one, "total": money.yuan(total)} for one, total in totals.items()],
    }


def _place(catalog: Catalog, tag: str) -> tuple[bool, int]:
    return (not tag, catalog.tag(tag).number if tag else 0)
