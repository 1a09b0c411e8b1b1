"""A run's charges against the funds (D16, D17, D19)."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from rating.funds import BALANCE, Fund, Funds, Movement, credit, owed, pay, settle
from tests.property.strategies import fen, funds

ZERO = Decimal(0)


def _replayed(before: Funds, movements: tuple[Movement, ...]) -> dict[Fund, Decimal]:
    """The funds after the movements, each checked against the balance that it names."""
    held = {fund: before.of(fund) for fund in BALANCE}
    for move in movements:
        assert move.amount
        held[move.fund] += move.amount
        assert move.balance_after == held[move.fund]
    return held


def _paid_by_hand(before: Funds, amount: Decimal) -> dict[Fund, Decimal]:
    """Gift, then income transfer, then cash, as far as it lasts."""
    gift = min(amount, before.gift)
    income = min(amount - gift, before.income_transfer)
    return {Fund.GIFT: gift, Fund.INCOME_TRANSFER: income, Fund.CASH: amount - gift - income}


@given(funds(), st.lists(fen(-2000, 3000), max_size=6))
def test_a_run_moves_what_it_charges(before: Funds, charges: list[Decimal]) -> None:
    """Movements lead from the old funds to the new, shares add up to each charge and to the movements (D15, D16)."""
    settled = settle(before, charges)
    assert _replayed(before, settled.movements) == {fund: settled.funds.of(fund) for fund in BALANCE}
    assert settled.funds.available == before.available - sum(charges, ZERO)
    assert len(settled.shares) == len(charges)
    for charge, share in zip(charges, settled.shares, strict=True):
        assert sum(share.values(), ZERO) == charge
        assert all(part == part.quantize(Decimal("0.01")) and part for part in share.values())
        if charge < 0:
            assert share == {Fund.CASH: charge}
        else:
            assert all(part > 0 for part in share.values())
    for fund in BALANCE:
        moved = sum((move.amount for move in settled.movements if move.fund is fund), ZERO)
        assert moved == -sum((share.get(fund, ZERO) for share in settled.shares), ZERO)


@given(funds(), st.lists(fen(-2000, 3000), max_size=6))
def test_only_cash_goes_below_zero(before: Funds, charges: list[Decimal]) -> None:
    """Gift and income transfer pay what they have and no more; nothing is ever put into them (D17, D19)."""
    after = settle(before, charges).funds
    assert 0 <= after.gift <= before.gift
    assert 0 <= after.income_transfer <= before.income_transfer


@given(funds(), st.lists(fen(0, 3000), max_size=6))
def test_the_order_of_payment_holds_for_the_whole_run(before: Funds, charges: list[Decimal]) -> None:
    """All charges together use up one fund before the next is touched (D16)."""
    settled = settle(before, charges)
    total = sum(charges, ZERO)
    paid = {fund: before.of(fund) - settled.funds.of(fund) for fund in BALANCE}
    assert paid == _paid_by_hand(before, total)
    assert [move.fund for move in settled.movements] == [fund for fund in BALANCE if paid[fund]]


@given(funds(), st.lists(fen(1, 3000), min_size=1, max_size=6))
def test_each_share_is_near_its_proportion(before: Funds, charges: list[Decimal]) -> None:
    """The first fund that pays is floored on every charge but those that take the remainder (D16)."""
    settled = settle(before, charges)
    total = sum(charges, ZERO)
    first = next(fund for fund in BALANCE if _paid_by_hand(before, total)[fund])
    amount = _paid_by_hand(before, total)[first]
    for charge, share in zip(charges, settled.shares, strict=True):
        exact = amount * charge / total
        assert share.get(first, ZERO) > exact - Decimal("0.01")
        assert share.get(first, ZERO) < exact + Decimal("0.01") * len(charges)


@given(funds(), fen(0, 5000), st.sampled_from(BALANCE))
def test_a_credit_and_a_payment_are_mirrored_in_the_journal(before: Funds, amount: Decimal, fund: Fund) -> None:
    """Money in and out changes the balance by its amount, in the movements as in the funds."""
    after, moves = credit(before, fund, amount)
    assert after.available == before.available + amount
    assert {one: after.of(one) - before.of(one) for one in BALANCE if after.of(one) != before.of(one)} == (
        {fund: amount} if amount else {}
    )
    back, more = pay(after, amount)
    assert back.available == before.available
    assert sum((move.amount for move in (*moves, *more)), ZERO) == 0


@given(funds(), st.lists(fen(-2000, 3000), max_size=6), st.integers(0, 100))
def test_a_voucher_pays_first_and_is_shared_over_all(before: Funds, charges: list[Decimal], percent: int) -> None:
    """What a voucher pays is no movement of the funds; each charge still adds up, and bears its share of it (D16)."""
    total = owed(charges)
    voucher = (total * percent / 100).quantize(Decimal("0.01"))
    settled, without = settle(before, charges, voucher), settle(before, charges)
    assert settled.funds.available == without.funds.available + voucher
    assert [sum(share.values(), ZERO) for share in settled.shares] == charges
    shares = [share.get(Fund.VOUCHER, ZERO) for share in settled.shares]
    assert sum(shares, ZERO) == voucher
    for charge, share in zip(charges, shares, strict=True):
        exact = voucher * max(charge, ZERO) / total if total else ZERO
        assert 0 <= share <= max(charge, ZERO)
        assert exact - Decimal("0.01") < share < exact + Decimal("0.01") * len(charges) or share == exact
