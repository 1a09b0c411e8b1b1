"""What the property tests draw from."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cache

from hypothesis import strategies as st

from rating.allocation import Conditions, Package, Source
from rating.civil import ONE_DAY, start_of
from rating.funds import Funds
from rating.history import Interval, Switch

SECOND = timedelta(seconds=1)
DAY_SECONDS = 86_400
EDGES = (0, 1, DAY_SECONDS - 1, DAY_SECONDS // 2)


def fen(low: int = 0, high: int = 10**7) -> st.SearchStrategy[Decimal]:
    """Amounts in whole fen."""
    return st.integers(low, high).map(lambda number: Decimal(number).scaleb(-2))


def decimals(places: int, low: int = 0, high: int = 10**12) -> st.SearchStrategy[Decimal]:
    """Amounts of that many decimals."""
    return st.integers(low, high).map(lambda number: Decimal(number).scaleb(-places))


def days(first: date = date(2020, 1, 1), last: date = date(2035, 12, 31)) -> st.SearchStrategy[date]:
    """Days, leap days among them."""
    return st.dates(first, last)


def instants(first: date = date(2020, 1, 1), last: date = date(2035, 12, 31)) -> st.SearchStrategy[datetime]:
    """Whole seconds of a range of days on Shanghai's clock."""
    seconds = ((last - first).days + 1) * DAY_SECONDS
    return st.integers(0, seconds - 1).map(lambda second: start_of(first) + second * SECOND)


def seconds_of_day() -> st.SearchStrategy[int]:
    """Seconds of a day, its edges more often."""
    return st.one_of(st.sampled_from(EDGES), st.integers(0, DAY_SECONDS - 1))


@cache
def near(day: date) -> st.SearchStrategy[datetime]:
    """Instants of a day, of the one before and of the one after; the same ones and neighbours often."""
    first = start_of(day)
    often = [
        first + offset * ONE_DAY + second * SECOND
        for offset in (-1, 0, 0, 0, 1)
        for second in (0, 1, 39_637, 39_638, 43_200, DAY_SECONDS - 1)
    ]
    anywhere = st.integers(-DAY_SECONDS, 2 * DAY_SECONDS - 1).map(lambda second: first + second * SECOND)
    return st.one_of(st.sampled_from(often), anywhere)


def switches(day: date) -> st.SearchStrategy[Switch]:
    """A switch with up to three flips around the day."""
    flips = st.lists(near(day), max_size=3, unique=True).map(lambda found: tuple(sorted(found)))
    return st.builds(Switch, initial=st.booleans(), flips=flips)


def intervals(day: date) -> st.SearchStrategy[Interval]:
    """A stop around the day, over or not."""
    return st.builds(_interval, near(day), st.one_of(st.none(), near(day)))


def _interval(one: datetime, other: datetime | None) -> Interval:
    return Interval(one) if other is None else Interval(min(one, other), max(one, other))


@cache
def conditions(day: date) -> st.SearchStrategy[Conditions]:
    """Switches, stops and releases around the day."""
    return st.builds(
        Conditions,
        postpaid=switches(day),
        stops=st.lists(intervals(day), max_size=2).map(tuple),
        releases=st.lists(near(day), max_size=1).map(tuple),
    )


@cache
def packages(day: date, tags: tuple[str, ...], max_size: int = 4) -> st.SearchStrategy[list[Package]]:
    """Packages that are delivered, end or hold around the day; equal times are frequent, ids descend."""
    long_ago, far_off = start_of(day) - 90 * ONE_DAY, start_of(day) + 90 * ONE_DAY
    package = st.builds(
        lambda tag, source, delivered, ends, remaining: Package(
            "", tag, source, delivered, max(delivered, ends), remaining=remaining
        ),
        st.sampled_from(tags),
        st.sampled_from(list(Source)),
        st.one_of(st.just(long_ago), near(day)),
        st.one_of(st.just(far_off), near(day)),
        st.integers(0, 6),
    )
    return st.lists(package, max_size=max_size).map(
        lambda found: [replace(one, package_id=f"p{9 - number}") for number, one in enumerate(found)]
    )


def funds(*, in_debt: bool = True) -> st.SearchStrategy[Funds]:
    """Funds; cash may be below zero."""
    return st.builds(
        Funds,
        gift=fen(0, 3000),
        income_transfer=fen(0, 3000),
        cash=fen(-3000 if in_debt else 0, 3000),
    )
