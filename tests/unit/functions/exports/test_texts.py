"""Cells as text: nothing runs as a formula, nothing breaks a file, and no figure is another one."""

from __future__ import annotations

import csv
import io
from decimal import Decimal

import pytest

from exports.csv_file import write_csv
from exports.tables import Column, Kind, Table, Value
from exports.texts import fit, harmless
from exports.workbook import exact_number

DANGEROUS = [
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    "＝1+1",
    "＋1",
    "－1",
    "＠A1",
    "=",
    "+",
    "@",
    " =1+1",
]


@pytest.mark.parametrize("text", DANGEROUS)
def test_no_text_is_a_formula(text: str) -> None:
    """A text that a spreadsheet could take for a formula begins with an apostrophe, and is otherwise kept."""
    assert harmless(text) == f"'{text}"


@pytest.mark.parametrize("text", ["a=1", "1-1", "-", "", "人脸核身", "'=1", "0.30 x 5 = 1.50000000"])
def test_other_texts_stay(text: str) -> None:
    """What is no formula is left alone, the lone sign that stands for nothing too."""
    assert harmless(text) == text


@pytest.mark.parametrize("text", ["\x00", "\x08", "\x0b", "\x1f", "\ud800", "\ufffe", "\uffff"])
def test_what_no_file_can_hold_is_marked(text: str) -> None:
    """A character that neither XML nor UTF-8 can hold is replaced by the mark for such; line breaks are kept."""
    assert fit(f"a{text}b\nc") == "a\ufffdb\nc"


def written(kind: Kind, *values: Value) -> list[str]:
    """A column as CSV has it."""
    target = io.BytesIO()
    columns = (Column("x", "列", "X", kind),)
    assert write_csv(target, Table("x", columns, ([value] for value in values)), "en") == len(values)
    text = target.getvalue().decode("utf-8-sig")
    rows = list(csv.reader(io.StringIO(text, newline="")))
    assert rows[0] == ["X"]
    return [row[0] if row else "" for row in rows[1:]]


def test_csv_is_what_excel_opens() -> None:
    """CSV begins with a byte order mark, ends its lines with CR LF, and has quotes around each cell.

    So no separator of another country, as a semicolon, makes two cells of one and a formula of the second.
    """
    target = io.BytesIO()
    columns = (Column("a", "甲", "A"), Column("b", "乙", "B"))
    write_csv(target, Table("x", columns, iter([["1;=5", 'say "x"\nagain']])), "zh-CN")
    assert target.getvalue() == b'\xef\xbb\xbf"\xe7\x94\xb2","\xe4\xb9\x99"\r\n"1;=5","say ""x""\nagain"\r\n'
    assert not target.closed


def test_numbers_stay_numbers_in_csv() -> None:
    """A negative amount has no apostrophe, but a text in a column of numbers is treated as a text."""
    assert written(Kind.YUAN, "-1.50", Decimal(-2), None, "-1+1", "=1") == ["-1.50", "-2.00", "", "'-1+1", "'=1"]
    assert written(Kind.TEXT, "-1.50") == ["'-1.50"]


@pytest.mark.parametrize(
    "kind,value,text",
    [
        (Kind.YUAN, Decimal("1.5"), "1.50"),
        (Kind.DETAIL, Decimal("0.1"), "0.10000000"),
        (Kind.PRICE, Decimal("0.004"), "0.004"),
        (Kind.PRICE, Decimal(3), "3.00"),
        (Kind.RATE, Decimal("0.95"), "0.95"),
        (Kind.COUNT, -7, "-7"),
        (Kind.DAY, "2025-03-01", "2025-03-01"),
    ],
)
def test_values_are_printed_by_their_kind(kind: Kind, value: Value, text: str) -> None:
    """Each kind of value has its decimals, without an exponent."""
    assert written(kind, value) == [text]


@pytest.mark.parametrize(
    "text,number",
    [
        ("0.30", 0.3),
        ("-12.34567891", -12.34567891),
        ("9999999.99999999", 9999999.99999999),
        ("12345678.12345678", None),
        ("90071992547409.93", None),
        ("1000000000.00", 1e9),
        ("n/a", None),
        ("1e3", None),
    ],
)
def test_a_number_is_exact_or_none(text: str, number: float | None) -> None:
    """A cell is a number only where a spreadsheet, with its 15 digits, shows just what it is made from."""
    assert exact_number(Kind.DETAIL, text) == number
    assert exact_number(Kind.TEXT, text) is None
