"""The free packages of an account: with its first opening, and with its first E证通 merchant id (D13)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from accounts.changing import Changed
from aws_platform import keys
from aws_platform.orders import order_put
from aws_platform.snapshot import Snapshot
from rating.account import Account
from rating.allocation import Source
from rating.catalog import FreeGrant, GrantTrigger, load
from rating.civil import day_of
from rating.orders import FREE_PACKAGE_DELAY, Order, PackageRecord, order_id, package_id, stamp

_REASONS: dict[GrantTrigger, str] = {"first_opening": "first opening", "eid_merchant": "first merchant id"}


def wallets_of(trigger: GrantTrigger) -> list[str]:
    """Sort keys of the wallets into which the trigger may bring packages."""
    return [keys.wallet(grant.tag) for grant in _grants(trigger)]


def with_free_packages(
    snapshot: Snapshot, account: Account, trigger: GrantTrigger, when: datetime, table: str
) -> Changed:
    """The account as it will be, with the free packages that it gets for what happened to it at `when`.

    They are in the wallets at once and are delivered half an hour later, so that nothing has to happen then. A
    customer who moved here gets none, and some are only for accounts opened from a day on.
    """
    if account.opened_at is None or account.moved_here:
        return Changed(account)
    version, opened = snapshot.account.version + 1, day_of(account.opened_at)
    grants = [one for one in _grants(trigger) if one.opened_from is None or opened >= one.opened_from]
    order_stamp = stamp(account.account_id, when, version)
    packages = [
        PackageRecord(
            package_id(Source.GIFT, order_stamp, load().tag(one.tag).number, number),
            one.tag,
            Source.GIFT,
            one.calls,
            when + FREE_PACKAGE_DELAY,
        )
        for number, one in enumerate(grants, start=1)
    ]
    packages.sort(key=lambda package: package.package_id)
    order = Order(order_id(Source.GIFT, order_stamp), when, tuple(packages), reason=_REASONS[trigger])
    wallets = snapshot.stocked(packages)
    return Changed(account, wallets, [order_put(table, account.account_id, order, version)], order.order_id)


def _grants(trigger: GrantTrigger) -> Sequence[FreeGrant]:
    return [one for one in load().free_grants() if one.trigger == trigger]
