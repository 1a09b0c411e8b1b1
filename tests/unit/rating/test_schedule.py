"""Which run takes a day's usage (D3, D4)."""

from __future__ import annotations

import pytest

from rating.schedule import FAR_AHEAD, Cycle, begun_run_day, is_late, late_run_day, run_day
from tests.unit.rating.building import at, day

DAILY, MONTHLY = Cycle.DAILY, Cycle.MONTHLY


@pytest.mark.parametrize(
    "cycle, usage, expected",
    [
        (DAILY, "2025-02-28", "2025-03-01"),
        (DAILY, "2024-12-31", "2025-01-01"),
        (MONTHLY, "2025-03-01", "2025-04-01"),
        (MONTHLY, "2025-03-31", "2025-04-01"),
        (MONTHLY, "2024-12-15", "2025-01-01"),
    ],
)
def test_usage_is_settled_the_next_day_or_on_the_next_1st(cycle: Cycle, usage: str, expected: str) -> None:
    """A daily account's day is settled the day after, a monthly account's on the 1st (D3)."""
    assert run_day(cycle, day(usage)) == day(expected)


@pytest.mark.parametrize(
    "cycle, now, late",
    [
        (DAILY, "2025-03-11T07:54:59", False),
        (DAILY, "2025-03-11T07:55:00", True),
        (DAILY, "2025-03-10T23:59:59", False),
        (MONTHLY, "2025-03-11T08:00:00", False),
        (MONTHLY, "2025-04-01T07:54:59", False),
        (MONTHLY, "2025-04-01T07:55:00", True),
    ],
)
def test_usage_is_late_when_its_run_may_be_counting(cycle: Cycle, now: str, *, late: bool) -> None:
    """Five minutes before the run of its day usage begins to need a mark (D4; design, Metering)."""
    assert is_late(cycle, day("2025-03-10"), at(now)) is late


@pytest.mark.parametrize(
    "cycle, now, expected",
    [
        (DAILY, "2025-03-11T07:55:00", "2025-03-11"),
        (DAILY, "2025-03-11T07:59:59", "2025-03-11"),
        (DAILY, "2025-03-11T08:00:00", "2025-03-12"),
        (DAILY, "2025-03-20T07:59:59", "2025-03-20"),
        (DAILY, "2025-03-31T09:00:00", "2025-04-01"),
        (MONTHLY, "2025-04-01T07:59:59", "2025-04-01"),
        (MONTHLY, "2025-04-01T08:00:00", "2025-05-01"),
        (MONTHLY, "2025-04-20T07:00:00", "2025-05-01"),
        (MONTHLY, "2025-04-30T08:00:00", "2025-05-01"),
        (MONTHLY, "2025-05-01T07:59:59", "2025-05-01"),
        (MONTHLY, "2025-03-10T12:00:00", "2025-04-01"),
    ],
)
def test_late_usage_waits_for_the_next_run_of_its_account(cycle: Cycle, now: str, expected: str) -> None:
    """The next 08:00 takes a daily account's late usage, the next 1st a monthly one's of a closed month (D4)."""
    assert late_run_day(cycle, day("2025-03-10"), at(now)) == day(expected)


def test_a_run_begins_at_0800() -> None:
    """Until 08:00 the last run is yesterday's (D3)."""
    assert begun_run_day(at("2025-03-11T07:59:59")) == day("2025-03-10")
    assert begun_run_day(at("2025-03-11T08:00:00")) == day("2025-03-11")
    assert begun_run_day(at("2025-03-11T23:59:59")) == day("2025-03-11") < FAR_AHEAD
