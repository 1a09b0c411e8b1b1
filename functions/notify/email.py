"""Notices by e-mail, through SES."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aws_platform import clients
from aws_platform.deliveries import Channel, recipient_key
from aws_platform.notices import KeptNotice
from aws_platform.settings import Settings
from aws_platform.subscriptions import Audience
from aws_platform.texts import Text, email_text
from notify.delivering import Outlet, deliver_batch
from rating.notices import Kind

_CHARSET = "UTF-8"


def handle(event: Mapping[str, Any], context: object) -> dict[str, Any]:  # noqa: ARG001 - Lambda's signature
    """Send the notices of a batch of the queue. A stack without a sender sends none, and records none."""
    settings = Settings.from_environment()
    if not settings.sender_email:
        return {"batchItemFailures": []}
    return deliver_batch(event, _OUTLET, settings)


def _addresses(kind: Kind, audience: Audience) -> tuple[str, ...]:  # noqa: ARG001 - every kind goes by e-mail
    return audience.emails


def _send(settings: Settings, kept: KeptNotice, address: str, text: Text) -> None:
    tags = {"account_id": kept.account_id, "notice_id": kept.notice_id, "recipient": recipient_key(address)}
    request: dict[str, Any] = {
        "FromEmailAddress": settings.sender_email,
        "Destination": {"ToAddresses": [address]},
        "Content": {
            "Simple": {
                "Subject": {"Data": text.subject, "Charset": _CHARSET},
                "Body": {"Text": {"Data": text.body, "Charset": _CHARSET}},
            }
        },
        # SES repeats them in its events: so a bounce finds its delivery.
        "EmailTags": [{"Name": name, "Value": value} for name, value in tags.items()],
    }
    if settings.configuration_set:
        request["ConfigurationSetName"] = settings.configuration_set
    clients.sesv2().send_email(**request)


def _limit(settings: Settings) -> int:
    return settings.daily_email_limit


_OUTLET = Outlet(
    Channel.EMAIL,
    _addresses,
    email_text,
    _send,
    _limit,
    refusals=frozenset({"BadRequestException"}),
    # What SES also says where our own sender is not verified, or no longer.
    doubtful_refusals=frozenset({"MessageRejected"}),
)
