"""Reading the due-indexes: what waits for a run, or to be verified, in the order of its sort keys."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from aws_platform.ledger import query_all

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

DUE_INDEX = "DueIndex"


def due_entries(dynamodb: DynamoDBClient, table: str, shard: str, first: str, after: str) -> Iterator[str]:
    """The entries of a shard of a due-index from one up to another one, which is left out."""
    for item in query_all(
        dynamodb,
        TableName=table,
        IndexName=DUE_INDEX,
        KeyConditionExpression="due_pk = :pk AND due_sk BETWEEN :first AND :after",
        ExpressionAttributeValues={":pk": {"S": shard}, ":first": {"S": first}, ":after": {"S": after}},
        ProjectionExpression="due_sk",
    ):
        yield item["due_sk"]["S"]
