"""Details + precision row = resources = journal, by the month of the charge (D15).

By the month of the usage they differ, by what no row makes up for: that difference is shown.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from rating import money
from rating.bill import Bill, TransactionType


@dataclass(frozen=True, slots=True)
class MonthBalance:
    """What the places that tell an account's month of charges say of it, in yuan."""

    month: str
    details: Decimal = money.ZERO
    """The sum of the fees, 8 decimals, without the row that closes the month."""
    precision: Decimal | None = None
    """What the row that closes the month says; None where there is none."""
    resources: Decimal = money.ZERO
    """The sum of what was deducted for resources."""
    journal: Decimal = money.ZERO
    """What the journal's entries of bills took from the funds and from vouchers."""
    usage_difference: Decimal = money.ZERO
    """By date of the usage: resources less details, the row included; shown, and made up for by no row."""
    open: bool = False
    """Whether a run has still to close it: its row is not there yet."""

    @property
    def details_and_row(self) -> Decimal:
        """The fees with the row that closes the month. A month in which nothing was settled needs none."""
        return self.details + (self.precision or money.ZERO)

    @property
    def agrees(self) -> bool:
        """Whether all say the same; of an open month the resources and the journal."""
        if self.resources != self.journal:
            return False
        return self.open or self.details_and_row == self.resources


def month_balances(
    bills: Iterable[Bill], taken: Mapping[str, Decimal], still_open: Collection[str] = ()
) -> list[MonthBalance]:
    """Every month of charges that the bills or the journal know, oldest first.

    `taken` is what the journal's entries of bills took by month, positive where money went out; `still_open` are the
    months that a run has still to close.
    """
    details: dict[str, Decimal] = {}
    resources: dict[str, Decimal] = {}
    precision: dict[str, Decimal] = {}
    by_usage: dict[str, Decimal] = {}
    for bill in bills:
        month = bill.charge_month
        details[month] = details.get(month, money.ZERO) + bill.details
        resources[month] = resources.get(month, money.ZERO) + bill.amount
        if bill.transaction_type is TransactionType.PRECISION_DIFFERENCE:
            precision[month] = precision.get(month, money.ZERO) + bill.precision_difference
        used = bill.usage_month
        by_usage[used] = by_usage.get(used, money.ZERO) + bill.amount - bill.details - bill.precision_difference
    return [
        MonthBalance(
            month,
            details.get(month, money.ZERO),
            precision.get(month),
            resources.get(month, money.ZERO),
            taken.get(month, money.ZERO),
            by_usage.get(month, money.ZERO),
            month in still_open,
        )
        for month in sorted(details.keys() | taken.keys() | by_usage.keys())
    ]
