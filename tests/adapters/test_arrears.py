"""Arrears from the charge that begins them to the payment that ends them, at the worst moments (D21, D28)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from aws_platform import clients
from aws_platform.settings import Settings
from rating.history import Interval
from rating.notices import Kind
from tests.adapters.notices import STATES, adjust, counted_calls, kinds, kinds_by_page, pass_time, times, told
from tests.adapters.prepaid import TAG, buy, entitlement, give_back, order, use
from tests.adapters.steps import A, at, balance, kept, lose_answer, meanwhile, prepared, rows
from tests.support.product import Product
from timers import arrears

SECOND = timedelta(seconds=1)
USED_AT = "2025-03-01T09:00:00+08:00"
BEGAN = "2025-03-02T08:00:00+08:00"
STOPS = "2025-03-03T08:00:00+08:00"
RELEASES = "2025-04-02T08:00:00+08:00"
TIMES = {"since": BEGAN, "stops_at": STOPS, "releases_at": RELEASES}


@pytest.fixture
def poor(product: Product, opened: dict[str, list[Any]]) -> Product:
    """The product with a daily account that has ten yuan."""

    def open_one() -> None:
        product.open_account("acct-1", cash="10.00", opened_at="2025-01-01T00:00:00+08:00")

    prepared(product, opened, "without money", open_one)
    return product


@pytest.fixture
def owing(poor: Product) -> Product:
    """The same, two yuan below zero since the run of 2 March."""
    use(poor, 40, USED_AT)
    poor.move(BEGAN)
    assert balance(poor)["available"] == "-2.00"
    return poor


def status(product: Product) -> tuple[str, str | None]:
    """The status of the account, and why a call would be refused."""
    return product.get(A).body["status"], entitlement(product)["reason"]


def sweep_at(product: Product, moment: str) -> None:
    """A sweep at this moment, and none before it."""
    product.now = at(moment)
    product.sweep()


# --- how arrears begin ----------------------------------------------------------------------------------------


def test_the_settlement_that_goes_below_zero_tells_arrears(owing: Product) -> None:
    """Arrears begin at that charge, with the times of stop and release, and are told once (D21, D28)."""
    assert owing.get(A).body["arrears"] == TIMES
    (notice,) = told(owing)
    assert notice.notice.kind is Kind.ARREARS
    assert notice.notice.occurred_at == at(BEGAN)
    assert notice.notice.data == {"balance": "-2.00", **TIMES}
    (charge,) = [entry for entry in rows(owing, f"{A}/journal") if entry["kind"] == "settlement"]
    assert charge["occurred_at"] == BEGAN
    assert status(owing) == ("active", None)


def test_arrears_are_told_by_the_transaction_of_the_charge(poor: Product) -> None:
    """The page of the notice, the bill and the journal are one transaction: none can be without the others (D21)."""
    use(poor, 40, USED_AT)
    with counted_calls() as calls:
        poor.move(BEGAN)
    written = [
        {item["Put"]["Item"]["sk"]["S"].partition("#")[0] for item in request["TransactItems"] if "Put" in item}
        for operation, request in calls
        if operation == "TransactWriteItems"
    ]
    (page,) = [found for found in written if "N" in found]
    assert {"0", "B", "J", "N"} <= page


@pytest.mark.parametrize("amount, expected", [("-9.99", []), ("-10.00", []), ("-10.01", ["arrears"])])
def test_an_adjustment_begins_arrears_below_zero_only(poor: Product, amount: str, expected: list[str]) -> None:
    """A charge by the operator begins arrears as a settlement does; a balance of zero is none (D17, D21)."""
    adjust(poor, amount)
    assert kinds(poor) == expected
    assert bool(poor.get(A).body["arrears"]) is bool(expected)
    poor.move("2025-04-10T00:00:00+08:00")
    assert status(poor)[0] == ("released" if expected else "active")


def test_further_charges_begin_nothing_anew(owing: Product) -> None:
    """A second settlement and an adjustment in arrears neither restart the 24 hours nor tell anything (D21)."""
    owing.move("2025-03-02T20:00:00+08:00")
    use(owing, 10, "2025-03-02T10:00:00+08:00")
    adjust(owing, "-1.00")
    owing.move("2025-03-03T09:00:00+08:00")
    assert balance(owing)["available"] == "-6.00"
    assert owing.get(A).body["arrears"] == TIMES
    assert times(owing) == [("arrears", BEGAN), ("stopped/arrears", STOPS)]


def test_a_lost_answer_tells_nothing_twice(poor: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the answer of the settlement, of the timer or of the payment gets lost, each notice is there once (D28)."""
    use(poor, 40, USED_AT)
    poor.move("2025-03-02T07:59:59+08:00")
    lose_answer(monkeypatch)
    poor.move(BEGAN)
    poor.now = at(STOPS)
    lose_answer(monkeypatch)
    poor.sweep()
    poor.now = at("2025-03-03T09:00:00+08:00")
    lose_answer(monkeypatch)
    assert poor.top_up("acct-1", "2.00").status == 201
    poor.sweep()
    assert kinds(poor) == ["arrears", "stopped/arrears", "resumed/arrears"]
    assert balance(poor)["available"] == "0.00"


# --- the stop comes by the clock ------------------------------------------------------------------------------


@pytest.mark.parametrize("swept", ["on time", "hours late", "never"])
def test_the_stop_and_the_release_come_by_the_clock(owing: Product, swept: str) -> None:
    """Status and entitlement change at their own seconds, whether the timer is on time, late or never runs (D21)."""
    moments = [
        ("2025-03-03T07:59:59+08:00", ("active", None)),
        (STOPS, ("stopped", "stopped")),
        ("2025-03-03T13:00:00+08:00", ("stopped", "stopped")),
        ("2025-04-02T07:59:59+08:00", ("stopped", "stopped")),
        (RELEASES, ("released", "released")),
        ("2025-04-02T13:00:00+08:00", ("released", "released")),
    ]
    for moment, expected in moments:
        owing.now = at(moment)
        if swept == "on time" or (swept == "hours late" and "T13" in moment):
            owing.sweep()
        assert status(owing) == expected
    found = [("arrears", BEGAN), ("stopped/arrears", STOPS), ("released", RELEASES)]
    assert times(owing) == found[: 1 if swept == "never" else 3]


def test_what_is_told_of_the_stop(owing: Product) -> None:
    """The notice names its cause, since when the balance is below zero, and when service stopped and ends (D28)."""
    adjust(owing, "-0.50")
    sweep_at(owing, "2025-03-03T11:22:33+08:00")
    stopped = told(owing)[-1].notice
    assert stopped.data == {"cause": "arrears", "balance": "-2.50", **TIMES}
    assert stopped.occurred_at == at(STOPS)
    sweep_at(owing, "2025-04-05T11:22:33+08:00")
    released = told(owing)[-1].notice
    assert (released.kind, released.occurred_at) == (Kind.RELEASED, at(RELEASES))
    assert released.data == {"balance": "-2.50", **TIMES}


def test_a_sweep_that_comes_after_both_tells_both(owing: Product) -> None:
    """Had no sweep run for 40 days, one tells the stop and the release, in that order, at their own times (D23)."""
    sweep_at(owing, "2025-04-11T00:00:00+08:00")
    assert kinds_by_page(owing, *STATES) == [["arrears"], ["stopped/arrears", "released"]]
    assert times(owing)[1:] == [("stopped/arrears", STOPS), ("released", RELEASES)]


def test_repeated_late_and_stale_sweeps_tell_once(owing: Product) -> None:
    """A sweep with an old list of what is due finds nothing to tell, before, after and long after it was told."""
    settings = Settings.from_environment()
    for moment in ("2025-03-03T07:59:59+08:00", STOPS, STOPS, "2025-03-03T09:00:00+08:00", RELEASES, RELEASES):
        owing.now = at(moment)
        for _ in range(2):
            arrears.tell(clients.dynamodb(), settings, "acct-1", owing.now)
            owing.sweep()
    assert kinds(owing) == ["arrears", "stopped/arrears", "released"]


def test_orders_are_refused_in_arrears(owing: Product) -> None:
    """From the charge on, not only from the stop, and after the release too; and allowed once it is paid (D17, D22)."""
    items = [{"sku": f"{TAG}:1000", "quantity": 1}]
    for moment in (BEGAN, STOPS, RELEASES):
        owing.now = at(moment)
        refused = order(owing, items)
        assert (refused.status, refused.code) == (409, "account_in_arrears")
    owing.top_up("acct-1", "302.00")
    assert order(owing, items).status == 201


# --- payments at the worst moments ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "moment, swept, expected",
    [
        ("2025-03-02T08:00:00+08:00", False, []),
        ("2025-03-03T07:59:59+08:00", True, []),
        (STOPS, False, [["stopped/arrears", "resumed/arrears"]]),
        (STOPS, True, [["stopped/arrears"], ["resumed/arrears"]]),
        ("2025-03-03T08:00:01+08:00", False, [["stopped/arrears", "resumed/arrears"]]),
        ("2025-03-03T08:00:01+08:00", True, [["stopped/arrears"], ["resumed/arrears"]]),
        ("2025-04-02T07:59:59+08:00", False, [["stopped/arrears", "resumed/arrears"]]),
        (RELEASES, False, [["stopped/arrears", "released", "resumed/arrears"]]),
        ("2025-05-01T00:00:00+08:00", False, [["stopped/arrears", "released", "resumed/arrears"]]),
        ("2025-05-01T00:00:00+08:00", True, [["stopped/arrears", "released"], ["resumed/arrears"]]),
    ],
)
def test_a_payment_around_the_stop(owing: Product, moment: str, swept: bool, expected: list[list[str]]) -> None:  # noqa: FBT001
    """A second before the stop nothing stops; from its second on the payment tells what no timer has (D21)."""
    owing.now = at(moment)
    if swept:
        owing.sweep()
    assert owing.top_up("acct-1", "2.00").status == 201
    assert kinds_by_page(owing, *STATES)[1:] == expected
    assert status(owing) == ("active", None)
    assert owing.get(A).body["arrears"] is None
    stop = [Interval(at(STOPS), at(moment))] if at(moment) > at(STOPS) else []
    assert list(kept(owing).account.conditions().stops) == stop
    owing.sweep()
    pass_time(owing, "2025-05-10T00:00:00+08:00")
    assert kinds_by_page(owing, *STATES)[1:] == expected


def test_what_is_told_when_service_resumes(owing: Product) -> None:
    """The notice says what ended, when, and what the balance is (D28)."""
    owing.move("2025-03-04T12:34:56+08:00")
    owing.top_up("acct-1", "5.00")
    resumed = told(owing)[-1].notice
    when = "2025-03-04T12:34:56+08:00"
    assert resumed.data == {"cause": "arrears", "resumed_at": when, "balance": "3.00"}
    assert resumed.occurred_at == at(when)


@pytest.mark.parametrize(
    "moment, expected",
    [
        (STOPS, ["stopped/arrears", "resumed/arrears"]),
        ("2025-03-03T08:00:01+08:00", ["stopped/arrears", "resumed/arrears"]),
        ("2025-03-03T20:00:00+08:00", ["stopped/arrears", "resumed/arrears"]),
    ],
)
def test_a_payment_between_the_timer_and_its_write(
    owing: Product, monkeypatch: pytest.MonkeyPatch, moment: str, expected: list[str]
) -> None:
    """The timer that read an account which pays before it writes tells nothing more: the payment does (D21)."""
    owing.now = at(moment)
    meanwhile(monkeypatch, lambda: owing.top_up("acct-1", "2.00"))
    owing.sweep()
    assert kinds(owing)[1:] == expected
    assert status(owing) == ("active", None)


def test_a_timer_between_the_payment_and_its_write(owing: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    """The payment that read an account which a timer stops before it writes tells the stop no second time (D21)."""
    owing.now = at("2025-03-03T08:00:20+08:00")
    meanwhile(monkeypatch, owing.sweep)
    assert owing.top_up("acct-1", "2.00").status == 201
    assert kinds_by_page(owing, *STATES)[1:] == [["stopped/arrears"], ["resumed/arrears"]]


def test_part_payments_change_no_state(owing: Product) -> None:
    """They are booked, tell nothing, and the 24 hours keep running; the one that reaches zero ends it (D21)."""
    for moment, left in (("2025-03-02T12:00:00+08:00", "-1.50"), ("2025-03-03T07:59:59+08:00", "-1.00")):
        owing.move(moment)
        owing.top_up("acct-1", "0.50")
        assert balance(owing)["available"] == left
        assert owing.get(A).body["arrears"] == TIMES
    owing.move(STOPS)
    assert status(owing) == ("stopped", "stopped")
    owing.move("2025-03-03T12:00:00+08:00")
    owing.top_up("acct-1", "0.99")
    assert status(owing) == ("stopped", "stopped")
    assert kinds(owing) == ["arrears", "stopped/arrears"]
    owing.top_up("acct-1", "0.01")
    assert status(owing) == ("active", None)
    assert kinds(owing) == ["arrears", "stopped/arrears", "resumed/arrears"]


def test_a_part_payment_after_the_stop_that_no_timer_has_told(owing: Product) -> None:
    """It tells neither a stop nor that service resumes; the late timer tells the stop, once (D21)."""
    owing.now = at("2025-03-03T08:00:10+08:00")
    owing.top_up("acct-1", "1.99")
    assert kinds(owing) == ["arrears"]
    owing.sweep()
    owing.sweep()
    assert times(owing)[1:] == [("stopped/arrears", STOPS)]


def _gift(product: Product) -> None:
    assert product.top_up("acct-1", "2.00", "gift").status == 201


def _income(product: Product) -> None:
    assert product.top_up("acct-1", "2.00", "income_transfer").status == 201


def _compensation(product: Product) -> None:
    adjust(product, "2.00")


@pytest.mark.parametrize("pay", [_gift, _income, _compensation])
@pytest.mark.parametrize(
    "moment, expected",
    [("2025-03-02T20:00:00+08:00", []), ("2025-03-04T12:00:00+08:00", ["stopped/arrears", "resumed/arrears"])],
)
def test_every_credit_ends_arrears(
    owing: Product, pay: Callable[[Product], None], moment: str, expected: list[str]
) -> None:
    """A gift, an income transfer and a compensation do as cash does, at once (D21)."""
    owing.move(moment)
    pay(owing)
    assert balance(owing)["available"] == "0.00"
    assert status(owing) == ("active", None)
    assert kinds(owing)[1:] == expected


@pytest.mark.parametrize("swept", [True, False])
def test_a_refund_is_allowed_in_arrears_and_its_money_ends_them(poor: Product, swept: bool) -> None:  # noqa: FBT001
    """The refund is taken while service is stopped; service resumes when its money comes, not before (D17, D26)."""
    poor.top_up("acct-1", "300.00")
    (package_id,) = buy(poor)
    adjust(poor, "-12.00")
    stopped = "2025-03-02T10:00:00+08:00"
    poor.now = at("2025-03-02T10:00:30+08:00")
    if swept:
        poor.sweep()
    assert give_back(poor, package_id).status == 202
    assert status(poor) == ("stopped", "stopped")
    poor.now = at("2025-03-02T10:03:29+08:00")
    poor.sweep()
    assert status(poor) == ("stopped", "stopped")
    poor.now = at("2025-03-02T10:03:30+08:00")
    poor.sweep()
    assert status(poor) == ("active", None)
    assert balance(poor)["available"] == "298.00"
    assert times(poor, *STATES)[1:] == [
        ("stopped/arrears", stopped),
        ("resumed/arrears", "2025-03-02T10:03:30+08:00"),
    ]
    assert kinds(poor).count("refund_completed") == 1


def test_a_refund_whose_money_does_not_reach_zero(poor: Product) -> None:
    """It is booked, told as completed, and service stays stopped (D21, D26)."""
    poor.top_up("acct-1", "300.00")
    (package_id,) = buy(poor)
    adjust(poor, "-400.00")
    poor.move("2025-03-02T11:00:00+08:00")
    assert give_back(poor, package_id).status == 202
    poor.move("2025-03-02T11:03:00+08:00")
    assert balance(poor)["available"] == "-90.00"
    assert status(poor) == ("stopped", "stopped")
    assert kinds(poor, *STATES) == ["arrears", "stopped/arrears"]
    assert kinds(poor)[-1] == "refund_completed"


# --- a payment and a settlement at once -----------------------------------------------------------------------


def test_a_payment_just_before_the_settlement_writes(poor: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    """The settlement computes again with the money, and nobody is told of arrears that never were (D21)."""
    use(poor, 40, USED_AT)
    poor.move("2025-03-02T07:59:59+08:00")
    meanwhile(monkeypatch, lambda: poor.top_up("acct-1", "2.00"))
    poor.move(BEGAN)
    assert balance(poor)["available"] == "0.00"
    assert kinds(poor, *STATES) == []
    poor.move("2025-03-04T09:00:00+08:00")
    assert kinds(poor, *STATES) == []


def test_a_settlement_just_before_the_payment_writes(poor: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    """Arrears begin and end in the same second; they are told, and no stop follows (D21)."""
    use(poor, 40, USED_AT)
    poor.move("2025-03-02T07:59:59+08:00")
    poor.now = at(BEGAN)
    meanwhile(monkeypatch, poor.run)
    assert poor.top_up("acct-1", "2.00").status == 201
    assert balance(poor)["available"] == "0.00"
    assert poor.get(A).body["arrears"] is None
    poor.move("2025-03-04T09:00:00+08:00")
    assert times(poor, *STATES) == [("arrears", BEGAN)]
    assert status(poor) == ("active", None)


def test_a_settlement_just_before_a_part_payment_writes(poor: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    """The payment that sufficed when it was read does not suffice any more: the arrears stay as they began (D21)."""
    use(poor, 40, USED_AT)
    poor.move("2025-03-02T07:59:59+08:00")
    poor.now = at(BEGAN)
    meanwhile(monkeypatch, poor.run)
    assert poor.top_up("acct-1", "1.99").status == 201
    assert poor.get(A).body["arrears"] == TIMES
    poor.move(STOPS)
    assert times(poor, *STATES) == [("arrears", BEGAN), ("stopped/arrears", STOPS)]


def test_arrears_that_come_again_are_told_again(owing: Product) -> None:
    """A second time has its own notices and its own 24 hours, counted from its own charge (D21)."""
    owing.move("2025-03-02T12:00:00+08:00")
    owing.top_up("acct-1", "2.00")
    owing.move("2025-03-02T20:00:00+08:00")
    adjust(owing, "-1.00")
    owing.move("2025-03-03T19:59:59+08:00")
    assert status(owing) == ("active", None)
    owing.move("2025-03-04T00:00:00+08:00")
    owing.top_up("acct-1", "1.00")
    owing.move("2025-03-04T01:00:00+08:00")
    adjust(owing, "-3.00")
    owing.move("2025-03-05T02:00:00+08:00")
    assert times(owing, *STATES) == [
        ("arrears", BEGAN),
        ("arrears", "2025-03-02T20:00:00+08:00"),
        ("stopped/arrears", "2025-03-03T20:00:00+08:00"),
        ("resumed/arrears", "2025-03-04T00:00:00+08:00"),
        ("arrears", "2025-03-04T01:00:00+08:00"),
        ("stopped/arrears", "2025-03-05T01:00:00+08:00"),
    ]
    since, again = "2025-03-04T01:00:00+08:00", "2025-03-05T01:00:00+08:00"
    expected = {"since": since, "stops_at": again, "releases_at": "2025-04-04T01:00:00+08:00"}
    assert owing.get(A).body["arrears"] == expected


def test_a_stale_timer_of_paid_arrears_does_not_touch_new_ones(owing: Product) -> None:
    """A sweep that listed the first arrears finds the second ones, whose time has not come (D21)."""
    owing.now = at("2025-03-03T07:00:00+08:00")
    owing.top_up("acct-1", "2.00")
    adjust(owing, "-1.00")
    owing.now = at(STOPS)
    arrears.tell(clients.dynamodb(), Settings.from_environment(), "acct-1", owing.now)
    assert status(owing) == ("active", None)
    assert kinds(owing, *STATES) == ["arrears", "arrears"]


def test_a_monthly_account_stops_24_hours_after_its_run_too(product: Product) -> None:
    """The charge of the 1st begins the arrears of an account that settles monthly (D2, D21)."""
    product.open_account("acct-1", cash="10.00", opened_at="2022-06-01T00:00:00+08:00")
    use(product, 40, USED_AT)
    product.move("2025-04-02T08:00:00+08:00")
    assert times(product, *STATES) == [
        ("arrears", "2025-04-01T08:00:00+08:00"),
        ("stopped/arrears", "2025-04-02T08:00:00+08:00"),
    ]
