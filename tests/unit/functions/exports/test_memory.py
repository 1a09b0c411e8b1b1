"""An export's memory does not grow with its rows."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from tempfile import gettempdir

import pytest

from aws_platform.exports import What
from bench.exporting import Month, an_export, work

COLUMNS = ("transaction_id", "total_cost")
GROWTH = 500_000
"""Bytes that a whole page of bills may take more than a smaller one. Of 9,000 rows more none has 60 of its own."""


def peak(month: Month, file_format: str) -> int:
    """Most bytes that making the file took at a time."""
    export = an_export(What.DETAILS, file_format, COLUMNS)
    tracemalloc.start()
    try:
        assert work(month, export).taken
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("file_format,few", [("csv", 2_000), ("xlsx", 1_000)])
def test_memory_does_not_grow(file_format: str, few: int) -> None:
    """Ten times the rows take no more memory, up to what a page of bills takes."""
    months = Month(few), Month(10 * few)
    work(months[0], an_export(What.DETAILS, file_format))  # what is loaded and kept once, whatever is made
    small, large = (peak(month, file_format) for month in months)
    assert large - small < GROWTH


def test_nothing_is_left_in_tmp() -> None:
    """When an export is made, its parts are gone."""
    before = set(Path(gettempdir()).glob("export-*"))
    work(Month(100), an_export(What.PACK, "csv", COLUMNS))
    assert set(Path(gettempdir()).glob("export-*")) - before == set()
