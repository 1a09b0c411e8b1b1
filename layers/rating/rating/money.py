"""Money: the one module that makes, rounds, splits and prints it. Yuan as `Decimal`, never a float."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_DOWN, ROUND_HALF_UP, Context, Decimal, InvalidOperation

FEN = Decimal("0.01")
DETAIL = Decimal("0.00000001")
"""Detail lines are exact to 8 decimals (D15)."""
ZERO = Decimal(0)

# Wide enough for 10^9 yuan at 8 decimals times any quantity that an account can reach; a result that would have
# to be rounded to fit raises instead.
_EXACT = Context(prec=38)


def parse_yuan(text: str) -> Decimal:
    """An amount that a person gave: plain decimal, at most 2 decimals. Raises ValueError otherwise."""
    amount = parse_decimal(text)
    if amount.as_tuple().exponent < -2:  # type: ignore[operator]  # noqa: PLR2004 - finite, so it is an int
        msg = "more than 2 decimals"
        raise ValueError(msg)
    return amount


def parse_decimal(text: str) -> Decimal:
    """A plain decimal number: optional sign, digits, optional point. Raises ValueError otherwise."""
    body = text.removeprefix("-")
    whole, point, fraction = body.partition(".")
    digits = whole + fraction
    if not whole or (point and not fraction) or not digits.isascii() or not digits.isdecimal():
        msg = "not a plain decimal number"
        raise ValueError(msg)
    try:
        return Decimal(text)
    except InvalidOperation as error:  # pragma: no cover - excluded by the check above
        raise ValueError(text) from error


def cost(unit_price: Decimal, quantity: int) -> Decimal:
    """Unit price x quantity, exact to 8 decimals (D15). Raises ValueError when it does not fit exactly."""
    exact = _EXACT.multiply(unit_price, quantity)
    fitted = exact.quantize(DETAIL, rounding=ROUND_DOWN, context=_EXACT)
    if fitted != exact:
        msg = f"{unit_price} x {quantity} has more than 8 decimals"
        raise ValueError(msg)
    return fitted


def round_to_fen(amount: Decimal) -> Decimal:
    """Half-up, away from zero, to 2 decimals (D15)."""
    return _half_up(amount, FEN)


def split(amount: Decimal, weights: Sequence[Decimal]) -> list[Decimal]:
    """Shares of a fen amount in proportion to the weights (D16): floored to the fen, the remainder on the last.

    What of a remainder the last has no room for goes to the one before it, so that no share exceeds a weight of whole
    fen while the amount does not exceed their sum. Raises ValueError for negative numbers or no weights.
    """
    if not weights or amount < 0 or any(weight < 0 for weight in weights):
        msg = "a split needs weights, and nothing negative"
        raise ValueError(msg)
    whole = sum(weights, ZERO)
    shares = [_floor(_EXACT.divide(_EXACT.multiply(amount, weight), whole)) if whole else ZERO for weight in weights]
    remainder = amount - sum(shares, ZERO)
    for index in reversed(range(len(weights))):
        more = min(remainder, max(_floor(weights[index] - shares[index]), ZERO))
        shares[index] += more
        remainder -= more
    shares[-1] += remainder
    return shares


def _half_up(amount: Decimal, unit: Decimal) -> Decimal:
    """Rounded half-up, away from zero; `plus` makes a negative zero a zero."""
    return _EXACT.plus(amount.quantize(unit, rounding=ROUND_HALF_UP, context=_EXACT))


def _floor(amount: Decimal) -> Decimal:
    return amount.quantize(FEN, rounding=ROUND_DOWN, context=_EXACT)


def yuan(amount: Decimal) -> str:
    """An amount as answered: 2 decimals, no exponent."""
    return format(_half_up(amount, FEN), "f")


def detail(amount: Decimal) -> str:
    """A detail amount as answered: 8 decimals, no exponent."""
    return format(_half_up(amount, DETAIL), "f")


def price(amount: Decimal) -> str:
    """A unit price as answered: at least 2 decimals, more only where they are significant."""
    text = format(amount.normalize(_EXACT), "f")
    whole, _, fraction = text.partition(".")
    return f"{whole}.{fraction.ljust(2, '0')}"
