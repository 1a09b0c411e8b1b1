"""What an account would be charged: usage that no bill holds yet, allocated and priced.

The settlement, the preview and the verification all compute it here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from typing import TYPE_CHECKING

from aws_platform import bills
from aws_platform.ledger import OutdatedError
from aws_platform.tasks import Run, in_turn
from aws_platform.usage_counts import DayCount, count_day
from rating.account import Cycle
from rating.allocation import Segment, allocate, segments_of
from rating.bill import Bill, TransactionType
from rating.billing import ResourceCharge, daily_charges, monthly_charges
from rating.civil import day_of, first_day, last_day, month_of
from rating.history import covered
from rating.pricing import Terms, daily_price, monthly_price, price_periods

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from aws_platform.due import DueDay
    from aws_platform.settings import Settings
    from rating.account import Account
    from rating.catalog import Catalog

TRANSACTION_TYPES = {
    Cycle.DAILY: TransactionType.POSTPAY_DAILY,
    Cycle.MONTHLY: TransactionType.POSTPAY_MONTHLY,
}


@dataclass(frozen=True, slots=True)
class Usage:
    """Usage that is due together: one day of a daily account, the days of one month of a monthly one."""

    days: Sequence[DueDay]
    first_day: date
    last_day: date


@dataclass(frozen=True, slots=True)
class Pending:
    """What a bill of this usage would say now."""

    usage: Usage
    counts: Mapping[date, DayCount]
    """All calls of each day, billed or not."""
    fresh: Sequence[tuple[Segment, Mapping[str, int]]]
    """Chargeable calls by segment and tag that no bill holds yet."""
    charges: tuple[ResourceCharge, ...]


def together(account: Account, days: Sequence[DueDay]) -> Iterable[Usage]:
    """Days, ascending, in the groups that are billed together."""
    if not days:
        return
    if cycle_of(account) is Cycle.DAILY:
        yield from (Usage([due], due.day, due.day) for due in days)
        return
    for month, group in groupby(days, lambda due: month_of(due.day)):
        yield Usage(list(group), first_day(month), last_day(month))


def pending_charges(
    dynamodb: DynamoDBClient,
    settings: Settings,
    catalog: Catalog,
    account: Account,
    usage: Usage,
    *,
    run: Run = in_turn,
) -> Pending:
    """Count the usage, take off what earlier bills hold, allocate and price the rest.

    Raises OutdatedError where not all of the last bill's transaction is visible yet.
    """
    before = _issued_before(dynamodb, settings, account, usage)
    counts: dict[date, DayCount] = {}
    fresh: list[tuple[Segment, Mapping[str, int]]] = []
    for due in usage.days:
        segments = _segments(account, due.day, before)
        cuts = [segment.start for segment in segments[1:]]
        counts[due.day] = count_day(dynamodb, settings.usage_table, account.account_id, due.day, cuts, catalog, run)
        fresh += _not_billed(segments, counts[due.day], before)
    return Pending(usage, counts, fresh, _charges(catalog, account, fresh, before, usage))


def bill_prefix(first_day: date) -> str:
    """What the ids of all bills of a usage day, or of a month that begins with it, begin with."""
    return f"{first_day:%Y%m%d}-"


def cycle_of(account: Account) -> Cycle:
    """The cycle of an account that has usage. Raises ValueError for one that is not open."""
    if account.cycle is None:
        msg = f"account {account.account_id} has usage but is not open"
        raise ValueError(msg)
    return account.cycle


def _issued_before(dynamodb: DynamoDBClient, settings: Settings, account: Account, usage: Usage) -> list[Bill]:
    """The bills that earlier runs issued for the same day or month, oldest first."""
    if account.settled_through is None or account.settled_through < usage.first_day:
        return []
    table = settings.ledger_table
    if account.cycle is Cycle.MONTHLY:
        found = bills.bills_by_usage(dynamodb, table, account.account_id, month_of(usage.first_day))
    else:
        found = bills.bills_of_day(dynamodb, table, account.account_id, usage.first_day)
    before = [bill for bill in found if bill.transaction_type is TRANSACTION_TYPES[cycle_of(account)]]
    own = account.last_bill is not None and account.last_bill.startswith(bill_prefix(usage.first_day))
    if own and account.last_bill not in {bill.bill_id for bill in before}:
        # The items of one transaction become visible one by one: the account was there a moment before its bill.
        raise OutdatedError
    return before


def _charges(
    catalog: Catalog,
    account: Account,
    fresh: Sequence[tuple[Segment, Mapping[str, int]]],
    before: Sequence[Bill],
    usage: Usage,
) -> tuple[ResourceCharge, ...]:
    allotments = allocate(fresh, ()).allotments
    terms = Terms()
    if account.cycle is Cycle.DAILY:
        return daily_charges(allotments, lambda tag, day: daily_price(catalog, terms, tag, day))
    return monthly_charges(
        [line.line for bill in before for charge in bill.charges for line in charge.lines],
        allotments,
        lambda tag, day, calls: monthly_price(catalog, terms, tag, day, calls),
        lambda tag: price_periods(catalog, terms, tag, usage.first_day, usage.last_day),
    )


def _segments(account: Account, day: date, before: Sequence[Bill]) -> tuple[Segment, ...]:
    """The day's segments: cut as the first bill of the day cut it, so that what is new is a difference."""
    conditions = account.conditions()
    known = [segment for bill in before for segment in bill.counted if day_of(segment.start) == day]
    if not known:
        return segments_of(day, (), conditions)
    stretches = sorted({(segment.start, segment.end) for segment in known})
    return tuple(
        Segment(
            start,
            end,
            not covered(conditions.stops, start),
            conditions.postpaid.at(start),
        )
        for start, end in stretches
    )


def _not_billed(
    segments: Sequence[Segment], count: DayCount, before: Sequence[Bill]
) -> list[tuple[Segment, Mapping[str, int]]]:
    """What was counted and is on no bill yet, by segment.

    A segment with nothing new is left out, except on the first bill of its day, which says how the day is cut.
    """
    fresh: list[tuple[Segment, Mapping[str, int]]] = []
    held = {known.start for bill in before for known in bill.counted}
    for segment, counted in zip(segments, count.segments, strict=True):
        calls = dict(counted)
        for bill in before:
            for known in bill.counted:
                if known.start == segment.start:
                    for tag, number in known.calls.items():
                        calls[tag] = calls.get(tag, 0) - number
        if any(number < 0 for number in calls.values()):
            msg = f"usage of {segment.start} has become less than what was billed"
            raise AssertionError(msg)
        new = {tag: number for tag, number in calls.items() if number}
        if new or segment.start not in held:
            fresh.append((segment, new))
    return fresh
