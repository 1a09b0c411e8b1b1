"""Counting a day from its buckets: the counts that money depends on."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from aws_platform import keys, records
from aws_platform.tasks import Run, in_turn
from rating.civil import start_of

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from rating.catalog import Catalog

SLOTS_OF_DAY = 86_400 // records.SLOT_SECONDS
_RANGES = 8
"""Parts that a day of more than one page is read in, side by side."""

Counts = dict[int, int]
"""Calls by packed dimensions."""
Fold = Callable[[Sequence[Mapping[str, Any]], list[Counts]], None]
"""Adds a page of buckets to the counts of the segments, so that a day of any size needs no more than its sums."""


@dataclass(frozen=True, slots=True)
class DayCount:
    """All calls of one account and day."""

    segments: tuple[Mapping[str, int], ...]
    """Chargeable calls by tag, for each segment that was asked for."""
    dimensions: Mapping[int, int]
    """All calls, charged or not, by packed dimensions."""


def count_day(
    dynamodb: DynamoDBClient,
    table: str,
    account_id: str,
    day: date,
    cuts: Sequence[datetime],
    catalog: Catalog,
    run: Run = in_turn,
) -> DayCount:
    """Count a day, strongly consistent; `cuts` are the instants inside the day at which segments begin, ascending.

    Without a cut the counts that stand beside the records suffice; with one, the records know their second.
    """
    bounds = [int((cut - start_of(day)).total_seconds()) for cut in cuts]
    reader = _Reader(
        dynamodb,
        table,
        keys.usage_day(account_id, day),
        "sk, r" if cuts else "c",
        partial(_fold_records, bounds) if cuts else _fold_counts,
        len(bounds) + 1,
    )
    by_segment = reader.read(run)
    total: Counts = {}
    for counts in by_segment:
        _add(total, counts)
    return DayCount(tuple(_by_tag(counts, catalog) for counts in by_segment), total)


def _fold_counts(buckets: Sequence[Mapping[str, Any]], into: list[Counts]) -> None:
    _add(into[0], records.add_counts(bucket["c"]["B"] for bucket in buckets))


def _fold_records(bounds: Sequence[int], buckets: Sequence[Mapping[str, Any]], into: list[Counts]) -> None:
    for bucket in buckets:
        start = records.slot_of_key(bucket["sk"]["S"]) * records.SLOT_SECONDS
        for (second, dimensions), calls in records.count_by_second(bucket["r"]["B"]).items():
            segment = into[bisect_right(bounds, start + second)]
            segment[dimensions] = segment.get(dimensions, 0) + calls


def _add(into: Counts, more: Mapping[int, int]) -> None:
    for dimensions, calls in more.items():
        into[dimensions] = into.get(dimensions, 0) + calls


def _by_tag(dimensions: Mapping[int, int], catalog: Catalog) -> dict[str, int]:
    """Chargeable calls by tag."""
    totals: dict[str, int] = {}
    for packed, calls in dimensions.items():
        one = records.unpack_dimensions(packed)
        if one.chargeable:
            tag = catalog.interface(one.kind).tag
            totals[tag] = totals.get(tag, 0) + calls
    return totals


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads the buckets of one day and folds them, page by page."""

    dynamodb: DynamoDBClient
    table: str
    partition: str
    projection: str
    fold: Fold
    segments: int

    def read(self, run: Run) -> list[Counts]:
        """The counts of the whole day: of the first page, and if there is more of the rest in ranges."""
        sums: list[Counts] = [{} for _ in range(self.segments)]
        after = self._page("0", "~", None, sums)
        if after is None:
            return sums
        slot = records.slot_of_key(after["sk"]["S"])
        step = max(1, -(-(SLOTS_OF_DAY - slot) // _RANGES))
        bounds = [f"{bound:04d}" for bound in range(slot + step, SLOTS_OF_DAY, step)]
        # Bounds fall between slots, so that no bucket is in two ranges.
        starts, ends = [after["sk"]["S"], *bounds], [*bounds, "~"]
        resumes = [after, *(None for _ in bounds)]
        for counts in run([partial(self._range, *part) for part in zip(starts, ends, resumes, strict=True)]):
            for segment, more in zip(sums, counts, strict=True):
                _add(segment, more)
        return sums

    def _range(self, start: str, end: str, after: Mapping[str, Any] | None) -> list[Counts]:
        sums: list[Counts] = [{} for _ in range(self.segments)]
        while True:
            after = self._page(start, end, after, sums)
            if after is None:
                return sums

    def _page(
        self, start: str, end: str, after: Mapping[str, Any] | None, sums: list[Counts]
    ) -> Mapping[str, Any] | None:
        """Fold one page of the buckets with keys from `start` to `end`, and say where the next one begins."""
        page = self.dynamodb.query(
            TableName=self.table,
            KeyConditionExpression="pk = :pk AND sk BETWEEN :start AND :end",
            ExpressionAttributeValues={":pk": {"S": self.partition}, ":start": {"S": start}, ":end": {"S": end}},
            ProjectionExpression=self.projection,
            ConsistentRead=True,
            **({"ExclusiveStartKey": dict(after)} if after else {}),  # type: ignore[arg-type]
        )
        self.fold(page["Items"], sums)
        return page.get("LastEvaluatedKey")
