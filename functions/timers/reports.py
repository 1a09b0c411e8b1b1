"""The daily report at 10:00, for who has subscribed to it (contract, Notices; facts.md 5.1)."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from aws_platform import failures, keys
from aws_platform.ledger import OutdatedError, transact
from aws_platform.notices import page_put
from aws_platform.reading import in_partition
from aws_platform.snapshot import Snapshot, read_snapshot
from aws_platform.subscriptions import next_report
from rating.notices import Notice
from rating.report import report
from rating.wallet import WalletPackage, release_of

if TYPE_CHECKING:
    from aws_platform.standing import Reader


def tell(reader: Reader, account_id: str, due_at: datetime, now: datetime) -> None:
    """Write the report that is due, and set the time of the next. Nothing happens if another sweep did.

    A report that comes late is still that of its own day, and those that were missed follow one by one. Raises
    TryAgainError where the account changes for too long.
    """
    dynamodb, settings = reader.dynamodb, reader.settings
    for _ in failures.attempts():
        try:
            snapshot = read_snapshot(dynamodb, settings.ledger_table, account_id)
            if snapshot is None:
                msg = f"account {account_id} is due but does not exist"
                raise LookupError(msg)
            notice = _report(reader, snapshot, due_at, now)
        except OutdatedError:
            continue
        page_id = f"{due_at:%Y%m%d%H%M%S}-report"
        page = page_put(settings.ledger_table, account_id, page_id, [notice])
        try:
            transact(dynamodb, [page, _next(settings.ledger_table, account_id, due_at, settings.due_shards)])
        except (OutdatedError, failures.TryAgainError):
            if _is_still_due(reader, account_id, due_at, page_id):
                continue
        return
    raise failures.TryAgainError


def _is_still_due(reader: Reader, account_id: str, due_at: datetime, page_id: str) -> bool:
    """Whether the report is still to be told. Where it is told and yet due, its time was set anew: that moves on."""
    settings = reader.settings
    wanted = [keys.SUBSCRIPTION, keys.notice_page(page_id)]
    found = in_partition(reader.dynamodb, settings.ledger_table, keys.ledger(account_id), wanted)
    due = keys.timer(account_id, due_at, keys.SUBSCRIPTION, settings.due_shards)["due_sk"]
    if found.get(keys.SUBSCRIPTION, {}).get("due_sk") != due:
        # Another sweep was faster, nobody wants it any more, or our own answer was lost.
        return False
    if keys.notice_page(page_id) in found:
        _move_on(reader, account_id, due_at)
        return False
    return True


def _move_on(reader: Reader, account_id: str, due_at: datetime) -> None:
    update = _next(reader.settings.ledger_table, account_id, due_at, reader.settings.due_shards)["Update"]
    with failures.UnlessOvertaken():
        reader.dynamodb.update_item(**update)


def _report(reader: Reader, snapshot: Snapshot, due_at: datetime, now: datetime) -> Notice:
    calls = reader.live_calls(snapshot.account.account_id)
    remaining = reader.live(snapshot, calls, now).allocation.remaining
    packages = [
        (wallet.tag, one, remaining[one.package_id])
        for wallet in snapshot.wallets.values()
        for one in wallet.packages
        if remaining.get(one.package_id) and _serves(snapshot, one, now)
    ]
    return report(due_at, calls, packages)


def _serves(snapshot: Snapshot, package: WalletPackage, now: datetime) -> bool:
    """Whether it has neither ended nor been released (D11, D23)."""
    released = release_of(package.delivered_at, snapshot.account.conditions().releases)
    return now < package.expires_at and (released is None or now < released)


def _next(table: str, account_id: str, due_at: datetime, shards: int) -> dict[str, Any]:
    """The transaction item that moves the subscription's timer on; it fails where it is not the one that was due."""
    seen, then = (keys.timer(account_id, at, keys.SUBSCRIPTION, shards) for at in (due_at, next_report(due_at)))
    return {
        "Update": {
            "TableName": table,
            "Key": {"pk": {"S": keys.ledger(account_id)}, "sk": {"S": keys.SUBSCRIPTION}},
            "UpdateExpression": "SET due_pk = :pk, due_sk = :then",
            "ConditionExpression": "due_sk = :seen",
            "ExpressionAttributeValues": {":pk": then["due_pk"], ":then": then["due_sk"], ":seen": seen["due_sk"]},
        }
    }
