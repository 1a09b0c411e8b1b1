"""Orders, grants and refunds in the ledger table: one item each."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from aws_platform import keys
from aws_platform.ledger import OutdatedError
from rating.account import Account
from rating.allocation import Source
from rating.civil import rfc3339
from rating.funds import Fund
from rating.orders import Order, PackageRecord, Refund, order_of_package
from rating.wallet import Wallet

_GRANT_ID = "grant-"


def order_key(order_id: str) -> str:
    """Sort key of an order or a grant."""
    prefix = keys.GRANT_PREFIX if order_id.startswith(_GRANT_ID) else keys.ORDER_PREFIX
    return f"{prefix}{order_id}"


def package_key(package_id: str) -> str | None:
    """Sort key of the order or grant that a package came with; None for what is no package id."""
    found = order_of_package(package_id)
    return order_key(found[1]) if found else None


def check_seen(account: Account, versions: Mapping[str, int]) -> None:
    """Raises OutdatedError where orders, by sort key, were not read as of this account: read again.

    One of them may be newer than the account; and the last one that it knows may not be visible yet, though it is
    asked for: a version of 0 stands for an order that was not found.
    """
    if any(version > account.version for version in versions.values()):
        raise OutdatedError
    if (
        account.last_order is not None
        and versions.get(account.last_order[0], account.last_order[1]) < account.last_order[1]
    ):
        raise OutdatedError


def order_put(table: str, account_id: str, order: Order, version: int) -> dict[str, Any]:
    """The transaction item that stores an order or a grant for the first time."""
    item = order_to_item(account_id, order, version)
    return {"Put": {"TableName": table, "Item": item, "ConditionExpression": "attribute_not_exists(pk)"}}


def order_replace(table: str, account_id: str, order: Order, version: int, seen: int) -> dict[str, Any]:
    """The transaction item that replaces an order; it fails where it is not the one that was seen."""
    return {
        "Put": {
            "TableName": table,
            "Item": order_to_item(account_id, order, version),
            "ConditionExpression": "version = :seen",
            "ExpressionAttributeValues": {":seen": {"N": str(seen)}},
        }
    }


def order_to_item(account_id: str, order: Order, version: int) -> dict[str, Any]:
    """As stored; `version` is that of the account."""
    document = {
        "created_at": rfc3339(order.created_at),
        "packages": [_package_document(package) for package in order.packages],
        "activity": order.activity_id,
        "voucher": order.voucher_id,
        "reason": order.reason,
    }
    return {**_key(account_id, order_key(order.order_id)), "version": {"N": str(version)}, "body": _text(document)}


def order_from_item(item: Mapping[str, Any]) -> Order:
    """The reverse of `order_to_item`."""
    document = json.loads(item["body"]["S"])
    return Order(
        item["sk"]["S"].partition("#")[2],
        datetime.fromisoformat(document["created_at"]),
        tuple(_package(package) for package in document["packages"]),
        document["activity"],
        document["voucher"],
        document["reason"],
    )


def refund_put(table: str, account_id: str, refund: Refund, due_shards: int | None) -> dict[str, Any]:
    """The transaction item that stores a refund. While it is processed it is in the due-index, of so many partitions.

    It fails where the refund has been completed.
    """
    sort_key = f"{keys.REFUND_PREFIX}{refund.refund_id}"
    item = {**_key(account_id, sort_key), "body": _text(_refund_document(refund))}
    if due_shards is None:
        item["completed"] = {"BOOL": True}
    else:
        item |= keys.timer(account_id, refund.completes_at, sort_key, due_shards)
    return {"Put": {"TableName": table, "Item": item, "ConditionExpression": "attribute_not_exists(completed)"}}


def refund_from_item(item: Mapping[str, Any]) -> Refund:
    """The reverse of `refund_put`."""
    document = json.loads(item["body"]["S"])
    return Refund(
        item["sk"]["S"].partition("#")[2],
        document["package"],
        document["order"],
        document["tag"],
        document["calls"],
        _payment(document["refunds"]),
        Decimal(document["forfeited"]),
        Decimal(document["list_price"]),
        datetime.fromisoformat(document["delivered_at"]),
        datetime.fromisoformat(document["requested_at"]),
        document["completed_at"] and datetime.fromisoformat(document["completed_at"]),
    )


def retire(
    table: str, account_id: str, wallets: Iterable[Wallet], now: datetime, room: int
) -> tuple[list[Wallet], list[dict[str, Any]]]:
    """The wallets without packages that ended long ago, and the items, at most `room`, that remember those."""
    kept: list[Wallet] = []
    items: list[dict[str, Any]] = []
    for wallet in wallets:
        left, over = wallet.retired(now, room - len(items))
        kept.append(left)
        for one in over:
            item = {**_key(account_id, f"{keys.ENDED_PREFIX}{one.package_id}"), "used": {"N": str(one.used)}}
            items.append({"Put": {"TableName": table, "Item": item}})
    return kept, items


def ended_from_item(item: Mapping[str, Any]) -> tuple[str, int]:
    """(package id, calls that bills had deducted) of a package that left its wallet unfinished."""
    return item["sk"]["S"].removeprefix(keys.ENDED_PREFIX), int(item["used"]["N"])


def _key(account_id: str, sort_key: str) -> dict[str, Any]:
    return {"pk": {"S": keys.ledger(account_id)}, "sk": {"S": sort_key}}


def _text(document: object) -> dict[str, str]:
    return {"S": json.dumps(document, ensure_ascii=False, separators=(",", ":"))}


def _package_document(package: PackageRecord) -> dict[str, Any]:
    return {
        "id": package.package_id,
        "tag": package.tag,
        "source": package.source.value,
        "calls": package.calls,
        "delivered_at": rfc3339(package.delivered_at),
        "list_price": str(package.list_price),
        "amount": str(package.amount),
        "payment": {fund.value: str(amount) for fund, amount in package.payment.items()},
        "refundable": package.refundable,
        "blocked": package.blocked,
        "refund": package.refund_id,
    }


def _package(document: Mapping[str, Any]) -> PackageRecord:
    return PackageRecord(
        document["id"],
        document["tag"],
        Source(document["source"]),
        document["calls"],
        datetime.fromisoformat(document["delivered_at"]),
        Decimal(document["list_price"]),
        Decimal(document["amount"]),
        _payment(document["payment"]),
        document["refundable"],
        document["blocked"],
        document["refund"],
    )


def _refund_document(refund: Refund) -> dict[str, Any]:
    return {
        "package": refund.package_id,
        "order": refund.order_id,
        "tag": refund.tag,
        "calls": refund.calls,
        "refunds": {fund.value: str(amount) for fund, amount in refund.refunds.items()},
        "forfeited": str(refund.voucher_forfeited),
        "list_price": str(refund.list_price),
        "delivered_at": rfc3339(refund.delivered_at),
        "requested_at": rfc3339(refund.requested_at),
        "completed_at": refund.completed_at and rfc3339(refund.completed_at),
    }


def _payment(document: Mapping[str, str]) -> dict[Fund, Decimal]:
    return {Fund(fund): Decimal(amount) for fund, amount in document.items()}
