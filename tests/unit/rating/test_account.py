"""An account: settlement cycle, status, arrears, stop and release (D2, D21 to D23)."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from rating.account import Account, Merchant, Stage, Status, Violation
from rating.allocation import Conditions
from rating.arrears import Arrears
from rating.funds import Funds
from rating.history import Interval, Switch
from rating.schedule import Cycle
from tests.unit.rating.building import SECOND, at

RUN = at("2025-03-02T08:00:00")
STOP = at("2025-03-03T08:00:00")
RELEASE = at("2025-04-02T08:00:00")


def opened(cash: str = "0", at_: datetime | None = None) -> Account:
    """An account whose service is open."""
    return Account(
        "acct-1",
        "Example",
        at("2025-01-01T00:00:00"),
        stage=Stage.OPENED,
        opened_at=at_ or at("2025-01-01T00:00:00"),
        funds=Funds(cash=Decimal(cash)),
    )


def moved(account: Account, amount: str, now: datetime) -> Account:
    """The account after a movement of cash."""
    return account.with_funds(replace(account.funds, cash=account.funds.cash + Decimal(amount)), now)


# --- cycle ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "opened_at, cycle",
    [
        ("2023-01-03T23:59:59+08:00", Cycle.MONTHLY),
        ("2023-01-04T00:00:00+08:00", Cycle.DAILY),
        ("2023-01-03T15:59:59+00:00", Cycle.MONTHLY),
        ("2023-01-03T16:00:00+00:00", Cycle.DAILY),
        ("2019-06-01T12:00:00+08:00", Cycle.MONTHLY),
        ("2025-03-01T00:00:00+08:00", Cycle.DAILY),
    ],
)
def test_the_opening_decides_the_cycle(opened_at: str, cycle: Cycle) -> None:
    """Opened before 2023-01-04 00:00 in Shanghai is monthly, that instant and later daily (D2)."""
    assert opened(at_=datetime.fromisoformat(opened_at)).cycle is cycle


def test_an_account_that_was_never_opened_has_no_cycle() -> None:
    """Without an opening there is nothing to settle (D2)."""
    assert replace(opened(), opened_at=None).cycle is None


# --- arrears --------------------------------------------------------------------------------------------------


def test_a_balance_of_zero_is_no_arrears() -> None:
    """Arrears begin below zero, not at it (D21)."""
    assert moved(opened("5.00"), "-5.00", RUN).arrears is None


def test_arrears_begin_at_the_charge_that_goes_below_zero() -> None:
    """Stop and release are computed from that charge: 24 hours, then 30 days (D21, D23)."""
    account = moved(opened("5.00"), "-5.01", RUN)
    assert account.arrears is not None
    assert (account.arrears.since, account.arrears.stops_at, account.arrears.releases_at) == (RUN, STOP, RELEASE)


def test_the_balance_decides_and_not_cash() -> None:
    """Gift and income transfer count: cash below zero alone is no arrears (D17, D21)."""
    account = opened().with_funds(Funds(Decimal(1), Decimal(1), Decimal("-2.00")), RUN)
    assert account.arrears is None
    assert opened().with_funds(Funds(Decimal(1), Decimal(1), Decimal("-2.01")), RUN).arrears == Arrears(RUN)


def test_more_charges_do_not_start_arrears_again() -> None:
    """The 24 hours run from the first charge that went below zero (D21)."""
    account = moved(moved(opened(), "-1.00", RUN), "-1.00", RUN + timedelta(hours=20))
    assert account.arrears == Arrears(RUN)
    assert account.status(STOP) is Status.STOPPED


def test_a_part_payment_changes_no_state() -> None:
    """A credit that does not reach zero is booked, and the 24 hours keep running (D21)."""
    account = moved(moved(opened(), "-1.00", RUN), "0.99", RUN + timedelta(hours=20))
    assert account.funds.available == Decimal("-0.01")
    assert account.arrears == Arrears(RUN)
    assert account.status(STOP - SECOND) is Status.ACTIVE
    assert account.status(STOP) is Status.STOPPED


@pytest.mark.parametrize("amount", ["1.00", "1.01"])
def test_a_credit_that_reaches_zero_ends_arrears_at_once(amount: str) -> None:
    """Zero suffices; nothing of arrears paid in time stays on record (D21)."""
    account = moved(moved(opened(), "-1.00", RUN), amount, STOP - SECOND)
    assert account.arrears is None
    assert account.stops == ()
    assert account.conditions() == Conditions()
    assert account.status(RELEASE) is Status.ACTIVE


def test_paying_after_the_stop_keeps_the_stop_on_record() -> None:
    """Usage inside the stop is still judged by it afterwards (D5, D22)."""
    paid = STOP + timedelta(hours=3)
    account = moved(moved(opened(), "-1.00", RUN), "1.00", paid)
    assert account.conditions() == Conditions(stops=(Interval(STOP, paid),))
    assert account.status(paid) is Status.ACTIVE


def test_paying_at_the_instant_of_the_stop_prevents_it() -> None:
    """A stop that would begin and end in one instant is none (D22)."""
    account = moved(moved(opened(), "-1.00", RUN), "1.00", STOP)
    assert account.stops == ()
    assert account.status(STOP) is Status.ACTIVE


def test_paying_after_the_release_keeps_both_on_record() -> None:
    """The release ended the packages for good; the service opens again without them (D23)."""
    paid = RELEASE + timedelta(days=1)
    account = moved(moved(opened(), "-1.00", RUN), "2.00", paid)
    assert account.conditions() == Conditions(stops=(Interval(STOP, paid),), releases=(RELEASE,))
    assert account.status(paid) is Status.ACTIVE


@pytest.mark.parametrize("offset, released", [(-SECOND, ()), (0 * SECOND, (RELEASE,))])
def test_a_release_happens_at_its_own_second(offset: timedelta, released: tuple[datetime, ...]) -> None:
    """A payment one second before it saves the packages, one at that second does not (D23)."""
    assert moved(moved(opened(), "-1.00", RUN), "1.00", RELEASE + offset).releases == released


def test_arrears_may_come_again() -> None:
    """A second time has a stop of its own beside the first (D21, D22)."""
    account = moved(moved(opened(), "-1.00", RUN), "1.00", STOP + SECOND)
    again = STOP + timedelta(days=2)
    account = moved(account, "-1.00", again)
    assert account.arrears == Arrears(again)
    assert account.conditions().stops == (
        Interval(STOP, STOP + SECOND),
        Interval(again + timedelta(hours=24)),
    )


def test_movements_are_booked_in_order() -> None:
    """A machine whose clock lags books at the time of the last movement, never before it."""
    assert opened().booked_at(RUN) == RUN
    account = moved(opened("5.00"), "-1.00", RUN)
    assert account.moved_at == RUN
    assert account.booked_at(RUN - SECOND) == RUN
    assert account.booked_at(RUN + SECOND) == RUN + SECOND
    assert moved(account, "1.00", STOP).moved_at == STOP


# --- status ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "now, status",
    [
        (RUN, Status.ACTIVE),
        (STOP - SECOND, Status.ACTIVE),
        (STOP, Status.STOPPED),
        (RELEASE - SECOND, Status.STOPPED),
        (RELEASE, Status.RELEASED),
        (RELEASE + timedelta(days=500), Status.RELEASED),
    ],
)
def test_arrears_stop_and_release_by_the_clock_alone(now: datetime, status: Status) -> None:
    """Exactly 24 hours, then exactly 30 days; no timer is needed for it (D21, D23)."""
    assert moved(opened(), "-0.01", RUN).status(now) is status


@pytest.mark.parametrize("stage", [Stage.NOT_OPENED, Stage.UNDER_REVIEW])
def test_an_account_that_is_not_open_shows_its_stage(stage: Stage) -> None:
    """Before the opening nothing else matters."""
    account = replace(opened(), stage=stage, violation=Violation(RUN, "x"), arrears=Arrears(RUN))
    assert account.status(RELEASE).value == stage.value


def test_a_violation_stops_apart_from_arrears_and_without_release() -> None:
    """A violation stop lasts until it is lifted and releases nothing (D22)."""
    account = replace(opened("5.00"), violation=Violation(RUN, "content"))
    assert account.status(RUN) is Status.STOPPED
    assert account.status(RUN + timedelta(days=400)) is Status.STOPPED
    assert account.conditions() == Conditions(stops=(Interval(RUN),))


def test_paying_does_not_lift_a_violation() -> None:
    """A violation and arrears end each by themselves (D22)."""
    account = replace(moved(opened(), "-1.00", RUN), violation=Violation(RUN, "content"))
    assert account.conditions() == Conditions(stops=(Interval(STOP), Interval(RUN)), releases=(RELEASE,))
    assert account.status(RELEASE) is Status.RELEASED
    paid = moved(account, "1.00", RUN + SECOND)
    assert paid.status(STOP) is Status.STOPPED
    assert paid.conditions() == Conditions(stops=(Interval(RUN),))


def test_the_conditions_hold_the_history_of_postpaid() -> None:
    """Allocation judges usage by the switch as it was (D5)."""
    switch = Switch(initial=True, flips=(RUN,))
    assert replace(opened(), postpaid=switch).conditions().postpaid == switch
    assert opened().postpaid == Switch(initial=True)


# --- merchants ------------------------------------------------------------------------------------------------


def test_a_merchant_is_found_by_its_id() -> None:
    """An id that was granted leads to when it was; any other one leads nowhere."""
    granted = tuple(Merchant(one, at(f"2025-03-0{number}T10:00:00")) for number, one in enumerate("ab", start=1))
    account = replace(opened(), merchants=granted)
    assert [account.merchant(one) for one in "ba"] == [granted[1], granted[0]]
    with pytest.raises(LookupError, match="acct-1"):
        account.merchant("c")
