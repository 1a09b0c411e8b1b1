"""Exports whose file has not been made in time are asked for again, and after an hour given up."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from aws_lambda_powertools.logging import Logger

from aws_platform import clients, keys
from aws_platform.exports import ASK_AGAIN_AFTER, GIVE_UP_AFTER, ask_for, fail, read_export
from aws_platform.ledger import move_timer

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from aws_platform.settings import Settings

logger = Logger()


def look_after(
    dynamodb: DynamoDBClient, settings: Settings, account_id: str, sort_key: str, due_at: datetime, now: datetime
) -> None:
    """Ask for an export again, then move its time out; or, an hour after it was asked for, say that it has failed.

    In this order a crash between the two asks twice, which is harmless. Raises LookupError for one that is not there.
    """
    export = read_export(dynamodb, settings.ledger_table, account_id, sort_key.removeprefix(keys.EXPORT_PREFIX))
    if export.ended:
        return
    if now >= export.created_at + GIVE_UP_AFTER:
        if fail(dynamodb, settings.ledger_table, account_id, export.export_id):
            logger.error("export given up", account_id=account_id, export_id=export.export_id)
        return
    ask_for(clients.sqs(), settings.export_queue_url, account_id, export.export_id)
    # It may have come to its end meanwhile, or another sweep was faster.
    move_timer(dynamodb, settings, account_id, sort_key, due_at, now + ASK_AGAIN_AFTER)
