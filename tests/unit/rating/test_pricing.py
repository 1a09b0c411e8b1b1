"""Prices: tiers by the month, flat prices, discounts, contract prices, price periods (D18 to D20)."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest

from rating.catalog import UnitPrice, load
from rating.pricing import (
    AppliedPrice,
    ContractPrice,
    Discount,
    Terms,
    daily_price,
    monthly_price,
    price_periods,
)
from tests.unit.rating.building import TAG, Book, day, steps

CATALOG = load()
NONE = Terms()
DAY = day("2025-03-15")
ONE = Decimal(1)
TIERED = steps((0, "0.40"), (10, "0.30"))

# facts.md 2.1, written down a second time: the last published step holds for 200,000 and more (D19).
MONTHLY_LIST = {
    "identity_check": ("0.30", "0.30", "0.28", "0.26"),
    "bank_card_check": ("0.40", "0.38", "0.36", "0.34"),
    "phone_tenure_status": ("0.40", "0.38", "0.36", "0.36"),
    "phone_two_factor": ("0.40", "0.38", "0.37", "0.36"),
    "bank_card_lookup": ("0.30", "0.30", "0.30", "0.20"),
}
BOUNDARIES = [
    (0, 0),
    (1, 0),
    (999, 0),
    (1_000, 1),
    (9_999, 1),
    (10_000, 2),
    (99_999, 2),
    (100_000, 3),
    (199_999, 3),
    (200_000, 3),
    (5_000_000, 3),
]


@pytest.mark.parametrize("calls, step", BOUNDARIES)
@pytest.mark.parametrize("tag", MONTHLY_LIST)
def test_the_months_calls_pick_the_step(tag: str, calls: int, step: int) -> None:
    """1,000 calls are in the second step, 999 in the first, and so on; beyond 200,000 the last one holds (D19)."""
    price = monthly_price(CATALOG, NONE, tag, DAY, calls)
    assert price.unit_price == price.list_price == Decimal(MONTHLY_LIST[tag][step])
    assert price.tier_from_calls == (0, 1_000, 10_000, 100_000)[step]
    assert price.discount_rate == 1


def test_all_other_tags_are_flat_for_monthly_accounts() -> None:
    """The monthly list replaces five tags only; every other price is the daily one at any quantity (D19)."""
    others = [tag.code for tag in CATALOG.tags if tag.code not in MONTHLY_LIST]
    assert len(others) == 32 - 5
    for tag in others:
        for calls, _ in BOUNDARIES:
            assert monthly_price(CATALOG, NONE, tag, DAY, calls) == daily_price(CATALOG, NONE, tag, DAY)


@pytest.mark.parametrize("tag", MONTHLY_LIST)
def test_daily_accounts_know_no_steps(tag: str) -> None:
    """A daily account pays the daily list's flat price, and its lines name no step (D19)."""
    price = daily_price(CATALOG, NONE, tag, DAY)
    assert price == AppliedPrice(CATALOG.daily_unit_price(tag, DAY), CATALOG.daily_unit_price(tag, DAY), ONE)
    assert price.tier_from_calls is None


@pytest.mark.parametrize(
    "rate, unit_price", [("1", "0.40"), ("0.8", "0.32"), ("0.3333", "0.13332"), ("0.0001", "0.00004")]
)
def test_a_discount_multiplies_the_list_price(rate: str, unit_price: str) -> None:
    """The unit price is list price x rate, unrounded; the list price stays visible (D18)."""
    terms = Terms((Discount(TAG, Decimal(rate), DAY),))
    assert daily_price(Book("0.40"), terms, TAG, DAY) == AppliedPrice(
        Decimal(unit_price), Decimal("0.40"), Decimal(rate)
    )


def test_a_discount_also_applies_to_a_step() -> None:
    """A monthly account's discount is on the price of the step that is reached (D18, D19)."""
    terms = Terms((Discount(TAG, Decimal("0.5"), DAY),))
    price = monthly_price(Book(tiers={TAG: TIERED}), terms, TAG, DAY, 10)
    assert price == AppliedPrice(Decimal("0.15"), Decimal("0.30"), Decimal("0.5"), 10)


@pytest.mark.parametrize("offset, holds", [(-1, False), (0, True), (9, True), (10, False)])
def test_agreements_hold_from_their_first_day_and_not_on_the_last(offset: int, *, holds: bool) -> None:
    """`until` is the first day on which a discount or contract price no longer holds (D18)."""
    on = DAY + timedelta(days=offset)
    until = DAY + timedelta(days=10)
    assert Discount(TAG, ONE, DAY, until).holds(on) is holds
    assert ContractPrice(TAG, ONE, DAY, until).holds(on) is holds


def test_agreements_without_an_end_last() -> None:
    """Without `until` an agreement holds for good, but not before its first day."""
    for agreement in (Discount(TAG, ONE, DAY), ContractPrice(TAG, ONE, DAY)):
        assert agreement.holds(date.max)
        assert not agreement.holds(DAY - timedelta(days=1))


def test_a_contract_price_replaces_list_price_and_discount() -> None:
    """Under a contract price neither list price nor rate nor step is shown or used (D18)."""
    terms = Terms((Discount(TAG, Decimal("0.5"), DAY),), (ContractPrice(TAG, Decimal("0.123"), DAY),))
    expected = AppliedPrice(Decimal("0.123"), None, None, None)
    assert daily_price(Book(), terms, TAG, DAY) == expected
    assert monthly_price(Book(tiers={TAG: TIERED}), terms, TAG, DAY, 500_000) == expected


def test_agreements_are_for_their_own_tag() -> None:
    """Another tag's discount or contract price changes nothing (D18)."""
    terms = Terms((Discount("photo_v2", Decimal("0.5"), DAY),), (ContractPrice("photo_v2", Decimal(9), DAY),))
    assert daily_price(Book("0.40"), terms, TAG, DAY).unit_price == Decimal("0.40")
    assert monthly_price(Book("0.40"), terms, TAG, DAY, 1).unit_price == Decimal("0.40")


def test_the_agreement_of_the_day_is_used() -> None:
    """Of several discounts in turn, each day has its own."""
    change = day("2025-03-20")
    terms = Terms((Discount(TAG, Decimal("0.9"), DAY, change), Discount(TAG, Decimal("0.8"), change)))
    days = (day("2025-03-14"), DAY, day("2025-03-19"), change)
    rates = [daily_price(Book(), terms, TAG, on).discount_rate for on in days]
    assert rates == [1, Decimal("0.9"), Decimal("0.9"), Decimal("0.8")]


# --- price periods --------------------------------------------------------------------------------------------

MARCH = (day("2025-03-01"), day("2025-03-31"))


def _cut(book: Book, terms: Terms = NONE, tag: str = TAG) -> list[tuple[int, int]]:
    return [(first.day, last.day) for first, last in price_periods(book, terms, tag, *MARCH)]


def test_a_month_of_one_price_is_one_period() -> None:
    """Without a change the whole month is one line (D19)."""
    assert _cut(Book()) == [(1, 31)]
    assert _cut(Book(tiers={TAG: TIERED})) == [(1, 31)]


def test_a_price_change_begins_a_period() -> None:
    """The day from which a new price holds is the first of a new period (D19, D20)."""
    assert _cut(Book("0.40", changes_on=DAY, flat_later="0.50")) == [(1, 14), (15, 31)]


def test_a_change_of_another_list_begins_none() -> None:
    """A tiered tag is not cut by the daily list, nor a flat one by another tag's steps."""
    tiers = {TAG: TIERED}
    assert _cut(Book("0.40", tiers, DAY, "0.50", tiers)) == [(1, 31)]
    assert _cut(Book("0.40", {}, DAY, "0.40", tiers), tag="photo_v2") == [(1, 31)]


def test_a_change_of_any_step_begins_a_period() -> None:
    """Periods do not depend on the step that is reached, so that late usage finds the same ones."""
    moved = steps((0, "0.40"), (20, "0.30"))
    dearer = steps((0, "0.40"), (10, "0.31"))
    for later in (moved, dearer, ()):
        assert _cut(Book("0.40", {TAG: TIERED}, DAY, "0.40", {TAG: later})) == [(1, 14), (15, 31)]


def test_agreements_begin_and_end_periods() -> None:
    """A discount and a contract price are periods of their own (D18, D19)."""
    terms = Terms(
        (Discount(TAG, Decimal("0.9"), day("2025-03-05"), day("2025-03-10")),),
        (ContractPrice(TAG, Decimal("0.2"), day("2025-03-20"), day("2025-03-25")),),
    )
    assert _cut(Book(), terms) == [(1, 4), (5, 9), (10, 19), (20, 24), (25, 31)]


def test_a_price_change_under_a_contract_price_begins_no_period() -> None:
    """While a contract price holds the list does not matter (D18)."""
    terms = Terms((), (ContractPrice(TAG, Decimal("0.2"), day("2025-03-10"), day("2025-03-20")),))
    assert _cut(Book("0.40", changes_on=DAY, flat_later="0.50"), terms) == [(1, 9), (10, 19), (20, 31)]


def test_a_price_in_the_real_catalog_changes_in_the_middle_of_a_month() -> None:
    """A dated price of the catalog holds from its own day (D20)."""
    catalog = CATALOG.with_prices([UnitPrice("photo_v2", Decimal("0.90"), DAY)])
    assert [(first.day, last.day) for first, last in price_periods(catalog, NONE, "photo_v2", *MARCH)] == [
        (1, 14),
        (15, 31),
    ]
    assert daily_price(catalog, NONE, "photo_v2", day("2025-03-14")).unit_price == 1
    assert daily_price(catalog, NONE, "photo_v2", DAY).unit_price == Decimal("0.9")
