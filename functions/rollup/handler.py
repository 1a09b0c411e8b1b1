"""The usage table's stream becomes live totals, and what these tell of packages is told."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.logging import Logger

from aws_platform import clients, clock, live, records, thresholds
from aws_platform.settings import Settings
from aws_platform.standing import Reader
from aws_platform.tasks import side_by_side
from rating.catalog import load
from rating.civil import business_instant

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

logger = Logger()


def handle(event: Mapping[str, Any], context: object) -> dict[str, Any]:  # noqa: ARG001 - Lambda's signature
    """Take a batch of stream records. A failure fails the whole batch: taking a record again changes nothing."""
    dynamodb, settings = clients.dynamodb(), Settings.from_environment()
    roll_up(event["Records"], dynamodb, settings)
    told = tell(event["Records"], dynamodb, settings)
    logger.info("windows updated", records=len(event["Records"]), notices=told)
    return {"batchItemFailures": []}


def tell(stream_records: Sequence[Mapping[str, Any]], dynamodb: DynamoDBClient, settings: Settings) -> int:
    """Tell of the packages that the usage in the records may have taken below an edge (D27); how many notices."""
    tags: dict[str, set[str]] = {}
    for record in stream_records:
        image = record["dynamodb"].get("NewImage") or {}
        if "r" in image:
            account_id = image["pk"]["S"].rpartition("#")[0]
            tags.setdefault(account_id, set()).update(_tags(base64.b64decode(image["c"]["B"])))
    if not tags:
        return 0
    now = business_instant(clock.now(settings, dynamodb))
    reader = Reader(dynamodb, settings, load())

    def look(account_id: str, own: Sequence[str]) -> int:
        try:
            return thresholds.tell(reader, account_id, own, now, passing=True)
        except Exception:
            # No reason to hold up the totals of all others.
            logger.exception("look failed", account_id=account_id)
            thresholds.postpone(reader, account_id, own, now)
            return 0

    return sum(side_by_side([partial(look, account_id, sorted(own)) for account_id, own in tags.items() if own]))


def _tags(counts: bytes) -> set[str]:
    """The tags of the chargeable ones of a bucket's calls."""
    catalog = load()
    dimensions = map(records.unpack_dimensions, records.add_counts([counts]))
    return {catalog.interface(one.kind).tag for one in dimensions if one.chargeable}


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
