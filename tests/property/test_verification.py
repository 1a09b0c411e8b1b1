"""Bills that were computed as a run computes them verify; whatever is changed in one of them is found."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from rating.allocation import Conditions, Package, Segment, allocate, segments_of
from rating.bill import Bill, CountedSegment, TransactionType, billed, counted
from rating.billing import ResourceCharge, daily_charges, monthly_charges
from rating.civil import ONE_DAY, day_of, end_of, first_day, last_day
from rating.funds import Fund, Funds, settle
from rating.pricing import Terms, daily_price, monthly_price, price_periods
from rating.schedule import Cycle
from rating.verification import (
    Difference,
    Ground,
    Held,
    charges_of,
    package_differences,
    taking_differences,
    usage_differences,
)
from rating.verified_money import SETTLEMENT, Page, charge_differences, money_differences
from rating.wallet import release_of
from tests.property.strategies import conditions, packages
from tests.unit.rating.building import Book, steps

DAY = date(2025, 3, 15)
TAGS = ("flat", "tiered")
BOOK = Book("0.30", {"tiered": steps((0, "0.40"), (5, "0.10"))})
FIRST_VERSION = 100


@dataclass(frozen=True)
class Settled:
    """Bills, as runs have issued them one after the other, and what they are judged by."""

    ground: Ground
    bills: tuple[Bill, ...]
    pages: Mapping[str, Page]

    def differences(self) -> list[Difference]:
        """What the verification says of all of them."""
        found = []
        for number, bill in enumerate(self.bills):
            before = self.bills[:number]
            found += taking_differences(self.ground, bill, before)
            found += charge_differences(bill, charges_of(self.ground, bill, before))
            found += money_differences(bill, self.pages.get(bill.bill_id))
        return found

    def with_bill(self, number: int, bill: Bill) -> Settled:
        """The same with another bill in the place of one."""
        bills = tuple(bill if place == number else one for place, one in enumerate(self.bills))
        return replace(self, bills=bills, ground=replace(self.ground, bills=bills))


def _cut(account: Conditions, there: Sequence[Package], issued: Sequence[Bill]) -> list[Segment]:
    """As the first bill has cut the day, or else as a run would."""
    known = [part for bill in issued for part in bill.counted]
    if not known:
        return list(segments_of(DAY, there, account))
    fresh = {segment.start: segment for segment in segments_of(DAY, (), account)}
    ends = {part.start: part.end for part in known}
    latest = {start: max(one for one in fresh if one <= start) for start in ends}
    return [
        Segment(start, ends[start], fresh[latest[start]].deductible, fresh[latest[start]].postpaid) for start in ends
    ]


def _charges(cycle: Cycle, allotments: Any, issued: Sequence[Bill]) -> tuple[ResourceCharge, ...]:
    if cycle is Cycle.DAILY:
        return daily_charges(allotments, lambda tag, day: daily_price(BOOK, Terms(), tag, day))
    first, last = _period(cycle)
    return monthly_charges(
        [one.line for bill in issued for charge in bill.charges for one in charge.lines],
        allotments,
        lambda tag, day, calls: monthly_price(BOOK, Terms(), tag, day, calls),
        lambda tag: price_periods(BOOK, Terms(), tag, first, last),
    )


def _period(cycle: Cycle) -> tuple[date, date]:
    return (DAY, DAY) if cycle is Cycle.DAILY else (first_day("2025-03"), last_day("2025-03"))


@st.composite
def settlements(draw: st.DrawFn) -> Settled:
    """One to three runs over calls of a day, with packages that lose calls to them, and money of all funds."""
    cycle, account = draw(st.sampled_from(Cycle)), draw(conditions(DAY))
    held = [
        Held(one.package_id, one.tag, one.source, one.remaining, one.delivered_at, one.ends_at, number)
        for number, one in enumerate(draw(packages(DAY, TAGS)))
    ]
    ground = Ground(cycle, account, Terms(), BOOK, held)
    funds = Funds(Decimal("0.35"), Decimal("0.50"), Decimal(2))
    bills: list[Bill] = []
    pages: dict[str, Page] = {}
    left = {one.package_id: one.calls for one in held}
    for number in range(draw(st.integers(1, 3))):
        charged_at = end_of(DAY) + 20 * ONE_DAY * (number + 1)
        there = tuple(
            Package(
                one.package_id,
                one.tag,
                one.source,
                one.delivered_at,
                one.ends_at,
                left[one.package_id],
                release_of(one.delivered_at, account.releases),
            )
            for one in held
            if left[one.package_id]
        )
        usage: list[tuple[Segment, Mapping[str, int]]] = [
            (segment, draw(st.dictionaries(st.sampled_from(TAGS), st.integers(1, 7), max_size=2)))
            for segment in _cut(account, there, bills)
        ]
        if bills:
            usage = [(segment, calls) for segment, calls in usage if calls]
        if not any(calls for _, calls in usage):
            continue
        allocation = allocate(usage, there)
        left |= allocation.remaining
        charges = _charges(cycle, allocation.allotments, bills)
        if not charges:
            continue
        settled = settle(funds, [charge.amount for charge in charges])
        funds = settled.funds
        first, last = _period(cycle)
        bill = Bill(
            f"bill-{number}",
            FIRST_VERSION + number,
            TransactionType.POSTPAY_DAILY,
            charged_at,
            "2025-03",
            first,
            last,
            billed(charges, settled.shares),
            counted(usage, allocation.allotments, there),
        )
        if settled.movements:
            pages[bill.bill_id] = Page(SETTLEMENT, bill.bill_id, settled.movements)
        bills.append(bill)
    return Settled(replace(ground, bills=tuple(bills)), tuple(bills), pages)


@given(settlements())
def test_what_runs_have_charged_verifies(settled: Settled) -> None:
    """However a day was used, cut, covered and paid, in however many runs: no difference is found."""
    assert settled.differences() == []
    taken = _counted(settled.bills)
    assert usage_differences(list(taken.items()), settled.bills, waiting=False) == []
    used = {one.package_id: 0 for one in settled.ground.packages}
    for bill in settled.bills:
        for part in bill.counted:
            for one in part.deductions:
                used[one.package_id] += one.calls
    kept = {one.package_id: (one.calls, used[one.package_id]) for one in settled.ground.packages}
    # What is used up is kept nowhere.
    kept = {package_id: (calls, gone) for package_id, (calls, gone) in kept.items() if gone < calls}
    assert package_differences(settled.ground.packages, settled.bills, kept) == []


def _counted(bills: Sequence[Bill]) -> dict[Any, dict[str, int]]:
    """The calls of all bills by segment."""
    taken: dict[Any, dict[str, int]] = {}
    for bill in bills:
        for part in bill.counted:
            own = taken.setdefault(part.start, {})
            for tag, calls in part.calls.items():
                own[tag] = own.get(tag, 0) + calls
    return taken


def _of_line(change: Callable[[Any], Any]) -> Callable[[Bill, Any], Bill | None]:
    """Another last line for a charge."""

    def changed(bill: Bill, pick: Any) -> Bill | None:
        charge = pick(bill.charges)
        if charge is None:
            return None
        lines = (*charge.lines[:-1], change(charge.lines[-1]))
        return replace(bill, charges=tuple(replace(one, lines=lines) if one is charge else one for one in bill.charges))

    return changed


def _of_charge(change: Callable[[Any], Any]) -> Callable[[Bill, Any], Bill | None]:
    """Another charge."""

    def changed(bill: Bill, pick: Any) -> Bill | None:
        charge = pick(bill.charges)
        return charge and replace(bill, charges=tuple(change(one) if one is charge else one for one in bill.charges))

    return changed


def _of_part(change: Callable[[CountedSegment], CountedSegment | None]) -> Callable[[Bill, Any], Bill | None]:
    """Another segment."""

    def changed(bill: Bill, pick: Any) -> Bill | None:
        part = pick(bill.counted)
        new = change(part)
        if new is None:
            return None
        return replace(bill, counted=tuple(new if one is part else one for one in bill.counted))

    return changed


def _fewer_deductions(part: CountedSegment) -> CountedSegment | None:
    if not part.deductions:
        return None
    one, *rest = part.deductions
    return replace(part, deductions=(replace(one, calls=one.calls + 1), *rest))


FEN = Decimal("0.01")
CHANGES: dict[str, Callable[[Bill, Any], Bill | None]] = {
    "line": _of_line(lambda one: replace(one, line=replace(one.line, last_day=one.line.last_day + ONE_DAY))),
    "amount": _of_charge(lambda one: replace(one, amount=one.amount + FEN)),
    "payment": _of_charge(
        lambda one: replace(one, payment={**one.payment, Fund.GIFT: one.payment.get(Fund.GIFT, Decimal(0)) + FEN})
    ),
    "segment": _of_part(lambda part: replace(part, postpaid=not part.postpaid)),
    "deduction": _of_part(_fewer_deductions),
}


@given(settlements(), st.sampled_from(sorted(CHANGES)), st.data())
def test_whatever_is_changed_is_found(settled: Settled, name: str, data: st.DataObject) -> None:
    """A bill in which one thing was changed has a difference of that kind, and it names the bill."""
    if not settled.bills:
        return
    number = data.draw(st.integers(0, len(settled.bills) - 1))
    bill = CHANGES[name](settled.bills[number], lambda given: data.draw(st.sampled_from(given)) if given else None)
    if bill is None:
        return
    found = settled.with_bill(number, bill).differences()
    assert (name, bill.bill_id) in {(one.kind, one.bill_id) for one in found}


@given(settlements(), st.data())
def test_calls_that_differ_are_found(settled: Settled, data: st.DataObject) -> None:
    """A call more or less than bills took is found; only what is more can wait for a run."""
    taken = _counted(settled.bills)
    if not taken:
        return
    start = data.draw(st.sampled_from(sorted(taken)))
    tag, more, waiting = data.draw(st.sampled_from(TAGS)), data.draw(st.sampled_from([-1, 1])), data.draw(st.booleans())
    before = taken[start].get(tag, 0)
    taken[start][tag] = before + more
    (one,) = usage_differences(list(taken.items()), settled.bills, waiting=waiting)
    assert (one.tag, one.charged, one.computed) == (tag, str(before), str(before + more))
    assert one.pending == (waiting and more > 0)
    assert day_of(start) == DAY
