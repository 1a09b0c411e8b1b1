"""What the tests of notices do again and again: charge, stop for a violation, and read what was told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from unittest import mock

from aws_platform import clients, keys
from aws_platform.ledger import with_prefix
from aws_platform.notices import KeptNotice, notices_from_item
from rating.civil import rfc3339
from rating.notices import Kind
from tests.support.product import Product, Reply

STATES = (Kind.ARREARS, Kind.STOPPED, Kind.RESUMED, Kind.RELEASED)
"""What becomes of an account."""
USED = (Kind.PACKAGE_LOW, Kind.PACKAGE_EXHAUSTED)
TIMED = (Kind.PACKAGE_EXPIRING, Kind.PACKAGE_EXPIRED)


def told_pages(product: Product, account_id: str = "acct-1") -> list[list[KeptNotice]]:
    """The pages of an account, oldest first; what is on one page was told by one transaction."""
    items = with_prefix(product.dynamodb, "ledger", account_id, keys.NOTICE_PREFIX)
    return [list(notices_from_item(item)) for item in items]


def told(product: Product, *kinds: Kind, account_id: str = "acct-1") -> list[KeptNotice]:
    """What an account was told of these kinds, in the order of the pages; of all kinds unless some are named."""
    found = [one for page in told_pages(product, account_id) for one in page]
    return [one for one in found if not kinds or one.notice.kind in kinds]


def kinds(product: Product, *wanted: Kind, account_id: str = "acct-1") -> list[str]:
    """The kinds of what was told, in order; `stopped` and `resumed` with their cause."""
    return [_name(one) for one in told(product, *wanted, account_id=account_id)]


def kinds_by_page(product: Product, *wanted: Kind, account_id: str = "acct-1") -> list[list[str]]:
    """The same, page by page; pages with none of them are left out."""
    pages = ([one for one in page if one.notice.kind in wanted] for page in told_pages(product, account_id))
    return [[_name(one) for one in page] for page in pages if page]


def times(product: Product, *wanted: Kind, account_id: str = "acct-1") -> list[tuple[str, str]]:
    """(kind, when it happened) of what was told."""
    return [(_name(one), rfc3339(one.notice.occurred_at)) for one in told(product, *wanted, account_id=account_id)]


def of_packages(product: Product, *wanted: Kind) -> list[tuple[str, str, int]]:
    """(kind, package id, what it had left) of what was told of packages."""
    found = told(product, *(wanted or (*USED, *TIMED)))
    return [(_name(one), one.notice.data["package_id"], one.notice.data["remaining"]) for one in found]


def adjust(product: Product, amount: str, key: str | None = None, account_id: str = "acct-1") -> Reply:
    """Book an adjustment as the operator: a charge where it is below zero, else a compensation."""
    headers = {"Idempotency-Key": key or f"{product.now.isoformat()}{amount}"}
    body = {"amount": amount, "reason": "a correction"}
    reply = product.request("POST", f"/v1/accounts/{account_id}/adjustments", body, headers=headers)
    assert reply.status == 201, reply.text
    return reply


def violate(product: Product, *, active: bool = True) -> None:
    """Stop the usual account for a violation, or lift that stop."""
    body = {"active": active, "reason": "content"}
    assert product.request("PUT", "/v1/accounts/acct-1/violation", body).status == 200


def pass_time(product: Product, to: str) -> None:
    """Let time pass without any run of the settlement: the timers run when they are due."""
    product.sweep_until(datetime.fromisoformat(to))
    product.now = datetime.fromisoformat(to)


@contextmanager
def counted_calls() -> Iterator[list[tuple[str, dict[str, Any]]]]:
    """The calls of DynamoDB inside: (operation, request)."""
    calls: list[tuple[str, dict[str, Any]]] = []
    client = clients.dynamodb()
    made = client._make_api_call  # type: ignore[attr-defined]

    def counted(operation: str, request: dict[str, Any]) -> Any:
        calls.append((operation, request))
        return made(operation, request)

    with mock.patch.object(client, "_make_api_call", counted):
        yield calls


def _name(one: KeptNotice) -> str:
    cause = one.notice.data.get("cause")
    return f"{one.notice.kind.value}/{cause}" if cause else one.notice.kind.value
