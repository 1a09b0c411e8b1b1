"""Moves the sandbox clock: from one due moment to the next, working off everything in between.

At each moment the clock item is set, what is due then is run in the template's order, and queues and
streams are waited for, then what has become due meanwhile is done, until all is quiet. So a month, or an idle
year, passes in seconds and always in the same order.
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from local import cron
from local.clock import Clock, format_time
from local.emulator import REGION
from local.functions import FunctionFailedError, Functions, FunctionUnavailableError
from local.payload import ACCOUNT_NUMBER
from local.problems import ProblemError, invalid_request, try_again
from local.work import PATIENCE_SECONDS, Backlog, StuckError, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from local.template import Schedule

LONGEST_MOVE = timedelta(days=366 * 10)
SCHEDULE_ATTEMPTS = 3
_ATTEMPT_PAUSE_SECONDS = 0.2


@dataclass(frozen=True)
class Ran:
    """One thing that a move of the clock ran."""

    at: str
    kind: str
    name: str


class DueSource(Protocol):
    """Something that falls due at moments that can be told beforehand."""

    kind: str
    name: str

    def next_after(self, moment: datetime) -> datetime | None:
        """Its first due moment later than this."""
        ...

    def run(self, at: datetime) -> None:
        """Run what is due at this moment. Running it twice must do no harm. Raises StuckError."""
        ...


class ScheduleSource:
    """A schedule of the template, and what EventBridge Scheduler would send for it."""

    kind = "schedule"

    def __init__(self, schedule: Schedule, functions: Functions, began: datetime) -> None:
        """Take the schedule; `began` is when the stack's time began, which anchors a rate."""
        self.name = schedule.name
        self._schedule = schedule
        self._functions = functions
        self._expression = cron.parse(schedule.expression, schedule.zone, began)

    def next_after(self, moment: datetime) -> datetime | None:
        """See `DueSource`."""
        return self._expression.next_after(moment)

    def payload(self, at: datetime, attempt: int = 1) -> bytes:
        """The schedule's own input with its context attributes filled in, or the usual notification."""
        scheduled = at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        execution = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{self.name}/{scheduled}"))
        arn = f"arn:aws:scheduler:{REGION}:{ACCOUNT_NUMBER}:schedule/default/{self.name}"
        if self._schedule.input is not None:
            text = self._schedule.input
            values = {"schedule-arn": arn, "scheduled-time": scheduled, "execution-id": execution}
            for name, value in {**values, "attempt-number": str(attempt)}.items():
                text = text.replace(f"<aws.scheduler.{name}>", value)
            return text.encode()
        notification = {
            "version": "0",
            "id": execution,
            "detail-type": "Scheduled Event",
            "source": "aws.scheduler",
            "account": ACCOUNT_NUMBER,
            "time": scheduled,
            "region": REGION,
            "resources": [arn],
            "detail": "{}",
        }
        return json.dumps(notification).encode()

    def run(self, at: datetime) -> None:
        """See `DueSource`. A failed call is repeated, as the scheduler does."""
        for attempt in range(1, SCHEDULE_ATTEMPTS + 1):
            try:
                self._functions.call(self._schedule.function, self.payload(at, attempt))
            except (FunctionFailedError, FunctionUnavailableError) as error:
                if attempt == SCHEDULE_ATTEMPTS:
                    message = f"schedule {self.name} failed: {error}"
                    raise StuckError(message) from error
                time.sleep(_ATTEMPT_PAUSE_SECONDS)
            else:
                return


class Driver:
    """The one who moves the clock; one move at a time."""

    def __init__(
        self,
        clock: Clock,
        sources: Sequence[DueSource],
        backlogs: Sequence[Backlog],
        followers: Sequence[Backlog] = (),
        overdue: Sequence[Backlog] = (),
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        """Take the clock, what falls due (run in this order within a moment) and what is to be waited for.

        `followers` are filled only by what works off `backlogs`, and `overdue` is what has become due meanwhile: while
        all backlogs are quiet neither is asked, so that idle time costs little.
        """
        self._clock = clock
        self._sources = sources
        self._backlogs = backlogs
        self._followers = followers
        self._overdue = overdue
        self._patience = patience
        self._moving = threading.Lock()

    def now(self) -> datetime:
        """What the clock says; also answered while it is being moved."""
        return self._clock.read().now

    def move(self, target: datetime) -> list[Ran]:
        """Move the clock to `target` and say what ran. Raises ProblemError 409, 422, 503."""
        with self._moving:
            state = self._clock.read()
            if target < state.now:
                detail = f"it is {format_time(state.now)} already"
                raise ProblemError(409, "clock_moves_forward_only", detail)
            if target - state.now > LONGEST_MOVE:
                raise invalid_request({"now": f"may be at most {LONGEST_MOVE.days} days ahead of the clock"})
            ran: list[Ran] = []
            try:
                self._run_until(target, state.now, state.through, ran.append)
            except StuckError as error:
                raise try_again(str(error)) from error
            return ran

    def _run_until(self, target: datetime, now: datetime, through: datetime, note: Callable[[Ran], None]) -> None:
        self._drain(now, note)
        recorded = through
        while True:
            upcoming = [(source, source.next_after(through)) for source in self._sources]
            due = min((moment for _, moment in upcoming if moment is not None), default=None)
            if due is None or due > target:
                break
            now = max(now, due)
            self._clock.set(now, through)
            recorded = through
            for source, moment in upcoming:
                if moment == due:
                    source.run(due)
                    note(Ran(format_time(due), source.kind, source.name))
                    self._drain(now, note, afresh=False)
            through = due
        if now < target or recorded < target:
            self._clock.set(target, target)
        if now < target:
            self._drain(target, note, afresh=False)

    def drain(self, patience: float | None = None) -> None:
        """Wait until all is quiet, without moving the clock. Raises StuckError."""
        with self._moving:
            self._drain(self.now(), lambda _: None, patience)

    def _drain(
        self, at: datetime, note: Callable[[Ran], None], patience: float | None = None, *, afresh: bool = True
    ) -> None:
        """Work everything off; `afresh` where nobody knows whether followers were quiet the last time."""
        deadline = time.monotonic() + (self._patience if patience is None else patience)

        def work_off(backlogs: Sequence[Backlog]) -> bool:
            busy = False
            for backlog in backlogs:
                if backlog.pending():
                    busy = True
                    wait_for(backlog, deadline)
                    note(Ran(format_time(at), backlog.kind, backlog.name))
            return busy

        busy = afresh
        while work_off(self._backlogs) or busy:
            busy = work_off(self._followers) or work_off(self._overdue)


def as_json(ran: Sequence[Ran]) -> list[dict[str, str]]:
    """The `ran` of an answer."""
    return [asdict(item) for item in ran]
