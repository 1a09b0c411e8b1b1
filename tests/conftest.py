"""No test may write secrets or personal data (tests/support/leaks.py), or leave traces; how property tests run.

They have no time limit, and in CI (`CI` set) the same examples every time.

`pytest --hypothesis-profile=thorough` looks much harder.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.support.leaks import pytest_configure, pytest_runtest_makereport

__all__ = ["pytest_configure", "pytest_runtest_makereport"]

# A machine that is busy with something else is no reason to fail.
_SLOW_MACHINE = (HealthCheck.too_slow,)

settings.register_profile("dev", deadline=None, max_examples=100, suppress_health_check=_SLOW_MACHINE)
settings.register_profile("ci", settings.get_profile("dev"), derandomize=True, database=None, print_blob=True)
settings.register_profile("thorough", settings.get_profile("dev"), max_examples=3000)
settings.load_profile("ci" if os.environ.get("CI") else "dev")


def pytest_sessionstart() -> None:
    """Keep each of several workers on a core of its own.

    Threads of the fault harness run one at a time and take turns at every AWS call; from core to core such a turn takes
    three times as long.
    """
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker and sys.platform == "linux":
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[int(worker.removeprefix("gw")) % len(cores)]})


@pytest.fixture(autouse=True, scope="module")
def _environment_stays() -> Iterator[None]:
    """No module leaves the environment changed: what comes after it would depend on the order."""
    before = _environment()
    yield
    after = _environment()
    assert after == before


def _environment() -> dict[str, str]:
    """Without what pytest itself tells."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
