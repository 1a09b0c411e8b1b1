"""Where statistics find their counts: what runs have counted, the windows of other days, and the account's names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING

from aws_platform import keys, live, records
from aws_platform.directory import read_names
from aws_platform.ledger import query_all

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from aws_platform.settings import Settings

OTHER_NAME = "(other)"
"""Stands for all names beyond the bound of an account's dictionary."""


def totals_by_day(
    dynamodb: DynamoDBClient, settings: Settings, account_id: str, first: date, last: date
) -> dict[date, Counter[int]]:
    """Calls of each day that has any, by packed dimensions: as a run has counted them, else from the windows."""
    used, late = _days_with_usage(dynamodb, settings, account_id, first, last)
    counted = live.counted_days(dynamodb, settings.live_table, account_id, first, last)
    totals: dict[date, Counter[int]] = {}
    for day in sorted(used):
        known = counted.get(day)
        if known is None or day in late:
            windows = live.windows_of_day(dynamodb, settings.live_table, account_id, day)
            # Windows follow the stream and may be behind a count.
            known = max(windows, known or Counter(), key=lambda one: one.total())
        totals[day] = known
    return totals


def _days_with_usage(
    dynamodb: DynamoDBClient, settings: Settings, account_id: str, first: date, last: date
) -> tuple[set[date], set[date]]:
    """The days of a range that have usage, and those with late usage that no run has taken."""
    found: dict[str, set[date]] = {keys.DAY_PREFIX: set(), keys.LATE_PREFIX: set()}
    for prefix, days in found.items():
        for item in query_all(
            dynamodb,
            TableName=settings.usage_table,
            KeyConditionExpression="pk = :pk AND sk BETWEEN :first AND :last",
            ExpressionAttributeValues={
                ":pk": {"S": keys.usage_account(account_id)},
                ":first": {"S": f"{prefix}{first.isoformat()}"},
                ":last": {"S": f"{prefix}{last.isoformat()}"},
            },
            ProjectionExpression="sk",
            ConsistentRead=True,
        ):
            days.add(date.fromisoformat(item["sk"]["S"].removeprefix(prefix)))
    return found[keys.DAY_PREFIX], found[keys.LATE_PREFIX]


def names_of(dynamodb: DynamoDBClient, settings: Settings, account_id: str) -> dict[str, dict[int, str]]:
    """The account's names by dimension and number; read after the counts, it has all that these name."""
    names = read_names(dynamodb, settings.usage_table, account_id)
    return {
        "sub_account": {number: name for name, number in names.sub_accounts.items()},
        "result_code": {number: name for name, number in names.codes.items()},
    }


def name_of(names: Mapping[str, Mapping[int, str]], dimension: str, number: int) -> str | None:
    """What a number stands for; None for a call without a value."""
    if number == records.NO_NAME:
        return None
    return OTHER_NAME if number == records.OTHER else names[dimension][number]
