"""Ingest under faults: counted is reported, whatever happens to whichever call, through either door."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from aws_platform import clients, failures
from aws_platform.buckets import BucketStore
from aws_platform.directory import Directory
from ingest import record_usage
from ingest.handler import Meter
from tests.faults.harness import (
    ALL,
    EVERY_CALL,
    REFUSALS,
    Delivery,
    Exploration,
    Fault,
    FaultFound,
    Faults,
    exhaust,
    explore,
    race_seeds,
    sweep,
)
from tests.faults.properties import LOST, check_always, check_complete, check_told, stored_facts
from tests.faults.support import Cloud, Json, fact
from tests.support.product import event

NOON = "2025-03-01T10:00:00+08:00"
PHONE = {"interface": "api.phone_2e", "code": "1"}


def call(number: int, second: int = 0, **more: Any) -> Json:
    """One call of the first ten seconds after ten, or later."""
    return event("daily", f"e{number}", f"2025-03-01T10:{second // 60:02d}:{second % 60:02d}+08:00", **more)


def calls(*numbers: int) -> list[Json]:
    """Calls of one bucket."""
    return [call(number) for number in numbers]


THROTTLES = (Fault.THROTTLED, Fault.THROTTLED_OUT)
GOOD = [
    call(1, sub_account="team-a"),
    call(2, 9, **PHONE),
    call(3, 1, code="-2", sub_account="team-b"),
    call(4, 15),
    event("monthly", "m1", NOON),
]
BATCH = [*GOOD, GOOD[0], call(2, 9, interface="api.phone_2e", code="0"), event("nobody", "e1", NOON)]
"""Three buckets of two accounts; a duplicate and a conflict in the batch itself, and an event that is refused."""


def is_true(cloud: Cloud, sent: Sequence[Json], valid: Sequence[Json] | None = None) -> Callable[[], None]:
    """The property: every answer is true, everything valid is stored once, and nothing was wrong at any moment."""

    def check() -> None:
        check_always(cloud)
        check_told(cloud, sent)
        check_complete(cloud, sent, sent if valid is None else valid)

    return check


WHEN = {"on time": "2025-03-01 10:01", "late": "2025-03-02 07:55"}


@pytest.mark.parametrize("when", WHEN.values(), ids=WHEN)
def test_batch_stands_a_fault_at_every_call(cloud: Cloud, when: str) -> None:
    """Whatever strikes whichever call of a request, sending it again stores each event once; late ones are marked."""
    cloud.go_to(when)
    batch, valid = (BATCH, GOOD) if when == WHEN["on time"] else (GOOD[:2], GOOD[:2])
    check = is_true(cloud, batch, valid)
    report = exhaust(
        cloud.world, lambda: cloud.report(batch), check, kinds=ALL, recover=lambda: cloud.report_again(batch)
    )
    assert report.cases > 40
    assert set(report.faults) >= {*EVERY_CALL, *THROTTLES, Fault.CONFLICT}


def test_fault_after_fault(cloud: Cloud) -> None:
    """A second crash or lost answer in what comes after the first changes nothing."""
    cloud.go_to(WHEN["late"])
    batch = [call(1), call(2, 9, **PHONE)]
    kinds = (Fault.CRASH_AFTER, Fault.TIMEOUT_AFTER, Fault.CONFLICT)
    report = exhaust(cloud.world, lambda: cloud.report(batch), is_true(cloud, batch), kinds=kinds, depth=2)
    assert report.cases > 50


def test_seeds(cloud: Cloud) -> None:
    """Under many faults at random, on-time and late, each event is stored once and each answer is true."""
    batches = [BATCH[:4], BATCH[3:], BATCH]

    def work() -> None:
        cloud.report(*batches[:2])
        cloud.go_to(WHEN["late"])
        cloud.report(batches[2])

    sweep(cloud.world, work, is_true(cloud, BATCH, GOOD), seeds=range(30), rates=0.03)


@pytest.mark.parametrize(
    "fault", [Fault.THROTTLED_OUT, Fault.UNREACHABLE, Fault.LOST, Fault.SERVER_ERROR_BEFORE, *REFUSALS]
)
def test_answer_is_try_again(cloud: Cloud, fault: Fault) -> None:
    """A fault of AWS that is not overcome is answered 503 `try_again`, never 500."""
    clean = cloud.world.worker("clean")
    start = cloud.world.snapshot()
    assert clean.run(lambda: cloud.report(BATCH)).ok
    for number in range(1, clean.calls + 1):
        cloud.world.restore(start)
        # To be struck at every later call as well leaves no way to overcome it.
        everywhere = Faults.at(dict.fromkeys(range(number, number + 60), fault))
        cloud.world.run(lambda: cloud.report(BATCH), everywhere)
        assert cloud.statuses[-1] in {200, 503}
        if fault is Fault.THROTTLED_OUT:
            assert cloud.statuses == [503]


# --- several at once -------------------------------------------------------------------------------------------


def together(cloud: Cloud, check: Callable[[], None], **works: Callable[[], object]) -> Exploration:
    """Play every order of the workers' calls."""
    found = explore(cloud.world, works, check, limit=1000)
    assert found.complete, found
    assert found.schedules > 1
    return found


def known_account(cloud: Cloud) -> Json:
    """Store an event, so that the day item and the names are there; return it."""
    first = call(0, 20)
    cloud.report([first])
    cloud.prepared(first)
    return first


@pytest.mark.parametrize("when", WHEN.values(), ids=WHEN)
def test_two_requests_with_the_same_events(cloud: Cloud, when: str) -> None:
    """Two requests with the same events, in every order: stored once, told `accepted` once and `duplicate` once."""
    first = known_account(cloud)
    cloud.go_to(when)
    batch = calls(1, 2)

    def check() -> None:
        is_true(cloud, [first, *batch])()
        assert sorted(told.report["accepted"] for told in cloud.told) == [0, 2]
        assert sorted(told.report["duplicate"] for told in cloud.told) == [0, 2]

    together(cloud, check, a=lambda: cloud.report(batch), b=lambda: cloud.report(batch))


def test_two_requests_that_conflict(cloud: Cloud) -> None:
    """Of two requests that give one event other data, one is told `accepted` and the other `conflict`."""
    first = known_account(cloud)
    left, right = [call(1), call(2)], [call(1, code="-1"), call(3)]
    sent = [first, *left, *right]

    def check() -> None:
        is_true(cloud, sent)()
        assert sorted(told.report["conflict"] for told in cloud.told) == [0, 1]

    together(cloud, check, a=lambda: cloud.report(left), b=lambda: cloud.report(right))


def test_first_requests_of_an_account(cloud: Cloud) -> None:
    """Two first requests with new names for an account: one day item, and no number of the dictionary twice."""
    left = [call(1, sub_account="a"), call(2, code="-7")]
    right = [call(3, sub_account="b", code="-8"), call(4, sub_account="a")]
    check = is_true(cloud, [*left, *right])
    found = together(cloud, check, a=lambda: cloud.report(left), b=lambda: cloud.report(right))
    assert found.schedules > 20


def test_a_process_with_an_old_memory(cloud: Cloud) -> None:
    """What a process remembers of a bucket may be outdated at any of its calls: nothing is stored twice or lost."""
    first = known_account(cloud)
    mine, later, others = calls(1, 2), calls(2, 3, 4), calls(3, 5)
    check = is_true(cloud, [first, *mine, *later, *others])
    together(cloud, check, a=lambda: cloud.report(mine, later), b=lambda: cloud.report(others))


def test_a_bucket_that_becomes_full(cloud: Cloud) -> None:
    """Three requests to a bucket that becomes full, so that its next generation begins: nothing is lost or twice."""
    base = calls(*range(40))
    cloud.report(base)
    cloud.prepared(*base)
    a, b, c = (calls(*range(first, first + 12)) for first in (100, 106, 200))
    check = is_true(cloud, [*base, *a, *b, *c])
    works = {"a": lambda: cloud.report(a), "b": lambda: cloud.report(b), "c": lambda: cloud.report(c)}
    race_seeds(cloud.world, works, check, seeds=range(30), rates=0.02)


def test_accepted_is_told_twice_only_where_an_answer_was_lost(cloud: Cloud) -> None:
    """Two requests are both told `accepted` only where one lost the answer to its write and the other's came first.

    The one then finds its events stored and cannot know by whom. They are stored once all the same.
    """
    batch = calls(1, 2)
    check = is_true(cloud, [known_account(cloud), *batch])
    told: dict[Fault, int] = {}

    def most(fault: Fault) -> Callable[[], None]:
        def look() -> None:
            check()
            told[fault] = max(told.get(fault, 0), sum(one.report["accepted"] for one in cloud.told))

        return look

    works = {"a": lambda: cloud.report(batch), "b": lambda: cloud.report(batch)}
    for fault in ALL:
        explore(cloud.world, works, most(fault), faults=partial(Faults.parse, f"a#3={fault}"), limit=30)
    twice = {fault for fault, number in told.items() if number > 2}
    assert twice == LOST


# --- the other door --------------------------------------------------------------------------------------------


def nothing() -> None:
    """Recover by nothing."""


def test_queue(cloud: Cloud) -> None:
    """Messages that come again, in other orders and batches, under faults: stored once, refusals are put aside."""
    sent = [*BATCH, call(7)]

    def check() -> None:
        check_always(cloud)
        check_complete(cloud, sent, [*GOOD, call(7)])
        stored = stored_facts(cloud, sent)
        refused = {str(one) for one in sent if fact(one) not in stored}
        assert {str(one) for one in cloud.dead_letters()} == refused

    for seed in range(25):
        delivery = Delivery(seed=seed, batch=(1, 3), duplicate=0.5, reorder=0.5)
        work = partial(cloud.deliver, delivery, BATCH[:3], BATCH[2:], BATCH[:5], [call(7)])
        sweep(cloud.world, work, check, seeds=[seed], rates=0.03, recover=nothing)


def test_both_doors(cloud: Cloud) -> None:
    """The same events through both doors at once, resent and redelivered, under faults: stored once, answers true."""
    sent = [*BATCH, call(7)]
    check = is_true(cloud, sent, [*GOOD, call(7)])
    for seed in range(25):
        delivery = Delivery(seed=seed, batch=(1, 2), duplicate=0.3, reorder=0.5)
        works: dict[str, Callable[[], object]] = {
            "http": lambda: cloud.report(BATCH[:4], sent[4:]),
            "queue": partial(cloud.deliver, delivery, BATCH[2:], [call(7)]),
        }
        race_seeds(cloud.world, works, check, seeds=[seed], rates=0.03)


# --- the harness bites on the real code ------------------------------------------------------------------------


class Unconditional:
    """A client whose puts ask for nothing."""

    def __init__(self, client: Any) -> None:
        self.client = client

    def put_item(self, **put: Any) -> Any:
        """Put the item whatever is there."""
        for name in ("ConditionExpression", "ExpressionAttributeValues"):
            put.pop(name, None)
        return self.client.put_item(**put)


def test_a_store_without_condition_is_caught(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the condition on a bucket's write, of two requests at once one loses its events."""

    def broken() -> Meter:
        store = BucketStore(clients.dynamodb(), Unconditional(clients.dynamodb_once()), "usage")  # type: ignore[arg-type]
        return replace(Cloud.make_meter(), buckets=store)

    first = known_account(cloud)
    monkeypatch.setattr(cloud, "make_meter", broken)
    sent = [first, *calls(1, 2)]
    works = {"a": lambda: cloud.report(calls(1)), "b": lambda: cloud.report(calls(2))}
    with pytest.raises(FaultFound, match=r"stored events were changed|not stored"):
        explore(cloud.world, works, is_true(cloud, sent))


def test_a_store_that_does_not_look_after_a_time_out_is_caught(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that takes an unanswered write for one that happened tells of events that are not there."""

    def hasty(self: BucketStore, *args: Any) -> Any:
        error = write(self, *args)
        return None if error is not None and failures.is_unknown_outcome(error) else error

    write = BucketStore._write
    monkeypatch.setattr(BucketStore, "_write", hasty)
    batch = calls(1, 2)
    with pytest.raises(FaultFound, match=r"answered, but not stored|archived before it is counted"):
        exhaust(
            cloud.world, lambda: cloud.report(batch), is_true(cloud, batch), kinds=[Fault.UNREACHABLE], recover=nothing
        )


def test_late_usage_without_a_mark_is_caught(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """Late usage that raises no mark is seen in the moment in which it is stored."""
    cloud.go_to(WHEN["late"])
    monkeypatch.setattr(record_usage, "_late", lambda *_: None)
    with pytest.raises(FaultFound, match="late usage without a mark"):
        explore(cloud.world, {"a": lambda: cloud.report(calls(1))}, is_true(cloud, calls(1)))


def test_buckets_without_a_day_item_are_caught(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bucket that is written before its day item is seen where the process dies in between, or at once."""
    monkeypatch.setattr(Directory, "ensure_day", lambda *_: None)
    with pytest.raises(FaultFound, match="no day item"):
        explore(cloud.world, {"a": lambda: cloud.report(calls(1))}, is_true(cloud, calls(1)))
