"""Statistics of usage: live totals by day, tag, sub-account, interface or result code (D6)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, Literal

from aws_platform import keys, live, records
from aws_platform.directory import read_names
from aws_platform.ledger import query_all
from aws_platform.usage_counts import count_day
from rating.allocation import Segment, allocate, segments_of
from rating.billing import Quantities

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from aws_platform.settings import Settings
    from rating.account import Account
    from rating.catalog import Catalog

By = Literal["day", "tag", "sub_account", "interface", "result_code"]
OTHER_NAME = "(other)"
"""Stands for all names beyond the bound of an account's dictionary."""


@dataclass(frozen=True, slots=True)
class _Cell:
    """Where a call is counted."""

    day: date
    tag: str
    value: str | None
    """Of the dimension that was asked for; None for `day` and `tag`."""
    chargeable: bool


@dataclass(frozen=True, slots=True)
class UsageQuery:
    """What is asked: days, both included, one tag or all, and what a row stands for."""

    first: date
    last: date
    tag: str | None
    by: By


def usage(
    dynamodb: DynamoDBClient, settings: Settings, catalog: Catalog, account: Account, query: UsageQuery
) -> list[dict[str, Any]]:
    """Rows of one dimension, with how the calls are covered where it is `day` or `tag`."""
    first, last, tag, by = query.first, query.last, query.tag, query.by
    days = _totals_by_day(dynamodb, settings, account.account_id, first, last)
    names = _names(dynamodb, settings, account.account_id) if by in {"sub_account", "result_code"} else {}
    cells: Counter[_Cell] = Counter()
    for day, totals in days.items():
        for packed, calls in totals.items():
            one = records.unpack_dimensions(packed)
            interface = catalog.interface(one.kind)
            if tag is not None and interface.tag != tag:
                continue
            number = {"sub_account": one.sub_account, "result_code": one.code}.get(by)
            value = interface.interface if by == "interface" else _name(names, by, number)
            cells[_Cell(day, interface.tag, value, one.chargeable)] += calls
    cover = (
        _coverage(
            dynamodb,
            settings,
            catalog,
            account,
            {cell: calls for cell, calls in cells.items() if cell.chargeable},
        )
        if by in {"day", "tag"}
        else {}
    )
    return _rows(cells, cover, query)


def _rows(
    cells: Mapping[_Cell, int], cover: Mapping[tuple[date, str], Quantities], query: UsageQuery
) -> list[dict[str, Any]]:
    """One row per value of the dimension. Day and tag are named wherever a row has just one of them."""
    by = query.by
    groups: dict[str, list[_Cell]] = {}
    for cell in cells:
        key = {"day": cell.day.isoformat(), "tag": cell.tag}.get(by, cell.value)
        groups.setdefault(key or "", []).append(cell)
    rows = []
    for key in sorted(groups):
        own = groups[key]
        tags, days = {cell.tag for cell in own}, {cell.day for cell in own}
        row: dict[str, Any] = {
            "day": days.pop().isoformat() if by == "day" or query.first == query.last else None,
            "tag": tags.pop() if len(tags) == 1 else query.tag,
        }
        if by not in {"day", "tag"}:
            row[by] = key or None
        row["calls"] = sum(cells[cell] for cell in own if cell.chargeable)
        row["not_chargeable"] = sum(cells[cell] for cell in own if not cell.chargeable)
        if by in {"day", "tag"}:
            covered = Quantities()
            for place in {(cell.day, cell.tag) for cell in own}:
                covered = covered.plus(cover.get(place, Quantities()))
            row |= {
                "free": covered.free,
                "paid": covered.paid,
                "postpaid": covered.postpaid,
                "uncovered": covered.uncovered,
            }
        rows.append(row)
    return rows


def _coverage(
    dynamodb: DynamoDBClient,
    settings: Settings,
    catalog: Catalog,
    account: Account,
    cells: Mapping[_Cell, int],
) -> dict[tuple[date, str], Quantities]:
    """How the chargeable calls of each day and tag are covered."""
    by_day: dict[date, dict[str, int]] = {}
    for cell, calls in cells.items():
        counts = by_day.setdefault(cell.day, {})
        counts[cell.tag] = counts.get(cell.tag, 0) + calls
    cover: dict[tuple[date, str], Quantities] = {}
    for day, counts in by_day.items():
        for part in allocate(_by_segment(dynamodb, settings, catalog, account, day, counts), ()).allotments:
            key = (day, part.tag)
            more = Quantities(part.calls, part.free, part.paid, part.postpaid, part.uncovered)
            cover[key] = cover.get(key, Quantities()).plus(more)
    return cover


def _by_segment(
    dynamodb: DynamoDBClient,
    settings: Settings,
    catalog: Catalog,
    account: Account,
    day: date,
    counts: Mapping[str, int],
) -> list[tuple[Segment, Mapping[str, int]]]:
    """The day's calls by segment: the live totals where nothing changes within the day, else counted anew."""
    segments = segments_of(day, (), account.conditions())
    if len(segments) == 1:
        return [(segments[0], counts)]
    cuts = [segment.start for segment in segments[1:]]
    counted = count_day(dynamodb, settings.usage_table, account.account_id, day, cuts, catalog)
    return [
        (segment, {tag: calls for tag, calls in own.items() if tag in counts})
        for segment, own in zip(segments, counted.segments, strict=True)
    ]


def _totals_by_day(
    dynamodb: DynamoDBClient, settings: Settings, account_id: str, first: date, last: date
) -> dict[date, Counter[int]]:
    """Calls of each day that has any, by packed dimensions: as a run has counted them, else from the windows."""
    used, late = _days_with_usage(dynamodb, settings, account_id, first, last)
    counted = live.counted_days(dynamodb, settings.live_table, account_id, first, last)
    totals: dict[date, Counter[int]] = {}
    for day in sorted(used):
        known = counted.get(day)
        if known is None or day in late:
            windows = live.windows_of_day(dynamodb, settings.live_table, account_id, day)
            # Windows follow the stream and may be behind a count.
            known = max(windows, known or Counter(), key=lambda one: one.total())
        totals[day] = known
    return totals


def _days_with_usage(
    dynamodb: DynamoDBClient, settings: Settings, account_id: str, first: date, last: date
) -> tuple[set[date], set[date]]:
    """The days of a range that have usage, and those with late usage that no run has taken."""
    found: dict[str, set[date]] = {keys.DAY_PREFIX: set(), keys.LATE_PREFIX: set()}
    for prefix, days in found.items():
        for item in query_all(
            dynamodb,
            TableName=settings.usage_table,
            KeyConditionExpression="pk = :pk AND sk BETWEEN :first AND :last",
            ExpressionAttributeValues={
                ":pk": {"S": keys.usage_account(account_id)},
                ":first": {"S": f"{prefix}{first.isoformat()}"},
                ":last": {"S": f"{prefix}{last.isoformat()}"},
            },
            ProjectionExpression="sk",
            ConsistentRead=True,
        ):
            days.add(date.fromisoformat(item["sk"]["S"].removeprefix(prefix)))
    return found[keys.DAY_PREFIX], found[keys.LATE_PREFIX]


def _names(dynamodb: DynamoDBClient, settings: Settings, account_id: str) -> dict[str, dict[int, str]]:
    names = read_names(dynamodb, settings.usage_table, account_id)
    return {
        "sub_account": {number: name for name, number in names.sub_accounts.items()},
        "result_code": {number: name for name, number in names.codes.items()},
    }


def _name(names: Mapping[str, Mapping[int, str]], by: By, number: int | None) -> str | None:
    if number is None or number == records.NO_NAME:
        return None
    return OTHER_NAME if number == records.OTHER else names[by][number]
