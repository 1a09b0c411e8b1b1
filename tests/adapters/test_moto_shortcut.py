"""The shorter way to moto's DynamoDB (tests/support/moto_shortcut.py) answers what the whole way answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, ParamValidationError
from moto import mock_aws

from tests.support.moto_shortcut import OPERATIONS, shortcut
from tests.support.product import create_tables

TABLE = "ledger"
ITEM = {
    "pk": {"S": "账"},
    "sk": {"S": "a"},
    "due_pk": {"S": "due#0"},
    "due_sk": {"S": "2025"},
    "n": {"N": "17"},
    "b": {"B": b"\x00\xff"},
    "m": {"M": {"l": {"L": [{"NULL": True}, {"BOOL": False}, {"B": b"deep"}]}, "gone": {"M": {}}}},
    "s": {"SS": ["x", "y"]},
}
KEY = {name: ITEM[name] for name in ("pk", "sk")}
OTHER = {**KEY, "sk": {"S": "b"}}
NOT_THERE = {**KEY, "sk": {"S": "no"}}
FREE = {"ConditionExpression": "attribute_not_exists(pk)"}
OF_ACCOUNT = {"KeyConditionExpression": "pk = :pk", "ExpressionAttributeValues": {":pk": KEY["pk"]}}
NUMBER = {"#n": "n"}
COUNTED = {
    "Key": KEY,
    "UpdateExpression": "SET #n = #n + :one, #x = if_not_exists(#x, :b) REMOVE m.gone ADD s :s",
    "ExpressionAttributeNames": {**NUMBER, "#x": "new"},
    "ExpressionAttributeValues": {":one": {"N": "1"}, ":b": {"B": b"\x01"}, ":s": {"SS": ["z"]}},
}
DUE = {
    "IndexName": "DueIndex",
    "KeyConditionExpression": "due_pk = :pk AND due_sk BETWEEN :a AND :b",
    "ExpressionAttributeValues": {":pk": {"S": "due#0"}, ":a": {"S": "2"}, ":b": {"S": "3"}},
}
CALLS: list[tuple[str, dict[str, Any]]] = [
    ("GetItem", {"Key": KEY}),
    ("PutItem", {"Item": ITEM, **FREE}),
    ("PutItem", {"Item": ITEM, **FREE}),
    ("PutItem", {"Item": ITEM, **FREE, "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}),
    ("PutItem", {"Item": {**ITEM, **OTHER}, "ReturnValues": "ALL_OLD"}),
    ("PutItem", {"Item": {**ITEM, **OTHER}, "ReturnValues": "ALL_OLD"}),
    ("GetItem", {"Key": KEY, "ConsistentRead": True}),
    ("GetItem", {"Key": KEY, "ProjectionExpression": "#n, m.l", "ExpressionAttributeNames": NUMBER}),
    ("UpdateItem", {**COUNTED, "ReturnValues": "ALL_NEW"}),
    ("UpdateItem", {**COUNTED, "ReturnValues": "UPDATED_NEW"}),
    ("UpdateItem", {**COUNTED, "ConditionExpression": "#n > :one", "ReturnValues": "NONE"}),
    ("UpdateItem", {**COUNTED, "ConditionExpression": "#n < :one"}),
    ("UpdateItem", {**COUNTED, "Key": NOT_THERE}),
    ("UpdateItem", {**COUNTED, "UpdateExpression": "SET #n ="}),
    ("GetItem", {"Key": NOT_THERE}),
    ("Query", OF_ACCOUNT),
    ("Query", {**OF_ACCOUNT, "Limit": 1, "ScanIndexForward": False}),
    ("Query", {**OF_ACCOUNT, "Select": "COUNT"}),
    ("Query", {**OF_ACCOUNT, "Limit": 1, "ExclusiveStartKey": KEY}),
    ("Query", {**OF_ACCOUNT, "FilterExpression": "attribute_exists(nothing)"}),
    ("Query", DUE),
    ("Query", {**DUE, "Limit": 1}),
    ("BatchGetItem", {"RequestItems": {TABLE: {"Keys": [KEY, NOT_THERE, OTHER], "ConsistentRead": True}}}),
    ("TransactGetItems", {"TransactItems": [{"Get": {"TableName": TABLE, "Key": key}} for key in (KEY, NOT_THERE)]}),
    (
        "TransactWriteItems",
        {
            "TransactItems": [
                {"Update": {"TableName": TABLE, **COUNTED}},
                {
                    "Put": {
                        "TableName": TABLE,
                        "Item": {**ITEM, **OTHER},
                        **FREE,
                        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
                    }
                },
            ]
        },
    ),
    (
        "TransactWriteItems",
        {
            "TransactItems": [
                {"Update": {"TableName": TABLE, **COUNTED}},
                {"Delete": {"TableName": TABLE, "Key": OTHER}},
                {"ConditionCheck": {"TableName": TABLE, "Key": NOT_THERE, **FREE}},
            ]
        },
    ),
    ("Query", OF_ACCOUNT),
    ("DeleteItem", {"Key": KEY, **FREE}),
    ("DeleteItem", {"Key": KEY, "ReturnValues": "ALL_OLD"}),
    ("DeleteItem", {"Key": KEY}),
    ("Query", {**OF_ACCOUNT, "TableName": "no-such-table"}),
]


def answers(client: Any) -> Iterator[Any]:
    """What is answered to each call, and what refuses it."""
    for operation, parameters in CALLS:
        several = "RequestItems" in parameters or "TransactItems" in parameters
        given = parameters if several else {"TableName": TABLE, **parameters}
        try:
            answer = getattr(client, OPERATIONS[operation])(**given)
        except ClientError as error:
            answer = {**error.response, "type": type(error).__name__}
        yield {name: value for name, value in answer.items() if name != "ResponseMetadata"}


@pytest.fixture
def client() -> Iterator[Any]:
    """A client of empty tables."""
    with mock_aws():
        made: Any = boto3.client("dynamodb", "ap-southeast-1")
        create_tables(made)
        yield made


def test_answers_are_those_of_the_whole_way() -> None:
    """Answers, refusals and what is stored are the same, call by call."""

    def told() -> list[Any]:
        with mock_aws():
            made: Any = boto3.client("dynamodb", "ap-southeast-1")
            create_tables(made)
            return list(answers(made))

    whole = told()
    with shortcut():
        short = told()
    assert {operation for operation, _ in CALLS} == OPERATIONS.keys()
    assert [one for one in zip(CALLS, whole, short, strict=True) if one[1] != one[2]] == []
    assert {one["type"] for one in whole if "type" in one} == {
        "ConditionalCheckFailedException",
        "TransactionCanceledException",
        "ResourceNotFoundException",
        "ClientError",
    }


def test_nothing_is_shared_with_the_service(client: Any) -> None:
    """Who changes what was given or answered changes nothing that is stored."""
    with shortcut():
        given: dict[str, Any] = {**KEY, "m": {"M": {"a": {"L": [{"N": "1"}]}}}}
        client.put_item(TableName=TABLE, Item=given)
        given["m"]["M"]["a"] = {"S": "changed"}
        (first,) = client.query(TableName=TABLE, **OF_ACCOUNT)["Items"]
        first["m"]["M"]["a"]["L"].append("changed")
        assert client.get_item(TableName=TABLE, Key=KEY)["Item"]["m"] == {"M": {"a": {"L": [{"N": "1"}]}}}


def test_wrong_parameters_are_refused(client: Any) -> None:
    """As botocore refuses them, before anything is called."""
    with shortcut(), pytest.raises(ParamValidationError):
        client.put_item(TableName=TABLE, Item={**KEY, "n": {"N": 1}})
