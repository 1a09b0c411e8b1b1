"""A table as CSV that Excel opens: UTF-8 with a byte order mark, lines that end with CR LF."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from typing import IO

from exports.tables import Column, Kind, Table, Value
from exports.texts import NUMBERS, harmless, is_number, printed

_ENCODING = "utf-8-sig"


def write_csv(target: IO[bytes], table: Table, locale: str) -> int:
    """Write a table, row by row, and leave the stream open; the number of rows without the header."""
    stream = io.TextIOWrapper(target, encoding=_ENCODING, newline="", write_through=False)
    # With quotes around every cell: elsewhere than here a semicolon or a tab may part cells, and begin a formula.
    writer = csv.writer(stream, lineterminator="\r\n", quoting=csv.QUOTE_ALL)
    writer.writerow([harmless(column.header(locale)) for column in table.columns])
    rows = _Counted(table.columns, table.rows)
    writer.writerows(rows)
    stream.flush()
    stream.detach()
    return rows.count


class _Counted:
    """Rows as text, counted as they pass."""

    def __init__(self, columns: Sequence[Column], rows: Iterator[Sequence[Value]]) -> None:
        self.count = 0
        self._cells = [_cell_of(column.kind) for column in columns]
        self._rows = rows

    def __iter__(self) -> Iterator[list[str]]:
        for row in self._rows:
            self.count += 1
            yield [cell(value) for cell, value in zip(self._cells, row, strict=True)]


def _cell_of(kind: Kind) -> Callable[[Value], str]:
    def number(value: Value) -> str:
        text = printed(kind, value)
        return text if is_number(kind, text) else harmless(text)

    def words(value: Value) -> str:
        return harmless(printed(kind, value))

    return number if kind in NUMBERS else words
