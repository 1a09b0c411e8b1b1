"""Reads bills and journal of an account apart from each other, and lays them side by side (D15)."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import TYPE_CHECKING

from aws_platform import keys
from aws_platform.bills import all_bills, bills_by_charge
from aws_platform.ledger import JournalEntry, journal_entries, with_prefix
from rating import money
from rating.civil import first_day, last_day
from rating.reconciliation import MonthBalance, month_balances

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_NO_CHARGE = "top_up"
"""The kind of journal entries that belong to no bill."""


def balances(dynamodb: DynamoDBClient, table: str, account_id: str) -> list[MonthBalance]:
    """All months of an account, oldest first; bills and entries pass through and are not kept."""
    taken = _taken(journal_entries(dynamodb, table, account_id))
    still_open = _open_months(dynamodb, table, account_id)
    return month_balances(all_bills(dynamodb, table, account_id), taken, still_open)


def balance(dynamodb: DynamoDBClient, table: str, account_id: str, month: str) -> MonthBalance:
    """One month of charges."""
    taken = _taken(journal_entries(dynamodb, table, account_id, first_day(month), last_day(month)))
    still_open = _open_months(dynamodb, table, account_id)
    found = month_balances(bills_by_charge(dynamodb, table, account_id, month), taken, still_open)
    return next((one for one in found if one.month == month), MonthBalance(month))


def _open_months(dynamodb: DynamoDBClient, table: str, account_id: str) -> set[str]:
    """The months of charges that a run has still to close."""
    return {
        item["sk"]["S"].removeprefix(keys.MONTH_PREFIX)
        for item in with_prefix(dynamodb, table, account_id, keys.MONTH_PREFIX)
        if "closed" not in item
    }


def _taken(entries: Iterable[JournalEntry]) -> dict[str, Decimal]:
    """What went out for bills, by month. Times in the journal are Shanghai's, so their text begins with the month."""
    taken: dict[str, Decimal] = {}
    for entry in entries:
        if entry.kind != _NO_CHARGE:
            month = entry.occurred_at[:7]
            taken[month] = taken.get(month, money.ZERO) - entry.amount
    return taken
