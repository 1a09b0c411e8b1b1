"""Reading bills: months, bases, filters, totals and pages (contract, Bills)."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from tests.adapters.steps import A, at, details, empty, pages, post_usage, resources, total
from tests.adapters.steps import rows as rows_of
from tests.support.product import Product, events

RISK = {"interface": "face_risk"}
PHONE = {"interface": "api.phone_2e"}
DAYS = ("2025-03-29", "2025-03-30", "2025-03-31", "2025-04-01")
PATHS = ("resources", "details")


def noon(day: str) -> str:
    """Noon of a day in Shanghai."""
    return f"{day}T12:00:00+08:00"


@pytest.fixture(scope="module")
def history(cloud: Product) -> Iterator[Product]:
    """Four days of three tags around a month's end, with late usage and a day without postpaid; tests only read it."""
    empty(cloud)
    cloud.now = at(noon("2025-03-29"))
    cloud.open_account("acct-1", cash="1000.00", opened_at="2025-01-01T00:00:00+08:00")
    cloud.top_up("acct-1", "1.00", "gift")
    for number, day in enumerate(DAYS, start=1):
        cloud.move(noon(day))
        post_usage(cloud, events("acct-1", 10 * number, noon(day), f"risk-{day}", **RISK))
        post_usage(cloud, events("acct-1", number, noon(day), f"phone-{day}", **PHONE))
        if number > 1:
            post_usage(cloud, events("acct-1", 3, noon(DAYS[0]), f"late-{day}", **RISK))
    cloud.request("PATCH", A, {"postpaid_enabled": False})
    post_usage(cloud, events("acct-1", 5, noon(DAYS[3]), "off"))
    cloud.move("2025-04-03T09:00:00+08:00")
    yield cloud
    empty(cloud)


def whole(product: Product, path: str, month: str, basis: str) -> list[dict[str, Any]]:
    """All rows of a list; asked for once."""
    key = (path, month, basis)
    if key not in _WHOLE:
        _WHOLE[key] = rows_of(product, f"{A}/bills/{path}", month=month, basis=basis)
    return _WHOLE[key]


_WHOLE: dict[tuple[str, str, str], list[dict[str, Any]]] = {}


def days(rows: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """(usage day, charge day) of each row."""
    return [(row["usage_start"][:10], row["charged_at"][:10]) for row in rows if row["tag"]]


def test_by_usage_a_month_is_that_of_the_usage_day(history: Product) -> None:
    """Without `basis`, and with `usage`, rows are in the month of their usage day, in the order of their issue."""
    for read in (details, resources):
        march, april = days(read(history, "2025-03")), days(read(history, "2025-04"))
        assert [charged for _, charged in march] == sorted(charged for _, charged in march)
        assert [usage for usage, _ in march] != sorted(usage for usage, _ in march), "late usage comes at the end"
        assert {usage for usage, _ in march} == set(DAYS[:3])
        assert {usage for usage, _ in april} == {DAYS[3]}
        assert read(history, "2025-03", basis="usage") == read(history, "2025-03")


def test_by_charge_a_month_is_that_of_the_charge(history: Product) -> None:
    """With `charge` rows are in the month of their charge, oldest charge first; both bases hold the same rows."""
    for read in (details, resources):
        march, april = days(read(history, "2025-03", basis="charge")), days(read(history, "2025-04", basis="charge"))
        assert [charged for _, charged in march + april] == sorted(charged for _, charged in march + april)
        assert {charged[:7] for _, charged in march} == {"2025-03"}
        assert {charged[:7] for _, charged in april} == {"2025-04"}
        by_usage = days(read(history, "2025-03")) + days(read(history, "2025-04"))
        assert sorted(march + april) == sorted(by_usage)
        assert (DAYS[2], "2025-04-01") in april


def test_an_empty_month_is_empty(history: Product) -> None:
    """A month without rows has none, and totals of zero with the right decimals."""
    for path, zero in (("resources", "0.00"), ("details", "0.00000000")):
        for basis in ("usage", "charge"):
            body = history.get(f"{A}/bills/{path}", month="2024-12", basis=basis).body
            assert (body["items"], body["next_cursor"]) == ([], None)
            assert (body["totals"]["total_cost"], body["totals"]["original_cost"]) == (zero, zero)
            assert body["totals"]["cash"] == "0.00"


@pytest.mark.parametrize("basis", ["usage", "charge"])
@pytest.mark.parametrize("path", PATHS)
def test_totals_are_those_of_all_pages(history: Product, path: str, basis: str) -> None:
    """Totals add up all rows, whichever page is shown."""
    everything = history.get(f"{A}/bills/{path}", month="2025-03", basis=basis, limit="1000").body
    totals = everything["totals"]
    for field in ("total_cost", "cash", "income_transfer", "gift", "voucher"):
        assert Decimal(totals[field]) == total(everything["items"], field)
    originals = [row for row in everything["items"] if row["original_cost"] is not None]
    assert Decimal(totals["original_cost"]) == total(originals, "original_cost")
    small = history.get(f"{A}/bills/{path}", month="2025-03", basis=basis, limit="2").body
    assert (len(small["items"]), small["totals"]) == (2, totals)


def test_amounts_are_written_as_the_contract_says(history: Product) -> None:
    """Fees have 8 decimals, charges and payments 2, and none an exponent."""
    for row in details(history):
        assert row["total_cost"].partition(".")[2].isdigit()
        assert len(row["total_cost"].partition(".")[2]) == 8
    for row in resources(history):
        assert [len(row[name].partition(".")[2]) for name in ("original_cost", "total_cost", "cash", "gift")] == [2] * 4
    for row in (*details(history), *resources(history)):
        assert not any("e" in row[name].lower() for name in ("total_cost", "cash", "gift"))


FILTERS = [
    ({"tag": "face_risk"}, lambda row: row["tag"] == "face_risk"),
    ({"tag": "photo_v2"}, lambda _: False),
    ({"mode": "postpaid"}, lambda _: True),
    ({"mode": "prepaid"}, lambda _: False),
    ({"transaction_type": "postpay_daily"}, lambda row: row["transaction_type"] == "postpay_daily"),
    ({"transaction_type": "precision_difference"}, lambda row: row["transaction_type"] == "precision_difference"),
    ({"transaction_type": "postpay_monthly"}, lambda _: False),
    ({"transaction_type": "adjustment"}, lambda _: False),
    ({"hide_zero": "true"}, lambda row: Decimal(row["total_cost"]) != 0),
    ({"hide_zero": "false"}, lambda _: True),
    ({"project": "no such project"}, lambda _: False),
    ({"region": "no such region"}, lambda _: False),
    ({"q": "no such resource"}, lambda _: False),
    ({"q": "%"}, lambda _: False),
    ({"q": "'; DROP TABLE bills; --"}, lambda _: False),
    ({"tag": "face_risk", "hide_zero": "true"}, lambda row: row["tag"] == "face_risk" and float(row["total_cost"])),
]


@pytest.mark.parametrize("query, wanted", FILTERS, ids=[repr(query) for query, _ in FILTERS])
@pytest.mark.parametrize("path", PATHS)
def test_a_filter_leaves_what_fits(history: Product, path: str, query: dict[str, str], wanted: Any) -> None:
    """Each filter, under both bases and in both months, leaves the rows that fit, their order, and their totals."""
    for month in ("2025-03", "2025-04"):
        for basis in ("usage", "charge"):
            given = {"month": month, "basis": basis}
            everything = whole(history, path, month, basis)
            filtered = history.request("GET", f"{A}/bills/{path}", query={**given, **query}).body
            assert filtered["items"] == [row for row in everything if wanted(row)]
            assert Decimal(filtered["totals"]["total_cost"]) == total(filtered["items"], "total_cost")


@pytest.mark.parametrize("path", PATHS)
def test_rows_are_found_by_what_they_show(history: Product, path: str) -> None:
    """`q` finds part of a resource id or alias in any case; project and region find their own text."""
    rows = history.get(f"{A}/bills/{path}", month="2025-03", tag="face_risk").body["items"]
    for name in ("resource_id", "alias"):
        text = rows[0][name]
        for part in (text, text[2:-2], text.upper(), text.lower()):
            found = history.get(f"{A}/bills/{path}", month="2025-03", q=part).body["items"]
            assert [row for row in found if row["tag"] == "face_risk"] == rows
    for name in ("project", "region"):
        found = history.request("GET", f"{A}/bills/{path}", query={"month": "2025-03", name: rows[0][name]})
        assert [row for row in found.body["items"] if row["tag"] == "face_risk"] == rows


BAD = [
    {},
    {"month": ""},
    {"month": "2025"},
    {"month": "2025-3"},
    {"month": "2025-00"},
    {"month": "2025-13"},
    {"month": "2025-03-01"},
    {"month": "25-03"},
    {"month": "0000-01"},
    {"month": "'; DROP TABLE"},
    {"month": "2025-03\n"},
    {"month": "2025-03", "basis": "pay"},
    {"month": "2025-03", "basis": ""},
    {"month": "2025-03", "mode": "free"},
    {"month": "2025-03", "transaction_type": "postpay"},
    {"month": "2025-03", "hide_zero": "maybe"},
    {"month": "2025-03", "limit": "0"},
    {"month": "2025-03", "limit": "1001"},
    {"month": "2025-03", "limit": "x"},
    {"month": "2025-03", "cursor": "nonsense"},
    {"month": "2025-03", "cursor": ""},
    {"month": "2025-03", "q": "x" * 5000},
]


@pytest.mark.parametrize("query", BAD, ids=[repr(query)[:50] for query in BAD])
@pytest.mark.parametrize("path", PATHS)
def test_what_cannot_be_asked(history: Product, path: str, query: dict[str, str]) -> None:
    """Wrong parameters are invalid requests, each named."""
    reply = history.request("GET", f"{A}/bills/{path}", query=query)
    assert (reply.status, reply.code) == (422, "invalid_request")
    assert {error["field"] for error in reply.body["errors"]} <= {*query, "month"}


@pytest.mark.parametrize("limit", [1, 2, 5])
@pytest.mark.parametrize("basis", ["usage", "charge"])
@pytest.mark.parametrize("path", PATHS)
def test_pages_hold_every_row_once(history: Product, path: str, basis: str, limit: int) -> None:
    """All pages together are the list, whatever their size."""
    everything = whole(history, path, "2025-03", basis)
    found = pages(history, f"{A}/bills/{path}", limit, month="2025-03", basis=basis)
    assert [row for page in found for row in page] == everything
    assert all(len(page) == limit for page in found[:-1])


def test_ids_name_one_row(history: Product) -> None:
    """No two fees share a transaction id, over all months."""
    found = [row["transaction_id"] for month in ("2025-03", "2025-04") for row in details(history, month)]
    assert len(set(found)) == len(found) > 10


def test_a_resource_id_is_that_of_its_account_and_tag(history: Product) -> None:
    """Rows of one tag name the same resource on every day; other tags name others (D15)."""
    by_tag: dict[str, set[str]] = {}
    for row in (*details(history), *resources(history), *details(history, "2025-04")):
        if row["tag"]:
            by_tag.setdefault(row["tag"], set()).add(row["resource_id"])
    assert all(len(ids) == 1 for ids in by_tag.values())
    assert len(set.union(*by_tag.values())) == len(by_tag) == 3


def test_each_line_explains_its_quantities(history: Product) -> None:
    """Counted is what packages gave, what was charged, and what nobody pays; cost is price times charged."""
    for row in (*details(history), *details(history, "2025-04")):
        if row["transaction_type"] == "precision_difference":
            continue
        assert row["raw_quantity"] == row["deducted_quantity"] + row["quantity"] + row["uncovered_quantity"]
        assert Decimal(row["total_cost"]) == Decimal(row["unit_price"]) * row["quantity"]
    (off,) = details(history, "2025-04", tag="identity_check")
    assert (off["raw_quantity"], off["quantity"], off["uncovered_quantity"]) == (5, 0, 5)


def test_a_cursor_of_another_list_is_refused(history: Product) -> None:
    """A cursor names a row of its own list."""
    cursor = history.get(f"{A}/bills/resources", month="2025-03", limit="1").body["next_cursor"]
    assert isinstance(cursor, str)
    for path, month in (("bills/details", "2025-03"), ("bills/resources", "2024-01")):
        reply = history.get(f"{A}/{path}", month=month, cursor=cursor)
        assert (reply.status, reply.code) == (422, "invalid_request")
