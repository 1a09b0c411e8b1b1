"""What storing, counting and showing usage costs: write units per event, everything included."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from multiprocessing import get_context
from random import Random
from unittest import mock

from aws_platform import live
from bench import common_way, traffic
from bench.figures import Figure, Section
from bench.rollup import Rollup
from bench.scene import Scene, Scenes
from bench.tap import Total
from ingest import handler
from local.emulator import Emulator

START = datetime.fromisoformat("2025-03-01T10:00:03.370000+08:00")
"""Aligned with no bucket and no minute."""
TARGET = 0.1
SINGLE_TARGET = 2.2
LONGEST_SPAN_SECONDS = 10
SIZES = (50, 100, 200, 1_000)
SECONDS = {10: 600, 100: 120, 1_000: 60, 5_000: 20}
"""How long the traffic goes on, by rate."""
PLAIN_SIZES = SIZES[:1]
"""Calls of one kind pack no worse than mixed ones, and worst in small batches: those alone."""
WHOLE_MINUTE = (5_000, 50)
"""Rate and size of the traffic that goes on for a whole minute in one case: live totals are kept by the minute."""
RACING_REQUESTS = 200
"""Two processes send this many requests at most: the emulator is slow at the queries that lost races lead to."""


@dataclass(frozen=True, slots=True)
class Case:
    """One account's traffic."""

    rate: int
    size: int
    seconds: int
    mixed: bool = True
    processes: int = 1
    sources: int = 1

    @property
    def name(self) -> str:
        """As the table has it."""
        kind = "mixed" if self.mixed else "plain"
        extra = f", {self.sources} sources" if self.sources > 1 else ""
        by = "1 process" if self.processes == 1 else f"{self.processes} processes"
        return f"{self.rate:,}/s, batches of {self.size:,}, {kind}, {by}{extra}"

    @property
    def stream(self) -> tuple[int, int, bool, int]:
        """What is the same for any number of processes."""
        return self.rate, self.size, self.mixed, self.sources

    @property
    def requests(self) -> int:
        """How many requests there are."""
        return self.rate * self.seconds // self.size

    def batches(self) -> Iterator[traffic.Batch]:
        """The requests; several sources send theirs in turn."""
        apart = timedelta(microseconds=1_000_000 * self.sources // self.rate)
        number = self.rate * self.seconds // self.sources
        streams = [
            traffic.batches(
                traffic.calls(
                    number,
                    START + one * timedelta(microseconds=1_000_000 * self.size // self.rate),
                    apart,
                    mixed=self.mixed,
                    source=f"/faceid/gateway-{one}",
                ),
                self.size,
            )
            for one in range(self.sources)
        ]
        for group in zip(*streams, strict=True):
            yield from group


@dataclass(frozen=True, slots=True)
class Result:
    """What a case cost."""

    events: int
    ingest: Total
    rolled_up: int
    """Events that the rollup took."""
    rollup: Total

    @property
    def write(self) -> float:
        """Write units per event."""
        return self.ingest.write / self.events + self.rollup.write / self.rolled_up

    @property
    def note(self) -> str:
        """The parts, per event."""
        reads = self.ingest.read / self.events + self.rollup.read / self.rolled_up
        calls = self.ingest.calls / self.events + self.rollup.calls / self.rolled_up
        ingest = f"ingest {self.ingest.write / self.events:.3f}"
        if self.ingest.failed:
            ingest += f" ({self.ingest.failed_write / self.events:.3f} in lost races)"
        live_totals = f"live totals {self.rollup.write / self.rolled_up:.3f}"
        return f"{ingest}, {live_totals}; read units {reads:.3f}, calls {calls:.3f}"

    def rolled_up_as(self, other: Result) -> Result:
        """The same with the live totals of the same traffic at greater length."""
        return replace(self, rolled_up=other.rolled_up, rollup=other.rollup)


def cases() -> Iterator[Case]:
    """Every rate and size of the target, mixed first, and what happens when two processes share the traffic."""
    for mixed, processes in ((True, 1), (True, 2), (False, 1), (False, 2)):
        for rate in SECONDS:
            for size in SIZES if mixed else PLAIN_SIZES:
                # A hundred at a time only where it is the longest span that there is.
                if size > rate * LONGEST_SPAN_SECONDS or (size == SIZES[1] and rate != min(SECONDS)):
                    continue
                yield Case(rate, size, _seconds(rate, size, mixed, processes), mixed, processes)
    yield Case(10, 50, SECONDS[10], sources=2)


def _seconds(rate: int, size: int, mixed: bool, processes: int) -> int:  # noqa: FBT001 - the fields of a case
    if processes > 1:
        return min(SECONDS[rate], RACING_REQUESTS * size // rate)
    if (rate, size) == WHOLE_MINUTE:
        return 60 if mixed else 10
    return SECONDS[rate]


def run(scenes: Scenes, case: Case) -> Result:
    """Meter the traffic of a case and count what it costs. Raises RuntimeError where an event is not counted."""
    with scenes.fresh() as scene:
        return play(scene, case.batches(), case.processes)


def play(scene: Scene, batches: Iterator[traffic.Batch], processes: int = 1) -> Result:
    """Send batches in turn to so many processes, the stream following."""
    scene.open_account(traffic.account(0), Decimal(0))
    rollup = Rollup(scene)
    events, days = 0, set()
    for number, batch in enumerate(batches):
        scene.now = batch.at
        rollup.until(batch.at)
        with scene.labelled("ingest"), mock.patch.multiple(handler, meter=_one(scene, number % processes)):
            answer = handler.handle(traffic.request(batch.body()), None)
        _check(answer, len(batch.calls))
        rollup.written(batch.at)
        events += len(batch.calls)
        days |= {call.at.date() for call in batch.calls}
    rollup.flush()
    shown = sum(_shown(scene, day) for day in days)
    if shown != events:
        message = f"{events} events were reported and {shown} are shown"
        raise RuntimeError(message)
    return Result(events, scene.tap.total("ingest"), events, scene.tap.total("rollup"))


def _one(scene: Scene, number: int) -> object:
    return lambda: scene.process(number)


def _check(answer: dict[str, object], events: int) -> None:
    report = json.loads(str(answer["body"]))
    if answer["statusCode"] != 200 or report["accepted"] + report["not_chargeable"] != events:  # noqa: PLR2004
        message = f"a batch of {events} was answered {answer}"
        raise RuntimeError(message)


def _shown(scene: Scene, day: date) -> int:
    return sum(live.windows_of_day(scene.raw, scene.names["LiveTable"], traffic.account(0), day).values())


def single_events(scenes: Scenes, processes: int) -> Result:
    """A hundred events at any time of a day, each in a request of its own."""
    chance = Random(100)  # noqa: S311 - the same in every run
    midnight = START.replace(hour=0, minute=0, second=0, microsecond=0)
    moments = sorted(midnight + timedelta(milliseconds=chance.randrange(86_400_000)) for _ in range(100))
    made = traffic.calls(len(moments), START, timedelta(0), mixed=True)
    with scenes.fresh() as scene:
        sent = (traffic.Batch(at, (replace(call, at=at),)) for call, at in zip(made, moments, strict=True))
        return play(scene, sent, processes)


_scenes: Scenes


def _begin() -> None:
    """In each worker: an embedded cloud of its own, which ends with the worker."""
    global _scenes  # noqa: PLW0603 - made once in a worker's life
    emulator = Emulator()
    emulator.start()
    _scenes = Scenes(emulator)


def _run_case(case: Case) -> Result:
    return run(_scenes, case)


def _run_single_events(processes: int) -> Result:
    return single_events(_scenes, processes)


def _run_common_way(with_totals: bool) -> Figure:  # noqa: FBT001 - a job's argument
    return common_way.measure(_scenes, with_totals=with_totals)


def measure() -> Section:
    """All figures of metering's units. Two workers: one computes while the other waits for its emulator."""
    listed = list(cases())
    with ProcessPoolExecutor(2, get_context("spawn"), _begin) as pool:
        # The longest first, so that both have something to do until the end.
        jobs = {case: pool.submit(_run_case, case) for case in sorted(listed, key=lambda case: -case.requests)}
        singles = {processes: pool.submit(_run_single_events, processes) for processes in (1, 2)}
        common = [pool.submit(_run_common_way, with_totals) for with_totals in (False, True)]
        by_case = _with_whole_live_totals({case: jobs[case].result() for case in listed})
        results = [(case.name, TARGET, result) for case, result in by_case.items()]
        for processes, job in singles.items():
            name = f"single events, 100 a day, {processes} process{'es' if processes > 1 else ''}"
            results.append((name, SINGLE_TARGET, job.result()))
        usual = [job.result() for job in common]
    figures = [Figure(name, result.write, "", target, 3, result.note) for name, target, result in results]
    totals = [total for _, _, result in results for total in (result.ingest, result.rollup)]
    emulated = sum(total.emulated_write for total in totals)
    calculated = sum(total.write - total.failed_write for total in totals)
    return Section(
        "Write units per event (bucket, names, day item, index, live totals)",
        [*figures, *usual],
        (
            f"Of writes that succeeded the emulator counted {emulated:,.0f} units, the rules {calculated:,.0f}.",
            "Lost races are writes whose condition failed; the emulator does not report them, DynamoDB charges them.",
        ),
    )


def _with_whole_live_totals(results: Mapping[Case, Result]) -> dict[Case, Result]:
    """Give cases that were cut short the live totals of the same traffic at its longest.

    Live totals grow within the minute, and do not depend on who stores the events.
    """
    longest: dict[tuple[int, int, bool, int], Result] = {}
    for case, result in results.items():
        known = longest.setdefault(case.stream, result)
        longest[case.stream] = max(known, result, key=lambda one: one.events)
    return {case: result.rolled_up_as(longest[case.stream]) for case, result in results.items()}
