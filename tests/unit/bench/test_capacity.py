"""What DynamoDB calls cost by the published rules."""

from __future__ import annotations

from typing import Any

import pytest

from bench.capacity import Index, Table, item_bytes, read_units, value_bytes, write_units
from bench.scene import template

TABLE = Table(
    "table",
    ("pk", "sk"),
    (
        Index("Due", ("due_pk", "due_sk"), "KEYS_ONLY", local=False),
        Index("ByUsage", ("pk", "usage_sk"), "ALL", local=True),
    ),
)


def _item(size: int, **more: str) -> dict[str, Any]:
    """An item of so many bytes."""
    item = {"pk": {"S": "a"}, "sk": {"S": "b"}, **{name: {"S": value} for name, value in more.items()}}
    return {**item, "r": {"B": b"x" * (size - item_bytes(item) - 1)}}


@pytest.mark.parametrize(
    "value,size",
    [
        ({"S": "abc"}, 3),
        ({"S": "人脸"}, 6),
        ({"B": b"\0" * 18}, 18),
        ({"BOOL": True}, 1),
        ({"NULL": True}, 1),
        ({"N": "0"}, 1),
        ({"N": "1"}, 2),
        ({"N": "12"}, 2),
        ({"N": "123"}, 3),
        ({"N": "1700000000"}, 2),
        ({"N": "0.3"}, 2),
        ({"N": "-12"}, 3),
        ({"SS": ["ab", "c"]}, 6),
        ({"L": []}, 3),
        ({"L": [{"S": "ab"}, {"S": "c"}]}, 8),
        ({"M": {"ab": {"S": "c"}}}, 7),
    ],
)
def test_value_sizes(value: dict[str, Any], size: int) -> None:
    """Each type has its published size."""
    assert value_bytes(value) == size


def test_unknown_type() -> None:
    """A type whose size nobody has told is an error, not zero."""
    with pytest.raises(ValueError, match="NS"):
        value_bytes({"NS": ["1"]})


def test_item_size_counts_names() -> None:
    """The names of attributes belong to the size."""
    assert item_bytes({"pk": {"S": "a"}, "名": {"S": "b"}}) == 2 + 1 + 3 + 1


@pytest.mark.parametrize("size,units", [(0, 1), (1, 1), (1024, 1), (1025, 2), (4096, 4)])
def test_write_rounding(size: int, units: int) -> None:
    """A write costs a unit per started kilobyte, and one at least."""
    assert write_units(size) == units
    assert Table("t", ("pk", "sk")).write(None, _item(max(size, 10))) == units


@pytest.mark.parametrize("size,units", [(0, 1), (4096, 1), (4097, 2), (1024 * 1024, 256)])
def test_read_rounding(size: int, units: int) -> None:
    """A consistent read costs a unit per started four kilobytes, another one half of it."""
    assert read_units(size, consistent=True) == units
    assert read_units(size, consistent=False) == units / 2


def test_the_larger_image_counts() -> None:
    """Replacing a large item by a small one costs as much as the other way round, and so does taking it away."""
    plain = Table("t", ("pk", "sk"))
    assert plain.write(_item(3000), _item(100)) == plain.write(_item(100), _item(3000)) == 3
    assert plain.write(_item(3000), None) == 3


def test_index_entries() -> None:
    """An index is written when its entry appears, changes or goes: twice when its key changes, never otherwise."""
    without, due = _item(100), _item(100, due_pk="d", due_sk="1")
    assert TABLE.write(None, without) == 1
    assert TABLE.write(None, due) == 2
    assert TABLE.write(due, without) == 2
    assert TABLE.write(due, {**due, "r": {"B": b"other"}}) == 1
    assert TABLE.write(due, {**due, "due_sk": {"S": "2"}}) == 3


def test_whole_items_in_an_index() -> None:
    """An index with all attributes is written by the kilobyte, whatever changes."""
    before, after = _item(2000, usage_sk="1"), _item(2500, usage_sk="1")
    assert TABLE.write(before, after) == 3 + 3


def test_transactions() -> None:
    """A transaction doubles the table and its local indexes, and leaves global ones as they are."""
    assert TABLE.write(None, _item(2000, due_pk="d", due_sk="1"), transaction=True) == 4 + 1
    assert TABLE.write(None, _item(2000, usage_sk="1"), transaction=True) == 4 + 4


def test_failed_conditions() -> None:
    """A write whose condition is not met costs what the table would have cost, and no index."""
    stored, wanted = _item(1500, due_pk="d", due_sk="1"), _item(3000, due_pk="d", due_sk="2")
    assert TABLE.failed_write(stored, wanted) == 3
    assert TABLE.failed_write(wanted, stored) == 3
    assert TABLE.failed_write(stored, wanted, transaction=True) == 6
    assert TABLE.failed_write(None, None) == 1


def test_tables_of_the_template() -> None:
    """The template's tables are read with their keys and indexes."""
    tables = {name: Table.of(name, properties) for name, properties in template().of_type("AWS::DynamoDB::Table")}
    assert tables["LiveTable"] == Table("LiveTable", ("pk", "sk"))
    assert [(one.name, one.projection, one.local) for one in tables["LedgerTable"].indexes] == [
        ("DueIndex", "KEYS_ONLY", False),
        ("ByUsage", "ALL", True),
    ]


def test_other_projections_are_refused() -> None:
    """An index that keeps a choice of attributes is an error, as its cost is not known here."""
    index = {"IndexName": "I", "KeySchema": [{"AttributeName": "x"}], "Projection": {"ProjectionType": "INCLUDE"}}
    with pytest.raises(ValueError, match="INCLUDE"):
        Table.of("t", {"KeySchema": [{"AttributeName": "pk"}], "GlobalSecondaryIndexes": [index]})


def test_storage() -> None:
    """An item is stored with a hundred bytes more, and once more in each index that has it."""
    plain = _item(1000)
    assert TABLE.stored(plain) == 1100
    indexed = _item(1000, usage_sk="1", due_pk="d", due_sk="2")
    # The global index has the four keys: names and values are 20 bytes.
    assert TABLE.stored(indexed) == 1100 + 1100 + 120
