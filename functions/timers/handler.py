"""The sweep: whatever has come due is done. A timer looks at the state again first, so that an old one does no harm."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.logging import Logger
from aws_lambda_powertools.metrics import Metrics, MetricUnit

from aws_platform import bills, clients, clock, failures, keys
from aws_platform.accounts import read_account_with
from aws_platform.ledger import OutdatedError, journal_put, query_all, transact
from aws_platform.orders import refund_from_item, refund_put
from aws_platform.settings import Settings
from aws_platform.snapshot import change
from rating.bill import Bill, TransactionType, bill_of_day, single_charge
from rating.civil import ONE_SECOND, business_instant, day_of, rfc3339
from rating.funds import Movement, credit
from rating.orders import Refund, resource_of
from rating.pricing import AppliedPrice

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

logger = Logger()
_DUE_INDEX = "DueIndex"


def handle(event: Mapping[str, Any], context: object) -> dict[str, Any]:  # noqa: ARG001 - Lambda's signature
    """Do everything that is due. What fails stays due for the next sweep, and is counted for the alarm."""
    settings, dynamodb = Settings.from_environment(), clients.dynamodb()
    now = business_instant(clock.now(settings, dynamodb))
    done = failed = 0
    for shard in keys.all_timer_shards(settings.due_shards):
        for timer in due_timers(dynamodb, settings.ledger_table, shard, now):
            try:
                _, account_id, refund_id = timer.split("#")
                complete_refund(dynamodb, settings, account_id, refund_id, now)
            except Exception:
                logger.exception("timer failed", timer=timer)
                failed += 1
            else:
                done += 1
    logger.info("timers swept", done=done, failed=failed)
    _publish(failed)
    return {"done": done, "failed": failed}


def due_timers(dynamodb: DynamoDBClient, table: str, shard: str, now: datetime) -> Iterator[str]:
    """What of a shard is due, as `keys.timer` names it, first due first."""
    for item in query_all(
        dynamodb,
        TableName=table,
        IndexName=_DUE_INDEX,
        KeyConditionExpression="due_pk = :pk AND due_sk < :after",
        ExpressionAttributeValues={":pk": {"S": shard}, ":after": {"S": rfc3339(now + ONE_SECOND)}},
        ProjectionExpression="due_sk",
    ):
        yield item["due_sk"]["S"]


def complete_refund(
    dynamodb: DynamoDBClient, settings: Settings, account_id: str, refund_id: str, now: datetime
) -> None:
    """Pay a refund back, each amount to its own fund (D24, D26). Nothing happens if that was done.

    Raises TryAgainError where others change the account for too long.
    """
    table, sort_key = settings.ledger_table, f"{keys.REFUND_PREFIX}{refund_id}"
    for _ in failures.attempts():
        account, items = read_account_with(dynamodb, table, account_id, [sort_key])
        if account is None or sort_key not in items:
            msg = f"refund {refund_id} of account {account_id} is due but does not exist"
            raise LookupError(msg)
        refund = refund_from_item(items[sort_key])
        if refund.completed_at is not None:
            return
        when = account.booked_at(now)
        funds, movements = account.funds, list[Movement]()
        for fund, amount in refund.refunds.items():
            funds, moved = credit(funds, fund, amount)
            movements += moved
        after, writes = change(table, account, account.with_funds(funds, when))
        writes += [
            refund_put(table, account_id, replace(refund, completed_at=when), None),
            bills.bill_put(table, account_id, _bill(refund, when)),
        ]
        if movements:
            writes.append(journal_put(table, after, when, "refund", refund_id, movements))
        try:
            transact(dynamodb, writes)
        except (OutdatedError, failures.TryAgainError):
            continue
        return
    raise failures.TryAgainError


def _bill(refund: Refund, when: datetime) -> Bill:
    """The row of a refund: what the row of the purchase said, taken back without what a voucher paid."""
    charge = single_charge(
        refund.tag,
        day_of(when),
        -1,
        AppliedPrice(refund.amount, refund.list_price, None),
        {fund: -amount for fund, amount in refund.refunds.items()},
        resource_of(refund.package_id, refund.calls, refund.delivered_at),
    )
    bill = bill_of_day(refund.refund_id, TransactionType.PREPAY_REFUND, when, (charge,))
    return replace(bill, order_id=refund.order_id)


def _publish(failed: int) -> None:
    metrics = Metrics(namespace="Zhangben", service="timers")
    metrics.add_metric(name="FailedTimers", unit=MetricUnit.Count, value=failed)
    metrics.flush_metrics()
