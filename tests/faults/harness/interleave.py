"""Two or more workers, one running at a time, switched at every AWS call; one order, some orders or all orders.

A worker waits before each attempt of a call; the scheduler decides who goes on. What a worker computes between two
calls touches nothing that is shared, so this covers every real interleaving of the calls.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from random import Random

from .calls import Call, Footprint, footprint
from .errors import BROKEN, Abandoned, FaultFound, HarnessError
from .faults import Fault, Faults
from .world import Outcome, Worker, World

STEPS = 20_000
STUCK_SECONDS = 20.0
RESTARTS = 10

type Work = Callable[[], object]
type Choose = Callable[[list[str], str | None], str | None]


@dataclass
class _Seat:
    """One worker's thread and its turn."""

    worker: Worker
    work: Work
    go: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    pending: Call | None = None
    started: bool = False
    done: bool = False
    outcome: Outcome | None = None
    error: BaseException | None = None


class Baton:
    """Runs workers by turns; ``choose`` says who goes on, or None to give up this order."""

    def __init__(self, world: World, workers: Mapping[str, Work], faults: Faults, restarts: int = RESTARTS) -> None:
        self.world = world
        self.restarts = restarts
        self.seats = {name: _Seat(world.worker(name, faults), work) for name, work in workers.items()}
        self._turn = threading.Semaphore(0)
        self._giving_up = False

    def run(self, choose: Choose) -> bool:
        """Run all workers to their end; return False where ``choose`` gave up."""
        self.world.pause = self._pause
        last: str | None = None
        try:
            for seat in self.seats.values():
                context = contextvars.copy_context()
                threading.Thread(target=context.run, args=(self._body, seat), daemon=True).start()
                seat.started = True
                self._let(seat)
            for _ in range(STEPS):
                ready = [name for name, seat in self.seats.items() if not seat.done]
                if not ready:
                    break
                last = choose(ready, last)
                if last is None:
                    return False
                self.world.schedule.append(last)
                self._let(self.seats[last])
            else:
                raise HarnessError(f"no end after {STEPS} calls")
        finally:
            self._give_up()
            self.world.pause = None
        self.world.outcomes.update({name: seat.outcome or Outcome() for name, seat in self.seats.items()})
        return True

    def footprint(self, name: str) -> Footprint:
        """Return what the call reads and writes before which a worker waits."""
        pending = self.seats[name].pending
        if pending is None:
            return Footprint(frozenset(), frozenset())
        return footprint(pending, self.world.dynamodb)

    def _body(self, seat: _Seat) -> None:
        seat.go.acquire()
        try:
            seat.outcome = seat.worker.finish(seat.work, restarts=self.restarts)
        except Abandoned:
            pass
        except BaseException as error:  # noqa: BLE001 - carried over to the test's thread
            seat.error = error
        finally:
            seat.done = True
            self._turn.release()

    def _pause(self, worker: Worker, call: Call) -> None:
        seat = self.seats.get(worker.name)
        if seat is None or seat.worker is not worker:
            return
        if self._giving_up:
            raise Abandoned
        seat.pending = call
        self._turn.release()
        seat.go.acquire()
        if self._giving_up:
            raise Abandoned

    def _let(self, seat: _Seat) -> None:
        seat.go.release()
        if not self._turn.acquire(timeout=STUCK_SECONDS):
            raise HarnessError(f"{seat.worker.name} waits for something other than an AWS call (a lock? real time?)")
        if seat.error is not None and not self._giving_up:
            raise seat.error

    def _give_up(self) -> None:
        self._giving_up = True
        for seat in self.seats.values():
            while seat.started and not seat.done:
                seat.go.release()
                if not self._turn.acquire(timeout=STUCK_SECONDS):
                    return


@dataclass(frozen=True)
class Race:
    """Workers that run side by side, then ``recover`` alone and without faults, then ``check``."""

    workers: Mapping[str, Work]
    check: Callable[[], object]
    recover: Work | None = None
    restarts: int = RESTARTS

    def play(
        self, world: World, choose: Choose, faults: Faults, prepare: Callable[[Baton], None] | None = None
    ) -> bool:
        """Play one order; return False where it was given up; raise ``FaultFound``."""
        baton = Baton(world, self.workers, faults, self.restarts)
        if prepare is not None:
            prepare(baton)
        try:
            if not baton.run(choose):
                return False
            if self.recover is not None:
                world.worker("recover").finish(self.recover)
            self.check()
        except FaultFound:
            raise
        except BROKEN as error:
            raise world.found(f"{type(error).__name__}: {error}", faults) from error
        return True


@dataclass
class Exploration:
    """What was explored: whole orders, orders given up as equal to one seen, and whether that was all of them."""

    schedules: int = 0
    pruned: int = 0
    complete: bool = False


@dataclass
class _Node:
    ready: list[str]
    prints: dict[str, Footprint]
    sleeping: set[str]
    current: str
    left: list[str]
    tried: list[str] = field(default_factory=list)


def _cost(choice: str, ready: list[str], last: str | None) -> int:
    return int(last is not None and last in ready and choice != last)


class _Search:
    """Depth first over the choices, with sleep sets: of orders that differ only in independent calls, one is run."""

    def __init__(self, *, reduce: bool, preemptions: int | None) -> None:
        self.reduce = reduce
        self.preemptions = preemptions
        self.stack: list[_Node] = []
        self.depth = 0
        self.spent = 0
        self.baton: Baton | None = None

    def begin(self, baton: Baton) -> None:
        """Start the next order."""
        self.baton = baton
        self.depth = 0
        self.spent = 0

    def choose(self, ready: list[str], last: str | None) -> str | None:
        """Follow the stack, then go on as long as there is something new."""
        if self.depth == len(self.stack) and not self._push(ready, last):
            return None
        node = self.stack[self.depth]
        if node.ready != ready:
            raise HarnessError("the code under test is not deterministic: the same choices led elsewhere")
        self.depth += 1
        self.spent += _cost(node.current, ready, last)
        return node.current

    def _push(self, ready: list[str], last: str | None) -> bool:
        assert self.baton is not None
        prints = {name: self.baton.footprint(name) for name in ready} if self.reduce else {}
        sleeping = self._sleeping(prints)
        order = sorted(ready, key=lambda name: name != last)
        choices = [name for name in order if name not in sleeping]
        if self.preemptions is not None and self.spent >= self.preemptions:
            choices = [name for name in choices if not _cost(name, ready, last)]
        if not choices:
            return False
        self.stack.append(_Node(ready, prints, sleeping, choices[0], choices[1:]))
        return True

    def _sleeping(self, prints: dict[str, Footprint]) -> set[str]:
        if not self.reduce or not self.stack:
            return set()
        parent = self.stack[-1]
        mine = parent.prints[parent.current]
        return {
            name
            for name in parent.sleeping | set(parent.tried)
            if name in prints and name != parent.current and parent.prints[name].independent(mine)
        }

    def next(self) -> bool:
        """Turn to the next choice not tried; return False where there is none."""
        while self.stack:
            node = self.stack[-1]
            if node.left:
                node.tried.append(node.current)
                node.current = node.left.pop(0)
                return True
            self.stack.pop()
        return False


def explore(
    world: World,
    workers: Mapping[str, Work],
    check: Callable[[], object],
    *,
    recover: Work | None = None,
    faults: Callable[[], Faults] = Faults.none,
    limit: int = 5000,
    preemptions: int | None = None,
    reduce: bool | None = None,
    restarts: int = RESTARTS,
) -> Exploration:
    """Run the workers in every order of their calls, up to ``limit`` orders; raise ``FaultFound`` at the first bad one.

    ``reduce`` (on, unless ``preemptions`` is given) runs one order of each group that differs only in calls on
    different items. ``preemptions`` bounds how often a worker is interrupted, for scenarios too large for all orders.
    ``faults`` makes the faults of each order, for example ``lambda: Faults.parse("a#3=crash_after")``.
    """
    race = Race(workers, check, recover, restarts)
    search = _Search(reduce=preemptions is None if reduce is None else reduce, preemptions=preemptions)
    if search.reduce and preemptions is not None:
        raise HarnessError("reduce and preemptions do not go together")
    start = world.snapshot()
    found = Exploration()
    try:
        while found.schedules + found.pruned < limit:
            world.restore(start)
            if race.play(world, search.choose, faults(), search.begin):
                found.schedules += 1
            else:
                found.pruned += 1
            if not search.next():
                found.complete = True
                break
    finally:
        world.restore(start)
    return found


def race_seeds(
    world: World,
    workers: Mapping[str, Work],
    check: Callable[[], object],
    *,
    seeds: Iterable[int] = range(100),
    rates: Mapping[Fault, float] | float = 0.0,
    budget: int = 4,
    recover: Work | None = None,
    restarts: int = RESTARTS,
) -> Exploration:
    """Run the workers in one order a seed, under the seed's faults; raise ``FaultFound`` at the first bad one."""
    race = Race(workers, check, recover, restarts)
    start = world.snapshot()
    found = Exploration()
    try:
        for seed in seeds:
            world.restore(start)
            race.play(world, by_seed(seed), Faults.seeded(seed, rates, budget=budget))
            found.schedules += 1
    finally:
        world.restore(start)
    return found


def by_seed(seed: int) -> Choose:
    """Return the choices of a seed: sometimes long runs of one worker, sometimes a switch at every call."""
    dice = Random(f"schedule/{seed}")  # noqa: S311
    stay = dice.choice([0.0, 0.3, 0.6, 0.9])

    def choose(ready: list[str], last: str | None) -> str:
        if last in ready and dice.random() < stay:
            return str(last)
        return dice.choice(ready)

    return choose


def replay(
    world: World,
    workers: Mapping[str, Work],
    check: Callable[[], object],
    schedule: str,
    *,
    faults: Faults | None = None,
    recover: Work | None = None,
    restarts: int = RESTARTS,
) -> None:
    """Play the order that a failure printed (``a a b a``); what it leaves open goes to the first worker."""
    names = iter(schedule.split())

    def choose(ready: list[str], last: str | None) -> str:
        del last
        name = next(names, ready[0])
        return name if name in ready else ready[0]

    start = world.snapshot()
    try:
        Race(workers, check, recover, restarts).play(world, choose, faults or Faults.none())
    finally:
        world.restore(start)
