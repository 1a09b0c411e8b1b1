"""Segments against a walk second by second, allocation against a walk call by call (D9 to D14, D22)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import date, datetime
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from rating.allocation import Allocation, Allotment, Conditions, Package, Segment, Source, allocate, segments_of
from rating.civil import ONE_DAY, end_of, start_of
from tests.property.strategies import DAY_SECONDS, SECOND, conditions, near, packages

DAY = date(2025, 3, 10)
TAGS = ("identity_check", "photo_v2")
Calls = dict[tuple[datetime, str], int]


# --- the same rules, second by second -------------------------------------------------------------------------


def _stopped(state: Conditions, second: datetime) -> bool:
    return any(stop.start <= second and (stop.end is None or second < stop.end) for stop in state.stops)


def _postpaid(state: Conditions, second: datetime) -> bool:
    on = state.postpaid.initial
    for flip in state.postpaid.flips:
        if flip <= second:
            on = not on
    return on


def _may_serve(package: Package, second: datetime) -> bool:
    delivery_day = package.delivered_at.replace(hour=0, minute=0, second=0)
    return delivery_day <= second <= package.ends_at


def _next_in_line(stock: dict[str, int], given_: Sequence[Package], tag: str, second: datetime) -> Package | None:
    """Which package the next call comes from."""
    best: Package | None = None
    for package in given_:
        if package.tag != tag or not stock[package.package_id] or not _may_serve(package, second):
            continue
        if best is None or _before(package, best):
            best = package
    return best


def _before(one: Package, other: Package) -> bool:
    if one.source is not other.source:
        return one.source is Source.GIFT
    if one.ends_at != other.ends_at:
        return one.ends_at < other.ends_at
    if one.delivered_at != other.delivered_at:
        return one.delivered_at < other.delivered_at
    return one.package_id < other.package_id


def _walk(
    calls: Calls, given_: Sequence[Package], state: Conditions
) -> tuple[Counter[tuple[str, str]], dict[str, int]]:
    """Every call by itself, oldest first: how many of each tag were covered how, and what is left."""
    stock = {package.package_id: package.remaining for package in given_}
    covered: Counter[tuple[str, str]] = Counter()
    for (second, tag), number in sorted(calls.items()):
        for _ in range(number):
            package = None if _stopped(state, second) else _next_in_line(stock, given_, tag, second)
            if package is not None:
                stock[package.package_id] -= 1
                covered[tag, package.package_id] += 1
            else:
                covered[tag, "postpaid" if _postpaid(state, second) else "uncovered"] += 1
    return covered, stock


def _segmented(
    calls: Calls, days: Sequence[date], given_: Sequence[Package], state: Conditions
) -> list[tuple[Segment, dict[str, int]]]:
    """The calls as the product counts them: by segment and tag."""
    usage = []
    for day in days:
        for segment in segments_of(day, given_, state):
            counts: Counter[str] = Counter()
            for (second, tag), number in calls.items():
                if segment.start <= second < segment.end:
                    counts[tag] += number
            usage.append((segment, dict(counts)))
    return usage


def _covered(allocation: Allocation) -> Counter[tuple[str, str]]:
    covered: Counter[tuple[str, str]] = Counter()
    for part in allocation.allotments:
        covered[part.tag, "postpaid"] += part.postpaid
        covered[part.tag, "uncovered"] += part.uncovered
        for package_id, number in part.deductions:
            covered[part.tag, package_id] += number
    return +covered


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[date], list[Package], Conditions, Calls]:
    """Two days, the packages and states around them, and calls, many where something changes."""
    days = [DAY, DAY + ONE_DAY]
    given_ = draw(packages(DAY, TAGS))
    state = draw(conditions(DAY))
    changes = [*state.postpaid.flips, *(stop.start for stop in state.stops)]
    changes += [stop.end or stop.start for stop in state.stops]
    changes += [package.ends_at for package in given_]
    around = [change + by * SECOND for change in changes for by in (-1, 0, 1)]
    inside = [instant for instant in around if start_of(days[0]) <= instant < end_of(days[-1])]
    usual = [start_of(day) + second * SECOND for day in days for second in (0, 30_000, 60_000, DAY_SECONDS - 1)]
    calls = st.dictionaries(
        st.tuples(st.sampled_from(inside + usual), st.sampled_from(TAGS)), st.integers(1, 5), max_size=8
    )
    return days, given_, state, draw(calls)


# --- segments -------------------------------------------------------------------------------------------------


@given(conditions(DAY), packages(DAY, TAGS))
def test_segments_cover_the_day_once(state: Conditions, given_: list[Package]) -> None:
    """From 00:00 to the next 00:00 without gap, overlap or empty stretch."""
    cut = segments_of(DAY, given_, state)
    assert (cut[0].start, cut[-1].end) == (start_of(DAY), end_of(DAY))
    assert all(one.end == other.start for one, other in pairwise(cut))
    assert all(one.start < one.end for one in cut)


def _offset(instant: datetime) -> int:
    """Seconds after the day's 00:00."""
    return int((instant - start_of(DAY)).total_seconds())


@settings(max_examples=25)
@given(conditions(DAY), packages(DAY, TAGS, max_size=3))
def test_segments_are_right_at_every_second(state: Conditions, given_: list[Package]) -> None:
    """At each of the day's 86,400 seconds a segment says what a look at the histories says (D5, D10, D11, D22)."""
    cut = segments_of(DAY, given_, state)
    offsets = [_offset(segment.start) for segment in cut] + [DAY_SECONDS]
    toggles = {_offset(flip) for flip in state.postpaid.flips}
    on = state.postpaid.initial ^ (len([one for one in toggles if one < 0]) % 2 == 1)
    stops = [(_offset(stop.start), None if stop.end is None else _offset(stop.end)) for stop in state.stops]
    lives = [
        (_offset(package.delivered_at.replace(hour=0, minute=0, second=0)), _offset(package.ends_at))
        for package in given_
    ]
    for number, segment in enumerate(cut):
        said = (segment.deductible, segment.postpaid, [package.serves(segment) for package in given_])
        for second in range(offsets[number], offsets[number + 1]):
            on ^= second in toggles
            stopped = any(first <= second and (last is None or second < last) for first, last in stops)
            assert said == (not stopped, on, [first <= second <= last for first, last in lives])


@given(conditions(DAY), packages(DAY, TAGS), near(DAY))
def test_a_cut_where_nothing_changes_changes_nothing(state: Conditions, given_: list[Package], extra: datetime) -> None:
    """One more cut splits a segment into two that say the same."""
    more = Conditions(state.postpaid, state.stops, (*state.releases, extra))
    for segment in segments_of(DAY, given_, more):
        (around,) = [one for one in segments_of(DAY, given_, state) if one.start <= segment.start < one.end]
        assert (segment.deductible, segment.postpaid) == (around.deductible, around.postpaid)
        assert [one.serves(segment) for one in given_] == [one.serves(around) for one in given_]


# --- allocation -----------------------------------------------------------------------------------------------


@settings(max_examples=250)
@given(cases())
def test_allocation_is_a_walk_call_by_call(case: tuple[list[date], list[Package], Conditions, Calls]) -> None:
    """Totals by segment give what a deduction of every single call in time gives (D9 to D12, D14, D22)."""
    days, given_, state, calls = case
    result = allocate(_segmented(calls, days, given_, state), given_)
    covered, left = _walk(calls, given_, state)
    assert _covered(result) == covered
    assert result.remaining == left


@given(cases())
def test_nothing_is_lost_and_no_package_overdrawn(case: tuple[list[date], list[Package], Conditions, Calls]) -> None:
    """Free + paid + postpaid + uncovered are the calls; no package goes below zero or grows."""
    days, given_, state, calls = case
    usage = _segmented(calls, days, given_, state)
    result = allocate(usage, given_)
    source = {package.package_id: package.source for package in given_}
    counted = {(segment, tag): number for segment, counts in usage for tag, number in counts.items()}
    assert {(part.segment, part.tag): part.calls for part in result.allotments} == counted
    taken: Counter[str] = Counter()
    for part in result.allotments:
        assert part.free + part.paid + part.postpaid + part.uncovered == part.calls
        assert min(part.free, part.paid, part.postpaid, part.uncovered) >= 0
        assert not (part.postpaid and part.uncovered)
        assert part.free == sum(number for one, number in part.deductions if source[one] is Source.GIFT)
        assert part.paid == sum(number for one, number in part.deductions if source[one] is Source.PURCHASE)
        assert all(number > 0 for _, number in part.deductions)
        assert part.segment.deductible or not part.deductions
        taken.update(dict(part.deductions))
    for package in given_:
        assert 0 <= result.remaining[package.package_id] <= package.remaining
        assert result.remaining[package.package_id] == package.remaining - taken[package.package_id]


@given(cases(), st.randoms(use_true_random=False))
def test_the_order_in_which_packages_are_given_does_not_matter(
    case: tuple[list[date], list[Package], Conditions, Calls], random: object
) -> None:
    """Order of use follows from the packages alone (D9)."""
    days, given_, state, calls = case
    usage = _segmented(calls, days, given_, state)
    assert hasattr(random, "sample")
    shuffled = random.sample(given_, len(given_))
    assert allocate(usage, shuffled) == allocate(usage, given_)
    assert segments_of(DAY, shuffled, state) == segments_of(DAY, given_, state)


@given(cases())
def test_days_may_be_allocated_one_after_the_other(
    case: tuple[list[date], list[Package], Conditions, Calls],
) -> None:
    """Settling day by day with what the day before left is settling all days at once (D4; design, Rating)."""
    days, given_, state, calls = case
    usage = _segmented(calls, days, given_, state)
    left = {package.package_id: package.remaining for package in given_}
    parts: list[Allotment] = []
    for segment, counts in usage:
        stock = [_with_remaining(package, left[package.package_id]) for package in given_]
        one = allocate([(segment, counts)], stock)
        left = dict(one.remaining)
        parts += one.allotments
    together = allocate(usage, given_)
    assert tuple(parts) == together.allotments
    assert left == together.remaining


def _with_remaining(package: Package, remaining: int) -> Package:
    return Package(
        package.package_id, package.tag, package.source, package.delivered_at, package.ends_at, remaining=remaining
    )
