"""What the operator sets beside the catalog's own data: dated prices and activities (contract, Catalog).

Two items of the ledger table, one for all prices and one for all activities, each replaced only by whoever saw its last
version. Both are read with every order, so their bodies are compact.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from aws_platform import clients, failures, keys, problems
from rating.activities import Activity
from rating.catalog import Catalog, DatedPrice, MonthlyPrice, PackageOffer, Tier, UnitPrice, load

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

PRICES_KEY = {"pk": {"S": keys.CATALOG}, "sk": {"S": keys.PRICES}}
ACTIVITIES_KEY = {"pk": {"S": keys.CATALOG}, "sk": {"S": keys.ACTIVITIES}}

MAX_BODY_BYTES = 128 * 1024
"""Room for thousands of prices; an item may have 400 KB, and whoever reads it pays for each 4 KB."""
_BODIES_KEPT = 4
"""Bodies that a process keeps decoded: the last one, and those of a moment ago while the operator changes them."""

type Offer = tuple[tuple[int, Decimal], ...]
"""(calls, price) of each package of a tag."""


@dataclass(frozen=True, slots=True)
class Prices:
    """The dated prices, each by its tag and first day."""

    unit_prices: dict[tuple[str, date], Decimal] = field(default_factory=dict)
    monthly: dict[tuple[str, date], tuple[Tier, ...]] = field(default_factory=dict)
    packages: dict[tuple[str, date], Offer] = field(default_factory=dict)

    def dated(self) -> Iterable[DatedPrice]:
        """One by one, as the catalog takes them."""
        for (tag, start), unit_price in self.unit_prices.items():
            yield UnitPrice(tag, unit_price, start)
        for (tag, start), tiers in self.monthly.items():
            yield MonthlyPrice(tag, tiers, start)
        for (tag, start), offer in self.packages.items():
            yield from (PackageOffer(tag, calls, price, start) for calls, price in offer)

    def updated(self, other: Prices) -> Prices:
        """With the other's in place of those of the same kind, tag and day."""
        return Prices(
            self.unit_prices | other.unit_prices, self.monthly | other.monthly, self.packages | other.packages
        )

    def body(self) -> str:
        """As stored: the same prices are the same text."""
        return _compact(
            {
                "unit_prices": [
                    [tag, start.isoformat(), str(price)] for (tag, start), price in sorted(self.unit_prices.items())
                ],
                "monthly": [
                    [tag, start.isoformat(), [[tier.from_calls, str(tier.unit_price)] for tier in tiers]]
                    for (tag, start), tiers in sorted(self.monthly.items(), key=lambda entry: entry[0])
                ],
                "packages": [
                    [tag, start.isoformat(), [[calls, str(price)] for calls, price in offer]]
                    for (tag, start), offer in sorted(self.packages.items())
                ],
            }
        )


def catalog_from_item(item: Mapping[str, Any] | None) -> Catalog:
    """The catalog with the prices of the item; that of the data files where there is none."""
    return load() if item is None else _catalog(item["body"]["S"])


def activities_from_item(item: Mapping[str, Any] | None) -> Mapping[str, Activity]:
    """The activities of the item by id, ascending; none where there is no item."""
    return _NO_ACTIVITIES if item is None else _activities(item["body"]["S"])


def read_catalog(dynamodb: DynamoDBClient, table: str) -> Catalog:
    """The catalog as it is now, with one consistent read."""
    return catalog_from_item(_read(dynamodb, table, PRICES_KEY))


def read_activities(dynamodb: DynamoDBClient, table: str) -> Mapping[str, Activity]:
    """The activities as they are now, with one consistent read."""
    return activities_from_item(_read(dynamodb, table, ACTIVITIES_KEY))


def put_prices(table: str, prices: Prices) -> Catalog:
    """Store more prices, each in place of one of the same kind, tag and day; the catalog with them.

    Raises CatalogError for prices that the catalog refuses, Problem 409 `too_many_prices`, or TryAgainError.
    """
    load().with_prices(prices.dated())

    def after(body: str | None) -> str:
        return (_prices(body) if body else Prices()).updated(prices).body()

    return _catalog(_replace(table, PRICES_KEY, after, "too_many_prices"))


def put_activity(table: str, activity: Activity) -> None:
    """Store an activity in place of the one of its id. Raises Problem 409 `too_many_activities`, or TryAgainError."""

    def after(body: str | None) -> str:
        known = _activities(body) if body else _NO_ACTIVITIES
        return _compact({one: _activity_body(made) for one, made in sorted({**known, activity_id: activity}.items())})

    activity_id = activity.activity_id
    _replace(table, ACTIVITIES_KEY, after, "too_many_activities")


def _read(dynamodb: DynamoDBClient, table: str, key: Mapping[str, Any]) -> Mapping[str, Any] | None:
    return dynamodb.get_item(TableName=table, Key=key, ConsistentRead=True).get("Item")


def _replace(table: str, key: Mapping[str, Any], after: Callable[[str | None], str], full: str) -> str:
    """Store what `after` makes of the body, computed anew when somebody else was faster; what is stored then.

    A body that needs no change is not written again: that is also how a try whose answer was lost is recognised.
    """
    for _ in failures.attempts():
        item = _read(clients.dynamodb(), table, key)
        before = item["body"]["S"] if item else None
        body = after(before)
        if body == before:
            return body
        if len(body.encode()) > MAX_BODY_BYTES:
            raise problems.conflict(full, "no more of them can be kept")
        version = int(item["version"]["N"]) if item else 0
        condition: dict[str, Any] = {"ConditionExpression": "attribute_not_exists(pk)"}
        if item:
            condition = {
                "ConditionExpression": "version = :seen",
                "ExpressionAttributeValues": {":seen": {"N": str(version)}},
            }
        stored = {**key, "version": {"N": str(version + 1)}, "body": {"S": body}}
        try:
            clients.dynamodb_once().put_item(TableName=table, Item=stored, **condition)
        except Exception as error:
            if not failures.is_retriable(error):
                raise
        else:
            return body
    raise failures.TryAgainError


@lru_cache(maxsize=_BODIES_KEPT)
def _catalog(body: str) -> Catalog:
    return load().with_prices(_prices(body).dated())


def _prices(body: str) -> Prices:
    """The reverse of `Prices.body`."""
    stored = json.loads(body)
    return Prices(
        {(tag, date.fromisoformat(start)): Decimal(price) for tag, start, price in stored["unit_prices"]},
        {
            (tag, date.fromisoformat(start)): tuple(Tier(calls, Decimal(price)) for calls, price in tiers)
            for tag, start, tiers in stored["monthly"]
        },
        {
            (tag, date.fromisoformat(start)): tuple((calls, Decimal(price)) for calls, price in offer)
            for tag, start, offer in stored["packages"]
        },
    )


@lru_cache(maxsize=_BODIES_KEPT)
def _activities(body: str) -> Mapping[str, Activity]:
    stored = json.loads(body)
    return MappingProxyType({activity_id: _activity(activity_id, one) for activity_id, one in stored.items()})


_NO_ACTIVITIES: Mapping[str, Activity] = MappingProxyType({})


def _activity(activity_id: str, stored: Mapping[str, Any]) -> Activity:
    """The reverse of `_activity_body`."""
    return Activity(
        activity_id,
        date.fromisoformat(stored["from"]),
        stored["until"] and date.fromisoformat(stored["until"]),
        Decimal(stored["package_rate"]),
        None if stored["tags"] is None else tuple(stored["tags"]),
        stored["refundable"],
    )


def _activity_body(activity: Activity) -> dict[str, Any]:
    return {
        "from": activity.first_day.isoformat(),
        "until": activity.until and activity.until.isoformat(),
        "package_rate": str(activity.package_rate),
        "tags": activity.tags,
        "refundable": activity.refundable,
    }


def _compact(document: object) -> str:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))
