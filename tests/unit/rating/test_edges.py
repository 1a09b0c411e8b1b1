"""What changes of accounts and packages tell, each once (D21 to D23, D27, D28)."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from rating.account import Account, Stage, Violation
from rating.allocation import Source
from rating.arrears import Arrears
from rating.edges import account_notices, account_told, delivered, wallet_told, wallet_used
from rating.funds import Funds
from rating.notices import Kind, Notice
from rating.wallet import NOTHING, Edge, Wallet, WalletPackage
from tests.unit.rating.building import SECOND, TAG, at

SINCE = at("2025-03-02T08:00:00")
STOPS = at("2025-03-03T08:00:00")
RELEASES = at("2025-04-02T08:00:00")
TIMES = {
    "since": "2025-03-02T08:00:00+08:00",
    "stops_at": "2025-03-03T08:00:00+08:00",
    "releases_at": "2025-04-02T08:00:00+08:00",
}
GOOD = Account("acct-1", "Example", SINCE, stage=Stage.OPENED, opened_at=SINCE, funds=Funds(cash=Decimal("5.00")))
OWING = GOOD.with_funds(Funds(cash=Decimal("-2.00")), SINCE)
DELIVERED = at("2025-03-01T14:30:00")
ENDS = at("2026-03-01T23:59:59")
LATER = at("2025-06-01T00:00:00")


def names(notices: list[Notice]) -> list[str]:
    """Kinds, with their causes."""
    return [f"{one.kind.value}/{one.data['cause']}" if "cause" in one.data else one.kind.value for one in notices]


def paid(account: Account, when: datetime, cash: str = "0.00") -> Account:
    """The account after a movement that leaves this much."""
    return account.with_funds(Funds(cash=Decimal(cash)), when)


def violating(account: Account, since: datetime) -> Account:
    """The account with a violation stop."""
    return replace(account, violation=Violation(since, "content"))


# --- accounts -------------------------------------------------------------------------------------------------


def test_a_change_that_changes_no_state_tells_nothing() -> None:
    """Neither a payment nor a charge of an account with money, nor of one in arrears, is told (D28)."""
    assert account_notices(GOOD, paid(GOOD, SINCE), SINCE) == []
    assert account_notices(OWING, paid(OWING, STOPS - SECOND, "-1.00"), STOPS - SECOND) == []
    assert account_notices(OWING, replace(OWING, name="Other"), RELEASES) == []


def test_arrears_are_told_with_what_follows() -> None:
    """The balance after the charge, and both times (D21, D28)."""
    assert account_notices(GOOD, OWING, SINCE) == [Notice(Kind.ARREARS, SINCE, {"balance": "-2.00", **TIMES})]


@pytest.mark.parametrize(
    "now, stop, release",
    [
        (STOPS - SECOND, False, False),
        (STOPS, True, False),
        (RELEASES - SECOND, True, False),
        (RELEASES, True, True),
        (RELEASES + timedelta(days=99), True, True),
    ],
)
def test_what_a_timer_tells(now: datetime, stop: bool, release: bool) -> None:  # noqa: FBT001
    """What has come by now, at its own instant; a second look tells nothing (D21, D23)."""
    told = account_told(OWING, now)
    assert told.arrears == Arrears(SINCE, stop_told=stop, release_told=release)
    expected = [Notice(Kind.STOPPED, STOPS, {"cause": "arrears", "balance": "-2.00", **TIMES})] if stop else []
    expected += [Notice(Kind.RELEASED, RELEASES, {"balance": "-2.00", **TIMES})] if release else []
    assert account_notices(OWING, told, now) == expected
    assert account_told(told, now) == told
    assert account_notices(told, told, now) == []


def test_a_timer_of_an_account_without_arrears() -> None:
    """It was paid, so nothing is told (D21)."""
    assert account_told(GOOD, RELEASES) == GOOD


@pytest.mark.parametrize(
    "when, told_at, expected",
    [
        (STOPS - SECOND, None, []),
        (STOPS, None, ["stopped/arrears", "resumed/arrears"]),
        (STOPS, STOPS, ["resumed/arrears"]),
        (STOPS + SECOND, None, ["stopped/arrears", "resumed/arrears"]),
        (STOPS + SECOND, STOPS, ["resumed/arrears"]),
        (RELEASES - SECOND, None, ["stopped/arrears", "resumed/arrears"]),
        (RELEASES, None, ["stopped/arrears", "released", "resumed/arrears"]),
        (RELEASES, STOPS, ["released", "resumed/arrears"]),
        (RELEASES, RELEASES, ["resumed/arrears"]),
    ],
)
def test_what_a_payment_tells(when: datetime, told_at: datetime | None, expected: list[str]) -> None:
    """What no timer has told, and that service resumes; nothing where it never stopped (D21, D23)."""
    before = account_told(OWING, told_at) if told_at else OWING
    notices = account_notices(before, paid(before, when, "3.00"), when)
    assert names(notices) == expected
    if expected:
        data = {"cause": "arrears", "resumed_at": when.isoformat(), "balance": "3.00"}
        assert notices[-1] == Notice(Kind.RESUMED, when, data)
    assert {one.data["balance"] for one in notices[:-1]} <= {"-2.00"}


def test_a_violation_and_its_end() -> None:
    """Told when it begins and when it is lifted, with no release (D22, D28)."""
    stopped = violating(GOOD, SINCE)
    (notice,) = account_notices(GOOD, stopped, SINCE)
    since = TIMES["since"]
    data = {"cause": "violation", "since": since, "stops_at": since, "releases_at": None, "balance": "5.00"}
    assert notice == Notice(Kind.STOPPED, SINCE, data)
    assert account_notices(stopped, violating(stopped, SINCE), STOPS) == []
    assert names(account_notices(stopped, GOOD, STOPS)) == ["resumed/violation"]


@pytest.mark.parametrize(
    "when, told_at, expected",
    [
        (STOPS - SECOND, None, ["resumed/violation"]),
        (STOPS, None, []),
        (STOPS, STOPS, []),
        (RELEASES, None, []),
        (RELEASES, RELEASES, []),
    ],
)
def test_a_violation_lifted_in_arrears(when: datetime, told_at: datetime | None, expected: list[str]) -> None:
    """Service resumes only while the arrears have not stopped it, whether that was told or not (D22)."""
    lifted = account_told(OWING, told_at) if told_at else OWING
    assert names(account_notices(violating(lifted, SINCE), lifted, when)) == expected


@pytest.mark.parametrize(
    "when, told_at, expected",
    [
        (STOPS - SECOND, None, []),
        (STOPS + SECOND, None, ["stopped/arrears"]),
        (STOPS + SECOND, STOPS, []),
        (RELEASES, None, ["stopped/arrears", "released"]),
    ],
)
def test_a_payment_in_a_violation(when: datetime, told_at: datetime | None, expected: list[str]) -> None:
    """It resumes nothing, and still tells the stop of the arrears that no timer has told (D21, D22)."""
    before = violating(account_told(OWING, told_at) if told_at else OWING, SINCE)
    assert names(account_notices(before, paid(before, when), when)) == expected


def test_both_end_at_once() -> None:
    """A change that lifts the violation and pays resumes once (D22)."""
    before = violating(account_told(OWING, STOPS), STOPS)
    after = replace(paid(before, STOPS + SECOND), violation=None)
    assert names(account_notices(before, after, STOPS + SECOND)) == ["resumed/violation"]


@pytest.mark.parametrize("change", ["part payment", "other change"])
def test_a_machine_whose_clock_lags_resumes_nothing(change: str) -> None:
    """Once a timer has told the stop, only an end of what stops it resumes service, by whatever clock (D21)."""
    before = account_told(OWING, STOPS)
    when = STOPS - SECOND
    after = paid(before, when, "-1.00") if change == "part payment" else replace(before, name="Other")
    assert account_notices(before, after, when) == []


def test_a_setting_of_no_days_stops_and_releases_at_once() -> None:
    """Both are told by the same timer, in that order (D23)."""
    before = GOOD.with_funds(Funds(cash=Decimal(-1)), SINCE, timedelta(0))
    told = account_told(before, STOPS)
    assert names(account_notices(before, told, STOPS)) == ["stopped/arrears", "released"]
    assert told.arrears is not None
    assert told.arrears.next_due is None


# --- packages -------------------------------------------------------------------------------------------------


def package(total: int = 10_000, told: Edge = NOTHING, package_id: str = "p") -> WalletPackage:
    """A bought package."""
    return WalletPackage(package_id, Source.PURCHASE, total, 0, DELIVERED, ENDS, told)


def look(
    one: WalletPackage, left: int, now: datetime = LATER, *, released: bool = False
) -> tuple[list[str], WalletPackage]:
    """What a look at a single package tells, and how it is remembered."""
    wallet = Wallet(TAG, (one,))
    after, notices = wallet_told(wallet, {one.package_id: left}, [one.package_id] if released else [], now)
    return names(notices), after.packages[0]


@pytest.mark.parametrize(
    "total, left, expected",
    [
        (10_000, 10_000, []),
        (10_000, 2_000, []),
        (10_000, 1_999, ["package_low"]),
        (10_000, 1, ["package_low"]),
        (10_000, 0, ["package_low", "package_exhausted"]),
        (1, 1, []),
        (1, 0, ["package_low", "package_exhausted"]),
        (4, 1, []),
        (5, 1, []),
        (6, 1, ["package_low"]),
        (7, 1, ["package_low"]),
    ],
)
def test_low_is_less_than_a_fifth(total: int, left: int, expected: list[str]) -> None:
    """Exactly 20 % is not low, 19.99 % is; nothing left is both (D27)."""
    assert look(package(total), left)[0] == expected


def test_each_use_edge_once() -> None:
    """Low, then exhausted, and neither again, not even where calls come back (D27)."""
    one = package(100)
    for left, expected in ((50, []), (19, ["package_low"]), (10, []), (80, []), (5, []), (0, ["package_exhausted"])):
        found, one = look(one, left)
        assert found == expected
    for left in (0, 100, 19, 0):
        assert look(one, left)[0] == []


@pytest.mark.parametrize(
    "now, expected",
    [
        ("2026-02-22T23:59:58", []),
        ("2026-02-22T23:59:59", [7]),
        ("2026-02-28T23:59:58", [7]),
        ("2026-02-28T23:59:59", [7, 1]),
        ("2026-03-01T23:59:59", [7, 1]),
        ("2026-03-02T00:00:00", [None]),
        ("2027-03-02T00:00:00", [None]),
    ],
)
def test_what_one_late_look_tells_of_the_end(now: str, expected: list[int | None]) -> None:
    """All edges that have come, at their own instants; of what has ended only that (D27)."""
    _, notices = wallet_told(Wallet(TAG, (package(),)), {"p": 5_000}, [], at(now))
    assert [one.data.get("days") for one in notices] == expected
    own = {7: at("2026-02-22T23:59:59"), 1: at("2026-02-28T23:59:59"), None: at("2026-03-02T00:00:00")}
    assert [one.occurred_at for one in notices] == [own[days] for days in expected]
    after, _ = wallet_told(Wallet(TAG, (package(),)), {"p": 5_000}, [], at(now))
    assert wallet_told(after, {"p": 5_000}, [], at(now)) == (after, [])


def test_of_what_is_used_up_no_end_is_told() -> None:
    """Neither that it will end nor that it has (D27)."""
    told = package(100, Edge.DELIVERED | Edge.LOW | Edge.EXHAUSTED)
    for now in ("2026-02-25T00:00:00", "2026-03-01T00:00:00", "2026-04-01T00:00:00"):
        found, told = look(told, 0, at(now))
        assert found == []
    assert told.next_due is None


@pytest.mark.parametrize(
    "left, expected",
    [(1_999, ["package_expired"]), (0, ["package_low", "package_exhausted"]), (9_999, ["package_expired"])],
)
def test_a_first_look_after_the_end(left: int, expected: list[str]) -> None:
    """What has ended is not low any more; what is used up was used up, and did not expire (D27)."""
    assert look(package(), left, at("2026-03-05T00:00:00"))[0] == expected


def test_once_its_end_was_told_use_is_told_no_more() -> None:
    """Late usage may still be deducted, in looks and in bills (D4, D27)."""
    ended = package(100, Edge.DELIVERED | Edge.WEEK_BEFORE | Edge.DAY_BEFORE | Edge.ENDED)
    for left in (10, 0):
        assert look(ended, left, at("2026-03-05T00:00:00"))[0] == []
        wallet, notices = wallet_used(Wallet(TAG, (ended,)), {"p": left}, [], at("2026-03-05T00:00:00"))
        assert notices == []
        assert wallet.packages == (ended,)


@pytest.mark.parametrize("now", ["2025-06-01T00:00:00", "2026-02-25T00:00:00", "2026-03-05T00:00:00"])
def test_a_released_package_tells_nothing(now: str) -> None:
    """Neither its use nor its end; and no timer comes back to an edge that has passed (D23)."""
    for left in (100, 10, 0):
        found, after = look(package(100), left, at(now), released=True)
        assert found == []
        assert after.next_due is None or after.next_due > at(now)
        assert wallet_used(Wallet(TAG, (package(100),)), {"p": left}, ["p"], at(now))[1] == []


def test_what_is_not_delivered_is_not_looked_at() -> None:
    """It has no remaining calls yet: nothing is told, and its timer stays (D13)."""
    wallet = Wallet(TAG, (package(),))
    assert wallet_told(wallet, {}, [], at("2030-01-01T00:00:00")) == (wallet, [])
    assert wallet_used(wallet, {}, [], at("2030-01-01T00:00:00")) == (wallet, [])


def test_a_bill_tells_use_and_no_time() -> None:
    """What ends is for the timers, whose edges a bill leaves alone (D27)."""
    now = at("2026-02-25T00:00:00")
    wallet, notices = wallet_used(Wallet(TAG, (package(100),)), {"p": 10}, [], now)
    assert names(notices) == ["package_low"]
    assert wallet.packages[0].told == Edge.LOW
    assert wallet_used(wallet, {"p": 10}, [], now) == (wallet, [])
    _, later = wallet_told(wallet, {"p": 10}, [], now)
    assert names(later) == ["package_expiring"]


def test_packages_of_a_wallet_in_their_order() -> None:
    """Each package tells its own, in the order of the wallet, use before time."""
    wallet = Wallet(TAG, (package(100, package_id="a"), package(100, package_id="b"), package(100, package_id="c")))
    _, notices = wallet_told(wallet, {"a": 0, "b": 19, "c": 50}, [], at("2026-02-25T00:00:00"))
    assert [(one.kind.value, one.data["package_id"], one.data["remaining"]) for one in notices] == [
        ("package_low", "a", 0),
        ("package_exhausted", "a", 0),
        ("package_low", "b", 19),
        ("package_expiring", "b", 19),
        ("package_expiring", "c", 50),
    ]


def test_the_timer_of_a_package() -> None:
    """Its delivery, both warnings and its end, one after the other, then never again."""
    one = package()
    seen = []
    while (due := one.next_due) is not None:
        seen.append(due)
        one = look(one, 10_000, due)[1]
    assert seen == [DELIVERED, at("2026-02-22T23:59:59"), at("2026-02-28T23:59:59"), at("2026-03-02T00:00:00")]


def test_a_delivery() -> None:
    """All calls, the order, and both ends of its time (D28)."""
    notice = delivered(TAG, package(1000), "order-1")
    assert (notice.kind, notice.occurred_at) == (Kind.PACKAGE_DELIVERED, DELIVERED)
    assert notice.data == {
        "package_id": "p",
        "tag": TAG,
        "total": 1000,
        "remaining": 1000,
        "order_id": "order-1",
        "delivered_at": "2025-03-01T14:30:00+08:00",
        "expires_at": "2026-03-01T23:59:59+08:00",
    }
