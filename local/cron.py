"""When a schedule of the template is next due.

Understands the three expressions of EventBridge Scheduler: `cron(minutes hours day-of-month month day-of-week
year)`, `rate(n unit)` and `at(local time)`. A cron expression is civil time in the schedule's own zone.
"""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

MONTHS = {name: number for number, name in enumerate(calendar.month_abbr) if name}
DAYS = {name: number for number, name in enumerate(("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"), start=1)}
FIRST_YEAR, LAST_YEAR = 1970, 2199
UNITS = {"minute": 60, "hour": 3600, "day": 86400}


class Expression(Protocol):
    """A series of moments."""

    def next_after(self, moment: datetime) -> datetime | None:
        """The first moment of the series that lies after `moment`, or None when there is none any more."""
        ...


def _number(text: str, names: dict[str, int]) -> int:
    return names[text.title()] if text.title() in names else int(text)


def _range(text: str, low: int, high: int, names: dict[str, int]) -> range:
    """The numbers of one comma-separated piece: `5`, `MON-FRI`, `*`, `0/15`, `8-18/2`."""
    body, slash, step_text = text.partition("/")
    step = int(step_text) if slash else 1
    if body in {"*", "?"}:
        return range(low, high + 1, step)
    first_text, dash, last_text = body.partition("-")
    first = _number(first_text, names)
    last = _number(last_text, names) if dash else (high if slash else first)
    if not low <= first <= last <= high or step < 1:
        message = f"{text!r} is not within {low} to {high}"
        raise ValueError(message)
    return range(first, last + 1, step)


def _field(text: str, low: int, high: int, names: dict[str, int] | None = None) -> frozenset[int]:
    return frozenset(n for piece in text.split(",") for n in _range(piece, low, high, names or {}))


@dataclass(frozen=True)
class _MonthDays:
    """The day-of-month field: numbers and `L`, the last day of the month."""

    numbers: frozenset[int]
    last: bool

    def has(self, day: date) -> bool:
        length = calendar.monthrange(day.year, day.month)[1]
        return day.day in self.numbers or (self.last and day.day == length)


@dataclass(frozen=True)
class _WeekDays:
    """The day-of-week field, 1 is Sunday: numbers, `6L` (the last Friday) and `2#1` (the first Monday)."""

    numbers: frozenset[int]
    last: frozenset[int]
    nth: frozenset[tuple[int, int]]

    def has(self, day: date) -> bool:
        weekday = day.isoweekday() % 7 + 1
        length = calendar.monthrange(day.year, day.month)[1]
        return (
            weekday in self.numbers
            or (weekday in self.last and day.day > length - 7)
            or (weekday, (day.day + 6) // 7) in self.nth
        )


def _month_days(text: str) -> _MonthDays:
    pieces = text.split(",")
    plain = [piece for piece in pieces if piece != "L"]
    return _MonthDays(_field(",".join(plain), 1, 31) if plain else frozenset(), "L" in pieces)


def _week_days(text: str) -> _WeekDays:
    numbers: set[int] = set()
    last: set[int] = set()
    nth: set[tuple[int, int]] = set()
    for piece in text.split(","):
        if "#" in piece:
            day, _, which = piece.partition("#")
            nth.add((_number(day, DAYS), int(which)))
        elif len(piece) > 1 and piece.endswith("L"):
            last.add(_number(piece[:-1], DAYS))
        else:
            numbers |= _field("7" if piece == "L" else piece, 1, 7, DAYS)
    return _WeekDays(frozenset(numbers), frozenset(last), frozenset(nth))


@dataclass(frozen=True)
class Cron:
    """A parsed cron expression."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    month_days: _MonthDays
    months: frozenset[int]
    week_days: _WeekDays
    years: frozenset[int]
    zone: ZoneInfo

    def _day_matches(self, day: date) -> bool:
        return self.month_days.has(day) and self.week_days.has(day)

    def _moments_of(self, day: date) -> list[datetime]:
        found = []
        for hour in self.hours:
            for minute in self.minutes:
                moment = datetime.combine(day, time(hour, minute), self.zone)
                if moment.astimezone(UTC).astimezone(self.zone).replace(fold=0) == moment:  # not in a gap
                    found.append(moment)
        return found

    def next_after(self, moment: datetime) -> datetime | None:
        """See `Expression`."""
        day = moment.astimezone(self.zone).date()
        years = [year for year in self.years if year >= day.year]
        while years and day.year <= max(years):
            if day.year not in self.years:
                day = date(min(year for year in years if year > day.year), 1, 1)
            elif day.month not in self.months:
                day = (day.replace(day=1) + timedelta(days=32)).replace(day=1)
            else:
                if self._day_matches(day):
                    later = [found for found in self._moments_of(day) if found > moment]
                    if later:
                        return min(later)
                day += timedelta(days=1)
        return None


@dataclass(frozen=True)
class Rate:
    """Every so many seconds, counted from when the stack began."""

    every: timedelta
    start: datetime

    def next_after(self, moment: datetime) -> datetime | None:
        """See `Expression`."""
        steps = max(0, (moment - self.start) // self.every)
        return self.start + (steps + 1) * self.every


@dataclass(frozen=True)
class Once:
    """A single moment."""

    moment: datetime

    def next_after(self, moment: datetime) -> datetime | None:
        """See `Expression`."""
        return self.moment if self.moment > moment else None


def _cron(text: str, zone: ZoneInfo) -> Cron:
    fields = text.upper().split()
    if len(fields) != 6:  # noqa: PLR2004
        message = f"cron({text}) does not have six fields"
        raise ValueError(message)
    minutes, hours, month_days, months, week_days, years = fields
    if (month_days == "?") == (week_days == "?"):
        message = f"cron({text}): exactly one of day-of-month and day-of-week is to be ?"
        raise ValueError(message)
    return Cron(
        minutes=tuple(sorted(_field(minutes, 0, 59))),
        hours=tuple(sorted(_field(hours, 0, 23))),
        month_days=_month_days(month_days),
        months=_field(months, 1, 12, MONTHS),
        week_days=_week_days(week_days),
        years=_field(years, FIRST_YEAR, LAST_YEAR),
        zone=zone,
    )


def parse(expression: str, zone_name: str, start: datetime) -> Expression:
    """The expression of a schedule; `start` anchors a rate. Raises ValueError for one that is none."""
    match = re.fullmatch(r"\s*(cron|rate|at)\((.*)\)\s*", expression)
    if match is None:
        message = f"not a schedule expression: {expression!r}"
        raise ValueError(message)
    kind, body = match.groups()
    zone = ZoneInfo(zone_name)
    if kind == "cron":
        return _cron(body, zone)
    if kind == "at":
        return Once(datetime.fromisoformat(body).replace(tzinfo=zone))
    rate = re.fullmatch(r"\s*([1-9][0-9]*)\s+(minute|hour|day)s?\s*", body)
    if rate is None:
        message = f"not a rate: {expression!r}"
        raise ValueError(message)
    return Rate(timedelta(seconds=int(rate[1]) * UNITS[rate[2]]), start)
