"""Bills as rows: one per resource, run and usage day, and one per fee (facts.md 4.4 and 4.5; contract, Bills)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from aws_platform.shown import show_payment
from rating import money
from rating.bill import Bill, BilledCharge, BilledLine, TransactionType
from rating.billing import Line
from rating.catalog import Catalog
from rating.civil import ONE_SECOND, end_of, rfc3339, start_of
from rating.funds import Fund
from rating.orders import package_name

PRODUCT = "人脸核身·云智慧眼"
PROJECT = "默认项目"
REGION = "-"
PRICE_UNIT = "元/次"
PACKAGE_PRICE_UNIT = "元/个"
FEE_UNIT = "元"
_POSTPAID = "postpaid"
_PREPAID = "prepaid"
ADJUSTMENT_NAME = "调账"


@dataclass(frozen=True, slots=True)
class Filters:
    """Which rows are wanted; None is all."""

    tag: str | None = None
    mode: str | None = None
    transaction_type: str | None = None
    project: str | None = None
    region: str | None = None
    hide_zero: bool = False
    q: str | None = None
    """Part of a resource id or alias."""

    def take(self, row: Row) -> bool:
        """Whether the row is wanted."""
        shown = row.shown
        exact = (
            (self.tag, "tag"),
            (self.mode, "billing_mode"),
            (self.transaction_type, "transaction_type"),
            (self.project, "project"),
            (self.region, "region"),
        )
        if any(wanted is not None and shown[field] != wanted for wanted, field in exact):
            return False
        if self.hide_zero and not row.total_cost:
            return False
        return self.q is None or any(
            self.q.lower() in str(shown[field] or "").lower() for field in ("resource_id", "alias")
        )


@dataclass(frozen=True, slots=True)
class Row:
    """One row as shown, and its amounts for the totals."""

    row_id: str
    shown: Mapping[str, Any]
    original_cost: Decimal
    total_cost: Decimal
    payment: Mapping[Fund, Decimal]


def resource_rows(account_id: str, bills: Iterable[Bill], catalog: Catalog) -> Iterator[Row]:
    """One row per charge; amounts in whole fen."""
    for bill in bills:
        for charge in bill.charges:
            yield _resource_row(account_id, bill, charge, catalog)


def detail_rows(account_id: str, bills: Iterable[Bill], catalog: Catalog) -> Iterator[Row]:
    """One row per line, amounts to 8 decimals, and the row that closes a month (D15)."""
    for bill in bills:
        number = 0
        for charge in bill.charges:
            for billed in charge.lines:
                number += 1
                yield _detail_row(account_id, bill, charge, billed, bill.transaction_id(number), catalog)
        if bill.transaction_type is TransactionType.PRECISION_DIFFERENCE:
            yield _precision_row(account_id, bill)


def show_line(line: Line, price_unit: str = PRICE_UNIT) -> dict[str, Any]:
    """Quantities, prices and costs of a line."""
    quantities, price = line.quantities, line.price
    return {
        "list_price": None if price.list_price is None else money.price(price.list_price),
        "unit_price": money.price(price.unit_price),
        "price_unit": price_unit,
        "discount_rate": None if price.discount_rate is None else format(price.discount_rate, "f"),
        "raw_quantity": quantities.raw,
        "deducted_quantity": quantities.deducted,
        "uncovered_quantity": quantities.uncovered,
        "quantity": quantities.postpaid,
        "original_cost": None if line.original_cost is None else money.detail(line.original_cost),
        "total_cost": money.detail(line.total_cost),
        "formula": f"{money.price(price.unit_price)} x {quantities.postpaid} = {money.detail(line.total_cost)}",
    }


def totals(rows: Iterable[Row], show: Any) -> dict[str, str]:
    """Sums of all rows; `show` prints an amount."""
    original_cost = total_cost = money.ZERO
    payment = dict.fromkeys(Fund, money.ZERO)
    for row in rows:
        original_cost += row.original_cost
        total_cost += row.total_cost
        for fund, amount in row.payment.items():
            payment[fund] += amount
    return {
        "original_cost": show(original_cost),
        "total_cost": show(total_cost),
        **show_payment(payment),
    }


def resource_id(account_id: str, tag: str) -> str:
    """The resource that postpaid usage of a tag is charged to."""
    return f"faceid-{account_id}-{tag}"


def common_fields(account_id: str, tag: str | None, catalog: Catalog) -> dict[str, Any]:
    """What every row of a tag's postpaid usage says."""
    name = catalog.tag(tag).name if tag else None
    return {
        "resource_id": resource_id(account_id, tag) if tag else None,
        "alias": name,
        "payer": account_id,
        "product": PRODUCT,
        "sub_product": name,
        "tag": tag,
        "project": PROJECT,
        "region": REGION,
        "billing_mode": _POSTPAID,
    }


def period(first: date, last: date) -> dict[str, str]:
    """The first and the last second of usage."""
    return {"usage_start": rfc3339(start_of(first)), "usage_end": rfc3339(end_of(last) - ONE_SECOND)}


def _charge_fields(account_id: str, bill: Bill, charge: BilledCharge, catalog: Catalog) -> dict[str, Any]:
    """What all rows of a charge say of what it is for and when."""
    fields = {
        **common_fields(account_id, charge.tag or None, catalog),
        "transaction_type": bill.transaction_type.value,
        "bill_id": bill.bill_id,
        "order_id": bill.order_id,
        "charged_at": rfc3339(bill.charged_at),
        **period(bill.first_day, bill.last_day),
    }
    if charge.resource is not None:
        package = charge.resource
        fields |= {
            "resource_id": package.resource_id,
            "alias": package_name(catalog.tag(charge.tag).name, package.calls),
            "billing_mode": _PREPAID,
            "usage_start": rfc3339(package.starts_at),
            "usage_end": rfc3339(package.ends_at),
        }
    elif bill.transaction_type is TransactionType.ADJUSTMENT:
        fields |= {"resource_id": None, "alias": bill.reason or ADJUSTMENT_NAME}
    return fields


def _price_unit(bill: Bill) -> str:
    if bill.transaction_type.prepaid:
        return PACKAGE_PRICE_UNIT
    return FEE_UNIT if bill.transaction_type is TransactionType.ADJUSTMENT else PRICE_UNIT


def _resource_row(account_id: str, bill: Bill, charge: BilledCharge, catalog: Catalog) -> Row:
    originals = [billed.line.original_cost for billed in charge.lines]
    listed = None not in originals
    original = money.round_to_fen(sum((cost for cost in originals if cost is not None), money.ZERO))
    rates = {billed.line.price.discount_rate for billed in charge.lines}
    rate = next(iter(rates)) if len(rates) == 1 else None
    shown = {
        **_charge_fields(account_id, bill, charge, catalog),
        "original_cost": money.yuan(original) if listed else None,
        "discount_rate": None if rate is None else format(rate, "f"),
        "total_cost": money.yuan(charge.amount),
        **show_payment(charge.payment),
    }
    return Row(
        f"{bill.bill_id}#{charge.resource.resource_id if charge.resource else charge.tag}",
        shown,
        original if listed else money.ZERO,
        charge.amount,
        charge.payment,
    )


def _detail_row(
    account_id: str, bill: Bill, charge: BilledCharge, billed: BilledLine, transaction_id: str, catalog: Catalog
) -> Row:
    line = billed.line
    of_usage = bill.transaction_type in {TransactionType.POSTPAY_DAILY, TransactionType.POSTPAY_MONTHLY}
    one_day = line.first_day == line.last_day
    shown = {
        "transaction_id": transaction_id,
        **_charge_fields(account_id, bill, charge, catalog),
        "usage_day": line.first_day.isoformat() if of_usage and one_day else None,
        **(period(line.first_day, line.last_day) if of_usage else {}),
        **show_line(line, _price_unit(bill)),
        **show_payment(billed.payment),
    }
    original = line.original_cost or money.ZERO
    return Row(transaction_id, shown, original, line.total_cost, billed.payment)


def _precision_row(account_id: str, bill: Bill) -> Row:
    """The row that closes a month. It moves no money, so nothing pays for it."""
    shown = {
        "transaction_id": bill.transaction_id(1),
        "resource_id": None,
        "alias": "月度计费精度差异",
        "payer": account_id,
        "product": PRODUCT,
        "sub_product": None,
        "tag": None,
        "project": PROJECT,
        "region": REGION,
        "billing_mode": _POSTPAID,
        "transaction_type": bill.transaction_type.value,
        "bill_id": bill.bill_id,
        "order_id": None,
        "charged_at": rfc3339(bill.charged_at),
        "usage_day": None,
        **period(bill.first_day, bill.last_day),
        "list_price": None,
        "unit_price": None,
        "price_unit": None,
        "discount_rate": None,
        "raw_quantity": 0,
        "deducted_quantity": 0,
        "uncovered_quantity": 0,
        "quantity": 0,
        "original_cost": None,
        "total_cost": money.detail(bill.precision_difference),
        "formula": "deducted - details",
        **show_payment({}),
    }
    return Row(bill.transaction_id(1), shown, money.ZERO, bill.precision_difference, {})
