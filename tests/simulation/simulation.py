"""Plays a simulation: does its steps to the product and to the model, and compares what both say."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tests.faults.harness import FaultFound
from tests.faults.verifying import verifier
from tests.simulation.driver import Driver, drive
from tests.simulation.look import Ask, glance, is_quiet, look, used_days
from tests.simulation.model import Model
from tests.simulation.plan import Plan
from tests.simulation.steps import Look, Step

EVERYTHING_EVERY = 7
"""In one of so many daily looks at an account everything is looked at."""


@dataclass(frozen=True)
class Found:
    """The first difference of a simulation."""

    number: int
    """Of the step at which it was found."""
    step: Step
    what: tuple[str, ...]

    def __str__(self) -> str:
        """Return what a person reads."""
        lines = "\n".join(f"  {one}" for one in self.what[:12])
        return f"at {self.step.at:%Y-%m-%d %H:%M:%S}, step {self.number}, {type(self.step).__name__}:\n{lines}"


@dataclass
class Played:
    """How a simulation went."""

    found: Found | None = None
    steps: int = 0
    looks: int = 0
    glances: int = 0
    calls: int = 0
    faults: int = 0
    reached: frozenset[str] = frozenset()
    """Kinds of notices, of rows of bills and of journal entries that there were."""


def play(plan: Plan, patience: Callable[[], bool] = lambda: True) -> Played:
    """Play a simulation up to its end or its first difference, or until patience ends."""
    played = Played()
    if not plan.steps:
        return played
    model = Model(release_days=plan.release_days)
    with drive(plan.seed, plan.rate, plan.steps[0].at, plan.release_days) as driver:
        for number, step in enumerate(plan.steps):
            if not patience():
                break
            last = number == len(plan.steps) - 1
            what = _step(driver, model, step, played, last=last)
            played.steps, played.calls, played.faults = number + 1, driver.calls, driver.struck
            if what:
                played.found = Found(number, step, tuple(what))
                break
    played.reached = frozenset(_reached(model))
    return played


def _reached(model: Model) -> Iterator[str]:
    for account in model.accounts.values():
        yield from (notice.kind for notice in account.notices)
        yield from (entry.kind for entry in account.journal)
        yield from (row.key[0] for row in account.rows)


def _step(driver: Driver, model: Model, step: Step, played: Played, *, last: bool) -> list[str]:
    """Do one step to both; where they differ. A failure of the product, or of the model, is a difference too."""
    try:
        what = model.apply(step, driver.do(step))
        if isinstance(step, Look) and not what:
            for name in sorted(model.accounts):
                if step.everybody or name in step.accounts:
                    played.looks += 1
                    what += _look(driver, model, step, name, last=last)
                else:
                    played.glances += 1
                    what += glance(_asking(driver), name, step.at, model.view(name, step.at))
    except (FaultFound, Exception) as error:  # noqa: BLE001 - whatever it is, it is what was found
        return [f"{type(error).__name__}: {error}"[:4000], *_where(error)]
    return what


def _where(error: BaseException) -> Iterator[str]:
    """The last places of a traceback."""
    places = []
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        places.append(f"in {code.co_name}, {code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}")
        trace = trace.tb_next
    yield from places[-6:]


def _asking(driver: Driver) -> Ask:
    def ask(path: str, query: dict[str, Any]) -> dict[str, Any]:
        answer = driver.read(path, query)
        if answer.status != 200:
            message = f"GET {path} {query}: {answer.status} {answer.body}"
            raise AssertionError(message)
        body: dict[str, Any] = answer.body
        return body

    return ask


def _look(driver: Driver, model: Model, step: Look, account: str, *, last: bool) -> list[str]:
    expected = model.view(account, step.at)
    dice = zlib.crc32(f"{account}/{step.at}".encode())
    every = not is_quiet(expected, step.at) if step.everybody else not dice % EVERYTHING_EVERY
    found = look(_asking(driver), account, step.at, expected, whole=step.everybody and last, every=every)
    days = used_days(expected)
    if step.everybody and days:
        day = days[dice % len(days)]
        verified = verifier(driver.cloud).verify(account, day, step.at)
        found += [f"{account} {day} verified: {one}" for one in verified.differences if not one.pending]
    return found
