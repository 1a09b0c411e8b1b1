"""A bill: what was deducted, how each line was paid, what its months are (D15, D16)."""

from __future__ import annotations

from decimal import Decimal

from rating.bill import Bill, BilledCharge, TransactionType, billed
from rating.billing import Line, Quantities, ResourceCharge
from rating.funds import Fund, Funds, settle
from rating.pricing import AppliedPrice
from tests.unit.rating.building import TAG, at, day

GIFT, CASH = Fund.GIFT, Fund.CASH


def _line(price: str, calls: int, tag: str = TAG) -> Line:
    applied = AppliedPrice(Decimal(price), Decimal(price), Decimal(1))
    return Line(tag, day("2025-03-01"), day("2025-03-31"), Quantities(calls, postpaid=calls), applied)


def _paid(funds: Funds, *charges: ResourceCharge) -> tuple[BilledCharge, ...]:
    return billed(charges, settle(funds, [charge.amount for charge in charges]).shares)


def _bill(*charges: BilledCharge) -> Bill:
    return Bill(
        bill_id="20250301-7",
        version=7,
        transaction_type=TransactionType.POSTPAY_MONTHLY,
        charged_at=at("2025-04-01T08:00:00"),
        charge_month="2025-04",
        first_day=day("2025-03-01"),
        last_day=day("2025-03-31"),
        charges=charges,
    )


def test_lines_share_what_their_charge_was_paid_with() -> None:
    """Each fund is split over the lines in proportion, and a line of whole fen is paid what it costs (D16)."""
    charge = ResourceCharge(TAG, (_line("1.00", 1), _line("1.00", 1)))
    (paid,) = _paid(Funds(gift=Decimal("1.01"), cash=Decimal(9)), charge)
    assert [line.payment for line in paid.lines] == [
        {GIFT: Decimal("0.50"), CASH: Decimal("0.50")},
        {GIFT: Decimal("0.51"), CASH: Decimal("0.49")},
    ]
    assert paid.payment == {GIFT: Decimal("1.01"), CASH: Decimal("0.99")}


def test_a_line_that_costs_nothing_is_paid_nothing() -> None:
    """A line covered by packages has no payment beside one that costs."""
    charge = ResourceCharge(TAG, (_line("0.30", 10), _line("0.30", 0)))
    (paid,) = _paid(Funds(cash=Decimal(9)), charge)
    assert [line.payment for line in paid.lines] == [{CASH: Decimal("3.00")}, {}]


def test_the_rounding_of_a_charge_is_paid_on_its_last_line() -> None:
    """Two lines of 0.0035 are 0.01 in money, which stands on the last one (D15, D16)."""
    charge = ResourceCharge(TAG, (_line("0.0035", 1), _line("0.0035", 1)))
    (paid,) = _paid(Funds(cash=Decimal(9)), charge)
    assert [line.payment for line in paid.lines] == [{}, {CASH: Decimal("0.01")}]
    assert paid.details == Decimal("0.00700000")
    assert paid.amount == Decimal("0.01")


def test_a_credit_stands_on_the_last_line() -> None:
    """Where a line takes something back the payment of the charge is the last line's (D19)."""
    for calls, amount in ((40, "-4.00"), (60, "2.00")):
        charge = ResourceCharge(TAG, (_line("0.40", -40), _line("0.30", calls)))
        (paid,) = _paid(Funds(cash=Decimal(9)), charge)
        assert [line.payment for line in paid.lines] == [{}, {CASH: Decimal(amount)}]
        assert paid.amount == Decimal(amount)


def test_a_bill_adds_up_its_charges() -> None:
    """Amount is the sum of what was deducted, details that of the lines (D15)."""
    charges = _paid(
        Funds(),
        ResourceCharge("a", (_line("0.0035", 2, "a"),)),
        ResourceCharge("b", (_line("0.0035", 1, "b"), _line("0.0035", 1, "b"))),
    )
    bill = _bill(*charges)
    assert [charge.tag for charge in bill.charges] == ["a", "b"]
    assert bill.amount == Decimal("0.02")
    assert bill.details == Decimal("0.01400000")
    assert _bill().amount == _bill().details == 0


def test_a_bill_belongs_to_the_month_of_its_usage_and_of_its_charge() -> None:
    """March's usage charged on 1 April is March by usage and April by charge (contract, Bills)."""
    assert (_bill().usage_month, _bill().charge_month) == ("2025-03", "2025-04")


def test_lines_are_numbered_over_all_charges() -> None:
    """A transaction id is the bill's id and the line's number."""
    assert _bill().transaction_id(3) == "20250301-7-3"
