"""A wallet: the packages of one account and tag, and how far bills have used them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from enum import IntFlag

from rating.allocation import Package, Source
from rating.civil import ONE_SECOND, SHANGHAI, day_of, local

WEEK_BEFORE, DAY_BEFORE = timedelta(days=7), timedelta(days=1)
"""When it is told that a package ends, before its end (D27)."""
LATE_DAYS = timedelta(days=75)
"""How far back of the last settled day usage may still be charged: 35 days late (D4), a month and its run."""


def ends_at(source: Source, delivered_at: datetime) -> datetime:
    """The last second of a package, that second included (D11).

    A bought one ends with the anniversary of its delivery date, a gift one year after delivery to the second. The
    anniversary of 29 February is 28 February.
    """
    here = local(delivered_at)
    day = here.date()
    last = day.replace(year=day.year + 1, day=28 if (day.month, day.day) == (2, 29) else day.day)
    return datetime.combine(last, time(23, 59, 59) if source is Source.PURCHASE else here.time(), SHANGHAI)


def is_delivered(source: Source, delivered_at: datetime, now: datetime) -> bool:
    """Whether a package is there at `now`: free ones are put into wallets ahead of time (D13).

    A bought one is there as soon as it is known, for the clock of the machine that sold it may be ahead of this one's.
    """
    return source is Source.PURCHASE or delivered_at <= now


def release_of(delivered_at: datetime, releases: Iterable[datetime]) -> datetime | None:
    """When a release ended a package (D23); None: none did. What is bought in its very second comes after it."""
    return min((release for release in releases if delivered_at < release), default=None)


class Edge(IntFlag):
    """What has happened to a package that somebody may have to hear of, each once (D27). Stored as a number."""

    DELIVERED = 1
    """It was looked at after its delivery: usage of its day may have used it up at once (D10)."""
    WEEK_BEFORE = 2
    DAY_BEFORE = 4
    ENDED = 8
    LOW = 16
    EXHAUSTED = 32


NOTHING = Edge(0)


@dataclass(frozen=True, slots=True)
class WalletPackage:
    """A package in a wallet. What it cost and how it came is in the record of its order or grant."""

    package_id: str
    source: Source
    total: int
    """Calls."""
    used: int
    """Calls that bills have deducted."""
    delivered_at: datetime
    ends_at: datetime
    told: Edge = NOTHING
    """What was told of it, or had nobody to be told."""

    @property
    def remaining(self) -> int:
        """Calls that no bill has deducted."""
        return self.total - self.used

    @property
    def expires_at(self) -> datetime:
        """The first instant at which it serves no more."""
        return self.ends_at + ONE_SECOND

    def is_delivered(self, now: datetime) -> bool:
        """Whether it is there; see `is_delivered`."""
        return is_delivered(self.source, self.delivered_at, now)

    def timed_edges(self) -> dict[Edge, datetime]:
        """The edges that come with time, and when, in that order. Those before the end are at its time of day."""
        return {
            Edge.DELIVERED: self.delivered_at,
            Edge.WEEK_BEFORE: self.ends_at - WEEK_BEFORE,
            Edge.DAY_BEFORE: self.ends_at - DAY_BEFORE,
            Edge.ENDED: self.expires_at,
        }

    @property
    def next_due(self) -> datetime | None:
        """When it has to be looked at next."""
        return next((at for edge, at in self.timed_edges().items() if edge not in self.told), None)


@dataclass(frozen=True, slots=True)
class Wallet:
    """The packages of one tag that may still be deducted, or could not be used up."""

    tag: str
    packages: tuple[WalletPackage, ...] = ()
    billed: Mapping[date, int] = field(default_factory=dict)
    """Chargeable calls of the tag that bills hold, by usage day, as far back as usage may still arrive."""

    @property
    def next_due(self) -> datetime | None:
        """When one of its packages has to be looked at next."""
        return min((due for one in self.packages if (due := one.next_due) is not None), default=None)

    def package(self, package_id: str) -> WalletPackage | None:
        """The package with this id; None once it is used up on bills, refunded or was never here."""
        return next((one for one in self.packages if one.package_id == package_id), None)

    def open_packages(self, now: datetime, releases: Iterable[datetime] = ()) -> list[Package]:
        """The delivered packages as allocation takes them; a release ended those delivered before it (D23)."""
        return [
            Package(
                one.package_id,
                self.tag,
                one.source,
                one.delivered_at,
                one.ends_at,
                one.remaining,
                release_of(one.delivered_at, releases),
            )
            for one in self.packages
            if one.is_delivered(now)
        ]

    def served(self, day: date) -> bool:
        """Whether any of the packages may serve usage of the day."""
        return any(day_of(one.delivered_at) <= day <= day_of(one.ends_at) for one in self.packages)

    def retired(self, now: datetime, most: int) -> tuple[Wallet, tuple[WalletPackage, ...]]:
        """The wallet without the packages that ended so long ago that no usage of their days can come any more.

        At most so many; they are given too, for what they had left is known nowhere else.
        """
        over = [one for one in self.packages if one.expires_at + LATE_DAYS <= now][:most]
        return replace(self, packages=tuple(one for one in self.packages if one not in over)), tuple(over)

    def with_package(self, package: WalletPackage) -> Wallet:
        """The wallet with one more package."""
        return replace(self, packages=(*self.packages, package))

    def without(self, package_id: str) -> Wallet:
        """The wallet after a refund took a package out of it."""
        return replace(self, packages=tuple(one for one in self.packages if one.package_id != package_id))

    def charged(self, deductions: Mapping[str, int], billed: Mapping[date, int]) -> Wallet:
        """The wallet after a bill: what it deducted, by package, and which calls it took, by usage day.

        Packages that are used up leave the wallet, and days that are too old for late usage. Raises ValueError for a
        deduction that a package does not have.
        """
        after = [replace(one, used=one.used + deductions.get(one.package_id, 0)) for one in self.packages]
        if any(one.remaining < 0 for one in after) or deductions.keys() - {one.package_id for one in self.packages}:
            msg = f"the packages of {self.tag} cannot give {dict(deductions)}"
            raise ValueError(msg)
        days = {day: self.billed.get(day, 0) + billed.get(day, 0) for day in self.billed.keys() | billed.keys()}
        since = max(days, default=date.min) - LATE_DAYS if days else date.min
        return Wallet(
            self.tag,
            tuple(one for one in after if one.remaining),
            {day: days[day] for day in sorted(days) if day >= since},
        )


def first_served(packages: Iterable[Package]) -> date | None:
    """The first day that any of the packages serves (D10); None without packages."""
    return min((day_of(package.delivered_at) for package in packages), default=None)
