"""What the model remembers of an account."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cached_property
from typing import Any, NamedTuple

from tests.simulation.model.catalog import Data
from tests.simulation.model.prices import Terms
from tests.simulation.model.times import SECOND, day_of, midnight

ZERO = Decimal(0)
FUNDS = ("gift", "income_transfer", "cash")
"""The account's own money, in the order of payment (D16)."""
GRACE = timedelta(hours=24)

Payment = dict[str, Decimal]
"""What each fund pays, voucher too; negative where it gets something."""


class Entry(NamedTuple):
    """One movement of money."""

    at: datetime
    kind: str
    fund: str
    amount: Decimal
    after: Decimal


class Row(NamedTuple):
    """What one resource costs in one run, or one purchase, refund, adjustment or precision row."""

    key: tuple[str, str, str]
    raw: int
    deducted: int
    quantity: int
    uncovered: int
    cost: Decimal
    amount: Decimal
    payment: Payment


class Notice(NamedTuple):
    """Something told."""

    kind: str
    at: datetime
    data: tuple[tuple[str, Any], ...]


@dataclass
class Usage:
    """One stored event that is not settled yet."""

    time: datetime
    tag: str
    charged: bool
    sub_account: str
    due: datetime

    @cached_property
    def day(self) -> date:
        """The day that it belongs to (D1)."""
        return day_of(self.time)


@dataclass
class Package:
    """Calls of one tag."""

    package_id: str
    tag: str
    source: str
    total: int
    delivered: datetime
    ends: datetime
    used: int = 0
    paid: Payment = field(default_factory=dict)
    order_id: str | None = None
    refundable: bool = True
    blocked: bool = False
    refunded: bool = False
    released: datetime | None = None

    def serves(self, moment: datetime) -> bool:
        """Whether usage of an instant may take from it, stops aside (D10, D11, D23)."""
        if self.refunded or (self.released is not None and moment >= self.released):
            return False
        return self.starts <= moment < self.ends + SECOND

    @cached_property
    def starts(self) -> datetime:
        """From when on usage may take from it: the first instant of the day of its delivery (D10)."""
        return midnight(day_of(self.delivered))

    @property
    def order(self) -> tuple[bool, datetime, datetime, str]:
        """The order of use (D9)."""
        return self.source != "gift", self.ends, self.delivered, self.package_id


@dataclass
class Voucher:
    """What is left of a voucher."""

    voucher_id: str
    scene: str
    remaining: Decimal
    threshold: Decimal
    expires: datetime
    single_use: bool

    def usable(self, scene: str, amount: Decimal, now: datetime) -> bool:
        """Whether it may pay some of an amount."""
        fits = self.scene == scene and amount >= self.threshold
        return fits and self.remaining > 0 and now < self.expires


@dataclass
class Order:
    """A purchase."""

    order_id: str
    amount: Decimal
    payment: Payment
    packages: list[Package]


@dataclass
class Refund:
    """A refund, which pays at the first sweep that is three minutes later or more."""

    refund_id: str
    package: Package
    requested: datetime
    completed: datetime | None = None

    @property
    def pays(self) -> Payment:
        """What each fund gets back."""
        return {fund: self.package.paid.get(fund, ZERO) for fund in FUNDS}


@dataclass
class Account:
    """One account with everything that is its own."""

    account_id: str
    opened: datetime
    monthly: bool
    verified: bool
    gets_free: bool
    postpaid: list[tuple[datetime, bool]] = field(default_factory=list)
    violations: list[tuple[datetime, datetime | None]] = field(default_factory=list)
    stops: list[tuple[datetime, datetime]] = field(default_factory=list)
    arrears: datetime | None = None
    stop_told: bool = False
    release_told: bool = False
    funds: dict[str, Decimal] = field(default_factory=lambda: dict.fromkeys(FUNDS, ZERO))
    vouchers: dict[str, Voucher] = field(default_factory=dict)
    voucher_names: dict[str, str] = field(default_factory=dict)
    packages: list[Package] = field(default_factory=list)
    package_names: dict[str, list[Package]] = field(default_factory=dict)
    merchants: set[str] = field(default_factory=set)
    usage: list[Usage] = field(default_factory=list)
    """What no run has taken yet."""
    tags: set[str] = field(default_factory=set)
    """Tags with usage."""
    counts: dict[tuple[date, str, str], Counter[str]] = field(default_factory=dict)
    """What runs have taken, by day, tag and sub-account: how the calls were covered."""
    identities: dict[tuple[str, str, datetime], Data] = field(default_factory=dict)
    terms: Terms = field(default_factory=Terms)
    journal: list[Entry] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    orders: dict[str, Order] = field(default_factory=dict)
    refunds: dict[str, Refund] = field(default_factory=dict)
    notices: list[Notice] = field(default_factory=list)
    settled_through: date = date.min
    month_calls: dict[tuple[str, str], dict[date, int]] = field(default_factory=dict)
    """Monthly accounts: by month and tag, the calls of each day that were charged."""
    month_cost: dict[tuple[str, str], Decimal] = field(default_factory=dict)
    charged_months: set[str] = field(default_factory=set)
    """Months with a settlement whose precision row is not there yet."""

    def count(self, event: Usage, how: str) -> None:
        """A run has taken a call."""
        self.counts.setdefault((event.day, event.tag, event.sub_account), Counter())[how] += 1

    @property
    def available(self) -> Decimal:
        """The balance."""
        return sum(self.funds.values(), ZERO)

    def postpaid_at(self, moment: datetime) -> bool:
        """The switch at an instant; it is on at first (D5)."""
        state = True
        for since, enabled in self.postpaid:
            if since <= moment:
                state = enabled
        return state

    def violated_at(self, moment: datetime) -> bool:
        """Whether a violation stop holds."""
        return any(start <= moment and (end is None or moment < end) for start, end in self.violations)

    def owing_stop_at(self, moment: datetime) -> bool:
        """Whether a stop for arrears holds, as far as is known now (D21)."""
        if self.arrears is not None and moment >= self.arrears + GRACE:
            return True
        return any(start <= moment < end for start, end in self.stops)

    def stopped_at(self, moment: datetime) -> bool:
        """Whether anything stops service at an instant (D22)."""
        return self.violated_at(moment) or self.owing_stop_at(moment)

    def package(self, name: str, index: int) -> Package | None:
        """A package by the name of its order or grant."""
        known = self.package_names.get(name, [])
        return known[index] if index < len(known) else None
