"""The live totals of an account made again, from what is stored. They are views: no money depends on them."""

from __future__ import annotations

from datetime import date
from typing import Any

from aws_platform import keys, live
from aws_platform.ledger import query_all
from rating.civil import day_of
from tools.ops.days import accounts_of, days_with_usage
from tools.ops.positions import groups, in_json
from tools.ops.stack import Stack


def rebuild(stack: Stack, account_id: str, days: list[date], *, fresh: bool, dry: bool) -> int:
    """Hand the buckets to the rollup again, as the stream did; it takes what the totals do not hold yet.

    `fresh` removes an account's totals first: for totals that say too much, which nothing else makes smaller.
    """
    oldest = day_of(stack.now() - live.KEPT)
    for one in accounts_of(stack, account_id):
        own = [day for day in days_with_usage(stack, one, oldest, date.max) if not days or day in days or fresh]
        print(f"{one}: the live totals of {len(own)} days are made again{' from nothing' if fresh else ''}")
        if dry:
            continue
        if fresh:
            _remove(stack, one)
        buckets = 0
        for day in own:
            records = [_record(item) for item in _buckets(stack, one, day)]
            buckets += len(records)
            for group in groups(records):
                stack.call("RollupFunction", {"Records": group})
        print(f"{one}: {buckets} buckets were taken")
    return 0


def _buckets(stack: Stack, account_id: str, day: date) -> list[Any]:
    return list(
        query_all(
            stack.dynamodb,
            TableName=stack.settings.usage_table,
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": keys.usage_day(account_id, day)}},
            ConsistentRead=True,
        )
    )


def _record(item: Any) -> dict[str, Any]:
    return {
        "eventName": "MODIFY",
        "eventSource": "aws:dynamodb",
        "dynamodb": {"Keys": {"pk": item["pk"], "sk": item["sk"]}, "NewImage": in_json(item)},
    }


def _remove(stack: Stack, account_id: str) -> None:
    for partition in (keys.windows(account_id), keys.usage_account(account_id)):
        for item in query_all(
            stack.dynamodb,
            TableName=stack.settings.live_table,
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": partition}},
            ProjectionExpression="pk, sk",
            ConsistentRead=True,
        ):
            stack.dynamodb.delete_item(TableName=stack.settings.live_table, Key={"pk": item["pk"], "sk": item["sk"]})
