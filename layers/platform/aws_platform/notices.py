"""Notices in the ledger table: one page a transaction, written with what it tells. The page is the in-site message.

So a notice is there exactly once, and exactly where the thing happened; the table's stream takes it to the other
channels.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from aws_platform import keys
from rating.civil import rfc3339
from rating.notices import Kind, Notice

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@dataclass(frozen=True, slots=True)
class KeptNotice:
    """A notice as it is kept."""

    notice_id: str
    """Unique within the account; ids sort by the time of the page."""
    account_id: str
    notice: Notice

    def event(self) -> dict[str, Any]:
        """What the bus carries as the event's detail, and webhooks as theirs."""
        return {
            "notice_id": self.notice_id,
            "account_id": self.account_id,
            "kind": self.notice.kind.value,
            "occurred_at": rfc3339(self.notice.occurred_at),
            "data": dict(self.notice.data),
        }


def notice_from_event(detail: Mapping[str, Any]) -> KeptNotice:
    """The reverse of `KeptNotice.event`. Raises KeyError or ValueError for anything else."""
    notice = Notice(Kind(detail["kind"]), datetime.fromisoformat(detail["occurred_at"]), detail["data"])
    return KeptNotice(str(detail["notice_id"]), str(detail["account_id"]), notice)


def page_put(table: str, account_id: str, page_id: str, notices: Sequence[Notice]) -> dict[str, Any]:
    """The transaction item that tells these notices; it fails where the page is there."""
    page = [[notice.kind.value, rfc3339(notice.occurred_at), dict(notice.data)] for notice in notices]
    text = json.dumps(page, ensure_ascii=False, separators=(",", ":"))
    item = {
        "pk": {"S": keys.ledger(account_id)},
        "sk": {"S": keys.notice_page(page_id)},
        # A bill may use up hundreds of packages; compressed, their notices stay far below an item's 400 KB.
        "page": {"B": zlib.compress(text.encode())},
    }
    return {"Put": {"TableName": table, "Item": item, "ConditionExpression": "attribute_not_exists(pk)"}}


def notices_from_item(item: Mapping[str, Any]) -> Iterator[KeptNotice]:
    """The notices of a page, in order."""
    account_id = item["pk"]["S"].removeprefix(keys.ledger(""))
    page_id = item["sk"]["S"].removeprefix(keys.NOTICE_PREFIX)
    for number, (kind, occurred_at, data) in enumerate(json.loads(zlib.decompress(item["page"]["B"])), start=1):
        notice = Notice(Kind(kind), datetime.fromisoformat(occurred_at), data)
        yield KeptNotice(f"{page_id}-{number:04d}", account_id, notice)


def page_of(notice_id: str) -> str:
    """The id of the page that a notice is on."""
    return notice_id.rpartition("-")[0]


def read_notice(dynamodb: DynamoDBClient, table: str, account_id: str, notice_id: str) -> KeptNotice | None:
    """One notice; None where it is not there."""
    key = {"pk": {"S": keys.ledger(account_id)}, "sk": {"S": keys.notice_page(page_of(notice_id))}}
    item = dynamodb.get_item(TableName=table, Key=key, ConsistentRead=True).get("Item")
    found = notices_from_item(item) if item else ()
    return next((one for one in found if one.notice_id == notice_id), None)
