"""The harness's own table behaves like DynamoDB: side by side with moto, and where moto is known to differ."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
from moto import mock_aws

from tests.faults.harness import HarnessError, World

boto3: Any = importlib.import_module("boto3")
ClientError: Any = importlib.import_module("botocore.exceptions").ClientError

TABLE: dict[str, Any] = {
    "TableName": "T",
    "BillingMode": "PAY_PER_REQUEST",
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
    "AttributeDefinitions": [
        {"AttributeName": name, "AttributeType": kind}
        for name, kind in {"pk": "S", "sk": "S", "g": "S", "n": "N"}.items()
    ],
    "GlobalSecondaryIndexes": [
        {
            "IndexName": "ByG",
            "KeySchema": [{"AttributeName": "g", "KeyType": "HASH"}, {"AttributeName": "n", "KeyType": "RANGE"}],
            "Projection": {"ProjectionType": "KEYS_ONLY"},
        }
    ],
    "LocalSecondaryIndexes": [
        {
            "IndexName": "ByN",
            "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "n", "KeyType": "RANGE"}],
            "Projection": {"ProjectionType": "ALL"},
        }
    ],
}
ABSENT = "attribute_not_exists(pk)"
CONDITIONS = [
    None,
    ABSENT,
    "attribute_exists(pk)",
    "#v = :v",
    "#v <> :v",
    "#v < :v OR attribute_not_exists(#v)",
    "NOT (#v >= :v) AND attribute_exists(sk)",
    "#v BETWEEN :v AND :v",
    "#v IN (:v, :v)",
    "attribute_exists(tags) AND size(tags) > :v",
    "contains(tags, :s) OR begins_with(g, :s)",
    "attribute_type(#v, :t)",
]
UPDATES = [
    "SET #v = :v",
    "SET #v = if_not_exists(#v, :v) + :v",
    "SET #v = if_not_exists(spare, :v) - :v REMOVE g",
    "ADD #v :v",
    "ADD tags :ss",
    "DELETE tags :ss",
    "SET doc.a = :v",
    "SET doc = :m",
    "SET items = list_append(if_not_exists(items, :l), :l)".replace("items", "things"),
    "REMOVE doc.a, #v",
    "SET bin = :b",
]
VALUES: dict[str, Any] = {
    ":s": {"S": "x"},
    ":t": {"S": "N"},
    ":ss": {"SS": ["x", "y"]},
    ":m": {"M": {"a": {"N": "1"}, "b": {"L": [{"S": "q"}, {"NULL": True}]}}},
    ":l": {"L": [{"N": "5"}]},
    ":b": {"B": b"\x00\xff"},
}


def _bound(values: dict[str, Any], *expressions: str | None) -> dict[str, Any]:
    text = " ".join(one for one in expressions if one)
    words = set(text.replace("(", " ").replace(")", " ").replace(",", " ").split())
    answer: dict[str, Any] = {}
    used = {name: value for name, value in values.items() if name in words}
    if used:
        answer["ExpressionAttributeValues"] = used
    if "#v" in words:
        answer["ExpressionAttributeNames"] = {"#v": "value"}
    return answer


def _key(dice: Random) -> dict[str, Any]:
    return {"pk": {"S": f"p{dice.randrange(3)}"}, "sk": {"S": dice.choice(["a", "ab", "b", "ü", "z"])}}


def _item(dice: Random) -> dict[str, Any]:
    item = {**_key(dice), "value": {"N": dice.choice(["1", "2", "2.50", "-3", "100"])}}
    if dice.random() < 0.6:
        item |= {"g": {"S": dice.choice(["x", "y"])}, "n": {"N": str(dice.randrange(-2, 12))}}
    if dice.random() < 0.4:
        item["tags"] = {"SS": dice.choice([["x"], ["y", "z"]])}
    if dice.random() < 0.3:
        item["doc"] = VALUES[":m"]
    return item


def _write(dice: Random, *, single: bool) -> tuple[str, dict[str, Any]]:
    kind = dice.choice(["Put", "Update", "Delete"] if single else ["Put", "Update", "Delete", "ConditionCheck"])
    condition = dice.choice(CONDITIONS) if dice.random() < 0.5 else None
    values = {**VALUES, ":v": {"N": str(dice.randrange(3))}}
    request: dict[str, Any] = {"TableName": "T"}
    update = None
    if kind == "Put":
        request["Item"] = _item(dice)
    else:
        request["Key"] = _key(dice)
    if kind == "Update":
        update = request["UpdateExpression"] = dice.choice(UPDATES)
    if kind == "ConditionCheck" and condition is None:
        condition = ABSENT
    if condition is not None:
        request["ConditionExpression"] = condition
    if single and dice.random() < 0.5:
        request["ReturnValues"] = "ALL_NEW" if kind == "Update" else "ALL_OLD"
    return kind, request | _bound(values, condition, update)


def _read(dice: Random) -> tuple[str, dict[str, Any]]:
    if dice.random() < 0.3:
        return "get_item", {"TableName": "T", "Key": _key(dice), "ConsistentRead": True}
    index = dice.choice([None, None, "ByG", "ByN"])
    sort = "sk" if index is None else "n"
    low: dict[str, Any] = {"S": "ab"} if index is None else {"N": "3"}
    high: dict[str, Any] = {"S": "z"} if index is None else {"N": "9"}
    ranges = [None, f"{sort} > :low", f"{sort} <= :low", f"{sort} BETWEEN :low AND :high", f"{sort} = :low"]
    if index is None:
        ranges.append("begins_with(sk, :low)")
    wanted = dice.choice(ranges)
    hash_name = "g" if index == "ByG" else "pk"
    expression = f"{hash_name} = :h" + (f" AND {wanted}" if wanted else "")
    condition = dice.choice([None, "#v >= :v", "attribute_exists(tags)"])
    values = {":h": {"S": dice.choice(["x", "y"] if index == "ByG" else ["p0", "p1"])}, ":low": low, ":high": high}
    body: dict[str, Any] = {"TableName": "T", "KeyConditionExpression": expression}
    if condition is not None:
        body["FilterExpression"] = condition
    if index is not None:
        body["IndexName"] = index
    if dice.random() < 0.4:
        body["ScanIndexForward"] = False
    if dice.random() < 0.5:
        body["Limit"] = dice.randrange(1, 5)
    return "query", body | _bound({**values, ":v": {"N": "2"}}, expression, condition)


def _operation(dice: Random) -> tuple[str, dict[str, Any]]:
    drawn = dice.random()
    if drawn < 0.4:
        kind, request = _write(dice, single=True)
        return f"{kind.lower()}_item", request
    if drawn < 0.55:
        count = dice.randrange(1, 5)
        return "transact_write_items", {"TransactItems": [dict([_write(dice, single=False)]) for _ in range(count)]}
    if drawn < 0.6:
        keys = {str(key): key for key in (_key(dice) for _ in range(3))}
        return "batch_get_item", {"RequestItems": {"T": {"Keys": list(keys.values()), "ConsistentRead": True}}}
    if drawn < 0.65:
        items = {str({**item, "pk": item["pk"], "x": 0})[:40]: item for item in (_item(dice) for _ in range(2))}
        return "batch_write_item", {"RequestItems": {"T": [{"PutRequest": {"Item": item}} for item in items.values()]}}
    return _read(dice)


def _plain(value: Any) -> Any:
    """Return an answer without what may differ: request ids, the order inside sets, spellings of a number."""
    if isinstance(value, dict):
        hidden = {
            "ResponseMetadata",
            "ConsumedCapacity",
            "UnprocessedItems",
            "UnprocessedKeys",
            "ItemCollectionMetrics",
        }
        clean = {name: _plain(inner) for name, inner in value.items() if name not in hidden}
        for kind in ("SS", "NS"):
            if kind in clean:
                clean[kind] = sorted(clean[kind])
        if set(clean) == {"N"}:
            return {"N": float(clean["N"])}
        return clean
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return value


def _answer(client: Any, name: str, request: dict[str, Any]) -> Any:
    try:
        if name == "query":
            return _pages(client, request)
        answer = _plain(getattr(client, name)(**request))
    except ClientError as error:
        reasons = error.response.get("CancellationReasons", [])
        return error.response["Error"]["Code"], [one["Code"].removesuffix("Exception") for one in reasons]
    if name == "batch_get_item":
        return sorted(answer["Responses"]["T"], key=str)
    return answer


def _pages(client: Any, request: dict[str, Any]) -> Any:
    found: list[Any] = []
    start: dict[str, Any] = {}
    for _ in range(30):
        page = client.query(**request, **start)
        found += _plain(page["Items"])
        if not page.get("LastEvaluatedKey"):
            break
        start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}
    ties = "IndexName" in request
    return sorted(found, key=lambda item: (item["n"]["N"], str(item))) if ties else found


def _run(client: Any, seed: int, count: int) -> list[tuple[str, Any, Any]]:
    dice = Random(seed)  # noqa: S311 - wants to be reproducible
    client.create_table(**TABLE)
    done = []
    for _ in range(count):
        name, request = _operation(dice)
        done.append((name, request, _answer(client, name, request)))
    return done


@pytest.fixture
def world() -> Iterator[World]:
    """Give an empty world."""
    with World() as entered:
        yield entered


@pytest.mark.parametrize("seed", range(3))
def test_same_answers_as_moto(seed: int) -> None:
    """On random writes, transactions, batches and queries our table gives moto's answers and error codes."""
    with mock_aws():
        expected = _run(boto3.client("dynamodb", region_name="eu-west-1"), seed, 200)
    with World() as world:
        actual = _run(world.client("dynamodb"), seed, 200)
    for mine, theirs in zip(actual, expected, strict=True):
        assert mine == theirs


def _refusal(function: Any, **request: Any) -> str:
    with pytest.raises(ClientError) as caught:
        function(**request)
    return str(caught.value.response["Error"]["Code"])


def _put(world: World, sk: str, **more: Any) -> None:
    world.client("dynamodb").put_item(TableName="T", Item={"pk": {"S": "a"}, "sk": {"S": sk}, **more})


def test_transaction_is_all_or_nothing(world: World) -> None:
    """A cancelled transaction changes no item, writes nothing to the stream and says which condition failed."""
    world.create_table("T", stream="NEW_IMAGE")
    client = world.client("dynamodb")
    _put(world, "1")
    put = {"TableName": "T", "Item": {"pk": {"S": "a"}, "sk": {"S": "2"}}}
    taken = {"TableName": "T", "Item": {"pk": {"S": "a"}, "sk": {"S": "1"}}, "ConditionExpression": ABSENT}
    with pytest.raises(client.exceptions.TransactionCanceledException) as caught:
        client.transact_write_items(TransactItems=[{"Put": put}, {"Put": taken}])
    assert [one["Code"] for one in caught.value.response["CancellationReasons"]] == ["None", "ConditionalCheckFailed"]
    assert len(world.items("T")) == 1
    assert len(world.dynamodb.table("T").stream) == 1


def test_token_makes_a_transaction_idempotent_for_ten_minutes(world: World) -> None:
    """The same token changes nothing within ten minutes, is refused with another request, and works again after."""
    world.create_table("T")
    client = world.client("dynamodb")

    def add(amount: str) -> None:
        update = {
            "TableName": "T",
            "Key": {"pk": {"S": "a"}, "sk": {"S": "1"}},
            "UpdateExpression": "ADD c :n",
            "ExpressionAttributeValues": {":n": {"N": amount}},
        }
        client.transact_write_items(TransactItems=[{"Update": update}], ClientRequestToken="token")

    add("1")
    add("1")
    assert world.items("T")[0]["c"] == {"N": "1"}
    with pytest.raises(client.exceptions.IdempotentParameterMismatchException):
        add("2")
    world.clock.advance(601)
    add("1")
    assert world.items("T")[0]["c"] == {"N": "2"}


def test_stream_has_lambda_shape_in_commit_order(world: World) -> None:
    """Stream records carry base64 binaries, keys, kind and rising numbers; a write that changes nothing has none."""
    world.create_table("T", stream="NEW_IMAGE")
    client = world.client("dynamodb")
    _put(world, "1", b={"B": b"\x00\xff"})
    _put(world, "1", b={"B": b"\x00\xff"})
    _put(world, "1", b={"B": b"\x01"})
    client.delete_item(TableName="T", Key={"pk": {"S": "a"}, "sk": {"S": "1"}})
    stream = world.dynamodb.table("T").stream
    assert [one["eventName"] for one in stream] == ["INSERT", "MODIFY", "REMOVE"]
    assert stream[0]["dynamodb"]["NewImage"]["b"] == {"B": "AP8="}
    assert stream[2]["dynamodb"]["Keys"] == {"pk": {"S": "a"}, "sk": {"S": "1"}}
    assert "NewImage" not in stream[2]["dynamodb"]
    numbers = [one["dynamodb"]["SequenceNumber"] for one in stream]
    assert numbers == sorted(numbers)
    assert stream[0]["eventSource"] == "aws:dynamodb"


def test_query_pages_at_one_megabyte(world: World) -> None:
    """A page ends once it has read a megabyte, with or without a limit, and goes on from its last key."""
    world.create_table("T")
    client = world.client("dynamodb")
    for number in range(5):
        _put(world, str(number), b={"B": b"x" * 300_000})
    query: dict[str, Any] = {
        "TableName": "T",
        "KeyConditionExpression": "pk = :a",
        "ExpressionAttributeValues": {":a": {"S": "a"}},
        "Select": "COUNT",
    }
    first = client.query(**query)
    assert first["Count"] == 4
    rest = client.query(**query, ExclusiveStartKey=first["LastEvaluatedKey"])
    assert rest["Count"] == 1
    assert "LastEvaluatedKey" not in rest


def test_strict_where_aws_is(world: World) -> None:
    """Reserved words, unused placeholders, wrong index key types, double keys, oversize items are refused."""
    world.create_table("T", global_indexes={"ByG": ("g",)})
    client = world.client("dynamodb")
    key = {"pk": {"S": "a"}, "sk": {"S": "1"}}
    values = {":v": {"N": "1"}}
    update = {"TableName": "T", "Key": key}
    refused: list[tuple[Any, dict[str, Any]]] = [
        (client.update_item, {**update, "UpdateExpression": "SET status = :v", "ExpressionAttributeValues": values}),
        (client.update_item, {**update, "UpdateExpression": "REMOVE c", "ExpressionAttributeValues": values}),
        (client.update_item, {**update, "UpdateExpression": "SET sk = :v", "ExpressionAttributeValues": values}),
        (client.put_item, {"TableName": "T", "Item": {**key, "g": {"N": "1"}}}),
        (client.put_item, {"TableName": "T", "Item": {**key, "b": {"B": b"x" * 410_000}}}),
        (client.put_item, {"TableName": "T", "Item": {"pk": {"S": "a"}}}),
        (client.batch_get_item, {"RequestItems": {"T": {"Keys": [key, key]}}}),
        (client.get_item, {"TableName": "T", "Key": {**key, "extra": {"S": "x"}}}),
    ]
    assert {_refusal(function, **request) for function, request in refused} == {"ValidationException"}
    assert _refusal(client.get_item, TableName="U", Key=key) == "ResourceNotFoundException"
    assert world.items("T") == []


def test_refuses_what_it_does_not_emulate(world: World) -> None:
    """An operation or parameter that is not emulated stops the test instead of being ignored."""
    world.create_table("T")
    client = world.client("dynamodb")
    with pytest.raises(HarnessError, match="ExportTable"):
        client.export_table_to_point_in_time(TableArn="arn:aws:dynamodb:test-1:000000000000:table/T", S3Bucket="b")
    with pytest.raises(HarnessError, match="TotalSegments"):
        client.scan(TableName="T", Segment=0, TotalSegments=2)
    with pytest.raises(HarnessError, match="network"):
        world.client("s3").list_buckets()


def test_snapshot_and_restore(world: World) -> None:
    """Restoring brings back items, streams, tokens, queues and time, whatever happened since."""
    world.create_table("T", stream="NEW_IMAGE")
    url = world.create_queue("Q")
    _put(world, "1", c={"N": "1"})
    start = world.snapshot()
    before = world.clock.now
    _put(world, "1", c={"N": "2"})
    _put(world, "2")
    world.client("sqs").send_message(QueueUrl=url, MessageBody="x")
    world.clock.advance(60)
    world.restore(start)
    assert [item["c"] for item in world.items("T")] == [{"N": "1"}]
    assert len(world.dynamodb.table("T").stream) == 1
    assert world.sqs.queues == {"Q": []}
    assert world.clock.now == before
