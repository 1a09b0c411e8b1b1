"""A bill: what one run charged for one usage day (or month) of an account, with all its lines. Never edited."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

from rating import money
from rating.billing import Line, ResourceCharge
from rating.civil import month_of
from rating.funds import Fund, share_out


class TransactionType(StrEnum):
    """What a row of a bill is (facts.md 4.6, by our names)."""

    POSTPAY_DAILY = "postpay_daily"
    POSTPAY_MONTHLY = "postpay_monthly"
    PRECISION_DIFFERENCE = "precision_difference"


@dataclass(frozen=True, slots=True)
class BilledLine:
    """A detail line and how it was paid."""

    line: Line
    payment: Mapping[Fund, Decimal]


@dataclass(frozen=True, slots=True)
class BilledCharge:
    """What was deducted for one resource, and its lines."""

    tag: str
    amount: Decimal
    payment: Mapping[Fund, Decimal]
    lines: tuple[BilledLine, ...]

    @property
    def details(self) -> Decimal:
        """The sum of the lines, 8 decimals."""
        return sum((billed.line.total_cost for billed in self.lines), money.ZERO)


@dataclass(frozen=True, slots=True)
class CountedSegment:
    """What a bill took of one segment: chargeable calls by tag."""

    start: datetime
    end: datetime
    calls: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Bill:
    """The bill of one run for usage from `first_day` to `last_day`."""

    bill_id: str
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
