"""Exactly-once storage of usage events: the write that stores an event is the write that counts it.

A bucket holds records of one account, day, ten seconds and source. Its generations are written in order: a full one is
never changed again, and only the last may be not full. A write is conditional on what was read, so the first writer
wins, and duplicates and conflicts are known before anything is written. Nothing is ever taken out.

Why no event is stored twice: a record goes into generation g only after all generations before g, which are full and so
immutable, and g itself were seen without it; the condition (g absent, or g of the length that was seen) fails if
anybody wrote in between. A generation after g cannot exist while g is not full.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from threading import Lock
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from botocore.exceptions import BotoCoreError, ClientError

from aws_platform import failures, keys, records

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

FULL_RECORDS = 48
"""A generation of this many records is full: one more small batch would not fit into one write unit (1 KB)."""
_CACHED_RECORDS = 100_000
"""Records whose identities a process remembers, so that most writes need no read; about 15 MB."""


_ATTEMPTS = 20
"""Tries of one write: many gateways may share a source, and one of the contending writers succeeds each time."""


class Outcome(StrEnum):
    """What became of an event."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"


@dataclass(frozen=True, slots=True)
class Bucket:
    """Where an event belongs."""

    account_id: str
    day: date
    slot: int
    source: str


@dataclass(frozen=True, slots=True)
class LateMark:
    """The mark that an event raises when its day may have been counted already."""

    due_on: date
    """The day whose 08:00 run is to take it."""
    raised_at: datetime


@dataclass(slots=True)
class _Known:
    """What a process has seen of a bucket: all generations up to the last."""

    seen: dict[bytes, bytes] = field(default_factory=dict)
    generation: int = 0
    tail: bytes = b""
    """Records of the last generation; empty when it does not exist yet."""

    def take(self, generation: int, content: bytes) -> None:
        self.seen.update(records.split_records(content))
        if len(content) // records.RECORD_BYTES >= FULL_RECORDS:
            self.generation, self.tail = generation + 1, b""
        else:
            self.generation, self.tail = generation, content


class BucketStore:
    """Stores events into buckets of the usage table."""

    def __init__(self, reads: DynamoDBClient, writes: DynamoDBClient, table: str, shards: int = keys.SHARDS) -> None:
        """`writes` must not send anything again by itself; see `clients.dynamodb_once`."""
        self._reads = reads
        self._writes = writes
        self._table = table
        self._shards = shards
        self._cache: OrderedDict[Bucket, _Known] = OrderedDict()
        self._cached_records = 0
        self._lock = Lock()

    def store(self, bucket: Bucket, events: Sequence[tuple[bytes, bytes]], late: LateMark | None) -> list[Outcome]:
        """Store (identity, data) records and say of each what became of it, in the order given.

        When this returns, all accepted ones are durable. Raises TryAgainError when the outcome is not known or others
        contended for too long; sending the same events again is then safe.
        """
        known = self._recall(bucket)
        mine: set[bytes] = set()
        for _ in failures.attempts(_ATTEMPTS):
            fresh, outcomes = _classify(known.seen, events, mine)
            if not fresh:
                self._remember(bucket, known)
                return outcomes
            generation, content = known.generation, known.tail + b"".join(fresh)
            error = self._write(bucket, known, content, late)
            if error is None:
                known.take(generation, content)
                self._remember(bucket, known)
                return outcomes
            if not failures.is_retriable(error):
                raise error
            self._catch_up(bucket, known)
            if failures.is_unknown_outcome(error) and known.seen.keys() >= {
                one[: records.IDENTITY_BYTES] for one in fresh
            }:
                # The write whose answer was lost did happen: the events are this request's own, no duplicates.
                mine.update(one[: records.IDENTITY_BYTES] for one in fresh)
        msg = "too many writers for one bucket"
        raise failures.TryAgainError(msg)

    def _write(
        self, bucket: Bucket, known: _Known, content: bytes, late: LateMark | None
    ) -> ClientError | BotoCoreError | None:
        put: dict[str, Any] = {
            "TableName": self._table,
            "Item": {
                "pk": {"S": keys.usage_day(bucket.account_id, bucket.day)},
                "sk": {"S": records.bucket_key(bucket.slot, bucket.source, known.generation)},
                "r": {"B": content},
                "c": {"B": records.pack_counts(records.count_records(content))},
            },
        }
        if known.tail:
            unchanged_since_read = "size(r) = :seen"
            put["ConditionExpression"] = unchanged_since_read
            put["ExpressionAttributeValues"] = {":seen": {"N": str(len(known.tail))}}
        else:
            absent = "attribute_not_exists(pk)"
            put["ConditionExpression"] = absent
        try:
            if late is None:
                self._writes.put_item(**put)
            else:
                self._writes.transact_write_items(
                    TransactItems=[{"Put": put}, {"Update": self._raise_mark(bucket, late)}]  # type: ignore[typeddict-item]
                )
        except (ClientError, BotoCoreError) as error:
            return error
        return None

    def _raise_mark(self, bucket: Bucket, late: LateMark) -> dict[str, Any]:
        """Leave word of a late write to the day; the run that removes the mark asks for the token that it saw.

        A token and not a count, which would begin anew, and so meet the same number again, after a removal. With its
        time: the mark may be seen a moment before the bucket that it was written with.
        """
        sort_key = keys.late_mark(bucket.day)
        return {
            "TableName": self._table,
            "Key": {"pk": {"S": keys.usage_account(bucket.account_id)}, "sk": {"S": sort_key}},
            "UpdateExpression": "SET raised = :token, due_pk = if_not_exists(due_pk, :pk), "
            "due_sk = if_not_exists(due_sk, :sk)",
            "ExpressionAttributeValues": {
                ":token": {"S": f"{late.raised_at.isoformat()}#{uuid4().hex}"},
                ":pk": {"S": keys.shard_of(bucket.account_id, self._shards)},
                ":sk": {"S": keys.due_sort_key(late.due_on, bucket.account_id, sort_key)},
            },
        }

    def _catch_up(self, bucket: Bucket, known: _Known) -> None:
        """Read the generations that were written since, the last known one included."""
        first = records.bucket_key(bucket.slot, bucket.source, known.generation)
        last = records.bucket_prefix(bucket.slot, bucket.source) + "~"
        start: dict[str, AttributeValueTypeDef] | None = None
        while True:
            page = self._reads.query(
                TableName=self._table,
                KeyConditionExpression="pk = :pk AND sk BETWEEN :first AND :last",
                ExpressionAttributeValues={
                    ":pk": {"S": keys.usage_day(bucket.account_id, bucket.day)},
                    ":first": {"S": first},
                    ":last": {"S": last},
                },
                ProjectionExpression="sk, r",
                ConsistentRead=True,
                **({"ExclusiveStartKey": start} if start else {}),  # type: ignore[arg-type]
            )
            for item in page["Items"]:
                known.take(records.generation_of_key(item["sk"]["S"]), item["r"]["B"])
            start = page.get("LastEvaluatedKey")
            if not start:
                return

    def _recall(self, bucket: Bucket) -> _Known:
        """Take what is known out of the cache: when the write fails it is not put back."""
        with self._lock:
            known = self._cache.pop(bucket, None) or _Known()
            self._cached_records -= len(known.seen)
            return known

    def _remember(self, bucket: Bucket, known: _Known) -> None:
        with self._lock:
            self._cache[bucket] = known
            self._cached_records += len(known.seen)
            while self._cached_records > _CACHED_RECORDS:
                _, dropped = self._cache.popitem(last=False)
                self._cached_records -= len(dropped.seen)


def _classify(
    seen: dict[bytes, bytes], events: Sequence[tuple[bytes, bytes]], mine: set[bytes]
) -> tuple[list[bytes], list[Outcome]]:
    """The records to append, and what becomes of each event if they are."""
    fresh: dict[bytes, bytes] = {}
    outcomes: list[Outcome] = []
    for identity, data in events:
        first = seen.get(identity) or fresh.get(identity)
        if first is None:
            fresh[identity] = data
            outcomes.append(Outcome.ACCEPTED)
        elif first != data:
            outcomes.append(Outcome.CONFLICT)
        elif identity in mine:
            mine.discard(identity)
            outcomes.append(Outcome.ACCEPTED)
        else:
            outcomes.append(Outcome.DUPLICATE)
    return [identity + data for identity, data in fresh.items()], outcomes
