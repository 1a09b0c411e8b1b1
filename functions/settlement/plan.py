"""The plan of a run: which accounts have something due, one message each (D3); and of the verification after it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, timedelta
from functools import partial
from itertools import batched
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.logging import Logger
from aws_lambda_powertools.metrics import Metrics, MetricUnit

from aws_platform import clients, clock, failures, keys
from aws_platform.ledger import query_all
from aws_platform.settings import Settings
from aws_platform.tasks import side_by_side
from aws_platform.verify_messages import archive_message, charges_message
from rating.civil import day_of, first_day, month_of, next_month
from rating.schedule import begun_run_day
from settlement.messages import WARN

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_sqs import SQSClient

logger = Logger()
_BATCH = 10
_DUE_INDEX = "DueIndex"


def handle(event: Mapping[str, Any], context: object) -> dict[str, Any]:  # noqa: ARG001 - Lambda's signature
    """Plan a run, or with `{"task": "check"}` only say how many accounts are not settled yet.

    With `{"task": "verify"}` plan the verification of what was settled. Planning again is harmless: an account that is
    settled is not due any more, and verifying twice changes nothing.
    """
    settings, dynamodb = Settings.from_environment(), clients.dynamodb()
    if event.get("task") == "verify":
        return _verify(dynamodb, settings, day_of(clock.now(settings, dynamodb)))
    run_day = begun_run_day(clock.now(settings, dynamodb))
    checking = event.get("task") == "check"

    def work_off(shard: str) -> int:
        accounts = due_accounts(dynamodb, settings, shard, run_day)
        if checking:
            return sum(1 for _ in accounts)
        queued = queue_accounts(clients.sqs(), settings.settlement_queue_url, accounts)
        spending = spending_accounts(dynamodb, settings, shard, run_day)
        queue_accounts(clients.sqs(), settings.settlement_queue_url, spending, WARN)
        return queued

    accounts = sum(side_by_side([partial(work_off, shard) for shard in keys.all_shards(settings.due_shards)]))
    logger.info("run checked" if checking else "run planned", run_day=run_day.isoformat(), accounts=accounts)
    if checking:
        _publish("settlement", "UnsettledAccounts", accounts)
    return {"unsettled" if checking else "queued": accounts}


def due_accounts(dynamodb: DynamoDBClient, settings: Settings, shard: str, run_day: date) -> Iterator[str]:
    """The accounts of a shard with usage to settle or a month to close, each once: read from the due-indexes alone."""
    seen: set[str] = set()
    for table in (settings.usage_table, settings.ledger_table):
        for due in _due(dynamodb, table, shard, "0", (run_day + timedelta(days=1)).isoformat()):
            account_id = due.split("#")[1]
            if account_id not in seen:
                seen.add(account_id)
                yield account_id


def spending_accounts(dynamodb: DynamoDBClient, settings: Settings, shard: str, run_day: date) -> Iterator[str]:
    """The accounts of a shard that had usage yesterday and settle it at the end of the month.

    They are not due, but their balances may be low all the same (D28).
    """
    yesterday = run_day - timedelta(days=1)
    after = first_day(next_month(month_of(yesterday)))
    if after == run_day:
        return
    day_item = keys.day_item(yesterday)
    for due in _due(dynamodb, settings.usage_table, shard, after.isoformat(), (after + timedelta(days=1)).isoformat()):
        _, account_id, item = due.split("#", 2)
        if item == day_item:
            yield account_id


def _due(dynamodb: DynamoDBClient, table: str, shard: str, first: str, after: str) -> Iterator[str]:
    """The entries of a shard of a due-index from one up to another one, which is left out."""
    for item in query_all(
        dynamodb,
        TableName=table,
        IndexName=_DUE_INDEX,
        KeyConditionExpression="due_pk = :pk AND due_sk BETWEEN :first AND :after",
        ExpressionAttributeValues={":pk": {"S": shard}, ":first": {"S": first}, ":after": {"S": after}},
        ProjectionExpression="due_sk",
    ):
        yield item["due_sk"]["S"]


def queue_accounts(sqs: SQSClient, queue_url: str, accounts: Iterable[str], task: str | None = None) -> int:
    """Send one message an account, with its task. Raises TryAgainError where the queue kept refusing some."""
    named = {"task": task} if task else {}
    return queue_messages(sqs, queue_url, ({"account_id": account_id, **named} for account_id in accounts))


def queue_messages(sqs: SQSClient, queue_url: str, messages: Iterable[Mapping[str, Any]]) -> int:
    """Send messages, and say how many. Raises TryAgainError where the queue kept refusing some."""
    queued = 0
    for group in batched(messages, _BATCH, strict=False):
        entries = [{"Id": str(number), "MessageBody": json.dumps(message)} for number, message in enumerate(group)]
        for _ in failures.attempts():
            answer = sqs.send_message_batch(QueueUrl=queue_url, Entries=entries)  # type: ignore[arg-type]
            refused = {failure["Id"] for failure in answer.get("Failed", [])}
            entries = [entry for entry in entries if entry["Id"] in refused]
            if not entries:
                break
        else:
            msg = "the queue refuses messages"
            raise failures.TryAgainError(msg)
        queued += len(group)
    return queued


def _verify(dynamodb: DynamoDBClient, settings: Settings, today: date) -> dict[str, Any]:
    """Queue every settled day that waits to be verified, and each part of the archive that they are in, once.

    What has waited for two days is told: the job does not get through, or fails again and again.
    """
    sqs, url = clients.sqs(), settings.verification_queue_url
    after, late = (today + timedelta(days=1)).isoformat(), (today - timedelta(days=1)).isoformat()
    counts: Counter[str] = Counter()
    parts: dict[str, Mapping[str, Any]] = {}

    def messages(shard: str) -> Iterator[Mapping[str, Any]]:
        for due in _due(dynamodb, settings.usage_table, shard, "0", after):
            counts.update(days=1, overdue=due < late)
            part = archive_message(due)
            parts.setdefault(json.dumps(part), part)
            yield charges_message(due)

    for shard in keys.all_verify_shards(settings.due_shards):
        queue_messages(sqs, url, messages(shard))
    queue_messages(sqs, url, parts.values())
    days, overdue = counts["days"], counts["overdue"]
    _publish("verification", "UnverifiedDays", overdue)
    logger.info("verification planned", days=days, parts=len(parts), overdue=overdue)
    return {"days": days, "parts": len(parts), "overdue": overdue}


def _publish(service: str, name: str, value: int) -> None:
    metrics = Metrics(namespace="Zhangben", service=service)
    metrics.add_metric(name=name, unit=MetricUnit.Count, value=value)
    metrics.flush_metrics()
