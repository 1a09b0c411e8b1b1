"""Funds: order of payment, who may go below zero, how a run's charges are settled (D16, D17, D19)."""

from __future__ import annotations

from decimal import Decimal

import pytest

from rating.funds import BALANCE, Fund, Funds, Movement, credit, pay, settle, share_out

GIFT, INCOME, CASH = Fund.GIFT, Fund.INCOME_TRANSFER, Fund.CASH


def funds(gift: str = "0", income_transfer: str = "0", cash: str = "0") -> Funds:
    """Funds in yuan."""
    return Funds(Decimal(gift), Decimal(income_transfer), Decimal(cash))


def _moves(movements: tuple[Movement, ...]) -> list[tuple[Fund, str, str]]:
    return [(move.fund, str(move.amount), str(move.balance_after)) for move in movements]


def test_the_balance_is_all_three_funds() -> None:
    """Balance = cash + income transfer + gift (D17)."""
    assert funds("1.10", "2.20", "-3.00").available == Decimal("0.30")


@pytest.mark.parametrize(
    "amount, parts",
    [
        ("0", {}),
        ("0.50", {GIFT: "0.50"}),
        ("1.00", {GIFT: "1.00"}),
        ("1.01", {GIFT: "1.00", INCOME: "0.01"}),
        ("3.00", {GIFT: "1.00", INCOME: "2.00"}),
        ("3.01", {GIFT: "1.00", INCOME: "2.00", CASH: "0.01"}),
        ("60.00", {GIFT: "1.00", INCOME: "2.00", CASH: "57.00"}),
    ],
)
def test_gift_pays_before_income_transfer_before_cash(amount: str, parts: dict[Fund, str]) -> None:
    """Each fund pays what it has before the next; cash pays the rest, below zero if need be (D16, D17)."""
    paid = funds("1.00", "2.00", "5.00").payment_of(Decimal(amount))
    assert paid == {fund: Decimal(part) for fund, part in parts.items()}
    assert list(paid) == [fund for fund in (GIFT, INCOME, CASH) if fund in parts]


def test_a_payment_is_a_movement_a_fund() -> None:
    """Every fund that pays has one signed movement with what it holds afterwards."""
    after, movements = pay(funds("1.00", "0", "5.00"), Decimal("8.00"))
    assert after == funds("0.00", "0", "-2.00")
    assert _moves(movements) == [(GIFT, "-1.00", "0.00"), (CASH, "-7.00", "-2.00")]


def test_cash_below_zero_does_not_lend_to_other_funds() -> None:
    """A gift pays first even while cash is negative (D16)."""
    after, movements = pay(funds("4.00", "0", "-1.00"), Decimal("5.00"))
    assert after == funds("0.00", "0", "-2.00")
    assert [move.fund for move in movements] == [GIFT, CASH]


def test_a_negative_charge_is_a_credit_to_cash() -> None:
    """What late usage lowered is credited to cash, however it was paid (D19)."""
    after, movements = pay(funds("1.00", "2.00", "-3.00"), Decimal("-16.00"))
    assert after == funds("1.00", "2.00", "13.00")
    assert _moves(movements) == [(CASH, "16.00", "13.00")]


@pytest.mark.parametrize("fund", BALANCE)
def test_money_goes_into_its_own_fund(fund: Fund) -> None:
    """A credit changes one fund alone."""
    after, movements = credit(funds("1.00", "1.00", "1.00"), fund, Decimal("2.50"))
    assert {one: after.of(one) for one in BALANCE if one is not fund} == {
        one: Decimal("1.00") for one in BALANCE if one is not fund
    }
    assert _moves(movements) == [(fund, "2.50", "3.50")]


@pytest.mark.parametrize("fund", [GIFT, INCOME])
def test_only_cash_may_go_below_zero(fund: Fund) -> None:
    """Taking more than it has from another fund is an error of the program (D17)."""
    with pytest.raises(ValueError, match=r"would be -0\.01"):
        funds("1.00", "1.00", "1.00").moved(fund, Decimal("-1.01"))
    assert funds(cash="1.00").moved(CASH, Decimal("-1.01")).cash == Decimal("-0.01")


def test_a_payment_is_not_negative() -> None:
    """There is no order of payment for a negative amount."""
    with pytest.raises(ValueError, match="not negative"):
        funds().payment_of(Decimal("-0.01"))


def test_charges_share_each_fund_in_proportion() -> None:
    """A gift of 90 on charges of 100 and 200 is 30 and 60; cash pays the rest of each (D16; facts.md 3.5)."""
    shares = share_out({GIFT: Decimal(90), CASH: Decimal(210)}, [Decimal(100), Decimal(200)])
    assert shares == [{GIFT: Decimal(30), CASH: Decimal(70)}, {GIFT: Decimal(60), CASH: Decimal(140)}]


def test_no_charge_is_paid_more_than_it_costs() -> None:
    """The remainders of two funds do not add up on the last charge: both cost 1.00 and are paid 1.00 (D16)."""
    shares = share_out({GIFT: Decimal("1.01"), CASH: Decimal("0.99")}, [Decimal("1.00"), Decimal("1.00")])
    assert shares == [
        {GIFT: Decimal("0.50"), CASH: Decimal("0.50")},
        {GIFT: Decimal("0.51"), CASH: Decimal("0.49")},
    ]


def test_a_run_settles_all_its_charges_in_one_payment() -> None:
    """Charges of one run are paid together, each with its share, and cash ends below zero if it must (D16, D17)."""
    settled = settle(funds("1.00", "0.50", "2.00"), [Decimal("3.00"), Decimal("0.00"), Decimal("1.00")])
    assert settled.funds == funds("0.00", "0.00", "-0.50")
    assert _moves(settled.movements) == [(GIFT, "-1.00", "0.00"), (INCOME, "-0.50", "0.00"), (CASH, "-2.50", "-0.50")]
    assert settled.shares == (
        {GIFT: Decimal("0.75"), INCOME: Decimal("0.37"), CASH: Decimal("1.88")},
        {},
        {GIFT: Decimal("0.25"), INCOME: Decimal("0.13"), CASH: Decimal("0.62")},
    )


def test_a_credit_of_the_run_comes_before_its_charges() -> None:
    """A tag that became cheaper is credited to cash before another tag is paid (D19)."""
    settled = settle(funds("1.00", "0", "0"), [Decimal("-16.00"), Decimal("10.00")])
    assert settled.funds == funds("0.00", "0", "7.00")
    assert _moves(settled.movements) == [(CASH, "16.00", "16.00"), (GIFT, "-1.00", "0.00"), (CASH, "-9.00", "7.00")]
    assert settled.shares == ({CASH: Decimal("-16.00")}, {GIFT: Decimal("1.00"), CASH: Decimal("9.00")})


def test_a_run_that_costs_nothing_moves_nothing() -> None:
    """Days covered by packages leave the journal alone."""
    before = funds("1.00", "1.00", "1.00")
    settled = settle(before, [Decimal("0.00"), Decimal("0.00")])
    assert (settled.funds, settled.movements, settled.shares) == (before, (), ({}, {}))
