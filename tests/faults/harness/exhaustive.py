"""Every call of a piece of work struck in turn, and many seeds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from .calls import Call
from .errors import BROKEN, HarnessError
from .faults import ALL, CRASHES, Fault, Faults, Place
from .world import RESTARTS, Worker, World

EVERY_CALL = (*CRASHES, Fault.TIMEOUT_AFTER, Fault.LOST)
SEED_RATE = 0.02


@dataclass
class Report:
    """What a search has covered."""

    clean_calls: int = 0
    cases: int = 0
    faults: dict[Fault, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Scenario:
    """One piece of work to be struck.

    ``work`` is run, and run again after a crash or an error until it comes to its end; then ``recover`` (default:
    ``work`` once more, as a duplicate delivery), without faults; then ``check`` raises if a property does not hold.
    Everything starts from the state of the world in which the scenario is handed over.
    """

    work: Callable[[], object]
    check: Callable[[], object]
    recover: Callable[[], object] | None = None
    restarts: int = RESTARTS

    def play(self, world: World, faults: Faults, name: str = "w0") -> Worker:
        """Play it once under faults and check; raise ``FaultFound``."""
        worker = world.worker(name, faults)
        try:
            worker.finish(self.work, restarts=self.restarts)
            world.worker("recover").finish(self.recover or self.work)
            self.check()
        except BROKEN as error:
            raise world.found(f"{type(error).__name__}: {error}", faults) from error
        return worker


def exhaust(
    world: World,
    work: Callable[[], object],
    check: Callable[[], object],
    *,
    kinds: Iterable[Fault] = EVERY_CALL,
    recover: Callable[[], object] | None = None,
    depth: int = 1,
    limit: int = 100_000,
) -> Report:
    """Strike every call of ``work`` with every kind in turn; with ``depth`` 2 also every later call of the re-run.

    Raises ``FaultFound`` at the first property that breaks, and leaves the world as it was before.
    """
    scenario = Scenario(work, check, recover)
    start = world.snapshot()
    report = Report()
    try:
        clean = scenario.play(world, Faults.none())
        report.clean_calls = clean.calls
        if not clean.calls:
            raise HarnessError("the work made no AWS call that the harness saw")
        chosen = tuple(kinds)
        for plan in _plans(world, scenario, start, clean.operations, chosen, depth):
            report.cases += 1
            for fault in plan.values():
                report.faults[fault] = report.faults.get(fault, 0) + 1
            if report.cases >= limit:
                break
    finally:
        world.restore(start)
    return report


def _plans(
    world: World,
    scenario: Scenario,
    start: object,
    operations: list[Call],
    kinds: tuple[Fault, ...],
    depth: int,
    before: Mapping[int | Place, Fault] | None = None,
) -> Iterator[dict[int | Place, Fault]]:
    done = dict(before or {})
    first = max((place for place in done if isinstance(place, int)), default=0)
    for number, call in enumerate(operations[first:], first + 1):
        for kind in kinds:
            if not kind.strikes(call):
                continue
            plan: dict[int | Place, Fault] = {**done, number: kind}
            world.restore(start)  # type: ignore[arg-type]
            worker = scenario.play(world, Faults.at(plan))
            yield plan
            if depth > 1:
                yield from _plans(world, scenario, start, list(worker.operations), kinds, depth - 1, plan)


def sweep(
    world: World,
    work: Callable[[], object],
    check: Callable[[], object],
    *,
    seeds: Iterable[int] = range(100),
    rates: Mapping[Fault, float] | float = SEED_RATE,
    kinds: Iterable[Fault] = ALL,
    budget: int = 8,
    recover: Callable[[], object] | None = None,
) -> Report:
    """Play the work under the faults of each seed; raise ``FaultFound`` at the first property that breaks."""
    scenario = Scenario(work, check, recover)
    start = world.snapshot()
    chosen = tuple(kinds)
    report = Report()
    try:
        for seed in seeds:
            world.restore(start)
            faults = Faults.seeded(seed, rates, kinds=chosen, budget=budget)
            report.clean_calls = scenario.play(world, faults).calls
            report.cases += 1
            for one in faults.log:
                report.faults[one.fault] = report.faults.get(one.fault, 0) + 1
    finally:
        world.restore(start)
    return report
