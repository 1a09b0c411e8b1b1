"""A table as it was at an instant, beside the live one: restored, compared with it, and what is lost put back.

The stack never moves to the restored table, and no account is taken back in time: what was issued and told stays. Only
what the live table has lost comes out of the restored one, each item on the condition that it is still as it was seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

from botocore.exceptions import ClientError

from aws_platform import failures, keys
from aws_platform.ledger import query_all
from tools.ops.days import accounts_of, first_in_reach, the_account
from tools.ops.lost import Found, Item, Lost, unchanged
from tools.ops.lost_ledger import lost_of_account
from tools.ops.lost_usage import lost_of_buckets, lost_of_days
from tools.ops.pausing import is_paused
from tools.ops.stack import OpsError, Stack
from tools.reconcile import account_ids

TABLES = {"ledger": "LedgerTable", "usage": "UsageTable", "live": "LiveTable"}
LATEST = "latest"
_POLL_SECONDS = 20


def restore(stack: Stack, table: str, at: str, *, dry: bool, wait: int) -> int:
    """Restore a table to an instant under another name, and wait for it; repeated, it only waits."""
    source, instant = _table(stack, table), _instant(at)
    stamp = instant.strftime("%Y%m%dT%H%M%SZ") if instant else LATEST
    target = f"{source}-{stamp}"
    print(f"{table}: {source} as of {instant.isoformat() if instant else 'now'} becomes {target}; {source} stays")
    if dry:
        return 0
    when: dict[str, Any] = {"RestoreDateTime": instant} if instant else {"UseLatestRestorableTime": True}
    try:
        stack.dynamodb.restore_table_to_point_in_time(SourceTableName=source, TargetTableName=target, **when)
    except ClientError as error:
        if error.response["Error"]["Code"] not in {"TableAlreadyExistsException", "ResourceInUseException"}:
            raise
        print(f"{target} is there already")
    for _ in range(max(1, wait // _POLL_SECONDS)):
        status = stack.dynamodb.describe_table(TableName=target)["Table"]["TableStatus"]
        if status == "ACTIVE":
            print(f"RESTORED={target}")
            return 0
        failures.sleep(_POLL_SECONDS)
    print(f"{target} is not ready yet: repeat the command, which then only waits")
    return 1


def compare(stack: Stack, table: str, restored: str, account_id: str) -> int:
    """Print for each account what the live table has lost, and what is newer; 1 where something is lost."""
    accounts = lost = 0
    for found in _all(stack, table, restored, account_id):
        accounts += found.account_id != keys.CATALOG
        if found.lost or found.unclear:
            lost += 1
            print(found.line())
    print(f"{accounts} accounts compared, {lost} have lost something")
    return 1 if lost else 0


def put_back(stack: Stack, table: str, restored: str, account_id: str, *, dry: bool) -> int:
    """Put what is lost back into the live table; 1 where something is unclear, or changed meanwhile."""
    live = _table(stack, table)
    if table == "usage" and not dry and not is_paused(stack):
        msg = "usage is put back into a paused stack only, for ingest remembers what it has seen stored: make ops-pause"
        raise OpsError(msg)
    put = left = 0
    for found in _all(stack, table, restored, account_id):
        if not found.lost and not found.unclear:
            continue
        print(found.line())
        left += len(found.unclear)
        for one in [] if dry else found.lost:
            try:
                stack.dynamodb.put_item(TableName=live, Item=one.item, **unchanged(one.seen))
                put += 1
            except ClientError as error:
                if not failures.is_condition_failure(error):
                    raise
                left += 1
                print(f"{found.account_id}\tchanged meanwhile, so it stays: {one.kind}")
    print(f"{put} items put back, {left} left")
    return 1 if left else 0


def _all(stack: Stack, table: str, restored: str, account_id: str) -> Iterator[Found]:
    live = _table(stack, table)
    if table == "ledger":
        # Whoever is gone from the live table is in the restored one.
        for one in [account_id] if account_id else account_ids(stack.dynamodb, restored):
            partition = keys.ledger(one)
            yield lost_of_account(one, _items(stack, restored, partition), _items(stack, live, partition))
        then, now = _items(stack, restored, keys.CATALOG), _items(stack, live, keys.CATALOG)
        yield Found(keys.CATALOG, [Lost("prices or activities", then[one]) for one in sorted(then.keys() - now.keys())])
    elif table == "usage":
        for one in accounts_of(stack, account_id):
            yield _lost_of_usage(stack, one, restored, live)
    else:
        msg = "live totals are made again, not put back: make ops-live"
        raise OpsError(msg)


def _lost_of_usage(stack: Stack, account_id: str, restored: str, live: str) -> Found:
    found = Found(account_id)
    partition = keys.usage_account(account_id)
    then, now = _items(stack, restored, partition), _items(stack, live, partition)
    account = the_account(stack, account_id)
    if account.cycle is None:
        return found
    lost_of_days(found, then, now, account.cycle, first_in_reach(account), stack.settings.due_shards)
    for sort_key in sorted(then):
        if sort_key.startswith(keys.DAY_PREFIX):
            day = date.fromisoformat(sort_key.removeprefix(keys.DAY_PREFIX))
            partition = keys.usage_day(account_id, day)
            lost_of_buckets(found, day, _items(stack, restored, partition), _items(stack, live, partition))
    return found


def _items(stack: Stack, table: str, partition: str) -> dict[str, Item]:
    return {
        item["sk"]["S"]: item
        for item in query_all(
            stack.dynamodb,
            TableName=table,
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": partition}},
            ConsistentRead=True,
        )
    }


def _table(stack: Stack, table: str) -> str:
    if table not in TABLES:
        msg = f"TABLE is one of {', '.join(TABLES)}"
        raise OpsError(msg)
    return stack.physical(TABLES[table])


def _instant(text: str) -> datetime | None:
    """The instant of a restore, None for the latest there is. Raises OpsError."""
    if text == LATEST:
        return None
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        msg = f"AT is {LATEST}, or a time with its zone as 2025-03-01T10:00:00+08:00"
        raise OpsError(msg) from error
    if instant.tzinfo is None:
        msg = "AT has no zone: +08:00 is Shanghai's"
        raise OpsError(msg)
    return instant.astimezone(UTC)
