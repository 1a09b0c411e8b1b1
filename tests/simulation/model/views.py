"""What customers must see of an account."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import date, datetime
from functools import cached_property
from typing import Any

from tests.simulation.model.catalog import GUIDE
from tests.simulation.model.money import ALL_FUNDS, Books, cost, money
from tests.simulation.model.prepaid import refund_blocked_by, remaining
from tests.simulation.model.settlement import NOT_CHARGEABLE, Covered, cover, unsettled
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
    """An account at an instant, its unsettled usage covered as it would be now. What nobody asks for is not made."""

    def __init__(self, account: Account, books: Books, now: datetime) -> None:
        """See the account before anything else is done to it."""
        books.release_packages(account, now)
        self._account, self._books, self._now = account, books, now

    @cached_property
    def _covered(self) -> Covered:
        return cover(self._account, unsettled(self._account), self._now)

    @cached_property
    def _used(self) -> dict[str, int]:
        """Calls used of each package."""
        given = self._covered.given
        return {one.package_id: one.used + given[one.package_id] for one in self._account.packages}

    @cached_property
    def account(self) -> dict[str, Any]:
        """As in a view."""
        return account_view(self._account, self._books, self._now)

    @cached_property
    def packages(self) -> dict[str, PackageView]:
        """As in a view."""
        return {one.package_id: self._package(one) for one in self._account.packages if one.delivered <= self._now}

    @cached_property
    def journal(self) -> tuple[EntryView, ...]:
        """As in a view."""
        return journal_of(
            EntryView(stamp(one.at), one.kind, one.fund, money(one.amount), money(one.after))
            for one in self._account.journal
        )

    @property
    def details(self) -> dict[RowKey, DetailView]:
        """As in a view."""
        return self._rows[0]

    @property
    def resources(self) -> dict[RowKey, ResourceView]:
        """As in a view."""
        return self._rows[1]

    @property
    def usage(self) -> dict[tuple[str, str], UsageView]:
        """As in a view."""
        return self._calls[0]

    @property
    def sub_usage(self) -> dict[tuple[str, str, str], tuple[int, int]]:
        """As in a view."""
        return self._calls[1]

    @cached_property
    def entitlements(self) -> dict[str, EntitlementView]:
        """As in a view."""
        return {tag: self._entitlement(tag) for tag in self._tags()}

    @cached_property
    def notices(self) -> tuple[tuple[str, str, tuple[tuple[str, Any], ...]], ...]:
        """As in a view."""
        return tuple(sorted((one.kind, stamp(one.at), one.data) for one in self._account.notices))

    def _package(self, package: Package) -> PackageView:
        """One item of `GET A/packages`."""
        used = self._used[package.package_id]
        return PackageView(
            package.tag,
            package.source,
            package.total,
            used,
            0 if package.refunded else package.total - used,
            stamp(package.delivered),
            stamp(package.ends),
            self._status(package, used),
            refund_blocked_by(self._account, package, used, self._now),
        )

    def _status(self, package: Package, used: int) -> str:
        states = {
            "refunded": package.refunded,
            "exhausted": used == package.total,
            "released": package.released is not None and package.released <= self._now,
            "expired": self._now >= package.ends + SECOND,
        }
        return next((state for state, holds in states.items() if holds), "active")

    @cached_property
    def vouchers(self) -> dict[str, tuple[str, str]]:
        """As in a view."""

        def state(voucher_id: str) -> str:
            voucher = self._account.vouchers[voucher_id]
            if not voucher.remaining:
                return "used"
            return "expired" if self._now >= voucher.expires else "active"

        return {one: (money(known.remaining), state(one)) for one, known in self._account.vouchers.items()}

    @cached_property
    def _rows(self) -> tuple[dict[RowKey, DetailView], dict[RowKey, ResourceView]]:
        details: dict[RowKey, DetailView] = {}
        resources: dict[RowKey, ResourceView] = {}
        for row in self._account.rows:
            assert row.key not in details, row.key
            details[row.key] = DetailView(row.raw, row.deducted, row.quantity, row.uncovered, cost(row.cost))
            if row.key[0] != "precision_difference":
                paid = row.payment.get
                funds = ("cash", "income_transfer", "gift", "voucher")
                resources[row.key] = ResourceView(money(row.amount), *(money(paid(fund, ZERO)) for fund in funds))
        return details, resources

    @cached_property
    def _calls(self) -> tuple[dict[tuple[str, str], UsageView], dict[tuple[str, str, str], tuple[int, int]]]:
        today = day_of(self._now)
        shown: dict[tuple[date, str, str], Counter[str]] = defaultdict(Counter)
        for of, found in self._account.counts.items():
            if of[0] > today - SHOWN_DAYS * DAY:
                shown[of] += found
        for event, how in self._covered.events:
            shown[event.day, event.tag, event.sub_account][how] += 1
        for event in self._account.usage:
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
        account = self._account
        had = {one.tag for one in account.packages if one.delivered <= self._now} | account.tags
        return sorted((had - {"enhanced_uploaded_app", "enhanced_authority_app"}) | {"nfc_document"} & set(GUIDE))

    def _entitlement(self, tag: str) -> EntitlementView:
        account, now = self._account, self._now
        free, paid = (remaining(account, tag, source, self._used, now) for source in ("gift", "purchase"))
        postpaid = account.postpaid_at(now)
        reasons = {
            "released": self._books.released(account, now),
            "violation": account.violated_at(now),
            "stopped": account.owing_stop_at(now),
            "packages_exhausted": not postpaid and not free + paid,
        }
        reason = next((code for code, holds in reasons.items() if holds), None)
        return EntitlementView(reason is None, reason, free, paid, postpaid)

    @cached_property
    def orders(self) -> dict[str, OrderView]:
        """As in a view."""
        account = self._account
        found: dict[str, OrderView] = {}
        for order in account.orders.values():
            view = OrderView("purchase", _order_status(order), money(order.amount), _funds(order.payment))
            found[order.order_id] = view
        for refund in account.refunds.values():
            pays = {fund: -amount for fund, amount in refund.pays.items()}
            amount = money(sum(pays.values(), ZERO))
            found[refund.refund_id] = OrderView("refund", "refunded", amount, _funds(pays))
        return found

    @cached_property
    def refunds(self) -> dict[str, RefundView]:
        """As in a view."""
        found: dict[str, RefundView] = {}
        for refund in self._account.refunds.values():
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
