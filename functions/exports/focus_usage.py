"""Usage in FOCUS: one row for what each package gave, for what was charged, and for what nothing covered.

FOCUS wants a reduction that holds for a part of a charge in a row of its own, and a line of a bill is both: some of its
calls were given by packages, the rest has its price.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING

from rating import money
from rating.allocation import Source
from rating.bill import Bill, BilledCharge, BilledLine, TransactionType
from rating.civil import day_of

if TYPE_CHECKING:
    from rating.catalog import Catalog, Tier


class Coverage(StrEnum):
    """What became of the calls of a row, as `x_Coverage` says it."""

    POSTPAID = "Postpaid"
    PURCHASED = "Purchased Package"
    FREE = "Free Package"
    UNCOVERED = "Uncovered"
    """Beyond the packages with postpaid off: counted, never charged (D14)."""


@dataclass(frozen=True, slots=True)
class Part:
    """Calls of a line that were covered in one way."""

    coverage: Coverage
    calls: int
    package_id: str | None = None


@dataclass(frozen=True, slots=True)
class ListPrice:
    """The published price of a call, and which entry of which price list it is."""

    price_list: str
    """`daily` or `monthly`, as the catalog is asked for it."""
    unit_price: Decimal
    """Yuan a call."""
    tier_from_calls: int | None
    """The step of a tiered price; None for a flat one."""


def parts_of(bill: Bill, charge: BilledCharge, fee: BilledLine) -> list[Part]:
    """The calls of a line by what covered them; what is charged stands last.

    Where late usage prices a month again there are several lines of the same days: what is taken back, and what
    replaces it (D19). Calls that packages gave have no price to change, so they are not taken back and given again: the
    last of these lines has those of this bill, and the lines before it only what was charged.
    """
    same_days = [one for one in charge.lines if _days(one) == _days(fee)]
    parts = []
    if fee is same_days[-1]:
        parts += _given(bill, charge.tag, *_days(fee))
        uncovered = sum(one.line.quantities.uncovered for one in same_days)
        if uncovered:
            parts.append(Part(Coverage.UNCOVERED, uncovered))
    postpaid = fee.line.quantities.postpaid
    # A payment may stand on a line without charged calls: the rounding of a charge is paid on its last line (D16).
    if postpaid or fee.payment or not parts:
        parts.append(Part(Coverage.POSTPAID, postpaid))
    return parts


def takes_back(charge: BilledCharge, fee: BilledLine) -> bool:
    """Whether the line is of days that late usage prices again: they were billed in a month that is over (D19)."""
    return any(one.line.quantities.raw < 0 for one in charge.lines if _days(one) == _days(fee))


def list_price_of(catalog: Catalog, bill: Bill, charge: BilledCharge, fee: BilledLine) -> ListPrice:
    """The list price of a line: its own, or, under a contract price, the published one of its first day (D18, D20).

    A contract price takes no step of a tiered price. The published one is that of the step which the charged calls of
    this charge would have reached.
    """
    price = fee.line.price
    if price.list_price is not None:
        name = "daily" if price.tier_from_calls is None else "monthly"
        return ListPrice(name, price.list_price, price.tier_from_calls)
    tiers: tuple[Tier, ...] = ()
    if bill.transaction_type is TransactionType.POSTPAY_MONTHLY:
        tiers = catalog.monthly_tiers(charge.tag, fee.line.first_day)
    if not tiers:
        return ListPrice("daily", catalog.daily_unit_price(charge.tag, fee.line.first_day), None)
    calls = max(sum(one.line.quantities.postpaid for one in charge.lines), 0)
    reached = [tier for tier in tiers if tier.from_calls <= calls][-1]
    return ListPrice("monthly", reached.unit_price, reached.from_calls)


def drawn(paid: Decimal, total: int, calls: int) -> Decimal:
    """What some calls of a package cost, of what was paid for all of it: in proportion, half-up to 8 decimals."""
    return (paid * calls / total).quantize(money.DETAIL, rounding="ROUND_HALF_UP")


def _given(bill: Bill, tag: str, first: date, last: date) -> list[Part]:
    """What each package gave of the tag's calls of some days, in the order of use."""
    calls: dict[tuple[Source, str], int] = {}
    for segment in bill.counted:
        if first <= day_of(segment.start) <= last:
            for one in segment.deductions:
                if one.tag == tag:
                    key = (one.source, one.package_id)
                    calls[key] = calls.get(key, 0) + one.calls
    return [Part(_COVERAGE[source], given, package_id) for (source, package_id), given in calls.items()]


def _days(fee: BilledLine) -> tuple[date, date]:
    return fee.line.first_day, fee.line.last_day


_COVERAGE: Mapping[Source, Coverage] = {Source.GIFT: Coverage.FREE, Source.PURCHASE: Coverage.PURCHASED}
