"""Reading usage and bills (contract, Metering and Bills)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from functools import partial
from hashlib import blake2b
from http import HTTPStatus
from typing import Annotated, Any, Literal

from aws_lambda_powertools.event_handler.openapi.params import Query

from aws_platform import clients, problems
from aws_platform.access import Access
from aws_platform.api import Answer, Api, answer
from aws_platform.bill_rows import (
    Filters,
    MakeRows,
    Row,
    Shower,
    detail_rows,
    resource_rows,
    show_totals,
    totals,
)
from aws_platform.bills import bills_by_charge, bills_by_usage
from aws_platform.contact_fields import Locale
from aws_platform.days import MONTH_PATTERN, Day, day_range
from aws_platform.ledger import JournalEntry, journal_entries, up_to_date
from aws_platform.paging import DEFAULT_LIMIT, Cursor, Limit, page
from aws_platform.price_book import read_catalog
from aws_platform.problems import FieldError
from bills.explanation import explain
from bills.explanation_models import ExplanationShown
from bills.models import (
    DetailsShown,
    JournalShown,
    Mode,
    OverviewShown,
    PreviewShown,
    ResourcesShown,
    TransactionTypeShown,
    UsageShown,
)
from bills.overview import overview
from bills.preview import preview
from bills.usage import DIMENSIONS, CallFilter, UsageQuery, usage
from bills.verification import VerificationShown, verification
from rating import money
from rating.bill import Bill
from rating.catalog import load
from rating.civil import ONE_DAY, day_of

api = Api()
A = "/v1/accounts/{account_id}"
TAGS = ["Bills"]
MAX_DAYS = 90
_DEFAULT_DAYS = timedelta(days=29)

Month = Annotated[str, Query(pattern=MONTH_PATTERN, description="YYYY-MM")]
Basis = Annotated[Literal["charge", "usage"], Query(description="the month is that of the usage day, or of the charge")]
Text = Annotated[str | None, Query(max_length=200)]
TagCode = Annotated[str | None, Query(max_length=64, description="a billing tag")]
_DIMENSION = f"({'|'.join(DIMENSIONS)})"
By = Annotated[
    str,
    Query(
        pattern=f"^{_DIMENSION}(,{_DIMENSION})*$",
        description="what a row stands for: one or several, with commas, of " + ", ".join(DIMENSIONS),
    ),
]


@api.route("GET", f"{A}/usage", Access.CUSTOMER_READ, success=(HTTPStatus.OK, "usage", UsageShown), tags=["Usage"])
def get_usage(  # noqa: PLR0913, PLR0917 - the filters of the contract
    account_id: str,
    from_: Annotated[Day | None, Query(alias="from", description="first day; 29 days before `to`")] = None,
    to: Annotated[Day | None, Query(description="last day, included; today if not given")] = None,
    tag: TagCode = None,
    by: By = "day",
    interface: Annotated[str | None, Query(max_length=64, description="an interface of the catalog")] = None,
    library: Annotated[Literal["authority", "uploaded"] | None, Query()] = None,
    sub_account: Annotated[str | None, Query(max_length=256, description="empty: the main account's own calls")] = None,
    result_code: Annotated[str | None, Query(max_length=256)] = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Answer:
    """Read calls, live.

    By day and tag, and without a filter that is finer than a tag, rows also say how their calls are covered.
    """
    call = api.call
    last = to or day_of(call.now)
    first, last = day_range(from_ or last - _DEFAULT_DAYS, last)
    if last - first >= MAX_DAYS * ONE_DAY:
        raise problems.invalid_request(FieldError("from", f"at most {MAX_DAYS} days"))
    dimensions = tuple(by.split(","))
    if len(set(dimensions)) < len(dimensions):
        raise problems.invalid_request(FieldError("by", "each dimension once"))
    _check_tag(tag)
    _check_interface(interface)
    asked = UsageQuery(first, last, tag, dimensions, CallFilter(interface, library, sub_account, result_code))
    account_id = call.account.account_id
    rows = up_to_date(lambda: usage(clients.dynamodb(), call.settings, load(), account_id, asked, call.now))
    return answer(page(rows, partial(_place, dimensions), lambda row: row, limit, cursor))


def _place(dimensions: Sequence[str], row: Mapping[str, Any]) -> str:
    """What tells a row from the others: a digest, for names may be long, and a cursor may not."""
    values = json.dumps([row[name] for name in dimensions])
    return blake2b(values.encode(), digest_size=16).hexdigest()


def bill_reader(
    name: str,
    summary: str,
    rows_of: MakeRows,
    show: Callable[[Shower, Row], dict[str, Any]],
    amount: Callable[[Decimal], str],
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
        _check_tag(tag)
        filters = Filters(tag, mode, transaction_type, project, region, hide_zero, q)
        bills, shower = _bills(account_id, month, basis), Shower(account_id, load())
        rows = [row for row in rows_of(bills) if filters.take(row, shower)]
        listed = page(rows, lambda row: row.row_id, partial(show, shower), limit, cursor)
        sums, extra = totals(rows), {}
        if basis == "usage":
            other = detail_rows if rows_of is resource_rows else resource_rows
            others = sum((row.total_cost for row in other(bills) if filters.take(row, shower)), money.ZERO)
            deducted_less_details = sums.total_cost - others if rows_of is resource_rows else others - sums.total_cost
            extra["precision_difference"] = money.detail(deducted_less_details)
        return answer({**listed, "totals": {**show_totals(sums, amount), **extra}})

    read.__name__, read.__doc__ = name, summary
    return read


api.route(
    "GET",
    f"{A}/bills/resources",
    Access.CUSTOMER_READ,
    success=(HTTPStatus.OK, "charges", ResourcesShown),
    tags=TAGS,
)(
    bill_reader(
        "get_resources",
        "Read what was deducted for each resource, to the fen.",
        resource_rows,
        Shower.resource,
        money.yuan,
    )
)

api.route(
    "GET",
    f"{A}/bills/details",
    Access.CUSTOMER_READ,
    success=(HTTPStatus.OK, "fees", DetailsShown),
    tags=TAGS,
)(bill_reader("get_details", "Read every fee, to 8 decimals.", detail_rows, Shower.detail, money.detail))


@api.route(
    "GET",
    f"{A}/bills/overview",
    Access.CUSTOMER_READ,
    success=(HTTPStatus.OK, "a month at a glance", OverviewShown),
    tags=TAGS,
)
def get_overview(account_id: str, month: Month, basis: Basis = "usage") -> Answer:
    """Read what was deducted in a month, by tag, mode and day, and in the twelve months that it ends."""
    table, by_usage = api.call.settings.ledger_table, basis == "usage"
    return answer(overview(clients.dynamodb(), table, load(), account_id, month, by_usage=by_usage))


@api.route(
    "GET",
    f"{A}/bills/details/{{transaction_id}}/explanation",
    Access.CUSTOMER_READ,
    success=(HTTPStatus.OK, "how the line came to be", ExplanationShown),
    refusals={404: "`transaction_not_found`"},
    tags=TAGS,
)
def get_explanation(
    account_id: str,  # noqa: ARG001 - the path's; the account was read with the check
    transaction_id: str,
    locale: Annotated[Locale | None, Query(description="that of the account's contact, if not given")] = None,
) -> Answer:
    """Read how a line of a bill came to be, step by step."""
    call = api.call
    spoken = locale or call.account.contact.locale
    return answer(explain(clients.dynamodb(), call.settings, call.account, transaction_id, spoken))


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
    "GET",
    f"{A}/bills/verification",
    Access.CUSTOMER_READ,
    success=(HTTPStatus.OK, "the day, computed again", VerificationShown),
    tags=TAGS,
)
def get_verification(account_id: str, day: Annotated[Day, Query(description="a day of usage: YYYY-MM-DD")]) -> Answer:
    """Compute a day again from the raw usage, and compare it with what was charged."""
    call = api.call
    catalog = read_catalog(clients.dynamodb(), call.settings.ledger_table)
    return answer(verification(call.settings, catalog, account_id, day, call.now))


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
    found = read(clients.dynamodb(), api.call.settings.ledger_table, account_id, month)
    # As they were issued, whatever usage they are for: new rows come at the end, and move no page that was read.
    return sorted(found, key=lambda bill: bill.version)


def _check_tag(tag: str | None) -> None:
    if tag is not None and not load().has_tag(tag):
        raise problems.invalid_request(FieldError("tag", "there is no such tag"))


def _check_interface(interface: str | None) -> None:
    if interface is not None and all(one.interface != interface for one in load().interfaces):
        raise problems.invalid_request(FieldError("interface", "there is no such interface"))
