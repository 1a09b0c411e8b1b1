"""The simulated year in short: nothing differs, whatever was found stays found, and the simulation bites."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from decimal import ROUND_DOWN, Decimal
from pathlib import Path
from typing import Any

import pytest

from aws_platform import due
from rating import money
from rating.allocation import Package, Source
from tests.faults.support import without_late_marks
from tests.simulation import steps
from tests.simulation.callers import DAY
from tests.simulation.found import FOUND
from tests.simulation.lives import KINDS
from tests.simulation.plan import Plan, only, plan
from tests.simulation.shrink import as_python, shrink
from tests.simulation.simulation import Found, play
from tests.simulation.steps import Look, OfAccount, Step

ROOT = Path(__file__).parents[2]
WEEK = {"arrears", "stopped", "resumed", "released", "refund_completed", "order", "settlement", "adjustment"}
MONTHS_END = {"package_delivered", "prepay_purchase", "prepay_refund", "precision_difference"}
SHORT = ((3, len(KINDS), 8, WEEK), (5, 3, 14, WEEK | MONTHS_END), (1, 2, 32, MONTHS_END))
"""Seeds, accounts, days, and what comes to pass: all kinds for a week, the 29th of a February, the end of a month."""
OURS = ("rating", "aws_platform", *(path.name for path in (ROOT / "functions").iterdir() if path.is_dir()))
FEW_STEPS = 9
SHRINKING_SECONDS = 60.0

_rank: Callable[[Package], tuple[Any, ...]] = vars(Package)["rank"].fget


@pytest.mark.parametrize("seed, accounts, days, reached", SHORT)
def test_short_simulations(seed: int, accounts: int, days: int, reached: set[str]) -> None:
    """Whatever some accounts do for some weeks, under faults, all that they see is what the model says."""
    played = play(plan(seed, accounts, days))
    assert played.found is None, str(played.found)
    assert reached <= played.reached
    assert played.looks > 20
    assert played.glances >= 10
    assert played.faults > 0


def test_short_simulations_have_steps_of_all_kinds() -> None:
    """Nothing that accounts and operators can do is left to the long ones."""
    done = {type(step) for seed, accounts, days, _ in SHORT for step in plan(seed, accounts, days).steps}
    kinds = {one for one in vars(steps).values() if isinstance(one, type) and issubclass(one, Step)}
    assert done == kinds - {Step, OfAccount}


@pytest.mark.parametrize("seed", range(4))
def test_every_day_is_compared(seed: int) -> None:
    """Product and model are compared each day of the year, for time alone changes accounts too; always under faults."""
    made = plan(seed, accounts=3)
    looks = [step.at.date() for step in made.steps if isinstance(step, Look)]
    assert looks == [looks[0] + number * DAY for number in range(len(looks))]
    assert len(looks) >= 365
    assert made.rate > 0


def test_the_model_stands_alone() -> None:
    """The model and what it imports do so without layers and functions at hand, so it can share nothing with them."""
    script = f"import sys, tests.simulation.model; print(sorted(set({OURS}) & set(sys.modules)))"
    told = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env={"PYTHONPATH": "."}, check=True, capture_output=True, text=True
    )
    assert told.stdout.strip() == "[]"


@pytest.mark.parametrize("name", FOUND)
def test_what_was_found_once(name: str) -> None:
    """What differed once differs no more."""
    played = play(FOUND[name])
    assert played.found is None, str(played.found)


def test_a_seed_is_a_simulation() -> None:
    """The same seed makes the same steps, and an account's steps do not depend on how many others there are."""
    made = plan(7, 6, 90)
    assert made == plan(7, 6, 90) != plan(8, 6, 90)
    assert only(made, ["acct-01"]).accounts == ("acct-01",)


# --- it bites ---------------------------------------------------------------------------------------------------------


def caught(first: int) -> tuple[Plan, Found]:
    """The first difference that some seed finds in ten days of one account, without faults."""
    for seed in range(first, first + 20):
        made = replace(plan(seed, accounts=1, days=10), rate=0.0)
        found = play(made).found
        if found is not None:
            return made, found
    message = "no seed has found anything"
    raise AssertionError(message)


def paid_first(package: Package) -> tuple[Any, ...]:
    """As `Package.rank`, but gifts come last."""
    return (package.source is Source.GIFT, *_rank(package)[1:])


def rounded_down(amount: Decimal) -> Decimal:
    """As `money.round_to_fen`, but always down."""
    return amount.quantize(Decimal("0.01"), ROUND_DOWN)


def test_a_wrong_order_of_use_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where paid packages are used before gifts some customer sees it."""
    monkeypatch.setattr(Package, "rank", property(paid_first))
    _, found = caught(8)
    assert any("packages" in what or "refund" in what for what in found.what)


SHRINKING: dict[str, tuple[object, str, Any, int, str]] = {
    "rounding": (money, "round_to_fen", rounded_down, 5, "Report(at=at("),
    "late marks": (due, "_waiting", without_late_marks, 19, "Run(at=at("),
}
"""What is broken, and how; the first seed that is tried, and a step that it takes."""


@pytest.mark.parametrize("what", SHRINKING)
def test_a_difference_shrinks(monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    """What a broken product does differently shrinks to a few steps, written as a test has them."""
    where, name, broken, first, needed = SHRINKING[what]
    monkeypatch.setattr(where, name, broken)
    shrunk = shrink(*caught(first), SHRINKING_SECONDS)
    written = as_python(shrunk.plan)
    assert len(shrunk.plan.steps) <= FEW_STEPS, written
    assert needed in written
    monkeypatch.undo()
    assert play(shrunk.plan).found is None
