"""What is left of packages at this moment: the settled state and all usage that no bill holds, through one `allocate`.

The views take the usage from the live totals; what decides about money (a refund) counts the buckets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING

from aws_platform import live
from aws_platform.due import DueDay, due_days
from aws_platform.pending import cut_day, issued_before, not_billed, open_packages, together
from aws_platform.tasks import Run, in_turn
from aws_platform.usage_counts import count_day
from rating.allocation import Allocation, Package, Segment, Source, allocate, segments_of
from rating.schedule import FAR_AHEAD
from rating.wallet import first_served

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from aws_platform.settings import Settings
    from aws_platform.snapshot import Snapshot
    from aws_platform.usage_counts import DayCount
    from rating.account import Account
    from rating.catalog import Catalog

type Calls = Mapping[date, Mapping[str, int]]
"""Chargeable calls by day and tag."""


@dataclass(frozen=True, slots=True)
class Left:
    """What the packages of one tag have left for a call that is made now."""

    free: int
    paid: int


@dataclass(frozen=True, slots=True)
class Standing:
    """The packages that were read, and how the usage that no bill holds is covered."""

    packages: tuple[Package, ...]
    allocation: Allocation

    def used_since(self, package_id: str) -> int:
        """Calls of usage that no bill holds which the package gives; none for one that was not read."""
        before = next((one.remaining for one in self.packages if one.package_id == package_id), 0)
        return before - self.allocation.remaining.get(package_id, 0)

    def left(self, tag: str, now: datetime) -> Left:
        """What is left for a call of the tag at `now`."""
        left = {Source.GIFT: 0, Source.PURCHASE: 0}
        for package in self.packages:
            if package.tag == tag and package.serves_from <= now < package.serves_until:
                left[package.source] += self.allocation.remaining[package.package_id]
        return Left(left[Source.GIFT], left[Source.PURCHASE])


@dataclass(frozen=True, slots=True)
class Reader:
    """Where usage is read."""

    dynamodb: DynamoDBClient
    settings: Settings
    catalog: Catalog
    run: Run = in_turn

    def live_calls(self, account_id: str, *, consistent: bool = True) -> Calls:
        """Chargeable calls of the last days by tag, as the stream has brought them."""
        table = self.settings.live_table
        totals = live.totals_by_day(self.dynamodb, table, account_id, consistent=consistent)
        codes = {tag.number: tag.code for tag in self.catalog.tags}
        return {day: {codes[tag]: calls for tag, calls in counts.items()} for day, counts in totals.items()}

    def live(self, snapshot: Snapshot, totals: Calls, now: datetime) -> Standing:
        """With the live totals of all days that may be open. Only tags that have a wallet are looked at.

        On a day in which something changes the buckets are counted, for they know the second.
        """
        return self.with_fresh(snapshot, unbilled(snapshot, totals), now)

    def is_cut(self, snapshot: Snapshot, day: date, now: datetime) -> bool:
        """Whether something changes inside the day, so that its totals are not enough."""
        return len(segments_of(day, open_packages(snapshot, now), snapshot.account.conditions())) > 1

    def with_fresh(self, snapshot: Snapshot, fresh: Calls, now: datetime) -> Standing:
        """With the calls that no bill holds, as the caller knows them."""
        packages = open_packages(snapshot, now)
        usage: list[tuple[Segment, Mapping[str, int]]] = []
        for day in sorted(fresh):
            segments = segments_of(day, packages, snapshot.account.conditions())
            if len(segments) == 1:
                usage.append((segments[0], fresh[day]))
            elif fresh[day]:
                usage += self._by_segment(snapshot.account, day, packages, fresh[day].__contains__)
        return Standing(packages, allocate(usage, packages))

    def counted(self, snapshot: Snapshot, now: datetime) -> Standing:
        """With the buckets themselves, strongly consistent, of every day that a run has still to look at."""
        account, packages = snapshot.account, open_packages(snapshot, now)
        first = first_served(package for package in packages if package.remaining)
        if first is None:
            return Standing(packages, allocate((), packages))
        usage: list[tuple[Segment, Mapping[str, int]]] = []
        for due in due_days(self.dynamodb, self.settings.usage_table, account, FAR_AHEAD):
            # Days before the first package takes part cannot take anything from any.
            if due.day < first:
                continue
            segments = segments_of(due.day, packages, account.conditions())
            if len(segments) == 1:
                counts = self._count(account, due.day, segments).segments
                fresh = unbilled(snapshot, {due.day: counts[0]})
                usage += [(segments[0], fresh[due.day])] if fresh else []
            else:
                usage += self._by_segment(account, due.day, packages, snapshot.wallets.__contains__)
        return Standing(packages, allocate(usage, packages))

    def _by_segment(
        self, account: Account, day: date, packages: tuple[Package, ...], wanted: Callable[[str], bool]
    ) -> list[tuple[Segment, Mapping[str, int]]]:
        """What no bill holds of a day that is cut, of the wanted tags."""
        (usage,) = together(account, [DueDay(day)])
        before = issued_before(self.dynamodb, self.settings, account, usage)
        segments = cut_day(account, day, packages, before)
        fresh = not_billed(segments, self._count(account, day, segments).segments, before)
        return [(segment, {tag: calls for tag, calls in counts.items() if wanted(tag)}) for segment, counts in fresh]

    def _count(self, account: Account, day: date, segments: tuple[Segment, ...]) -> DayCount:
        cuts = [segment.start for segment in segments[1:]]
        return count_day(
            self.dynamodb, self.settings.usage_table, account.account_id, day, cuts, self.catalog, self.run
        )


def unbilled(snapshot: Snapshot, totals: Calls) -> dict[date, dict[str, int]]:
    """What no bill holds of the totals, of the tags whose wallets were read, by their own memory of the bills.

    Days that no package of the tag serves are left out: the wallet may be younger than their bills.
    """
    fresh: dict[date, dict[str, int]] = {}
    for day, counts in totals.items():
        new = {
            tag: calls - snapshot.wallets[tag].billed.get(day, 0)
            for tag, calls in counts.items()
            if tag in snapshot.wallets and snapshot.wallets[tag].served(day)
        }
        # The live totals may be behind a count.
        new = {tag: calls for tag, calls in new.items() if calls > 0}
        if new:
            fresh[day] = new
    return fresh
