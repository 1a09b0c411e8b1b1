"""The model of the simulation, by itself: money, months, arrears, orders and refunds."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from tests.simulation.life import CARD, RISK, Life, at
from tests.simulation.model.money import choose, to_fen
from tests.simulation.model.state import Voucher as Issued
from tests.simulation.steps import (
    Activity,
    ContractPrice,
    Discount,
    PackageOf,
    Price,
    Refund,
    RefundBlock,
    Sweep,
    Voucher,
)

# --- money -------------------------------------------------------------------------------------------------------


def test_rounding() -> None:
    """A tag's day is rounded half-up, away from zero; the 1st closes the month with the difference (D15)."""
    assert [str(to_fen(Decimal(text))) for text in ("0.005", "-0.005", "0.0049", "-19.605")] == [
        "0.01",
        "-0.01",
        "0.00",
        "-19.61",
    ]
    life = Life()
    for day, calls in ((1, 7), (2, 10), (3, 1), (31, 3)):
        life.use(f"2025-01-{day:02d}", calls, RISK)
        life.run(f"2025-01-{day + 1:02d}" if day < 31 else "2025-02-01")
    details = life.view("2025-02-01 08:00:00").details
    assert details["precision_difference", "2025-01", ""].total_cost == "-0.00300000"
    assert ("precision_difference", "2025-02", "") not in details
    assert life.cash() == "-0.07"


def test_the_order_of_payment() -> None:
    """Voucher, gift, income transfer, cash; each package its share, floored, the last the rest (D16)."""
    life = Life()
    for fund, amount in (("gift", "200"), ("income_transfer", "100"), ("cash", "500")):
        life.top_up("2025-01-01", amount, fund)
    voucher = Voucher(
        at("2025-01-01"), "a", "v", Decimal(100), "prepaid", Decimal(900), at("2025-02-01"), single_use=True
    )
    life.do(voucher, 201, voucher_id="v-1")
    ids = life.buy("2025-01-01", ("identity_check:1000", 3), voucher="v")
    seen = life.view("2025-01-01")
    assert seen.vouchers == {"v-1": ("0.00", "used")}
    rows = [seen.resources["prepay_purchase", one, "2025-01-01T00:00:00+08:00"] for one in ids]
    assert [tuple(row) for row in rows] == [
        ("300.00", "166.68", "33.33", "66.66", "33.33"),
        ("300.00", "166.68", "33.33", "66.66", "33.33"),
        ("300.00", "166.64", "33.34", "66.68", "33.34"),
    ]
    assert seen.account["available"] == "0.00"


def test_the_voucher_of_a_settlement() -> None:
    """The first to expire of those that pay all, else the first to expire that fits (facts.md 3.5)."""

    def voucher(name: str, amount: int, day: int, threshold: int = 0, scene: str = "postpaid") -> Issued:
        return Issued(name, scene, Decimal(amount), Decimal(threshold), at(f"2025-02-{day:02d}"), single_use=False)

    now, small, enough, late = at("2025-01-01"), voucher("1", 2, 1), voucher("2", 5, 3), voucher("3", 9, 4)
    assert choose([small, late, enough], Decimal(3), now) is enough
    assert choose([small, late, enough], Decimal(100), now) is small
    assert choose([voucher("4", 9, 1, threshold=101), late], Decimal(100), now) is late
    assert choose([voucher("5", 9, 1, scene="prepaid"), small], Decimal(100), at("2025-02-01")) is None
    assert choose([voucher("6", 1, 5), voucher("7", 2, 5)], Decimal(100), now) == voucher("7", 2, 5)


def test_terms() -> None:
    """A rate, or a price that replaces list price and rate, by the usage's own day (D18)."""
    life = Life()
    half = Discount(at("2025-01-01"), "a", "identity_check", Decimal("0.5"), date(2025, 1, 2), date(2025, 1, 4))
    own = ContractPrice(at("2025-01-01"), "a", "identity_check", Decimal("0.07"), date(2025, 1, 3), date(2025, 1, 4))
    assert life.do(half) == life.do(own) == []
    for day in range(1, 5):
        life.use(f"2025-01-{day:02d}", 10)
    life.run("2025-01-05")
    assert [entry.amount for entry in life.view("2025-01-05 08:00:00").journal] == ["-3.00", "-1.50", "-0.70", "-3.00"]
    more = Discount(at("2025-01-05"), "a", "identity_check", Decimal("0.6"), date(2025, 1, 5), date(2025, 1, 9))
    over = Discount(at("2025-01-05"), "a", "identity_check", Decimal("0.6"), date(2025, 1, 8), date(2025, 1, 10))
    past = Discount(at("2025-01-05"), "a", "identity_check", Decimal("0.6"), date(2025, 1, 4), date(2025, 1, 5))
    assert life.do(more) == life.do(over, 409, code="overlaps") == life.do(past, 409, code="already_settled") == []


def test_dated_prices() -> None:
    """Usage has the price of its day; what a monthly list does not have itself is the daily list's (D19, D20)."""
    life = Life()
    life.do(Price(at("2025-01-01"), "identity_check", "daily", date(2025, 1, 2), Decimal("0.5")))
    life.use("2025-01-01", 10)
    life.use("2025-01-02", 10)
    life.run("2025-01-03")
    assert life.cash() == "-8.00"
    prices, day = life.model.prices, date(2025, 1, 2)
    assert prices.listed("identity_check", day, 1, monthly=True) == Decimal("0.3")
    life.do(Price(at("2025-01-01"), "face_risk", "daily", day, Decimal("0.5")))
    assert prices.listed("face_risk", day, 1, monthly=True) == Decimal("0.5")
    past = Price(at("2025-01-03"), "face_risk", "daily", day, Decimal("0.6"))
    assert life.do(past, 422) == []


# --- months ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("calls, cost", [(999, "399.60"), (1000, "380.00"), (9999, "3799.62"), (10_000, "3600.00")])
def test_the_step_that_a_month_reaches(calls: int, cost: str) -> None:
    """What packages leave picks the step for all of it, on the 1st (D19)."""
    life = Life("2025-01-01", "2022-01-01")
    life.top_up("2025-01-01", "580")
    life.buy("2025-01-01", ("bank_card_check:1000", 1))
    life.use("2025-01-10", 1000 + calls, CARD)
    life.run("2025-01-11", "2025-01-31")
    assert life.cash() == "0.00"
    life.run("2025-02-01")
    assert life.cash() == f"-{cost}"


def test_late_usage_of_a_closed_month() -> None:
    """It waits for the next 1st and prices the month again; what is cheaper goes back to cash (D4, D19)."""
    life = Life("2025-01-01", "2022-01-01")
    life.top_up("2025-01-01", "399.60", "gift")
    life.use("2025-01-31", 999, CARD)
    life.run("2025-02-01")
    life.use("2025-01-31", 1, CARD, told="2025-02-01 09:00:00")
    life.run("2025-02-02", "2025-02-28")
    assert life.view("2025-02-28").account["available"] == "0.00"
    life.run("2025-03-01")
    seen = life.view("2025-03-01 08:00:00")
    assert (seen.account["cash"], seen.account["gift"]) == ("19.60", "0.00")
    row = seen.details["2025-01", "bank_card_check", "2025-03-01T08:00:00+08:00"]
    assert tuple(row) == (1, 0, 1, 0, "-19.60000000")


def test_a_bill_that_pays_back_and_charges() -> None:
    """What becomes cheaper goes to cash; what is charged beside it takes the usual order all the same (D4, D16)."""
    life = Life("2025-01-01", "2022-01-01")
    life.use("2025-01-31", 999, CARD)
    life.run("2025-02-01")
    life.top_up("2025-02-01 09:00:00", "500", "gift")
    for interface in (CARD, RISK):
        life.use("2025-01-31", 1 if interface == CARD else 100, interface, told="2025-02-01 10:00:00")
    life.run("2025-03-01")
    entries = life.view("2025-03-01 08:00:00").journal[2:]
    assert [(entry.fund, entry.amount) for entry in entries] == [("cash", "19.60"), ("gift", "-0.35")]


def test_a_price_change_within_a_month() -> None:
    """Each day has the price of its own day, at the step of the month (D19)."""
    life = Life("2025-01-01", "2022-01-01")
    tiers = ((0, Decimal("0.50")), (1000, Decimal("0.45")))
    life.do(Price(at("2025-01-01"), "bank_card_check", "monthly", date(2025, 1, 11), tiers=tiers))
    life.use("2025-01-10", 500, CARD)
    life.use("2025-01-11", 1500, CARD)
    life.run("2025-02-01")
    assert life.cash() == "-865.00"


# --- arrears -----------------------------------------------------------------------------------------------------


def test_arrears_stop_and_release() -> None:
    """24 hours after the charge, and 30 days after that, whatever the sweeps; packages end then (D21 to D23)."""
    life = Life("2025-01-01", "2024-01-01")
    gift = life.give("2025-01-01", 50)
    life.adjust("2025-01-01 10:00:00", "-1.00")
    life.top_up("2025-01-01 12:00:00", "0.99")

    def standing(when: str) -> tuple[str, str, str | None]:
        seen = life.view(when)
        return seen.account["status"], seen.packages[gift].status, seen.entitlements["identity_check"].reason

    assert standing("2025-01-02 09:59:59") == ("active", "active", None)
    assert standing("2025-01-02 10:00:00") == ("stopped", "active", "stopped")
    assert standing("2025-02-01 09:59:59") == ("stopped", "active", "stopped")
    assert standing("2025-02-01 10:00:00") == ("released", "released", "released")
    life.top_up("2025-02-02", "0.01")
    assert standing("2025-02-02") == ("active", "released", None)
    life.use("2025-01-02 09:59:59", 1, told="2025-02-02 01:00:00")
    life.use("2025-01-02 10:00:00", 2, told="2025-02-02 01:00:00")
    life.use("2025-02-02 00:30:00", 4, told="2025-02-02 01:00:00")
    assert life.split("2025-01-02", when="2025-02-02 02:00:00") == (1, 0, 2, 0)
    assert life.split("2025-02-02") == (0, 0, 4, 0)
    told = [(kind, moment[:13]) for kind, moment, _ in life.view("2025-02-02").notices]
    assert told == [
        ("arrears", "2025-01-01T10"),
        ("released", "2025-02-01T10"),
        ("resumed", "2025-02-02T00"),
        ("stopped", "2025-01-02T10"),
    ]


def test_a_violation() -> None:
    """It stops at once, refuses orders, and resumes when nothing else stops (D22)."""
    life = Life()
    life.top_up("2025-01-01", "300")
    life.violate("2025-01-01 10:00:00", active=True)
    assert life.view("2025-01-01 10:00:00").account["status"] == "stopped"
    refused = life.do(life.order("2025-01-01 11:00:00", ("identity_check:1000", 1)), 409, code="account_in_violation")
    assert refused == []
    life.adjust("2025-01-01 12:00:00", "-301")
    life.violate("2025-01-02 12:00:00", active=False)
    assert life.view("2025-01-02 12:00:00").entitlements["nfc_document"].reason == "stopped"
    assert [kind for kind, _, _ in life.view("2025-01-02 12:00:00").notices] == ["arrears", "stopped"]
    life.model.apply(Sweep(at("2025-01-02 12:01:00")), [])
    assert [kind for kind, _, _ in life.view("2025-01-02 12:01:00").notices] == ["arrears", "stopped", "stopped"]


# --- orders and refunds ------------------------------------------------------------------------------------------


def test_refusals_of_orders() -> None:
    """403, then 422, then 409, then 402 (contract; D13, D17)."""
    life = Life()
    life.adjust("2025-01-01", "-1")
    items = (("identity_check:1000", 1),)
    unknown = (("identity_check:7", 1),)

    def refused(status: int, code: str, *bought: tuple[str, int], **more: Any) -> bool:
        return life.do(life.order("2025-01-01", *bought, **more), status, code=code) == []

    assert refused(403, "enterprise_verification_required", ("eid_authority:1000", 1))
    assert refused(422, "unknown_sku", *unknown)
    assert refused(422, "activity_not_applicable", *items, activity="none")
    assert refused(422, "voucher_not_applicable", *items, voucher="none")
    assert refused(409, "account_in_arrears", *items)
    assert not refused(402, "insufficient_balance", *items)
    life.top_up("2025-01-01", "300.99")
    assert refused(402, "insufficient_balance", *items)


def test_a_key_is_for_one_request() -> None:
    """Sent again an order has its first answer and no other effect; with another body the key is refused."""
    life = Life()
    life.top_up("2025-01-01", "600")
    items = (("identity_check:1000", 1),)
    life.buy("2025-01-01", *items)
    again = life.order("2025-01-02", *items)
    assert life.model.apply(again, [life.model.first[type(again), "a", "o"][1]]) == []
    assert life.cash("2025-01-02") == "300.00"
    assert life.do(again, 402, code="insufficient_balance") != []
    other = life.order("2025-01-02", ("identity_check:1000", 2))
    assert life.do(other, 422, code="idempotency_key_reused") == []


def test_an_activity() -> None:
    """List price times rate, rounded to the fen a piece, on its days and tags; its rule holds for refunds (D25)."""
    life = Life()
    life.top_up("2025-01-01", "1000")
    tags = ("basic_uploaded",)
    spring = Activity(
        at("2025-01-01"), "spring", date(2025, 1, 2), date(2025, 1, 3), Decimal("0.3333"), tags, refundable=False
    )
    life.do(spring)
    items = (("basic_uploaded:1000", 2),)
    (first, _) = life.buy("2025-01-02", *items, activity="spring")
    assert life.cash("2025-01-02") == "903.34"
    assert life.view("2025-01-02").packages[first].refund_blocked_by == "activity_not_refundable"
    late = life.order("2025-01-03", *items, name="late", activity="spring")
    other = life.order("2025-01-02", ("identity_check:1000", 1), name="other", activity="spring")
    for order in (late, other):
        assert life.do(order, 422, code="activity_not_applicable") == []


def test_a_refund() -> None:
    """It takes the package at once and pays each fund back after three minutes; the voucher is lost (D24, D26)."""
    life = Life()
    life.top_up("2025-01-01", "250", "gift")
    life.top_up("2025-01-01", "40")
    voucher = Voucher(
        at("2025-01-01"), "a", "v", Decimal(10), "prepaid", Decimal(0), at("2025-02-01"), single_use=False
    )
    life.do(voucher, 201, voucher_id="v-1")
    (package_id,) = life.buy("2025-01-01", ("identity_check:1000", 1), voucher="v")
    life.do(Refund(at("2025-01-01 10:00:00"), "a", "r", PackageOf("o")), 202, refund_id="refund-1")
    for when, gift in (("2025-01-01 10:02:59", "0.00"), ("2025-01-01 10:03:00", "250.00")):
        life.model.apply(Sweep(at(when)), [])
        assert life.view(when).account["gift"] == gift
    seen = life.view("2025-01-01 11:00:00")
    assert (
        seen.packages[package_id].status,
        seen.orders["order-2" if "order-2" in seen.orders else "order-1"].status,
    ) == (
        "refunded",
        "refunded",
    )
    assert seen.refunds["refund-1"].refunds == ("40.00", "0.00", "250.00")
    assert seen.refunds["refund-1"].voucher_forfeited == "10.00"
    assert seen.account["available"] == "290.00"


def test_reasons_against_a_refund() -> None:
    """The first that holds, in the order of D25; open usage is use (D24)."""
    life = Life()
    life.top_up("2025-01-01", "600")
    life.buy("2025-01-01", ("identity_check:1000", 2))

    def refused(when: str, code: str, index: int = 0) -> bool:
        return life.do(Refund(at(when), "a", f"{when}{code}", PackageOf("o", index)), 409, code=code) == []

    life.use("2025-01-01 10:00:00")
    assert refused("2025-01-01 11:00:00", "package_used")
    assert refused("2025-01-09", "refund_window_passed")
    life.do(RefundBlock(at("2025-01-09"), "a", PackageOf("o"), blocked=True))
    assert refused("2025-01-09", "refused_by_operator")
    life.violate("2025-01-09", active=True)
    assert refused("2025-01-09", "account_in_violation")
    life.violate("2025-01-09", active=False)
    life.do(RefundBlock(at("2025-01-09"), "a", PackageOf("o"), blocked=False))
    life.do(Refund(at("2025-01-08 23:59:59"), "a", "r", PackageOf("o", 1)), 202, refund_id="refund-1")
    assert refused("2025-01-08 23:59:59", "already_refunded", 1)
