"""Civil time in Shanghai, which has had no summer time since 1991 (D1)."""

from __future__ import annotations

from calendar import monthrange
from datetime import date, datetime, time, timedelta, timezone

SHANGHAI = timezone(timedelta(hours=8))
SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)
RUN_TIME = timedelta(hours=8)


def local(moment: datetime) -> datetime:
    """By Shanghai's clock."""
    return moment.astimezone(SHANGHAI)


def whole(moment: datetime) -> datetime:
    """Business instants are whole seconds."""
    return local(moment).replace(microsecond=0)


def stamp(moment: datetime) -> str:
    """As answers have it."""
    return local(moment).isoformat()


def day_of(moment: datetime) -> date:
    """The day of an instant."""
    return local(moment).date()


def midnight(day: date) -> datetime:
    """The first instant of a day."""
    return datetime.combine(day, time(), SHANGHAI)


def month_of(day: date) -> str:
    """The month of a day, as answers have it."""
    return day.isoformat()[:7]


def first_of_next_month(day: date) -> date:
    """The 1st after a day."""
    return day.replace(day=monthrange(day.year, day.month)[1]) + DAY


def last_day(month: str) -> date:
    """The last day of a month."""
    return first_of_next_month(date.fromisoformat(f"{month}-01")) - DAY


def a_year_after(day: date) -> date:
    """The anniversary; of 29 February it is 28 February (D11)."""
    if (day.month, day.day) == (2, 29):
        return date(day.year + 1, 2, 28)
    return day.replace(year=day.year + 1)


def purchase_end(delivered: datetime) -> datetime:
    """The last second of a bought package (D11)."""
    return midnight(a_year_after(day_of(delivered)) + DAY) - SECOND


def gift_end(delivered: datetime) -> datetime:
    """The last second of a free or gifted package (D11)."""
    moment = local(delivered)
    return datetime.combine(a_year_after(moment.date()), moment.timetz())


def run_of(day: date, *, monthly: bool) -> datetime:
    """When usage of a day is settled if it comes in time: 08:00 of the next day, or of the next 1st (D3)."""
    return midnight(first_of_next_month(day) if monthly else day + DAY) + RUN_TIME


def next_run(moment: datetime, *, monthly: bool) -> datetime:
    """The first run after an instant."""
    today = day_of(moment)
    first = midnight(today) + RUN_TIME
    if moment < first and (today.day == 1 or not monthly):
        return first
    return run_of(today, monthly=monthly)
