"""What the routes for usage and bills answer (contract, Metering and Bills). Yuan as text, quantities as integers."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import Field

from aws_platform.api import Shown

Mode = Literal["prepaid", "postpaid"]
TransactionTypeShown = Literal[
    "prepay_purchase",
    "prepay_refund",
    "postpay_daily",
    "postpay_monthly",
    "precision_difference",
    "adjustment",
]


class UsageRow(Shown):
    """Calls of one value of each dimension. Day and tag are named where the row has just one of them."""

    day: date | None
    tag: str | None
    sub_account: str | None = None
    interface: str | None = None
    result_code: str | None = None
    calls: int
    """Calls whose result is charged."""
    not_chargeable: int
    free: int | None = None
    paid: int | None = None
    postpaid: int | None = None
    uncovered: int | None = None


class UsageShown(Shown):
    """A page of usage."""

    items: list[UsageRow]
    next_cursor: str | None


class Payment(Shown):
    """Which money paid."""

    cash: str
    income_transfer: str
    gift: str
    voucher: str


class TotalsShown(Payment):
    """Sums over all pages."""

    original_cost: str
    """Of the rows that show one: under a contract price none is shown, nor of an adjustment."""
    total_cost: str
    precision_difference: str | None = None
    """By usage date: the total of the resources less that of the details, of the rows that were asked for (D15)."""


class RowShown(Shown):
    """What every row says of what it is for; the row that closes a month is for no resource."""

    resource_id: str | None
    alias: str | None
    payer: str
    product: str
    sub_product: str | None
    tag: str | None
    project: str
    region: str
    billing_mode: Mode
    transaction_type: TransactionTypeShown
    usage_start: datetime
    usage_end: datetime


class Charged(Payment):
    """Where and when a row was charged, and which money paid."""

    bill_id: str
    order_id: str | None
    charged_at: datetime


class ResourceRow(RowShown, Charged):
    """What was deducted for one resource, run and usage day (or month), to the fen."""

    original_cost: str | None
    discount_rate: str | None
    total_cost: str


class ResourcesShown(Shown):
    """A page of resource charges."""

    items: list[ResourceRow]
    totals: TotalsShown
    next_cursor: str | None


class LineShown(Shown):
    """What a fee is made of."""

    list_price: str | None
    unit_price: str | None
    price_unit: str | None
    discount_rate: str | None
    raw_quantity: int
    deducted_quantity: int
    uncovered_quantity: int
    quantity: int
    original_cost: str | None
    total_cost: str
    formula: str


class DetailRow(RowShown, LineShown, Charged):
    """One fee, to 8 decimals."""

    transaction_id: str
    usage_day: date | None
    reason: str | None
    """Why the operator adjusted."""
    corrects: str | None
    """The transaction that an adjustment names."""


class DetailsShown(Shown):
    """A page of fees."""

    items: list[DetailRow]
    totals: TotalsShown
    next_cursor: str | None


class TagTotal(Shown):
    """What was deducted for a tag; null for adjustments, which are for none."""

    tag: str | None
    name: str
    total: str


class ModeTotal(Shown):
    """What was deducted in a billing mode."""

    mode: Mode
    total: str


class DayTotal(Shown):
    """What was deducted for a day of usage, or on a day, by the basis."""

    day: date
    total: str


class MonthTotal(Shown):
    """What was deducted in a month."""

    month: str
    total: str


class OverviewShown(Payment):
    """What was deducted in a month, to the fen; each split adds up to `total`, which is the last of `trend` too."""

    month: str
    basis: Literal["charge", "usage"]
    total: str
    by_tag: list[TagTotal]
    by_mode: list[ModeTotal]
    by_day: list[DayTotal]
    trend: Annotated[list[MonthTotal], Field(description="twelve months, the one that was asked for last")]


class PreviewRow(RowShown, LineShown):
    """A fee as it would be charged now."""

    usage_day: date | None


class PreviewShown(Shown):
    """The open period; `total_cost` is what would be deducted."""

    as_of: datetime
    items: list[PreviewRow]
    total_cost: str


class JournalEntryShown(Shown):
    """One movement of one fund; `balance_after` is what that fund then holds."""

    entry_id: str
    occurred_at: datetime
    kind: Literal["top_up", "settlement", "order", "refund", "adjustment"]
    fund: Literal["voucher", "gift", "income_transfer", "cash"]
    amount: str
    balance_after: str
    reference: str


class JournalShown(Shown):
    """A page of the journal."""

    items: list[JournalEntryShown]
    next_cursor: str | None
