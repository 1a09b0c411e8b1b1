"""Bills as rows: one per resource, run and usage day, and one per fee (facts.md 4.4 and 4.5; contract, Bills).

A row says what it is for and what it comes to; what it shows is made only of rows that somebody looks at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from functools import lru_cache
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
POSTPAID = "postpaid"
PREPAID = "prepaid"
ADJUSTMENT_NAME = "调账"
PRECISION_NAME = "月度计费精度差异"
_OF_USAGE = {TransactionType.POSTPAY_DAILY, TransactionType.POSTPAY_MONTHLY}


@dataclass(frozen=True, slots=True)
class Row:
    """A resource charge, a fee, or the row that closes a month. Amounts of charges are in whole fen."""

    row_id: str
    bill: Bill
    charge: BilledCharge | None
    """None on the row that closes a month."""
    fee: BilledLine | None
    """None on the row of a resource, and on the one that closes a month."""
    total_cost: Decimal
    """What was deducted, of a fee to 8 decimals."""

    @property
    def tag(self) -> str | None:
        """The billing tag, where it is for one."""
        return (self.charge.tag or None) if self.charge else None

    @property
    def mode(self) -> str:
        """The billing mode."""
        return PREPAID if self.charge is not None and self.charge.resource is not None else POSTPAID

    @property
    def original_cost(self) -> Decimal | None:
        """At the list price; None where there is none."""
        if self.fee is not None:
            price = self.fee.line.price
            return self.total_cost if price.list_price == price.unit_price else self.fee.line.original_cost
        if self.charge is None:
            return None
        costs = [fee.line.original_cost for fee in self.charge.lines]
        known = [cost for cost in costs if cost is not None]
        return money.round_to_fen(sum(known, money.ZERO)) if len(known) == len(costs) else None

    @property
    def payment(self) -> Mapping[Fund, Decimal]:
        """Which money paid. The row that closes a month moves none."""
        return self.fee.payment if self.fee is not None else self.charge.payment if self.charge is not None else {}

    @property
    def days(self) -> tuple[date, date]:
        """The first and the last day of what it is for; of a package, and of an adjustment, that of the charge."""
        if self.fee is not None and self.bill.transaction_type in _OF_USAGE:
            return self.fee.line.first_day, self.fee.line.last_day
        return self.bill.first_day, self.bill.last_day


def resource_rows(bills: Iterable[Bill]) -> Iterator[Row]:
    """One row per charge."""
    for bill in bills:
        for charge in bill.charges:
            name = charge.resource.resource_id if charge.resource else charge.tag
            yield Row(f"{bill.bill_id}#{name}", bill, charge, None, charge.amount)


def detail_rows(bills: Iterable[Bill]) -> Iterator[Row]:
    """One row per line, and the row that closes a month (D15)."""
    for bill in bills:
        number = 0
        for charge in bill.charges:
            for fee in charge.lines:
                number += 1
                yield Row(bill.transaction_id(number), bill, charge, fee, fee.line.total_cost)
        if bill.transaction_type is TransactionType.PRECISION_DIFFERENCE:
            yield Row(bill.transaction_id(1), bill, None, None, bill.precision_difference)


type MakeRows = Callable[[Iterable[Bill]], Iterator[Row]]


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

    def take(self, row: Row, account: Shower) -> bool:
        """Whether the row is wanted."""
        if self.tag not in {None, row.tag} or self.mode not in {None, row.mode}:
            return False
        if self.transaction_type not in {None, row.bill.transaction_type.value}:
            return False
        if self.project not in {None, PROJECT} or self.region not in {None, REGION}:
            return False
        if self.hide_zero and not row.total_cost:
            return False
        return self.q is None or any(
            self.q.lower() in (name or "").lower() for name in (account.resource_id(row), account.alias(row))
        )


@dataclass(frozen=True, slots=True)
class Shower:
    """Shows the rows of one account."""

    account_id: str
    catalog: Catalog

    def resource_id(self, row: Row) -> str | None:
        """The package, or the tag's usage, that a row is for."""
        if row.charge is not None and row.charge.resource is not None:
            return row.charge.resource.resource_id
        return usage_resource(self.account_id, row.tag) if row.tag else None

    def alias(self, row: Row) -> str | None:
        """What people call it."""
        if row.bill.transaction_type is TransactionType.PRECISION_DIFFERENCE:
            return PRECISION_NAME
        if row.bill.transaction_type is TransactionType.ADJUSTMENT:
            return row.bill.reason or ADJUSTMENT_NAME
        name = self.catalog.tag(row.tag).name if row.tag else None
        if name and row.charge is not None and row.charge.resource is not None:
            return package_name(name, row.charge.resource.calls)
        return name

    def resource(self, row: Row) -> dict[str, Any]:
        """The row of a resource, to the fen."""
        rates = {fee.line.price.discount_rate for fee in row.charge.lines} if row.charge else set()
        rate = next(iter(rates)) if len(rates) == 1 else None
        original = row.original_cost
        return {
            **self._common(row),
            "original_cost": None if original is None else money.yuan(original),
            "discount_rate": None if rate is None else format(rate, "f"),
            "total_cost": money.yuan(row.total_cost),
            **show_payment(row.payment),
        }

    def detail(self, row: Row) -> dict[str, Any]:
        """The row of a fee, to 8 decimals, or the one that closes a month."""
        first, last = row.days
        of_usage = row.bill.transaction_type in _OF_USAGE
        return {
            "transaction_id": row.row_id,
            **self._common(row),
            "usage_day": first.isoformat() if of_usage and first == last else None,
            **(period(first, last) if of_usage else {}),
            **(_show_closing(row.bill) if row.fee is None else _show_fee(row, row.fee.line)),
            "reason": row.bill.reason,
            "corrects": row.bill.corrects,
            **show_payment(row.payment),
        }

    def usage_fields(self, tag: str) -> dict[str, Any]:
        """What every row of a tag's postpaid usage says of what it is for."""
        name = self.catalog.tag(tag).name
        return self._what(usage_resource(self.account_id, tag), name, tag, name, POSTPAID)

    def _common(self, row: Row) -> dict[str, Any]:
        """What all rows say of what they are for and when."""
        bill = row.bill
        name = self.catalog.tag(row.tag).name if row.tag else None
        package = row.charge.resource if row.charge is not None else None
        when = period(bill.first_day, bill.last_day)
        if package is not None:
            when = {"usage_start": _time(package.starts_at), "usage_end": _time(package.ends_at)}
        return {
            **self._what(self.resource_id(row), self.alias(row), row.tag, name, row.mode),
            "transaction_type": bill.transaction_type.value,
            "bill_id": bill.bill_id,
            "order_id": bill.order_id,
            "charged_at": _time(bill.charged_at),
            **when,
        }

    def _what(
        self, resource_id: str | None, alias: str | None, tag: str | None, name: str | None, mode: str
    ) -> dict[str, Any]:
        return {
            "resource_id": resource_id,
            "alias": alias,
            "payer": self.account_id,
            "product": PRODUCT,
            "sub_product": name,
            "tag": tag,
            "project": PROJECT,
            "region": REGION,
            "billing_mode": mode,
        }


@dataclass(slots=True)
class Tally:
    """Sums of the rows that have passed."""

    rows: int = 0
    original_cost: Decimal = money.ZERO
    """Of the rows that have one: not of those under a contract price, and not of adjustments."""
    total_cost: Decimal = money.ZERO
    payment: dict[Fund, Decimal] = field(default_factory=lambda: dict.fromkeys(Fund, money.ZERO))

    def add(self, row: Row) -> None:
        """Take a row in."""
        self.rows += 1
        self.original_cost += row.original_cost or money.ZERO
        self.total_cost += row.total_cost
        for fund, amount in row.payment.items():
            self.payment[fund] += amount


def totals(rows: Iterable[Row]) -> Tally:
    """Sums of all rows."""
    sums = Tally()
    for row in rows:
        sums.add(row)
    return sums


def show_totals(sums: Tally, show: Callable[[Decimal], str]) -> dict[str, str]:
    """Sums as answered; `show` prints an amount."""
    return {
        "original_cost": show(sums.original_cost),
        "total_cost": show(sums.total_cost),
        **show_payment(sums.payment),
    }


def usage_resource(account_id: str, tag: str) -> str:
    """The resource that postpaid usage of a tag is charged to."""
    return f"faceid-{account_id}-{tag}"


def period(first: date, last: date) -> dict[str, str]:
    """The first and the last second of usage."""
    return {"usage_start": _first_second(first), "usage_end": _last_second(last)}


# A month's rows share few days and instants, and these cost more than all else that is shown of a row.
_time = lru_cache(maxsize=1024)(rfc3339)


@lru_cache(maxsize=1024)
def _first_second(day: date) -> str:
    return rfc3339(start_of(day))


@lru_cache(maxsize=1024)
def _last_second(day: date) -> str:
    return rfc3339(end_of(day) - ONE_SECOND)


def show_line(line: Line, price_unit: str = PRICE_UNIT) -> dict[str, Any]:
    """Quantities, prices and costs of a line."""
    return _show_line(line, price_unit, line.total_cost, line.original_cost)


def _show_fee(row: Row, line: Line) -> dict[str, Any]:
    return _show_line(line, _price_unit(row.bill), row.total_cost, row.original_cost)


def _show_line(line: Line, price_unit: str, total: Decimal, original: Decimal | None) -> dict[str, Any]:
    quantities, price = line.quantities, line.price
    unit_price, total_cost = money.price(price.unit_price), money.detail(total)
    return {
        "list_price": None if price.list_price is None else money.price(price.list_price),
        "unit_price": unit_price,
        "price_unit": price_unit,
        "discount_rate": None if price.discount_rate is None else format(price.discount_rate, "f"),
        "raw_quantity": quantities.raw,
        "deducted_quantity": quantities.deducted,
        "uncovered_quantity": quantities.uncovered,
        "quantity": quantities.postpaid,
        "original_cost": None if original is None else money.detail(original),
        "total_cost": total_cost,
        "formula": f"{unit_price} x {quantities.postpaid} = {total_cost}",
    }


def _show_closing(bill: Bill) -> dict[str, Any]:
    """The row that closes a month: deducted less details (D15)."""
    return {
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
    }


def _price_unit(bill: Bill) -> str:
    if bill.transaction_type.prepaid:
        return PACKAGE_PRICE_UNIT
    return FEE_UNIT if bill.transaction_type is TransactionType.ADJUSTMENT else PRICE_UNIT
