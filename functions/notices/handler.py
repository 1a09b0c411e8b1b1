"""The routes of notices, subscriptions and webhooks (contract, Notices and webhooks)."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Any

from aws_lambda_powertools.event_handler.openapi.params import Path, Query

from aws_platform.access import Access
from aws_platform.api import Answer, Api, answer
from aws_platform.paging import DEFAULT_LIMIT, Cursor, Limit
from notices import endpoints, inbox, subscribing
from notices.models import (
    NewWebhook,
    NoticeKind,
    NoticesShown,
    RegisteredWebhook,
    SubscriptionBody,
    SubscriptionShown,
    WebhookDeliveriesShown,
    WebhookShown,
    WebhooksShown,
)

api = Api()
A = "/v1/accounts/{account_id}"
W = f"{A}/webhooks/{{webhook_id}}"
NOTICES, WEBHOOKS = ["Notices"], ["Webhooks"]
Id = Annotated[str, Path()]


@api.route("GET", f"{A}/notices", Access.CUSTOMER_READ, success=(HTTPStatus.OK, "a page", NoticesShown), tags=NOTICES)
def get_notices(
    account_id: str,  # noqa: ARG001 - checked at the edge, as for every route below
    kind: Annotated[NoticeKind | None, Query()] = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Answer:
    """Read notices, each with what became of it on every channel.

    A page may have fewer items than `limit`, even none, and still a `next_cursor`: one request reads and answers only
    so much. The list ends where `next_cursor` is null.
    """
    return answer(inbox.list_notices(api.call, kind, limit, cursor))


@api.route(
    "GET",
    f"{A}/notice-subscriptions",
    Access.CUSTOMER_READ,
    success=(HTTPStatus.OK, "whom notices go to", SubscriptionShown),
    tags=NOTICES,
)
def get_notice_subscription(account_id: str) -> Answer:  # noqa: ARG001
    """Read whom notices go to, and which addresses do not take them."""
    return answer(subscribing.read(api.call))


@api.route(
    "PUT",
    f"{A}/notice-subscriptions",
    Access.CUSTOMER_WRITE,
    success=(HTTPStatus.OK, "whom notices go to from now on", SubscriptionShown),
    tags=NOTICES,
)
def put_notice_subscription(account_id: str, body: SubscriptionBody) -> Answer:  # noqa: ARG001
    """Replace the subscription. Addresses that it names are tried again, also those that did not take messages.

    E-mail addresses or phone numbers that are left out are those of the account's contact, which are so named too.
    """
    return answer(subscribing.replace(api.call, body))


@api.route(
    "POST",
    f"{A}/webhooks",
    Access.CUSTOMER_WRITE,
    success=(HTTPStatus.CREATED, "the webhook and its secret", RegisteredWebhook),
    refusals={409: "`too_many_webhooks`"},
    tags=WEBHOOKS,
)
def register_webhook(account_id: str, body: NewWebhook) -> Answer:  # noqa: ARG001
    """Register an HTTPS endpoint for the account's notices, signed by the Standard Webhooks scheme.

    A request that is not answered with 2xx is sent again for up to a day. An endpoint that fails for all of it, or
    answers 410, is switched off. One that does not answer in time, or takes longer than 5 seconds, rests for a minute.
    """
    return endpoints.register(api.call, body)


@api.route(
    "GET", f"{A}/webhooks", Access.CUSTOMER_READ, success=(HTTPStatus.OK, "a page", WebhooksShown), tags=WEBHOOKS
)
def get_webhooks(account_id: str, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None) -> Answer:  # noqa: ARG001
    """Read webhooks, oldest first."""
    return answer(endpoints.list_webhooks(api.call, limit, cursor))


@api.route(
    "GET",
    W,
    Access.CUSTOMER_READ,
    success=(HTTPStatus.OK, "the webhook", WebhookShown),
    refusals={404: "`webhook_not_found`"},
    tags=WEBHOOKS,
    reads=endpoints.webhook_reads,
    guard=endpoints.must_exist,
)
def get_webhook(account_id: str, webhook_id: Id) -> Answer:  # noqa: ARG001
    """Read a webhook."""
    return endpoints.show(api.call)


@api.route(
    "DELETE",
    W,
    Access.CUSTOMER_WRITE,
    success=(HTTPStatus.OK, "the webhook, which is no more", WebhookShown),
    refusals={404: "`webhook_not_found`"},
    tags=WEBHOOKS,
    reads=endpoints.webhook_reads,
    guard=endpoints.must_exist,
)
def delete_webhook(account_id: str, webhook_id: Id) -> Answer:  # noqa: ARG001
    """Delete a webhook; what was still to be sent there is not sent."""
    return endpoints.delete(api.call)


@api.route(
    "GET",
    f"{W}/deliveries",
    Access.CUSTOMER_READ,
    success=(HTTPStatus.OK, "a page", WebhookDeliveriesShown),
    refusals={404: "`webhook_not_found`"},
    tags=WEBHOOKS,
    reads=endpoints.webhook_reads,
    guard=endpoints.must_exist,
)
def get_webhook_deliveries(
    account_id: str,  # noqa: ARG001
    webhook_id: Id,  # noqa: ARG001 - read with the account
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Answer:
    """Read what became of each notice at a webhook, and when it is tried again.

    A page may have fewer items than `limit`, even none, and still a `next_cursor`: one request reads only so much. The
    list ends where `next_cursor` is null.
    """
    return answer(endpoints.list_deliveries(api.call, limit, cursor))


def handle(event: Mapping[str, Any], context: object) -> dict[str, Any]:
    """Answer one request."""
    return api.handle(event, context)
