"""One seed from the plan to what is said of it."""

from __future__ import annotations

import time

from tests.simulation.plan import plan
from tests.simulation.shrink import as_python, shrink
from tests.simulation.simulation import play

SHRINKING_SECONDS = 600.0
"""Of the processor, for one seed."""


def run(seed: int, accounts: int, days: int | None = None) -> tuple[bool, str]:
    """Play a seed; whether it is without a difference, and what to say of it."""
    begun = time.process_time()
    made = plan(seed, accounts, days)
    played = play(made)
    cost = time.process_time() - begun
    line = (
        f"seed {seed}: {'a DIFFERENCE' if played.found else 'no difference'}, {played.steps} steps, "
        f"{played.looks} looks, {played.glances} glances, {played.calls} calls, {played.faults} faults, "
        f"{cost:.1f} CPU s"
    )
    if played.found is None:
        return True, line
    shrunk = shrink(made, played.found, SHRINKING_SECONDS)
    told = [line, str(played.found), "Shrunk, for FOUND in tests/simulation/found.py:", as_python(shrunk.plan)]
    return False, "\n".join([*told, f"which differs {shrunk.found}"])
