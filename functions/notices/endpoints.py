"""The customer's webhooks: registering, reading and deleting them, and what became of the notices sent there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from http import HTTPStatus
from typing import Any

from aws_platform import clients, failures, keys, problems, webhooks
from aws_platform.api import Answer, Call, answer
from aws_platform.deliveries import Channel, Delivery, delivery_from_item
from aws_platform.ledger import OutdatedError, transact
from aws_platform.paging import page
from aws_platform.webhooks import MAX_WEBHOOKS, Webhook, new_webhook, webhook_from_item
from notices.cursors import AFTER_ALL, Stretch, place
from notices.models import NewWebhook
from notices.views import show_webhook, show_webhook_delivery
from rating.civil import local
from rating.notices import Kind

_LONGEST_WAY = timedelta(days=30)
"""From a notice to its first delivery: twice as long as a queue keeps a message."""


def webhook_reads(event: Mapping[str, Any]) -> Sequence[str]:
    """The item of the path's webhook."""
    webhook_id = _named(event)
    return [f"{keys.WEBHOOK_PREFIX}{webhook_id}"] if webhooks.is_webhook_id(webhook_id) else []


def must_exist(call: Call) -> None:
    """Raises Problem 404 `webhook_not_found` where the account does not have the path's webhook."""
    webhook_of(call)


def webhook_of(call: Call) -> Webhook:
    """The path's webhook, of what `webhook_reads` had read. Raises Problem 404 `webhook_not_found`."""
    item = call.items.get(f"{keys.WEBHOOK_PREFIX}{_named(call.event)}")
    if item is None:
        raise problems.not_found("webhook")
    return webhook_from_item(item)


def register(call: Call, body: NewWebhook) -> Answer:
    """Add a webhook; its secret is told now and never again. Raises Problem 409 `too_many_webhooks`."""
    dynamodb, table, account_id = clients.dynamodb(), call.settings.ledger_table, call.account.account_id
    kinds = None if body.kinds is None else frozenset(map(Kind, body.kinds))
    webhook = new_webhook(body.url, kinds, call.now)
    for _ in failures.attempts():
        lock = webhooks.read_lock(dynamodb, table, account_id)
        known = {one.webhook_id: one.number for one in webhooks.webhooks_of(dynamodb, table, account_id)}
        # Where it is there, the answer of the try before was lost.
        if webhook.webhook_id not in known:
            webhook = replace(webhook, number=1 + max(known.values(), default=0))
            if len(known) >= MAX_WEBHOOKS:
                raise problems.conflict("too_many_webhooks", f"an account can have {MAX_WEBHOOKS} webhooks")
            try:
                transact(dynamodb, webhooks.add_items(table, account_id, webhook, lock))
            except (OutdatedError, failures.TryAgainError):
                continue
        return answer({**show_webhook(webhook), "secret": webhook.secret}, HTTPStatus.CREATED)
    raise failures.TryAgainError


def list_webhooks(call: Call, limit: int, cursor: str | None) -> dict[str, Any]:
    """A page of webhooks, oldest first."""
    known = webhooks.webhooks_of(clients.dynamodb(), call.settings.ledger_table, call.account.account_id)
    return page(known, lambda one: one.webhook_id, show_webhook, limit, cursor)


def show(call: Call) -> Answer:
    """The path's webhook."""
    return answer(show_webhook(webhook_of(call)))


def delete(call: Call) -> Answer:
    """Forget the path's webhook; what was still to be sent there is not sent."""
    webhook = webhook_of(call)
    dynamodb, table = clients.dynamodb(), call.settings.ledger_table
    webhooks.delete_webhook(dynamodb, table, call.account.account_id, webhook.webhook_id)
    return answer(show_webhook(webhook))


def list_deliveries(call: Call, limit: int, cursor: str | None) -> dict[str, Any]:
    """A page of what became of notices at the path's webhook, oldest notice first.

    Raises Problem 422 for a cursor that names nothing.
    """
    webhook = webhook_of(call)
    first = place(cursor) if cursor is not None else f"{local(webhook.created_at - _LONGEST_WAY):%Y%m%d%H%M%S}"
    query = {
        "TableName": call.settings.ledger_table,
        "KeyConditionExpression": "pk = :pk AND sk BETWEEN :first AND :last",
        "ExpressionAttributeValues": {
            ":pk": {"S": keys.ledger(call.account.account_id)},
            ":first": {"S": f"{keys.DELIVERY_PREFIX}{first}"},
            ":last": {"S": f"{keys.DELIVERY_PREFIX}{AFTER_ALL}"},
        },
        "ConsistentRead": True,
    }
    looked_at = Stretch(clients.dynamodb(), query, lambda item: iter([delivery_from_item(item)]), _identity)
    listed = page(
        looked_at,
        _identity,
        show_webhook_delivery,
        limit,
        cursor,
        lambda one: (one.channel, one.recipient_id) == (Channel.WEBHOOK, webhook.webhook_id),
    )
    return {**listed, "next_cursor": looked_at.next_cursor(listed)}


def _identity(one: Delivery) -> str:
    """Its sort key: a page may also end at the delivery of another webhook or channel."""
    return keys.delivery(one.notice_id, one.channel, one.recipient_id).removeprefix(keys.DELIVERY_PREFIX)


def _named(event: Mapping[str, Any]) -> str:
    return str((event.get("pathParameters") or {}).get("webhook_id"))
