"""A shorter way for calls that no fault strikes: past botocore, which is most of the time of a call.

What botocore does to such a call changes nothing about it: it checks and writes the parameters and reads the answer. A
call that a fault strikes, or that the service refuses, takes the whole way, with botocore's own retries and errors. The
tests of the harness itself go the whole way always.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from . import _sdk
from .calls import Call
from .values import Refused
from .world import World

_SERVICES = frozenset({"dynamodb", "firehose", "sqs"})


@contextmanager
def shortcut(world: World) -> Iterator[None]:
    """Let calls of boto3's clients take the short way."""
    whole_way = _sdk.BaseClient._make_api_call

    def make_api_call(client: Any, operation: str, parameters: Any) -> Any:
        service = client.meta.service_model.service_name
        if service in _SERVICES:
            try:
                answer = world.unstruck(Call(service, operation, _written(parameters)))
            except Refused:
                answer = None
            if answer is not None:
                return {**_read(answer), "ResponseMetadata": {"HTTPStatusCode": 200}}
        return whole_way(client, operation, parameters)

    with mock.patch.object(_sdk.BaseClient, "_make_api_call", make_api_call):
        yield


def _written(value: Any) -> Any:
    """Parameters as the wire carries them."""
    if isinstance(value, dict):
        return {name: one if type(one) is str else _written(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_written(one) for one in value]
    return base64.b64encode(value).decode() if isinstance(value, bytes | bytearray) else value


def _read(value: Any) -> Any:
    """An answer as boto3 gives it: a copy, with bytes where the wire has base64."""
    if isinstance(value, dict):
        if len(value) == 1 and isinstance(value.get("B"), str):
            return {"B": base64.b64decode(value["B"])}
        return {name: one if type(one) is str else _read(one) for name, one in value.items()}
    return [_read(one) for one in value] if isinstance(value, list) else value
