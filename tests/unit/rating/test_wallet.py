"""Wallets: when packages end, which of them are open, and what a bill leaves of them (D9 to D12, D23)."""

from __future__ import annotations

from datetime import UTC, date, timedelta

import pytest

from rating.allocation import Source
from rating.civil import local
from rating.wallet import LATE_DAYS, Wallet, WalletPackage, ends_at, first_served
from tests.unit.rating.building import SECOND, TAG, at, day

NOW = at("2025-03-10T08:00:00")


def package(
    package_id: str = "p",
    total: int = 100,
    used: int = 0,
    delivered: str = "2025-03-01T09:00:00",
    source: Source = Source.PURCHASE,
) -> WalletPackage:
    """A package in a wallet."""
    return WalletPackage(package_id, source, total, used, at(delivered), ends_at(source, at(delivered)))


@pytest.mark.parametrize(
    "delivered, bought, gift",
    [
        ("2021-05-06T16:07:54", "2022-05-06T23:59:59", "2022-05-06T16:07:54"),
        ("2020-06-28T11:00:37", "2021-06-28T23:59:59", "2021-06-28T11:00:37"),
        ("2025-12-31T23:59:59", "2026-12-31T23:59:59", "2026-12-31T23:59:59"),
        ("2025-01-01T00:00:00", "2026-01-01T23:59:59", "2026-01-01T00:00:00"),
        ("2024-02-29T10:00:00", "2025-02-28T23:59:59", "2025-02-28T10:00:00"),
        ("2023-02-28T10:00:00", "2024-02-28T23:59:59", "2024-02-28T10:00:00"),
        ("2024-02-28T10:00:00", "2025-02-28T23:59:59", "2025-02-28T10:00:00"),
        ("2024-03-01T10:00:00", "2025-03-01T23:59:59", "2025-03-01T10:00:00"),
    ],
)
def test_packages_end_after_a_year(delivered: str, bought: str, gift: str) -> None:
    """A bought package ends with the anniversary of its day, a gift to the second; 29 February: 28 February (D11)."""
    assert ends_at(Source.PURCHASE, at(delivered)) == at(bought)
    assert ends_at(Source.GIFT, at(delivered)) == at(gift)


def test_the_anniversary_is_that_of_shanghai() -> None:
    """An instant given on another clock has the day that it has in Shanghai (D1)."""
    delivered = at("2025-03-01T00:30:00").astimezone(UTC)
    assert ends_at(Source.PURCHASE, delivered) == at("2026-03-01T23:59:59")
    assert local(ends_at(Source.GIFT, delivered)) == at("2026-03-01T00:30:00")


def test_the_last_second_is_included() -> None:
    """A package is expired from the second after its last one on."""
    gift = package(source=Source.GIFT)
    assert gift.expires_at == gift.ends_at + SECOND == at("2026-03-01T09:00:01")


def test_only_delivered_packages_are_open() -> None:
    """A package that is still on its way is in the wallet, but nobody can use it before its delivery (D13)."""
    given = package(delivered="2025-03-10T08:00:00", source=Source.GIFT)
    wallet = Wallet(TAG, (given, package("on-its-way", delivered="2025-03-10T08:00:01", source=Source.GIFT)))
    assert [one.package_id for one in wallet.open_packages(NOW)] == ["p"]
    assert [one.package_id for one in wallet.open_packages(NOW + SECOND)] == ["p", "on-its-way"]


def test_a_bought_package_is_there_at_once() -> None:
    """The machine that sold it may be ahead of the one that reads it."""
    wallet = Wallet(TAG, (package(delivered="2025-03-10T08:00:03"),))
    assert [one.package_id for one in wallet.open_packages(NOW)] == ["p"]


def test_packages_retire_when_nothing_can_come_any_more() -> None:
    """What ended, with something left, goes after all late usage of its days; at most as many as there is room for."""
    old = [package(f"old-{number}", used=number, delivered="2024-01-01T09:00:00") for number in range(3)]
    wallet = Wallet(TAG, (*old, package()))
    at_last = ends_at(Source.PURCHASE, old[0].delivered_at) + SECOND + LATE_DAYS
    assert wallet.retired(at_last - SECOND, 9) == (wallet, ())
    left, over = wallet.retired(at_last, 9)
    assert ([one.package_id for one in left.packages], over) == (["p"], tuple(old))
    left, over = wallet.retired(at_last, 2)
    assert (len(left.packages), over) == (2, tuple(old[:2]))


def test_open_packages_have_what_bills_left() -> None:
    """As allocation takes them: the tag, the times, and the calls that no bill has deducted."""
    (found,) = Wallet(TAG, (package(used=30),)).open_packages(NOW)
    assert (found.tag, found.source, found.remaining) == (TAG, Source.PURCHASE, 70)
    assert (found.delivered_at, found.ends_at, found.released_at) == (
        at("2025-03-01T09:00:00"),
        at("2026-03-01T23:59:59"),
        None,
    )


@pytest.mark.parametrize(
    "releases, ended",
    [
        ([], None),
        (["2025-02-01T00:00:00"], None),
        (["2025-03-01T09:00:00"], None),
        (["2025-03-01T09:00:01"], "2025-03-01T09:00:01"),
        (["2025-03-09T00:00:00", "2025-03-05T00:00:00"], "2025-03-05T00:00:00"),
        (["2025-02-01T00:00:00", "2025-03-05T00:00:00"], "2025-03-05T00:00:00"),
    ],
)
def test_a_release_ends_what_was_delivered_before(releases: list[str], ended: str | None) -> None:
    """The first release after its delivery ends a package; one of the same second comes before it (D23)."""
    (found,) = Wallet(TAG, (package(),)).open_packages(NOW, [at(text) for text in releases])
    assert found.released_at == (at(ended) if ended else None)


def test_packages_come_and_go() -> None:
    """An order puts a package in and a refund takes it out; the others stay as they are."""
    one, other = package("one"), package("other")
    wallet = Wallet(TAG, (one,), {day("2025-03-01"): 5}).with_package(other)
    assert wallet.packages == (one, other)
    assert wallet.package("other") is other
    after = wallet.without("one")
    assert (after.packages, after.package("one"), after.billed) == ((other,), None, {day("2025-03-01"): 5})


def test_a_bill_deducts_and_remembers() -> None:
    """Deductions add to what is used; the calls that the bill took add to its days (D4)."""
    wallet = Wallet(TAG, (package("one", used=10), package("other")), {day("2025-03-01"): 10})
    after = wallet.charged({"one": 20}, {day("2025-03-01"): 5, day("2025-03-02"): 15})
    assert [(one.package_id, one.used) for one in after.packages] == [("one", 30), ("other", 0)]
    assert after.billed == {day("2025-03-01"): 15, day("2025-03-02"): 15}
    assert wallet.packages[0].used == 10


def test_a_used_up_package_leaves() -> None:
    """A package of which nothing is left is no longer in the wallet; what the bills hold stays known."""
    after = Wallet(TAG, (package(total=20),)).charged({"p": 20}, {day("2025-03-01"): 20})
    assert (after.packages, after.billed) == ((), {day("2025-03-01"): 20})


@pytest.mark.parametrize("deductions", [{"p": 71}, {"p": 70, "q": 1}, {"q": 1}])
def test_a_package_does_not_give_what_it_has_not(deductions: dict[str, int]) -> None:
    """More than what is left, or anything of a package that is not here, is refused."""
    with pytest.raises(ValueError, match=TAG):
        Wallet(TAG, (package(used=30),)).charged(deductions, {})


def test_days_too_old_for_late_usage_are_forgotten() -> None:
    """Of billed days only those are kept on which usage may still be charged."""
    last = day("2025-06-30")
    edge = last - LATE_DAYS
    billed: dict[date, int] = {edge - timedelta(days=1): 1, edge: 2}
    assert Wallet(TAG, (), billed).charged({}, {last: 3}).billed == {edge: 2, last: 3}
    assert Wallet(TAG).charged({}, {}) == Wallet(TAG)


def test_the_first_served_day_is_that_of_the_first_delivery() -> None:
    """Packages serve from 00:00 of the day on which they came (D10); without packages there is no such day."""
    wallet = Wallet(TAG, (package("b", delivered="2025-03-05T00:00:00"), package("a", delivered="2025-03-04T23:59:59")))
    assert first_served(wallet.open_packages(NOW)) == day("2025-03-04")
    assert first_served([]) is None
