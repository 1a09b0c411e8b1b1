"""Day totals: the chargeable calls of an account's recent days by tag, known from the end of its windows.

All windows of an account lie in one partition in the order of time, and after them one *digest*. Two things save the
reader from adding up whole days:

- A window carries the chargeable calls of the *earlier* windows of its day, those more than `REACH` minutes older. So
  a day's total is what its newest window carries and the own calls of the windows within its reach: a few minutes out
  of order need no repair. A window further back is rare, and whoever writes one adds up its day anew.
- The digest has the totals of the days before the account's newest one.

Both are derived, never added to: what is written is at least what was there and never more than what the windows hold,
so repeats and overlaps change nothing. And both are kept right by one rule, *write, then look*: whoever has written a
window looks, with a consistent read, for what depends on it, and mends that. Of a writer and of another one who made
something new out of what was there before, at least one sees what the other wrote. A look that a crash prevented comes
with the next delivery, which looks even where nothing is left to write.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any

from aws_platform import failures, keys
from aws_platform.ledger import query_all

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

REACH = 3
"""Minutes. A window carries the calls of the windows of its day that are older than this."""
KEPT_DAYS = timedelta(days=70)
"""Usage may be 35 days late, and a month may have to be read whole after it."""

AROUND = REACH + 2
"""A window, the one before it, and all within that one's reach."""
_READER_ITEMS = AROUND + 1
"""The digest, the newest window, all within its reach, and the one that shows that there are no more."""
_LAST_MINUTE = 24 * 60 - 1
_NAMES = "sk, own, earlier, days, version"
_TAG_CALLS = struct.Struct("<BI")
_DAY = struct.Struct("<IB")

type TagCalls = dict[int, int]
"""Chargeable calls by tag number."""
type Item = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Part:
    """What the total of a day takes from one of its windows."""

    day: date
    minute: int
    own: TagCalls
    earlier: TagCalls
    """Of the windows of the day that are more than the reach older."""

    def reaches(self, other: Part) -> bool:
        """Whether the other, which is not newer, is of the same day and not among the earlier ones."""
        return self.day == other.day and other.minute >= self.minute - REACH


@dataclass(frozen=True, slots=True)
class Digest:
    """Totals by day, of the days before an account's newest one."""

    days: Mapping[date, TagCalls] = field(default_factory=dict)
    version: int = 0
    """0: there is none yet."""

    def holds(self, day: date, total: TagCalls) -> bool:
        """Whether the day is there with at least these calls."""
        return day in self.days and covers(self.days[day], total)

    def with_days(self, totals: Mapping[date, TagCalls], newest: date) -> Digest:
        """With at least these totals, and without what is too old beside the newest day."""
        days = {**self.days, **{day: at_least(self.days.get(day, {}), total) for day, total in totals.items()}}
        return Digest({day: days[day] for day in sorted(days) if is_kept(day, newest)}, self.version + 1)


def is_kept(day: date, newest: date) -> bool:
    """Whether a day is recent enough beside the newest one."""
    return newest - day <= KEPT_DAYS


def covers(calls: TagCalls, others: TagCalls) -> bool:
    """Whether no tag has fewer calls than in the others."""
    return all(calls.get(tag, 0) >= number for tag, number in others.items())


def at_least(calls: TagCalls, others: TagCalls) -> TagCalls:
    """The larger number of each tag. Both are sums of what was there at some time, and windows only grow."""
    return {tag: max(calls.get(tag, 0), others.get(tag, 0)) for tag in {**calls, **others}}


def added(several: Iterable[TagCalls]) -> TagCalls:
    """The sum by tag."""
    total: TagCalls = {}
    for calls in several:
        for tag, number in calls.items():
            total[tag] = total.get(tag, 0) + number
    return total


def total_of(parts: Sequence[Part]) -> TagCalls:
    """The total of the day of the first, which is its newest; newest first, at least those within its reach."""
    newest = parts[0]
    return added([newest.earlier, *(part.own for part in parts if newest.reaches(part))])


def earlier_of(day: date, minute: int, older: Sequence[Part]) -> TagCalls:
    """What a window has to carry: made of the windows before it, newest first, at least those that AROUND says."""
    if not older or older[0].day != day:
        return {}
    last = older[0]
    return added([last.earlier, *(part.own for part in older if last.reaches(part) and part.minute < minute - REACH)])


class AccountDays:
    """The windows of one account and what is derived from them by day."""

    def __init__(
        self, dynamodb: DynamoDBClient, table: str, account_id: str, expires_at: Callable[[date], int | None]
    ) -> None:
        """``expires_at``: when what is kept of a day may go."""
        self._dynamodb = dynamodb
        self._table = table
        self._account_id = account_id
        self._partition = {"S": keys.windows(account_id)}
        self._expires_at = expires_at

    def down_from(self, day: date, minute: int) -> list[Item]:
        """The whole items of a window, if it is there, and of those before it: enough for what a new one carries."""
        found = self._query("pk = :pk AND sk <= :sk", {":sk": keys.window(day, minute)}, AROUND)
        return list(islice(found, AROUND))

    def prepare(self, day: date, older: Sequence[Part]) -> None:
        """Before a day's first window hides the day before it from the reader: have that day in the digest."""
        if older and older[0].day != day:
            self._keep({older[0].day: total_of(older)}, self._digest(), day)

    def put(self, window: Item, *, seen: Item | None) -> bool:
        """Write a window that is still as it was seen; False where the outcome must be looked at first."""
        if seen is None:
            return self._put(window, ConditionExpression="attribute_not_exists(pk)")
        values = {":calls": seen["calls"], ":earlier": seen["earlier_calls"]}
        unchanged = "calls = :calls AND earlier_calls = :earlier"
        return self._put(window, ConditionExpression=unchanged, ExpressionAttributeValues=values)

    def look(self, day: date, minute: int, around: Sequence[Part] | None) -> None:
        """See that all that depends on a window has what it holds; for after every write, and every delivery.

        ``around``: the window and those before it, as read when the window was there already; None where it was not.
        Raises TryAgainError when others contend for too long.
        """
        mended: int | None = None
        for _ in failures.attempts():
            digest, newest, is_all = self._top(1 if around else AROUND)
            if around is None:
                around = _around(newest, day, minute, is_all=is_all) or [
                    part_of(item) for item in self.down_from(day, minute)
                ]
            of_day = newest if newest[0].day == day else self._newest_of(day)
            if of_day[0].minute != mended and not _is_right(of_day[0], around):
                mended = self._mend(day)
                continue
            totals = {} if of_day is newest else {day: total_of(of_day)}
            before = around[1:]
            if before and before[0].day != day:
                totals[before[0].day] = total_of(before)
            self._keep(totals, digest, newest[0].day)
            return
        raise failures.TryAgainError("too many writers for one day")

    def _mend(self, day: date) -> int | None:
        """Add up a day anew for its newest window; returns that one's minute, None where another writer was there."""
        found = self._query_day(day, ProjectionExpression=_NAMES)
        parts = [part_of(item) for item in found]
        newest = parts[-1]
        key = {"pk": self._partition, "sk": {"S": keys.window(day, newest.minute)}}
        item = self._dynamodb.get_item(TableName=self._table, Key=key, ConsistentRead=True)["Item"]
        known = unpack_calls(item["earlier"]["B"])
        earlier = at_least(known, added(part.own for part in parts if not newest.reaches(part)))
        if earlier == known:
            return newest.minute
        return newest.minute if self.put({**item, **earlier_to_item(earlier)}, seen=item) else None

    def _keep(self, totals: Mapping[date, TagCalls], digest: Digest, newest: date) -> None:
        """Have the digest hold at least these totals."""
        for _ in failures.attempts():
            newest = max([newest, *digest.days])
            if all(digest.holds(day, total) for day, total in totals.items() if is_kept(day, newest)):
                return
            if self._put_digest(digest, digest.with_days(totals, newest), newest):
                return
            digest = self._digest()
        raise failures.TryAgainError("too many writers for one digest")

    def _put_digest(self, seen: Digest, digest: Digest, newest: date) -> bool:
        item: dict[str, Any] = {
            "pk": self._partition,
            "sk": {"S": keys.DIGEST},
            "version": {"N": str(digest.version)},
            "days": {"B": pack_days(digest.days)},
        }
        expires_at = self._expires_at(newest)
        if expires_at is not None:
            item["expires_at"] = {"N": str(expires_at)}
        if not seen.version:
            return self._put(item, ConditionExpression="attribute_not_exists(pk)")
        values = {":seen": {"N": str(seen.version)}}
        return self._put(item, ConditionExpression="version = :seen", ExpressionAttributeValues=values)

    def _put(self, item: Item, **condition: Any) -> bool:
        """Put an item; False where the outcome must be looked at first."""
        try:
            self._dynamodb.put_item(TableName=self._table, Item=dict(item), **condition)
        except Exception as error:
            if not failures.is_retriable(error):
                raise
            return False
        return True

    def _digest(self) -> Digest:
        key = {"pk": self._partition, "sk": {"S": keys.DIGEST}}
        item = self._dynamodb.get_item(TableName=self._table, Key=key, ConsistentRead=True).get("Item")
        return digest_of(item) if item else Digest()

    def _top(self, windows: int) -> tuple[Digest, list[Part], bool]:
        """The digest and at least the newest so many windows, newest first; whether these are all."""
        found = self._query("pk = :pk", {}, windows + 1, ProjectionExpression=_NAMES)
        items = list(islice(found, windows + 1))
        is_all = len(items) <= windows
        digest = digest_of(items.pop(0)) if is_digest(items[0]) else Digest()
        return digest, [part_of(item) for item in items], is_all

    def _newest_of(self, day: date) -> list[Part]:
        """The newest windows of a day, newest first: enough for its total."""
        found = self._query_day(day, Limit=REACH + 1, ScanIndexForward=False, ProjectionExpression=_NAMES)
        return [part_of(item) for item in islice(found, REACH + 1)]

    def _query_day(self, day: date, **more: Any) -> Iterator[Item]:
        return query_day(self._dynamodb, self._table, self._account_id, day, **more)

    def _query(self, condition: str, values: Mapping[str, str], limit: int, **more: Any) -> Iterator[Item]:
        return query_all(
            self._dynamodb,
            TableName=self._table,
            KeyConditionExpression=condition,
            ExpressionAttributeValues={":pk": self._partition, **{name: {"S": text} for name, text in values.items()}},
            ScanIndexForward=False,
            Limit=limit,
            ConsistentRead=True,
            **more,
        )


def totals_by_day(dynamodb: DynamoDBClient, table: str, account_id: str, *, consistent: bool) -> dict[date, TagCalls]:
    """Chargeable calls by tag number of every recent day that has windows: one query, as a rule one read unit."""
    digest, parts = Digest(), list[Part]()
    for item in query_all(
        dynamodb,
        TableName=table,
        KeyConditionExpression="pk = :pk",
        ExpressionAttributeValues={":pk": {"S": keys.windows(account_id)}},
        ProjectionExpression=_NAMES,
        ScanIndexForward=False,
        Limit=_READER_ITEMS,
        ConsistentRead=consistent,
    ):
        if is_digest(item):
            digest = digest_of(item)
            continue
        part = part_of(item)
        if parts and not parts[0].reaches(part):
            break
        parts.append(part)
    if not parts:
        return {}
    newest = parts[0].day
    return dict(digest.with_days({newest: total_of(parts)}, newest).days)


def query_day(
    dynamodb: DynamoDBClient, table: str, account_id: str, day: date, **more: Any
) -> Iterator[Mapping[str, Any]]:
    """The windows of a day, as they are now."""
    return query_all(
        dynamodb,
        TableName=table,
        KeyConditionExpression="pk = :pk AND sk BETWEEN :first AND :last",
        ExpressionAttributeValues={
            ":pk": {"S": keys.windows(account_id)},
            ":first": {"S": keys.window(day, 0)},
            ":last": {"S": keys.window(day, _LAST_MINUTE)},
        },
        ConsistentRead=True,
        **more,
    )


def earlier_to_item(earlier: TagCalls) -> dict[str, Any]:
    """What a window carries of the earlier ones; it only grows, so its sum is its version."""
    return {"earlier": {"B": pack_calls(earlier)}, "earlier_calls": {"N": str(sum(earlier.values()))}}


def part_of(item: Item) -> Part:
    """What a window's item says of its day."""
    day, minute = keys.place_of_window(item["sk"]["S"])
    return Part(day, minute, unpack_calls(item["own"]["B"]), unpack_calls(item["earlier"]["B"]))


def is_digest(item: Item) -> bool:
    """Whether an item is the digest and not a window."""
    return bool(item["sk"]["S"] == keys.DIGEST)


def digest_of(item: Item) -> Digest:
    """The digest in its item."""
    return Digest(unpack_days(item["days"]["B"]), int(item["version"]["N"]))


def pack_calls(calls: TagCalls) -> bytes:
    """Calls by tag number, ascending."""
    return b"".join(_TAG_CALLS.pack(tag, number) for tag, number in sorted(calls.items()))


def unpack_calls(packed: bytes) -> TagCalls:
    """The reverse of `pack_calls`."""
    return dict(_TAG_CALLS.iter_unpack(packed))


def pack_days(days: Mapping[date, TagCalls]) -> bytes:
    """Totals by day, ascending."""
    return b"".join(_DAY.pack(day.toordinal(), len(calls)) + pack_calls(calls) for day, calls in sorted(days.items()))


def unpack_days(packed: bytes) -> dict[date, TagCalls]:
    """The reverse of `pack_days`."""
    days: dict[date, TagCalls] = {}
    start = 0
    while start < len(packed):
        ordinal, tags = _DAY.unpack_from(packed, start)
        start += _DAY.size
        end = start + tags * _TAG_CALLS.size
        days[date.fromordinal(ordinal)] = unpack_calls(packed[start:end])
        start = end
    return days


def _is_right(newest: Part, around: Sequence[Part]) -> bool:
    """Whether the newest window of a day needs no mending because of another one, seen with those before it."""
    own = around[0]
    return newest.reaches(own) and covers(own.earlier, earlier_of(own.day, own.minute, around[1:]))


def _around(newest: Sequence[Part], day: date, minute: int, *, is_all: bool) -> list[Part]:
    """A window and those before it, out of the newest ones; nothing where that is not all that is needed."""
    for number, part in enumerate(newest):
        if (part.day, part.minute) == (day, minute):
            found = list(newest[number : number + AROUND])
            return found if is_all or len(found) == AROUND else []
    return []
