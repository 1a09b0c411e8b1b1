"""What bills deducted, read without making bills of them: a year of an account is many thousands of charges."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from aws_platform import keys
from aws_platform.bills import USAGE_INDEX
from aws_platform.ledger import query_all

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@dataclass(frozen=True, slots=True)
class Deducted:
    """What one charge deducted. Texts stay as they are stored: most readers only add up."""

    month: str
    """By the basis that was asked for."""
    day: str
    """The day of the charge; by usage the last day of what the bill is for, which of what is charged the moment it
    happens is that day too."""
    tag: str
    """Empty for an adjustment, which is for no tag."""
    prepaid: bool
    amount: Decimal
    """Yuan, in whole fen."""
    payment: Mapping[str, str]
    """Yuan by fund."""


def deducted(
    dynamodb: DynamoDBClient, table: str, account_id: str, first_month: str, last_month: str, *, by_usage: bool
) -> Iterator[Deducted]:
    """Every charge of the months, both included, with one range query. A precision row deducts nothing (D15)."""
    prefix = "" if by_usage else keys.BILL_PREFIX
    query: dict[str, Any] = {
        "TableName": table,
        "KeyConditionExpression": f"pk = :pk AND {'usage_sk' if by_usage else 'sk'} BETWEEN :first AND :last",
        "ExpressionAttributeValues": {
            ":pk": {"S": keys.ledger(account_id)},
            ":first": {"S": f"{prefix}{first_month}#"},
            ":last": {"S": f"{prefix}{last_month}#~"},
        },
        "ProjectionExpression": "bill",
        "ConsistentRead": True,
    }
    if by_usage:
        query["IndexName"] = USAGE_INDEX
    for item in query_all(dynamodb, **query):
        yield from charges_of_item(item, by_usage=by_usage)


def charges_of_item(item: Mapping[str, Any], *, by_usage: bool) -> Iterator[Deducted]:
    """The charges of a stored bill."""
    document = json.loads(zlib.decompress(item["bill"]["B"]))
    first, last = document["days"]
    # Instants are stored at +08:00, so their date is the civil day (D1).
    day = last if by_usage else document["charged_at"][:10]
    month = first[:7] if by_usage else document["month"]
    for charge in document["charges"]:
        yield Deducted(
            month, day, charge["tag"], charge["resource"] is not None, Decimal(charge["amount"]), charge["payment"]
        )
