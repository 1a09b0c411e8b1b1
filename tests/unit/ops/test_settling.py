"""Days are made due again only where a run to come looks at them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from aws_platform.due import LOOK_BACK
from rating.account import Account, Stage
from tests.unit.ops.stacks import stack_with
from tools.ops import settling
from tools.ops.stack import OpsError, Stack

THROUGH = date(2025, 3, 1)
OPENED = datetime(2024, 1, 1, tzinfo=UTC)
ACCOUNT = Account("acct-1", "Example", OPENED, stage=Stage.OPENED, opened_at=OPENED, settled_through=THROUGH)
IN_REACH, TOO_OLD = THROUGH - LOOK_BACK, THROUGH - LOOK_BACK - timedelta(days=1)


class Tables:
    """DynamoDB that only remembers what was made due."""

    def __init__(self) -> None:
        self.due: list[str] = []

    def update_item(self, **asked: Any) -> None:
        """Remember the day item."""
        self.due.append(asked["Key"]["sk"]["S"])


@pytest.fixture
def tables() -> Tables:
    """What is written."""
    return Tables()


@pytest.fixture
def stack(tables: Tables, monkeypatch: pytest.MonkeyPatch) -> Stack:
    """A stack with the one account, which has used two days."""
    monkeypatch.setattr(settling, "the_account", lambda *_: ACCOUNT)
    monkeypatch.setattr(settling, "accounts_of", lambda *_: [ACCOUNT.account_id])
    monkeypatch.setattr(settling, "days_with_usage", lambda *_: [TOO_OLD, IN_REACH])
    monkeypatch.setattr(settling, "has_usage", lambda *_: True)
    monkeypatch.setattr(settling, "run_task", lambda *_, **__: 0)
    return stack_with({}, dynamodb=tables)


@pytest.mark.parametrize("dry", [False, True])
def test_a_day_that_no_run_looks_at_is_refused(stack: Stack, tables: Tables, *, dry: bool) -> None:
    """A day out of reach is not made due, nor any other one that is named with it."""
    with pytest.raises(OpsError, match=f"{TOO_OLD} is left: no run looks more than 40 days"):
        settling.settle(stack, ACCOUNT.account_id, [IN_REACH, TOO_OLD], dry=dry, wait=0)
    assert tables.due == []


def test_make_due_refuses_such_a_day(stack: Stack, tables: Tables) -> None:
    """Nobody can make a day due that would be so for ever."""
    with pytest.raises(OpsError, match="due for ever"):
        settling.make_due(stack, ACCOUNT.account_id, TOO_OLD)
    settling.make_due(stack, ACCOUNT.account_id, IN_REACH)
    assert tables.due == [f"D#{IN_REACH}"]


def test_all_accounts_are_settled_without_such_days(
    stack: Stack, tables: Tables, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of all accounts the days within reach are made due, and the others are counted."""
    assert settling.settle_all(stack, [TOO_OLD, THROUGH], dry=False) == 0
    assert tables.due == [f"D#{IN_REACH}"]
    told = capsys.readouterr().out
    assert "1 days of accounts are due again" in told
    assert "1 days of accounts are left: no run looks" in told
