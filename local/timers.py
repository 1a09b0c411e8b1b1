"""The sweep of timers in the sandbox: called when something is due, instead of every minute of business time."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

from local.clock import Clock, format_time
from local.driver import ScheduleSource
from local.functions import FunctionFailedError, Functions, FunctionUnavailableError
from local.work import StuckError

if TYPE_CHECKING:
    from local.template import Schedule

FUNCTION = "TimersFunction"
"""The function whose schedule this stands in for."""
_DUE_INDEX = "DueIndex"
_SHARDS = 1
"""A sandbox stack has one partition of each kind in its due-index."""
_SWEEPS = 3
"""So many sweeps may leave the same timer due."""


class TimerSource(ScheduleSource):
    """What the ledger's due-index says is due, and the call of the sweep that does it."""

    kind = "timer"

    def __init__(
        self, schedule: Schedule, functions: Functions, began: datetime, dynamodb: Any, ledger_table: str
    ) -> None:
        """Take the schedule of the sweep, and where the due-index is."""
        super().__init__(schedule, functions, began)
        self._dynamodb = dynamodb
        self._table = ledger_table

    def next_after(self, moment: datetime) -> datetime | None:
        """See `DueSource`."""
        first = self._first(">", moment)
        return datetime.fromisoformat(first.partition("#")[0]) if first else None

    def due_at(self, moment: datetime) -> str | None:
        """The first timer that is due at this moment or before it; None where there is none."""
        return self._first("<", moment)

    def run(self, at: datetime) -> None:
        """See `DueSource`. A timer that failed keeps the clock where it is, so that the next move tries again."""
        try:
            answer = json.loads(self._functions.call(self._schedule.function, self.payload(at)))
        except (FunctionFailedError, FunctionUnavailableError) as error:
            message = f"the sweep of timers failed: {error}"
            raise StuckError(message) from error
        if answer["failed"]:
            message = f"{answer['failed']} timers failed"
            raise StuckError(message)

    def _first(self, comparison: str, moment: datetime) -> str | None:
        """The first timer after a moment, or the first up to it."""
        found: list[str] = []
        for shard in range(_SHARDS):
            answer = self._dynamodb.query(
                TableName=self._table,
                IndexName=_DUE_INDEX,
                KeyConditionExpression=f"due_pk = :pk AND due_sk {comparison} :end",
                # The text of an instant is followed by `#`; `~` is after it, so this is the end of the instant.
                ExpressionAttributeValues={
                    ":pk": {"S": f"timer#{shard}"},
                    ":end": {"S": f"{format_time(moment)}~"},
                },
                Limit=1,
            )
            found += [item["due_sk"]["S"] for item in answer["Items"]]
        return min(found, default=None)


class OverdueTimers:
    """Timers of the very instant that the clock shows, which came after its sweep; a `Backlog`.

    In the cloud the sweep of the next minute does them. Here no minute passes, so they are done before the clock
    moves on, or its answer goes out.
    """

    kind = "timer"

    def __init__(self, source: TimerSource, clock: Clock) -> None:
        """Take who finds and sweeps timers, and the clock."""
        self.name = source.name
        self._source = source
        self._clock = clock
        self._left = ""
        self._sweeps = 0

    def pending(self) -> bool:
        """See `Backlog`. Sweeps where something is due; raises StuckError where that does not help."""
        now = self._clock.read().now
        first = self._source.due_at(now)
        self._sweeps = self._sweeps + 1 if first == self._left else 0
        self._left = first or ""
        if first is None:
            return False
        if self._sweeps >= _SWEEPS:
            self._left = ""
            message = f"timer {self.name} leaves the same timer due"
            raise StuckError(message)
        self._source.run(now)
        return True

    def done(self) -> bool:
        """See `Backlog`. The sweep has answered."""
        return True
