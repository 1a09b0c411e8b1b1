"""Waiting for several AWS calls at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol


class Run(Protocol):
    """Runs tasks, one after the other or side by side, and gives their results in order."""

    def __call__[T](self, tasks: Iterable[Callable[[], T]]) -> list[T]:
        """Run them all. Raises what the first failing task raised."""


def in_turn[T](tasks: Iterable[Callable[[], T]]) -> list[T]:
    """One task after the other."""
    return [task() for task in tasks]


def side_by_side[T](tasks: Iterable[Callable[[], T]], workers: int = 8) -> list[T]:
    """Each in a thread of its own, `workers` at once: they wait for AWS most of their time."""
    listed = list(tasks)
    if len(listed) <= 1:
        return in_turn(listed)
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(lambda task: task(), listed))
