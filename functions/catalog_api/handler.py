"""Catalog, OpenAPI document and health (contract, Catalog)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any, Literal

from aws_lambda_powertools.event_handler.openapi.params import Query

from aws_platform.access import Access
from aws_platform.api import Answer, Api, Shown, answer
from aws_platform.days import Day
from rating.catalog import load
from rating.civil import day_of

api = Api()


class TierShown(Shown):
    """One step of a monthly price."""

    from_calls: int
    unit_price: str


class PackageShown(Shown):
    """A package on sale."""

    sku: str
    calls: int
    price: str


class FreeGrantShown(Shown):
    """A free package that every account gets once."""

    calls: int


class TagShown(Shown):
    """A billing tag and its prices, in yuan."""

    tag: str
    name: str
    family: str
    unit_price: str | None
    tiers: list[TierShown] | None
    packages: list[PackageShown] | None
    free_grant: FreeGrantShown | None


class InterfaceShown(Shown):
    """What a call of an interface is charged as."""

    interface: str
    library: Literal["authority", "uploaded"] | None
    mode: Literal["simple", "detailed"] | None
    intention_verify: bool | None
    tag: str
    charged_codes: list[str]


class CatalogShown(Shown):
    """The catalog of one day."""

    tags: list[TagShown]
    interfaces: list[InterfaceShown]


class HealthShown(Shown):
    """That the API answers."""

    status: Literal["ok"]


@api.route(
    "GET",
    "/v1/catalog",
    Access.ANY_TOKEN,
    success=(HTTPStatus.OK, "the catalog", CatalogShown),
    tags=["Catalog"],
)
def get_catalog(
    price_list: Annotated[Literal["daily", "monthly"], Query(description="of which accounts")] = "daily",
    at: Annotated[Day | None, Query(description="a day; today if not given")] = None,
) -> Answer:
    """Read tags, prices, packages, free grants and interfaces as they are on a day."""
    return answer(load().catalog_view(price_list, at or day_of(api.call.now)))


@api.route("GET", "/healthz", Access.PUBLIC, success=(HTTPStatus.OK, "it answers", HealthShown), tags=["Service"])
def get_health() -> Answer:
    """Say that the API answers."""
    return answer({"status": "ok"})


@api.route("GET", "/v1/openapi.json", Access.PUBLIC, success=(HTTPStatus.OK, "OpenAPI 3.1", None), tags=["Service"])
def get_openapi() -> Answer:
    """Read this document."""
    return Answer(HTTPStatus.OK, _document())


@cache
def _document() -> str:
    """The document that the build made from all routes."""
    return (Path(__file__).parent / "openapi.json").read_text(encoding="utf-8")


def handle(event: Mapping[str, Any], context: object) -> dict[str, Any]:
    """Answer one request."""
    return api.handle(event, context)
