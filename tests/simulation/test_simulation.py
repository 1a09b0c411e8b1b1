"""The simulated year in short: nothing differs, whatever was found stays found, and the simulation bites."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from decimal import ROUND_DOWN, Decimal
from typing import Any

import pytest

from aws_platform import due
from rating import money
from rating.allocation import Package, Source
from tests.simulation.found import FOUND
from tests.simulation.plan import Plan, only, plan
from tests.simulation.shrink import as_python, shrink
from tests.simulation.simulation import Found, play

SHORT = ((3, 10, 8), (5, 3, 14), (1, 2, 32))
"""Seeds, accounts, days: all kinds for a week with faults, the 29th of a February, the end of a month."""
FEW_STEPS = 9
SHRINKING_SECONDS = 60.0

_is_due = due._is_due
_rank: Callable[[Package], tuple[Any, ...]] = vars(Package)["rank"].fget


@pytest.mark.parametrize("seed, accounts, days", SHORT)
def test_short_simulations(seed: int, accounts: int, days: int) -> None:
    """Whatever some accounts do for some weeks, under faults, all that they see is what the model says."""
    played = play(plan(seed, accounts, days))
    assert played.found is None, str(played.found)
    assert played.looks > 20
    assert played.faults > 0


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


def without_late_marks(item: Any, run_day: date) -> bool:
    """As `due._is_due`, but blind for late marks."""
    return not item["sk"]["S"].startswith("L#") and _is_due(item, run_day)


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
    "late marks": (due, "_is_due", without_late_marks, 19, "Run(at=at("),
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
