"""A month, whatever comes late and in whatever order, against pricing it once by hand (D4, D15, D18, D19)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from functools import partial
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from rating import money
from rating.allocation import Allotment, Segment
from rating.bill import billed
from rating.billing import Line, Quantities, ResourceCharge, daily_charges, monthly_charges
from rating.civil import end_of, first_day, last_day, start_of
from rating.funds import Fund, Funds, settle
from rating.pricing import (
    AppliedPrice,
    ContractPrice,
    Discount,
    Terms,
    daily_price,
    monthly_price,
    price_periods,
)
from tests.property.strategies import decimals, funds

MONTH = "2025-02"
FIRST, LAST = first_day(MONTH), last_day(MONTH)
DAYS = [FIRST + timedelta(days=number) for number in range(28)]
TAGS = ("flat", "tiered")
Steps = tuple["Step", ...]
Run = list[tuple[str, date, tuple[int, int, int, int]]]


@dataclass(frozen=True)
class Step:
    """One step of a tiered price."""

    from_calls: int
    unit_price: Decimal


@dataclass(frozen=True)
class Book:
    """Prices that change on some days of the month, (from day, flat price, steps), ascending."""

    lists: tuple[tuple[date, Decimal, Steps], ...]

    def on(self, day: date) -> tuple[date, Decimal, Steps]:
        """The list in force."""
        return [one for one in self.lists if one[0] <= day][-1]

    def daily_unit_price(self, tag: str, day: date) -> Decimal:
        """The flat price, of both tags."""
        assert tag in TAGS
        return self.on(day)[1]

    def monthly_tiers(self, tag: str, day: date) -> Steps:
        """The steps of the tag that has some."""
        return self.on(day)[2] if tag == "tiered" else ()


_PRICES = decimals(4, 1, 20_000)
_RATES = decimals(4, 1, 10_000)
_SOME_DAYS = st.sampled_from(DAYS)


@st.composite
def books(draw: st.DrawFn) -> Book:
    """One to three price lists."""
    starts = sorted(draw(st.sets(_SOME_DAYS, max_size=2)))
    lists = []
    for start in (date.min, *starts):
        bounds = [0, *sorted(draw(st.sets(st.integers(1, 60), max_size=2)))]
        lists.append((start, draw(_PRICES), tuple(Step(bound, draw(_PRICES)) for bound in bounds)))
    return Book(tuple(lists))


@st.composite
def terms(draw: st.DrawFn) -> Terms:
    """A discount and a contract price, or not."""
    tag = st.sampled_from(TAGS)
    until = st.one_of(st.none(), _SOME_DAYS)
    return Terms(
        tuple(draw(st.lists(st.builds(Discount, tag, _RATES, _SOME_DAYS, until), max_size=1))),
        tuple(draw(st.lists(st.builds(ContractPrice, tag, _PRICES, _SOME_DAYS, until), max_size=1))),
    )


_PARTS = st.tuples(st.integers(0, 3), st.integers(0, 9), st.integers(0, 40), st.integers(0, 3))
_RUNS: st.SearchStrategy[list[Run]] = st.lists(
    st.lists(st.tuples(st.sampled_from(TAGS), _SOME_DAYS, _PARTS), max_size=5), min_size=1, max_size=4
)


def _allotments(run: Run) -> list[Allotment]:
    return [
        Allotment(
            Segment(start_of(day), end_of(day), deductible=True, postpaid=True),
            tag,
            sum(parts),
            (),
            *parts,
        )
        for tag, day, parts in run
        if sum(parts)
    ]


def _settle_runs(book: Book, agreed: Terms, runs: list[Run]) -> list[tuple[ResourceCharge, ...]]:
    settled: list[Line] = []
    charges = []
    for run in runs:
        charges.append(
            monthly_charges(
                settled,
                _allotments(run),
                partial(monthly_price, book, agreed),
                lambda tag: price_periods(book, agreed, tag, FIRST, LAST),
            )
        )
        settled += [line for charge in charges[-1] for line in charge.lines]
    return charges


def _price_by_hand(book: Book, agreed: Terms, tag: str, day: date, calls: int) -> Decimal:
    """What a call of the day costs when the month has so many."""
    for contract in agreed.contract_prices:
        if contract.tag == tag and contract.first_day <= day and not (contract.until and contract.until <= day):
            return contract.unit_price
    _, price, steps = book.on(day)
    if tag == "tiered":
        for step in steps:
            if calls >= step.from_calls:
                price = step.unit_price
    for discount in agreed.discounts:
        if discount.tag == tag and discount.first_day <= day and not (discount.until and discount.until <= day):
            return price * discount.rate
    return price


def _month_by_hand(book: Book, agreed: Terms, runs: list[Run]) -> dict[str, Decimal]:
    """The whole month priced once, day by day."""
    calls: Counter[tuple[str, date]] = Counter()
    for run in runs:
        for tag, day, (_, _, postpaid, _) in run:
            calls[tag, day] += postpaid
    total = {tag: sum(number for (one, _), number in calls.items() if one == tag) for tag in TAGS}
    return {
        tag: sum(
            (
                _price_by_hand(book, agreed, tag, day, total[tag]) * number
                for (one, day), number in calls.items()
                if one == tag
            ),
            Decimal(0),
        )
        for tag in TAGS
    }


def _netted(charges: list[tuple[ResourceCharge, ...]]) -> dict[tuple[str, date, date, AppliedPrice], Quantities]:
    """What all lines together say, corrections taken off."""
    sums: dict[tuple[str, date, date, AppliedPrice], Quantities] = {}
    for run in charges:
        for charge in run:
            for line in charge.lines:
                key = (line.tag, line.first_day, line.last_day, line.price)
                sums[key] = sums.get(key, Quantities()).plus(line.quantities)
    return {key: quantities for key, quantities in sums.items() if quantities != Quantities()}


@given(books(), terms(), _RUNS)
def test_all_runs_of_a_month_cost_what_the_final_month_costs(book: Book, agreed: Terms, runs: list[Run]) -> None:
    """The details of all runs add up to the month priced once, to the last of 8 decimals (D15, D19)."""
    charges = _settle_runs(book, agreed, runs)
    details = dict.fromkeys(TAGS, Decimal(0))
    for run in charges:
        for charge in run:
            details[charge.tag] += charge.details
    assert details == _month_by_hand(book, agreed, runs)


@given(books(), terms(), _RUNS)
def test_all_runs_of_a_month_leave_the_lines_of_one_run(book: Book, agreed: Terms, runs: list[Run]) -> None:
    """Lines and the lines that take them back leave what one run of everything would have issued (D4, D19)."""
    at_once = [[part for run in runs for part in run]]
    assert _netted(_settle_runs(book, agreed, runs)) == _netted(_settle_runs(book, agreed, at_once))


@given(books(), terms(), _RUNS)
def test_each_run_bills_its_own_usage(book: Book, agreed: Terms, runs: list[Run]) -> None:
    """The quantities of a run's lines are those of its usage, and other tags have no line (D4)."""
    for run, charges in zip(runs, _settle_runs(book, agreed, runs), strict=True):
        used: dict[str, Quantities] = {}
        for tag, _, (free, paid, postpaid, uncovered) in run:
            raw = free + paid + postpaid + uncovered
            used[tag] = used.get(tag, Quantities()).plus(Quantities(raw, free, paid, postpaid, uncovered))
        used = {tag: quantities for tag, quantities in used.items() if quantities.raw}
        assert [charge.tag for charge in charges] == sorted(used)
        for charge in charges:
            total = Quantities()
            for line in charge.lines:
                assert line.quantities != Quantities()
                total = total.plus(line.quantities)
            assert total == used[charge.tag]


@given(books(), terms(), _RUNS)
def test_lines_of_a_first_run_are_one_a_price_period(book: Book, agreed: Terms, runs: list[Run]) -> None:
    """Without corrections, lines are in time, apart, and of one price each, which every day of theirs has (D19)."""
    (charges, *_) = _settle_runs(book, agreed, runs)
    for charge in charges:
        calls = sum(line.quantities.postpaid for line in charge.lines)
        covered = [
            line.first_day + timedelta(days=number)
            for line in charge.lines
            for number in range((line.last_day - line.first_day).days + 1)
        ]
        assert covered == sorted(set(covered))
        for line in charge.lines:
            for day in (line.first_day, line.last_day):
                assert line.price.unit_price == _price_by_hand(book, agreed, charge.tag, day, calls)


@given(books(), terms(), st.sampled_from(TAGS))
def test_price_periods_cover_the_month_and_end_only_where_prices_change(book: Book, agreed: Terms, tag: str) -> None:
    """Periods are the days of the month in turn; inside one, no quantity has two prices (D19)."""
    periods = price_periods(book, agreed, tag, FIRST, LAST)
    days = [first + timedelta(days=number) for first, last in periods for number in range((last - first).days + 1)]
    assert days == DAYS
    period_of = {day: period for period in periods for day in DAYS if period[0] <= day <= period[1]}
    steps = [0, *range(1, 61)]
    for day, following in pairwise(DAYS):
        prices, later = ([_price_by_hand(book, agreed, tag, one, calls) for calls in steps] for one in (day, following))
        if prices != later:
            assert period_of[day] != period_of[following]


@given(books(), terms(), _RUNS)
def test_daily_charges_are_each_days_price_times_its_calls(book: Book, agreed: Terms, runs: list[Run]) -> None:
    """A daily account pays each day at the day's flat price, one charge a tag and day (D15, D18, D20)."""
    run = [part for one in runs for part in one]
    charges = daily_charges(_allotments(run), partial(daily_price, book, agreed))
    calls: Counter[tuple[str, date]] = Counter()
    for tag, day, parts in run:
        calls[tag, day] += parts[2] if sum(parts) else 0
    flat = Book(tuple((start, price, ()) for start, price, _ in book.lists))
    lines = [line for charge in charges for line in charge.lines]
    assert [len(charge.lines) for charge in charges] == [1] * len(charges)
    assert [(line.tag, line.first_day) for line in lines] == sorted({(t, d) for t, d, parts in run if sum(parts)})
    for line in lines:
        assert line.last_day == line.first_day
        unit_price = _price_by_hand(flat, agreed, line.tag, line.first_day, 0)
        assert line.total_cost == unit_price * calls[line.tag, line.first_day]


@given(books(), terms(), _RUNS, funds())
def test_a_bill_adds_up_from_its_lines_to_the_journal(
    book: Book, agreed: Terms, runs: list[Run], before: Funds
) -> None:
    """Lines, charges, payments and movements of money tell the same story, and precision closes the gap (D15, D16)."""
    now = before
    difference = Decimal(0)
    for charges in _settle_runs(book, agreed, runs):
        settled = settle(now, [charge.amount for charge in charges])
        issued = billed(charges, settled.shares)
        deducted = sum((one.amount for one in issued), Decimal(0))
        assert settled.funds.available == now.available - deducted
        assert -sum((move.amount for move in settled.movements), Decimal(0)) == deducted
        for one, charge in zip(issued, charges, strict=True):
            assert tuple(line.line for line in one.lines) == charge.lines
            assert one.amount == money.round_to_fen(one.details)
            assert abs(one.amount - one.details) <= Decimal("0.005")
            assert sum(one.payment.values(), Decimal(0)) == one.amount
            for fund in Fund:
                on_lines = sum((line.payment.get(fund, Decimal(0)) for line in one.lines), Decimal(0))
                assert on_lines == one.payment.get(fund, Decimal(0))
            difference += one.amount - one.details
        now = settled.funds
    exact = sum(_month_by_hand(book, agreed, runs).values(), Decimal(0))
    assert before.available - now.available == exact + difference
