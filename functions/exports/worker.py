"""Makes the files of exports, one message each. Doing it again is harmless, and what has come to its end is left."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.logging import Logger

from aws_platform import clients, clock
from aws_platform.batches import answer_batch
from aws_platform.exports import Made, complete, fail, read_export
from aws_platform.price_book import read_catalog
from aws_platform.settings import Settings
from exports.making import Maker
from exports.upload import upload
from rating.civil import business_instant

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

logger = Logger()
MAX_RECEIVES = 3
"""As the queue's redrive policy has it: after so many tries a message is a dead letter."""


def handle(event: Mapping[str, Any], context: object) -> dict[str, Any]:  # noqa: ARG001 - Lambda's signature
    """Make the file of each message. What fails is tried again, and in the end told to the customer and to us."""
    settings, dynamodb = Settings.from_environment(), clients.dynamodb()
    failed = []
    for record in event["Records"]:
        account_id = export_id = None
        try:
            message = json.loads(record["body"])
            account_id, export_id = message["account_id"], message["export_id"]
            made = make(dynamodb, settings, account_id, export_id)
        except Exception:
            logger.exception("export failed", account_id=account_id, export_id=export_id)
            failed.append(record["messageId"])
            if account_id and export_id and _is_last(record):
                _give_up(dynamodb, settings, account_id, export_id)
        else:
            rows, size = (made.rows, made.size) if made else (None, None)
            logger.info("export taken", account_id=account_id, export_id=export_id, rows=rows, bytes=size)
    return answer_batch("exports", event["Records"], failed)


def make(dynamodb: DynamoDBClient, settings: Settings, account_id: str, export_id: str) -> Made | None:
    """Make the file and put it into the bucket, then say so; None where the export had come to its end.

    Raises LookupError for an export that does not exist.
    """
    export = read_export(dynamodb, settings.ledger_table, account_id, export_id)
    if export.ended:
        return None
    maker = Maker(dynamodb, settings.ledger_table, read_catalog(dynamodb, settings.ledger_table))
    with tempfile.TemporaryDirectory(prefix="export-") as folder:
        path, rows = maker.make(export, Path(folder))
        size = upload(clients.s3(), settings.exports_bucket, export.object_key, path)
    made = Made(rows, size, business_instant(clock.now(settings, dynamodb)))
    return made if complete(dynamodb, settings.ledger_table, export, made) else None


def _is_last(record: Mapping[str, Any]) -> bool:
    """Whether the message will not come again."""
    return int(record.get("attributes", {}).get("ApproximateReceiveCount", "1")) >= MAX_RECEIVES


def _give_up(dynamodb: DynamoDBClient, settings: Settings, account_id: str, export_id: str) -> None:
    """Say that there will be no file. Where that cannot be said now, the sweep says it later."""
    try:
        fail(dynamodb, settings.ledger_table, account_id, export_id)
    except Exception:
        logger.exception("export not given up", account_id=account_id, export_id=export_id)
