"""Sending messages to SQS, ten a call."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from itertools import batched
from typing import TYPE_CHECKING, Any

from aws_platform import failures

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

BATCH = 10
"""Messages that one call may send."""


def queue_messages(sqs: SQSClient, queue_url: str, messages: Iterable[Mapping[str, Any]]) -> int:
    """Send messages, and say how many. Raises TryAgainError where the queue kept refusing some."""
    queued = 0
    for group in batched(messages, BATCH, strict=False):
        entries = [{"Id": str(number), "MessageBody": json.dumps(message)} for number, message in enumerate(group)]
        for _ in failures.attempts():
            answer = sqs.send_message_batch(QueueUrl=queue_url, Entries=entries)  # type: ignore[arg-type]
            refused = {failure["Id"] for failure in answer.get("Failed", [])}
            entries = [entry for entry in entries if entry["Id"] in refused]
            if not entries:
                break
        else:
            msg = "the queue refuses messages"
            raise failures.TryAgainError(msg)
        queued += len(group)
    return queued
