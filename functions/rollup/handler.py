"""The usage table's stream becomes live totals."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from datetime import date
from functools import partial
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.logging import Logger

from aws_platform import clients, live
from aws_platform.settings import Settings
from aws_platform.tasks import side_by_side

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

logger = Logger()


def handle(event: Mapping[str, Any], context: object) -> dict[str, Any]:  # noqa: ARG001 - Lambda's signature
    """Take a batch of stream records. A failure fails the whole batch: taking a record again changes nothing."""
    roll_up(event["Records"], clients.dynamodb(), Settings.from_environment())
    logger.info("windows updated", records=len(event["Records"]))
    return {"batchItemFailures": []}


def roll_up(stream_records: Sequence[Mapping[str, Any]], dynamodb: DynamoDBClient, settings: Settings) -> None:
    """Bring the windows up to date with the buckets in the records."""
    windows: dict[live.WindowKey, dict[str, bytes]] = {}
    drains: list[int] = []
    for record in stream_records:
        image = record["dynamodb"].get("NewImage")
        if image is None:
            continue
        partition, sort_key = image["pk"]["S"], image["sk"]["S"]
        if "r" in image:
            buckets = windows.setdefault(live.window_of(partition, sort_key), {})
            content = base64.b64decode(image["r"]["B"])
            # Of several versions in one batch the longest holds all.
            if len(content) > len(buckets.get(sort_key, b"")):
                buckets[sort_key] = content
        elif settings.sandbox and partition == "sandbox" and sort_key == "drain":
            drains.append(int(image["n"]["N"]))

    def bring_up_to_date(key: live.WindowKey) -> None:
        expires_at = live.expiry(_day_of(key.partition), sandbox=settings.sandbox)
        live.add_to_window(dynamodb, settings.live_table, key, windows[key], expires_at)

    side_by_side([partial(bring_up_to_date, key) for key in windows])
    if drains:
        _acknowledge(dynamodb, settings, max(drains))


def _day_of(partition: str) -> date:
    """The day that a partition of buckets names."""
    digits = partition.rpartition("#")[2]
    return date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))


def _acknowledge(dynamodb: DynamoDBClient, settings: Settings, number: int) -> None:
    """Tell the sandbox driver that everything before its mark has been taken."""
    dynamodb.put_item(
        TableName=settings.live_table,
        Item={"pk": {"S": "sandbox"}, "sk": {"S": "drained"}, "n": {"N": str(number)}},
    )
