"""Stops and releases are told when they come (D21, D23). They hold by the clock, whether this was on time or not."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from aws_platform import failures
from aws_platform.accounts import read_account
from aws_platform.ledger import OutdatedError, transact
from aws_platform.snapshot import change
from rating.edges import account_told

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from aws_platform.settings import Settings


def tell(dynamodb: DynamoDBClient, settings: Settings, account_id: str, now: datetime) -> None:
    """Tell the stop and the release that have come. Nothing happens if they were told, or the account has paid.

    Raises TryAgainError where others change the account for too long.
    """
    for _ in failures.attempts():
        account = read_account(dynamodb, settings.ledger_table, account_id)
        if account is None:
            msg = f"account {account_id} is due but does not exist"
            raise LookupError(msg)
        after = account_told(account, now)
        if after == account:
            return
        # Nothing is booked before what was told: a payment on a machine whose clock lags would have come first.
        when = account.booked_at(now)
        _, writes = change(settings, account, replace(after, moved_at=when), when)
        try:
            transact(dynamodb, writes)
        except (OutdatedError, failures.TryAgainError):
            continue
        return
    raise failures.TryAgainError
