"""Transactions by their ids: the lines of bills, and payments. An id says where its bill lies, so no month is read."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from aws_platform import keys
from aws_platform.bill_rows import Row, detail_rows
from aws_platform.bills import USAGE_INDEX, bill_from_item
from aws_platform.ledger import query_all, with_prefix
from aws_platform.orders import refund_from_item
from rating.civil import SHANGHAI, day_of, first_day, month_of, rfc3339
from rating.orders import mark

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from rating.account import Account
    from rating.bill import Bill

_TOP_UP = "top-up-"
_OF_USAGE = re.compile(r"((2\d{7})-\d{1,12})-\d{1,6}", re.ASCII)
_AT_ONCE = re.compile(r"((order|refund|adjustment)-(2\d{13})-\d{1,12}-[0-9a-f]{8})-\d{1,6}", re.ASCII)
_PRECISION = re.compile(r"(precision-(2\d{3})(\d{2}))-1", re.ASCII)
_PAYMENT = re.compile(rf"{_TOP_UP}(\d{{1,12}})-[0-9a-f]{{8}}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Correction:
    """An adjustment that names a transaction."""

    transaction_id: str
    charged_at: datetime
    total_cost: Decimal
    """As on its bill: a compensation is negative."""
    reason: str


def payment_id(account: Account) -> str:
    """The id of the payment that led to this version of an account."""
    return f"{_TOP_UP}{account.version}-{mark(account.account_id)}"


def find_line(dynamodb: DynamoDBClient, table: str, account_id: str, transaction_id: str) -> Row | None:
    """The line of a bill of this account with this id; None where there is none, also for what is no id."""
    bill = _find_bill(dynamodb, table, account_id, transaction_id)
    if bill is None:
        return None
    return next((row for row in detail_rows([bill]) if row.row_id == transaction_id), None)


def is_transaction(dynamodb: DynamoDBClient, table: str, account: Account, transaction_id: str) -> bool:
    """Whether it is the id of a line of a bill, or of a payment, of this account."""
    payment = _PAYMENT.fullmatch(transaction_id)
    if payment is None:
        return find_line(dynamodb, table, account.account_id, transaction_id) is not None
    if not 0 < int(payment[1]) <= account.version:
        return False
    # The journal is in the order of time, of which the id knows nothing. This reads all of it, about 300 bytes for each
    # movement, and sends back one page: an operator names a payment once in a while.
    pages = query_all(
        dynamodb,
        TableName=table,
        KeyConditionExpression="pk = :pk AND begins_with(sk, :prefix)",
        FilterExpression="contains(page, :reference)",
        ExpressionAttributeValues={
            ":pk": {"S": keys.ledger(account.account_id)},
            ":prefix": {"S": keys.JOURNAL_PREFIX},
            ":reference": {"S": json.dumps(transaction_id)},
        },
        ProjectionExpression="page",
        ConsistentRead=True,
    )
    return any(json.loads(item["page"]["S"])["reference"] == transaction_id for item in pages)


def correction_put(table: str, account_id: str, corrected: str, made: Correction) -> dict[str, Any]:
    """The transaction item that leads from what an adjustment corrects to the adjustment."""
    body = {"charged_at": rfc3339(made.charged_at), "total_cost": str(made.total_cost), "reason": made.reason}
    item = {
        "pk": {"S": keys.ledger(account_id)},
        "sk": {"S": keys.correction(corrected, made.transaction_id)},
        "body": {"S": json.dumps(body, ensure_ascii=False, separators=(",", ":"))},
    }
    return {"Put": {"TableName": table, "Item": item, "ConditionExpression": "attribute_not_exists(pk)"}}


def corrections_of(dynamodb: DynamoDBClient, table: str, account_id: str, transaction_id: str) -> list[Correction]:
    """The adjustments that name the transaction, oldest first."""
    prefix = keys.correction(transaction_id, "")
    return [_correction(prefix, item) for item in with_prefix(dynamodb, table, account_id, prefix)]


def _correction(prefix: str, item: Mapping[str, Any]) -> Correction:
    body = json.loads(item["body"]["S"])
    return Correction(
        item["sk"]["S"].removeprefix(prefix),
        datetime.fromisoformat(body["charged_at"]),
        Decimal(body["total_cost"]),
        body["reason"],
    )


def _find_bill(dynamodb: DynamoDBClient, table: str, account_id: str, transaction_id: str) -> Bill | None:
    """The bill that would have the line."""
    try:
        if found := _OF_USAGE.fullmatch(transaction_id):
            return _by_usage(dynamodb, table, account_id, date.fromisoformat(found[2]), found[1])
        if found := _PRECISION.fullmatch(transaction_id):
            return _by_usage(dynamodb, table, account_id, first_day(f"{found[2]}-{found[3]}"), found[1])
        if found := _AT_ONCE.fullmatch(transaction_id):
            at: datetime | None = datetime.strptime(found[3], "%Y%m%d%H%M%S").replace(tzinfo=SHANGHAI)
            if found[2] == "refund":
                at = _completed_at(dynamodb, table, account_id, found[1])
            return _by_charge(dynamodb, table, account_id, at, found[1]) if at else None
    except ValueError:
        # Digits that are no day.
        return None
    return None


def _by_usage(dynamodb: DynamoDBClient, table: str, account_id: str, day: date, bill_id: str) -> Bill | None:
    """The bill of usage that begins on a day. All of that day are read, few as they are; only this one is unpacked."""
    for item in query_all(
        dynamodb,
        TableName=table,
        IndexName=USAGE_INDEX,
        KeyConditionExpression="pk = :pk AND begins_with(usage_sk, :prefix)",
        ExpressionAttributeValues={
            ":pk": {"S": keys.ledger(account_id)},
            ":prefix": {"S": keys.bill_by_usage(month_of(day), day.isoformat(), "")},
        },
        ProjectionExpression="usage_sk, bill",
        ConsistentRead=True,
    ):
        if item["usage_sk"]["S"].rpartition("#")[2] == bill_id:
            return bill_from_item(item)
    return None


def _by_charge(dynamodb: DynamoDBClient, table: str, account_id: str, at: datetime, bill_id: str) -> Bill | None:
    """The bill of what was charged at an instant."""
    item = _get(dynamodb, table, account_id, keys.bill(month_of(day_of(at)), rfc3339(at), bill_id))
    return bill_from_item(item) if item else None


def _completed_at(dynamodb: DynamoDBClient, table: str, account_id: str, refund_id: str) -> datetime | None:
    """When a refund was paid back: minutes after its id was made, under a sandbox clock or a late timer much later."""
    item = _get(dynamodb, table, account_id, f"{keys.REFUND_PREFIX}{refund_id}")
    return refund_from_item(item).completed_at if item else None


def _get(dynamodb: DynamoDBClient, table: str, account_id: str, sort_key: str) -> Mapping[str, Any] | None:
    key = {"pk": {"S": keys.ledger(account_id)}, "sk": {"S": sort_key}}
    return dynamodb.get_item(TableName=table, Key=key, ConsistentRead=True).get("Item")
