"""Whether a month is over for an account: every run that it belongs to has done its work (D3, D4, D15)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from aws_platform import keys
from aws_platform.due import due_days
from rating.civil import first_day, last_day, next_month
from rating.schedule import begun_run_day

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from aws_platform.reading import Item
    from rating.account import Account


def is_closed(
    dynamodb: DynamoDBClient,
    usage_table: str,
    account: Account,
    items: Mapping[str, Item],
    month: str,
    now: datetime,
) -> bool:
    """Whether the run of the next 1st has settled what it and those before it had to settle of the month.

    `items` has the account's item of the month, if there is one. Usage that arrives later opens nothing again: it is
    charged with a later run, on lines of its own (D4).
    """
    run = first_day(next_month(month))
    if begun_run_day(now) < run:
        return False
    charged = items.get(keys.month_item(month))
    if charged is not None and "closed" not in charged:
        return False
    return all(due.day > last_day(month) for due in due_days(dynamodb, usage_table, account, run))
