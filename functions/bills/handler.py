"""Reading usage and bills (contract, Metering and Bills)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from http import HTTPStatus
from typing import Annotated, Any, Literal

from aws_lambda_powertools.event_handler.openapi.params import Query

from aws_platform import clients, problems
from aws_platform.access import Access
from aws_platform.api import Answer, Api, answer
from aws_platform.bills import bills_by_charge, bills_by_usage
from aws_platform.days import Day, day_range
from aws_platform.ledger import JournalEntry, journal_entries, up_to_date
from aws_platform.paging import DEFAULT_LIMIT, Cursor, Limit, page
from aws_platform.price_book import read_catalog
from aws_platform.problems import FieldError
from bills.models import (
    DetailsShown,
    JournalShown,
    Mode,
    PreviewShown,
    ResourcesShown,
    TransactionTypeShown,
    UsageShown,
)
from bills.preview import preview
from bills.rows import Filters, Row, detail_rows, resource_rows, totals
from bills.usage import By, UsageQuery, usage
from rating import money
from rating.bill import Bill
from rating.catalog import Catalog, load
from rating.civil import ONE_DAY, day_of

api = Api()
A = "/v1/accounts/{account_id}"
TAGS = ["Bills"]
MAX_DAYS = 90
_DEFAULT_DAYS = timedelta(days=29)

Month = Annotated[str, Query(pattern=r"^2[0-9]{3}-(0[1-9]|1[0-2])$", description="YYYY-MM")]
Basis = Annotated[Literal["charge", "usage"], Query(description="the month is that of the usage day, or of the charge")]
Text = Annotated[str | None, Query(max_length=200)]
TagCode = Annotated[str | None, Query(max_length=64, description="a billing tag")]


@api.route("GET", f"{A}/usage", Access.CUSTOMER_READ, success=(HTTPStatus.OK, "usage", UsageShown), tags=["Usage"])
def get_usage(
    account_id: str,
    from_: Annotated[Day | None, Query(alias="from", description="first day; 29 days before `to`")] = None,
    to: Annotated[Day | None, Query(description="last day, included; today if not given")] = None,
    tag: TagCode = None,
    by: Annotated[By, Query(description="what a row stands for")] = "day",
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Answer:
    """Read calls, live."""
    call = api.call
    last = to or day_of(call.now)
    first, last = day_range(from_ or last - _DEFAULT_DAYS, last)
    if last - first >= MAX_DAYS * ONE_DAY:
        raise problems.invalid_request(FieldError("from", f"at most {MAX_DAYS} days"))
    _check_tag(tag)
    asked = UsageQuery(first, last, tag, by)
    account_id = call.account.account_id
    rows = up_to_date(lambda: usage(clients.dynamodb(), call.settings, load(), account_id, asked, call.now))
    return answer(page(rows, lambda row: json.dumps(row[by]), lambda row: row, limit, cursor))


def bill_reader(
    name: str,
    summary: str,
    rows_of: Callable[[str, Sequence[Bill], Catalog], Iterable[Row]],
    show: Callable[[Decimal], str],
) -> Callable[..., Answer]:
    """The handler of a route that reads rows of bills: resources and details take the same filters."""

    def read(  # noqa: PLR0913, PLR0917 - the filters of the contract
        account_id: str,
        month: Month,
        basis: Basis = "usage",
        tag: TagCode = None,
        mode: Annotated[Mode | None, Query()] = None,
        transaction_type: Annotated[TransactionTypeShown | None, Query()] = None,
        project: Text = None,
        region: Text = None,
        hide_zero: Annotated[bool, Query()] = False,  # noqa: FBT002 - a query parameter
        q: Text = None,
        limit: Limit = DEFAULT_LIMIT,
        cursor: Cursor = None,
    ) -> Answer:
        filters = Filters(tag, mode, transaction_type, project, region, hide_zero, q)
        bills = _bills(account_id, month, basis)
        rows = [row for row in rows_of(account_id, bills, load()) if filters.take(row)]
        listed = page(rows, lambda row: row.row_id, lambda row: dict(row.shown), limit, cursor)
        extra = {}
        if basis == "usage":
            deducted, details = (
                sum((row.total_cost for row in made(account_id, bills, load()) if filters.take(row)), money.ZERO)
                for made in (resource_rows, detail_rows)
            )
            extra["precision_difference"] = money.detail(deducted - details)
        return answer({**listed, "totals": {**totals(rows, show), **extra}})

    read.__name__, read.__doc__ = name, summary
    return read


api.route(
    "GET",
    f"{A}/bills/resources",
    Access.CUSTOMER_READ,
    success=(HTTPStatus.OK, "charges", ResourcesShown),
    tags=TAGS,
)(bill_reader("get_resources", "Read what was deducted for each resource, to the fen.", resource_rows, money.yuan))

api.route(
    "GET",
    f"{A}/bills/details",
    Access.CUSTOMER_READ,
    success=(HTTPStatus.OK, "fees", DetailsShown),
    tags=TAGS,
)(bill_reader("get_details", "Read every fee, to 8 decimals.", detail_rows, money.detail))


@api.route(
    "GET",
    f"{A}/bills/preview",
    Access.CUSTOMER_READ,
    success=(HTTPStatus.OK, "the open period", PreviewShown),
    tags=TAGS,
)
def get_preview(account_id: str) -> Answer:
    """Read the open period as it would be charged now."""
    call = api.call
    dynamodb, settings = clients.dynamodb(), call.settings
    catalog = read_catalog(dynamodb, settings.ledger_table)
    return answer(up_to_date(lambda: preview(dynamodb, settings, catalog, account_id, call.now)))


@api.route(
    "GET", f"{A}/journal", Access.CUSTOMER_READ, success=(HTTPStatus.OK, "a page", JournalShown), tags=["Accounts"]
)
def get_journal(
    account_id: str,
    from_: Annotated[Day | None, Query(alias="from", description="first day, included")] = None,
    to: Annotated[Day | None, Query(description="last day, included")] = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Answer:
    """Read every movement of money, oldest first."""
    first, last = day_range(from_, to)
    entries = journal_entries(clients.dynamodb(), api.call.settings.ledger_table, account_id, first, last)
    return answer(page(entries, lambda entry: entry.entry_id, _show_entry, limit, cursor))


def handle(event: Mapping[str, Any], context: object) -> dict[str, Any]:
    """Answer one request."""
    return api.handle(event, context)


def _show_entry(entry: JournalEntry) -> dict[str, Any]:
    return {
        "entry_id": entry.entry_id,
        "occurred_at": entry.occurred_at,
        "kind": entry.kind,
        "fund": entry.fund,
        "amount": money.yuan(entry.amount),
        "balance_after": money.yuan(entry.balance_after),
        "reference": entry.reference,
    }


def _bills(account_id: str, month: str, basis: str) -> list[Bill]:
    read = bills_by_charge if basis == "charge" else bills_by_usage
    return list(read(clients.dynamodb(), api.call.settings.ledger_table, account_id, month))


def _check_tag(tag: str | None) -> None:
    if tag is not None and not load().has_tag(tag):
        raise problems.invalid_request(FieldError("tag", "there is no such tag"))
