"""Webhook deliveries that are to be tried again go back to their queue."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from aws_platform import clients
from aws_platform.ledger import move_timer

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from aws_platform.settings import Settings

OVERDUE_AFTER = timedelta(minutes=15)
"""A try that nobody has finished by then is queued once more."""


def queue(
    dynamodb: DynamoDBClient, settings: Settings, account_id: str, sort_key: str, due_at: datetime, now: datetime
) -> None:
    """Queue a delivery, then move its time out, so that no other sweep queues it while it is tried.

    In this order a crash between the two queues it twice, which is harmless: the delivery itself knows its state.
    """
    message = {"retry": {"account_id": account_id, "delivery": sort_key}}
    clients.sqs().send_message(QueueUrl=settings.webhook_queue_url, MessageBody=json.dumps(message))
    # It may have been tried meanwhile, or queued by another sweep.
    move_timer(dynamodb, settings, account_id, sort_key, due_at, now + OVERDUE_AFTER)
