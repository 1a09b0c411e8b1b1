"""Workbooks, looked at with a reader that is not ours."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import openpyxl
import pytest

from exports.tables import Column, Kind, Table, Value
from exports.workbook import MAX_ROWS, Workbook
from rating.civil import SHANGHAI

CREATED = datetime(2025, 4, 1, 9, tzinfo=SHANGHAI)
COLUMNS = (Column("a", "甲", "A"), Column("b", "乙", "B", Kind.YUAN), Column("c", "丙", "C", Kind.DETAIL))


def write(path: Path, rows: Sequence[Sequence[Value]], max_rows: int = MAX_ROWS) -> None:
    """A workbook with one table."""
    with Workbook(path, CREATED, "zh-CN", max_rows) as book:
        assert book.add("表", Table("x", COLUMNS, iter(rows))) == len(rows)


def test_cells_have_types(tmp_path: Path) -> None:
    """Texts are texts whatever they begin with, amounts are numbers that show all their decimals, the rest is empty."""
    path = tmp_path / "book.xlsx"
    write(path, [["=1+1", "-1.50", "0.10000000"], ["-", "12345678901234.56", None]])
    sheet = openpyxl.load_workbook(path)["表"]
    assert [cell.value for cell in sheet[1]] == ["甲", "乙", "丙"]
    assert all(cell.font.b for cell in sheet[1])
    assert sheet.freeze_panes == "A2"
    found = [[(cell.data_type, cell.value, cell.number_format) for cell in sheet[row]] for row in (2, 3)]
    assert found == [
        [("s", "=1+1", "General"), ("n", -1.5, "0.00"), ("n", 0.1, "0.00000000")],
        # An amount with more digits than a spreadsheet shows is a text, and not another amount.
        [("s", "-", "General"), ("s", "12345678901234.56", "General"), ("n", None, "General")],
    ]


@pytest.mark.parametrize(
    "text,shown",
    [
        ("<r><t>x</t></r>", "'<r><t>x</t></r>"),
        ("<r></row></r>", "'<r></row></r>"),
        ("a & <b>", "a & <b>"),
        # Excel's own way to say that this is no escape; the reader of this test shows it as it is.
        ("_x0041_", "_x005F_x0041_"),
        ("a\x01b\ud800c\uffffd", "a\ufffdb\ufffdc\ufffdd"),
        (" two\nlines ", " two\nlines "),
        ("https://x.example", "https://x.example"),
        ("0123", "0123"),
    ],
)
def test_no_text_breaks_the_file(tmp_path: Path, text: str, shown: str) -> None:
    """Markup, escapes and control characters in a text are read back as a text, and nothing becomes a link."""
    path = tmp_path / "book.xlsx"
    write(path, [[text, "1.00", "1.00000000"]])
    cell = openpyxl.load_workbook(path)["表"]["A2"]
    assert (cell.data_type, cell.value, cell.hyperlink) == ("s", shown, None)


def test_a_text_without_room_is_no_text_cut_short(tmp_path: Path) -> None:
    """What a cell cannot hold fails the file, for half a text would pass for a whole one."""
    with pytest.raises(ValueError, match="no room"):
        write(tmp_path / "book.xlsx", [["x" * 32_768, "1.00", None]])


def test_more_rows_than_a_sheet_has(tmp_path: Path) -> None:
    """The rows that have no room on a sheet go on on the next, under the same header; sheets stand in their order."""
    path = tmp_path / "book.xlsx"
    rows = [[f"{number}", f"{number}.00", None] for number in range(10)]
    with Workbook(path, CREATED, "en", 5) as book:
        first = book.place("Summary", COLUMNS)
        book.add("Rows", Table("x", COLUMNS, iter(rows)))
        book.add("Rest", Table("x", COLUMNS, iter(rows[:4])))
        first.write(Table("x", COLUMNS, iter(rows[:1])))
    read = openpyxl.load_workbook(path)
    assert read.sheetnames == ["Summary", "Rows", "Rows (2)", "Rows (3)", "Rest"]
    found = {sheet.title: [cell.value for cell in sheet["A"]] for sheet in read}
    assert found["Summary"] == ["A", "0"]
    assert found["Rows"] == ["A", "0", "1", "2", "3"]
    assert found["Rows (3)"] == ["A", "8", "9"]
    assert found["Rest"] == ["A", "0", "1", "2", "3"]


def test_sheets_end_where_excel_does() -> None:
    """A sheet has as many rows as Excel reads, and not one more."""
    assert MAX_ROWS == 2**20


def test_the_same_rows_make_the_same_file(tmp_path: Path) -> None:
    """Made again, a workbook is the same byte for byte: the one in the bucket can be replaced at any time."""
    paths = [tmp_path / name / "book.xlsx" for name in ("first", "second")]
    for path in paths:
        path.parent.mkdir()
        write(path, [["a", "1.00", "1.00000000"]])
    first, second = (path.read_bytes() for path in paths)
    assert first == second
    assert [path.name for path in paths[0].parent.iterdir()] == ["book.xlsx"]


def test_a_broken_table_leaves_no_workbook_behind(tmp_path: Path) -> None:
    """Where rows cannot be read to the end no workbook is finished, so that none is taken for whole."""
    path = tmp_path / "book.xlsx"

    def broken() -> Sequence[Value]:
        message = "no more rows"
        raise LookupError(message)

    with pytest.raises(LookupError), Workbook(path, CREATED, "en") as book:
        book.add("x", Table("x", COLUMNS, (broken() for _ in range(1))))
    assert not zipfile.is_zipfile(path)
