"""What customers must see of an account."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import date, datetime
from typing import Any

from tests.simulation.model.catalog import GUIDE
from tests.simulation.model.money import ALL_FUNDS, Books, cost, money
from tests.simulation.model.prepaid import refund_blocked_by, remaining
from tests.simulation.model.settlement import NOT_CHARGEABLE, cover, unsettled
from tests.simulation.model.state import FUNDS, ZERO, Account, Order, Package, Payment
from tests.simulation.model.times import DAY, SECOND, day_of, stamp
from tests.simulation.view import (
    DetailView,
    EntitlementView,
    EntryView,
    OrderView,
    PackageView,
    RefundView,
    ResourceView,
    RowKey,
    UsageView,
    View,
    journal_of,
)

SHOWN_DAYS = 40
HOWS = ("free", "paid", "postpaid", "uncovered")


def status_of(account: Account, books: Books, now: datetime) -> str:
    """The status of the account."""
    if books.released(account, now):
        return "released"
    return "stopped" if account.stopped_at(now) else "active"


def account_view(account: Account, books: Books, now: datetime) -> dict[str, Any]:
    """`GET A`."""
    arrears = None
    if account.arrears is not None:
        moments = (account.arrears, books.stops_at(account), books.releases_at(account))
        arrears = tuple(stamp(moment) for moment in moments)
    return {
        "status": status_of(account, books, now),
        "settlement_cycle": "monthly" if account.monthly else "daily",
        "opened_at": stamp(account.opened),
        "postpaid_enabled": account.postpaid_at(now),
        "enterprise_verified": account.verified,
        "violation": account.violated_at(now),
        "arrears": arrears,
        **balance_view(account),
    }


def balance_view(account: Account) -> dict[str, str]:
    """The balance as answers show it."""
    return {"available": money(account.available), **{fund: money(account.funds[fund]) for fund in FUNDS}}


class Seen:
    """An account at an instant, with its unsettled usage covered as it would be now."""

    def __init__(self, account: Account, books: Books, now: datetime) -> None:
        """Cover what is open."""
        books.release_packages(account, now)
        self.account, self.books, self.now = account, books, now
        self.covered = cover(account, unsettled(account), now)
        given = self.covered.given
        self.used = {one.package_id: one.used + given[one.package_id] for one in account.packages}

    def view(self) -> View:
        """All of it."""
        account = self.account
        usage, sub_usage = self._usage()
        details, resources = self._rows()
        return View(
            account=account_view(account, self.books, self.now),
            packages={one.package_id: self.package(one) for one in account.packages if one.delivered <= self.now},
            vouchers=self._vouchers(),
            journal=journal_of(
                EntryView(stamp(one.at), one.kind, one.fund, money(one.amount), money(one.after))
                for one in account.journal
            ),
            details=details,
            resources=resources,
            usage=usage,
            sub_usage=sub_usage,
            entitlements={tag: self._entitlement(tag) for tag in self._tags()},
            orders=self._orders(),
            refunds=self._refunds(),
            notices=tuple(sorted((one.kind, stamp(one.at), one.data) for one in account.notices)),
        )

    def package(self, package: Package) -> PackageView:
        """One item of `GET A/packages`."""
        used = self.used[package.package_id]
        return PackageView(
            package.tag,
            package.source,
            package.total,
            used,
            0 if package.refunded else package.total - used,
            stamp(package.delivered),
            stamp(package.ends),
            self._status(package, used),
            refund_blocked_by(self.account, package, used, self.now),
        )

    def _status(self, package: Package, used: int) -> str:
        states = {
            "refunded": package.refunded,
            "exhausted": used == package.total,
            "released": package.released is not None and package.released <= self.now,
            "expired": self.now >= package.ends + SECOND,
        }
        return next((state for state, holds in states.items() if holds), "active")

    def _vouchers(self) -> dict[str, tuple[str, str]]:
        def state(voucher_id: str) -> str:
            voucher = self.account.vouchers[voucher_id]
            if not voucher.remaining:
                return "used"
            return "expired" if self.now >= voucher.expires else "active"

        return {one: (money(known.remaining), state(one)) for one, known in self.account.vouchers.items()}

    def _rows(self) -> tuple[dict[RowKey, DetailView], dict[RowKey, ResourceView]]:
        details: dict[RowKey, DetailView] = {}
        resources: dict[RowKey, ResourceView] = {}
        for row in self.account.rows:
            assert row.key not in details, row.key
            details[row.key] = DetailView(row.raw, row.deducted, row.quantity, row.uncovered, cost(row.cost))
            if row.key[0] != "precision_difference":
                paid = row.payment.get
                funds = ("cash", "income_transfer", "gift", "voucher")
                resources[row.key] = ResourceView(money(row.amount), *(money(paid(fund, ZERO)) for fund in funds))
        return details, resources

    def _usage(self) -> tuple[dict[tuple[str, str], UsageView], dict[tuple[str, str, str], tuple[int, int]]]:
        today = day_of(self.now)
        shown: dict[tuple[date, str, str], Counter[str]] = defaultdict(Counter)
        for of, found in self.account.counts.items():
            if of[0] > today - SHOWN_DAYS * DAY:
                shown[of] += found
        for event, how in self.covered.events:
            shown[event.day, event.tag, event.sub_account][how] += 1
        for event in self.account.usage:
            if not event.charged:
                shown[event.day, event.tag, event.sub_account][NOT_CHARGEABLE] += 1
        sums: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        subs: dict[tuple[str, str, str], tuple[int, int]] = {}
        for (day, tag, sub_account), found in shown.items():
            if today - SHOWN_DAYS * DAY < day <= today:
                sums[day.isoformat(), tag] += found
                subs[day.isoformat(), tag, sub_account] = (sum(found[how] for how in HOWS), found[NOT_CHARGEABLE])
        usage = {
            key: UsageView(sum(found[how] for how in HOWS), found[NOT_CHARGEABLE], *(found[how] for how in HOWS))
            for key, found in sums.items()
        }
        return usage, subs

    def _tags(self) -> list[str]:
        """The tags that the account has had to do with, and one that it has not."""
        account = self.account
        had = {one.tag for one in account.packages if one.delivered <= self.now} | account.tags
        return sorted((had - {"enhanced_uploaded_app", "enhanced_authority_app"}) | {"nfc_document"} & set(GUIDE))

    def _entitlement(self, tag: str) -> EntitlementView:
        account, now = self.account, self.now
        free, paid = (remaining(account, tag, source, self.used, now) for source in ("gift", "purchase"))
        postpaid = account.postpaid_at(now)
        reasons = {
            "released": self.books.released(account, now),
            "violation": account.violated_at(now),
            "stopped": account.owing_stop_at(now),
            "packages_exhausted": not postpaid and not free + paid,
        }
        reason = next((code for code, holds in reasons.items() if holds), None)
        return EntitlementView(reason is None, reason, free, paid, postpaid)

    def _orders(self) -> dict[str, OrderView]:
        account = self.account
        found: dict[str, OrderView] = {}
        for order in account.orders.values():
            view = OrderView("purchase", _order_status(order), money(order.amount), _funds(order.payment))
            found[order.order_id] = view
        for refund in account.refunds.values():
            pays = {fund: -amount for fund, amount in refund.pays.items()}
            amount = money(sum(pays.values(), ZERO))
            found[refund.refund_id] = OrderView("refund", "refunded", amount, _funds(pays))
        return found

    def _refunds(self) -> dict[str, RefundView]:
        found: dict[str, RefundView] = {}
        for refund in self.account.refunds.values():
            pays = refund.pays
            found[refund.refund_id] = RefundView(
                refund.package.package_id,
                "processing" if refund.completed is None else "completed",
                money(sum(pays.values(), ZERO)),
                (money(pays["cash"]), money(pays["income_transfer"]), money(pays["gift"])),
                money(refund.package.paid.get("voucher", ZERO)),
                stamp(refund.requested),
                None if refund.completed is None else stamp(refund.completed),
            )
        return found


def _order_status(order: Order) -> str:
    back = sum(package.refunded for package in order.packages)
    if back == len(order.packages):
        return "refunded"
    return "partly_refunded" if back else "delivered"


def _funds(payment: Payment) -> tuple[str, str, str, str]:
    voucher, gift, income, cash = (money(payment.get(fund, ZERO)) for fund in ALL_FUNDS)
    return voucher, gift, income, cash
