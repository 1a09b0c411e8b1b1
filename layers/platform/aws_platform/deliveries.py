"""Deliveries in the ledger table: what became of a notice on a channel, for each recipient.

Who sends claims the delivery first and records the outcome after it. So a notice goes to a recipient once, however
often its message comes; only where the provider's answer got lost, it is sent again when the lease is over (D28).
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from aws_platform import clock, failures, keys
from aws_platform.ledger import query_all
from rating.civil import rfc3339

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

LEASE_SECONDS = 90
"""Longer than the time-out of every function that sends: whoever still runs still holds its claim."""
_KEY_DIGITS = 16
_COUNT_DIGITS = 12
"""Enough to tell a day's deliveries apart, and few enough that a day of thousands is no large item."""
_AFTER_ALL_CHANNELS = "~"


class BusyError(Exception):
    """Somebody else is sending it right now: ask again later."""


class Channel(StrEnum):
    """Where notices are delivered to; the in-site message is the notice itself and needs no delivery."""

    EMAIL = "email"
    SMS = "sms"
    WEBHOOK = "webhook"


class Status(StrEnum):
    """How far a delivery is."""

    SENDING = "sending"
    """Claimed; if the claim's lease is over, the outcome is not known and it will be sent again."""
    PENDING = "pending"
    """It was tried, did not arrive, and will be tried again."""
    SENT = "sent"
    """The provider, or the webhook's endpoint, has taken it."""
    REFUSED = "refused"
    """The provider does not take this message or this address."""
    BOUNCED = "bounced"
    COMPLAINED = "complained"
    SUPPRESSED = "suppressed"
    """Nothing was sent: the address bounced or complained before, its country is not served, or the day's limit is
    reached; or the webhook is off."""
    FAILED = "failed"
    """It was tried for as long as the channel tries, and is given up."""


OPEN = {Status.SENDING, Status.PENDING}
"""Of these something is still to come; every other status is the delivery's end."""
_NAMES = {"#status": "status", "#at": "at", "#lease": "lease", "#token": "token"}
"""Attributes whose names DynamoDB keeps for itself."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to send one delivery, once."""

    account_id: str
    sort_key: str
    token: str
    attempts: int
    """This one included."""
    first_at: datetime
    """Business time of the first attempt."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A delivery as it is kept."""

    notice_id: str
    channel: str
    recipient: str
    """The address or host, as the customer is shown it."""
    status: Status
    at: datetime
    """Business time of the status."""
    attempts: int
    detail: str
    due: datetime | None
    """When it will be tried again, where that is planned."""
    recipient_id: str
    """What stands for the recipient in keys: of a webhook its id, of an address what `recipient_key` says."""


def recipient_key(address: str) -> str:
    """What stands for an address in keys and tags, and gives it not away."""
    return hashlib.sha256(address.encode()).hexdigest()[:_KEY_DIGITS]


def claim(
    dynamodb: DynamoDBClient, table: str, account_id: str, sort_key: str, recipient: str, now: datetime
) -> Claim | None:
    """Take the right to send a delivery; None where it has come to its end.

    Raises BusyError where somebody else is sending it, TryAgainError where the table does not answer.
    """
    token = uuid.uuid4().hex
    for _ in failures.attempts():
        machine_now = int(clock.machine_now().timestamp())
        try:
            answer = dynamodb.update_item(
                TableName=table,
                Key=_key(account_id, sort_key),
                UpdateExpression=(
                    "SET #status = :sending, #lease = :lease, #token = :token, #at = :at, recipient = :recipient,"
                    " first_at = if_not_exists(first_at, :at), attempts = if_not_exists(attempts, :zero) + :one"
                ),
                ConditionExpression=(
                    "attribute_not_exists(pk) OR #status = :pending OR (#status = :sending AND #lease < :machine_now)"
                ),
                ExpressionAttributeNames=_NAMES,
                ExpressionAttributeValues={
                    ":sending": {"S": Status.SENDING.value},
                    ":pending": {"S": Status.PENDING.value},
                    ":lease": {"N": str(machine_now + LEASE_SECONDS)},
                    ":machine_now": {"N": str(machine_now)},
                    ":token": {"S": token},
                    ":at": {"S": rfc3339(now)},
                    ":recipient": {"S": recipient},
                    ":zero": {"N": "0"},
                    ":one": {"N": "1"},
                },
                ReturnValues="ALL_NEW",
            )
            return _claimed(account_id, sort_key, answer["Attributes"])
        except (ClientError, BotoCoreError) as error:
            if not failures.is_retriable(error):
                raise
            if not failures.is_condition_failure(error):
                # If it was written all the same, the next try fails its condition, and the token says whose it is.
                continue
        seen = _read(dynamodb, table, account_id, sort_key)
        if seen is None:
            continue
        if seen.get("token", {}).get("S") == token:
            return _claimed(account_id, sort_key, seen)
        status = Status(seen["status"]["S"])
        if status not in OPEN:
            return None
        if status is Status.SENDING and int(seen["lease"]["N"]) >= machine_now:
            raise BusyError
    raise failures.TryAgainError


def finish_item(
    table: str, claim: Claim, status: Status, now: datetime, detail: str = "", due: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The transaction item that records the outcome; it fails where the claim is no longer held.

    ``due`` are the attributes of `keys.timer` where the sweep has to bring the delivery again.
    """
    sets = ["#status = :status", "#at = :at"]
    removes = ["#lease", "#token"]
    values: dict[str, Any] = {
        ":status": {"S": status.value},
        ":at": {"S": rfc3339(now)},
        ":token": {"S": claim.token},
    }
    optional = {"detail": {"S": detail} if detail else None, **dict.fromkeys(("due_pk", "due_sk")), **(due or {})}
    for name, value in optional.items():
        if value is None:
            removes.append(name)
        else:
            sets.append(f"{name} = :{name}")
            values[f":{name}"] = value
    return {
        "Update": {
            "TableName": table,
            "Key": _key(claim.account_id, claim.sort_key),
            "UpdateExpression": f"SET {', '.join(sets)} REMOVE {', '.join(removes)}",
            "ConditionExpression": "#token = :token",
            "ExpressionAttributeNames": _NAMES,
            "ExpressionAttributeValues": values,
        }
    }


def finish(
    dynamodb: DynamoDBClient,
    table: str,
    claim: Claim,
    status: Status,
    now: datetime,
    detail: str = "",
    due: Mapping[str, Any] | None = None,
) -> None:
    """Record the outcome of what was claimed, until it is known to be recorded.

    Nothing happens where the claim is no longer held. Raises TryAgainError where the table does not answer.
    """
    # A failed condition: an earlier try was written and its answer got lost, or the lease is over and another has it.
    _update_or_leave(dynamodb, finish_item(table, claim, status, now, detail, due)["Update"])


def count(dynamodb: DynamoDBClient, table: str, claim: Claim, channel: Channel, day: date, limit: int) -> bool:
    """Count a delivery among those that its account is sent on a channel on a day; False where the limit is reached.

    Each counts once, however often it is tried: neither an answer that got lost nor a claim whose holder died costs
    this message or another one its place. Raises TryAgainError where the table does not answer.
    """
    mark = hashlib.sha256(claim.sort_key.encode()).hexdigest()[:_COUNT_DIGITS]
    update = {
        "TableName": table,
        "Key": _key(claim.account_id, keys.quota(channel, day)),
        "UpdateExpression": "ADD counted :marks",
        "ConditionExpression": "attribute_not_exists(pk) OR contains(counted, :mark) OR size(counted) < :limit",
        "ExpressionAttributeValues": {":marks": {"SS": [mark]}, ":mark": {"S": mark}, ":limit": {"N": str(limit)}},
    }
    return _update_or_leave(dynamodb, update)


def holds(dynamodb: DynamoDBClient, table: str, claim: Claim) -> bool:
    """Whether the claim is still held: its outcome is not recorded, and nobody else has taken it."""
    item = _read(dynamodb, table, claim.account_id, claim.sort_key)
    return item is not None and item.get("token", {}).get("S") == claim.token


def mark(
    dynamodb: DynamoDBClient, table: str, account_id: str, sort_key: str, status: Status, now: datetime, detail: str
) -> None:
    """Record what the provider told later of a delivery that it had taken; nothing happens to any other.

    One that is still being sent counts as taken: the provider can be quicker than our own record. Raises TryAgainError
    where the table does not answer.
    """
    update = {
        "TableName": table,
        "Key": _key(account_id, sort_key),
        "UpdateExpression": "SET #status = :status, #at = :at, detail = :detail REMOVE #lease, #token",
        "ConditionExpression": "#status IN (:sent, :sending)",
        "ExpressionAttributeNames": _NAMES,
        "ExpressionAttributeValues": {
            ":status": {"S": status.value},
            ":at": {"S": rfc3339(now)},
            ":detail": {"S": detail},
            ":sent": {"S": Status.SENT.value},
            ":sending": {"S": Status.SENDING.value},
        },
    }
    _update_or_leave(dynamodb, update)


def read_delivery(dynamodb: DynamoDBClient, table: str, account_id: str, sort_key: str) -> Delivery | None:
    """One delivery; None where it is not there."""
    item = _read(dynamodb, table, account_id, sort_key)
    return delivery_from_item(item) if item else None


def deliveries_between(
    dynamodb: DynamoDBClient, table: str, account_id: str, first_notice_id: str, last_notice_id: str
) -> Iterator[Delivery]:
    """The deliveries of the notices from the first to the last, both included, in the order of their ids."""
    for item in query_all(
        dynamodb,
        TableName=table,
        KeyConditionExpression="pk = :pk AND sk BETWEEN :first AND :last",
        ExpressionAttributeValues={
            ":pk": {"S": keys.ledger(account_id)},
            ":first": {"S": keys.delivery(first_notice_id, "", "")},
            ":last": {"S": keys.delivery(last_notice_id, _AFTER_ALL_CHANNELS, "")},
        },
        ConsistentRead=True,
    ):
        yield delivery_from_item(item)


def delivery_from_item(item: Mapping[str, Any]) -> Delivery:
    """A delivery as it is stored."""
    notice_id, channel, recipient_id = item["sk"]["S"].removeprefix(keys.DELIVERY_PREFIX).split("#")
    due_at = keys.read_timer(item["due_sk"]["S"])[0] if "due_sk" in item else None
    return Delivery(
        notice_id,
        channel,
        item["recipient"]["S"],
        Status(item["status"]["S"]),
        datetime.fromisoformat(item["at"]["S"]),
        int(item["attempts"]["N"]),
        item["detail"]["S"] if "detail" in item else "",
        datetime.fromisoformat(due_at) if due_at else None,
        recipient_id,
    )


def _update_or_leave(dynamodb: DynamoDBClient, update: Mapping[str, Any]) -> bool:
    """Write until the outcome is known; False where the condition fails, and there is nothing to write.

    Raises TryAgainError where it stays unknown.
    """
    for _ in failures.attempts():
        try:
            dynamodb.update_item(**update)
        except (ClientError, BotoCoreError) as error:
            if failures.is_condition_failure(error):
                return False
            if not failures.is_retriable(error):
                raise
        else:
            return True
    raise failures.TryAgainError


def _claimed(account_id: str, sort_key: str, item: Mapping[str, Any]) -> Claim:
    first_at = datetime.fromisoformat(item["first_at"]["S"])
    return Claim(account_id, sort_key, item["token"]["S"], int(item["attempts"]["N"]), first_at)


def _read(dynamodb: DynamoDBClient, table: str, account_id: str, sort_key: str) -> Mapping[str, Any] | None:
    return dynamodb.get_item(TableName=table, Key=_key(account_id, sort_key), ConsistentRead=True).get("Item")


def _key(account_id: str, sort_key: str) -> dict[str, Any]:
    return {"pk": {"S": keys.ledger(account_id)}, "sk": {"S": sort_key}}
