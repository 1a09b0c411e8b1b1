"""The usual answer to the same task, for comparison: a marker and a counter in one transaction per event."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aws_platform import clients
from bench import traffic
from bench.figures import Figure
from bench.scene import Scene, Scenes

_EVENTS = 200


def measure(scenes: Scenes, *, with_totals: bool) -> Figure:
    """Write units per event with the counter alone, or with what statistics need beside it."""
    with scenes.fresh() as scene:
        _count(scene, with_totals=with_totals)
        total = scene.tap.total()
    name = "marker, counter and live totals" if with_totals else "marker and counter"
    note = f"calls {total.calls / _EVENTS:.3f}; by the emulator {total.emulated_write / _EVENTS:.3f}"
    return Figure(f"common way, one transaction: {name}", total.write / _EVENTS, digits=3, note=note)


def _count(scene: Scene, *, with_totals: bool) -> None:
    table = scene.names["UsageTable"]
    start, apart = scene.now, scene.now - scene.now
    for call in traffic.calls(_EVENTS, start, apart, mixed=True):
        day = f"{call.account_id}#{call.at:%Y%m%d}"
        marker = {"pk": {"S": f"{call.account_id}#{call.event_id}"}, "sk": {"S": "marker"}}
        items: list[Any] = [
            {"Put": {"TableName": table, "Item": marker, "ConditionExpression": "attribute_not_exists(pk)"}},
            {"Update": _add(table, day, call.interface)},
        ]
        if with_totals:
            statistics = f"{call.interface}#{call.code}#{call.sub_account}"
            items.append({"Update": _add(table, day, statistics)})
        clients.dynamodb().transact_write_items(TransactItems=items)


def _add(table: str, pk: str, sk: str) -> Mapping[str, Any]:
    return {
        "TableName": table,
        "Key": {"pk": {"S": pk}, "sk": {"S": sk}},
        "UpdateExpression": "ADD calls :one",
        "ExpressionAttributeValues": {":one": {"N": "1"}},
    }
