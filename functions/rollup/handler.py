"""The usage table's stream becomes live totals."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import groupby
from operator import attrgetter
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

    def bring_up_to_date(own: Sequence[live.WindowKey]) -> None:
        for key in own:
            live.add_to_window(dynamodb, settings.live_table, key, windows[key], sandbox=settings.sandbox)

    # Accounts side by side; an account's windows in the order of time, in which most of them need the fewest calls.
    accounts = groupby(sorted(windows), key=attrgetter("account_id"))
    side_by_side([partial(bring_up_to_date, list(own)) for _, own in accounts])
    if drains:
        _acknowledge(dynamodb, settings, max(drains))


def _acknowledge(dynamodb: DynamoDBClient, settings: Settings, number: int) -> None:
    """Tell the sandbox driver that everything before its mark has been taken."""
    dynamodb.put_item(
        TableName=settings.live_table,
        Item={"pk": {"S": "sandbox"}, "sk": {"S": "drained"}, "n": {"N": str(number)}},
    )
