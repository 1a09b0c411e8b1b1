"""Hands the usage table's stream to the rollup function, batched as its event source batches it."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from itertools import batched
from typing import Any

from bench.capacity import Item
from bench.scene import Scene, template
from rollup import handler


@cache
def source() -> Mapping[str, Any]:
    """The event source as the template describes it."""
    properties = template().resources["RollupFunction"]["Properties"]
    found: Mapping[str, Any] = properties["Events"]["UsageStream"]["Properties"]
    return found


@dataclass(slots=True)
class Rollup:
    """A batch of the stream goes to the function one batching window after its first record."""

    scene: Scene
    invoke: Callable[[Any], Mapping[str, Any]] = field(default=lambda event: handler.handle(event, None))
    invocations: int = 0
    _opened: datetime | None = None
    _taken: int = field(default=0)

    def until(self, now: datetime) -> None:
        """Let the function run for everything whose window has passed by now."""
        window = timedelta(seconds=source()["MaximumBatchingWindowInSeconds"])
        if self._opened is not None and now >= self._opened + window:
            self.flush()
        if self._opened is None and self._waiting():
            self._opened = now

    def written(self, now: datetime) -> None:
        """Something may have been written now: the window begins."""
        if self._opened is None and self._waiting():
            self._opened = now

    def flush(self) -> None:
        """Run the function for all that waits."""
        waiting = self._waiting()
        self._taken, self._opened = len(self.scene.tap.written), None
        with self.scene.labelled("rollup"):
            for group in batched(waiting, source()["BatchSize"], strict=False):
                self.invocations += 1
                answer = self.invoke({"Records": [stream_record(image) for image in group]})
                if answer["batchItemFailures"]:
                    message = f"the rollup refused {answer}"
                    raise RuntimeError(message)

    def _waiting(self) -> list[Item]:
        table = self.scene.names["UsageTable"]
        return [image for name, image in self.scene.tap.written[self._taken :] if name == table]


def stream_record(image: Item) -> dict[str, Any]:
    """A stream record as Lambda gets it: binary values in base64."""
    new = {
        name: {
            kind: base64.b64encode(content).decode() if isinstance(content, bytes) else content
            for kind, content in value.items()
        }
        for name, value in image.items()
    }
    return {"eventName": "MODIFY", "dynamodb": {"NewImage": new, "SequenceNumber": "1"}}
