"""Statistics of usage: live totals by day, tag, sub-account, interface or result code (D6)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Literal

from aws_platform import keys, live, records
from aws_platform.bills import bills_of_months
from aws_platform.directory import read_names
from aws_platform.ledger import query_all
from aws_platform.snapshot import read_snapshot
from aws_platform.standing import Reader, unbilled
from rating.billing import Quantities
from rating.civil import day_of

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
    dynamodb: DynamoDBClient, settings: Settings, catalog: Catalog, account_id: str, query: UsageQuery, now: datetime
) -> list[dict[str, Any]]:
    """Rows of one dimension, with how the calls are covered where it is `day` or `tag`.

    Raises OutdatedError where a settlement is going on: read again.
    """
    first, last, tag, by = query.first, query.last, query.tag, query.by
    days = _totals_by_day(dynamodb, settings, account_id, first, last)
    names = _names(dynamodb, settings, account_id) if by in {"sub_account", "result_code"} else {}
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
    cover = {}
    if by in {"day", "tag"}:
        cover = _coverage(Reader(dynamodb, settings, catalog), account_id, cells, query, now)
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
            # On a day that is cut the buckets were counted, which may be a moment ahead of the totals.
            row |= {
                "calls": covered.raw,
                "free": covered.free,
                "paid": covered.paid,
                "postpaid": covered.postpaid,
                "uncovered": covered.uncovered,
            }
        rows.append(row)
    return rows


def _coverage(
    reader: Reader, account_id: str, cells: Mapping[_Cell, int], query: UsageQuery, now: datetime
) -> dict[tuple[date, str], Quantities]:
    """How the chargeable calls of each day and tag are covered: as bills say, and the rest as settlement would.

    What is open outside of the range takes its part of the packages too.
    """
    table = reader.settings.ledger_table
    snapshot = read_snapshot(reader.dynamodb, table, account_id)
    if snapshot is None:
        return {}
    cover = _billed(reader.dynamodb, table, snapshot.account, query)
    outside = {
        day: {tag: calls for tag, calls in counts.items() if query.tag in {None, tag}}
        for day, counts in reader.live_calls(account_id).items()
        if not query.first <= day <= query.last
    }
    fresh = unbilled(snapshot, outside) if snapshot.wallets else {}
    for cell, calls in cells.items():
        new = calls - cover.get((cell.day, cell.tag), Quantities()).raw
        if cell.chargeable and new > 0:
            fresh.setdefault(cell.day, {})[cell.tag] = new
    for part in reader.with_fresh(snapshot, fresh, now).allocation.allotments:
        key = (day_of(part.segment.start), part.tag)
        more = Quantities(part.calls, part.free, part.paid, part.postpaid, part.uncovered)
        cover[key] = cover.get(key, Quantities()).plus(more)
    return cover


def _billed(
    dynamodb: DynamoDBClient, table: str, account: Account, query: UsageQuery
) -> dict[tuple[date, str], Quantities]:
    """What bills say of the days of the range, and of the tag if one was asked for.

    Raises OutdatedError where they are not the bills that the account knows.
    """
    cover: dict[tuple[date, str], Quantities] = {}
    for bill in bills_of_months(dynamodb, table, account, query.first, query.last):
        for segment in bill.counted:
            day = day_of(segment.start)
            for tag, quantities in segment.quantities().items():
                if query.first <= day <= query.last and query.tag in {None, tag}:
                    cover[day, tag] = cover.get((day, tag), Quantities()).plus(quantities)
    return cover


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
