"""Listening to clients: every call is counted with what it costs, and the caller notices nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from bench.capacity import Index, Table
from bench.tap import Tap

TABLE = Table("usage", ("pk", "sk"))
KEY = {"pk": {"S": "a"}, "sk": {"S": "b"}}


@pytest.fixture
def tap(monkeypatch: pytest.MonkeyPatch) -> Iterator[Tap]:
    """A tap at a client of one empty table."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        raw = boto3.client("dynamodb")
        raw.create_table(
            TableName="usage",
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
            BillingMode="PAY_PER_REQUEST",
        )
        yield Tap(raw, {"usage": TABLE})


def _client(tap: Tap) -> Any:
    client = boto3.client("dynamodb")
    tap.attach(client)
    return client


def _item(size: int) -> dict[str, Any]:
    return {**KEY, "r": {"B": b"x" * (size - 7)}}


def test_puts(tap: Tap) -> None:
    """A put costs the larger of the two images, and its image is in the stream."""
    client = _client(tap)
    client.put_item(TableName="usage", Item=_item(2500))
    client.put_item(TableName="usage", Item=_item(100))
    assert [call.write for call in tap.calls] == [3, 3]
    assert tap.written == [("usage", _item(2500)), ("usage", _item(100))]


def test_lost_races(tap: Tap) -> None:
    """A put whose condition fails is charged, changes nothing and is not in the stream."""
    client = _client(tap)
    client.put_item(TableName="usage", Item=_item(1500))
    with pytest.raises(ClientError):
        client.put_item(TableName="usage", Item=_item(100), ConditionExpression="attribute_not_exists(pk)")
    total = tap.total()
    assert (total.calls, total.failed, total.write, total.failed_write) == (2, 1, 4, 2)
    assert len(tap.written) == 1


def test_items_that_somebody_else_wrote(tap: Tap) -> None:
    """What was written past the tap counts as the old image, once the tap is told."""
    tap.raw.put_item(TableName="usage", Item=_item(5000))
    tap.know("usage", _item(5000))
    _client(tap).put_item(TableName="usage", Item=_item(100))
    assert tap.total().write == 5


def test_transactions_and_updates(tap: Tap) -> None:
    """In a transaction each item is doubled, an update with the image that it leads to; a removal has no image."""
    client = _client(tap)
    other = {**_item(1020), "sk": {"S": "c"}}
    tap.raw.put_item(TableName="usage", Item=other)
    tap.know("usage", other)
    update = {
        "TableName": "usage",
        "Key": {**KEY, "sk": {"S": "c"}},
        "UpdateExpression": "SET s = :s",
        "ExpressionAttributeValues": {":s": {"S": "x" * 10}},
    }
    client.transact_write_items(TransactItems=[{"Put": {"TableName": "usage", "Item": _item(100)}}, {"Update": update}])
    client.delete_item(TableName="usage", Key=KEY)
    assert [call.write for call in tap.calls] == [2 + 4, 1]
    assert [item["sk"]["S"] for _, item in tap.written] == ["b", "c"]


def test_reads(tap: Tap) -> None:
    """Reads cost what was looked at, not what was asked for, and the caller gets what it asked for."""
    client = _client(tap)
    for number in range(3):
        tap.raw.put_item(TableName="usage", Item={**_item(3000), "sk": {"S": str(number)}})
    page = client.query(
        TableName="usage",
        KeyConditionExpression="pk = :pk",
        ExpressionAttributeValues={":pk": {"S": "a"}},
        ProjectionExpression="sk",
        ConsistentRead=True,
    )
    assert page["Items"] == [{"sk": {"S": str(number)}} for number in range(3)]
    assert "Item" not in client.get_item(TableName="usage", Key=KEY)
    wanted = {"Keys": [{**KEY, "sk": {"S": sort}} for sort in ("0", "1", "none")], "ConsistentRead": True}
    client.batch_get_item(RequestItems={"usage": wanted})
    assert [call.read for call in tap.calls] == [3, 0.5, 3]
    assert tap.total().write == 0


def test_who_bears_the_units(tap: Tap) -> None:
    """A global index bears its own units and a local one those of its table; a condition that fails costs the table."""
    by_due = Index("ByDue", ("due",), "KEYS_ONLY", local=False)
    local = Index("ByUsage", ("pk", "due"), "ALL", local=True)
    tap.tables = {"usage": Table("usage", ("pk", "sk"), (by_due, local))}
    client = _client(tap)
    tap.label = "settle"
    item = {**_item(100), "due": {"S": "1"}}
    client.put_item(TableName="usage", Item=item)
    with pytest.raises(ClientError):
        client.put_item(TableName="usage", Item=item, ConditionExpression="attribute_not_exists(pk)")
    client.get_item(TableName="usage", Key=KEY)
    assert tap.writes("settle") == {"usage": 3, "usage/ByDue": 1}
    assert tap.reads("settle") == {"usage": 0.5}
    assert tap.writes("another") == {}
    assert [tap.tables["usage"].bearer(name) for name in ("ByDue", "ByUsage", None)] == [
        "usage/ByDue",
        "usage",
        "usage",
    ]


def test_labels(tap: Tap) -> None:
    """Calls are summed up by who made them."""
    client = _client(tap)
    tap.label = "ingest"
    client.put_item(TableName="usage", Item=_item(100))
    tap.label = "rollup"
    client.get_item(TableName="usage", Key=KEY)
    assert (tap.total("ingest").calls, tap.total("rollup").calls, tap.total().calls) == (1, 1, 2)
    assert tap.operations("ingest") == {"PutItem": 1}


def test_other_services(tap: Tap) -> None:
    """Calls to other services are counted, too."""
    sqs = boto3.client("sqs")
    tap.attach(sqs)
    sqs.create_queue(QueueName="queue")
    assert tap.operations() == {"CreateQueue": 1}
