"""Runs simulated years by their seeds, several side by side, and shrinks what differs: `make simulate SEEDS=1-200`."""

from __future__ import annotations

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial

from tests.simulation.seeds import run


def say(line: str) -> None:
    """Tell it at once: the next line may take a minute."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> int:
    """Run the seeds that were asked for."""
    parser = argparse.ArgumentParser(prog="make simulate")
    parser.add_argument("--seeds", default="1-200", help="a seed, or the first and the last one: 1-200")
    parser.add_argument("--accounts", type=int, default=50)
    parser.add_argument("--days", type=int, default=None, help="only so many days of the year")
    parser.add_argument("--jobs", type=int, default=2)
    given = parser.parse_args()
    first, _, last = given.seeds.partition("-")
    seeds = range(int(first), int(last or first) + 1)
    differing = []
    with ProcessPoolExecutor(given.jobs, max_tasks_per_child=1) as pool:
        # Processes end with their seed: what a long-lived one gathers would slow down the next.
        one = partial(run, accounts=given.accounts, days=given.days)
        for seed, (good, told) in zip(seeds, pool.map(one, seeds), strict=True):
            say(told)
            if not good:
                differing.append(seed)
    say(f"{len(seeds)} seeds of {given.accounts} accounts, with a difference: {differing or 'none'}")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
