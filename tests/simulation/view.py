"""What customers see of one account, as plain comparable values: the product's answers and the model give the same.

Money is text as the API shows it, times are RFC 3339 at +08:00. A package goes by its id; a free one (D13), whose id no
answer tells, by ``free:{tag}``: in the product it is the one whose `reason` is that of a first opening or merchant.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from itertools import groupby
from typing import Any, NamedTuple, Protocol


class Answer(NamedTuple):
    """The product's answer to a request: the HTTP status and the JSON document."""

    status: int
    body: Any
    again: bool = False
    """Whether faults struck on the way, so that it was asked more than once: a report may then call duplicates what the
    batch itself stored, and accepted what was stored before. Everything else is answered as the first time."""


class PackageView(NamedTuple):
    """One item of `GET A/packages`."""

    tag: str
    source: str
    total: int
    used: int
    remaining: int
    obtained_at: str
    expires_at: str
    status: str
    refund_blocked_by: str | None


class EntryView(NamedTuple):
    """One movement of the journal."""

    occurred_at: str
    kind: str
    fund: str
    amount: str
    balance_after: str


def journal_of(entries: Iterable[EntryView]) -> tuple[EntryView, ...]:
    """A journal in the form that is compared: refunds that one sweep has paid are added up, for their order is open."""
    found: list[EntryView] = []
    for instant, group in groupby(entries, key=lambda one: (one.occurred_at, one.kind)):
        if instant[1] != "refund":
            found += group
            continue
        funds: dict[str, EntryView] = {}
        for one in group:
            before = funds[one.fund].amount if one.fund in funds else "0.00"
            funds[one.fund] = one._replace(amount=str(Decimal(before) + Decimal(one.amount)))
        found += (funds[fund] for fund in sorted(funds))
    return tuple(found)


class DetailView(NamedTuple):
    """What the detail lines of one key add up to; cost with 8 decimals."""

    raw: int
    deducted: int
    quantity: int
    uncovered: int
    total_cost: str


class ResourceView(NamedTuple):
    """What the resource rows of one key add up to."""

    total_cost: str
    cash: str
    income_transfer: str
    gift: str
    voucher: str


class UsageView(NamedTuple):
    """Calls of one day and tag."""

    calls: int
    not_chargeable: int
    free: int
    paid: int
    postpaid: int
    uncovered: int


class EntitlementView(NamedTuple):
    """The answer of an entitlement check."""

    allowed: bool
    reason: str | None
    free_remaining: int
    paid_remaining: int
    postpaid_enabled: bool


class OrderView(NamedTuple):
    """A purchase or a refund as `GET A/orders` shows it; funds: voucher, gift, income_transfer, cash."""

    kind: str
    status: str
    amount: str
    payment: tuple[str, str, str, str]


class RefundView(NamedTuple):
    """One item of `GET A/refunds`; funds: cash, income_transfer, gift."""

    package: str
    status: str
    amount: str
    refunds: tuple[str, str, str]
    voucher_forfeited: str
    requested_at: str
    completed_at: str | None


RowKey = tuple[str, str, str]
"""Which rows of a bill belong together; all three are text:

- settlement: (usage day, or month "2025-01" of a monthly account: `usage_start` cut; tag; charged_at)
- purchase and refund: (transaction_type, package, charged_at)
- adjustment: ("adjustment", transaction id without its last part, i.e. `bill_id`; charged_at)
- precision row: ("precision_difference", month that it closes: `usage_start` cut, "") (details only)
"""


class View(Protocol):
    """Everything of one account."""

    @property
    def account(self) -> dict[str, Any]:
        """What `GET A` shows.

        Status, settlement_cycle, opened_at, postpaid_enabled, enterprise_verified, violation (bool), arrears (None or
        (since, stops_at, releases_at)) and available, cash, income_transfer, gift.
        """
        ...

    @property
    def packages(self) -> dict[str, PackageView]:
        """By name."""
        ...

    @property
    def vouchers(self) -> dict[str, tuple[str, str]]:
        """(remaining, status) by id."""
        ...

    @property
    def journal(self) -> tuple[EntryView, ...]:
        """As `journal_of` makes it."""
        ...

    @property
    def details(self) -> dict[RowKey, DetailView]:
        """By the key of the row."""
        ...

    @property
    def resources(self) -> dict[RowKey, ResourceView]:
        """By the key of the row."""
        ...

    @property
    def usage(self) -> dict[tuple[str, str], UsageView]:
        """By (day, tag): the 40 days up to today."""
        ...

    @property
    def sub_usage(self) -> dict[tuple[str, str, str], tuple[int, int]]:
        """(calls, not chargeable) by (day, tag, sub-account or ""): the 40 days up to today."""
        ...

    @property
    def entitlements(self) -> dict[str, EntitlementView]:
        """By tag."""
        ...

    @property
    def orders(self) -> dict[str, OrderView]:
        """By id."""
        ...

    @property
    def refunds(self) -> dict[str, RefundView]:
        """By id."""
        ...

    @property
    def notices(self) -> tuple[tuple[str, str, tuple[tuple[str, Any], ...]], ...]:
        """(kind, occurred_at, sorted (name, value) of data that is determined), sorted; only the kinds of `NOTICES`."""
        ...


FIELDS = (
    "account",
    "packages",
    "vouchers",
    "journal",
    "details",
    "resources",
    "usage",
    "sub_usage",
    "entitlements",
    "orders",
    "refunds",
    "notices",
)
"""The fields of a view."""

NOTICES = {
    "package_delivered": ("package", "tag", "total", "expires_at"),
    "arrears": ("stops_at", "releases_at"),
    "stopped": ("cause", "stops_at", "releases_at"),
    "resumed": ("cause",),
    "released": (),
    "refund_completed": ("refund_id", "amount", "voucher_forfeited"),
}
"""The kinds of notices that are compared, and what of their data ("package" stands for package_id, as named above)."""
