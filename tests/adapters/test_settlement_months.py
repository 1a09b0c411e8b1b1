"""The 1st of a month: monthly accounts with their tiers, and the row that closes a month (D2, D4, D15, D19)."""

from __future__ import annotations

import random
from datetime import timedelta
from decimal import Decimal
from typing import Any
from unittest import mock

import pytest

from aws_platform import live
from tests.adapters.steps import A, at, balance, charges, details, post_usage, resources, rows, tables, total
from tests.support.product import Product, Reply, event, events

CARD = {"interface": "api.bank_card_2e"}
RISK = {"interface": "face_risk"}


@pytest.fixture
def monthly(product: Product) -> Product:
    """An account of the monthly cycle with 10,000 yuan."""
    product.open_account("acct-1", cash="10000.00", opened_at="2022-06-01T00:00:00+08:00")
    return product


def use(product: Product, number: int, day: str, prefix: str, **fields: Any) -> None:
    """A number of calls at noon of a day, reported then."""
    product.now = max(product.now, at(f"{day}T12:00:00+08:00"))
    for start in range(0, number, 1000):
        batch = events("acct-1", min(1000, number - start), f"{day}T12:00:00+08:00", f"{prefix}-{start}", **fields)
        reply: Reply = product.report(batch)
        assert reply.body["rejected"] == 0


def leap(product: Product, to: str) -> None:
    """Let days pass on which nothing is due but the runs of the 1st: `move` would plan every one of them."""
    target = at(to)
    run = product.now.replace(day=1, hour=8, minute=0, second=0, microsecond=0)
    while run <= target:
        if run > product.now:
            product.now = run
            product.run()
        run = (run + timedelta(days=31)).replace(day=1)
    product.now = target


def quantities(product: Product, month: str) -> list[tuple[int, str, str]]:
    """(calls, unit price, cost) of each fee of a usage month."""
    kind = "postpay_monthly"
    found = details(product, month, transaction_type=kind)
    return [(row["quantity"], row["unit_price"], row["total_cost"]) for row in found]


def test_a_month_is_charged_on_the_first(monthly: Product) -> None:
    """Nothing is charged before 08:00 of the 1st; then the whole month is, on one line, in one charge."""
    for day in ("2025-03-02", "2025-03-15", "2025-03-31"):
        use(monthly, 10, day, day)
        monthly.now = at(f"{day}T13:00:00+08:00")
        monthly.run()
    monthly.now = at("2025-04-01T07:59:59+08:00")
    monthly.run()
    assert charges(monthly) == []
    leap(monthly, "2025-04-01T08:00:00+08:00")
    assert charges(monthly) == [("2025-04-01T08:00:00+08:00", "-9.00")]
    (row,) = details(monthly)
    expected = {
        "tag": "identity_check",
        "transaction_type": "postpay_monthly",
        "charged_at": "2025-04-01T08:00:00+08:00",
        "usage_start": "2025-03-01T00:00:00+08:00",
        "usage_end": "2025-03-31T23:59:59+08:00",
        "raw_quantity": 30,
        "quantity": 30,
        "total_cost": "9.00000000",
    }
    assert {name: row[name] for name in expected} == expected
    (charge,) = resources(monthly)
    assert charge["usage_end"] == "2025-03-31T23:59:59+08:00"
    leap(monthly, "2025-04-30T09:00:00+08:00")
    assert len(charges(monthly)) == 1


@pytest.mark.parametrize(
    "number, price, cost",
    [
        (1, "0.40", "0.40000000"),
        (999, "0.40", "399.60000000"),
        (1000, "0.38", "380.00000000"),
        (10_000, "0.36", "3600.00000000"),
    ],
)
def test_the_step_that_is_reached_prices_the_whole_month(monthly: Product, number: int, price: str, cost: str) -> None:
    """The month's calls pick one step, its first number included, and all calls have its price (D19)."""
    half = number // 2
    use(monthly, half, "2025-03-05", "a", **CARD)
    use(monthly, number - half, "2025-03-25", "b", **CARD)
    preview = monthly.get(f"{A}/bills/preview").body
    leap(monthly, "2025-04-01T08:00:00+08:00")
    assert quantities(monthly, "2025-03") == [(number, price, cost)]
    assert [(row["quantity"], row["unit_price"]) for row in preview["items"]] == [(number, price)]
    assert preview["total_cost"] == cost[:-6]


def test_each_tag_reaches_its_own_step(monthly: Product) -> None:
    """Steps are counted by tag, interfaces of one tag together; what is not tiered has the guide's flat price."""
    use(monthly, 600, "2025-03-05", "2e", **CARD)
    use(monthly, 400, "2025-03-06", "4e", interface="api.bank_card_4e")
    use(monthly, 999, "2025-03-07", "tenure", interface="api.phone_tenure")
    use(monthly, 1000, "2025-03-08", "risk", **RISK)
    use(monthly, 1000, "2025-03-08", "free", code="-1", interface="api.phone_tenure")
    leap(monthly, "2025-04-01T08:00:00+08:00")
    shown = {row["tag"]: (row["quantity"], row["unit_price"]) for row in details(monthly)}
    assert shown == {
        "bank_card_check": (1000, "0.38"),
        "phone_tenure_status": (999, "0.40"),
        "face_risk": (1000, "0.0035"),
    }


def test_late_usage_within_the_month_is_part_of_it(monthly: Product) -> None:
    """Usage of an open month may come any day of it, and the 1st charges it with the rest (D4)."""
    use(monthly, 999, "2025-03-02", "a", **CARD)
    monthly.now = at("2025-04-01T07:59:00+08:00")
    use(monthly, 1, "2025-03-02", "late", **CARD)
    leap(monthly, "2025-04-01T08:00:00+08:00")
    assert quantities(monthly, "2025-03") == [(1000, "0.38", "380.00000000")]


def test_late_usage_of_a_closed_month_waits_for_the_next_first(monthly: Product) -> None:
    """Usage that comes after its month was charged is charged with the next run of the 1st, and only then (D4, D19)."""
    use(monthly, 10, "2025-03-31", "a", **CARD)
    leap(monthly, "2025-04-01T08:00:00+08:00")
    issued = details(monthly)
    use(monthly, 5, "2025-03-31", "late", **CARD)
    for now in ("2025-04-02T09:00:00+08:00", "2025-04-20T09:00:00+08:00", "2025-04-30T23:59:59+08:00"):
        leap(monthly, now)
        assert charges(monthly) == [("2025-04-01T08:00:00+08:00", "-4.00")]
    leap(monthly, "2025-05-01T08:00:00+08:00")
    assert charges(monthly)[1:] == [("2025-05-01T08:00:00+08:00", "-2.00")]
    assert details(monthly)[: len(issued)] == issued
    assert quantities(monthly, "2025-03") == [(10, "0.40", "4.00000000"), (5, "0.40", "2.00000000")]


def test_what_a_run_leaves_is_no_reason_to_charge_early(monthly: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a run could not finish with a day, later usage of that day still waits for the next 1st (D4)."""
    use(monthly, 10, "2025-03-31", "a", **CARD)
    leap(monthly, "2025-04-01T08:00:00+08:00")
    use(monthly, 5, "2025-03-31", "late", **CARD)
    with monkeypatch.context() as broken:
        broken.setattr(live, "put_day", mock.Mock(side_effect=RuntimeError("no totals today")))
        leap(monthly, "2025-05-01T08:00:00+08:00")
    known = charges(monthly)
    assert known[1:] == [("2025-05-01T08:00:00+08:00", "-2.00")]
    monthly.now = at("2025-05-01T09:59:59+08:00")
    use(monthly, 3, "2025-03-31", "later", **CARD)
    for now in ("2025-05-01T10:00:00+08:00", "2025-05-02T08:00:00+08:00"):
        monthly.now = at(now)
        monthly.run()
        assert charges(monthly) == known
        assert monthly.invoke("PlannerFunction", {"task": "check"}) == {"unsettled": 0}
    leap(monthly, "2025-06-01T08:00:00+08:00")
    assert charges(monthly) == [*known, ("2025-06-01T08:00:00+08:00", "-1.20")]


def test_late_usage_that_reaches_a_step_credits_the_difference(monthly: Product) -> None:
    """Where late usage makes the month cheaper the whole difference goes to cash (D19)."""
    use(monthly, 999, "2025-03-31", "a", **CARD)
    leap(monthly, "2025-04-01T08:00:00+08:00")
    assert balance(monthly)["cash"] == "9600.40"
    use(monthly, 1, "2025-03-31", "late", **CARD)
    assert monthly.get(f"{A}/bills/preview").body["total_cost"] == "-19.60"
    leap(monthly, "2025-05-01T08:00:00+08:00")
    assert charges(monthly)[1:] == [("2025-05-01T08:00:00+08:00", "19.60")]
    assert balance(monthly)["cash"] == "9620.00"
    found = details(monthly, "2025-03", tag="bank_card_check")
    assert total(found, "total_cost") == Decimal("380.00")
    assert sum(row["quantity"] for row in found) == 1000
    assert total(resources(monthly), "total_cost") == Decimal("380.00")


def test_the_credit_goes_to_cash_though_a_gift_paid(product: Product) -> None:
    """What was paid from gifts is credited to cash all the same; the gift fund gets nothing back (D19)."""
    product.open_account("acct-1", opened_at="2022-06-01T00:00:00+08:00")
    product.top_up("acct-1", "500.00", "gift")
    use(product, 999, "2025-03-31", "a", **CARD)
    leap(product, "2025-04-01T08:00:00+08:00")
    use(product, 1, "2025-03-31", "late", **CARD)
    leap(product, "2025-05-01T08:00:00+08:00")
    assert balance(product) == {
        "available": "120.00",
        "cash": "19.60",
        "income_transfer": "0.00",
        "gift": "100.40",
    }


def test_a_credit_can_end_arrears(product: Product) -> None:
    """A month that becomes cheaper brings a balance below zero back up (D19, D21)."""
    product.open_account("acct-1", cash="390.00", opened_at="2022-06-01T00:00:00+08:00")
    use(product, 999, "2025-03-31", "a", **CARD)
    leap(product, "2025-04-01T08:00:00+08:00")
    assert product.get(A).body["arrears"]["since"] == "2025-04-01T08:00:00+08:00"
    use(product, 1, "2025-03-31", "late", **CARD)
    leap(product, "2025-05-01T08:00:00+08:00")
    body = product.get(A).body
    assert (body["balance"]["available"], body["arrears"], body["status"]) == ("10.00", None, "active")


def test_the_cycle_is_that_of_the_opening(product: Product) -> None:
    """Two accounts with the same usage, one opened a second earlier: one pays monthly, the other daily (D2)."""
    product.open_account("acct-1", opened_at="2023-01-03T23:59:59+08:00")
    product.open_account("acct-2", opened_at="2023-01-04T00:00:00+08:00")
    now = "2025-03-01T10:00:00+08:00"
    product.report([event("acct-1", "e-1", now, **CARD), event("acct-2", "e-1", now, **CARD)])
    product.move("2025-03-02T09:00:00+08:00")
    assert balance(product)["cash"] == "0.00"
    assert balance(product, "acct-2")["cash"] == "-0.60"
    leap(product, "2025-04-01T09:00:00+08:00")
    assert balance(product)["cash"] == "-0.40"


def identities(product: Product, month: str) -> None:
    """By date of the charge: details and the closing row are the resources are the journal (D15)."""
    fees = total(details(product, month, basis="charge"), "total_cost")
    charged = total(resources(product, month, basis="charge"), "total_cost")
    first, last = f"{month}-01", {"2025-03": "2025-03-31", "2025-04": "2025-04-30", "2025-05": "2025-05-31"}[month]
    moved = [one for one in rows(product, f"{A}/journal", from_=first, to=last) if one["kind"] == "settlement"]
    assert fees == charged == -total(moved, "amount")
    for row in resources(product, month, basis="charge"):
        funds = sum(Decimal(row[fund]) for fund in ("cash", "income_transfer", "gift", "voucher"))
        assert Decimal(row["total_cost"]) == funds
    by_line = [row for row in details(product, month, basis="charge") if row["usage_day"] or row["tag"]]
    for fund in ("cash", "income_transfer", "gift"):
        paid = -total([one for one in moved if one["fund"] == fund], "amount")
        assert total(by_line, fund) == total(resources(product, month, basis="charge"), fund) == paid


@pytest.mark.parametrize("opened_at", ["2024-01-01T00:00:00+08:00", "2022-06-01T00:00:00+08:00"])
def test_details_and_the_closing_row_are_what_was_deducted(product: Product, opened_at: str) -> None:
    """Over months of fractions, several funds and late usage the sums agree to the last decimal (D15)."""
    dice = random.Random(opened_at)  # noqa: S311 - repeatable, not secret
    product.now = at("2025-03-01T09:00:00+08:00")
    product.open_account("acct-1", cash="3.00", opened_at=opened_at)
    product.top_up("acct-1", "0.37", "gift")
    product.top_up("acct-1", "0.91", "income_transfer")
    for number in range(9):
        product.move(f"{product.now.date()}T12:00:00+08:00")
        late = product.now.date().replace(day=max(1, product.now.day - dice.randint(0, 9)))
        for name, day in (("on-time", product.now.date()), ("late", late)):
            tag = dice.choice([RISK, RISK, CARD, {"interface": "api.phone_2e"}])
            batch = events("acct-1", dice.randint(1, 40), f"{day}T11:00:00+08:00", prefix=f"{name}-{number}", **tag)
            assert post_usage(product, batch).body["rejected"] == 0
        product.move((product.now + timedelta(days=dice.choice([1, 2, 7]))).isoformat())
    product.move((product.now + timedelta(days=2)).isoformat())
    leap(product, "2025-06-01T09:00:00+08:00")
    for month in ("2025-03", "2025-04", "2025-05"):
        identities(product, month)
    entries = rows(product, f"{A}/journal")
    assert total(entries, "amount") == Decimal(balance(product)["available"])


def test_the_row_that_closes_a_month(product: Product) -> None:
    """The run of the 1st adds one row of what was deducted less the details; it moves no money (D15)."""
    product.open_account("acct-1", cash="10.00")
    for day, number in (("2025-03-01", 7), ("2025-03-02", 10), ("2025-03-03", 1)):
        use(product, number, day, day, **RISK)
        product.move((product.now + timedelta(days=1)).isoformat())
    use(product, 3, "2025-03-31", "last", **RISK)
    assert [row["transaction_type"] for row in details(product)] == ["postpay_daily"] * 3
    leap(product, "2025-04-01T08:00:00+08:00")
    # Charged in March: 0.0245, 0.035 and 0.0035 as 0.02, 0.04 and 0.00; the 31st is charged in April.
    for basis in ("charge", "usage"):
        found = [row for row in details(product, basis=basis) if row["transaction_type"] == "precision_difference"]
        (row,) = found
        assert (row["total_cost"], row["charged_at"]) == ("-0.00300000", "2025-04-01T08:00:00+08:00")
        assert (row["usage_start"], row["usage_end"]) == ("2025-03-01T00:00:00+08:00", "2025-03-31T23:59:59+08:00")
        assert [row[fund] for fund in ("cash", "income_transfer", "gift", "voucher")] == ["0.00"] * 4
        assert [row[name] for name in ("raw_quantity", "deducted_quantity", "quantity")] == [0, 0, 0]
    identities(product, "2025-03")
    assert all(row["transaction_type"] == "postpay_daily" for row in resources(product))
    assert balance(product)["cash"] == "9.93"
    leap(product, "2025-05-01T08:00:00+08:00")
    identities(product, "2025-04")
    (row,) = details(product, "2025-04", transaction_type="precision_difference")
    assert row["total_cost"] == "-0.00050000"
    leap(product, "2025-06-02T09:00:00+08:00")
    assert details(product, "2025-05") == []


def test_a_month_is_closed_once(product: Product) -> None:
    """However often the run of the 1st is repeated, its month has one closing row."""
    product.open_account("acct-1", cash="10.00")
    use(product, 7, "2025-03-01", "a", **RISK)
    product.move("2025-03-02T09:00:00+08:00")
    leap(product, "2025-04-01T08:00:00+08:00")
    before = tables(product)
    for _ in range(3):
        product.run()
    leap(product, "2025-04-20T08:00:00+08:00")
    assert tables(product) == before


def test_a_month_without_a_difference_is_closed_with_a_row_of_zero(product: Product) -> None:
    """The row is there for every month with charges, so that a month can be seen to be closed."""
    product.open_account("acct-1", cash="10.00")
    use(product, 10, "2025-03-01", "a")
    product.move("2025-03-02T09:00:00+08:00")
    leap(product, "2025-04-01T08:00:00+08:00")
    (row,) = details(product, transaction_type="precision_difference")
    assert row["total_cost"] == "0.00000000"


def test_a_first_that_comes_late_closes_the_month_all_the_same(product: Product) -> None:
    """Where the run of the 1st is late, the last day is charged when it runs and the old month is closed without it."""
    product.open_account("acct-1", cash="10.00")
    use(product, 7, "2025-03-01", "a", **RISK)
    product.move("2025-03-02T09:00:00+08:00")
    use(product, 7, "2025-03-31", "b", **RISK)
    product.now = at("2025-04-02T16:00:00+08:00")
    product.run()
    assert [row["usage_day"] for row in details(product, "2025-04", basis="charge")] == ["2025-03-31"]
    (row,) = details(product, transaction_type="precision_difference")
    assert row["total_cost"] == "-0.00450000"
    identities(product, "2025-03")


def test_by_usage_the_difference_is_a_field(product: Product) -> None:
    """By date of the usage the totals say by how much the resources differ from the details that are shown (D15)."""
    product.open_account("acct-1", cash="10.00")
    for day in ("2025-03-30", "2025-03-31"):
        use(product, 7, day, day, **RISK)
    product.now = at("2025-03-31T12:00:00+08:00")
    product.run()
    leap(product, "2025-04-01T09:00:00+08:00")
    # Two days of 0.0245 were deducted as 0.02 each; the row of March, by charge, has taken off the first day's part.
    shown = {
        path: product.get(f"{A}/bills/{path}", month="2025-03", basis="usage").body["totals"]
        for path in ("details", "resources")
    }
    assert {totals["precision_difference"] for totals in shown.values()} == {"-0.00450000"}
    assert Decimal(shown["details"]["total_cost"]) - Decimal("0.0045") == Decimal(shown["resources"]["total_cost"])
    lines = details(product, transaction_type="postpay_daily")
    assert total(resources(product), "total_cost") - total(lines, "total_cost") == Decimal("-0.009")
