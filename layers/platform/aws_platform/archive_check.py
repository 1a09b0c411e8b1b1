"""The archive against the buckets: every call that was counted is archived, as what it was counted, and no other is.

Calls are compared by identity, so repeats in the archive do no harm. A part is gone through in passes, each of which
holds the identities of its share of the first bytes: memory is bounded, however large a part may be.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from functools import partial
from itertools import batched
from typing import TYPE_CHECKING

from aws_platform import keys, records
from aws_platform.archive_reading import ArchivedCall, archived_calls
from aws_platform.ledger import query_all
from aws_platform.reading import in_partition
from aws_platform.tasks import Run, in_turn
from rating.verification import Difference, Kind

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client

    from aws_platform.settings import Settings
    from rating.catalog import Catalog

MOST_PASSES = 256
"""A pass is told by the first byte of identities."""
MOST_CALLS = 3_000_000
"""Calls that a pass may hold: about 170 bytes each, so that they fit into half a gigabyte."""
_ACCOUNTS_AT_ONCE = 64
_EXAMPLES = 5
# What a call is counted as: its tag's number above these bits.
_CHARGED, _SEEN, _AGREED, _TAG_SHIFT = 1, 2, 4, 3
_MARKS = _SEEN | _AGREED


class TooManyCallsError(Exception):
    """A pass has more calls than it may hold: there must be more passes."""


@dataclass(frozen=True, slots=True)
class Pass:
    """A share of the identities: one in `of`."""

    number: int = 0
    of: int = 1

    def takes(self, identity: bytes) -> bool:
        """Whether the identity is in the share."""
        return identity[0] % self.of == self.number


class Fault(StrEnum):
    """What can be wrong with a call."""

    MISSING = "counted, not archived"
    UNKNOWN = "archived, not counted"
    OTHER = "archived as another call"
    """As of another tag, or as charged where it is not, or the other way round."""


@dataclass(slots=True)
class Compared:
    """How the archive agrees with the buckets of one account and day, in one pass."""

    account_id: str
    counted: int = 0
    """Calls in the buckets."""
    archived: int = 0
    """Calls in the archive, each once."""
    waiting: bool = False
    """Whether late usage waits for a run: what is missing may be on its way, and will be compared again."""
    faults: dict[Fault, int] = field(default_factory=dict)
    """Calls that do not agree."""
    examples: dict[Fault, list[str]] = field(default_factory=dict)
    """Identities of some of them."""

    def note(self, fault: Fault, identity: bytes) -> None:
        """Count a call that does not agree."""
        self.faults[fault] = self.faults.get(fault, 0) + 1
        listed = self.examples.setdefault(fault, [])
        if len(listed) < _EXAMPLES:
            listed.append(identity.hex())

    def differences(self, *, young: bool = False) -> list[Difference]:
        """One difference for each kind of fault; `young`: what is missing may be on its way."""
        return [
            Difference(
                Kind.ARCHIVE,
                f"{fault}: {', '.join(self.examples[fault])}",
                charged=str(0 if fault is Fault.UNKNOWN else number),
                computed=str(number if fault is Fault.UNKNOWN else 0),
                pending=fault is Fault.MISSING and (young or self.waiting),
            )
            for fault, number in sorted(self.faults.items())
        ]


@dataclass(frozen=True, slots=True)
class ArchiveCheck:
    """Compares days of accounts of one part."""

    dynamodb: DynamoDBClient
    s3: S3Client
    settings: Settings
    catalog: Catalog
    run: Run = in_turn

    def compare(
        self, day: date, part: str, accounts: Iterable[str], share: Pass, strangers: set[str] | None = None
    ) -> list[Compared]:
        """Compare a pass over a part, of which all accounts must be. Raises TooManyCallsError.

        `strangers` takes the ids of the other accounts that the archive has calls of, that day.
        """
        held = self._held(day, list(accounts), share)
        found = {account_id: Compared(account_id, len(calls)) for account_id, calls in held.items()}
        unknown: dict[str, set[bytes]] = {}
        number = 0
        for call in archived_calls(self.s3, self.settings.archive_bucket, day, part, held.keys(), strangers):
            if not share.takes(call.identity):
                continue
            calls = held[call.account_id]
            known = calls.get(call.identity)
            if known is not None:
                # As archived at least once: another call with the same identity is not the one that was counted.
                agrees = known | _MARKS == self._archived_as(call) | _MARKS
                calls[call.identity] = known | _SEEN | (_AGREED if agrees else 0)
            elif call.identity not in (others := unknown.setdefault(call.account_id, set())):
                others.add(call.identity)
                number += 1
                if number > MOST_CALLS:
                    raise TooManyCallsError
        for account_id, compared in found.items():
            self._sum_up(compared, held[account_id], unknown.get(account_id, set()), day, share)
        return list(found.values())

    def _sum_up(
        self, compared: Compared, calls: Mapping[bytes, int], unknown: set[bytes], day: date, share: Pass
    ) -> None:
        if unknown:
            # A call is stored before it is archived, but it may have been stored after the buckets were read.
            unknown -= self._of_account(compared.account_id, day, share, [MOST_CALLS]).keys()
        for identity in sorted(unknown):
            compared.note(Fault.UNKNOWN, identity)
        for identity, code in calls.items():
            if not code & _SEEN:
                compared.note(Fault.MISSING, identity)
            elif not code & _AGREED:
                compared.note(Fault.OTHER, identity)
        missing = compared.faults.get(Fault.MISSING, 0)
        compared.archived = len(calls) - missing + len(unknown)
        if missing:
            mark = keys.late_mark(day)
            partition = keys.usage_account(compared.account_id)
            compared.waiting = mark in in_partition(self.dynamodb, self.settings.usage_table, partition, [mark])

    def _archived_as(self, call: ArchivedCall) -> int:
        number = self.catalog.tag(call.tag).number if self.catalog.has_tag(call.tag) else 0
        return number << _TAG_SHIFT | (_CHARGED if call.charged else 0)

    def _held(self, day: date, accounts: list[str], share: Pass) -> dict[str, dict[bytes, int]]:
        """What the buckets hold: by account, calls by identity, and as what each is counted."""
        held: dict[str, dict[bytes, int]] = {}
        # One for all that are read at once; it need not be exact.
        room = [MOST_CALLS]
        for group in batched(accounts, _ACCOUNTS_AT_ONCE, strict=False):
            read = self.run([partial(self._of_account, one, day, share, room) for one in group])
            held.update(zip(group, read, strict=True))
        return held

    def _of_account(self, account_id: str, day: date, share: Pass, room: list[int]) -> dict[bytes, int]:
        calls: dict[bytes, int] = {}
        codes: dict[int, int] = {}
        for identity, packed in self._records(account_id, day):
            if share.takes(identity):
                if packed not in codes:
                    codes[packed] = self._counted_as(packed)
                calls[identity] = codes[packed]
                room[0] -= 1
                if room[0] < 0:
                    raise TooManyCallsError
        return calls

    def _counted_as(self, packed: int) -> int:
        one = records.unpack_dimensions(packed)
        return self.catalog.interface(one.kind).tag_number << _TAG_SHIFT | (_CHARGED if one.chargeable else 0)

    def _records(self, account_id: str, day: date) -> Iterator[tuple[bytes, int]]:
        """(identity, packed dimensions) of every call of a day."""
        for item in query_all(
            self.dynamodb,
            TableName=self.settings.usage_table,
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": keys.usage_day(account_id, day)}},
            ProjectionExpression="r",
            ConsistentRead=True,
        ):
            yield from records.identified(item["r"]["B"])
