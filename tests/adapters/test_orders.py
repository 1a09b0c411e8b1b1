"""POST and GET A/orders: what is bought, who pays, and what is refused without a trace (contract, Orders; D16, D17)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.adapters.prepaid import (
    FUNDS,
    OPENED,
    SKU,
    Interrupted,
    books_agree,
    buy,
    everything,
    give,
    give_back,
    journal,
    order,
    packages,
    payment,
    put_back,
    rows_of_orders,
    use,
    voucher,
    vouchers,
)
from tests.adapters.steps import NOW, A, at, balance, later, pages, resources, tables
from tests.support.product import CUSTOMER, Product, Reply

EXAMPLE = "enhanced_authority_wechat:100000"


def refused(product: Product, items: Any, **more: Any) -> tuple[int, str]:
    """(status, code) of an order that leaves no trace."""
    before = tables(product)
    reply = order(product, items, **more)
    assert reply.status >= 400, reply.text
    assert tables(product) == before
    return reply.status, reply.code


def one(sku: str = SKU, quantity: Any = 1) -> list[dict[str, Any]]:
    """Some pieces of one package."""
    return [{"sku": sku, "quantity": quantity}]


def rich(product: Product, **funds: str) -> None:
    """Put money into funds."""
    for fund, amount in funds.items():
        assert product.top_up("acct-1", amount, fund).status == 201


# --- what an order does -------------------------------------------------------------------------------------


def test_the_guides_first_example(metered: Product) -> None:
    """Three packages of 100,000 calls cost 300,000 yuan: paid, delivered at once, and on the bill one by one."""
    rich(metered, cash="299000.00")
    reply = order(metered, one(EXAMPLE, 3))
    assert reply.status == 201
    body = reply.body
    assert (body["status"], body["amount"], body["payment"]) == (
        "delivered",
        "300000.00",
        {"voucher": "0.00", "gift": "0.00", "income_transfer": "0.00", "cash": "300000.00"},
    )
    assert balance(metered)["available"] == "0.00"
    found = packages(metered)
    assert [(one["total"], one["remaining"], one["status"]) for one in found] == [(100_000, 100_000, "active")] * 3
    assert len({one["resource_id"] for one in found}) == len({one["package_id"] for one in found}) == 3
    assert [one["package_id"] for one in found] == [one["package_id"] for one in body["packages"]]
    bills = resources(metered, mode="prepaid")
    assert [row["total_cost"] for row in bills] == ["100000.00"] * 3
    assert {row["resource_id"] for row in bills} == {one["resource_id"] for one in found}
    assert journal(metered)[-1] == ("order", "cash", "-300000.00")
    books_agree(metered, ["2025-03"])


def test_an_order_says_all_that_the_contract_names(metered: Product) -> None:
    """The answer, the list and the single read tell the same: what was bought, for how much, and until when."""
    reply = order(metered, one())
    body = reply.body
    assert {"order_id", "status", "amount", "payment", "packages"} <= set(body)
    assert reply.headers["content-type"] == "application/json"
    assert metered.get(f"{A}/orders/{body['order_id']}").body == body
    assert rows_of_orders(metered) == [body]
    (package,) = body["packages"]
    assert (package["obtained_at"], package["expires_at"]) == (NOW, "2026-03-01T23:59:59+08:00")
    (shown,) = packages(metered)
    expected = {
        "package_id": package["package_id"],
        "resource_id": package["resource_id"],
        "tag": "identity_check",
        "source": "purchase",
        "total": 1000,
        "remaining": 1000,
        "used": 0,
        "obtained_at": NOW,
        "expires_at": "2026-03-01T23:59:59+08:00",
        "status": "active",
        "order_id": body["order_id"],
        "refundable": True,
        "refund_blocked_by": None,
    }
    assert {name: shown[name] for name in expected} == expected


def test_several_kinds_of_packages_in_one_order(metered: Product) -> None:
    """Items of several tags and sizes, a SKU named twice too, are one order of one package a piece."""
    items = [*one(SKU, 2), *one("basic_uploaded:1000"), *one(SKU)]
    assert refused(metered, items) == (402, "insufficient_balance")
    rich(metered, cash="45.00")
    body = order(metered, items).body
    assert (body["amount"], balance(metered)["cash"]) == ("1045.00", "0.00")
    assert sorted((package["sku"], package["amount"]) for package in body["packages"]) == [
        ("basic_uploaded:1000", "145.00"),
        *[(SKU, "300.00")] * 3,
    ]
    assert [package["package_id"] for package in packages(metered, tag="basic_uploaded")] == [
        package["package_id"] for package in body["packages"] if package["tag"] == "basic_uploaded"
    ]


def test_voucher_gift_income_and_cash_pay_in_that_order(metered: Product) -> None:
    """Each fund pays what it has before the next, and every package gets its share to the fen (D16)."""
    rich(metered, gift="200.00", income_transfer="100.00")
    body = order(metered, one(quantity=3), voucher_id=voucher(metered, "100.00")).body
    assert payment(body["payment"]) == (100, 200, 100, 500)
    # In proportion, floored to the fen, the remainder on the last by id; each package adds up to its price.
    expected = [("33.33", "66.66", "33.33", "166.68")] * 2 + [("33.34", "66.68", "33.34", "166.64")]
    by_id = sorted(body["packages"], key=lambda package: str(package["package_id"]))
    assert [tuple(package["payment"][fund] for fund in FUNDS) for package in by_id] == expected
    assert [sum(payment(package["payment"])) for package in by_id] == [Decimal("300.00")] * 3
    assert journal(metered)[-4:] == [
        ("order", "voucher", "-100.00"),
        ("order", "gift", "-200.00"),
        ("order", "income_transfer", "-100.00"),
        ("order", "cash", "-500.00"),
    ]
    rows = resources(metered)
    assert sorted(tuple(row[fund] for fund in FUNDS) for row in rows) == sorted(expected)
    books_agree(metered, ["2025-03"])


@pytest.mark.parametrize(
    "funds, paid",
    [
        ({"gift": "300.00"}, ("0.00", "300.00", "0.00", "0.00")),
        ({"gift": "299.99"}, ("0.00", "299.99", "0.00", "0.01")),
        ({"income_transfer": "300.01"}, ("0.00", "0.00", "300.00", "0.00")),
        ({"gift": "0.01", "income_transfer": "299.99"}, ("0.00", "0.01", "299.99", "0.00")),
    ],
)
def test_cash_pays_only_what_the_others_leave(metered: Product, funds: dict[str, str], paid: tuple[str, ...]) -> None:
    """A fund that suffices leaves the later ones alone."""
    rich(metered, **funds)
    body = order(metered, one()).body
    assert tuple(body["payment"][fund] for fund in FUNDS) == paid


def test_the_price_is_that_of_the_day(metered: Product) -> None:
    """A new offer holds from its day on: yesterday's package is unknown then, and what was bought stays (D20)."""
    change = {"packages": [{"calls": 500, "price": "99.99"}], "from": "2025-03-02"}
    assert metered.request("PUT", "/v1/prices/identity_check", change).status == 200
    assert refused(metered, one("identity_check:500")) == (422, "unknown_sku")
    buy(metered)
    metered.move("2025-03-02T00:00:00+08:00")
    assert refused(metered, one()) == (422, "unknown_sku")
    assert order(metered, one("identity_check:500")).body["amount"] == "99.99"
    assert [package["total"] for package in packages(metered)] == [1000, 500]


# --- vouchers -----------------------------------------------------------------------------------------------


def test_a_voucher_for_one_use_is_gone_after_it(metered: Product) -> None:
    """What a single use leaves over is lost, and a second order cannot take it (facts.md 3.5)."""
    chosen = voucher(metered, "400.00", single_use=True)
    body = order(metered, one(), voucher_id=chosen).body
    assert payment(body["payment"]) == (300, 0, 0, 0)
    assert vouchers(metered)[chosen] == ("0.00", "used")
    assert balance(metered)["cash"] == "1000.00"
    assert refused(metered, one(), voucher_id=chosen) == (422, "voucher_not_applicable")
    books_agree(metered, ["2025-03"])


def test_a_voucher_for_several_uses_pays_until_it_is_empty(metered: Product) -> None:
    """Its remainder pays again, then cash pays the rest, then it fits no more."""
    chosen = voucher(metered, "400.00", single_use=False)
    assert payment(order(metered, one(), voucher_id=chosen).body["payment"]) == (300, 0, 0, 0)
    assert vouchers(metered)[chosen] == ("100.00", "active")
    assert payment(order(metered, one(), voucher_id=chosen).body["payment"]) == (100, 0, 0, 200)
    assert vouchers(metered)[chosen] == ("0.00", "used")
    assert refused(metered, one(), voucher_id=chosen) == (422, "voucher_not_applicable")
    books_agree(metered, ["2025-03"])


def test_a_voucher_does_not_count_as_balance(metered: Product) -> None:
    """It helps to pay its own order: with it the balance suffices, without it not."""
    chosen = voucher(metered, "500.00")
    items = one(quantity=5)
    assert refused(metered, items) == (402, "insufficient_balance")
    assert payment(order(metered, items, voucher_id=chosen).body["payment"]) == (500, 0, 0, 1000)
    assert balance(metered)["available"] == "0.00"


def test_the_threshold_is_reached_by_what_is_paid(metered: Product) -> None:
    """A threshold of exactly the price fits, one of a fen more does not; with an activity the reduced price counts."""
    fits, misses = voucher(metered, "10.00", threshold="300.00"), voucher(metered, "10.00", threshold="300.01")
    assert refused(metered, one(), voucher_id=misses) == (422, "voucher_not_applicable")
    activity(metered, package_rate="0.9")
    assert refused(metered, one(), voucher_id=fits, activity_id="spring") == (422, "voucher_not_applicable")
    assert payment(order(metered, one(), voucher_id=fits).body["payment"]) == (10, 0, 0, 290)


def test_vouchers_that_do_not_fit(metered: Product) -> None:
    """Another scene, another account's, an expired or unknown one: 422 and nothing happens."""
    metered.open_account("acct-2", opened_at=OPENED)
    foreign = [voucher(metered, "10.00", account_id="acct-2") for _ in range(4)][-1]
    postpaid = voucher(metered, "10.00", "postpaid")
    expiring = voucher(metered, "10.00", expires_at="2025-03-01T12:00:00+08:00")
    for voucher_id in (foreign, postpaid, "voucher-1", "#", "账"):
        assert refused(metered, one(), voucher_id=voucher_id) == (422, "voucher_not_applicable")
    metered.now = at("2025-03-01T12:00:00+08:00")
    assert refused(metered, one(), voucher_id=expiring) == (422, "voucher_not_applicable")
    metered.now = at("2025-03-01T11:59:59+08:00")
    assert order(metered, one(), voucher_id=expiring).status == 201


def test_a_prepaid_voucher_never_pays_usage(metered: Product) -> None:
    """Settlement takes postpaid vouchers alone, orders only prepaid ones that they name."""
    prepaid = voucher(metered, "10.00")
    postpaid = voucher(metered, "1.00", "postpaid")
    use(metered, 10, NOW)
    assert payment(order(metered, one()).body["payment"])[0] == 0
    metered.move("2025-03-02T08:00:00+08:00")
    assert vouchers(metered) == {prepaid: ("10.00", "active"), postpaid: ("1.00", "active")}


# --- activities ---------------------------------------------------------------------------------------------


def activity(product: Product, activity_id: str = "spring", **change: Any) -> None:
    """An activity of March that takes a fifth off."""
    body = {"from": "2025-03-01", "until": "2025-04-01", "package_rate": "0.8", **change}
    reply = product.request("PUT", f"/v1/activities/{activity_id}", body)
    assert reply.status == 200, reply.text


def test_an_activity_reduces_the_price(metered: Product) -> None:
    """The list price times the rate, rounded half-up to the fen a piece; the bill names list price and rate."""
    activity(metered, package_rate="0.3333")
    body = order(metered, one("basic_uploaded:1000", 2), activity_id="spring").body
    # 145.00 x 0.3333 = 48.3285
    assert (body["amount"], [package["amount"] for package in body["packages"]]) == ("96.66", ["48.33"] * 2)
    assert body["activity_id"] == "spring"
    row, _ = resources(metered)
    assert (row["original_cost"], row["discount_rate"], row["total_cost"]) == ("145.00", "0.3333", "48.33")
    books_agree(metered, ["2025-03"])


def test_an_activity_holds_on_its_days_only(metered: Product) -> None:
    """From 00:00 of its first day to the end of the day before `until`; outside it the order is refused."""
    activity(metered, **{"from": "2025-03-02", "until": "2025-03-03"})
    moments = [
        ("2025-03-01T23:59:59+08:00", False),
        ("2025-03-02T00:00:00+08:00", True),
        ("2025-03-02T23:59:59+08:00", True),
        ("2025-03-03T00:00:00+08:00", False),
    ]
    for moment, held in moments:
        metered.move(moment)
        if held:
            assert order(metered, one(), activity_id="spring").body["amount"] == "240.00"
        else:
            assert refused(metered, one(), activity_id="spring") == (422, "activity_not_applicable")


def test_an_activity_is_for_its_tags_only(metered: Product) -> None:
    """Every tag of the order must be the activity's, and an unknown activity is none."""
    activity(metered, tags=["basic_uploaded"])
    mixed = [*one(), *one("basic_uploaded:1000")]
    for items in (one(), mixed):
        assert refused(metered, items, activity_id="spring") == (422, "activity_not_applicable")
    assert refused(metered, one(), activity_id="summer") == (422, "activity_not_applicable")
    assert order(metered, one("basic_uploaded:1000"), activity_id="spring").body["amount"] == "116.00"


# --- refusals -----------------------------------------------------------------------------------------------


def test_without_enough_balance_nothing_is_ordered(metered: Product) -> None:
    """A fen too little is 402; with it the order takes the balance to exactly zero, not below (D17)."""
    rich(metered, cash="199.99")
    assert refused(metered, one(quantity=4)) == (402, "insufficient_balance")
    rich(metered, gift="0.01")
    assert order(metered, one(quantity=4)).status == 201
    assert balance(metered)["available"] == "0.00"
    assert metered.get(A).body["arrears"] is None
    assert refused(metered, one()) == (402, "insufficient_balance")


def test_in_arrears_nothing_can_be_ordered(metered: Product) -> None:
    """Below zero an order is 409, even one that a voucher would pay; 422 comes before it and 402 after it."""
    chosen = voucher(metered, "300.00")
    use(metered, 4000, NOW)
    metered.move("2025-03-02T08:00:00+08:00")
    assert balance(metered)["available"] == "-200.00"
    assert refused(metered, one()) == (409, "account_in_arrears")
    assert refused(metered, one(), voucher_id=chosen) == (409, "account_in_arrears")
    assert refused(metered, one("nothing:1")) == (422, "unknown_sku")
    assert refused(metered, one(), voucher_id="voucher-1") == (422, "voucher_not_applicable")
    assert refused(metered, one(), activity_id="none") == (422, "activity_not_applicable")
    metered.top_up("acct-1", "200.00")
    assert refused(metered, one()) == (402, "insufficient_balance")
    assert order(metered, one(), voucher_id=chosen).status == 201


def test_a_violation_refuses_orders(metered: Product) -> None:
    """While a violation stop is in force nothing can be ordered (D22); afterwards it can."""
    metered.request("PUT", f"{A}/violation", {"active": True, "reason": "x"})
    assert refused(metered, one())[0] == 409
    metered.request("PUT", f"{A}/violation", {"active": False, "reason": "x"})
    assert order(metered, one()).status == 201


@pytest.mark.parametrize("applied", [False, True])
def test_before_the_service_is_open_nothing_can_be_ordered(product: Product, applied: bool) -> None:  # noqa: FBT001
    """Not open is 403 `service_not_open`, before the body is looked at."""
    product.request("POST", "/v1/accounts", {"account_id": "acct-1", "name": "Example"})
    product.top_up("acct-1", "1000.00")
    if applied:
        product.request("POST", f"{A}/service/application", {"purpose": "x"})
    for items in (one(), one("nothing:1"), one(quantity=-1), "nonsense", []):
        assert refused(product, items) == (403, "service_not_open")


SKUS = [
    "identity_check:999",
    "identity_check:01000",
    "identity_check: 1000",
    "identity_check",
    "identity_check:",
    ":1000",
    "no_such_tag:1000",
    "face_risk:1000",
    "nfc_document:1000",
    "IDENTITY_CHECK:1000",
    "identity_check:1000:1",
    "账:1000",
]


@pytest.mark.parametrize("sku", SKUS)
def test_what_is_not_on_sale(metered: Product, sku: str) -> None:
    """A SKU that is not in the catalog is 422 `unknown_sku`, also beside one that is."""
    assert refused(metered, one(sku)) == (422, "unknown_sku")
    assert refused(metered, [*one(), *one(sku)]) == (422, "unknown_sku")


@pytest.mark.parametrize("quantity", [0, -1, 21, 10**9, 10**30, 1.0, 1.5, "1", True, False, None, [1], {}], ids=repr)
def test_quantities_that_are_none(metered: Product, quantity: Any) -> None:
    """A quantity is an integer of 1 to 20; nothing else is converted into one."""
    assert refused(metered, one(quantity=quantity)) == (422, "invalid_request")


def test_twenty_packages_are_the_most(metered: Product) -> None:
    """Twenty in all are an order, twenty-one are not, however they are spread over items."""
    rich(metered, cash="10000.00")
    assert refused(metered, [*one(quantity=20), *one()]) == (422, "invalid_request")
    assert refused(metered, one() * 21) == (422, "invalid_request")
    found = order(metered, [*one(quantity=19), *one("basic_uploaded:1000")]).body
    assert (len(found["packages"]), found["amount"]) == (20, "5845.00")
    assert len({package["package_id"] for package in found["packages"]}) == 20


BODIES: list[Any] = [
    {},
    {"items": []},
    {"items": None},
    {"items": {}},
    {"items": [{}]},
    {"items": ["identity_check:1000"]},
    {"items": [{"sku": SKU}]},
    {"items": [{"quantity": 1}]},
    {"items": [{"sku": 1000, "quantity": 1}]},
    {"items": [{"sku": "", "quantity": 1}]},
    {"items": [{"sku": "x" * 5000, "quantity": 1}]},
    {"items": [{"sku": SKU, "quantity": 1, "price": "0.01"}]},
    {"items": [{"sku": SKU, "quantity": 1}], "amount": "0.01"},
    {"items": [{"sku": SKU, "quantity": 1}], "voucher_id": 1},
    {"items": [{"sku": SKU, "quantity": 1}], "voucher_id": ""},
    {"items": [{"sku": SKU, "quantity": 1}], "voucher_id": "x" * 5000},
    {"items": [{"sku": SKU, "quantity": 1}], "activity_id": ["spring"]},
]


@pytest.mark.parametrize("body", BODIES, ids=lambda body: repr(body)[:60])
def test_bodies_that_are_no_order(metered: Product, body: Any) -> None:
    """What is missing, unknown or of another type is 422 with the field, and leaves no trace."""
    before = tables(metered)
    reply = metered.request("POST", f"{A}/orders", body, CUSTOMER, "acct-1", {"Idempotency-Key": "k"})
    assert (reply.status, reply.code) == (422, "invalid_request"), reply.text
    assert reply.body["errors"]
    assert tables(metered) == before


@pytest.mark.parametrize("verified", [False, True])
def test_eid_packages_are_for_enterprises(product: Product, verified: bool) -> None:  # noqa: FBT001
    """E证通 can be ordered by an enterprise-verified account alone (D13)."""
    product.open_account("acct-1", cash="2000.00", opened_at=OPENED)
    if verified:
        assert product.request("PATCH", A, {"enterprise_verified": True}).status == 200
        assert order(product, one("eid_authority:1000")).status == 201
    else:
        assert refused(product, one("eid_authority:1000")) == (403, "enterprise_verification_required")
        assert refused(product, [*one(), *one("eid_authority:1000")]) == (403, "enterprise_verification_required")


# --- keys ---------------------------------------------------------------------------------------------------


def with_key(product: Product, key: str | None, body: Any) -> Reply:
    """An order with exactly this key."""
    headers = {} if key is None else {"Idempotency-Key": key}
    return product.request("POST", f"{A}/orders", body, CUSTOMER, "acct-1", headers)


def test_an_order_needs_a_key(metered: Product) -> None:
    """Without one, or with an empty one, 400; with one of more than 255 characters 422."""
    before = tables(metered)
    for key in (None, ""):
        reply = with_key(metered, key, {"items": one()})
        assert (reply.status, reply.code) == (400, "idempotency_key_missing")
    assert with_key(metered, "k" * 256, {"items": one()}).status == 422
    assert tables(metered) == before
    assert with_key(metered, "k" * 255, {"items": one()}).status == 201


def test_the_same_order_again_is_the_first_answer(metered: Product) -> None:
    """Byte for byte and without another effect, long after balance, voucher and activity are gone."""
    activity(metered, until="2025-03-02")
    chosen = voucher(metered, "40.00", single_use=True)
    body = {"items": one(quantity=4), "voucher_id": chosen, "activity_id": "spring"}
    first = with_key(metered, "k", body)
    assert first.status == 201
    assert "idempotent-replayed" not in first.headers
    metered.request("POST", f"{A}/adjustments", {"amount": "-500.00", "reason": "x"}, headers={"Idempotency-Key": "a"})
    metered.move("2025-04-15T10:00:00+08:00")
    assert metered.get(A).body["status"] == "released" or metered.get(A).body["arrears"] is not None
    before = tables(metered)
    again = with_key(metered, "k", {name: body[name] for name in reversed(body)})
    assert (again.status, again.text) == (201, first.text)
    assert again.headers["idempotent-replayed"] == "true"
    assert tables(metered) == before


def test_an_order_is_answered_again_though_it_would_be_forbidden_now(product: Product) -> None:
    """The first answer is for good, also where the account is no enterprise any more."""
    product.open_account("acct-1", cash="2000.00", opened_at=OPENED)
    assert product.request("PATCH", A, {"enterprise_verified": True}).status == 200
    body = {"items": one("eid_authority:1000")}
    first = with_key(product, "k", body)
    assert first.status == 201
    assert product.request("PATCH", A, {"enterprise_verified": False}).status == 200
    again = with_key(product, "k", body)
    assert (again.status, again.text, again.headers["idempotent-replayed"]) == (201, first.text, "true")
    reply = with_key(product, "another", body)
    assert (reply.status, reply.code) == (403, "enterprise_verification_required")


def test_a_key_is_not_for_two_orders(metered: Product) -> None:
    """The same key with another body is 422, with another quantity or voucher too; another account may use it."""
    assert with_key(metered, "k", {"items": one()}).status == 201
    before = tables(metered)
    others = [{"items": one(quantity=2)}, {"items": one("basic_uploaded:1000")}, {"items": one(), "voucher_id": "v"}]
    for body in others:
        reply = with_key(metered, "k", body)
        assert (reply.status, reply.code) == (422, "idempotency_key_reused")
    assert tables(metered) == before
    metered.open_account("acct-2", cash="300.00", opened_at=OPENED)
    assert order(metered, one(), key="k", account_id="acct-2").status == 201


def test_after_a_refusal_the_key_is_free(metered: Product) -> None:
    """Only successes are kept: the same key orders once the money is there, or something else."""
    assert with_key(metered, "k", {"items": one(quantity=4)}).status == 402
    rich(metered, cash="200.00")
    assert with_key(metered, "k", {"items": one(quantity=4)}).status == 201
    assert with_key(metered, "m", {"items": one()}).status == 402
    rich(metered, cash="145.00")
    assert with_key(metered, "m", {"items": one("basic_uploaded:1000")}).status == 201


def test_one_key_is_for_one_route(metered: Product) -> None:
    """The key of an order may be that of a payment: keys are kept per route."""
    assert with_key(metered, "k", {"items": one()}).status == 201
    assert metered.top_up("acct-1", "1.00", key="k").status == 201
    grant = {"tag": "identity_check", "calls": 1, "reason": "x"}
    assert metered.request("POST", f"{A}/packages", grant, headers={"Idempotency-Key": "k"}).status == 201


# --- reading ------------------------------------------------------------------------------------------------


def test_orders_are_listed_oldest_first_in_pages(metered: Product) -> None:
    """Purchases and refunds by time, every one once, however long the pages are."""
    rich(metered, cash="1000.00")
    bought = []
    for _ in range(4):
        bought += buy(metered)
        metered.now = at(later(metered, minutes=5))
        path = f"{A}/packages/{bought[-1]}/refund"
        metered.request("POST", path, {}, CUSTOMER, "acct-1", {"Idempotency-Key": bought[-1]})
        metered.move(later(metered, minutes=5))
    everything = rows_of_orders(metered)
    assert [one["kind"] for one in everything] == ["purchase", "refund"] * 4
    assert [one["created_at"] for one in everything] == sorted(one["created_at"] for one in everything)
    assert [one["status"] for one in everything] == ["refunded"] * 8
    assert sum(Decimal(one["amount"]) for one in everything) == 0
    for limit in (1, 3, 8):
        assert [row for page in pages(metered, f"{A}/orders", limit) for row in page] == everything
    for shown in everything:
        assert metered.get(f"{A}/orders/{shown['order_id']}").body == shown


def test_what_was_made_in_one_second_is_listed_as_it_was_made(metered: Product) -> None:
    """Purchases, refunds and gifts of a second stand in the order in which they came."""
    rich(metered, cash="1000.00")
    (first,) = buy(metered)
    given = give(metered, 5)
    assert give_back(metered, first).status == 202
    (second,) = buy(metered)
    assert [one["kind"] for one in rows_of_orders(metered)] == ["purchase", "refund", "purchase"]
    assert [one["package_id"] for one in packages(metered)] == [first, given, second]


@pytest.mark.parametrize("order_id", ["order-1", "nothing", "%23", "0%23account", "x" * 5000, "账", "%22", "a%3Fb"])
def test_an_order_that_is_not_there(metered: Product, order_id: str) -> None:
    """404, whatever the id looks like."""
    reply = metered.get(f"{A}/orders/{order_id}")
    assert (reply.status, reply.code) in {(404, "order_not_found"), (404, "route_not_found")}


def test_another_accounts_order_is_not_there(metered: Product) -> None:
    """An order is its own account's: for another one it does not exist."""
    metered.open_account("acct-2", cash="1000.00", opened_at=OPENED)
    for _ in range(3):
        reply = order(metered, one(), account_id="acct-2")
    assert reply.status == 201
    answered = metered.get(f"{A}/orders/{reply.body['order_id']}")
    assert (answered.status, answered.code) == (404, "order_not_found")
    assert rows_of_orders(metered) == []


def test_orders_show_no_grants(metered: Product) -> None:
    """What was given is a package and no order."""
    grant = {"tag": "identity_check", "calls": 1, "reason": "x"}
    body = metered.request("POST", f"{A}/packages", grant, headers={"Idempotency-Key": "k"}).body
    assert rows_of_orders(metered) == []
    assert (body["source"], body["order_id"]) == ("gift", None)


# --- at the same time ---------------------------------------------------------------------------------------


def test_an_order_while_a_run_settles(metered: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whenever a run takes the money in between, the order is either before it or refused after it."""
    use(metered, 3000, NOW)
    metered.now = at("2025-03-02T08:00:00+08:00")
    stored, interrupted = everything(metered), Interrupted(monkeypatch)
    interrupted.what = metered.run
    for number in range(100):
        put_back(metered, stored)
        interrupted.start(number)
        reply = order(metered, one(), key="k")
        interrupted.stop()
        if interrupted.calls <= number:
            assert reply.status == 201
            break
        assert (reply.status, reply.code) == (402, "insufficient_balance"), number
        assert (packages(metered), balance(metered)["available"]) == ([], "100.00")
        books_agree(metered, ["2025-03"])
    assert number > 1


def test_two_orders_for_the_last_yuan(metered: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whenever another order comes in between, one is delivered and the other refused for want of money."""
    stored, interrupted = everything(metered), Interrupted(monkeypatch)
    for number in range(100):
        put_back(metered, stored)
        between: list[Reply] = []
        interrupted.what = lambda: between.append(order(metered, one(quantity=3), key="other"))  # noqa: B023
        interrupted.start(number)
        reply = order(metered, one(quantity=2), key="k")
        interrupted.stop()
        if interrupted.calls <= number:
            break
        assert (reply.status, between[0].status) == (402, 201), number
        assert len(packages(metered)) == 3
        assert balance(metered)["available"] == "100.00"
        books_agree(metered, ["2025-03"])
    assert number > 1


def test_one_order_sent_twice_at_the_same_time(metered: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same key twice at once is one order; both hear the same answer though the money is gone."""
    stored, interrupted = everything(metered), Interrupted(monkeypatch)
    for number in range(100):
        put_back(metered, stored)
        between: list[Reply] = []
        interrupted.what = lambda: between.append(order(metered, one(quantity=3), key="k"))  # noqa: B023
        interrupted.start(number)
        reply = order(metered, one(quantity=3), key="k")
        interrupted.stop()
        if interrupted.calls <= number:
            break
        assert (reply.status, reply.text) == (201, between[0].text), number
        assert len(packages(metered)) == 3
    assert number > 1
