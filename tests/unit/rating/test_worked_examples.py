"""The four worked examples of the purchase guide, with the real catalog (guide, examples of cost; D9)."""

from __future__ import annotations

from decimal import Decimal

import pytest

from rating import money
from rating.allocation import Allocation, Package, Source, allocate
from rating.billing import ResourceCharge, daily_charges
from rating.catalog import load
from rating.pricing import Terms, daily_price
from tests.unit.rating.building import at, day, whole

CATALOG = load()
DAY = day("2025-03-01")
ENHANCED = ["enhanced_authority_wechat", "enhanced_authority_float_h5", "enhanced_authority_app"]


def _package(tag: str, calls: int, number: int = 1) -> Package:
    return Package(
        f"p{number}", tag, Source.PURCHASE, at("2025-03-01T14:30:00"), at("2026-03-01T23:59:59"), remaining=calls
    )


def _price_of_package(tag: str, calls: int) -> Decimal:
    (price,) = [offer.price for offer in CATALOG.package_offers(tag, DAY) if offer.calls == calls]
    return price


def _bill(allocation: Allocation) -> tuple[ResourceCharge, ...]:
    return daily_charges(allocation.allotments, lambda tag, on: daily_price(CATALOG, Terms(), tag, on))


@pytest.mark.parametrize(
    "tag, calls, unit_price, amount",
    [("identity_check", 1000, "0.30", "300.00"), ("phone_two_factor", 30_000, "0.40", "12000.00")],
)
def test_postpaid_examples(tag: str, calls: int, unit_price: str, amount: str) -> None:
    """A day of 1,000 checks at 0.3 costs 300 yuan, one of 30,000 at 0.4 costs 12,000: no tiers by the day."""
    (charge,) = _bill(allocate([(whole(DAY), {tag: calls})], ()))
    (line,) = charge.lines
    assert money.price(line.price.unit_price) == unit_price
    assert line.quantities.postpaid == calls
    assert money.yuan(charge.amount) == amount


@pytest.mark.parametrize("tag", ENHANCED)
def test_first_prepaid_example(tag: str) -> None:
    """300,000 calls in a year are three packages of 100,000: 300,000 yuan, and nothing is left to pay."""
    packages = [_package(tag, 100_000, number) for number in (1, 2, 3)]
    allocation = allocate([(whole(DAY), {tag: 300_000})], packages)
    assert sum(charge.amount for charge in _bill(allocation)) == 0
    assert set(allocation.remaining.values()) == {0}
    assert 3 * _price_of_package(tag, 100_000) == Decimal(300_000)


@pytest.mark.parametrize("tag", ENHANCED)
def test_second_prepaid_example(tag: str) -> None:
    """15,000 calls with one package of 10,000 and no free calls left cost 5,000 x 1.2 + 11,000 = 17,000 yuan (D9)."""
    free = Package("free", tag, Source.GIFT, at("2025-01-01T00:30:00"), at("2026-01-01T00:30:00"), remaining=0)
    allocation = allocate([(whole(DAY), {tag: 15_000})], [_package(tag, 10_000), free])
    (charge,) = _bill(allocation)
    quantities = charge.lines[0].quantities
    assert (quantities.raw, quantities.free, quantities.paid, quantities.postpaid) == (15_000, 0, 10_000, 5_000)
    assert charge.amount + _price_of_package(tag, 10_000) == Decimal("17000.00")


def test_second_prepaid_example_with_free_calls() -> None:
    """Free calls are used before the package, so every one that is left saves a postpaid call (D9)."""
    tag = ENHANCED[0]
    free = Package("free", tag, Source.GIFT, at("2025-01-01T00:30:00"), at("2026-01-01T00:30:00"), remaining=100)
    (charge,) = _bill(allocate([(whole(DAY), {tag: 15_000})], [_package(tag, 10_000), free]))
    assert charge.amount == Decimal("5880.00")


def test_a_daily_account_has_no_tiers() -> None:
    """The tiers are the monthly list's alone: a day of 200,000 costs the daily price throughout (D19)."""
    (charge,) = _bill(allocate([(whole(DAY), {"bank_card_check": 200_000})], ()))
    assert charge.amount == Decimal("120000.00")
