"""The job of the verification: one account and day, or one part of the archive, a message. It repairs nothing.

All that it writes is that a day was looked at: its entry leaves the index of days to verify, whatever was found. What
was found is a metric with an alarm, and a line of the log for each difference.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.logging import Logger
from aws_lambda_powertools.metrics import Metrics, MetricUnit

from aws_platform import clients, clock, failures, keys
from aws_platform.archive_check import MOST_PASSES, ArchiveCheck, Pass, TooManyCallsError
from aws_platform.archive_reading import archive_size
from aws_platform.ledger import query_all
from aws_platform.price_book import read_catalog
from aws_platform.settings import Settings
from aws_platform.tasks import side_by_side
from aws_platform.verification import Verifier
from aws_platform.verify_messages import ARCHIVE, CHARGES, prefix_of
from rating.catalog import Catalog

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from rating.verification import Difference

logger = Logger()

PASS_BYTES = 64 * 1024 * 1024
"""Of a part in S3, for a pass: at 30 to 60 bytes a call between one and two million calls, which a function of 2 GB
holds. Where there are more in it all the same, the number of passes is doubled until they fit."""


def handle(event: Mapping[str, Any], context: object) -> dict[str, Any]:  # noqa: ARG001 - Lambda's signature
    """Work through messages. What fails is delivered again, and in the end put aside with an alarm."""
    settings, dynamodb = Settings.from_environment(), clients.dynamodb()
    now = clock.now(settings, dynamodb)
    worker = Worker(dynamodb, settings, read_catalog(dynamodb, settings.ledger_table), now)
    failed = []
    found = 0
    for record in event["Records"]:
        message: Mapping[str, Any] = {}
        try:
            message = json.loads(record["body"])
            found += worker.work(message)
        except Exception:
            logger.exception("verification failed", verification=message, message_id=record["messageId"])
            failed.append({"itemIdentifier": record["messageId"]})
    _publish(found)
    return {"batchItemFailures": failed}


@dataclass(frozen=True, slots=True)
class Worker:
    """Verifies at an instant. Any number may do the same at once."""

    dynamodb: DynamoDBClient
    settings: Settings
    catalog: Catalog
    now: datetime

    def work(self, message: Mapping[str, Any]) -> int:
        """Do what a message asks for, and say how many differences there are. Raises ValueError for another task."""
        task = message["task"]
        if task == CHARGES:
            return self._charges(message["account_id"], date.fromisoformat(message["day"]))
        if task == ARCHIVE:
            return self._archive(message)
        msg = f"no task {task!r}"
        raise ValueError(msg)

    def _charges(self, account_id: str, day: date) -> int:
        """Compute a day of an account again."""
        verifier = Verifier(self.dynamodb, self.settings, self.catalog, side_by_side)
        verified = verifier.verify(account_id, day, self.now, whole_month=False)
        _tell(account_id, day, verified.errors)
        logger.info("day verified", account_id=account_id, day=day.isoformat(), differences=len(verified.errors))
        return len(verified.errors)

    def _archive(self, message: Mapping[str, Any]) -> int:
        """Compare a pass over a part of the archive, and queue the next one; after the last the days are done."""
        day, part = date.fromisoformat(message["day"]), message["part"]
        entries = self._entries(prefix_of(message))
        if not entries:
            return 0
        share = Pass(message.get("pass", 0), message.get("of") or self._passes(day, part))
        if share.number and message["entries"] != _digest(entries):
            # A day has been settled meanwhile, and the passes up to here did not look at it.
            self._queue(message, entries, Pass(0, share.of))
            return 0
        accounts = sorted({keys.read_verify(entry)[3] for entry in entries})
        check = ArchiveCheck(self.dynamodb, clients.s3(), self.settings, self.catalog, side_by_side)
        try:
            compared = check.compare(day, part, accounts, share)
        except TooManyCallsError:
            if share.of == MOST_PASSES:
                raise
            self._queue(message, entries, Pass(0, min(share.of * 2, MOST_PASSES)))
            return 0
        found = 0
        for one in compared:
            errors = [difference for difference in one.differences() if not difference.pending]
            _tell(one.account_id, day, errors)
            found += len(errors)
        if share.number + 1 < share.of:
            self._queue(message, entries, Pass(share.number + 1, share.of))
        else:
            side_by_side([partial(self._done, day, entry) for entry in entries])
        counted, archived = sum(one.counted for one in compared), sum(one.archived for one in compared)
        logger.info(
            "archive verified", verification=message, counted=counted, archived=archived, differences=found, of=share.of
        )
        return found

    def _passes(self, day: date, part: str) -> int:
        size = archive_size(clients.s3(), self.settings.archive_bucket, day, part)
        return min(max(-(-size // PASS_BYTES), 1), MOST_PASSES)

    def _entries(self, prefix: str) -> list[str]:
        """The days to verify of a part, as the index has them."""
        return [
            item["due_sk"]["S"]
            for shard in keys.all_verify_shards(self.settings.due_shards)
            for item in query_all(
                self.dynamodb,
                TableName=self.settings.usage_table,
                IndexName="DueIndex",
                KeyConditionExpression="due_pk = :pk AND begins_with(due_sk, :prefix)",
                ExpressionAttributeValues={":pk": {"S": shard}, ":prefix": {"S": prefix}},
                ProjectionExpression="due_sk",
            )
        ]

    def _queue(self, message: Mapping[str, Any], entries: Sequence[str], share: Pass) -> None:
        body = {**message, "pass": share.number, "of": share.of, "entries": _digest(entries)}
        clients.sqs().send_message(QueueUrl=self.settings.verification_queue_url, MessageBody=json.dumps(body))

    def _done(self, day: date, entry: str) -> None:
        """Take a day out of the index, unless it was billed again: that is for the next verification."""
        account_id = keys.read_verify(entry)[3]
        try:
            self.dynamodb.update_item(
                TableName=self.settings.usage_table,
                Key={"pk": {"S": keys.usage_account(account_id)}, "sk": {"S": keys.day_item(day)}},
                UpdateExpression="REMOVE due_pk, due_sk",
                ConditionExpression="due_sk = :seen",
                ExpressionAttributeValues={":seen": {"S": entry}},
            )
        except Exception as error:
            if not failures.is_condition_failure(error):
                raise


def _digest(entries: Iterable[str]) -> str:
    """Tells whether the days of a part are still the same: a message cannot hold all of them."""
    return blake2b("\n".join(sorted(entries)).encode(), digest_size=16).hexdigest()


def _tell(account_id: str, day: date, errors: Iterable[Difference]) -> None:
    for one in errors:
        logger.error(
            "verification difference",
            account_id=account_id,
            day=day.isoformat(),
            kind=one.kind.value,
            detail=one.detail,
            charged=one.charged,
            computed=one.computed,
            bill_id=one.bill_id,
            transaction_id=one.transaction_id,
            tag=one.tag,
            package_id=one.package_id,
        )


def _publish(found: int) -> None:
    metrics = Metrics(namespace="Zhangben", service="verification")
    metrics.add_metric(name="VerificationDifferences", unit=MetricUnit.Count, value=found)
    metrics.flush_metrics()
