"""Money: parsed strictly, multiplied exactly, rounded half-up, split without loss (D15, D16)."""

from __future__ import annotations

from decimal import Decimal

import pytest

from rating import money


@pytest.mark.parametrize("text", ["0", "0.5", "0.50", "17000.00", "-3.20", "000.10", "999999999999.99"])
def test_plain_amounts_are_taken(text: str) -> None:
    """A plain decimal with at most 2 decimals is an amount."""
    assert money.parse_yuan(text) == Decimal(text)


@pytest.mark.parametrize("text", ["0.001", "1.000", "-0.005"])
def test_amounts_of_more_than_two_decimals_are_refused(text: str) -> None:
    """A person gives whole fen; even a third zero is refused (contract, Conventions)."""
    with pytest.raises(ValueError, match="decimals"):
        money.parse_yuan(text)


NOT_PLAIN = [
    "",
    "-",
    ".",
    "1.",
    ".5",
    "+1",
    "--1",
    "1-",
    "1.0.0",
    " 1",
    "1 ",
    "1_000",
    "1,000",
    "１.00",
    "٣",
    "1.٣",
    "²",
]
SPECIAL = ["1e3", "1E-2", "0x10", "NaN", "sNaN", "Infinity", "-Infinity"]


@pytest.mark.parametrize("text", [*NOT_PLAIN, *SPECIAL])
def test_anything_else_is_no_number(text: str) -> None:
    """No exponent, sign games, separators, foreign digits or specials are read as money."""
    with pytest.raises(ValueError, match="not a plain decimal"):
        money.parse_decimal(text)


@pytest.mark.parametrize(
    "price, quantity, expected",
    [
        ("0.3", 1000, "300.00000000"),
        ("0.0035", 3, "0.01050000"),
        ("0.00000001", 1, "0.00000001"),
        ("0.12345678", 3, "0.37037034"),
        ("999999999.9999", 10**9, "999999999999900000.00000000"),
        ("0.38", -1000, "-380.00000000"),
        ("1.2", 0, "0.00000000"),
    ],
)
def test_a_cost_is_exact_to_8_decimals(price: str, quantity: int, expected: str) -> None:
    """Unit price x quantity has exactly 8 decimals and is never rounded (D15)."""
    cost = money.cost(Decimal(price), quantity)
    assert cost == Decimal(expected)
    assert cost.as_tuple().exponent == -8


def test_a_cost_that_does_not_fit_8_decimals_is_refused() -> None:
    """Rounding a detail line in secret would break the sum of the details (D15)."""
    with pytest.raises(ValueError, match="8 decimals"):
        money.cost(Decimal("0.000000001"), 1)
    assert money.cost(Decimal("0.000000001"), 10) == Decimal("0.00000001")


@pytest.mark.parametrize(
    "amount, expected",
    [
        ("0.005", "0.01"),
        ("0.00499999", "0.00"),
        ("-0.005", "-0.01"),
        ("-0.00499999", "0.00"),
        ("2.675", "2.68"),
        ("2.665", "2.67"),
        ("2.685", "2.69"),
        ("-2.665", "-2.67"),
        ("1.01500000", "1.02"),
        ("1234567890123456.78500000", "1234567890123456.79"),
        ("3", "3.00"),
    ],
)
def test_deductions_are_rounded_half_up_away_from_zero(amount: str, expected: str) -> None:
    """Half a fen goes away from zero on both sides, not to the even neighbour (D15)."""
    assert str(money.round_to_fen(Decimal(amount))) == expected
    assert money.yuan(Decimal(amount)) == expected


def test_a_zero_has_no_sign() -> None:
    """A credit of less than half a fen is 0.00, never -0.00."""
    assert money.yuan(Decimal("-0.00")) == "0.00"
    assert money.detail(Decimal("-0.000000001")) == "0.00000000"
    assert not money.round_to_fen(Decimal("-0.001")).is_signed()


@pytest.mark.parametrize(
    "amount, shown, detailed, price",
    [
        ("0.3", "0.30", "0.30000000", "0.30"),
        ("0.0035", "0.00", "0.00350000", "0.0035"),
        ("100", "100.00", "100.00000000", "100.00"),
        ("1E+3", "1000.00", "1000.00000000", "1000.00"),
        ("0E-8", "0.00", "0.00000000", "0.00"),
        ("1.50000000", "1.50", "1.50000000", "1.50"),
        ("0.10800000", "0.11", "0.10800000", "0.108"),
        ("-17000", "-17000.00", "-17000.00000000", "-17000.00"),
    ],
)
def test_amounts_are_printed_without_exponents(amount: str, shown: str, detailed: str, price: str) -> None:
    """Amounts have 2 decimals, details 8, prices at least 2 and no idle zeros beyond."""
    assert money.yuan(Decimal(amount)) == shown
    assert money.detail(Decimal(amount)) == detailed
    assert money.price(Decimal(amount)) == price


def _split(amount: str, *weights: str) -> list[str]:
    return [money.yuan(share) for share in money.split(Decimal(amount), [Decimal(weight) for weight in weights])]


@pytest.mark.parametrize(
    "amount, weights, shares",
    [
        ("90.00", ["100", "200"], ["30.00", "60.00"]),
        ("10.00", ["1", "1", "1"], ["3.33", "3.33", "3.34"]),
        ("0.02", ["1", "1", "1"], ["0.00", "0.00", "0.02"]),
        ("0.01", ["0.0035", "0.0035"], ["0.00", "0.01"]),
        ("0.05", ["0.02", "0.02", "0.02"], ["0.01", "0.02", "0.02"]),
        ("0.05", ["0", "0"], ["0.00", "0.05"]),
        ("7.00", ["5.00"], ["7.00"]),
        ("0.00", ["1", "2"], ["0.00", "0.00"]),
        ("1.99", ["1", "0", "1"], ["0.99", "0.00", "1.00"]),
        ("0.01", ["1", "1", "0"], ["0.00", "0.01", "0.00"]),
        ("1.01", ["1.005", "0.003"], ["1.00", "0.01"]),
    ],
)
def test_a_split_is_floored_with_the_remainder_on_the_last(amount: str, weights: list[str], shares: list[str]) -> None:
    """Each share is floored to the fen; what is left is the last one's, as far as it has room (D16)."""
    assert _split(amount, *weights) == shares


@pytest.mark.parametrize("amount, weights", [("1.00", []), ("-0.01", ["1"]), ("1.00", ["1", "-1"])])
def test_a_split_without_weights_or_of_negatives_is_refused(amount: str, weights: list[str]) -> None:
    """There is no proportion of nothing and none below zero."""
    with pytest.raises(ValueError, match="split"):
        _split(amount, *weights)
