"""An export's memory does not grow with its rows."""

from __future__ import annotations

import tempfile
import tracemalloc
from pathlib import Path

import pytest

from aws_platform.exports import What
from bench.exporting import Month, an_export, work

COLUMNS = ("transaction_id", "total_cost")
GROWTH = 500_000
"""Bytes that a whole page of bills may take more than a smaller one."""


def peak(month: Month, file_format: str) -> int:
    """Most bytes that making the file took at a time."""
    export = an_export(What.DETAILS, file_format, COLUMNS)
    tracemalloc.start()
    try:
        assert work(month, export).taken
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("file_format,few", [("csv", 800), ("xlsx", 400)])
def test_memory_does_not_grow(file_format: str, few: int) -> None:
    """Ten times the rows take no more memory, up to what a page of bills takes."""
    months = Month(few), Month(10 * few)
    work(months[0], an_export(What.DETAILS, file_format))  # what is loaded and kept once, whatever is made
    small, large = (peak(month, file_format) for month in months)
    assert large - small < GROWTH


def test_nothing_is_left_in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When an export is made, its parts are gone."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    work(Month(100), an_export(What.PACK, "csv", COLUMNS))
    assert list(tmp_path.iterdir()) == []
