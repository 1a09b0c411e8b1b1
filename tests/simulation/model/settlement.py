"""Which package gives what, and what a run charges (D3, D4, D9 to D11, D14, D15, D19, D22)."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from functools import cache

from tests.simulation.model.money import Books, choose, paid_by, shares, to_fen
from tests.simulation.model.prices import PriceBook
from tests.simulation.model.state import ZERO, Account, Package, Row, Usage
from tests.simulation.model.times import RUN_TIME, day_of, first_of_next_month, last_day, midnight, month_of, stamp

NOT_CHARGEABLE = "not_chargeable"


@dataclass
class Covered:
    """How usage is covered: in the order of ``events``; and what each package gives, by its id."""

    events: list[tuple[Usage, str]] = field(default_factory=list)
    given: Counter[str] = field(default_factory=Counter)


def cover(account: Account, events: Iterable[Usage], now: datetime) -> Covered:
    """Take each call, one after the other in the order of time, from the first package that has something for it."""
    found = Covered()
    stock: dict[str, list[Package]] = defaultdict(list)
    for package in sorted(account.packages, key=lambda one: one.order):
        if package.delivered <= now:
            stock[package.tag].append(package)
    left = {package.package_id: package.total - package.used for package in account.packages}
    stopped, postpaid = cache(account.stopped_at), cache(account.postpaid_at)
    for event in sorted(events, key=lambda one: one.time):
        giver = None
        if not stopped(event.time):
            for package in stock[event.tag]:
                if left[package.package_id] and package.serves(event.time):
                    giver = package
                    break
        if giver is not None:
            left[giver.package_id] -= 1
            found.given[giver.package_id] += 1
            found.events.append((event, "free" if giver.source == "gift" else "paid"))
        else:
            found.events.append((event, "postpaid" if postpaid(event.time) else "uncovered"))
    return found


def unsettled(account: Account) -> list[Usage]:
    """Charged calls that no bill holds."""
    return [event for event in account.usage if event.charged]


def _period(account: Account, event: Usage) -> date:
    """The first day of the day or month that a call is settled with."""
    return event.day.replace(day=1) if account.monthly else event.day


def settle(account: Account, now: datetime, prices: PriceBook, books: Books) -> None:
    """The run of an account: all that is due, oldest first, a bill for each day or month.

    Late usage is due with the first 08:00 (of a 1st) after it has come. Where a run comes later than 08:00, a day or
    month of which something is due is taken with all that has come of it until then: of that the texts say nothing.
    """
    books.release_packages(account, now)
    due = {_period(account, event) for event in account.usage if event.due <= now}
    if due:
        _take(account, due, now, prices, books)
    _close_months(account, now)


def _take(account: Account, due: set[date], now: datetime, prices: PriceBook, books: Books) -> None:
    """Settle days or months, oldest first."""
    taken = [event for event in account.usage if _period(account, event) in due]
    account.usage = [event for event in account.usage if _period(account, event) not in due]
    found = cover(account, [event for event in taken if event.charged], now)
    for package in account.packages:
        package.used += found.given[package.package_id]
    periods: dict[date, list[tuple[Usage, str]]] = defaultdict(list)
    for event, how in found.events:
        account.count(event, how)
        periods[_period(account, event)].append((event, how))
    for event in taken:
        if not event.charged:
            account.count(event, NOT_CHARGEABLE)
    for first in sorted(periods):
        _bill(account, first, periods[first], now, prices, books)


def _bill(
    account: Account,
    first: date,
    events: list[tuple[Usage, str]],
    now: datetime,
    prices: PriceBook,
    books: Books,
) -> None:
    """One bill: a row for each tag, paid in one go."""
    label = month_of(first) if account.monthly else first.isoformat()
    rows: list[Row] = []
    for tag in sorted({event.tag for event, _ in events}):
        hows = Counter(how for event, how in events if event.tag == tag)
        days = Counter(event.day for event, how in events if event.tag == tag and how == "postpaid")
        fee = _month_fee(account, tag, label, days, prices) if account.monthly else _fee(account, tag, days, prices)
        covered = hows["free"] + hows["paid"]
        key = (label, tag, stamp(now))
        rows.append(Row(key, hows.total(), covered, hows["postpaid"], hows["uncovered"], fee, to_fen(fee), {}))
    # What a month pays back goes to cash, the rest takes the usual order (D4, D16, D19).
    amounts = [max(row.amount, ZERO) for row in rows]
    total = sum(amounts, ZERO)
    voucher = choose(account.vouchers.values(), total, now)
    payment = paid_by(account, total, voucher)
    for row, part in zip(rows, shares(amounts, payment), strict=True):
        part["cash"] += min(row.amount, ZERO)
        account.rows.append(row._replace(payment=part))
    credit = -sum((min(row.amount, ZERO) for row in rows), ZERO)
    books.book(account, now, "settlement", payment, voucher, credit)
    account.charged_months.add(month_of(day_of(now)))
    account.settled_through = max(account.settled_through, last_day(label) if account.monthly else first)


def _fee(account: Account, tag: str, days: Counter[date], prices: PriceBook) -> Decimal:
    """Price times calls of a day."""
    listed = {day: prices.listed(tag, day, calls, monthly=False) for day, calls in days.items()}
    return sum((account.terms.price(tag, day, listed[day]) * calls for day, calls in days.items()), ZERO)


def _month_fee(account: Account, tag: str, month: str, days: Counter[date], prices: PriceBook) -> Decimal:
    """What the whole month costs with these calls, less what it was charged before (D19)."""
    calls = account.month_calls.setdefault((month, tag), {})
    for day, more in days.items():
        calls[day] = calls.get(day, 0) + more
    reached = sum(calls.values())
    fee = ZERO
    for day, number in calls.items():
        fee += account.terms.price(tag, day, prices.listed(tag, day, reached, monthly=True)) * number
    before = account.month_cost.get((month, tag), ZERO)
    account.month_cost[month, tag] = fee
    return fee - before


def _close_months(account: Account, now: datetime) -> None:
    """From 08:00 of the 1st on a run closes the months before, by date of the charge (D15)."""
    for month in sorted(account.charged_months):
        if midnight(first_of_next_month(date.fromisoformat(f"{month}-01"))) + RUN_TIME <= now:
            account.charged_months.remove(month)
            rows = [row for row in account.rows if row.key[0][:4].isdigit() and row.key[2].startswith(month)]
            difference = sum((row.amount - row.cost for row in rows), ZERO)
            key = ("precision_difference", month, "")
            account.rows.append(Row(key, 0, 0, 0, 0, difference, ZERO, {}))
