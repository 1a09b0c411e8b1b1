"""The guide's prepaid examples, its refund example and its 14:30 purchase, through the HTTP interface."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from local.cloud import LocalCloud
from local.story import Teller, one_instant, open_account, report_all

DAY = "2025-10-01"
TAG = "enhanced_authority_wechat"


@pytest.fixture(scope="module")
def teller() -> Iterator[Teller]:
    """Speaks as operator, producer and customer, from the morning of 1 October on."""
    with LocalCloud(clock=f"{DAY}T08:30:00+08:00") as running, Teller(running) as speaking:
        yield speaking


def order(teller: Teller, account_id: str, sku: str, quantity: int = 1) -> Any:
    """Buy packages."""
    body = {"items": [{"sku": sku, "quantity": quantity}]}
    return teller.buyer(account_id, "POST", "/orders", body, f"{account_id}-{sku}")


def mini_program(account_id: str, number: int, when: str, prefix: str) -> list[dict[str, Any]]:
    """Charged calls of the enhanced mini program, authority library."""
    calls = one_instant(account_id, when, "enhanced.wechat_mini_program", prefix, number)
    return [{**call, "data": {**call["data"], "library": "authority"}} for call in calls]


def entitlement(teller: Teller, account_id: str, tag: str) -> tuple[int, int]:
    """Free and paid calls that are left."""
    answer = teller.customer(account_id, f"/entitlements/{tag}")
    return answer["free_remaining"], answer["paid_remaining"]


def test_first_example(teller: Teller) -> None:
    """Three packages of 100,000 calls cost 300,000 yuan."""
    open_account(teller, "guide-1", "Example", "300000.00")
    bought = order(teller, "guide-1", f"{TAG}:100000", 3)
    assert bought["amount"] == "300000.00"
    assert len({package["resource_id"] for package in bought["packages"]}) == 3
    assert teller.customer("guide-1", "")["balance"]["available"] == "0.00"
    assert entitlement(teller, "guide-1", TAG) == (0, 300_000)


def test_purchase_in_the_afternoon(teller: Teller) -> None:
    """A package that is bought at 14:30 serves the calls since 00:00, as soon as it is bought."""
    open_account(teller, "noon-1", "Afternoon", "2000.00", "2024-01-01T00:00:00+08:00")
    report_all(teller, mini_program("noon-1", 300, f"{DAY}T00:00:00+08:00", "morning"))
    teller.move_to(f"{DAY}T14:30:00+08:00")
    assert teller.customer("noon-1", "/usage")["items"][0]["postpaid"] == 300
    package = order(teller, "noon-1", f"{TAG}:1000")["packages"][0]
    row = teller.customer("noon-1", "/usage")["items"][0]
    assert (row["paid"], row["postpaid"]) == (300, 0)
    assert teller.customer("noon-1", "/packages")["items"][0]["used"] == 300
    assert teller.customer("noon-1", f"/packages/{package['package_id']}/usage")["items"] == [
        {"day": DAY, "calls": 300}
    ]
    assert entitlement(teller, "noon-1", TAG) == (0, 700)


def test_second_example(teller: Teller) -> None:
    """15,000 calls with one package of 10,000, the free calls used up: 11,000 + 5,000 x 1.2 = 17,000 yuan."""
    open_account(teller, "guide-2", "Example", "20000.00")
    teller.move_to(f"{DAY}T15:05:00+08:00")
    report_all(teller, mini_program("guide-2", 100, f"{DAY}T15:04:00+08:00", "free"))
    order(teller, "guide-2", f"{TAG}:10000")
    for batch in range(15):
        report_all(teller, mini_program("guide-2", 1000, f"{DAY}T15:05:00+08:00", f"batch-{batch}"))
    teller.move_to(f"{DAY}T15:05:00+08:00")  # the same time: only waits until the stream is worked off
    row = teller.customer("guide-2", "/usage", by="tag")["items"][0]
    assert (row["calls"], row["free"], row["paid"], row["postpaid"]) == (15_100, 100, 10_000, 5_000)
    teller.move_to("2025-10-02T08:00:00+08:00")
    assert teller.customer("guide-2", "")["balance"]["available"] == "3000.00"
    assert teller.customer("guide-2", "/usage", by="tag")["items"] == [row]
    details = teller.customer("guide-2", "/bills/details", month="2025-10", basis="charge")
    assert [
        (one["transaction_type"], one["raw_quantity"], one["deducted_quantity"], one["quantity"], one["total_cost"])
        for one in details["items"]
    ] == [
        ("prepay_purchase", 1, 0, 1, "11000.00000000"),
        ("postpay_daily", 15_100, 10_100, 5_000, "6000.00000000"),
    ]
    assert details["totals"]["total_cost"] == "17000.00000000"


def test_refund_example(teller: Teller) -> None:
    """Bought on 1 October, never used: given back until the end of 8 October, refused from 00:00 of the 9th on."""
    packages = teller.customer("guide-1", "/packages", source="purchase")["items"]
    first, second, third = (package["package_id"] for package in packages)
    teller.move_to("2025-10-08T23:59:59+08:00")
    quote = teller.customer("guide-1", f"/packages/{first}/refund-quote")
    assert (quote["refundable"], quote["amount"]) == (True, "100000.00")
    refund = teller.buyer("guide-1", "POST", f"/packages/{first}/refund", {}, "refund-1")
    assert (refund["status"], refund["amount"]) == ("processing", "100000.00")
    assert teller.customer("guide-1", "")["balance"]["available"] == "0.00"
    teller.move_to("2025-10-09T00:00:00+08:00")
    for package in (second, third):
        assert teller.refusal("guide-1", f"/packages/{package}/refund", {}, "refund-2") == "refund_window_passed"
    ran = teller.move_to("2025-10-09T00:02:59+08:00")
    assert "TimersFunctionSweep" in {step["name"] for step in ran}
    assert teller.customer("guide-1", f"/refunds/{refund['refund_id']}")["status"] == "completed"
    assert teller.customer("guide-1", "")["balance"]["available"] == "100000.00"
    orders = teller.customer("guide-1", "/orders")["items"]
    assert [(one["kind"], one["status"]) for one in orders] == [("purchase", "partly_refunded"), ("refund", "refunded")]
