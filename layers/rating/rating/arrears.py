"""Arrears: a state that is computed from the charge that began it and the clock, never from a timer (D21, D23)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

STOP_AFTER = timedelta(hours=24)
"""From arrears to the stop (D21)."""
RELEASE_DAYS = 30
"""From the stop to the release, unless the stack says otherwise (D23)."""
RELEASE_AFTER = timedelta(days=RELEASE_DAYS)


@dataclass(frozen=True, slots=True)
class Arrears:
    """A balance below zero, and what follows from it."""

    since: datetime
    """The charge that took the balance below zero."""
    release_after: timedelta = RELEASE_AFTER
    """As the stack had it when they began: a new setting changes nothing that was told."""
    stop_told: bool = False
    release_told: bool = False

    @property
    def stops_at(self) -> datetime:
        """When service stops; the first instant of the stop (D21)."""
        return self.since + STOP_AFTER

    @property
    def releases_at(self) -> datetime:
        """When service is released (D23)."""
        return self.stops_at + self.release_after

    @property
    def next_due(self) -> datetime | None:
        """When there is something to tell that was not told yet."""
        if not self.stop_told:
            return self.stops_at
        return None if self.release_told else self.releases_at
