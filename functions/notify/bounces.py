"""What SES tells after it took an e-mail: it bounced, somebody complained, or SES itself did not pass it on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.logging import Logger

from aws_platform import clients, clock, deliveries, keys
from aws_platform.deliveries import Channel, Status
from aws_platform.settings import Settings
from aws_platform.subscriptions import BlockedAddress, block_address
from notify.delivering import each_record

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

logger = Logger()
_LONGEST_DETAIL = 500


@dataclass(frozen=True, slots=True)
class _Report:
    """What became of an e-mail."""

    status: Status
    detail: str
    blocks: bool
    """Whether nothing more may be sent to the address."""


def handle(event: Mapping[str, Any], context: object) -> dict[str, Any]:  # noqa: ARG001 - Lambda's signature
    """Take the reports of a batch of the queue; taking one again changes nothing."""
    settings, dynamodb = Settings.from_environment(), clients.dynamodb()
    now = clock.now(settings, dynamodb)

    def take(record: Mapping[str, Any]) -> None:
        _take(dynamodb, settings.ledger_table, json.loads(json.loads(record["body"])["Message"]), now)

    return each_record(event, take)


def _take(dynamodb: DynamoDBClient, table: str, event: Mapping[str, Any], now: datetime) -> None:
    """Record a report with the delivery that it is about; without one of ours, there is nothing to record."""
    report = _report(event)
    tags = event["mail"].get("tags", {})
    if report is None or not {"account_id", "notice_id", "recipient"} <= tags.keys():
        return
    (account_id,), (notice_id,), (recipient,) = tags["account_id"], tags["notice_id"], tags["recipient"]
    sort_key = keys.delivery(notice_id, Channel.EMAIL, recipient)
    delivery = deliveries.read_delivery(dynamodb, table, account_id, sort_key)
    if delivery is None:
        logger.warning("report of an unknown delivery", account_id=account_id, notice_id=notice_id)
        return
    if report.blocks:
        # Before the mark: if the mark fails, the report comes again and finds the address blocked already.
        blocked = BlockedAddress(delivery.recipient, Channel.EMAIL, report.status, now, report.detail)
        block_address(dynamodb, table, account_id, blocked)
    deliveries.mark(dynamodb, table, account_id, sort_key, report.status, now, report.detail)


def _report(event: Mapping[str, Any]) -> _Report | None:
    """What an event of SES says about the address; None where it says nothing against it."""
    match event["eventType"]:
        case "Bounce":
            bounce = event["bounce"]
            reasons = [one["diagnosticCode"] for one in bounce["bouncedRecipients"] if "diagnosticCode" in one]
            words = [bounce["bounceType"], bounce["bounceSubType"], *reasons]
            return _Report(Status.BOUNCED, _detail(words), blocks=bounce["bounceType"] == "Permanent")
        case "Complaint":
            feedback = event["complaint"].get("complaintFeedbackType") or "complaint"
            # The recipient took the message out of the spam folder.
            return None if feedback == "not-spam" else _Report(Status.COMPLAINED, _detail([feedback]), blocks=True)
        case "Reject":
            return _Report(Status.REFUSED, _detail([event["reject"]["reason"]]), blocks=True)
        case _:
            return None


def _detail(words: list[str]) -> str:
    return " ".join(" ".join(words).split())[:_LONGEST_DETAIL]
