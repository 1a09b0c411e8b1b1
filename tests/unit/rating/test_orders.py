"""Orders and refunds: ids, how an order's payment is shared, and when a package may be given back (D16, D24, D25)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC
from decimal import Decimal
from itertools import combinations
from typing import Any

import pytest

from rating.allocation import Source
from rating.funds import Fund
from rating.orders import (
    Order,
    OrderStatus,
    PackageRecord,
    Refund,
    Refusal,
    order_of_package,
    package_id,
    paid,
    refund_refusal,
    refundable_until,
    stamp,
)
from tests.unit.rating.building import SECOND, TAG, at

DELIVERED = at("2020-10-01T15:00:00")
WINDOW_ENDS = at("2020-10-09T00:00:00")


def record(
    package: str = "pkg-20201001150000-000007-ba36a4ed-015-01", amount: str = "0", **changes: Any
) -> PackageRecord:
    """A bought package."""
    made = PackageRecord(package, TAG, Source.PURCHASE, 1000, DELIVERED, Decimal(amount), Decimal(amount))
    return replace(made, **changes)


def yuan(amounts: Mapping[Fund, str]) -> dict[Fund, Decimal]:
    """Amounts by fund."""
    return {fund: Decimal(amount) for fund, amount in amounts.items()}


# --- refusals -------------------------------------------------------------------------------------------------

# Each reason alone: what of the package, and what of the situation, brings it about.
REASONS: dict[Refusal, tuple[dict[str, Any], dict[str, Any]]] = {
    Refusal.ALREADY_REFUNDED: ({"refund_id": "refund-1"}, {}),
    Refusal.NOT_PURCHASED: ({"source": Source.GIFT}, {}),
    Refusal.ACCOUNT_IN_VIOLATION: ({}, {"in_violation": True}),
    Refusal.REFUSED_BY_OPERATOR: ({"blocked": "abuse"}, {}),
    Refusal.ACTIVITY_NOT_REFUNDABLE: ({"refundable": False}, {}),
    Refusal.REFUND_WINDOW_PASSED: ({}, {"now": WINDOW_ENDS}),
    Refusal.PACKAGE_USED: ({}, {"used": 1}),
}
IN_ORDER = (
    "already_refunded",
    "not_purchased",
    "account_in_violation",
    "refused_by_operator",
    "activity_not_refundable",
    "refund_window_passed",
    "package_used",
)


def refused_for(*reasons: Refusal) -> Refusal | None:
    """The answer where these reasons hold together."""
    package: dict[str, Any] = {}
    situation: dict[str, Any] = {"in_violation": False, "used": 0, "now": DELIVERED}
    for reason in reasons:
        package |= REASONS[reason][0]
        situation |= REASONS[reason][1]
    return refund_refusal(record(**package), **situation)


def test_a_new_package_can_be_given_back() -> None:
    """Bought, unused and within the window, there is no reason against it."""
    assert refused_for() is None


@pytest.mark.parametrize("reason", Refusal)
def test_each_reason_has_its_own_code(reason: Refusal) -> None:
    """Each of the seven reasons alone refuses, with its code (D25)."""
    assert refused_for(reason) is reason
    assert tuple(refusal.value for refusal in Refusal) == IN_ORDER


@pytest.mark.parametrize("size", [2, 3, 4, 5, 6, 7])
def test_the_first_reason_is_said(size: int) -> None:
    """Where several hold, whichever they are, the one that the rules name first is said (D25)."""
    for together in combinations(Refusal, size):
        assert refused_for(*together) is min(together, key=lambda reason: IN_ORDER.index(reason.value))


def test_the_window_ends_with_the_eighth_day() -> None:
    """Bought on 1 October: refundable through 8 October 23:59:59, not from 9 October 00:00 on (D24)."""
    for delivered in (at("2020-10-01T00:00:00"), DELIVERED, at("2020-10-01T23:59:59")):
        package = record(delivered_at=delivered)
        assert refundable_until(delivered) == WINDOW_ENDS
        found = [
            refund_refusal(package, in_violation=False, used=0, now=now) for now in (WINDOW_ENDS - SECOND, WINDOW_ENDS)
        ]
        assert found == [None, Refusal.REFUND_WINDOW_PASSED]


def test_the_window_is_one_of_shanghai_days() -> None:
    """The delivery day is Shanghai's, on whatever clock the instant is given (D1)."""
    assert refundable_until(at("2020-10-01T00:30:00").astimezone(UTC)) == WINDOW_ENDS


# --- payments -------------------------------------------------------------------------------------------------


def test_each_fund_is_shared_in_proportion() -> None:
    """100 and 200 with a voucher of 90: 30 and 60; the other funds follow in the same way (facts.md 3.5)."""
    payment = yuan({Fund.VOUCHER: "90", Fund.GIFT: "30", Fund.CASH: "180"})
    one, other = paid([record("pkg-1", "100"), record("pkg-2", "200")], payment)
    assert one.payment == yuan({Fund.VOUCHER: "30", Fund.GIFT: "10", Fund.CASH: "60"})
    assert other.payment == yuan({Fund.VOUCHER: "60", Fund.GIFT: "20", Fund.CASH: "120"})


def test_the_remainder_is_on_the_last_by_id() -> None:
    """Shares are floored to the fen, and the last package by id takes the rest, in whatever order they come (D16)."""
    packages = [record(f"pkg-{number}", "10.00") for number in (2, 3, 1)]
    shared = paid(packages, yuan({Fund.GIFT: "10.00", Fund.CASH: "20.00"}))
    assert [(one.package_id, one.payment[Fund.GIFT]) for one in shared] == [
        ("pkg-1", Decimal("3.33")),
        ("pkg-2", Decimal("3.33")),
        ("pkg-3", Decimal("3.34")),
    ]
    assert [sum(one.payment.values()) for one in shared] == [Decimal(10)] * 3


def test_an_order_says_what_its_packages_say() -> None:
    """Amount and payment of an order are the sums of its packages; funds that paid nothing are not named."""
    packages = paid([record("pkg-1", "100"), record("pkg-2", "200")], yuan({Fund.VOUCHER: "90", Fund.CASH: "210"}))
    order = Order("order-1", DELIVERED, packages)
    assert (order.amount, order.payment) == (Decimal(300), yuan({Fund.VOUCHER: "90", Fund.CASH: "210"}))


def test_an_order_is_refunded_package_by_package() -> None:
    """Delivered, partly refunded, refunded: as many of its packages as were given back."""
    order = Order("order-1", DELIVERED, (record("pkg-1"), record("pkg-2")))
    seen = [order.status]
    for package in order.packages:
        order = order.with_package(replace(package, refund_id=f"refund-of-{package.package_id}"))
        seen.append(order.status)
    assert seen == [OrderStatus.DELIVERED, OrderStatus.PARTLY_REFUNDED, OrderStatus.REFUNDED]
    assert [package.refund_id for package in order.packages] == ["refund-of-pkg-1", "refund-of-pkg-2"]
    assert (order.package("pkg-2"), order.package("pkg-3")) == (order.packages[1], None)


def test_a_voucher_is_not_paid_back() -> None:
    """A refund returns gift, income transfer and cash, each to itself; what a voucher paid is lost (D24)."""
    package = record(
        payment=yuan({Fund.VOUCHER: "1", Fund.GIFT: "2", Fund.INCOME_TRANSFER: "3", Fund.CASH: "4"}),
    )
    assert package.refunds() == yuan({Fund.GIFT: "2", Fund.INCOME_TRANSFER: "3", Fund.CASH: "4"})
    assert record(payment=yuan({Fund.VOUCHER: "1"})).refunds() == {}


def test_a_refund_takes_three_minutes() -> None:
    """It is completed three minutes after the request, with the sum of what goes back (D26)."""
    returned = yuan({Fund.GIFT: "2", Fund.CASH: "4"})
    requested = at("2020-10-02T10:00:00")
    refund = Refund("refund-1", "pkg-1", "order-1", TAG, 1000, returned, Decimal(1), Decimal(7), DELIVERED, requested)
    assert (refund.amount, refund.completes_at) == (Decimal(6), at("2020-10-02T10:03:00"))


# --- ids ------------------------------------------------------------------------------------------------------


def test_ids_tell_where_a_package_is_found() -> None:
    """From a package's id follow its source, its order or grant, and the number of its tag."""
    order_stamp = stamp("acct-1", DELIVERED.astimezone(UTC), 7)
    assert order_stamp == "20201001150000-000007-ba36a4ed"
    bought = package_id(Source.PURCHASE, order_stamp, 15, 1)
    assert bought == "pkg-20201001150000-000007-ba36a4ed-015-01"
    assert order_of_package(bought) == (Source.PURCHASE, "order-20201001150000-000007-ba36a4ed", 15)
    given = package_id(Source.GIFT, stamp("acct-1", DELIVERED, 12_345_678), 32, 20)
    assert order_of_package(given) == (Source.GIFT, "grant-20201001150000-12345678-ba36a4ed", 32)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "pkg",
        "order-20201001150000-000007-ba36a4ed",
        "pkg-20201001150000-000007-ba36a4ed-015",
        "pkg-20201001150000-000007-ba36a4ed-015-1",
        "pkg-20201001150000-000007-ba36a4ed-15-01",
        "pkg-20201001150000-7-ba36a4ed-015-01",
        "PKG-20201001150000-000007-ba36a4ed-015-01",
        "pkg-20201001150000-000007-ba36a4ed-015-01 ",
        "pkg-20201001150000-000007-ba36a4ed-015-01\n",
        "pkg-２０２０1001150000-000007-ba36a4ed-015-01",
        "free-20201001150000-000007-ba36a4ed-015-01",
        "pkg-20201001150000-000007-015-01",
        "pkg-20201001150000-000007-BA36A4ED-015-01",
    ],
)
def test_what_is_no_package_id(text: str) -> None:
    """Anything else is no package id, and leads nowhere."""
    assert order_of_package(text) is None


def test_a_package_goes_into_its_wallet_unused() -> None:
    """The wallet gets its calls and its times; the bill knows it as a resource of its own."""
    package = record()
    kept = package.in_wallet()
    assert (kept.package_id, kept.total, kept.used, kept.remaining) == (package.package_id, 1000, 0, 1000)
    assert (kept.delivered_at, kept.ends_at) == (DELIVERED, at("2021-10-01T23:59:59"))
    assert package.ends_at == kept.ends_at
    assert package.resource_id == f"faceid-{package.package_id}"
