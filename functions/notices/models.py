"""What the routes of notices, subscriptions and webhooks take and answer (contract, Notices and webhooks)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, Field, StrictStr

from aws_platform.api import Body, Shown
from aws_platform.contact_fields import Email, Locale, Phone
from aws_platform.egress import MAX_URL_CHARACTERS, check_url
from aws_platform.subscriptions import e164

MAX_ADDRESSES = 10
"""Of one subscription, e-mail addresses and phone numbers each."""

NoticeKind = Literal[
    "package_delivered",
    "package_low",
    "package_exhausted",
    "package_expiring",
    "package_expired",
    "arrears",
    "stopped",
    "resumed",
    "released",
    "refund_completed",
    "balance_low",
    "daily_report",
    "webhook_disabled",
]
DeliveryStatus = Literal["sending", "pending", "sent", "refused", "bounced", "complained", "suppressed", "failed"]


def _url(text: str) -> str:
    check_url(text)
    return text


def _once[T](items: list[T]) -> list[T]:
    if len(set(items)) < len(items):
        msg = "names something twice"
        raise ValueError(msg)
    return items


def _once_dialled(phones: list[str]) -> list[str]:
    """A number is the same however it is written."""
    _once(list(map(e164, phones)))
    return phones


WebhookUrl = Annotated[
    StrictStr,
    Field(
        max_length=MAX_URL_CHARACTERS,
        examples=["https://hooks.example.com/zhangben"],
        json_schema_extra={"pattern": "^[Hh][Tt][Tt][Pp][Ss]://[A-Za-z0-9.-]+"},
    ),
    AfterValidator(_url),
]
Kinds = Annotated[
    list[NoticeKind],
    Field(min_length=1, max_length=len(get_args(NoticeKind)), json_schema_extra={"uniqueItems": True}),
    AfterValidator(_once),
]
Emails = Annotated[list[Email], Field(max_length=MAX_ADDRESSES), AfterValidator(_once)]
Phones = Annotated[list[Phone], Field(max_length=MAX_ADDRESSES), AfterValidator(_once_dialled)]


class SubscriptionBody(Body):
    """Whom to tell and how; what is left out, or null, is as the account's contact says."""

    emails: Emails | None = None
    phones: Phones | None = None
    locale: Locale | None = None
    daily_report: bool = False


class NewWebhook(Body):
    """An endpoint to register."""

    url: WebhookUrl
    kinds: Annotated[Kinds | None, Field(description="what to send; null: everything")] = None


class NoticeDelivery(Shown):
    """What became of a notice on a channel."""

    channel: Literal["in_site", "email", "sms", "webhook"]
    status: Literal["delivered"] | DeliveryStatus
    at: datetime
    recipient: str | None
    """An address, a phone number, or the host of a webhook."""


class NoticeShown(Shown):
    """A notice; subject and body are in the language of the subscription."""

    notice_id: str
    kind: NoticeKind
    occurred_at: datetime
    subject: str
    body: str
    data: dict[str, Any]
    deliveries: Sequence[NoticeDelivery]
    """The in-site message first."""


class NoticesShown(Shown):
    """A page of notices."""

    items: list[NoticeShown]
    next_cursor: str | None


class BlockedShown(Shown):
    """An address that did not take a message.

    One that bounced or complained gets nothing more on its channel until a PUT of the subscription names it anew. One
    that was refused is tried again with the next notice.
    """

    address: str
    channel: Literal["email", "sms"]
    status: Literal["bounced", "complained", "refused"]
    at: datetime


class SubscriptionShown(Shown):
    """Whom notices go to, and how."""

    emails: list[str]
    phones: list[str]
    """As they are dialled: `+`, country, number."""
    locale: Locale
    daily_report: bool
    blocked: list[BlockedShown]


class WebhookShown(Shown):
    """A webhook; one that was switched off stays off."""

    webhook_id: str
    url: str
    kinds: list[NoticeKind] | None
    created_at: datetime
    enabled: bool
    disabled_reason: Literal["failing", "gone"] | None
    disabled_at: datetime | None
    last_success_at: datetime | None


class RegisteredWebhook(WebhookShown):
    """A new webhook, with the secret that its requests are signed with; it is shown only here."""

    secret: str


class WebhooksShown(Shown):
    """A page of webhooks."""

    items: list[WebhookShown]
    next_cursor: str | None


class WebhookDelivery(Shown):
    """What became of a notice at a webhook."""

    notice_id: str
    status: DeliveryStatus
    attempts: int
    at: datetime
    next_attempt_at: datetime | None
    detail: str
    """Why the last attempt failed: `http_` and the status, or `timed_out`, `unreachable`, `tls_failed` and the like.

    `resting`: not tried yet, as the endpoint was too slow a moment before. `webhook_off`: not sent, as it is off.
    """


class WebhookDeliveriesShown(Shown):
    """A page of deliveries."""

    items: list[WebhookDelivery]
    next_cursor: str | None
