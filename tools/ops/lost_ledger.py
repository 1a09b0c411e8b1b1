"""What the ledger has lost of an account.

The account's version is the lock of its money (aws_platform.snapshot), so it tells how much of the copy still holds:

- What never changes once it is written (bills, journal, notices, orders, requests that succeeded) is put back where it
  is missing or altered, whatever came since.
- Where the account itself is gone, or is of the version of the copy or an older one, nothing came since: then all of
  its money is put back as it was.
- Where money has moved since, a part (wallet, voucher, terms) comes back only if the account names it with the very
  version that the copy has. Nothing else is touched: the newer state is the right one.
- Deliveries, subscriptions and the like have no lock: they are put back only where they are missing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from aws_platform import keys
from aws_platform.snapshot import is_part
from tools.ops.lost import Found, Item, Lost

KINDS = {
    # In the order in which they are put back: deliveries before the notices whose stream would make them anew, and the
    # account last.
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
    "orders",
    "grants",
    "ended-packages",
    "spent-vouchers",
    "bills",
    "journal-pages",
    "requests",
    "notice-pages",
}
_WITHOUT_LOCK = {"subscriptions", "webhook-locks", "quotas", "deliveries", "exports", "looks"}
_ORDER = {kind: number for number, kind in enumerate(KINDS.values())}


def kind_of(sort_key: str) -> str:
    """What an item of an account's partition is."""
    return next((kind for prefix, kind in KINDS.items() if sort_key.startswith(prefix)), "others")


def lost_of_account(account_id: str, then: Mapping[str, Item], now: Mapping[str, Item]) -> Found:
    """What of an account's items as they were `then` is not there `now`, and has to be."""
    found = Found(account_id)
    found.newer.update(kind_of(sort_key) for sort_key in now.keys() - then.keys())
    nothing_since = _version(now) <= _version(then)
    if nothing_since and (found.newer["bills"] or found.newer["journal-pages"]):
        # Of the account nothing is left that would know of them.
        found.unclear.append("the account is gone or old, but has newer bills or journal pages")
        nothing_since = False
    parts = _parts(now)
    for sort_key, item in then.items():
        seen = now.get(sort_key)
        if seen == item:
            continue
        kind = kind_of(sort_key)
        if kind in _WITHOUT_LOCK:
            wanted = seen is None
        elif kind in _FOR_GOOD or nothing_since:
            wanted = True
        else:
            wanted = is_part(sort_key) and parts.get(sort_key) == int(item["version"]["N"])
            if kind in {"months", "refunds", "others"} and seen is None:
                found.unclear.append(f"{kind} {sort_key} is gone, and money has moved since")
        if wanted:
            found.lost.append(Lost(kind, item, seen))
    found.lost.sort(key=lambda one: (_ORDER.get(one.kind, -1), one.item["sk"]["S"]))
    return found


def _version(items: Mapping[str, Item]) -> int:
    return int(items[keys.ACCOUNT]["version"]["N"]) if keys.ACCOUNT in items else 0


def _parts(items: Mapping[str, Item]) -> Mapping[str, int]:
    """The versions that an account says its parts have."""
    parts: Mapping[str, int] = json.loads(items[keys.ACCOUNT]["body"]["S"])["parts"] if keys.ACCOUNT in items else {}
    return parts
