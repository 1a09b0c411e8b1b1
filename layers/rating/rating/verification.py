"""Verification: what the bills of a day say, against the same day computed again from the raw usage.

It compares, and repairs nothing. Each bill is computed again from what it was computed from: the usage that it took,
the packages as the bills before it had left them, the account's dated conditions, prices and terms. So of several bills
each is judged alone, and an error is found where it was made.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from functools import partial

from rating.allocation import Allocation, Conditions, Package, Segment, Source, allocate, segments_of
from rating.bill import Bill, CountedSegment
from rating.billing import ResourceCharge, daily_charges, monthly_charges
from rating.civil import day_of, end_of, start_of
from rating.history import covered
from rating.pricing import PriceBook, Terms, daily_price, monthly_price, price_periods
from rating.schedule import Cycle
from rating.wallet import is_delivered, release_of


class Kind(StrEnum):
    """What does not agree."""

    USAGE = "usage"
    """Calls: those that bills took, and those that are stored."""
    SEGMENT = "segment"
    """How a day is cut, and whether postpaid was on."""
    DEDUCTION = "deduction"
    """Calls that a package gave."""
    PACKAGE = "package"
    """Calls that a package has given in all: by its wallet, and by the bills."""
    LINE = "line"
    """A quantity or a price of a line."""
    AMOUNT = "amount"
    """What was deducted for a resource (D15)."""
    PAYMENT = "payment"
    """Which money paid (D16)."""
    JOURNAL = "journal"
    """What the journal says of the bill."""
    BILL = "bill"
    """The bill itself: it is not there, is for other days, or cannot be computed from what it holds."""
    ARCHIVE = "archive"
    """A call that is counted and not archived, archived and not counted, or archived as another one."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as it should be; None is nothing at all."""

    kind: Kind
    detail: str
    charged: str | None
    """What the bill says, or what holds the money."""
    computed: str | None
    """What it should say."""
    bill_id: str | None = None
    transaction_id: str | None = None
    tag: str | None = None
    package_id: str | None = None
    pending: bool = False
    """Whether it is for a run to come: usage that nobody has charged yet."""


@dataclass(frozen=True, slots=True)
class Held:
    """A package that an account had, by the account's versions: bills between them found it in its wallet."""

    package_id: str
    tag: str
    source: Source
    calls: int
    delivered_at: datetime
    ends_at: datetime
    since: int
    """The version that brought it."""
    until: int | None = None
    """The version that gave it back; None: none did."""


@dataclass(frozen=True, slots=True)
class Ground:
    """What the bills of an account are judged by."""

    cycle: Cycle
    conditions: Conditions
    terms: Terms
    book: PriceBook
    packages: Sequence[Held] = ()
    """Those that can have given calls to the usage in question, or can have cut its days."""
    bills: Sequence[Bill] = ()
    """Every bill that may have taken calls from these."""
    switches_since: date = date.min
    """Postpaid's switches are on record from this day on; before it a bill is believed how it was cut."""

    def packages_before(self, bill: Bill) -> tuple[Package, ...]:
        """The packages as the bill found them: those with something left, as its allocation took them."""
        taken = deducted(one for one in self.bills if one.version < bill.version)
        found = (
            Package(
                one.package_id,
                one.tag,
                one.source,
                one.delivered_at,
                one.ends_at,
                max(one.calls - taken.get(one.package_id, 0), 0),
                release_of(one.delivered_at, self.conditions.releases),
            )
            for one in self.packages
            if one.since < bill.version
            and (one.until is None or bill.version < one.until)
            and is_delivered(one.source, one.delivered_at, bill.charged_at)
        )
        return tuple(package for package in found if package.remaining)


def deducted(bills: Iterable[Bill]) -> dict[str, int]:
    """Calls that bills took from packages, by package id."""
    taken: dict[str, int] = {}
    for bill in bills:
        for part in bill.counted:
            for one in part.deductions:
                taken[one.package_id] = taken.get(one.package_id, 0) + one.calls
    return taken


def usage_differences(
    counted: Sequence[tuple[datetime, Mapping[str, int]]], bills: Sequence[Bill], *, waiting: bool
) -> list[Difference]:
    """Calls of each segment of a day, by its start, against what the day's bills took of it.

    `waiting`: whether a run has still to look at the day. What is stored and on no bill is then only pending.
    """
    found = []
    for start, calls in counted:
        taken: dict[str, int] = {}
        takers = [bill for bill in bills if any(part.start == start and part.calls for part in bill.counted)]
        for bill in takers:
            for part in bill.counted:
                for tag, number in part.calls.items() if part.start == start else ():
                    taken[tag] = taken.get(tag, 0) + number
        for tag in sorted(taken.keys() | calls.keys()):
            charged, computed = taken.get(tag, 0), calls.get(tag, 0)
            if charged != computed:
                found.append(
                    Difference(
                        Kind.USAGE,
                        f"calls from {start:%H:%M:%S} on",
                        str(charged),
                        str(computed),
                        bill_id=takers[0].bill_id if len(takers) == 1 else None,
                        tag=tag,
                        pending=waiting and computed > charged,
                    )
                )
    return found


def package_differences(
    packages: Iterable[Held], bills: Sequence[Bill], kept: Mapping[str, tuple[int, int]]
) -> list[Difference]:
    """What packages have given in all, by id as (calls, calls used) in `kept`, against the bills that took it.

    One that is not kept was given back, and so never used, or is used up.
    """
    taken = deducted(bills)
    found = []
    for one in packages:
        computed = taken.get(one.package_id, 0)
        gone = (one.calls, 0 if one.until is not None else one.calls)
        calls, charged = kept.get(one.package_id, gone)
        for what, said, right in (("calls", calls, one.calls), ("calls used", charged, computed)):
            if said != right:
                found.append(
                    Difference(Kind.PACKAGE, what, str(said), str(right), tag=one.tag, package_id=one.package_id)
                )
    return found


def period_differences(bills: Iterable[Bill], first: date, last: date) -> list[Difference]:
    """The days that bills say they are for, against those that are billed together (D3)."""
    return [
        Difference(Kind.BILL, what, said.isoformat(), right.isoformat(), bill_id=bill.bill_id)
        for bill in bills
        for what, said, right in (("first day", bill.first_day, first), ("last day", bill.last_day, last))
        if said != right
    ]


def taking_differences(ground: Ground, bill: Bill, before: Sequence[Bill]) -> list[Difference]:
    """How a bill's usage is cut and what it took of packages, given the bills `before` it of the same day or month."""
    packages = ground.packages_before(bill)
    return [
        *_segment_differences(ground, bill, packages, before),
        *_deduction_differences(bill, _allocated(ground, bill, packages), packages),
    ]


def charges_of(ground: Ground, bill: Bill, before: Sequence[Bill]) -> tuple[ResourceCharge, ...]:
    """What should have been charged for the usage that the bill took."""
    allotments = _allocated(ground, bill, ground.packages_before(bill)).allotments
    if ground.cycle is Cycle.DAILY:
        return daily_charges(allotments, partial(daily_price, ground.book, ground.terms))
    return monthly_charges(
        [billed.line for one in before for charge in one.charges for billed in charge.lines],
        allotments,
        partial(monthly_price, ground.book, ground.terms),
        lambda tag: price_periods(ground.book, ground.terms, tag, bill.first_day, bill.last_day),
    )


def _segment(ground: Ground, part: CountedSegment) -> Segment:
    conditions = ground.conditions
    known = day_of(part.start) >= ground.switches_since
    postpaid = conditions.postpaid.at(part.start) if known else part.postpaid
    return Segment(part.start, part.end, not covered(conditions.stops, part.start), postpaid)


def _allocated(ground: Ground, bill: Bill, packages: Sequence[Package]) -> Allocation:
    usage = [
        (_segment(ground, part), {tag: max(number, 0) for tag, number in part.calls.items()}) for part in bill.counted
    ]
    return allocate(usage, packages)


def _segment_differences(
    ground: Ground, bill: Bill, packages: Sequence[Package], before: Sequence[Bill]
) -> list[Difference]:
    """The first bill of a day says how it is cut; later ones take parts of what that one has cut."""
    known = {part.start for one in before for part in one.counted}
    cut: dict[date, list[CountedSegment]] = {}
    for part in bill.counted:
        cut.setdefault(day_of(part.start), []).append(part)
    found = []
    for day, parts in cut.items():
        if day < ground.switches_since:
            continue
        right = segments_of(day, packages, ground.conditions)
        if any(start_of(day) <= start < end_of(day) for start in known):
            right = tuple(_segment(ground, part) for part in parts if part.start in known)
        said, computed = _show_cuts(parts), _show_cuts(right)
        if said != computed:
            found.append(Difference(Kind.SEGMENT, f"segments of {day}", said, computed, bill_id=bill.bill_id))
    return found


def _show_cuts(segments: Iterable[Segment | CountedSegment]) -> str:
    return ", ".join(
        f"{one.start:%H:%M:%S} to {one.end:%H:%M:%S}{'' if one.postpaid else ' without postpaid'}" for one in segments
    )


def _deduction_differences(bill: Bill, allocation: Allocation, packages: Iterable[Package]) -> list[Difference]:
    type Place = tuple[datetime, str, str, Source]
    source = {package.package_id: package.source for package in packages}
    said: dict[Place, int] = {}
    right: dict[Place, int] = {}
    for part in bill.counted:
        for one in part.deductions:
            place = part.start, one.tag, one.package_id, one.source
            said[place] = said.get(place, 0) + one.calls
    for allotment in allocation.allotments:
        for package_id, calls in allotment.deductions:
            right[allotment.segment.start, allotment.tag, package_id, source[package_id]] = calls
    return [
        Difference(
            Kind.DEDUCTION,
            f"calls of a {place[3]} from {place[0]:%Y-%m-%d %H:%M:%S} on",
            str(said.get(place, 0)),
            str(right.get(place, 0)),
            bill_id=bill.bill_id,
            tag=place[1],
            package_id=place[2],
        )
        for place in sorted(said.keys() | right.keys())
        if said.get(place, 0) != right.get(place, 0)
    ]
