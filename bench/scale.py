"""The tables of docs/scale.md: what recorded units come to, per million calls, per thousand accounts, and at full size.

Between two marks of the document stands exactly what `blocks` gives; a test compares them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from bench import ROOT, needs, works
from bench.costing import GROUPS, Function, Recorded, by_group, prices, quota_note, times, total_usd, usd
from bench.figures import Section
from bench.tables import Table, number

DOCUMENT = ROOT / "docs" / "scale.md"
MILLION, THOUSAND = 10**6, 10**3
_OWN_MEMORY = (0.5, 1, 2)
_CALLS = (*works.NAMES.values(), works.EACH_OTHER)
_DAYS = (works.FEW, works.ALL_TAGS, works.MONTH, works.CLOSED, works.VERIFIED, works.NOTICE)
_REQUESTS = (works.PAGE, works.OVERVIEW, works.CHECK, works.ORDER)


def tables(recorded: Recorded) -> Iterator[Table]:
    """All tables of prices, in the document's order."""
    yield _costs(recorded, "A million calls", "USD per million calls", _CALLS, MILLION)
    yield _costs(recorded, "A thousand accounts", "USD per thousand", _DAYS, THOUSAND)
    yield _costs(recorded, "A million requests", "USD per million", _REQUESTS, MILLION)
    yield _units(recorded)
    yield _memory(recorded)
    yield _idle(recorded)


def blocks(recorded: Recorded) -> dict[str, str]:
    """What stands between each pair of marks, by its name."""
    return {
        "prices": "\n\n".join([_of_what(recorded), *(table.markdown() for table in tables(recorded))]),
        "needs": "\n\n".join(table.markdown() for table in needs.tables(recorded)),
        "commands": commands(recorded),
        "hot spots": needs.hot_spots(recorded).markdown(),
        "growth": needs.growth(recorded).markdown(),
    }


def sections(recorded: Recorded) -> list[Section]:
    """The same for the terminal: a section a table, in which the last column is the figure."""
    others = (needs.hot_spots(recorded), needs.growth(recorded))
    return [table.section() for table in (*tables(recorded), *needs.tables(recorded), *others)]


def marks(name: str) -> tuple[str, str]:
    """What stands before and after a block."""
    return f"<!-- computed: {name} -->", f"<!-- end: {name} -->"


def rewrite(recorded: Recorded) -> None:
    """Put what was computed into the document. Raises ValueError for a block that it has no place for."""
    text = DOCUMENT.read_text(encoding="utf-8")
    for name, block in blocks(recorded).items():
        begin, end = marks(name)
        head, found, rest = text.partition(begin)
        _, ended, tail = rest.partition(end)
        if not found or not ended:
            message = f"{DOCUMENT.name} has no place for {name}"
            raise ValueError(message)
        text = f"{head}{begin}\n\n{block}\n\n{end}{tail}"
    DOCUMENT.write_text(text, encoding="utf-8")


def _of_what(recorded: Recorded) -> str:
    """Where the numbers are from."""
    stages, charged = recorded.limits["stages"], prices()["prices"]["gb_seconds"]["what"]
    return (
        f"CPU was measured on {recorded.machine}, and is charged at the price of a {charged}: production runs on"
        f" {stages['architecture']}. Prices are those of {prices()['region']}; production is in {stages['region']}."
    )


def commands(recorded: Recorded) -> str:
    """How the tables are told what they must take with the first load, where that is more than new ones take."""
    told: dict[str, dict[str, float]] = {}
    for want in needs.wants(recorded):
        units, _ = want.wanted()
        if units > want.of_new():
            told.setdefault(want.bearer, {})[f"{want.kind.title()}UnitsPerSecond"] = units
    lines = []
    for table in sorted({bearer.partition("/")[0] for bearer in told}):
        line = f"aws dynamodb update-table --table-name <{table}Name>"
        if table in told:
            line += " --warm-throughput " + ",".join(f"{name}={units:.0f}" for name, units in told[table].items())
        updates = [
            f'{{"Update":{{"IndexName":"{bearer.partition("/")[2]}","WarmThroughput":{_members(units)}}}}}'
            for bearer, units in told.items()
            if bearer.startswith(f"{table}/")
        ]
        if updates:
            line += f" \\\n  --global-secondary-index-updates '[{','.join(updates)}]'"
        lines.append(line)
    new = f"{quota_note('new_table_writes')} write and {quota_note('new_table_reads')} read units a second"
    intro = (
        f"A new table or global index takes {new}; what goes beyond {quota_note('table_units')} needs a quota first."
    )
    return "\n".join([intro, "", "```", *lines, "```"])


def _members(units: Mapping[str, float]) -> str:
    return f"{{{','.join(f'"{name}":{amount:.0f}' for name, amount in units.items())}}}"


def _costs(recorded: Recorded, title: str, unit: str, names: Sequence[str], how_many: int) -> Table:
    groups = [group for group in GROUPS if any(_group(recorded, name, group) for name in names)]
    rows = []
    for name in names:
        priced = by_group(times(recorded.works[name].units(), how_many))
        rows.append([name, *(number(priced[group]) for group in groups), number(sum(priced.values()))])
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
        picked = [units.get(unit, 0) for unit in ("write_units", "read_units", "gb_seconds")]
        rows.append([name, *map(number, [*picked, work.cpu_ms(), calls, work.stored_bytes / work.per])])
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
    return [f"{function.name}, {name}", str(function.memory), *map(number, [*lasts, *million])]


def _idle(recorded: Recorded) -> Table:
    parts = recorded.idle_month()
    rows = [[name, number(total_usd(units))] for name, units in parts.items()]
    whole = sum(total_usd(units) for units in parts.values())
    return Table("An idle stack", ["a month", "USD"], [*rows, ["all", number(whole)]])
