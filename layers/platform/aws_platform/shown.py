"""What several functions answer in the same way."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from rating import money
from rating.funds import BALANCE, Fund

_NOTHING = money.yuan(money.ZERO)


def show_payment(payment: Mapping[Fund, Decimal]) -> dict[str, str]:
    """Which money paid, in the order of payment; every fund is named."""
    return {fund.value: money.yuan(payment[fund]) if fund in payment else _NOTHING for fund in Fund}


def show_refunds(refunds: Mapping[Fund, Decimal]) -> dict[str, str]:
    """What a refund pays back, fund by fund; a voucher gets nothing back (D24)."""
    return {fund.value: money.yuan(refunds.get(fund, money.ZERO)) for fund in reversed(BALANCE)}
