"""An in-memory DynamoDB for one thread at a time: every call is atomic, so only real interleavings are seen.

Why not moto: a transaction there copies the whole table and its stream history (33 ms for ten items, 600 ms for
forty, growing with every write), tokens are ignored, and an update of a missing item shows a half-made item in the
stream. This one is small, keeps items immutable (a snapshot is a shallow copy), remembers tokens for ten minutes,
writes the stream in commit order, and refuses loudly whatever it does not emulate. A self test runs it side by side
with moto on thousands of random calls.
"""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from .clock import REGION, Clock
from .errors import HarnessError
from .expressions import Bindings, bind, holds, key_condition, meets, project, updated
from .values import Item, Order, Refused, canonical, invalid, order, size_of, type_of

PAGE_BYTES = 1_048_576
ITEM_BYTES = 400 * 1024
TRANSACTION_BYTES = 4 * 1_048_576
TRANSACTION_ITEMS = 100
BATCH_GET_KEYS = 100
BATCH_WRITE_ITEMS = 25
TOKEN_SECONDS = 600.0
HISTORY = 64
PARTITION_KEY_BYTES = 2048
SORT_KEY_BYTES = 1024

_NOT_FOUND = "Requested resource not found"
_EXPRESSIONS = {"ExpressionAttributeNames", "ExpressionAttributeValues"}
_TELLING = {"ReturnConsumedCapacity", "ReturnItemCollectionMetrics"}
_CHECKED = {"ConditionExpression", "ReturnValuesOnConditionCheckFailure", *_EXPRESSIONS}
_READING = {"TableName", "ProjectionExpression", "ConsistentRead", "ExpressionAttributeNames", *_TELLING}
_PAGING = {*_READING, *_EXPRESSIONS, "IndexName", "FilterExpression", "Limit", "ExclusiveStartKey", "Select"}
_ALLOWED: dict[str, set[str]] = {
    "GetItem": {*_READING, "Key"},
    "PutItem": {"TableName", "Item", "ReturnValues", *_CHECKED, *_TELLING},
    "UpdateItem": {"TableName", "Key", "UpdateExpression", "ReturnValues", *_CHECKED, *_TELLING},
    "DeleteItem": {"TableName", "Key", "ReturnValues", *_CHECKED, *_TELLING},
    "Query": {*_PAGING, "KeyConditionExpression", "ScanIndexForward"},
    "Scan": _PAGING,
    "BatchGetItem": {"RequestItems", "ReturnConsumedCapacity"},
    "BatchWriteItem": {"RequestItems", *_TELLING},
    "TransactGetItems": {"TransactItems", "ReturnConsumedCapacity"},
    "TransactWriteItems": {"TransactItems", "ClientRequestToken", *_TELLING},
    "DescribeTable": {"TableName"},
    "DeleteTable": {"TableName"},
    "UpdateTimeToLive": {"TableName", "TimeToLiveSpecification"},
}
_IN_TRANSACTION = {
    "Put": {"TableName", "Item", *_CHECKED},
    "Update": {"TableName", "Key", "UpdateExpression", *_CHECKED},
    "Delete": {"TableName", "Key", *_CHECKED},
    "ConditionCheck": {"TableName", "Key", *_CHECKED},
}

type Key = tuple[Order, Order]
type Body = dict[str, Any]
type Partitions = dict[Order, dict[Order, Item]]


class Index(NamedTuple):
    """The table's own order, or that of a secondary index."""

    hash: str
    range: str | None
    projected: frozenset[str] | None  # None: everything
    is_global: bool = False


class Change(NamedTuple):
    """What one write does to one item."""

    table: Table
    key: Key
    before: Item | None
    after: Item | None


@dataclass
class Table:
    """A table: its keys and indexes, its items by partition and sort key, its stream so far."""

    name: str
    types: dict[str, str]
    base: Index
    indexes: dict[str, Index] = field(default_factory=dict)
    view: str | None = None
    partitions: Partitions = field(default_factory=dict)
    stream: list[Body] = field(default_factory=list)
    _sorted: dict[Order, list[Order]] = field(default_factory=dict)
    """Sort keys of the partitions that were queried, in order."""
    _found: dict[str, dict[Order, dict[Key, Item]]] = field(default_factory=dict)
    """Items of the global indexes that were queried, by the index's own partition."""
    _sizes: dict[int, int] = field(default_factory=dict)
    """Sizes of items that are here and were read, by their ``id``."""

    @property
    def key_names(self) -> list[str]:
        """Names of the key attributes."""
        return [name for name in (self.base.hash, self.base.range) if name]

    @property
    def stream_arn(self) -> str:
        """The name of the table's stream."""
        return f"arn:aws:dynamodb:{REGION}:000000000000:table/{self.name}/stream/2025-01-01T00:00:00.000"

    def get(self, key: Key) -> Item | None:
        """Return the item, or None."""
        return self.partitions.get(key[0], {}).get(key[1])

    def store(self, key: Key, item: Item | None) -> None:
        """Put or remove."""
        for name, found in self._found.items():
            self._replace(found, self.indexes[name], key, item)
        partition = self.partitions.setdefault(key[0], {})
        self._sizes.pop(id(partition.get(key[1])), None)
        known = self._sorted.get(key[0])
        if known is not None and (key[1] in partition) != (item is not None):
            if item is not None:
                insort(known, key[1])
            else:
                known.remove(key[1])
        if item is not None:
            partition[key[1]] = item
            return
        partition.pop(key[1], None)
        if not partition:
            self.partitions.pop(key[0], None)
            self._sorted.pop(key[0], None)

    def _replace(self, found: dict[Order, dict[Key, Item]], index: Index, key: Key, item: Item | None) -> None:
        """Have a global index show another state of an item."""
        before = self.get(key)
        if before is not None and index.hash in before:
            del found[order(before[index.hash])][key]
        if item is not None and index.hash in item:
            found.setdefault(order(item[index.hash]), {})[key] = item

    def replace_all(self, partitions: Partitions) -> None:
        """Have other items."""
        self.partitions = partitions
        self._sorted.clear()
        self._found.clear()
        self._sizes.clear()

    def size_of(self, item: Item) -> int:
        """Return the size of an item of this table; it is reckoned once."""
        size = self._sizes.get(id(item))
        if size is None:
            size = self._sizes[id(item)] = size_of(item)
        return size

    def of_index(self, name: str, wanted: Order) -> Collection[Item]:
        """Return the items in one partition of a global index."""
        if name not in self._found:
            found: dict[Order, dict[Key, Item]] = {}
            index = self.indexes[name]
            for partition, items in self.partitions.items():
                for place, item in items.items():
                    if index.hash in item:
                        found.setdefault(order(item[index.hash]), {})[partition, place] = item
            self._found[name] = found
        return self._found[name].get(wanted, {}).values()

    def in_range(self, partition: Order, tests: list[tuple[str, list[Order]]]) -> list[Item]:
        """Return the items of a partition whose sort keys meet the tests of a key condition, in order."""
        items = self.partitions.get(partition, {})
        if not items:
            return []
        if partition not in self._sorted:
            self._sorted[partition] = sorted(items)
        places = self._sorted[partition]
        first, stop = 0, len(places)
        for sign, operands in tests:
            if sign in {"=", ">=", ">", "between", "begins_with"}:
                first = (bisect_right if sign == ">" else bisect_left)(places, operands[0])
            if sign in {"=", "<=", "<", "between"}:
                stop = (bisect_left if sign == "<" else bisect_right)(places, operands[-1])
            elif sign == "begins_with":
                stop = first
                while stop < len(places) and places[stop].startswith(operands[0]):  # type: ignore[union-attr, arg-type]
                    stop += 1
        return [items[place] for place in places[first:stop]]

    def items(self) -> Iterator[Item]:
        """Yield every item, in the order of the keys' bytes."""
        for partition in sorted(self.partitions, key=repr):
            for place in sorted(self.partitions[partition]):
                yield self.partitions[partition][place]

    def key(self, values: Item) -> Key:
        """Return the key in these attributes, checked."""
        found: list[Order] = []
        for name, limit in zip(self.key_names, (PARTITION_KEY_BYTES, SORT_KEY_BYTES), strict=False):
            if name not in values:
                raise invalid(f"One or more parameter values were invalid: Missing the key {name} in the item")
            if type_of(values[name]) != self.types[name]:
                raise invalid(f"One or more parameter values were invalid: Type mismatch for key {name}")
            sorting = order(values[name])
            if isinstance(sorting, bytes) and not 0 < len(sorting) <= limit:
                raise invalid(f"One or more parameter values are not valid: key {name} is empty or too long")
            found.append(sorting)
        return found[0], (found[1] if len(found) > 1 else b"")

    def only_key(self, values: Body) -> tuple[Item, Key]:
        """Return the key attributes and key of a ``Key`` parameter: these and no others."""
        clean = {name: canonical(value) for name, value in values.items()}
        if set(clean) != set(self.key_names):
            raise invalid("The provided key element does not match the schema")
        return clean, self.key(clean)

    def check(self, item: Item) -> None:
        """Refuse an item that is too big or has an index key of a wrong type."""
        if size_of(item) > ITEM_BYTES:
            raise invalid("Item size has exceeded the maximum allowed size")
        for index in self.indexes.values():
            for name in (index.hash, index.range):
                if name and name in item and type_of(item[name]) != self.types[name]:
                    raise invalid(f"One or more parameter values were invalid: Type mismatch for Index Key {name}")
                if name and name in item and item[name] in ({"S": ""}, {"B": ""}):
                    raise invalid(f"One or more parameter values are not valid: empty Index Key {name}")


class Snapshot(NamedTuple):
    """A state to come back to."""

    tables: dict[str, tuple[Table, Partitions, int]]
    tokens: dict[str, tuple[float, str]]


def _copy(partitions: Partitions) -> Partitions:
    return {name: dict(items) for name, items in partitions.items()}


def _units(size: int, block: int) -> float:
    return float(max(1, -(-size // block)))


class DynamoDB:
    """The service: ``call(operation, body)`` answers a body or raises ``Refused``."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.page_bytes = PAGE_BYTES
        self.tables: dict[str, Table] = {}
        self._tokens: dict[str, tuple[float, str]] = {}
        self._history: deque[list[Change]] = deque(maxlen=HISTORY)
        self._operations: dict[str, Callable[[Body], Body]] = {
            "CreateTable": self._create_table,
            "DeleteTable": self._delete_table,
            "DescribeTable": self._describe_table,
            "UpdateTimeToLive": lambda body: {"TimeToLiveSpecification": body["TimeToLiveSpecification"]},
            "GetItem": self._get_item,
            "PutItem": self._put_item,
            "UpdateItem": self._update_item,
            "DeleteItem": self._delete_item,
            "Query": self._query,
            "Scan": self._scan,
            "BatchGetItem": self._batch_get_item,
            "BatchWriteItem": self._batch_write_item,
            "TransactGetItems": self._transact_get_items,
            "TransactWriteItems": self._transact_write_items,
        }

    # state

    def snapshot(self) -> Snapshot:
        """Return the state; cheap, as items never change in place."""
        tables = {name: (one, _copy(one.partitions), len(one.stream)) for name, one in self.tables.items()}
        return Snapshot(tables, dict(self._tokens))

    def restore(self, snapshot: Snapshot) -> None:
        """Return to a state; a stream forgets what came after."""
        self.tables = {}
        for name, (table, partitions, streamed) in snapshot.tables.items():
            table.replace_all(_copy(partitions))
            del table.stream[streamed:]
            self.tables[name] = table
        self._tokens = dict(snapshot.tokens)
        self._history.clear()

    def catch_up(self) -> None:
        """Let every read see what was written up to here, as after some time it does."""
        self._history.clear()

    @contextmanager
    def rewound(self, commits: int) -> Iterator[None]:
        """Show the tables as they were so many commits ago: what an eventually consistent read may see."""
        undone = list(self._history)[-commits:] if commits else []
        try:
            for changes in reversed(undone):
                for table, key, before, _ in changes:
                    table.store(key, before)
            yield
        finally:
            for changes in undone:
                for table, key, _, after in changes:
                    table.store(key, after)

    def call(self, operation: str, body: Body) -> Body:
        """Run one operation; it takes effect as a whole or not at all."""
        if operation not in self._operations:
            raise HarnessError(f"the harness does not emulate dynamodb {operation}")
        unknown = set(body) - _ALLOWED.get(operation, set(body))
        if unknown:
            raise HarnessError(f"the harness does not emulate {sorted(unknown)} of {operation}")
        try:
            return self._operations[operation](body)
        except NotImplementedError as error:
            raise HarnessError(f"the harness does not emulate {error} in {operation}") from error

    def table(self, name: str) -> Table:
        """Return the table or refuse; an ARN will do as well."""
        short = name.rpartition("/")[2]
        if short not in self.tables:
            raise Refused("ResourceNotFoundException", _NOT_FOUND)
        return self.tables[short]

    def _commit(self, changes: Iterable[Change]) -> None:
        real = [change for change in changes if change.before != change.after]
        for change in real:
            change.table.store(change.key, change.after)
            self._record(change)
        if real:
            self._history.append(real)

    def _record(self, change: Change) -> None:
        table, _, before, after = change
        if table.view is None:
            return
        kind = "REMOVE" if after is None else "INSERT" if before is None else "MODIFY"
        keys_of = after or before or {}
        data: Body = {
            "ApproximateCreationDateTime": int(self.clock.now.timestamp()),
            "Keys": {name: keys_of[name] for name in table.key_names},
            "SequenceNumber": f"{len(table.stream) + 1:021d}",
            "SizeBytes": size_of(keys_of),
            "StreamViewType": table.view,
        }
        if after is not None and table.view.startswith("NEW"):
            data["NewImage"] = after
        if before is not None and table.view in {"OLD_IMAGE", "NEW_AND_OLD_IMAGES"}:
            data["OldImage"] = before
        table.stream.append(
            {
                "eventID": f"{table.name}-{len(table.stream) + 1}",
                "eventName": kind,
                "eventVersion": "1.1",
                "eventSource": "aws:dynamodb",
                "awsRegion": REGION,
                "dynamodb": data,
                "eventSourceARN": table.stream_arn,
            }
        )

    # tables

    def _create_table(self, body: Body) -> Body:
        name = body["TableName"]
        if name in self.tables:
            raise Refused("ResourceInUseException", f"Table already exists: {name}")
        types = {one["AttributeName"]: one["AttributeType"] for one in body["AttributeDefinitions"]}
        table = Table(name, types, _index(body["KeySchema"], None, is_global=False))
        for field_name, is_global in (("LocalSecondaryIndexes", False), ("GlobalSecondaryIndexes", True)):
            for one in body.get(field_name) or []:
                table.indexes[one["IndexName"]] = _secondary(one, table, is_global=is_global)
        keys = {key for index in (table.base, *table.indexes.values()) for key in (index.hash, index.range) if key}
        if keys != set(types):
            raise invalid("Number of attributes in KeySchema does not exactly match AttributeDefinitions")
        stream = body.get("StreamSpecification") or {}
        if stream.get("StreamEnabled"):
            table.view = stream["StreamViewType"]
        self.tables[name] = table
        return {"TableDescription": _description(table)}

    def _delete_table(self, body: Body) -> Body:
        table = self.table(body["TableName"])
        del self.tables[table.name]
        return {"TableDescription": _description(table)}

    def _describe_table(self, body: Body) -> Body:
        return {"Table": _description(self.table(body["TableName"]))}

    # single items

    def _get_item(self, body: Body) -> Body:
        table = self.table(body["TableName"])
        _, key = table.only_key(body["Key"])
        bindings = Bindings.of(body)
        found = table.get(key)
        shown = _projected(found or {}, body, bindings)
        bindings.check_all_used()
        answer: Body = {} if found is None else {"Item": shown}
        return self._with_capacity(answer, body, table, size_of(found or {}), 4096, _read_factor(body))

    def _put_item(self, body: Body) -> Body:
        change = self._plan("Put", body)
        self._commit([change])
        answer = _returned(body, change, set(), {"NONE", "ALL_OLD"})
        return self._with_write_capacity(answer, body, change)

    def _delete_item(self, body: Body) -> Body:
        change = self._plan("Delete", body)
        self._commit([change])
        answer = _returned(body, change, set(), {"NONE", "ALL_OLD"})
        return self._with_write_capacity(answer, body, change)

    def _update_item(self, body: Body) -> Body:
        named: set[str] = set()
        change = self._plan("Update", body, named)
        self._commit([change])
        answer = _returned(body, change, named, {"NONE", "ALL_OLD", "ALL_NEW", "UPDATED_OLD", "UPDATED_NEW"})
        return self._with_write_capacity(answer, body, change)

    def _plan(self, kind: str, body: Body, named: set[str] | None = None) -> Change:
        """Return what a write would do, or refuse; nothing is changed."""
        table = self.table(body["TableName"])
        if kind == "Put":
            given = {name: canonical(value) for name, value in body["Item"].items()}
            key = table.key(given)
        else:
            given, key = table.only_key(body["Key"])
        bindings = Bindings.of(body)
        condition = body.get("ConditionExpression")
        bound = None if condition is None else bind("ConditionExpression", condition, bindings)
        actions = bind("UpdateExpression", body["UpdateExpression"], bindings) if body.get("UpdateExpression") else ()
        bindings.check_all_used()
        before = table.get(key)
        if bound is not None and not holds(bound[0], before or {}, bindings):
            shown = before if body.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD" else None
            extra = {} if shown is None else {"Item": shown}
            raise Refused("ConditionalCheckFailedException", "The conditional request failed", extra=extra)
        after: Item | None
        if kind == "Put":
            after = given
        elif kind == "Update":
            after, touched = updated(before or given, actions, bindings)
            if touched & set(table.key_names):
                raise invalid("Cannot update attribute: it is part of the key")
            if named is not None:
                named |= touched
        else:
            after = before if kind == "ConditionCheck" else None
        if after is not None:
            table.check(after)
        return Change(table, key, before, after)

    # several items

    def _batch_get_item(self, body: Body) -> Body:
        total = sum(len(one["Keys"]) for one in body["RequestItems"].values())
        if not 0 < total <= BATCH_GET_KEYS:
            raise invalid("Too many items requested for the BatchGetItem call")
        responses: dict[str, list[Item]] = {}
        units: list[Body] = []
        for name, request in body["RequestItems"].items():
            _only(
                request, {"Keys", "ConsistentRead", "ProjectionExpression", "ExpressionAttributeNames"}, "BatchGetItem"
            )
            table = self.table(name)
            keys = [table.only_key(one)[1] for one in request["Keys"]]
            if len(set(keys)) != len(keys):
                raise invalid("Provided list of item keys contains duplicates")
            bindings = Bindings.of(request)
            found = [item for key in keys if (item := table.get(key)) is not None]
            responses[name] = [_projected(item, request, bindings) for item in found]
            read = sum(_units(size_of(item), 4096) for item in found) + len(keys) - len(found)
            units.append({"TableName": name, "CapacityUnits": read * _read_factor(request)})
        answer: Body = {"Responses": responses, "UnprocessedKeys": {}}
        return _told(answer, body, units)

    def _batch_write_item(self, body: Body) -> Body:
        total = sum(len(one) for one in body["RequestItems"].values())
        if not 0 < total <= BATCH_WRITE_ITEMS:
            raise invalid("Too many items requested for the BatchWriteItem call")
        changes: list[Change] = []
        for name, requests in body["RequestItems"].items():
            for request in requests:
                ((kind, inner),) = request.items()
                changes.append(self._plan(kind.removesuffix("Request"), {"TableName": name, **inner}))
        _distinct(changes, "Provided list of item keys contains duplicates")
        for change in changes:
            self._commit([change])
        units = [_write_units(change, 1.0) for change in changes]
        return _told({"UnprocessedItems": {}}, body, units)

    def _transact_get_items(self, body: Body) -> Body:
        if not 0 < len(body["TransactItems"]) <= TRANSACTION_ITEMS:
            raise invalid("Member must have length less than or equal to 100")
        answers: list[Body] = []
        units: list[Body] = []
        for one in body["TransactItems"]:
            request = one["Get"]
            table = self.table(request["TableName"])
            found = table.get(table.only_key(request["Key"])[1])
            shown = _projected(found or {}, request, Bindings.of(request))
            answers.append({} if found is None else {"Item": shown})
            units.append({"TableName": table.name, "CapacityUnits": 2 * _units(size_of(found or {}), 4096)})
        return _told({"Responses": answers}, body, units)

    def _transact_write_items(self, body: Body) -> Body:
        requests = body["TransactItems"]
        if not 0 < len(requests) <= TRANSACTION_ITEMS:
            raise invalid("Member must have length less than or equal to 100")
        token = body.get("ClientRequestToken")
        print_of = json.dumps(requests, sort_keys=True)
        if token and self._seen(token, print_of):
            return _told({}, body, [])
        changes: list[Change | None] = []
        reasons: list[Body] = []
        for one in requests:
            change, reason = self._plan_in_transaction(one)
            changes.append(change)
            reasons.append(reason)
        planned = [change for change in changes if change is not None]
        _distinct(planned, "Transaction request cannot include multiple operations on one item")
        if sum(size_of(change.after or {}) for change in planned) > TRANSACTION_BYTES:
            raise invalid("Transaction size exceeds the maximum of 4 MB")
        if any(reason["Code"] != "None" for reason in reasons):
            raise cancelled(reasons)
        self._commit(planned)
        if token:
            self._tokens[token] = (self.clock.elapsed, print_of)
        return _told({}, body, [_write_units(change, 2.0) for change in planned])

    def _seen(self, token: str, print_of: str) -> bool:
        if token not in self._tokens or self.clock.elapsed - self._tokens[token][0] > TOKEN_SECONDS:
            return False
        if self._tokens[token][1] != print_of:
            raise Refused(
                "IdempotentParameterMismatchException",
                "The request uses the same client token as a previous, but non-identical request",
            )
        return True

    def _plan_in_transaction(self, one: Body) -> tuple[Change | None, Body]:
        ((kind, request),) = one.items()
        if kind not in _IN_TRANSACTION:
            raise invalid(f"TransactItems can only contain Check, Put, Update or Delete, not {kind}")
        _only(request, _IN_TRANSACTION[kind], f"TransactWriteItems {kind}")
        if kind == "ConditionCheck" and not request.get("ConditionExpression"):
            raise invalid("ConditionCheck needs a ConditionExpression")
        try:
            return self._plan(kind, request), {"Code": "None"}
        except Refused as refused:
            if refused.code != "ConditionalCheckFailedException":
                raise
            table = self.table(request["TableName"])
            key = table.key({name: canonical(value) for name, value in (request.get("Key") or request["Item"]).items()})
            reason = {"Code": "ConditionalCheckFailed", "Message": refused.message, **refused.extra}
            return Change(table, key, table.get(key), table.get(key)), reason

    # many items

    def _query(self, body: Body) -> Body:
        table = self.table(body["TableName"])
        index = self._index_of(table, body)
        bindings = Bindings.of(body)
        (node,) = bind("KeyConditionExpression", body["KeyConditionExpression"], bindings)
        tests = key_condition(node, bindings)
        by_hash = tests.pop(index.hash, [])
        by_range = tests.pop(index.range, []) if index.range else []
        if len(by_hash) != 1 or by_hash[0][0] != "=" or tests or len(by_range) > 1:
            raise invalid("Query condition missed key schema element, or is not supported")
        wanted = by_hash[0][1][0]
        ranged = {type_of(operand) for _, operands in by_range for operand in operands}
        if type_of(wanted) != table.types[index.hash] or ranged - {table.types.get(index.range or "")}:
            raise invalid(
                "One or more parameter values were invalid: Condition parameter type does not match schema type"
            )
        if index is table.base:
            tests_of_place = [(sign, [order(operand) for operand in operands]) for sign, operands in by_range]
            items = table.in_range(order(wanted), tests_of_place)
            if not body.get("ScanIndexForward", True):
                items.reverse()
            return self._page(body, table, index, bindings, items)
        source = (
            table.of_index(body["IndexName"], order(wanted)) if index.is_global else table.in_range(order(wanted), [])
        )
        items = [
            item
            for item in source
            if index.range is None or (index.range in item and meets(item[index.range], by_range))
        ]
        items.sort(key=lambda item: _place(table, index, item), reverse=not body.get("ScanIndexForward", True))
        return self._page(body, table, index, bindings, items)

    def _scan(self, body: Body) -> Body:
        table = self.table(body["TableName"])
        index = self._index_of(table, body)
        keys = {name for name in (index.hash, index.range) if name}
        items = [item for item in table.items() if keys <= set(item)]
        items.sort(key=lambda item: (repr(order(item[index.hash])), _place(table, index, item)))
        return self._page(body, table, index, Bindings.of(body), items, scan=True)

    def _index_of(self, table: Table, body: Body) -> Index:
        name = body.get("IndexName")
        if name is None:
            return table.base
        if name not in table.indexes:
            raise invalid(f"The table does not have the specified index: {name}")
        index = table.indexes[name]
        if index.is_global and body.get("ConsistentRead"):
            raise invalid("Consistent reads are not supported on global secondary indexes")
        return index

    def _page(
        self, body: Body, table: Table, index: Index, bindings: Bindings, items: list[Item], *, scan: bool = False
    ) -> Body:
        condition = (
            bind("FilterExpression", body["FilterExpression"], bindings)[0] if body.get("FilterExpression") else None
        )
        limit = body.get("Limit")
        if limit is not None and limit < 1:
            raise invalid("Limit must be greater than or equal to 1")
        items = _after(body, table, index, items, scan=scan)
        chosen: list[Item] = []
        read = scanned = 0
        last: Item | None = None
        for item in items:
            read += table.size_of(item)
            scanned += 1
            visible = _visible(index, item)
            if condition is None or holds(condition, visible, bindings):
                chosen.append(visible)
            if scanned == limit or read > self.page_bytes:
                last = item
                break
        shown = [_projected(item, body, bindings) for item in chosen]
        bindings.check_all_used()
        answer: Body = {"Count": len(chosen), "ScannedCount": scanned}
        if body.get("Select") != "COUNT":
            answer["Items"] = shown
        if last is not None:
            answer["LastEvaluatedKey"] = start_key(table, index, last)
        return self._with_capacity(answer, body, table, read, 4096, _read_factor(body))

    # capacity: an estimate, for code that asks for it

    def _with_capacity(self, answer: Body, body: Body, table: Table, size: int, block: int, factor: float) -> Body:
        units = {"TableName": table.name, "CapacityUnits": _units(size, block) * factor}
        if body.get("ReturnConsumedCapacity", "NONE") != "NONE":
            answer["ConsumedCapacity"] = units
        return answer

    def _with_write_capacity(self, answer: Body, body: Body, change: Change) -> Body:
        if body.get("ReturnConsumedCapacity", "NONE") != "NONE":
            answer["ConsumedCapacity"] = _write_units(change, 1.0)
        return answer


def cancelled(reasons: list[Body]) -> Refused:
    """Return the cancellation of a transaction with one reason an item."""
    codes = ", ".join(reason["Code"] for reason in reasons)
    return Refused(
        "TransactionCanceledException",
        f"Transaction cancelled, please refer cancellation reasons for specific reasons [{codes}]",
        extra={"CancellationReasons": reasons},
    )


def start_key(table: Table, index: Index, item: Item) -> Item:
    """Return the ``LastEvaluatedKey`` that points at this item."""
    return {name: item[name] for name in _start_names(table, index)}


def _only(request: Body, allowed: set[str], where: str) -> None:
    unknown = set(request) - allowed
    if unknown:
        raise HarnessError(f"the harness does not emulate {sorted(unknown)} in {where}")


def _distinct(changes: list[Change], message: str) -> None:
    seen = [(change.table.name, change.key) for change in changes]
    if len(set(seen)) != len(seen):
        raise invalid(message)


def _index(schema: list[Body], projected: frozenset[str] | None, *, is_global: bool) -> Index:
    kinds = {one["KeyType"]: one["AttributeName"] for one in schema}
    return Index(kinds["HASH"], kinds.get("RANGE"), projected, is_global)


def _secondary(one: Body, table: Table, *, is_global: bool) -> Index:
    bare = _index(one["KeySchema"], None, is_global=is_global)
    projection = one["Projection"]
    if projection["ProjectionType"] == "ALL":
        return bare
    names = {*table.key_names, bare.hash, *([bare.range] if bare.range else [])}
    return bare._replace(projected=frozenset(names | set(projection.get("NonKeyAttributes") or [])))


def _description(table: Table) -> Body:
    answer: Body = {
        "TableName": table.name,
        "TableStatus": "ACTIVE",
        "TableArn": f"arn:aws:dynamodb:{REGION}:000000000000:table/{table.name}",
        "ItemCount": sum(len(one) for one in table.partitions.values()),
    }
    if table.view:
        answer["LatestStreamArn"] = table.stream_arn
    return answer


def _read_factor(body: Body) -> float:
    return 1.0 if body.get("ConsistentRead") else 0.5


def _write_units(change: Change, factor: float) -> Body:
    size = max(size_of(change.before or {}), size_of(change.after or {}))
    return {"TableName": change.table.name, "CapacityUnits": _units(size, 1024) * factor}


def _told(answer: Body, body: Body, units: list[Body]) -> Body:
    if body.get("ReturnConsumedCapacity", "NONE") != "NONE":
        totals: dict[str, float] = {}
        for one in units:
            totals[one["TableName"]] = totals.get(one["TableName"], 0.0) + one["CapacityUnits"]
        answer["ConsumedCapacity"] = [{"TableName": name, "CapacityUnits": total} for name, total in totals.items()]
    return answer


def _projected(item: Item, body: Body, bindings: Bindings) -> Item:
    if not body.get("ProjectionExpression"):
        return item
    return project(item, bind("ProjectionExpression", body["ProjectionExpression"], bindings), bindings)


def _visible(index: Index, item: Item) -> Item:
    if index.projected is None:
        return item
    return {name: value for name, value in item.items() if name in index.projected}


def _place(table: Table, index: Index, item: Item) -> tuple[Order, ...]:
    where: Order = order(item[index.range]) if index.range else b""
    return where, *(order(item[name]) for name in table.key_names)


def _after(body: Body, table: Table, index: Index, items: list[Item], *, scan: bool) -> list[Item]:
    start = body.get("ExclusiveStartKey")
    if not start:
        return items
    given = {name: canonical(value) for name, value in start.items()}
    if set(given) != set(_start_names(table, index)):
        raise invalid("The provided starting key is invalid")

    def position(item: Item) -> Any:
        place = _place(table, index, item)
        return (repr(order(item[index.hash])), place) if scan else place

    at = position(given)
    if body.get("ScanIndexForward", True):
        return [item for item in items if position(item) > at]
    return [item for item in items if position(item) < at]


def _start_names(table: Table, index: Index) -> list[str]:
    return [*table.key_names, index.hash, *([index.range] if index.range else [])]


def _returned(body: Body, change: Change, named: set[str], allowed: set[str]) -> Body:
    wanted = body.get("ReturnValues", "NONE")
    if wanted not in allowed:
        raise invalid("Return values set to invalid value")
    shown = (change.after if wanted.endswith("NEW") else change.before) or {}
    if wanted.startswith("UPDATED"):
        shown = {name: value for name, value in shown.items() if name in named}
    return {} if wanted == "NONE" or not shown else {"Attributes": shown}
