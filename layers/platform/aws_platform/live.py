"""Live totals: derived from the buckets, for views only. Money never depends on them.

A window holds one minute of an account: how many records of each bucket it has taken, and the calls by dimensions.
Buckets only grow, so taking a version means adding the records after those already taken: repeats, other orders and
other batches of the stream lead to the same window. What the windows come to by day and tag is known without reading
them all (see `live_days`). Days that a run has counted have one item with the whole day.
"""

from __future__ import annotations

import struct
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from aws_platform import failures, keys, live_days, records
from aws_platform.ledger import query_all
from rating.catalog import load
from rating.civil import end_of

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

WINDOW_SLOTS = 60 // records.SLOT_SECONDS
KEPT = timedelta(days=130)
"""Statistics reach back 90 days, and usage may arrive 35 days late."""

_LARGEST_TOTALS_BYTES = 350_000
"""An item holds 400 KB."""
_TAKEN = struct.Struct("<BIHH")
_TOTAL = struct.Struct("<II")


@dataclass(slots=True)
class Window:
    """One minute of an account."""

    taken: dict[tuple[int, int, int], int] = field(default_factory=dict)
    """Records taken, by (slot of the minute, source, generation)."""
    totals: Counter[int] = field(default_factory=Counter)
    """Calls by packed dimensions."""
    earlier: live_days.TagCalls = field(default_factory=dict)
    """What it carries of the earlier windows of its day."""

    @property
    def calls(self) -> int:
        """All records taken; it only grows, so it is the window's version."""
        return sum(self.taken.values())

    def take(self, sort_key: str, content: bytes) -> None:
        """Take a bucket's version: what it has beyond the records already taken."""
        slot, source, generation = sort_key.split("#")
        key = (int(slot) % WINDOW_SLOTS, int(source, 16), int(generation, 16))
        already = self.taken.get(key, 0)
        number = len(content) // records.RECORD_BYTES
        if number > already:
            self.totals.update(records.count_records(content[already * records.RECORD_BYTES :]))
            self.taken[key] = number


@dataclass(frozen=True, slots=True, order=True)
class WindowKey:
    """Which minute of which account and day."""

    account_id: str
    day: date
    minute: int


def window_of(partition: str, sort_key: str) -> WindowKey:
    """The window that a bucket of the usage table belongs to."""
    account_id, _, digits = partition.rpartition("#")
    day = date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    return WindowKey(account_id, day, records.slot_of_key(sort_key) // WINDOW_SLOTS)


def add_to_window(
    dynamodb: DynamoDBClient, table: str, key: WindowKey, buckets: Mapping[str, bytes], *, sandbox: bool
) -> None:
    """Bring a window up to date with versions of its buckets, by sort key, and after it the totals of its day.

    The least that it takes is a read, the write of the window, and a look at what others wrote meanwhile.
    Raises TryAgainError when others contend for too long.
    """
    expires_at = partial(expiry, sandbox=sandbox)
    days = live_days.AccountDays(dynamodb, table, key.account_id, expires_at)
    for _ in failures.attempts():
        items = days.down_from(key.day, key.minute)
        parts = [live_days.part_of(item) for item in items]
        stored = items[0] if parts and (parts[0].day, parts[0].minute) == (key.day, key.minute) else None
        if stored:
            window = _window_from_item(stored)
        else:
            window = Window(earlier=live_days.earlier_of(key.day, key.minute, parts))
        before = window.calls
        for sort_key, content in buckets.items():
            window.take(sort_key, content)
        if window.calls > before:
            if not stored:
                days.prepare(key.day, parts)
            item = {
                "pk": {"S": keys.windows(key.account_id)},
                "sk": {"S": keys.window(key.day, key.minute)},
                **_window_to_item(window, expires_at(key.day)),
            }
            if not days.put(item, seen=stored):
                continue
        days.look(key.day, key.minute, parts if stored else None)
        return
    raise failures.TryAgainError("too many writers for one window")


def totals_by_day(
    dynamodb: DynamoDBClient, table: str, account_id: str, *, consistent: bool = True
) -> dict[date, dict[int, int]]:
    """Chargeable calls by tag number of every day of the last 70 that has windows: one query, about one read unit.

    Where they need not be ``consistent`` half of that; they may then be a second older.
    """
    return live_days.totals_by_day(dynamodb, table, account_id, consistent=consistent)


def windows_of_day(dynamodb: DynamoDBClient, table: str, account_id: str, day: date) -> Counter[int]:
    """Calls of a day by packed dimensions, as the windows have them."""
    totals: Counter[int] = Counter()
    for item in live_days.query_day(dynamodb, table, account_id, day, ProjectionExpression="totals"):
        totals.update(dict(_unpack_totals(item["totals"]["B"])))
    return totals


def put_day(
    dynamodb: DynamoDBClient,
    table: str,
    account_id: str,
    day: date,
    totals: Mapping[int, int],
    expires_at: int | None,
) -> None:
    """Keep the totals of a day that a run has counted; an older count never replaces a newer one.

    Totals that are too many for an item are left out of it: the day is then read from its windows.
    """
    calls = sum(totals.values())
    packed = _pack_totals(totals)
    item: dict[str, Any] = {
        "pk": {"S": keys.usage_account(account_id)},
        "sk": {"S": day.isoformat()},
        "calls": {"N": str(calls)},
    }
    if len(packed) <= _LARGEST_TOTALS_BYTES:
        item["totals"] = {"B": packed}
    if expires_at is not None:
        item["expires_at"] = {"N": str(expires_at)}
    with failures.UnlessOvertaken():
        dynamodb.put_item(
            TableName=table,
            Item=item,
            ConditionExpression="attribute_not_exists(pk) OR calls <= :calls",
            ExpressionAttributeValues={":calls": {"N": str(calls)}},
        )


def counted_days(
    dynamodb: DynamoDBClient, table: str, account_id: str, first: date, last: date
) -> dict[date, Counter[int]]:
    """The days of a range that runs have counted: calls by packed dimensions."""
    return {
        date.fromisoformat(item["sk"]["S"]): Counter(dict(_unpack_totals(item["totals"]["B"])))
        for item in query_all(
            dynamodb,
            TableName=table,
            KeyConditionExpression="pk = :pk AND sk BETWEEN :first AND :last",
            ExpressionAttributeValues={
                ":pk": {"S": keys.usage_account(account_id)},
                ":first": {"S": first.isoformat()},
                ":last": {"S": last.isoformat()},
            },
            ConsistentRead=True,
        )
        if "totals" in item
    }


def expiry(day: date, *, sandbox: bool) -> int | None:
    """When the live totals of a day may go, in epoch seconds.

    None in a sandbox: its clock may stand in the past, and the table's time to live follows the real one.
    """
    return None if sandbox else int((end_of(day) + KEPT).timestamp())


def _window_to_item(window: Window, expires_at: int | None) -> dict[str, Any]:
    taken = b"".join(_TAKEN.pack(*key, number) for key, number in sorted(window.taken.items()))
    item: dict[str, Any] = {
        "calls": {"N": str(window.calls)},
        # Generations of a hot minute are alike: compressed, they are a fifth, for whoever writes and whoever checks.
        "taken": {"B": zlib.compress(taken)},
        "totals": {"B": _pack_totals(window.totals)},
        "own": {"B": live_days.pack_calls(chargeable_calls(window.totals))},
        **live_days.earlier_to_item(window.earlier),
    }
    if expires_at is not None:
        item["expires_at"] = {"N": str(expires_at)}
    return item


def _window_from_item(item: Mapping[str, Any]) -> Window:
    taken = {
        (slot, source, generation): number
        for slot, source, generation, number in _TAKEN.iter_unpack(zlib.decompress(item["taken"]["B"]))
    }
    totals = Counter(dict(_unpack_totals(item["totals"]["B"])))
    return Window(taken, totals, live_days.unpack_calls(item["earlier"]["B"]))


def chargeable_calls(totals: Mapping[int, int]) -> live_days.TagCalls:
    """The chargeable ones of calls by packed dimensions, by tag number. Raises UnknownInterface."""
    by_tag: Counter[int] = Counter()
    for packed, calls in totals.items():
        dimensions = records.unpack_dimensions(packed)
        if dimensions.chargeable:
            by_tag[load().interface(dimensions.kind).tag_number] += calls
    return dict(by_tag)


def _pack_totals(totals: Mapping[int, int]) -> bytes:
    return b"".join(_TOTAL.pack(dimensions, calls) for dimensions, calls in sorted(totals.items()))


def _unpack_totals(packed: bytes) -> Iterator[tuple[int, int]]:
    return _TOTAL.iter_unpack(packed)
