"""Arrears, stops and releases against a log of the balance (D21 to D23)."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from rating.account import Account, Stage, Status
from rating.civil import start_of
from rating.funds import Funds
from rating.history import covered
from rating.schedule import Cycle
from tests.property.strategies import SECOND, instants

OPENED = start_of(date(2025, 3, 1))
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
Log = list[tuple[datetime, Decimal]]

_GAPS = st.one_of(
    st.sampled_from([timedelta(0), SECOND, 24 * HOUR - SECOND, 24 * HOUR, 24 * HOUR + SECOND])
    | st.sampled_from([31 * DAY - SECOND, 31 * DAY, 31 * DAY + SECOND]),
    st.integers(0, 40 * 24).map(lambda hours: hours * HOUR),
)
_MOVES = st.lists(st.tuples(_GAPS, st.integers(-3, 3)), max_size=8)


def _negative_since(log: Log, second: datetime) -> datetime | None:
    """Since when the balance has been below zero without a break, as of that second."""
    since = None
    for when, balance in log:
        if when > second:
            break
        since = (since or when) if balance < 0 else None
    return since


def _status(log: Log, second: datetime) -> Status:
    since = _negative_since(log, second)
    if since is None or second < since + 24 * HOUR:
        return Status.ACTIVE
    return Status.STOPPED if second < since + 24 * HOUR + 30 * DAY else Status.RELEASED


def _releases(log: Log) -> set[datetime]:
    """When a stretch below zero lasted until its release; the last one will unless something changes."""
    found = set()
    last = log[-1][0]
    for when, _ in log:
        since = _negative_since(log, when)
        if since is None:
            continue
        release = since + 24 * HOUR + 30 * DAY
        before = _negative_since([entry for entry in log if entry[0] < release], release)
        if before == since or (release > last and _negative_since(log, last) == since):
            found.add(release)
    return found


def _replay(moves: list[tuple[timedelta, int]]) -> tuple[list[Account], Log]:
    """The account after each movement of money, and the log of its balance."""
    account = Account("a", "A", OPENED, stage=Stage.OPENED, opened_at=OPENED)
    now, accounts, log = OPENED, [account], [(OPENED, Decimal(0))]
    for gap, amount in moves:
        now += gap
        account = account.with_funds(Funds(cash=account.funds.cash + amount), now)
        accounts.append(account)
        log.append((now, account.funds.available))
    return accounts, log


@settings(max_examples=200)
@given(_MOVES)
def test_the_status_follows_from_the_log_of_the_balance(moves: list[tuple[timedelta, int]]) -> None:
    """Stopped 24 hours after the balance went below zero and stayed there, released 30 days later (D21, D23)."""
    accounts, log = _replay(moves)
    ends = [when for when, _ in log[1:]] + [log[-1][0] + 60 * DAY]
    for number, (account, end) in enumerate(zip(accounts, ends, strict=True)):
        known = log[: number + 1]
        assert (account.arrears and account.arrears.since) == _negative_since(known, known[-1][0])
        marks = [known[-1][0], end - SECOND]
        if account.arrears is not None:
            marks += [account.arrears.since + at for at in (24 * HOUR - SECOND, 24 * HOUR)]
            marks += [account.arrears.since + 31 * DAY + at for at in (-SECOND, timedelta(0))]
        for second in marks:
            if known[-1][0] <= second < end:
                assert account.status(second) is _status(known, second)


@settings(max_examples=200)
@given(_MOVES)
def test_usage_of_any_time_is_judged_by_the_stop_of_that_time(moves: list[tuple[timedelta, int]]) -> None:
    """Long afterwards, the conditions still tell at which seconds the service was stopped (D5, D22)."""
    accounts, log = _replay(moves)
    conditions = accounts[-1].conditions()
    marks = {when + by for when, _ in log for by in (-SECOND, timedelta(0), SECOND, 24 * HOUR, 24 * HOUR - SECOND)}
    marks |= {one + (other - one) / 2 for (one, _), (other, _) in pairwise(log)}
    for second in marks | {log[-1][0] + 100 * DAY}:
        assert covered(conditions.stops, second) == (_status(log, second) is not Status.ACTIVE)
    assert set(conditions.releases) == _releases(log)


@given(instants(date(2022, 12, 30), date(2023, 1, 8)))
def test_the_cycle_follows_from_the_opening(opened_at: datetime) -> None:
    """Monthly if and only if opened before 2023-01-04 00:00 at +08:00, 1672761600 in epoch seconds (D2)."""
    account = Account("a", "A", OPENED, stage=Stage.OPENED, opened_at=opened_at)
    assert (account.cycle is Cycle.MONTHLY) == (opened_at.timestamp() < 1_672_761_600)
