"""The guide's postpaid examples (price page, "费用计算示例"), through the HTTP interface."""

from __future__ import annotations

import time
from typing import Any

import pytest

from local.story import Teller, open_account


def calls(account_id: str, number: int, interface: str, time_of_day: str, batch: int = 0) -> list[dict[str, Any]]:
    """A batch of charged calls of one instant."""
    return [
        {
            "specversion": "1.0",
            "id": f"{batch}-{one}",
            "source": "/faceid/gateway-1",
            "type": "faceid.call",
            "subject": account_id,
            "time": f"2025-03-01T{time_of_day}+08:00",
            "data": {"interface": interface, "result_code": "0"},
        }
        for one in range(number)
    ]


@pytest.mark.parametrize(
    "interface,thousands,tag,price,cost",
    [
        ("api.id_card_verification", 1, "identity_check", "0.30", "300.00"),
        ("api.phone_2e", 30, "phone_two_factor", "0.40", "12000.00"),
    ],
)
def test_postpaid_example(teller: Teller, interface: str, thousands: int, tag: str, price: str, cost: str) -> None:
    """Calls of a day cost their number times the price: reported over HTTP, read back as preview, usage and count."""
    account_id = f"guide-{thousands}"
    open_account(teller, account_id, "Example", "20000.00")
    for batch in range(thousands):
        answer = teller.report(calls(account_id, 1000, interface, "08:30:00", batch))
        assert (answer["accepted"], answer["rejected"]) == (1000, 0)
    preview = teller.customer(account_id, "/bills/preview")
    assert preview["total_cost"] == cost
    assert [(row["tag"], row["unit_price"], row["quantity"]) for row in preview["items"]] == [
        (tag, price, thousands * 1000)
    ]


def test_usage_is_visible_soon(teller: Teller) -> None:
    """An event is in the usage statistics within two seconds of its answer, without anybody waiting for the stream."""
    open_account(teller, "quick", "Quick", "1.00")
    teller.report(calls("quick", 3, "api.id_card_verification", "08:30:00"))
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        items = teller.customer("quick", "/usage", from_="2025-03-01", to="2025-03-01")["items"]
        if [row["calls"] for row in items] == [3]:
            return
        time.sleep(0.05)
    pytest.fail("the event was not visible after 30 s")


def test_postpaid_examples_settled(teller: Teller) -> None:
    """The next morning the examples are deducted to the fen, and bill, journal and balance say the same."""
    teller.move_to("2025-03-02T08:00:00+08:00")
    for account_id, cost, left in (("guide-1", "300.00", "19700.00"), ("guide-30", "12000.00", "8000.00")):
        for basis, month in (("charge", "2025-03"), ("usage", "2025-03")):
            resources = teller.customer(account_id, "/bills/resources", month=month, basis=basis)
            assert [row["total_cost"] for row in resources["items"]] == [cost]
            assert resources["totals"]["total_cost"] == cost
            details = teller.customer(account_id, "/bills/details", month=month, basis=basis)
            assert [row["total_cost"] for row in details["items"]] == [f"{cost}000000"]
        journal = teller.customer(account_id, "/journal")["items"]
        assert [(entry["kind"], entry["amount"]) for entry in journal] == [
            ("top_up", "20000.00"),
            ("settlement", f"-{cost}"),
        ]
        assert teller.customer(account_id, "")["balance"]["available"] == left
