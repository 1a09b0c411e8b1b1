"""What several functions answer in the same way."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from rating import money
from rating.funds import Fund


def show_payment(payment: Mapping[Fund, Decimal]) -> dict[str, str]:
    """Which money paid, in the order of payment; every fund is named."""
    return {fund.value: money.yuan(payment.get(fund, money.ZERO)) for fund in Fund}
