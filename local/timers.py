"""The sweep of timers in the sandbox: called when something is due, instead of every minute of business time."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

from local.clock import format_time
from local.driver import ScheduleSource
from local.work import StuckError

if TYPE_CHECKING:
    from local.functions import Functions
    from local.template import Schedule

FUNCTION = "TimersFunction"
"""The function whose schedule this stands in for."""
_DUE_INDEX = "DueIndex"
_SHARDS = 1
"""A sandbox stack has one partition of each kind in its due-index."""


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
        found = [due for shard in range(_SHARDS) if (due := self._first_after(f"timer#{shard}", moment)) is not None]
        return min(found, default=None)

    def run(self, at: datetime) -> None:
        """See `DueSource`. A timer that failed keeps the clock where it is, so that the next move tries again."""
        answer = json.loads(self._functions.call(self._schedule.function, self.payload(at)))
        if answer["failed"]:
            message = f"{answer['failed']} timers failed"
            raise StuckError(message)

    def _first_after(self, shard: str, moment: datetime) -> datetime | None:
        answer = self._dynamodb.query(
            TableName=self._table,
            IndexName=_DUE_INDEX,
            KeyConditionExpression="due_pk = :pk AND due_sk > :after",
            # The text of an instant is followed by `#`; `~` is after it, so this instant's own timers are not found.
            ExpressionAttributeValues={":pk": {"S": shard}, ":after": {"S": f"{format_time(moment)}~"}},
            Limit=1,
        )
        return datetime.fromisoformat(answer["Items"][0]["due_sk"]["S"].partition("#")[0]) if answer["Items"] else None
