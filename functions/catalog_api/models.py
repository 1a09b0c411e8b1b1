"""What the catalog routes take and answer (contract, Catalog, activities, quotes)."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, StrictStr, model_validator

from aws_platform.api import Body, Shown
from aws_platform.contact_fields import described
from aws_platform.days import Day
from rating import money
from rating.catalog import PriceList
from rating.quotes import MAX_CALLS, Kind

ACTIVITY_ID_PATTERN = "^[A-Za-z0-9_-]{1,64}$"
_MOST_STEPS = 20
"""Tiers of a price, and packages of an offer: far more than the guide has."""
_MOST_TAGS = 100
"""Of one activity: more than there are."""
_RATE_DECIMALS = 4


def _decimal(text: str) -> str:
    money.parse_decimal(text)
    return text


def _rate(text: str) -> str:
    rate = money.parse_decimal(text)
    if not 0 < rate <= 1 or len(text.partition(".")[2]) > _RATE_DECIMALS:
        msg = f"must be above 0 and at most 1, with at most {_RATE_DECIMALS} decimals"
        raise ValueError(msg)
    return text


Price = Annotated[
    StrictStr,
    Field(max_length=40, examples=["0.30"], json_schema_extra=described(r"-?[0-9]+(\.[0-9]+)?")),
    AfterValidator(_decimal),
]
Rate = Annotated[
    StrictStr,
    Field(max_length=40, examples=["0.8"], json_schema_extra=described(rf"[0-9]+(\.[0-9]{{1,{_RATE_DECIMALS}}})?")),
    AfterValidator(_rate),
]
Calls = Annotated[int, Field(ge=1, le=MAX_CALLS)]


class TierBody(Body):
    """One step of a monthly price."""

    from_calls: Annotated[int, Field(ge=0, le=MAX_CALLS)]
    unit_price: Price


class OfferBody(Body):
    """A package to sell; its `sku` may be given as the catalog shows it."""

    calls: Calls
    price: Price
    sku: Annotated[StrictStr, Field(max_length=200)] | None = Field(
        default=None, description="`{tag}:{calls}` and nothing else"
    )


class PricesBody(Body):
    """Prices of a tag from a day on; what is left out stays as it is."""

    price_list: PriceList = "daily"
    unit_price: Price | None = None
    tiers: Annotated[list[TierBody], Field(min_length=1, max_length=_MOST_STEPS)] | None = None
    packages: Annotated[list[OfferBody], Field(min_length=1, max_length=_MOST_STEPS)] | None = Field(
        default=None, description="all packages of the tag, for both lists"
    )
    first_day: Annotated[Day, Field(alias="from", description="not before today")]

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.unit_price is None and self.tiers is None and self.packages is None:
            msg = "needs unit_price, tiers or packages"
            raise ValueError(msg)
        return self


class ActivityBody(Body):
    """What orders that name the activity get."""

    first_day: Annotated[Day, Field(alias="from")]
    until: Annotated[Day | None, Field(description="the first day after it; null for no end")] = None
    package_rate: Rate
    tags: Annotated[list[StrictStr], Field(min_length=1, max_length=_MOST_TAGS)] | None = Field(
        default=None, description="the tags whose packages it is for; null for all"
    )
    refundable: bool = True


class QuoteBody(Body):
    """How many calls of a tag a year is to have."""

    tag: StrictStr
    calls: Calls
    price_list: PriceList = "daily"


class TierShown(Shown):
    """One step of a monthly price."""

    from_calls: int
    unit_price: str


class OfferShown(Shown):
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
    packages: list[OfferShown] | None
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


class ActivityShown(Shown):
    """An activity, on the days from `from` up to, but not on, `until`."""

    activity_id: str
    first_day: Annotated[date, Field(alias="from")]
    until: date | None
    package_rate: str
    tags: list[str] | None
    refundable: bool


class ActivityPage(Shown):
    """Activities by id."""

    items: list[ActivityShown]
    next_cursor: str | None


class QuotedPackage(Shown):
    """Packages of one size."""

    sku: str
    calls: int
    quantity: int
    price: str
    """Of one."""
    amount: str
    """Of all."""


class QuotedPostpaid(Shown):
    """The calls that the packages leave."""

    calls: int
    cost: str


class MixShown(Shown):
    """One way to pay for the calls, in yuan."""

    total: str
    packages: list[QuotedPackage]
    postpaid: QuotedPostpaid


class AlternativeShown(MixShown):
    """One of the ways: without packages, without postpaid, one size with postpaid, or the cheapest mix of all."""

    kind: Kind


class QuoteShown(MixShown):
    """The cheapest way, what it saves compared with postpaid alone, and what the others cost."""

    tag: str
    calls: int
    price_list: PriceList
    saving: str
    alternatives: list[AlternativeShown]


class HealthShown(Shown):
    """That the API answers."""

    status: Literal["ok"]
