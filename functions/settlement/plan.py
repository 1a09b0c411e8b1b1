"""The planner: the plan of a run, that is which accounts have something due, one message each (D3); and its check."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.logging import Logger

from aws_platform import clients, clock, keys, metrics
from aws_platform.due_index import due_entries
from aws_platform.queues import queue_messages
from aws_platform.settings import Settings
from aws_platform.tasks import side_by_side
from rating.civil import day_of, first_day, month_of, next_month
from rating.schedule import begun_run_day
from settlement.messages import WARN
from settlement.plan_verification import plan_verification

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_sqs import SQSClient

logger = Logger()


def handle(event: Mapping[str, Any], context: object) -> dict[str, Any]:  # noqa: ARG001 - Lambda's signature
    """Plan a run, or with `{"task": "check"}` only say how many accounts are not settled yet.

    With `{"task": "verify"}` plan the verification of what was settled. Planning again is harmless: an account that is
    settled is not due any more, and verifying twice changes nothing.
    """
    settings, dynamodb = Settings.from_environment(), clients.dynamodb()
    if event.get("task") == "verify":
        planned = plan_verification(dynamodb, settings, day_of(clock.now(settings, dynamodb)))
        logger.info("verification planned", extra=planned)
        metrics.publish("verification", {"UnverifiedDays": planned["overdue"]})
        return planned
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
        metrics.publish("settlement", {"UnsettledAccounts": accounts})
    return {"unsettled" if checking else "queued": accounts}


def due_accounts(dynamodb: DynamoDBClient, settings: Settings, shard: str, run_day: date) -> Iterator[str]:
    """The accounts of a shard with usage to settle or a month to close, each once: read from the due-indexes alone."""
    seen: set[str] = set()
    for table in (settings.usage_table, settings.ledger_table):
        for due in due_entries(dynamodb, table, shard, "0", (run_day + timedelta(days=1)).isoformat()):
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
    for due in due_entries(
        dynamodb, settings.usage_table, shard, after.isoformat(), (after + timedelta(days=1)).isoformat()
    ):
        _, account_id, item = due.split("#", 2)
        if item == day_item:
            yield account_id


def queue_accounts(sqs: SQSClient, queue_url: str, accounts: Iterable[str], task: str | None = None) -> int:
    """Send one message an account, with its task. Raises TryAgainError where the queue kept refusing some."""
    named = {"task": task} if task else {}
    return queue_messages(sqs, queue_url, ({"account_id": account_id, **named} for account_id in accounts))
