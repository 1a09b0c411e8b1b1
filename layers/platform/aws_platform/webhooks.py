"""Webhooks: a customer's own HTTPS endpoints, to which its notices are posted, signed by the Standard Webhooks scheme.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from aws_platform import clock, egress, failures, keys
from aws_platform.deliveries import Status
from aws_platform.ledger import with_prefix
from aws_platform.notices import KeptNotice, page_put
from rating.civil import business_instant, local, rfc3339
from rating.notices import Kind, Notice

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

MAX_WEBHOOKS = 10
"""An account's."""
_SECRET_PREFIX = "whsec_"  # noqa: S105 - how every secret of the scheme begins
_SECRET_BYTES = 32
_ID_BYTES = 6
_ID = re.compile(r"wh_[0-9]{14}_[0-9a-f]{12}", re.ASCII)
_RETRIES = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 30, 2 * 60, 6 * 60, 12 * 60, 24 * 60))
"""After the first attempt; the last one ends the day."""
_SOON = timedelta(seconds=30)
"""Attempts are at least this far apart, however late one of them comes."""
_REST = timedelta(minutes=1)
_LONG_ANSWER_SECONDS = 5.0
_LONG_SILENCE_SECONDS = 3.0
RESTING = "resting"
"""What a delivery says that was not tried yet because its endpoint rests."""


class Reason(StrEnum):
    """Why a webhook was switched off."""

    FAILING = "failing"
    """A delivery failed for a whole day, in which no other succeeded."""
    GONE = "gone"
    """The endpoint answered 410: it wants no more."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """An endpoint that a customer has registered. Once switched off it stays off: a new one has a new secret."""

    webhook_id: str
    """Ids sort by the time of the registration."""
    url: str
    kinds: frozenset[Kind] | None
    """None: all, those of the future too."""
    secret: str
    created_at: datetime
    disabled_at: datetime | None = None
    disabled_reason: Reason | None = None
    last_success_at: datetime | None = None
    resting_until: datetime | None = None
    """Until then nothing is sent to it, as an attempt took too long."""
    number: int = 1
    """Greater than those of all that the account had when it was registered."""

    @property
    def enabled(self) -> bool:
        """Whether notices are sent to it."""
        return self.disabled_at is None

    @property
    def endpoint(self) -> egress.Endpoint:
        """Where its URL leads."""
        return egress.check_url(self.url)

    def wants(self, kind: Kind) -> bool:
        """Whether it takes notices of this kind."""
        return self.kinds is None or kind in self.kinds

    def succeeded_since(self, instant: datetime) -> bool:
        """Whether a delivery has arrived at this instant or later."""
        return self.last_success_at is not None and self.last_success_at >= business_instant(instant)

    def rests(self, now: datetime) -> bool:
        """Whether deliveries wait because an attempt has just taken too long."""
        return self.resting_until is not None and now < self.resting_until


def new_webhook(url: str, kinds: frozenset[Kind] | None, now: datetime) -> Webhook:
    """A webhook with an id and a secret of its own."""
    created_at = business_instant(now)
    webhook_id = f"wh_{created_at:%Y%m%d%H%M%S}_{secrets.token_hex(_ID_BYTES)}"
    secret = _SECRET_PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()
    return Webhook(webhook_id, url, kinds, secret, created_at)


def is_webhook_id(text: str) -> bool:
    """Whether a webhook can have this id; anything else need not be looked up."""
    return _ID.fullmatch(text) is not None


# --- Signing ----------------------------------------------------------------------------------------------------------


def message_of(kept: KeptNotice) -> bytes:
    """The body of the request that tells a notice: the same in every attempt."""
    event = kept.event()
    message = {"type": event["kind"], "timestamp": event["occurred_at"], "data": event}
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()


def headers_of(webhook: Webhook, kept: KeptNotice, body: bytes, machine_now: datetime) -> dict[str, str]:
    """The headers that go with it: who receives it checks the time against its own clock."""
    # The scheme separates what it signs by full stops, so an id must have none.
    message_id, timestamp = f"{kept.account_id}:{kept.notice_id}", int(machine_now.timestamp())
    return {
        "content-type": "application/json",
        "user-agent": "Zhangben-Webhooks/1",
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signature(webhook.secret, message_id, timestamp, body),
    }


def signature(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """By the Standard Webhooks scheme, version 1: HMAC-SHA256."""
    key = base64.b64decode(secret.removeprefix(_SECRET_PREFIX))
    digest = hmac.new(key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


def next_attempt(first_at: datetime, now: datetime) -> datetime | None:
    """When a delivery that does not arrive now is tried again; None at the end of the day that it is tried for."""
    return next((first_at + delay for delay in _RETRIES if first_at + delay >= now + _SOON), None)


def is_slow(seconds: float, outcome: int | egress.EgressError) -> bool:
    """Whether an attempt took so long that its endpoint is to rest: by its answer's status, or why there was none."""
    if isinstance(outcome, egress.EgressError):
        return isinstance(outcome, egress.TimedOutError) or seconds > _LONG_SILENCE_SECONDS
    return seconds > _LONG_ANSWER_SECONDS


# --- Storage ----------------------------------------------------------------------------------------------------------


def webhooks_of(dynamodb: DynamoDBClient, table: str, account_id: str) -> list[Webhook]:
    """All webhooks of an account, strongly consistent, in the order in which they were registered."""
    found = [webhook_from_item(item) for item in with_prefix(dynamodb, table, account_id, keys.WEBHOOK_PREFIX)]
    return sorted(found, key=lambda one: (one.created_at, one.number))


def read_webhook(dynamodb: DynamoDBClient, table: str, account_id: str, webhook_id: str) -> Webhook | None:
    """One webhook; None where it is not there."""
    item = dynamodb.get_item(TableName=table, Key=_key(account_id, webhook_id), ConsistentRead=True).get("Item")
    return webhook_from_item(item) if item else None


def read_lock(dynamodb: DynamoDBClient, table: str, account_id: str) -> str | None:
    """Who was the last to add a webhook. To be read before the webhooks are counted."""
    key = {"pk": {"S": keys.ledger(account_id)}, "sk": {"S": keys.WEBHOOK_LOCK}}
    item = dynamodb.get_item(TableName=table, Key=key, ConsistentRead=True).get("Item")
    return item["webhook_id"]["S"] if item else None


def add_items(table: str, account_id: str, webhook: Webhook, lock: str | None) -> list[dict[str, Any]]:
    """The transaction items that add a webhook; they fail where another was added since the lock was read."""
    put: dict[str, Any] = {
        "TableName": table,
        "Item": {
            "pk": {"S": keys.ledger(account_id)},
            "sk": {"S": keys.WEBHOOK_LOCK},
            "webhook_id": {"S": webhook.webhook_id},
        },
        "ConditionExpression": "attribute_not_exists(pk)",
    }
    if lock is not None:
        put["ConditionExpression"] = "webhook_id = :seen"
        put["ExpressionAttributeValues"] = {":seen": {"S": lock}}
    item = webhook_to_item(account_id, webhook)
    return [
        {"Put": put},
        {"Put": {"TableName": table, "Item": item, "ConditionExpression": "attribute_not_exists(pk)"}},
    ]


def delete_webhook(dynamodb: DynamoDBClient, table: str, account_id: str, webhook_id: str) -> None:
    """Forget a webhook and its secret; nothing happens where it is not there."""
    dynamodb.delete_item(TableName=table, Key=_key(account_id, webhook_id))


def record_success(dynamodb: DynamoDBClient, table: str, account_id: str, webhook: Webhook, at: datetime) -> None:
    """Remember that a delivery has arrived; nothing is written where a later one is known, or the webhook is gone.

    Raises TryAgainError where the table does not answer.
    """
    if not webhook.succeeded_since(at):
        _move_forward(dynamodb, table, account_id, webhook, "last_success_at", at)


def rest(dynamodb: DynamoDBClient, table: str, account_id: str, webhook: Webhook, now: datetime) -> None:
    """Let a webhook rest for a minute; nothing is written where it rests for as long already, or is gone.

    Raises TryAgainError where the table does not answer.
    """
    _move_forward(dynamodb, table, account_id, webhook, "resting_until", now + _REST)


def postpone(
    dynamodb: DynamoDBClient, table: str, account_id: str, sort_key: str, host: str, now: datetime, shards: int
) -> bool:
    """Keep a delivery for the next time of its schedule, without an attempt; false where that must not be.

    That is where its day is over, so that it has to be tried, or where it is being sent or has come to its end, which
    `deliveries.claim` tells apart. One that was never tried has the same schedule, counted from when it began to wait;
    its first attempt, with which its day of failures begins, is still to come. Raises TryAgainError where the table
    does not answer.
    """
    key = {"pk": {"S": keys.ledger(account_id)}, "sk": {"S": sort_key}}
    for _ in failures.attempts():
        seen = dynamodb.get_item(TableName=table, Key=key, ConsistentRead=True).get("Item")
        if seen is not None and not _is_waiting(seen):
            return False
        next_at = next_attempt(_schedule_start(seen, now), now)
        if next_at is None:
            return False
        due = keys.timer(account_id, next_at, sort_key, shards)
        try:
            dynamodb.update_item(**_postponed(table, key, seen, host, now, due))
        except (ClientError, BotoCoreError) as error:
            # Whether it was written after all, or somebody else was quicker, is seen by looking again.
            if not failures.is_retriable(error):
                raise
        else:
            return True
    raise failures.TryAgainError


def switch_off_items(
    table: str, account_id: str, webhook: Webhook, reason: Reason, since: datetime, now: datetime
) -> list[dict[str, Any]]:
    """The transaction items that switch a webhook off and tell so, which happens once.

    They fail where it is off already or gone; for `failing` also where a delivery has arrived since.
    """
    condition = "attribute_exists(pk) AND attribute_not_exists(disabled_at)"
    values = {":at": {"S": rfc3339(now)}, ":reason": {"S": reason.value}}
    if reason is Reason.FAILING:
        condition += " AND (attribute_not_exists(last_success_at) OR last_success_at < :since)"
        values[":since"] = {"S": rfc3339(since)}
    update = {
        "TableName": table,
        "Key": _key(account_id, webhook.webhook_id),
        "UpdateExpression": "SET disabled_at = :at, disabled_reason = :reason",
        "ConditionExpression": condition,
        "ExpressionAttributeValues": values,
    }
    data = {
        "webhook_id": webhook.webhook_id,
        "host": webhook.endpoint.host,
        "reason": reason.value,
        "since": rfc3339(since),
    }
    notice = Notice(Kind.WEBHOOK_DISABLED, business_instant(now), data)
    page_id = f"{local(now):%Y%m%d%H%M%S}-webhook-{webhook.webhook_id}"
    return [{"Update": update}, page_put(table, account_id, page_id, [notice])]


def webhook_to_item(account_id: str, webhook: Webhook) -> dict[str, Any]:
    """As stored when it is registered: what changes later is beside the body."""
    body = {
        "url": webhook.url,
        "kinds": None if webhook.kinds is None else sorted(webhook.kinds),
        "secret": webhook.secret,
        "created_at": rfc3339(webhook.created_at),
        "number": webhook.number,
    }
    changing = {
        "disabled_at": webhook.disabled_at and rfc3339(webhook.disabled_at),
        "disabled_reason": webhook.disabled_reason,
        "last_success_at": webhook.last_success_at and rfc3339(webhook.last_success_at),
        "resting_until": webhook.resting_until and rfc3339(webhook.resting_until),
    }
    return {
        **_key(account_id, webhook.webhook_id),
        "body": {"S": json.dumps(body, ensure_ascii=False, separators=(",", ":"))},
        **{name: {"S": str(value)} for name, value in changing.items() if value is not None},
    }


def webhook_from_item(item: Mapping[str, Any]) -> Webhook:
    """The reverse of `webhook_to_item`."""
    body = json.loads(item["body"]["S"])
    names = ("disabled_at", "disabled_reason", "last_success_at", "resting_until")
    changing = {name: item[name]["S"] for name in names if name in item}
    reason = changing.get("disabled_reason")
    return Webhook(
        webhook_id=item["sk"]["S"].removeprefix(keys.WEBHOOK_PREFIX),
        url=body["url"],
        kinds=None if body["kinds"] is None else frozenset(map(Kind, body["kinds"])),
        secret=body["secret"],
        created_at=datetime.fromisoformat(body["created_at"]),
        disabled_at=_instant(changing.get("disabled_at")),
        disabled_reason=Reason(reason) if reason else None,
        last_success_at=_instant(changing.get("last_success_at")),
        resting_until=_instant(changing.get("resting_until")),
        number=body["number"],
    )


def _move_forward(
    dynamodb: DynamoDBClient, table: str, account_id: str, webhook: Webhook, name: str, to: datetime
) -> None:
    """Set an instant of a webhook, unless it is as late already or the webhook is gone."""
    for _ in failures.attempts():
        try:
            dynamodb.update_item(
                TableName=table,
                Key=_key(account_id, webhook.webhook_id),
                UpdateExpression=f"SET {name} = :to",
                ConditionExpression=f"attribute_exists(pk) AND (attribute_not_exists({name}) OR {name} < :to)",
                ExpressionAttributeValues={":to": {"S": rfc3339(to)}},
            )
        except (ClientError, BotoCoreError) as error:
            if failures.is_condition_failure(error):
                return
            if not failures.is_retriable(error):
                raise
        else:
            return
    raise failures.TryAgainError


def _is_waiting(item: Mapping[str, Any]) -> bool:
    """Whether a delivery is to be tried and nobody is doing it, or who did has died."""
    status = Status(item["status"]["S"])
    if status is Status.SENDING:
        return int(item["lease"]["N"]) < int(clock.machine_now().timestamp())
    return status is Status.PENDING


def _schedule_start(seen: Mapping[str, Any] | None, now: datetime) -> datetime:
    """From when a delivery's schedule counts: its first attempt, or where there was none, when it began to wait."""
    known = seen or {}
    began = next((known[name]["S"] for name in ("first_at", "waits_since") if name in known), None)
    return _instant(began) or now


def _postponed(
    table: str, key: Mapping[str, Any], seen: Mapping[str, Any] | None, host: str, now: datetime, due: Mapping[str, Any]
) -> dict[str, Any]:
    """The update that plans a delivery, seen like this, without an attempt; it fails where it has changed since."""
    sets = {"#status": {"S": Status.PENDING.value}, "#at": {"S": rfc3339(now)}, **due}
    if seen is None:
        condition, looks = "attribute_not_exists(pk)", {}
        sets |= {
            "recipient": {"S": host},
            "attempts": {"N": "0"},
            "waits_since": {"S": rfc3339(now)},
            "detail": {"S": RESTING},
        }
    else:
        # Every attempt counts, so the same number means that there was none since.
        condition = "#status = :seen AND attempts = :attempts"
        looks = {":seen": seen["status"], ":attempts": seen["attempts"]}
    values = {f":set{number}": value for number, value in enumerate(sets.values())}
    assigned = ", ".join(f"{name} = {value}" for name, value in zip(sets, values, strict=True))
    return {
        "TableName": table,
        "Key": key,
        "UpdateExpression": f"SET {assigned} REMOVE #lease, #token",
        "ConditionExpression": condition,
        "ExpressionAttributeNames": {"#status": "status", "#at": "at", "#lease": "lease", "#token": "token"},
        "ExpressionAttributeValues": {**values, **looks},
    }


def _instant(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _key(account_id: str, webhook_id: str) -> dict[str, Any]:
    return {"pk": {"S": keys.ledger(account_id)}, "sk": {"S": f"{keys.WEBHOOK_PREFIX}{webhook_id}"}}
