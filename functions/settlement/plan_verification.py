"""The plan of the verification: the parts of the archive in which settled days wait to be looked at.

The planner queues only these. The pass that works a part off queues the charges of each of its days, so that what is
taken out of the index is what was looked at, and a plan is short however many accounts there are.
"""

from __future__ import annotations

from datetime import date
from functools import partial
from typing import TYPE_CHECKING

from aws_platform import clients, keys
from aws_platform.due_index import due_entries
from aws_platform.queues import queue_messages
from aws_platform.tasks import side_by_side
from aws_platform.verify_messages import archive_message
from rating.civil import ONE_DAY

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from aws_platform.settings import Settings


def plan_verification(dynamodb: DynamoDBClient, settings: Settings, today: date) -> dict[str, int]:
    """Queue each part of the archive that settled days wait in, once; says how many days and parts there are.

    `overdue` are the days that have waited for two days: the job does not get through, or fails again and again.
    """
    shards = keys.all_verify_shards(settings.due_shards)
    waiting = side_by_side([partial(_waiting, dynamodb, settings.usage_table, shard, today) for shard in shards])
    entries = [entry for found in waiting for entry in found]
    messages = [archive_message(entry) for entry in {_part_of(entry): entry for entry in entries}.values()]
    queue_messages(clients.sqs(), settings.verification_queue_url, messages)
    late = (today - ONE_DAY).isoformat()
    return {"days": len(entries), "parts": len(messages), "overdue": sum(entry < late for entry in entries)}


def _waiting(dynamodb: DynamoDBClient, table: str, shard: str, today: date) -> list[str]:
    """The entries of a shard of what was settled up to today."""
    return list(due_entries(dynamodb, table, shard, "0", (today + ONE_DAY).isoformat()))


def _part_of(entry: str) -> tuple[str, str, str]:
    settled_on, part, day, _ = keys.read_verify(entry)
    return settled_on, part, day
