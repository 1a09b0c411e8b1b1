"""Rollup under faults: live totals are what the buckets hold, whatever the stream does."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from functools import partial
from itertools import batched
from random import Random
from typing import Any

import pytest

from aws_platform import clients, live
from tests.faults.harness import (
    ALL,
    Delivery,
    Fault,
    FaultFound,
    Faults,
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
    assert report.clean_calls == 11, "of each of three windows: read, write, look; of each of two accounts: packages"
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
    """Three deliveries of overlapping versions of one minute's buckets, in every order of two interruptions."""
    told = [one for one in records(used) if _slot(one) in range(3600, 3606)]
    rest = [one for one in records(used) if one not in told]

    def check() -> None:
        take(used, *rest)
        check_live(used)

    works = {"a": partial(take, used, *told[:4]), "b": partial(take, used, *told[2:]), "c": partial(take, used, *told)}
    found = explore(used.world, works, check, preemptions=2)
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


# --- what the days come to ------------------------------------------------------------------------------------


def moments(cloud: Cloud, *times: str) -> list[Json]:
    """A call each at these times of March, ``02 23:59``, and what the stream tells of each."""
    for number, time in enumerate(times):
        one = event("daily", f"m{number}", f"2025-03-{time[:2]}T{time[3:]}:00+08:00")
        cloud.report([one])
    return [one for one in records(cloud) if "r" in one["dynamodb"]["NewImage"]]


STEPS: dict[str, tuple[list[str], list[str]]] = {
    "far back": (["02 10:00"], ["02 10:10", "02 10:02"]),
    "far back, of a window that is there": (["02 10:00", "02 10:09"], ["02 10:00", "02 10:12"]),
    "three new windows in wrong order": ([], ["02 10:10", "02 10:05", "02 10:00"]),
    "a chain of newest windows": (["02 10:00"], ["02 10:00", "02 10:05", "02 10:10"]),
    "within reach of the newest, beyond that of the next": (["02 10:00"], ["02 10:00", "02 10:01", "02 10:05"]),
    "around midnight": (["02 23:58"], ["02 23:59", "03 00:00"]),
    "a last call of a day and a late one": (["02 23:50", "02 23:58"], ["02 23:58", "03 00:00", "02 23:40"]),
    "two days at once": (["01 12:00"], ["02 12:00", "03 00:04", "01 12:00"]),
    "a day between": (["01 12:00"], ["03 00:00", "02 12:00", "01 12:01"]),
    "two first windows of a day": (["02 12:00"], ["03 00:01", "03 00:00", "02 12:00"]),
    "late usage of an old day": (["01 12:00", "02 12:00"], ["01 12:00", "01 11:00", "01 12:10"]),
}
"""Minutes that the stream has told of, and those of which as many workers are told at once."""


@pytest.mark.parametrize("name", STEPS)
def test_days_at_once(cloud: Cloud, name: str) -> None:
    """Where a window or a day depends on another one the days are right, wherever workers interrupt each other."""
    cloud.go_to("2025-03-03 00:00")
    before, at_once = STEPS[name]
    told = moments(cloud, *before, *at_once)
    for one in told[: len(before)]:
        take(cloud, one)
    works = {worker: partial(take, cloud, one) for worker, one in zip("abc", told[len(before) :], strict=False)}
    assert len(works) == len(at_once)
    found = explore(cloud.world, works, partial(check_live, cloud), preemptions=2, limit=120)
    assert found.schedules > 10


def in_pieces(cloud: Cloud, told: list[Json], dice: Random) -> dict[str, Callable[[], object]]:
    """Three workers that share records: each is told of its own, in any order, and again only after a failure."""

    def work(batches: list[list[Json]]) -> None:
        while batches:
            take(cloud, *batches[-1])
            batches.pop()

    shuffled = dice.sample(told, len(told))
    parts = [shuffled[number::3] for number in range(3)]
    return {
        name: partial(work, [list(batch) for batch in batched(part, dice.randint(1, 3), strict=False)])
        for name, part in zip("abc", parts, strict=True)
    }


PLACES = ("12:00", "12:01", "12:03", "12:04", "12:09", "23:55", "23:58", "23:59", "00:00", "00:02", "00:04")


def test_no_total_falls(cloud: Cloud) -> None:
    """Wherever a worker stops, no day that could be read before is lost or has become less."""
    cloud.go_to("2025-03-03 23:59")

    def totals() -> dict[date, dict[int, int]]:
        return live.totals_by_day(cloud.product.dynamodb, "live", "daily")

    times = ("01 12:00", "01 12:03", "02 00:00", "01 12:04", "03 12:00", "02 12:00", "03 11:00", "03 12:04", "02 00:01")
    for record in moments(cloud, *times):
        before, start = totals(), cloud.world.snapshot()
        for number in range(1, 10):
            cloud.world.restore(start)
            cloud.world.run(partial(take, cloud, record), Faults.at({number: Fault.CRASH_AFTER}))
            after = totals()
            assert after.keys() >= before.keys()
            assert all(calls <= after[day][tag] for day, tags in before.items() for tag, calls in tags.items())
        take(cloud, record)
    check_live(cloud)


@pytest.mark.parametrize("seed", range(15))
def test_days_in_pieces(cloud: Cloud, seed: int) -> None:
    """Minutes and days in any order, in the hands of three workers that crash: the days are right in the end."""
    cloud.go_to("2025-03-03 23:59")
    dice = Random(f"days/{seed}")  # noqa: S311 - wants to be reproducible, not secret
    days = dice.sample(["01", "02", "03"], dice.choice([1, 2, 3]))
    told = moments(cloud, *(f"{dice.choice(days)} {dice.choice(PLACES)}" for _ in range(dice.randint(3, 9))))
    for case in range(5):
        works = in_pieces(cloud, told, dice)
        race_seeds(cloud.world, works, partial(check_live, cloud), seeds=[seed * 100 + case], rates=0.03)


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
