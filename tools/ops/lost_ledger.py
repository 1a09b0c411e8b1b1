"""What the ledger has lost of an account.

The account's version is the lock of its money (aws_platform.snapshot), so it tells how much of the copy still holds:

- What never changes once it is written (bills, journal, notices, requests that succeeded) is put back where it is
  missing or altered, whatever came since.
- Orders and grants carry the account's version of their last change, for a refund and a block replace them: they are
  put back where they are missing or older than in the copy. A newer one is the right one.
- Where the account itself is gone, or is of the version of the copy or an older one, nothing came since: then all of
  its money is put back as it was.
- Where money has moved since, a part (wallet, voucher, terms) comes back only if the account names it with the very
  version that the copy has. Nothing else is touched: the newer state is the right one.
- Deliveries, subscriptions and the like have no lock: they are put back only where they are missing. Webhooks and
  blocked addresses are deleted on purpose as well: they come back only with an account that is gone altogether.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from aws_platform import keys
from aws_platform.snapshot import is_part
from tools.ops.lost import Found, Item, Lost

KINDS = {
    # In the order in which they are put back: deliveries before the notices whose stream would make them anew, and the
    # account last.
    keys.WEBHOOK_PREFIX: "webhooks",
    keys.ADDRESS_PREFIX: "blocked-addresses",
    keys.SUBSCRIPTIONS: "subscriptions",
    keys.WEBHOOK_LOCK: "webhook-locks",
    keys.QUOTA_PREFIX: "quotas",
    keys.DELIVERY_PREFIX: "deliveries",
    keys.EXPORT_PREFIX: "exports",
    keys.LOOK_PREFIX: "looks",
    keys.CORRECTION_PREFIX: "corrections",
    keys.ORDER_PREFIX: "orders",
    keys.GRANT_PREFIX: "grants",
    keys.REFUND_PREFIX: "refunds",
    keys.ENDED_PREFIX: "ended-packages",
    keys.SPENT_VOUCHER_PREFIX: "spent-vouchers",
    keys.BILL_PREFIX: "bills",
    keys.JOURNAL_PREFIX: "journal-pages",
    "I#": "requests",
    keys.NOTICE_PREFIX: "notice-pages",
    keys.MONTH_PREFIX: "months",
    keys.WALLET_PREFIX: "wallets",
    keys.VOUCHER_PREFIX: "vouchers",
    keys.TERMS: "terms",
    keys.ACCOUNT: "account",
}
_FOR_GOOD = {
    "corrections",
    "ended-packages",
    "spent-vouchers",
    "bills",
    "journal-pages",
    "requests",
    "notice-pages",
}
_REPLACED = {"orders", "grants"}
_MONEY = {"bills", "journal-pages", "orders", "grants", "refunds"}
"""What is written only together with a newer account."""
_DELETED_ON_PURPOSE = {"webhooks", "blocked-addresses"}
_WITHOUT_LOCK = {"subscriptions", "webhook-locks", "quotas", "deliveries", "exports", "looks"}
_ORDER = {kind: number for number, kind in enumerate(KINDS.values())}


def kind_of(sort_key: str) -> str:
    """What an item of an account's partition is."""
    return next((kind for prefix, kind in KINDS.items() if sort_key.startswith(prefix)), "others")


def lost_of_account(account_id: str, then: Mapping[str, Item], now: Mapping[str, Item]) -> Found:
    """What of an account's items as they were `then` is not there `now`, and has to be."""
    found = Found(account_id)
    found.newer.update(kind_of(sort_key) for sort_key in now.keys() - then.keys())
    found.newer.update(kind_of(sort_key) for sort_key in now.keys() & then.keys() if _newer(then, now, sort_key))
    nothing_since = _version(now) <= _version(then)
    if nothing_since and any(found.newer[kind] for kind in _MONEY):
        # Of the account nothing is left that would know of them.
        newer = ", ".join(sorted(kind for kind in _MONEY if found.newer[kind]))
        found.unclear.append(f"the account is gone or old, but has newer {newer}")
        nothing_since = False
    for sort_key, item in then.items():
        seen = now.get(sort_key)
        if seen == item:
            continue
        wanted, why = _judge(then, now, sort_key, nothing_since=nothing_since)
        if wanted:
            found.lost.append(Lost(kind_of(sort_key), item, seen))
        if why:
            found.unclear.append(f"{kind_of(sort_key)} {sort_key} {why}")
    found.lost.sort(key=lambda one: (_ORDER.get(one.kind, -1), one.item["sk"]["S"]))
    return found


def _judge(
    then: Mapping[str, Item], now: Mapping[str, Item], sort_key: str, *, nothing_since: bool
) -> tuple[bool, str]:
    """Whether an item that is not as it was is put back; and what a person has to be told of it, mostly nothing."""
    kind, is_gone = kind_of(sort_key), sort_key not in now
    if kind in _WITHOUT_LOCK:
        return is_gone, ""
    if kind in _DELETED_ON_PURPOSE:
        lost = is_gone and keys.ACCOUNT not in now
        return lost, "is gone: deleted, or lost?" if is_gone and not lost else ""
    if kind in _REPLACED:
        return _judge_order(then, now, sort_key)
    if kind in _FOR_GOOD or nothing_since:
        return True, ""
    if kind in {"months", "refunds", "others"}:
        return False, "is gone, and money has moved since" if is_gone else ""
    return is_part(sort_key) and _parts(now).get(sort_key) == _version(then, sort_key), ""


def _judge_order(then: Mapping[str, Item], now: Mapping[str, Item], sort_key: str) -> tuple[bool, str]:
    """As `_judge`, of an order or a grant."""
    before, after = _version(then, sort_key), _version(now, sort_key)
    if after > before:
        return False, "is newer than the account" if after > _version(now) else ""
    if after == before:
        return False, "is another one of the same version"
    last = _account(now).get("last_order")
    if last and last[0] == sort_key and last[1] > before:
        return False, "is lost, and has changed since the copy: a copy of a later second may have it"
    return True, ""


def _newer(then: Mapping[str, Item], now: Mapping[str, Item], sort_key: str) -> bool:
    """Whether an item has been replaced since the copy by one that knows more: an order, a grant or a refund."""
    kind = kind_of(sort_key)
    if kind == "refunds":
        return "completed" in now[sort_key] and "completed" not in then[sort_key]
    return kind in _REPLACED and _version(now, sort_key) > _version(then, sort_key)


def _version(items: Mapping[str, Item], sort_key: str = keys.ACCOUNT) -> int:
    """The account's version as of an item's last change; 0 where it is not there."""
    return int(items[sort_key]["version"]["N"]) if sort_key in items else 0


def _parts(items: Mapping[str, Item]) -> Mapping[str, int]:
    """The versions that an account says its parts have."""
    parts: Mapping[str, int] = _account(items).get("parts", {})
    return parts


def _account(items: Mapping[str, Item]) -> Mapping[str, Any]:
    """What the account says of itself; nothing where it is gone."""
    body: Mapping[str, Any] = json.loads(items[keys.ACCOUNT]["body"]["S"]) if keys.ACCOUNT in items else {}
    return body
