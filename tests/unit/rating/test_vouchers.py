"""Vouchers: when they may pay, how much, and which one a settlement takes (D16; facts.md 3.5)."""

from __future__ import annotations

from decimal import Decimal

import pytest

from rating.vouchers import Scene, Voucher, VoucherStatus, choose
from tests.unit.rating.building import SECOND, at

NOW = at("2025-03-10T08:00:00")


def voucher(
    voucher_id: str = "v",
    remaining: str = "90",
    *,
    expires: str | None = None,
    threshold: str = "0",
    scene: Scene = Scene.POSTPAID,
    single_use: bool = False,
) -> Voucher:
    """A voucher of 100 yuan, some of it spent."""
    return Voucher(
        voucher_id,
        scene,
        Decimal(100),
        Decimal(remaining),
        Decimal(threshold),
        single_use,
        at("2025-03-01T10:00:00"),
        at(expires) if expires else None,
    )


def chosen(amount: str, *vouchers: Voucher) -> str | None:
    """The id of the voucher that a settlement takes, in whatever order they come."""
    one, other = (choose(given, Decimal(amount), NOW) for given in (vouchers, vouchers[::-1]))
    assert one == other
    return one.voucher_id if one else None


@pytest.mark.parametrize(
    "remaining, expires, status",
    [
        ("0.01", None, VoucherStatus.ACTIVE),
        ("0", None, VoucherStatus.USED),
        ("0.01", "2025-03-10T08:00:01", VoucherStatus.ACTIVE),
        ("0.01", "2025-03-10T08:00:00", VoucherStatus.EXPIRED),
        ("0", "2025-03-10T08:00:00", VoucherStatus.USED),
    ],
)
def test_status(remaining: str, expires: str | None, status: VoucherStatus) -> None:
    """A voucher is used once nothing is left, and expired from the very instant of its expiry on."""
    assert voucher(remaining=remaining, expires=expires).status(NOW) is status


@pytest.mark.parametrize(
    "amount, fits",
    [("99.99", False), ("100", True), ("100.01", True), ("0", False), ("-100", False)],
)
def test_a_threshold_is_the_least_amount(amount: str, fits: bool) -> None:  # noqa: FBT001 - a parameter
    """A voucher helps to pay from its threshold on, that amount included; nothing where there is nothing to pay."""
    assert voucher(threshold="100").fits(Scene.POSTPAID, Decimal(amount), NOW) is fits


def test_without_a_threshold_only_nothing_is_too_little() -> None:
    """A threshold of 0 lets it pay a fen, and still nothing of a credit or of 0."""
    amounts = [Decimal(text) for text in ("-1", "0", "0.01")]
    assert [voucher().fits(Scene.POSTPAID, amount, NOW) for amount in amounts] == [False, False, True]


@pytest.mark.parametrize("scene, other", [(Scene.PREPAID, Scene.POSTPAID), (Scene.POSTPAID, Scene.PREPAID)])
def test_a_voucher_pays_in_its_scene_only(scene: Scene, other: Scene) -> None:
    """What is for orders does not pay settlements, and the other way round."""
    given = voucher(scene=scene)
    assert given.fits(scene, Decimal(1), NOW)
    assert not given.fits(other, Decimal(1), NOW)


def test_neither_used_nor_expired_vouchers_pay() -> None:
    """Only an active voucher fits: until the second before its expiry."""
    assert not voucher(remaining="0").fits(Scene.POSTPAID, Decimal(1), NOW)
    expiring = voucher(expires="2025-03-10T08:00:00")
    assert expiring.fits(Scene.POSTPAID, Decimal(1), NOW - SECOND)
    assert not expiring.fits(Scene.POSTPAID, Decimal(1), NOW)


@pytest.mark.parametrize("amount, paid, left", [("30", "30", "60"), ("90", "90", "0"), ("300", "90", "0")])
def test_a_voucher_is_spent(amount: str, paid: str, left: str) -> None:
    """It pays what it has, at most the amount, and keeps the rest; a single use loses the rest."""
    many, single = voucher(), voucher(single_use=True)
    assert many.pays(Decimal(amount)) == single.pays(Decimal(amount)) == Decimal(paid)
    assert many.spent(Decimal(paid)).remaining == Decimal(left)
    after = single.spent(Decimal(paid))
    assert (after.remaining, after.status(NOW)) == (Decimal(0), VoucherStatus.USED)


@pytest.mark.parametrize("paid", ["90.01", "-0.01"])
def test_a_voucher_is_not_overspent(paid: str) -> None:
    """Neither more than there is nor less than nothing can be paid."""
    with pytest.raises(ValueError, match="v has 90"):
        voucher().spent(Decimal(paid))


def test_the_first_to_expire_that_pays_all_is_taken() -> None:
    """One that pays the whole amount comes before one that expires sooner and does not."""
    soon, later = voucher("soon", "50", expires="2025-04-01T00:00:00"), voucher("later", expires="2025-05-01T00:00:00")
    never = voucher("never")
    assert chosen("50", soon, later, never) == "soon"
    assert chosen("90", soon, later, never) == "later"
    assert chosen("90", soon, never) == "never"


def test_where_none_pays_all_the_first_to_expire_is_taken() -> None:
    """Though another one would pay more."""
    soon, later = voucher("soon", "1", expires="2025-04-01T00:00:00"), voucher("later", expires="2025-05-01T00:00:00")
    assert chosen("100", soon, later, voucher("never", "99")) == "soon"


def test_of_equal_expiry_the_most_is_paid_and_the_least_is_left() -> None:
    """Equal expiry: the largest payment; where several pay all of it, the one with the least left, then the first."""
    small, large = voucher("small", "20"), voucher("large", "80")
    assert chosen("100", small, large) == "large"
    assert chosen("15", small, large) == "small"
    assert chosen("15", voucher("b", "20"), voucher("a", "20")) == "a"


def test_what_does_not_fit_is_not_taken() -> None:
    """Vouchers for orders, expired ones and those with a higher threshold are left alone."""
    unfit = [
        voucher("prepaid", scene=Scene.PREPAID),
        voucher("expired", expires="2025-03-10T08:00:00"),
        voucher("threshold", threshold="50.01"),
        voucher("used", "0"),
    ]
    assert chosen("50", *unfit) is None
    assert chosen("50", *unfit, voucher("fits", "1")) == "fits"
    assert choose([], Decimal(1), NOW) is None
