"""The open period as it would be charged now: the settlement's own computation, without the money."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from aws_platform import problems
from aws_platform.accounts import read_account
from aws_platform.bill_rows import Shower, period, show_line
from aws_platform.due import read_due
from aws_platform.ledger import OutdatedError
from aws_platform.pending import TRANSACTION_TYPES, cycle_of, pending_charges, together
from rating import money
from rating.civil import rfc3339
from rating.schedule import FAR_AHEAD

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from aws_platform.settings import Settings
    from rating.catalog import Catalog


def preview(
    dynamodb: DynamoDBClient, settings: Settings, catalog: Catalog, account_id: str, now: datetime
) -> dict[str, Any]:
    """Every line that no bill holds yet, today's usage included, and what would be deducted.

    Raises OutdatedError where a settlement is going on: read again.
    """
    due = read_due(dynamodb, settings.usage_table, settings.ledger_table, account_id, FAR_AHEAD)
    if due is None:
        raise problems.not_found("account")
    shower = Shower(account_id, catalog)
    items: list[dict[str, Any]] = []
    total = money.ZERO
    snapshot = due.snapshot
    for usage in together(due.account, due.days):
        pending = pending_charges(dynamodb, settings, catalog, snapshot, usage, now)
        snapshot = pending.after(snapshot)
        kind = TRANSACTION_TYPES[cycle_of(due.account)]
        for charge in pending.charges:
            total += charge.amount
            items += [
                {
                    **shower.usage_fields(line.tag),
                    "transaction_type": kind.value,
                    "usage_day": line.first_day.isoformat() if line.first_day == line.last_day else None,
                    **period(line.first_day, line.last_day),
                    **show_line(line),
                }
                for line in charge.lines
            ]
    # Days that were settled after the account was read are not due any more: without them the rest would be wrong.
    if read_account(dynamodb, settings.ledger_table, account_id) != due.account:
        raise OutdatedError
    return {"as_of": rfc3339(now), "items": items, "total_cost": money.yuan(total)}
