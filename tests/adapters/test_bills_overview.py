"""GET A/bills/overview: a month at a glance and the year that it ends (contract, Bills)."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from aws_platform.bill_totals import charges_of_item
from aws_platform.bills import all_bills, bill_to_item
from rating.civil import day_of, month_of
from tests.adapters.prepaid import MONTHLY_OPENED, OPENED, buy, give_back, voucher
from tests.adapters.steps import A, at, empty, post_usage, resources, total
from tests.support.product import Product, events

RISK = {"interface": "face_risk"}
PHONE = {"interface": "api.phone_2e"}
FUNDS = ("cash", "income_transfer", "gift", "voucher")
BASES = ("usage", "charge")


def overview(product: Product, month: str, **query: str) -> Any:
    """The answer for a month."""
    reply = product.get(f"{A}/bills/overview", month=month, **query)
    assert reply.status == 200, reply.text
    return reply.body


def fill(product: Product, opened_at: str) -> None:
    """Three months: usage of two tags around both month's ends, late usage, orders, a refund, vouchers, adjustments."""
    empty(product)
    product.now = at("2025-01-30T12:00:00+08:00")
    product.open_account("acct-1", cash="5000.00", opened_at=opened_at)
    product.top_up("acct-1", "7.77", "gift")
    product.top_up("acct-1", "0.55", "income_transfer")
    voucher(product, "3.33", "postpaid")
    for number, day in enumerate(("2025-01-30", "2025-01-31", "2025-02-01", "2025-02-28", "2025-03-01"), start=1):
        noon = f"{day}T12:00:00+08:00"
        if day == "2025-02-28":
            # The days between are idle, and each would be a run.
            product.move("2025-02-02T12:00:00+08:00")
            product.now = at(noon)
        product.move(noon)
        post_usage(product, events("acct-1", 7 * number, noon, f"risk-{day}", **RISK))
        post_usage(product, events("acct-1", 3 + number, noon, f"phone-{day}", **PHONE))
    first, second = buy(product, quantity=2, voucher_id=voucher(product, "100.00"))
    assert first != second
    give_back(product, second)
    product.move("2025-03-02T12:00:00+08:00")
    post_usage(product, events("acct-1", 4, "2025-01-31T12:00:00+08:00", "late", **PHONE))
    for number, amount in enumerate(("-1.25", "0.50")):
        body = {"amount": amount, "reason": "x"}
        assert product.request("POST", f"{A}/adjustments", body, headers={"Idempotency-Key": f"{number}"}).status == 201
    product.move("2025-03-04T09:00:00+08:00")
    product.now = at("2025-03-31T09:00:00+08:00")
    product.move("2025-04-01T09:00:00+08:00")


@pytest.fixture(scope="module", params=[OPENED, MONTHLY_OPENED], ids=["daily", "monthly"])
def year(cloud: Product, request: pytest.FixtureRequest) -> Iterator[Product]:
    """The history above, of a daily and of a monthly account; tests only read it."""
    fill(cloud, request.param)
    yield cloud
    empty(cloud)


def split_days(row: dict[str, Any], basis: str) -> str:
    """The day that a charge stands on."""
    of_usage = row["transaction_type"].startswith("postpay")
    return str(row["usage_end" if basis == "usage" and of_usage else "charged_at"][:10])


@pytest.mark.parametrize("basis", BASES)
@pytest.mark.parametrize("month", ["2025-01", "2025-02", "2025-03", "2025-04"])
def test_every_split_is_that_of_the_resources(year: Product, month: str, basis: str) -> None:
    """Tags, modes and days are the sums of `bills/resources` of the same basis; each adds up to the total."""
    shown, rows = overview(year, month, basis=basis), resources(year, month, basis=basis)
    assert (shown["month"], shown["basis"]) == (month, basis)
    assert Decimal(shown["total"]) == total(rows, "total_cost")
    for fund in FUNDS:
        assert Decimal(shown[fund]) == total(rows, fund)
    assert sum(Decimal(shown[fund]) for fund in FUNDS) == Decimal(shown["total"])
    for split, name, of in (
        ("by_tag", "tag", lambda row: row["tag"]),
        ("by_mode", "mode", lambda row: row["billing_mode"]),
        ("by_day", "day", lambda row: split_days(row, basis)),
    ):
        expected: dict[str, Decimal] = dict.fromkeys(("prepaid", "postpaid"), Decimal(0)) if split == "by_mode" else {}
        for row in rows:
            expected[of(row)] = expected.get(of(row), Decimal(0)) + Decimal(row["total_cost"])
        assert {one[name]: Decimal(one["total"]) for one in shown[split]} == expected
        assert sum(Decimal(one["total"]) for one in shown[split]) == Decimal(shown["total"])


@pytest.mark.parametrize("basis", BASES)
def test_the_trend_is_twelve_months(year: Product, basis: str) -> None:
    """Oldest first, the month that was asked for last, each as its own overview says; months without bills are 0."""
    trend = overview(year, "2025-04", basis=basis)["trend"]
    months = [f"2024-{number:02d}" for number in range(5, 13)] + [f"2025-{number:02d}" for number in range(1, 5)]
    assert [one["month"] for one in trend] == months
    for one in trend:
        assert one["total"] == overview(year, one["month"], basis=basis)["total"]
    assert sum(one["total"] != "0.00" for one in trend) == 3
    assert overview(year, "2026-03", basis=basis)["trend"][0] == trend[-1]
    assert {one["total"] for one in overview(year, "2026-04", basis=basis)["trend"]} == {"0.00"}


def test_the_bases_differ_by_the_day_of_usage(year: Product) -> None:
    """Usage of January that February charged is January's by usage; the year is the same; usage is the default."""
    assert overview(year, "2025-01") == overview(year, "2025-01", basis="usage")
    january = [overview(year, "2025-01", basis=basis)["total"] for basis in BASES]
    assert january[0] != january[1]
    for_year = [
        sum(Decimal(one["total"]) for one in overview(year, "2025-04", basis=basis)["trend"]) for basis in BASES
    ]
    assert for_year[0] == for_year[1]


def test_adjustments_are_for_no_tag(year: Product) -> None:
    """They stand on a row without a tag, after the tags in the order of the catalog, on the day of the charge."""
    shown = overview(year, "2025-03")
    assert [one["tag"] for one in shown["by_tag"]][-1] is None
    assert shown["by_tag"][-1] == {"tag": None, "name": "调账", "total": "0.75"}
    tags = [one["tag"] for one in shown["by_tag"][:-1]]
    assert tags == [one["tag"] for one in year.get("/v1/catalog").body["tags"] if one["tag"] in tags]
    assert "2025-03-02" in {one["day"] for one in shown["by_day"]}


def test_an_account_without_bills_has_an_empty_overview(product: Product) -> None:
    """Nothing was deducted: zeros with 2 decimals, both modes, no tags, no days, twelve months."""
    product.open_account("acct-1")
    shown = overview(product, "2025-03")
    assert [shown[name] for name in ("total", *FUNDS)] == ["0.00"] * 5
    assert (shown["by_tag"], shown["by_day"], len(shown["trend"])) == ([], [], 12)
    assert shown["by_mode"] == [{"mode": "prepaid", "total": "0.00"}, {"mode": "postpaid", "total": "0.00"}]


def test_bills_of_others_are_not_in_it(year: Product) -> None:
    """The overview is that of the account that was asked for."""
    if year.get("/v1/accounts/acct-2").status == 404:
        year.open_account("acct-2")
    assert year.get("/v1/accounts/acct-2/bills/overview", month="2025-03").body["total"] == "0.00"


@pytest.mark.parametrize(
    "query", [{}, {"month": "2025-3"}, {"month": "1999-12"}, {"month": "2025-03", "basis": "pay"}], ids=repr
)
def test_what_cannot_be_asked(year: Product, query: dict[str, str]) -> None:
    """A month and a basis as everywhere in bills."""
    reply = year.request("GET", f"{A}/bills/overview", query=query)
    assert (reply.status, reply.code) == (422, "invalid_request")


def test_the_light_read_says_what_the_bills_say(year: Product) -> None:
    """What is read without making bills is what the bills would say, of every kind of bill and under both bases."""
    bills = list(all_bills(year.dynamodb, "ledger", "acct-1"))
    assert len({bill.transaction_type for bill in bills}) == 5
    for bill in bills:
        item = bill_to_item("acct-1", bill)
        for by_usage in (True, False):
            light = list(charges_of_item(item, by_usage=by_usage))
            month, day = bill.charge_month, day_of(bill.charged_at)
            if by_usage:
                month, day = month_of(bill.first_day), bill.last_day
            assert [(one.month, one.day, one.tag, one.prepaid, one.amount) for one in light] == [
                (month, day.isoformat(), charge.tag, charge.resource is not None, charge.amount)
                for charge in bill.charges
            ]
            for one, charge in zip(light, bill.charges, strict=True):
                paid = {fund: Decimal(amount) for fund, amount in one.payment.items()}
                assert paid == {fund.value: amount for fund, amount in charge.payment.items()}


FILTERS: list[tuple[dict[str, str], Any]] = [
    *(
        ({"transaction_type": kind}, lambda row, kind=kind: row["transaction_type"] == kind)
        for kind in (
            "prepay_purchase",
            "prepay_refund",
            "postpay_daily",
            "postpay_monthly",
            "precision_difference",
            "adjustment",
        )
    ),
    ({"mode": "prepaid"}, lambda row: row["billing_mode"] == "prepaid"),
    ({"mode": "postpaid"}, lambda row: row["billing_mode"] == "postpaid"),
    ({"tag": "identity_check"}, lambda row: row["tag"] == "identity_check"),
    ({"tag": "face_risk", "mode": "postpaid"}, lambda row: row["tag"] == "face_risk"),
    ({"q": "FACEID-PKG"}, lambda row: "faceid-pkg" in (row["resource_id"] or "")),
    ({"q": "-acct-1-face"}, lambda row: row["tag"] == "face_risk"),
    ({"hide_zero": "true"}, lambda row: Decimal(row["total_cost"]) != 0),
    ({"project": "默认项目"}, lambda _: True),
    ({"region": "ap"}, lambda _: False),
]


@pytest.mark.parametrize("query, wanted", FILTERS, ids=[repr(query) for query, _ in FILTERS])
def test_filters_of_rows_of_every_kind(year: Product, query: dict[str, str], wanted: Any) -> None:
    """Each filter of resources and details, under both bases, leaves the rows that fit and their totals."""
    for path in ("resources", "details"):
        for basis in BASES:
            given = {"month": "2025-03", "basis": basis, "limit": "1000"}
            key = (year.get(A).body["opened_at"], path, basis)
            if key not in _WHOLE:
                _WHOLE[key] = year.get(f"{A}/bills/{path}", **given).body["items"]
            body = year.get(f"{A}/bills/{path}", **given, **query).body
            assert body["items"] == [row for row in _WHOLE[key] if wanted(row)]
            assert Decimal(body["totals"]["total_cost"]) == total(body["items"], "total_cost")
            for fund in FUNDS:
                assert Decimal(body["totals"][fund]) == total(body["items"], fund)


_WHOLE: dict[tuple[str, ...], list[dict[str, Any]]] = {}
