"""Reading packages, orders and refunds. What is left of a package is live: usage that is not settled yet counts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from aws_platform import bills, keys, problems
from aws_platform.ledger import with_prefix
from aws_platform.orders import check_seen, ended_from_item, order_from_item, order_key, refund_from_item
from aws_platform.snapshot import Snapshot, read_snapshot
from aws_platform.standing import Reader, Standing
from orders.views import show_order, show_package, show_refund_order
from rating.civil import day_of
from rating.orders import Order, PackageRecord, Refund

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from aws_platform.settings import Settings
    from rating.account import Account
    from rating.catalog import Catalog


_LONGEST = 100
"""Characters, more than a sort key of an order or refund has."""


def _made(made_id: str) -> str:
    """What puts the ids of a second into the order in which they were made: all after the kind, a stamp first."""
    return made_id.partition("-")[2]


@dataclass(frozen=True, slots=True)
class Filter:
    """Which packages are wanted; None is all."""

    tag: str | None = None
    source: str | None = None
    status: str | None = None

    def take(self, shown: Mapping[str, Any]) -> bool:
        """Whether a package is wanted."""
        wanted = {"tag": self.tag, "source": self.source, "status": self.status}
        return all(value in {None, shown[name]} for name, value in wanted.items())


@dataclass(frozen=True, slots=True)
class Shop:
    """One account's orders, refunds and packages at an instant."""

    dynamodb: DynamoDBClient
    settings: Settings
    catalog: Catalog
    account_id: str
    now: datetime

    def packages(self) -> list[dict[str, Any]]:
        """Packages, oldest delivery first. Raises OutdatedError where somebody is changing them: read again."""
        snapshot = self._snapshot()
        orders = self._orders(snapshot)
        ended = dict(map(ended_from_item, self._items(keys.ENDED_PREFIX)))
        standing = self._standing(snapshot)
        shown = [
            self._show(snapshot, standing, ended, order, package)
            for order in orders
            for package in order.packages
            if package.is_delivered(self.now)
        ]
        return sorted(shown, key=lambda one: (one["obtained_at"], _made(one["package_id"])))

    def usage(self, package: PackageRecord) -> list[dict[str, Any]]:
        """Calls by usage day. Raises OutdatedError where a settlement is going on: read again."""
        days: dict[date, int] = {}
        snapshot = self._snapshot()
        for part in self._standing(snapshot).allocation.allotments:
            for one, calls in part.deductions:
                if one == package.package_id:
                    day = day_of(part.segment.start)
                    days[day] = days.get(day, 0) + calls
        for day, calls in self._billed(snapshot.account, package):
            days[day] = days.get(day, 0) + calls
        return [{"day": day.isoformat(), "calls": days[day]} for day in sorted(days)]

    def orders(self) -> list[dict[str, Any]]:
        """Purchases and refunds, oldest first."""
        bought = {order.order_id: order for order in map(order_from_item, self._items(keys.ORDER_PREFIX))}
        shown = [show_order(order, self.catalog) for order in bought.values()]
        shown += [
            show_refund_order(refund, bought[refund.order_id], self.catalog)
            for refund in self.refunds()
            if refund.order_id in bought
        ]
        return sorted(shown, key=lambda one: (one["created_at"], _made(one["order_id"])))

    def order(self, order_id: str) -> dict[str, Any]:
        """One of them. Raises Problem 404 `order_not_found`."""
        refund = self._get(f"{keys.REFUND_PREFIX}{order_id}")
        if refund is not None:
            made = refund_from_item(refund)
            item = self._get(order_key(made.order_id))
            if item is not None:
                return show_refund_order(made, order_from_item(item), self.catalog)
        item = self._get(f"{keys.ORDER_PREFIX}{order_id}")
        if item is None:
            raise problems.not_found("order")
        return show_order(order_from_item(item), self.catalog)

    def refunds(self) -> list[Refund]:
        """Refunds, oldest first."""
        return [refund_from_item(item) for item in self._items(keys.REFUND_PREFIX)]

    def refund(self, refund_id: str) -> Refund:
        """One of them. Raises Problem 404 `refund_not_found`."""
        item = self._get(f"{keys.REFUND_PREFIX}{refund_id}")
        if item is None:
            raise problems.not_found("refund")
        return refund_from_item(item)

    def _show(
        self,
        snapshot: Snapshot,
        standing: Standing,
        ended: Mapping[str, int],
        order: Order,
        package: PackageRecord,
    ) -> dict[str, Any]:
        package_id = package.package_id
        stocked = snapshot.wallet(package.tag).package(package_id)
        if package.refund_id is not None:
            used = 0
        elif stocked is not None:
            used = stocked.used + standing.used_since(package_id)
        else:
            used = ended.get(package_id, package.calls)
        return show_package(self.catalog, snapshot.account, order, package, used=used, now=self.now)

    def _snapshot(self) -> Snapshot:
        snapshot = read_snapshot(self.dynamodb, self.settings.ledger_table, self.account_id)
        if snapshot is None:
            raise problems.not_found("account")
        return snapshot

    def _standing(self, snapshot: Snapshot) -> Standing:
        reader = Reader(self.dynamodb, self.settings, self.catalog)
        return reader.live(snapshot, reader.live_calls(self.account_id), self.now)

    def _billed(self, account: Account, package: PackageRecord) -> Iterator[tuple[date, int]]:
        """What bills deducted from the package, by usage day.

        Raises OutdatedError where they are not the bills that the account knows.
        """
        table, last = self.settings.ledger_table, day_of(min(self.now, package.ends_at))
        for bill in bills.bills_of_months(self.dynamodb, table, account, day_of(package.delivered_at), last):
            for segment in bill.counted:
                for one in segment.deductions:
                    if one.package_id == package.package_id:
                        yield day_of(segment.start), one.calls

    def _orders(self, snapshot: Snapshot) -> list[Order]:
        """Orders and grants, as of the snapshot. Raises OutdatedError: read again."""
        items = [*self._items(keys.GRANT_PREFIX), *self._items(keys.ORDER_PREFIX)]
        versions = {item["sk"]["S"]: int(item["version"]["N"]) for item in items}
        last = snapshot.account.last_order
        check_seen(snapshot.account, {**({last[0]: 0} if last else {}), **versions})
        return [order_from_item(item) for item in items]

    def _items(self, prefix: str) -> Iterator[Any]:
        return with_prefix(self.dynamodb, self.settings.ledger_table, self.account_id, prefix)

    def _get(self, sort_key: str) -> Any:
        """The item, or None; a text that is longer than any id of ours may be more than a key can hold."""
        if len(sort_key) > _LONGEST:
            return None
        key = {"pk": {"S": keys.ledger(self.account_id)}, "sk": {"S": sort_key}}
        return self.dynamodb.get_item(TableName=self.settings.ledger_table, Key=key, ConsistentRead=True).get("Item")
