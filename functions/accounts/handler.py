"""The account routes (contract, Accounts)."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Any

from aws_lambda_powertools.event_handler.openapi.params import Header

from accounts import use_cases
from accounts.models import (
    AccountChange,
    AccountShown,
    ApplicationBody,
    Approval,
    NewAccount,
    Rejection,
    TopUp,
    TopUpShown,
    ViolationBody,
)
from accounts.views import show_account
from aws_platform.access import Access
from aws_platform.api import Answer, Api, answer

api = Api()
A = "/v1/accounts/{account_id}"
TAGS = ["Accounts"]
Key = Annotated[
    str | None,
    Header(alias="Idempotency-Key", description="1 to 255 characters; the request takes effect once per key"),
]


@api.route(
    "POST",
    "/v1/accounts",
    Access.OPERATOR,
    success=(HTTPStatus.CREATED, "the account", AccountShown),
    refusals={409: "`account_exists`"},
    tags=TAGS,
)
def create_account(body: NewAccount) -> Answer:
    """Create an account."""
    return use_cases.create(api.call, body)


@api.route("GET", A, Access.CUSTOMER_READ, success=(HTTPStatus.OK, "the account", AccountShown), tags=TAGS)
def get_account(account_id: str) -> Answer:  # noqa: ARG001 - checked at the edge, as for every route below
    """Read an account."""
    return answer(show_account(api.call.account, api.call.now))


@api.route("PATCH", A, Access.CUSTOMER_WRITE, success=(HTTPStatus.OK, "the account", AccountShown), tags=TAGS)
def change_account(account_id: str, body: AccountChange) -> Answer:  # noqa: ARG001
    """Switch postpaid, change the contact; the operator also verifies the enterprise."""
    call = api.call
    return use_cases.update(call, lambda account: use_cases.change(account, body, call.now, operator=call.operator))


@api.route(
    "POST",
    f"{A}/service/application",
    Access.CUSTOMER_WRITE,
    success=(HTTPStatus.ACCEPTED, "the account, `under_review`", AccountShown),
    refusals={409: "`already_open`"},
    tags=TAGS,
)
def apply_for_service(account_id: str, body: ApplicationBody) -> Answer:  # noqa: ARG001
    """Apply for the service."""
    return use_cases.update(api.call, lambda account: use_cases.apply(account, body), HTTPStatus.ACCEPTED)


@api.route(
    "POST",
    f"{A}/service/approval",
    Access.OPERATOR,
    success=(HTTPStatus.OK, "the account, `active`", AccountShown),
    refusals={409: "`no_application`"},
    tags=TAGS,
)
def approve_service(account_id: str, body: Approval) -> Answer:  # noqa: ARG001
    """Approve an application; `opened_at` for a customer who moved here decides the settlement cycle."""
    call = api.call
    return use_cases.update(call, lambda account: use_cases.approve(account, body.opened_at, call.now))


@api.route(
    "POST",
    f"{A}/service/rejection",
    Access.OPERATOR,
    success=(HTTPStatus.OK, "the account, `not_opened`", AccountShown),
    refusals={409: "`no_application`"},
    tags=TAGS,
)
def reject_service(account_id: str, body: Rejection) -> Answer:  # noqa: ARG001
    """Refuse an application."""
    return use_cases.update(api.call, lambda account: use_cases.reject(account, body.reason))


@api.route(
    "PUT",
    f"{A}/violation",
    Access.OPERATOR,
    success=(HTTPStatus.OK, "the account", AccountShown),
    tags=TAGS,
)
def put_violation(account_id: str, body: ViolationBody) -> Answer:  # noqa: ARG001
    """Stop an account for a violation, or lift that stop."""
    call = api.call
    return use_cases.update(call, lambda account: use_cases.set_violation(account, body, call.now))


@api.route(
    "POST",
    f"{A}/top-ups",
    Access.OPERATOR,
    success=(HTTPStatus.CREATED, "booked", TopUpShown),
    refusals={400: "`idempotency_key_missing`", 409: "`request_in_progress`"},
    tags=TAGS,
)
def top_up(account_id: str, body: TopUp, key: Key = None) -> Answer:  # noqa: ARG001
    """Put money into a fund."""
    return use_cases.top_up(api.call, body)


def handle(event: Mapping[str, Any], context: object) -> dict[str, Any]:
    """Answer one request."""
    return api.handle(event, context)
