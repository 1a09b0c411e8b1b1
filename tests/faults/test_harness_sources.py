"""Streams and queues deliver as Lambda does: in Lambda's shape, at least once, with partial failures."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tests.faults.harness import (
    Delivery,
    Fault,
    FaultFound,
    Faults,
    HarnessError,
    QueueSource,
    StreamSource,
    World,
)


@pytest.fixture
def world() -> Iterator[World]:
    """Give a world with two tables and a queue."""
    with World() as entered:
        entered.create_table("T", stream="NEW_IMAGE")
        entered.create_table("Plain")
        entered.create_queue("Q")
        yield entered


def write(world: World, count: int, *, items: int = 3) -> None:
    """Write so many versions of a few items."""
    for number in range(count):
        key = {"pk": {"S": f"p{number % items}"}, "sk": {"S": "1"}}
        world.client("dynamodb").put_item(TableName="T", Item={**key, "n": {"N": str(number)}, "b": {"B": b"\xff"}})


def numbers(event: dict[str, Any]) -> list[int]:
    """Return which writes an event carries."""
    return [int(record["dynamodb"]["NewImage"]["n"]["N"]) for record in event["Records"]]


def test_stream_delivers_in_order(world: World) -> None:
    """A plain stream delivers every record once, in order, in batches of the sizes asked for."""
    write(world, 20)
    seen: list[int] = []
    source = StreamSource(world, "T", Delivery(seed=3, batch=(2, 5)))
    source.drain(lambda event, _: seen.extend(numbers(event)))
    assert seen == list(range(20))
    assert {len(batch) for batch in source.batches[:-1]} <= {2, 3, 4, 5}
    assert len(source.batches) > 4


def test_stream_event_shape(world: World) -> None:
    """A record has the fields of a real stream event, and changing it does not change the next delivery."""
    write(world, 1)
    source = StreamSource(world, "T")
    shapes: list[dict[str, Any]] = []

    def handle(event: dict[str, Any], context: Any) -> None:
        (record,) = event["Records"]
        shapes.append(json.loads(json.dumps(record)))
        record["dynamodb"].clear()
        assert context.get_remaining_time_in_millis() > 0

    source.drain(handle)
    source.again()
    source.drain(handle)
    assert shapes[0] == shapes[1]
    assert base64.b64decode(shapes[0]["dynamodb"]["NewImage"]["b"]["B"]) == b"\xff"
    assert set(shapes[0]) == {
        "eventID", "eventName", "eventVersion", "eventSource", "awsRegion", "dynamodb", "eventSourceARN"
    }  # fmt: skip


def test_stream_duplicates_and_reorders_from_a_seed(world: World) -> None:
    """Duplicates and shuffled batches still deliver every record, and the same seed the same batches."""
    write(world, 30)
    delivery = Delivery(seed=4, batch=(1, 4), duplicate=0.4, reorder=0.4, shards=3)
    seen: list[list[list[int]]] = []
    for _ in range(2):
        batches: list[list[int]] = []
        StreamSource(world, "T", delivery).drain(lambda event, _, to=batches: to.append(numbers(event)))  # type: ignore[misc]
        seen.append(batches)
    assert seen[0] == seen[1]
    counts = Counter(number for batch in seen[0] for number in batch)
    assert set(counts) == set(range(30))
    assert max(counts.values()) > 1
    assert any(batch != sorted(batch) for batch in seen[0])


def test_shards_keep_the_order_of_an_item(world: World) -> None:
    """Records of one partition stay in order however many shards there are, and shards take turns."""
    write(world, 30, items=6)
    seen: list[int] = []
    StreamSource(world, "T", Delivery(seed=1, batch=(1, 3), shards=3)).drain(
        lambda event, _: seen.extend(numbers(event))
    )
    assert seen != sorted(seen)
    for item in range(6):
        mine = [number for number in seen if number % 6 == item]
        assert mine == sorted(mine)


def test_failed_stream_batch_comes_again_whole(world: World) -> None:
    """After an error or a crash the whole batch is delivered again, before anything behind it."""
    write(world, 6)
    seen: list[list[int]] = []

    def handle(event: dict[str, Any], _: object) -> None:
        seen.append(numbers(event))
        if len(seen) == 2:
            raise TimeoutError
        world.client("dynamodb").get_item(TableName="Plain", Key={"pk": {"S": "a"}, "sk": {"S": "1"}})

    source = StreamSource(world, "T", Delivery(batch=(2, 2)), Faults.parse("stream:T#1=crash_after"))
    source.drain(handle)
    assert seen == [[0, 1], [0, 1], [0, 1], [2, 3], [4, 5]]


def test_stream_checkpoint_at_the_lowest_failure(world: World) -> None:
    """With partial answers the stream goes on from the lowest failed number; an unknown one fails the whole batch."""
    write(world, 6)
    seen: list[list[int]] = []

    def handle(event: dict[str, Any], _: object) -> dict[str, Any]:
        seen.append(numbers(event))
        ids = [record["dynamodb"]["SequenceNumber"] for record in event["Records"]]
        failed = {1: [ids[3], ids[2]], 2: ["unknown"], 3: [""]}.get(len(seen), [])
        return {"batchItemFailures": [{"itemIdentifier": one} for one in failed]}

    StreamSource(world, "T", Delivery(batch=(4, 4))).drain(handle)
    assert seen == [[0, 1, 2, 3], [2, 3, 4, 5], [2, 3, 4, 5], [2, 3, 4, 5]]


def test_stream_gives_up(world: World) -> None:
    """A batch that always fails ends the test, or is put aside (halved first, if asked) where that is configured."""
    write(world, 4)

    def handle(event: dict[str, Any], _: object) -> None:
        if 2 in numbers(event):
            raise TimeoutError

    with pytest.raises(FaultFound, match="failed 3 times"):
        StreamSource(world, "T", Delivery(batch=(4, 4), attempts=3)).drain(handle)
    source = StreamSource(world, "T", Delivery(batch=(4, 4), attempts=3, dead_letters=True))
    source.drain(handle)
    assert numbers({"Records": source.dead}) == [0, 1, 2, 3]
    source = StreamSource(world, "T", Delivery(batch=(4, 4), attempts=6, dead_letters=True, bisect=True))
    source.drain(handle)
    assert numbers({"Records": source.dead}) == [2]


def test_stream_follows_new_writes(world: World) -> None:
    """What the handler itself writes to the table is delivered too, and a table without a stream is refused."""
    write(world, 1)
    seen: list[int] = []

    def handle(event: dict[str, Any], _: object) -> None:
        seen.extend(numbers(event))
        if len(seen) == 1:
            write(world, 3)

    StreamSource(world, "T").drain(handle)
    assert seen == [0, 1, 2]
    with pytest.raises(HarnessError, match="no stream"):
        StreamSource(world, "Plain")


def test_source_from_now(world: World) -> None:
    """A source can begin with what comes after it was made, or with the first record ever."""
    write(world, 2)
    late = StreamSource(world, "T", Delivery(from_now=True))
    queue = QueueSource(world, "Q")
    queue.put("1")
    late_queue = QueueSource(world, "Q", Delivery(from_now=True))
    late_queue.put("2")
    write(world, 3)
    seen: list[Any] = []
    late.drain(lambda event, _: seen.extend(numbers(event)))
    late_queue.drain(lambda event, _: seen.extend(one["body"] for one in event["Records"]))
    assert seen == [2, "2"]
    queue.drain(lambda event, _: seen.extend(one["body"] for one in event["Records"]))
    assert seen[2:] == ["1", "2"]


def test_source_does_not_outlive_a_restore(world: World) -> None:
    """A source made before the world was set back says so instead of skipping records."""
    start = world.snapshot()
    write(world, 2)
    source = StreamSource(world, "T")
    source.drain(lambda _event, _context: None)
    world.restore(start)
    with pytest.raises(HarnessError, match="restored"):
        source.drain(lambda _event, _context: None)


def test_queue_event_shape(world: World) -> None:
    """A message arrives in Lambda's shape, as it was sent through the client."""
    url = world.create_queue("Q")
    attributes = {"kind": {"DataType": "String", "StringValue": "x"}}
    world.client("sqs").send_message(QueueUrl=url, MessageBody='{"a": 1}', MessageAttributes=attributes)
    records: list[dict[str, Any]] = []
    QueueSource(world, "Q").drain(lambda event, _: records.extend(event["Records"]))
    (record,) = records
    assert json.loads(record["body"]) == {"a": 1}
    assert record["attributes"]["ApproximateReceiveCount"] == "1"
    assert record["eventSource"] == "aws:sqs"
    assert record["messageId"]


def test_queue_partial_failures(world: World) -> None:
    """Only the failed messages come again; a malformed answer, an error or a crash brings all of them back."""
    seen: list[list[str]] = []

    def handle(event: dict[str, Any], _: object) -> Any:
        seen.append([record["body"] for record in event["Records"]])
        world.client("dynamodb").get_item(TableName="Plain", Key={"pk": {"S": "a"}, "sk": {"S": "1"}})
        failed = [record["messageId"] for record in event["Records"] if record["body"] == "2"]
        return {1: None, 2: {"batchItemFailures": [{"itemIdentifier": one} for one in failed]}, 3: "x"}.get(len(seen))

    source = QueueSource(world, "Q", Delivery(batch=(3, 3)), Faults.at({1: Fault.CRASH_BEFORE}))
    source.put("1", "2", "3")
    source.drain(handle)
    assert seen == [["1", "2", "3"], ["1", "2", "3"], ["2"], ["2"]]


def test_queue_duplicates_and_reorders(world: World) -> None:
    """Messages that succeeded may come again, and in another order; in the end the queue is empty."""
    bodies = [str(number) for number in range(20)]
    source = QueueSource(world, "Q", Delivery(seed=2, batch=(1, 4), duplicate=0.4, reorder=0.6))
    source.put(*bodies)
    seen: list[str] = []
    source.drain(lambda event, _: seen.extend(record["body"] for record in event["Records"]))
    assert set(seen) == set(bodies)
    assert len(seen) > 20
    assert [int(body) for body in seen] != sorted(int(body) for body in seen)


def test_queue_dead_letters(world: World) -> None:
    """A message that always fails ends the test, or goes to the dead letters after so many attempts."""

    def handle(event: dict[str, Any], _: object) -> dict[str, Any]:
        failed = [one["messageId"] for one in event["Records"] if one["body"] == "bad"]
        return {"batchItemFailures": [{"itemIdentifier": one} for one in failed]}

    source = QueueSource(world, "Q", Delivery(attempts=3, dead_letters=True))
    source.put("good", "bad", "good")
    source.drain(handle)
    assert [message.body for message in source.dead] == ["bad"]
    with pytest.raises(FaultFound, match="failed 2 times"):
        QueueSource(world, "Q", Delivery(attempts=2)).drain(handle)
