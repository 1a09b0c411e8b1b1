"""Quotes are exact: the cheapest mix is that of a plain table of all sums."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from hypothesis import example, given
from hypothesis import strategies as st

from rating.catalog import PackageOffer, Tier
from rating.quotes import Mix, Postpaid, Quote, quote
from tests.property.strategies import decimals, fen

type Rank = tuple[Decimal, int, int]
ZERO = Decimal(0)


def offer(calls: int, price: str | Decimal) -> PackageOffer:
    """A package of a made-up tag."""
    return PackageOffer("t", calls, Decimal(price), None)


def monthly(edges: Sequence[int], prices: Sequence[Decimal]) -> Postpaid:
    """Steps from 0 and from each edge, spread over a year."""
    return Postpaid.monthly(tuple(map(Tier, (0, *sorted(edges)), prices)))


# Small odd sizes, and prices about as much a call as postpaid, so that packages, mixes and postpaid all win at times.
OFFERS = st.lists(st.integers(1, 23), unique=True, max_size=5).flatmap(
    lambda sizes: st.tuples(*(st.builds(offer, st.just(size), fen(70 * size, 130 * size)) for size in sizes))
)
ONE_RATE = st.lists(st.integers(1, 23), unique=True, max_size=5).map(
    lambda sizes: tuple(offer(size, Decimal(size)) for size in sizes)
)
NEAR_ONE = decimals(4, 7_000, 13_000)
FLAT = st.one_of(st.just(Decimal(1)), NEAR_ONE).map(Postpaid.flat)
TIERED = st.lists(st.integers(1, 20), unique=True, min_size=1, max_size=3).flatmap(
    lambda edges: st.builds(monthly, st.just(edges), st.lists(NEAR_ONE, min_size=4, max_size=4).map(tuple))
)
CALLS = st.integers(1, 300)


def month_by_month(postpaid: Postpaid, calls: int) -> Decimal:
    """What the months cost, one after the other, each with the step that it reaches (D19)."""
    months = [len(range(first, calls, postpaid.months)) for first in range(postpaid.months)]
    assert sum(months) == calls
    assert max(months) - min(months) <= 1
    return sum(
        (month * [tier.unit_price for tier in postpaid.tiers if tier.from_calls <= month][-1] for month in months), ZERO
    )


def table(offers: Sequence[PackageOffer], postpaid: Postpaid, calls: int) -> list[Rank]:
    """The rank of the best mix whose packages hold exactly so many calls, for every number that may be of use."""
    best: dict[int, tuple[Decimal, int]] = {0: (ZERO, 0)}
    for held in range(1, calls + max((one.calls for one in offers), default=0)):
        smaller = [(best[held - one.calls], one.price) for one in offers if held - one.calls in best]
        if smaller:
            best[held] = min((spent + price, number + 1) for (spent, number), price in smaller)
    left = {held: max(calls - held, 0) for held in best}
    return [(spent + month_by_month(postpaid, left[h]), number, -left[h]) for h, (spent, number) in best.items()]


def rank(mix: Mix) -> Rank:
    """What mixes are compared by: the total, fewer packages, more postpaid calls."""
    return mix.total, sum(number for _, number in mix.packages), -mix.postpaid_calls


def ways(made: Quote, kind: str) -> list[Mix]:
    """The alternatives of one kind."""
    return [one.mix for one in made.alternatives if one.kind == kind]


@given(st.one_of(OFFERS, ONE_RATE), st.one_of(FLAT, TIERED), CALLS)
@example((offer(3, "2.90"), offer(5, "4.80"), offer(7, "6.60")), Postpaid.flat(Decimal(1)), 23)
@example((offer(2, "2.00"), offer(3, "3.00"), offer(4, "4.00")), Postpaid.flat(Decimal(1)), 9)
@example((offer(4, "3.00"), offer(6, "5.00")), Postpaid.flat(Decimal(1)), 10)
@example((offer(1, "1.10"), offer(5, "5.00"), offer(7, "7.05")), Postpaid.flat(Decimal(5)), 9)
@example((offer(12, "12.00"),), monthly([2], [Decimal(2), Decimal(1)]), 30)
def test_a_quote_is_the_best_of_all_mixes(offers: tuple[PackageOffer, ...], postpaid: Postpaid, calls: int) -> None:
    """The mix has the least total; of equal ones the fewest packages, then the most postpaid calls."""
    made = quote(offers, postpaid, calls)
    mixes = table(offers, postpaid, calls)
    assert rank(made.best) == min(mixes)
    assert [rank(mix) for mix in ways(made, "postpaid")] == [(month_by_month(postpaid, calls), 0, -calls)]
    if offers:
        assert [rank(mix) for mix in ways(made, "packages")] == [min(found for found in mixes if not found[2])]
        assert ways(made, "mix") == [made.best]


@given(OFFERS, st.one_of(FLAT, TIERED), CALLS)
def test_each_size_by_itself(offers: tuple[PackageOffer, ...], postpaid: Postpaid, calls: int) -> None:
    """Every size has its own alternative, smallest first: the best number of it, at least one, the rest postpaid."""
    singles = ways(quote(offers, postpaid, calls), "single")
    assert [[one for one, _ in mix.packages] for mix in singles] == [
        [one] for one in sorted(offers, key=lambda one: one.calls)
    ]
    for mix in singles:
        ((one, _),) = mix.packages
        numbers = range(1, -(-calls // one.calls) + 1)
        left = {number: max(calls - number * one.calls, 0) for number in numbers}
        assert rank(mix) == min(
            (number * one.price + month_by_month(postpaid, left[number]), number, -left[number]) for number in numbers
        )


@given(OFFERS, st.one_of(FLAT, TIERED), st.integers(1, 10**9))
def test_a_mix_adds_up(offers: tuple[PackageOffer, ...], postpaid: Postpaid, calls: int) -> None:
    """Whatever the number of calls: every one is in a package or postpaid, and no alternative costs less."""
    made = quote(offers, postpaid, calls)
    for mix in (made.best, *(one.mix for one in made.alternatives)):
        held = sum(one.calls * number for one, number in mix.packages)
        assert all(number >= 1 and one in offers for one, number in mix.packages)
        assert mix.postpaid_calls == max(calls - held, 0)
        assert mix.postpaid_cost == postpaid.cost(mix.postpaid_calls)
        assert rank(made.best) <= rank(mix)


@given(st.one_of(FLAT, TIERED), st.integers(0, 300))
def test_postpaid_is_priced_month_by_month(postpaid: Postpaid, calls: int) -> None:
    """The cost of calls spread over the months is that of each month at its own step (D19)."""
    assert postpaid.cost(calls) == (month_by_month(postpaid, calls) if calls else 0)


@given(st.one_of(FLAT, TIERED))
def test_postpaid_is_linear_between_its_turns(postpaid: Postpaid) -> None:
    """From one turn to the next each call more costs the same, and so it does after the last one."""
    turns = postpaid.turns()
    for low, high in zip(turns, [*turns[1:], turns[-1] + 50], strict=True):
        steps = {postpaid.cost(calls + 1) - postpaid.cost(calls) for calls in range(low, high)}
        assert len(steps) == 1
