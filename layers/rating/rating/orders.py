"""Orders, grants and refunds: how packages come, what they cost, and when one may be given back (D16, D24 to D26)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from rating import money
from rating.allocation import Source
from rating.bill import Resource
from rating.civil import ONE_DAY, day_of, local, start_of
from rating.funds import BALANCE, Fund, share_out
from rating.wallet import WalletPackage, ends_at, is_delivered

FREE_PACKAGE_DELAY = timedelta(minutes=30)
"""From the first opening, or the first merchant id, to the free packages (D13)."""
REFUND_DELAY = timedelta(minutes=3)
"""How long a refund is being processed (D26)."""
REFUND_DAYS = 7
"""Calendar days after that of the delivery on which a package can still be given back (D24)."""
_PACKAGE_ID = re.compile(r"(pkg|gift)-(\d{14}-\d{6,}-[0-9a-f]{8})-(\d{3})-(\d{2})", re.ASCII)


class OrderStatus(StrEnum):
    """How much of an order was given back."""

    DELIVERED = "delivered"
    PARTLY_REFUNDED = "partly_refunded"
    REFUNDED = "refunded"


class Refusal(StrEnum):
    """Why a package cannot be given back, in the order in which the reasons are looked at (D25)."""

    ALREADY_REFUNDED = "already_refunded"
    NOT_PURCHASED = "not_purchased"
    ACCOUNT_IN_VIOLATION = "account_in_violation"
    REFUSED_BY_OPERATOR = "refused_by_operator"
    ACTIVITY_NOT_REFUNDABLE = "activity_not_refundable"
    REFUND_WINDOW_PASSED = "refund_window_passed"
    PACKAGE_USED = "package_used"


@dataclass(frozen=True, slots=True)
class PackageRecord:
    """How a package came, and what became of it apart from its use."""

    package_id: str
    tag: str
    source: Source
    calls: int
    delivered_at: datetime
    list_price: Decimal = money.ZERO
    """Yuan; nothing for a gift."""
    amount: Decimal = money.ZERO
    """What was paid for it, vouchers included."""
    payment: Mapping[Fund, Decimal] = field(default_factory=dict)
    refundable: bool = True
    """What the rule of its activity says."""
    blocked: str | None = None
    """Why the operator refuses a refund; None: does not."""
    refund_id: str | None = None

    @property
    def ends_at(self) -> datetime:
        """The last second of its validity (D11)."""
        return ends_at(self.source, self.delivered_at)

    @property
    def resource_id(self) -> str:
        """What bills call it: one resource per piece."""
        return resource_id(self.package_id)

    def is_delivered(self, now: datetime) -> bool:
        """Whether it is there at `now`."""
        return is_delivered(self.source, self.delivered_at, now)

    def in_wallet(self) -> WalletPackage:
        """As it goes into its wallet."""
        return WalletPackage(self.package_id, self.source, self.calls, 0, self.delivered_at, self.ends_at)

    def refunds(self) -> dict[Fund, Decimal]:
        """What a refund pays back, each amount to its own fund; what a voucher paid is lost (D24)."""
        return {fund: self.payment[fund] for fund in BALANCE if self.payment.get(fund)}


@dataclass(frozen=True, slots=True)
class Order:
    """A purchase; or, with nothing to pay, a grant of gifts."""

    order_id: str
    created_at: datetime
    packages: tuple[PackageRecord, ...]
    """By package id."""
    activity_id: str | None = None
    voucher_id: str | None = None
    reason: str | None = None
    """Why gifts were granted."""

    @property
    def amount(self) -> Decimal:
        """What all of it cost."""
        return sum((package.amount for package in self.packages), money.ZERO)

    @property
    def payment(self) -> dict[Fund, Decimal]:
        """Which money paid."""
        parts = {fund: sum((one.payment.get(fund, money.ZERO) for one in self.packages), money.ZERO) for fund in Fund}
        return {fund: part for fund, part in parts.items() if part}

    @property
    def status(self) -> OrderStatus:
        """How much of it was given back."""
        refunded = sum(package.refund_id is not None for package in self.packages)
        if not refunded:
            return OrderStatus.DELIVERED
        return OrderStatus.REFUNDED if refunded == len(self.packages) else OrderStatus.PARTLY_REFUNDED

    def package(self, package_id: str) -> PackageRecord | None:
        """One of its packages."""
        return next((one for one in self.packages if one.package_id == package_id), None)

    def with_package(self, package: PackageRecord) -> Order:
        """The order with this package in place of the one with its id."""
        packages = tuple(package if one.package_id == package.package_id else one for one in self.packages)
        return replace(self, packages=packages)


@dataclass(frozen=True, slots=True)
class Refund:
    """A package that was given back."""

    refund_id: str
    package_id: str
    order_id: str
    tag: str
    calls: int
    refunds: Mapping[Fund, Decimal]
    voucher_forfeited: Decimal
    list_price: Decimal
    delivered_at: datetime
    requested_at: datetime
    completed_at: datetime | None = None
    """None while it is being processed (D26)."""

    @property
    def amount(self) -> Decimal:
        """What is paid back."""
        return sum(self.refunds.values(), money.ZERO)

    @property
    def completes_at(self) -> datetime:
        """When the money is due."""
        return self.requested_at + REFUND_DELAY


def mark(account_id: str) -> str:
    """What ids have of their account, so that those of two accounts differ, whatever these do at the same time."""
    return hashlib.sha256(account_id.encode()).hexdigest()[:8]


def moment(instant: datetime, version: int) -> str:
    """A change among those of its account: by time, then by the account's version."""
    return f"{local(instant):%Y%m%d%H%M%S}-{version:06d}"


def stamp(account_id: str, instant: datetime, version: int) -> str:
    """The part that the ids of one change share: its moment, then the account's mark."""
    return f"{moment(instant, version)}-{mark(account_id)}"


def order_id(source: Source, order_stamp: str) -> str:
    """The id of an order, or of a grant of gifts."""
    return f"{'grant' if source is Source.GIFT else 'order'}-{order_stamp}"


def package_id(source: Source, order_stamp: str, tag_number: int, number: int) -> str:
    """The id of a package: it tells in which order or grant, and in which wallet, the package is found."""
    return f"{'gift' if source is Source.GIFT else 'pkg'}-{order_stamp}-{tag_number:03d}-{number:02d}"


def resource_id(package: str) -> str:
    """What bills call the package of this id."""
    return f"faceid-{package}"


def resource_of(package: str, calls: int, delivered_at: datetime) -> Resource:
    """A bought package as what a charge is for."""
    starts_at = start_of(day_of(delivered_at))
    return Resource(resource_id(package), calls, starts_at, ends_at(Source.PURCHASE, delivered_at))


def package_name(tag_name: str, calls: int) -> str:
    """What lists and bills call a package, as the guide's list of packages does."""
    return f"{tag_name}-{calls}次资源包"


def order_of_package(package: str) -> tuple[Source, str, int] | None:
    """Source, order or grant id, and tag number that a package id tells; None for what is no package id."""
    found = _PACKAGE_ID.fullmatch(package)
    if found is None:
        return None
    kind, order_stamp, tag_number, _ = found.groups()
    source = Source.GIFT if kind == "gift" else Source.PURCHASE
    return source, order_id(source, order_stamp), int(tag_number)


def paid(packages: Sequence[PackageRecord], payment: Mapping[Fund, Decimal]) -> tuple[PackageRecord, ...]:
    """The packages of one order with their shares of its payment: in proportion, by package id (D16)."""
    ordered = sorted(packages, key=lambda package: package.package_id)
    shares = share_out(payment, [package.amount for package in ordered])
    return tuple(replace(package, payment=share) for package, share in zip(ordered, shares, strict=True))


def refund_refusal(package: PackageRecord, *, in_violation: bool, used: int, now: datetime) -> Refusal | None:
    """The first reason why a package cannot be given back now; None if it can (D24, D25).

    `used` are its calls that were deducted, and those that would be if all usage of this moment were settled.
    """
    reasons = {
        Refusal.ALREADY_REFUNDED: package.refund_id is not None,
        Refusal.NOT_PURCHASED: package.source is not Source.PURCHASE,
        Refusal.ACCOUNT_IN_VIOLATION: in_violation,
        Refusal.REFUSED_BY_OPERATOR: package.blocked is not None,
        Refusal.ACTIVITY_NOT_REFUNDABLE: not package.refundable,
        Refusal.REFUND_WINDOW_PASSED: now >= refundable_until(package.delivered_at),
        Refusal.PACKAGE_USED: used > 0,
    }
    return next((refusal for refusal in Refusal if reasons[refusal]), None)


def refundable_until(delivered_at: datetime) -> datetime:
    """The first instant at which a package cannot be given back any more: 00:00, eight days on (D24)."""
    return start_of(day_of(delivered_at) + ONE_DAY * (REFUND_DAYS + 1))
