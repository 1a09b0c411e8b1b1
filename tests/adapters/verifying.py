"""A day with a bit of everything, settled, and what falsifies it: for the tests of the verification."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import Any

from aws_platform import keys, records
from aws_platform.archive_reading import folder
from aws_platform.bills import bill_from_item, bill_to_item
from rating.bill import Bill, BilledCharge, BilledLine
from tests.adapters.prepaid import give
from tests.adapters.steps import A
from tests.support.product import TABLES, Product, event, events

DAY = "2025-03-01"
LIVED = "verification: a settled day"
PHONE = {"interface": "api.phone_2e"}


def live(product: Product) -> None:
    """A day with a gift that does not suffice, a switch, a discount, a voucher and gift money; and its run."""
    key = {"Idempotency-Key": "k"}
    product.open_account("acct-1", cash="1000.00", opened_at="2025-01-01T00:00:00+08:00")
    assert product.top_up("acct-1", "1.50", "gift").status == 201
    assert product.request("PUT", f"{A}/discounts/phone_two_factor", {"rate": "0.9", "from": DAY}).status == 200
    voucher = {"amount": "2.00", "scene": "postpaid"}
    assert product.request("POST", f"{A}/vouchers", voucher, headers=key).status == 201
    give(product, 20)
    product.report(events("acct-1", 15, f"{DAY}T10:00:00+08:00", prefix="morning"))
    product.move(f"{DAY}T12:00:00+08:00")
    assert product.request("PATCH", A, {"postpaid_enabled": False}).status == 200
    product.move(f"{DAY}T12:10:00+08:00")
    assert product.request("PATCH", A, {"postpaid_enabled": True}).status == 200
    noon = [event("acct-1", "noon", f"{DAY}T12:05:00+08:00"), event("acct-1", "bad", f"{DAY}T12:05:00+08:00", code="9")]
    product.report(noon + events("acct-1", 15, f"{DAY}T12:10:00+08:00", prefix="later"))
    product.report(events("acct-1", 7, f"{DAY}T12:10:00+08:00", prefix="phone", **PHONE))
    product.move("2025-03-02T09:30:00+08:00")


def lived(product: Product, known: dict[str, list[Any]]) -> None:
    """Live through the day; from the second time on by putting back what the first time left."""
    if LIVED not in known:
        live(product)
        known[LIVED] = [product.dynamodb.scan(TableName=table)["Items"] for table in TABLES.values()]
        known[LIVED].append(product.archive.packs())
        return
    *items, packs = known[LIVED]
    for table, stored in zip(TABLES.values(), items, strict=True):
        for item in stored:
            product.dynamodb.put_item(TableName=table, Item=item)
    for number, pack in enumerate(packs):
        lay(product, pack, f"kept-{number}")
    product.now = product.now.fromisoformat("2025-03-02T09:30:00+08:00")


def lay(product: Product, pack: dict[str, Any], name: str) -> None:
    """Put a pack into the archive where it belongs."""
    place = folder(date.fromisoformat(pack["day"]), pack["account_hash"])
    product.archive.lay(f"{place}{name}", json.dumps(pack, separators=(",", ":")).encode() + b"\n")


def rewrite(product: Product, table: str, prefix: str, change: Callable[[Any], None], attribute: str) -> None:
    """Change the JSON document of the one item whose sort key begins so."""
    (item,) = [one for one in product.dynamodb.scan(TableName=table)["Items"] if one["sk"]["S"].startswith(prefix)]
    document = json.loads(item[attribute]["S"])
    change(document)
    item[attribute] = {"S": json.dumps(document)}
    product.dynamodb.put_item(TableName=table, Item=item)


def falsify(product: Product, change: Callable[[Bill], Bill]) -> None:
    """Put another bill in the place of the day's."""
    (item,) = [one for one in product.dynamodb.scan(TableName="ledger")["Items"] if one["sk"]["S"].startswith("B#")]
    product.dynamodb.put_item(TableName="ledger", Item=bill_to_item("acct-1", change(bill_from_item(item))))


def charge_of(bill: Bill, tag: str, change: Callable[[BilledCharge], BilledCharge]) -> Bill:
    """The bill with another charge for a tag."""
    return replace(bill, charges=tuple(change(one) if one.tag == tag else one for one in bill.charges))


def line_of(bill: Bill, tag: str, change: Callable[[BilledLine], BilledLine]) -> Bill:
    """The bill with another line for a tag."""
    return charge_of(bill, tag, lambda charge: replace(charge, lines=tuple(map(change, charge.lines))))


def take_record(product: Product, number: int = 1) -> None:
    """Take the last records out of the day's first bucket, and leave the counts beside them as they were."""
    pk = keys.usage_day("acct-1", date.fromisoformat(DAY))
    stored = product.dynamodb.query(
        TableName="usage", KeyConditionExpression="pk = :pk", ExpressionAttributeValues={":pk": {"S": pk}}
    )
    first, *_ = stored["Items"]
    first["r"] = {"B": first["r"]["B"][: -number * records.RECORD_BYTES]}
    product.dynamodb.put_item(TableName="usage", Item=first)


def entries(product: Product) -> list[str]:
    """The places in the index of days to verify."""
    found = product.dynamodb.scan(TableName="usage")["Items"]
    return sorted(one["due_sk"]["S"] for one in found if one.get("due_pk", {"S": ""})["S"].startswith("verify#"))
