"""The daily report: yesterday's calls, the trend of a week, what is left of the packages (facts.md 5.1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

from rating.civil import ONE_DAY, day_of, rfc3339
from rating.notices import Kind, Notice
from rating.wallet import WalletPackage

TREND_DAYS = 7
MOST_PACKAGES = 20
"""Those that end soonest are shown; a report is read on a phone."""
_BARS = "▁▂▃▄▅▆▇█"


def report(
    at: datetime,
    calls: Mapping[date, Mapping[str, int]],
    packages: Sequence[tuple[str, WalletPackage, int]],
) -> Notice:
    """The report that is due `at` (10:00) about the day before.

    `calls` are chargeable calls by day and tag; `packages` are those with something left: tag, package, and how much.
    """
    yesterday = day_of(at) - ONE_DAY
    days = [yesterday - ONE_DAY * back for back in reversed(range(TREND_DAYS))]
    totals = [sum(calls.get(day, {}).values()) for day in days]
    listed = sorted(packages, key=lambda one: (one[1].ends_at, one[1].package_id))
    data: dict[str, Any] = {
        "day": yesterday.isoformat(),
        "calls": [{"tag": tag, "calls": number} for tag, number in sorted(calls.get(yesterday, {}).items())],
        "total": totals[-1],
        "trend": [{"day": day.isoformat(), "calls": number} for day, number in zip(days, totals, strict=True)],
        "chart": chart(totals),
        "packages": [
            {
                "package_id": one.package_id,
                "tag": tag,
                "total": one.total,
                "remaining": left,
                "expires_at": rfc3339(one.ends_at),
            }
            for tag, one, left in listed[:MOST_PACKAGES]
        ],
        "more_packages": max(0, len(listed) - MOST_PACKAGES),
    }
    return Notice(Kind.DAILY_REPORT, at, data)


def chart(numbers: Sequence[int]) -> str:
    """One bar a number, the largest full; 0 is the lowest bar, and nothing else is unless all are 0."""
    most = max(numbers, default=0)
    steps = len(_BARS) - 1
    return "".join(_BARS[-(-number * steps // most) if most else 0] for number in numbers)
