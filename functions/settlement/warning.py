"""The warning that a balance will not last: after the run of a day, once a day (D28)."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from aws_platform import failures
from aws_platform.forecast import Forecast, Seen, forecast, see
from aws_platform.ledger import OutdatedError, transact
from aws_platform.snapshot import change
from rating import money
from rating.civil import ONE_DAY, business_instant
from rating.notices import Kind, Notice
from rating.schedule import begun_run_day

if TYPE_CHECKING:
    from datetime import date
    from decimal import Decimal

    from aws_platform.standing import Reader
    from rating.account import Account

DAYS_TO_LAST = 3
"""A balance that does not last so many days at yesterday's cost is low (D28)."""


def is_low(balance: Decimal, expected: Forecast) -> bool:
    """Whether the balance, less what is not settled, is used up before three days like yesterday are over."""
    return expected.day_cost > 0 and balance - expected.unsettled < DAYS_TO_LAST * expected.day_cost


def warn(reader: Reader, account_id: str, now: datetime, seen: Seen | None = None) -> bool:
    """Tell that the balance is low, if it is and that was not told today; whether it was told now.

    `seen` is the account as the run has left it. Where it has changed since, the warning fails by its version and the
    account is read again; that none is needed is true of the moment of the run.
    An account in arrears hears of those instead. Raises TryAgainError where others change the account for too long.
    """
    settings = reader.settings
    now = business_instant(now)
    run_day = begun_run_day(now)
    for attempt in failures.attempts():
        try:
            if attempt or seen is None:
                seen = see(reader, account_id)
            if seen is None or not _may_be_warned(seen.snapshot.account, run_day):
                return False
            account, day = seen.snapshot.account, run_day - ONE_DAY
            expected = forecast(reader, seen, day, now)
            if not is_low(account.funds.available, expected):
                return False
            when = account.booked_at(now)
            notice = _notice(account.funds.available, expected, day, when)
            _, writes = change(settings, account, replace(account, warned_on=run_day), when, notices=[notice])
            transact(reader.dynamodb, writes)
        except (OutdatedError, failures.TryAgainError):
            continue
        return True
    raise failures.TryAgainError


def _may_be_warned(account: Account, run_day: date) -> bool:
    return account.cycle is not None and account.arrears is None and account.warned_on != run_day


def _notice(balance: Decimal, expected: Forecast, day: date, when: datetime) -> Notice:
    data = {
        "balance": money.yuan(balance),
        "unsettled": money.yuan(expected.unsettled),
        "day": day.isoformat(),
        "day_cost": money.yuan(expected.day_cost),
    }
    return Notice(Kind.BALANCE_LOW, when, data)
