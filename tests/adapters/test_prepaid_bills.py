"""Bills of packages: purchases, refunds, deducted quantities, who paid, and the books (contract, Bills; D15, D16)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.adapters.prepaid import (
    FUNDS,
    MONTHLY_OPENED,
    SKU,
    TAG,
    books_agree,
    buy,
    give,
    give_back,
    order,
    postpaid,
    use,
    voucher,
    vouchers,
)
from tests.adapters.steps import NOW, A, at, balance, details, later, resources, rows, total
from tests.support.product import Product

RISK: dict[str, Any] = {"interface": "face_risk"}


def test_a_purchase_row_shows_all_that_the_contract_names(metered: Product) -> None:
    """One row a piece: the package as resource, its order, its price, its validity, and who paid."""
    metered.now = at("2025-03-01T14:30:00+08:00")
    body = order(metered, [{"sku": SKU, "quantity": 2}]).body
    found = resources(metered)
    assert len(found) == 2
    for row, package in zip(found, body["packages"], strict=True):
        expected = {
            "resource_id": package["resource_id"],
            "payer": "acct-1",
            "sub_product": "身份信息核验",
            "tag": TAG,
            "billing_mode": "prepaid",
            "transaction_type": "prepay_purchase",
            "order_id": body["order_id"],
            "charged_at": "2025-03-01T14:30:00+08:00",
            "usage_end": "2026-03-01T23:59:59+08:00",
            "original_cost": "300.00",
            "discount_rate": "1",
            "total_cost": "300.00",
            "cash": "300.00",
            "income_transfer": "0.00",
            "gift": "0.00",
            "voucher": "0.00",
        }
        assert {name: row[name] for name in expected} == expected
        assert "1000" in row["alias"]
    for line, row in zip(details(metered), found, strict=True):
        same = set(row) & set(line) - {"original_cost", "total_cost"}
        assert {name: line[name] for name in same} == {name: row[name] for name in same}
        assert (line["original_cost"], line["total_cost"]) == ("300.00000000", "300.00000000")
        assert (line["list_price"], line["unit_price"], line["quantity"]) == ("300.00", "300.00", 1)
    assert len({line["transaction_id"] for line in details(metered)}) == 2


def test_a_purchase_is_in_the_month_of_its_charge_under_both_bases(metered: Product) -> None:
    """Purchase and refund rows are where their money moved, though the package lasts a year (contract, Bills)."""
    metered.now = at("2025-03-31T23:59:00+08:00")
    (package_id,) = buy(metered)
    give_back(metered, package_id)
    metered.move("2025-04-02T09:00:00+08:00")
    for basis in ("usage", "charge"):
        for read in (details, resources):
            march, april = read(metered, "2025-03", basis=basis), read(metered, "2025-04", basis=basis)
            assert [row["transaction_type"] for row in march] == ["prepay_purchase"]
            assert [row["transaction_type"] for row in april] == ["prepay_refund"]
    books_agree(metered, ["2025-03", "2025-04"])


def a_mixed_month(product: Product) -> None:
    """Purchases, a refund, a covered day, an overflow and an odd amount."""
    product.top_up("acct-1", "50.00", "gift")
    give(product, 10)
    first, second = buy(product, quantity=2)
    use(product, 5, NOW)
    use(product, 7, NOW, "risk", **RISK)
    product.move("2025-03-02T10:00:00+08:00")
    assert give_back(product, second).status == 202
    use(product, 1105, "2025-03-02T09:00:00+08:00")
    product.move("2025-03-03T10:00:00+08:00")
    use(product, 9, "2025-03-03T09:00:00+08:00", **RISK)
    assert first
    product.move("2025-04-01T08:00:00+08:00")


FILTERS = [
    ({"mode": "prepaid"}, {"prepay_purchase": 2, "prepay_refund": 1}),
    ({"transaction_type": "prepay_purchase"}, {"prepay_purchase": 2}),
    ({"transaction_type": "prepay_refund"}, {"prepay_refund": 1}),
    ({"tag": TAG}, {"prepay_purchase": 2, "prepay_refund": 1, "postpay_daily": 2}),
    ({"tag": TAG, "hide_zero": "true"}, {"prepay_purchase": 2, "prepay_refund": 1, "postpay_daily": 1}),
    ({"q": "资源包"}, {"prepay_purchase": 2, "prepay_refund": 1}),
    ({"q": "faceid-pkg-"}, {"prepay_purchase": 2, "prepay_refund": 1}),
]


@pytest.mark.parametrize("query, expected", FILTERS, ids=repr)
def test_filters_find_prepaid_rows(metered: Product, query: dict[str, str], expected: dict[str, int]) -> None:
    """By mode, kind, tag, name and id, in resources and details alike, and the totals are those of what is left."""
    a_mixed_month(metered)
    for path in ("resources", "details"):
        body = metered.get(f"{A}/bills/{path}", month="2025-03", limit="1000", **query).body
        kinds = [row["transaction_type"] for row in body["items"]]
        assert {kind: kinds.count(kind) for kind in kinds} == expected
        assert Decimal(body["totals"]["total_cost"]) == total(body["items"], "total_cost")
        for fund in FUNDS:
            assert Decimal(body["totals"][fund]) == total(body["items"], fund)


def test_the_month_closes_with_prepaid_rows_in_it(metered: Product) -> None:
    """Details and the precision row = resources = journal by date of the charge (D15)."""
    a_mixed_month(metered)
    books_agree(metered, ["2025-03", "2025-04"])
    (row,) = details(metered, transaction_type="precision_difference")
    # 7 and 9 calls at 0.0035 are 0.0245 and 0.0315: deducted 0.02 and 0.03.
    assert row["total_cost"] == "-0.00600000"
    by_usage = metered.get(f"{A}/bills/details", month="2025-03").body["totals"]
    assert Decimal(by_usage["precision_difference"]) == Decimal(
        metered.get(f"{A}/bills/resources", month="2025-03").body["totals"]["precision_difference"]
    )


def test_a_covered_day_has_a_line_of_cost_zero(metered: Product) -> None:
    """All usage is on the line, none of it charged; nothing moves in the journal."""
    give(metered, 10)
    use(metered, 10, NOW)
    metered.move("2025-03-02T09:00:00+08:00")
    (line,) = details(metered)
    shown = (line["raw_quantity"], line["deducted_quantity"], line["quantity"], line["total_cost"], line["usage_day"])
    assert shown == (10, 10, 0, "0.00000000", "2025-03-01")
    (row,) = resources(metered)
    assert (row["total_cost"], row["cash"]) == ("0.00", "0.00")
    assert resources(metered, hide_zero="true") == details(metered, hide_zero="true") == []
    assert [one["kind"] for one in rows(metered, f"{A}/journal")] == ["top_up"]
    books_agree(metered, ["2025-03"])


def test_quantities_of_a_line_are_integers_that_agree(metered: Product) -> None:
    """Counted = deducted + charged + uncovered, on every line of usage."""
    give(metered, 10)
    buy(metered)
    use(metered, 1500, NOW)
    metered.now = at("2025-03-01T12:00:00+08:00")
    postpaid(metered, on=False)
    use(metered, 11, "2025-03-01T12:00:00+08:00")
    metered.move("2025-03-02T09:00:00+08:00")
    (line,) = details(metered, mode="postpaid")
    assert [line[name] for name in ("raw_quantity", "deducted_quantity", "quantity", "uncovered_quantity")] == [
        1511,
        1010,
        490,
        11,
    ]
    assert all(type(line[name]) is int for name in ("raw_quantity", "deducted_quantity", "quantity"))
    assert line["total_cost"] == "147.00000000"


def test_the_preview_is_the_bill_of_tomorrow(metered: Product) -> None:
    """Open days, oldest first, take the packages in turn; what is shown is what the runs charge."""
    give(metered, 30)
    use(metered, 20, NOW)
    metered.now = at("2025-03-02T07:00:00+08:00")
    use(metered, 20, "2025-03-02T06:00:00+08:00")
    shown = metered.get(f"{A}/bills/preview").body
    expected = [("2025-03-01", 20, 20, 0), ("2025-03-02", 20, 10, 10)]
    names = ("usage_day", "raw_quantity", "deducted_quantity", "quantity")
    assert [tuple(line[name] for name in names) for line in shown["items"]] == expected
    assert shown["total_cost"] == "3.00"
    metered.move("2025-03-03T08:00:00+08:00")
    assert [tuple(line[name] for name in names) for line in details(metered)] == expected
    assert metered.get(f"{A}/bills/preview").body["items"] == []
    assert balance(metered)["cash"] == "997.00"


# --- vouchers at settlement (facts.md 3.5) ------------------------------------------------------------------


def test_a_voucher_is_shared_over_the_lines_in_proportion(metered: Product) -> None:
    """Amounts of 100 and 200 with a voucher of 90: 30 and 60; the rest is cash."""
    chosen = voucher(metered, "90.00", "postpaid")
    use(metered, 250, NOW, "a", interface="api.phone_2e")
    use(metered, 200, NOW, "b", interface="basic.pc_h5", library="authority")
    metered.move("2025-03-02T08:00:00+08:00")
    shown = {row["tag"]: (row["total_cost"], row["voucher"], row["cash"]) for row in resources(metered)}
    assert shown == {
        "phone_two_factor": ("100.00", "30.00", "70.00"),
        "basic_authority": ("200.00", "60.00", "140.00"),
    }
    assert balance(metered)["cash"] == "790.00"
    assert vouchers(metered)[chosen] == ("0.00", "used")
    journal = [(one["fund"], one["amount"]) for one in rows(metered, f"{A}/journal") if one["kind"] == "settlement"]
    assert journal == [("voucher", "-90.00"), ("cash", "-210.00")]
    books_agree(metered, ["2025-03"])


def test_the_first_to_expire_that_covers_all_is_chosen(metered: Product) -> None:
    """Of those that cover the whole amount; if none does, the first to expire; one voucher a settlement."""
    small = voucher(metered, "1.00", "postpaid", expires_at="2025-03-10T00:00:00+08:00")
    later_one = voucher(metered, "50.00", "postpaid", expires_at="2025-06-01T00:00:00+08:00")
    sooner = voucher(metered, "40.00", "postpaid", expires_at="2025-05-01T00:00:00+08:00")
    too_dear = voucher(metered, "40.00", "postpaid", threshold="30.01", expires_at="2025-04-01T00:00:00+08:00")
    use(metered, 100, NOW)
    metered.move("2025-03-02T09:00:00+08:00")
    assert {one: state[0] for one, state in vouchers(metered).items()} == {
        small: "1.00",
        later_one: "50.00",
        sooner: "10.00",
        too_dear: "40.00",
    }
    use(metered, 200, "2025-03-02T08:00:00+08:00")
    metered.move("2025-03-03T09:00:00+08:00")
    # 60.00: none covers it, and the first to expire pays its yuan.
    assert vouchers(metered)[small] == ("0.00", "used")
    assert [vouchers(metered)[one][0] for one in (later_one, sooner, too_dear)] == ["50.00", "10.00", "40.00"]
    books_agree(metered, ["2025-03"])


def test_a_voucher_pays_no_arrears(metered: Product) -> None:
    """It pays its own settlement, not what was owed before (facts.md 3.5)."""
    use(metered, 4000, NOW)
    metered.move("2025-03-02T09:00:00+08:00")
    voucher(metered, "500.00", "postpaid")
    metered.move("2025-03-03T09:00:00+08:00")
    assert balance(metered)["available"] == "-200.00"


def test_a_voucher_pays_nothing_of_a_covered_day(metered: Product) -> None:
    """Where packages cover all there is nothing to pay, and a single use stays unused."""
    chosen = voucher(metered, "90.00", "postpaid", single_use=True)
    give(metered, 10)
    use(metered, 10, NOW)
    metered.move("2025-03-02T09:00:00+08:00")
    assert vouchers(metered)[chosen] == ("90.00", "active")


# --- monthly accounts ---------------------------------------------------------------------------------------


def test_a_month_with_packages(product: Product) -> None:
    """Purchases in the month, usage on the 1st of the next; the lines have all usage, and both months agree."""
    product.open_account("acct-1", cash="2000.00", opened_at=MONTHLY_OPENED)
    buy(product)
    use(product, 1007, NOW)
    use(product, 7, NOW, "risk", **RISK)
    product.move("2025-05-01T09:00:00+08:00")
    for month in ("2025-03", "2025-04"):
        assert all(row["charged_at"].startswith(month) for row in resources(product, month, basis="charge"))
    by_usage = [
        (row["tag"], row["transaction_type"], row["raw_quantity"], row["deducted_quantity"], row["quantity"])
        for row in details(product, "2025-03")
        if row["tag"]
    ]
    assert sorted(by_usage) == [
        ("face_risk", "postpay_monthly", 7, 0, 7),
        (TAG, "postpay_monthly", 1007, 1000, 7),
        (TAG, "prepay_purchase", 1, 0, 1),
    ]
    books_agree(product, ["2025-03", "2025-04", "2025-05"])


def test_adjustments_stand_beside_them(metered: Product) -> None:
    """A charge in the usual order and a compensation to cash are rows of their own kind, and the books agree (D17)."""
    metered.top_up("acct-1", "5.00", "gift")
    for number, amount in enumerate(("-7.50", "3.00")):
        headers = {"Idempotency-Key": f"a{number}"}
        body = {"amount": amount, "reason": "x"}
        assert metered.request("POST", f"{A}/adjustments", body, headers=headers).status == 201
    buy(metered)
    metered.move(later(metered, hours=1))
    shown = [(row["total_cost"], row["gift"], row["cash"]) for row in resources(metered, transaction_type="adjustment")]
    assert shown == [("7.50", "5.00", "2.50"), ("-3.00", "0.00", "-3.00")]
    assert len(resources(metered, mode="prepaid")) == 1
    books_agree(metered, ["2025-03"])
