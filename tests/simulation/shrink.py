"""Makes a failing simulation small: fewer accounts, no faults, fewer steps, fewer calls, as long as it still fails."""

from __future__ import annotations

import pprint
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from tests.simulation.driver import same_clients
from tests.simulation.plan import Plan, only
from tests.simulation.simulation import Found, play
from tests.simulation.steps import Call, Report, Step


@dataclass
class Shrunk:
    """The smallest failing simulation that was found, and its difference."""

    plan: Plan
    found: Found


@dataclass
class _Shrinker:
    """Tries smaller simulations and keeps the smallest that fails."""

    best: Shrunk
    patience: Callable[[], bool]

    def fails(self, plan: Plan) -> bool:
        """Whether a simulation fails; if it does, it is the best one now, cut off where it fails."""
        if not self.patience():
            return False
        found = play(plan, self.patience).found
        if found is None or not subjects(found) & subjects(self.best.found):
            return False
        self.best = Shrunk(replace(plan, steps=plan.steps[: found.number + 1]), found)
        return True

    def shrink(self) -> Shrunk:
        """Everything that makes it smaller, until nothing does."""
        self.accounts()
        self.fails(replace(self.best.plan, rate=0.0))
        self.kinds()
        before = 0
        while before != (before := _size(self.best.plan)):
            self.steps()
            self.calls()
        return self.best

    def accounts(self) -> None:
        """One account alone fails nearly always: those first that the difference speaks of."""
        said = " ".join(self.best.found.what)
        named = sorted(self.best.plan.accounts, key=lambda name: (name not in said, name))
        for name in named:
            if self.fails(only(self.best.plan, [name])):
                return

    def kinds(self) -> None:
        """Leave out all steps of a kind."""
        last = self.best.plan.steps[-1]
        for kind in sorted({type(step) for step in self.best.plan.steps}, key=lambda kind: kind.__name__):
            steps = tuple(step for step in self.best.plan.steps if step is last or not isinstance(step, kind))
            self.fails(replace(self.best.plan, steps=steps))

    def steps(self) -> None:
        """Leave steps out: delta debugging, ever smaller pieces. The last step is the one that fails."""
        size = max(1, len(self.best.plan.steps) // 2)
        while size and self.patience():
            at = 0
            while at < len(self.best.plan.steps) - 1:
                steps = self.best.plan.steps
                if not self.fails(
                    replace(self.best.plan, steps=(*steps[:at], *steps[min(at + size, len(steps) - 1) :]))
                ):
                    at += size
            size //= 2

    def calls(self) -> None:
        """Leave calls out of reports."""
        for number in range(len(self.best.plan.steps)):
            steps = self.best.plan.steps
            if number >= len(steps):
                return
            step = steps[number]
            if isinstance(step, Report):
                for fewer in _fewer(step.calls):
                    smaller = replace(step, calls=fewer)
                    if self.fails(replace(self.best.plan, steps=(*steps[:number], smaller, *steps[number + 1 :]))):
                        break


def subjects(found: Found) -> set[str]:
    """What a difference is about, roughly: a smaller simulation that fails for another reason is another one's."""
    return {re.sub(r"^(acct-\d+ )?(\w+).*", r"\2", what, flags=re.DOTALL) for what in found.what if what[:3] != "in "}


def _fewer(calls: Sequence[Call]) -> Iterator[tuple[Call, ...]]:
    """Some of the calls: each alone if that will do, halves, all but one."""
    if len(calls) > 1:
        yield tuple(calls[:1])
        half = len(calls) // 2
        yield tuple(calls[:half])
        yield tuple(calls[half:])
        for number in range(len(calls)):
            yield tuple(call for other, call in enumerate(calls) if other != number)


def _size(plan: Plan) -> int:
    return len(plan.steps) + sum(len(step.calls) for step in plan.steps if isinstance(step, Report))


def shrink(plan: Plan, found: Found, seconds: float) -> Shrunk:
    """The smallest failing simulation that can be found in so much time of the processor."""
    end = time.process_time() + seconds
    start = Shrunk(replace(plan, steps=plan.steps[: found.number + 1]), found)
    with same_clients():
        return _Shrinker(start, lambda: time.process_time() < end).shrink()


# --- as Python --------------------------------------------------------------------------------------------------------


def as_python(plan: Plan) -> str:
    """The simulation as an expression for a test."""
    steps = "".join(f"        {_written(step)},\n" for step in plan.steps)
    return (
        f"Plan(\n    seed={plan.seed},\n    rate={plan.rate},\n    release_days={plan.release_days},\n"
        f"    steps=(\n{steps}    ),\n)"
    )


def _written(value: Any) -> str:
    """A value as it is written in a test: times as `at("...")`, days as `day("...")`, what is as usual left out."""
    if isinstance(value, datetime):
        return f'at("{value.replace(tzinfo=None).isoformat(" ")}")'
    if isinstance(value, date):
        return f'day("{value.isoformat()}")'
    if isinstance(value, Decimal):
        return f'Decimal("{value}")'
    if isinstance(value, tuple) and not hasattr(value, "_fields"):
        inner = ", ".join(map(_written, value))
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    if isinstance(value, Step | Call) or hasattr(value, "__dataclass_fields__"):
        parts = [f"{one.name}={_written(getattr(value, one.name))}" for one in fields(value) if _is_told(value, one)]
        return f"{type(value).__name__}({', '.join(parts)})"
    return f'"{value}"' if isinstance(value, str) and '"' not in value else pprint.pformat(value)


def _is_told(value: Any, one: Any) -> bool:
    return bool(getattr(value, one.name) != one.default)
