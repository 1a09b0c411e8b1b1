"""GET /v1/activities and PUT /v1/activities/{activity_id} (contract, Catalog)."""

from __future__ import annotations

from typing import Any

import pytest

from aws_platform import price_book
from tests.adapters.steps import pages, rows, tables
from tests.support.product import Product, Reply

SPRING: dict[str, Any] = {
    "from": "2025-03-01",
    "until": "2025-04-01",
    "package_rate": "0.8",
    "tags": ["identity_check", "basic_authority"],
    "refundable": False,
}


def put(product: Product, activity_id: str = "spring", body: Any = None, **change: Any) -> Reply:
    """Set an activity as the operator; a change to None leaves the field out."""
    given = {name: value for name, value in {**SPRING, **change}.items() if value is not None}
    return product.request("PUT", f"/v1/activities/{activity_id}", given if body is None else body)


def fields(reply: Reply) -> set[str]:
    """The fields of an invalid request."""
    assert (reply.status, reply.code) == (422, "invalid_request"), reply.text
    return {error["field"] for error in reply.body["errors"]}


def test_an_activity_is_answered_and_listed_as_it_was_set(product: Product) -> None:
    """What is set is what is shown; what is left out is open, for all tags and refundable."""
    assert put(product).body == {"activity_id": "spring", **SPRING}
    bare = put(product, "bare", {"from": "2025-03-01", "package_rate": "1"})
    assert bare.body == {
        "activity_id": "bare",
        "from": "2025-03-01",
        "until": None,
        "package_rate": "1",
        "tags": None,
        "refundable": True,
    }
    assert rows(product, "/v1/activities") == [bare.body, {"activity_id": "spring", **SPRING}]


def test_setting_it_again_replaces_it(product: Product) -> None:
    """One activity an id; the same again writes nothing."""
    put(product)
    changed = put(product, package_rate="0.75", tags=["face_risk"])
    assert rows(product, "/v1/activities") == [changed.body]
    before = tables(product)
    assert put(product, package_rate="0.75", tags=["face_risk"]).text == changed.text
    assert tables(product) == before


def test_null_is_the_same_as_left_out(product: Product) -> None:
    """No end and all tags may be said with null."""
    reply = put(product, body={"from": "2025-03-01", "until": None, "package_rate": "0.5", "tags": None})
    assert (reply.body["until"], reply.body["tags"]) == (None, None)


def test_a_tag_named_twice_is_one(product: Product) -> None:
    """The list of tags is a set, in the order in which it was given."""
    assert put(product, tags=["face_risk", "photo_v2", "face_risk"]).body["tags"] == ["face_risk", "photo_v2"]


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_the_list_has_pages_by_id(product: Product, limit: int) -> None:
    """Every activity is on one page, by id."""
    for activity_id in ("b", "C", "a-1", "a", "_"):
        assert put(product, activity_id).status == 200
    found = [[row["activity_id"] for row in page] for page in pages(product, "/v1/activities", limit)]
    assert [one for page in found for one in page] == ["C", "_", "a", "a-1", "b"]
    assert {len(page) for page in found[:-1]} <= {limit}


def test_an_empty_list_is_a_list(product: Product) -> None:
    """Without activities the list has no items and no next page."""
    assert product.get("/v1/activities").body == {"items": [], "next_cursor": None}


@pytest.mark.parametrize("activity_id", ["a b", "x" * 65, "%E4%B8%AD", "%F0%9F%80%84", "a.b", "a%0A"])
def test_what_is_no_id(product: Product, activity_id: str) -> None:
    """An id has 1 to 64 letters, digits, underscores and hyphens."""
    assert fields(put(product, activity_id)) == {"activity_id"}
    assert tables(product)["ledger"] == []


@pytest.mark.parametrize("activity_id", ["x" * 64, "A-z_0", "-", "prices"])
def test_what_is_an_id(product: Product, activity_id: str) -> None:
    """Every id of the contract's form is taken."""
    assert put(product, activity_id).body["activity_id"] == activity_id


@pytest.mark.parametrize(
    "change, wrong",
    [
        ({"from": None}, {"from"}),
        ({"from": "2025-02-30"}, {"from"}),
        ({"until": "2025-03-01"}, {"until"}),
        ({"until": "2025-02-28"}, {"until"}),
        ({"until": "soon"}, {"until"}),
        ({"package_rate": None}, {"package_rate"}),
        ({"package_rate": "0"}, {"package_rate"}),
        ({"package_rate": "-0.5"}, {"package_rate"}),
        ({"package_rate": "1.0001"}, {"package_rate"}),
        ({"package_rate": "0.80000"}, {"package_rate"}),
        ({"package_rate": "80%"}, {"package_rate"}),
        ({"package_rate": 0.8}, {"package_rate"}),
        ({"package_rate": 1}, {"package_rate"}),
        ({"tags": []}, {"tags"}),
        ({"tags": "identity_check"}, {"tags"}),
        ({"tags": ["identity_check", "nothing"]}, {"tags.1"}),
        ({"tags": [1]}, {"tags.0"}),
        ({"refundable": "no"}, {"refundable"}),
        ({"refundable": 0}, {"refundable"}),
        ({"name": "spring"}, {"name"}),
    ],
    ids=str,
)
def test_what_is_no_activity(product: Product, change: dict[str, Any], wrong: set[str]) -> None:
    """Each field that is wrong is named, and nothing is kept."""
    assert fields(put(product, **change)) == wrong
    assert tables(product)["ledger"] == []


@pytest.mark.parametrize("rate", ["1", "1.0", "0.0001", "0.9999"])
def test_the_ends_of_a_rate(product: Product, rate: str) -> None:
    """A rate is above 0 and at most 1, with at most four decimals."""
    assert put(product, package_rate=rate).body["package_rate"] == rate


def test_the_operator_sets_and_any_token_reads(product: Product) -> None:
    """Setting is the operator's; every scope of ours reads; nobody without one."""
    for scope in ("billing:read", "billing:write", "usage:write", "openid"):
        reply = product.request("PUT", "/v1/activities/spring", SPRING, (scope,), "acct-1")
        assert (reply.status, reply.code) == (403, "forbidden")
    assert product.request("PUT", "/v1/activities/spring", SPRING, scopes=None).status == 401
    assert tables(product)["ledger"] == []
    for scope in ("billing:read", "billing:write", "usage:write", "billing:admin"):
        assert product.request("GET", "/v1/activities", scopes=(scope,)).status == 200
    assert product.request("GET", "/v1/activities", scopes=("openid",)).status == 403
    assert product.request("GET", "/v1/activities", scopes=None).status == 401


@pytest.mark.parametrize("query", [{"limit": "0"}, {"limit": "1001"}, {"cursor": "x"}, {"cursor": "bm9uZQ"}], ids=str)
def test_what_the_list_cannot_be_asked(product: Product, query: dict[str, str]) -> None:
    """Limits out of range and cursors of other lists are invalid requests."""
    put(product)
    assert fields(product.request("GET", "/v1/activities", query=query)) == set(query)


def test_more_activities_than_can_be_kept_are_refused(product: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    """The item stays small enough to be read with every order."""
    monkeypatch.setattr(price_book, "MAX_BODY_BYTES", 300)
    replies = [put(product, f"a-{number}") for number in range(4)]
    assert replies[0].status == 200
    assert (replies[-1].status, replies[-1].code) == (409, "too_many_activities")
