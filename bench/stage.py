"""Plays pieces of work on the product's handlers and takes down what they use: the units that AWS charges.

A piece of work is played twice or more: once with every call counted, then with the same events and nobody listening,
for the CPU. That is the handler with the AWS client and its sockets, without TLS.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from statistics import median
from time import process_time
from typing import Any

from aws_platform import clients
from bench.capacity import Item
from bench.prepaid import handler_of
from bench.scene import Scene, Scenes

HTTP_UNIT_BYTES = 512 * 1024
"""A request to the API is counted once for each of these."""
FIREHOSE_UNIT_BYTES = 5 * 1024
"""A record of Firehose is rounded up to a multiple of this."""
LOG_LINE_BYTES = 26
"""What CloudWatch Logs adds to each line."""
_OTHERS = ("sqs", "events", "sesv2", "s3")

type Units = dict[str, float]


@dataclass(slots=True)
class Use:
    """What the invocations of one function used."""

    invocations: int = 0
    cpu_ms: float = 0.0
    """Of one invocation of a warm process."""
    calls: Counter[str] = field(default_factory=Counter)
    """AWS calls by operation."""
    units: Units = field(default_factory=dict)
    write_units: Units = field(default_factory=dict)
    """By table and global index, by logical id."""
    read_units: Units = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of work."""

    name: str
    per: int
    """How many calls, accounts or requests it is."""
    prepare: Callable[[Scene], None]
    """Brings tables to where the work begins; not counted."""
    play: Callable[[Stage], None]
    at_once: int = 1
    """How many AWS calls the functions make side by side."""


@dataclass(slots=True)
class Stage:
    """Where a piece of work is played with everything counted."""

    scene: Scene
    uses: dict[str, Use] = field(default_factory=dict)
    script: list[tuple[str, Any, datetime]] = field(default_factory=list)
    sent: dict[str, list[Any]] = field(default_factory=lambda: defaultdict(list))
    """The parameters of what was sent to other services, by operation."""
    _playing: str = ""

    def invoke(self, function: str, event: Any) -> Any:
        """Call a function of the template as its trigger does."""
        self.script.append((function, event, self.scene.now))
        use = self.uses.setdefault(function, Use())
        use.invocations += 1
        self._add(function, incoming(event))
        self._playing = function
        with self.scene.labelled(function), _printed() as printed:
            answer = handler_of(function)(event, None)
        self._playing = ""
        self._add(function, {"log_bytes": sum(len(line) + LOG_LINE_BYTES for line in printed)})
        if answer and answer.get("statusCode", 200) not in {200, 201, 202}:
            message = f"{function} answered {answer}"
            raise RuntimeError(message)
        if answer and answer.get("batchItemFailures"):
            message = f"{function} failed for {answer}: {printed[-2:]}"
            raise RuntimeError(message)
        return answer

    def also(self, function: str, units: Units) -> None:
        """Count what AWS does by itself for a function."""
        self._add(function, units)

    def listen(self) -> None:
        """Count what goes to the services that have no tap of their own."""
        for service in _OTHERS:
            client = getattr(clients, service)()
            self.scene.tap.attach(client)
            client.meta.events.register(f"provide-client-params.{service}.*", self._outgoing)
        clients.firehose().meta.events.register("provide-client-params.firehose.*", self._outgoing)

    def stored(self, before: Mapping[tuple[str, ...], Item | None]) -> int:
        """Bytes by which the tables have grown since: without live totals, which expire."""
        tables, live = self.scene.tap.tables, self.scene.names["LiveTable"]

        def size(images: Mapping[tuple[str, ...], Item | None]) -> int:
            return sum(tables[key[0]].stored(item) for key, item in images.items() if item and key[0] != live)

        return size(self.scene.tap.images()) - size(before)

    def finish(self) -> dict[str, Use]:
        """What every function used."""
        for function, use in self.uses.items():
            total = self.scene.tap.total(function)
            self._add(function, {"write_units": total.write, "read_units": total.read})
            use.calls = self.scene.tap.operations(function)
            use.write_units = self._by_logical_id(self.scene.tap.writes(function))
            use.read_units = self._by_logical_id(self.scene.tap.reads(function))
        return self.uses

    def _by_logical_id(self, units: Mapping[str, float]) -> Units:
        ids = {name: logical_id for logical_id, name in self.scene.names.items()}
        parts = ((bearer.partition("/"), amount) for bearer, amount in units.items() if amount)
        return {f"{ids[table]}{slash}{index}": amount for (table, slash, index), amount in parts}

    def _outgoing(self, params: Mapping[str, Any], model: Any, **_: Any) -> None:
        if not self._playing:
            return
        self.sent[model.name].append(params)
        self._add(self._playing, outgoing(model.name, params))

    def _add(self, function: str, units: Mapping[str, float]) -> None:
        own = self.uses[function].units
        for name, amount in units.items():
            if amount:
                own[name] = own.get(name, 0) + amount


def incoming(event: Any) -> Units:
    """What a trigger costs. Streams, schedules and the answers of an invocation cost nothing of their own."""
    if "requestContext" in event:
        return {"http_requests": -(-max(1, len(event.get("body") or "")) // HTTP_UNIT_BYTES)}
    if "messageId" in (event.get("Records") or [{}])[0]:
        # The batch is received and deleted.
        return {"sqs_requests": 2}
    return {}


def outgoing(operation: str, params: Mapping[str, Any]) -> Units:
    """What a call to a service without a tap costs. Raises ValueError for one that is not priced."""
    match operation:
        case "PutRecordBatch":
            sizes = [len(record["Data"]) + 1 for record in params["Records"]]
            rounded = sum(-(-size // FIREHOSE_UNIT_BYTES) * FIREHOSE_UNIT_BYTES for size in sizes)
            return {"firehose_bytes": rounded, "archive_bytes": sum(sizes)}
        case "SendMessage" | "SendMessageBatch":
            return {"sqs_requests": 1}
        case "PutEvents":
            return {"bus_events": len(params["Entries"])}
        case "SendEmail":
            return {"emails": 1}
        case "PutObject" | "ListObjectsV2":
            return {"s3_writes": 1}
        case "GetObject":
            return {"s3_reads": 1}
    message = f"no cost is known for {operation}"
    raise ValueError(message)


@contextmanager
def _printed() -> Iterator[list[bytes]]:
    """The lines that are written to standard output inside: a function's log."""
    lines: list[bytes] = []
    with tempfile.TemporaryFile() as taken:
        before = os.dup(1)
        os.dup2(taken.fileno(), 1)
        try:
            yield lines
        finally:
            os.dup2(before, 1)
            os.close(before)
        taken.seek(0)
        lines += taken.read().splitlines()


def measured(scenes: Scenes, piece: Piece, rounds: int) -> tuple[dict[str, Use], int]:
    """What a piece of work uses, by function, and the bytes that it leaves in the tables; CPU 0 in no round."""
    with scenes.fresh() as scene:
        stage = Stage(scene)
        stage.listen()
        piece.prepare(scene)
        before = scene.tap.images()
        piece.play(stage)
        uses, stored = stage.finish(), stage.stored(before)
    spent = [_cpu(scenes, piece, stage) for _ in range(rounds)]
    for function, use in uses.items():
        use.cpu_ms = min((found[function] for found in spent), default=0.0)
    return uses, stored


def _cpu(scenes: Scenes, piece: Piece, stage: Stage) -> dict[str, float]:
    """CPU of an invocation by function, in milliseconds, with the same events."""
    spent: dict[str, list[float]] = defaultdict(list)
    with scenes.fresh() as scene, _printed():
        piece.prepare(scene)
        scene.tap.listening = False
        for function, event, now in stage.script:
            scene.now = now
            began = process_time()
            handler_of(function)(event, None)
            spent[function].append((process_time() - began) * 1e3)
    return {function: median(times) for function, times in spent.items()}


def queue_event(bodies: list[Any]) -> dict[str, Any]:
    """Messages of a queue as a function gets them."""
    attributes = {"ApproximateReceiveCount": "1"}
    return {
        "Records": [
            {"messageId": str(number), "body": json.dumps(body), "attributes": attributes}
            for number, body in enumerate(bodies)
        ]
    }
