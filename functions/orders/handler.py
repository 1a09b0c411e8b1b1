"""The routes for orders, packages and refunds (contract, Orders, packages, refunds)."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Any

from aws_lambda_powertools.event_handler.openapi.params import Path, Query

from aws_platform import clients
from aws_platform.access import Access
from aws_platform.api import Answer, Api, answer
from aws_platform.idempotency import Key
from aws_platform.ledger import up_to_date
from aws_platform.paging import DEFAULT_LIMIT, Cursor, Limit, page
from orders import refunding
from orders.granting import grant
from orders.models import (
    NewGrant,
    NewOrder,
    OrderShown,
    OrdersShown,
    PackageShown,
    PackagesShown,
    PackageStatus,
    PackageUsageShown,
    RefundBlock,
    RefundBlockShown,
    RefundBody,
    RefundListShown,
    RefundQuoteShown,
    RefundShown,
    SourceShown,
)
from orders.packages import Filter, Shop
from orders.purchase import may_order, order_reads, place
from orders.views import show_refund
from rating.catalog import load

api = Api()
A = "/v1/accounts/{account_id}"
P = f"{A}/packages/{{package_id}}"
ORDERS, PACKAGES, REFUNDS = ["Orders"], ["Packages"], ["Refunds"]
Id = Annotated[str, Path()]


def _shop() -> Shop:
    call = api.call
    return Shop(clients.dynamodb(), call.settings, load(), call.account.account_id, call.now)


@api.route(
    "POST",
    f"{A}/orders",
    Access.CUSTOMER_WRITE,
    success=(HTTPStatus.CREATED, "the order, paid and delivered", OrderShown),
    refusals={
        400: "`idempotency_key_missing`",
        402: "`insufficient_balance`",
        403: "`service_not_open`, `enterprise_verification_required`",
        409: "`account_in_arrears`, `account_in_violation`, `too_many_packages`, `request_in_progress`",
        422: "`unknown_sku`, `voucher_not_applicable`, `activity_not_applicable`",
    },
    tags=ORDERS,
    reads=order_reads,
    guard=may_order,
)
def place_order(account_id: str, body: NewOrder, key: Key = None) -> Answer:  # noqa: ARG001 - checked at the edge
    """Buy packages: paid by voucher, gift, income transfer and cash, in that order, and delivered at once."""
    return place(api.call, body)


@api.route("GET", f"{A}/orders", Access.CUSTOMER_READ, success=(HTTPStatus.OK, "a page", OrdersShown), tags=ORDERS)
def get_orders(account_id: str, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None) -> Answer:  # noqa: ARG001
    """Read purchases and refunds, oldest first."""
    return answer(page(_shop().orders(), lambda one: str(one["order_id"]), lambda one: one, limit, cursor))


@api.route(
    "GET",
    f"{A}/orders/{{order_id}}",
    Access.CUSTOMER_READ,
    success=(HTTPStatus.OK, "the order", OrderShown),
    refusals={404: "`order_not_found`"},
    tags=ORDERS,
)
def get_order(account_id: str, order_id: Id) -> Answer:  # noqa: ARG001
    """Read a purchase or a refund."""
    return answer(_shop().order(order_id))


@api.route(
    "POST",
    f"{A}/packages",
    Access.OPERATOR,
    success=(HTTPStatus.CREATED, "the package", PackageShown),
    refusals={
        400: "`idempotency_key_missing`",
        409: "`too_many_packages`, `request_in_progress`",
    },
    tags=PACKAGES,
)
def grant_package(account_id: str, body: NewGrant, key: Key = None) -> Answer:  # noqa: ARG001
    """Give a package as a gift; it ends a year later, to the second."""
    return grant(api.call, body)


@api.route(
    "GET", f"{A}/packages", Access.CUSTOMER_READ, success=(HTTPStatus.OK, "a page", PackagesShown), tags=PACKAGES
)
def get_packages(
    account_id: str,  # noqa: ARG001
    tag: Annotated[str | None, Query(max_length=64)] = None,
    source: Annotated[SourceShown | None, Query()] = None,
    status: Annotated[PackageStatus | None, Query()] = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Answer:
    """Read packages, live: usage that is not settled yet counts as used."""
    shop = _shop()
    wanted = Filter(tag, source, status)
    found = up_to_date(shop.packages)
    return answer(page(found, lambda one: str(one["package_id"]), lambda one: one, limit, cursor, wanted.take))


@api.route(
    "GET",
    f"{P}/usage",
    Access.CUSTOMER_READ,
    success=(HTTPStatus.OK, "a page", PackageUsageShown),
    refusals={404: "`package_not_found`"},
    tags=PACKAGES,
    reads=refunding.package_reads,
    guard=refunding.must_exist,
)
def get_package_usage(
    account_id: str,  # noqa: ARG001
    package_id: Id,  # noqa: ARG001 - read with the account
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Answer:
    """Read how many calls a package gave on each day, live."""
    shop, package = _shop(), refunding.package_of(api.call)
    days = up_to_date(lambda: shop.usage(package))
    return answer(page(days, lambda one: str(one["day"]), lambda one: one, limit, cursor))


@api.route(
    "GET",
    f"{P}/refund-quote",
    Access.CUSTOMER_READ,
    success=(HTTPStatus.OK, "the quote", RefundQuoteShown),
    refusals={404: "`package_not_found`"},
    tags=REFUNDS,
)
def get_refund_quote(account_id: str, package_id: Id) -> Answer:  # noqa: ARG001
    """Read what a refund would pay back now, or the code that forbids it."""
    return refunding.quote(api.call, package_id)


@api.route(
    "POST",
    f"{P}/refund",
    Access.CUSTOMER_WRITE,
    success=(HTTPStatus.ACCEPTED, "the refund, `processing`", RefundShown),
    refusals={
        400: "`idempotency_key_missing`",
        404: "`package_not_found`",
        409: ", ".join(f"`{refusal}`" for refusal in (*refunding.DETAILS, "request_in_progress")),
    },
    tags=REFUNDS,
    reads=refunding.package_reads,
    guard=refunding.must_exist,
)
def refund_package(account_id: str, package_id: Id, body: RefundBody, key: Key = None) -> Answer:  # noqa: ARG001
    """Give a package back: it is gone at once, and its money follows three minutes later."""
    return refunding.request(api.call, package_id)


@api.route(
    "PUT",
    f"{P}/refund-block",
    Access.OPERATOR,
    success=(HTTPStatus.OK, "the block", RefundBlockShown),
    refusals={404: "`package_not_found`"},
    tags=REFUNDS,
    reads=refunding.package_reads,
    guard=refunding.must_exist,
)
def put_refund_block(account_id: str, package_id: Id, body: RefundBlock) -> Answer:  # noqa: ARG001
    """Refuse refunds of a package, or allow them again."""
    return refunding.block(api.call, package_id, body)


@api.route(
    "GET", f"{A}/refunds", Access.CUSTOMER_READ, success=(HTTPStatus.OK, "a page", RefundListShown), tags=REFUNDS
)
def get_refunds(account_id: str, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None) -> Answer:  # noqa: ARG001
    """Read refunds, oldest first."""
    return answer(page(_shop().refunds(), lambda one: one.refund_id, show_refund, limit, cursor))


@api.route(
    "GET",
    f"{A}/refunds/{{refund_id}}",
    Access.CUSTOMER_READ,
    success=(HTTPStatus.OK, "the refund", RefundShown),
    refusals={404: "`refund_not_found`"},
    tags=REFUNDS,
)
def get_refund(account_id: str, refund_id: Id) -> Answer:  # noqa: ARG001
    """Read a refund."""
    return answer(show_refund(_shop().refund(refund_id)))


def handle(event: Mapping[str, Any], context: object) -> dict[str, Any]:
    """Answer one request."""
    return api.handle(event, context)
