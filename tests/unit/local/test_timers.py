"""The sandbox calls the sweep of timers when one is due, and not every minute of business time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, cast

import boto3
import pytest
from moto import mock_aws

from aws_platform import keys
from local.functions import Functions
from local.template import Schedule
from local.timers import FUNCTION, TimerSource
from local.work import StuckError
from tests.support.product import create_tables, template

DUE = datetime.fromisoformat("2025-03-01T10:03:00+08:00")


class Called:
    """In place of the functions: notes what is called."""

    def __init__(self) -> None:
        self.functions: list[str] = []
        self.failed = 0

    def call(self, function: str, _: bytes) -> bytes:
        """Note it."""
        self.functions.append(function)
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
    partition, sort_key = keys.timer(account_id, due, "refund-1", shards=1)
    item = {"pk": account_id, "sk": "R#refund-1", "due_pk": partition, "due_sk": sort_key}
    dynamodb.put_item(TableName="ledger", Item={name: {"S": text} for name, text in item.items()})


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
