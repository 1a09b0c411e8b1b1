"""Catalog, activities and quotes, OpenAPI document and health (contract, Catalog)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any

from aws_lambda_powertools.event_handler.openapi.params import Path as PathPart
from aws_lambda_powertools.event_handler.openapi.params import Query

from aws_platform.access import Access
from aws_platform.api import Answer, Api, answer
from aws_platform.days import Day
from aws_platform.guards import check_tag
from aws_platform.paging import DEFAULT_LIMIT, Cursor, Limit
from catalog_api import use_cases
from catalog_api.models import (
    ACTIVITY_ID_PATTERN,
    ActivityBody,
    ActivityPage,
    ActivityShown,
    CatalogShown,
    HealthShown,
    PricesBody,
    QuoteBody,
    QuoteShown,
    TagShown,
)
from rating.catalog import PriceList

api = Api()
TAGS = ["Catalog"]


@api.route(
    "GET",
    "/v1/catalog",
    Access.ANY_TOKEN,
    success=(HTTPStatus.OK, "the catalog", CatalogShown),
    tags=TAGS,
)
def get_catalog(
    price_list: Annotated[PriceList, Query(description="of which accounts")] = "daily",
    at: Annotated[Day | None, Query(description="a day; today if not given")] = None,
) -> Answer:
    """Read tags, prices, packages, free grants and interfaces as they are on a day."""
    return use_cases.show_catalog(api.call, price_list, at)


@api.route(
    "PUT",
    "/v1/prices/{tag}",
    Access.OPERATOR,
    success=(HTTPStatus.OK, "the tag as it is on that day on that list", TagShown),
    refusals={404: "`tag_not_found`", 409: "`too_many_prices`"},
    tags=TAGS,
    guard=check_tag,
)
def put_prices(tag: str, body: PricesBody) -> Answer:
    """Set prices of a tag from a day on, never into the past; the same list and day again replaces them."""
    return use_cases.set_prices(api.call, tag, body)


@api.route(
    "GET",
    "/v1/activities",
    Access.ANY_TOKEN,
    success=(HTTPStatus.OK, "activities by id", ActivityPage),
    tags=TAGS,
)
def get_activities(limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None) -> Answer:
    """Read the activities that orders may name, past and future ones too."""
    return use_cases.list_activities(api.call, limit, cursor)


@api.route(
    "PUT",
    "/v1/activities/{activity_id}",
    Access.OPERATOR,
    success=(HTTPStatus.OK, "the activity", ActivityShown),
    refusals={409: "`too_many_activities`"},
    tags=TAGS,
    guard=use_cases.check_activity_id,
)
def put_activity(activity_id: Annotated[str, PathPart(pattern=ACTIVITY_ID_PATTERN)], body: ActivityBody) -> Answer:
    """Set an activity; what was ordered with it stays as it was."""
    return use_cases.set_activity(api.call, activity_id, body)


@api.route(
    "POST",
    "/v1/quotes",
    Access.CUSTOMER_READ,
    success=(HTTPStatus.OK, "the cheapest mix and the alternatives", QuoteShown),
    refusals={409: "`offer_too_complex`"},
    tags=TAGS,
)
def post_quote(body: QuoteBody) -> Answer:
    """Find the cheapest mix of packages and postpaid for a year's calls.

    It is exact at today's list prices. On the monthly list the calls that packages leave are spread evenly over twelve
    months.
    """
    return use_cases.make_quote(api.call, body)


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
