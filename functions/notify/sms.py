"""Notices by SMS, through SNS."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aws_platform import clients
from aws_platform.deliveries import Channel
from aws_platform.notices import KeptNotice
from aws_platform.settings import Settings
from aws_platform.subscriptions import Audience
from aws_platform.texts import sms_text
from notify.delivering import Outlet, deliver_batch
from rating.notices import Kind


def handle(event: Mapping[str, Any], context: object) -> dict[str, Any]:  # noqa: ARG001 - Lambda's signature
    """Send the notices of a batch of the queue."""
    return deliver_batch(event, _OUTLET, Settings.from_environment())


def _addresses(kind: Kind, audience: Audience) -> tuple[str, ...]:
    """A daily report does not fit into an SMS, so nobody gets it so."""
    return () if kind is Kind.DAILY_REPORT else audience.phones


def _compose(kept: KeptNotice, locale: str) -> str:
    return sms_text(kept.notice.kind, kept.notice.data, locale)


def _send(settings: Settings, kept: KeptNotice, phone: str, text: str) -> None:  # noqa: ARG001 - as all outlets
    clients.sns().publish(
        PhoneNumber=phone,
        Message=text,
        MessageAttributes={"AWS.SNS.SMS.SMSType": {"DataType": "String", "StringValue": "Transactional"}},
    )


def _limit(settings: Settings) -> int:
    return settings.daily_sms_limit


def _serves(settings: Settings, phone: str) -> bool:
    """Whether the number's country is one that the stack sends to: others may be premium or satellite numbers."""
    codes = settings.sms_country_codes
    return not codes or phone.startswith(codes)


_OUTLET = Outlet(
    Channel.SMS,
    _addresses,
    _compose,
    _send,
    _limit,
    refusals=frozenset({"InvalidParameter", "ParameterValueInvalid"}),
    serves=_serves,
)
