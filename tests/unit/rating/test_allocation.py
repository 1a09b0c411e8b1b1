"""Allocation: order of use, validity to the second, segments of a day (D9 to D14, D22)."""

from __future__ import annotations

import pytest

from rating.allocation import Allotment, Conditions, Package, Segment, Source, allocate, segments_of
from rating.civil import end_of, start_of
from rating.history import Interval, Switch
from tests.unit.rating.building import SECOND, TAG, at, day, package, whole

DAY = day("2025-03-10")
GIFT = Source.GIFT


def _one(calls: int, *packages: Package, segment: Segment | None = None) -> Allotment:
    (allotment,) = allocate([(segment or whole(DAY), {TAG: calls})], packages).allotments
    return allotment


# --- order of use ---------------------------------------------------------------------------------------------


def test_free_before_paid_before_postpaid() -> None:
    """A gift that ends long after the purchase is still used first; what neither covers is postpaid (D9)."""
    allotment = _one(
        100,
        package("a", 30, ends="2025-03-20T23:59:59"),
        package("b", 20, ends="2027-01-01T00:00:00", source=GIFT),
    )
    assert allotment.deductions == (("b", 20), ("a", 30))
    assert (allotment.free, allotment.paid, allotment.postpaid, allotment.uncovered) == (20, 30, 50, 0)


@pytest.mark.parametrize("source", list(Source))
@pytest.mark.parametrize(
    "first, second",
    [
        (
            ("z", "2025-03-05T00:00:00", "2025-04-01T23:59:58"),
            ("a", "2025-03-01T00:00:00", "2025-04-01T23:59:59"),
        ),
        (
            ("z", "2025-03-01T10:00:00", "2025-04-01T23:59:59"),
            ("a", "2025-03-01T10:00:01", "2025-04-01T23:59:59"),
        ),
        (
            ("a", "2025-03-01T10:00:00", "2025-04-01T23:59:59"),
            ("b", "2025-03-01T10:00:00", "2025-04-01T23:59:59"),
        ),
    ],
    ids=["soonest end", "earliest delivery", "package id"],
)
def test_packages_of_one_kind_are_used_by_end_delivery_and_id(
    source: Source, first: tuple[str, str, str], second: tuple[str, str, str]
) -> None:
    """Soonest end, then earliest delivery, then id, each only where the one before is equal (D9)."""
    one = package(first[0], 5, first[1], first[2], source)
    other = package(second[0], 5, second[1], second[2], source)
    for given in ([one, other], [other, one]):
        assert _one(7, *given).deductions == ((one.package_id, 5), (other.package_id, 2))


def test_a_package_serves_its_own_tag_only() -> None:
    """Calls of another tag are postpaid beside a full package (D9)."""
    result = allocate([(whole(DAY), {TAG: 3, "photo_v2": 4})], [package("a", 10, tag="photo_v2")])
    assert [(part.tag, part.paid, part.postpaid) for part in result.allotments] == [(TAG, 0, 3), ("photo_v2", 4, 0)]
    assert result.remaining == {"a": 6}


# --- validity -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", list(Source))
def test_a_package_serves_from_the_midnight_of_its_delivery_day(source: Source) -> None:
    """Calls before the delivery on the same day are covered, those of the day before are not (D10)."""
    late = package("a", 10, delivered="2025-03-10T23:59:59", source=source)
    before = whole(day("2025-03-09"))
    result = allocate([(before, {TAG: 4}), (whole(DAY), {TAG: 5})], [late])
    assert [part.postpaid for part in result.allotments] == [4, 0]
    assert result.remaining == {"a": 5}


def test_a_delivery_at_midnight_belongs_to_the_day_that_begins() -> None:
    """A package delivered at 00:00:00 does not serve the day that ended in that instant (D1, D10)."""
    at_midnight = package("a", 10, delivered="2025-03-11T00:00:00")
    assert _one(1, at_midnight).postpaid == 1
    assert _one(1, at_midnight, segment=whole(day("2025-03-11"))).paid == 1


def test_a_bought_package_serves_its_whole_last_day() -> None:
    """An end at 23:59:59 cuts nothing and leaves nothing for the next day (D11)."""
    last = package("a", 10, ends="2025-03-10T23:59:59")
    assert segments_of(DAY, [last], Conditions()) == (whole(DAY),)
    assert _one(4, last).paid == 4
    assert _one(4, last, segment=whole(day("2025-03-11"))).postpaid == 4


def test_a_gift_ends_in_the_middle_of_a_day_and_splits_it_at_that_second() -> None:
    """A gift that ends at 11:00:37 serves that second, and the day is cut at 11:00:38 (D11)."""
    gift = package("g", 100, "2024-03-10T11:00:37", "2025-03-10T11:00:37", GIFT)
    morning, afternoon = segments_of(DAY, [gift], Conditions())
    assert morning == Segment(start_of(DAY), at("2025-03-10T11:00:38"), deductible=True, postpaid=True)
    assert afternoon == Segment(at("2025-03-10T11:00:38"), end_of(DAY), deductible=True, postpaid=True)
    result = allocate([(morning, {TAG: 30}), (afternoon, {TAG: 12})], [gift])
    assert [(part.free, part.postpaid) for part in result.allotments] == [(30, 0), (0, 12)]
    assert result.remaining == {"g": 70}


def test_an_end_at_midnight_serves_one_second_of_the_day() -> None:
    """A gift that ends at 00:00:00 serves that second of the new day and no other (D11)."""
    gift = package("g", 9, "2024-03-10T00:00:00", "2025-03-10T00:00:00", GIFT)
    first, rest = segments_of(DAY, [gift], Conditions())
    assert (first.start, first.end, rest.end) == (start_of(DAY), start_of(DAY) + SECOND, end_of(DAY))
    assert gift.serves(first)
    assert not gift.serves(rest)


def test_a_segment_beyond_a_packages_end_gets_nothing_of_it() -> None:
    """Where a day was not cut at a package's end, none of the uncut stretch is deducted (D11)."""
    gift = package("g", 100, "2024-03-10T11:00:37", "2025-03-10T11:00:37", GIFT)
    assert _one(5, gift).postpaid == 5


def test_stacked_packages_keep_their_own_ends() -> None:
    """What is left of a package that ends goes with it; the next one is not longer for it (D12)."""
    early = package("a", 10, ends="2025-03-10T23:59:59")
    later = package("b", 10, ends="2025-03-11T23:59:59")
    days = [(whole(day(text)), {TAG: 4}) for text in ("2025-03-10", "2025-03-11", "2025-03-12")]
    result = allocate(days, [later, early])
    assert [part.deductions for part in result.allotments] == [(("a", 4),), (("b", 4),), ()]
    assert result.remaining == {"a": 6, "b": 6}


# --- stops, postpaid off --------------------------------------------------------------------------------------


def test_a_stopped_segment_deducts_nothing_and_is_charged() -> None:
    """Inside a stop packages rest and calls are postpaid; validity keeps running (D22)."""
    allotment = _one(5, package("a", 10), segment=whole(DAY, deductible=False))
    assert (allotment.deductions, allotment.paid, allotment.postpaid, allotment.uncovered) == ((), 0, 5, 0)


def test_with_postpaid_off_the_rest_is_uncovered() -> None:
    """What packages do not cover is shown and never charged while postpaid is off (D14)."""
    allotment = _one(15, package("a", 10), segment=whole(DAY, postpaid=False))
    assert (allotment.paid, allotment.postpaid, allotment.uncovered) == (10, 0, 5)


def test_a_stop_with_postpaid_off_is_never_charged() -> None:
    """Where both hold, the switch decides: uncovered calls are not charged (D14 before D22)."""
    allotment = _one(5, package("a", 10), segment=whole(DAY, deductible=False, postpaid=False))
    assert (allotment.paid, allotment.postpaid, allotment.uncovered) == (0, 0, 5)


# --- segments -------------------------------------------------------------------------------------------------


def test_a_day_without_changes_is_one_segment() -> None:
    """Nothing is cut by what lies outside the day or at its very edges."""
    edges = Conditions(
        Switch(initial=True, flips=(start_of(DAY), end_of(DAY))),
        (Interval(start_of(DAY), end_of(DAY)), Interval(at("2025-03-12T00:00:00"))),
        (start_of(DAY), end_of(DAY)),
    )
    assert segments_of(DAY, [package("a", 1)], Conditions()) == (whole(DAY),)
    assert segments_of(DAY, [], edges) == (whole(DAY, deductible=False, postpaid=False),)


def test_a_day_is_cut_wherever_something_changes() -> None:
    """A package's end, a stop's start and end, a flip and a release each begin a segment."""
    conditions = Conditions(
        Switch(initial=True, flips=(at("2025-03-10T20:00:00"),)),
        (Interval(at("2025-03-10T08:00:00"), at("2025-03-10T09:30:00")),),
        (at("2025-03-10T22:00:00"),),
    )
    cut = segments_of(DAY, [package("a", 1, ends="2025-03-10T11:00:37")], conditions)
    assert [(f"{part.start:%H:%M:%S}", part.deductible, part.postpaid) for part in cut] == [
        ("00:00:00", True, True),
        ("08:00:00", False, True),
        ("09:30:00", True, True),
        ("11:00:38", True, True),
        ("20:00:00", True, False),
        ("22:00:00", True, False),
    ]


def test_changes_at_one_instant_cut_once() -> None:
    """Two changes in the same second make one cut, never an empty segment."""
    noon = at("2025-03-10T12:00:00")
    conditions = Conditions(Switch(initial=True, flips=(noon,)), (Interval(noon), Interval(noon)), (noon,))
    cut = segments_of(DAY, [package("a", 1, ends="2025-03-10T11:59:59")], conditions)
    assert [part.start for part in cut] == [start_of(DAY), noon]


# --- shape of the answer --------------------------------------------------------------------------------------


def test_usage_is_allocated_oldest_first() -> None:
    """A package that does not suffice is used up by the segment that comes first."""
    days = [(whole(day(text)), {TAG: 6}) for text in ("2025-03-10", "2025-03-11")]
    assert [part.paid for part in allocate(days, [package("a", 8)]).allotments] == [6, 2]


def test_every_package_is_named_in_what_is_left() -> None:
    """Packages that gave nothing are in the answer too, and tags without calls have no allotment."""
    result = allocate([(whole(DAY), {TAG: 0})], [package("a", 3), package("b", 0, tag="photo_v2")])
    assert result.allotments == ()
    assert result.remaining == {"a": 3, "b": 0}


def test_impossible_numbers_are_refused() -> None:
    """Negative calls or a package below zero stop the settlement instead of charging nonsense."""
    with pytest.raises(ValueError, match="negative calls"):
        allocate([(whole(DAY), {TAG: -1})], ())
    with pytest.raises(ValueError, match="below zero"):
        allocate((), [package("a", -1)])
