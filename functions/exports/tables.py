"""What a file is made of: named columns, and rows that are made one at a time, so that none are held."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum


class Kind(StrEnum):
    """What the values of a column are: how a cell is written and how wide it is."""

    TEXT = "text"
    YUAN = "yuan"
    """Money to 2 decimals."""
    DETAIL = "detail"
    """Money to 8 decimals (D15)."""
    PRICE = "price"
    """Money with the decimals that it has, 2 at least."""
    COUNT = "count"
    RATE = "rate"
    """A discount rate of at most 4 decimals (D18)."""
    TIME = "time"
    """An instant as text of RFC 3339."""
    DAY = "day"
    """A day as YYYY-MM-DD."""


type Value = str | int | Decimal | None


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table."""

    name: str
    """As asked for in `columns`, the same as in the API's answers."""
    zh: str
    en: str
    kind: Kind = Kind.TEXT

    def header(self, locale: str) -> str:
        """What stands above it."""
        return self.en if locale == "en" else self.zh


@dataclass(frozen=True, slots=True)
class Table:
    """A table to write; its rows can be read once."""

    name: str
    columns: tuple[Column, ...]
    rows: Iterator[Sequence[Value]]
