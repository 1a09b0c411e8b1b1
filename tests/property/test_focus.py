"""Random months of bills as FOCUS 1.2: every requirement holds, and nothing is lost or made up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import partial

from hypothesis import given
from hypothesis import strategies as st

from aws_platform.bill_rows import detail_rows
from aws_platform.bills import precision_bill
from exports.focus import FOCUS_COLUMNS, BillingAccount, Bought, Known, focus_rows
from exports.focus_usage import Coverage
from exports.texts import printed
from rating import money
from rating.allocation import Package, Segment, Source, allocate
from rating.bill import Bill, BilledCharge, TransactionType, bill_of_day, billed, counted, single_charge
from rating.billing import Line, ResourceCharge, daily_charges, monthly_charges
from rating.catalog import load
from rating.civil import end_of, first_day, last_day, month_of, next_month, start_of
from rating.funds import Funds, settle
from rating.orders import resource_of
from rating.pricing import (
    FULL_RATE,
    AppliedPrice,
    ContractPrice,
    Discount,
    Terms,
    daily_price,
    monthly_price,
    price_periods,
)
from tests.support.focus_rules import Cells, violations

MONTH = "2025-02"
FIRST, LAST = first_day(MONTH), last_day(MONTH)
DAYS = [FIRST + timedelta(days=number) for number in range(28)]
TAGS = ("identity_check", "eid_authority")
"""One that the monthly list prices by steps, and one that it does not."""
ACCOUNT = BillingAccount("acct-1", "某某科技")
CATALOG = load()
HALF = Decimal("0.000000005")
RATES = st.integers(1, 9999).map(lambda number: Decimal(number).scaleb(-4))
Usage = list[tuple[Segment, dict[str, int]]]
COVERED = (Coverage.PURCHASED.value, Coverage.FREE.value)


@dataclass
class History:
    """What one account bought, used and was billed."""

    terms: Terms
    packages: dict[str, Package] = field(default_factory=dict)
    cost: dict[str, Bought] = field(default_factory=dict)
    used: dict[str, int] = field(default_factory=dict)
    bills: list[Bill] = field(default_factory=list)

    def allot(self, usage: Usage, charge: partial[tuple[ResourceCharge, ...]], bill: Bill) -> None:
        """Bill usage as a run does: packages first, then the price."""
        allocation = allocate(usage, self.packages.values())
        for package_id, left in allocation.remaining.items():
            used = self.packages[package_id].remaining - left
            self.used[package_id] = self.used.get(package_id, 0) + used
            self.packages[package_id] = replace(self.packages[package_id], remaining=left)
        charges = charge(allocation.allotments)
        paid = billed(charges, settle(Funds(), [one.amount for one in charges]).shares)
        taken = counted(usage, allocation.allotments, self.packages.values())
        self.bills.append(replace(bill, charges=paid, counted=taken))

    def settled_lines(self) -> list[Line]:
        """The lines of usage that were issued."""
        return [fee.line for bill in self.bills if bill.counted for charge in bill.charges for fee in charge.lines]

    def at_once(self, kind: TransactionType, on: date, charge: BilledCharge) -> Bill:
        """A bill of what is charged the moment it happens."""
        bill = bill_of_day(f"{kind}-{len(self.bills)}", len(self.bills) + 1, kind, start_of(on), (charge,))
        self.bills.append(bill)
        return bill

    def close(self) -> None:
        """Add the row that closes each month (D15)."""
        for month in sorted({bill.charge_month for bill in self.bills}):
            mine = [bill for bill in self.bills if bill.charge_month == month]
            deducted = sum((bill.amount for bill in mine), money.ZERO)
            details = sum((bill.details for bill in mine), money.ZERO)
            now = start_of(first_day(next_month(month)))
            self.bills.append(precision_bill(month, len(self.bills) + 1, deducted, details, now))


@st.composite
def histories(draw: st.DrawFn) -> History:
    """Purchases, refunds, gifts, two months of usage in daily or monthly bills with late usage, and adjustments."""
    history = History(draw(terms()))
    for number in range(draw(st.integers(0, 3))):
        _obtain(draw, history, f"p{number}")
    if draw(st.booleans()):
        for number, on in enumerate(sorted(draw(st.lists(st.sampled_from(DAYS), max_size=3)))):
            price = partial(daily_price, CATALOG, history.terms)
            bill = _run(TransactionType.POSTPAY_DAILY, number, on, on, on + timedelta(days=draw(st.integers(1, 40))))
            history.allot(draw(usage([on])), partial(daily_charges, price_of=price), bill)
    else:
        for number, charged_on in enumerate((date(2025, 3, 1), date(2025, 4, 1))[: draw(st.integers(0, 2))]):
            monthly = partial(
                monthly_charges,
                history.settled_lines(),
                price_of=partial(monthly_price, CATALOG, history.terms),
                periods_of=lambda tag: price_periods(CATALOG, history.terms, tag, FIRST, LAST),
            )
            bill = _run(TransactionType.POSTPAY_MONTHLY, number, FIRST, LAST, charged_on)
            days = sorted(draw(st.lists(st.sampled_from(DAYS), min_size=1, max_size=3, unique=True)))
            history.allot(draw(usage(days)), monthly, bill)
    for amount in draw(st.lists(st.integers(-(10**6), 10**6).map(lambda fen: Decimal(fen).scaleb(-2)), max_size=2)):
        paid = settle(Funds(), [amount]).shares[0]
        charge = single_charge("", LAST, 1, AppliedPrice(amount, None, None), paid)
        bill = history.at_once(TransactionType.ADJUSTMENT, draw(st.sampled_from(DAYS)), charge)
        corrects = draw(st.sampled_from([None, "old-1", "same-1", "top-up-7"]))
        history.bills[-1] = replace(bill, reason=draw(st.sampled_from(["补偿", "=1+1"])), corrects=corrects)
    history.close()
    return history


def terms() -> st.SearchStrategy[Terms]:
    """A discount or a contract price of either tag from some day on, or none."""
    discount = st.builds(Discount, tag=st.sampled_from(TAGS), rate=RATES, first_day=st.sampled_from(DAYS))
    contract = st.builds(ContractPrice, tag=st.sampled_from(TAGS), unit_price=RATES, first_day=st.sampled_from(DAYS))
    return st.one_of(
        st.just(Terms()),
        discount.map(lambda one: Terms(discounts=(one,))),
        contract.map(lambda one: Terms(contract_prices=(one,))),
    )


@st.composite
def usage(draw: st.DrawFn, days: Sequence[date]) -> Usage:
    """Calls of both tags, some days cut in two at noon; with postpaid off what packages leave is uncovered (D14)."""
    found: Usage = []
    for on in days:
        start, end = start_of(on), end_of(on)
        noon = start + timedelta(hours=12)
        for left, right in [(start, noon), (noon, end)] if draw(st.booleans()) else [(start, end)]:
            segment = Segment(left, right, deductible=draw(st.booleans()), postpaid=draw(st.booleans()))
            calls = {tag: draw(st.one_of(st.integers(0, 20), st.integers(900, 1100))) for tag in TAGS}
            found.append((segment, {tag: number for tag, number in calls.items() if number}))
    return found


def _obtain(draw: st.DrawFn, history: History, package_id: str) -> None:
    """A gift; or a purchase, which may be paid back at once or in the next month."""
    tag, calls, on = draw(st.sampled_from(TAGS)), draw(st.integers(1, 900)), draw(st.sampled_from(DAYS))
    package = Package(package_id, tag, Source.GIFT, start_of(FIRST), start_of(date(2026, 1, 1)), calls)
    if draw(st.booleans()):
        history.packages[package_id] = package
        return
    price, rate = Decimal(draw(st.integers(1, 10**6))).scaleb(-2), draw(st.sampled_from([FULL_RATE, Decimal("0.8")]))
    paid = money.round_to_fen(price * rate)
    resource = resource_of(package_id, calls, start_of(on))
    shares = settle(Funds(), [paid]).shares[0]
    sold = single_charge(tag, on, 1, AppliedPrice(paid, price, rate), shares, resource)
    history.at_once(TransactionType.PREPAY_PURCHASE, on, sold)
    if draw(st.booleans()):
        back_on = on + timedelta(days=draw(st.integers(0, 7)))
        repaid = {fund: -amount for fund, amount in shares.items()}
        back = single_charge(tag, back_on, -1, AppliedPrice(paid, price, None), repaid, resource)
        history.at_once(TransactionType.PREPAY_REFUND, back_on, back)
        return
    history.packages[package_id] = replace(package, source=Source.PURCHASE)
    history.cost[package_id] = Bought(paid, calls)


def _run(kind: TransactionType, number: int, first: date, last: date, charged_on: date) -> Bill:
    bill_id = f"{first:%Y%m%d}-{number}"
    return Bill(bill_id, number + 100, kind, start_of(charged_on), month_of(charged_on), first, last, ())


def _exported(history: History) -> list[Cells]:
    known = Known(history.cost.__getitem__, {"old-1": "2025-01", "same-1": MONTH}.get)
    return [
        {
            column.name: None if value is None else printed(column.kind, value)
            for column, value in zip(FOCUS_COLUMNS, values, strict=True)
        }
        for values in focus_rows(detail_rows(history.bills), ACCOUNT, CATALOG, known)
    ]


def _sum(rows: Sequence[Cells], *names: str) -> Decimal:
    return sum((Decimal(cells[name] or 0) for cells in rows for name in names), money.ZERO)


def _of(rows: Sequence[Cells], values: Mapping[str, str]) -> list[Cells]:
    return [cells for cells in rows if all(cells[name] == value for name, value in values.items())]


@given(histories())
def test_every_requirement_holds(history: History) -> None:
    """Whatever was bought, used, priced again and adjusted, the file breaks no requirement of the specification."""
    names = [column.name for column in FOCUS_COLUMNS]
    assert list(violations(names, _exported(history))) == []


@given(histories())
def test_what_is_billed_is_what_was_deducted(history: History) -> None:
    """By billing period: the sum of BilledCost is what was deducted, and so is the sum of what the funds paid (D15)."""
    rows = _exported(history)
    for month in {bill.charge_month for bill in history.bills}:
        deducted = sum((bill.amount for bill in history.bills if bill.charge_month == month), money.ZERO)
        start = start_of(first_day(month)).timestamp()
        mine = [cells for cells in rows if _timestamp(cells["BillingPeriodStart"]) == start]
        assert _sum(mine, "BilledCost") == deducted
        assert _sum(mine, "x_VoucherPaid", "x_GiftPaid", "x_IncomeTransferPaid", "x_CashPaid") == deducted


@given(histories())
def test_every_detail_and_every_call_is_there_once(history: History) -> None:
    """No row of the detailed bill is left out, and the calls consumed are those that the bills counted."""
    rows = _exported(history)
    assert {cells["x_TransactionId"] for cells in rows} == {row.row_id for row in detail_rows(history.bills)}
    for tag in TAGS:
        lines = [line for line in history.settled_lines() if line.tag == tag]
        used = [cells for cells in rows if cells["SkuId"] == tag]
        assert _sum(used, "ConsumedQuantity") == sum(line.quantities.raw for line in lines)
        charged = _of(used, {"x_Coverage": Coverage.POSTPAID.value})
        assert _sum(charged, "PricingQuantity") == sum(line.quantities.postpaid for line in lines)


@given(histories())
def test_a_package_costs_what_it_gave(history: History) -> None:
    """The effective cost of the calls of a package is its price in proportion; that of a free one is nothing."""
    rows = _exported(history)
    for package_id, used in history.used.items():
        mine = _of(rows, {"x_PackageId": package_id})
        assert _sum(mine, "ConsumedQuantity") == used
        assert {cells["x_Coverage"] for cells in mine} <= set(COVERED)
        bought = history.cost.get(package_id, Bought(money.ZERO, 1))
        difference = _sum(mine, "EffectiveCost") - bought.paid * used / bought.calls
        assert abs(difference) <= HALF * len(mine)


def _timestamp(text: str | None) -> float:
    return datetime.fromisoformat(str(text)).timestamp()
