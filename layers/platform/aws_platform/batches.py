"""What a worker answers for a batch of a queue, and the count of what failed in it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from aws_platform import metrics


def answer_batch(
    service: str, messages: Iterable[Mapping[str, Any]], failed: Collection[str], *, excused: Collection[str] = ()
) -> dict[str, Any]:
    """Lambda's answer that names the messages which are to come again, and the metric `FailedMessages` if any failed.

    One that comes again is not counted again, for what has failed for hours does not speak against a new release; one
    that is `excused`, since its sender is at fault, not at all.
    """
    counted = set(failed).difference(excused)
    count = sum(_is_first(one) and one["messageId"] in counted for one in messages)
    metrics.publish(service, {"FailedMessages": count} if count else {})
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in dict.fromkeys(failed)]}


def _is_first(message: Mapping[str, Any]) -> bool:
    """Whether the queue hands the message over for the first time."""
    receives: str = message.get("attributes", {}).get("ApproximateReceiveCount", "1")
    return receives == "1"
