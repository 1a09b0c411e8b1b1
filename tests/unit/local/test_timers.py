"""The sandbox calls the sweep of timers when one is due, and not every minute of business time."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

import boto3
import pytest
from moto import mock_aws

from aws_platform import keys
from local.clock import ClockState
from local.functions import FunctionFailedError, Functions
from local.template import Schedule
from local.timers import FUNCTION, OverdueTimers, TimerSource
from local.work import StuckError
from tests.support.product import create_tables, template

if TYPE_CHECKING:
    from local.clock import Clock

DUE = datetime.fromisoformat("2025-03-01T10:03:00+08:00")


class Called:
    """In place of the functions: notes what is called."""

    def __init__(self) -> None:
        self.functions: list[str] = []
        self.failed = 0
        self.work: Callable[[], None] = lambda: None

    def call(self, function: str, _: bytes) -> bytes:
        """Note it, and do what the sweep is to do."""
        self.functions.append(function)
        self.work()
        return json.dumps({"done": 1, "failed": self.failed}).encode()


@pytest.fixture
def dynamodb(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Empty tables."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    with mock_aws():
        client = boto3.client("dynamodb", region_name="ap-southeast-1")
        create_tables(client)
        yield client


def sweep() -> Schedule:
    """The schedule of the sweep, as the template has it."""
    (schedule,) = [one for one in template().schedules() if one.function == FUNCTION]
    return schedule


def put(dynamodb: Any, account_id: str, due: datetime) -> None:
    """A timer."""
    key = {"pk": {"S": account_id}, "sk": {"S": "R#refund-1"}}
    dynamodb.put_item(TableName="ledger", Item={**key, **keys.timer(account_id, due, "R#refund-1", shards=1)})


def test_the_sweep_is_due_when_a_timer_is(dynamodb: Any) -> None:
    """The first due moment later than the one that is given; the moment's own timers are not found again."""
    source = TimerSource(sweep(), cast("Functions", Called()), DUE, dynamodb, "ledger")
    assert source.next_after(DUE) is None
    put(dynamodb, "acct-1", DUE)
    put(dynamodb, "acct-2", DUE + timedelta(seconds=1))
    assert source.next_after(DUE - timedelta(days=300)) == DUE
    assert source.next_after(DUE.astimezone(None)) == DUE + timedelta(seconds=1)
    assert source.next_after(DUE + timedelta(seconds=1)) is None


def test_what_is_due_is_one_call_of_the_sweep(dynamodb: Any) -> None:
    """However many timers are due at a moment, the function is called once."""
    called = Called()
    source = TimerSource(sweep(), cast("Functions", called), DUE, dynamodb, "ledger")
    source.run(DUE)
    assert called.functions == [FUNCTION]
    assert source.kind == "timer"


def test_a_failed_timer_stops_the_clock(dynamodb: Any) -> None:
    """Where a timer failed the move is broken off, and goes on from the same moment the next time."""
    called = Called()
    called.failed = 1
    source = TimerSource(sweep(), cast("Functions", called), DUE, dynamodb, "ledger")
    with pytest.raises(StuckError, match="1 timers failed"):
        source.run(DUE)


def test_a_sweep_that_breaks_stops_the_clock(dynamodb: Any) -> None:
    """A sweep that raises is said as one that is stuck, which may be tried again."""

    def broken() -> None:
        raise FunctionFailedError(FUNCTION, "Boom", "made to fail")

    called = Called()
    called.work = broken
    source = TimerSource(sweep(), cast("Functions", called), DUE, dynamodb, "ledger")
    with pytest.raises(StuckError, match="sweep of timers failed"):
        source.run(DUE)


@dataclass
class Standing:
    """A clock that stands still."""

    now: datetime

    def read(self) -> ClockState:
        """See `Clock`."""
        return ClockState(self.now, self.now, self.now)


def overdue(dynamodb: Any, called: Called, now: datetime) -> OverdueTimers:
    """What is overdue at an instant."""
    source = TimerSource(sweep(), cast("Functions", called), DUE, dynamodb, "ledger")
    return OverdueTimers(source, cast("Clock", Standing(now)))


@pytest.mark.parametrize("due", [DUE, DUE - timedelta(days=3)])
def test_a_timer_of_this_very_instant_is_swept(dynamodb: Any, due: datetime) -> None:
    """What has become due up to the clock's instant, included, is swept until nothing is; what is later is not."""
    called = Called()
    put(dynamodb, "acct-2", DUE + timedelta(seconds=1))
    backlog = overdue(dynamodb, called, DUE)
    assert not backlog.pending()
    put(dynamodb, "acct-1", due)
    called.work = lambda: dynamodb.delete_item(
        TableName="ledger", Key={"pk": {"S": "acct-1"}, "sk": {"S": "R#refund-1"}}
    )
    assert backlog.pending()
    assert backlog.done()
    assert not backlog.pending()
    assert called.functions == [FUNCTION]
    assert backlog.kind == "timer"


def test_a_sweep_that_does_nothing_is_not_called_for_ever(dynamodb: Any) -> None:
    """A timer that stays due, though none failed, is stuck after a few sweeps, and gets as many the next time."""
    called = Called()
    put(dynamodb, "acct-1", DUE)
    backlog = overdue(dynamodb, called, DUE)
    for round_ in (1, 2):
        for _ in range(3):
            assert backlog.pending()
        with pytest.raises(StuckError, match="leaves the same timer due"):
            backlog.pending()
        assert len(called.functions) == 3 * round_


def test_a_failed_overdue_timer_is_stuck(dynamodb: Any) -> None:
    """Where an overdue timer failed, that is said at once."""
    called = Called()
    called.failed = 2
    put(dynamodb, "acct-1", DUE)
    with pytest.raises(StuckError, match="2 timers failed"):
        overdue(dynamodb, called, DUE).pending()
