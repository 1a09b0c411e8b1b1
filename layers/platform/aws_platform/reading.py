"""Reading several items at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import batched
from typing import TYPE_CHECKING, Any

from aws_platform import failures

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_BATCH_GET_KEYS = 100

type Place = tuple[str, str, str]
"""Table, partition key, sort key."""
type Item = Mapping[str, Any]


def batch_get(dynamodb: DynamoDBClient, wanted: Sequence[Place]) -> dict[tuple[str, str], Item]:
    """The items that exist, strongly consistent, by their keys. They need not be of the same moment.

    Raises TryAgainError where reads are throttled for too long.
    """
    items: dict[tuple[str, str], Item] = {}
    for group in batched(dict.fromkeys(wanted), _BATCH_GET_KEYS, strict=False):
        request: dict[str, Any] = {}
        for table, pk, sk in group:
            entry = request.setdefault(table, {"Keys": [], "ConsistentRead": True})
            entry["Keys"].append({"pk": {"S": pk}, "sk": {"S": sk}})
        for _ in failures.attempts():
            answer = dynamodb.batch_get_item(RequestItems=request)
            for found in answer["Responses"].values():
                items.update({(item["pk"]["S"], item["sk"]["S"]): item for item in found})
            request = dict(answer.get("UnprocessedKeys") or {})
            if not request:
                break
        else:
            msg = "reads are throttled"
            raise failures.TryAgainError(msg)
    return items


def in_partition(dynamodb: DynamoDBClient, table: str, partition: str, sort_keys: Iterable[str]) -> dict[str, Item]:
    """The items of one partition that exist, by sort key; one call for up to 100 of them."""
    found = batch_get(dynamodb, [(table, partition, sort_key) for sort_key in sort_keys])
    return {sort_key: item for (_, sort_key), item in found.items()}
