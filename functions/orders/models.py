"""What the routes for orders, packages and refunds take and answer (contract, Orders)."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import Field, StrictInt, StrictStr

from aws_platform.api import Body, Shown

MAX_PACKAGES = 20
"""Packages of one order (contract, Orders)."""

Name = Annotated[StrictStr, Field(min_length=1, max_length=100)]
Text = Annotated[StrictStr, Field(min_length=1, max_length=500)]
SourceShown = Literal["purchase", "gift"]
PackageStatus = Literal["active", "exhausted", "expired", "refunded", "released"]
RefusalShown = Literal[
    "already_refunded",
    "not_purchased",
    "account_in_violation",
    "refused_by_operator",
    "activity_not_refundable",
    "refund_window_passed",
    "package_used",
]


class OrderItem(Body):
    """Some pieces of one package on sale."""

    sku: Name
    quantity: Annotated[StrictInt, Field(ge=1, le=MAX_PACKAGES)]


class NewOrder(Body):
    """What to buy."""

    items: Annotated[list[OrderItem], Field(min_length=1, max_length=MAX_PACKAGES)]
    voucher_id: Name | None = None
    activity_id: Name | None = None


class NewGrant(Body):
    """A package to give."""

    tag: Name
    calls: Annotated[StrictInt, Field(ge=1, le=10**9)]
    reason: Text


class RefundBody(Body):
    """Nothing to say."""


class RefundBlock(Body):
    """Whether the operator refuses a refund (D25)."""

    blocked: bool
    reason: Text | None = None


class OrderPayment(Shown):
    """Which money paid; yuan."""

    voucher: str
    gift: str
    income_transfer: str
    cash: str


class RefundsShown(Shown):
    """What goes back, each amount to its own fund; yuan."""

    cash: str
    income_transfer: str
    gift: str


class OrderedPackage(Shown):
    """A package of an order."""

    package_id: str
    resource_id: str
    sku: str
    tag: str
    name: str
    calls: int
    list_price: str
    amount: str
    payment: OrderPayment
    obtained_at: datetime
    expires_at: datetime
    refund_id: str | None


class OrderShown(Shown):
    """A purchase or a refund."""

    order_id: str
    kind: Literal["purchase", "refund"]
    status: Literal["delivered", "refunded", "partly_refunded"]
    created_at: datetime
    amount: str
    """What was paid; negative for a refund."""
    payment: OrderPayment
    packages: list[OrderedPackage]
    activity_id: str | None
    voucher_id: str | None
    refund_of: str | None
    """The order that a refund belongs to."""


class OrdersShown(Shown):
    """A page of orders."""

    items: list[OrderShown]
    next_cursor: str | None


class PackageShown(Shown):
    """A package, live: usage that is not settled yet counts as used."""

    package_id: str
    resource_id: str
    tag: str
    name: str
    source: SourceShown
    total: int
    remaining: int
    used: int
    used_percent: float
    obtained_at: datetime
    expires_at: datetime
    """Its last second, that second included (D11)."""
    status: PackageStatus
    order_id: str | None
    refundable: bool
    refund_blocked_by: RefusalShown | None
    reason: str | None
    """Why it was given."""


class PackagesShown(Shown):
    """A page of packages."""

    items: list[PackageShown]
    next_cursor: str | None


class PackageDay(Shown):
    """Calls that a package gave for one usage day."""

    day: date
    calls: int


class PackageUsageShown(Shown):
    """A page of days."""

    items: list[PackageDay]
    next_cursor: str | None


class RefundQuoteShown(Shown):
    """What a refund would pay back now, or why it is refused."""

    package_id: str
    refundable: bool
    refund_blocked_by: RefusalShown | None
    refundable_until: datetime | None
    amount: str
    refunds: RefundsShown
    voucher_forfeited: str


class RefundShown(Shown):
    """A refund."""

    refund_id: str
    package_id: str
    order_id: str
    status: Literal["processing", "completed"]
    amount: str
    refunds: RefundsShown
    voucher_forfeited: str
    requested_at: datetime
    completed_at: datetime | None


class RefundListShown(Shown):
    """A page of refunds."""

    items: list[RefundShown]
    next_cursor: str | None


class RefundBlockShown(Shown):
    """Whether the operator refuses a refund."""

    package_id: str
    blocked: bool
    reason: str | None
