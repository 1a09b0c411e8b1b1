"""Runs the parts of the benchmark, each in a process of its own, and prints what they say."""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from importlib import import_module
from multiprocessing import get_context

from bench.figures import Section, render

PARTS = (
    "metering",
    "handler_cpu",
    "settling",
    "prepaid",
    "sweeping",
    "reading",
    "exporting",
    "costs",
    "cold_start",
    "visibility",
)


def run(parts: Sequence[str] = PARTS) -> int:
    """Measure and print.

    Returns:
        0, or 1 when something could not be measured; a missed target is no failure.
    """
    missed, failed = [], False
    for part in parts:
        began = time.monotonic()
        with ProcessPoolExecutor(1, get_context("spawn"), _silence) as pool:
            try:
                sections = pool.submit(measure, part).result()
            except Exception:  # noqa: BLE001 - the other parts go on
                traceback.print_exc()
                failed = True
                continue
        for section in sections:
            print(render(section), flush=True)
            missed += [figure.name for figure in section.figures if figure.missed]
        print(f"({part} took {time.monotonic() - began:.0f} s)\n", flush=True, file=sys.stderr)
    print(f"Missed: {'; '.join(missed) or 'nothing'}.")
    return 1 if failed else 0


def measure(part: str) -> list[Section]:
    """What one part says."""
    function: Callable[[], Section | list[Section]] = import_module(f"bench.{part}").measure
    sections = function()
    return sections if isinstance(sections, list) else [sections]


def _silence() -> None:
    """The functions log to standard output, where the table belongs; so do processes that are started from here."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
