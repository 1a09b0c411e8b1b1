"""The catalog itself: tags, interfaces, dated prices, packages and free grants, and what they answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any

from rating import money
from rating.catalog.model import (
    PACKAGE_PRICE_DECIMALS,
    PRICE_LIMIT,
    UNIT_PRICE_DECIMALS,
    CatalogError,
    DatedPrice,
    FreeGrant,
    Interface,
    InterfaceKey,
    InterfaceRefused,
    InvalidVariant,
    LibraryRequired,
    MonthlyPrice,
    PackageOffer,
    PriceList,
    Tag,
    Tier,
    UnitPrice,
    UnknownInterface,
    UnknownTag,
)
from rating.catalog.rules import tier_problems
from rating.catalog.timeline import Timeline, begun, offers_by_day, start_of, with_record

_SHOWN_CHARACTERS = 64
"""How much of a producer's text an error repeats."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Catalog:
    """All that is sold and how it is told apart. Never changes: `with_prices` makes another one."""

    tags: tuple[Tag, ...]
    """By number."""
    interfaces: tuple[Interface, ...]
    """By number."""
    lookup: Mapping[InterfaceKey, Interface]
    """Every valid way to name an interface, defaults spelled out or left out: one step, for hot loops.

    The parts of a key must be text or None, and the last a real bool or None: to a dict, `1` is `True`. What
    is not in here is for `resolve_interface` to explain.
    """
    _tag_by_code: Mapping[str, Tag]
    _daily: Mapping[str, Timeline[UnitPrice]]
    _monthly: Mapping[str, Timeline[MonthlyPrice]]
    _offers: Mapping[str, Timeline[tuple[PackageOffer, ...]]]
    _grants: tuple[FreeGrant, ...]

    # --- tags and interfaces ------------------------------------------------------------------------------

    def tag(self, code: str) -> Tag:
        """The tag of this code. Raises UnknownTag."""
        found = self._tag_by_code.get(code)
        if found is None:
            msg = f"no tag {_shown(code)}"
            raise UnknownTag(msg)
        return found

    def has_tag(self, code: str) -> bool:
        """Whether there is a tag of this code."""
        return code in self._tag_by_code

    def interface(self, number: int) -> Interface:
        """The interface of this number, as usage records keep it. Raises UnknownInterface."""
        if not 1 <= number <= len(self.interfaces):
            msg = f"no interface has number {number}"
            raise UnknownInterface(msg)
        return self.interfaces[number - 1]

    def resolve_interface(
        self, interface: object, library: object = None, mode: object = None, intention_verify: object = None
    ) -> Interface:
        """What an event calls, from the values as the producer sent them; None is the same as left out.

        `library` may be left out where only one is possible, or none; `mode` left out is simple,
        `intention_verify` false (contract, codes of interfaces; D7).

        Raises UnknownInterface, LibraryRequired, or InvalidVariant for a value that the interface does not
        offer or a field that it does not have.
        """
        if (
            isinstance(interface, str)
            and (library is None or isinstance(library, str))
            and (mode is None or isinstance(mode, str))
            and (intention_verify is None or isinstance(intention_verify, bool))
        ):
            found = self.lookup.get((interface, library, mode, intention_verify))
            if found is not None:
                return found
        raise self._refusal(interface, library, mode, intention_verify)

    def _refusal(self, interface: object, library: object, mode: object, intention_verify: object) -> InterfaceRefused:
        variants = [known for known in self.interfaces if known.interface == interface]
        if not variants:
            return UnknownInterface(f"no interface {_shown(interface)}")
        name = variants[0].interface
        for field, given in (("library", library), ("mode", mode), ("intention_verify", intention_verify)):
            offered = {getattr(variant, field) for variant in variants} - {None}
            if given is not None and not any(type(given) is type(one) and given == one for one in offered):
                return InvalidVariant(f"{name} does not offer {field} {_shown(given)}")
        if library is None and len({variant.library for variant in variants}) > 1:
            return LibraryRequired(f"{name} needs a library: authority or uploaded")
        return InvalidVariant(f"{name} does not offer this combination")

    # --- prices -------------------------------------------------------------------------------------------

    def unit_price(self, tag: str, day: date, price_list: PriceList) -> Decimal | None:
        """The flat list price of a tag on a day, in yuan a call; None where the list prices by tiers (D19).

        Raises UnknownTag.
        """
        own = self.tiers(tag, day) if price_list == "monthly" else ()
        if not own:
            return self.daily_unit_price(tag, day)
        return own[0].unit_price if len(own) == 1 else None

    def tiers(self, tag: str, day: date) -> tuple[Tier, ...]:
        """The monthly list's own price of a tag on a day, ascending; a single step is a flat one (D19).

        Empty where the daily list's price holds for monthly accounts too. Raises UnknownTag.
        """
        listed = begun(self._monthly.get(self.tag(tag).code, ()), day)
        return listed[-1].tiers if listed else ()

    def daily_unit_price(self, tag: str, day: date) -> Decimal:
        """The daily list's price of a tag on a day, in yuan a call (D20). Raises UnknownTag."""
        return begun(self._daily[self.tag(tag).code], day)[-1].unit_price

    def dated_price(self, tag: str, day: date) -> UnitPrice:
        """The daily list's price in force on a day, with the day from which it holds (D20). Raises UnknownTag."""
        return begun(self._daily[self.tag(tag).code], day)[-1]

    def dated_tiers(self, tag: str, day: date) -> MonthlyPrice | None:
        """The same of `tiers`; None where the daily list's price holds. Raises UnknownTag."""
        listed = begun(self._monthly.get(self.tag(tag).code, ()), day)
        return listed[-1] if listed else None

    def monthly_tiers(self, tag: str, day: date) -> tuple[Tier, ...]:
        """`tiers` by the name that pricing asks for. Raises UnknownTag."""
        return self.tiers(tag, day)

    def package_offers(self, tag: str, day: date) -> tuple[PackageOffer, ...]:
        """The packages of a tag on sale on a day, smallest first; empty where none is. Raises UnknownTag."""
        listed = begun(self._offers.get(self.tag(tag).code, ()), day)
        return listed[-1] if listed else ()

    def free_grants(self) -> tuple[FreeGrant, ...]:
        """The free packages of a new account (D13)."""
        return self._grants

    def with_prices(self, extra: Iterable[DatedPrice]) -> Catalog:
        """The same catalog with more prices, each superseding the list from its day on (D20).

        The packages given for one tag and day are its whole offer from then on. A price for a tag and day
        that has one replaces it. Raises CatalogError for prices without a day, of unknown tags, or malformed.
        """
        prices = tuple(extra)
        problems = [problem for price in prices for problem in self._price_problems(price)]
        problems += _doubled(prices)
        if problems:
            raise CatalogError(problems)
        daily, monthly, offers = dict(self._daily), dict(self._monthly), dict(self._offers)
        for price in prices:
            if isinstance(price, UnitPrice):
                daily[price.tag] = with_record(daily[price.tag], start_of(price), price)
            elif isinstance(price, MonthlyPrice):
                monthly[price.tag] = with_record(monthly.get(price.tag, ()), start_of(price), price)
        for (tag, start), offer in offers_by_day(p for p in prices if isinstance(p, PackageOffer)):
            offers[tag] = with_record(offers.get(tag, ()), start, offer)
        return replace(self, _daily=daily, _monthly=monthly, _offers=offers)

    def _price_problems(self, price: DatedPrice) -> Iterable[str]:
        where = f"{type(price).__name__} of {price.tag}"
        if price.tag not in self._tag_by_code:
            yield f"{where}: unknown tag"
        if price.from_day is None:
            yield f"{where}: needs the day from which it holds"
        if isinstance(price, PackageOffer):
            if price.calls < 1:
                yield f"{where}: {price.calls} calls"
            yield from _amount_problems(where, price.price, PACKAGE_PRICE_DECIMALS)
        elif isinstance(price, MonthlyPrice):
            for problem in tier_problems([tier.from_calls for tier in price.tiers]):
                yield f"{where}: {problem}"
            for tier in price.tiers:
                yield from _amount_problems(where, tier.unit_price, UNIT_PRICE_DECIMALS)
        else:
            yield from _amount_problems(where, price.unit_price, UNIT_PRICE_DECIMALS)

    # --- the view -----------------------------------------------------------------------------------------

    def catalog_view(self, price_list: PriceList, at: date) -> dict[str, Any]:
        """The answer of `GET /v1/catalog`: one list on one day, money as text, None where nothing is."""
        grants = {grant.tag: {"calls": grant.calls} for grant in self._grants}
        return {
            "tags": [{**self._tag_view(tag, price_list, at), "free_grant": grants.get(tag.code)} for tag in self.tags],
            "interfaces": [
                {
                    "interface": interface.interface,
                    "library": interface.library,
                    "mode": interface.mode,
                    "intention_verify": interface.intention_verify,
                    "tag": interface.tag,
                    "charged_codes": list(interface.charged_codes),
                }
                for interface in self.interfaces
            ],
        }

    def _tag_view(self, tag: Tag, price_list: PriceList, at: date) -> dict[str, Any]:
        flat = self.unit_price(tag.code, at, price_list)
        tiers = [
            {"from_calls": tier.from_calls, "unit_price": money.price(tier.unit_price)}
            for tier in self.tiers(tag.code, at)
        ]
        packages = [
            {"sku": offer.sku, "calls": offer.calls, "price": money.yuan(offer.price)}
            for offer in self.package_offers(tag.code, at)
        ]
        return {
            "tag": tag.code,
            "name": tag.name,
            "family": tag.family,
            "unit_price": None if flat is None else money.price(flat),
            "tiers": tiers if flat is None else None,
            "packages": packages or None,
        }


def _doubled(prices: Sequence[DatedPrice]) -> list[str]:
    kinds = [(type(p), p.tag, p.from_day, p.calls if isinstance(p, PackageOffer) else None) for p in prices]
    return ["a tag has two prices of one kind and day"] if len(set(kinds)) < len(kinds) else []


def _amount_problems(where: str, amount: Decimal, decimals: int) -> Iterable[str]:
    if not amount.is_finite() or not 0 < amount < PRICE_LIMIT:
        yield f"{where}: a price is above 0 and below {PRICE_LIMIT}"
    elif -int(amount.as_tuple().exponent) > decimals:
        yield f"{where}: more than {decimals} decimals"


def _shown(value: object) -> str:
    """A producer's value in an error: texts cut short, other things by their type alone."""
    return repr(value[:_SHOWN_CHARACTERS]) if isinstance(value, str) else f"of type {type(value).__name__}"
