"""Package edges of the live view: looked for wherever usage or a package comes, or time has passed (D27).

Whoever writes looks afterwards: the rollup after a window, the sweep after a delivery. So of a package and of usage
that come at the same time at least one look sees both. What a look tells is written under the account's version: it was
true at that moment, and it is told once.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from aws_platform import failures, keys
from aws_platform.accounts import read_account_with
from aws_platform.ledger import OutdatedError, transact
from aws_platform.pending import ended_by_release
from aws_platform.snapshot import Snapshot, change, snapshot_of
from aws_platform.standing import Calls, Reader, unbilled
from rating.edges import may_be_told, wallet_told
from rating.notices import Notice
from rating.wallet import Wallet

MANY_CALLS = 100_000
"""A day with more of them is not counted for every look at passing usage."""
AN_HOUR = timedelta(hours=1)
"""After this the sweep looks where such a day would have had to be counted."""


def tell(reader: Reader, account_id: str, tags: Iterable[str], now: datetime, *, passing: bool = False) -> int:
    """Tell what there is to tell of the packages of these tags; returns how many notices that were.

    Two reads where nothing has happened, one where the account has no package of the tags. On a day in which something
    changes the buckets have to be counted: for `passing` usage, which comes every second, only where it can matter, and
    where the day is large once an hour. Raises TryAgainError where others change the account for too long.
    """
    dynamodb, settings = reader.dynamodb, reader.settings
    wanted = [keys.wallet(tag) for tag in tags]
    for _ in failures.attempts():
        account, items = read_account_with(dynamodb, settings.ledger_table, account_id, wanted)
        if account is None or not items:
            return 0
        try:
            snapshot = snapshot_of(account, items.values(), wanted)
            if not any(wallet.packages for wallet in snapshot.wallets.values()):
                return 0
            calls = reader.live_calls(account_id)
            if passing and _is_dear(reader, snapshot, calls, now):
                if _matters(snapshot, calls):
                    postpone(reader, account_id, snapshot.wallets, now + AN_HOUR, once=True)
                return 0
            standing = reader.live(snapshot, calls, now)
            released = ended_by_release(standing.packages, now)
            changed: list[Wallet] = []
            notices: list[Notice] = []
            for wallet in snapshot.wallets.values():
                told, found = wallet_told(wallet, standing.allocation.remaining, released, now)
                changed += [told] if told != wallet else []
                notices += found
            if changed:
                _, writes = change(settings, account, account, account.booked_at(now), changed, notices=notices)
                transact(dynamodb, writes)
        except (OutdatedError, failures.TryAgainError):
            continue
        return len(notices)
    raise failures.TryAgainError


def postpone(reader: Reader, account_id: str, tags: Iterable[str], due_at: datetime, *, once: bool = False) -> None:
    """Have a sweep look at `due_at`; `once`: where one is to come anyway, leave it at that."""
    settings = reader.settings
    condition: dict[str, Any] = {"ConditionExpression": "attribute_not_exists(pk)"} if once else {}
    for tag in tags:
        key = _look_key(account_id, tag)
        due = keys.timer(account_id, due_at, key["sk"]["S"], settings.due_shards)
        with failures.UnlessOvertaken():
            reader.dynamodb.put_item(TableName=settings.ledger_table, Item={**key, **due}, **condition)


def make_up(reader: Reader, account_id: str, tag: str, due_at: datetime, now: datetime) -> None:
    """Make a look that was postponed; one that was postponed again meanwhile stays due."""
    tell(reader, account_id, [tag], now)
    settings, key = reader.settings, _look_key(account_id, tag)
    due = keys.timer(account_id, due_at, key["sk"]["S"], settings.due_shards)
    with failures.UnlessOvertaken():
        reader.dynamodb.delete_item(
            TableName=settings.ledger_table,
            Key=key,
            ConditionExpression="due_sk = :seen",
            ExpressionAttributeValues={":seen": due["due_sk"]},
        )


def _look_key(account_id: str, tag: str) -> dict[str, Any]:
    return {"pk": {"S": keys.ledger(account_id)}, "sk": {"S": f"{keys.LOOK_PREFIX}{tag}"}}


def _is_dear(reader: Reader, snapshot: Snapshot, calls: Calls, now: datetime) -> bool:
    """Whether a look would have to count buckets: of large days, or for what cannot be told."""
    cut = [day for day in unbilled(snapshot, calls) if reader.is_cut(snapshot, day, now)]
    if not cut:
        return False
    return any(sum(calls[day].values()) > MANY_CALLS for day in cut) or not _matters(snapshot, calls)


def _matters(snapshot: Snapshot, calls: Calls) -> bool:
    """Whether there may be something to tell if, at the most, one package gave all that no bill holds."""
    fresh = unbilled(snapshot, calls)
    used = {tag: sum(of_day.get(tag, 0) for of_day in fresh.values()) for tag in snapshot.wallets}
    return any(may_be_told(one, used[tag]) for tag, wallet in snapshot.wallets.items() for one in wallet.packages)
