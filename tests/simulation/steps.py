"""What happens in a simulated year, as plain data: the driver does it to the product, the model works it out.

Whatever is made by one step and used by another goes by a name that the plan gives it, for ids are the product's.
Accounts do not touch each other: the steps of one account, with those of no account (prices, activities, runs, sweeps),
are a simulation of their own. That is how a difference shrinks.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal


@dataclass(frozen=True)
class Step:
    """Something that happens at an instant (Shanghai's clock, whole seconds)."""

    at: datetime


@dataclass(frozen=True)
class OfAccount(Step):
    """Something that happens to one account."""

    account: str


# --- accounts ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Open(OfAccount):
    """An account is created, applies and is approved at once; ``opened_at``: a customer who moved here (D2, D13)."""

    enterprise_verified: bool
    opened_at: datetime | None = None


@dataclass(frozen=True)
class Postpaid(OfAccount):
    """Postpaid is switched (D5, D14)."""

    enabled: bool


@dataclass(frozen=True)
class Merchant(OfAccount):
    """A merchant id for E证通 is asked for (D13)."""

    merchant_id: str


@dataclass(frozen=True)
class Violation(OfAccount):
    """A violation begins or ends (D22)."""

    active: bool


# --- money ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TopUp(OfAccount):
    """Money comes in; ``fund`` is cash, gift or income_transfer."""

    name: str
    fund: str
    amount: Decimal


@dataclass(frozen=True)
class Adjustment(OfAccount):
    """A compensation, or a charge where the amount is negative."""

    name: str
    amount: Decimal


@dataclass(frozen=True)
class Voucher(OfAccount):
    """A voucher is issued; ``scene`` is prepaid or postpaid."""

    name: str
    amount: Decimal
    scene: str
    threshold: Decimal
    expires_at: datetime
    single_use: bool


# --- prices -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Discount(OfAccount):
    """A rate for one tag, ``until`` excluded (D18)."""

    tag: str
    rate: Decimal
    first: date
    until: date


@dataclass(frozen=True)
class ContractPrice(OfAccount):
    """A price for one tag, ``until`` excluded (D18)."""

    tag: str
    unit_price: Decimal
    first: date
    until: date


@dataclass(frozen=True)
class Price(Step):
    """A list price from a day on: flat, or by tiers, and packages or none of them named (D20)."""

    tag: str
    price_list: str
    first: date
    unit_price: Decimal | None = None
    tiers: tuple[tuple[int, Decimal], ...] = ()
    packages: tuple[tuple[int, Decimal], ...] = ()


@dataclass(frozen=True)
class Activity(Step):
    """Packages of some tags are cheaper for some days, ``until`` as `PUT /v1/activities` has it."""

    name: str
    first: date
    until: date
    package_rate: Decimal
    tags: tuple[str, ...]
    refundable: bool


# --- packages ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Order(OfAccount):
    """Packages are bought: (sku, quantity), with the names of a voucher and of an activity where there is one."""

    name: str
    items: tuple[tuple[str, int], ...]
    voucher: str | None = None
    activity: str | None = None


@dataclass(frozen=True)
class Grant(OfAccount):
    """A gift of calls."""

    name: str
    tag: str
    calls: int


@dataclass(frozen=True)
class PackageOf:
    """A package by the name of its order or grant, and its place among the packages that the answer lists."""

    name: str
    index: int = 0


@dataclass(frozen=True)
class Refund(OfAccount):
    """A refund is asked for (D24, D25)."""

    name: str
    package: PackageOf


@dataclass(frozen=True)
class RefundBlock(OfAccount):
    """The operator forbids a refund, or allows it again."""

    package: PackageOf
    blocked: bool


# --- usage ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Call:
    """One usage event; ``fields``: the rest of its data, such as library, sub_account, mode, intention_verify."""

    account: str
    source: str
    event_id: str
    time: datetime
    interface: str
    result_code: str
    fields: tuple[tuple[str, str | bool], ...] = ()


@dataclass(frozen=True)
class Report(Step):
    """A batch of events of any accounts is sent, over HTTP or the queue. Repeats and conflicts are told by identity."""

    calls: tuple[Call, ...]
    by_queue: bool = False


# --- what the product does by itself ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sweep(Step):
    """Timers are swept. The money and the states of accounts must not depend on when (D21)."""


@dataclass(frozen=True)
class Run(Step):
    """The run of the day (D3): everything is settled that is due at this instant."""


@dataclass(frozen=True)
class Look(Step):
    """What customers see is compared with the model: closely of some or all accounts, at a glance of all others."""

    accounts: tuple[str, ...] = ()
    everybody: bool = False
