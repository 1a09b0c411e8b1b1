"""Arrears, stops, releases and refunds under faults: by the clock, told once, whoever is first (D21 to D23, D26)."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from unittest import mock

import pytest

from aws_platform import accounts, snapshot
from rating import edges
from rating.account import Account
from rating.arrears import Arrears
from tests.faults import prepaid
from tests.faults.harness import (
    ALL,
    Exploration,
    Fault,
    FaultFound,
    Faults,
    Snapshot,
    exhaust,
    explore,
    race_seeds,
)
from tests.faults.notices import Diary, check_account, diary_of, told
from tests.faults.properties import check_always, check_settled
from tests.faults.support import FIVE, Cloud, Json, TryAgain, at, start
from tests.support.product import event
from timers import arrears as timers_arrears

type Work = Callable[[], object]

IDENTITY = "identity_check"
OWES = "2025-03-01 10:00"
STOP = "2025-03-02 10:00"
RELEASE = "2025-04-01 10:00"


@pytest.fixture(scope="module")
def opened() -> Iterator[tuple[Cloud, Snapshot, Diary]]:
    """Give the product with three accounts that get no free packages, and one shard of timers."""
    with start("2025-02-01 09:00") as cloud, diary_of(cloud) as diary, mock.patch.dict(os.environ, DUE_SHARDS="1"):
        cloud.sell_small("2025-02-01")
        for account_id in ("daily", "other", "third"):
            cloud.open_account(account_id, cash="5.00", opened_at="2025-01-01T00:00:00+08:00")
        yield cloud, cloud.world.snapshot(), diary


@pytest.fixture
def shop(opened: tuple[Cloud, Snapshot, Diary]) -> Cloud:
    """Give it: 1 March 2025, 10:00; the account has a gift of five calls and 5.00 yuan."""
    cloud, before, _ = opened
    cloud.world.restore(before)
    cloud.go_to(OWES)
    cloud.grant("daily", IDENTITY, 5)
    cloud.sweep()
    cloud.prepared()
    return cloud


@pytest.fixture
def diary(opened: tuple[Cloud, Snapshot, Diary]) -> Diary:
    """Give what the model knows."""
    return opened[2]


@pytest.fixture
def owing(shop: Cloud) -> Cloud:
    """Give it with an account that owes 2.00 yuan from 10:00 on."""
    shop.adjust("daily", "-7.00", key="owe")
    shop.prepared()
    return shop


def call(number: int, time: str, **more: Any) -> Json:
    """One call."""
    return event(more.pop("account", "daily"), f"e{number}", f"{time}+08:00", **more)


def violate(cloud: Cloud, *, active: bool) -> None:
    """Put a violation, or lift it."""
    body = {"active": True, "reason": "abuse"} if active else {"active": False}
    reply = cloud.request("PUT", "/v1/accounts/daily/violation", body)
    if reply.status == 503:
        raise TryAgain
    assert reply.status == 200, reply.text


def on_and_off(cloud: Cloud) -> None:
    """Put a violation and lift it."""
    violate(cloud, active=True)
    violate(cloud, active=False)


def pay_in_parts(cloud: Cloud) -> None:
    """Pay what is owed in two parts."""
    cloud.top_up("daily", "1.00")
    cloud.top_up("daily", "1.00", key="k2")


def right(cloud: Cloud, diary: Diary, *names: str) -> Callable[[], None]:
    """The properties, when the last sweep was now."""

    def check() -> None:
        check_always(cloud)
        for name in names or ("daily",):
            check_account(diary, name, cloud.world.clock.now)

    return check


def kinds(cloud: Cloud) -> list[str]:
    """What the account was told of arrears."""
    return [one.kind for one in told(cloud, "daily", "arrears", "stopped", "resumed", "released")]


def every_order(cloud: Cloud, works: dict[str, Work], check: Work, recover: Work | None = None) -> Exploration:
    """Play every order of the workers' calls."""
    found = explore(cloud.world, works, check, recover=recover, limit=1500)
    assert found.complete, found
    assert found.schedules > 1
    return found


def later(cloud: Cloud, *instants: str) -> Work:
    """Sweeps that follow."""

    def recover() -> None:
        for instant in instants:
            cloud.go_to(instant)
            cloud.sweep()

    return recover


def seconds(instant: str, offset: int) -> str:
    """So many seconds after an instant."""
    return f"{datetime.fromisoformat(instant) + timedelta(seconds=offset)}"


# --- one worker ------------------------------------------------------------------------------------------------


def expensive(cloud: Cloud) -> list[Json]:
    """Usage that costs more than there is, at the run that takes it."""
    used = [call(number, "2025-03-01T10:00:00") for number in range(25)]
    cloud.report(used)
    cloud.go_to("2025-03-02 08:00")
    cloud.prepared(*used)
    return used


def test_a_settlement_that_begins_arrears(shop: Cloud, diary: Diary) -> None:
    """Whatever strikes whichever call of the settlement, its notice is there with the charge, once."""
    used = expensive(shop)

    def check() -> None:
        check_settled(shop, used, "2025-03-02")
        right(shop, diary)()
        assert kinds(shop) == ["arrears"]

    exhaust(shop.world, partial(shop.settle, "daily"), check, kinds=ALL)


@pytest.mark.parametrize("when", [STOP, "2025-03-20 00:00", RELEASE, "2025-05-01 10:00"])
def test_a_sweep(owing: Cloud, diary: Diary, when: str) -> None:
    """Whatever strikes whichever call of a sweep, on time or late, the stop and the release are told once."""
    owing.go_to(when)
    exhaust(owing.world, owing.sweep, right(owing, diary), kinds=ALL, recover=owing.sweep)
    owing.sweep()
    owing.sweep()
    assert kinds(owing) == ["arrears", "stopped", *(["released"] if at(when) >= at(RELEASE) else [])]


def test_a_sweep_before_the_stop(owing: Cloud, diary: Diary) -> None:
    """A second before there is nothing to do, and nothing is read but the due-index."""
    owing.go_to(seconds(STOP, -1))
    assert owing.world.run(owing.sweep).calls == 1
    right(owing, diary)()
    assert kinds(owing) == ["arrears"]


@pytest.mark.parametrize("instant", [STOP, RELEASE])
@pytest.mark.parametrize("offset", [-1, 0, 1])
def test_a_payment(owing: Cloud, diary: Diary, instant: str, offset: int) -> None:
    """Whatever strikes the payment: what no timer has told it tells, and resumes what was stopped, once."""
    owing.go_to(seconds(instant, offset))
    pay = partial(owing.top_up, "daily", "2.00")
    exhaust(owing.world, pay, right(owing, diary), kinds=ALL, recover=owing.sweep)
    pay()
    stopped = ["stopped"] * (at(STOP) <= owing.world.clock.now)
    released = ["released"] * (at(RELEASE) <= owing.world.clock.now)
    assert kinds(owing) == ["arrears", *stopped, *released, *(["resumed"] if stopped else [])]


# --- the sweep and others --------------------------------------------------------------------------------------


@pytest.mark.parametrize("offset", [-1, 0, 1])
@pytest.mark.parametrize("instant", [STOP, RELEASE])
@pytest.mark.parametrize("amount", ["1.99", "2.00"])
def test_a_sweep_and_a_payment(owing: Cloud, diary: Diary, amount: str, instant: str, offset: int) -> None:
    """In every order: who pays enough is not stopped, or resumed once; who pays too little is stopped all the same."""
    owing.go_to(seconds(instant, offset))
    works: dict[str, Work] = {"sweep": owing.sweep, "pay": partial(owing.top_up, "daily", amount)}
    recover = later(owing, seconds(instant, 1), seconds(instant, 3600))

    def check() -> None:
        right(owing, diary)()
        counted = Counter(kinds(owing))
        assert counted["resumed"] == (counted["stopped"] if amount == "2.00" else 0)

    explore(owing.world, works, check, recover=recover, limit=200)
    race_seeds(owing.world, works, check, seeds=range(4), rates=0.05, recover=recover)


@pytest.mark.parametrize("other", ["sweep", "settlement", "violation", "lifted", "adjustment", "part and rest"])
@pytest.mark.parametrize("offset", [0, 1])
def test_a_sweep_and_something_else(owing: Cloud, diary: Diary, other: str, offset: int) -> None:
    """The stop is told once beside whatever else changes the account at that moment, and what that tells as well."""
    sent = [call(1, "2025-03-01T12:00:00"), call(2, "2025-03-01T12:00:00", interface="api.phone_2e")]
    owing.go_to("2025-03-01 12:00")
    owing.report(sent)
    if other == "lifted":
        violate(owing, active=True)
    owing.go_to(seconds(STOP, offset))
    owing.prepared(*sent)
    others: dict[str, Work] = {
        "sweep": owing.sweep,
        "settlement": partial(owing.settle, "daily"),
        "violation": partial(violate, owing, active=True),
        "lifted": partial(violate, owing, active=False),
        "adjustment": partial(owing.adjust, "daily", "2.00"),
        "part and rest": partial(pay_in_parts, owing),
    }
    works: dict[str, Work] = {"sweep": owing.sweep, "other": others[other]}

    def recover() -> None:
        owing.sweep()
        owing.settle("daily")

    def check() -> None:
        right(owing, diary)()
        check_settled(owing, sent, "2025-03-02")

    every_order(owing, works, check, recover)
    race_seeds(owing.world, works, check, seeds=range(3), rates=0.03, recover=recover)


@pytest.mark.parametrize("instant", [STOP, RELEASE])
@pytest.mark.parametrize("what", ["payment", "part", "lifted", "violation"])
def test_a_request_that_waited(owing: Cloud, diary: Diary, instant: str, what: str) -> None:
    """A request that began a second before, and is done after a sweep has told: what was told remains true."""
    if what == "lifted":
        owing.go_to(seconds(instant, -60))
        violate(owing, active=True)
    owing.go_to(seconds(instant, -1))
    owing.sweep()
    owing.prepared()
    requests: dict[str, Work] = {
        "payment": partial(owing.top_up, "daily", "2.00"),
        "part": partial(owing.top_up, "daily", "1.00"),
        "lifted": partial(violate, owing, active=False),
        "violation": partial(violate, owing, active=True),
    }

    def sweep() -> None:
        later(owing, seconds(instant, -1), instant)()

    recover = later(owing, seconds(instant, 1))
    every_order(owing, {"request": requests[what], "sweep": sweep}, right(owing, diary), recover)


def test_all_at_the_stop(owing: Cloud, diary: Diary) -> None:
    """Two sweeps, a payment, a settlement and a violation that comes and goes, under faults."""
    sent = [call(1, "2025-03-01T12:00:00", interface="api.phone_2e")]
    owing.go_to("2025-03-01 12:00")
    owing.report(sent)
    owing.go_to(STOP)
    owing.prepared(*sent)
    works: dict[str, Work] = {
        "a": owing.sweep,
        "b": owing.sweep,
        "pay": partial(owing.top_up, "daily", "2.20"),
        "settle": partial(owing.settle, "daily"),
        "police": partial(on_and_off, owing),
    }

    def check() -> None:
        right(owing, diary)()
        check_settled(owing, sent, "2025-03-02")

    race_seeds(owing.world, works, check, seeds=range(25), rates=0.01, recover=owing.sweep)


def test_a_settlement_that_begins_arrears_and_a_top_up(shop: Cloud, diary: Diary) -> None:
    """Arrears are told where the settlement came first, and end with the payment; else there never were any."""
    used = expensive(shop)
    works: dict[str, Work] = {
        "settle": partial(shop.settle, "daily"),
        "pay": partial(shop.top_up, "daily", "3.00"),
        "sweep": shop.sweep,
    }
    ends: Counter[tuple[str, ...]] = Counter()

    def check() -> None:
        check_settled(shop, used, "2025-03-02")
        right(shop, diary)()
        ends[tuple(kinds(shop))] += 1

    explore(shop.world, works, check, recover=later(shop, "2025-03-03 08:00"), limit=300, preemptions=1)
    assert set(ends) == {(), ("arrears",)}


# --- deduction -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("swept", [True, False])
@pytest.mark.parametrize("paid", [STOP, "2025-03-02 10:00:01", "2025-03-02 10:00:03"])
def test_deduction_around_a_stop(owing: Cloud, diary: Diary, paid: str, *, swept: bool) -> None:
    """Packages are deducted exactly outside the stop, to the second, whoever was on time."""
    sent = [call(10 + second, f"2025-03-02T10:00:0{second}") for second in range(6)]
    sent += [call(9, "2025-03-02T09:59:59")]
    owing.go_to(STOP)
    if swept and paid != STOP:
        owing.sweep()
    owing.go_to(paid)
    owing.top_up("daily", "5.00")
    owing.go_to("2025-03-02 10:00:05")
    owing.report(sent)
    owing.roll_up()
    owing.go_to("2025-03-03 08:00")
    owing.sweep()
    owing.prepared(*sent)
    exhaust(owing.world, partial(owing.settle, "daily"), right(owing, diary), kinds=(Fault.LOST, Fault.CRASH_AFTER))
    owing.settle("daily")
    walks = check_settled(owing, sent, "2025-03-03")
    stopped = at(paid) - at(STOP)
    assert sum(cover.postpaid for cover in walks["daily"].covered.values()) == max(2, stopped.seconds)


def test_deduction_around_a_release(owing: Cloud, diary: Diary) -> None:
    """What a release ended gives nothing any more, not even after the payment; what came later gives all."""
    (package,) = (one.package_id for one in prepaid.pieces_of(owing, "daily"))
    owing.go_to("2025-04-01 10:00:01")
    before = [call(1, "2025-04-01T09:59:59"), call(2, "2025-04-01T10:00:00")]
    owing.report(before)
    owing.top_up("daily", "20.00")
    owing.go_to("2025-04-01 11:00")
    owing.report([call(3, "2025-04-01T11:00:00")])
    owing.grant("daily", IDENTITY, 3, "new")
    owing.roll_up()
    owing.sweep()
    owing.go_to("2025-04-02 08:00")
    owing.settle("daily")
    walks = check_settled(owing, [*before, call(3, "2025-04-01T11:00:00")], "2025-04-02")
    right(owing, diary)()
    assert walks["daily"].left[package] == 5
    assert sorted(walks["daily"].left.values()) == [2, 5]


# --- refunds ---------------------------------------------------------------------------------------------------


@pytest.fixture
def refunding(shop: Cloud) -> Cloud:
    """Give it with an account in arrears whose refund is due at the stop, and suffices."""
    (package,) = shop.bought("daily", FIVE)
    shop.adjust("daily", "-4.60", key="owe")
    shop.go_to("2025-03-02 09:57")
    shop.refund("daily", package)
    shop.go_to(STOP)
    shop.prepared()
    return shop


@pytest.mark.parametrize("offset", [0, 1])
def test_a_refund_at_the_stop(refunding: Cloud, diary: Diary, offset: int) -> None:
    """Whatever strikes the sweep that completes a refund, it is told once, with the money and what that ends."""
    refunding.go_to(seconds(STOP, offset))
    exhaust(refunding.world, refunding.sweep, right(refunding, diary), kinds=ALL, recover=refunding.sweep)
    refunding.sweep()
    assert kinds(refunding) == ["arrears", "stopped", "resumed"]
    assert len(told(refunding, "daily", "refund_completed")) == 1


def test_a_refund_two_sweeps_and_a_payment(refunding: Cloud, diary: Diary) -> None:
    """Two sweeps of the same stop and refund beside a payment: everything once."""
    works: dict[str, Work] = {
        "a": refunding.sweep,
        "b": refunding.sweep,
        "pay": partial(refunding.top_up, "daily", "1.00"),
    }

    def check() -> None:
        right(refunding, diary)()
        assert len(told(refunding, "daily", "refund_completed")) == 1

    explore(refunding.world, works, check, preemptions=1, limit=150, recover=refunding.sweep)
    race_seeds(refunding.world, works, check, seeds=range(15), rates=0.03, recover=refunding.sweep)


# --- sweeps ----------------------------------------------------------------------------------------------------


@pytest.fixture
def many(owing: Cloud) -> Cloud:
    """Give it with three accounts that owe, at the stop of all."""
    owing.adjust("other", "-7.00", key="other")
    owing.adjust("third", "-7.00", key="third")
    owing.go_to(STOP)
    owing.prepared()
    return owing


NAMES = ("daily", "other", "third")


def test_two_sweeps(many: Cloud, diary: Diary) -> None:
    """Two sweeps over the same timers, with crashes between: each is done once."""
    works: dict[str, Work] = dict.fromkeys("ab", many.sweep)
    check = right(many, diary, *NAMES)
    assert explore(many.world, works, check, preemptions=2, limit=150).schedules > 50
    race_seeds(many.world, works, check, seeds=range(15), rates=0.03, recover=many.sweep)


def test_a_sweep_with_an_old_list(many: Cloud, diary: Diary) -> None:
    """A sweep whose index shows what was paid, stopped and told long ago does no harm."""
    many.sweep()
    many.top_up("daily", "5.00", key="a")
    many.top_up("other", "1.00", key="b")
    many.prepared()
    before = many.world.items("ledger")
    done = 0
    for number in range(20):
        faults = Faults({f"w{number}#{place}": Fault.STALE for place in range(1, 9)})
        outcome = many.world.worker(f"w{number}", faults).run(lambda: many.invoke("TimersFunction", {"task": "sweep"}))
        assert outcome.value["failed"] == 0
        done += outcome.value["done"]
    assert done, "some list was old"
    assert many.world.items("ledger") == before
    right(many, diary, *NAMES)()


@pytest.mark.parametrize("operation, times", [("GetItem", 1), ("TransactWriteItems", 32)])
def test_timers_that_fail(many: Cloud, diary: Diary, operation: str, times: int) -> None:
    """A timer that cannot be done stays for the next sweep, and keeps no other from being done."""
    faults = Faults.on(operation, Fault.UNREACHABLE if times > 1 else Fault.THROTTLED_OUT, times=times)
    first = many.world.run(lambda: many.invoke("TimersFunction", {"task": "sweep"}), faults).value
    assert first == {"done": 2, "failed": 1, "left": 0}
    assert many.invoke("TimersFunction", {"task": "sweep"}) == {"done": 1, "failed": 0, "left": 0}
    assert many.invoke("TimersFunction", {"task": "sweep"}) == {"done": 0, "failed": 0, "left": 0}
    right(many, diary, *NAMES)()


# --- the harness bites on the real code ------------------------------------------------------------------------


def careless(*args: Any) -> Json:
    """A write of an account that does not ask for the version that was seen."""
    made = accounts.account_put(*args)
    for name in ("ConditionExpression", "ExpressionAttributeValues"):
        made["Put"].pop(name, None)
    return made


def test_notices_that_are_not_told_are_caught(owing: Cloud, diary: Diary, monkeypatch: pytest.MonkeyPatch) -> None:
    """A change of an account that forgets its notices."""
    monkeypatch.setattr(snapshot, "account_notices", lambda *_: [])
    with pytest.raises(FaultFound, match="stopped was told 0 times"):
        test_a_sweep(owing, diary, STOP)


def test_a_stop_that_no_timer_tells_is_caught(owing: Cloud, diary: Diary, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sweep that takes everything for told."""
    monkeypatch.setattr(timers_arrears, "account_told", lambda account, _: account)
    with pytest.raises(FaultFound, match="stopped was told 0 times"):
        test_a_sweep(owing, diary, STOP)


def test_what_was_told_and_is_forgotten_is_caught(owing: Cloud, diary: Diary, monkeypatch: pytest.MonkeyPatch) -> None:
    """An account that does not keep that its stop was told."""
    to_item = accounts.account_to_item

    def forgetful(account: Account) -> Json:
        item = to_item(account)
        item["body"]["S"] = item["body"]["S"].replace('"stop_told":true', '"stop_told":false')
        return item

    monkeypatch.setattr(accounts, "account_to_item", forgetful)
    with pytest.raises(FaultFound, match="stopped was told"):
        test_a_sweep(owing, diary, STOP)


@pytest.mark.parametrize("wrong", [-1, 1])
def test_a_stop_at_another_second_is_caught(
    owing: Cloud, diary: Diary, monkeypatch: pytest.MonkeyPatch, wrong: int
) -> None:
    """A stop a second too soon or too late."""
    after = timedelta(hours=24, seconds=wrong)
    monkeypatch.setattr(Arrears, "stops_at", property(lambda arrears: arrears.since + after))
    with pytest.raises(FaultFound, match=r"not told|was told"):
        test_a_sweep_and_a_payment(owing, diary, "2.00", STOP, 1)


def test_an_account_without_version_condition_is_caught(
    owing: Cloud, diary: Diary, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sweep that does not ask for the version that it saw writes over a payment."""
    monkeypatch.setattr(snapshot, "account_put", careless)
    with pytest.raises(FaultFound, match="written over"):
        test_a_sweep_and_a_payment(owing, diary, "1.99", STOP, 1)


def test_a_resumption_that_is_not_told_is_caught(owing: Cloud, diary: Diary, monkeypatch: pytest.MonkeyPatch) -> None:
    """A payment that ends a stop and says nothing of it."""
    notices = edges.account_notices

    def without(*args: Any) -> Sequence[Any]:
        return [one for one in notices(*args) if one.kind != "resumed"]

    monkeypatch.setattr(snapshot, "account_notices", without)
    with pytest.raises(FaultFound, match="not told"):
        test_a_sweep_and_a_payment(owing, diary, "2.00", STOP, 1)
