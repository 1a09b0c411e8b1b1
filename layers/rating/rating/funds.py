"""An account's money: three funds, the order in which they pay, and entries for every movement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum

from rating import money


class Fund(StrEnum):
    """Where money comes from. The order of the members is the order of payment (D16)."""

    VOUCHER = "voucher"
    """Not part of the balance: what a voucher pays never was the account's money."""
    GIFT = "gift"
    INCOME_TRANSFER = "income_transfer"
    CASH = "cash"


BALANCE = (Fund.GIFT, Fund.INCOME_TRANSFER, Fund.CASH)
"""The funds that make up the balance (D17)."""


@dataclass(frozen=True, slots=True)
class Funds:
    """What an account has, in yuan. Only cash can be below zero (D17)."""

    gift: Decimal = money.ZERO
    income_transfer: Decimal = money.ZERO
    cash: Decimal = money.ZERO

    @property
    def available(self) -> Decimal:
        """The balance (D17)."""
        return self.gift + self.income_transfer + self.cash

    def of(self, fund: Fund) -> Decimal:
        """What lies in one fund. Raises KeyError for vouchers, which are not in the funds."""
        return {Fund.GIFT: self.gift, Fund.INCOME_TRANSFER: self.income_transfer, Fund.CASH: self.cash}[fund]

    def moved(self, fund: Fund, amount: Decimal) -> Funds:
        """The funds after a signed movement. Raises ValueError where another fund than cash would go below zero."""
        after = self.of(fund) + amount
        if after < 0 and fund is not Fund.CASH:
            msg = f"{fund} would be {after}"
            raise ValueError(msg)
        match fund:
            case Fund.GIFT:
                return replace(self, gift=after)
            case Fund.INCOME_TRANSFER:
                return replace(self, income_transfer=after)
            case _:
                return replace(self, cash=after)

    def payment_of(self, amount: Decimal, voucher: Decimal = money.ZERO) -> dict[Fund, Decimal]:
        """How a charge is paid: voucher, gift, income transfer, then cash, which may go below zero (D16, D17).

        Only what pays something is named. Raises ValueError for a negative amount, or a voucher that pays more.
        """
        if amount < voucher:
            msg = f"a charge is not negative: {amount - voucher}"
            raise ValueError(msg)
        parts: dict[Fund, Decimal] = {Fund.VOUCHER: voucher} if voucher else {}
        left = amount - voucher
        for fund in BALANCE:
            part = left if fund is Fund.CASH else min(left, self.of(fund))
            if part:
                parts[fund] = part
                left -= part
        return parts


@dataclass(frozen=True, slots=True)
class Movement:
    """One signed movement of one fund."""

    fund: Fund
    amount: Decimal
    balance_after: Decimal
    """What the fund holds afterwards."""


def pay(funds: Funds, amount: Decimal) -> tuple[Funds, tuple[Movement, ...]]:
    """Deduct a charge in the order of payment; a negative one is a credit to cash (D16, D19)."""
    parts = funds.payment_of(amount) if amount >= 0 else {Fund.CASH: amount}
    return _move(funds, {fund: -part for fund, part in parts.items()})


def credit(funds: Funds, fund: Fund, amount: Decimal) -> tuple[Funds, tuple[Movement, ...]]:
    """Put money into one fund."""
    return _move(funds, {fund: amount})


def _move(funds: Funds, amounts: Mapping[Fund, Decimal]) -> tuple[Funds, tuple[Movement, ...]]:
    movements = []
    for fund, amount in amounts.items():
        funds = funds.moved(fund, amount)
        movements.append(Movement(fund, amount, funds.of(fund)))
    return funds, tuple(movements)


def share_out(payment: Mapping[Fund, Decimal], charges: Sequence[Decimal]) -> list[dict[Fund, Decimal]]:
    """How each charge of one payment was paid: every fund split over the charges in proportion (D16).

    `charges` are not negative. Where they are whole fen and add up to the payment, each share adds up to its charge.
    """
    open_amounts = list(charges)
    shares: list[dict[Fund, Decimal]] = [{} for _ in charges]
    for fund in Fund:
        if not payment.get(fund):
            continue
        for index, part in enumerate(money.split(payment[fund], open_amounts)):
            if part:
                shares[index][fund] = part
                open_amounts[index] = max(open_amounts[index] - part, money.ZERO)
    return shares


@dataclass(frozen=True, slots=True)
class Settlement:
    """What a run's charges did to the funds."""

    funds: Funds
    movements: tuple[Movement, ...]
    shares: tuple[Mapping[Fund, Decimal], ...]
    """How each charge was paid; the parts add up to the charge, a credit is negative cash."""


def owed(charges: Sequence[Decimal]) -> Decimal:
    """What the charges of one run come to; credits do not pay for them."""
    return sum((charge for charge in charges if charge > 0), money.ZERO)


def settle(funds: Funds, charges: Sequence[Decimal], voucher: Decimal = money.ZERO) -> Settlement:
    """Deduct the charges of one run: credits go to cash first (D19), then the rest is paid in order (D16).

    `voucher` is what a voucher pays of it, at most what is owed; that is no movement of the funds.
    """
    credited = sum((charge for charge in charges if charge < 0), money.ZERO)
    funds, credits_ = pay(funds, credited) if credited else (funds, ())
    total = owed(charges)
    payment = funds.payment_of(total, voucher)
    funds, debits = pay(funds, total - voucher)
    shares = share_out(payment, [max(charge, money.ZERO) for charge in charges])
    for charge, share in zip(charges, shares, strict=True):
        if charge < 0:
            share[Fund.CASH] = charge
    return Settlement(funds, (*credits_, *debits), tuple(shares))
