"""Billing: from allocated usage to detail lines and the charges that are deducted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from rating import money
from rating.allocation import Allotment
from rating.civil import day_of
from rating.pricing import AppliedPrice

PriceOfDay = Callable[[str, date], AppliedPrice]
"""(tag, day) → the price of a daily account."""
PriceOfMonth = Callable[[str, date, int], AppliedPrice]
"""(tag, day, the month's quantity) → the price of a monthly account."""
PeriodsOfMonth = Callable[[str], Sequence[tuple[date, date]]]
"""tag → the price periods of the month."""


@dataclass(frozen=True, slots=True)
class Quantities:
    """Calls of one tag over some days. Differences may be negative: a correction takes back what it replaces."""

    raw: int = 0
    """Chargeable calls counted."""
    free: int = 0
    paid: int = 0
    postpaid: int = 0
    """The charged quantity."""
    uncovered: int = 0

    @property
    def deducted(self) -> int:
        """Given by packages, free and paid."""
        return self.free + self.paid

    def plus(self, other: Quantities) -> Quantities:
        """The sum."""
        return Quantities(
            self.raw + other.raw,
            self.free + other.free,
            self.paid + other.paid,
            self.postpaid + other.postpaid,
            self.uncovered + other.uncovered,
        )

    def minus(self, other: Quantities) -> Quantities:
        """The difference."""
        return self.plus(Quantities(-other.raw, -other.free, -other.paid, -other.postpaid, -other.uncovered))


@dataclass(frozen=True, slots=True)
class Line:
    """One fee: a detail line of a bill, exact to 8 decimals (D15)."""

    tag: str
    first_day: date
    last_day: date
    quantities: Quantities
    price: AppliedPrice

    @property
    def original_cost(self) -> Decimal | None:
        """List price x charged quantity; None under a contract price."""
        if self.price.list_price is None:
            return None
        return money.cost(self.price.list_price, self.quantities.postpaid)

    @property
    def total_cost(self) -> Decimal:
        """Unit price x charged quantity."""
        return money.cost(self.price.unit_price, self.quantities.postpaid)


@dataclass(frozen=True, slots=True)
class ResourceCharge:
    """All lines of one tag and one usage day (or month) in one run, and what is deducted for them."""

    tag: str
    lines: tuple[Line, ...]

    @property
    def details(self) -> Decimal:
        """The sum of the lines, 8 decimals."""
        return sum((line.total_cost for line in self.lines), money.ZERO)

    @property
    def amount(self) -> Decimal:
        """What is deducted: half-up to the fen (D15); negative where late usage lowered a month's price (D19)."""
        return money.round_to_fen(self.details)


def quantities_by_day(allotments: Iterable[Allotment]) -> dict[tuple[str, date], Quantities]:
    """Sums by tag and civil day."""
    sums: dict[tuple[str, date], Quantities] = {}
    for part in allotments:
        key = (part.tag, day_of(part.segment.start))
        more = Quantities(part.calls, part.free, part.paid, part.postpaid, part.uncovered)
        sums[key] = sums.get(key, Quantities()).plus(more)
    return sums


def daily_charges(allotments: Iterable[Allotment], price_of: PriceOfDay) -> tuple[ResourceCharge, ...]:
    """The charges of one day's allotments, by tag: one line each, of cost 0 where packages covered the day."""
    return tuple(
        ResourceCharge(tag, (Line(tag, day, day, quantities, price_of(tag, day)),))
        for (tag, day), quantities in sorted(quantities_by_day(allotments).items())
    )


def monthly_charges(
    settled: Sequence[Line],
    allotments: Iterable[Allotment],
    price_of: PriceOfMonth,
    periods_of: PeriodsOfMonth,
) -> tuple[ResourceCharge, ...]:
    """The charges of a month, by tag (D19); `settled` are the lines that earlier runs issued for the same month.

    What packages left of the whole month picks the step. Late usage prices the month again: where another step is
    reached its lines take back the old ones, and the charge is the difference, which may be a credit.
    """
    new: dict[str, list[tuple[date, Quantities]]] = {}
    for (tag, day), quantities in sorted(quantities_by_day(allotments).items()):
        new.setdefault(tag, []).append((day, quantities))
    charges = []
    for tag, days in new.items():
        before = [line for line in settled if line.tag == tag]
        periods = periods_of(tag)
        sums = _sums_by_period(periods, before, days)
        month_calls = sum(quantities.postpaid for quantities in sums.values())
        priced = {
            (first, last, price_of(tag, first, month_calls)): quantities for (first, last), quantities in sums.items()
        }
        lines = _difference(tag, priced, before)
        if lines:
            charges.append(ResourceCharge(tag, lines))
    return tuple(charges)


def _sums_by_period(
    periods: Sequence[tuple[date, date]], before: Sequence[Line], days: Sequence[tuple[date, Quantities]]
) -> dict[tuple[date, date], Quantities]:
    """What the month holds by price period: settled before and new."""
    parts = [(line.first_day, line.quantities) for line in before] + list(days)
    sums: dict[tuple[date, date], Quantities] = {}
    for day, quantities in parts:
        period = next((first, last) for first, last in periods if first <= day <= last)
        sums[period] = sums.get(period, Quantities()).plus(quantities)
    return sums


def _difference(
    tag: str, priced: Mapping[tuple[date, date, AppliedPrice], Quantities], before: Sequence[Line]
) -> tuple[Line, ...]:
    """The lines that lead from what was issued to what is right; none where nothing changed."""
    issued: dict[tuple[date, date, AppliedPrice], Quantities] = {}
    for line in before:
        key = (line.first_day, line.last_day, line.price)
        issued[key] = issued.get(key, Quantities()).plus(line.quantities)
    # What is taken back stands before what replaces it.
    keys = [*issued, *(key for key in priced if key not in issued)]
    lines = (
        Line(tag, first, last, priced.get(key, Quantities()).minus(issued.get(key, Quantities())), price)
        for key in keys
        for first, last, price in (key,)
    )
    return tuple(line for line in lines if line.quantities != Quantities())
