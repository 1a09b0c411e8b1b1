"""Tables as sheets of a workbook, one row in memory at a time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import xlsxwriter

from exports.tables import Column, Kind, Table, Value
from exports.texts import NUMBERS, fit, is_number, printed

if TYPE_CHECKING:
    from xlsxwriter.format import Format
    from xlsxwriter.worksheet import Worksheet

MAX_ROWS = 1_048_576
"""Of a sheet, the header included: what does not fit goes on on another one."""
_OPTIONS = {
    "constant_memory": True,
    # Nothing that people wrote becomes a formula, a link or a number.
    "strings_to_formulas": False,
    "strings_to_urls": False,
    "strings_to_numbers": False,
}
_NUMBER_FORMATS = {
    Kind.YUAN: "0.00",
    Kind.DETAIL: "0.00000000",
    Kind.PRICE: "0.00######",
    Kind.COUNT: "0",
    Kind.RATE: "0.00##",
}
_MARKUP = "<r>"
_WIDTHS = {
    Kind.TEXT: 24,
    Kind.YUAN: 14,
    Kind.DETAIL: 20,
    Kind.PRICE: 14,
    Kind.COUNT: 14,
    Kind.RATE: 10,
    Kind.TIME: 27,
    Kind.DAY: 12,
}


class Workbook:
    """A workbook that is being written. Use it with `with`: the file is whole when that is left."""

    def __init__(self, path: Path, created_at: datetime, locale: str, max_rows: int = MAX_ROWS) -> None:
        """Parts of the file lie beside it meanwhile. The same tables make the same file, byte for byte."""
        self._book = xlsxwriter.Workbook(str(path), {**_OPTIONS, "tmpdir": str(path.parent)})
        self._book.set_properties({"created": created_at.astimezone(UTC).replace(tzinfo=None)})
        self._locale = locale
        self._max_rows = max_rows
        self._header = self._book.add_format({"bold": True})
        self._formats: dict[Kind, Format] = {
            kind: self._book.add_format({"num_format": text}) for kind, text in _NUMBER_FORMATS.items()
        }

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish the file, unless something broke."""
        if error is None:
            self._book.close()
        else:
            # Nobody wants the file any more: neither it, which would be made when it goes away, nor its parts.
            self._book.fileclosed = True
            for sheet in self._book.worksheets():
                sheet.row_data_fh.close()

    def place(self, name: str, columns: Sequence[Column]) -> Sheets:
        """The next sheet, for a table that is written later, while others are added after it."""
        return Sheets(self, name, columns)

    def add(self, name: str, table: Table) -> int:
        """Write a table on a sheet of its own; the number of its rows."""
        return self.place(name, table.columns).write(table)

    def sheet(self, name: str, columns: Sequence[Column]) -> Worksheet:
        """A sheet with a header that stays in view."""
        sheet: Worksheet = self._book.add_worksheet(name)
        sheet.freeze_panes(1, 0)
        for place, column in enumerate(columns):
            sheet.set_column(place, place, max(_WIDTHS[column.kind], 2 * len(column.zh), len(column.en)))
            _write_text(sheet, 0, place, column.header(self._locale), self._header)
        return sheet

    def write_cell(self, sheet: Worksheet, row: int, place: int, kind: Kind, value: Value) -> None:
        """Write a value: as a number where a spreadsheet shows exactly that number, as text otherwise."""
        if value is None:
            return
        text = printed(kind, value)
        if kind in NUMBERS:
            number = exact_number(kind, text)
            if number is not None:
                sheet.write_number(row, place, number, self._formats[kind])
                return
        _write_text(sheet, row, place, text)

    @property
    def max_rows(self) -> int:
        """Of a sheet, the header included."""
        return self._max_rows


class Sheets:
    """The sheets of one table."""

    def __init__(self, book: Workbook, name: str, columns: Sequence[Column]) -> None:
        """Begin the first one."""
        self._book, self._name, self._columns = book, name, columns
        self._sheet = book.sheet(name, columns)
        self._number = 1

    def write(self, table: Table) -> int:
        """Write the rows, on more sheets where one has not enough room; their number."""
        kinds = [column.kind for column in table.columns]
        write_cell, rows, line = self._book.write_cell, 0, 0
        for row in table.rows:
            line += 1
            if line == self._book.max_rows:
                self._next()
                line = 1
            for place, (kind, value) in enumerate(zip(kinds, row, strict=True)):
                write_cell(self._sheet, line, place, kind, value)
            rows += 1
        return rows

    def _next(self) -> None:
        self._number += 1
        self._sheet = self._book.sheet(f"{self._name} ({self._number})", self._columns)


@lru_cache(maxsize=4096)
def exact_number(kind: Kind, text: str) -> float | None:
    """The number that a spreadsheet shows as exactly this text says; None where there is none.

    Excel shows 15 digits of a number, and stores no more of it than a float: an amount with more would be a wrong one.
    """
    if not is_number(kind, text):
        return None
    number = float(text)
    return number if Decimal(f"{number:.15g}") == Decimal(text) else None


def _write_text(sheet: Worksheet, row: int, place: int, text: str, style: Format | None = None) -> None:
    """Raises ValueError for a text that a cell cannot hold, which would be cut off."""
    # The library would write what begins like this as it is, markup and all.
    text = fit(text)
    if text.startswith(_MARKUP):
        text = f"'{text}"
    if text and sheet.write_string(row, place, text, style) != 0:
        msg = f"a cell in row {row} has no room for its text"
        raise ValueError(msg)
