"""Statistics of usage: live totals by day, tag, sub-account, interface or result code, or several of them (D6)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from aws_platform import records
from aws_platform.bills import bills_of_months
from aws_platform.snapshot import read_snapshot
from aws_platform.standing import Reader, unbilled
from bills.counts import name_of, names_of, totals_by_day
from rating.billing import Quantities
from rating.civil import day_of

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from aws_platform.settings import Settings
    from rating.account import Account
    from rating.catalog import Catalog, Interface

DIMENSIONS = ("day", "tag", "sub_account", "interface", "result_code")
_COVERED = {"day", "tag"}
"""Packages cover the calls of a tag and a day, whoever made them: by anything finer there is no telling."""


class _Cell(NamedTuple):
    """Where a call is counted."""

    day: date
    """The first one that was asked for, where rows do not tell days apart."""
    tag: str
    values: tuple[str | None, ...]
    """Of the dimensions that were asked for; None for `day`, which the cell names, and where a call has no value."""
    chargeable: bool


@dataclass(frozen=True, slots=True)
class CallFilter:
    """Which calls of a tag are wanted; None is all. A name that nobody has used finds nothing."""

    interface: str | None = None
    library: str | None = None
    sub_account: str | None = None
    """Empty for the main account's own calls."""
    result_code: str | None = None

    def take(self, interface: Interface, sub_account: str | None, code: str | None) -> bool:
        """Whether calls of this kind are wanted."""
        return (
            self.interface in {None, interface.interface}
            and self.library in {None, interface.library}
            and self.sub_account in {None, sub_account or ""}
            and self.result_code in {None, code}
        )


@dataclass(frozen=True, slots=True)
class UsageQuery:
    """What is asked: days, both included, one tag or all, what a row stands for, and which calls."""

    first: date
    last: date
    tag: str | None
    by: tuple[str, ...]
    """Of `DIMENSIONS`, in the order of the rows."""
    calls: CallFilter = field(default_factory=CallFilter)

    @property
    def covered(self) -> bool:
        """Whether the rows say how their calls are covered."""
        return set(self.by) <= _COVERED and self.calls == CallFilter()

    @property
    def named(self) -> bool:
        """Whether the names of sub-accounts or result codes are needed."""
        wanted = (self.calls.sub_account, self.calls.result_code)
        return bool({"sub_account", "result_code"} & set(self.by)) or wanted != (None, None)


def usage(
    dynamodb: DynamoDBClient, settings: Settings, catalog: Catalog, account_id: str, query: UsageQuery, now: datetime
) -> list[dict[str, Any]]:
    """Rows by the dimensions, with how the calls are covered where these are no finer than `day` and `tag`.

    Raises OutdatedError where a settlement is going on: read again.
    """
    days = totals_by_day(dynamodb, settings, account_id, query.first, query.last)
    names = names_of(dynamodb, settings, account_id) if query.named else {}
    kinds = {packed: _kind(catalog, names, packed, query) for packed in set[int]().union(*days.values())}
    by_day = query.covered or "day" in query.by
    cells: Counter[_Cell] = Counter()
    for day, totals in days.items():
        for packed, calls in totals.items():
            kind = kinds[packed]
            if kind is not None:
                cells[_Cell(day if by_day else query.first, *kind)] += calls
    cover = {}
    if query.covered:
        cover = _coverage(Reader(dynamodb, settings, catalog), account_id, cells, query, now)
    return _rows(cells, cover, query)


def _kind(
    catalog: Catalog, names: Mapping[str, Mapping[int, str]], packed: int, query: UsageQuery
) -> tuple[str, tuple[str | None, ...], bool] | None:
    """The tag and the values of calls with these dimensions, and whether they are charged; None if nobody asked."""
    one = records.unpack_dimensions(packed)
    interface = catalog.interface(one.kind)
    values: dict[str, str | None] = {"tag": interface.tag, "interface": interface.interface}
    if query.named:
        values["sub_account"] = name_of(names, "sub_account", one.sub_account)
        values["result_code"] = name_of(names, "result_code", one.code)
    if query.tag not in {None, interface.tag}:
        return None
    if not query.calls.take(interface, values.get("sub_account"), values.get("result_code")):
        return None
    return interface.tag, tuple(values.get(dimension) for dimension in query.by), one.chargeable


def _rows(
    cells: Mapping[_Cell, int], cover: Mapping[tuple[date, str], Quantities], query: UsageQuery
) -> list[dict[str, Any]]:
    """One row per value of the dimensions. Day and tag are named wherever a row has just one of them."""
    groups: dict[tuple[str, ...], list[_Cell]] = {}
    for cell in cells:
        groups.setdefault(_key(cell, query), []).append(cell)
    rows = []
    for key in sorted(groups):
        own = groups[key]
        tags = {cell.tag for cell in own}
        row: dict[str, Any] = {
            "day": own[0].day.isoformat() if "day" in query.by or query.first == query.last else None,
            "tag": tags.pop() if len(tags) == 1 else query.tag,
        }
        row |= {name: value or None for name, value in zip(query.by, key, strict=True) if name not in _COVERED}
        row["calls"] = sum(cells[cell] for cell in own if cell.chargeable)
        row["not_chargeable"] = sum(cells[cell] for cell in own if not cell.chargeable)
        if query.covered:
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


def _key(cell: _Cell, query: UsageQuery) -> tuple[str, ...]:
    return tuple(
        cell.day.isoformat() if name == "day" else value or ""
        for name, value in zip(query.by, cell.values, strict=True)
    )


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
