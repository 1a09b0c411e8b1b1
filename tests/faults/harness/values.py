"""DynamoDB values as they travel: ``{"S": "x"}``, ``{"N": "1"}``, ``{"B": "<base64>"}`` and so on.

Values are kept exactly as a response or a stream record shows them (binary as base64), in one canonical spelling,
and are never changed in place once stored: that makes a snapshot of a table a shallow copy.
"""

from __future__ import annotations

import base64
import binascii
from decimal import Decimal, DecimalException
from typing import Any

type Value = dict[str, Any]
type Item = dict[str, Value]
type Order = bytes | Decimal

_SETS = {"SS": "S", "NS": "N", "BS": "B"}
_SIGNIFICANT_DIGITS = 38
_MAX_EXPONENT = 125
_SCALAR_COST = 1
_CONTAINER_COST = 3


class Refused(Exception):  # noqa: N818 - it is an answer of the service, not a failure of ours
    """The service answers with an error: ``code`` as the client sees it, ``extra`` fields of the body."""

    def __init__(self, code: str, message: str, status: int = 400, extra: dict[str, Any] | None = None) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.extra = extra or {}


def invalid(message: str) -> Refused:
    """Return the ``ValidationException`` with this text."""
    return Refused("ValidationException", message)


def number(text: object) -> Decimal:
    """Return the number; 38 significant digits at most, like DynamoDB."""
    try:
        value = Decimal(str(text))
    except DecimalException as error:
        raise invalid("The parameter cannot be converted to a numeric value") from error
    if not value.is_finite():
        raise invalid("The parameter cannot be converted to a numeric value")
    value = value.normalize() if value else Decimal(0)
    if len(value.as_tuple().digits) > _SIGNIFICANT_DIGITS:
        raise invalid("Attempting to store more than 38 significant digits in a Number")
    if value and abs(value.adjusted()) > _MAX_EXPONENT:
        raise invalid("Number overflow or underflow")
    return value


def plain(value: Decimal) -> str:
    """Return the number in the spelling that DynamoDB answers: no exponent, no trailing zeros."""
    return f"{value.normalize():f}" if value else "0"


def raw_bytes(text: object) -> bytes:
    """Return the bytes of a base64 text."""
    try:
        return base64.b64decode(str(text), validate=True)
    except binascii.Error as error:
        raise Refused("SerializationException", "not base64") from error


def canonical(value: object) -> Value:  # noqa: PLR0911 - one line a type
    """Return the value checked and in its one spelling."""
    if not isinstance(value, dict) or len(value) != 1:
        raise invalid("Supplied AttributeValue is empty, must contain exactly one of the supported datatypes")
    ((kind, inner),) = value.items()
    match kind:
        case "S":
            return {"S": str(inner)}
        case "N":
            return {"N": plain(number(inner))}
        case "B":
            return {"B": base64.b64encode(raw_bytes(inner)).decode()}
        case "BOOL":
            return {"BOOL": bool(inner)}
        case "NULL":
            return {"NULL": True}
        case "L":
            return {"L": [canonical(one) for one in inner]}
        case "M":
            return {"M": {name: canonical(one) for name, one in inner.items()}}
        case "SS" | "NS" | "BS":
            return _set(kind, inner)
        case _:
            raise invalid(f"Supplied AttributeValue has an unknown type {kind}")


def _set(kind: str, members: list[object]) -> Value:
    scalar = _SETS[kind]
    clean = sorted((canonical({scalar: one}) for one in members), key=order)
    if not clean:
        raise invalid("One or more parameter values were invalid: An string set  may not be empty")
    found = [one[scalar] for one in clean]
    if len(set(found)) != len(found):
        raise invalid("One or more parameter values were invalid: Input collection contains duplicates")
    return {kind: found}


def type_of(value: Value) -> str:
    """Return the type letter(s) of a value."""
    return next(iter(value))


def order(value: Value) -> Order:
    """Return what a scalar sorts by: numbers by size, text by UTF-8, binary by bytes."""
    ((kind, inner),) = value.items()
    if kind == "N":
        return Decimal(inner)
    if kind == "S":
        return str(inner).encode("utf-8", "surrogatepass")
    if kind == "B":
        return raw_bytes(inner)
    raise invalid(f"Invalid operand type {kind}: it has no order")


def size_of_value(value: Value) -> int:  # noqa: PLR0911 - one line a type
    """Return the bytes that DynamoDB charges for a value."""
    ((kind, inner),) = value.items()
    match kind:
        case "S":
            return len(str(inner).encode("utf-8", "surrogatepass"))
        case "N":
            return len(Decimal(inner).as_tuple().digits) // 2 + 2
        case "B":
            return len(raw_bytes(inner))
        case "L":
            return _CONTAINER_COST + sum(size_of_value(one) + _SCALAR_COST for one in inner)
        case "M":
            return _CONTAINER_COST + sum(
                len(name.encode()) + size_of_value(one) + _SCALAR_COST for name, one in inner.items()
            )
        case "SS" | "NS" | "BS":
            return sum(size_of_value({_SETS[kind]: one}) for one in inner)
        case _:
            return _SCALAR_COST


def size_of(item: Item) -> int:
    """Return the bytes that DynamoDB counts for an item."""
    return sum(len(name.encode("utf-8", "surrogatepass")) + size_of_value(one) for name, one in item.items())
