"""Rounding and splitting against whole-number arithmetic (D15, D16)."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from rating import money
from tests.property.strategies import decimals, fen

_ANY = decimals(8, -(10**15), 10**15)
_NEAR_HALVES = st.builds(
    lambda whole, by: Decimal(whole * 1_000_000 + 500_000 + by).scaleb(-8),
    st.integers(-1000, 1000),
    st.sampled_from((-1, 0, 1)),
)


@given(st.one_of(_ANY, _NEAR_HALVES))
def test_rounding_is_half_up_away_from_zero(amount: Decimal) -> None:
    """The result is the nearest fen; of two equally near ones the one further from zero (D15)."""
    units = int(abs(amount) * 10**8)
    nearest = (units + 500_000) // 1_000_000
    rounded = money.round_to_fen(amount)
    assert rounded == Decimal(nearest).scaleb(-2).copy_sign(amount if nearest else Decimal(0))
    assert str(rounded) == str(Decimal(money.yuan(amount)))
    assert not (rounded == 0 and rounded.is_signed())


@given(decimals(8, -(10**15), 10**15))
def test_printed_amounts_read_the_same(amount: Decimal) -> None:
    """Details and prices lose nothing when printed, and have no exponent."""
    for text in (money.detail(amount), money.price(amount)):
        assert Decimal(text) == amount
        assert "E" not in text
    assert len(money.detail(amount).partition(".")[2]) == 8
    assert len(money.price(amount).partition(".")[2]) >= 2


@given(decimals(8, 0, 10**12), st.integers(-(10**9), 10**9))
def test_a_cost_is_exact(price: Decimal, quantity: int) -> None:
    """Unit price x quantity as fractions, with nothing lost (D15)."""
    assert Fraction(money.cost(price, quantity)) == Fraction(price) * quantity


@given(st.text(alphabet="0123456789.-+eE _,N", max_size=8))
def test_what_is_read_as_a_number_is_plain(text: str) -> None:
    """Whatever is accepted prints back as itself, leading and minus zeros apart."""
    try:
        number = money.parse_decimal(text)
    except ValueError:
        return
    assert set(text) <= set("0123456789.-")
    whole, _, fraction = text.removeprefix("-").partition(".")
    plain = f"{whole.lstrip('0') or '0'}{'.' + fraction if fraction else ''}"
    assert format(abs(number), "f") == plain


_WHOLE = st.lists(fen(0, 2000), min_size=1, max_size=6)
_FINE = st.lists(decimals(8, 0, 10**9), min_size=1, max_size=6)


@given(fen(0, 10**6), st.one_of(_WHOLE, _FINE))
def test_a_split_loses_nothing(amount: Decimal, weights: list[Decimal]) -> None:
    """The shares are whole fen and not negative, add up to the amount, and none is below its floor (D16)."""
    shares = money.split(amount, weights)
    assert len(shares) == len(weights)
    assert sum(shares) == amount
    whole = sum(weights)
    for share, weight in zip(shares, weights, strict=True):
        exact = Fraction(amount) * Fraction(weight) / Fraction(whole) if whole else Fraction(0)
        assert share >= 0
        assert share == share.quantize(money.FEN)
        assert share * 100 >= (exact * 100).__floor__()


@given(_WHOLE, st.data())
def test_a_split_of_no_more_than_its_weights_exceeds_none(weights: list[Decimal], data: st.DataObject) -> None:
    """Nobody is given more than its whole-fen weight; the whole is given back as the weights (D16)."""
    amount = data.draw(fen(0, int(sum(weights) * 100)))
    for share, weight in zip(money.split(amount, weights), weights, strict=True):
        assert share <= weight
    assert money.split(sum(weights, money.ZERO), weights) == weights


@given(fen(0, 3000), _WHOLE)
def test_the_remainder_is_given_from_the_last_back(amount: Decimal, weights: list[Decimal]) -> None:
    """Floored shares, then fen by fen to the last that has room for one, and to the last where none has (D16)."""
    limits = [int(weight * 100) for weight in weights]
    whole, left = sum(limits), int(amount * 100)
    expected = [left * limit // whole if whole else 0 for limit in limits]
    for _ in range(left - sum(expected)):
        with_room = [index for index, limit in enumerate(limits) if expected[index] < limit]
        expected[with_room[-1] if with_room else -1] += 1
    assert [int(share * 100) for share in money.split(amount, weights)] == expected
