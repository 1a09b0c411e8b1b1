"""GET and POST A/packages: what there is, what is left of it now, and gifts (contract, Orders; D9 to D12, D23)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.adapters.prepaid import OPENED, SKU, TAG, buy, give, give_back, package_days, packages, use
from tests.adapters.steps import NOW, A, at, pages, tables
from tests.support.product import CUSTOMER, OPERATOR, Product, Reply

FIELDS = {
    "package_id",
    "resource_id",
    "tag",
    "name",
    "source",
    "total",
    "remaining",
    "used",
    "used_percent",
    "obtained_at",
    "expires_at",
    "status",
    "order_id",
    "refundable",
    "refund_blocked_by",
}


def post(product: Product, key: str | None = "k", scopes: tuple[str, ...] = OPERATOR, **body: Any) -> Reply:
    """POST A/packages."""
    given = {"tag": TAG, "calls": 100, "reason": "sorry", **body}
    headers = {} if key is None else {"Idempotency-Key": key}
    return product.request("POST", f"{A}/packages", given, scopes, "acct-1", headers)


def find(product: Product, package_id: str) -> dict[str, Any]:
    """One package of the list."""
    (found,) = [one for one in packages(product) if one["package_id"] == package_id]
    return found


def state(product: Product, package_id: str) -> tuple[str, int, int]:
    """(status, remaining, used) of a package."""
    found = find(product, package_id)
    return found["status"], found["remaining"], found["used"]


# --- gifts --------------------------------------------------------------------------------------------------


def test_a_gift_is_delivered_at_once(metered: Product) -> None:
    """The operator gives calls without money; they end one year later to the second, that second included (D11)."""
    metered.now = at("2025-03-01T11:00:37.9+08:00")
    before = metered.get(A).body["balance"]
    reply = post(metered)
    assert reply.status == 201
    assert set(reply.body) >= FIELDS
    expected = {
        "tag": TAG,
        "source": "gift",
        "total": 100,
        "remaining": 100,
        "used": 0,
        "obtained_at": "2025-03-01T11:00:37+08:00",
        "expires_at": "2026-03-01T11:00:37+08:00",
        "status": "active",
        "order_id": None,
        "refundable": False,
        "refund_blocked_by": "not_purchased",
    }
    assert {name: reply.body[name] for name in expected} == expected
    assert packages(metered) == [reply.body]
    assert metered.get(A).body["balance"] == before
    assert metered.get(f"{A}/bills/resources", month="2025-03").body["items"] == []


@pytest.mark.parametrize(
    "body",
    [
        *[{"calls": calls} for calls in (0, -1, 1.0, 1.5, "1", True, None, 10**30)],
        *[{"tag": tag} for tag in ("no_such_tag", "", None, 1, "IDENTITY_CHECK", "identity_check ")],
        *[{"reason": reason} for reason in ("", None, 1, "x" * 10_000)],
        {"expires_at": NOW},
    ],
    ids=lambda body: repr(body)[:50],
)
def test_gifts_that_are_none(metered: Product, body: dict[str, Any]) -> None:
    """Calls are a whole number above zero, the tag is one of the catalog, and there is a reason."""
    before = tables(metered)
    reply = post(metered, **body)
    assert (reply.status, reply.code) == (422, "invalid_request"), reply.text
    assert tables(metered) == before


def test_a_gift_is_given_once_per_key(metered: Product) -> None:
    """Again with its key it is the first answer, also when all of it is used; another body with it is refused."""
    assert (post(metered, None).status, post(metered, None).code) == (400, "idempotency_key_missing")
    first = post(metered)
    use(metered, 150, NOW)
    metered.move("2025-03-03T10:00:00+08:00")
    before = tables(metered)
    again = post(metered)
    assert (again.status, again.text, again.headers["idempotent-replayed"]) == (201, first.text, "true")
    other = post(metered, calls=101)
    assert (other.status, other.code) == (422, "idempotency_key_reused")
    assert tables(metered) == before
    assert len(packages(metered)) == 1


def test_gifts_are_the_operators(metered: Product) -> None:
    """A customer cannot give, whatever the scopes."""
    before = tables(metered)
    assert post(metered, scopes=CUSTOMER).status == 403
    assert tables(metered) == before


# --- validity -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "bought_at, ends",
    [
        ("2024-02-29T10:00:00+08:00", "2025-02-28T23:59:59+08:00"),
        ("2024-02-28T23:59:59+08:00", "2025-02-28T23:59:59+08:00"),
        ("2023-02-28T00:00:00+08:00", "2024-02-28T23:59:59+08:00"),
        ("2023-03-01T00:00:00+08:00", "2024-03-01T23:59:59+08:00"),
        ("2024-12-31T23:59:59+08:00", "2025-12-31T23:59:59+08:00"),
        ("2024-12-31T16:30:00+00:00", "2026-01-01T23:59:59+08:00"),
    ],
)
def test_a_bought_package_ends_with_its_anniversary(product: Product, bought_at: str, ends: str) -> None:
    """At 23:59:59 of the day a year on, on 28 February after a 29th, and by Shanghai's clock (D1, D11)."""
    product.now = at(bought_at)
    product.open_account("acct-1", cash="300.00", opened_at="2023-01-10T00:00:00+08:00")
    (package_id,) = buy(product)
    assert find(product, package_id)["expires_at"] == ends
    product.now = at(ends)
    assert state(product, package_id) == ("active", 1000, 0)
    product.now = at(ends).replace(microsecond=999_999)
    assert state(product, package_id) == ("active", 1000, 0)
    product.now = at(f"{int(ends[:4]) + 1}{ends[4:]}")
    assert state(product, package_id) == ("expired", 1000, 0)


def test_a_package_of_the_29th_of_february_serves_to_the_28th(product: Product) -> None:
    """Bought on 29 February 2024 it takes the last call of 28 February 2025 and none of 1 March (D11)."""
    product.now = at("2024-02-29T10:00:00+08:00")
    product.open_account("acct-1", cash="300.00", opened_at="2023-01-10T00:00:00+08:00")
    (package_id,) = buy(product)
    product.now = at("2025-03-01T00:00:10+08:00")
    use(product, 5, "2025-02-28T23:59:59.999+08:00")
    use(product, 7, "2025-03-01T00:00:00+08:00")
    assert state(product, package_id) == ("expired", 995, 5)
    product.move("2025-03-02T09:00:00+08:00")
    assert state(product, package_id) == ("expired", 995, 5)
    assert package_days(product, package_id) == {"2025-02-28": 5}
    assert product.get(A).body["balance"]["cash"] == "-2.10"


def test_packages_keep_their_own_ends(metered: Product) -> None:
    """Stacked packages are neither extended nor joined (D12)."""
    metered.now = at("2025-03-01T12:00:00+08:00")
    first, second = buy(metered, quantity=2)
    metered.move("2025-03-05T12:00:00+08:00")
    (third,) = buy(metered)
    ends = {package["package_id"]: package["expires_at"][:10] for package in packages(metered)}
    assert ends == {first: "2026-03-01", second: "2026-03-01", third: "2026-03-05"}


# --- what is left -------------------------------------------------------------------------------------------


def test_what_is_left_is_live(metered: Product) -> None:
    """A call is deducted as soon as it is counted; the run writes what the view showed (D10)."""
    (package_id,) = buy(metered)
    use(metered, 125, NOW)
    assert state(metered, package_id) == ("active", 875, 125)
    assert find(metered, package_id)["used_percent"] == 12.5
    assert package_days(metered, package_id) == {"2025-03-01": 125}
    metered.move("2025-03-02T09:00:00+08:00")
    assert state(metered, package_id) == ("active", 875, 125)
    use(metered, 875, "2025-03-02T09:00:00+08:00")
    assert state(metered, package_id) == ("exhausted", 0, 1000)
    assert package_days(metered, package_id) == {"2025-03-01": 125, "2025-03-02": 875}
    metered.move("2025-03-03T09:00:00+08:00")
    for moment in ("2025-03-03T09:00:00+08:00", "2026-03-02T00:00:00+08:00"):
        metered.now = at(moment)
        assert state(metered, package_id) == ("exhausted", 0, 1000)
        assert find(metered, package_id)["used_percent"] == 100
        assert package_days(metered, package_id) == {"2025-03-01": 125, "2025-03-02": 875}
    assert metered.get(A).body["balance"]["cash"] == "700.00"


def test_calls_that_are_not_charged_take_nothing(metered: Product) -> None:
    """Results that are free, and other tags' calls, leave a package alone (D6, D9)."""
    (package_id,) = buy(metered)
    use(metered, 10, NOW, "free", code="-2")
    use(metered, 10, NOW, "other", interface="api.phone_2e")
    metered.move("2025-03-02T09:00:00+08:00")
    assert state(metered, package_id) == ("active", 1000, 0)


def test_each_state_a_package_can_be_in(metered: Product) -> None:
    """Active, exhausted, expired and refunded packages are found by their status."""
    old = give(metered, 50, "basic_uploaded")
    metered.now = at("2026-02-25T09:00:00+08:00")
    exhausted, refunded, active = give(metered, 3), *buy(metered, quantity=2)
    assert give_back(metered, refunded).status == 202
    metered.now = at("2026-03-01T10:00:01+08:00")
    use(metered, 5, "2026-03-01T09:00:00+08:00")
    states = {"expired": old, "exhausted": exhausted, "refunded": refunded, "active": active}
    for status, package_id in states.items():
        assert [one["package_id"] for one in packages(metered, status=status)] == [package_id]
    assert packages(metered, status="released") == []
    assert state(metered, refunded)[1] == 0


def test_a_release_ends_what_is_left(metered: Product) -> None:
    """30 days after the stop packages are over; paying later re-opens the service without them (D23)."""
    (package_id,) = buy(metered)
    use(metered, 100, NOW)
    use(metered, 2000, NOW, interface="api.phone_2e")
    metered.move("2025-03-02T08:00:00+08:00")
    assert metered.get(A).body["arrears"]["releases_at"] == "2025-04-02T08:00:00+08:00"
    metered.move("2025-04-02T07:59:59+08:00")
    assert state(metered, package_id) == ("active", 900, 100)
    metered.move("2025-04-02T08:00:00+08:00")
    assert find(metered, package_id)["status"] == "released"
    assert metered.get(A).body["status"] == "released"
    metered.move("2025-04-10T10:00:00+08:00")
    metered.top_up("acct-1", "1000.00")
    assert metered.get(A).body["status"] == "active"
    assert find(metered, package_id)["status"] == "released"
    (fresh,) = buy(metered)
    use(metered, 10, "2025-04-10T10:00:00+08:00")
    metered.move("2025-04-11T09:00:00+08:00")
    assert (state(metered, fresh), find(metered, package_id)["status"]) == (("active", 990, 10), "released")


# --- lists --------------------------------------------------------------------------------------------------


def test_lists_by_tag_and_source(metered: Product) -> None:
    """Filters leave what fits all of them; the order is that of delivery."""
    metered.top_up("acct-1", "2000.00")
    paid = buy(metered)[0]
    metered.now = at("2025-03-01T10:01:00+08:00")
    gift = give(metered, 5)
    metered.now = at("2025-03-01T10:02:00+08:00")
    other_paid = buy(metered, "basic_uploaded:1000")[0]
    metered.now = at("2025-03-01T10:03:00+08:00")
    other_gift = give(metered, 5, "basic_uploaded")

    def ids(**query: str) -> list[str]:
        return [one["package_id"] for one in packages(metered, **query)]

    assert ids() == [paid, gift, other_paid, other_gift]
    assert ids(tag=TAG) == [paid, gift]
    assert ids(source="gift") == [gift, other_gift]
    assert ids(source="purchase", tag="basic_uploaded") == [other_paid]
    assert ids(tag="face_risk") == ids(status="exhausted") == []


@pytest.mark.parametrize(
    "query",
    [
        {"status": "gone"},
        {"status": ""},
        {"source": "free"},
        {"source": "Gift"},
        {"limit": "0"},
        {"limit": "1001"},
        {"cursor": "nonsense"},
    ],
    ids=repr,
)
def test_what_cannot_be_asked(metered: Product, query: dict[str, str]) -> None:
    """Filters take the contract's words."""
    reply = metered.request("GET", f"{A}/packages", query=query)
    assert (reply.status, reply.code) == (422, "invalid_request"), reply.text


@pytest.mark.parametrize("limit", [1, 2, 5])
def test_pages_of_packages(metered: Product, limit: int) -> None:
    """Pages hold every package once, gifts and purchases of one second too."""
    metered.top_up("acct-1", "2000.00")
    made = {*buy(metered, quantity=3), *[give(metered, calls) for calls in (5, 6, 7)], *buy(metered, quantity=2)}
    found = pages(metered, f"{A}/packages", limit)
    assert {len(page) for page in found[:-1]} <= {limit}
    listed = [one["package_id"] for page in found for one in page]
    assert (len(listed), set(listed)) == (8, made)
    assert listed == [one["package_id"] for one in packages(metered)]


def test_pages_of_a_packages_days(metered: Product) -> None:
    """Days are listed oldest first, in pages."""
    (package_id,) = buy(metered)
    expected = {}
    for number in range(1, 6):
        day = f"2025-03-0{number}"
        metered.move(f"{day}T12:00:00+08:00")
        use(metered, number, f"{day}T11:00:00+08:00")
        expected[day] = number
    assert package_days(metered, package_id) == expected
    found = pages(metered, f"{A}/packages/{package_id}/usage", 2)
    assert [[row["day"] for row in page] for page in found] == [
        ["2025-03-01", "2025-03-02"],
        ["2025-03-03", "2025-03-04"],
        ["2025-03-05"],
    ]


PATHS = ["usage", "refund-quote", "refund", "refund-block"]


@pytest.mark.parametrize("path", PATHS)
def test_packages_that_are_not_there(metered: Product, path: str) -> None:
    """404 `package_not_found` for what is no package of this account, though another has it."""
    metered.open_account("acct-2", cash="2000.00", opened_at=OPENED)
    body = {"items": [{"sku": SKU, "quantity": 2}]}
    for key in ("a", "b", "c"):
        headers = {"Idempotency-Key": key}
        bought = metered.request("POST", "/v1/accounts/acct-2/orders", body, CUSTOMER, "acct-2", headers)
    foreign = bought.body["packages"][1]["package_id"]
    (own,) = buy(metered)
    method, sent = {"refund": ("POST", {}), "refund-block": ("PUT", {"blocked": True, "reason": "x"})}.get(
        path, ("GET", None)
    )
    before = tables(metered)
    wrong = [foreign, own[:-2] + "99", own + "0", own.replace("pkg", "gift"), own.upper(), "x", "%20", "账", "x" * 5000]
    for package_id in wrong:
        headers = {"Idempotency-Key": "k"}
        url = f"{A}/packages/{package_id}/{path}"
        reply = metered.request(method, url, sent, headers=headers)
        assert (reply.status, reply.code) == (404, "package_not_found"), package_id
        # That comes before what is wrong with the request (contract, Conventions).
        wrong_body = {"query": {"limit": "0"}} if sent is None else {"body": "{"}
        assert metered.request(method, url, **wrong_body).code == "package_not_found"
    assert tables(metered) == before


@pytest.mark.parametrize("path", PATHS)
def test_free_packages_are_not_there_before_they_are_delivered(product: Product, path: str) -> None:
    """Until half an hour after the opening nobody finds them, by whatever route (D13)."""
    product.open_account("acct-1")
    product.move("2025-03-01T10:30:00+08:00")
    free = packages(product)
    assert len(free) == 9
    product.now = at("2025-03-01T10:29:59+08:00")
    assert packages(product) == []
    method, sent = {"refund": ("POST", {}), "refund-block": ("PUT", {"blocked": True, "reason": "x"})}.get(
        path, ("GET", None)
    )
    for package in free:
        url = f"{A}/packages/{package['package_id']}/{path}"
        reply = product.request(method, url, sent, headers={"Idempotency-Key": "k"})
        assert (reply.status, reply.code) == (404, "package_not_found")
