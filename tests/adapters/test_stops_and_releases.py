"""Stops for violations and arrears together, releases, what they do to packages, and the sweep (D22, D23)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from unittest import mock

import pytest

from aws_platform import thresholds
from rating.civil import rfc3339
from rating.notices import Kind
from tests.adapters.notices import (
    STATES,
    TIMED,
    USED,
    adjust,
    counted_calls,
    kinds,
    kinds_by_page,
    of_packages,
    pass_time,
    times,
    told,
    violate,
)
from tests.adapters.prepaid import (
    OPENED,
    SKU,
    TAG,
    buy,
    entitlement,
    give,
    give_back,
    left,
    order,
    packages,
    postpaid,
    split,
    use,
)
from tests.adapters.steps import A, at, balance, details
from tests.support.product import Product
from timers import arrears
from timers import handler as timers_handler

ITEMS = [{"sku": SKU, "quantity": 1}]
BEGAN = "2025-03-01T10:00:00+08:00"
STOPS = "2025-03-02T10:00:00+08:00"
RELEASES = "2025-04-01T10:00:00+08:00"


def standing(product: Product) -> tuple[str, str | None]:
    """The status of the account, and why a call would be refused."""
    return product.get(A).body["status"], entitlement(product)["reason"]


def statuses(product: Product) -> dict[str, str]:
    """The status of each package, by id."""
    return {one["package_id"]: one["status"] for one in packages(product)}


@pytest.fixture
def stocked(metered: Product) -> Product:
    """An account with a package of 1,000 calls and no money."""
    metered.top_up("acct-1", "300.00")
    buy(metered)
    adjust(metered, "-1000.00")
    assert balance(metered)["available"] == "0.00"
    return metered


@pytest.fixture
def owing(stocked: Product) -> Product:
    """The same, one yuan below zero from now on: it stops a day later and is released 30 days after that."""
    adjust(stocked, "-1.00")
    return stocked


# --- a violation alone ----------------------------------------------------------------------------------------


def test_a_violation_stops_at_once_and_for_as_long_as_it_lasts(metered: Product) -> None:
    """It is told with its cause and no release, which never comes; lifted, service resumes (D22, D28)."""
    violate(metered)
    assert standing(metered) == ("stopped", "violation")
    stopped = told(metered)[-1].notice
    assert stopped.data == {
        "cause": "violation",
        "since": BEGAN,
        "stops_at": BEGAN,
        "releases_at": None,
        "balance": "1000.00",
    }
    assert (stopped.kind, stopped.occurred_at) == (Kind.STOPPED, at(BEGAN))
    refused = order(metered, ITEMS)
    assert (refused.status, refused.code) == (409, "account_in_violation")
    metered.move("2025-05-01T10:00:00+08:00")
    assert standing(metered) == ("stopped", "violation")
    violate(metered, active=False)
    assert standing(metered) == ("active", None)
    resumed = told(metered)[-1].notice
    when = "2025-05-01T10:00:00+08:00"
    assert resumed.data == {"cause": "violation", "resumed_at": when, "balance": "1000.00"}
    assert kinds(metered) == ["stopped/violation", "resumed/violation"]
    assert order(metered, ITEMS).status == 201


def test_saying_it_again_tells_nothing(metered: Product) -> None:
    """A violation that holds, or does not, is not told a second time; a second one is (D22, D28)."""
    violate(metered, active=False)
    for active in (True, True, False, False, True):
        violate(metered, active=active)
        metered.move(rfc3339(metered.now + timedelta(hours=1)))
    assert times(metered) == [
        ("stopped/violation", "2025-03-01T10:00:00+08:00"),
        ("resumed/violation", "2025-03-01T12:00:00+08:00"),
        ("stopped/violation", "2025-03-01T14:00:00+08:00"),
    ]
    assert metered.get(A).body["violation"]["since"] == "2025-03-01T14:00:00+08:00"


# --- a violation and arrears ----------------------------------------------------------------------------------

TOLD_IN_TIME = {
    # Arrears begin first of all, at 10:00 on 1 March, and stop service at 10:00 on 2 March.
    "violate stop lift pay": ["stopped/violation", "stopped/arrears", "resumed/arrears"],
    "violate stop pay lift": ["stopped/violation", "stopped/arrears", "resumed/violation"],
    "stop violate lift pay": ["stopped/arrears", "stopped/violation", "resumed/arrears"],
    "stop violate pay lift": ["stopped/arrears", "stopped/violation", "resumed/violation"],
    "violate lift stop pay": ["stopped/violation", "resumed/violation", "stopped/arrears", "resumed/arrears"],
    "violate pay stop lift": ["stopped/violation", "resumed/violation"],
    "pay violate stop lift": ["stopped/violation", "resumed/violation"],
    "stop pay violate lift": ["stopped/arrears", "resumed/arrears", "stopped/violation", "resumed/violation"],
}
TOLD_BY_PAYMENTS = {
    **TOLD_IN_TIME,
    "stop violate lift pay": ["stopped/violation", "stopped/arrears", "resumed/arrears"],
    "stop violate pay lift": ["stopped/violation", "stopped/arrears", "resumed/violation"],
}


@pytest.mark.parametrize("steps", list(TOLD_IN_TIME))
@pytest.mark.parametrize("in_time", [True, False])
def test_service_resumes_when_nothing_stops_it_any_more(owing: Product, steps: str, in_time: bool) -> None:  # noqa: FBT001
    """In every order of a violation and arrears, each stop is told once and only the last end resumes (D22, D28)."""
    violated, stopped, paid = False, False, False
    for step in steps.split():
        if step == "stop":
            target = max(owing.now, at(STOPS))
            owing.move(rfc3339(target)) if in_time else None
            owing.now, stopped = target, True
        elif step == "pay":
            assert owing.top_up("acct-1", "1.00").status == 201
            paid = True
        else:
            violated = step == "violate"
            violate(owing, active=violated)
        owing.now += timedelta(minutes=7)
        in_arrears_stop = stopped and not paid
        reason = "violation" if violated else "stopped" if in_arrears_stop else None
        assert standing(owing) == ("stopped" if reason else "active", reason), step
        assert bool(owing.get(A).body["violation"]) is violated
        assert bool(owing.get(A).body["arrears"]) is not paid
    expected = (TOLD_IN_TIME if in_time else TOLD_BY_PAYMENTS)[steps]
    assert kinds(owing, *STATES)[1:] == expected
    owing.sweep()
    pass_time(owing, "2025-05-01T00:00:00+08:00")
    assert kinds(owing, *STATES)[1:] == expected


def test_a_violation_lifted_at_the_second_of_the_stop(owing: Product) -> None:
    """Nothing resumes, for service is stopped for the arrears from that second on, told or not (D22)."""
    violate(owing)
    owing.now = at(STOPS)
    violate(owing, active=False)
    assert standing(owing) == ("stopped", "stopped")
    owing.sweep()
    assert kinds(owing, *STATES) == ["arrears", "stopped/violation", "stopped/arrears"]


def test_a_violation_lifted_a_second_before_the_stop(owing: Product) -> None:
    """Service resumes for that second, and stops (D22)."""
    violate(owing)
    owing.now = at("2025-03-02T09:59:59+08:00")
    violate(owing, active=False)
    assert standing(owing) == ("active", None)
    owing.move("2025-03-02T11:00:00+08:00")
    assert times(owing, *STATES)[2:] == [
        ("resumed/violation", "2025-03-02T09:59:59+08:00"),
        ("stopped/arrears", STOPS),
    ]


def test_a_release_comes_in_a_violation_too(owing: Product) -> None:
    """The arrears release as ever; paid and lifted, in whichever order, service resumes without the packages (D23)."""
    owing.move("2025-03-10T00:00:00+08:00")
    violate(owing)
    owing.move("2025-04-02T00:00:00+08:00")
    assert standing(owing) == ("released", "released")
    owing.top_up("acct-1", "1.00")
    assert standing(owing) == ("stopped", "violation")
    violate(owing, active=False)
    assert standing(owing) == ("active", None)
    expected = ["arrears", "stopped/arrears", "stopped/violation", "released", "resumed/violation"]
    assert kinds(owing, *STATES) == expected
    assert set(statuses(owing).values()) == {"released"}


def test_a_violation_refuses_refunds_and_arrears_do_not(owing: Product) -> None:
    """Refunds are allowed in arrears, and refused while a violation holds, whatever else there is (D17, D25)."""
    (package_id,) = left(owing)
    owing.move("2025-03-02T10:30:00+08:00")
    violate(owing)
    refused = give_back(owing, package_id, "first")
    assert (refused.status, refused.code) == (409, "account_in_violation")
    violate(owing, active=False)
    assert give_back(owing, package_id, "second").status == 202
    owing.move("2025-03-02T10:33:00+08:00")
    assert standing(owing) == ("active", None)
    assert kinds(owing, *STATES)[-1] == "resumed/arrears"


# --- packages inside stops ------------------------------------------------------------------------------------


@pytest.mark.parametrize("violation", [True, False])
@pytest.mark.parametrize("switched", [True, False])
def test_packages_are_not_deducted_inside_a_stop(owing: Product, violation: bool, switched: bool) -> None:  # noqa: FBT001
    """From the second of the stop to the one before service resumes; that usage is charged, or uncovered (D14, D22)."""
    if violation:
        owing.top_up("acct-1", "1.00")
    postpaid(owing, on=switched)
    owing.now = at(STOPS)
    if violation:
        violate(owing)
    owing.now = at("2025-03-02T12:00:00+08:00")
    if violation:
        violate(owing, active=False)
    else:
        owing.top_up("acct-1", "1.00")
    owing.now = at("2025-03-02T14:00:00+08:00")
    use(owing, 1, "2025-03-02T09:59:59.999+08:00")
    use(owing, 2, "2025-03-02T10:00:00+08:00")
    use(owing, 4, "2025-03-02T11:59:59.999+08:00")
    use(owing, 8, "2025-03-02T12:00:00+08:00")
    expected = (0, 9, 6, 0) if switched else (0, 9, 0, 6)
    assert split(owing, "2025-03-02") == expected
    assert set(left(owing).values()) == {991}
    owing.move("2025-03-03T09:00:00+08:00")
    assert split(owing, "2025-03-02") == expected
    assert set(left(owing).values()) == {991}
    assert balance(owing)["available"] == ("-1.80" if switched else "0.00")
    use(owing, 16, "2025-03-02T11:00:00+08:00", "late")
    use(owing, 32, "2025-03-02T12:00:01+08:00", "late too")
    assert set(left(owing).values()) == {959}
    owing.move("2025-03-04T09:00:00+08:00")
    assert set(left(owing).values()) == {959}
    assert split(owing, "2025-03-02") == ((0, 41, 22, 0) if switched else (0, 41, 0, 22))
    assert balance(owing)["available"] == ("-6.60" if switched else "0.00")
    deducted = [row["deducted_quantity"] for row in details(owing) if row["usage_day"] == "2025-03-02"]
    assert sum(deducted) == 41


def test_overlapping_stops_are_one(owing: Product) -> None:
    """Where a violation and arrears overlap nothing is deducted from the first beginning to the last end (D22)."""
    owing.now = at("2025-03-02T09:00:00+08:00")
    violate(owing)
    owing.now = at("2025-03-02T11:00:00+08:00")
    owing.top_up("acct-1", "1.00")
    owing.now = at("2025-03-02T12:00:00+08:00")
    violate(owing, active=False)
    owing.now = at("2025-03-02T13:00:00+08:00")
    moments = [("08:59:59", 1), ("09:00:00", 2), ("10:30:00", 4), ("11:30:00", 8), ("11:59:59", 16), ("12:00:00", 32)]
    for moment, number in moments:
        use(owing, number, f"2025-03-02T{moment}+08:00")
    assert split(owing, "2025-03-02") == (0, 33, 30, 0)
    owing.move("2025-03-03T09:00:00+08:00")
    assert split(owing, "2025-03-02") == (0, 33, 30, 0)


def test_paying_at_the_second_of_the_stop_pauses_nothing(owing: Product) -> None:
    """Usage of that second is the package's, whether the timer came before the payment or not (D22)."""
    owing.now = at(STOPS)
    owing.sweep()
    owing.top_up("acct-1", "1.00")
    use(owing, 5, STOPS)
    assert split(owing, "2025-03-02") == (0, 5, 0, 0)
    owing.move("2025-03-03T09:00:00+08:00")
    assert split(owing, "2025-03-02") == (0, 5, 0, 0)


# --- releases -------------------------------------------------------------------------------------------------


def test_a_release_ends_the_packages(owing: Product) -> None:
    """At its second, with one notice; nothing is told of them afterwards, though their ends still come (D23, D27)."""
    use(owing, 300, "2025-03-01T09:00:00+08:00")
    give(owing, 400)
    owing.now = at("2025-04-01T09:59:59+08:00")
    assert set(statuses(owing).values()) == {"active"}
    owing.now = at(RELEASES)
    assert set(statuses(owing).values()) == {"released"}
    pass_time(owing, "2026-05-01T00:00:00+08:00")
    assert set(statuses(owing).values()) == {"released"}
    assert kinds(owing, *STATES) == ["arrears", "stopped/arrears", "released"]
    assert of_packages(owing) == []
    assert dict(times(owing))["released"] == RELEASES


def test_usage_after_a_release_tells_nothing_of_its_packages(owing: Product) -> None:
    """Neither while it is released, nor after it is paid: they have ended (D23, D27)."""
    owing.move("2025-04-02T00:00:00+08:00")
    use(owing, 990, "2025-04-01T12:00:00+08:00")
    owing.top_up("acct-1", "500.00")
    owing.move("2025-04-02T12:00:00+08:00")
    use(owing, 1000, "2025-04-02T11:00:00+08:00")
    assert split(owing, "2025-04-02") == (0, 0, 1000, 0)
    pass_time(owing, "2026-04-10T00:00:00+08:00")
    assert of_packages(owing) == []


@pytest.mark.parametrize("looked", [True, False])
def test_late_usage_from_before_the_release_tells_nothing(owing: Product, looked: bool) -> None:  # noqa: FBT001
    """It is deducted from what served that day, by a look or first by the bill; the package has ended (D4, D23)."""
    owing.now = at("2025-04-01T12:00:00+08:00")
    owing.sweep()
    tell = thresholds.tell if looked else (lambda *_, **__: 0)
    with mock.patch.object(thresholds, "tell", tell):
        use(owing, 900, "2025-03-01T09:00:00+08:00")
        owing.now = at("2025-04-02T08:00:00+08:00")
        owing.run()
    assert set(left(owing).values()) == {100}
    owing.sweep()
    assert of_packages(owing) == []


def test_paying_after_the_release_opens_without_the_old_packages(owing: Product) -> None:
    """Service resumes; a new package serves and tells as any, the old ones stay ended (D23)."""
    (old,) = left(owing)
    owing.move("2025-04-05T09:00:00+08:00")
    owing.top_up("acct-1", "301.00")
    assert standing(owing) == ("active", None)
    assert entitlement(owing)["paid_remaining"] == 0
    owing.move("2025-04-05T09:30:00+08:00")
    (new,) = buy(owing)
    assert entitlement(owing)["paid_remaining"] == 1000
    assert statuses(owing) == {old: "released", new: "active"}
    owing.move("2025-04-05T12:00:00+08:00")
    use(owing, 900, "2025-04-05T11:00:00+08:00")
    assert split(owing, "2025-04-05") == (0, 900, 0, 0)
    assert of_packages(owing) == [("package_low", new, 100)]
    pass_time(owing, "2026-05-01T00:00:00+08:00")
    assert {package_id for _, package_id, _ in of_packages(owing)} == {new}
    assert kinds(owing, *TIMED) == ["package_expiring", "package_expiring", "package_expired"]


@pytest.mark.parametrize("late", [timedelta(0), timedelta(seconds=1)])
def test_what_is_bought_once_it_is_paid_is_not_released(owing: Product, late: timedelta) -> None:
    """A payment at the second of the release opens service again: what is bought then serves (D23)."""
    owing.now = at(RELEASES) + late
    owing.top_up("acct-1", "301.00")
    (new,) = buy(owing)
    assert statuses(owing)[new] == "active"
    assert entitlement(owing)["paid_remaining"] == 1000


def test_a_payment_a_second_before_the_release_saves_the_packages(owing: Product) -> None:
    """They serve on, and their ends are told in time (D23)."""
    owing.now = at("2025-04-01T09:59:59+08:00")
    owing.top_up("acct-1", "1.00")
    pass_time(owing, "2026-04-01T00:00:00+08:00")
    assert kinds(owing, *STATES) == ["arrears", "stopped/arrears", "resumed/arrears"]
    assert kinds(owing, *TIMED) == ["package_expiring", "package_expiring", "package_expired"]


def test_a_gift_of_a_released_account_is_not_released(owing: Product) -> None:
    """What the operator gives afterwards has no release before it, and serves once it is paid (D23)."""
    owing.move("2025-04-05T09:00:00+08:00")
    given = give(owing, 10)
    assert statuses(owing)[given] == "active"
    owing.top_up("acct-1", "1.00")
    assert entitlement(owing)["free_remaining"] == 10


def test_release_days_are_a_setting(stocked: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stack says how long after the stop; arrears that have begun keep what they were told (D23)."""
    monkeypatch.setenv("RELEASE_DAYS", "3")
    adjust(stocked, "-1.00")
    monkeypatch.setenv("RELEASE_DAYS", "5")
    assert stocked.get(A).body["arrears"]["releases_at"] == "2025-03-05T10:00:00+08:00"
    adjust(stocked, "-1.00", "another")
    stocked.move("2025-03-05T09:59:59+08:00")
    assert standing(stocked) == ("stopped", "stopped")
    stocked.move("2025-03-05T10:00:00+08:00")
    assert standing(stocked) == ("released", "released")
    stocked.top_up("acct-1", "2.00")
    use(stocked, 1, "2025-03-05T09:00:00+08:00")
    stocked.move("2025-03-06T08:00:00+08:00")
    assert stocked.get(A).body["arrears"]["releases_at"] == "2025-03-12T08:00:00+08:00"
    stocked.move("2025-03-20T00:00:00+08:00")
    assert times(stocked, Kind.RELEASED) == [
        ("released", "2025-03-05T10:00:00+08:00"),
        ("released", "2025-03-12T08:00:00+08:00"),
    ]


def test_thirty_one_days_to_the_release(product: Product) -> None:
    """From the first charge to the release, swept every six hours: each thing is told once, in order (D21 to D23)."""
    product.open_account("acct-1", cash="301.00", opened_at=OPENED)
    (package_id,) = buy(product)
    use(product, 20, "2025-03-01T09:00:00+08:00", interface="api.phone_2e")
    product.now = at("2025-03-02T02:00:00+08:00")
    for _ in range(4 * 33):
        product.now += timedelta(hours=6)
        if product.now.hour == 8:
            product.run()
        product.sweep()
    assert times(product) == [
        ("package_delivered", "2025-03-01T10:00:00+08:00"),
        ("arrears", "2025-03-02T08:00:00+08:00"),
        ("stopped/arrears", "2025-03-03T08:00:00+08:00"),
        ("released", "2025-04-02T08:00:00+08:00"),
    ]
    assert statuses(product) == {package_id: "released"}


# --- the sweep ------------------------------------------------------------------------------------------------


class Clock:
    """A Lambda context that has so much time left at each look."""

    def __init__(self, *left: int) -> None:
        self.left = list(left)

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds; the last figure for good."""
        return self.left.pop(0) if len(self.left) > 1 else self.left[0]


def many(product: Product, number: int) -> list[str]:
    """So many accounts that go below zero now."""
    names = [f"acct-{one}" for one in range(100, 100 + number)]
    for name in names:
        product.open_account(name, opened_at=OPENED)
        adjust(product, "-1.00", account_id=name)
    return names


def sweep(context: Any = None) -> Mapping[str, int]:
    """What a sweep answers."""
    answer: Mapping[str, int] = timers_handler.handle({"task": "sweep"}, context)
    return answer


def test_an_account_with_nothing_due_costs_no_reads(owing: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sweep asks each shard of the index once and nothing else, however many timers are still to come."""
    monkeypatch.setenv("DUE_SHARDS", "4")
    give(owing, 10)
    owing.sweep()
    owing.now = at("2025-03-02T09:59:59+08:00")
    with counted_calls() as calls:
        assert sweep() == {"done": 0, "failed": 0, "left": 0}
    assert [(name, request.get("IndexName")) for name, request in calls] == [("Query", "DueIndex")] * 4
    shards = [request["ExpressionAttributeValues"][":pk"]["S"] for _, request in calls]
    assert sorted(shards) == [f"timer#{number}" for number in range(4)]


def test_a_stop_costs_a_read_and_a_write(owing: Product) -> None:
    """Beyond the index and its one shard: the account is read once, and written once together with its notice."""
    owing.sweep()
    owing.now = at(STOPS)
    with counted_calls() as calls:
        assert sweep() == {"done": 1, "failed": 0, "left": 0}
    assert [name for name, _ in calls] == ["Query", "GetItem", "TransactWriteItems"]


def test_a_packages_timer_costs_two_reads_and_a_write(stocked: Product) -> None:
    """The account with its wallets, the live totals, and one transaction; and two reads where nothing is to tell."""
    stocked.sweep()
    stocked.now = at("2026-02-22T23:59:59+08:00")
    with counted_calls() as calls:
        assert sweep() == {"done": 1, "failed": 0, "left": 0}
    beyond = [name for name, request in calls if request.get("IndexName") != "DueIndex"]
    assert beyond.count("TransactWriteItems") == 1
    assert len(beyond) == 3


def test_many_timers_of_one_moment(product: Product) -> None:
    """Twenty stops that are due at once are told by one sweep, side by side, each once; the next finds nothing."""
    names = many(product, 20)
    product.now = at("2025-03-02T12:00:00+08:00")
    assert sweep() == {"done": 20, "failed": 0, "left": 0}
    assert sweep() == {"done": 0, "failed": 0, "left": 0}
    for name in names:
        assert times(product, account_id=name)[1:] == [("stopped/arrears", STOPS)]


def test_a_failing_timer_holds_up_no_other(product: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is counted and stays due, the others are done; when it works again it is told late, at its own time."""
    names = many(product, 3)
    product.now = at("2025-03-02T12:00:00+08:00")
    tell = arrears.tell

    def broken(dynamodb: Any, settings: Any, account_id: str, now: Any) -> None:
        if account_id == names[1]:
            message = "broken"
            raise RuntimeError(message)
        tell(dynamodb, settings, account_id, now)

    monkeypatch.setattr(arrears, "tell", broken)
    assert sweep() == {"done": 2, "failed": 1, "left": 0}
    assert sweep() == {"done": 0, "failed": 1, "left": 0}
    monkeypatch.undo()
    assert sweep() == {"done": 1, "failed": 0, "left": 0}
    for name in names:
        assert times(product, account_id=name)[1:] == [("stopped/arrears", STOPS)]


def test_a_timer_that_nobody_knows_fails_alone(owing: Product) -> None:
    """Neither an unknown kind nor a broken entry keeps the stop of another account from being told."""
    for number, due in enumerate(("2025-03-01T00:00:00+08:00#acct-9#X#what", "0000-broken")):
        item = {"pk": {"S": f"A#acct-{number}"}, "sk": {"S": "X#"}, "due_pk": {"S": "timer#0"}, "due_sk": {"S": due}}
        owing.dynamodb.put_item(TableName="ledger", Item=item)
    owing.now = at(STOPS)
    assert sweep()["failed"] == 2
    assert kinds(owing, *STATES) == ["arrears", "stopped/arrears"]


def test_what_has_no_time_is_left_to_the_next_sweep(product: Product) -> None:
    """A sweep that is about to time out begins nothing more, says how much it leaves, and loses nothing."""
    names = many(product, 5)
    product.now = at("2025-03-02T12:00:00+08:00")
    first = sweep(Clock(60_000, 60_000, 15_001, 15_000, 100))
    assert first["done"] == 3
    assert first["left"] >= 1
    assert first["failed"] == 0
    assert sweep(Clock(60_000)) == {"done": 2, "failed": 0, "left": 0}
    for name in names:
        assert times(product, account_id=name)[1:] == [("stopped/arrears", STOPS)]


def test_a_sweep_without_any_time_does_nothing(owing: Product) -> None:
    """All that is due is left, and nothing is told."""
    owing.sweep()
    owing.now = at(STOPS)
    assert sweep(Clock(10)) == {"done": 0, "failed": 0, "left": 1}
    assert kinds(owing, *STATES) == ["arrears"]


def test_wallets_of_one_account_are_told_together(metered: Product) -> None:
    """Timers of several tags that are due at once are one piece of work and one page (D27)."""
    metered.top_up("acct-1", "5000.00")
    order(metered, [{"sku": SKU, "quantity": 1}, {"sku": "bank_card_check:1000", "quantity": 1}])
    metered.sweep()
    metered.now = at("2026-02-22T23:59:59+08:00")
    assert sweep()["done"] == 1
    assert kinds_by_page(metered, *TIMED) == [["package_expiring", "package_expiring"]]
    assert sweep()["done"] == 0


def test_nothing_is_told_of_use_in_a_stop(owing: Product) -> None:
    """Calls inside the stop leave the package as it is; the same calls after it take it below the edge (D22, D27)."""
    (package_id,) = left(owing)
    owing.move("2025-03-02T12:00:00+08:00")
    use(owing, 900, "2025-03-02T11:00:00+08:00")
    assert kinds(owing, *USED) == []
    owing.top_up("acct-1", "1.00")
    owing.now = at("2025-03-02T13:00:00+08:00")
    use(owing, 801, "2025-03-02T12:00:00+08:00")
    assert of_packages(owing) == [("package_low", package_id, 199)]
    assert entitlement(owing, TAG)["paid_remaining"] == 199
