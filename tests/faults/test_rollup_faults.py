"""Rollup under faults: live totals are what the buckets hold, whatever the stream does."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from aws_platform import clients, live
from tests.faults.harness import (
    ALL,
    Delivery,
    Fault,
    FaultFound,
    exhaust,
    explore,
    race_seeds,
    sweep,
)
from tests.faults.properties import check_always, check_complete, check_live
from tests.faults.support import Cloud, Json
from tests.support.product import event

NAUGHTY = Delivery(batch=(1, 4), duplicate=0.5, reorder=0.5, shards=2, bisect=True)


def call(number: int, second: int = 0, account: str = "daily", **more: Any) -> Json:
    """One call of the minutes from ten o'clock on."""
    return event(account, f"e{number}", f"2025-03-01T10:{second // 60:02d}:{second % 60:02d}+08:00", **more)


BATCHES = [
    [call(1), call(2, 3, interface="api.phone_2e"), call(3, 15)],
    [call(4, 4), call(5, 16, code="-7"), call(6, 75)],
    [call(7, 5, source="/gateway-2"), call(8, 17), call(9, 0, "monthly")],
    [call(10, 6), call(11, 6, sub_account="team-a")],
]
"""Four requests: one bucket has four versions, another three; three windows."""
SENT = [one for batch in BATCHES for one in batch]


@pytest.fixture
def used(cloud: Cloud) -> Cloud:
    """Give the product with stored usage that the stream has not told of yet."""
    cloud.report(*BATCHES)
    return cloud


def records(cloud: Cloud) -> list[Json]:
    """The stream of the usage table up to now."""
    return list(cloud.world.dynamodb.table("usage").stream)


def take(cloud: Cloud, *batch: Json) -> None:
    """Have a batch of stream records taken; what fails comes again."""
    assert cloud.invoke("RollupFunction", {"Records": list(batch)}) == {"batchItemFailures": []}


def test_a_fault_at_every_call(used: Cloud) -> None:
    """Whatever strikes whichever call, the totals are right once the stream has gone through."""
    report = exhaust(used.world, lambda: used.roll_up(Delivery(batch=(50, 50))), partial(check_live, used), kinds=ALL)
    assert report.clean_calls == 6
    assert set(report.faults) >= {Fault.LOST, Fault.CRASH_AFTER, Fault.CONFLICT, Fault.THROTTLED_OUT}


def test_deliveries(used: Cloud) -> None:
    """Batches of any size, again and again and in any order, under faults, lead to the same totals."""
    for seed in range(40):
        delivery = Delivery(**{**vars(NAUGHTY), "seed": seed})
        work = partial(used.roll_up, delivery)
        sweep(used.world, work, partial(check_live, used), seeds=[seed], rates=0.03, recover=lambda: None)


def test_old_versions_after_new_ones(used: Cloud) -> None:
    """The whole stream backwards, record by record, and then as it was: totals never count a version twice."""

    def backwards() -> None:
        for record in reversed(records(used)):
            take(used, record)
        check_live(used)
        for record in records(used):
            take(used, record)

    explore(used.world, {"a": backwards}, partial(check_live, used))


def test_three_at_once(used: Cloud) -> None:
    """Three deliveries of overlapping versions of one minute's buckets, in every order of their calls."""
    told = [one for one in records(used) if _slot(one) in range(3600, 3606)]
    rest = [one for one in records(used) if one not in told]

    def check() -> None:
        take(used, *rest)
        check_live(used)

    works = {"a": partial(take, used, *told[:4]), "b": partial(take, used, *told[2:]), "c": partial(take, used, *told)}
    found = explore(used.world, works, check, limit=1000)
    assert found.complete
    assert found.schedules > 20


def _slot(record: Json) -> int | None:
    """The ten seconds of the day of the first account's bucket that a record tells of."""
    key = record["dynamodb"]["Keys"]
    return int(key["sk"]["S"][:4]) if key["pk"]["S"] == "daily#20250301" else None


def test_many_at_once_under_faults(used: Cloud) -> None:
    """Three consumers of the whole stream at once, each with its own crashes and lost answers."""
    for seed in range(20):
        works = {
            name: partial(used.roll_up, Delivery(**{**vars(NAUGHTY), "seed": 3 * seed + number}))
            for number, name in enumerate("abc")
        }
        race_seeds(used.world, works, partial(check_live, used), seeds=[seed], rates=0.02)


def test_beside_ingest(cloud: Cloud) -> None:
    """While usage is still being stored the totals follow, and in the end they are right."""

    def check() -> None:
        cloud.roll_up()
        check_always(cloud)
        check_complete(cloud, SENT, SENT)
        check_live(cloud)

    for seed in range(15):
        delivery = Delivery(**{**vars(NAUGHTY), "seed": seed})
        works: dict[str, Callable[[], object]] = {
            "ingest": lambda: cloud.report(*BATCHES),
            "rollup": partial(cloud.roll_up, delivery),
        }
        race_seeds(cloud.world, works, check, seeds=[seed], rates=0.02)


# --- the harness bites on the real code ------------------------------------------------------------------------


class Unconditional:
    """A client whose puts ask for nothing."""

    def __init__(self, client: Any) -> None:
        self.client = client

    def __getattr__(self, name: str) -> Any:
        return getattr(self.client, name)

    def put_item(self, **put: Any) -> Any:
        """Put the item whatever is there."""
        for name in ("ConditionExpression", "ExpressionAttributeValues"):
            put.pop(name, None)
        return self.client.put_item(**put)


def test_windows_without_condition_are_caught(used: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the condition on a window's write, of two consumers at once one loses what the other has added."""
    broken = Unconditional(clients.dynamodb())
    monkeypatch.setattr(clients, "dynamodb", lambda: broken)
    with pytest.raises(FaultFound, match="live"):
        test_three_at_once(used)


def test_windows_that_add_are_caught(used: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """A window that forgets what it has taken counts a repeated record again."""

    def add(window: live.Window, sort_key: str, content: bytes) -> None:
        window.taken.clear()
        take_once(window, sort_key, content)

    take_once = live.Window.take
    monkeypatch.setattr(live.Window, "take", add)
    with pytest.raises(FaultFound, match="live"):
        test_deliveries(used)
