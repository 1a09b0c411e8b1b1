"""What the tests of packages do again and again: buy, give, give back, and look."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import pytest
from moto.dynamodb.models import dynamodb_backends

from aws_platform import clients
from tests.adapters.steps import A, post_usage, rows
from tests.support.product import CUSTOMER, TABLES, Product, Reply, events

TAG = "identity_check"
"""Costs 0.30 a call; 1,000 calls 300.00, 10,000 calls 2,800.00; no free package."""
SKU = "identity_check:1000"
OPENED = "2025-01-01T00:00:00+08:00"
MONTHLY_OPENED = "2022-06-01T00:00:00+08:00"
FUNDS = ("voucher", "gift", "income_transfer", "cash")


def order(
    product: Product,
    items: Any,
    key: str | None = None,
    account_id: str = "acct-1",
    **more: Any,
) -> Reply:
    """POST A/orders as the customer; a new key unless one is given."""
    body = {"items": items, **more}
    headers = {"Idempotency-Key": key or f"{product.now.isoformat()}-{len(rows_of_orders(product, account_id))}"}
    return product.request("POST", f"/v1/accounts/{account_id}/orders", body, CUSTOMER, account_id, headers)


def rows_of_orders(product: Product, account_id: str = "acct-1") -> list[dict[str, Any]]:
    """All orders and refunds."""
    return rows(product, f"/v1/accounts/{account_id}/orders")


def buy(product: Product, sku: str = SKU, quantity: int = 1, **more: Any) -> list[str]:
    """Buy some pieces of one package; their ids."""
    reply = order(product, [{"sku": sku, "quantity": quantity}], **more)
    assert reply.status == 201, reply.text
    return [package["package_id"] for package in reply.body["packages"]]


def give(product: Product, calls: int, tag: str = TAG, key: str | None = None) -> str:
    """Grant a gift as the operator; its id."""
    headers = {"Idempotency-Key": key or f"{product.now.isoformat()}-{calls}-{len(packages(product))}"}
    body = {"tag": tag, "calls": calls, "reason": "a gift"}
    reply = product.request("POST", f"{A}/packages", body, headers=headers)
    assert reply.status == 201, reply.text
    package_id: str = reply.body["package_id"]
    return package_id


def give_back(product: Product, package_id: str, key: str = "refund", account_id: str = "acct-1") -> Reply:
    """POST A/packages/{id}/refund as the customer."""
    path = f"/v1/accounts/{account_id}/packages/{package_id}/refund"
    return product.request("POST", path, {}, CUSTOMER, account_id, {"Idempotency-Key": f"{key}-{package_id}"})


def quote(product: Product, package_id: str) -> dict[str, Any]:
    """GET A/packages/{id}/refund-quote."""
    reply = product.get(f"{A}/packages/{package_id}/refund-quote")
    assert reply.status == 200, reply.text
    found: dict[str, Any] = reply.body
    return found


def packages(product: Product, **query: str) -> list[dict[str, Any]]:
    """GET A/packages."""
    return rows(product, f"{A}/packages", **query)


def left(product: Product) -> dict[str, int]:
    """What is left of each package, by id."""
    return {package["package_id"]: package["remaining"] for package in packages(product)}


def package_days(product: Product, package_id: str) -> dict[str, int]:
    """GET A/packages/{id}/usage: calls by day."""
    return {row["day"]: row["calls"] for row in rows(product, f"{A}/packages/{package_id}/usage")}


def entitlement(product: Product, tag: str = TAG, account_id: str = "acct-1") -> dict[str, Any]:
    """GET A/entitlements/{tag} as the metering gateway."""
    reply = product.request("GET", f"/v1/accounts/{account_id}/entitlements/{tag}", scopes=("usage:write",))
    assert reply.status == 200, reply.text
    found: dict[str, Any] = reply.body
    return found


def postpaid(product: Product, *, on: bool) -> None:
    """Switch postpaid, as the customer."""
    reply = product.request("PATCH", A, {"postpaid_enabled": on}, CUSTOMER, "acct-1")
    assert reply.status == 200, reply.text


def voucher(product: Product, amount: str, scene: str = "prepaid", account_id: str = "acct-1", **more: Any) -> str:
    """Issue a voucher as the operator; its id."""
    known = len(rows(product, f"/v1/accounts/{account_id}/vouchers"))
    headers = {"Idempotency-Key": f"{product.now.isoformat()}-{known}"}
    body = {"amount": amount, "scene": scene, **more}
    reply = product.request("POST", f"/v1/accounts/{account_id}/vouchers", body, headers=headers)
    assert reply.status == 201, reply.text
    voucher_id: str = reply.body["voucher_id"]
    return voucher_id


def vouchers(product: Product) -> dict[str, tuple[str, str]]:
    """(what is left, status) of each voucher, by id."""
    return {one["voucher_id"]: (one["remaining"], one["status"]) for one in rows(product, f"{A}/vouchers")}


def use(product: Product, number: int, time: str, prefix: str | None = None, **fields: Any) -> None:
    """So many calls at an instant, reported in batches; the stream follows."""
    batch = events("acct-1", number, time, prefix or f"{time}-{number}", **fields)
    for start in range(0, number, 1000):
        reply = post_usage(product, batch[start : start + 1000])
        taken = reply.body["accepted"] + reply.body["not_chargeable"]
        assert taken == min(1000, number - start), reply.text
    product.stream()


def split(product: Product, day: str, **query: str) -> tuple[int, int, int, int]:
    """(free, paid, postpaid, uncovered) of the calls of a day, which add up to them."""
    found = rows(product, f"{A}/usage", by="day", from_=day, to=day, **query)
    if not found:
        return (0, 0, 0, 0)
    (row,) = found
    parts = (row["free"], row["paid"], row["postpaid"], row["uncovered"])
    assert sum(parts) == row["calls"]
    return parts


def payment(shown: Mapping[str, str]) -> tuple[Decimal | int, ...]:
    """What each fund paid: voucher, gift, income transfer, cash."""
    return tuple(Decimal(shown[fund]) for fund in FUNDS)


def journal(product: Product) -> list[tuple[str, str, str]]:
    """(kind, fund, amount) of every movement."""
    return [(entry["kind"], entry["fund"], entry["amount"]) for entry in rows(product, f"{A}/journal")]


def books_agree(product: Product, months: Sequence[str]) -> None:
    """By date of the charge: details and the row that closes = resources = journal; and the journal = the funds."""
    entries = rows(product, f"{A}/journal")
    for month in months:
        bills = {
            kind: product.get(f"{A}/bills/{kind}", month=month, basis="charge", limit="1000").body
            for kind in ("resources", "details")
        }
        of_month = [one for one in entries if one["occurred_at"].startswith(month) and one["kind"] != "top_up"]
        for fund in FUNDS:
            moved = -sum((Decimal(one["amount"]) for one in of_month if one["fund"] == fund), Decimal(0))
            for bill in bills.values():
                assert Decimal(bill["totals"][fund]) == moved, (month, fund)
        deducted = Decimal(bills["resources"]["totals"]["total_cost"])
        assert deducted == -sum((Decimal(one["amount"]) for one in of_month), Decimal(0))
        if any(row["transaction_type"] == "precision_difference" for row in bills["details"]["items"]):
            assert Decimal(bills["details"]["totals"]["total_cost"]) == deducted
    funds = product.get(A).body["balance"]
    for fund in FUNDS[1:]:
        last = [one["balance_after"] for one in entries if one["fund"] == fund]
        moved = sum((Decimal(one["amount"]) for one in entries if one["fund"] == fund), Decimal(0))
        assert Decimal(funds[fund]) == moved == Decimal(last[-1] if last else "0")


def details_quantities(product: Product, *months: str) -> list[dict[str, Any]]:
    """The lines of usage of some months, by usage day."""
    return [
        line
        for month in months
        for line in rows(product, f"{A}/bills/details", month=month, mode="postpaid")
        if line["tag"]
    ]


CALLS = ("get_item", "query", "batch_get_item", "transact_write_items")


class Interrupted:
    """Lets something happen just before one of the calls of DynamoDB that a request makes."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.calls = 0
        self.at: int | None = None
        self.happening = False
        self.what: Callable[[], None] = lambda: None
        client = clients.dynamodb()
        for name in CALLS:
            patch.setattr(client, name, self._wrapped(getattr(client, name)))

    def start(self, at: int) -> None:
        """From here on, before the call of this number, counted from 0."""
        self.calls, self.at = 0, at

    def stop(self) -> None:
        """Nothing happens any more."""
        self.at = None

    def _wrapped(self, read: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(**request: Any) -> Any:
            if not self.happening:
                if self.calls == self.at:
                    self.happening = True
                    self.what()
                    self.happening = False
                self.calls += 1
            return read(**request)

        return wrapped


def everything(product: Product) -> dict[str, list[Any]]:
    """What the tables hold."""
    return {name: product.dynamodb.scan(TableName=name)["Items"] for name in TABLES.values()}


def put_back(product: Product, stored: Mapping[str, list[Any]]) -> None:
    """Have the tables hold this and nothing else."""
    for backend in dynamodb_backends["123456789012"].values():
        for table in backend.tables.values():
            table.items.clear()
    for name, items in stored.items():
        for item in items:
            product.dynamodb.put_item(TableName=name, Item=item)
