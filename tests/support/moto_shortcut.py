"""A shorter way to moto's DynamoDB, past the wire: that is most of a call's time and nothing that a test is about.

The service that answers is moto's own. Left out are botocore's HTTP request and what both do to write and read JSON;
that changes no answer, which `tests/adapters/test_moto_shortcut.py` holds. What the service refuses goes the whole way
once more, so that errors are botocore's.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from unittest import mock

from botocore.client import BaseClient
from botocore.validate import validate_parameters

OPERATIONS: Mapping[str, str] = {
    "BatchGetItem": "batch_get_item",
    "DeleteItem": "delete_item",
    "GetItem": "get_item",
    "PutItem": "put_item",
    "Query": "query",
    "TransactGetItems": "transact_get_items",
    "TransactWriteItems": "transact_write_items",
    "UpdateItem": "update_item",
}
"""What takes the short way, and what moto calls it."""
# Without types for what is used of them.
_responses: Any = importlib.import_module("moto.dynamodb.responses")
_exceptions: Any = importlib.import_module("moto.core.exceptions")
_ACCOUNT: str = importlib.import_module("moto.core").DEFAULT_ACCOUNT_ID
_REFUSALS = (_exceptions.ServiceException, _exceptions.HTTPException)


@contextmanager
def shortcut() -> Iterator[None]:
    """Let the calls of all clients take it while moto is active."""
    whole_way: Any = BaseClient._make_api_call  # type: ignore[attr-defined]

    def make_api_call(client: Any, operation: str, parameters: Mapping[str, Any]) -> Any:
        service = client.meta.service_model
        if service.service_name != "dynamodb" or operation not in OPERATIONS:
            return whole_way(client, operation, parameters)
        model = service.operation_model(operation)
        given = client._emit_api_params(parameters, model, {"client_region": client.meta.region_name})
        validate_parameters(given, model.input_shape)
        handler = _responses.DynamoHandler()
        handler.current_account, handler.region = _ACCOUNT, client.meta.region_name
        handler.params = handler.body = _copy(given)
        try:
            result = getattr(handler, OPERATIONS[operation])().result
        except _REFUSALS:
            return whole_way(client, operation, parameters)
        shown = {name: _copy(result[name]) for name in model.output_shape.members if name in result}
        return {**shown, "ResponseMetadata": {"HTTPStatusCode": 200}}

    with mock.patch.object(BaseClient, "_make_api_call", make_api_call):
        yield


def _copy(value: Any) -> Any:
    """As if it had gone over the wire: nothing is shared with what the service keeps."""
    if isinstance(value, Mapping):
        return {name: _copy(one) for name, one in value.items()}
    return [_copy(one) for one in value] if isinstance(value, list | tuple | set) else value
