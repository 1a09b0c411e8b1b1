"""What is attacked: the product with two accounts that have something of everything, and who may call it."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

from moto.dynamodb.models import dynamodb_backends

from aws_platform import failures, tasks
from tests.adapters.conftest import InTurn
from tests.adapters.steps import NOW, new_process
from tests.support.product import Product, event
from tests.support.product import product as fresh_product


@dataclass(frozen=True)
class Role:
    """A caller: the scopes of its token, and whose it is."""

    name: str
    scopes: tuple[str, ...] | None
    account_id: str | None = None


OPERATOR = Role("operator", ("billing:admin",))
PRODUCER = Role("producer", ("usage:write",))
CUSTOMER = Role("customer", ("billing:read", "billing:write"), "acct-1")
READER = Role("read-only customer", ("billing:read",), "acct-1")
WRITER = Role("write-only customer", ("billing:write",), "acct-1")
STRANGER = Role("customer of another account", ("billing:read", "billing:write"), "acct-2")
NOBODY = Role("no token", None)
ROLES = (OPERATOR, PRODUCER, CUSTOMER, READER, WRITER, STRANGER, NOBODY)

_WANTED = {"month": "2025-01", "kind": "details", "format": "csv"}
_KEY = {"Idempotency-Key": "stage"}


@dataclass
class Stage:
    """The product, the ids of what `acct-1` has by the names of path parameters, and a state to go back to."""

    product: Product
    ids: dict[str, str] = field(default_factory=lambda: {"account_id": "acct-1", "tag": "identity_check"})
    _items: dict[str, Any] = field(default_factory=dict)

    def set_up(self) -> None:
        """Make the accounts; the ids are those of the second one, which is `acct-1`."""
        product = self.product
        for account_id in ("acct-2", "acct-1"):
            account = f"/v1/accounts/{account_id}"
            product.open_account(account_id, cash="10000.00", opened_at="2025-01-01T00:00:00+08:00")
            product.request("PATCH", account, {"enterprise_verified": True, "contact": {"email": "ops@example.com"}})
            body: dict[str, Any] = {"items": [{"sku": "identity_check:1000", "quantity": 2}]}
            order = product.request("POST", f"{account}/orders", body, headers=_KEY).body
            first, second = (package["package_id"] for package in order["packages"])
            refund = product.request("POST", f"{account}/packages/{first}/refund", {}, headers=_KEY).body
            export = product.request("POST", f"{account}/bills/exports", _WANTED, headers=_KEY).body
            voucher = {"amount": "5.00", "scene": "prepaid"}
            assert product.request("POST", f"{account}/vouchers", voucher, headers=_KEY).status == 201
            hook = product.request("POST", f"{account}/webhooks", {"url": "https://hooks.example.com/a"}).body
            self.ids.update(order_id=order["order_id"], package_id=second, refund_id=refund["refund_id"])
            self.ids.update(export_id=export["export_id"], webhook_id=hook["webhook_id"], activity_id="spring")
            self.ids["transaction_id"] = f"{order['order_id']}-1"
        activity = {"from": "2025-03-01", "package_rate": "0.8"}
        assert product.request("PUT", "/v1/activities/spring", activity).status == 200
        assert product.report([event("acct-1", f"e-{number}", NOW) for number in range(3)]).status == 200
        self._items = {name: copy.deepcopy(table.items) for name, table in self._tables().items()}

    def restore(self) -> None:
        """Everything as it was after `set_up`."""
        for name, table in self._tables().items():
            table.items = copy.deepcopy(self._items[name])
        new_process()

    def _tables(self) -> Mapping[str, Any]:
        region = self.product.dynamodb.meta.region_name
        tables: Mapping[str, Any] = dynamodb_backends["123456789012"][region].tables
        return tables


@contextmanager
def staged() -> Iterator[Stage]:
    """The product on moto, in one thread, without waiting."""
    with (
        fresh_product(NOW) as product,
        mock.patch.object(tasks, "ThreadPoolExecutor", InTurn),
        mock.patch.object(failures, "sleep", return_value=None),
    ):
        stage = Stage(product)
        stage.set_up()
        yield stage
