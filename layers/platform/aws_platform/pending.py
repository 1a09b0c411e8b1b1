"""What an account would be charged: usage that no bill holds yet, allocated and priced.

The settlement and the preview compute it here. The verification does not: it judges what was issued by the evidence
(`verification`), and shares only how bills are found.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from itertools import groupby
from typing import TYPE_CHECKING

from aws_platform import bills
from aws_platform.tasks import Run, in_turn
from aws_platform.usage_counts import DayCount, count_day
from rating.allocation import Allocation, Package, Segment, allocate, segments_of
from rating.bill import Bill, CountedSegment, TransactionType, counted
from rating.billing import ResourceCharge, daily_charges, monthly_charges
from rating.civil import day_of, first_day, last_day, month_of
from rating.edges import wallet_used
from rating.history import covered
from rating.notices import Notice
from rating.pricing import daily_price, monthly_price, price_periods
from rating.schedule import Cycle

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from aws_platform.due import DueDay
    from aws_platform.settings import Settings
    from aws_platform.snapshot import Snapshot
    from rating.account import Account
    from rating.catalog import Catalog
    from rating.wallet import Wallet

TRANSACTION_TYPES = {
    Cycle.DAILY: TransactionType.POSTPAY_DAILY,
    Cycle.MONTHLY: TransactionType.POSTPAY_MONTHLY,
}


type Counts = dict[tuple[date, tuple[datetime, ...]], DayCount]
"""Counted days, by the instants at which they were cut."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Usage that is due together: one day of a daily account, the days of one month of a monthly one."""

    days: Sequence[DueDay]
    first_day: date
    last_day: date


@dataclass(frozen=True, slots=True)
class Pending:
    """What a bill of this usage would say now."""

    usage: Usage
    counts: Mapping[date, DayCount]
    """All calls of each day, billed or not."""
    fresh: Sequence[tuple[Segment, Mapping[str, int]]]
    """Chargeable calls by segment and tag that no bill holds yet."""
    packages: tuple[Package, ...]
    """The packages as they were before."""
    allocation: Allocation
    """How the fresh calls are covered."""
    charges: tuple[ResourceCharge, ...]
    before: Sequence[Bill]
    """The bills that earlier runs issued for the same day or month, oldest first."""

    def counted(self) -> tuple[CountedSegment, ...]:
        """What the bill keeps of the usage."""
        return counted(self.fresh, self.allocation.allotments, self.packages)

    def wallets(self, snapshot: Snapshot) -> dict[str, Wallet]:
        """The wallets of the tags that were used, as they are once the usage is billed."""
        calls: dict[str, dict[date, int]] = {}
        for segment, counts in self.fresh:
            for tag, number in counts.items():
                days = calls.setdefault(tag, {})
                days[day_of(segment.start)] = days.get(day_of(segment.start), 0) + number
        given: dict[str, dict[str, int]] = {}
        for part in self.allocation.allotments:
            own = given.setdefault(part.tag, {})
            for package_id, number in part.deductions:
                own[package_id] = own.get(package_id, 0) + number
        return {
            tag: snapshot.wallets[tag].charged(given.get(tag, {}), days)
            for tag, days in calls.items()
            if tag in snapshot.wallets
        }

    def told(self, snapshot: Snapshot, now: datetime) -> tuple[Snapshot, list[Notice]]:
        """What the usage, once it is billed at `now`, tells of packages that nobody was told yet (D27)."""
        released = ended_by_release(self.packages, now)
        tags = {tag for _, counts in self.fresh for tag in counts} & snapshot.wallets.keys()
        wallets, notices = dict(snapshot.wallets), list[Notice]()
        for tag in sorted(tags):
            wallets[tag], found = wallet_used(snapshot.wallets[tag], self.allocation.remaining, released, now)
            notices += found
        return replace(snapshot, wallets=wallets), notices

    def after(self, snapshot: Snapshot) -> Snapshot:
        """The snapshot once the usage is billed, as far as later usage depends on it."""
        return replace(snapshot, wallets={**snapshot.wallets, **self.wallets(snapshot)})


def together(account: Account, days: Sequence[DueDay]) -> Iterable[Usage]:
    """Days, ascending, in the groups that are billed together."""
    if not days:
        return
    if cycle_of(account) is Cycle.DAILY:
        yield from (Usage([due], due.day, due.day) for due in days)
        return
    for month, group in groupby(days, lambda due: month_of(due.day)):
        yield Usage(list(group), first_day(month), last_day(month))


def pending_charges(  # noqa: PLR0913 - all that charges depend on
    dynamodb: DynamoDBClient,
    settings: Settings,
    catalog: Catalog,
    snapshot: Snapshot,
    usage: Usage,
    now: datetime,
    *,
    run: Run = in_turn,
    known: Counts | None = None,
) -> Pending:
    """Count the usage, take off what earlier bills hold, allocate and price the rest with what is there `now`.

    `known` are counts of the same run, which need not be made again; it takes the new ones.
    Raises OutdatedError where not all of the last bill's transaction is visible yet.
    """
    account = snapshot.account
    packages = open_packages(snapshot, now)
    before = issued_before(dynamodb, settings, account, usage)
    made: Counts = {} if known is None else known
    counts: dict[date, DayCount] = {}
    fresh: list[tuple[Segment, Mapping[str, int]]] = []
    for due in usage.days:
        segments = cut_day(account, due.day, packages, before)
        cuts = tuple(segment.start for segment in segments[1:])
        if (due.day, cuts) not in made:
            table = settings.usage_table
            made[due.day, cuts] = count_day(dynamodb, table, account.account_id, due.day, cuts, catalog, run)
        counts[due.day] = made[due.day, cuts]
        fresh += not_billed(segments, counts[due.day].segments, before)
    allocation = allocate(fresh, packages)
    charges = _charges(catalog, snapshot, allocation, before, usage)
    return Pending(usage, counts, fresh, packages, allocation, charges, before)


def open_packages(snapshot: Snapshot, now: datetime) -> tuple[Package, ...]:
    """All delivered packages of the wallets that were read."""
    releases = snapshot.account.conditions().releases
    return tuple(package for wallet in snapshot.wallets.values() for package in wallet.open_packages(now, releases))


def ended_by_release(packages: Iterable[Package], now: datetime) -> set[str]:
    """Ids of the packages that a release has ended (D23)."""
    return {one.package_id for one in packages if one.released_at is not None and one.released_at <= now}


def bill_prefix(first_day: date) -> str:
    """What the ids of all bills of a usage day, or of a month that begins with it, begin with."""
    return f"{first_day:%Y%m%d}-"


def cycle_of(account: Account) -> Cycle:
    """The cycle of an account that has usage. Raises ValueError for one that is not open."""
    if account.cycle is None:
        msg = f"account {account.account_id} has usage but is not open"
        raise ValueError(msg)
    return account.cycle


def issued_before(dynamodb: DynamoDBClient, settings: Settings, account: Account, usage: Usage) -> list[Bill]:
    """The bills that earlier runs issued for the same day or month, oldest first. Raises OutdatedError: read again."""
    if account.settled_through is None or account.settled_through < usage.first_day:
        return []
    table = settings.ledger_table
    if account.cycle is Cycle.MONTHLY:
        found = bills.bills_by_usage(dynamodb, table, account.account_id, month_of(usage.first_day))
    else:
        found = bills.bills_of_day(dynamodb, table, account.account_id, usage.first_day)
    before = [bill for bill in found if bill.transaction_type is TRANSACTION_TYPES[cycle_of(account)]]
    return bills.as_of(account, before, bill_prefix(usage.first_day))


def _charges(
    catalog: Catalog, snapshot: Snapshot, allocation: Allocation, before: Sequence[Bill], usage: Usage
) -> tuple[ResourceCharge, ...]:
    terms = snapshot.terms
    if snapshot.account.cycle is Cycle.DAILY:
        return daily_charges(allocation.allotments, lambda tag, day: daily_price(catalog, terms, tag, day))
    return monthly_charges(
        [line.line for bill in before for charge in bill.charges for line in charge.lines],
        allocation.allotments,
        lambda tag, day, calls: monthly_price(catalog, terms, tag, day, calls),
        lambda tag: price_periods(catalog, terms, tag, usage.first_day, usage.last_day),
    )


def cut_day(account: Account, day: date, packages: Iterable[Package], before: Sequence[Bill]) -> tuple[Segment, ...]:
    """The day's segments: cut as the first bill of the day cut it, so that what is new is a difference."""
    conditions = account.conditions()
    known = [segment for bill in before for segment in bill.counted if day_of(segment.start) == day]
    if not known:
        return segments_of(day, packages, conditions)
    stretches = sorted({(segment.start, segment.end) for segment in known})
    return tuple(
        Segment(
            start,
            end,
            not covered(conditions.stops, start),
            conditions.postpaid.at(start),
        )
        for start, end in stretches
    )


def not_billed(
    segments: Sequence[Segment], counts: Sequence[Mapping[str, int]], before: Sequence[Bill]
) -> list[tuple[Segment, Mapping[str, int]]]:
    """What was counted and is on no bill yet, by segment.

    A segment with nothing new is left out, except on the first bill of its day, which says how the day is cut.
    """
    fresh: list[tuple[Segment, Mapping[str, int]]] = []
    held = {known.start for bill in before for known in bill.counted}
    for segment, counted_calls in zip(segments, counts, strict=True):
        calls = dict(counted_calls)
        for bill in before:
            for known in bill.counted:
                if known.start == segment.start:
                    for tag, number in known.calls.items():
                        calls[tag] = calls.get(tag, 0) - number
        if any(number < 0 for number in calls.values()):
            msg = f"usage of {segment.start} has become less than what was billed"
            raise AssertionError(msg)
        new = {tag: number for tag, number in calls.items() if number}
        if new or segment.start not in held:
            fresh.append((segment, new))
    return fresh
