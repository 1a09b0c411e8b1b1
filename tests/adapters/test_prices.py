"""PUT /v1/prices/{tag}, and the catalog that shows what it set (contract, Catalog; D20)."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from aws_platform import clients, price_book
from tests.adapters.steps import at, tables
from tests.support.product import Product, Reply

TAG = "identity_check"
TODAY, TOMORROW = "2025-03-01", "2025-03-02"
TIERS = [{"from_calls": 0, "unit_price": "0.25"}, {"from_calls": 500, "unit_price": "0.2"}]


def put(product: Product, body: Any, tag: str = TAG) -> Reply:
    """Set prices as the operator."""
    return product.request("PUT", f"/v1/prices/{tag}", body)


def shown(product: Product, day: str, price_list: str = "daily", tag: str = TAG) -> dict[str, Any]:
    """What the catalog says of the tag."""
    (found,) = [
        one for one in product.get("/v1/catalog", at=day, price_list=price_list).body["tags"] if one["tag"] == tag
    ]
    assert isinstance(found, dict)
    return found


def fields(reply: Reply) -> set[str]:
    """The fields of an invalid request."""
    assert (reply.status, reply.code) == (422, "invalid_request"), reply.text
    return {error["field"] for error in reply.body["errors"]}


def test_a_price_holds_from_its_day_on(product: Product) -> None:
    """The answer is the tag as it is on that day; the catalog shows it from then on, and the days before stay."""
    before = shown(product, TODAY)
    reply = put(product, {"price_list": "daily", "unit_price": "0.2750", "from": TOMORROW})
    assert (reply.status, reply.body) == (200, {**before, "unit_price": "0.275"})
    assert shown(product, TODAY) == before
    assert shown(product, TOMORROW)["unit_price"] == shown(product, "2030-01-01")["unit_price"] == "0.275"
    assert shown(product, TOMORROW, tag="basic_authority") == shown(product, TODAY, tag="basic_authority")
    assert shown(product, TOMORROW, "monthly") == shown(product, TODAY, "monthly")


def test_later_prices_supersede_earlier_ones(product: Product) -> None:
    """In whatever order they are set, each holds from its own day to the next one's; the same day again replaces."""
    for price, day in (("0.20", "2025-06-01"), ("0.25", "2025-04-01"), ("0.99", "2025-05-01"), ("0.22", "2025-05-01")):
        assert put(product, {"unit_price": price, "from": day}).body["unit_price"] == price
    days = ("2025-03-31", "2025-04-01", "2025-04-30", "2025-05-01", "2025-05-31", "2025-06-01")
    assert [shown(product, day)["unit_price"] for day in days] == ["0.30", "0.25", "0.25", "0.22", "0.22", "0.20"]


def test_a_monthly_price_is_tiers_or_flat(product: Product) -> None:
    """The monthly list takes steps, or one price for all calls; the daily list is not touched."""
    daily = shown(product, TOMORROW)
    reply = put(product, {"price_list": "monthly", "tiers": TIERS, "from": TOMORROW})
    assert (reply.body["unit_price"], reply.body["tiers"]) == (
        None,
        [{"from_calls": 0, "unit_price": "0.25"}, {"from_calls": 500, "unit_price": "0.20"}],
    )
    flat = put(product, {"price_list": "monthly", "unit_price": "0.21", "from": "2025-03-03"})
    assert (flat.body["unit_price"], flat.body["tiers"]) == ("0.21", None)
    assert shown(product, TOMORROW, "monthly") == reply.body
    assert shown(product, "2025-03-03") == shown(product, TOMORROW) == daily


def test_packages_are_the_whole_offer_of_both_lists(product: Product) -> None:
    """What is given is all that is on sale from that day on, whichever list it is given for."""
    packages = [{"calls": 7000, "price": "1999.9"}, {"calls": 70, "price": "20"}]
    reply = put(product, {"price_list": "monthly", "packages": packages, "from": TODAY})
    assert reply.body["packages"] == [
        {"sku": f"{TAG}:70", "calls": 70, "price": "20.00"},
        {"sku": f"{TAG}:7000", "calls": 7000, "price": "1999.90"},
    ]
    assert shown(product, TODAY)["packages"] == shown(product, TODAY, "monthly")["packages"] == reply.body["packages"]
    assert reply.body["tiers"] is not None


def test_packages_may_be_given_as_the_catalog_shows_them(product: Product) -> None:
    """With their `sku`, which must be that of the tag and the calls."""
    offered = shown(product, TODAY)["packages"]
    assert put(product, {"packages": offered, "from": TODAY}).body["packages"] == offered
    for sku in ("identity_check:1", "x", ""):
        reply = put(product, {"packages": [{**offered[0], "sku": sku}], "from": TODAY})
        assert (reply.status, reply.body["errors"][0]["field"]) == (422, "packages.0.sku")


def test_a_tag_without_packages_can_get_some(product: Product) -> None:
    """Where the guide sells none, the operator may."""
    body = {"unit_price": "0.004", "packages": [{"calls": 10, "price": "0.03"}], "from": TODAY}
    reply = put(product, body, "face_risk")
    assert (reply.body["unit_price"], len(reply.body["packages"])) == ("0.004", 1)


@pytest.mark.parametrize("day", ["2025-02-28", "2000-01-01", "0001-01-01"])
def test_prices_never_reach_into_the_past(product: Product, day: str) -> None:
    """A day before today is refused, and nothing is kept."""
    before = tables(product)
    assert fields(put(product, {"unit_price": "0.20", "from": day})) == {"from"}
    assert tables(product) == before


def test_today_is_shanghais(product: Product) -> None:
    """At 23:30 in London it is the next day in Shanghai, and the day that is over there is the past."""
    product.now = at("2025-03-01T23:30:00+00:00")
    assert fields(put(product, {"unit_price": "0.20", "from": TODAY})) == {"from"}
    assert put(product, {"unit_price": "0.20", "from": TOMORROW}).status == 200


@pytest.mark.parametrize("tag", ["nothing", "IDENTITY_CHECK", "identity_check%20", "%F0%9F%80%84", "x" * 3000])
@pytest.mark.parametrize("body", ["{", {}, {"unit_price": "0.20", "from": TODAY}], ids=["broken", "empty", "good"])
def test_an_unknown_tag_is_not_found(product: Product, tag: str, body: Any) -> None:
    """404 comes before what is wrong with the body."""
    reply = put(product, body, tag)
    assert (reply.status, reply.code) == (404, "tag_not_found")


@pytest.mark.parametrize(
    "change, wrong",
    [
        ({"unit_price": None}, {"body"}),
        ({"from": None}, {"from"}),
        ({"from": "tomorrow"}, {"from"}),
        ({"price_list": "weekly"}, {"price_list"}),
        ({"unit_price": 0.2}, {"unit_price"}),
        ({"unit_price": "1e-1"}, {"unit_price"}),
        ({"unit_price": "0"}, {"unit_price"}),
        ({"unit_price": "-1"}, {"unit_price"}),
        ({"unit_price": "0.00001"}, {"unit_price"}),
        ({"unit_price": "1000000000"}, {"unit_price"}),
        ({"unit_price": "9" * 41}, {"unit_price"}),
        ({"tiers": TIERS}, {"tiers"}),
        ({"unit_price": None, "tiers": TIERS}, {"tiers"}),
        ({"price_list": "monthly", "tiers": TIERS}, {"tiers"}),
        ({"price_list": "monthly", "unit_price": None, "tiers": []}, {"tiers"}),
        ({"price_list": "monthly", "unit_price": None, "tiers": TIERS[1:]}, {"tiers"}),
        ({"price_list": "monthly", "unit_price": None, "tiers": [TIERS[0], TIERS[0]]}, {"tiers"}),
        ({"price_list": "monthly", "unit_price": None, "tiers": [{"from_calls": 0, "unit_price": "x"}]}, None),
        ({"packages": []}, {"packages"}),
        ({"packages": [{"calls": 0, "price": "1"}]}, None),
        ({"packages": [{"calls": 10**9 + 1, "price": "1"}]}, None),
        ({"packages": [{"calls": 1.0, "price": "1"}]}, None),
        ({"packages": [{"calls": 1, "price": "0.001"}]}, {"packages"}),
        ({"packages": [{"calls": 1, "price": "1"}, {"calls": 1, "price": "2"}]}, {"packages"}),
        ({"packages": [{"calls": one, "price": "1"} for one in range(1, 22)]}, {"packages"}),
        ({"more": 1}, {"more"}),
    ],
    ids=str,
)
def test_what_is_no_price(product: Product, change: dict[str, Any], wrong: set[str] | None) -> None:
    """Each field that is wrong is named, and nothing is kept."""
    body = {"price_list": "daily", "unit_price": "0.20", "from": TODAY, **change}
    found = fields(put(product, {name: value for name, value in body.items() if value is not None}))
    assert found == wrong if wrong else all(field.startswith(("tiers.0.", "packages.0.")) for field in found)
    assert tables(product)["ledger"] == []


def test_prices_are_the_operators(product: Product) -> None:
    """No other scope sets a price."""
    body = {"unit_price": "0.20", "from": TODAY}
    assert product.request("PUT", f"/v1/prices/{TAG}", body, scopes=None).status == 401
    for scope in ("billing:read", "billing:write", "usage:write", "openid"):
        reply = product.request("PUT", f"/v1/prices/{TAG}", body, (scope,), "acct-1")
        assert (reply.status, reply.code) == (403, "forbidden")
    assert tables(product)["ledger"] == []


def test_the_same_request_again_writes_nothing(product: Product) -> None:
    """A price that is there already is answered alike and left alone."""
    body = {"unit_price": "0.20", "from": TODAY}
    first, before = put(product, body), tables(product)
    assert put(product, body).text == first.text
    assert tables(product) == before


@pytest.mark.parametrize("written", [True, False])
def test_a_lost_answer_is_looked_after(product: Product, monkeypatch: pytest.MonkeyPatch, *, written: bool) -> None:
    """Whether the write happened before its answer was lost or not: the price is there once."""
    client = clients.dynamodb_once()
    send, lost = client.put_item, iter([True])

    def put_item(**arguments: Any) -> Any:
        first = next(lost, False)
        answer = send(**arguments) if written or not first else None
        if first:
            raise ReadTimeoutError(endpoint_url="x")
        return answer

    monkeypatch.setattr(client, "put_item", put_item)
    assert put(product, {"unit_price": "0.20", "from": TODAY}).body["unit_price"] == "0.20"
    assert product.dynamodb.get_item(TableName="ledger", Key=price_book.PRICES_KEY)["Item"]["version"] == {"N": "1"}


def test_prices_set_at_the_same_time_are_all_kept(product: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever comes second reads again, so that neither price is lost."""
    client = clients.dynamodb_once()
    send, others = client.put_item, iter(["face_risk", "photo_v2"])

    def put_item(**arguments: Any) -> Any:
        other = next(others, None)
        if other:
            assert put(product, {"unit_price": "0.90", "from": TODAY}, other).status == 200
        return send(**arguments)

    monkeypatch.setattr(client, "put_item", put_item)
    assert put(product, {"unit_price": "0.20", "from": TODAY}).status == 200
    prices = {tag: shown(product, TODAY, tag=tag)["unit_price"] for tag in (TAG, "face_risk", "photo_v2")}
    assert prices == {TAG: "0.20", "face_risk": "0.90", "photo_v2": "0.90"}


def test_a_fault_of_ours_is_not_hidden(product: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    """A refusal of DynamoDB that trying again cannot mend is a 500."""

    def denied(**_: Any) -> Any:
        raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": ""}}, "PutItem")

    monkeypatch.setattr(clients.dynamodb_once(), "put_item", denied)
    assert put(product, {"unit_price": "0.20", "from": TODAY}).status == 500


def test_more_prices_than_can_be_kept_are_refused(product: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    """The item stays small enough to be read with every order; what is in it can still be replaced."""
    monkeypatch.setattr(price_book, "MAX_BODY_BYTES", 200)
    replies = [put(product, {"unit_price": "0.20", "from": f"2025-03-{day:02d}"}) for day in range(1, 10)]
    assert replies[0].status == 200
    assert (replies[-1].status, replies[-1].code) == (409, "too_many_prices")
    assert put(product, {"unit_price": "0.19", "from": TODAY}).status == 200


def test_hours_of_a_day_share_its_price(product: Product) -> None:
    """A price may still be set for today, and once more, until the day is over."""
    assert put(product, {"unit_price": "0.20", "from": TODAY}).status == 200
    product.now = at("2025-03-01T23:59:59+08:00")
    assert put(product, {"unit_price": "0.21", "from": TODAY}).status == 200
    product.now = at("2025-03-02T00:00:00+08:00")
    assert fields(put(product, {"unit_price": "0.22", "from": TODAY})) == {"from"}
    assert shown(product, TODAY)["unit_price"] == "0.21"


def test_a_hot_process_builds_the_catalog_once(product: Product) -> None:
    """The same stored prices are the same catalog; other prices are another one."""
    put(product, {"unit_price": "0.20", "from": TODAY})
    first = price_book.read_catalog(product.dynamodb, "ledger")
    assert price_book.read_catalog(product.dynamodb, "ledger") is first
    put(product, {"unit_price": "0.19", "from": TODAY})
    assert price_book.read_catalog(product.dynamodb, "ledger") is not first
