"""POST /v1/quotes (contract, Catalog, activities, quotes)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from rating import quotes
from tests.adapters.steps import at, tables
from tests.support.product import Product, Reply

TAG = "plus_authority_wechat"


def ask(product: Product, calls: Any, tag: Any = TAG, **more: Any) -> Reply:
    """A quote, as a customer."""
    body = {"tag": tag, "calls": calls, **more}
    return product.request("POST", "/v1/quotes", body, ("billing:read",), "nobody")


def fields(reply: Reply) -> set[str]:
    """The fields of an invalid request."""
    assert (reply.status, reply.code) == (422, "invalid_request"), reply.text
    return {error["field"] for error in reply.body["errors"]}


def test_the_answer_names_the_cheapest_way_and_what_the_others_cost(product: Product) -> None:
    """123,456 calls: one package of 100,000 and the rest postpaid save 10,000 yuan."""
    body = ask(product, 123_456).body
    best = {
        "total": "175184.00",
        "packages": [
            {"sku": f"{TAG}:100000", "calls": 100_000, "quantity": 1, "price": "140000.00", "amount": "140000.00"}
        ],
        "postpaid": {"calls": 23_456, "cost": "35184.00"},
    }
    alternatives = body.pop("alternatives")
    assert body == {"tag": TAG, "calls": 123_456, "price_list": "daily", "saving": "10000.00", **best}
    assert [(one["kind"], one["total"]) for one in alternatives] == [
        ("postpaid", "185184.00"),
        ("packages", "176000.00"),
        ("single", "185184.00"),
        ("single", "185184.00"),
        ("single", "175184.00"),
        ("single", "280000.00"),
        ("single", "675000.00"),
        ("single", "1300000.00"),
        ("mix", "175184.00"),
    ]
    assert alternatives[-1] == {"kind": "mix", **best}
    for one in alternatives:
        parts = [Decimal(package["amount"]) for package in one["packages"]]
        assert sum(parts, Decimal(one["postpaid"]["cost"])) == Decimal(one["total"])


def test_the_monthly_list_prices_the_rest_by_its_steps(product: Product) -> None:
    """120,000 calls are 10,000 a month: postpaid they cost the third step's price on the monthly list (D19)."""
    daily, monthly = (ask(product, 120_000, "bank_card_check", price_list=which).body for which in ("daily", "monthly"))
    assert daily["alternatives"][0]["total"] == "72000.00"
    assert monthly["alternatives"][0]["total"] == "43200.00"
    assert monthly["price_list"] == "monthly"
    flat = [ask(product, 1000, "face_risk", price_list=which).body["total"] for which in ("daily", "monthly")]
    assert flat == ["3.50", "3.50"]


def test_fractions_of_a_fen_are_rounded_for_the_answer_only(product: Product) -> None:
    """One call at 0.0035 yuan costs 0.00, three 0.01: half a fen is rounded up, and the total is the sum shown."""
    assert [ask(product, calls, "face_risk").body["total"] for calls in (1, 2, 3)] == ["0.00", "0.01", "0.01"]


def test_a_quote_is_of_todays_prices(product: Product) -> None:
    """A price of tomorrow counts from tomorrow on, and a mix of odd sizes beats each of them."""
    packages = [{"calls": 3, "price": "2.90"}, {"calls": 5, "price": "4.80"}, {"calls": 7, "price": "6.60"}]
    change = {"unit_price": "2.00", "packages": packages, "from": "2025-03-02"}
    assert product.request("PUT", "/v1/prices/face_risk", change).status == 200
    assert ask(product, 23, "face_risk").body["packages"] == []
    product.now = at("2025-03-02T00:00:00+08:00")
    body = ask(product, 23, "face_risk").body
    assert {package["calls"]: package["quantity"] for package in body["packages"]} == {3: 3, 7: 2}
    assert (body["total"], body["postpaid"]) == ("21.90", {"calls": 0, "cost": "0.00"})
    assert {one["kind"] for one in body["alternatives"] if one["total"] == "21.90"} == {"packages", "mix"}


@pytest.mark.parametrize("calls", [0, -1, 1.0, 1.5, "1", True, None, 10**9 + 1, [1]], ids=repr)
def test_what_is_no_number_of_calls(product: Product, calls: Any) -> None:
    """Calls are a whole number from 1 to a billion."""
    assert fields(ask(product, calls)) == {"calls"}


@pytest.mark.parametrize("calls", [1, 10**9])
def test_the_ends_of_the_calls(product: Product, calls: int) -> None:
    """One call and a billion are quoted."""
    assert ask(product, calls).body["calls"] == calls


@pytest.mark.parametrize("tag", ["nothing", "", "PLUS_AUTHORITY_WECHAT", None, 1], ids=repr)
def test_an_unknown_tag_is_an_invalid_request(product: Product, tag: Any) -> None:
    """The tag is a field of the body like the others."""
    assert fields(ask(product, 1, tag)) == {"tag"}


def test_other_bodies_are_refused(product: Product) -> None:
    """Unknown fields and lists are named, absent ones too."""
    assert fields(ask(product, 1, price_list="weekly")) == {"price_list"}
    assert fields(ask(product, 1, account_id="acct-1")) == {"account_id"}
    assert fields(product.request("POST", "/v1/quotes", {})) == {"tag", "calls"}
    assert product.request("POST", "/v1/quotes", "{").status == 400


def test_customers_and_the_operator_may_ask(product: Product) -> None:
    """Reading is enough, for any account or none; writing and metering are not; nothing is kept."""
    body = {"tag": TAG, "calls": 1}
    for scope in ("billing:read", "billing:admin"):
        assert product.request("POST", "/v1/quotes", body, (scope,)).status == 200
    for scope in ("billing:write", "usage:write", "openid"):
        assert product.request("POST", "/v1/quotes", body, (scope,), "acct-1").status == 403
    assert product.request("POST", "/v1/quotes", body, scopes=None).status == 401
    assert tables(product)["ledger"] == []


def test_an_offer_too_complex_for_an_exact_quote_is_refused(product: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    """No quote is better than one that may be wrong."""
    monkeypatch.setattr(quotes, "MAX_SUMS", 0)
    reply = ask(product, 123_456)
    assert (reply.status, reply.code) == (409, "offer_too_complex")
