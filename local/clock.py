"""The sandbox clock: one item of the ledger table that every function of a sandbox stack reads.

Beside `now` it keeps `through`, the instant up to which everything due has run. They differ only while the
clock is being moved, or after a move was broken off: the next one then goes on where that one stopped.
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from local.problems import invalid_request

CHINA = timezone(timedelta(hours=8))
KEY = {"pk": {"S": "sandbox"}, "sk": {"S": "clock"}}
_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def parse_time(text: object) -> datetime:
    """An RFC 3339 time, in whole seconds (D1), at +08:00. Raises ValueError."""
    if not isinstance(text, str) or not _RFC_3339.fullmatch(text):
        message = "must be an RFC 3339 time with a zone"
        raise ValueError(message)
    try:
        return datetime.fromisoformat(text.upper()).replace(microsecond=0).astimezone(CHINA)
    except OverflowError as error:
        message = "is out of range"
        raise ValueError(message) from error


def read_now(body: object) -> datetime:
    """The time of a `PUT /sandbox/clock`. Raises ProblemError 422."""
    if not isinstance(body, dict):
        raise invalid_request({"body": "must be a JSON object"})
    errors = {str(name): "is not known" for name in body if name != "now"}
    moment = None
    try:
        moment = parse_time(body.get("now"))
    except ValueError as error:
        errors["now"] = str(error)
    if moment is None or errors:
        raise invalid_request(errors)
    return moment


def format_time(moment: datetime) -> str:
    """RFC 3339 at +08:00."""
    return moment.astimezone(CHINA).isoformat()


@dataclass(frozen=True)
class ClockState:
    """What the clock item says."""

    now: datetime
    through: datetime
    began: datetime


class Clock:
    """Reads and sets the clock item. Setting it is for the driver alone."""

    def __init__(self, dynamodb: Any, table: str) -> None:
        """Take a DynamoDB client and the name of the ledger table."""
        self._dynamodb = dynamodb
        self._table = table

    def begin(self, now: datetime) -> None:
        """Start the clock, unless it is there already. What is due at this very instant is still to run."""
        item = {"now": now, "through": now - timedelta(seconds=1), "began": now}
        with contextlib.suppress(self._dynamodb.exceptions.ConditionalCheckFailedException):
            self._dynamodb.put_item(
                TableName=self._table,
                Item={**KEY, **{name: {"S": format_time(value)} for name, value in item.items()}},
                ConditionExpression="attribute_not_exists(pk)",
            )

    def read(self) -> ClockState:
        """What the clock says."""
        item = self._dynamodb.get_item(TableName=self._table, Key=KEY, ConsistentRead=True)["Item"]
        now = parse_time(item["now"]["S"])
        through, began = (parse_time(item[name]["S"]) if name in item else now for name in ("through", "began"))
        return ClockState(now, through, began)

    def set(self, now: datetime, through: datetime) -> None:
        """Move it."""
        self._dynamodb.update_item(
            TableName=self._table,
            Key=KEY,
            UpdateExpression="SET #now = :now, #through = :through",
            ExpressionAttributeNames={"#now": "now", "#through": "through"},
            ExpressionAttributeValues={
                ":now": {"S": format_time(now)},
                ":through": {"S": format_time(through)},
            },
        )
