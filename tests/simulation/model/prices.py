"""Dated prices, activities, discounts and contract prices (D5, D18 to D20)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from tests.simulation.model.catalog import GUIDE, MONTHLY
from tests.simulation.model.times import DAY
from tests.simulation.steps import Activity, ContractPrice, Discount, Price

type Tiers = tuple[tuple[int, Decimal], ...]


def in_force[T](dated: Iterable[tuple[date, T]], day: date) -> T | None:
    """What holds on a day: the latest that has begun."""
    begun = [(first, what) for first, what in dated if first <= day]
    return max(begun, key=lambda one: one[0])[1] if begun else None


def put[T](dated: list[tuple[date, T]], first: date, what: T) -> None:
    """Something from a day on; the same day again replaces it."""
    dated[:] = [one for one in dated if one[0] != first] + [(first, what)]


class PriceBook:
    """Everything that has a price in the catalog."""

    def __init__(self) -> None:
        """The guide's prices, which hold from ever (D20)."""
        always = date.min
        self.daily: dict[str, list[tuple[date, Tiers]]] = {
            tag: [(always, ((0, Decimal(price)),))] for tag, (price, _) in GUIDE.items()
        }
        self.monthly: dict[str, list[tuple[date, Tiers]]] = {
            tag: [(always, MONTHLY[tag])] if tag in MONTHLY else [] for tag in GUIDE
        }
        self.packages = {tag: [(always, packages)] for tag, (_, packages) in GUIDE.items()}
        self.activities: dict[str, Activity] = {}

    def set(self, step: Price) -> int:
        """A new price; answers the status."""
        if step.first < step.at.date():
            return 422
        tiers = ((0, step.unit_price),) if step.unit_price is not None else step.tiers
        if tiers:
            put((self.monthly if step.price_list == "monthly" else self.daily)[step.tag], step.first, tiers)
        if step.packages:
            put(self.packages[step.tag], step.first, dict(step.packages))
        return 200

    def listed(self, tag: str, day: date, calls: int, *, monthly: bool) -> Decimal:
        """The list price of a call on a day for a month, or day, of so many calls that are charged.

        The monthly list has only what differs from the other one (D19).
        """
        tiers = (in_force(self.monthly[tag], day) if monthly else None) or in_force(self.daily[tag], day)
        assert tiers is not None
        return max((one for one in tiers if one[0] <= calls), default=tiers[0])[1]

    def offer(self, sku: str, day: date) -> Decimal | None:
        """The price of a package on a day; None where it is not on sale."""
        tag, _, calls = sku.partition(":")
        if tag not in self.packages or not calls.isdecimal() or str(int(calls)) != calls:
            return None
        offers = in_force(self.packages[tag], day)
        return None if offers is None else offers.get(int(calls))


@dataclass
class Terms:
    """What was agreed with one account; (tag, first day) -> (until, value)."""

    discounts: dict[tuple[str, date], tuple[date, Decimal]] = field(default_factory=dict)
    contract_prices: dict[tuple[str, date], tuple[date, Decimal]] = field(default_factory=dict)

    def agree(self, step: Discount | ContractPrice, settled_through: date) -> tuple[set[str | None], bool]:
        """The refusals that are right (None: it is agreed), and whether the texts leave it open."""
        known = self.discounts if isinstance(step, Discount) else self.contract_prices
        value = step.rate if isinstance(step, Discount) else step.unit_price
        old = known.get((step.tag, step.first))
        refusals: set[str | None] = set()
        for (tag, first), (until, _) in known.items():
            if tag == step.tag and first != step.first and first < step.until and step.first < until:
                refusals.add("overlaps")
        if old == (step.until, value):
            return {None}, False
        if step.first <= settled_through:
            same = old is not None and old[1] == value
            if not (same and min(old[0] if old else step.first, step.until) - DAY >= settled_through):
                refusals.add("already_settled")
        # Of a past day that no bill holds nothing is said: it may be refused as settled, or taken.
        is_open = not refusals and step.first < step.at.date()
        return refusals or {None}, is_open

    def enter(self, step: Discount | ContractPrice) -> None:
        """Keep what is agreed."""
        if isinstance(step, Discount):
            self.discounts[step.tag, step.first] = (step.until, step.rate)
        else:
            self.contract_prices[step.tag, step.first] = (step.until, step.unit_price)

    def price(self, tag: str, day: date, listed: Decimal) -> Decimal:
        """The price of a call: a contract price replaces list price and discount (D18)."""
        for (of_tag, first), (until, price) in self.contract_prices.items():
            if of_tag == tag and first <= day < until:
                return price
        for (of_tag, first), (until, rate) in self.discounts.items():
            if of_tag == tag and first <= day < until:
                return listed * rate
        return listed
