"""When schedules are due."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from local.cron import parse

START = datetime.fromisoformat("2025-01-01T00:00:00+08:00")


def _next(expression: str, after: str, zone: str = "Asia/Shanghai") -> str | None:
    due = parse(expression, zone, START).next_after(datetime.fromisoformat(after))
    return None if due is None else due.isoformat()


@pytest.mark.parametrize(
    "expression,after,due",
    [
        ("cron(0 8 * * ? *)", "2025-03-01T07:59:59+08:00", "2025-03-01T08:00:00+08:00"),
        ("cron(0 8 * * ? *)", "2025-03-01T08:00:00+08:00", "2025-03-02T08:00:00+08:00"),
        ("cron(0 8 * * ? *)", "2025-02-28T23:59:00Z", "2025-03-01T08:00:00+08:00"),
        ("cron(0 8 1 * ? *)", "2025-12-31T09:00:00+08:00", "2026-01-01T08:00:00+08:00"),
        ("cron(0/15 8-9 * * ? *)", "2025-03-01T09:45:00+08:00", "2025-03-02T08:00:00+08:00"),
        ("cron(0 8 ? * MON-FRI *)", "2025-03-01T00:00:00+08:00", "2025-03-03T08:00:00+08:00"),
        ("cron(0 8 ? * 6L *)", "2025-03-01T00:00:00+08:00", "2025-03-28T08:00:00+08:00"),
        ("cron(0 8 ? * 2#1 *)", "2025-03-03T08:00:00+08:00", "2025-04-07T08:00:00+08:00"),
        ("cron(0 0 L * ? *)", "2024-02-10T00:00:00+08:00", "2024-02-29T00:00:00+08:00"),
        ("cron(30 12 29 FEB ? *)", "2025-01-01T00:00:00+08:00", "2028-02-29T12:30:00+08:00"),
        ("cron(0 8 1 1 ? 2030)", "2025-01-01T00:00:00+08:00", "2030-01-01T08:00:00+08:00"),
        ("cron(0 8 1 1 ? 2024)", "2025-01-01T00:00:00+08:00", None),
        ("rate(10 minutes)", "2025-01-01T00:00:00+08:00", "2025-01-01T00:10:00+08:00"),
        ("rate(1 day)", "2025-01-03T12:00:00+08:00", "2025-01-04T00:00:00+08:00"),
        ("at(2025-06-01T12:00:00)", "2025-06-01T11:59:59+08:00", "2025-06-01T12:00:00+08:00"),
        ("at(2025-06-01T12:00:00)", "2025-06-01T12:00:00+08:00", None),
    ],
)
def test_next_due_moment(expression: str, after: str, due: str | None) -> None:
    """The next due moment lies strictly after the given one, in the civil time of the schedule's zone."""
    assert _next(expression, after) == due


def test_time_that_the_zone_leaves_out() -> None:
    """A civil time that a change to summer time leaves out is not due on that day."""
    assert _next("cron(30 2 * * ? *)", "2025-03-29T12:00:00+01:00", "Europe/Berlin") == "2025-03-31T02:30:00+02:00"


def test_a_year_of_mornings() -> None:
    """Every day of a leap year has its morning run, and none has two."""
    expression = parse("cron(0 8 * * ? *)", "Asia/Shanghai", START)
    moment, end, count = datetime.fromisoformat("2024-01-01T00:00:00+08:00"), 2025, 0
    while (due := expression.next_after(moment)) is not None and due.year < end:
        assert due - moment <= timedelta(days=1)
        moment, count = due, count + 1
    assert count == 366


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "cron(0 8 * * *)",
        "cron(0 8 * * * *)",
        "cron(0 25 * * ? *)",
        "rate(0 days)",
        "rate(x)",
        "every day",
    ],
)
def test_no_expression(expression: str) -> None:
    """What is no schedule expression is refused when it is read."""
    with pytest.raises(ValueError, match=r"."):
        parse(expression, "Asia/Shanghai", START)
