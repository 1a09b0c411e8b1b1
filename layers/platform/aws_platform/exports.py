"""Exports in the ledger table: one item each, with a timer as long as its file is not made.

The item is written before anybody is told to make the file, and its timer has that told again: whatever breaks in
between, an export is made, or after an hour it has failed.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from aws_platform import failures, keys
from rating.civil import rfc3339

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_sqs import SQSClient

FOLDER = "exports"
"""Of the bucket; what roles may do is for this part of it."""
ASK_AGAIN_AFTER = timedelta(minutes=10)
"""Longer than the making of any file takes: the worker's time-out is below it."""
GIVE_UP_AFTER = timedelta(hours=1)
KEPT_FOR = timedelta(days=7)
"""How long a file can be fetched; the bucket's lifecycle takes it away afterwards."""
_EXPORT_ID = re.compile(r"export-[0-9]{14}-[0-9a-f]{16}")


class What(StrEnum):
    """What an export has in it."""

    RESOURCES = "resources"
    DETAILS = "details"
    PACK = "pack"
    """Both, with a summary."""
    FOCUS = "focus"
    """The FinOps cost and usage data of the same month."""


class Status(StrEnum):
    """How far an export has come."""

    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    EXPIRED = "expired"
    """It was completed, and its file is no longer kept."""


@dataclass(frozen=True, slots=True)
class Made:
    """What became of an export."""

    rows: int
    size: int
    """Of the file, in bytes."""
    completed_at: datetime


@dataclass(frozen=True, slots=True)
class Export:
    """What was asked for, and what became of it."""

    export_id: str
    account_id: str
    month: str
    basis: str
    what: What
    file_format: str
    """`csv` or `xlsx`; a pack of CSV files is a zip."""
    columns: tuple[str, ...] | None
    """Names, in the order asked for; None is all."""
    locale: str
    created_at: datetime
    version: int
    """The account's version then: bills up to it are in the export, whenever its file is made."""
    made: Made | None = None
    failed: bool = False

    def status(self, now: datetime) -> Status:
        """How far it has come, at an instant."""
        if self.made is None:
            return Status.FAILED if self.failed else Status.PROCESSING
        return Status.COMPLETED if now < self.made.completed_at + KEPT_FOR else Status.EXPIRED

    @property
    def ended(self) -> bool:
        """Whether nothing will become of it any more."""
        return self.made is not None or self.failed

    @property
    def extension(self) -> str:
        """Of the file's name."""
        return "zip" if self.what is What.PACK and self.file_format == "csv" else self.file_format

    @property
    def file_name(self) -> str:
        """What the file is called where it is saved."""
        return f"bills-{self.account_id}-{self.month}-{self.what}-by-{self.basis}.{self.extension}"

    @property
    def object_key(self) -> str:
        """Where the file lies in the bucket: always there, so that making it twice leaves one."""
        return f"{FOLDER}/{self.account_id}/{self.export_id}.{self.extension}"


def new_export_id(account_id: str, created_at: datetime, record: str) -> str:
    """The id of an export; `record` is what no other request of the account has."""
    digest = hashlib.sha256(f"{account_id}/{record}".encode()).hexdigest()
    return f"export-{created_at:%Y%m%d%H%M%S}-{digest[:16]}"


def is_export_id(text: str) -> bool:
    """Whether an export can have this id; anything else need not be looked up."""
    return _EXPORT_ID.fullmatch(text) is not None


def export_key(export_id: str) -> str:
    """Sort key of an export."""
    return f"{keys.EXPORT_PREFIX}{export_id}"


def export_put(table: str, export: Export, due_shards: int) -> dict[str, Any]:
    """The transaction item that stores a new export, due to be asked for again; it fails where there is one."""
    sort_key = export_key(export.export_id)
    document = {
        "month": export.month,
        "basis": export.basis,
        "what": export.what.value,
        "format": export.file_format,
        "columns": export.columns,
        "locale": export.locale,
        "created_at": rfc3339(export.created_at),
        "version": export.version,
    }
    item = {
        **_key(export.account_id, export.export_id),
        "status": {"S": Status.PROCESSING.value},
        "body": {"S": json.dumps(document, separators=(",", ":"))},
        **keys.timer(export.account_id, export.created_at + ASK_AGAIN_AFTER, sort_key, due_shards),
    }
    return {"Put": {"TableName": table, "Item": item, "ConditionExpression": "attribute_not_exists(pk)"}}


def export_from_item(item: Mapping[str, Any]) -> Export:
    """The export of a stored item."""
    document = json.loads(item["body"]["S"])
    status, made = item["status"]["S"], None
    if status == Status.COMPLETED:
        completed_at = datetime.fromisoformat(item["completed_at"]["S"])
        made = Made(int(item["rows"]["N"]), int(item["bytes"]["N"]), completed_at)
    return Export(
        export_id=item["sk"]["S"].removeprefix(keys.EXPORT_PREFIX),
        account_id=item["pk"]["S"].removeprefix(keys.ledger("")),
        month=document["month"],
        basis=document["basis"],
        what=What(document["what"]),
        file_format=document["format"],
        columns=None if document["columns"] is None else tuple(document["columns"]),
        locale=document["locale"],
        created_at=datetime.fromisoformat(document["created_at"]),
        version=document["version"],
        made=made,
        failed=status == Status.FAILED,
    )


def read_export(dynamodb: DynamoDBClient, table: str, account_id: str, export_id: str) -> Export:
    """The export as it is now. Raises LookupError where there is none."""
    found = dynamodb.get_item(TableName=table, Key=_key(account_id, export_id), ConsistentRead=True)
    if "Item" not in found:
        msg = f"{export_id} of account {account_id} is to be made but does not exist"
        raise LookupError(msg)
    return export_from_item(found["Item"])


def ask_for(sqs: SQSClient, queue_url: str, account_id: str, export_id: str) -> None:
    """Have the file made. Asking twice is harmless: what is made is left alone."""
    message = {"account_id": account_id, "export_id": export_id}
    sqs.send_message(QueueUrl=queue_url, MessageBody=json.dumps(message))


def complete(dynamodb: DynamoDBClient, table: str, export: Export, made: Made) -> bool:
    """Record that the file is there, and end the timer; False where the export has come to its end before."""
    return _end(
        dynamodb,
        table,
        export.account_id,
        export.export_id,
        "#status = :status, #rows = :rows, #bytes = :bytes, completed_at = :at",
        {"#rows": "rows", "#bytes": "bytes"},
        {
            ":status": {"S": Status.COMPLETED.value},
            ":rows": {"N": str(made.rows)},
            ":bytes": {"N": str(made.size)},
            ":at": {"S": rfc3339(made.completed_at)},
        },
    )


def fail(dynamodb: DynamoDBClient, table: str, account_id: str, export_id: str) -> bool:
    """Record that there will be no file, and end the timer; False where the export has come to its end before."""
    values = {":status": {"S": Status.FAILED.value}}
    return _end(dynamodb, table, account_id, export_id, "#status = :status", {}, values)


def _end(
    dynamodb: DynamoDBClient,
    table: str,
    account_id: str,
    export_id: str,
    changes: str,
    names: Mapping[str, str],
    values: Mapping[str, Any],
) -> bool:
    with failures.UnlessOvertaken():
        dynamodb.update_item(
            TableName=table,
            Key=_key(account_id, export_id),
            UpdateExpression=f"SET {changes} REMOVE due_pk, due_sk",
            ConditionExpression="#status = :processing",
            ExpressionAttributeNames={"#status": "status", **names},
            ExpressionAttributeValues={**values, ":processing": {"S": Status.PROCESSING.value}},
        )
        return True
    return False


def _key(account_id: str, export_id: str) -> dict[str, Any]:
    return {"pk": {"S": keys.ledger(account_id)}, "sk": {"S": export_key(export_id)}}
