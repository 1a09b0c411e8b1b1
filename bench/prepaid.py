"""What packages cost: an order and a refund with twenty packages in the wallet, an entitlement check, an allocation."""

from __future__ import annotations

import gc
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from importlib import import_module
from time import process_time
from typing import Any
from unittest import mock

from aws_platform import clients, clock
from bench import canned, traffic
from bench.figures import Figure, Section
from bench.scene import OPENED_AT, Scene, Scenes, environment, forgotten, template
from bench.settling import recording
from bench.tap import Total
from local.authorizer import Identity
from local.emulator import Emulator
from local.payload import HttpRequest, build_event
from local.routing import Router
from rating.allocation import Conditions, Source, allocate, segments_of
from rating.civil import day_of
from rating.wallet import Wallet, WalletPackage, ends_at
from rollup import handler as rollup

CALLS_TARGET, UNITS_TARGET = 4, 40
READS_TARGET, READ_UNITS_TARGET, MILLISECONDS_TARGET = 2, 4, 2.0
ALLOCATION_TARGET = 1.0
PACKAGES = 20
PACKAGES_OF_A_DAY = 200
TAG = "enhanced_authority_wechat"
NOW = OPENED_AT + timedelta(days=50)
"""A morning; everything before it is settled."""
_ROUNDS = 50
_EVENTS = 900
_SCOPES = ("billing:admin",)


def call(scene: Scene, method: str, path: str, body: Any = None, key: str | None = None) -> Any:
    """One request of the operator, by the template's routes. Raises RuntimeError for a refusal."""
    function, event = request(scene.now, method, path, body, key)
    answer = handler_of(function)(event, None)
    if answer["statusCode"] not in {200, 201, 202}:
        message = f"{method} {path} was answered {answer}"
        raise RuntimeError(message)
    return json.loads(answer["body"])


def request(now: datetime, method: str, path: str, body: Any = None, key: str | None = None) -> tuple[str, Any]:
    """The function of a route, and the event that it gets."""
    headers = [("content-type", "application/json")] + ([("idempotency-key", key)] if key else [])
    path, _, query = path.partition("?")
    asked = HttpRequest(method, path, query, headers, json.dumps(body).encode() if body is not None else b"")
    match = Router(template().routes()).find(method, path)
    if match is None:
        message = f"no route for {method} {path}"
        raise RuntimeError(message)
    identity = Identity({"scope": " ".join(_SCOPES)}, _SCOPES)
    return match.route.function, build_event(asked, match, identity, now)


def handler_of(function: str) -> Any:
    """The handler of a function of the template."""
    module, _, name = template().resources[function]["Properties"]["Handler"].rpartition(".")
    return getattr(import_module(module), name)


def measure() -> list[Section]:
    """All figures about packages."""
    with Emulator() as emulator, Scenes(emulator).fresh() as scene:
        figures = list(_figures(scene))
    return [
        Section(f"Packages, with {PACKAGES} in the wallet", figures),
        Section("Allocating one day", [_allocation()]),
    ]


def _figures(scene: Scene) -> Iterator[Figure]:
    account_id = traffic.account(0)
    path = f"/v1/accounts/{account_id}"
    scene.now = NOW
    scene.open_account(account_id, Decimal(100_000_000))
    with scene.labelled("before"):
        stock(scene, account_id)
    one = {"items": [{"sku": f"{TAG}:10000", "quantity": 1}]}
    with scene.labelled("order"):
        bought = call(scene, "POST", f"{path}/orders", one, "one")["packages"][0]["package_id"]
    yield from _writes("an order of one package", scene.tap.total("order"), scene.tap.operations("order"))
    checked, answers = f"{path}/entitlements/{TAG}", list[tuple[str, dict[str, Any]]]()
    yield from _entitlement(scene, checked, answers)
    with scene.labelled("refund"):
        call(scene, "POST", f"{path}/packages/{bought}/refund", {}, "refund")
    yield from _writes("a refund, with one open day", scene.tap.total("refund"), scene.tap.operations("refund"))
    scene.now += timedelta(minutes=3)
    with scene.labelled("completion"):
        handler_of("TimersFunction")({}, None)
    total = scene.tap.total("completion")
    yield Figure("completing a refund: write units", total.write, "", None, 0, f"{total.calls} AWS calls")
    own = milliseconds(NOW, *request(NOW, "GET", checked), answers)
    yield Figure("an entitlement check: CPU without the AWS client", own, "ms", MILLISECONDS_TARGET, 2, "best of many")


def stock(scene: Scene, account_id: str, events: int = _EVENTS) -> None:
    """Fill a wallet, and use some of it today."""
    order = {"items": [{"sku": f"{TAG}:10000", "quantity": PACKAGES - 1}]}
    call(scene, "POST", f"/v1/accounts/{account_id}/orders", order, "before")
    _use(scene, account_id, events)


def _use(scene: Scene, account_id: str, events: int) -> None:
    """A day's usage up to now, and the live totals of it."""
    begun = len(scene.tap.written)
    calls = traffic.calls(events, NOW - timedelta(hours=9), timedelta(seconds=30), mixed=True)
    meter = scene.process(0)
    ingest = import_module("ingest.handler")
    with mock.patch.multiple(ingest, meter=lambda: meter):
        for batch in traffic.batches(calls, 100):
            ingest.handle(traffic.request(batch.body()), None)
    table = scene.names["UsageTable"]
    images = [image for name, image in scene.tap.written[begun:] if name == table and "r" in image]
    records = [{"dynamodb": {"NewImage": json.loads(canned.as_json(image))}} for image in images]
    rollup.handle({"Records": records}, None)
    if account_id not in images[0]["pk"]["S"]:
        message = "the usage is another account's"
        raise RuntimeError(message)


def _writes(name: str, total: Total, operations: Mapping[str, int]) -> Iterator[Figure]:
    calls = ", ".join(f"{number} {operation}" for operation, number in operations.items())
    yield Figure(f"{name}: AWS calls", total.calls, "", CALLS_TARGET, 0, calls)
    yield Figure(f"{name}: write units", total.write, "", UNITS_TARGET, 0, f"{total.read:g} read units")


def _entitlement(scene: Scene, path: str, answers: list[tuple[str, dict[str, Any]]]) -> Iterator[Figure]:
    """The cost of a check; what its clients were answered is kept in `answers`."""
    with scene.labelled("check"), recording() as recorded:
        answer = call(scene, "GET", path)
    answers += recorded
    total, operations = scene.tap.total("check"), scene.tap.operations("check")
    calls = ", ".join(f"{number} {operation}" for operation, number in operations.items())
    left = answer["paid_remaining"]
    if not answer["allowed"] or left >= PACKAGES * 10_000:
        message = f"the check was answered {answer}"
        raise RuntimeError(message)
    yield Figure("an entitlement check: reads", total.calls, "", READS_TARGET, 0, calls)
    yield Figure("an entitlement check: read units", total.read, "", READ_UNITS_TARGET, 1)


def milliseconds(now: datetime, function: str, event: Any, answers: Sequence[tuple[str, dict[str, Any]]]) -> float:
    """CPU of an answer, from recorded answers of its clients."""
    handle, replayed, best = handler_of(function), canned.Replayed(answers), float("inf")
    with (
        mock.patch.dict(os.environ, environment(canned.NOWHERE)),
        mock.patch.multiple(clock, now=lambda _settings, _dynamodb: now),
        forgotten(),
        mock.patch.multiple(clients, dynamodb=lambda: replayed),
    ):
        for _ in range(_ROUNDS):
            replayed.rewind()
            gc.collect()
            began = process_time()
            handle(event, None)
            best = min(best, process_time() - began)
    return best * 1e3


def _allocation() -> Figure:
    """A day whose calls take three quarters of the wallet's packages."""
    now = datetime(2025, 3, 1, 12, tzinfo=UTC)
    days = [now - timedelta(days=number) for number in range(PACKAGES_OF_A_DAY)]
    packages = [
        WalletPackage(f"pkg-{number}", Source.PURCHASE, 1000, 0, day, ends_at(Source.PURCHASE, day))
        for number, day in enumerate(days)
    ]
    wallet, best = Wallet(TAG, tuple(packages)), float("inf")
    for _ in range(_ROUNDS):
        gc.collect()
        began = process_time()
        opened = wallet.open_packages(now)
        segments = segments_of(day_of(now), opened, Conditions())
        allocate([(segment, {TAG: 750 * PACKAGES_OF_A_DAY}) for segment in segments], opened)
        best = min(best, process_time() - began)
    return Figure(
        f"a day with {PACKAGES_OF_A_DAY} packages", best * 1e3, "ms", ALLOCATION_TARGET, 2, "segments and allocation"
    )
