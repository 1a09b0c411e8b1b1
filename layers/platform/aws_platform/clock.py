"""Business time. The only module that reads a clock; everything else is told what time it is."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rating.civil import local

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from aws_platform.settings import Settings

SANDBOX_KEY = {"pk": {"S": "sandbox"}, "sk": {"S": "clock"}}


def now(settings: Settings, dynamodb: DynamoDBClient) -> datetime:
    """The present instant: real time, or in a sandbox stack what its clock says."""
    if not settings.sandbox:
        return local(datetime.now(UTC))
    answer = dynamodb.get_item(TableName=settings.ledger_table, Key=SANDBOX_KEY, ConsistentRead=True)
    if "Item" not in answer:
        return local(datetime.now(UTC))
    return local(datetime.fromisoformat(answer["Item"]["now"]["S"]))


def machine_now() -> datetime:
    """Real time, in a sandbox too: for leases of running processes, and for what others check against their clocks."""
    return datetime.now(UTC)
