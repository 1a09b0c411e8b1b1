"""What a sweep of timers costs: ten thousand that are due at one moment, and accounts with nothing due."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from aws_platform.accounts import account_put
from aws_platform.settings import Settings
from aws_platform.snapshot import change
from bench.figures import Figure, Section
from bench.scene import OPENED_AT, Scene, Scenes, open_account
from local.emulator import Emulator
from rating.allocation import Source
from rating.arrears import Arrears
from rating.orders import PackageRecord
from rating.wallet import Edge, Wallet
from timers import handler as timers

if TYPE_CHECKING:
    from bench.capacity import Item

STOPS, PACKAGES, IDLE = 5_000, 5_000, 1_000
"""Accounts whose service stops, whose package ends in a week, and with nothing due."""
NOW = OPENED_AT + timedelta(days=400)
READS_TARGET, WRITES_TARGET = 2, 2
TAG = "identity_check"


def measure() -> Section:
    """All figures about sweeps."""
    with Emulator() as emulator, Scenes(emulator).fresh() as scene:
        return Section(f"Sweeping {STOPS + PACKAGES:,} timers that are due at one moment", list(_figures(scene)))


def _figures(scene: Scene) -> Iterator[Figure]:
    scene.now = NOW
    table = scene.names["LedgerTable"]
    scene.put_all(table, [*_idle(table)])
    _sweep(scene, "idle", 0)
    idle = scene.tap.total("idle")
    yield Figure(f"{IDLE:,} accounts with nothing due: reads of accounts", _reads(scene, "idle"), "", 0, 0)
    yield Figure("the same: queries of the index", idle.calls, "", None, 0, "one a shard")
    for name, items, due in (("a stop", _stops(table), STOPS), ("a package's week", _packages(table), PACKAGES)):
        scene.put_all(table, list(items))
        _sweep(scene, name, due)
        total, writes = scene.tap.total(name), scene.tap.operations(name)["TransactWriteItems"]
        yield Figure(
            f"{name}: reads a timer", _reads(scene, name) / due, "", READS_TARGET, 3, f"{total.read / due:.2f} units"
        )
        yield Figure(
            f"{name}: writes a timer",
            writes / due,
            "",
            WRITES_TARGET,
            3,
            f"one transaction, {total.write / due:.2f} units",
        )


def _sweep(scene: Scene, label: str, due: int) -> None:
    with scene.labelled(label):
        answer = timers.handle({"task": "sweep"}, None)
    if answer != {"done": due, "failed": 0, "left": 0}:
        message = f"the sweep of {due} timers was answered {answer}"
        raise RuntimeError(message)


def _reads(scene: Scene, label: str) -> int:
    """Reads of accounts and usage; those of the index are one for a thousand timers."""
    operations = scene.tap.operations(label)
    shards = Settings().due_shards
    return sum(operations[name] for name in ("GetItem", "BatchGetItem", "Query")) - shards


def _idle(table: str) -> Iterator[Item]:
    settings = Settings(ledger_table=table)
    for number in range(IDLE):
        account = open_account(f"idle-{number}", Decimal(100))
        yield account_put(settings, None, account)["Put"]["Item"]


def _stops(table: str) -> Iterator[Item]:
    """Accounts whose 24 hours are over now."""
    settings = Settings(ledger_table=table)
    for number in range(STOPS):
        account = open_account(f"stop-{number}", Decimal(-1))
        arrears = Arrears(NOW - timedelta(hours=24))
        yield account_put(settings, None, replace(account, arrears=arrears))["Put"]["Item"]


def _packages(table: str) -> Iterator[Item]:
    """Accounts with a package that ends in a week, to the second; nothing of it is used."""
    settings = Settings(ledger_table=table)
    delivered = (NOW + timedelta(days=7)).replace(year=NOW.year - 1)
    for number in range(PACKAGES):
        account = open_account(f"package-{number}", Decimal(100))
        record = PackageRecord(f"gift-{number}", TAG, Source.GIFT, 1000, delivered)
        package = replace(record.in_wallet(), told=Edge.DELIVERED)
        _, items = change(settings, replace(account, version=0), account, NOW, [Wallet(TAG, (package,))])
        for item in items:
            yield item["Put"]["Item"]
