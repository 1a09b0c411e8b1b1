"""What the plan of a run costs per account: a thousand accounts measured, a hundred thousand on a model of the index.

The model answers the planner's own queries, with pages of 1 MB as DynamoDB has them; at a thousand accounts it must
give exactly the calls and read units that were measured.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from threading import Lock
from time import process_time
from typing import Any
from unittest import mock

from aws_platform import clients, clock
from aws_platform.keys import SHARDS
from aws_platform.queues import queue_messages
from bench import canned, traffic
from bench.capacity import PAGE_BYTES, Item, Table, item_bytes, read_units
from bench.figures import Figure, Section
from bench.scene import ARCHIVE_STREAM, OPENED_AT, Scene, Scenes, environment, forgotten
from ingest import handler
from settlement import plan

MEASURED, COMPUTED = 1_000, 100_000
_ROUNDS = 5
_DAY = OPENED_AT + timedelta(days=30)
_NOW = (_DAY + timedelta(days=1)).replace(hour=8, minute=0, second=1)


@dataclass(frozen=True, slots=True)
class Cost:
    """What a plan cost."""

    accounts: int
    operations: Mapping[str, int]
    read: float

    @property
    def calls(self) -> float:
        """AWS calls per account."""
        return sum(self.operations.values()) / self.accounts

    @property
    def read_units(self) -> float:
        """Read units per account."""
        return self.read / self.accounts


def day_items(accounts: int) -> list[Item]:
    """The day items that the ingest function puts when so many accounts report one event each."""
    items: list[Item] = []
    lock = Lock()

    def answer(operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        if operation == "PutItem" and "due_pk" in parameters["Item"]:
            with lock:
                items.append(parameters["Item"])
        if operation == "BatchGetItem":
            return canned.open_accounts(parameters)
        return canned.TAKEN if operation == "PutRecordBatch" else {}

    client = canned.Instant(answer)
    with (
        mock.patch.dict(os.environ, {"ARCHIVE_STREAM": ARCHIVE_STREAM, "DUE_SHARDS": str(SHARDS)}),
        mock.patch.multiple(clients, dynamodb=lambda: client, dynamodb_once=lambda: client, firehose=lambda: client),
        mock.patch.multiple(clock, now=lambda _settings, _dynamodb: _DAY),
    ):
        handler.meter.cache_clear()
        for batch in traffic.batches(
            traffic.calls(accounts, _DAY, timedelta(0), mixed=False, accounts=accounts), 1_000
        ):
            handler.handle(traffic.request(batch.body()), None)
    handler.meter.cache_clear()
    return items


@dataclass(slots=True)
class Index:
    """The due-index of the usage table in memory; all other indexes are empty."""

    table: Table
    entries: dict[str, list[dict[str, Any]]]
    operations: Counter[str] = field(default_factory=Counter)
    read: float = 0.0
    _lock: Lock = field(default_factory=Lock)

    @classmethod
    def of(cls, table: Table, items: Sequence[Item]) -> Index:
        """What the index holds of these items."""
        (index,) = table.indexes
        entries: dict[str, list[dict[str, Any]]] = {}
        for item in items:
            entry = index.entry(table.keys, item)
            if entry is not None:
                entries.setdefault(entry["due_pk"]["S"], []).append(entry)
        for shard in entries.values():
            shard.sort(key=lambda entry: str(entry["due_sk"]["S"]))
        return cls(table, entries)

    def answer(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Answer a query of the planner, or take messages."""
        with self._lock:
            self.operations[operation] += 1
            if operation == "SendMessageBatch":
                return {}
            if operation != "Query":
                message = f"the planner makes a call that the model does not know: {operation}"
                raise ValueError(message)
            return self._query(parameters)

    def _query(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        values = parameters["ExpressionAttributeValues"]
        shard = self.entries.get(values[":pk"]["S"], []) if parameters["TableName"] == self.table.name else []
        first = parameters.get("ExclusiveStartKey", {}).get("position", 0)
        page: list[dict[str, Any]] = []
        size = 0
        for entry in shard[first:]:
            if entry["due_sk"]["S"] < values[":first"]["S"]:
                first += 1
                continue
            if entry["due_sk"]["S"] >= values[":after"]["S"]:
                break
            if page and size + item_bytes(entry) > PAGE_BYTES:
                self.read += read_units(size, consistent=False)
                return {"Items": page, "LastEvaluatedKey": {"position": first + len(page)}}
            page.append(entry)
            size += item_bytes(entry)
        self.read += read_units(size, consistent=False)
        return {"Items": page}


def on_the_model(table: Table, accounts: int) -> Cost:
    """Plan for so many accounts on the model."""
    with _environment():
        index = Index.of(table, day_items(accounts))
        client = canned.Instant(index.answer)
        with (
            mock.patch.dict(os.environ, {"USAGE_TABLE": table.name}),
            mock.patch.multiple(clients, dynamodb=lambda: client, sqs=lambda: client),
        ):
            _plan(accounts)
    return Cost(accounts, index.operations, index.read)


def measured(scene: Scene, queue_url: str, accounts: int) -> Cost:
    """Plan for so many accounts in the embedded cloud."""
    with mock.patch.dict(os.environ, {"SETTLEMENT_QUEUE_URL": queue_url}):
        scene.put_all(scene.names["UsageTable"], day_items(accounts))
        scene.now = _NOW
        scene.tap.attach(clients.sqs())
        with scene.labelled("plan"):
            _plan(accounts)
    return Cost(accounts, scene.tap.operations("plan"), scene.tap.total("plan").read)


def sending() -> float:
    """CPU of sending a thousand messages through the AWS client, in milliseconds: the best of several."""
    best = float("inf")
    with _environment():
        sqs = clients.sqs()
        canned.without_network(sqs, lambda _: b'{"Successful":[]}')
        for _ in range(_ROUNDS):
            began = process_time()
            queue_messages(sqs, canned.NOWHERE, ({"account_id": traffic.account(one)} for one in range(1_000)))
            best = min(best, process_time() - began)
    return best * 1e3


def _plan(accounts: int) -> None:
    answer = plan.handle({"task": "plan"}, None)
    if answer["queued"] != accounts:
        message = f"of {accounts} accounts {answer['queued']} were queued"
        raise RuntimeError(message)


@contextmanager
def _environment() -> Iterator[None]:
    with (
        mock.patch.dict(os.environ, environment(canned.NOWHERE)),
        mock.patch.multiple(clock, now=lambda _settings, _dynamodb: _NOW),
        forgotten(),
    ):
        yield


def measure(scenes: Scenes) -> Section:
    """Calls and read units per account at both numbers of accounts. Raises RuntimeError where the model is wrong."""
    queue_url = scenes.emulator.client("sqs").create_queue(QueueName="plan")["QueueUrl"]
    with scenes.fresh() as scene:
        small = measured(scene, queue_url, MEASURED)
        table = scene.tap.tables[scene.names["UsageTable"]]
    if on_the_model(table, MEASURED) != small:
        message = f"the model gives {on_the_model(table, MEASURED)}, and measured is {small}"
        raise RuntimeError(message)
    large = on_the_model(table, COMPUTED)
    figures = []
    for cost, how in ((small, "measured"), (large, "computed")):
        calls = ", ".join(f"{number:,} {name}" for name, number in sorted(cost.operations.items()))
        name = f"{cost.accounts:,} accounts, {how}"
        figures.append(Figure(f"{name}: AWS calls per account", cost.calls, digits=4, note=calls))
        figures.append(Figure(f"{name}: read units per account", cost.read_units, digits=4, note=f"{cost.read:,.1f}"))
    figures.append(Figure("CPU of sending 1,000 messages", sending(), "ms", digits=0, note="without sockets and TLS"))
    calls_ratio, units_ratio = large.calls / small.calls, large.read_units / small.read_units
    figures.append(Figure(f"calls per account, {COMPUTED:,} to {MEASURED:,}", calls_ratio, "x", 1.0))
    figures.append(Figure(f"read units per account, {COMPUTED:,} to {MEASURED:,}", units_ratio, "x", 1.0))
    return Section("Planning a run", figures, ("Settling an account reads and writes keys of its own alone.",))
