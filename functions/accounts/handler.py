"""The account routes (contract, Accounts)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from accounts import money, service, terms, vouchers
from accounts.changing import Changed, update
from accounts.free_packages import wallets_of
from accounts.models import (
    AccountChange,
    AccountShown,
    Adjustment,
    AdjustmentShown,
    ApplicationBody,
    Approval,
    ContractPriceBody,
    ContractPriceShown,
    DiscountBody,
    DiscountShown,
    MerchantBody,
    MerchantShown,
    NewAccount,
    NewVoucher,
    Rejection,
    TopUp,
    TopUpShown,
    ViolationBody,
    VoucherShown,
    VouchersShown,
)
from accounts.views import show_account, show_merchant
from aws_platform import keys, problems
from aws_platform.access import Access
from aws_platform.api import Answer, Api, Call, answer
from aws_platform.edge import peek
from aws_platform.guards import check_tag
from aws_platform.idempotency import Key, record_keys
from aws_platform.paging import DEFAULT_LIMIT, Cursor, Limit
from rating.account import Account

api = Api()
A = "/v1/accounts/{account_id}"
TAGS = ["Accounts"]
TERM_REFUSALS = {404: "`tag_not_found`", 409: "`already_settled`, `overlaps`, `too_many_terms`"}


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
    return service.create(api.call, body)


@api.route("GET", A, Access.CUSTOMER_READ, success=(HTTPStatus.OK, "the account", AccountShown), tags=TAGS)
def get_account(account_id: str) -> Answer:  # noqa: ARG001 - checked at the edge, as for every route below
    """Read an account."""
    return answer(show_account(api.call.account, api.call.now))


def _only_its_own(call: Call) -> None:
    """Raises Problem 403 for what only the operator may change."""
    if "enterprise_verified" in peek(call.event) and not call.operator:
        raise problems.forbidden()


@api.route(
    "PATCH",
    A,
    Access.CUSTOMER_WRITE,
    success=(HTTPStatus.OK, "the account", AccountShown),
    refusals={409: "`too_many_changes`"},
    tags=TAGS,
    guard=_only_its_own,
)
def change_account(account_id: str, body: AccountChange) -> Answer:  # noqa: ARG001
    """Switch postpaid, change the contact; the operator also verifies the enterprise."""
    call = api.call
    return _updated(lambda account: service.change(account, body, call.now))


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
    return _updated(lambda account: service.apply(account, body), HTTPStatus.ACCEPTED)


@api.route(
    "POST",
    f"{A}/service/approval",
    Access.OPERATOR,
    success=(HTTPStatus.OK, "the account, `active`", AccountShown),
    refusals={409: "`no_application`"},
    tags=TAGS,
    reads=lambda _: wallets_of("first_opening"),
)
def approve_service(account_id: str, body: Approval) -> Answer:  # noqa: ARG001
    """Approve an application; `opened_at` for a customer who moved here decides the settlement cycle.

    Opened now for the first time, the account gets its free packages half an hour later.
    """
    call = api.call
    table = call.settings.ledger_table
    return update(
        call,
        lambda snapshot: service.approve(snapshot, body.opened_at, call.now, table),
        lambda account: answer(show_account(account, call.now)),
    )


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
    return _updated(lambda account: service.reject(account, body.reason))


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
    return _updated(lambda account: service.set_violation(account, body, call.now))


@api.route(
    "POST",
    f"{A}/top-ups",
    Access.OPERATOR,
    success=(HTTPStatus.CREATED, "booked", TopUpShown),
    refusals={400: "`idempotency_key_missing`", 409: "`request_in_progress`"},
    tags=TAGS,
    reads=record_keys,
)
def top_up(account_id: str, body: TopUp, key: Key = None) -> Answer:  # noqa: ARG001
    """Put money into a fund."""
    return money.top_up(api.call, body)


@api.route(
    "POST",
    f"{A}/eid-merchants",
    Access.CUSTOMER_WRITE,
    success=(HTTPStatus.CREATED, "granted", MerchantShown),
    refusals={403: "`enterprise_verification_required`, `service_not_open`", 409: "`too_many_merchants`"},
    tags=TAGS,
    reads=lambda _: wallets_of("eid_merchant"),
    guard=lambda call: service.check_may_have(call.account, peek(call.event).get("merchant_id")),
)
def post_merchant(account_id: str, body: MerchantBody) -> Answer:  # noqa: ARG001
    """Get an E证通 merchant id granted; the first brings the free package half an hour later."""
    call = api.call
    merchant_id, table = body.merchant_id, call.settings.ledger_table
    return update(
        call,
        lambda snapshot: service.grant_merchant(snapshot, merchant_id, call.now, table),
        lambda account: answer(show_merchant(account.merchant(merchant_id)), HTTPStatus.CREATED),
    )


@api.route(
    "POST",
    f"{A}/adjustments",
    Access.OPERATOR,
    success=(HTTPStatus.CREATED, "booked", AdjustmentShown),
    refusals={400: "`idempotency_key_missing`", 404: "`transaction_not_found`", 409: "`request_in_progress`"},
    tags=TAGS,
    reads=record_keys,
)
def adjust(account_id: str, body: Adjustment, key: Key = None) -> Answer:  # noqa: ARG001
    """Compensate into cash, or charge in the usual order of payment where the amount is negative."""
    return money.adjust(api.call, body)


@api.route(
    "POST",
    f"{A}/vouchers",
    Access.OPERATOR,
    success=(HTTPStatus.CREATED, "issued", VoucherShown),
    refusals={400: "`idempotency_key_missing`", 409: "`request_in_progress`, `too_many_vouchers`"},
    tags=TAGS,
    reads=record_keys,
)
def issue_voucher(account_id: str, body: NewVoucher, key: Key = None) -> Answer:  # noqa: ARG001
    """Issue a voucher for orders or for settlements."""
    return vouchers.issue(api.call, body)


@api.route("GET", f"{A}/vouchers", Access.CUSTOMER_READ, success=(HTTPStatus.OK, "a page", VouchersShown), tags=TAGS)
def get_vouchers(account_id: str, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None) -> Answer:  # noqa: ARG001
    """Read vouchers, used and expired ones too."""
    return vouchers.show_all(api.call, limit, cursor)


@api.route(
    "PUT",
    f"{A}/discounts/{{tag}}",
    Access.OPERATOR,
    success=(HTTPStatus.OK, "agreed", DiscountShown),
    refusals=TERM_REFUSALS,
    tags=TAGS,
    reads=lambda _: [keys.TERMS],
    guard=check_tag,
)
def put_discount(account_id: str, tag: str, body: DiscountBody) -> Answer:  # noqa: ARG001
    """Agree a discount of a tag from a day on; the same day again replaces it."""
    return terms.set_discount(api.call, tag, body)


@api.route(
    "PUT",
    f"{A}/contract-prices/{{tag}}",
    Access.OPERATOR,
    success=(HTTPStatus.OK, "agreed", ContractPriceShown),
    refusals=TERM_REFUSALS,
    tags=TAGS,
    reads=lambda _: [keys.TERMS],
    guard=check_tag,
)
def put_contract_price(account_id: str, tag: str, body: ContractPriceBody) -> Answer:  # noqa: ARG001
    """Agree a price of a tag, instead of list price and discount; the same day again replaces it."""
    return terms.set_contract_price(api.call, tag, body)


def handle(event: Mapping[str, Any], context: object) -> dict[str, Any]:
    """Answer one request."""
    return api.handle(event, context)


def _updated(after: Callable[[Account], Account], status: int = HTTPStatus.OK) -> Answer:
    """Store what becomes of the account alone, and show it."""
    call = api.call
    return update(
        call,
        lambda snapshot: Changed(after(snapshot.account)),
        lambda account: answer(show_account(account, call.now), status),
    )
