"""Money in the ledger table: every change is one transaction of its effect, its journal page and its request.

The account's version is the lock: a change carries the version that it was computed from, and whoever comes second
reads again and computes again. Journal pages are written in the same transaction, so the journal is the funds.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from aws_platform import failures, keys
from rating import money
from rating.civil import ONE_DAY, rfc3339, start_of

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from aws_platform.settings import Settings
    from rating.account import Account
    from rating.funds import Movement

MAX_TRANSACTION_ITEMS = 40
"""Below DynamoDB's 100, so that a transaction stays small enough not to be in others' way."""


class OutdatedError(Exception):
    """Somebody else changed what the transaction was based on: read again and try again."""


def up_to_date[T](read: Callable[[], T]) -> T:
    """What `read` makes of items that must be of one moment, read anew while somebody is changing them.

    Raises TryAgainError where that goes on for too long.
    """
    for _ in failures.attempts():
        try:
            return read()
        except OutdatedError:
            continue
    raise failures.TryAgainError


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One movement of one fund, as read."""

    entry_id: str
    """The account's version that the movement led to, and the number within it."""
    occurred_at: str
    kind: str
    fund: str
    amount: Decimal
    balance_after: Decimal
    reference: str


def journal_put(
    table: str,
    account: Account,
    occurred_at: datetime,
    kind: str,
    reference: str,
    movements: Sequence[Movement],
) -> dict[str, Any]:
    """The transaction item that records the movements which led to this version of the account."""
    entries = [
        [movement.fund.value, money.yuan(movement.amount), money.yuan(movement.balance_after)] for movement in movements
    ]
    when = rfc3339(occurred_at)
    page = {"occurred_at": when, "kind": kind, "reference": reference, "entries": entries}
    item = {
        "pk": {"S": keys.ledger(account.account_id)},
        "sk": {"S": keys.journal(when, account.version)},
        "page": {"S": json.dumps(page, ensure_ascii=False, separators=(",", ":"))},
    }
    return {"Put": {"TableName": table, "Item": item, "ConditionExpression": "attribute_not_exists(pk)"}}


def journal_entries(
    dynamodb: DynamoDBClient, table: str, account_id: str, first: date | None = None, last: date | None = None
) -> Iterator[JournalEntry]:
    """Every movement from the first to the last day, both included, oldest first; an open end leaves nothing out."""
    prefix = keys.JOURNAL_PREFIX
    for item in query_all(
        dynamodb,
        TableName=table,
        KeyConditionExpression="pk = :pk AND sk BETWEEN :first AND :last",
        ExpressionAttributeValues={
            ":pk": {"S": keys.ledger(account_id)},
            ":first": {"S": f"{prefix}{rfc3339(start_of(first))}" if first else prefix},
            ":last": {"S": f"{prefix}{rfc3339(start_of(last + ONE_DAY))}" if last else f"{prefix}~"},
        },
        ConsistentRead=True,
    ):
        page = json.loads(item["page"]["S"])
        sequence = item["sk"]["S"].rpartition("#")[2].lstrip("0")
        for number, (fund, amount, balance_after) in enumerate(page["entries"], start=1):
            yield JournalEntry(
                f"{sequence}-{number}",
                page["occurred_at"],
                page["kind"],
                fund,
                Decimal(amount),
                Decimal(balance_after),
                page["reference"],
            )


def query_all(dynamodb: DynamoDBClient, **query: Any) -> Iterator[Mapping[str, Any]]:
    """The items of all pages of a query."""
    while True:
        page = dynamodb.query(**query)
        yield from page["Items"]
        if "LastEvaluatedKey" not in page:
            return
        query["ExclusiveStartKey"] = page["LastEvaluatedKey"]


def with_prefix(dynamodb: DynamoDBClient, table: str, account_id: str, prefix: str) -> Iterator[Mapping[str, Any]]:
    """The items of an account whose sort keys begin with a prefix, in the order of these."""
    return query_all(
        dynamodb,
        TableName=table,
        KeyConditionExpression="pk = :pk AND begins_with(sk, :prefix)",
        ExpressionAttributeValues={":pk": {"S": keys.ledger(account_id)}, ":prefix": {"S": prefix}},
        ConsistentRead=True,
    )


def through(dynamodb: DynamoDBClient, table: str, account_id: str, last: str) -> Iterator[Mapping[str, Any]]:
    """The account's own item and those after it, up to a sort key."""
    return query_all(
        dynamodb,
        TableName=table,
        KeyConditionExpression="pk = :pk AND sk BETWEEN :first AND :last",
        ExpressionAttributeValues={
            ":pk": {"S": keys.ledger(account_id)},
            ":first": {"S": keys.ACCOUNT},
            ":last": {"S": last},
        },
        ConsistentRead=True,
    )


def move_timer(
    dynamodb: DynamoDBClient, settings: Settings, account_id: str, sort_key: str, due_at: datetime, then: datetime
) -> None:
    """Have a timer of an item come due later, if it is still the one of `due_at`."""
    seen, new = (keys.timer(account_id, at, sort_key, settings.due_shards) for at in (due_at, then))
    with failures.UnlessOvertaken():
        dynamodb.update_item(
            TableName=settings.ledger_table,
            Key={"pk": {"S": keys.ledger(account_id)}, "sk": {"S": sort_key}},
            UpdateExpression="SET due_sk = :then",
            ConditionExpression="due_sk = :seen",
            ExpressionAttributeValues={":then": new["due_sk"], ":seen": seen["due_sk"]},
        )


def transact(dynamodb: DynamoDBClient, items: Sequence[Mapping[str, Any]]) -> None:
    """Write all or nothing. The client's token makes a re-send of the same call safe.

    Raises OutdatedError where a condition failed or the outcome is not known (what happened is then in the table),
    TryAgainError where others contended.
    """
    if len(items) > MAX_TRANSACTION_ITEMS:
        msg = f"{len(items)} items in one transaction"
        raise ValueError(msg)
    try:
        dynamodb.transact_write_items(TransactItems=list(items))  # type: ignore[arg-type]
    except (ClientError, BotoCoreError) as error:
        if failures.is_condition_failure(error) or failures.is_unknown_outcome(error):
            raise OutdatedError from error
        if failures.is_contention(error):
            raise failures.TryAgainError from error
        raise
