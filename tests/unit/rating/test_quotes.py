"""Quotes by example (contract, Catalog, activities, quotes)."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from rating import quotes
from rating.catalog import PackageOffer, PriceList, Tier, load
from rating.quotes import Mix, Postpaid, Quote, TooManyMixes, quote

DAY = date(2025, 3, 1)


def offers(*sizes: tuple[int, str]) -> list[PackageOffer]:
    """Packages of a made-up tag."""
    return [PackageOffer("t", calls, Decimal(price), None) for calls, price in sizes]


def guide_quote(tag: str, calls: int, price_list: PriceList = "daily") -> Quote:
    """At the guide's prices."""
    catalog = load()
    tiers = catalog.tiers(tag, DAY) if price_list == "monthly" else ()
    postpaid = Postpaid.monthly(tiers) if tiers else Postpaid.flat(catalog.daily_unit_price(tag, DAY))
    return quote(catalog.package_offers(tag, DAY), postpaid, calls)


def bought(mix: Mix) -> dict[int, int]:
    """Numbers by size."""
    return {offer.calls: number for offer, number in mix.packages}


def test_small_needs_are_postpaid() -> None:
    """Below every package's saving nothing is bought."""
    made = guide_quote("plus_authority_wechat", 10)
    assert (bought(made.best), made.best.postpaid_calls, made.best.total) == ({}, 10, Decimal(15))


def test_a_bigger_package_than_needed_may_be_cheapest() -> None:
    """950,000 calls cost 1,310,000 in packages that hold just as many, and 1,300,000 in one of a million."""
    made = guide_quote("plus_authority_wechat", 950_000)
    assert (bought(made.best), made.best.postpaid_calls) == ({1_000_000: 1}, 0)
    assert made.best.total == Decimal(1_300_000)


def test_a_package_that_saves_nothing_is_not_bought() -> None:
    """1,000 calls cost as much postpaid as in a package: of equal mixes the one with fewer packages is chosen."""
    made = guide_quote("plus_authority_wechat", 101_000)
    assert (bought(made.best), made.best.postpaid_calls) == ({100_000: 1}, 1000)


def test_greed_does_not_pay() -> None:
    """The size of the best rate first would leave 4 calls to pay in full; two of the other size leave none."""
    made = quote(offers((5, "4.50"), (6, "5.30")), Postpaid.flat(Decimal(1)), 10)
    assert (bought(made.best), made.best.total) == ({5: 2}, Decimal("9.00"))


def test_a_package_that_takes_the_rest_below_its_step_is_not_bought() -> None:
    """The package's calls are cheaper than postpaid ones at the upper step, but only if the rest still reaches it."""
    steps = (Tier(0, Decimal("0.50")), Tier(1000, Decimal("0.30")))
    cheaper = offers((10_000, "2990.00"))
    made = quote(cheaper, Postpaid.monthly(steps), 22_000)
    assert (bought(made.best), made.best.total) == ({10_000: 1}, Decimal(6590))
    made = quote(cheaper, Postpaid.monthly(steps), 21_999)
    assert (bought(made.best), made.best.total) == ({}, Decimal("6599.70"))


def test_the_alternatives_of_the_guides_largest_customer() -> None:
    """Each way is told with its cost: postpaid, packages only, every size by itself, the mix."""
    made = guide_quote("plus_authority_wechat", 123_456)
    assert [one.kind for one in made.alternatives] == ["postpaid", "packages", *["single"] * 6, "mix"]
    assert [one.mix.total for one in made.alternatives] == [
        Decimal("185184.00"),
        Decimal("176000.00"),
        Decimal("185184.00"),
        Decimal("185184.00"),
        Decimal("175184.00"),
        Decimal("280000.00"),
        Decimal("675000.00"),
        Decimal("1300000.00"),
        Decimal("175184.00"),
    ]


def test_without_packages_there_is_only_postpaid() -> None:
    """A tag that has no packages has one way."""
    made = guide_quote("face_risk", 1000)
    assert [(one.kind, one.mix.total) for one in made.alternatives] == [("postpaid", Decimal("3.5"))]


def test_calls_are_spread_over_twelve_months() -> None:
    """12,011 calls are eleven months of 1,001 and one of 1,000; 11,999 leave one month below the step (D19)."""
    postpaid = Postpaid.monthly((Tier(0, Decimal("0.40")), Tier(1000, Decimal("0.38"))))
    assert postpaid.cost(12_011) == Decimal("0.38") * 12_011
    assert postpaid.cost(11_999) == Decimal("0.38") * 11_000 + Decimal("0.40") * 999
    assert postpaid.cost(0) == 0


@pytest.mark.parametrize("calls", [0, -1])
def test_no_calls_no_quote(calls: int) -> None:
    """There is nothing to quote for less than one call."""
    with pytest.raises(ValueError, match="calls"):
        quote([], Postpaid.flat(Decimal(1)), calls)


def test_no_quote_at_the_guides_prices_is_much_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """A search at the guide's prices notes no more than five thousand sums, up to a billion calls."""
    monkeypatch.setattr(quotes, "MAX_SUMS", 5000)
    lists: tuple[PriceList, ...] = ("daily", "monthly")
    for tag in load().tags:
        for price_list in lists:
            for calls in (1, 1001, 12_345_678, 999_999_999, 10**9):
                guide_quote(tag.code, calls, price_list)


def test_sizes_without_anything_in_common_are_refused_rather_than_guessed() -> None:
    """Almost equal rates of large sizes without a common divisor: the search ends, and says so."""
    awkward = offers((100_003, "130000.00"), (99_991, "130000.50"), (99_989, "130001.00"), (100_019, "130020.00"))
    with pytest.raises(TooManyMixes):
        quote(awkward, Postpaid.flat(Decimal("1.50")), 10**9 - 7)
