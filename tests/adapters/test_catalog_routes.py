"""GET /v1/catalog, /healthz and /v1/openapi.json (contract, Catalog and Conventions)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.adapters.steps import tables
from tests.support.product import Product, Reply, template

# Typed from the contract.
CHANNELS = [
    f"{edition}_{library}_{channel}"
    for edition in ("plus", "enhanced")
    for library in ("authority", "uploaded")
    for channel in ("wechat", "float_h5", "app")
]
OTHERS = """basic_authority basic_uploaded identity_check identity_validity_check bank_card_check bank_card_lookup
phone_tenure_status phone_two_factor phone_three_factor_simple phone_three_factor_detailed phone_three_factor_cmcc
phone_three_factor_ctcc phone_three_factor_cucc eid_authority intention_authority intention_uploaded nfc_document
ai_face_shield photo_v2 face_risk"""
TAGS = {*CHANNELS, *OTHERS.split()}
GRANTED = {
    *(tag for tag in CHANNELS if tag.startswith("enhanced")),
    "basic_authority",
    "basic_uploaded",
    "photo_v2",
    "eid_authority",
}
TIERED = {"identity_check", "bank_card_check", "phone_tenure_status", "phone_two_factor", "bank_card_lookup"}


def catalog(product: Product, **query: str) -> Any:
    """GET /v1/catalog, as a customer."""
    reply: Reply = product.request("GET", "/v1/catalog", scopes=("billing:read",), account_id="nobody", query=query)
    assert reply.status == 200, reply.text
    return reply.body


def test_the_catalog_has_the_contracts_shape(product: Product) -> None:
    """32 tags and every interface, each with the fields of the contract and null where there is nothing."""
    body = catalog(product)
    assert set(body) == {"tags", "interfaces"}
    assert {tag["tag"] for tag in body["tags"]} == TAGS
    assert len(body["tags"]) == 32
    for tag in body["tags"]:
        assert {"tag", "name", "family", "unit_price", "tiers", "packages", "free_grant"} <= set(tag)
        assert isinstance(tag["unit_price"], str)
        assert tag["tiers"] is None
        for package in tag["packages"] or ():
            assert set(package) == {"sku", "calls", "price"}
            assert package["sku"] == f"{tag['tag']}:{package['calls']}"
    assert {tag["tag"] for tag in body["tags"] if tag["packages"] is None} == {"nfc_document", "face_risk"}
    assert {tag["tag"]: tag["free_grant"] for tag in body["tags"] if tag["free_grant"]} == {
        tag: {"calls": 100} for tag in GRANTED
    }


def test_an_interface_with_both_libraries_has_an_entry_for_each(product: Product) -> None:
    """Interfaces with two libraries are listed once per library, those without one with null."""
    entries = catalog(product)["interfaces"]
    by_name: dict[str, list[Any]] = {}
    for entry in entries:
        assert {"interface", "library", "tag", "charged_codes"} <= set(entry)
        assert all(isinstance(code, str) for code in entry["charged_codes"])
        assert entry["tag"] in TAGS
        by_name.setdefault(entry["interface"], []).append(entry["library"])
    assert len(by_name) == 37
    assert sorted(by_name["plus.app_sdk"]) == ["authority", "uploaded"]
    assert by_name["api.liveness_compare"] == ["uploaded"]
    assert by_name["face_risk"] == [None]
    assert {entry["tag"] for entry in entries} == TAGS


def test_the_monthly_list_has_tiers_for_five_tags(product: Product) -> None:
    """A monthly account's list replaces the five tiered tags and keeps the rest, packages too (D19)."""
    daily = {tag["tag"]: tag for tag in catalog(product, price_list="daily")["tags"]}
    monthly = {tag["tag"]: tag for tag in catalog(product, price_list="monthly")["tags"]}
    assert {tag for tag, shown in monthly.items() if shown["tiers"]} == TIERED
    for tag, shown in monthly.items():
        if tag in TIERED:
            assert shown["unit_price"] is None
            assert [set(tier) for tier in shown["tiers"]] == [{"from_calls", "unit_price"}] * len(shown["tiers"])
            assert shown["packages"] == daily[tag]["packages"]
        else:
            assert shown == daily[tag]
    assert monthly["bank_card_check"]["tiers"] == [
        {"from_calls": 0, "unit_price": "0.40"},
        {"from_calls": 1000, "unit_price": "0.38"},
        {"from_calls": 10_000, "unit_price": "0.36"},
        {"from_calls": 100_000, "unit_price": "0.34"},
    ]


@pytest.mark.parametrize("day", ["2025-03-01", "2019-01-01", "1970-01-01", "0001-01-01", "2999-12-31", "9999-12-31"])
def test_any_day_has_a_catalog(product: Product, day: str) -> None:
    """The first listed price holds before its date, the last one after (D20)."""
    assert catalog(product, at=day) == catalog(product)


@pytest.mark.parametrize(
    "query",
    [
        {"price_list": "weekly"},
        {"price_list": ""},
        {"price_list": "Daily"},
        {"at": "2025-02-30"},
        {"at": "today"},
        {"at": ""},
        {"at": "1740787200"},
        {"at": "2025-03-01T00:00:00Z"},
    ],
    ids=repr,
)
def test_what_a_catalog_cannot_be_asked(product: Product, query: dict[str, str]) -> None:
    """Other lists and what is no day are invalid requests."""
    reply = product.request("GET", "/v1/catalog", query=query)
    assert (reply.status, reply.code) == (422, "invalid_request")
    assert {error["field"] for error in reply.body["errors"]} == set(query)


def test_prices_are_text(product: Product) -> None:
    """Unit prices keep their decimals, package prices have two, and none is a number."""
    tags = {tag["tag"]: tag for tag in catalog(product)["tags"]}
    assert tags["face_risk"]["unit_price"] == "0.0035"
    assert tags["plus_authority_app"]["unit_price"] == "1.50"
    assert {"sku": "eid_authority:5000", "calls": 5000, "price": "6500.00"} in tags["eid_authority"]["packages"]


def test_health_needs_nothing(product: Product) -> None:
    """`GET /healthz` answers 200 to anyone."""
    before = tables(product)
    assert product.request("GET", "/healthz", scopes=None).status == 200
    assert tables(product) == before


def test_the_document_describes_every_route(product: Product) -> None:
    """The served OpenAPI document names every deployed route, and no other outside the sandbox."""
    reply = product.request("GET", "/v1/openapi.json", scopes=None)
    assert (reply.status, reply.headers["content-type"]) == (200, "application/json")
    assert reply.body["openapi"].startswith("3.1")
    described = {
        f"{method.upper()} {path}"
        for path, operations in reply.body["paths"].items()
        for method in operations
        if not path.startswith("/sandbox/")
    }
    deployed = {route.key for route in template().routes() if "/sandbox/" not in route.path}
    assert described == deployed
