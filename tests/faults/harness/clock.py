"""Virtual time, and the place: the tests set the time, and nothing in the code under test can really wait."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

REGION = "test-1"
MACHINES_START = datetime(2030, 7, 1, tzinfo=UTC)
"""Far from business time in any test, so that who takes one for the other is found."""


class Clock:
    """``now`` is business time and moves only when a test says so; ``elapsed`` also counts what was slept.

    Sleeping moves ``elapsed`` alone, because business time stands still in a sandbox. The ten minutes for which a
    transaction's token is remembered are measured in ``elapsed`` seconds.
    """

    def __init__(self, now: datetime | None = None) -> None:
        self.now = now or datetime(2025, 3, 1, tzinfo=UTC)
        self.elapsed = 0.0
        self.slept: list[float] = []

    @property
    def machine_now(self) -> datetime:
        """What the clocks of the machines show: nobody sets them, and time passes on them also while somebody waits."""
        return MACHINES_START + timedelta(seconds=self.elapsed)

    def set(self, now: datetime) -> None:
        """Set business time."""
        self.now = now

    def advance(self, seconds: float) -> None:
        """Move business time and elapsed time on together."""
        self.now += timedelta(seconds=seconds)
        self.elapsed += seconds

    def sleep(self, seconds: float) -> None:
        """Stand in for ``time.sleep``: takes no real time."""
        if seconds < 0:
            raise ValueError("sleep length must be non-negative")
        self.slept.append(seconds)
        self.elapsed += seconds
