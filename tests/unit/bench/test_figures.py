"""The table: figures beside their targets."""

from __future__ import annotations

import pytest

from bench.figures import Figure, Section, render


@pytest.mark.parametrize(
    "value,target,verdict",
    [(0.1, 0.1, "ok"), (0.09, 0.1, "ok"), (0.1001, 0.1, "MISSED"), (5.0, None, "")],
)
def test_verdicts(value: float, target: float | None, verdict: str) -> None:
    """A figure may be as large as its target; it is judged as measured, not as it is printed."""
    figure = Figure("f", value, target=target, digits=2)
    assert figure.verdict == verdict
    assert figure.missed == (verdict == "MISSED")


def test_table() -> None:
    """Every figure stands beside its target and its verdict, in columns."""
    text = render(
        Section("Units", [Figure("a", 0.0561, "", 0.1, 3, "half"), Figure("longer", 12.0, "ms", 3.0)], ("remark",))
    )
    assert text.splitlines() == [
        "Units",
        "=====",
        "figure  measured  target          of which",
        "a          0.056  <= 0.1  ok      half",
        "longer  12.00 ms    <= 3  MISSED",
        "  remark",
    ]
