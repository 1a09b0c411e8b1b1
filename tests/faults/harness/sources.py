"""Lambda's event sources, at least once: batches of stream records and of queue messages, from a seed.

Records come from the writes to the table in commit order, messages from what was sent. Make a source after the state
of the world is set (``world.restore`` does not reset its place), that is inside the work or the recovery.
"""

from __future__ import annotations

import copy
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from .clock import REGION
from .errors import HarnessError
from .faults import Faults
from .patterns import matches
from .sqs import Message, md5
from .world import Outcome, Worker, World

type Event = dict[str, Any]
type Handler = Callable[[Event, LambdaContext], object]


@dataclass(frozen=True)
class LambdaContext:
    """The context that a handler gets."""

    function_name: str = "harness"
    function_version: str = "$LATEST"
    memory_limit_in_mb: int = 512
    invoked_function_arn: str = f"arn:aws:lambda:{REGION}:000000000000:function:harness"
    aws_request_id: str = "00000000-0000-0000-0000-000000000000"
    log_group_name: str = "/aws/lambda/harness"
    log_stream_name: str = "harness"
    remaining_milliseconds: int = 30_000

    def get_remaining_time_in_millis(self) -> int:
        """Return the time left, which never runs out here."""
        return self.remaining_milliseconds


@dataclass(frozen=True)
class Delivery:
    """How a source delivers.

    ``batch``: least and most records a batch. ``duplicate``: the chance that something delivered comes again.
    ``reorder``: the chance that a batch is shuffled; a real stream keeps the order of one item, so this asks for
    more than Lambda does. ``partial``: whether ``batchItemFailures`` is heeded (``ReportBatchItemFailures``).
    ``shards``: records are spread over so many by partition key, each in order. ``from_now``: leave out what was there
    before the source was made (else it begins with the first record ever). ``bisect``: a failing batch is halved.
    ``hidden_seconds``: how long a message that failed stays hidden from its consumers: the queue's visibility timeout.
    ``attempts``: how often a batch or message may fail; after that it is put into ``dead`` if ``dead_letters``,
    else the test fails.
    """

    seed: int = 0
    batch: tuple[int, int] = (1, 10)
    duplicate: float = 0.0
    reorder: float = 0.0
    partial: bool = True
    shards: int = 1
    from_now: bool = False
    bisect: bool = False
    attempts: int = 60
    dead_letters: bool = False
    hidden_seconds: float = 0.0

    def dice(self, name: str) -> Random:
        """Return the dice of one source."""
        return Random(f"delivery/{self.seed}/{name}")  # noqa: S311


def failures(value: object) -> list[str] | None:
    """Return the identifiers in ``batchItemFailures``; None where Lambda takes the answer as the whole batch failed."""
    if value is None:
        return []
    if not isinstance(value, dict):
        return None
    named: list[str] = []
    for one in value.get("batchItemFailures") or []:
        name = one.get("itemIdentifier") if isinstance(one, dict) else None
        if not isinstance(name, str) or not name:
            return None
        named.append(name)
    return named


class _Source:
    def __init__(self, world: World, name: str, delivery: Delivery, faults: Faults | None) -> None:
        self.world = world
        self.name = name
        self.delivery = delivery
        self.dice = delivery.dice(name)
        self.batches: list[list[str]] = []
        self._worker: Worker = world.worker(name, faults)

    def invoke(self, handler: Handler, records: list[Event]) -> Outcome:
        """Call the handler with a batch; it cannot change what is delivered the next time."""
        event = {"Records": copy.deepcopy(records)}
        worker = self.world.current() or self._worker
        return worker.run(lambda: handler(event, LambdaContext()))

    def size(self) -> int:
        return self.dice.randint(*self.delivery.batch)

    def shuffled(self, records: list[Event]) -> list[Event]:
        if self.delivery.reorder and self.dice.random() < self.delivery.reorder:
            return self.dice.sample(records, len(records))
        return records


@dataclass
class _Shard:
    records: list[Event] = field(default_factory=list)
    at: int = 0
    failed: int = 0
    most: int | None = None


class StreamSource(_Source):
    """Delivers a table's stream to a handler.

    ``only``: the patterns of the source's filter, of which a record must match one; what does not match is left out.
    """

    def __init__(
        self,
        world: World,
        table: str,
        delivery: Delivery | None = None,
        faults: Faults | None = None,
        only: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        super().__init__(world, f"stream:{table}", delivery or Delivery(), faults)
        self.table = table
        self.only = only
        self.dead: list[Event] = []
        self.shards = [_Shard() for _ in range(self.delivery.shards)]
        if world.dynamodb.table(table).view is None:
            raise HarnessError(f"{table} has no stream")
        self._read = len(world.dynamodb.table(table).stream) if self.delivery.from_now else 0

    def drain(self, handler: Handler) -> None:
        """Deliver until everything was taken, including what the handler itself writes to the table."""
        while waiting := self._waiting():
            self._deliver(handler, self.dice.choice(waiting))

    def step(self, handler: Handler) -> bool:
        """Deliver one batch; return False where nothing waits."""
        waiting = self._waiting()
        if waiting:
            self._deliver(handler, self.dice.choice(waiting))
        return bool(waiting)

    def again(self) -> None:
        """Go back to the beginning of the stream: everything will be delivered again."""
        for shard in self.shards:
            shard.at = 0

    def _waiting(self) -> list[_Shard]:
        stream = self.world.dynamodb.table(self.table).stream
        if len(stream) < self._read:
            raise HarnessError("the world was restored under a stream source: make the source inside the work")
        for record in stream[self._read :]:
            if self.only and not any(matches(pattern, record) for pattern in self.only):
                continue
            key = repr(next(iter(record["dynamodb"]["Keys"].values())))
            self.shards[zlib.crc32(key.encode()) % len(self.shards)].records.append(record)
        self._read = len(stream)
        return [shard for shard in self.shards if shard.at < len(shard.records)]

    def _deliver(self, handler: Handler, shard: _Shard) -> None:
        start = shard.at
        if self.delivery.duplicate and start and self.dice.random() < self.delivery.duplicate:
            start -= self.dice.randint(1, min(start, self.delivery.batch[1]))
        stop = start + self.size() if shard.most is None else start + shard.most
        batch = shard.records[start : min(stop, len(shard.records))]
        numbers = [record["dynamodb"]["SequenceNumber"] for record in batch]
        self.batches.append(numbers)
        outcome = self.invoke(handler, self.shuffled(batch))
        named = failures(outcome.value) if outcome.ok and self.delivery.partial else []
        if outcome.ok and named == []:
            shard.at = max(shard.at, start + len(batch))
            shard.failed, shard.most = 0, None
            return
        if outcome.ok and named and set(named) <= set(numbers):
            place = start + min(numbers.index(name) for name in named)
            shard.failed = 0 if place > shard.at else shard.failed + 1
            shard.at = place
        else:
            shard.failed += 1
            shard.at = start
            if self.delivery.bisect and len(batch) > 1:
                shard.most = max(1, len(batch) // 2)
        if shard.failed >= self.delivery.attempts:
            self._bury(shard, batch, outcome)

    def _bury(self, shard: _Shard, batch: list[Event], outcome: Outcome) -> None:
        if not self.delivery.dead_letters:
            message = f"{self.name}: a batch failed {shard.failed} times: {outcome}"
            raise self.world.found(message, self._worker.faults) from outcome.error
        end = next(place for place, one in enumerate(shard.records) if one is batch[-1]) + 1
        self.dead += shard.records[shard.at : end]
        shard.at, shard.failed, shard.most = end, 0, None


@dataclass
class _Waiting:
    message: Message
    receives: int = 0
    failed: int = 0
    hidden_until: float = 0.0


class QueueSource(_Source):
    """Delivers a queue's messages to a handler; what fails comes again, what succeeded may come again."""

    def __init__(
        self, world: World, queue: str, delivery: Delivery | None = None, faults: Faults | None = None
    ) -> None:
        super().__init__(world, f"queue:{queue}", delivery or Delivery(), faults)
        self.queue = queue
        self.dead: list[Message] = []
        self._read = len(world.sqs.queues[queue]) if self.delivery.from_now else 0
        self._pending: list[_Waiting] = []

    def put(self, *bodies: str) -> None:
        """Send messages, without faults."""
        for body in bodies:
            self.world.sqs.send(self.queue, {"MessageBody": body})

    def drain(self, handler: Handler) -> None:
        """Deliver until the queue is empty, including what the handler itself sends to it."""
        while self.step(handler):
            pass

    def step(self, handler: Handler) -> bool:
        """Deliver one batch; return False where nothing waits."""
        sent = self.world.sqs.queues[self.queue]
        if len(sent) < self._read:
            raise HarnessError("the world was restored under a queue source: make the source inside the work")
        self._pending += [_Waiting(message) for message in sent[self._read :]]
        self._read = len(sent)
        if self._pending:
            self._deliver(handler)
        return bool(self._pending) or len(sent) > self._read

    def _deliver(self, handler: Handler) -> None:
        waiting = self._visible()
        count = min(self.size(), len(waiting))
        mixed = self.delivery.reorder and self.dice.random() < self.delivery.reorder
        chosen = self.dice.sample(waiting, count) if mixed else waiting[:count]
        for one in chosen:
            one.receives += 1
        self.batches.append([one.message.message_id for one in chosen])
        outcome = self.invoke(handler, [self._record(one) for one in chosen])
        named = failures(outcome.value) if outcome.ok and self.delivery.partial else []
        known = {one.message.message_id for one in chosen}
        if not outcome.ok or named is None or not set(named) <= known:
            named = sorted(known)
        for one in chosen:
            self._settle(one, outcome, failed=one.message.message_id in named)

    def _visible(self) -> list[_Waiting]:
        """What may be taken now; where everything is hidden, time passes until something is not."""
        clock = self.world.clock
        clock.elapsed = max(clock.elapsed, min(one.hidden_until for one in self._pending))
        return [one for one in self._pending if one.hidden_until <= clock.elapsed]

    def _settle(self, one: _Waiting, outcome: Outcome, *, failed: bool) -> None:
        if not failed:
            again = self.delivery.duplicate and self.dice.random() < self.delivery.duplicate
            if not again:
                self._pending.remove(one)
            return
        one.failed += 1
        one.hidden_until = self.world.clock.elapsed + self.delivery.hidden_seconds
        if one.failed >= self.delivery.attempts:
            self._pending.remove(one)
            if not self.delivery.dead_letters:
                message = f"{self.name}: a message failed {one.failed} times: {outcome}"
                raise self.world.found(message, self._worker.faults) from outcome.error
            self.dead.append(one.message)

    def _record(self, one: _Waiting) -> Event:
        message = one.message
        sent = str(int(message.sent_at * 1000))
        return {
            "messageId": message.message_id,
            "receiptHandle": f"{message.message_id}/{one.receives}",
            "body": message.body,
            "attributes": {
                "ApproximateReceiveCount": str(one.receives),
                "SentTimestamp": sent,
                "SenderId": "harness",
                "ApproximateFirstReceiveTimestamp": sent,
            },
            "messageAttributes": message.attributes,
            "md5OfBody": md5(message.body),
            "eventSource": "aws:sqs",
            "eventSourceARN": f"arn:aws:sqs:{REGION}:000000000000:{self.queue}",
            "awsRegion": REGION,
        }
