"""What a DynamoDB call costs by the published rules: item sizes, rounding, indexes, transactions, failed conditions.

The rules are those of the DynamoDB developer guide ("item sizes and formats", "read and write operations"). Two points
that it leaves open are decided against us: a condition that fails costs as much as the write would have (by the larger
of the stored and the new item), and a local index inside a transaction costs twice, as its table does. A global index
is written afterwards, so a transaction does not double it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

type Item = Mapping[str, Mapping[str, Any]]

WRITE_UNIT_BYTES = 1024
READ_UNIT_BYTES = 4096
PAGE_BYTES = 1024 * 1024
"""A query reads this much and no more before it answers."""
TRANSACTION_FACTOR = 2
STORED_BYTES = 100
"""What an item takes in a table, and its entry in an index, beside its own size."""
_CONTAINER_BYTES = 3
_ELEMENT_BYTES = 1


def item_bytes(item: Item) -> int:
    """The size of an item: names and values."""
    return sum(len(name.encode()) + value_bytes(value) for name, value in item.items())


def value_bytes(value: Mapping[str, Any]) -> int:
    """The size of one attribute value. Raises ValueError for a type that the product does not use."""
    ((kind, content),) = value.items()
    match kind:
        case "S" | "B":
            return len(content.encode() if kind == "S" else content)
        case "N":
            return _number_bytes(content)
        case "BOOL" | "NULL":
            return 1
        case "SS":
            return _CONTAINER_BYTES + sum(len(one.encode()) for one in content)
        case "L":
            return _CONTAINER_BYTES + sum(_ELEMENT_BYTES + value_bytes(one) for one in content)
        case "M":
            return _CONTAINER_BYTES + sum(
                _ELEMENT_BYTES + len(name.encode()) + value_bytes(one) for name, one in content.items()
            )
    message = f"no size is known for an attribute of type {kind}"
    raise ValueError(message)


def _number_bytes(text: str) -> int:
    """A byte for two digits, leading and trailing zeros left out, one more, and one for a minus sign."""
    sign, digits, exponent = Decimal(text).normalize().as_tuple()
    if not any(digits):
        return 1
    # Pairs of digits are counted from the decimal point.
    assert isinstance(exponent, int)  # noqa: S101 - neither infinity nor NaN can be stored
    significant = len(digits) + exponent % 2
    return 1 + (significant + 1) // 2 + sign


def write_units(size: int) -> int:
    """Write units of a plain write of so many bytes."""
    return max(1, -(-size // WRITE_UNIT_BYTES))


def read_units(size: int, *, consistent: bool) -> float:
    """Read units of reading so many bytes; of a query, of all that it looked at."""
    return max(1, -(-size // READ_UNIT_BYTES)) * (1.0 if consistent else 0.5)


def index_name(table: str, index: str) -> str:
    """How a global index is called beside the tables: it has a capacity of its own."""
    return f"{table}/{index}"


@dataclass(frozen=True, slots=True)
class Index:
    """A secondary index."""

    name: str
    keys: tuple[str, ...]
    projection: str
    local: bool

    def entry(self, table_keys: Sequence[str], item: Item | None) -> dict[str, Any] | None:
        """What the index holds of an item; None where it lacks a key of the index."""
        if item is None or any(key not in item for key in self.keys):
            return None
        if self.projection == "ALL":
            return dict(item)
        return {key: item[key] for key in {*self.keys, *table_keys}}


@dataclass(frozen=True, slots=True)
class Table:
    """A table as far as its cost goes."""

    name: str
    keys: tuple[str, ...]
    indexes: tuple[Index, ...] = ()

    @classmethod
    def of(cls, name: str, properties: Mapping[str, Any]) -> Table:
        """A table of the template. Raises ValueError for an index that keeps some other attributes."""
        indexes = [
            Index(
                index["IndexName"],
                tuple(key["AttributeName"] for key in index["KeySchema"]),
                _projection(index),
                local=kind.startswith("Local"),
            )
            for kind in ("GlobalSecondaryIndexes", "LocalSecondaryIndexes")
            for index in properties.get(kind, [])
        ]
        return cls(name, tuple(key["AttributeName"] for key in properties["KeySchema"]), tuple(indexes))

    def key_of(self, item: Item) -> tuple[str, ...]:
        """The item's key, as values."""
        return tuple(str(next(iter(item[name].values()))) for name in self.keys)

    def write(self, before: Item | None, after: Item | None, *, transaction: bool = False) -> float:
        """Write units of replacing one image by another, indexes included."""
        return sum(self.writes(before, after, transaction=transaction).values())

    def writes(self, before: Item | None, after: Item | None, *, transaction: bool = False) -> dict[str, float]:
        """The same by who bears them: the table with its local indexes, and each global index for itself."""
        factor = TRANSACTION_FACTOR if transaction else 1
        largest = max(item_bytes(image) if image else 0 for image in (before, after))
        units: dict[str, float] = {self.name: factor * write_units(largest)}
        for index in self.indexes:
            bearer, own = (self.name, factor) if index.local else (index_name(self.name, index.name), 1)
            units[bearer] = units.get(bearer, 0) + own * self._index_write(index, before, after)
        return units

    def bearer(self, index: str | None) -> str:
        """Who bears what is read from an index of this name, or from the table itself."""
        own = {one.name for one in self.indexes if not one.local}
        return index_name(self.name, index) if index in own and index else self.name

    def failed_write(self, before: Item | None, wanted: Item | None, *, transaction: bool = False) -> float:
        """Write units of a write whose condition was not met."""
        factor = TRANSACTION_FACTOR if transaction else 1
        return factor * write_units(max(item_bytes(image) if image else 0 for image in (before, wanted)))

    def stored(self, item: Item) -> int:
        """Bytes that storage is charged for, indexes included."""
        copies = [item, *(entry for index in self.indexes if (entry := index.entry(self.keys, item)))]
        return sum(item_bytes(copy) + STORED_BYTES for copy in copies)

    def _index_write(self, index: Index, before: Item | None, after: Item | None) -> int:
        """Nothing where the entry stays as it is; a removal and an addition where its key changes."""
        old, new = index.entry(self.keys, before), index.entry(self.keys, after)
        if old == new:
            return 0
        if old is None or new is None:
            return write_units(item_bytes(old or new or {}))
        if any(old[key] != new[key] for key in index.keys):
            return write_units(item_bytes(old)) + write_units(item_bytes(new))
        return write_units(max(item_bytes(old), item_bytes(new)))


def _projection(index: Mapping[str, Any]) -> str:
    kind: str = index["Projection"]["ProjectionType"]
    if kind not in {"ALL", "KEYS_ONLY"}:
        message = f"index {index['IndexName']} projects {kind}"
        raise ValueError(message)
    return kind
