"""What a benchmark says: figures beside their targets, as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number."""

    name: str
    value: float
    unit: str = ""
    target: float | None = None
    """The value may be at most this; None for a figure that is only shown."""
    digits: int = 2
    note: str = ""

    @property
    def missed(self) -> bool:
        """Whether the value is beyond its target. Judged as measured, not as printed."""
        return self.target is not None and self.value > self.target

    @property
    def verdict(self) -> str:
        """What stands in the table's last but one column."""
        if self.target is None:
            return ""
        return "MISSED" if self.missed else "ok"


@dataclass(frozen=True, slots=True)
class Section:
    """Figures that belong together."""

    title: str
    figures: Sequence[Figure]
    remarks: Sequence[str] = ()


_HEADINGS = ("figure", "measured", "target", "", "of which")


def render(section: Section) -> str:
    """The section as text; numbers stand right-aligned in their columns."""
    rows = [_HEADINGS, *(_row(figure) for figure in section.figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    lines = [section.title, "=" * len(section.title)]
    lines += [_line(row, widths) for row in rows]
    lines += [f"  {remark}" for remark in section.remarks]
    return "\n".join(lines) + "\n"


def _row(figure: Figure) -> tuple[str, ...]:
    target = "" if figure.target is None else f"<= {_number(figure.target)}"
    measured = f"{figure.value:,.{figure.digits}f}"
    return figure.name, f"{measured} {figure.unit}".rstrip(), target, figure.verdict, figure.note


def _number(value: float) -> str:
    return f"{value:,.3f}".rstrip("0").rstrip(".")


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    name, measured, target, verdict, note = row
    cells = [
        name.ljust(widths[0]),
        measured.rjust(widths[1]),
        target.rjust(widths[2]),
        verdict.ljust(widths[3]),
        note,
    ]
    return "  ".join(cells).rstrip()
