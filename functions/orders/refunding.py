"""Giving packages back: the quote, the operator's block, and the request (D24 to D26). The timers pay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from aws_platform import clients, failures, keys, problems
from aws_platform.accounts import read_account, read_account_with
from aws_platform.api import Answer, Call, answer
from aws_platform.idempotency import Effect, once, record_keys
from aws_platform.ledger import OutdatedError, transact, up_to_date
from aws_platform.orders import check_seen, order_from_item, order_key, order_replace, package_key, refund_put
from aws_platform.snapshot import Snapshot, change, snapshot_of
from aws_platform.standing import Reader
from aws_platform.tasks import side_by_side
from orders.models import RefundBlock
from orders.views import show_quote, show_refund
from rating import money
from rating.catalog import Catalog, load
from rating.civil import business_instant
from rating.funds import Fund
from rating.orders import Order, PackageRecord, Refund, Refusal, order_of_package, refund_refusal, stamp

if TYPE_CHECKING:
    from aws_platform.reading import Item
    from aws_platform.settings import Settings
    from rating.account import Account

DETAILS = {
    Refusal.ALREADY_REFUNDED: "the package was refunded already",
    Refusal.NOT_PURCHASED: "the package was not bought",
    Refusal.ACCOUNT_IN_VIOLATION: "the service is stopped for a violation",
    Refusal.REFUSED_BY_OPERATOR: "the operator refuses a refund of this package",
    Refusal.ACTIVITY_NOT_REFUNDABLE: "the activity that it was bought in allows no refund",
    Refusal.REFUND_WINDOW_PASSED: "a package can be refunded within seven days",
    Refusal.PACKAGE_USED: "calls have been deducted from the package",
}


@dataclass(frozen=True, slots=True)
class Case:
    """A package, the order that it came with, and its wallet."""

    order: Order
    version: int
    """Of the order, as seen."""
    package: PackageRecord
    snapshot: Snapshot


def package_reads(event: Mapping[str, Any]) -> Sequence[str]:
    """The order and the wallet that the path's package id tells, and the request's own record."""
    keyed = record_keys(event) if "idempotency-key" in (event.get("headers") or {}) else []
    return [*keyed, *_keys_of(_named(event), load())]


def must_exist(call: Call) -> None:
    """Raises Problem 404 `package_not_found` where the path's package is not there: before the body is looked at."""
    package_of(call)


def package_of(call: Call) -> PackageRecord:
    """The path's package, of what `package_reads` had read. Raises Problem 404 `package_not_found`."""
    return _package(call.items, _named(call.event), call.now)[2]


def quote(call: Call, package_id: str) -> Answer:
    """What a refund would pay back now. Raises Problem 404."""
    wanted = _keys_of(package_id, load())

    def read() -> Answer:
        dynamodb, table, account_id = clients.dynamodb(), call.settings.ledger_table, call.account.account_id
        account, items = read_account_with(dynamodb, table, account_id, wanted)
        if account is None:
            raise problems.not_found("account")
        case = _case(account, items, package_id, call.now)
        refusal = _refusal(call.settings, case, call.now)
        # Days that were settled after the account was read are not due any more, and so would not count as use.
        if read_account(dynamodb, table, account_id) != account:
            raise OutdatedError
        return answer(show_quote(case.package, refusal))

    return up_to_date(read)


def request(call: Call, package_id: str) -> Answer:
    """Take the package away at once; the money follows. Raises Problem 404, or 409 with the reason (D25)."""

    def effect(account: Account, items: Mapping[str, Item]) -> Effect:
        case = _case(account, items, package_id, call.now)
        when, table = account.booked_at(business_instant(call.now)), call.settings.ledger_table
        refusal = _refusal(call.settings, case, when)
        if refusal is not None:
            raise problems.conflict(refusal.value, DETAILS[refusal])
        package = case.package
        refund = Refund(
            f"refund-{stamp(account.account_id, when, account.version + 1)}",
            package.package_id,
            case.order.order_id,
            package.tag,
            package.calls,
            package.refunds(),
            package.payment.get(Fund.VOUCHER, money.ZERO),
            package.list_price,
            package.delivered_at,
            when,
        )
        order = case.order.with_package(replace(package, refund_id=refund.refund_id))
        wallet = case.snapshot.wallet(package.tag).without(package.package_id)
        after, writes = change(call.settings, account, account, when, [wallet], order_id=order.order_id)
        writes += [
            order_replace(table, account.account_id, order, after.version, case.version),
            refund_put(table, account.account_id, refund, call.settings.due_shards),
        ]
        return Effect(writes, answer(show_refund(refund), HTTPStatus.ACCEPTED))

    return once(call, effect, _keys_of(package_id, load()))


def block(call: Call, package_id: str, body: RefundBlock) -> Answer:
    """Refuse refunds of a package, or allow them again. Raises Problem 404."""
    dynamodb, table = clients.dynamodb(), call.settings.ledger_table
    account: Account | None = call.account
    items: Mapping[str, Item] = call.items
    blocked = (body.reason or "") if body.blocked else None
    shown = {"package_id": package_id, "blocked": body.blocked, "reason": body.reason if body.blocked else None}
    for attempt in failures.attempts():
        if attempt:
            account, items = read_account_with(dynamodb, table, call.account.account_id, _keys_of(package_id, load()))
        if account is None:
            raise problems.not_found("account")
        order, version, package = _package(items, package_id, call.now)
        if package.blocked == blocked:
            return answer(shown)
        # The account's version is the lock of a request for a refund: it must see the block, or come before it.
        when = account.booked_at(business_instant(call.now))
        after, writes = change(call.settings, account, account, when, order_id=order.order_id)
        blocked_order = order.with_package(replace(package, blocked=blocked))
        writes.append(order_replace(table, account.account_id, blocked_order, after.version, version))
        try:
            transact(dynamodb, writes)
        except (OutdatedError, failures.TryAgainError):
            continue
        return answer(shown)
    raise failures.TryAgainError


def _named(event: Mapping[str, Any]) -> str:
    return str((event.get("pathParameters") or {}).get("package_id"))


def _keys_of(package_id: str, catalog: Catalog) -> list[str]:
    found, came_with = order_of_package(package_id), package_key(package_id)
    if found is None or came_with is None or not 1 <= found[2] <= len(catalog.tags):
        return []
    return [came_with, keys.wallet(catalog.tags[found[2] - 1].code)]


def _package(items: Mapping[str, Item], package_id: str, now: datetime) -> tuple[Order, int, PackageRecord]:
    """The package and its order. Raises Problem 404 `package_not_found`, also before a free one is delivered."""
    item = items.get(package_key(package_id) or "")
    order = order_from_item(item) if item else None
    package = order.package(package_id) if order else None
    if item is None or order is None or package is None or not package.is_delivered(now):
        raise problems.not_found("package")
    return order, int(item["version"]["N"]), package


def _case(account: Account, items: Mapping[str, Item], package_id: str, now: datetime) -> Case:
    order, version, package = _package(items, package_id, now)
    check_seen(account, {order_key(order.order_id): version})
    return Case(order, version, package, snapshot_of(account, items.values(), [keys.wallet(package.tag)]))


def _refusal(settings: Settings, case: Case, now: datetime) -> Refusal | None:
    """The first reason against a refund; the buckets are counted only where nothing else forbids it."""
    account, package = case.snapshot.account, case.package
    stocked = case.snapshot.wallet(package.tag).package(package.package_id)
    # What is not in its wallet was used up, unless it was refunded.
    used = package.calls if stocked is None else stocked.used
    in_violation = account.violation is not None
    refusal = refund_refusal(package, in_violation=in_violation, used=used, now=now)
    if refusal is not None:
        return refusal
    standing = Reader(clients.dynamodb(), settings, load(), side_by_side).counted(case.snapshot, now)
    used += standing.used_since(package.package_id)
    return refund_refusal(package, in_violation=in_violation, used=used, now=now)
