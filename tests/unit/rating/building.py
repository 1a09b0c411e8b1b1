"""Short ways to write what these tests are about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import partial

from rating.allocation import Allotment, Package, Segment, Source
from rating.billing import PeriodsOfMonth, PriceOfMonth
from rating.civil import end_of, first_day, last_day, start_of
from rating.pricing import PriceBook, Terms, monthly_price, price_periods

TAG = "identity_check"


def at(text: str) -> datetime:
    """An instant on Shanghai's clock."""
    return datetime.fromisoformat(f"{text}+08:00")


def day(text: str) -> date:
    """A day."""
    return date.fromisoformat(text)


def package(
    package_id: str,
    remaining: int,
    delivered: str = "2025-03-01T09:00:00",
    ends: str = "2026-03-01T23:59:59",
    source: Source = Source.PURCHASE,
    tag: str = TAG,
) -> Package:
    """A package."""
    return Package(package_id, tag, source, at(delivered), at(ends), remaining)


def whole(on: date, *, deductible: bool = True, postpaid: bool = True) -> Segment:
    """A day in which nothing changes."""
    return Segment(start_of(on), end_of(on), deductible=deductible, postpaid=postpaid)


def postpaid(on: date, calls: int, tag: str = TAG, *, paid: int = 0) -> Allotment:
    """A day's calls of which packages gave `paid`."""
    deductions = (("p", paid),) if paid else ()
    return Allotment(whole(on), tag, calls + paid, deductions, 0, paid, calls, 0)


@dataclass(frozen=True)
class Step:
    """One step of a tiered price."""

    from_calls: int
    unit_price: Decimal


def steps(*given: tuple[int, str]) -> tuple[Step, ...]:
    """The steps of a tiered price."""
    return tuple(Step(from_calls, Decimal(price)) for from_calls, price in given)


@dataclass(frozen=True)
class Book:
    """A list of one price for every tag, and another one from a day on."""

    flat: str = "0.30"
    tiers: Mapping[str, tuple[Step, ...]] = field(default_factory=dict)
    changes_on: date = date.max
    flat_later: str = "0.30"
    tiers_later: Mapping[str, tuple[Step, ...]] = field(default_factory=dict)

    def daily_unit_price(self, tag: str, on: date) -> Decimal:
        """Flat for all tags."""
        assert tag
        return Decimal(self.flat if on < self.changes_on else self.flat_later)

    def monthly_tiers(self, tag: str, on: date) -> tuple[Step, ...]:
        """Steps of the tags that have some."""
        return (self.tiers if on < self.changes_on else self.tiers_later).get(tag, ())


@dataclass(frozen=True)
class Month:
    """The two functions by which a month is priced."""

    price_of: PriceOfMonth
    periods_of: PeriodsOfMonth


def month(text: str, book: PriceBook, terms: Terms | None = None) -> Month:
    """How a month is priced by a book and an account's terms."""
    agreed = terms or Terms()
    first, last = first_day(text), last_day(text)
    return Month(partial(monthly_price, book, agreed), lambda tag: price_periods(book, agreed, tag, first, last))


SECOND = timedelta(seconds=1)
