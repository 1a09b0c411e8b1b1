"""What can be done with the catalog: prices and activities of the operator, quotes for customers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any

from aws_platform import clients, problems
from aws_platform.api import Answer, Call, answer
from aws_platform.paging import page
from aws_platform.price_book import Prices, put_activity, put_prices, read_activities, read_catalog
from aws_platform.problems import FieldError
from catalog_api.models import ACTIVITY_ID_PATTERN, ActivityBody, PricesBody, QuoteBody
from rating import money
from rating.activities import Activity
from rating.catalog import Catalog, CatalogError, PriceList, Tier, load
from rating.civil import day_of
from rating.quotes import Mix, Postpaid, TooManyMixes, quote


def show_catalog(call: Call, price_list: PriceList, at: date | None) -> Answer:
    """The catalog of a day, with the prices that the operator has set."""
    catalog = read_catalog(clients.dynamodb(), call.settings.ledger_table)
    return answer(catalog.catalog_view(price_list, at or day_of(call.now)))


def check_activity_id(call: Call) -> None:
    """The id of the path can be one: the resolver would not even find the route for some that cannot.

    Raises Problem 422.
    """
    if not re.fullmatch(ACTIVITY_ID_PATTERN.strip("^$"), call.event["pathParameters"]["activity_id"]):
        raise problems.invalid_request(FieldError("activity_id", "1 to 64 of A-Za-z0-9_-"))


def set_prices(call: Call, tag: str, body: PricesBody) -> Answer:
    """New prices of a tag from a day on, never into the past (D20).

    Raises Problem 422, or 409 `too_many_prices`.
    """
    errors = list(_refused_prices(tag, body))
    if body.first_day < day_of(call.now):
        errors.append(FieldError("from", "must not be in the past"))
    if errors:
        raise problems.invalid_request(*errors)
    prices = Prices()
    for part in _parts(tag, body).values():
        prices = prices.updated(part)
    catalog = put_prices(call.settings.ledger_table, prices)
    (shown,) = [one for one in catalog.catalog_view(body.price_list, body.first_day)["tags"] if one["tag"] == tag]
    return answer(shown)


def _parts(tag: str, body: PricesBody) -> dict[str, Prices]:
    """What the body gives, by field."""
    key = (tag, body.first_day)
    parts: dict[str, Prices] = {}
    if body.unit_price is not None and body.price_list == "daily":
        parts["unit_price"] = Prices(unit_prices={key: Decimal(body.unit_price)})
    elif body.unit_price is not None:
        parts["unit_price"] = Prices(monthly={key: (Tier(0, Decimal(body.unit_price)),)})
    if body.tiers is not None:
        tiers = tuple(Tier(tier.from_calls, Decimal(tier.unit_price)) for tier in body.tiers)
        parts["tiers"] = Prices(monthly={key: tiers})
    if body.packages is not None:
        offer = tuple((package.calls, Decimal(package.price)) for package in body.packages)
        parts["packages"] = Prices(packages={key: offer})
    return parts


def _refused_prices(tag: str, body: PricesBody) -> Iterator[FieldError]:
    """What the catalog cannot take, by field."""
    if body.tiers is not None and body.price_list == "daily":
        yield FieldError("tiers", "only the monthly list has tiers")
    if body.tiers is not None and body.unit_price is not None:
        yield FieldError("tiers", "give unit_price or tiers, not both")
    for at, package in enumerate(body.packages or ()):
        if package.sku not in {None, f"{tag}:{package.calls}"}:
            yield FieldError(f"packages.{at}.sku", f"must be {tag}:{package.calls}")
    for field, part in _parts(tag, body).items():
        try:
            load().with_prices(part.dated())
        except CatalogError as refused:
            yield from (FieldError(field, problem) for problem in refused.problems)


def set_activity(call: Call, activity_id: str, body: ActivityBody) -> Answer:
    """A new activity, or other rules for one. Raises Problem 422, or 409 `too_many_activities`."""
    errors = []
    if body.until is not None and body.until <= body.first_day:
        errors.append(FieldError("until", "must be after from"))
    errors += [
        FieldError(f"tags.{at}", "unknown tag") for at, tag in enumerate(body.tags or ()) if not load().has_tag(tag)
    ]
    if errors:
        raise problems.invalid_request(*errors)
    activity = Activity(
        activity_id,
        body.first_day,
        body.until,
        Decimal(body.package_rate),
        None if body.tags is None else tuple(dict.fromkeys(body.tags)),
        body.refundable,
    )
    put_activity(call.settings.ledger_table, activity)
    return answer(_show_activity(activity))


def list_activities(call: Call, limit: int, cursor: str | None) -> Answer:
    """The activities by id, past and future ones too."""
    activities = read_activities(clients.dynamodb(), call.settings.ledger_table)
    return answer(page(activities.values(), lambda activity: activity.activity_id, _show_activity, limit, cursor))


def make_quote(call: Call, body: QuoteBody) -> Answer:
    """The cheapest way to pay for a year's calls at today's prices.

    Raises Problem 422 for an unknown tag, or 409 `offer_too_complex`.
    """
    if not load().has_tag(body.tag):
        raise problems.invalid_request(FieldError("tag", "unknown tag"))
    today = day_of(call.now)
    catalog = read_catalog(clients.dynamodb(), call.settings.ledger_table)
    try:
        made = quote(
            catalog.package_offers(body.tag, today), _postpaid(catalog, body.tag, today, body.price_list), body.calls
        )
    except TooManyMixes as error:
        detail = "the package sizes on sale have too little in common for an exact quote"
        raise problems.conflict("offer_too_complex", detail) from error
    postpaid = made.alternatives[0].mix
    return answer(
        {
            "tag": body.tag,
            "calls": body.calls,
            "price_list": body.price_list,
            **_show_mix(made.best),
            "saving": money.yuan(money.round_to_fen(postpaid.total) - money.round_to_fen(made.best.total)),
            "alternatives": [{"kind": one.kind, **_show_mix(one.mix)} for one in made.alternatives],
        }
    )


def _postpaid(catalog: Catalog, tag: str, day: date, price_list: PriceList) -> Postpaid:
    tiers = catalog.tiers(tag, day) if price_list == "monthly" else ()
    return Postpaid.monthly(tiers) if tiers else Postpaid.flat(catalog.daily_unit_price(tag, day))


def _show_mix(mix: Mix) -> dict[str, Any]:
    return {
        "total": money.yuan(mix.total),
        "packages": [
            {
                "sku": offer.sku,
                "calls": offer.calls,
                "quantity": number,
                "price": money.yuan(offer.price),
                "amount": money.yuan(offer.price * number),
            }
            for offer, number in mix.packages
        ],
        "postpaid": {"calls": mix.postpaid_calls, "cost": money.yuan(mix.postpaid_cost)},
    }


def _show_activity(activity: Activity) -> dict[str, Any]:
    return {
        "activity_id": activity.activity_id,
        "from": activity.first_day.isoformat(),
        "until": activity.until and activity.until.isoformat(),
        "package_rate": str(activity.package_rate),
        "tags": activity.tags,
        "refundable": activity.refundable,
    }
