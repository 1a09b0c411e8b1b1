"""From the records of the data files to a catalog."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from itertools import product

from rating.catalog.book import Catalog
from rating.catalog.model import (
    CatalogError,
    FreeGrant,
    Interface,
    InterfaceKey,
    MonthlyPrice,
    PackageOffer,
    Tag,
    Tier,
    UnitPrice,
)
from rating.catalog.rules import DEFAULT_INTENTION_VERIFY, DEFAULT_MODE, RawData, RawRecord, validate
from rating.catalog.timeline import offers_by_day, start_of, timelines


def build(raw: RawData) -> Catalog:
    """The catalog of these data. Raises CatalogError with everything that is wrong with them."""
    problems = validate(raw)
    if problems:
        raise CatalogError(problems)
    tags = tuple(map(_tag, sorted(raw["tags"], key=_number)))
    tag_by_code = {tag.code: tag for tag in tags}
    daily = map(_unit_price, raw["prices_daily"])
    monthly = map(_monthly_price, raw["prices_monthly"])
    interfaces = tuple(_interface(record, tag_by_code) for record in sorted(raw["interfaces"], key=_number))
    return Catalog(
        tags=tags,
        interfaces=interfaces,
        lookup=_lookup(interfaces),
        _tag_by_code=tag_by_code,
        _daily=timelines(((price.tag, start_of(price)), price) for price in daily),
        _monthly=timelines(((price.tag, start_of(price)), price) for price in monthly),
        _offers=timelines(offers_by_day(map(_package_offer, raw["packages"]))),
        _grants=tuple(map(_free_grant, raw["free_grants"])),
    )


def _number(record: RawRecord) -> int:
    return int(record["number"])


def _tag(record: RawRecord) -> Tag:
    return Tag(record["tag"], record["number"], record["name"], record["family"])


def _day(text: str | None) -> date | None:
    return None if text is None else date.fromisoformat(text)


def _unit_price(record: RawRecord) -> UnitPrice:
    return UnitPrice(record["tag"], Decimal(record["unit_price"]), _day(record["from"]))


def _monthly_price(record: RawRecord) -> MonthlyPrice:
    tiers = tuple(Tier(tier["from_calls"], Decimal(tier["unit_price"])) for tier in record["tiers"])
    return MonthlyPrice(record["tag"], tiers, _day(record["from"]))


def _package_offer(record: RawRecord) -> PackageOffer:
    return PackageOffer(record["tag"], record["calls"], Decimal(record["price"]), _day(record["from"]))


def _free_grant(record: RawRecord) -> FreeGrant:
    return FreeGrant(record["tag"], record["calls"], record["trigger"], _day(record["opened_from"]))


def _interface(record: RawRecord, tag_by_code: Mapping[str, Tag]) -> Interface:
    codes = tuple(record["charged_codes"])
    return Interface(
        number=record["number"],
        interface=record["interface"],
        library=record["library"],
        mode=record["mode"],
        intention_verify=record["intention_verify"],
        tag=record["tag"],
        tag_number=tag_by_code[record["tag"]].number,
        charged_codes=codes,
        charged=frozenset(codes),
    )


def _lookup(interfaces: Sequence[Interface]) -> dict[InterfaceKey, Interface]:
    libraries: dict[str, set[str | None]] = {}
    for interface in interfaces:
        libraries.setdefault(interface.interface, set()).add(interface.library)
    keys: dict[InterfaceKey, Interface] = {}
    for interface in interfaces:
        without_library = len(libraries[interface.interface]) == 1
        without_mode = interface.mode == DEFAULT_MODE
        without_intention = interface.intention_verify is DEFAULT_INTENTION_VERIFY
        for library, mode, intention_verify in product(
            _spelled(interface.library, left_out=without_library),
            _spelled(interface.mode, left_out=without_mode),
            _spelled(interface.intention_verify, left_out=without_intention),
        ):
            keys[interface.interface, library, mode, intention_verify] = interface
    return keys


def _spelled[T](value: T | None, *, left_out: bool) -> tuple[T | None, ...]:
    """The ways to give a value: spelled out, and left out where that means the same."""
    return (value, None) if left_out and value is not None else (value,)
