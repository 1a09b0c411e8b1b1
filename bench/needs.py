"""What a million accounts and a billion calls a day need, beside what AWS and the keys of the tables allow."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from aws_platform.keys import ACCOUNT_HASHES
from bench import works
from bench.costing import MONTH_DAYS, Recorded, assumed, quota, quota_note, times, total_usd, usd
from bench.loads import (
    A_SECOND,
    BILLION,
    CHANNELS,
    DAILY,
    DAILY_FIRST,
    DAWN_SECONDS,
    KINDS,
    LOADS,
    MESSAGES,
    MILLION,
    MONTHLY_FIRST,
    RUNS,
    SETTLING,
    USAGE_DUE,
    VERIFY,
    YEAR_DAYS,
)
from bench.tables import Table, needed, number


def tables(recorded: Recorded) -> Iterator[Table]:
    """All that say what is needed."""
    yield full_size(recorded)
    yield mornings(recorded)
    yield warm(recorded)
    yield quotas(recorded)


def full_size(recorded: Recorded) -> Table:
    """A day of a billion calls and a million accounts."""
    rows: list[list[str]] = []

    def row(name: str, values: Sequence[float]) -> None:
        rows.append([name, *map(number, values)])

    calls = [load.a_call(recorded) for load in LOADS]
    row("calls a second at the peak", [A_SECOND] * 2)
    row("requests a second at the peak", [one["http_requests"] * A_SECOND for one in calls])
    row("write units a second at the peak, all tables", [one["write_units"] * A_SECOND for one in calls])
    row("read units a second at the peak, all tables", [one["read_units"] * A_SECOND for one in calls])
    for function in ("IngestFunction", "RollupFunction"):
        row(f"{function}: at work at once at the peak", _busy(recorded, function))
    row("archive: GB a day before compression", [one["archive_bytes"] * BILLION / 1e9 for one in calls])
    row("calls: USD a day", [total_usd(times(one, BILLION)) for one in calls])
    for name in (works.FEW, works.MONTH, works.CLOSED, works.VERIFIED):
        row(f"{name}: USD for a million", [total_usd(times(recorded.works[name].units(), MILLION))] * 2)
    row("all of it, daily accounts: USD a month", _monthly_usd(recorded))
    return Table("A million accounts, a billion calls a day", ["", *(load.name for load in LOADS)], rows)


def _busy(recorded: Recorded, function: str) -> list[float]:
    return [load.busy_seconds(recorded, function) * A_SECOND for load in LOADS]


def _monthly_usd(recorded: Recorded) -> list[float]:
    """Calls, settled and verified days, and a month closed once."""
    found = {
        name: total_usd(times(recorded.works[name].units(), MILLION)) for name in (*DAILY_FIRST.parts, *VERIFY.parts)
    }
    accounts = (found[works.FEW] + found[works.VERIFIED]) * MONTH_DAYS + found[works.CLOSED]
    return [total_usd(times(load.a_call(recorded), BILLION)) * MONTH_DAYS + accounts for load in LOADS]


def mornings(recorded: Recorded) -> Table:
    """Whether a million accounts are done in time."""
    rows = []
    for run in RUNS:
        seconds, workers = run.seconds(recorded), run.workers(recorded)
        minutes = seconds * MILLION / workers / 60
        of_new = run.minutes_of_new_tables(recorded)
        at_least = math.ceil(seconds * MILLION / run.minutes / 60)
        shown = [number(one) for one in (seconds * 1e3, run.minutes, workers, at_least)]
        rows.append([run.name, *shown, needed(minutes, run.minutes), needed(of_new, run.minutes)])
    headings = [
        "a million",
        "ms each",
        "minutes there are",
        "workers there are",
        "workers needed",
        "minutes with warm tables",
    ]
    return Table("The runs", [*headings, "with new tables"], rows)


def warm(recorded: Recorded) -> Table:
    """What each table and global index must take in a second; each has a capacity of its own."""
    rows = []
    for want in wants(recorded):
        wanted = (needed(one, quota("table_units")) for one in want.wanted())
        rows.append(
            [f"{want.bearer}: {want.kind} units", *map(number, [*want.calls, *want.runs, want.verifying]), *wanted]
        )
    headings = [*(f"calls, {name}" for name in _loads()), *(run.short for run in (*SETTLING, VERIFY))]
    return Table("Warm throughput", ["a second", *headings, *(f"wanted, {name}" for name in _loads())], rows)


@dataclass(frozen=True, slots=True)
class Want:
    """What one table or global index must take in a second."""

    bearer: str
    kind: str
    """Either "write" or "read"."""
    calls: Sequence[float]
    """At the peak, by load."""
    runs: Sequence[float]
    """By run of the settlement, with all workers at work."""
    verifying: float

    def wanted(self) -> list[float]:
        """By load: calls, the largest run and verification at one time, in thousands; no less than a new one has."""
        most = max(self.runs) + self.verifying
        return [max(self.of_new(), math.ceil((peak + most) / 1_000) * 1_000) for peak in self.calls]

    def of_new(self) -> float:
        """What a new one takes."""
        return quota(f"new_table_{self.kind}s")


def wants(recorded: Recorded) -> Iterator[Want]:
    """Of all tables and global indexes, writes before reads."""
    for kind in KINDS:
        calls = [times(load.by_bearer(recorded, kind), A_SECOND) for load in LOADS]
        runs = [times(run.by_bearer(recorded, kind), run.accounts_a_second(recorded)) for run in (*SETTLING, VERIFY)]
        for bearer in sorted({name for units in (*calls, *runs) for name in units}):
            *settling, verifying = (one.get(bearer, 0) for one in runs)
            yield Want(bearer, kind, [one.get(bearer, 0) for one in calls], settling, verifying)


def _beside(name: str, limit: str, values: Sequence[float]) -> list[str]:
    """A row of needs beside a limit, with where that is from."""
    return [name, quota_note(limit), *(needed(value, quota(limit)) for value in values)]


def quotas(recorded: Recorded) -> Table:
    """Needs beside AWS's defaults."""
    calls = [load.a_call(recorded) for load in LOADS]
    workers = recorded.limits["workers"]
    named = ", ".join(f"{name.removesuffix('Function')} {most or 'without a limit'}" for name, most in workers.items())
    queues = sum(filter(None, workers.values()))
    functions = zip(_busy(recorded, "IngestFunction"), _busy(recorded, "RollupFunction"), strict=True)
    notices = DAILY.accounts_a_second(recorded)
    shards = int(recorded.limits["due_shards"])
    sending = recorded.sending_ms / 1e3 * MILLION / 1_000
    waiting = assumed("wait_ms")["SendMessageBatch"] / 1e3 * MILLION / MESSAGES / shards
    rows = [
        _beside("API Gateway: requests a second", "api_requests", [one["http_requests"] * A_SECOND for one in calls]),
        _beside("the same, calls sent one by one", "api_requests", [A_SECOND] * 2),
        _beside(
            f"Lambda at once: Ingest and Rollup as above, and the workers of queues ({named})",
            "lambda_at_once",
            [sum(one) + queues for one in functions],
        ),
        _beside("Firehose: MB a second", "firehose_mb", [one["archive_bytes"] * A_SECOND / 1e6 for one in calls]),
        _beside("EventBridge: a notice for each account of a run, a second", "bus_events", [notices] * 2),
        _beside("EventBridge: the same, handed to the channels' queues", "bus_deliveries", [notices * CHANNELS] * 2),
        _beside("SES: an e-mail for each account within an hour, a second", "emails", [MILLION / 3_600] * 2),
        _beside("planner: minutes for a million accounts", "lambda_minutes", [(sending + waiting) / 60] * 2),
    ]
    return Table("Quotas", ["needed", "AWS's default", *_loads()], rows)


def _loads() -> list[str]:
    return [load.name.partition(":")[0] for load in LOADS]


def hot_spots(recorded: Recorded) -> Table:
    """Needs beside what one key, one shard and one account allow."""
    shards, a_key = int(recorded.limits["due_shards"]), quota("key_writes")
    at_once = recorded.limits["stream_at_once"]["RollupFunction"]
    day, orders = recorded.works[works.FEW], 1 / recorded.works[works.ORDER].seconds()
    archived = [load.a_call(recorded)["archive_bytes"] * BILLION / 1e9 for load in LOADS]
    rows = [
        _alone(f"one account, calls a second until its day's key is full: {name}", [a_key / units["UsageTable"]] * 2)
        for name in works.NAMES.values()
        for units in (recorded.works[name].by_bearer("write"),)
    ]
    for run, kinds in ((DAILY, 2), (MONTHLY_FIRST, 2), (VERIFY, 1)):
        # A settled day moves from a key of what is due to one of what is to be verified, each with its share.
        each = run.by_bearer(recorded, "write")[USAGE_DUE] / kinds / shards * run.accounts_a_second(recorded)
        rows.append(_beside(f"{USAGE_DUE}, write units a second of a key: {run.name}", "key_writes", [each] * 2))
    dawn = MILLION / DAWN_SECONDS / shards
    partitions = [load.by_bearer(recorded, "write")["UsageTable"] * A_SECOND / a_key for load in LOADS]
    year = day.stored_bytes / day.per * YEAR_DAYS / 1e6
    return Table(
        "Keys, shards and accounts",
        ["", "limit", *_loads()],
        [
            *rows,
            _beside(f"the same: a million days begun within {DAWN_SECONDS} s", "key_writes", [dawn] * 2),
            _alone(f"RollupFunction at once at the peak; {at_once} a shard may be", _busy(recorded, "RollupFunction")),
            _alone("shards of the stream, a thousand write units each", partitions),
            _alone("one account's orders, one after another, a second", [orders] * 2),
            _beside("one account's ledger: MB more a year, days of 3 tags", "ledger_mb", [year] * 2),
            _alone(
                f"archive: GB of one of {ACCOUNT_HASHES} parts of a day, before compression",
                [one / ACCOUNT_HASHES for one in archived],
            ),
        ],
    )


def _alone(name: str, values: Sequence[float]) -> list[str]:
    """A row of what has no limit of AWS's own."""
    return [name, "", *map(number, values)]


def growth(recorded: Recorded) -> Table:
    """What is added, and what keeping it costs."""
    stored = [load.stored(recorded) for load in LOADS]
    settled, closed, verified = (
        recorded.works[name].stored_bytes / recorded.works[name].per
        for name in (works.FEW, works.CLOSED, works.VERIFIED)
    )
    a_day = [one * BILLION / 1e9 for one in stored]
    accounts = (settled + verified + closed / MONTH_DAYS) * MILLION / 1e9
    a_gb = usd("table_gb_months", 1) + usd("pitr_gb_months", 1)
    after = [(one + accounts) * YEAR_DAYS * a_gb for one in a_day]
    shares = [kept / bill * 100 for kept, bill in zip(after, _monthly_usd(recorded), strict=True)]
    rows = [
        ["bytes a call", *map(number, stored)],
        ["calls: GB more a day", *map(number, a_day)],
        ["settled, verified and closed: GB more a day", *[number(accounts)] * 2],
        ["USD a month more after each year, backup included", *map(number, after)],
        ["the same, in percent of all that a month costs otherwise", *map(number, shares)],
    ]
    return Table("More every day", ["", *_loads()], rows)
