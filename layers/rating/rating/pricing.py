"""Prices: what one call of a tag costs an account on a day, and where that price comes from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Protocol

from rating.civil import ONE_DAY

FULL_RATE = Decimal(1)


class TierLike(Protocol):
    """One step of a tiered price: it holds for a month of at least `from_calls` calls."""

    @property
    def from_calls(self) -> int:
        """Calls of the month from which the step holds, that number included."""

    @property
    def unit_price(self) -> Decimal:
        """Yuan a call."""


class PriceBook(Protocol):
    """The dated list prices (D20)."""

    def daily_unit_price(self, tag: str, day: date) -> Decimal:
        """The flat list price of a tag on a day, in yuan a call."""

    def monthly_tiers(self, tag: str, day: date) -> Sequence[TierLike]:
        """The steps of a tag on the monthly list, ascending; empty for a tag that is not tiered (D19)."""


@dataclass(frozen=True, slots=True)
class Discount:
    """A contract discount of one tag, `[first_day, until)` (D18)."""

    tag: str
    rate: Decimal
    first_day: date
    until: date | None = None

    def holds(self, day: date) -> bool:
        """Whether it applies on the day."""
        return self.first_day <= day and (self.until is None or day < self.until)


@dataclass(frozen=True, slots=True)
class ContractPrice:
    """A contract price of one tag, `[first_day, until)`; it replaces list price and discount (D18)."""

    tag: str
    unit_price: Decimal
    first_day: date
    until: date | None = None

    def holds(self, day: date) -> bool:
        """Whether it applies on the day."""
        return self.first_day <= day and (self.until is None or day < self.until)


@dataclass(frozen=True, slots=True)
class Terms:
    """What was agreed with one account."""

    discounts: tuple[Discount, ...] = ()
    contract_prices: tuple[ContractPrice, ...] = ()


@dataclass(frozen=True, slots=True)
class AppliedPrice:
    """The price that a line uses."""

    unit_price: Decimal
    """Yuan a call, after discount."""
    list_price: Decimal | None
    """Yuan a call before discount; None under a contract price."""
    discount_rate: Decimal | None
    """1 is no discount; None under a contract price."""
    tier_from_calls: int | None = None
    """The step of the tiered price that the month's quantity reached; None for a flat price."""


def daily_price(book: PriceBook, terms: Terms, tag: str, day: date) -> AppliedPrice:
    """The price of a daily account's call (D18, D20)."""
    return _agreed(terms, tag, day) or _discounted(terms, tag, day, book.daily_unit_price(tag, day), None)


def monthly_price(book: PriceBook, terms: Terms, tag: str, day: date, month_calls: int) -> AppliedPrice:
    """The price of a monthly account's call, given what packages left of the whole month (D19).

    Five tags are tiered and the reached step prices the whole month; the others have the daily list's flat price.
    """
    agreed = _agreed(terms, tag, day)
    if agreed is not None:
        return agreed
    tiers = book.monthly_tiers(tag, day)
    if not tiers:
        return _discounted(terms, tag, day, book.daily_unit_price(tag, day), None)
    reached = [tier for tier in tiers if tier.from_calls <= month_calls][-1]
    return _discounted(terms, tag, day, reached.unit_price, reached.from_calls)


def price_periods(book: PriceBook, terms: Terms, tag: str, first: date, last: date) -> tuple[tuple[date, date], ...]:
    """The days from `first` to `last`, both included, cut wherever the price of a monthly account changes (D19).

    The cuts do not depend on the step that is reached, so that they stay the same when late usage reaches another.
    """
    days = [first + ONE_DAY * n for n in range((last - first).days + 1)]
    facts = [_price_facts(book, terms, tag, day) for day in days]
    starts = [n for n in range(len(days)) if n == 0 or facts[n] != facts[n - 1]]
    ends = [*(start - 1 for start in starts[1:]), len(days) - 1]
    return tuple((days[start], days[end]) for start, end in zip(starts, ends, strict=True))


def _price_facts(book: PriceBook, terms: Terms, tag: str, day: date) -> tuple[object, ...]:
    """Everything that the price of the day depends on, whichever step is reached."""
    agreed = _agreed(terms, tag, day)
    if agreed is not None:
        return (agreed,)
    steps = tuple((tier.from_calls, tier.unit_price) for tier in book.monthly_tiers(tag, day))
    return (steps or book.daily_unit_price(tag, day), _rate(terms, tag, day))


def _agreed(terms: Terms, tag: str, day: date) -> AppliedPrice | None:
    for contract in terms.contract_prices:
        if contract.tag == tag and contract.holds(day):
            return AppliedPrice(contract.unit_price, None, None)
    return None


def _rate(terms: Terms, tag: str, day: date) -> Decimal:
    return next((item.rate for item in terms.discounts if item.tag == tag and item.holds(day)), FULL_RATE)


def _discounted(terms: Terms, tag: str, day: date, list_price: Decimal, tier_from_calls: int | None) -> AppliedPrice:
    rate = _rate(terms, tag, day)
    return AppliedPrice(list_price * rate, list_price, rate, tier_from_calls)
