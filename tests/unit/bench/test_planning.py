"""The model of the due-index."""

from __future__ import annotations

from typing import Any

from bench import planning
from bench.capacity import PAGE_BYTES, Table, item_bytes
from bench.scene import template


def _table() -> Table:
    return Table.of("usage", dict(template().of_type("AWS::DynamoDB::Table"))["UsageTable"])


def _query(index: planning.Index, after: str, **more: Any) -> dict[str, Any]:
    values = {":pk": {"S": "due#0"}, ":first": {"S": "0"}, ":after": {"S": after}}
    return index.answer("Query", {"TableName": "usage", "ExpressionAttributeValues": values, **more})


def _items(number: int, width: int) -> list[dict[str, Any]]:
    return [
        {
            "pk": {"S": f"{one:0{width}d}"},
            "sk": {"S": "D"},
            "due_pk": {"S": "due#0"},
            "due_sk": {"S": f"2025-03-0{1 + one % 2}#{one:06d}"},
        }
        for one in range(number)
    ]


def test_pages() -> None:
    """A query reads a megabyte at a time, in the index's order, and each page is rounded by itself."""
    items = _items(3_000, 900)
    index = planning.Index.of(_table(), items)
    found: list[dict[str, Any]] = []
    more: dict[str, Any] = {}
    pages = 0
    while True:
        page = _query(index, "2025-03-09", **more)
        pages += 1
        assert sum(item_bytes(item) for item in page["Items"]) <= PAGE_BYTES
        found += page["Items"]
        if "LastEvaluatedKey" not in page:
            break
        more = {"ExclusiveStartKey": page["LastEvaluatedKey"]}
    assert found == sorted(items, key=lambda item: item["due_sk"]["S"])
    size = sum(item_bytes(item) for item in items)
    assert pages == index.operations["Query"] == -(-size // PAGE_BYTES)
    assert size / 4096 / 2 <= index.read <= size / 4096 / 2 + pages / 2


def test_what_is_not_due() -> None:
    """Entries of later runs are not read, other indexes are empty, and an empty answer costs half a unit."""
    index = planning.Index.of(_table(), _items(10, 5))
    assert len(_query(index, "2025-03-02")["Items"]) == 5
    assert _query(index, "2025-03-02", TableName="ledger")["Items"] == []
    assert index.read == 1.0


def test_only_entries_with_a_key() -> None:
    """An item that has left the due-index is not in it."""
    (item,) = _items(1, 5)
    del item["due_pk"]
    assert _query(planning.Index.of(_table(), [item]), "2025-03-09")["Items"] == []


def test_day_items_of_the_ingest_function() -> None:
    """The model is filled with what the ingest function really puts: one day item an account, in every shard."""
    items = planning.day_items(50)
    assert len({item["pk"]["S"] for item in items}) == len(items) == 50
    assert len({item["due_pk"]["S"] for item in items}) > 1


def test_planning_on_the_model() -> None:
    """The planner queues every account of the model, ten a message call."""
    cost = planning.on_the_model(_table(), 95)
    assert cost.operations["SendMessageBatch"] >= 10
    assert cost.operations["Query"] >= 2
    assert cost.calls == sum(cost.operations.values()) / 95
