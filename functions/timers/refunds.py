"""Refunds that are due are paid back (D24, D26)."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from aws_platform import bills, failures
from aws_platform.accounts import read_account_with
from aws_platform.ledger import OutdatedError, journal_put, transact
from aws_platform.orders import refund_from_item, refund_put
from aws_platform.shown import show_refunds
from aws_platform.snapshot import change
from rating import money
from rating.bill import Bill, TransactionType, bill_of_day, single_charge
from rating.civil import day_of
from rating.funds import Movement, credit
from rating.notices import Kind, Notice
from rating.orders import Refund, resource_of
from rating.pricing import AppliedPrice

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from aws_platform.settings import Settings


def complete(dynamodb: DynamoDBClient, settings: Settings, account_id: str, sort_key: str, now: datetime) -> None:
    """Pay a refund back, each amount to its own fund, and tell it. Nothing happens if that was done.

    Raises TryAgainError where others change the account for too long.
    """
    table = settings.ledger_table
    for _ in failures.attempts():
        account, items = read_account_with(dynamodb, table, account_id, [sort_key])
        if account is None or sort_key not in items:
            msg = f"{sort_key} of account {account_id} is due but does not exist"
            raise LookupError(msg)
        refund = refund_from_item(items[sort_key])
        if refund.completed_at is not None:
            return
        when = account.booked_at(now)
        funds, movements = account.funds, list[Movement]()
        for fund, amount in refund.refunds.items():
            funds, moved = credit(funds, fund, amount)
            movements += moved
        after, writes = change(
            settings, account, account.with_funds(funds, when), when, notices=[_notice(refund, when)]
        )
        writes += [
            refund_put(table, account_id, replace(refund, completed_at=when), None),
            bills.bill_put(table, account_id, _bill(refund, after.version, when)),
        ]
        if movements:
            writes.append(journal_put(table, after, when, "refund", refund.refund_id, movements))
        try:
            transact(dynamodb, writes)
        except (OutdatedError, failures.TryAgainError):
            continue
        return
    raise failures.TryAgainError


def _bill(refund: Refund, version: int, when: datetime) -> Bill:
    """The row of a refund: what the row of the purchase said, taken back without what a voucher paid."""
    charge = single_charge(
        refund.tag,
        day_of(when),
        -1,
        AppliedPrice(refund.amount, refund.list_price, None),
        {fund: -amount for fund, amount in refund.refunds.items()},
        resource_of(refund.package_id, refund.calls, refund.delivered_at),
    )
    bill = bill_of_day(refund.refund_id, version, TransactionType.PREPAY_REFUND, when, (charge,))
    return replace(bill, order_id=refund.order_id)


def _notice(refund: Refund, when: datetime) -> Notice:
    data = {
        "refund_id": refund.refund_id,
        "package_id": refund.package_id,
        "tag": refund.tag,
        "amount": money.yuan(refund.amount),
        "refunds": show_refunds(refund.refunds),
        "voucher_forfeited": money.yuan(refund.voucher_forfeited),
    }
    return Notice(Kind.REFUND_COMPLETED, when, data)
