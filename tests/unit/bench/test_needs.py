"""What full size needs: how long the runs of a morning take, and what tables must be warm for."""

from __future__ import annotations

from typing import Any

import pytest

from bench import loads, needs, scale, works
from bench.costing import Recorded, assumed


def _recorded(**settling: Any) -> Recorded:
    """The recorded units, but for what settling a usual day takes of an account."""
    recorded = Recorded.load()
    day = {
        "functions": {"SettlementFunction": {"memory": 1769, "invocations": 1, "cpu_ms": 0, **settling}},
        "per": 1,
        "stored_bytes": 0,
    }
    document = {
        "machine": "m",
        "stack": recorded.stack,
        "limits": {**recorded.limits, "workers": {"SettlementFunction": 10, "VerificationFunction": 10}},
        "sending_ms": 100.0,
        "works": {works.FEW: day},
    }
    found = Recorded.of(document)
    return Recorded(found.machine, {**recorded.works, **found.works}, found.stack, found.limits, found.sending_ms)


def test_every_kind_of_morning_is_timed() -> None:
    """The four hours are compared with the 1st as well, of daily accounts and of monthly ones."""
    rows = {row[0]: row for row in needs.mornings(Recorded.load()).rows}
    assert {works.FEW, works.MONTH, works.CLOSED} == {name for run in loads.SETTLING for name in run.parts}
    assert {run.name for run in loads.SETTLING} <= rows.keys()


def test_a_run_with_warm_tables() -> None:
    """A million accounts of 12 ms each take ten workers twenty minutes."""
    (row, *_) = needs.mornings(_recorded(cpu_ms=12)).rows
    assert row[1:] == ["12", "240", "10", "1", "20", "20"]


def test_a_run_with_new_tables() -> None:
    """What a table or an index takes by itself decides, not the sum over all of them."""
    units = {"write_units": {"LedgerTable": 8, "UsageTable": 16}, "read_units": {"LedgerTable": 12}}
    minutes = loads.DAILY.minutes_of_new_tables(_recorded(cpu_ms=12, **units))
    assert minutes == pytest.approx(16 * 1e6 / 4_000 / 60)
    reading = loads.DAILY.minutes_of_new_tables(_recorded(cpu_ms=12, read_units={"LedgerTable": 60}, write_units={}))
    assert reading == pytest.approx(60 * 1e6 / 12_000 / 60)


def test_what_is_wanted() -> None:
    """Calls, the largest run and verification come at one time; a new table takes what little there is."""
    want = needs.Want("T", "write", calls=[5_000, 100], runs=[2_500, 1_000], verifying=100)
    assert want.wanted() == [8_000, 4_000]


def test_only_what_is_beyond_new_tables_is_told() -> None:
    """No command asks for what a table has anyway, and an index is told with its table."""
    recorded = Recorded.load()
    text = scale.commands(recorded)
    beyond = [one for one in needs.wants(recorded) if one.wanted()[0] > one.of_new()]
    assert text.count("UnitsPerSecond") == len(beyond)
    assert text.count("aws dynamodb update-table") == len({one.bearer.partition("/")[0] for one in beyond})


def test_workers_of_all_queues_count() -> None:
    """Lambda's limit is for calls and for the workers of every queue that has a limit of its own."""
    (row,) = [one for one in needs.quotas(_recorded(cpu_ms=12)).rows if one[0].startswith("Lambda")]
    assert "Settlement 10, Verification 10" in row[0]
    busy = [
        load.busy_seconds(Recorded.load(), name) * loads.A_SECOND
        for load in loads.LOADS
        for name in ("IngestFunction", "RollupFunction")
    ]
    assert [row[2], row[3].strip("*")] == [f"{sum(busy[:2]) + 20:,.0f}", f"{sum(busy[2:]) + 20:,.0f}"]


def test_the_planner_waits_side_by_side() -> None:
    """A million accounts are planned in the CPU of sending, and in the waits of a shard."""
    (row,) = [one for one in needs.quotas(_recorded(cpu_ms=12)).rows if one[0].startswith("planner")]
    waits = assumed("wait_ms")["SendMessageBatch"] / 1e3 * 100_000 / Recorded.load().limits["due_shards"]
    assert row[-1] == f"{(100 + waits) / 60:.3g}"


def test_accounts_that_a_process_does_not_know() -> None:
    """A process has not kept the next one of a million accounts: what it reads of it is wanted and priced."""
    recorded = Recorded.load()
    for load in loads.LOADS:
        counted = sum(recorded.works[name].units()["read_units"] * share for name, share in load.shares.items())
        assert load.a_call(recorded)["read_units"] == pytest.approx(counted + 2 * load.unknown)
        assert sum(load.by_bearer(recorded, "read").values()) == pytest.approx(load.a_call(recorded)["read_units"])
    assert [load.unknown for load in loads.LOADS] == [load.shares[works.EACH_OTHER] for load in loads.LOADS]
