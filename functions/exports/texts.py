"""Cells as text. What people wrote must not run as a formula where somebody opens the file, nor break the file."""

from __future__ import annotations

import re
from decimal import Decimal

from exports.tables import Kind, Value
from rating import money

NUMBERS = frozenset({Kind.YUAN, Kind.DETAIL, Kind.PRICE, Kind.COUNT, Kind.RATE})
"""Kinds whose cells are numbers, so that they can be added up."""
_PLAIN_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")
# Excel takes the full-width forms for the same signs. A tab or a line break before a sign does not hide it.
_DANGEROUS = tuple("=+-@＝＋－＠\t\r\n")
_NOTHING = "-"
"""Stands for a value that there is none of. One sign alone is no formula."""
# What XML cannot hold, and what no encoding can: halves of surrogate pairs.
_UNFIT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def fit(text: str) -> str:
    """The text, with a mark in place of each character that a file cannot hold."""
    return text if text.isprintable() else _UNFIT.sub("\ufffd", text)


def is_number(kind: Kind, text: str) -> bool:
    """Whether a cell is a number, and not a text that merely stands in a column of numbers."""
    return kind in NUMBERS and _PLAIN_NUMBER.fullmatch(text) is not None


def harmless(text: str) -> str:
    """A text that no spreadsheet takes for a formula: what could be one begins with an apostrophe."""
    text = fit(text)
    if text != _NOTHING and (text.startswith(_DANGEROUS) or text.lstrip().startswith(_DANGEROUS)):
        return f"'{text}"
    return text


def printed(kind: Kind, value: Value) -> str:
    """A value as the API would answer it; empty where there is none."""
    match value:
        case None:
            return ""
        case str():
            return value
        case int():
            return str(value)
        case Decimal():
            return _amount(kind, value)


def _amount(kind: Kind, amount: Decimal) -> str:
    match kind:
        case Kind.YUAN:
            return money.yuan(amount)
        case Kind.DETAIL:
            return money.detail(amount)
        case Kind.PRICE:
            return money.price(amount)
        case _:
            return format(amount, "f")
