"""Tables of docs/scale.md, and how their numbers are written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.figures import Figure, Section

_SMALL = 0.001
"""Below it nobody counts zeros."""
_LARGE = 100
"""From here on numbers are whole."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the document."""

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]

    def markdown(self) -> str:
        """As the document has it."""
        lines = [f"### {self.title}", "", _line(self.headings), _line(["---", *["---:"] * (len(self.headings) - 1)])]
        return "\n".join([*lines, *(_line(row) for row in self.rows)])

    def section(self) -> Section:
        """As the terminal has it: the last column is the figure."""
        figures = [
            Figure(row[0], float(row[-1].replace(",", "").strip("*")), digits=2, note=self._note(row))
            for row in self.rows
        ]
        return Section(f"{self.title}: {self.headings[-1]}", figures)

    def _note(self, row: Sequence[str]) -> str:
        pairs = zip(self.headings[1:-1], row[1:-1], strict=True)
        return ", ".join(f"{heading} {cell}" for heading, cell in pairs)


def number(value: float) -> str:
    """Three digits that count, and whole numbers whole."""
    size = abs(value)
    if size == 0:
        return "0"
    if size >= _LARGE:
        return f"{value:,.0f}"
    return f"{value:.3g}" if size >= _SMALL else f"{value:.1e}"


def needed(value: float, limit: float) -> str:
    """The same, in bold where it is beyond a limit."""
    return f"**{number(value)}**" if value > limit else number(value)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
