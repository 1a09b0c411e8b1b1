"""Edges: what of an account and its packages has changed so that somebody must hear of it, each once (D27, D28)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from rating import money
from rating.account import Account, Stage
from rating.arrears import Arrears
from rating.civil import rfc3339
from rating.notices import Kind, Notice
from rating.wallet import DAY_BEFORE, NOTHING, WEEK_BEFORE, Edge, Wallet, WalletPackage

_LOW_PART = 5
"""Low is less than a fifth (D27)."""
_EXPIRING = {Edge.WEEK_BEFORE: WEEK_BEFORE.days, Edge.DAY_BEFORE: DAY_BEFORE.days}


def account_told(account: Account, now: datetime) -> Account:
    """The account once everything was told that has come of its arrears until `now`."""
    arrears = account.arrears
    if arrears is None:
        return account
    stop_told = arrears.stop_told or now >= arrears.stops_at
    release_told = arrears.release_told or now >= arrears.releases_at
    return replace(account, arrears=replace(arrears, stop_told=stop_told, release_told=release_told))


def account_notices(before: Account, after: Account, when: datetime) -> list[Notice]:
    """What a change of an account at `when` tells of arrears, stops and releases (D21 to D23).

    A stop or a release that no timer has told yet is told by the payment that ends it. Service is resumed when
    nothing stops it any more. Where no service was ever opened there are arrears only.
    """
    notices: list[Notice] = []
    old, new = before.arrears, after.arrears
    if old is None and new is not None:
        notices.append(Notice(Kind.ARREARS, new.since, {"balance": _balance(after), **_times(new)}))
    if before.stage is not Stage.OPENED:
        return notices
    if old is not None:
        facts = {"balance": _balance(before), **_times(old)}
        if not old.stop_told and _has_stopped(old, new, when):
            notices.append(Notice(Kind.STOPPED, old.stops_at, {"cause": "arrears", **facts}))
        if not old.release_told and (new.release_told if new else old.releases_at <= when):
            notices.append(Notice(Kind.RELEASED, old.releases_at, facts))
    if before.violation is None and after.violation is not None:
        since = rfc3339(after.violation.since)
        data = {"cause": "violation", "since": since, "stops_at": since, "releases_at": None}
        notices.append(Notice(Kind.STOPPED, after.violation.since, {**data, "balance": _balance(after)}))
    was_stopped = before.violation is not None or (old is not None and (old.stop_told or _has_stopped(old, new, when)))
    is_stopped = after.violation is not None or (new is not None and (new.stop_told or when >= new.stops_at))
    if was_stopped and not is_stopped:
        cause = "arrears" if before.violation is None else "violation"
        data = {"cause": cause, "resumed_at": rfc3339(when), "balance": _balance(after)}
        notices.append(Notice(Kind.RESUMED, when, data))
    return notices


def wallet_told(
    wallet: Wallet, remaining: Mapping[str, int], released: Collection[str], now: datetime
) -> tuple[Wallet, list[Notice]]:
    """The wallet once everything was told of its packages until `now`, and what there is to tell (D27).

    `remaining` is what each delivered package has left, all usage of this moment deducted; `released` are the ids of
    those that a release has ended: of them there is nothing more to tell (D23).
    """
    packages: list[WalletPackage] = []
    notices: list[Notice] = []
    for one in wallet.packages:
        told = one.told
        if one.package_id in remaining:
            for edge, at in one.timed_edges().items():
                told |= edge if at <= now else NOTHING
            if one.package_id not in released:
                # What is used up first: of a package with nothing left there is nothing else to tell.
                used, found = _used(wallet.tag, one, remaining[one.package_id], now)
                told |= used
                notices += [*found, *_timed(wallet.tag, one, remaining[one.package_id], told & ~one.told)]
        packages.append(replace(one, told=told))
    return replace(wallet, packages=tuple(packages)), notices


def wallet_used(
    wallet: Wallet, remaining: Mapping[str, int], released: Collection[str], now: datetime
) -> tuple[Wallet, list[Notice]]:
    """The same for use alone: for a bill, which may be the first to know of it, and takes what is used up away."""
    packages: list[WalletPackage] = []
    notices: list[Notice] = []
    for one in wallet.packages:
        told = one.told
        if one.package_id in remaining and one.package_id not in released:
            used, found = _used(wallet.tag, one, remaining[one.package_id], now)
            told |= used
            notices += found
        packages.append(replace(one, told=told))
    return replace(wallet, packages=tuple(packages)), notices


def may_be_told(package: WalletPackage, used: int) -> bool:
    """Whether there may be something to tell of a package that gives so many calls beyond its bills, at the most."""
    left = package.remaining - used
    low = left * _LOW_PART < package.total and Edge.LOW not in package.told
    return low or (left <= 0 and Edge.EXHAUSTED not in package.told)


def delivered(tag: str, package: WalletPackage, order_id: str) -> Notice:
    """A bought package was delivered (D28)."""
    data = _package(tag, package, package.total)
    data |= {"order_id": order_id, "delivered_at": rfc3339(package.delivered_at)}
    return Notice(Kind.PACKAGE_DELIVERED, package.delivered_at, data)


def _used(tag: str, package: WalletPackage, left: int, now: datetime) -> tuple[Edge, list[Notice]]:
    """Low and exhausted; both when one look finds both. What has ended is not low any more."""
    if Edge.ENDED in package.told:
        return NOTHING, []
    edges = NOTHING
    if left * _LOW_PART < package.total and (left == 0 or now < package.expires_at):
        edges |= Edge.LOW
    if left == 0:
        edges |= Edge.EXHAUSTED
    new = edges & ~package.told
    kinds = {Edge.LOW: Kind.PACKAGE_LOW, Edge.EXHAUSTED: Kind.PACKAGE_EXHAUSTED}
    return new, [Notice(kind, now, _package(tag, package, left)) for edge, kind in kinds.items() if edge in new]


def _timed(tag: str, package: WalletPackage, left: int, new: Edge) -> list[Notice]:
    """Expiring and expired, of what has something left; what has ended is not expiring any more."""
    if left == 0:
        return []
    data, at = _package(tag, package, left), package.timed_edges()
    if Edge.ENDED in new:
        return [Notice(Kind.PACKAGE_EXPIRED, at[Edge.ENDED], data)]
    return [
        Notice(Kind.PACKAGE_EXPIRING, at[edge], {**data, "days": days})
        for edge, days in _EXPIRING.items()
        if edge in new
    ]


def _package(tag: str, package: WalletPackage, left: int) -> dict[str, Any]:
    return {
        "package_id": package.package_id,
        "tag": tag,
        "total": package.total,
        "remaining": left,
        "expires_at": rfc3339(package.ends_at),
    }


def _has_stopped(old: Arrears, new: Arrears | None, when: datetime) -> bool:
    """Whether service was stopped for these arrears. Paid in the very second of the stop, it was: for no time."""
    return new.stop_told if new else old.stops_at <= when


def _times(arrears: Arrears) -> dict[str, str]:
    return {
        "since": rfc3339(arrears.since),
        "stops_at": rfc3339(arrears.stops_at),
        "releases_at": rfc3339(arrears.releases_at),
    }


def _balance(account: Account) -> str:
    return money.yuan(account.funds.available)
