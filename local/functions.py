"""Calls the stack's Lambda functions in the embedded cloud."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from collections.abc import Mapping

PAYLOAD_LIMIT = 6 * 1024 * 1024
"""Bytes of a Lambda payload, either way."""
ALIAS = "live"
"""What everything calls, as in the cloud; it names a version of the function."""
_TIMED_OUT = {"Sandbox.Timedout"}


@dataclass
class FunctionFailedError(Exception):
    """The function raised, or gave more than Lambda passes on."""

    function: str
    kind: str
    message: str

    def __str__(self) -> str:
        """The function and what it raised."""
        return f"{self.function}: {self.kind}: {self.message}"


class FunctionUnavailableError(Exception):
    """The function did not answer in time, or was not reached; it may or may not have run."""


class Functions:
    """The functions of a stack, by logical id."""

    def __init__(self, client: Any, resources: Mapping[str, str]) -> None:
        """Take a Lambda client and the stack's physical ids."""
        self._client = client
        self._resources = resources

    def call(self, function: str, payload: bytes) -> bytes:
        """What the function returns, as JSON. Raises FunctionFailedError, FunctionUnavailableError."""
        try:
            answer = self._client.invoke(FunctionName=self._resources[function], Qualifier=ALIAS, Payload=payload)
            result: bytes = answer["Payload"].read()
        except (BotoCoreError, ClientError, OSError) as error:
            msg = f"{function}: {error}"
            raise FunctionUnavailableError(msg) from error
        if "FunctionError" in answer:
            about = json.loads(result)
            kind = str(about.get("errorType", answer["FunctionError"])) if isinstance(about, dict) else "Error"
            message = str(about.get("errorMessage", "")) if isinstance(about, dict) else str(about)
            if kind in _TIMED_OUT:
                msg = f"{function}: {message}"
                raise FunctionUnavailableError(msg)
            raise FunctionFailedError(function, kind, message)
        if len(result) > PAYLOAD_LIMIT:
            raise FunctionFailedError(function, "Function.ResponseSizeTooLarge", f"{len(result)} bytes")
        return result
