"""Quotes: the cheapest mix of packages and postpaid for a year's calls, exact (contract, Catalog).

Call *rate* what a package costs per call. Two facts keep the search small:

- What a package costs beyond the best rate for its calls, its *excess*, is never below 0. Of two sums of other packages
  with the same remainder by the best package's size, the smaller one becomes the larger one by adding best packages; so
  the larger one needs a look only if its excess is less. Sums are taken by their excess, until that alone costs more
  than the cheapest mix that is known.
- Beside given other packages, the total is piecewise linear in the number of best packages. So only the numbers at the
  ends of the pieces need a look.

No rule of thumb would do: to buy more calls than are needed may be cheapest, and so may be to leave more to postpaid,
for a step of a monthly price is for the whole month, and one call more can make it cheaper.

Mixes are compared by their total, exactly; then fewer packages are better, then more postpaid calls.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from heapq import heappop, heappush
from itertools import pairwise
from typing import Literal

from rating.catalog.model import UNIT_PRICE_DECIMALS, PackageOffer, Tier
from rating.money import ZERO

MONTHS = 12
MAX_CALLS = 10**9
"""Calls of a quote, and of a package: more is a slip of the keyboard."""

MAX_SUMS = 300_000
"""Sums of packages that a search may note: a second's work. The guide's offers need some thousands at most; only large
sizes that have no common divisor and almost one rate need more."""

Kind = Literal["postpaid", "packages", "single", "mix"]
"""Without packages; without postpaid; one size of package, the rest postpaid; the cheapest of all."""


class TooManyMixes(ValueError):  # noqa: N818 - a refusal, not a fault of the program
    """The sizes on offer have too little in common for an exact quote."""


@dataclass(frozen=True, slots=True)
class Postpaid:
    """What the calls cost that packages leave: in so many equal months, each priced as a whole by its step (D19)."""

    tiers: tuple[Tier, ...]
    months: int

    @classmethod
    def flat(cls, unit_price: Decimal) -> Postpaid:
        """Every call at one price."""
        return cls((Tier(0, unit_price),), 1)

    @classmethod
    def monthly(cls, tiers: Sequence[Tier]) -> Postpaid:
        """Spread evenly over a year: q or q + 1 calls a month."""
        return cls(tuple(tiers), MONTHS)

    def cost(self, calls: int) -> Decimal:
        """Yuan, exact."""
        each, longer = divmod(calls, self.months)
        return longer * self._month(each + 1) + (self.months - longer) * self._month(each)

    def turns(self) -> list[int]:
        """Numbers of calls, ascending from 0, between which and after which the cost is linear."""
        starts = [tier.from_calls for tier in self.tiers[1:]]
        return sorted({0, *(self.months * (start - before) for start in starts for before in (0, 1))})

    def _month(self, calls: int) -> Decimal:
        reached = bisect_right(self.tiers, calls, key=lambda tier: tier.from_calls) - 1
        return calls * self.tiers[reached].unit_price


@dataclass(frozen=True, slots=True)
class Mix:
    """Packages, and the calls that they leave."""

    packages: tuple[tuple[PackageOffer, int], ...]
    """Each size with its number, smallest first."""
    postpaid_calls: int
    postpaid_cost: Decimal
    """Yuan, exact."""

    @property
    def total(self) -> Decimal:
        """Yuan, exact."""
        return sum((offer.price * number for offer, number in self.packages), self.postpaid_cost)


@dataclass(frozen=True, slots=True)
class Alternative:
    """One way to pay for the calls."""

    kind: Kind
    mix: Mix


@dataclass(frozen=True, slots=True)
class Quote:
    """The cheapest mix, and what the alternatives cost."""

    best: Mix
    alternatives: tuple[Alternative, ...]
    """Postpaid; where there are packages also packages only, each size by itself from the smallest, and the mix."""


def quote(offers: Sequence[PackageOffer], postpaid: Postpaid, calls: int) -> Quote:
    """The cheapest mix for so many calls, at prices of the catalog's decimals.

    Raises ValueError for less than 1 call, TooManyMixes where an exact answer would take too long.
    """
    if calls < 1:
        msg = f"{calls} calls"
        raise ValueError(msg)
    without = Mix((), calls, postpaid.cost(calls))
    if not offers:
        return Quote(without, (Alternative("postpaid", without),))
    sized = sorted(offers, key=lambda offer: offer.calls)
    best = _Search(sized, postpaid, calls).cheapest()
    return Quote(
        best,
        (
            Alternative("postpaid", without),
            Alternative("packages", _Search(sized, None, calls).cheapest()),
            *(Alternative("single", _Search([offer], postpaid, calls).at_least_one()) for offer in sized),
            Alternative("mix", best),
        ),
    )


class _Search:
    """The cheapest mix of some offers; `postpaid` None is to cover all calls with packages.

    A mix is weighed by one whole number, its worth: the total in units of a price's last decimal, then the packages,
    then the postpaid calls. All sums here are worth times the size of the best package, so that the best rate is a
    whole number too.
    """

    def __init__(self, offers: Sequence[PackageOffer], postpaid: Postpaid | None, calls: int) -> None:
        self._calls = calls
        self._postpaid = postpaid
        self._by_rate = sorted(offers, key=lambda offer: Fraction(_worth(offer.price, 1, 0), offer.calls))
        self._best = self._by_rate[0]
        self._rate = _worth(self._best.price, 1, 0)
        turns = [turn for turn in postpaid.turns() if turn < calls] if postpaid else []
        self._pieces = list(pairwise([*turns, calls])) if turns else []

    def cheapest(self) -> Mix:
        """The cheapest of all mixes. Raises TooManyMixes."""
        floor, least = self._floor(), self._greedy() + 1
        others = [(offer, self._scaled(offer) - self._rate * offer.calls) for offer in self._by_rate[1:]]
        # Sums of other packages by their excess, each with the package that was added last.
        waiting: list[tuple[int, int, int]] = [(0, 0, 0)]
        added: dict[int, PackageOffer] = {}
        smallest: dict[int, int] = {}
        chosen: Counter[PackageOffer] = Counter()
        noted = 0
        while waiting and floor + waiting[0][0] < least:
            excess, held, last = heappop(waiting)
            remainder = held % self._best.calls
            if held >= smallest.get(remainder, held + 1):
                continue
            smallest[remainder] = held
            added[held] = others[last][0] if held else self._best
            total, number = min(self._completions(held, excess))
            if total < least:
                least, chosen = total, Counter({**_packages_of(held, added), self._best: number})
            if held < self._calls:
                for place, (offer, more) in enumerate(others):
                    if floor + excess + more < least:
                        heappush(waiting, (excess + more, held + offer.calls, place))
                        noted += 1
            if noted > MAX_SUMS:
                raise TooManyMixes
        return self._mix(chosen)

    def at_least_one(self) -> Mix:
        """The cheapest of the mixes that have the best package."""
        _, number = min(self._completions(self._best.calls, 0))
        return self._mix(Counter({self._best: number + 1}))

    def _completions(self, held: int, excess: int) -> Iterator[tuple[int, int]]:
        """(total, number) for the numbers of best packages that may be cheapest beside others that hold some calls."""
        size, left = self._best.calls, max(self._calls - held, 0)
        numbers = {_up(left, size)}
        for low, high in self._pieces:
            fewest, most = max(_up(left - high, size), 0), (left - low) // size
            if fewest <= most:
                numbers |= {fewest, most}
        for number in numbers:
            covered = held + number * size
            yield excess + self._rate * covered + self._after(self._calls - covered), number

    def _floor(self) -> int:
        """No mix is below it: as if any number of calls could be had at the best rate."""
        ends = [0, *(high for _, high in self._pieces)]
        return min(self._rate * (self._calls - left) + self._after(left) for left in ends)

    def _greedy(self) -> int:
        """The total of a passable mix: by rate, as many of each size as fit, and one more or postpaid at some size."""
        left, spent, found = self._calls, 0, []
        for offer in self._by_rate:
            number, left = divmod(left, offer.calls)
            spent += number * self._scaled(offer)
            found.append(spent + self._scaled(offer) if left else spent)
            if self._postpaid:
                found.append(spent + self._after(left))
        return min(found)

    def _scaled(self, offer: PackageOffer) -> int:
        return _worth(offer.price, 1, 0) * self._best.calls

    def _after(self, calls: int) -> int:
        """What the calls cost that packages leave; fewer than none are left by packages that hold more."""
        if self._postpaid is None or calls <= 0:
            return 0
        return _worth(self._postpaid.cost(calls), 0, calls) * self._best.calls

    def _mix(self, packages: Mapping[PackageOffer, int]) -> Mix:
        left = max(self._calls - sum(offer.calls * number for offer, number in packages.items()), 0)
        cost = self._postpaid.cost(left) if self._postpaid else ZERO
        bought = [(offer, number) for offer, number in packages.items() if number]
        return Mix(tuple(sorted(bought, key=lambda entry: entry[0].calls)), left, cost)


_MORE_THAN_CALLS = 1 << 32
_UNIT = _MORE_THAN_CALLS**2


def _worth(cost: Decimal, packages: int, postpaid_calls: int) -> int:
    return int(cost.scaleb(UNIT_PRICE_DECIMALS)) * _UNIT + packages * _MORE_THAN_CALLS - postpaid_calls


def _up(calls: int, size: int) -> int:
    """How many of that size hold the calls."""
    return -(-calls // size)


def _packages_of(held: int, added: Mapping[int, PackageOffer]) -> Counter[PackageOffer]:
    """The packages that make up a sum, by which was added last to each."""
    found: Counter[PackageOffer] = Counter()
    while held:
        found[added[held]] += 1
        held -= added[held].calls
    return found
