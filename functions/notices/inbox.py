"""The in-site inbox: pages of notices as they were written, with what became of each on the other channels."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from aws_platform import clients, keys
from aws_platform.api import Call
from aws_platform.deliveries import deliveries_between
from aws_platform.ledger import with_prefix
from aws_platform.notices import notices_from_item, page_of
from aws_platform.paging import page
from aws_platform.subscriptions import audience_of
from notices.cursors import AFTER_ALL, AT_ONCE, Stretch, cursor_of, place
from notices.views import show_notice, show_notice_delivery

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

MAX_PAGE_BYTES = 4_000_000
"""Lambda answers 6 MB at most, and carries the page as a text within JSON, where every quotation mark is two bytes."""
MAX_DELIVERIES = 5000
"""Read for one page, about 2 MB."""
MAX_RUNS = 100
"""Queries for deliveries of one page."""


def list_notices(call: Call, kind: str | None, limit: int, cursor: str | None) -> dict[str, Any]:
    """A page of the account's notices, oldest first. Raises Problem 422 for a cursor that names nothing.

    It ends early where enough was read for one request, or its text becomes too long for one answer.
    """
    dynamodb, table, account = clients.dynamodb(), call.settings.ledger_table, call.account
    locale = audience_of(account, with_prefix(dynamodb, table, account.account_id, keys.SUBSCRIPTION)).locale
    looked_at = Stretch(
        dynamodb,
        _query(table, account.account_id, cursor),
        notices_from_item,
        lambda kept: kept.notice_id,
        # A stored page has a notice at least: the cursor's page, those of this page, and one that tells of more.
        AT_ONCE if kind else limit + 2,
    )
    listed = page(
        looked_at,
        lambda kept: kept.notice_id,
        lambda kept: show_notice(kept, locale),
        limit,
        cursor,
        lambda kept: kind in {None, kept.notice.kind.value},
    )
    items = listed["items"]
    whole = _with_deliveries(dynamodb, table, account.account_id, items, looked_at.looked_at)
    sent = items[: _that_fit(items[:whole])]
    next_cursor = looked_at.next_cursor(listed) if len(sent) == len(items) else cursor_of(sent[-1]["notice_id"])
    return {"items": sent, "next_cursor": next_cursor}


def _query(table: str, account_id: str, cursor: str | None) -> dict[str, Any]:
    """The account's pages of notices, from the one on which the cursor's notice is."""
    named = "" if cursor is None else place(cursor)
    return {
        "TableName": table,
        "KeyConditionExpression": "pk = :pk AND sk BETWEEN :first AND :last",
        "ExpressionAttributeValues": {
            ":pk": {"S": keys.ledger(account_id)},
            ":first": {"S": keys.notice_page(named if named == AFTER_ALL else page_of(named))},
            ":last": {"S": keys.notice_page(AFTER_ALL)},
        },
        "ConsistentRead": True,
    }


def _with_deliveries(
    dynamodb: DynamoDBClient, table: str, account_id: str, items: Sequence[dict[str, Any]], looked_at: Iterable[str]
) -> int:
    """Add to notices what became of them, to as many as may be read for one page. How many those are, from the first.

    Notices that follow each other are read together; what became of those between them, which are not shown, is not
    read.
    """
    shown = {one["notice_id"]: one for one in items}
    found, last = 0, None
    places = {notice_id: number for number, notice_id in enumerate(shown)}
    for number, run in enumerate(_runs(shown, looked_at)):
        if number == MAX_RUNS or found >= MAX_DELIVERIES:
            return places[run[0]]
        for delivery in deliveries_between(dynamodb, table, account_id, run[0], run[-1]):
            if found >= MAX_DELIVERIES and delivery.notice_id != last:
                return places[delivery.notice_id]
            shown[delivery.notice_id]["deliveries"].append(show_notice_delivery(delivery))
            found, last = found + 1, delivery.notice_id
    return len(items)


def _runs(shown: Mapping[str, Any], looked_at: Iterable[str]) -> Iterator[list[str]]:
    """The notices shown, those together that follow each other."""
    for is_shown, run in groupby(looked_at, shown.__contains__):
        if is_shown:
            yield list(run)


def _that_fit(items: Sequence[Mapping[str, Any]]) -> int:
    """How many of these one answer can carry; the first in any case."""
    room = MAX_PAGE_BYTES
    for number, item in enumerate(items):
        room -= len(json.dumps(item, ensure_ascii=False, separators=(",", ":")).encode()) + 1
        if room < 0 and number > 0:
            return number
    return len(items)
