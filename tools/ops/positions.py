"""Dead letters of a stream: they hold no records, only where in the stream these lie, for 24 hours."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from tools.ops.stack import OpsError, Stack

if TYPE_CHECKING:
    from mypy_boto3_dynamodbstreams.type_defs import RecordTypeDef
    from mypy_boto3_sqs.type_defs import MessageTypeDef

_TRIMMED = {"TrimmedDataAccessException", "ResourceNotFoundException"}
_ONE_CALL_BYTES = 4_000_000
"""Below the 6 MB that a function may be called with."""


@dataclass(frozen=True, slots=True)
class InStream:
    """Read the records at the position again, and call the function with them."""

    function: str

    def __str__(self) -> str:
        """In words."""
        return f"whose records go to {self.function} again"

    def back(self, stack: Stack, message: MessageTypeDef) -> None:
        """Raises OpsError where the records are gone, or the function fails again."""
        place = json.loads(message["Body"])["DDBStreamBatchInfo"]
        try:
            records = [_as_sent(one) for one in _records(stack, place)]
        except ClientError as error:
            if error.response["Error"]["Code"] not in _TRIMMED:
                raise
            first, last = (place.get(f"approximateArrivalOf{end}Record", "?") for end in ("First", "Last"))
            msg = (
                f"the stream has forgotten these records ({first} to {last}): docs/operations.md, the section of the "
                "queue's alarm, says how the same is done from the table; then take the letter out"
            )
            raise OpsError(msg) from error
        for group in groups(records):
            stack.call(self.function, {"Records": group})


def _records(stack: Stack, place: Mapping[str, Any]) -> Iterator[RecordTypeDef]:
    """The records from the first to the last position, both included.

    These are more than the letter's batch had, where its mapping filters: functions leave what is not for them.
    """
    last = int(place["endSequenceNumber"])
    iterator: str | None = stack.streams.get_shard_iterator(
        StreamArn=place["streamArn"],
        ShardId=place["shardId"],
        ShardIteratorType="AT_SEQUENCE_NUMBER",
        SequenceNumber=place["startSequenceNumber"],
    )["ShardIterator"]
    while iterator:
        page = stack.streams.get_records(ShardIterator=iterator, Limit=1000)
        for record in page["Records"]:
            if int(record["dynamodb"]["SequenceNumber"]) > last:
                return
            yield record
            if int(record["dynamodb"]["SequenceNumber"]) == last:
                return
        iterator = page.get("NextShardIterator")


def _as_sent(record: RecordTypeDef) -> dict[str, Any]:
    """A record as Lambda hands it to a function."""
    return {
        "eventID": record["eventID"],
        "eventName": record["eventName"],
        "eventSource": "aws:dynamodb",
        "dynamodb": {
            name: in_json(value) for name, value in record["dynamodb"].items() if name in {"Keys", "NewImage"}
        },
    }


def in_json(value: Any) -> Any:
    """An item, or a value of one, with its bytes in base64."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, Mapping):
        return {name: in_json(one) for name, one in value.items()}
    if isinstance(value, list):
        return [in_json(one) for one in value]
    return value


def groups(records: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """The records in order, as many at a time as a function may be called with."""
    group: list[dict[str, Any]] = []
    size = 0
    for record in records:
        more = len(json.dumps(record))
        if group and size + more > _ONE_CALL_BYTES:
            yield group
            group, size = [], 0
        group.append(record)
        size += more
    if group:
        yield group
