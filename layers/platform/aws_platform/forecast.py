"""What an account owes besides what was settled, and what a day cost it: for the warning that its balance is low (D28).

Made of the live totals, for it is a warning and no charge, and of what the run has seen anyway; so it is cheap for
every account on every morning.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from aws_platform.due import DueDay, read_due
from aws_platform.pending import Usage, cycle_of, issued_before, pending_charges, together
from rating import money
from rating.billing import quantities_by_day
from rating.civil import day_of, first_day, last_day, month_of
from rating.pricing import daily_price, monthly_price
from rating.schedule import FAR_AHEAD, Cycle

if TYPE_CHECKING:
    from aws_platform.snapshot import Snapshot
    from aws_platform.standing import Reader
    from rating.bill import Bill

type Calls = dict[tuple[str, date], int]
"""Calls that are charged, by tag and day."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """Amounts in yuan."""

    unsettled: Decimal
    """What a run would deduct now."""
    day_cost: Decimal
    """What the day that was asked for cost."""


@dataclass(frozen=True, slots=True)
class Seen:
    """An account as somebody has just seen it."""

    snapshot: Snapshot
    waiting: Sequence[DueDay]
    """The days that wait for a run."""
    bills: Mapping[date, Sequence[Bill]] = field(default_factory=dict)
    """All bills of the days or months that begin with these days; those of others were not looked at."""

    def is_settled(self, day: date) -> bool:
        """Whether a run has settled the day, of which usage may have arrived since."""
        through = self.snapshot.account.settled_through
        return through is not None and day <= through


def see(reader: Reader, account_id: str) -> Seen | None:
    """Look at an account; None where there is none. Raises OutdatedError: read again."""
    settings = reader.settings
    due = read_due(reader.dynamodb, settings.usage_table, settings.ledger_table, account_id, FAR_AHEAD)
    return Seen(due.snapshot, due.days) if due else None


def forecast(reader: Reader, seen: Seen, day: date, now: datetime) -> Forecast:
    """What the account owes at `now` beyond its bills, and what `day` cost it. Raises OutdatedError: read again."""
    unbilled = _unbilled(reader, seen, now)
    billed = _billed(reader, seen, day)
    prices = _Prices(reader, seen.snapshot, {**billed, **unbilled})
    of_day = {place: calls for place, calls in {**billed, **unbilled}.items() if place[1] == day}
    return Forecast(prices.cost(unbilled) + _late(reader, seen, now), prices.cost(of_day))


def _late(reader: Reader, seen: Seen, now: datetime) -> Decimal:
    """What a run would charge for usage of settled days that has arrived since (D4): rare, so it is counted."""
    snapshot, days = seen.snapshot, [due for due in seen.waiting if seen.is_settled(due.day)]
    pending = (
        pending_charges(reader.dynamodb, reader.settings, reader.catalog, snapshot, usage, now, run=reader.run)
        for usage in together(snapshot.account, days)
    )
    return sum((charge.amount for one in pending for charge in one.charges), money.ZERO)


def _unbilled(reader: Reader, seen: Seen, now: datetime) -> Calls:
    """Of the days that no run has settled, as the stream has brought them."""
    if all(seen.is_settled(due.day) for due in seen.waiting):
        # A day has its item before the first call of it is stored.
        return {}
    snapshot = seen.snapshot
    totals = reader.live_calls(snapshot.account.account_id)
    fresh = {day: calls for day, calls in totals.items() if not seen.is_settled(day)}
    covered = quantities_by_day(reader.with_fresh(snapshot, fresh, now).allocation.allotments)
    return {place: one.postpaid for place, one in covered.items() if one.postpaid}


def _billed(reader: Reader, seen: Seen, day: date) -> Calls:
    """Of the day, or of its month where that sets the price, as the bills have them."""
    account, month = seen.snapshot.account, month_of(day)
    daily = cycle_of(account) is Cycle.DAILY
    first, last = (day, day) if daily else (first_day(month), last_day(month))
    found = seen.bills.get(first)
    if found is None:
        found = issued_before(reader.dynamodb, reader.settings, account, Usage([DueDay(day)], first, last))
    calls: Calls = {}
    for bill in found:
        for segment in bill.counted:
            for tag, one in segment.quantities().items():
                place = tag, day_of(segment.start)
                calls[place] = calls.get(place, 0) + one.postpaid
    return calls


class _Prices:
    """The prices of one account, given all its calls of the months in question (D19)."""

    def __init__(self, reader: Reader, snapshot: Snapshot, calls: Mapping[tuple[str, date], int]) -> None:
        self._catalog, self._terms = reader.catalog, snapshot.terms
        self._daily = cycle_of(snapshot.account) is Cycle.DAILY
        self._month_calls: dict[tuple[str, str], int] = {}
        for (tag, day), number in calls.items():
            place = tag, month_of(day)
            self._month_calls[place] = self._month_calls.get(place, 0) + number

    def cost(self, calls: Mapping[tuple[str, date], int]) -> Decimal:
        """What the calls cost, rounded as a run rounds them: by tag and day, or month (D15)."""
        details: dict[tuple[str, str], Decimal] = {}
        for (tag, day), number in calls.items():
            period = tag, day.isoformat() if self._daily else month_of(day)
            details[period] = details.get(period, money.ZERO) + self._price(tag, day) * number
        return sum((money.round_to_fen(one) for one in details.values()), money.ZERO)

    def _price(self, tag: str, day: date) -> Decimal:
        if self._daily:
            return daily_price(self._catalog, self._terms, tag, day).unit_price
        month_calls = self._month_calls[tag, month_of(day)]
        return monthly_price(self._catalog, self._terms, tag, day, month_calls).unit_price
