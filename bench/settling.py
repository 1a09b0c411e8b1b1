"""What a run costs: settling one account and day, and planning for a thousand and for a hundred thousand accounts."""

from __future__ import annotations

import gc
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import islice
from time import process_time
from typing import Any
from unittest import mock

from aws_platform import clients, clock, records
from bench import canned, planning, traffic
from bench.capacity import PAGE_BYTES, Item, item_bytes
from bench.figures import Figure, Section
from bench.scene import Scene, Scenes, environment, forgotten
from bench.tap import Total
from ingest import handler as ingest
from local.emulator import Emulator
from settlement import settle

CALLS_TARGET, UNITS_TARGET, MILLISECONDS_TARGET = 6, 30, 3.0
FIRST_DAY = datetime.fromisoformat("2025-03-03T00:00:00+08:00")
"""The first day that is measured; each case has a day of its own."""
DAYS_BEFORE = 50
"""Days with usage that are settled already: all day items that a run can find, and three months of charges."""
_ROUNDS = 20
_SLOT = timedelta(seconds=10)
_SLOTS = 8_640
_REQUEST = 960
"""Events a request at most, whole batches of both sizes."""
_RECORD_BYTES = 75
"""About what a bucket of one event takes."""


@dataclass(frozen=True, slots=True)
class Case:
    """A day's usage: how much, in batches of what size."""

    name: str
    batch: int
    size: int
    """Bytes of all buckets together, at most."""
    targeted: bool
    today: bool = False
    """Whether the account has used something this morning already."""


CASES = (
    Case("1 MB in buckets of 1 KB", 48, PAGE_BYTES, targeted=True),
    Case("1 MB in buckets of one event", 1, PAGE_BYTES, targeted=True),
    Case("100 single events", 1, 7_900, targeted=True),
    Case("4 MB in buckets of 1 KB", 48, 4 * PAGE_BYTES, targeted=False),
    Case("100 single events, and some of today", 1, 7_900, targeted=False, today=True),
)


@dataclass(frozen=True, slots=True)
class Settled:
    """What settling one account and day cost."""

    account_id: str
    now: datetime
    total: Total
    operations: Mapping[str, int]
    answers: list[tuple[str, dict[str, Any]]]


def settle_account(scene: Scene, account_id: str, day: datetime) -> Settled:
    """Settle a day in its morning. Raises RuntimeError where the account is not settled by it."""
    scene.now = day + timedelta(days=1, hours=8, seconds=12)
    label = f"settle {account_id} {day:%F}"
    with scene.labelled(label), recording() as answers:
        _handle(account_id)
    return Settled(account_id, scene.now, scene.tap.total(label), scene.tap.operations(label), answers)


def _handle(account_id: str) -> None:
    message = {"messageId": "1", "body": json.dumps({"account_id": account_id})}
    if settle.handle({"Records": [message]}, None)["batchItemFailures"]:
        text = f"{account_id} was not settled"
        raise RuntimeError(text)


@contextmanager
def recording() -> Iterator[list[tuple[str, dict[str, Any]]]]:
    """What the clients are answered meanwhile, in order."""
    answers: list[tuple[str, dict[str, Any]]] = []
    open_ = [True]

    def record(model: Any, parsed: dict[str, Any], **_: Any) -> None:
        if open_:
            kept = {name: value for name, value in parsed.items() if name != "ConsumedCapacity"}
            answers.append((model.name, kept))

    clients.dynamodb().meta.events.register_last("after-call.dynamodb.*", record)
    yield answers
    open_.clear()


@dataclass(slots=True)
class _Buckets:
    """In place of the client for single writes: keeps buckets to be written at once, and passes on the rest."""

    scene: Scene
    items: list[Item]

    def put_item(self, **put: Any) -> dict[str, Any]:
        """Keep a bucket."""
        if "r" in put["Item"]:
            self.items.append(put["Item"])
        else:
            self.scene.raw.put_item(**put)
            self.scene.tap.know(put["TableName"], put["Item"])
        return {}


def fill(scene: Scene, account_id: str, day: datetime, case: Case) -> list[Item]:
    """Have the ingest function store a day's usage up to a size; gives the buckets. Not counted."""
    taken: list[Item] = []
    made: list[Item] = []
    size = 0
    scene.now = day + timedelta(hours=23, minutes=59)
    requests = _requests(account_id, day, case)
    with mock.patch.multiple(clients, dynamodb_once=lambda: _Buckets(scene, made)):
        meter = scene.process(len(scene.meters))
    with mock.patch.multiple(ingest, meter=lambda: meter):
        while True:
            answer = ingest.handle(traffic.request(next(requests)), None)
            if answer["statusCode"] != 200:  # noqa: PLR2004
                message = f"usage was answered {answer}"
                raise RuntimeError(message)
            for item in made:
                size += item_bytes(item)
                if size > case.size:
                    scene.put_all(scene.names["UsageTable"], taken)
                    return taken
                taken.append(item)
            made.clear()


def _requests(account_id: str, day: datetime, case: Case) -> Iterator[str]:
    """Bodies with a batch of events in each ten seconds of the day; beyond a day's worth, of another source."""
    calls = traffic.calls(10**9, day, timedelta(0), mixed=True)
    place = 0
    number = max(1, min(_REQUEST, case.size // _RECORD_BYTES) // case.batch)
    while True:
        group = []
        for _ in range(number):
            source, slot = divmod(place, _SLOTS)
            place += 1
            group += [
                replace(call, account_id=account_id, at=day + slot * _SLOT, source=f"/faceid/gateway-{source}")
                for call in islice(calls, case.batch)
            ]
        yield traffic.Batch(day, group).body()


def settle_days_before(scene: Scene, account_id: str) -> None:
    """Bring the account to where it would be: a little usage every day, settled every morning. Not counted."""
    for number in range(DAYS_BEFORE, 0, -1):
        day = FIRST_DAY - number * timedelta(days=1)
        fill(scene, account_id, day, Case("", 1, 300, targeted=False))
        settle_account(scene, account_id, day)


def milliseconds(settled: Settled, *, real_clients: bool) -> float:
    """CPU of settling, from recorded answers, in the best of several."""
    best = float("inf")
    with (
        mock.patch.dict(os.environ, environment(canned.NOWHERE)),
        mock.patch.multiple(clock, now=lambda _settings, _dynamodb: settled.now),
        forgotten(),
        _real(settled) if real_clients else _object(settled) as rewind,
    ):
        for _ in range(_ROUNDS):
            rewind()
            gc.collect()
            began = process_time()
            _handle(settled.account_id)
            best = min(best, process_time() - began)
    return best * 1e3


@contextmanager
def _object(settled: Settled) -> Iterator[Callable[[], None]]:
    """The answers from an object; the first call of what is given makes it begin anew."""
    replayed = canned.Replayed(settled.answers)
    with mock.patch.multiple(clients, dynamodb=lambda: replayed):
        yield replayed.rewind


@contextmanager
def _real(settled: Settled) -> Iterator[Callable[[], None]]:
    """The answers through the real client."""
    bodies = [canned.as_json(parsed) for _, parsed in settled.answers]
    left: list[bytes] = []
    canned.without_network(clients.dynamodb(), lambda _: left.pop(0))
    yield lambda: left.extend(bodies)


def _figures(case: Case, settled: Settled, buckets: list[Item], cpu: tuple[float, float] | None) -> Iterator[Figure]:
    events = sum(len(item["r"]["B"]) // records.RECORD_BYTES for item in buckets)
    size = sum(map(item_bytes, buckets))
    total = settled.total

    def target(value: float) -> float | None:
        return value if case.targeted else None

    calls = ", ".join(f"{number} {name}" for name, number in settled.operations.items())
    yield Figure(f"{case.name}: AWS calls", total.calls, "", target(CALLS_TARGET), 0, calls)
    note = f"{len(buckets):,} buckets, {events:,} events, {size:,} bytes; {total.read:,.0f} read units; "
    note += f"the emulator says {total.emulated_write:.0f}"
    yield Figure(f"{case.name}: write units", total.write, "", target(UNITS_TARGET), 0, note)
    if cpu is not None:
        own, whole = cpu
        note = f"best of {_ROUNDS}"
        yield Figure(f"{case.name}: CPU without the AWS client", own, "ms", target(MILLISECONDS_TARGET), 2, note)
        yield Figure(f"{case.name}: the AWS client's share", whole - own, "ms", None, 2, "without sockets and TLS")


def measure() -> list[Section]:
    """All figures of settling and planning."""
    with Emulator() as emulator:
        scenes = Scenes(emulator)
        settling = Section("Settling one account and day of three tags", list(_settling(scenes)))
        return [settling, planning.measure(scenes)]


def _settling(scenes: Scenes) -> Iterator[Figure]:
    account_id = traffic.account(0)
    done: list[tuple[Case, Settled, list[Item]]] = []
    with scenes.fresh() as scene:
        scene.open_account(account_id, Decimal(100_000_000))
        settle_days_before(scene, account_id)
        for number, case in enumerate(CASES):
            day = FIRST_DAY + number * timedelta(days=1)
            buckets = fill(scene, account_id, day, case)
            if case.today:
                fill(scene, account_id, day + timedelta(days=1), Case("", 1, 300, targeted=False))
            done.append((case, settle_account(scene, account_id, day), buckets))
    for case, settled, buckets in done:
        cpu = None
        if case.size <= PAGE_BYTES:
            # A larger day is read side by side, so its answers have no order.
            cpu = milliseconds(settled, real_clients=False), milliseconds(settled, real_clients=True)
        yield from _figures(case, settled, buckets, cpu)
