"""The job of the verification: one account and day, or one part of the archive, a message. It repairs nothing.

A part comes first: it queues the charges of each of its days, compares them with the archive, in passes where they are
many, and takes exactly these days out of the index. That is all that is written, whatever was found. What was found is
a metric with an alarm, and a line of the log for each difference.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from hashlib import blake2b
from itertools import batched
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.logging import Logger

from aws_platform import clients, clock, failures, keys, metrics
from aws_platform.archive_check import MOST_PASSES, ArchiveCheck, Compared, Fault, Pass, TooManyCallsError
from aws_platform.batches import answer_batch
from aws_platform.due_index import due_entries
from aws_platform.price_book import read_catalog
from aws_platform.queues import BATCH, queue_messages
from aws_platform.reading import batch_get
from aws_platform.settings import Settings
from aws_platform.tasks import side_by_side
from aws_platform.verification import Verifier
from aws_platform.verify_messages import ARCHIVE, CHARGES, charges_message, is_whole, prefix_of
from rating.catalog import Catalog
from rating.civil import day_of

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from rating.verification import Difference

logger = Logger()
_ACCOUNTS_AT_ONCE = 100
MOST_KEPT = 1_000
"""Accounts of a part, with calls missing in the archive, that are looked at again: a message must hold their ids. Where
more have some, the archive as a whole is late, and alarms of its own ring."""


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
            failed.append(record["messageId"])
    metrics.publish("verification", {"VerificationDifferences": found})
    return answer_batch("verification", event["Records"], failed)


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
        accounts = sorted({keys.read_verify(entry)[3] for entry in entries})
        share = Pass(message.get("pass", 0), message.get("of", 1))
        # The days whose charges are queued, so far; a day may have been settled since.
        known = message.get("entries") == _digest(entries)
        if share.number and not known:
            # The passes up to here did not look at all of the days.
            self._queue({name: message[name] for name in message if name != "entries"}, Pass(0, share.of))
            return 0
        if not known:
            self._queue_charges(accounts, day)
        message = {**message, "entries": _digest(entries)}
        check = ArchiveCheck(self.dynamodb, clients.s3(), self.settings, self.catalog, side_by_side)
        strangers: set[str] = set()
        try:
            compared = check.compare(day, part, accounts, share, strangers)
        except TooManyCallsError:
            if share.of == MOST_PASSES:
                raise
            self._queue(message, Pass(0, min(share.of * 2, MOST_PASSES)))
            return 0
        found = 0
        for one in compared:
            errors = [difference for difference in one.differences() if not difference.pending]
            _tell(one.account_id, day, errors)
            found += len(errors)
        if share.number == 0 and is_whole(message):
            self._queue_charges(forgotten(self.dynamodb, self.settings.usage_table, sorted(strangers), day), day)
        message = {**message, "missing": _missing(message, compared)}
        if share.number + 1 < share.of:
            self._queue(message, Pass(share.number + 1, share.of))
        else:
            self._finish(message, day, entries)
        counted, archived = sum(one.counted for one in compared), sum(one.archived for one in compared)
        logger.info(
            "archive verified", verification=message, counted=counted, archived=archived, differences=found, of=share.of
        )
        return found

    def _entries(self, prefix: str) -> list[str]:
        """The days to verify of a part, as the index has them."""
        table, shards = self.settings.usage_table, keys.all_verify_shards(self.settings.due_shards)
        # Account ids sort before the tilde.
        return [entry for shard in shards for entry in due_entries(self.dynamodb, table, shard, prefix, f"{prefix}~")]

    def _queue_charges(self, accounts: Iterable[str], day: date) -> None:
        """Have the day's charges of these accounts verified, each by a message of its own; twice is harmless."""
        sqs, url = clients.sqs(), self.settings.verification_queue_url
        groups = batched((charges_message(account_id, day) for account_id in accounts), BATCH, strict=False)
        side_by_side([partial(queue_messages, sqs, url, group) for group in groups])

    def _queue(self, message: Mapping[str, Any], share: Pass) -> None:
        body = {**message, "pass": share.number, "of": share.of}
        clients.sqs().send_message(QueueUrl=self.settings.verification_queue_url, MessageBody=json.dumps(body))

    def _finish(self, message: Mapping[str, Any], day: date, entries: Iterable[str]) -> None:
        """Take the days out of the index; those with calls missing once more the day after they were settled.

        Firehose tries for a day to deliver what it was given.
        """
        first_look = date.fromisoformat(message["settled_on"]) == day_of(self.now)
        kept = {*message["missing"]} if first_look else set()
        done = [entry for entry in entries if keys.read_verify(entry)[3] not in kept]
        side_by_side([partial(self._done, day, entry) for entry in done])

    def _done(self, day: date, entry: str) -> None:
        """Take a day out of the index, unless it was billed again: that is for the next verification."""
        account_id = keys.read_verify(entry)[3]
        with failures.UnlessOvertaken():
            self.dynamodb.update_item(
                TableName=self.settings.usage_table,
                Key={"pk": {"S": keys.usage_account(account_id)}, "sk": {"S": keys.day_item(day)}},
                UpdateExpression="REMOVE due_pk, due_sk",
                ConditionExpression="due_sk = :seen",
                ExpressionAttributeValues={":seen": {"S": entry}},
            )


def _missing(message: Mapping[str, Any], compared: Iterable[Compared]) -> list[str]:
    """The accounts with calls missing in the archive, by the passes up to this one: as many as a message may name."""
    missing = {*message.get("missing", ()), *(one.account_id for one in compared if Fault.MISSING in one.faults)}
    return sorted(missing)[:MOST_KEPT]


def forgotten(dynamodb: DynamoDBClient, usage_table: str, accounts: Sequence[str], day: date) -> list[str]:
    """Which of these accounts, all with calls of the day in the archive, wait neither for a run nor to be verified.

    Their day was verified before, or no run will ever find it: its day item has lost its place in the index. Only the
    charges tell. What is not seen so is a part of which no account has an entry at all: nobody works it off.
    """
    item = keys.day_item(day)
    groups = batched(accounts, _ACCOUNTS_AT_ONCE, strict=False)
    places = [[(usage_table, keys.usage_account(one), item) for one in group] for group in groups]
    waiting: set[str] = set()
    for found in side_by_side([partial(batch_get, dynamodb, wanted) for wanted in places]):
        waiting |= {pk for (pk, _), stored in found.items() if "due_pk" in stored}
    return [one for one in accounts if keys.usage_account(one) not in waiting]


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
