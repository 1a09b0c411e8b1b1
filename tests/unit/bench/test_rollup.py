"""The stream of the usage table, as its event source hands it on."""

from __future__ import annotations

from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast
from unittest import mock

import pytest

from bench import rollup
from bench.rollup import Rollup, stream_record
from bench.scene import Scene
from bench.tap import Tap

NOW = datetime.fromisoformat("2025-03-01T10:00:00+08:00")


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The batches that the function was called with, by sort key."""
    batches: list[list[str]] = []

    def handle(event: dict[str, Any], _: object) -> dict[str, Any]:
        batches.append([record["dynamodb"]["NewImage"]["sk"]["S"] for record in event["Records"]])
        return {"batchItemFailures": []}

    monkeypatch.setattr(rollup, "handler", SimpleNamespace(handle=handle))
    return batches


def _scene() -> Scene:
    tap = Tap(cast("Any", None), {})
    return Scene(None, {"UsageTable": "usage"}, tap)


def _write(scene: Scene, name: str, table: str = "usage") -> None:
    scene.tap.written.append((table, {"pk": {"S": "a"}, "sk": {"S": name}}))


def test_a_window_after_the_first_record(taken: list[list[str]]) -> None:
    """What is written within a second of the first record goes to the function together, other tables' items never."""
    scene = _scene()
    stream = Rollup(scene)
    for number, (milliseconds, name) in enumerate([(0, "a"), (400, "b"), (999, "c"), (1000, "d"), (5000, "e")]):
        now = NOW + timedelta(milliseconds=milliseconds)
        stream.until(now)
        _write(scene, name)
        _write(scene, f"live {number}", "live")
        stream.written(now)
    assert taken == [["a", "b", "c"], ["d"]]
    stream.flush()
    assert taken == [["a", "b", "c"], ["d"], ["e"]]
    assert stream.invocations == 3


def test_batch_size(taken: list[list[str]]) -> None:
    """A batch has no more records than the template allows."""
    scene = _scene()
    for number in range(7):
        _write(scene, str(number))
    with mock.patch.multiple(rollup, source=lambda: {"BatchSize": 3, "MaximumBatchingWindowInSeconds": 1}):
        Rollup(scene).flush()
    assert [len(batch) for batch in taken] == [3, 3, 1]


def test_settings_of_the_template() -> None:
    """The event source is the one in the template."""
    assert {"BatchSize", "MaximumBatchingWindowInSeconds"} <= rollup.source().keys()


def test_binary_values() -> None:
    """Lambda gets binary values in base64 and everything else as it is."""
    record = stream_record({"pk": {"S": "a"}, "r": {"B": b"\0\1"}})
    assert record["dynamodb"]["NewImage"] == {"pk": {"S": "a"}, "r": {"B": "AAE="}}
