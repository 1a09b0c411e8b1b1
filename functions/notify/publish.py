"""The ledger table's stream becomes events on the bus: one for each notice of a new page.

What could not be published lies in the ledger all the same; a task puts the notices of an account's days on the bus
again.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.logging import Logger
from botocore.exceptions import BotoCoreError, ClientError

from aws_platform import clients, failures, keys
from aws_platform.ledger import query_all
from aws_platform.notices import KeptNotice, notices_from_item
from aws_platform.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_events import EventBridgeClient

logger = Logger()
SOURCE = "zhangben"
_MOST_ENTRIES = 10
"""Of one PutEvents."""
_MOST_BYTES = 256 * 1024
_TIME_BYTES = 14
"""What EventBridge counts for an entry's time."""
_AFTER_A_DAY = "~"
"""Sorts after every page of the day that it is put behind."""


def handle(event: Mapping[str, Any], context: object) -> dict[str, Any]:  # noqa: ARG001 - Lambda's signature
    """Publish the pages of a batch of stream records. A failure fails the whole batch: listeners bear repeats.

    Or do the task `{"republish": {"account_id", "from", "to"}}`: publish the notices of an account's days once more.
    """
    settings = Settings.from_environment()
    if "republish" in event:
        return _republish(settings, event["republish"])
    entries: list[dict[str, Any]] = []
    drains: list[int] = []
    for record in event["Records"]:
        image = record["dynamodb"].get("NewImage")
        if image is None:
            continue
        if record["eventName"] == "INSERT" and image["sk"]["S"].startswith(keys.NOTICE_PREFIX):
            item = {**image, "page": {"B": base64.b64decode(image["page"]["B"])}}
            entries += [_entry(kept, settings.bus_name) for kept in notices_from_item(item)]
        elif settings.sandbox and (image["pk"]["S"], image["sk"]["S"]) == ("sandbox", "drain"):
            drains.append(int(image["n"]["N"]))
    for group in _groups(entries):
        _put(clients.events(), group)
    if drains:
        _acknowledge(clients.dynamodb(), settings, max(drains))
    logger.info("notices published", records=len(event["Records"]), notices=len(entries))
    return {"batchItemFailures": []}


def _republish(settings: Settings, task: Mapping[str, str]) -> dict[str, Any]:
    """Publish what an account was told from the first to the last day, both included.

    Harmless where it was published before: deliveries are claimed, and listeners bear repeats. Raises ValueError where
    a day is none.
    """
    account_id, first, last = task["account_id"], date.fromisoformat(task["from"]), date.fromisoformat(task["to"])
    pages = query_all(
        clients.dynamodb(),
        TableName=settings.ledger_table,
        KeyConditionExpression="pk = :pk AND sk BETWEEN :first AND :last",
        ExpressionAttributeValues={
            ":pk": {"S": keys.ledger(account_id)},
            ":first": {"S": keys.notice_page(f"{first:%Y%m%d}")},
            ":last": {"S": keys.notice_page(f"{last:%Y%m%d}{_AFTER_A_DAY}")},
        },
        ConsistentRead=True,
    )
    notices = 0
    for group in _groups(_entry(kept, settings.bus_name) for item in pages for kept in notices_from_item(item)):
        _put(clients.events(), group)
        notices += len(group)
    logger.info("notices published again", account_id=account_id, notices=notices)
    return {"notices": notices}


def _entry(kept: KeptNotice, bus_name: str) -> dict[str, Any]:
    return {
        "EventBusName": bus_name,
        "Source": SOURCE,
        "DetailType": kept.notice.kind.value,
        "Detail": json.dumps(kept.event(), ensure_ascii=False, separators=(",", ":")),
        "Time": kept.notice.occurred_at,
    }


def _groups(entries: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """The entries in order, cut into what one PutEvents takes."""
    group: list[dict[str, Any]] = []
    size = 0
    for entry in entries:
        more = sum(len(entry[name].encode()) for name in ("Source", "DetailType", "Detail")) + _TIME_BYTES
        if group and (len(group) == _MOST_ENTRIES or size + more > _MOST_BYTES):
            yield group
            group, size = [], 0
        group.append(entry)
        size += more
    if group:
        yield group


def _put(events: EventBridgeClient, entries: Sequence[dict[str, Any]]) -> None:
    """Put the entries on the bus, those that it refuses again. Raises TryAgainError where it goes on refusing some."""
    left = list(entries)
    for _ in failures.attempts():
        try:
            answer = events.put_events(Entries=left)  # type: ignore[arg-type]
        except (ClientError, BotoCoreError) as error:
            if not failures.is_temporary(error):
                raise
            continue
        left = [entry for entry, result in zip(left, answer["Entries"], strict=True) if "ErrorCode" in result]
        if not left:
            return
    msg = f"the bus refused {len(left)} events"
    raise failures.TryAgainError(msg)


def _acknowledge(dynamodb: DynamoDBClient, settings: Settings, number: int) -> None:
    """Tell the sandbox driver that everything before its mark is on the bus.

    The answer comes through this stream too; under its own key it is nobody's mark.
    """
    dynamodb.put_item(
        TableName=settings.ledger_table,
        Item={"pk": {"S": "sandbox"}, "sk": {"S": "drained"}, "n": {"N": str(number)}},
    )
