"""Faults behind the API: what is answered, and the metrics that tell how often."""

from __future__ import annotations

from aws_platform import metrics, problems
from aws_platform.failures import is_temporary
from aws_platform.problems import Problem


def answer_to(error: Exception) -> Problem:
    """The answer to a request that failed: 503 where it may be sent again, 500 where the fault is ours."""
    temporary = is_temporary(error)
    metrics.publish("api", {"TryAgainAnswers" if temporary else "InternalErrors": 1})
    return problems.try_again() if temporary else problems.internal_error()
