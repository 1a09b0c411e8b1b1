"""What can go wrong at AWS, sorted by what the caller may do about it. Matched by code, never by text."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any

from botocore.exceptions import ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as NoConnectionError

CONDITION_FAILED = "ConditionalCheckFailedException"
TRANSACTION_CANCELED = "TransactionCanceledException"
_CONFLICTS = {"TransactionConflict", "TransactionConflictException", "TransactionInProgressException"}
_THROTTLES = {
    "ProvisionedThroughputExceededException",
    "ProvisionedThroughputExceeded",
    "RequestLimitExceeded",
    "ThrottlingException",
    "ThrottlingError",
}
_SERVER_ERRORS = {
    "InternalServerError",
    "ServiceUnavailable",
    "InternalFailure",
    "ServiceUnavailableException",
}
_CONNECTION_ERRORS = (NoConnectionError, HTTPClientError)

ATTEMPTS = 8
"""Tries of one write that others contend for."""
_FIRST_WAIT_SECONDS = 0.01
_LONGEST_WAIT_SECONDS = 0.4


class TryAgainError(Exception):
    """Nothing is wrong with the request, but it could not be finished now; sending all of it again is safe."""


def error_code(error: BaseException) -> str:
    """The AWS error code, or an empty string for anything else."""
    if isinstance(error, ClientError):
        return str(error.response.get("Error", {}).get("Code", ""))
    return ""


def cancellation_codes(error: BaseException) -> list[str]:
    """The reason for each item of a cancelled transaction, `None` for those that were in order."""
    if error_code(error) != TRANSACTION_CANCELED or not isinstance(error, ClientError):
        return []
    reasons: list[dict[str, Any]] = error.response.get("CancellationReasons", [])  # type: ignore[assignment]
    return [str(reason.get("Code", "None")) for reason in reasons]


def is_condition_failure(error: BaseException) -> bool:
    """Somebody else changed what the write was based on: read again."""
    return error_code(error) == CONDITION_FAILED or "ConditionalCheckFailed" in cancellation_codes(error)


class UnlessOvertaken:
    """A conditional write inside is left undone where its condition fails: somebody was faster, and that is fine."""

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """Pass over the failed condition, and nothing else."""
        return error is not None and is_condition_failure(error)


def is_contention(error: BaseException) -> bool:
    """The write did not happen because of load or of another writer: wait and try again."""
    codes = {error_code(error), *cancellation_codes(error)}
    return bool(codes & (_CONFLICTS | _THROTTLES))


def is_unknown_outcome(error: BaseException) -> bool:
    """The write may or may not have happened: look before trying again."""
    return isinstance(error, _CONNECTION_ERRORS) or error_code(error) in _SERVER_ERRORS


def is_retriable(error: BaseException) -> bool:
    """The write may be tried again, after a look at what is there now."""
    return is_condition_failure(error) or is_contention(error) or is_unknown_outcome(error)


def is_temporary(error: BaseException) -> bool:
    """Nothing is wrong with the request: the same one, sent again, may be answered."""
    return isinstance(error, TryAgainError) or is_contention(error) or is_unknown_outcome(error)


def sleep(seconds: float) -> None:
    """Wait. The one place that does, so that tests need not."""
    time.sleep(seconds)


def attempts(limit: int = ATTEMPTS, jitter: Callable[[], float] = random.random) -> Iterator[int]:
    """The numbers of the tries, with a growing, jittered wait before all but the first."""
    for number in range(limit):
        if number:
            sleep(min(_LONGEST_WAIT_SECONDS, _FIRST_WAIT_SECONDS * 2**number) * (0.5 + jitter() / 2))
        yield number
