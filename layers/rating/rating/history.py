"""Dated histories: usage is judged by the state at its own time (D5)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

HISTORY_KEPT = timedelta(days=120)
"""How far back switches are kept one by one. No usage older than this is judged any more: a month, and the 35 days that
usage may be late (D4), are long over. What was judged then can no more be judged again in this."""


@dataclass(frozen=True, slots=True)
class Switch:
    """A yes-or-no state over time: what it was at first, and the instants at which it flipped, ascending."""

    initial: bool
    flips: tuple[datetime, ...] = ()

    def at(self, instant: datetime) -> bool:
        """The state at the instant; a flip holds from its own instant on."""
        return self.initial ^ (sum(flip <= instant for flip in self.flips) % 2 == 1)

    def folded(self, before: datetime) -> Switch:
        """The same history from `before` on; what lies further back is only kept as its outcome."""
        return Switch(self.at(before), tuple(flip for flip in self.flips if flip > before))

    def set(self, instant: datetime, state: bool) -> Switch:  # noqa: FBT001 - the new state is the subject
        """The history with `state` from `instant` on. Raises ValueError for an instant before the last flip."""
        if self.flips and instant < self.flips[-1]:
            msg = f"a history is not rewritten: {instant} is before {self.flips[-1]}"
            raise ValueError(msg)
        if self.at(instant) == state:
            return self
        if self.flips and self.flips[-1] == instant:
            return Switch(self.initial, self.flips[:-1])
        return Switch(self.initial, (*self.flips, instant))


@dataclass(frozen=True, slots=True)
class Interval:
    """`[start, end)`; `end` is None while it lasts (D22)."""

    start: datetime
    end: datetime | None = None

    def covers(self, instant: datetime) -> bool:
        """Whether the instant lies inside."""
        return self.start <= instant and (self.end is None or instant < self.end)


def covered(intervals: Iterable[Interval], instant: datetime) -> bool:
    """Whether any of the intervals covers the instant."""
    return any(interval.covers(instant) for interval in intervals)
