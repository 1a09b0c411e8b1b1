"""What of an account is due: day items, late marks and months to close."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from aws_platform import keys
from aws_platform.accounts import account_from_item
from aws_platform.ledger import query_all, through
from aws_platform.pending import cycle_of
from aws_platform.snapshot import Snapshot, is_part, snapshot_of
from rating.schedule import late_run_day

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from rating.account import Account

LOOK_BACK = timedelta(days=40)
"""No event is older than 35 days (D4), so no day item can appear further back than this before a settled day."""


@dataclass(slots=True)
class DueDay:
    """A usage day that a run has to look at."""

    day: date
    raised: str | None = None
    """The token on its late mark as it was before anything was counted."""
    put_off_to: date | None = None
    """The day of the run for which the mark's entry in the due-index is to wait from now on, if that is another one."""

    def raised_before(self, instant: datetime) -> bool:
        """Whether the mark was last raised before the instant."""
        return self.raised is not None and _raised_at(self.raised) < instant


@dataclass(frozen=True, slots=True)
class DueMonth:
    """A month of charges that is over and not closed."""

    month: str
    details: Decimal
    deducted: Decimal


@dataclass(frozen=True, slots=True)
class Due:
    """An account and all that is due of it, days ascending."""

    snapshot: Snapshot
    days: list[DueDay] = field(default_factory=list)
    months: list[DueMonth] = field(default_factory=list)
    later: list[DueDay] = field(default_factory=list)
    """Days that wait for a run after this one."""

    @property
    def account(self) -> Account:
        """Whose it is."""
        return self.snapshot.account


def read_due(
    dynamodb: DynamoDBClient, usage_table: str, ledger_table: str, account_id: str, run_day: date
) -> Due | None:
    """What the run of `run_day` and the runs before it have to settle; None for an account that does not exist.

    Raises OutdatedError where the account and its parts were not seen at one moment.
    """
    account: Account | None = None
    parts: list[Mapping[str, Any]] = []
    months: list[DueMonth] = []
    for item in through(dynamodb, ledger_table, account_id, keys.month_item("~")):
        sort_key = item["sk"]["S"]
        if sort_key == keys.ACCOUNT:
            account = account_from_item(item)
        elif is_part(sort_key):
            parts.append(item)
        elif sort_key.startswith(keys.MONTH_PREFIX) and _waits(item) and _entered(item) <= run_day:
            months.append(_due_month(item))
    if account is None:
        return None
    waiting = _waiting(dynamodb, usage_table, account)
    days = _days(account, (item for item in waiting if _due_on(account, item) <= run_day))
    later = _days(account, (item for item in waiting if _due_on(account, item) > run_day))
    return Due(snapshot_of(account, parts), days, months, later)


def due_days(dynamodb: DynamoDBClient, table: str, account: Account, run_day: date) -> list[DueDay]:
    """The usage days that the run of `run_day` and the runs before it have to look at, ascending."""
    return _days(account, (item for item in _waiting(dynamodb, table, account) if _due_on(account, item) <= run_day))


def _waiting(dynamodb: DynamoDBClient, table: str, account: Account) -> list[Mapping[str, Any]]:
    """The day items and late marks that wait for a run; settled days wait in the index for another job."""
    first = account.settled_through and account.settled_through - LOOK_BACK
    found = query_all(
        dynamodb,
        TableName=table,
        KeyConditionExpression="pk = :pk AND sk BETWEEN :first AND :last",
        ExpressionAttributeValues={
            ":pk": {"S": keys.usage_account(account.account_id)},
            ":first": {"S": keys.day_item(first) if first else keys.DAY_PREFIX},
            ":last": {"S": keys.LATE_PREFIX + "~"},
        },
        ConsistentRead=True,
    )
    return [item for item in found if _waits(item)]


def _days(account: Account, items: Iterable[Mapping[str, Any]]) -> list[DueDay]:
    """The days of items, ascending, with their late marks."""
    days: dict[date, DueDay] = {}
    for item in items:
        day = _day_of_item(item)
        due = days.setdefault(day, DueDay(day))
        if item["sk"]["S"].startswith(keys.LATE_PREFIX):
            due.raised = item["raised"]["S"]
            due_on = _due_on(account, item)
            due.put_off_to = due_on if due_on != _entered(item) else None
    return [days[day] for day in sorted(days)]


def _due_on(account: Account, item: Mapping[str, Any]) -> date:
    """The day of the run that a day item or late mark waits for.

    A mark that a run has left, and that was raised since, waits for what its entry in the due-index does not say: what
    the run has counted is on a bill, and what has come since is for the next one (D4).
    """
    if "left" not in item or item["left"] == item["raised"]:
        return _entered(item)
    return late_run_day(cycle_of(account), _day_of_item(item), _raised_at(item["raised"]["S"]))


def _raised_at(token: str) -> datetime:
    """When a late mark was raised."""
    return datetime.fromisoformat(token.partition("#")[0])


def _day_of_item(item: Mapping[str, Any]) -> date:
    return date.fromisoformat(item["sk"]["S"][len(keys.DAY_PREFIX) :])


def _waits(item: Mapping[str, Any]) -> bool:
    return "due_pk" in item and item["due_pk"]["S"].startswith(keys.DUE_PREFIX)


def _entered(item: Mapping[str, Any]) -> date:
    """The day of the run for which an item is in the due-index."""
    return date.fromisoformat(item["due_sk"]["S"][:10])


def _due_month(item: Mapping[str, Any]) -> DueMonth:
    return DueMonth(
        item["sk"]["S"].removeprefix(keys.MONTH_PREFIX),
        Decimal(item["details"]["N"]),
        Decimal(item["deducted"]["N"]),
    )
