"""The run that takes a day's usage, against a walk through all runs (D3, D4)."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from rating.civil import SHANGHAI
from rating.schedule import Cycle, begun_run_day, is_late, late_run_day, run_day
from tests.property.strategies import days, seconds_of_day

_MINUTES = st.sampled_from([0, 1, 7 * 3600 + 55 * 60 - 1, 7 * 3600 + 55 * 60, 8 * 3600 - 1, 8 * 3600])


def _runs_after(cycle: Cycle, usage_day: date) -> list[datetime]:
    """Every run that may take usage of the day, oldest first."""
    runs: list[datetime] = []
    day = usage_day
    while len(runs) < 130:
        day += timedelta(days=1)
        if cycle is Cycle.DAILY or (day.day == 1 and (day.year, day.month) != (usage_day.year, usage_day.month)):
            runs.append(datetime(day.year, day.month, day.day, 8, tzinfo=SHANGHAI))
    return runs


@given(st.sampled_from(list(Cycle)), days(), st.integers(0, 100), st.one_of(_MINUTES, seconds_of_day()))
def test_usage_goes_to_the_first_run_that_has_not_begun(cycle: Cycle, usage: date, delay: int, second: int) -> None:
    """On time it is the run of its own day; late, the next 08:00, of the 1st for a monthly account (D4)."""
    now = datetime(usage.year, usage.month, usage.day, tzinfo=SHANGHAI) + timedelta(days=delay, seconds=second)
    runs = _runs_after(cycle, usage)
    taken_by = next(run for run in runs if run > now)
    assert run_day(cycle, usage) == runs[0].date()
    assert late_run_day(cycle, usage, now) == taken_by.date()
    assert is_late(cycle, usage, now) == (now >= runs[0] - timedelta(minutes=5))
    if not is_late(cycle, usage, now):
        assert taken_by == runs[0]


@given(days(), seconds_of_day())
def test_the_last_run_that_has_begun(day: date, second: int) -> None:
    """All that says which run has begun says the same: the latest 08:00 that is not after now (D3)."""
    now = datetime(day.year, day.month, day.day, tzinfo=SHANGHAI) + timedelta(seconds=second)
    begun = max(
        datetime(on.year, on.month, on.day, 8, tzinfo=SHANGHAI)
        for on in (day, day - timedelta(days=1))
        if datetime(on.year, on.month, on.day, 8, tzinfo=SHANGHAI) <= now
    )
    assert begun_run_day(now) == begun.date()
