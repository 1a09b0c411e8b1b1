"""What FOCUS asks for beside the bills of a month, from the ledger."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from aws_platform import keys
from aws_platform.orders import order_from_item, package_key
from aws_platform.transactions import find_line
from exports.focus import Bought, Known

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


def stored(dynamodb: DynamoDBClient, table: str, account_id: str) -> Known:
    """Looks up each order and each corrected transaction once, when a row first needs it.

    What is kept is a price a package in use and a month an adjustment, whatever the number of rows.
    """

    @cache
    def bought(package_id: str) -> Bought:
        """Raises LookupError where no order has the package: a bill never names one that was not bought."""
        sort_key = package_key(package_id)
        key = {"pk": {"S": keys.ledger(account_id)}, "sk": {"S": sort_key or package_id}}
        item = dynamodb.get_item(TableName=table, Key=key, ConsistentRead=True).get("Item")
        package = order_from_item(item).package(package_id) if item else None
        if package is None:
            msg = f"no order has the package {package_id}"
            raise LookupError(msg)
        return Bought(package.amount, package.calls)

    @cache
    def charge_month(transaction_id: str) -> str | None:
        line = find_line(dynamodb, table, account_id, transaction_id)
        return line.bill.charge_month if line else None

    return Known(bought, charge_month)
