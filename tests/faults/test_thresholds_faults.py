"""Package edges under faults: each that is crossed is told once, whoever is first to see it, and none that is not."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any
from unittest import mock

import pytest

from aws_platform import accounts, pending, snapshot, thresholds
from rating import edges
from rating.wallet import Edge, Wallet
from rollup import handler as rollup
from tests.faults import prepaid
from tests.faults.harness import ALL, Delivery, FaultFound, Snapshot, exhaust, explore, race_seeds, sweep
from tests.faults.notices import Diary, Edges, calls_of, check_account, diary_of, told
from tests.faults.properties import bills_of, check_settled, stored_facts
from tests.faults.support import FIVE, FOUR, Cloud, Json, Torn, at, start
from tests.support.product import event

type Work = Callable[[], object]

IDENTITY = "identity_check"
MORNING, RUN = "2025-03-01 10:00", "2025-03-02 08:00"
WEEK_BEFORE, DAY_BEFORE = "2025-03-13 11:00:37", "2025-03-19 11:00:37"
LAST_SECOND, AFTER = "2025-03-20 11:00:37", "2025-03-20 11:00:38"


@pytest.fixture(scope="module")
def opened() -> Iterator[tuple[Cloud, Snapshot, Diary]]:
    """Give the product with an account that has a gift of ten calls up to 20 March 2025, 11:00:37."""
    with start("2024-03-20 11:00:37") as cloud, diary_of(cloud) as diary, mock.patch.dict(os.environ, DUE_SHARDS="1"):
        cloud.sell_small("2024-03-20")
        cloud.open_account("daily", cash="30.00", opened_at="2024-01-01T00:00:00+08:00")
        cloud.grant("daily", IDENTITY, 10, "a year ago")
        cloud.sweep()
        yield cloud, cloud.world.snapshot(), diary


@pytest.fixture
def shop(opened: tuple[Cloud, Snapshot, Diary]) -> Cloud:
    """Give it on 1 March 2025, 10:00, when nothing is due."""
    cloud, before, _ = opened
    cloud.world.restore(before)
    cloud.go_to(MORNING)
    cloud.prepared()
    return cloud


@pytest.fixture
def diary(opened: tuple[Cloud, Snapshot, Diary]) -> Diary:
    """Give what the model knows."""
    return opened[2]


def calls(first: int, number: int, time: str = "2025-03-01T10:00:00", **more: Any) -> list[Json]:
    """Some calls of one instant."""
    return [event("daily", f"e{one}", f"{time}+08:00", **more) for one in range(first, first + number)]


def right(cloud: Cloud, diary: Diary, sent: Sequence[Json], *looks: str, run_day: str | None = None) -> Work:
    """The properties, after sweeps at these times; after the run of a day, if one is given, those of the money too."""

    def check() -> None:
        assert not cloud.watch.broken, cloud.watch.broken
        mine = calls_of(stored_facts(cloud, sent), "daily")
        Edges(diary, "daily", mine, [at(look) for look in looks]).check()
        check_account(diary, "daily", cloud.world.clock.now)
        if run_day:
            check_settled(cloud, sent, run_day)

    return check


def kinds(cloud: Cloud) -> list[str]:
    """What the account was told of packages."""
    return [one.kind.removeprefix("package_") for one in told(cloud, "daily") if one.kind.startswith("package_")]


def store(cloud: Cloud, sent: Sequence[Json]) -> None:
    """Have usage stored, of which the stream has not told yet."""
    cloud.report(sent)
    cloud.prepared(*sent)


# --- use -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "number, expected", [(8, []), (9, ["low"]), (10, ["low", "exhausted"]), (15, ["low", "exhausted"] * 2)]
)
def test_the_stream(shop: Cloud, diary: Diary, number: int, expected: list[str]) -> None:
    """Whatever strikes whichever call of the rollup, what usage has crossed is told once, by the next sweep at last."""
    shop.bought("daily", FIVE)
    shop.sweep()
    sent = calls(1, number)
    store(shop, sent)
    exhaust(shop.world, shop.roll_up, right(shop, diary, sent), kinds=ALL, recover=shop.sweep)
    shop.roll_up()
    shop.roll_up()
    assert kinds(shop) == ["delivered", *expected]


def test_the_stream_in_parts(shop: Cloud, diary: Diary) -> None:
    """Batches that come again, in any order, under faults: each edge is told once."""
    sent = [one for second in range(12) for one in calls(second, 1, f"2025-03-01T10:0{second % 3}:0{second % 10}")]
    for one in sent:
        shop.report([one])
    shop.prepared(*sent)
    for seed in range(12):
        work = partial(shop.roll_up, Delivery(seed=seed, batch=(1, 4), duplicate=0.4, reorder=0.4, shards=2))
        sweep(shop.world, work, right(shop, diary, sent), seeds=[seed], rates=0.02, recover=shop.sweep)


def test_a_lost_batch(shop: Cloud, diary: Diary) -> None:
    """What the stream has never brought is told with the bill, once; also when it comes after all."""
    shop.bought("daily", FIVE)
    sent = calls(1, 15)
    store(shop, sent)
    shop.go_to(RUN)
    settle = partial(shop.settle, "daily")
    exhaust(shop.world, settle, right(shop, diary, sent, run_day="2025-03-02"), kinds=ALL, recover=shop.roll_up)
    settle()
    assert kinds(shop) == ["delivered", *["low", "exhausted"] * 2]
    (bill,) = [one for one in bills_of(shop, "daily") if one.counted]
    assert {one.version for one in told(shop, "daily", "package_low")} == {prepaid.version_of(bill.bill_id)}


def others(cloud: Cloud) -> dict[str, Work]:
    """What may happen beside the rollup."""
    return {
        "rollup": cloud.roll_up,
        "sweep": cloud.sweep,
        "settlement": partial(cloud.settle, "daily"),
        "order": partial(cloud.bought, "daily", FIVE, "beside"),
        "grant": partial(cloud.grant, "daily", IDENTITY, 3, "beside"),
        "charge": partial(cloud.adjust, "daily", "-100.00"),
    }


@pytest.mark.parametrize("other", ["rollup", "sweep", "settlement", "order", "grant", "refund", "charge"])
@pytest.mark.parametrize("number", [9, 14])
def test_the_stream_and_something_else(shop: Cloud, diary: Diary, other: str, number: int) -> None:
    """A rollup beside whatever changes what is left: what is crossed in the end is told once, and nothing untrue."""
    shop.bought("daily", FIVE, "o1")
    (spare,) = shop.bought("daily", FIVE, "o2")
    sent = calls(1, number)
    store(shop, sent)
    if other == "settlement":
        shop.go_to(RUN)
    beside = others(shop)
    beside["refund"] = partial(shop.refund, "daily", spare)
    works: dict[str, Work] = {"rollup": shop.roll_up, "other": beside[other]}

    def recover() -> None:
        shop.roll_up()
        shop.sweep()
        shop.go_to("2025-03-02 08:10")
        shop.sweep()
        shop.settle("daily")

    check = right(shop, diary, sent, "2025-03-02 08:10", run_day="2025-03-02")
    explore(shop.world, works, check, recover=recover, preemptions=1, limit=60)
    race_seeds(shop.world, works, check, seeds=range(4), rates=0.02, recover=recover)


def test_an_order_for_usage_that_was_there(shop: Cloud, diary: Diary) -> None:
    """A package that usage of its day uses up at once (D10): the stream or the sweep tells it, whoever sees both."""
    sent = calls(1, 14)
    store(shop, sent)
    works: dict[str, Work] = {
        "rollup": shop.roll_up,
        "order": partial(shop.bought, "daily", FOUR, "o1"),
        "more": partial(shop.bought, "daily", FIVE, "o2"),
        "sweep": shop.sweep,
    }

    def check() -> None:
        right(shop, diary, sent)()
        assert Counter(kinds(shop))["low"] == 1

    def recover() -> None:
        shop.sweep()
        shop.roll_up()

    explore(shop.world, works, check, recover=shop.sweep, preemptions=1, limit=80)
    race_seeds(shop.world, works, check, seeds=range(10), rates=0.02, recover=recover)


def test_all_at_once(shop: Cloud, diary: Diary) -> None:
    """Usage, its stream in two hands, an order, a gift, a sweep and the run at once, under faults."""
    shop.bought("daily", FIVE, "o1")
    store(shop, calls(1, 8))
    shop.go_to(RUN)
    more = calls(20, 3)
    works = {name: others(shop)[name] for name in ("rollup", "sweep", "settlement", "order", "grant")}
    works |= {"again": shop.roll_up, "usage": partial(shop.report, more)}

    def recover() -> None:
        shop.roll_up()
        shop.sweep()
        shop.go_to("2025-03-03 08:00")
        shop.settle("daily")

    check = right(shop, diary, [*calls(1, 8), *more], run_day="2025-03-03")
    race_seeds(shop.world, works, check, seeds=range(15), rates=0.01, recover=recover)


@pytest.mark.parametrize("hidden", range(4))
def test_items_of_a_transaction_seen_one_by_one(shop: Cloud, diary: Diary, hidden: int) -> None:
    """Who looks while others write sees an account without its wallet for a moment, and looks again."""
    shop.bought("daily", FIVE, "o1")
    sent = calls(1, 14)
    store(shop, sent)
    shop.go_to(RUN)
    works: dict[str, Work] = {name: others(shop)[name] for name in ("rollup", "order", "settlement")}

    def recover() -> None:
        shop.roll_up()
        shop.sweep()

    check = right(shop, diary, sent, run_day="2025-03-02")
    with Torn(shop.world, hidden) as torn:
        explore(shop.world, works, check, recover=recover, preemptions=1, limit=40)
    assert torn.seen


# --- time ------------------------------------------------------------------------------------------------------


def live_to(cloud: Cloud, *instants: str) -> None:
    """Sweep at these times."""
    for instant in instants:
        cloud.go_to(instant)
        cloud.sweep()


@pytest.mark.parametrize(
    "before, when, expected",
    [
        ([], WEEK_BEFORE, ["expiring"]),
        ([WEEK_BEFORE], DAY_BEFORE, ["expiring"]),
        ([], DAY_BEFORE, ["expiring", "expiring"]),
        ([WEEK_BEFORE, DAY_BEFORE], AFTER, ["expired"]),
        ([WEEK_BEFORE], "2025-04-20 00:00", ["expired"]),
        ([WEEK_BEFORE, DAY_BEFORE], LAST_SECOND, []),
    ],
)
def test_the_end_of_a_package(shop: Cloud, diary: Diary, before: list[str], when: str, expected: list[str]) -> None:
    """Whatever strikes whichever call of the sweep, on time or late, what is due is told once."""
    live_to(shop, *before)
    shop.go_to(when)
    told_before = kinds(shop)
    shop.prepared()
    exhaust(shop.world, shop.sweep, right(shop, diary, [], *before, when), kinds=ALL, recover=shop.sweep)
    shop.sweep()
    assert kinds(shop) == [*told_before, *expected]


@pytest.mark.parametrize("when", [WEEK_BEFORE, AFTER])
@pytest.mark.parametrize("other", ["sweep", "settlement"])
def test_the_end_of_a_package_and_something_else(shop: Cloud, diary: Diary, when: str, other: str) -> None:
    """Sweeps while the package is found to be used up: told of its end, or that it is used up, each once."""
    sent = calls(1, 10, "2025-03-12T10:00:00")
    shop.go_to("2025-03-12 10:00")
    shop.report(sent)
    shop.go_to(when)
    shop.prepared(*sent)
    works: dict[str, Work] = {"sweep": shop.sweep, "other": others(shop)[other], "stream": shop.roll_up}

    def recover() -> None:
        shop.roll_up()
        shop.sweep()

    ends: set[str] = set()

    def check() -> None:
        right(shop, diary, sent, when)()
        ends.update(kinds(shop))

    explore(shop.world, works, check, recover=recover, preemptions=1, limit=60)
    ended = {"expired"} if when == AFTER else {"expiring"}
    assert ended | {"exhausted"} <= ends, "who was first, told"


@pytest.mark.parametrize("when", [LAST_SECOND, AFTER])
def test_the_last_call_of_a_package(shop: Cloud, diary: Diary, when: str) -> None:
    """Usage of the very last second is still of the package, that of the next one is not; the sweep beside it."""
    live_to(shop, WEEK_BEFORE, DAY_BEFORE)
    shop.go_to(when)
    shop.prepared()
    sent = calls(1, 10, when.replace(" ", "T"))

    def use() -> None:
        shop.report(sent)
        shop.roll_up()

    def check() -> None:
        right(shop, diary, sent, WEEK_BEFORE, DAY_BEFORE, when, "2025-03-21 08:00", run_day="2025-03-21")()
        assert set(kinds(shop)) - {"expiring"} == ({"expired"} if when == AFTER else {"low", "exhausted"})

    def recover() -> None:
        live_to(shop, "2025-03-21 08:00")
        shop.settle("daily")

    works: dict[str, Work] = {"sweep": shop.sweep, "use": use}
    explore(shop.world, works, check, recover=recover, preemptions=1, limit=60)


def test_a_release_ends_what_there_was_to_tell(shop: Cloud, diary: Diary) -> None:
    """Of a package that was released nothing more is told, whoever comes first at the release."""
    shop.go_to("2025-02-10 11:00:37")
    shop.adjust("daily", "-40.00")
    live_to(shop, "2025-02-11 11:00:37")
    shop.go_to(WEEK_BEFORE)
    shop.prepared()
    works: dict[str, Work] = {"a": shop.sweep, "b": shop.sweep, "pay": partial(shop.top_up, "daily", "20.00")}

    def check() -> None:
        right(shop, diary, [], WEEK_BEFORE, AFTER)()
        assert not kinds(shop)
        assert [one.kind for one in told(shop, "daily")] == ["arrears", "stopped", "released", "resumed"]

    explore(shop.world, works, check, recover=partial(live_to, shop, AFTER), preemptions=1, limit=60)


def test_a_refunded_package(shop: Cloud, diary: Diary) -> None:
    """Of a package that was given back nothing more is told, also where the sweep is at it."""
    (package,) = shop.bought("daily", FIVE)
    shop.prepared()
    works: dict[str, Work] = {"sweep": shop.sweep, "refund": partial(shop.refund, "daily", package)}
    recover = partial(live_to, shop, "2025-03-01 10:03", "2026-03-05 00:00")
    found = explore(shop.world, works, right(shop, diary, [], "2026-03-05 00:00"), recover=recover, limit=100)
    assert found.complete
    assert len(prepaid.texts(shop, "daily", "R#")) == 0


# --- the harness bites on the real code ------------------------------------------------------------------------


def test_a_bill_that_tells_nothing_is_caught(shop: Cloud, diary: Diary, monkeypatch: pytest.MonkeyPatch) -> None:
    """A settlement that uses up what no stream has told of, and says nothing."""
    monkeypatch.setattr(pending, "wallet_used", lambda wallet, *_: (wallet, []))
    with pytest.raises(FaultFound, match="package_exhausted"):
        test_a_lost_batch(shop, diary)


def test_a_rollup_that_does_not_look_is_caught(shop: Cloud, diary: Diary, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rollup that writes windows and looks at no package."""
    monkeypatch.setattr(rollup, "tell", lambda *_: 0)
    with pytest.raises(FaultFound, match="package_low"):
        test_the_stream(shop, diary, 9, ["low"])


def test_a_rollup_that_looks_too_soon_is_caught(shop: Cloud, diary: Diary, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rollup that looks before it writes misses what it brings itself."""
    roll_up, tell = rollup.roll_up, rollup.tell

    def both(*args: Any) -> None:
        tell(*args)
        roll_up(*args)

    monkeypatch.setattr(rollup, "roll_up", both)
    monkeypatch.setattr(rollup, "tell", lambda *_: 0)
    with pytest.raises(FaultFound, match="package_low"):
        test_the_stream(shop, diary, 9, ["low"])


def test_what_was_told_and_is_forgotten_is_caught(shop: Cloud, diary: Diary, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wallet that does not keep what was told."""

    def forgetful(wallet: Wallet, *args: Any) -> tuple[Wallet, Any]:
        after, notices = edges.wallet_told(wallet, *args)
        packages = tuple(replace(one, told=Edge.DELIVERED) for one in after.packages)
        return replace(after, packages=packages), notices

    monkeypatch.setattr(thresholds, "wallet_told", forgetful)
    with pytest.raises((FaultFound, AssertionError), match="told"):
        test_the_end_of_a_package(shop, diary, [], WEEK_BEFORE, ["expiring"])


def test_told_without_being_kept_is_caught(shop: Cloud, diary: Diary, monkeypatch: pytest.MonkeyPatch) -> None:
    """Notices of use without the bits that keep them from being told again."""

    def forgetful(wallet: Wallet, *args: Any) -> tuple[Wallet, Any]:
        _, notices = edges.wallet_told(wallet, *args)
        return replace(wallet, billed={**wallet.billed, at(MORNING).date(): 0}), notices

    monkeypatch.setattr(thresholds, "wallet_told", forgetful)
    with pytest.raises(FaultFound, match="package_low"):
        test_the_stream(shop, diary, 9, ["low"])


def test_low_at_a_fifth_is_caught(shop: Cloud, diary: Diary, monkeypatch: pytest.MonkeyPatch) -> None:
    """Low where a fifth is still there."""
    monkeypatch.setattr(edges, "_LOW_PART", 4.99)
    with pytest.raises(FaultFound, match="package_low"):
        test_the_stream(shop, diary, 8, [])


def test_a_look_without_version_condition_is_caught(shop: Cloud, diary: Diary, monkeypatch: pytest.MonkeyPatch) -> None:
    """A look that does not ask for the version that it saw writes over what came in between."""

    def careless(*args: Any) -> Json:
        made = accounts.account_put(*args)
        for name in ("ConditionExpression", "ExpressionAttributeValues"):
            made["Put"].pop(name, None)
        return made

    monkeypatch.setattr(snapshot, "account_put", careless)
    with pytest.raises(FaultFound, match=r"written over|wallet"):
        test_the_stream_and_something_else(shop, diary, "grant", 9)


def test_a_release_that_is_not_heeded_is_caught(shop: Cloud, diary: Diary, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sweep that tells of the end of a package that a release has ended."""
    monkeypatch.setattr(thresholds, "ended_by_release", lambda *_: set())
    with pytest.raises(FaultFound, match="release"):
        test_a_release_ends_what_there_was_to_tell(shop, diary)
