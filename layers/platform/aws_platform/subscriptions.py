"""Whom to tell of an account's notices, and by which channels: what the customer asked for, and who can be reached.

Addresses are personal data: they stay in items' attributes, and keys hold only what `recipient_key` makes of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, time
from typing import TYPE_CHECKING, Any

from aws_platform import failures, keys
from aws_platform.accounts import read_account
from aws_platform.deliveries import Channel, Status, recipient_key
from aws_platform.ledger import with_prefix
from rating.civil import ONE_DAY, local, rfc3339

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from aws_platform.settings import Settings
    from rating.account import Account

REPORT_AT = time(10)
"""The daily report goes out at 10:00."""
_BLOCKING = {Status.BOUNCED, Status.COMPLAINED}
_CHINA = "+86"
_CHINESE_MOBILE_DIGITS = 11
_SEPARATORS = str.maketrans("", "", " -")


@dataclass(frozen=True, slots=True)
class Subscription:
    """What the customer asked for; None stands for what the account's contact says."""

    emails: tuple[str, ...] | None = None
    phones: tuple[str, ...] | None = None
    locale: str | None = None
    daily_report: bool = False


@dataclass(frozen=True, slots=True)
class BlockedAddress:
    """An address that does not take messages. One that bounced or complained gets no more until it is named anew."""

    address: str
    channel: Channel
    status: Status
    """`bounced`, `complained` or `refused`."""
    at: datetime
    detail: str


@dataclass(frozen=True, slots=True)
class Audience:
    """Whom to tell, as of now."""

    emails: tuple[str, ...]
    phones: tuple[str, ...]
    """As `e164` writes them."""
    locale: str
    subscription: Subscription
    blocked: tuple[BlockedAddress, ...] = ()

    def is_blocked(self, channel: Channel, address: str) -> bool:
        """Whether nothing may be sent to the address on this channel: its owner or its server has said so.

        A refusal is no such word. SES refuses in the same way where it is our own sender that is not verified, and that
        must not cost every customer its messages for good.
        """
        return self._status(channel, address) in _BLOCKING

    def is_refused(self, channel: Channel, address: str) -> bool:
        """Whether the provider did not take the last message to the address."""
        return self._status(channel, address) is Status.REFUSED

    def _status(self, channel: Channel, address: str) -> Status | None:
        found = (one.status for one in self.blocked if one.channel is channel and one.address == address)
        return next(found, None)


def next_report(now: datetime) -> datetime:
    """The first 10:00 in Asia/Shanghai after an instant."""
    today = local(now).replace(hour=REPORT_AT.hour, minute=0, second=0, microsecond=0)
    return today if today > now else today + ONE_DAY


def e164(phone: str) -> str:
    """A phone number as SMS providers want it: `+`, country, number.

    Spaces and dashes are dropped. `00` before the country counts as `+`; eleven digits that begin with
    1 are a Chinese mobile number; whatever else has no `+` is taken to begin with its country.
    """
    digits = phone.translate(_SEPARATORS)
    if digits.startswith("+"):
        return digits
    if digits.startswith("00"):
        return f"+{digits[2:]}"
    if digits.startswith("1") and len(digits) == _CHINESE_MOBILE_DIGITS:
        return f"{_CHINA}{digits}"
    return f"+{digits}"


def read_audience(dynamodb: DynamoDBClient, table: str, account_id: str) -> Audience | None:
    """Whom to tell of what happens to an account, strongly consistent; None where there is no such account."""
    account = read_account(dynamodb, table, account_id)
    if account is None:
        return None
    return audience_of(account, with_prefix(dynamodb, table, account_id, keys.SUBSCRIPTIONS))


def audience_of(account: Account, items: Iterable[Mapping[str, Any]]) -> Audience:
    """Whom to tell, by the account's contact and its items under `keys.SUBSCRIPTIONS`."""
    subscription = Subscription()
    blocked: list[BlockedAddress] = []
    for item in items:
        sort_key = item["sk"]["S"]
        if sort_key == keys.SUBSCRIPTION:
            subscription = subscription_from_item(item)
        elif sort_key.startswith(keys.ADDRESS_PREFIX):
            blocked.append(blocked_from_item(item))
    contact = account.contact
    emails = _given(contact.email) if subscription.emails is None else subscription.emails
    phones = _given(contact.phone) if subscription.phones is None else subscription.phones
    return Audience(
        tuple(dict.fromkeys(emails)),
        tuple(dict.fromkeys(map(e164, phones))),
        subscription.locale or contact.locale,
        subscription,
        tuple(blocked),
    )


def subscription_put(
    settings: Settings,
    account_id: str,
    subscription: Subscription,
    now: datetime,
    seen: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The transaction item that keeps a subscription, with the time of the next report if it asks for one.

    That is the next 10:00, or what the item that it replaces, as `seen`, says: a report that is due is not put off. It
    fails where another report has become due since.
    """
    body = {
        "emails": subscription.emails,
        "phones": subscription.phones,
        "locale": subscription.locale,
        "daily_report": subscription.daily_report,
    }
    item = {
        "pk": {"S": keys.ledger(account_id)},
        "sk": {"S": keys.SUBSCRIPTION},
        "body": {"S": json.dumps(body, ensure_ascii=False, separators=(",", ":"))},
    }
    put: dict[str, Any] = {"TableName": settings.ledger_table, "Item": item}
    due = seen.get("due_sk") if seen else None
    if due is None:
        put["ConditionExpression"] = "attribute_not_exists(due_sk)"
    else:
        put["ConditionExpression"] = "due_sk = :seen"
        put["ExpressionAttributeValues"] = {":seen": due}
    if subscription.daily_report:
        item |= keys.timer(account_id, next_report(now), keys.SUBSCRIPTION, settings.due_shards)
        item["due_sk"] = due or item["due_sk"]
    return {"Put": put}


def subscription_from_item(item: Mapping[str, Any]) -> Subscription:
    """The reverse of `subscription_put`."""
    body = json.loads(item["body"]["S"])
    return Subscription(_addresses(body["emails"]), _addresses(body["phones"]), body["locale"], body["daily_report"])


def block_address(dynamodb: DynamoDBClient, table: str, account_id: str, blocked: BlockedAddress) -> None:
    """Remember that an address does not take messages, until `unblock`.

    A refusal is the least of it: where a bounce or a complaint stands, that stays.
    """
    item = {
        **_address_key(account_id, blocked.address),
        "address": {"S": blocked.address},
        "channel": {"S": blocked.channel.value},
        "status": {"S": blocked.status.value},
        "at": {"S": rfc3339(blocked.at)},
        "detail": {"S": blocked.detail},
    }
    put: dict[str, Any] = {"TableName": table, "Item": item}
    if blocked.status is Status.REFUSED:
        put |= {
            "ConditionExpression": "attribute_not_exists(pk) OR #status = :refused",
            "ExpressionAttributeNames": {"#status": "status"},
            "ExpressionAttributeValues": {":refused": item["status"]},
        }
    with failures.UnlessOvertaken():
        dynamodb.put_item(**put)


def forget_refusal(dynamodb: DynamoDBClient, table: str, account_id: str, address: str) -> None:
    """The provider takes messages to the address again; a bounce that came meanwhile stands."""
    with failures.UnlessOvertaken():
        dynamodb.delete_item(
            TableName=table,
            Key=_address_key(account_id, address),
            ConditionExpression="#status = :refused",
            ExpressionAttributeNames={"#status": "status"},
            ExpressionAttributeValues={":refused": {"S": Status.REFUSED.value}},
        )


def unblock(table: str, account_id: str, subscription: Subscription) -> list[dict[str, Any]]:
    """The transaction items that let messages go again to the addresses that a subscription names."""
    named = [*(subscription.emails or ()), *map(e164, subscription.phones or ())]
    return [
        {"Delete": {"TableName": table, "Key": _address_key(account_id, address)}} for address in dict.fromkeys(named)
    ]


def blocked_from_item(item: Mapping[str, Any]) -> BlockedAddress:
    """An address that does not take messages, as it is stored."""
    return BlockedAddress(
        item["address"]["S"],
        Channel(item["channel"]["S"]),
        Status(item["status"]["S"]),
        datetime.fromisoformat(item["at"]["S"]),
        item["detail"]["S"],
    )


def _given(address: str | None) -> tuple[str, ...]:
    return (address,) if address else ()


def _addresses(found: list[str] | None) -> tuple[str, ...] | None:
    return None if found is None else tuple(found)


def _address_key(account_id: str, address: str) -> dict[str, Any]:
    return {"pk": {"S": keys.ledger(account_id)}, "sk": {"S": f"{keys.ADDRESS_PREFIX}{recipient_key(address)}"}}
