"""What waits to be worked off behind the functions: messages in queues and records in streams."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Protocol

from botocore.exceptions import ClientError

PATIENCE_SECONDS = 120.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.003, 0.05
_PAGE = 1000
"""Records of a stream at a time; the emulator gives fewer only where there are no more."""
_COUNTS = [
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
]


class StuckError(Exception):
    """Something was not worked off in the time allowed; the text names it."""


class Backlog(Protocol):
    """Something that functions work off by themselves."""

    kind: str
    name: str

    def pending(self) -> bool:
        """Whether there is, or may be, anything to work off."""
        ...

    def done(self) -> bool:
        """Whether what was pending is worked off."""
        ...


def wait_for(backlog: Backlog, deadline: float) -> None:
    """Wait until a backlog is worked off. Raises StuckError at the deadline (of `time.monotonic`)."""
    pause = _FIRST_PAUSE
    while not backlog.done():
        if time.monotonic() >= deadline:
            message = f"{backlog.kind} {backlog.name} was not worked off in time"
            raise StuckError(message)
        time.sleep(pause)
        pause = min(_LONGEST_PAUSE, pause * 1.5)


@dataclass
class Queue:
    """A queue is done when nothing in it is visible, in flight or delayed."""

    name: str
    sqs: Any
    url: str
    kind: str = "queue"

    def pending(self) -> bool:
        """See `Backlog`."""
        counts = self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=_COUNTS)["Attributes"]
        return any(int(counts[name]) for name in _COUNTS)

    def done(self) -> bool:
        """See `Backlog`."""
        return not self.pending()


@dataclass
class Marker:
    """How a function tells how far it has read: it answers a marker item of the table with one of its own."""

    table: str
    answer_table: str


class Stream:
    """The stream of a table, done when its function has answered a marker put after everything else.

    Whether anything was written since the last time is read off the stream itself, so idle time costs no
    marker.
    """

    kind = "stream"

    def __init__(self, name: str, marker: Marker, dynamodb: Any, streams: Any) -> None:
        """Take the table's logical id, where its markers go, and clients of DynamoDB and its streams."""
        self.name = name
        self._marker = marker
        self._dynamodb = dynamodb
        self._streams = streams
        self._arn: str = dynamodb.describe_table(TableName=marker.table)["Table"]["LatestStreamArn"]
        self._iterator: str | None = None
        self._number = 0

    def _at_end(self) -> str:
        shard = self._streams.describe_stream(StreamArn=self._arn)["StreamDescription"]["Shards"][-1]["ShardId"]
        answer = self._streams.get_shard_iterator(StreamArn=self._arn, ShardId=shard, ShardIteratorType="LATEST")
        iterator: str = answer["ShardIterator"]
        return iterator

    def _written(self) -> bool:
        """Whether records other than markers came since the last marker, as far as can be told."""
        while self._iterator is not None:
            try:
                page = self._streams.get_records(ShardIterator=self._iterator, Limit=_PAGE)
            except ClientError:
                return True  # expired: it was long ago
            if any(record["dynamodb"]["Keys"]["pk"]["S"] != "sandbox" for record in page["Records"]):
                return True
            self._iterator = page["NextShardIterator"]
            if len(page["Records"]) < _PAGE:
                return False
        return True

    def pending(self) -> bool:
        """See `Backlog`. Puts the marker when there is."""
        if not self._written():
            return False
        self._iterator = self._at_end()
        answer = self._dynamodb.update_item(
            TableName=self._marker.table,
            Key={"pk": {"S": "sandbox"}, "sk": {"S": "drain"}},
            UpdateExpression="ADD n :one",
            ExpressionAttributeValues={":one": {"N": "1"}},
            ReturnValues="UPDATED_NEW",
        )
        self._number = int(answer["Attributes"]["n"]["N"])
        return True

    def done(self) -> bool:
        """See `Backlog`."""
        key = {"pk": {"S": "sandbox"}, "sk": {"S": "drained"}}
        answer = self._dynamodb.get_item(TableName=self._marker.answer_table, Key=key, ConsistentRead=True)
        return int(answer.get("Item", {}).get("n", {"N": "0"})["N"]) >= self._number
