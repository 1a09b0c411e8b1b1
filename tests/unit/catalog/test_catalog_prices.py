"""Prices by day: each holds from its own day, the first listed one before it too (D20)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rating.catalog import (
    CatalogError,
    DatedPrice,
    MonthlyPrice,
    PackageOffer,
    Tier,
    UnitPrice,
    UnknownTag,
    build,
    load,
    read_data,
)
from rating.pricing import PriceBook

CATALOG = load()
START = date(2025, 4, 1)
BEFORE = START - timedelta(days=1)
ENDS_OF_TIME = (date.min, date.max)


def _steps(*steps: tuple[int, str]) -> tuple[Tier, ...]:
    return tuple(Tier(from_calls, Decimal(price)) for from_calls, price in steps)


@pytest.mark.parametrize("day", ENDS_OF_TIME)
def test_the_first_listed_prices_hold_on_every_day(day: date) -> None:
    """Without later ones, prices and packages hold before their own day and for ever (D20)."""
    assert CATALOG.unit_price("face_risk", day, "daily") == Decimal("0.0035")
    assert CATALOG.tiers("bank_card_lookup", day)[-1] == Tier(100_000, Decimal("0.20"))
    assert CATALOG.package_offers("eid_authority", day)[1].sku == "eid_authority:5000"


def test_a_later_price_supersedes_from_its_day() -> None:
    """The old price holds through the day before, the new one from 00:00 of its day."""
    catalog = CATALOG.with_prices([UnitPrice("basic_authority", Decimal("0.95"), START)])
    assert catalog.unit_price("basic_authority", BEFORE, "daily") == Decimal(1)
    assert catalog.unit_price("basic_authority", START, "daily") == Decimal("0.95")
    assert catalog.unit_price("basic_authority", date.max, "daily") == Decimal("0.95")


def test_a_new_daily_price_is_the_monthly_one_of_a_flat_tag_only() -> None:
    """Monthly accounts follow the daily list except for tags with a monthly price of their own (D19)."""
    catalog = CATALOG.with_prices(
        [
            UnitPrice("basic_authority", Decimal("0.95"), START),
            UnitPrice("identity_check", Decimal("0.25"), START),
        ]
    )
    assert catalog.unit_price("basic_authority", START, "monthly") == Decimal("0.95")
    assert catalog.unit_price("identity_check", START, "monthly") is None
    assert catalog.tiers("identity_check", START) == CATALOG.tiers("identity_check", START)


def test_new_tiers_supersede_from_their_day() -> None:
    """Tiers are dated like prices, and the daily list does not see them."""
    steps = _steps((0, "0.29"), (5_000, "0.2"))
    catalog = CATALOG.with_prices([MonthlyPrice("identity_check", steps, START)])
    assert catalog.tiers("identity_check", BEFORE) == CATALOG.tiers("identity_check", BEFORE)
    assert catalog.tiers("identity_check", START) == steps
    assert catalog.unit_price("identity_check", START, "daily") == Decimal("0.3")


def test_a_single_step_is_a_flat_monthly_price() -> None:
    """A monthly price of one step prices every call alike, from its day on only."""
    catalog = CATALOG.with_prices([MonthlyPrice("basic_authority", _steps((0, "0.9")), START)])
    assert catalog.unit_price("basic_authority", BEFORE, "monthly") == Decimal(1)
    assert catalog.tiers("basic_authority", BEFORE) == ()
    assert catalog.unit_price("basic_authority", START, "monthly") == Decimal("0.9")
    assert catalog.unit_price("basic_authority", START, "daily") == Decimal(1)


def test_new_packages_replace_the_offer_of_the_tag() -> None:
    """What is listed for a tag with one day is all that is on sale from then on, smallest first."""
    catalog = CATALOG.with_prices(
        [
            PackageOffer("basic_authority", 20_000, Decimal(15_000), START),
            PackageOffer("basic_authority", 500, Decimal(480), START),
        ]
    )
    assert catalog.package_offers("basic_authority", BEFORE) == CATALOG.package_offers("basic_authority", BEFORE)
    offers = catalog.package_offers("basic_authority", START)
    assert [offer.sku for offer in offers] == ["basic_authority:500", "basic_authority:20000"]
    assert catalog.package_offers("basic_uploaded", START) == CATALOG.package_offers("basic_uploaded", START)


def test_a_first_package_is_not_on_sale_before_its_day() -> None:
    """A tag that had no packages gets them from their day on, not before."""
    catalog = CATALOG.with_prices([PackageOffer("nfc_document", 1_000, Decimal(950), START)])
    assert catalog.package_offers("nfc_document", BEFORE) == ()
    assert [offer.calls for offer in catalog.package_offers("nfc_document", START)] == [1_000]


def test_a_price_of_the_same_day_replaces_the_earlier_one() -> None:
    """Listing a price again for its day corrects it before the day comes."""
    catalog = CATALOG.with_prices([UnitPrice("face_risk", Decimal("0.004"), START)])
    catalog = catalog.with_prices([UnitPrice("face_risk", Decimal("0.003"), START)])
    assert catalog.unit_price("face_risk", START, "daily") == Decimal("0.003")


def test_more_prices_leave_the_catalog_as_it_was() -> None:
    """An overlay is another catalog; what was loaded never changes, and the metering lookup is shared."""
    catalog = CATALOG.with_prices([UnitPrice("face_risk", Decimal("0.004"), START)])
    assert CATALOG.unit_price("face_risk", START, "daily") == Decimal("0.0035")
    assert catalog.lookup is CATALOG.lookup
    assert catalog.tags is CATALOG.tags


def test_the_first_dated_price_of_a_file_holds_before_its_day() -> None:
    """A file whose first price has a day still prices earlier usage with it (D20)."""
    raw = {file: [dict(record) for record in records] for file, records in read_data().items()}
    for file in ("prices_daily", "prices_monthly", "packages"):
        for record in raw[file]:
            record["from"] = "2025-04-01"
    raw["prices_daily"].append({"tag": "face_risk", "unit_price": "0.002", "from": "2025-05-01"})
    catalog = build(raw)
    assert catalog.unit_price("face_risk", date(2024, 1, 1), "daily") == Decimal("0.0035")
    assert catalog.unit_price("face_risk", date(2025, 4, 30), "daily") == Decimal("0.0035")
    assert catalog.unit_price("face_risk", date(2025, 5, 1), "daily") == Decimal("0.002")
    assert len(catalog.tiers("identity_check", date(2024, 1, 1))) == 4
    assert len(catalog.package_offers("photo_v2", date(2024, 1, 1))) == 6


CHANGES = st.dictionaries(
    st.integers(-400, 400), st.decimals("0.0001", 10, places=4, allow_nan=False), min_size=1, max_size=8
)


@given(CHANGES, st.integers(-500, 500), st.randoms(use_true_random=False))
def test_the_price_in_force_is_the_latest_begun_one(changes: dict[int, Decimal], when: int, order: object) -> None:
    """On any day the price is that of the latest day not after it, in whatever order prices were listed."""
    extra = [UnitPrice("face_risk", price, START + timedelta(days=n)) for n, price in changes.items()]
    order.shuffle(extra)  # type: ignore[attr-defined]
    begun = [n for n in changes if n <= when]
    expected = changes[max(begun)] if begun else Decimal("0.0035")
    day = START + timedelta(days=when)
    at_once = CATALOG.with_prices(extra)
    assert at_once.unit_price("face_risk", day, "daily") == expected
    one_by_one = CATALOG
    for price in extra:
        one_by_one = one_by_one.with_prices([price])
    assert one_by_one.unit_price("face_risk", day, "daily") == expected


@pytest.mark.parametrize(
    "price, problem",
    [
        (UnitPrice("nothing", Decimal(1), START), "unknown tag"),
        (UnitPrice("face_risk", Decimal(1), None), "needs the day"),
        (UnitPrice("face_risk", Decimal(0), START), "above 0"),
        (UnitPrice("face_risk", Decimal(-1), START), "above 0"),
        (UnitPrice("face_risk", Decimal("NaN"), START), "above 0"),
        (UnitPrice("face_risk", Decimal("Infinity"), START), "above 0"),
        (UnitPrice("face_risk", Decimal(10**9), START), "below 1000000000"),
        (UnitPrice("face_risk", Decimal("0.00351"), START), "more than 4 decimals"),
        (MonthlyPrice("face_risk", (), START), "no tiers"),
        (MonthlyPrice("face_risk", _steps((1, "0.3")), START), "start at 0"),
        (MonthlyPrice("face_risk", _steps((0, "0.3"), (0, "0.2")), START), "do not ascend"),
        (MonthlyPrice("face_risk", _steps((0, "0.3"), (10, "0")), START), "above 0"),
        (MonthlyPrice("face_risk", _steps((0, "0.3")), None), "needs the day"),
        (PackageOffer("face_risk", 0, Decimal(1), START), "0 calls"),
        (PackageOffer("face_risk", 1_000, Decimal(0), START), "above 0"),
        (PackageOffer("face_risk", 1_000, Decimal("3.005"), START), "more than 2 decimals"),
        (PackageOffer("nothing", 1_000, Decimal(3), START), "unknown tag"),
    ],
)
def test_a_malformed_price_is_refused(price: DatedPrice, problem: str) -> None:
    """A price that the catalog could not keep its rules with is named and nothing is listed."""
    with pytest.raises(CatalogError, match=problem):
        CATALOG.with_prices([UnitPrice("basic_authority", Decimal(2), START), price])


def test_two_prices_of_one_kind_and_day_are_refused() -> None:
    """Of two prices given at once for the same day neither is chosen silently."""
    twice = UnitPrice("face_risk", Decimal("0.004"), START), UnitPrice("face_risk", Decimal("0.005"), START)
    with pytest.raises(CatalogError, match="two prices"):
        CATALOG.with_prices(twice)


@pytest.mark.parametrize(
    "ask",
    [
        lambda tag: CATALOG.unit_price(tag, START, "daily"),
        lambda tag: CATALOG.unit_price(tag, START, "monthly"),
        lambda tag: CATALOG.tiers(tag, START),
        lambda tag: CATALOG.package_offers(tag, START),
    ],
)
def test_questions_about_an_unknown_tag_are_refused(ask: Callable[[str], object]) -> None:
    """A code that is no tag is never taken for one without tiers or packages."""
    with pytest.raises(UnknownTag):
        ask("nothing")


def test_the_catalog_is_the_price_book_of_pricing() -> None:
    """Pricing reads the catalog as it is."""
    book: PriceBook = CATALOG
    assert book.daily_unit_price("identity_check", START) == Decimal("0.3")
    assert [tier.unit_price for tier in book.monthly_tiers("identity_check", START)][2] == Decimal("0.28")
