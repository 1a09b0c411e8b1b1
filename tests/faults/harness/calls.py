"""One attempt of one AWS call, as it crosses the wire."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from .dynamodb import DynamoDB
from .expressions import Bindings, bind, key_condition
from .values import Refused, order

type Cell = tuple[str, ...]

_ITEM_READS = frozenset({"GetItem", "TransactGetItems", "BatchGetItem"})
_MANY = frozenset({"Query", "Scan"})
_SENDING: dict[str, frozenset[Cell]] = {
    **dict.fromkeys(("sesv2", "sns", "https"), frozenset({("sent",)})),
    "events": frozenset({("bus",), ("queue",)}),
}
"""Of an event nobody here knows to which queues it goes."""


_ADDRESSED: dict[str, Callable[[dict[str, Any]], object]] = {
    "SendEmail": lambda body: ",".join(body["Destination"]["ToAddresses"]),
    "Publish": lambda body: body.get("PhoneNumber"),
    "POST": lambda body: body["url"],
}


@dataclass(frozen=True, eq=False)
class Call:
    """One attempt; attempts of the same API call share ``invocation`` (the SDK's own header)."""

    service: str
    operation: str
    body: dict[str, Any]
    invocation: str = ""
    attempt: int = 1

    def __str__(self) -> str:
        """Return what a trace shows: the operation and the keys it names."""
        again = f" (attempt {self.attempt})" if self.attempt > 1 else ""
        return f"{self.service}.{self.operation} {_brief(self.operation, self.body)}{again}"


def _brief(operation: str, body: dict[str, Any]) -> str:
    if operation.startswith("Transact"):
        parts = [f"{kind} {_one(request)}" for one in body["TransactItems"] for kind, request in one.items()]
        return f"[{', '.join(parts)}]"
    if operation.startswith("Batch"):
        return ", ".join(f"{name}x{len(_keys(one))}" for name, one in body["RequestItems"].items())
    if operation == "PutEvents":
        return f"{body['Entries'][0].get('EventBusName', '')}x{len(body['Entries'])}"
    if operation in _ADDRESSED:
        return str(_ADDRESSED[operation](body))
    if operation == "SendMessageBatch":
        return f"{body['QueueUrl'].rpartition('/')[2]}x{len(body['Entries'])}"
    return body["QueueUrl"].rpartition("/")[2] if "QueueUrl" in body else _one(body)


def _keys(request: Any) -> list[Any]:
    return list(request["Keys"] if isinstance(request, dict) else request)


def _one(body: dict[str, Any]) -> str:
    keys = body.get("Key") or body.get("Item") or body.get("ExpressionAttributeValues") or {}
    shown = [str(next(iter(value.values()))) for value in keys.values()][:2]
    index = f"/{body['IndexName']}" if "IndexName" in body else ""
    return f"{body.get('TableName', '')}{index}{{{', '.join(shown)}}}"


@dataclass(frozen=True)
class Footprint:
    """What a call reads and writes, as cells: a table, a partition of it, or one item. ``()`` is everything."""

    reads: frozenset[Cell]
    writes: frozenset[Cell]

    def independent(self, other: Footprint) -> bool:
        """Return whether the order of the two calls can make no difference."""
        return not (
            _touch(self.writes, other.writes) or _touch(self.writes, other.reads) or _touch(self.reads, other.writes)
        )


def _touch(left: Iterable[Cell], right: Iterable[Cell]) -> bool:
    return any(a[: len(b)] == b[: len(a)] for a in left for b in right)


def footprint(call: Call, database: DynamoDB) -> Footprint:
    """Return what a call reads and writes; everything, where the harness does not know."""
    everything = Footprint(frozenset({()}), frozenset({()}))
    if call.service == "sqs":
        return Footprint(frozenset(), frozenset({("queue", str(call.body.get("QueueUrl")))}))
    if call.service != "dynamodb":
        return Footprint(frozenset(), _SENDING[call.service]) if call.service in _SENDING else everything
    try:
        if call.operation in _MANY:
            return Footprint(frozenset({_range(call.body, database)}), frozenset())
        cells = frozenset(_cells(call, database))
    except (Refused, KeyError, ValueError):
        return everything
    if call.operation in _ITEM_READS:
        return Footprint(cells, frozenset())
    return Footprint(frozenset(), cells)


def _cell(body: dict[str, Any], database: DynamoDB) -> Cell:
    table = database.table(body["TableName"])
    keys = body.get("Key") or body["Item"]
    return (table.name, *(repr(order(keys[name])) for name in table.key_names))


def _cells(call: Call, database: DynamoDB) -> list[Cell]:
    body = call.body
    if call.operation.startswith("Transact"):
        return [_cell(request, database) for one in body["TransactItems"] for request in one.values()]
    if call.operation == "BatchGetItem":
        return [
            _cell({"TableName": name, "Key": key}, database)
            for name, request in body["RequestItems"].items()
            for key in request["Keys"]
        ]
    if call.operation == "BatchWriteItem":
        return [
            _cell({"TableName": name, **request}, database)
            for name, requests in body["RequestItems"].items()
            for one in requests
            for request in one.values()
        ]
    if call.operation in {"GetItem", "PutItem", "UpdateItem", "DeleteItem"}:
        return [_cell(body, database)]
    return [()]


def _range(body: dict[str, Any], database: DynamoDB) -> Cell:
    table = database.table(body["TableName"])
    index = table.indexes.get(body.get("IndexName", ""), table.base)
    if index.is_global or "KeyConditionExpression" not in body:
        return (table.name,)
    bindings = Bindings.of(body)
    (node,) = bind("KeyConditionExpression", body["KeyConditionExpression"], bindings)
    ((_, (wanted,)),) = key_condition(node, bindings)[index.hash]
    return (table.name, repr(order(wanted)))
