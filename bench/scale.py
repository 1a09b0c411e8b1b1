"""The tables of docs/scale.md: what recorded units come to, per million calls, per thousand accounts, and at full size.

Between two marks of the document stands exactly what `block` gives; a test compares them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from bench import ROOT, works
from bench.costing import GROUPS, MONTH_DAYS, Function, Recorded, Units, added, by_group, times, total_usd, usd
from bench.figures import Figure, Section

DOCUMENT = ROOT / "docs" / "scale.md"
BEGIN, END = "<!-- computed: begin -->", "<!-- computed: end -->"
MILLION, THOUSAND, BILLION = 10**6, 10**3, 10**9
DAY_SECONDS = 86_400
PEAK = 3
"""The busiest second of a day has so many times the calls of the mean one: assumed."""
AT_ONCE = 50
"""Workers of the settlement, and of the verification (template.yaml)."""
_OWN_MEMORY = (0.5, 1, 2)
_CALLS = (*works.NAMES.values(), works.EACH_OTHER)
_DAYS = (works.FEW, works.ALL_TAGS, works.MONTH, works.VERIFIED, works.NOTICE)
_REQUESTS = (works.PAGE, works.OVERVIEW, works.CHECK, works.ORDER)


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


def tables(recorded: Recorded) -> Iterator[Table]:
    """All tables, in the document's order."""
    yield _costs(recorded, "A million calls", "USD per million calls", _CALLS, MILLION)
    yield _costs(recorded, "A thousand accounts", "USD per thousand", _DAYS, THOUSAND)
    yield _costs(recorded, "A million requests", "USD per million", _REQUESTS, MILLION)
    yield _units(recorded)
    yield _memory(recorded)
    yield _idle(recorded)
    yield _full_size(recorded)


def block(recorded: Recorded) -> str:
    """What stands between the marks."""
    return "\n\n".join([f"Measured on: {recorded.machine}.", *(table.markdown() for table in tables(recorded))])


def sections(recorded: Recorded) -> list[Section]:
    """The same for the terminal: a section a table, in which the last column is the figure."""
    return [_section(table) for table in tables(recorded)]


def rewrite(recorded: Recorded) -> None:
    """Put what was computed into the document."""
    text = DOCUMENT.read_text(encoding="utf-8")
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    DOCUMENT.write_text(f"{head}{BEGIN}\n\n{block(recorded)}\n\n{END}{tail}", encoding="utf-8")


def _section(table: Table) -> Section:
    figures = [
        Figure(row[0], float(row[-1].replace(",", "")), digits=2, note=_note(table.headings[1:-1], row[1:-1]))
        for row in table.rows
    ]
    return Section(f"{table.title}: {table.headings[-1]}", figures)


def _note(headings: Sequence[str], cells: Sequence[str]) -> str:
    return ", ".join(f"{heading} {cell}" for heading, cell in zip(headings, cells, strict=True))


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _number(value: float) -> str:
    """Three digits that count, and whole numbers whole."""
    if value == 0:
        return "0"
    if value >= 100:  # noqa: PLR2004 - three digits
        return f"{value:,.0f}"
    return f"{value:.3g}" if value >= 0.001 else f"{value:.1e}"  # noqa: PLR2004 - beyond that nobody counts zeros


def _costs(recorded: Recorded, title: str, unit: str, names: Sequence[str], number: int) -> Table:
    groups = [group for group in GROUPS if any(_group(recorded, name, group) for name in names)]
    rows = []
    for name in names:
        priced = by_group(times(recorded.works[name].units(), number))
        rows.append([name, *(_number(priced[group]) for group in groups), _number(sum(priced.values()))])
    return Table(title, [unit, *groups, "all"], rows)


def _group(recorded: Recorded, name: str, group: str) -> float:
    return by_group(recorded.works[name].units())[group]


def _units(recorded: Recorded) -> Table:
    """What the prices are of: one call, one account, one request."""
    rows = []
    for name in (*_CALLS, *_DAYS, *_REQUESTS):
        work = recorded.works[name]
        units = work.units()
        calls = sum(sum(function.calls.values()) for function in work.functions) / work.per
        cpu = sum(function.cpu_ms * function.invocations for function in work.functions) / work.per
        picked = [units.get(unit, 0) for unit in ("write_units", "read_units", "gb_seconds")]
        rows.append([name, *map(_number, [*picked, cpu, calls, work.stored_bytes / work.per])])
    headings = ["one", "write units", "read units", "GB-seconds", "CPU ms", "AWS calls", "bytes stored"]
    return Table("Units of one", headings, rows)


def _memory(recorded: Recorded) -> Table:
    """Whether another size of memory would be cheaper."""
    rows: list[list[str]] = []
    seen: dict[str, str] = {}
    for name in (works.NAMES[1_000], works.NAMES[1], works.FEW, works.VERIFIED, works.NOTICE, works.CHECK, works.SWEEP):
        functions = recorded.works[name].functions
        rows += [_memory_row(one, name) for one in functions if seen.setdefault(one.name, name) == name]
    headings = ["function, at work", "MB", "CPU ms", "waits ms", "lasts ms", "half the MB", "double", "USD per million"]
    return Table("Memory sizes", headings, rows)


def _memory_row(function: Function, name: str) -> list[str]:
    half, own, double = (
        function.gb_seconds(int(function.memory * factor)) / function.invocations for factor in _OWN_MEMORY
    )
    million = [usd("gb_seconds", one * MILLION) for one in (half, double, own)]
    lasts = [function.cpu_ms, function.wait_ms(), function.milliseconds()]
    return [f"{function.name}, {name}", str(function.memory), *map(_number, [*lasts, *million])]


def _idle(recorded: Recorded) -> Table:
    parts = recorded.idle_month()
    rows = [[name, _number(total_usd(units))] for name, units in parts.items()]
    whole = sum(total_usd(units) for units in parts.values())
    return Table("An idle stack", ["a month", "USD"], [*rows, ["all", _number(whole)]])


# --- A million accounts, a billion calls a day


@dataclass(frozen=True, slots=True)
class Load:
    """How a billion calls of a day come."""

    name: str
    shares: Mapping[str, float]
    """Which part of them comes in which way."""

    def a_call(self, recorded: Recorded) -> Units:
        """Units of the mean call."""
        return added(times(recorded.works[name].units(), share) for name, share in self.shares.items())

    def stored(self, recorded: Recorded) -> float:
        """Bytes that the mean call leaves in the tables."""
        works_of = ((recorded.works[name], share) for name, share in self.shares.items())
        return sum(work.stored_bytes / work.per * share for work, share in works_of)

    def busy_seconds(self, recorded: Recorded, function: str) -> float:
        """How long the invocations of a function last for the mean call."""
        found = ((recorded.works[name], share) for name, share in self.shares.items())
        return sum(
            one.invocations * one.milliseconds() / 1e3 / work.per * share
            for work, share in found
            for one in (work.function(function),)
        )


LOADS = (
    Load("skewed: 1 % of the accounts have 90 % of the calls", {works.NAMES[10]: 0.9, works.EACH_OTHER: 0.1}),
    Load("even: every call of another account", {works.EACH_OTHER: 1.0}),
)


def _full_size(recorded: Recorded) -> Table:
    rows: list[list[str]] = []
    a_second = BILLION / DAY_SECONDS * PEAK

    def row(name: str, values: Sequence[float]) -> None:
        rows.append([name, *map(_number, values)])

    calls = [load.a_call(recorded) for load in LOADS]
    row("calls a second at the peak", [a_second] * 2)
    row("write units a second at the peak, all tables", [one["write_units"] * a_second for one in calls])
    row("read units a second at the peak, all tables", [one["read_units"] * a_second for one in calls])
    for function in ("IngestFunction", "RollupFunction"):
        busy = [load.busy_seconds(recorded, function) * a_second for load in LOADS]
        row(f"{function}: at work at once at the peak", busy)
    row("Firehose: MB a second at the peak", [one["archive_bytes"] * a_second / 1e6 for one in calls])
    row("archive: GB a day before compression", [one["archive_bytes"] * BILLION / 1e9 for one in calls])
    stored = [load.stored(recorded) * BILLION / 1e9 for load in LOADS]
    row("tables: GB more a day, by calls", stored)
    a_gb = usd("table_gb_months", 1) + usd("pitr_gb_months", 1)
    row("tables: USD a month more after each year, backup included", [one * 365 * a_gb for one in stored])
    row("calls: USD a day", [total_usd(times(one, BILLION)) for one in calls])
    for name in (works.FEW, works.VERIFIED):
        work = recorded.works[name]
        seconds = sum(one.invocations * one.milliseconds() for one in work.functions) / 1e3 / work.per
        units = work.units()
        row(f"{name}: ms an account", [seconds * 1e3] * 2)
        row(f"{name}: minutes for a million, {AT_ONCE} at once", [seconds * MILLION / AT_ONCE / 60] * 2)
        row(f"{name}: write units a second meanwhile", [units.get("write_units", 0) * AT_ONCE / seconds] * 2)
        row(f"{name}: read units a second meanwhile", [units.get("read_units", 0) * AT_ONCE / seconds] * 2)
        row(f"{name}: GB more a day", [work.stored_bytes / work.per * MILLION / 1e9] * 2)
        row(f"{name}: USD a day", [total_usd(times(units, MILLION))] * 2)
    days = total_usd(times(added([recorded.works[works.FEW].units(), recorded.works[works.VERIFIED].units()]), MILLION))
    row("all of it: USD a month", [(total_usd(times(one, BILLION)) + days) * MONTH_DAYS for one in calls])
    return Table("A million accounts, a billion calls a day", ["", *(load.name for load in LOADS)], rows)
