"""The records that a letter of a stream tells the position of are all sent back."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any, cast

import pytest

from tests.unit.ops.stacks import stack_with
from tools.ops.positions import InStream
from tools.ops.stack import FUNCTION, Stack

if TYPE_CHECKING:
    from mypy_boto3_sqs.type_defs import MessageTypeDef

PAGE = 3


def record(number: int) -> dict[str, Any]:
    """A record of the ledger: every tenth is a page of notices, the others are pages of the journal."""
    sort_key = f"N#{number}" if number % 10 == 0 else f"J#{number}"
    image = {"pk": {"S": "A#acct-1"}, "sk": {"S": sort_key}}
    place = {"Keys": image, "NewImage": image, "SequenceNumber": str(number)}
    return {"eventID": str(number), "eventName": "INSERT", "dynamodb": place}


class Streams:
    """A shard, open or closed, whose every second page is empty, as those of DynamoDB may be."""

    def __init__(self, numbers: range) -> None:
        self.records = [record(number) for number in numbers]

    def get_shard_iterator(self, **asked: Any) -> dict[str, str]:
        """Before the record of a number."""
        (first,) = [n for n, one in enumerate(self.records) if one["eventID"] == asked["SequenceNumber"]]
        return {"ShardIterator": f"{first} full"}

    def get_records(self, **asked: Any) -> dict[str, Any]:
        """The next page; a closed shard has no more after its end."""
        place, state = asked["ShardIterator"].split()
        first = int(place)
        if state == "empty":
            return {"Records": [], "NextShardIterator": f"{first} full"}
        after = first + min(PAGE, asked["Limit"])
        more = {"NextShardIterator": f"{after} empty"} if after < len(self.records) else {}
        return {"Records": self.records[first:after], **more}


class Lambda:
    """A function that remembers the records that it is called with."""

    def __init__(self) -> None:
        self.taken: list[str] = []

    def invoke(self, **asked: Any) -> dict[str, Any]:
        """Take them."""
        self.taken += [one["dynamodb"]["Keys"]["sk"]["S"] for one in json.loads(asked["Payload"])["Records"]]
        return {"Payload": io.BytesIO(b"{}")}


def redriven(numbers: range, first: int, last: int, batch: int) -> list[str]:
    """What the function is called with for a letter of so many records."""
    functions = Lambda()
    function = {"PublishFunction": (FUNCTION, "publish")}
    stack: Stack = stack_with(function, **{"lambda": functions}, dynamodbstreams=Streams(numbers))
    place = {
        "streamArn": "arn",
        "shardId": "shard",
        "startSequenceNumber": str(first),
        "endSequenceNumber": str(last),
        "batchSize": batch,
    }
    letter = {"Body": json.dumps({"DDBStreamBatchInfo": place})}
    InStream("PublishFunction").back(stack, cast("MessageTypeDef", letter))
    return functions.taken


@pytest.mark.parametrize("end", [121, 200])
def test_a_filtered_batch_is_sent_back_to_its_last_record(end: int) -> None:
    """Between two notices lie records that the mapping keeps from the function; the second notice is not lost."""
    taken = redriven(range(95, end), 100, 120, 3)
    assert [one for one in taken if one.startswith("N#")] == ["N#100", "N#110", "N#120"]
    assert len(taken) == 21


def test_a_shard_that_ends_ends_it() -> None:
    """Nothing is waited for after the end of a closed shard."""
    assert redriven(range(100, 103), 100, 109, 10) == ["N#100", "J#101", "J#102"]
