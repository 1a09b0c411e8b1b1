"""Gifts that the operator grants."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING

from aws_platform import clients, keys, problems
from aws_platform.api import Answer, Call, answer
from aws_platform.idempotency import Effect, once
from aws_platform.orders import order_put
from aws_platform.price_book import read_catalog
from aws_platform.problems import FieldError
from aws_platform.snapshot import change, snapshot_of
from orders.models import NewGrant
from orders.purchase import check_room, without_ended
from orders.views import show_package
from rating.allocation import Source
from rating.civil import business_instant
from rating.orders import Order, PackageRecord, order_id, package_id, stamp

if TYPE_CHECKING:
    from aws_platform.reading import Item
    from rating.account import Account


def grant(call: Call, body: NewGrant) -> Answer:
    """Give a package, once per key. Raises Problem 422 for an unknown tag, 409 `too_many_packages`."""
    catalog = read_catalog(clients.dynamodb(), call.settings.ledger_table)
    if not catalog.has_tag(body.tag):
        raise problems.invalid_request(FieldError("tag", "there is no such tag"))
    tag = catalog.tag(body.tag)
    wallet_key = keys.wallet(tag.code)

    def effect(account: Account, items: Mapping[str, Item]) -> Effect:
        snapshot = snapshot_of(account, items.values(), [wallet_key])
        when, table = account.booked_at(business_instant(call.now)), call.settings.ledger_table
        snapshot, ended = without_ended(table, snapshot, when)
        check_room(snapshot, [tag.code])
        order_stamp = stamp(account.account_id, when, account.version + 1)
        given = PackageRecord(
            package_id(Source.GIFT, order_stamp, tag.number, 1), tag.code, Source.GIFT, body.calls, when
        )
        order = Order(order_id(Source.GIFT, order_stamp), when, (given,), reason=body.reason)
        wallets = snapshot.stocked(order.packages)
        after, writes = change(call.settings, account, account, when, wallets, order_id=order.order_id)
        writes += [order_put(table, account.account_id, order, after.version), *ended]
        shown = show_package(catalog, after, order, given, used=0, now=when)
        return Effect(writes, answer(shown, HTTPStatus.CREATED))

    return once(call, effect, [wallet_key])
