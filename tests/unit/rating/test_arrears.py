"""The instants of arrears: stop and release, and when a timer has something to do (D21, D23)."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from rating.arrears import RELEASE_DAYS, STOP_AFTER, Arrears
from tests.unit.rating.building import at

SINCE = at("2025-03-02T08:00:00")
STOPS = at("2025-03-03T08:00:00")
RELEASES = at("2025-04-02T08:00:00")


def test_a_day_to_the_stop_and_thirty_days_to_the_release() -> None:
    """Exactly 24 hours, then exactly 30 days unless the stack says otherwise (D21, D23)."""
    arrears = Arrears(SINCE)
    assert (arrears.stops_at, arrears.releases_at) == (STOPS, RELEASES)
    assert (timedelta(hours=24), 30) == (STOP_AFTER, RELEASE_DAYS)


@pytest.mark.parametrize(
    "days, releases", [(0, "2025-03-03T08:00:00"), (1, "2025-03-04T08:00:00"), (366, "2026-03-04T08:00:00")]
)
def test_the_release_follows_the_setting_and_the_stop_does_not(days: int, releases: str) -> None:
    """The setting is counted from the stop (D23)."""
    arrears = Arrears(SINCE, timedelta(days=days))
    assert (arrears.stops_at, arrears.releases_at) == (STOPS, at(releases))


def test_when_there_is_something_to_tell_next() -> None:
    """First the stop, then the release, then nothing (D28)."""
    arrears = Arrears(SINCE)
    assert arrears.next_due == STOPS
    stopped = replace(arrears, stop_told=True)
    assert stopped.next_due == RELEASES
    assert replace(stopped, release_told=True).next_due is None
