"""What the harness raises.

The first three derive from ``BaseException`` so that no ``except Exception`` of the code under test can swallow them.
"""

from __future__ import annotations

import pytest


class WorkerCrashed(BaseException):
    """The process died here: nothing after this point of the code under test may have an effect."""


class Abandoned(BaseException):
    """The scheduler gives up this schedule (already covered, or one worker failed)."""


class HarnessError(BaseException):
    """The harness cannot go on: an operation that it does not emulate, a deadlock, an endless retry."""


BROKEN: tuple[type[BaseException], ...] = (Exception, pytest.fail.Exception)
"""What a check may raise to say that a property does not hold; ``pytest.fail`` is no ``Exception``."""


class FaultFound(AssertionError):  # noqa: N818 - it is a finding
    """A property does not hold under a fault; the message has the fault, the trace and how to play it again."""
