"""Tables restored to an instant: what AWS is asked. No stand-in for AWS here knows a state of a table but its last."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from aws_platform import failures
from tests.unit.ops.stacks import stack_with
from tools.ops.restoring import restore
from tools.ops.stack import OpsError, Stack

AT, TARGET = "2025-03-01T10:00:00+08:00", "LedgerTable-20250301T020000Z"
RESTORED = "restore_table_to_point_in_time"
ASKED = {
    "SourceTableName": "LedgerTable",
    "TargetTableName": TARGET,
    "RestoreDateTime": datetime(2025, 3, 1, 2, tzinfo=UTC),
}


@pytest.fixture
def tables() -> Iterator[Stubber]:
    """DynamoDB, which has to be asked just what a test expects, with parameters that it knows."""
    with Stubber(boto3.client("dynamodb", "ap-southeast-1")) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


@pytest.fixture
def stack(tables: Stubber, monkeypatch: pytest.MonkeyPatch) -> Stack:
    """A stack; nobody waits."""
    monkeypatch.setattr(failures, "sleep", lambda _: None)
    return stack_with({}, dynamodb=tables.client)


def status(tables: Stubber, *told: str) -> None:
    """What is told of the restored table, one time after the other."""
    for one in told:
        tables.add_response("describe_table", {"Table": {"TableStatus": one}}, {"TableName": TARGET})


def test_a_table_is_restored_to_the_instant(stack: Stack, tables: Stubber, capsys: pytest.CaptureFixture[str]) -> None:
    """The instant goes to AWS as it was named, whatever its zone, and is in the name of the new table."""
    tables.add_response(RESTORED, {}, ASKED)
    status(tables, "CREATING", "ACTIVE")
    assert restore(stack, "ledger", AT, dry=False, wait=60) == 0
    assert f"RESTORED={TARGET}" in capsys.readouterr().out


def test_repeated_it_only_waits(stack: Stack, tables: Stubber, capsys: pytest.CaptureFixture[str]) -> None:
    """A table of this instant that is there already is waited for; one that is not ready in time is no success."""
    for _ in range(2):
        tables.add_client_error(RESTORED, "TableAlreadyExistsException", expected_params=ASKED)
        status(tables, "CREATING")
        assert restore(stack, "ledger", AT, dry=False, wait=20) == 1
    assert "only waits" in capsys.readouterr().out


def test_the_latest_state(stack: Stack, tables: Stubber) -> None:
    """Without an instant AWS takes the latest that it can."""
    latest: dict[str, Any] = {"SourceTableName": "LedgerTable", "TargetTableName": "LedgerTable-latest"}
    tables.add_response(RESTORED, {}, {**latest, "UseLatestRestorableTime": True})
    tables.add_response("describe_table", {"Table": {"TableStatus": "ACTIVE"}}, {"TableName": "LedgerTable-latest"})
    assert restore(stack, "ledger", "latest", dry=False, wait=20) == 0


@pytest.mark.parametrize("at", ["2025-03-01T10:00:00", "yesterday", ""])
def test_an_instant_that_is_not_clear_is_refused(stack: Stack, at: str) -> None:
    """AWS is asked nothing without a time and its zone, nor where nothing is to be done."""
    with pytest.raises(OpsError, match=r"^AT "):
        restore(stack, "ledger", at, dry=False, wait=20)
    assert restore(stack, "ledger", AT, dry=True, wait=20) == 0
