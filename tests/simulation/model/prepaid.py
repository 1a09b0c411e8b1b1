"""Packages: bought, given, free, given back (D10 to D13, D16, D17, D24 to D26; contract, Orders)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal

from tests.simulation.model.catalog import FREE_AT_OPENING, FREE_CALLS
from tests.simulation.model.money import FEN, Books, paid_by, shares, to_fen
from tests.simulation.model.prices import PriceBook
from tests.simulation.model.settlement import cover, unsettled
from tests.simulation.model.state import (
    ZERO,
    Account,
    Notice,
    Package,
    Payment,
    Refund,
    Row,
    Voucher,
)
from tests.simulation.model.state import Order as Ordered
from tests.simulation.model.times import DAY, SECOND, day_of, gift_end, midnight, purchase_end, stamp
from tests.simulation.steps import Activity, Order

EID = "eid_authority"
PHOTO_V2_FROM = date(2024, 5, 16)
DELIVERY = timedelta(minutes=30)
PROCESSING = timedelta(minutes=3)
WINDOW = 7 * DAY
REFUSALS = {
    "service_not_open": 403,
    "enterprise_verification_required": 403,
    "unknown_sku": 422,
    "voucher_not_applicable": 422,
    "activity_not_applicable": 422,
    "account_in_arrears": 409,
    "account_in_violation": 409,
    "insufficient_balance": 402,
}


def give_free(account: Account, tag: str, moment: datetime) -> None:
    """A free package, half an hour later (D13)."""
    at = moment + DELIVERY
    account.packages.append(Package(f"free:{tag}", tag, "gift", FREE_CALLS, at, gift_end(at)))


def give_at_opening(account: Account) -> None:
    """What the first opening brings."""
    photo = ("photo_v2",) if day_of(account.opened) >= PHOTO_V2_FROM else ()
    for tag in (*FREE_AT_OPENING, *photo):
        give_free(account, tag, account.opened)


class Basket:
    """What an order asks for, at the prices of its moment."""

    def __init__(self, step: Order, account: Account, prices: PriceBook) -> None:
        """Look everything up."""
        self.account, self.step = account, step
        self.day = day_of(step.at)
        self.activity: Activity | None = prices.activities.get(step.activity) if step.activity else None
        self.voucher: Voucher | None = None
        if step.voucher is not None:
            self.voucher = account.vouchers.get(account.voucher_names.get(step.voucher, ""))
        self.skus = [sku for sku, quantity in step.items for _ in range(quantity)]
        self.listed = {sku: prices.offer(sku, self.day) for sku in self.skus}
        rate = self.activity.package_rate if self.activity else Decimal(1)
        self.price = {sku: to_fen((listed or ZERO) * rate) for sku, listed in self.listed.items()}
        self.amount = sum((self.price[sku] for sku in self.skus), ZERO)

    def payment(self) -> Payment:
        """Who pays."""
        return paid_by(self.account, self.amount, self.voucher)

    def refusals(self) -> set[str]:
        """The codes that may refuse it; where several of one status hold, the texts do not say which comes first."""
        account, now = self.account, self.step.at
        tags = {sku.partition(":")[0] for sku in self.skus}
        activity_fits = self.activity is not None and (
            self.activity.first <= self.day < self.activity.until
            and (not self.activity.tags or tags <= set(self.activity.tags))
        )
        voucher_fits = self.voucher is not None and self.voucher.usable("prepaid", self.amount, now)
        holds = {
            "enterprise_verification_required": EID in tags and not account.verified,
            "unknown_sku": None in self.listed.values(),
            "activity_not_applicable": self.step.activity is not None and not activity_fits,
            "voucher_not_applicable": self.step.voucher is not None and not voucher_fits,
            "account_in_arrears": account.available < 0,
            "account_in_violation": account.violated_at(now),
            "insufficient_balance": self.amount - self.payment()["voucher"] > account.available,
        }
        codes = {code for code, refused in holds.items() if refused}
        for status in (403, 422, 409, 402):
            if first := {code for code in codes if REFUSALS[code] == status}:
                if status == 403:
                    first |= codes & {"unknown_sku"}
                return first
        return set()

    def buy(self, order_id: str, delivered: Sequence[tuple[str, str]], books: Books) -> Ordered:
        """Pay and deliver; ``delivered`` has (id, sku) of each package, for ids are the product's."""
        account, now, payment = self.account, self.step.at, self.payment()
        by_id = sorted(delivered)
        parts = shares([self.price[sku] for _, sku in by_id], payment)
        packages: list[Package] = []
        for (package_id, sku), paid in zip(by_id, parts, strict=True):
            tag, _, calls = sku.partition(":")
            package = Package(package_id, tag, "purchase", int(calls), now, purchase_end(now))
            package.paid, package.order_id = paid, order_id
            package.refundable = self.activity is None or self.activity.refundable
            packages.append(package)
            price = self.price[sku]
            key = ("prepay_purchase", package_id, stamp(now))
            account.rows.append(Row(key, 1, 0, 1, 0, price, price, paid))
            data = {"package": package_id, "tag": tag, "total": int(calls), "expires_at": stamp(package.ends)}
            account.notices.append(Notice("package_delivered", now, tuple(sorted(data.items()))))
        account.packages += packages
        order = Ordered(order_id, self.amount, payment, packages)
        account.orders[order_id] = order
        books.book(account, now, "order", payment, self.voucher)
        return order


def used_now(account: Account, now: datetime) -> Mapping[str, int]:
    """What each package has given, unsettled usage included, by its id."""
    given = cover(account, unsettled(account), now).given
    return {package.package_id: package.used + given[package.package_id] for package in account.packages}


def refund_blocked_by(account: Account, package: Package, used: int, now: datetime) -> str | None:
    """The first reason against a refund (D25)."""
    reasons = {
        "already_refunded": package.refunded,
        "not_purchased": package.source != "purchase",
        "account_in_violation": account.violated_at(now),
        "refused_by_operator": package.blocked,
        "activity_not_refundable": not package.refundable,
        "refund_window_passed": now >= midnight(day_of(package.delivered) + WINDOW + DAY),
        "package_used": used > 0,
    }
    return next((code for code, holds in reasons.items() if holds), None)


def complete_refunds(account: Account, now: datetime, books: Books) -> None:
    """What a sweep pays back (D26)."""
    for refund in account.refunds.values():
        if refund.completed is None and refund.requested + PROCESSING <= now:
            _pay_back(account, refund, now, books)


def _pay_back(account: Account, refund: Refund, now: datetime, books: Books) -> None:
    refund.completed = now
    pays = {fund: -amount for fund, amount in refund.pays.items()}
    amount = sum(pays.values(), ZERO)
    key = ("prepay_refund", refund.package.package_id, stamp(now))
    account.rows.append(Row(key, -1, 0, -1, 0, amount, amount, pays))
    data = {
        "refund_id": refund.refund_id,
        "amount": f"{abs(amount).quantize(FEN)}",
        "voucher_forfeited": f"{refund.package.paid.get('voucher', ZERO).quantize(FEN)}",
    }
    account.notices.append(Notice("refund_completed", now, tuple(sorted(data.items()))))
    books.book(account, now, "refund", pays)


def remaining(account: Account, tag: str, source: str, used: Mapping[str, int], now: datetime) -> int:
    """What the packages of a tag have for a call of this moment, stops aside."""
    return sum(
        package.total - used[package.package_id]
        for package in account.packages
        if package.tag == tag
        and package.source == source
        and package.delivered <= now < package.ends + SECOND
        and not package.refunded
        and (package.released is None or now < package.released)
    )
