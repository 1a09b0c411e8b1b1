"""Civil time: every day, month and date is that of Asia/Shanghai (D1)."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

SHANGHAI = ZoneInfo("Asia/Shanghai")
UTC_OFFSET_SECONDS = 8 * 3600
"""Shanghai's offset. It has not changed since 1991, so hot paths may add it instead of asking the zone."""

ONE_SECOND = timedelta(seconds=1)
ONE_DAY = timedelta(days=1)
RUN_AT = time(8)
"""Both runs start at 08:00 (D3)."""


def local(instant: datetime) -> datetime:
    """The same instant on Shanghai's clock. Raises ValueError for a naive datetime."""
    if instant.tzinfo is None:
        msg = "an instant needs a time zone"
        raise ValueError(msg)
    return instant.astimezone(SHANGHAI)


def business_instant(instant: datetime) -> datetime:
    """The instant truncated to whole seconds, on Shanghai's clock (D1)."""
    return local(instant).replace(microsecond=0)


def day_of(instant: datetime) -> date:
    """The civil day that the instant falls on (D1)."""
    return local(instant).date()


def start_of(day: date) -> datetime:
    """The instant at which the day begins; it is in the day, the next day's is not (D1)."""
    return datetime.combine(day, time(0), SHANGHAI)


def end_of(day: date) -> datetime:
    """00:00 of the following day: the first instant that is no longer in it."""
    return start_of(day + ONE_DAY)


def month_of(day: date) -> str:
    """The month of a day as `YYYY-MM`."""
    return f"{day.year:04d}-{day.month:02d}"


def first_day(month: str) -> date:
    """The first day of a `YYYY-MM` month. Raises ValueError for anything else."""
    year, _, number = month.partition("-")
    digits = year + number
    if len(year) != 4 or len(number) != 2 or not (digits.isascii() and digits.isdecimal()):  # noqa: PLR2004 - the format
        msg = f"not a month: {month!r}"
        raise ValueError(msg)
    return date(int(year), int(number), 1)


def last_day(month: str) -> date:
    """The last day of a `YYYY-MM` month."""
    return first_day(next_month(month)) - ONE_DAY


def next_month(month: str) -> str:
    """The month after."""
    first = first_day(month)
    return month_of(date(first.year + first.month // 12, first.month % 12 + 1, 1))


def previous_month(month: str) -> str:
    """The month before."""
    return month_of(first_day(month) - ONE_DAY)


def rfc3339(instant: datetime) -> str:
    """Times are answered at +08:00, in whole seconds."""
    return business_instant(instant).isoformat()
