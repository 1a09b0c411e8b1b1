"""How the numbers of docs/scale.md are written."""

from __future__ import annotations

import pytest

from bench.tables import Table, needed, number


@pytest.mark.parametrize(
    "value, text",
    [(0, "0"), (12_345.6, "12,346"), (-248, "-248"), (-0.248, "-0.248"), (1.2345, "1.23"), (0.00012, "1.2e-04")],
)
def test_numbers(value: float, text: str) -> None:
    """Three digits count, whether a number is above or below zero."""
    assert number(value) == text


def test_what_is_beyond_a_limit() -> None:
    """A need beyond its limit stands out, and is the same number in the terminal."""
    assert (needed(1_000, 1_000), needed(1_001, 1_000)) == ("1,000", "**1,001**")
    table = Table("Needs", ["needed", "limit", "a second"], [["writes", "1,000", needed(1_001, 1_000)]])
    (figure,) = table.section().figures
    assert (figure.name, figure.value, figure.note) == ("writes", 1_001, "limit 1,000")
