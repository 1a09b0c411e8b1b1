"""The scheduler runs one worker at a time, meets every order of calls once, and always the same way."""

from __future__ import annotations

import contextvars
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.faults.harness import (
    Fault,
    FaultFound,
    Faults,
    HarnessError,
    World,
    cold_import,
    explore,
    interleave,
    race_seeds,
    shortcut,
)


@pytest.fixture(params=["the whole way", "the short way"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """Give a world with a table and a queue, where calls that no fault strikes go the one way or the other."""
    with World() as entered, shortcut(entered) if request.param == "the short way" else nullcontext():
        entered.create_table("T", global_indexes={"ByG": ("g",)})
        entered.create_queue("Q")
        yield entered


def touch(world: World, pk: str, count: int = 3) -> Callable[[], None]:
    """Return work of so many updates of one item."""

    def work() -> None:
        for _ in range(count):
            world.client("dynamodb").update_item(
                TableName="T",
                Key={"pk": {"S": pk}, "sk": {"S": "1"}},
                UpdateExpression="ADD c :n",
                ExpressionAttributeValues={":n": {"N": "1"}},
            )

    return work


def orders(world: World, workers: dict[str, Callable[[], None]], **options: Any) -> tuple[set[str], Any]:
    """Return the orders that were run, each once, and what the exploration says."""
    seen: list[str] = []
    found = explore(world, workers, lambda: seen.append(" ".join(world.schedule)), **options)
    assert len(seen) == len(set(seen)) == found.schedules
    return set(seen), found


def test_all_orders_once(world: World) -> None:
    """Two workers with three calls each on one item have twenty orders, and each is run once."""
    seen, found = orders(world, {"a": touch(world, "x"), "b": touch(world, "x")})
    assert len(seen) == 20
    assert found.complete


def test_independent_calls_are_not_permuted(world: World) -> None:
    """Orders that differ only in calls on different items are run once; all of them when asked for."""
    workers = {"a": touch(world, "x"), "b": touch(world, "y")}
    seen, found = orders(world, workers)
    assert len(seen) == 1
    assert found.complete
    assert len(orders(world, workers, reduce=False)[0]) == 20


def test_a_query_depends_on_its_partition(world: World) -> None:
    """A query is permuted with a write to its partition, not with one elsewhere; one on a global index always is."""

    def query(pk: str, **more: Any) -> Callable[[], None]:
        name = "g" if more else "pk"
        values = {":p": {"S": pk}}
        return lambda: world.client("dynamodb").query(
            TableName="T", KeyConditionExpression=f"{name} = :p", ExpressionAttributeValues=values, **more
        )

    assert len(orders(world, {"a": touch(world, "x", 1), "b": query("x")})[0]) == 2
    assert len(orders(world, {"a": touch(world, "x", 1), "b": query("y")})[0]) == 1
    assert len(orders(world, {"a": touch(world, "x", 1), "b": query("y", IndexName="ByG")})[0]) == 2


def program(world: World, seed: str) -> Callable[[], str]:
    """Return three random calls, in which a write depends on what was read before."""
    dice = Random(seed)  # noqa: S311
    steps = [(dice.choice(["get", "put", "both", "query"]), dice.choice("xy")) for _ in range(3)]
    client = world.client("dynamodb")

    def work() -> str:
        last = seed[-1]
        for kind, pk in steps:
            item = {"pk": {"S": pk}, "sk": {"S": "1"}, "by": {"S": last[-40:]}}
            if kind == "get":
                last += str(client.get_item(TableName="T", Key={"pk": {"S": pk}, "sk": {"S": "1"}}).get("Item"))
            elif kind == "put":
                client.put_item(TableName="T", Item=item)
            elif kind == "both":
                puts = [{"Put": {"TableName": "T", "Item": {**item, "pk": {"S": one}}}} for one in "xy"]
                client.transact_write_items(TransactItems=puts)
            else:
                values = {":p": {"S": pk}}
                found = client.query(TableName="T", KeyConditionExpression="pk = :p", ExpressionAttributeValues=values)
                last += str(found["Items"])
        return last

    return work


@pytest.mark.parametrize("seed", range(6))
def test_reduction_misses_no_outcome(world: World, seed: int) -> None:
    """The orders that are left out lead nowhere new: every final state of all orders is met by those that are run."""
    found: list[set[str]] = []
    runs = []
    for reduce in (True, False):
        states: set[str] = set()

        def check(states: set[str] = states) -> None:
            states.add(f"{[world.outcomes[name].value for name in 'ab']} {world.items('T')}")

        workers = {name: program(world, f"{seed}{name}") for name in "ab"}
        runs.append(explore(world, workers, check, reduce=reduce))
        found.append(states)
    assert found[0] == found[1]
    assert runs[0].schedules <= runs[1].schedules == 20


def test_bounds(world: World) -> None:
    """The number of preemptions or of orders can be bounded, and the answer says whether all orders were run."""
    workers = {"a": touch(world, "x"), "b": touch(world, "x")}
    seen, found = orders(world, workers, preemptions=1)
    assert seen == {
        "a a a b b b", "a a b b b a", "a b b b a a", "b b b a a a", "b b a a a b", "b a a a b b"
    }  # fmt: skip
    assert found.complete
    assert not orders(world, workers, limit=5)[1].complete


def test_same_seed_same_order(world: World) -> None:
    """A seed gives one order of calls and one set of faults, always the same."""

    def played(seed: int) -> list[str]:
        lines: list[str] = []
        workers = {name: touch(world, "x") for name in "abc"}
        check = lambda: lines.extend([*world.schedule, *map(str, world.trace)])  # noqa: E731
        race_seeds(world, workers, check, seeds=[seed], rates=0.05)
        return lines

    assert played(7) == played(7)
    assert len({tuple(played(seed)) for seed in range(10)}) > 5


def test_crash_within(world: World) -> None:
    """A worker that crashes between two others' calls starts again there, with its calls numbered on."""
    crash = lambda: Faults.parse("a#2=crash_before")  # noqa: E731
    seen: list[int] = []

    def check() -> None:
        assert [line.fault for line in world.trace if line.place.worker == "a"].count(Fault.CRASH_BEFORE) == 1
        (item,) = world.items("T")
        assert item["c"] == {"N": "6"}
        seen.append(len(world.trace))

    explore(world, {"a": touch(world, "x", 2), "b": touch(world, "x", 3)}, check, faults=crash)
    assert set(seen) == {7}


def test_outcomes_and_recovery(world: World) -> None:
    """After the workers a recovery runs alone, and the outcome of each worker is there for the check."""
    done: list[str] = []

    def check() -> None:
        assert {name: outcome.value for name, outcome in world.outcomes.items()} == {"a": "A", "b": "B"}
        assert done

    def work(letter: str) -> Callable[[], object]:
        return lambda: (touch(world, "x", 1)(), letter)[1]

    explore(world, {"a": work("A"), "b": work("B")}, check, recover=lambda: done.append("x"))


def test_context_and_thread_locals(world: World) -> None:
    """A worker sees the test's context variables and its own thread-locals."""
    variable = contextvars.ContextVar("variable", default="unset")
    variable.set("set by the test")
    local = threading.local()
    seen: set[tuple[str, bool]] = set()

    def work() -> None:
        seen.add((variable.get(), hasattr(local, "mine")))
        local.mine = True
        touch(world, "x", 1)()

    explore(world, {"a": work, "b": work}, lambda: None)
    assert seen == {("set by the test", False)}


def test_bug_in_a_worker_is_reported(world: World) -> None:
    """An error in one worker that only one order brings about is found, and the others are stopped."""
    order: list[str] = []

    def first() -> None:
        touch(world, "x", 1)()
        order.append("a")
        touch(world, "x", 1)()

    def second() -> None:
        touch(world, "x", 1)()
        assert "a" not in order, "too late"

    with pytest.raises(FaultFound, match="too late"):
        explore(world, {"a": first, "b": second}, order.clear)
    assert threading.active_count() < 10


def test_blocked_worker_is_reported(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that waits for a lock which another holds over a call ends the test instead of hanging."""
    monkeypatch.setattr(interleave, "STUCK_SECONDS", 0.2)
    lock = threading.Lock()

    def work() -> None:
        with lock:
            touch(world, "x", 1)()

    with pytest.raises(HarnessError, match="waits for something"):
        explore(world, {"a": work, "b": work}, lambda: None)


def test_cold_import_shares_no_memory(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two cold imports are two processes: own globals and classes, sleep replaced in both, the original untouched."""
    package = tmp_path / "some_function"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "memory.py").write_text("from _thread import start_new_thread as sleep\nseen = []\n")
    (package / "handler.py").write_text("from some_function import memory\ndef handle(x): memory.seen.append(x)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    sleeps = ("some_function.memory.sleep",)
    one = cold_import("some_function.handler", "some_function", sleeps=sleeps)
    two = cold_import("some_function.handler", "some_function", sleeps=sleeps)
    one.handle(1)
    two.handle(2)
    assert (one.memory.seen, two.memory.seen) == ([1], [2])
    one.memory.sleep(3)
    two.memory.sleep(4)
    assert world.clock.slept == [3, 4]
    assert "some_function.handler" not in sys.modules
