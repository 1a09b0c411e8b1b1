"""Notices to customers' webhooks: signed, tried for up to a day, and an endpoint that keeps failing is switched off.

One that is slow rests for a minute, so that nobody's endpoints keep everybody's notices waiting.
A message is either a notice as the bus carries it, for all webhooks of its account, or one delivery that is due again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.logging import Logger

from aws_platform import clients, clock, deliveries, egress, failures, keys, webhooks
from aws_platform.batches import answer_batch
from aws_platform.deliveries import OPEN, Channel, Claim, Delivery, Status
from aws_platform.ledger import OutdatedError, transact
from aws_platform.notices import KeptNotice, notice_from_event, read_notice
from aws_platform.settings import Settings
from aws_platform.tasks import side_by_side
from aws_platform.webhooks import Reason, Webhook
from rating.civil import business_instant

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

logger = Logger()
_WORKERS = 2 * webhooks.MAX_WEBHOOKS
"""They wait for endpoints most of their time; one that is slow must not hold up the others."""
_SUCCESS = range(200, 300)


def handle(event: Mapping[str, Any], context: object) -> dict[str, Any]:  # noqa: ARG001 - Lambda's signature
    """Take messages of the queue. Only those come again of which something is still to be sent, or not known."""
    settings, dynamodb = Settings.from_environment(), clients.dynamodb()
    sender = Sender(dynamodb, settings, business_instant(clock.now(settings, dynamodb)))
    failed: list[str] = []

    def attempt(message_id: str, work: Callable[[], object]) -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001 - one webhook never harms the others
            _log_failure(message_id, error)
            failed.append(message_id)

    def jobs_of(record: Mapping[str, Any]) -> list[Callable[[], None]]:
        message_id, jobs = record["messageId"], list[Callable[[], None]]()
        attempt(message_id, lambda: jobs.extend(sender.jobs(record)))
        return [partial(attempt, message_id, job) for job in jobs]

    found = side_by_side([partial(jobs_of, record) for record in event["Records"]], _WORKERS)
    side_by_side([job for jobs in found for job in jobs], _WORKERS)
    logger.info("webhook messages taken", messages=len(event["Records"]), failed=len(set(failed)))
    return answer_batch("notify", event["Records"], failed)


@dataclass(frozen=True, slots=True)
class Sender:
    """Sends notices to webhooks, at one moment of business time."""

    dynamodb: DynamoDBClient
    settings: Settings
    now: datetime
    stopwatch: Callable[[], float] = time.monotonic
    """Seconds since whenever, on the machine's own clock: for how long an attempt took."""

    @property
    def _table(self) -> str:
        return self.settings.ledger_table

    def jobs(self, record: Mapping[str, Any]) -> Iterator[Callable[[], None]]:
        """What a message asks for, one job a webhook, which do not wait for each other."""
        message = json.loads(record["body"])
        if "retry" in message:
            yield self._again(message["retry"]["account_id"], message["retry"]["delivery"])
            return
        kept = notice_from_event(message["detail"])
        known = webhooks.webhooks_of(self.dynamodb, self._table, kept.account_id)
        # One that was switched off hears nothing more, of its own end neither.
        wanted = {one.webhook_id: one for one in known if one.enabled and one.wants(kept.notice.kind)}
        for delivery in self._begun(kept) if _came_before(record) else ():
            if delivery.recipient_id not in wanted:
                yield partial(self._suppress, kept.account_id, _sort_key(kept, delivery.recipient_id))
            elif delivery.due is not None:
                # The sweep brings it when its time has come.
                del wanted[delivery.recipient_id]
        yield from (partial(self._deliver, kept, webhook) for webhook in wanted.values())

    def _again(self, account_id: str, sort_key: str) -> Callable[[], None]:
        """Try a delivery again; its webhook may have been switched off or deleted meanwhile."""
        notice_id, _, webhook_id = sort_key.removeprefix(keys.DELIVERY_PREFIX).split("#")
        kept = read_notice(self.dynamodb, self._table, account_id, notice_id)
        if kept is None:
            msg = f"notice {notice_id} of account {account_id} has a delivery but does not exist"
            raise LookupError(msg)
        webhook = webhooks.read_webhook(self.dynamodb, self._table, account_id, webhook_id)
        if webhook is None or not webhook.enabled:
            return partial(self._suppress, account_id, sort_key)
        return partial(self._deliver, kept, webhook)

    def _begun(self, kept: KeptNotice) -> list[Delivery]:
        """What an earlier try of the notice's message began and did not end."""
        found = deliveries.deliveries_between(
            self.dynamodb, self._table, kept.account_id, kept.notice_id, kept.notice_id
        )
        return [one for one in found if one.channel == Channel.WEBHOOK and one.status in OPEN]

    def _suppress(self, account_id: str, sort_key: str) -> None:
        known = deliveries.read_delivery(self.dynamodb, self._table, account_id, sort_key)
        if known is None or known.status not in OPEN:
            return
        claim = self._claim(account_id, sort_key, known.recipient)
        if claim is not None:
            self._finish(claim, Status.SUPPRESSED, "webhook_off")

    def _claim(self, account_id: str, sort_key: str, host: str) -> Claim | None:
        return deliveries.claim(self.dynamodb, self._table, account_id, sort_key, host, self.now)

    def _deliver(self, kept: KeptNotice, webhook: Webhook) -> None:
        """One attempt, unless the delivery has come to its end, or its endpoint rests."""
        sort_key = _sort_key(kept, webhook.webhook_id)
        endpoint = webhook.endpoint
        if webhook.rests(self.now) and self._postpone(kept.account_id, sort_key, endpoint.host):
            return
        claim = self._claim(kept.account_id, sort_key, endpoint.host)
        if claim is None:
            self._recall_success(kept.account_id, sort_key, webhook)
            return
        body = webhooks.message_of(kept)
        headers = webhooks.headers_of(webhook, kept, body, clock.machine_now())
        began = self.stopwatch()
        outcome = _post(endpoint, body, headers)
        slow = webhooks.is_slow(self.stopwatch() - began, outcome)
        # The outcome first: were the message to come again, it must not be sent again.
        if isinstance(outcome, int) and outcome in _SUCCESS:
            self._finish(claim, Status.SENT)
            webhooks.record_success(self.dynamodb, self._table, kept.account_id, webhook, self.now)
        else:
            detail = outcome.reason if isinstance(outcome, egress.EgressError) else f"http_{outcome}"
            # The host, and nothing else of the URL: customers keep secrets in paths.
            logger.info("webhook attempt failed", extra={"host": endpoint.host, "detail": detail})
            self._failed(claim, webhook, detail, gone=outcome == HTTPStatus.GONE)
        if slow:
            webhooks.rest(self.dynamodb, self._table, kept.account_id, webhook, self.now)

    def _postpone(self, account_id: str, sort_key: str, host: str) -> bool:
        """Leave a delivery for later, unless its day is over or somebody else has it."""
        shards = self.settings.due_shards
        return webhooks.postpone(self.dynamodb, self._table, account_id, sort_key, host, self.now, shards)

    def _failed(self, claim: Claim, webhook: Webhook, detail: str, *, gone: bool) -> None:
        """Plan the next attempt, or give the delivery up."""
        next_at = None if gone else webhooks.next_attempt(claim.first_at, self.now)
        if next_at is not None:
            due = keys.timer(claim.account_id, next_at, claim.sort_key, self.settings.due_shards)
            self._finish(claim, Status.PENDING, detail, due)
        elif gone:
            self._switch_off(claim, webhook, detail, Reason.GONE, self.now)
        else:
            self._switch_off(claim, webhook, detail, Reason.FAILING, claim.first_at)

    def _switch_off(self, claim: Claim, webhook: Webhook, detail: str, reason: Reason, since: datetime) -> None:
        """Give a delivery up and switch its webhook off, with the notice of it, in one transaction.

        The delivery alone is given up where the webhook is off or gone already, or another delivery has arrived since.
        """
        for _ in failures.attempts():
            seen = webhooks.read_webhook(self.dynamodb, self._table, claim.account_id, webhook.webhook_id)
            arrives = reason is Reason.FAILING and seen is not None and seen.succeeded_since(since)
            if seen is None or not seen.enabled or arrives:
                self._finish(claim, Status.FAILED, detail)
                return
            if not deliveries.holds(self.dynamodb, self._table, claim):
                return
            writes = [
                deliveries.finish_item(self._table, claim, Status.FAILED, self.now, detail),
                *webhooks.switch_off_items(self._table, claim.account_id, seen, reason, since, self.now),
            ]
            try:
                transact(self.dynamodb, writes)
            except (OutdatedError, failures.TryAgainError):
                continue
            logger.info("webhook switched off", extra={"host": webhook.endpoint.host, "reason": reason.value})
            return
        raise failures.TryAgainError

    def _recall_success(self, account_id: str, sort_key: str, webhook: Webhook) -> None:
        """Where an earlier try of this message ended between the two records of its success, make the second one."""
        known = deliveries.read_delivery(self.dynamodb, self._table, account_id, sort_key)
        if known is not None and known.status is Status.SENT:
            webhooks.record_success(self.dynamodb, self._table, account_id, webhook, known.at)

    def _finish(self, claim: Claim, status: Status, detail: str = "", due: Mapping[str, Any] | None = None) -> None:
        deliveries.finish(self.dynamodb, self._table, claim, status, self.now, detail, due)


def _post(endpoint: egress.Endpoint, body: bytes, headers: Mapping[str, str]) -> int | egress.EgressError:
    """The status of the answer, or why there is none."""
    try:
        return egress.post(endpoint, body, headers)
    except egress.EgressError as error:
        return error


def _sort_key(kept: KeptNotice, webhook_id: str) -> str:
    return keys.delivery(kept.notice_id, Channel.WEBHOOK, webhook_id)


def _log_failure(message_id: str, error: BaseException) -> None:
    """By class and code only: texts of errors may repeat parts of a URL."""
    code = failures.error_code(error) or type(error).__name__
    logger.error("webhook message failed", extra={"error": code, "message_id": message_id})


def _came_before(record: Mapping[str, Any]) -> bool:
    """Whether the queue hands the message over again."""
    return int(record.get("attributes", {}).get("ApproximateReceiveCount", "1")) > 1
