"""AWS clients without AWS: an object that answers at once, and real clients whose answers come without a network."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from io import BytesIO
from typing import Any

from botocore import xform_name
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders

from aws_platform import keys
from aws_platform.accounts import account_to_item
from bench.scene import open_account

NOWHERE = "http://127.0.0.1:9"
"""An endpoint where nobody listens."""

TAKEN: dict[str, Any] = {"FailedPutCount": 0, "RequestResponses": []}
"""The answer of Firehose to a PutRecordBatch of which it has taken all."""

type Answer = Callable[[str, Mapping[str, Any]], dict[str, Any]]
"""From an operation and its parameters to what the client gives back."""


@dataclass(frozen=True, slots=True)
class Instant:
    """In place of a client: every operation is answered by a function."""

    answer: Answer

    def __getattr__(self, method: str) -> Callable[..., dict[str, Any]]:
        """The operation of this name."""
        operation = "".join(word.capitalize() for word in method.split("_"))
        return lambda **parameters: self.answer(operation, parameters)


@dataclass(slots=True)
class Replayed:
    """In place of a client: gives recorded answers in the order in which they were recorded."""

    answers: Sequence[tuple[str, dict[str, Any]]]
    _given: int = 0

    def rewind(self) -> None:
        """Begin anew with the first answer."""
        self._given = 0

    def __getattr__(self, method: str) -> Callable[..., dict[str, Any]]:
        """The operation of this name. It raises ValueError where another one was recorded next."""

        def give(**_: Any) -> dict[str, Any]:
            operation, parsed = self.answers[self._given]
            self._given += 1
            if xform_name(operation) != method:
                message = f"{operation} was recorded, and {method} is called"
                raise ValueError(message)
            return parsed

        return give


class _Raw(BytesIO):
    """A body as urllib3 hands it over."""

    def stream(self, **_: Any) -> Iterator[bytes]:
        """All of it at once."""
        yield self.read()


def without_network(client: Any, answer: Callable[[str], bytes]) -> None:
    """Have a real client get its responses, by operation, from a function in place of the network."""

    def respond(request: Any, **_: Any) -> AWSResponse:
        # Services that are asked by path have no such header; then there is one operation.
        operation = request.headers.get("X-Amz-Target", b"").decode().rpartition(".")[2]
        body = answer(operation)
        headers = HTTPHeaders.from_dict(
            {"content-type": "application/x-amz-json-1.0", "content-length": str(len(body))}
        )
        return AWSResponse(request.url, 200, headers, _Raw(body))

    client.meta.events.register("before-send.*.*", respond)


def as_json(answer: Mapping[str, Any]) -> bytes:
    """An answer as DynamoDB sends it: binary values in base64."""
    sent = {name: value for name, value in answer.items() if name != "ResponseMetadata"}
    return json.dumps(sent, default=lambda content: b64encode(content).decode()).encode()


def open_accounts(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The answer to a BatchGetItem: every account that is asked for exists and is open, and nothing else does."""
    found = {}
    for table, wanted in parameters["RequestItems"].items():
        partitions = [key["pk"]["S"] for key in wanted["Keys"]]
        ids = [name.removeprefix(keys.ledger("")) for name in partitions if name.startswith(keys.ledger(""))]
        found[table] = [account_to_item(open_account(account_id, Decimal(0))) for account_id in ids]
    return {"Responses": found, "UnprocessedKeys": {}}
