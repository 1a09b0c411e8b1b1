"""What recorded units cost, and that docs/scale.md says it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from bench import costs, scale, stage, works
from bench.costing import Function, Recorded, Work, assumed, by_group, prices, quota, quota_note, total_usd, usd

CPU_BOUND = Function("F", memory=512, invocations=10, cpu_ms=100.0)


@pytest.mark.parametrize("name", ["prices", "needs", "commands", "hot spots", "growth"])
def test_the_document_says_what_is_computed(name: str) -> None:
    """Each block of docs/scale.md is that of the recorded units and the prices; `python -m bench record` mends it."""
    begin, end = scale.marks(name)
    text = scale.DOCUMENT.read_text(encoding="utf-8")
    assert text.partition(begin)[2].partition(end)[0].strip() == scale.blocks(Recorded.load())[name]


def test_the_document_has_no_other_blocks() -> None:
    """What the document calls computed is computed, and compared above."""
    text = scale.DOCUMENT.read_text(encoding="utf-8")
    found = re.findall("<!-- computed: (.*) -->", text)
    assert found == list(scale.blocks(Recorded.load()))


def test_a_block_without_a_place_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A document that has lost its marks is not left as it is without a word."""
    document = tmp_path / "scale.md"
    document.write_text("# Scale\n", encoding="utf-8")
    monkeypatch.setattr(scale, "DOCUMENT", document)
    with pytest.raises(ValueError, match="has no place for prices"):
        scale.rewrite(Recorded.load())


def test_the_template_is_as_it_was_looked_up() -> None:
    """Alarms, workers and stages are those of today's template; `python -m bench record prices` looks again."""
    recorded = Recorded.load()
    assert {"stack": recorded.stack, "limits": recorded.limits} == costs.looked_up()


def test_what_is_recorded_is_named() -> None:
    """A word that names nothing to record is said to be none, instead of measuring everything for an hour."""
    with pytest.raises(SystemExit, match="unit: all, units or prices"):
        costs.record("unit")


def test_the_terminal_has_every_table() -> None:
    """Each row of a table has a figure in its last column."""
    recorded = Recorded.load()
    assert len(scale.sections(recorded)) == sum(block.count("### ") for block in scale.blocks(recorded).values())


def test_every_recorded_unit_has_a_price() -> None:
    """Whatever a piece of work uses is priced and stands in one column of the tables."""
    for work in Recorded.load().works.values():
        units = work.units()
        assert sum(by_group(units).values()) == pytest.approx(total_usd(units))


def test_prices_say_where_they_are_from() -> None:
    """Each price has a public page, and says whether it was read there or is from memory."""
    for price in prices()["prices"].values():
        assert price["page"].startswith("https://aws.amazon.com/")
        assert price["found"] in {"page", "memory"}


def test_quotas_say_where_they_are_from() -> None:
    """Each quota has a page of AWS, which the document links to where the number was read there."""
    for name, found in prices()["quotas"].items():
        assert found["page"].startswith("https://docs.aws.amazon.com/")
        assert (found["page"] in quota_note(name)) == (found["found"] == "page")
        assert f"{quota(name):,g}" in quota_note(name)


@pytest.mark.parametrize("name", [works.FEW, works.ALL_TAGS, works.MONTH, works.CLOSED])
def test_every_account_of_a_run_is_charged(name: str) -> None:
    """What is priced as a settlement or as the end of a month has issued a bill for each account."""
    work = Recorded.load().works[name]
    assert work.function("SettlementFunction").calls["TransactWriteItems"] == work.per


def test_units_are_those_of_tables_and_indexes() -> None:
    """Units by table and global index add up to all that are priced."""
    functions = [function for work in Recorded.load().works.values() for function in work.functions]
    for one in functions:
        assert sum(one.write_units.values()) == pytest.approx(one.units.get("write_units", 0))
        assert sum(one.read_units.values()) == pytest.approx(one.units.get("read_units", 0))
    bearers = {name for one in functions for name in (*one.write_units, *one.read_units)}
    assert bearers == {"UsageTable", "UsageTable/DueIndex", "LiveTable", "LedgerTable", "LedgerTable/DueIndex"}


def test_usd() -> None:
    """A price is of so many units."""
    assert usd("write_units", 2_000_000) == pytest.approx(1.25)
    assert usd("firehose_bytes", 10**9) == pytest.approx(0.029)


def test_a_unit_of_no_group_is_refused() -> None:
    """A new unit cannot be left out of the tables unseen."""
    with pytest.raises(ValueError, match="bytes_of_nobody"):
        by_group({"bytes_of_nobody": 1})


def test_cpu_costs_the_same_with_less_memory() -> None:
    """Half the memory is half the CPU for twice as long, as long as it is less than one processor."""
    assert CPU_BOUND.gb_seconds(256) == pytest.approx(CPU_BOUND.gb_seconds())
    assert CPU_BOUND.milliseconds(256) == pytest.approx(2 * CPU_BOUND.milliseconds())
    whole = int(assumed("one_vcpu_mb"))
    assert CPU_BOUND.milliseconds(2 * whole) == CPU_BOUND.milliseconds(whole) == CPU_BOUND.cpu_ms


def test_waiting_costs_by_the_memory() -> None:
    """Waiting for AWS lasts as long with any memory, and costs in proportion to it."""
    waiting = Function("F", memory=512, invocations=2, cpu_ms=0.0, calls={"Query": 4, "TransactWriteItems": 2})
    assert waiting.wait_ms() == 2 * assumed("wait_ms")["Query"] + assumed("wait_ms")["TransactWriteItems"]
    assert waiting.gb_seconds(1024) == pytest.approx(2 * waiting.gb_seconds())


def test_units_of_one() -> None:
    """A piece of work is divided by how many it is, what every invocation costs of its own included."""
    work = Work("w", 5, (Function("F", 1024, invocations=10, cpu_ms=0.0, units={"write_units": 20, "log_bytes": 50}),))
    units = work.units()
    assert (units["write_units"], units["invocations"]) == (4, 2)
    assert units["log_bytes"] == 10 + 2 * assumed("platform_log_bytes")


@pytest.mark.parametrize(
    "event, units",
    [
        ({"requestContext": {}, "body": "x"}, {"http_requests": 1}),
        ({"requestContext": {}, "body": "x" * (stage.HTTP_UNIT_BYTES + 1)}, {"http_requests": 2}),
        ({"requestContext": {}}, {"http_requests": 1}),
        (stage.queue_event(["a", "b"]), {"sqs_requests": 2}),
        ({"Records": [{"dynamodb": {}}]}, {}),
        ({"task": "sweep"}, {}),
    ],
)
def test_what_triggers_cost(event: Any, units: dict[str, float]) -> None:
    """A request is counted in steps of 512 KB, a batch of a queue is received and deleted, the rest costs nothing."""
    assert stage.incoming(event) == units


@pytest.mark.parametrize(
    "operation, parameters, units",
    [
        (
            "PutRecordBatch",
            {"Records": [{"Data": b"x"}, {"Data": b"x" * stage.FIREHOSE_UNIT_BYTES}]},
            {"firehose_bytes": 3 * stage.FIREHOSE_UNIT_BYTES, "archive_bytes": stage.FIREHOSE_UNIT_BYTES + 3},
        ),
        ("SendMessageBatch", {"Entries": [{}, {}]}, {"sqs_requests": 1}),
        ("PutEvents", {"Entries": [{}, {}]}, {"bus_events": 2}),
    ],
)
def test_what_calls_cost(operation: str, parameters: Any, units: dict[str, float]) -> None:
    """Records of Firehose are rounded up one by one, messages are counted by call, events of the bus each."""
    assert stage.outgoing(operation, parameters) == units


def test_a_call_without_a_price_is_refused() -> None:
    """A service that the product begins to use must be priced."""
    with pytest.raises(ValueError, match="PutMetricData"):
        stage.outgoing("PutMetricData", {})
