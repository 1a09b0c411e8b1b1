"""Listens to a boto3 client and counts what its calls cost, by the emulator's figures and by the published rules.

The emulator's write figures are taken as a cross-check. Where the two differ the published rules are right: the
emulator counts every query as one unit, and an error carries no figures, although a condition that fails is charged.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Any

from bench.capacity import Item, Table, item_bytes, read_units
from bench.costing import added

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_KEYED_WRITES = {"UpdateItem", "DeleteItem"}
_WRITES = {"PutItem", "TransactWriteItems", *_KEYED_WRITES}
_FIRST_ERROR_STATUS = 300


@dataclass(frozen=True, slots=True)
class Call:
    """One call and its cost."""

    label: str
    """Who made it, as the benchmark says."""
    operation: str
    writes: Mapping[str, float] = field(default_factory=dict)
    """Write units by table, or by global index."""
    reads: Mapping[str, float] = field(default_factory=dict)
    emulated_write: float = 0.0
    failed: bool = False

    @property
    def write(self) -> float:
        """Write units, whoever bears them."""
        return sum(self.writes.values())

    @property
    def read(self) -> float:
        """Read units, whoever bears them."""
        return sum(self.reads.values())


@dataclass(frozen=True, slots=True)
class Total:
    """Costs of several calls."""

    calls: int
    write: float
    read: float
    failed: int
    failed_write: float
    emulated_write: float
    """By the emulator; to be compared with `write - failed_write`."""


@dataclass(slots=True)
class _Change:
    """One item that a call writes."""

    table: Table
    before: Item | None
    wanted: Item | None
    """The image that is put; for an update the old one, as nobody knows the new one before it is made."""
    key: Mapping[str, Any]
    update: bool
    check: bool = False


@dataclass(slots=True)
class Tap:
    """All calls of the clients that it is attached to, in the order of their answers. Tables are empty at first."""

    raw: DynamoDBClient
    """A client that nobody listens to: reads what an update has led to."""
    tables: Mapping[str, Table]
    label: str = ""
    listening: bool = True
    """Calls that nobody listens to cost no CPU of ours."""
    calls: list[Call] = field(default_factory=list)
    written: list[tuple[str, Item]] = field(default_factory=list)
    """New images in the order in which they were written: the tables' streams."""
    _images: dict[tuple[str, ...], Item | None] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def attach(self, client: Any) -> None:
        """Listen to a client of DynamoDB or of another service."""
        events = client.meta.events
        if client.meta.service_model.service_name != "dynamodb":
            events.register("after-call.*.*", self._after_other)
            return
        events.register("provide-client-params.dynamodb.*", self._before)
        events.register("after-call.dynamodb.*", self._after)

    def know(self, table: str, item: Item) -> None:
        """An item that was written without the tap: the old image of the next write."""
        self._images[table, *self.tables[table].key_of(item)] = item

    def images(self) -> dict[tuple[str, ...], Item | None]:
        """What is known to lie in the tables now, by table and key."""
        return dict(self._images)

    def total(self, label: str | None = None) -> Total:
        """The sum over all calls, or over those of one label."""
        calls = [call for call in self.calls if label in {None, call.label}]
        return Total(
            len(calls),
            sum(call.write for call in calls),
            sum(call.read for call in calls),
            sum(call.failed for call in calls),
            sum(call.write for call in calls if call.failed),
            sum(call.emulated_write for call in calls),
        )

    def writes(self, label: str) -> dict[str, float]:
        """Write units of a label by table and global index."""
        return added(call.writes for call in self.calls if call.label == label)

    def reads(self, label: str) -> dict[str, float]:
        """Read units of a label by table and global index."""
        return added(call.reads for call in self.calls if call.label == label)

    def operations(self, label: str | None = None) -> Counter[str]:
        """How many calls of each operation."""
        return Counter(call.operation for call in self.calls if label in {None, call.label})

    # What the client tells us

    def _before(self, params: dict[str, Any], model: Any, context: dict[str, Any], **_: Any) -> dict[str, Any] | None:
        if not self.listening:
            return None
        if model.name in _WRITES:
            context["bench.changes"] = list(self._changes(model.name, params))
        context["bench.params"] = params
        if "ReturnConsumedCapacity" not in model.input_shape.members:
            return None
        # Whole items, as what is read is charged whatever the caller gets of it; `_after` leaves out the rest.
        asked = {name: value for name, value in params.items() if name != "ProjectionExpression"}
        return {**asked, "ReturnConsumedCapacity": "INDEXES"}

    def _after(self, http_response: Any, parsed: dict[str, Any], model: Any, context: Any, **_: Any) -> None:
        if not self.listening:
            return
        failed = http_response.status_code >= _FIRST_ERROR_STATUS
        operation, params = model.name, context["bench.params"]
        emulated = 0.0
        writes: Mapping[str, float] = {}
        reads: Mapping[str, float] = {}
        if operation in _WRITES:
            writes = self._charge(operation, context["bench.changes"], failed=failed)
            emulated = _units(parsed.get("ConsumedCapacity"))
        elif not failed:
            reads = self._read(operation, params, parsed)
            _project(params, parsed)
        call = Call(self.label, operation, writes, reads, emulated, failed)
        with self._lock:
            self.calls.append(call)

    def _after_other(self, http_response: Any, model: Any, **_: Any) -> None:
        if not self.listening:
            return
        failed = http_response.status_code >= _FIRST_ERROR_STATUS
        with self._lock:
            self.calls.append(Call(self.label, model.name, failed=failed))

    # Writes

    def _changes(self, operation: str, params: Mapping[str, Any]) -> Iterator[_Change]:
        if operation == "TransactWriteItems":
            for item in params["TransactItems"]:
                ((kind, one),) = item.items()
                yield self._change(kind, one)
        else:
            yield self._change(operation.removesuffix("Item"), params)

    def _change(self, kind: str, one: Mapping[str, Any]) -> _Change:
        table = self.tables[one["TableName"]]
        key = {name: (one["Item"] if kind == "Put" else one["Key"])[name] for name in table.keys}
        before = self._images.get((table.name, *table.key_of(key)))
        wanted = {"Put": one.get("Item"), "Delete": None}.get(kind, before or key)
        return _Change(table, before, wanted, key, update=kind == "Update", check=kind == "ConditionCheck")

    def _stored(self, table: Table, key: Mapping[str, Any]) -> Item | None:
        return self.raw.get_item(TableName=table.name, Key=key, ConsistentRead=True).get("Item")

    def _charge(self, operation: str, changes: list[_Change], *, failed: bool) -> dict[str, float]:
        transaction = operation == "TransactWriteItems"
        if failed:
            return added(
                {one.table.name: one.table.failed_write(one.before, one.wanted, transaction=transaction)}
                for one in changes
            )
        units: list[Mapping[str, float]] = []
        for one in changes:
            after = self._stored(one.table, one.key) if one.update else one.wanted
            units.append(one.table.writes(one.before, after, transaction=transaction))
            with self._lock:
                self._images[one.table.name, *one.table.key_of(one.key)] = after
                if after is not None and not one.check:
                    self.written.append((one.table.name, after))
        return added(units)

    def _read(self, operation: str, params: Mapping[str, Any], parsed: Mapping[str, Any]) -> dict[str, float]:
        """Read units of an answer with whole items."""
        consistent = params.get("ConsistentRead", False)
        if operation == "GetItem":
            return {params["TableName"]: read_units(item_bytes(parsed.get("Item", {})), consistent=consistent)}
        if operation == "Query":
            bearer = self.tables[params["TableName"]].bearer(params.get("IndexName"))
            return {bearer: read_units(sum(item_bytes(item) for item in parsed["Items"]), consistent=consistent)}
        if operation == "BatchGetItem":
            return {
                table: _batch_read(
                    len(wanted["Keys"]), parsed["Responses"].get(table, []), wanted.get("ConsistentRead", False)
                )
                for table, wanted in params["RequestItems"].items()
            }
        message = f"no cost is known for {operation}"
        raise ValueError(message)


def _batch_read(keys: int, found: Sequence[Item], consistent: bool) -> float:  # noqa: FBT001 - as the request has it
    """Each item is rounded by itself; one that does not exist costs as much as the smallest."""
    units = sum(read_units(item_bytes(item), consistent=consistent) for item in found)
    return units + (keys - len(found)) * read_units(0, consistent=consistent)


def _project(params: Mapping[str, Any], parsed: dict[str, Any]) -> None:
    """Leave the attributes that the caller asked for, as DynamoDB would have."""
    if "ProjectionExpression" not in params:
        return
    names = {name.strip() for name in params["ProjectionExpression"].split(",")}
    if "Item" in parsed:
        parsed["Item"] = {name: value for name, value in parsed["Item"].items() if name in names}
    if "Items" in parsed:
        parsed["Items"] = [{name: item[name] for name in names & item.keys()} for item in parsed["Items"]]


def _units(consumed: Any) -> float:
    """The emulator's figure."""
    if consumed is None:
        return 0.0
    listed = consumed if isinstance(consumed, list) else [consumed]
    return float(sum(one["CapacityUnits"] for one in listed))
