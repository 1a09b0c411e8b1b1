"""Counting a day from its buckets: the counts that money depends on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
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


@dataclass(frozen=True, slots=True)
class _Part:
    """What is counted of one bucket."""

    slot: int
    packed: bytes


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
    """Count a day, strongly consistent; `cuts` are the instants inside the day at which segments begin.

    Without a cut the counts that stand beside the records suffice; with one, the records know their second.
    """
    attribute = "r" if cuts else "c"
    parts = _read_day(dynamodb, table, keys.usage_day(account_id, day), attribute, run)
    if not cuts:
        dimensions = records.add_counts(part.packed for part in parts)
        return DayCount((_by_tag(dimensions, catalog),), dimensions)
    bounds = [int((cut - start_of(day)).total_seconds()) for cut in cuts]
    by_segment: list[dict[int, int]] = [{} for _ in range(len(bounds) + 1)]
    total: dict[int, int] = {}
    for part in parts:
        for (second, dimensions_), calls in records.count_by_second(part.packed).items():
            at = part.slot * records.SLOT_SECONDS + second
            segment = by_segment[sum(bound <= at for bound in bounds)]
            segment[dimensions_] = segment.get(dimensions_, 0) + calls
            total[dimensions_] = total.get(dimensions_, 0) + calls
    return DayCount(tuple(_by_tag(counts, catalog) for counts in by_segment), total)


def _by_tag(dimensions: Mapping[int, int], catalog: Catalog) -> dict[str, int]:
    """Chargeable calls by tag."""
    totals: dict[str, int] = {}
    for packed, calls in dimensions.items():
        one = records.unpack_dimensions(packed)
        if one.chargeable:
            tag = catalog.interface(one.kind).tag
            totals[tag] = totals.get(tag, 0) + calls
    return totals


def _read_day(dynamodb: DynamoDBClient, table: str, partition: str, attribute: str, run: Run) -> Iterator[_Part]:
    """One attribute of all buckets of a day: the first page, and if there is more the rest in ranges."""
    first, after = _page(dynamodb, table, partition, attribute, "0", "~", None)
    yield from first
    if after is None:
        return
    slot = records.slot_of_key(after["sk"]["S"])
    step = max(1, -(-(SLOTS_OF_DAY - slot) // _RANGES))
    bounds = [f"{bound:04d}" for bound in range(slot + step, SLOTS_OF_DAY, step)]
    starts = [after["sk"]["S"], *bounds]
    ends = [*bounds, "~"]

    def reader(number: int) -> Callable[[], list[_Part]]:
        resume = after if number == 0 else None
        return lambda: list(_read_range(dynamodb, table, partition, attribute, starts[number], ends[number], resume))

    for parts in run([reader(number) for number in range(len(starts))]):
        yield from parts


def _read_range(
    dynamodb: DynamoDBClient,
    table: str,
    partition: str,
    attribute: str,
    start: str,
    end: str,
    after: Mapping[str, Any] | None,
) -> Iterator[_Part]:
    while True:
        parts, after = _page(dynamodb, table, partition, attribute, start, end, after)
        yield from parts
        if after is None:
            return


def _page(
    dynamodb: DynamoDBClient,
    table: str,
    partition: str,
    attribute: str,
    start: str,
    end: str,
    after: Mapping[str, Any] | None,
) -> tuple[list[_Part], Mapping[str, Any] | None]:
    """One page of the buckets whose keys are from `start` to `end`. Bounds fall between slots, so none is on two."""
    page = dynamodb.query(
        TableName=table,
        KeyConditionExpression="pk = :pk AND sk BETWEEN :start AND :end",
        ExpressionAttributeValues={":pk": {"S": partition}, ":start": {"S": start}, ":end": {"S": end}},
        ProjectionExpression="sk, r" if attribute == "r" else "c",
        ConsistentRead=True,
        **({"ExclusiveStartKey": dict(after)} if after else {}),  # type: ignore[arg-type]
    )
    if attribute == "c":
        parts = [_Part(0, item["c"]["B"]) for item in page["Items"]]
    else:
        parts = [_Part(records.slot_of_key(item["sk"]["S"]), item["r"]["B"]) for item in page["Items"]]
    return parts, page.get("LastEvaluatedKey")
