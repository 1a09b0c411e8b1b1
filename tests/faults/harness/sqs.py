"""The sending side of SQS, in memory. What was sent is read by ``sources.QueueSource``, which plays Lambda's poller."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

from .clock import REGION, Clock
from .errors import HarnessError
from .values import Refused

BATCH_ENTRIES = 10
MESSAGE_BYTES = 1_048_576
_ENTRY = {"MessageBody", "DelaySeconds", "MessageAttributes"}
_ALLOWED = {
    "CreateQueue": {"QueueName", "Attributes", "tags"},
    "GetQueueUrl": {"QueueName", "QueueOwnerAWSAccountId"},
    "SendMessage": {"QueueUrl", *_ENTRY},
    "SendMessageBatch": {"QueueUrl", "Entries"},
}

type Body = dict[str, Any]


@dataclass(frozen=True)
class Message:
    """One message as it was sent; ``message_id`` is given in the order of sending."""

    message_id: str
    body: str
    sent_at: float
    attributes: Body = field(default_factory=dict)


class SQS:
    """The service: ``call(operation, body)`` answers a body or raises ``Refused``."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.queues: dict[str, list[Message]] = {}

    def snapshot(self) -> dict[str, list[Message]]:
        """Return the state."""
        return {name: list(sent) for name, sent in self.queues.items()}

    def restore(self, snapshot: dict[str, list[Message]]) -> None:
        """Return to a state."""
        self.queues = {name: list(sent) for name, sent in snapshot.items()}

    def call(self, operation: str, body: Body) -> Body:
        """Run one operation."""
        if operation not in _ALLOWED:
            raise HarnessError(f"the harness does not emulate sqs {operation}")
        unknown = set(body) - _ALLOWED[operation]
        if unknown:
            raise HarnessError(f"the harness does not emulate {sorted(unknown)} of {operation}")
        if operation == "CreateQueue":
            self.queues.setdefault(body["QueueName"], [])
            return {"QueueUrl": url_of(body["QueueName"])}
        if operation == "GetQueueUrl":
            return {"QueueUrl": url_of(self.name(body["QueueName"]))}
        if operation == "SendMessage":
            return self.send(self.name(body["QueueUrl"]), body)
        return self._send_batch(self.name(body["QueueUrl"]), body["Entries"])

    def name(self, url: str) -> str:
        """Return the queue's name, from its URL, or refuse."""
        name = url.rpartition("/")[2]
        if name not in self.queues:
            raise _refused("QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue", "no such queue")
        return name

    def send(self, name: str, entry: Body) -> Body:
        """Store one message."""
        text = entry["MessageBody"]
        if not 0 < len(text.encode()) <= MESSAGE_BYTES:
            raise _refused("InvalidMessageContents", "InvalidParameterValue", "message is empty or too long")
        sent = self.queues[name]
        message = Message(
            f"{name}-{len(sent) + 1}", text, self.clock.now.timestamp(), entry.get("MessageAttributes") or {}
        )
        sent.append(message)
        return {"MessageId": message.message_id, "MD5OfMessageBody": md5(text)}

    def _send_batch(self, name: str, entries: list[Body]) -> Body:
        if not entries:
            raise _refused("EmptyBatchRequest", "AWS.SimpleQueueService.EmptyBatchRequest", "no entries")
        if len(entries) > BATCH_ENTRIES:
            raise _refused(
                "TooManyEntriesInBatchRequest", "AWS.SimpleQueueService.TooManyEntriesInBatchRequest", "more than 10"
            )
        if len({one["Id"] for one in entries}) != len(entries):
            raise _refused(
                "BatchEntryIdsNotDistinct", "AWS.SimpleQueueService.BatchEntryIdsNotDistinct", "ids not distinct"
            )
        if sum(len(one["MessageBody"].encode()) for one in entries) > MESSAGE_BYTES:
            raise _refused("BatchRequestTooLong", "AWS.SimpleQueueService.BatchRequestTooLong", "more than 1 MiB")
        for one in entries:
            unknown = set(one) - _ENTRY - {"Id"}
            if unknown:
                raise HarnessError(f"the harness does not emulate {sorted(unknown)} of a batch entry")
        return {"Successful": [{"Id": one["Id"], **self.send(name, one)} for one in entries]}


def url_of(name: str) -> str:
    """Return the URL of a queue."""
    return f"https://sqs.{REGION}.amazonaws.com/000000000000/{name}"


def md5(text: str) -> str:
    """Return the digest that SQS puts beside a body; not a security measure."""
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _refused(code: str, query_code: str, message: str) -> Refused:
    return Refused(code, message, extra={"query": query_code})
