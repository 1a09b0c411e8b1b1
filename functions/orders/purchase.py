"""Buying packages: everything that an order does is one transaction (D10, D16, D17)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from aws_platform import bills, clients, keys, problems
from aws_platform.api import Answer, Call, answer
from aws_platform.edge import peek
from aws_platform.idempotency import Effect, once, record_keys
from aws_platform.ledger import journal_put
from aws_platform.orders import order_put, retire
from aws_platform.price_book import ACTIVITIES_KEY, PRICES_KEY, activities_from_item, catalog_from_item
from aws_platform.problems import FieldError, Problem
from aws_platform.reading import Item, batch_get
from aws_platform.snapshot import Snapshot, change, snapshot_of, spend
from orders.models import MAX_PACKAGES, NewOrder
from orders.views import show_order
from rating import money
from rating.account import Account, Stage
from rating.allocation import Source
from rating.bill import Bill, TransactionType, bill_of_day, single_charge
from rating.catalog import Catalog, PackageOffer
from rating.civil import business_instant, day_of
from rating.edges import delivered
from rating.funds import pay
from rating.orders import Order, PackageRecord, order_id, package_id, paid, resource_of, stamp
from rating.pricing import FULL_RATE, AppliedPrice
from rating.vouchers import Scene, Voucher

if TYPE_CHECKING:
    from rating.activities import Activity

EID_TAG = "eid_authority"
"""Only for enterprises (D13)."""
MAX_WALLET_PACKAGES = 1000
"""Packages of one tag that are not used up: their wallet is one item."""


_ROOM = 10
"""Ended packages that a transaction takes along: with twenty wallets there is room for no more."""


@dataclass(frozen=True, slots=True)
class Shelf:
    """What is on sale today."""

    catalog: Catalog
    activities: Mapping[str, Activity]


@dataclass(frozen=True, slots=True)
class Basket:
    """What is ordered, piece by piece, and on which terms."""

    offers: tuple[PackageOffer, ...]
    activity: Activity | None

    @property
    def rate(self) -> Decimal:
        """What is paid of the list price."""
        return self.activity.package_rate if self.activity else FULL_RATE

    def price(self, offer: PackageOffer) -> Decimal:
        """What one piece costs, in whole fen."""
        return money.round_to_fen(offer.price * self.rate)

    @property
    def amount(self) -> Decimal:
        """What all of it costs."""
        return sum((self.price(offer) for offer in self.offers), money.ZERO)


def order_reads(event: Mapping[str, Any]) -> Sequence[str]:
    """What an order needs to know of its account, as far as a body can be read that nobody has checked yet."""
    try:
        body = NewOrder.model_validate(peek(event))
    except ValueError:
        return record_keys(event)
    return [*record_keys(event), *parts_of(body)]


def may_order(call: Call) -> None:
    """Raises Problem 403 `service_not_open`, or `enterprise_verification_required` for an E证通 package (D13).

    A request that has succeeded is answered again, whatever has become of the account since.
    """
    if any(key in call.items for key in record_keys(call.event)):
        return
    if call.account.stage is not Stage.OPENED:
        raise Problem(HTTPStatus.FORBIDDEN, "service_not_open", "the service is not open")
    items = peek(call.event).get("items")
    skus = [item.get("sku") for item in items if isinstance(item, dict)] if isinstance(items, list) else []
    if not call.account.enterprise_verified and any(str(sku).partition(":")[0] == EID_TAG for sku in skus):
        raise _only_for_enterprises()


def parts_of(body: NewOrder) -> list[str]:
    """Sort keys of the parts that an order may change. What no tag or voucher can be called is not asked for."""
    tags = dict.fromkeys(item.sku.partition(":")[0] for item in body.items)
    wanted = [keys.wallet(tag) for tag in tags]
    return wanted if body.voucher_id is None else [*wanted, f"{keys.VOUCHER_PREFIX}{body.voucher_id}"]


def place(call: Call, body: NewOrder) -> Answer:
    """Buy packages, once per key. Raises Problem 402, 403, 409 or 422 as the contract says; nothing happens then."""
    shelf = _shelf(call)
    parts = parts_of(body)

    def effect(account: Account, items: Mapping[str, Item]) -> Effect:
        snapshot = snapshot_of(account, items.values(), parts)
        when = account.booked_at(business_instant(call.now))
        basket = fill(shelf, body, when)
        if EID_TAG in {offer.tag for offer in basket.offers} and not account.enterprise_verified:
            raise _only_for_enterprises()
        voucher = _voucher(snapshot, body.voucher_id, basket.amount, when)
        check_may_order(account)
        snapshot, ended = without_ended(call.settings.ledger_table, snapshot, when)
        check_room(snapshot, [offer.tag for offer in basket.offers])
        made = deliver(call, shelf.catalog, snapshot, basket, voucher, when)
        return Effect([*made.items, *ended], made.answer)

    return once(call, effect, parts)


def fill(shelf: Shelf, body: NewOrder, when: datetime) -> Basket:
    """Look everything up. Raises Problem 422 `unknown_sku`, `invalid_request` or `activity_not_applicable`."""
    if sum(item.quantity for item in body.items) > MAX_PACKAGES:
        raise problems.invalid_request(FieldError("items", f"at most {MAX_PACKAGES} packages an order"))
    day = day_of(when)
    offers: list[PackageOffer] = []
    for number, item in enumerate(body.items):
        offer = _offer(shelf.catalog, item.sku, when)
        if offer is None:
            raise Problem(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                "unknown_sku",
                "a package of the order is not on sale",
                [FieldError(f"items.{number}.sku", "is not on sale")],
            )
        offers += [offer] * item.quantity
    activity = None
    if body.activity_id is not None:
        activity = shelf.activities.get(body.activity_id)
        if activity is None or not activity.applies(day, {offer.tag for offer in offers}):
            raise Problem(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                "activity_not_applicable",
                "the activity does not hold today for everything that is ordered",
            )
    return Basket(tuple(offers), activity)


def check_may_order(account: Account) -> None:
    """Raises Problem 409 where the account's state forbids orders (D17, D22)."""
    if account.violation is not None:
        raise problems.conflict("account_in_violation", "the service is stopped for a violation")
    if account.arrears is not None:
        raise problems.conflict("account_in_arrears", "the balance is below zero")


def deliver(
    call: Call, catalog: Catalog, snapshot: Snapshot, basket: Basket, voucher: Voucher | None, when: datetime
) -> Effect:
    """Pay and deliver. Raises Problem 402 `insufficient_balance`."""
    account, table, amount = snapshot.account, call.settings.ledger_table, basket.amount
    by_voucher = voucher.pays(amount) if voucher else money.ZERO
    if amount - by_voucher > account.funds.available:
        raise Problem(
            HTTPStatus.PAYMENT_REQUIRED, "insufficient_balance", "the balance does not suffice; nothing was ordered"
        )
    payment = account.funds.payment_of(amount, by_voucher)
    funds, movements = pay(account.funds, amount - by_voucher)
    order_stamp = stamp(account.account_id, when, account.version + 1)
    pieces = [
        PackageRecord(
            package_id(Source.PURCHASE, order_stamp, catalog.tag(offer.tag).number, number),
            offer.tag,
            Source.PURCHASE,
            offer.calls,
            when,
            offer.price,
            basket.price(offer),
            refundable=basket.activity is None or basket.activity.refundable,
        )
        for number, offer in enumerate(basket.offers, start=1)
    ]
    order = Order(
        order_id(Source.PURCHASE, order_stamp),
        when,
        paid(pieces, payment),
        basket.activity.activity_id if basket.activity else None,
        voucher.voucher_id if voucher else None,
    )
    spending = spend(table, account.account_id, voucher, by_voucher)
    after, items = change(
        call.settings,
        account,
        account.with_funds(funds, when),
        when,
        [*snapshot.stocked(order.packages), *spending.left],
        spending.removed,
        order_id=order.order_id,
        notices=[delivered(one.tag, one.in_wallet(), order.order_id) for one in order.packages],
    )
    items += [
        order_put(table, account.account_id, order, after.version),
        bills.bill_put(table, account.account_id, _bill(order, after.version, basket.rate)),
        journal_put(table, after, when, "order", order.order_id, [*spending.movements, *movements]),
        *spending.items,
    ]
    return Effect(items, answer(show_order(order, catalog), HTTPStatus.CREATED))


def without_ended(table: str, snapshot: Snapshot, when: datetime) -> tuple[Snapshot, list[dict[str, Any]]]:
    """The snapshot without packages that ended long ago, and the transaction items that remember what they had used.

    Only for a transaction that writes all wallets of the snapshot.
    """
    wallets, items = retire(table, snapshot.account.account_id, snapshot.wallets.values(), when, _ROOM)
    return replace(snapshot, wallets={wallet.tag: wallet for wallet in wallets}), items


def _only_for_enterprises() -> Problem:
    return Problem(HTTPStatus.FORBIDDEN, "enterprise_verification_required", "E证通 is for enterprises")


def _shelf(call: Call) -> Shelf:
    table = call.settings.ledger_table
    places = [(table, key["pk"]["S"], key["sk"]["S"]) for key in (PRICES_KEY, ACTIVITIES_KEY)]
    found = batch_get(clients.dynamodb(), places)
    prices, activities = (found.get((pk, sk)) for _, pk, sk in places)
    return Shelf(catalog_from_item(prices), activities_from_item(activities))


def _offer(catalog: Catalog, sku: str, when: datetime) -> PackageOffer | None:
    tag = sku.partition(":")[0]
    offers = catalog.package_offers(tag, day_of(when)) if catalog.has_tag(tag) else ()
    return next((offer for offer in offers if offer.sku == sku), None)


def _voucher(snapshot: Snapshot, voucher_id: str | None, amount: Decimal, when: datetime) -> Voucher | None:
    if voucher_id is None:
        return None
    voucher = next((one for one in snapshot.vouchers if one.voucher_id == voucher_id), None)
    if voucher is None or not voucher.fits(Scene.PREPAID, amount, when):
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY, "voucher_not_applicable", "the voucher cannot pay for this order"
        )
    return voucher


def check_room(snapshot: Snapshot, tags: Sequence[str]) -> None:
    """Raises Problem 409 `too_many_packages` where a wallet has no room for the packages of these tags, a tag each."""
    for tag in dict.fromkeys(tags):
        if len(snapshot.wallet(tag).packages) + tags.count(tag) > MAX_WALLET_PACKAGES:
            raise problems.conflict("too_many_packages", f"at most {MAX_WALLET_PACKAGES} packages of a tag at a time")


def _bill(order: Order, version: int, rate: Decimal) -> Bill:
    """One row a piece."""
    charges = tuple(
        single_charge(
            package.tag,
            day_of(order.created_at),
            1,
            AppliedPrice(package.amount, package.list_price, rate),
            package.payment,
            resource_of(package.package_id, package.calls, package.delivered_at),
        )
        for package in order.packages
    )
    bill = bill_of_day(order.order_id, version, TransactionType.PREPAY_PURCHASE, order.created_at, charges)
    return replace(bill, order_id=order.order_id, voucher_id=order.voucher_id)
