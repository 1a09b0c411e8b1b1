"""Allocation: which package gives how much, what is charged postpaid, and what nobody pays for.

What is left of a package is a function of the daily usage and the packages on file. The live view, the entitlement
check, the refund check, the preview, the settlement and the verification all call `allocate`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from itertools import pairwise

from rating.civil import ONE_SECOND, day_of, end_of, start_of
from rating.history import Interval, Switch, covered


class Source(StrEnum):
    """Where a package comes from. Gifts are used before purchases (D9)."""

    GIFT = "gift"
    PURCHASE = "purchase"


@dataclass(frozen=True, slots=True)
class Package:
    """A number of calls of one tag, as far as allocation is concerned."""

    package_id: str
    tag: str
    source: Source
    delivered_at: datetime
    ends_at: datetime
    """The last second in which it still serves, that second included (D11)."""
    remaining: int
    """Calls left when allocation starts."""
    released_at: datetime | None = None
    """When a release ended it, before its time (D23)."""

    @property
    def serves_from(self) -> datetime:
        """A package counts for usage from 00:00 of its delivery day (D10)."""
        return start_of(day_of(self.delivered_at))

    @property
    def serves_until(self) -> datetime:
        """The first instant that it no longer serves."""
        end = self.ends_at + ONE_SECOND
        return end if self.released_at is None else min(end, self.released_at)

    def serves(self, segment: Segment) -> bool:
        """Whether it may be deducted for usage of the segment. Segments are cut wherever this would change."""
        return self.serves_from <= segment.start and segment.end <= self.serves_until

    @property
    def rank(self) -> tuple[bool, datetime, datetime, str]:
        """Order of use (D9): gifts first; then soonest end, earliest delivery, id."""
        return (self.source is not Source.GIFT, self.ends_at, self.delivered_at, self.package_id)


@dataclass(frozen=True, slots=True)
class Conditions:
    """An account's dated states that change how usage is allocated (D5)."""

    postpaid: Switch = field(default_factory=lambda: Switch(initial=True))
    stops: tuple[Interval, ...] = ()
    """Arrears and violation stops: inside them packages are not deducted and usage is charged (D22)."""
    releases: tuple[datetime, ...] = ()
    """Instants at which packages delivered earlier ended (D23)."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch `[start, end)` of one day in which nothing changes that allocation depends on."""

    start: datetime
    end: datetime
    deductible: bool
    """Whether packages are deducted."""
    postpaid: bool
    """Whether what packages do not cover is charged, or else stays uncovered (D14)."""


@dataclass(frozen=True, slots=True)
class Allotment:
    """How the calls of one tag in one segment are covered; the parts add up to `calls`."""

    segment: Segment
    tag: str
    calls: int
    deductions: tuple[tuple[str, int], ...]
    """(package id, calls), in order of use."""
    free: int
    paid: int
    postpaid: int
    uncovered: int


@dataclass(frozen=True, slots=True)
class Allocation:
    """The result of `allocate`."""

    allotments: tuple[Allotment, ...]
    remaining: Mapping[str, int]
    """Calls left by package id, afterwards; every package that was given is named."""


def segments_of(day: date, packages: Iterable[Package], conditions: Conditions) -> tuple[Segment, ...]:
    """The day cut wherever a package ends, a stop begins or ends, postpaid flips or service is released."""
    start, end = start_of(day), end_of(day)
    instants = {package.serves_until for package in packages}
    instants.update(conditions.postpaid.flips, conditions.releases)
    for stop in conditions.stops:
        instants.add(stop.start)
        if stop.end is not None:
            instants.add(stop.end)
    cuts = [start, *sorted(instant for instant in instants if start < instant < end), end]
    return tuple(
        Segment(left, right, not covered(conditions.stops, left), conditions.postpaid.at(left))
        for left, right in pairwise(cuts)
    )


def allocate(usage: Sequence[tuple[Segment, Mapping[str, int]]], packages: Iterable[Package]) -> Allocation:
    """Allocate chargeable calls by segment and tag, segments in the order given (oldest first).

    Free and gifted packages first, then purchased ones, then postpaid or uncovered (D9, D14). A stopped segment
    deducts nothing (D22); with postpaid off what remains is uncovered, never charged (D14).
    Raises ValueError for negative calls or a package below zero.
    """
    by_tag: dict[str, list[Package]] = {}
    remaining: dict[str, int] = {}
    for package in sorted(packages, key=lambda package: package.rank):
        if package.remaining < 0:
            msg = f"package {package.package_id} is below zero"
            raise ValueError(msg)
        by_tag.setdefault(package.tag, []).append(package)
        remaining[package.package_id] = package.remaining
    allotments = tuple(
        _allot(segment, tag, calls, by_tag.get(tag, ()), remaining)
        for segment, counts in usage
        for tag, calls in sorted(counts.items())
        if calls
    )
    return Allocation(allotments, remaining)


def _allot(segment: Segment, tag: str, calls: int, packages: Sequence[Package], remaining: dict[str, int]) -> Allotment:
    """Allot one tag's calls, taking what packages give out of `remaining`."""
    if calls < 0:
        msg = f"negative calls of {tag}"
        raise ValueError(msg)
    left = calls
    deductions: list[tuple[str, int]] = []
    given = {Source.GIFT: 0, Source.PURCHASE: 0}
    for package in packages if segment.deductible else ():
        take = min(left, remaining[package.package_id])
        if take and package.serves(segment):
            deductions.append((package.package_id, take))
            given[package.source] += take
            remaining[package.package_id] -= take
            left -= take
    return Allotment(
        segment=segment,
        tag=tag,
        calls=calls,
        deductions=tuple(deductions),
        free=given[Source.GIFT],
        paid=given[Source.PURCHASE],
        postpaid=left if segment.postpaid else 0,
        uncovered=0 if segment.postpaid else left,
    )
