"""The daily report: figures, chart and packages (facts.md 5.1)."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from rating.allocation import Source
from rating.notices import Kind
from rating.report import MOST_PACKAGES, chart, report
from rating.wallet import WalletPackage
from tests.unit.rating.building import at, day

DUE = at("2025-03-02T10:00:00")


def package(package_id: str, ends: str = "2026-03-01T23:59:59", total: int = 100) -> WalletPackage:
    """A bought package."""
    return WalletPackage(package_id, Source.PURCHASE, total, 0, at("2025-03-01T10:00:00"), at(ends))


@pytest.mark.parametrize(
    "numbers, expected",
    [
        ([], ""),
        ([0], "▁"),
        ([5], "█"),
        ([0, 0, 0, 0, 0, 0, 0], "▁▁▁▁▁▁▁"),
        ([0, 1, 2, 3, 4, 5, 6, 7], "▁▂▃▄▅▆▇█"),
        ([7, 0, 7], "█▁█"),
        ([1, 1_000_000_000], "▂█"),
        ([999_999_999, 1_000_000_000], "██"),
        ([1, 7], "▂█"),
        ([1, 8, 2, 15, 12], "▂▅▂█▇"),
    ],
)
def test_the_chart(numbers: Sequence[int], expected: str) -> None:
    """The largest is full, 0 is the lowest bar, and whatever is more than 0 is higher than that."""
    assert chart(numbers) == expected


def test_without_any_calls() -> None:
    """Seven days of nothing, a flat line, and no packages."""
    found = report(DUE, {}, [])
    assert (found.kind, found.occurred_at) == (Kind.DAILY_REPORT, DUE)
    assert found.data == {
        "day": "2025-03-01",
        "calls": [],
        "total": 0,
        "trend": [
            {"day": one, "calls": 0}
            for one in ("2025-02-23", "2025-02-24", "2025-02-25", "2025-02-26", "2025-02-27", "2025-02-28")
        ]
        + [{"day": "2025-03-01", "calls": 0}],
        "chart": "▁▁▁▁▁▁▁",
        "packages": [],
        "more_packages": 0,
    }


def test_only_the_week_before_counts() -> None:
    """Neither today nor the eighth day back is in the report; tags are added up and listed by code."""
    calls = {
        day("2025-03-02"): {"b": 1000},
        day("2025-03-01"): {"b": 2, "a": 5},
        day("2025-02-28"): {"a": 3},
        day("2025-02-23"): {"b": 4, "c": 10},
        day("2025-02-22"): {"b": 1000},
    }
    data = report(DUE, calls, []).data
    assert data["calls"] == [{"tag": "a", "calls": 5}, {"tag": "b", "calls": 2}]
    assert data["total"] == 7
    assert [one["calls"] for one in data["trend"]] == [14, 0, 0, 0, 0, 3, 7]
    assert data["chart"] == "█▁▁▁▁▃▅"


@pytest.mark.parametrize(
    "due, expected", [("2025-03-01T10:00:00", "2025-02-28"), ("2024-03-01T10:00:00", "2024-02-29")]
)
def test_yesterday_is_the_civil_day_before(due: str, expected: str) -> None:
    """Over ends of months and leap days (D1)."""
    data = report(at(due), {}, []).data
    assert data["day"] == data["trend"][-1]["day"] == expected
    assert len(data["trend"]) == 7


def test_packages_that_end_soonest_come_first() -> None:
    """By their end, then their id, at most twenty; what is left out is counted."""
    later = package("a", "2026-06-01T23:59:59")
    same = [package("c"), package("b")]
    data = report(DUE, {}, [("tag", later, 7), *(("other", one, 3) for one in same)]).data
    assert [one["package_id"] for one in data["packages"]] == ["b", "c", "a"]
    expected = {
        "package_id": "a",
        "tag": "tag",
        "total": 100,
        "remaining": 7,
        "expires_at": "2026-06-01T23:59:59+08:00",
    }
    assert data["packages"][-1] == expected


@pytest.mark.parametrize("number, shown, more", [(20, 20, 0), (21, 20, 1), (1000, 20, 980)])
def test_more_packages_than_are_shown(number: int, shown: int, more: int) -> None:
    """The number of those that are left out is told."""
    assert MOST_PACKAGES == 20
    data = report(DUE, {}, [("tag", package(f"p{one:04d}"), 1) for one in range(number)]).data
    assert (len(data["packages"]), data["more_packages"]) == (shown, more)
    assert data["packages"][-1]["package_id"] == "p0019"
