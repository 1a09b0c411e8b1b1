"""Details + precision row = resources = journal over random months of charges (D15); a wrong fen is seen."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aws_platform.bills import precision_bill
from rating import money
from rating.bill import Bill, TransactionType, bill_of_day, billed, single_charge
from rating.billing import Line, Quantities, ResourceCharge
from rating.civil import first_day, month_of, next_month, start_of
from rating.funds import Funds, settle
from rating.pricing import AppliedPrice
from rating.reconciliation import MonthBalance, month_balances
from tests.property.strategies import decimals, fen, funds

MONTHS = ("2025-01", "2025-02", "2025-03")
DAYS = [date(2025, 1, 1) + timedelta(days=number) for number in range(90)]


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Bill], dict[str, Decimal]]:
    """Bills of some days as runs, purchases and adjustments issue them, and what the journal says of their months."""
    purse: Funds = draw(funds())
    issued: list[Bill] = []
    taken: dict[str, Decimal] = {}
    sums: dict[str, list[Decimal]] = {}
    for version, day in enumerate(sorted(draw(st.lists(st.sampled_from(DAYS), min_size=1, max_size=8))), start=1):
        if draw(st.booleans()):
            lines = draw(st.lists(st.tuples(decimals(4, 0, 10**5), st.integers(-50, 500)), min_size=1, max_size=4))
            charges = [
                ResourceCharge(
                    f"tag-{n}", (Line(f"tag-{n}", day, day, Quantities(calls, postpaid=calls), _price(one)),)
                )
                for n, (one, calls) in enumerate(lines)
            ]
            paid = settle(purse, [charge.amount for charge in charges])
            purse, moved, kind = paid.funds, paid.movements, TransactionType.POSTPAY_DAILY
            made = billed(charges, paid.shares)
        else:
            amount = draw(fen(-(10**5), 10**5))
            paid = settle(purse, [amount])
            purse, moved, kind = paid.funds, paid.movements, TransactionType.ADJUSTMENT
            made = (single_charge("", day, 1, AppliedPrice(amount, None, None), paid.shares[0]),)
        usage_day = day - timedelta(days=draw(st.integers(0, 40)))
        bill = replace(bill_of_day(f"b-{version}", version, kind, start_of(day), made), first_day=usage_day)
        issued.append(bill)
        month = bill.charge_month
        taken[month] = taken.get(month, money.ZERO) - sum((one.amount for one in moved), money.ZERO)
        if kind is TransactionType.POSTPAY_DAILY:
            both = sums.setdefault(month, [money.ZERO, money.ZERO])
            both[0] += bill.details
            both[1] += bill.amount
    for month, (details, deducted) in sums.items():
        closing = start_of(first_day(next_month(month)))
        issued.append(precision_bill(month, len(issued) + 1, deducted, details, closing))
    return issued, taken


def _price(unit_price: Decimal) -> AppliedPrice:
    return AppliedPrice(unit_price, unit_price, Decimal(1))


@given(histories())
def test_all_months_agree(history: tuple[list[Bill], dict[str, Decimal]]) -> None:
    """The fees and the row that closes a month are what was deducted, and what the journal says, month by month."""
    issued, taken = history
    months = month_balances(issued, taken)
    assert all(one.agrees for one in months)
    for one in months:
        assert one.details_and_row == one.resources == one.journal
        assert (one.precision is not None) == any(
            bill.charge_month == one.month and bill.transaction_type is TransactionType.PRECISION_DIFFERENCE
            for bill in issued
        )


@given(histories())
def test_a_row_that_is_gone_is_seen(history: tuple[list[Bill], dict[str, Decimal]]) -> None:
    """A month that is over does not agree without its row, unless the row says nothing; an open one does."""
    issued, taken = history
    rows = {
        bill.charge_month: bill.precision_difference
        for bill in issued
        if bill.transaction_type is TransactionType.PRECISION_DIFFERENCE
    }
    others = [bill for bill in issued if bill.transaction_type is not TransactionType.PRECISION_DIFFERENCE]
    for one in month_balances(others, taken):
        assert one.agrees == (not rows.get(one.month))
    assert all(one.agrees for one in month_balances(others, taken, rows))


@given(histories())
def test_by_usage_the_difference_is_shown(history: tuple[list[Bill], dict[str, Decimal]]) -> None:
    """By month of the usage nothing makes up for the rounding: each month shows its difference; they add up to 0."""
    issued, taken = history
    months = {one.month: one.usage_difference for one in month_balances(issued, taken)}
    for month, shown in months.items():
        mine = [bill for bill in issued if month_of(bill.first_day) == month]
        deducted = sum((bill.amount for bill in mine), money.ZERO)
        assert shown == deducted - sum((bill.details + bill.precision_difference for bill in mine), money.ZERO)
    assert sum(months.values(), money.ZERO) == 0


@pytest.mark.parametrize("wrong", ["journal", "resources", "details", "precision"])
@given(history=histories(), cent=st.sampled_from([Decimal("0.01"), Decimal("-0.01")]))
def test_a_wrong_fen_is_seen(wrong: str, history: tuple[list[Bill], dict[str, Decimal]], cent: Decimal) -> None:
    """A month in which one of the four says a fen more or less does not agree."""
    issued, taken = history
    one = month_balances(issued, taken)[0]
    known = {name: getattr(one, name) for name in ("journal", "resources", "details", "precision")}
    known[wrong] = (known[wrong] or money.ZERO) + cent
    assert not MonthBalance(one.month, **known).agrees
