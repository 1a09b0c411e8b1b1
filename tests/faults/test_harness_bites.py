"""The harness bites: each naive counter is caught by the fault that it cannot stand, and a correct one by none."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import pytest

from tests.faults.harness import (
    ALL,
    CRASHES,
    Delivery,
    Fault,
    FaultFound,
    Faults,
    QueueSource,
    StreamSource,
    World,
    exhaust,
    explore,
    race_seeds,
    replay,
    sweep,
)

boto3: Any = importlib.import_module("boto3")

KEY = {"pk": {"S": "acct-1"}, "sk": {"S": "bucket"}}
TABLE = "Counts"
BATCH = ["e1", "e2", "e3"]
OTHER = ["e4", "e5"]

type Count = Callable[[list[str]], None]


@cache
def client() -> Any:
    """Return the client of this process, made once."""
    return boto3.client("dynamodb", region_name="eu-west-1")


def read() -> dict[str, Any]:
    """Return the counter's item."""
    found: dict[str, Any] = client().get_item(TableName=TABLE, Key=KEY, ConsistentRead=True).get("Item", {})
    return found


def number(item: dict[str, Any], name: str) -> int:
    """Return a number attribute, 0 where there is none."""
    return int(item.get(name, {"N": "0"})["N"])


def read_modify_write(events: list[str]) -> None:
    """Naive: read the count, add, put it back."""
    total = number(read(), "c") + len(events)
    client().put_item(TableName=TABLE, Item={**KEY, "c": {"N": str(total)}})


def blind_add(events: list[str]) -> None:
    """Naive: add to a counter, with nothing that remembers the event."""
    client().update_item(
        TableName=TABLE,
        Key=KEY,
        UpdateExpression="ADD c :n",
        ExpressionAttributeValues={":n": {"N": str(len(events))}},
    )


def versioned_count(events: list[str]) -> None:
    """Half right: the put is conditioned on the version read, but nothing remembers the event."""
    for _ in range(10):
        item = read()
        version = number(item, "v")
        new = {"c": {"N": str(number(item, "c") + len(events))}, "v": {"N": str(version + 1)}}
        if put_version(new, version):
            return
    raise TimeoutError


def marker_then_count(events: list[str]) -> None:
    """Half right: a marker for each event, and the count in a second call."""
    for event in events:
        try:
            client().put_item(
                TableName=TABLE,
                Item={"pk": {"S": "marker"}, "sk": {"S": event}},
                ConditionExpression="attribute_not_exists(pk)",
            )
        except client().exceptions.ConditionalCheckFailedException:
            continue
        blind_add([event])


def bucket(events: list[str]) -> None:
    """Correct: the events and their count are one item, put on the condition of the version that was read."""
    for _ in range(10):
        item = read()
        version = number(item, "v")
        known = set(item.get("events", {"SS": []})["SS"])
        if known >= set(events):
            return
        known |= set(events)
        if put_version(
            {"c": {"N": str(len(known))}, "events": {"SS": sorted(known)}, "v": {"N": str(version + 1)}}, version
        ):
            return
    raise TimeoutError


def put_version(new: dict[str, Any], version: int) -> bool:
    """Put the item if it still has that version; return whether it was put."""
    condition = "v = :v" if version else "attribute_not_exists(pk)"
    values = {"ExpressionAttributeValues": {":v": {"N": str(version)}}} if version else {}
    try:
        client().put_item(TableName=TABLE, Item={**KEY, **new}, ConditionExpression=condition, **values)
    except client().exceptions.ConditionalCheckFailedException:
        return False
    return True


NAIVE = [read_modify_write, blind_add]


@pytest.fixture
def world() -> Iterator[World]:
    """Give a world with a counter, a source of events and a queue."""
    with World() as entered:
        entered.create_table(TABLE, stream="NEW_IMAGE")
        entered.create_table("Source", stream="NEW_IMAGE")
        entered.create_queue("Q")
        yield entered


def counted(expected: int) -> Callable[[], None]:
    """Return the property: that many events are counted."""

    def check() -> None:
        assert number(read(), "c") == expected

    return check


def nothing() -> None:
    """Recover by nothing, so that only the fault itself can break the count."""


@pytest.mark.parametrize("count", [*NAIVE, versioned_count, marker_then_count])
def test_crash_and_retry_catches(world: World, count: Count) -> None:
    """A crash at some call, and the same batch again, counts twice or not at all without the event in the item."""
    with pytest.raises(FaultFound, match="crash_"):
        exhaust(world, lambda: count(BATCH), counted(3), kinds=CRASHES, recover=nothing)


@pytest.mark.parametrize(
    "count, fault",
    [
        (blind_add, Fault.TIMEOUT_AFTER),
        (versioned_count, Fault.TIMEOUT_AFTER),
        (read_modify_write, Fault.LOST),
        (blind_add, Fault.SERVER_ERROR_AFTER),
    ],
)
def test_timeout_after_commit_catches(world: World, count: Count, fault: Fault) -> None:
    """A write whose answer is lost counts twice when the SDK, or the caller, sends it again."""
    with pytest.raises(FaultFound, match=fault):
        exhaust(world, lambda: count(BATCH), counted(3), kinds=[fault], recover=nothing)


def test_interleaving_catches_lost_update(world: World) -> None:
    """Two workers with different batches lose an update between read and write; the order found plays again."""
    workers = {"a": lambda: read_modify_write(BATCH), "b": lambda: read_modify_write(OTHER)}
    with pytest.raises(FaultFound) as caught:
        explore(world, workers, counted(5))
    schedule = str(caught.value).partition("schedule: ")[2].partition("\n")[0]
    with pytest.raises(FaultFound):
        replay(world, workers, counted(5), schedule)
    replay(world, workers, counted(5), "a a b b")


@pytest.mark.parametrize("count", NAIVE)
def test_interleaving_catches_double_delivery(world: World, count: Count) -> None:
    """Two workers that got the same batch at the same time count it twice."""
    with pytest.raises(FaultFound):
        explore(world, {"a": lambda: count(BATCH), "b": lambda: count(BATCH)}, counted(3))


@pytest.mark.parametrize("count", NAIVE)
def test_duplicated_stream_batches_catch(world: World, count: Count) -> None:
    """Stream batches that come again are counted again."""
    with pytest.raises(FaultFound):
        sweep(world, lambda: stream(world, count), counted(5), rates=0.0, seeds=range(3), recover=nothing)


@pytest.mark.parametrize("count", NAIVE)
def test_duplicated_messages_catch(world: World, count: Count) -> None:
    """Queue messages that come again are counted again."""
    with pytest.raises(FaultFound):
        sweep(world, lambda: queue(world, count), counted(5), rates=0.0, seeds=range(3), recover=nothing)


def stream(world: World, count: Count) -> None:
    """Write events to a table, and count them from its stream, delivered badly."""
    for event in BATCH + OTHER:
        client().put_item(TableName="Source", Item={"pk": {"S": event}, "sk": {"S": "-"}})

    def handle(event: dict[str, Any], _: object) -> None:
        count([record["dynamodb"]["NewImage"]["pk"]["S"] for record in event["Records"]])

    delivery = Delivery(seed=1, batch=(1, 3), duplicate=0.5, reorder=0.5, shards=2)
    StreamSource(world, "Source", delivery).drain(handle)


def queue(world: World, count: Count) -> None:
    """Count events from messages, delivered badly; the handler says which messages failed."""
    source = QueueSource(world, "Q", Delivery(seed=1, batch=(1, 2), duplicate=0.5, reorder=0.5))
    source.put(json.dumps(BATCH), json.dumps(OTHER))

    def handle(event: dict[str, Any], _: object) -> dict[str, Any]:
        failed = []
        for record in event["Records"]:
            try:
                count(json.loads(record["body"]))
            except Exception:  # noqa: BLE001
                failed.append({"itemIdentifier": record["messageId"]})
        return {"batchItemFailures": failed}

    source.drain(handle)


def test_correct_counter_stands_every_single_fault(world: World) -> None:
    """The bucket counts each event once whatever strikes whichever call, and whatever strikes the re-run as well."""
    report = exhaust(world, lambda: bucket(BATCH), counted(3), kinds=ALL, depth=2)
    assert report.clean_calls == 2
    assert report.cases > 200


def test_correct_counter_stands_all_interleavings(world: World) -> None:
    """The bucket counts each event once in every order of three workers' calls, two of them with the same batch."""
    workers = {"a": lambda: bucket(BATCH), "b": lambda: bucket(OTHER), "c": lambda: bucket(BATCH)}
    found = explore(world, workers, counted(5))
    assert found.complete
    assert found.schedules > 50


def test_correct_counter_stands_crashes_within_interleavings(world: World) -> None:
    """The bucket counts each event once in every order of two workers of which one crashes at any of its calls."""
    for place in (1, 2):
        for fault in (*CRASHES, Fault.TIMEOUT_AFTER, Fault.LOST):
            found = explore(
                world,
                {"a": lambda: bucket(BATCH), "b": lambda: bucket(OTHER)},
                counted(5),
                faults=lambda place=place, fault=fault: Faults.parse(f"a#{place}={fault}"),  # type: ignore[misc]
            )
            assert found.complete


def test_correct_counter_stands_seeds(world: World) -> None:
    """The bucket counts each event once under random faults, orders, and bad deliveries from stream and queue."""
    two = {"a": lambda: bucket(BATCH), "b": lambda: bucket(OTHER)}
    race_seeds(world, two, counted(5), seeds=range(60), rates=0.03)
    for work in (lambda: stream(world, bucket), lambda: queue(world, bucket)):
        report = sweep(world, work, counted(5), seeds=range(40), rates=0.01, budget=6)
        assert len(report.faults) > 8
