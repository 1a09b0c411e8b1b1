"""Days and accounts as the commands are given them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import TYPE_CHECKING

from aws_platform import keys
from aws_platform.accounts import read_account
from aws_platform.due import LOOK_BACK
from aws_platform.ledger import query_all
from rating.civil import first_day, last_day
from tools.ops.stack import OpsError, Stack
from tools.reconcile import account_ids

if TYPE_CHECKING:
    from rating.account import Account

_MONTH_CHARACTERS = len("2025-03")


def read_day(text: str) -> date:
    """A day as `YYYY-MM-DD`. Raises OpsError for anything else."""
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        msg = f"{text or 'nothing'} is no day: YYYY-MM-DD is wanted"
        raise OpsError(msg) from error


def read_days(day: str, first: str, last: str, month: str = "") -> list[date]:
    """The days of a command: one, those from the first to the last, or those of a month. Raises OpsError."""
    if month:
        if len(month) != _MONTH_CHARACTERS:
            msg = f"{month} is no month: YYYY-MM is wanted"
            raise OpsError(msg)
        read_day(f"{month}-01")
        first, last = first_day(month).isoformat(), last_day(month).isoformat()
    begin, end = (read_day(first), read_day(last)) if first or last else (read_day(day), read_day(day))
    if end < begin:
        msg = f"{end} is before {begin}"
        raise OpsError(msg)
    return [begin + timedelta(number) for number in range((end - begin).days + 1)]


def the_account(stack: Stack, account_id: str) -> Account:
    """An account that exists. Raises OpsError."""
    account = read_account(stack.dynamodb, stack.settings.ledger_table, account_id) if account_id else None
    if account is None:
        msg = f"there is no account {account_id}" if account_id else "ACCOUNT is missing"
        raise OpsError(msg)
    return account


def first_in_reach(account: Account) -> date:
    """The first day that runs to come look at.

    One made due further back would be waited for by planner and check for ever, and taken by nobody.
    """
    return account.settled_through - LOOK_BACK if account.settled_through else date.min


def accounts_of(stack: Stack, account_id: str) -> Iterator[str]:
    """The account that is named, or all of them. Raises OpsError where the named one does not exist."""
    if account_id:
        yield the_account(stack, account_id).account_id
    else:
        yield from account_ids(stack.dynamodb, stack.settings.ledger_table)


def has_usage(stack: Stack, account_id: str, day: date) -> bool:
    """Whether anything of the day is stored."""
    answer = stack.dynamodb.query(
        TableName=stack.settings.usage_table,
        KeyConditionExpression="pk = :pk",
        ExpressionAttributeValues={":pk": {"S": keys.usage_day(account_id, day)}},
        ProjectionExpression="pk",
        ConsistentRead=True,
        Limit=1,
    )
    return bool(answer["Items"])


def days_with_usage(stack: Stack, account_id: str, first: date, last: date) -> list[date]:
    """The days of a range that have a day item."""
    items = query_all(
        stack.dynamodb,
        TableName=stack.settings.usage_table,
        KeyConditionExpression="pk = :pk AND sk BETWEEN :first AND :last",
        ExpressionAttributeValues={
            ":pk": {"S": keys.usage_account(account_id)},
            ":first": {"S": keys.day_item(first)},
            ":last": {"S": keys.day_item(last)},
        },
        ProjectionExpression="sk",
        ConsistentRead=True,
    )
    return [date.fromisoformat(item["sk"]["S"].removeprefix(keys.DAY_PREFIX)) for item in items]
