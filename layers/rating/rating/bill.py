"""A bill: what one run charged for one usage day (or month) of an account, with all its lines. Never edited."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

from rating import money
from rating.allocation import Allotment, Package, Segment, Source
from rating.billing import Line, Quantities, ResourceCharge
from rating.civil import day_of, month_of
from rating.funds import Fund, share_out
from rating.pricing import AppliedPrice


class TransactionType(StrEnum):
    """What a row of a bill is (facts.md 4.6, by our names)."""

    PREPAY_PURCHASE = "prepay_purchase"
    PREPAY_REFUND = "prepay_refund"
    POSTPAY_DAILY = "postpay_daily"
    POSTPAY_MONTHLY = "postpay_monthly"
    PRECISION_DIFFERENCE = "precision_difference"
    ADJUSTMENT = "adjustment"

    @property
    def prepaid(self) -> bool:
        """Whether it is about packages."""
        return self in {TransactionType.PREPAY_PURCHASE, TransactionType.PREPAY_REFUND}


@dataclass(frozen=True, slots=True)
class BilledLine:
    """A detail line and how it was paid."""

    line: Line
    payment: Mapping[Fund, Decimal]


@dataclass(frozen=True, slots=True)
class Resource:
    """A package as what a charge is for."""

    resource_id: str
    calls: int
    starts_at: datetime
    """00:00 of its delivery day: it serves usage from then on (D10)."""
    ends_at: datetime
    """The last second of its validity."""


@dataclass(frozen=True, slots=True)
class BilledCharge:
    """What was deducted for one resource, and its lines."""

    tag: str
    """Empty for an adjustment, which is for no tag."""
    amount: Decimal
    payment: Mapping[Fund, Decimal]
    lines: tuple[BilledLine, ...]
    resource: Resource | None = None
    """The package that was bought or paid back; None for postpaid usage of the tag."""

    @property
    def details(self) -> Decimal:
        """The sum of the lines, 8 decimals."""
        return sum((billed.line.total_cost for billed in self.lines), money.ZERO)


@dataclass(frozen=True, slots=True)
class Deduction:
    """Calls that a package gave."""

    package_id: str
    tag: str
    source: Source
    calls: int


@dataclass(frozen=True, slots=True)
class CountedSegment:
    """What a bill took of one segment: chargeable calls by tag, and which packages gave how much."""

    start: datetime
    end: datetime
    calls: Mapping[str, int]
    deductions: tuple[Deduction, ...] = ()
    postpaid: bool = True
    """Whether the rest was charged, or else stayed uncovered (D14)."""

    def quantities(self) -> dict[str, Quantities]:
        """How the calls of each tag were covered."""
        given: dict[tuple[str, Source], int] = {}
        for one in self.deductions:
            given[one.tag, one.source] = given.get((one.tag, one.source), 0) + one.calls
        found = {}
        for tag, calls in self.calls.items():
            free, paid = given.get((tag, Source.GIFT), 0), given.get((tag, Source.PURCHASE), 0)
            rest = calls - free - paid
            found[tag] = Quantities(calls, free, paid, *((rest, 0) if self.postpaid else (0, rest)))
        return found


def counted(
    usage: Sequence[tuple[Segment, Mapping[str, int]]],
    allotments: Iterable[Allotment],
    packages: Iterable[Package],
) -> tuple[CountedSegment, ...]:
    """What a bill keeps of the usage that it takes: each segment, also one without calls, and who covered it."""
    source = {package.package_id: package.source for package in packages}
    deductions: dict[datetime, list[Deduction]] = {}
    for part in allotments:
        deductions.setdefault(part.segment.start, []).extend(
            Deduction(package_id, part.tag, source[package_id], calls) for package_id, calls in part.deductions
        )
    return tuple(
        CountedSegment(segment.start, segment.end, calls, tuple(deductions.get(segment.start, ())), segment.postpaid)
        for segment, calls in usage
    )


@dataclass(frozen=True, slots=True)
class Bill:
    """The bill of one run for usage from `first_day` to `last_day`."""

    bill_id: str
    version: int
    """The account's version that the transaction led to: bills were issued in the order of these, each has its own."""
    transaction_type: TransactionType
    charged_at: datetime
    charge_month: str
    """The month that the bill belongs to by date of the charge."""
    first_day: date
    last_day: date
    charges: tuple[BilledCharge, ...]
    counted: tuple[CountedSegment, ...] = ()
    precision_difference: Decimal = money.ZERO
    """Only on the row that closes a month: deducted less the sum of the details (D15)."""
    order_id: str | None = None
    """The order, or the refund, of a prepaid bill."""
    voucher_id: str | None = None
    """The voucher that paid part of it (D16)."""
    reason: str | None = None
    """Why the operator adjusted."""
    corrects: str | None = None
    """The transaction that an adjustment names."""

    @property
    def usage_month(self) -> str:
        """The month that the bill belongs to by date of the usage."""
        return month_of(self.first_day)

    @property
    def amount(self) -> Decimal:
        """What was deducted."""
        return sum((charge.amount for charge in self.charges), money.ZERO)

    @property
    def details(self) -> Decimal:
        """The sum of the detail lines, 8 decimals."""
        return sum((charge.details for charge in self.charges), money.ZERO)

    def transaction_id(self, number: int) -> str:
        """The id of the line with this number, counted from 1 over all charges."""
        return f"{self.bill_id}-{number}"


def billed(charges: Sequence[ResourceCharge], shares: Sequence[Mapping[Fund, Decimal]]) -> tuple[BilledCharge, ...]:
    """The charges together with how each was paid."""
    return tuple(
        BilledCharge(charge.tag, charge.amount, share, _paid_lines(charge, share))
        for charge, share in zip(charges, shares, strict=True)
    )


def single_charge(
    tag: str,
    day: date,
    number: int,
    price: AppliedPrice,
    payment: Mapping[Fund, Decimal],
    resource: Resource | None = None,
) -> BilledCharge:
    """The charge of one thing at a price in whole fen: one line, one row. `number` is -1 where it is paid back."""
    line = Line(tag, day, day, Quantities(raw=number, postpaid=number), price)
    return BilledCharge(tag, money.round_to_fen(line.total_cost), payment, (BilledLine(line, payment),), resource)


def bill_of_day(
    bill_id: str,
    version: int,
    transaction_type: TransactionType,
    charged_at: datetime,
    charges: tuple[BilledCharge, ...],
) -> Bill:
    """A bill of what is charged the moment it happens, and not by a run."""
    day = day_of(charged_at)
    return Bill(bill_id, version, transaction_type, charged_at, month_of(day), day, day, charges)


def _paid_lines(charge: ResourceCharge, share: Mapping[Fund, Decimal]) -> tuple[BilledLine, ...]:
    """Share each fund out over the lines in proportion (D16).

    Where a line takes something back there is no proportion: the whole payment stands on the last line then.
    """
    weights = [line.total_cost for line in charge.lines]
    if min(weights) < 0 or charge.amount < 0:
        return (
            *(BilledLine(line, {}) for line in charge.lines[:-1]),
            BilledLine(charge.lines[-1], share),
        )
    parts = share_out(share, weights)
    return tuple(BilledLine(line, part) for line, part in zip(charge.lines, parts, strict=True))
