"""What e-mail and SMS share: each recipient of a notice is claimed, sent to once, and its outcome recorded."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.logging import Logger
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

from aws_platform import clients, clock, deliveries, failures, keys, metrics
from aws_platform.batches import answer_batch
from aws_platform.deliveries import Channel, Claim, Status
from aws_platform.notices import KeptNotice, notice_from_event
from aws_platform.settings import Settings
from aws_platform.subscriptions import Audience, BlockedAddress, block_address, forget_refusal, read_audience
from rating.civil import local
from rating.notices import Kind

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

logger = Logger()
_LAST_RECEIVE = 200
"""Most of a day, at six minutes a receive: whoever runs the stack has had the time to mend the sender (D28). Below the
queues' `maxReceiveCount`, so that the outcome is recorded before the message goes to the dead letters."""
_STUCK_AFTER = 10
"""Receives of a message: an hour. SQS leaves such messages out of the age of its oldest, so they are counted here."""


class UndeliveredError(Exception):
    """Not every recipient has been sent to: the message has to come again."""


def _everybody(settings: Settings, address: str) -> bool:  # noqa: ARG001 - as outlets are asked
    return True


@dataclass(frozen=True, slots=True)
class Outlet[Message]:
    """How a channel sends."""

    channel: Channel
    addresses: Callable[[Kind, Audience], tuple[str, ...]]
    """To whom a notice of this kind goes."""
    compose: Callable[[KeptNotice, str], Message]
    """The message, in a language."""
    send: Callable[[Settings, KeptNotice, str, Message], object]
    """Hand it to the provider, for one address, in one call."""
    limit: Callable[[Settings], int]
    """Most that an account is sent in a day."""
    refusals: frozenset[str]
    """Error codes that mean this message or this address; any other is about ourselves or the moment."""
    doubtful_refusals: frozenset[str] = frozenset()
    """Those that may as well mean our own sender: refused for good only after most of a day."""
    serves: Callable[[Settings, str], bool] = _everybody
    """Whether anything is sent to the country of the address."""


def each_record(event: Mapping[str, Any], take: Callable[[Mapping[str, Any]], None]) -> dict[str, Any]:
    """Take each record of a queue; those that fail come again, and at last to the dead-letter queue.

    Errors are logged by class and code only, for providers repeat addresses in their texts.
    """
    failed: list[str] = []
    for record in event["Records"]:
        message_id = record["messageId"]
        try:
            take(record)
        except Exception as error:  # noqa: BLE001 - one message never harms its neighbours
            _log("message failed", error, message_id=message_id)
            failed.append(message_id)
    return answer_batch("notify", event["Records"], failed)


def deliver_batch(event: Mapping[str, Any], outlet: Outlet[Any], settings: Settings) -> dict[str, Any]:
    """Deliver the notices of a batch; addresses that are newly refused and messages that are stuck are counted."""
    dynamodb = clients.dynamodb()
    courier = _Courier(dynamodb, settings, outlet, clock.now(settings, dynamodb))
    answer = each_record(event, courier.take)
    failed = {one["itemIdentifier"] for one in answer["batchItemFailures"]}
    late = [one for one in event["Records"] if _receives(one) >= _STUCK_AFTER]
    counts = {
        "RefusedMessages": courier.newly_refused,
        "StuckMessages": sum(one["messageId"] in failed for one in late),
    }
    metrics.publish("notify", {name: value for name, value in counts.items() if value})
    return answer


@dataclass(slots=True)
class _Courier:
    """Delivers notices by one outlet, at one moment of business time."""

    dynamodb: DynamoDBClient
    settings: Settings
    outlet: Outlet[Any]
    now: datetime
    newly_refused: int = 0
    """Addresses that were not recorded as refused before."""

    def take(self, record: Mapping[str, Any]) -> None:
        """Deliver the notice of a message to every recipient.

        Raises UndeliveredError where it has to be tried again for some, LookupError where its account does not exist.
        """
        kept = notice_from_event(json.loads(record["body"])["detail"])
        audience = read_audience(self.dynamodb, self._table, kept.account_id)
        if audience is None:
            msg = f"notice {kept.notice_id} is for an account that does not exist"
            raise LookupError(msg)
        addresses = self.outlet.addresses(kept.notice.kind, audience)
        if not addresses:
            return
        # Made before anything is claimed: a notice without a text leaves no trace but its message.
        message = self.outlet.compose(kept, audience.locale)
        undelivered = 0
        for address in addresses:
            try:
                self._deliver(kept, audience, address, message, is_last=_receives(record) >= _LAST_RECEIVE)
            except Exception as error:  # noqa: BLE001 - one recipient never harms the others
                recipient = deliveries.recipient_key(address)
                channel = self.outlet.channel.value
                _log("not delivered", error, notice_id=kept.notice_id, channel=channel, recipient=recipient)
                undelivered += 1
        if undelivered:
            msg = f"{undelivered} of {len(addresses)} recipients"
            raise UndeliveredError(msg)

    @property
    def _table(self) -> str:
        return self.settings.ledger_table

    def _deliver(self, kept: KeptNotice, audience: Audience, address: str, message: Any, *, is_last: bool) -> None:
        """Deliver to one recipient, if nobody has. On the last try a doubtful refusal is believed.

        Raises what the provider raised where it has to be tried again: at once if nothing can have been sent, otherwise
        when the lease is over; also when the ledger does not answer.
        """
        sort_key = keys.delivery(kept.notice_id, self.outlet.channel, deliveries.recipient_key(address))
        claim = deliveries.claim(self.dynamodb, self._table, kept.account_id, sort_key, address, self.now)
        if claim is None:
            return
        forbidden = self._forbidden(claim, audience, address)
        if forbidden is not None:
            self._finish(claim, Status.SUPPRESSED, forbidden)
            return
        try:
            self.outlet.send(self.settings, kept, address, message)
        except (ClientError, BotoCoreError) as error:
            code = _code(error)
            doubtful = code in self.outlet.doubtful_refusals
            if doubtful or code in self.outlet.refusals:
                self._record_refusal(kept.account_id, audience, address, code)
                if is_last or not doubtful:
                    self._finish(claim, Status.REFUSED, code)
                    return
            if not _may_be_sent(error):
                self._finish(claim, Status.PENDING, code)
            raise
        self._finish(claim, Status.SENT)
        if audience.is_refused(self.outlet.channel, address):
            forget_refusal(self.dynamodb, self._table, kept.account_id, address)

    def _forbidden(self, claim: Claim, audience: Audience, address: str) -> str | None:
        """Why nothing may be sent, as the delivery's detail; None where it may. Then it is counted for the day."""
        if audience.is_blocked(self.outlet.channel, address):
            return ""
        if not self.outlet.serves(self.settings, address):
            return "country_not_served"
        day, limit = local(self.now).date(), self.outlet.limit(self.settings)
        within = deliveries.count(self.dynamodb, self._table, claim, self.outlet.channel, day, limit)
        return None if within else "daily_limit"

    def _record_refusal(self, account_id: str, audience: Audience, address: str, code: str) -> None:
        """Show the customer that the address was refused, from the first time on."""
        channel = self.outlet.channel
        blocked = BlockedAddress(address, channel, Status.REFUSED, self.now, code)
        block_address(self.dynamodb, self._table, account_id, blocked)
        self.newly_refused += not audience.is_refused(channel, address)

    def _finish(self, claim: Claim, status: Status, detail: str = "") -> None:
        deliveries.finish(self.dynamodb, self._table, claim, status, self.now, detail)


def _receives(record: Mapping[str, Any]) -> int:
    """How often the queue has handed the message over, this time included."""
    return int(record.get("attributes", {}).get("ApproximateReceiveCount", "1"))


def _may_be_sent(error: ClientError | BotoCoreError) -> bool:
    """Whether the provider may have taken the message all the same: the request went out, and no clear answer came."""
    if not isinstance(error, ClientError):
        # A connection that never came about is another class.
        return isinstance(error, HTTPClientError)
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return status >= HTTPStatus.INTERNAL_SERVER_ERROR or failures.is_unknown_outcome(error)


def _code(error: BaseException) -> str:
    return failures.error_code(error) or type(error).__name__


def _log(message: str, error: BaseException, **fields: str) -> None:
    logger.error(message, extra={"error": _code(error), **fields})
