"""Civil time: days and months are Shanghai's, half-open (D1)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from rating import civil
from tests.unit.rating.building import SECOND, at, day


@pytest.mark.parametrize(
    "instant, expected",
    [
        ("2025-02-28T15:59:59.999999+00:00", "2025-02-28"),
        ("2025-02-28T16:00:00+00:00", "2025-03-01"),
        ("2025-02-28T23:59:59.999999+08:00", "2025-02-28"),
        ("2025-03-01T00:00:00+08:00", "2025-03-01"),
        ("2025-02-28T11:00:00-05:00", "2025-03-01"),
        ("2024-02-29T12:00:00+08:00", "2024-02-29"),
        ("2024-12-31T16:00:00+00:00", "2025-01-01"),
    ],
)
def test_an_event_belongs_to_the_day_of_its_own_instant_in_shanghai(instant: str, expected: str) -> None:
    """Midnight belongs to the new day, the moment before it to the old one, whatever the notation (D1)."""
    assert civil.day_of(datetime.fromisoformat(instant)) == day(expected)


def test_a_day_is_half_open() -> None:
    """A day begins at its 00:00 and ends at the next one's, which is no longer in it (D1)."""
    on = day("2025-03-01")
    assert civil.start_of(on) == at("2025-03-01T00:00:00")
    assert civil.end_of(on) == at("2025-03-02T00:00:00") == civil.start_of(day("2025-03-02"))
    assert civil.end_of(on) - civil.start_of(on) == timedelta(hours=24)


def test_the_offset_of_hot_paths_is_that_of_the_zone() -> None:
    """Paths that add the offset themselves agree with the time zone's data."""
    for year in range(1992, 2100):
        for half in (1, 7):
            offset = datetime(year, half, 1, tzinfo=civil.SHANGHAI).utcoffset()
            assert offset == timedelta(seconds=civil.UTC_OFFSET_SECONDS)


@pytest.mark.parametrize("call", [civil.local, civil.day_of, civil.business_instant])
def test_an_instant_without_a_time_zone_is_refused(call: object) -> None:
    """A naive time could be any instant, so none is guessed."""
    assert callable(call)
    with pytest.raises(ValueError, match="time zone"):
        call(datetime(2025, 3, 1))  # noqa: DTZ001 - that is the point


def test_business_instants_are_cut_to_whole_seconds() -> None:
    """Deliveries, stops and payments are truncated, never rounded up (D1)."""
    given = datetime(2025, 2, 28, 15, 59, 59, 999_999, tzinfo=UTC)
    assert civil.business_instant(given) == at("2025-02-28T23:59:59")
    assert civil.business_instant(given).utcoffset() == timedelta(hours=8)


def test_times_are_answered_at_shanghais_offset() -> None:
    """Every time in an answer ends in +08:00 and has whole seconds (contract, Conventions)."""
    given = datetime(2025, 2, 28, 11, 0, 0, 5, tzinfo=timezone(-timedelta(hours=5)))
    assert civil.rfc3339(given) == "2025-03-01T00:00:00+08:00"


@pytest.mark.parametrize(
    "month, first, last, before, after",
    [
        ("2024-02", "2024-02-01", "2024-02-29", "2024-01", "2024-03"),
        ("2025-02", "2025-02-01", "2025-02-28", "2025-01", "2025-03"),
        ("2024-12", "2024-12-01", "2024-12-31", "2024-11", "2025-01"),
        ("2025-01", "2025-01-01", "2025-01-31", "2024-12", "2025-02"),
        ("2025-04", "2025-04-01", "2025-04-30", "2025-03", "2025-05"),
    ],
)
def test_months_have_their_days_and_neighbours(month: str, first: str, last: str, before: str, after: str) -> None:
    """First and last day, the month before and after, over year ends and leap years."""
    assert civil.first_day(month) == day(first)
    assert civil.last_day(month) == day(last)
    assert civil.previous_month(month) == before
    assert civil.next_month(month) == after
    assert civil.month_of(day(first)) == civil.month_of(day(last)) == month


@pytest.mark.parametrize(
    "text",
    ["", "2025", "2025-1", "2025-13", "2025-00", "25-01", "2025-01-01", "2025/01", "202５-01", "-025-01", "2025-0x"],
)
def test_anything_but_a_month_is_refused(text: str) -> None:
    """Only YYYY-MM in plain digits names a month."""
    with pytest.raises(ValueError, match=r"month"):
        civil.first_day(text)


def test_the_end_of_a_day_is_one_second_after_its_last() -> None:
    """23:59:59 is the day's last whole second."""
    assert civil.day_of(civil.end_of(day("2025-03-01")) - SECOND) == day("2025-03-01")
