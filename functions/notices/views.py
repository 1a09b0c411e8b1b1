"""Notices, subscriptions and webhooks as they are answered."""

from __future__ import annotations

from typing import Any

from aws_platform.deliveries import Delivery, Status
from aws_platform.notices import KeptNotice
from aws_platform.subscriptions import Audience
from aws_platform.texts import render
from aws_platform.webhooks import Webhook
from rating.civil import rfc3339
from rating.notices import Kind


def show_notice(kept: KeptNotice, locale: str) -> dict[str, Any]:
    """A notice in a language. That it is there is its delivery in-site."""
    notice = kept.notice
    text = render(notice.kind, notice.data, locale)
    occurred_at = rfc3339(notice.occurred_at)
    return {
        "notice_id": kept.notice_id,
        "kind": notice.kind.value,
        "occurred_at": occurred_at,
        "subject": text.subject,
        "body": text.body,
        "data": dict(notice.data),
        "deliveries": [{"channel": "in_site", "status": "delivered", "at": occurred_at, "recipient": None}],
    }


def show_notice_delivery(delivery: Delivery) -> dict[str, Any]:
    """What became of a notice on another channel."""
    return {
        "channel": delivery.channel,
        "status": delivery.status.value,
        "at": rfc3339(delivery.at),
        "recipient": delivery.recipient,
    }


def show_subscription(audience: Audience) -> dict[str, Any]:
    """Whom notices go to, by the subscription or else the contact."""
    return {
        "emails": list(audience.emails),
        "phones": list(audience.phones),
        "locale": audience.locale,
        "daily_report": audience.subscription.daily_report,
        "blocked": [
            {
                "address": one.address,
                "channel": one.channel.value,
                "status": one.status.value,
                "at": rfc3339(one.at),
            }
            for one in audience.blocked
        ],
    }


def show_webhook(webhook: Webhook) -> dict[str, Any]:
    """A webhook without its secret."""
    kinds = webhook.kinds
    return {
        "webhook_id": webhook.webhook_id,
        "url": webhook.url,
        "kinds": None if kinds is None else [kind.value for kind in Kind if kind in kinds],
        "created_at": rfc3339(webhook.created_at),
        "enabled": webhook.enabled,
        "disabled_reason": webhook.disabled_reason and webhook.disabled_reason.value,
        "disabled_at": webhook.disabled_at and rfc3339(webhook.disabled_at),
        "last_success_at": webhook.last_success_at and rfc3339(webhook.last_success_at),
    }


def show_webhook_delivery(delivery: Delivery) -> dict[str, Any]:
    """What became of a notice at a webhook."""
    planned = delivery.due if delivery.status is Status.PENDING else None
    return {
        "notice_id": delivery.notice_id,
        "status": delivery.status.value,
        "attempts": delivery.attempts,
        "at": rfc3339(delivery.at),
        "next_attempt_at": planned and rfc3339(planned),
        "detail": delivery.detail,
    }
