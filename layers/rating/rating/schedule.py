"""Which run takes a day's usage (D3, D4, D19)."""

from __future__ import annotations

from datetime import date, datetime, time
from enum import StrEnum

from rating.civil import ONE_DAY, RUN_AT, SHANGHAI, first_day, local, month_of, next_month

ON_TIME_UNTIL = time(7, 55)
"""Usage written before this time of the run's day is counted by the run without a mark. The five minutes to 08:00 are
longer than a write can take, so nothing that was on its way is missed."""


class Cycle(StrEnum):
    """How often an account is settled."""

    DAILY = "daily"
    MONTHLY = "monthly"


def run_day(cycle: Cycle, usage_day: date) -> date:
    """The day whose 08:00 run settles the usage day: the next day, or the 1st of the next month."""
    return usage_day + ONE_DAY if cycle is Cycle.DAILY else first_day(next_month(month_of(usage_day)))


def is_late(cycle: Cycle, usage_day: date, now: datetime) -> bool:
    """Whether the run of the usage day may already be counting."""
    return now >= datetime.combine(run_day(cycle, usage_day), ON_TIME_UNTIL, SHANGHAI)


def late_run_day(cycle: Cycle, usage_day: date, now: datetime) -> date:
    """The day of the next run that takes usage written late, at `now` (D4)."""
    here = local(now)
    upcoming = here.date() if here.time() < RUN_AT else here.date() + ONE_DAY
    own = run_day(cycle, usage_day)
    if upcoming <= own:
        return own
    if cycle is Cycle.DAILY:
        return upcoming
    return upcoming if upcoming.day == 1 else first_day(next_month(month_of(upcoming)))


def begun_run_day(now: datetime) -> date:
    """The day of the last 08:00 run that has begun."""
    here = local(now)
    return here.date() if here.time() >= RUN_AT else here.date() - ONE_DAY


FAR_AHEAD = date(9999, 1, 1)
"""A run day after every other: everything that is not settled is due by then."""
