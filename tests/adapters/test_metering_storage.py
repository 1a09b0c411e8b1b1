"""Exactly once, however many events, processes, restarts and names there are (design, Metering)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from aws_platform.buckets import BucketStore
from aws_platform.failures import TryAgainError
from tests.adapters.steps import (
    NOW,
    A,
    at,
    calls,
    new_process,
    outcome,
    post_usage,
    process,
    refusals,
    report_from,
    stored,
    tables,
    usage,
)
from tests.support.product import Product, event, events


def test_thirty_thousand_events_of_one_second_from_two_processes(metered: Product) -> None:
    """30,000 events in one and the same second, sent by two processes in turn, are counted exactly; so are resends."""
    processes = [process(), process()]
    batches = [events("acct-1", 1000, NOW, prefix=f"b{n}") for n in range(30)]
    for number, batch in enumerate(batches):
        assert outcome(report_from(metered, processes[number % 2], batch)) == {"accepted": 1000}
    for number, batch in enumerate(batches[::10]):
        assert outcome(report_from(metered, processes[(number + 1) % 2], batch)) == {"duplicate": 1000}
    metered.stream()
    assert calls(metered) == (30_000, 0)
    metered.move("2025-03-02T09:00:00+08:00")
    (row,) = metered.get(f"{A}/bills/details", month="2025-03").body["items"]
    assert (row["raw_quantity"], row["total_cost"]) == (30_000, "9000.00000000")


def test_small_batches_of_two_processes_that_know_nothing_of_each_other(metered: Product) -> None:
    """Two processes that each remember an older state of the same seconds neither lose nor double an event."""
    processes = [process(), process()]
    for number in range(60):
        batch = events("acct-1", 7, NOW, prefix=f"p{number}")
        assert outcome(report_from(metered, processes[number % 2], batch)) == {"accepted": 7}
        # The other process gets the same again at once: it has not seen what was just stored.
        assert outcome(report_from(metered, processes[1 - number % 2], batch)) == {"duplicate": 7}
    metered.stream()
    assert calls(metered) == (420, 0)


def test_a_cold_process_finds_duplicates_in_every_generation(metered: Product) -> None:
    """After a restart events of full and of open generations are known, one by one and all at once."""
    everything = [one for n in range(40) for one in events("acct-1", 9, NOW, prefix=f"g{n}")]
    for n in range(40):
        metered.report(everything[n * 9 : n * 9 + 9])
    before = stored(metered)
    for one in everything[::37]:
        new_process()
        assert outcome(metered.report([one])) == {"duplicate": 1}
    new_process()
    assert outcome(metered.report(everything)) == {"duplicate": 360}
    assert stored(metered) == before
    new_process()
    mixed = [*everything[:50], *events("acct-1", 50, NOW, prefix="new"), *everything[-50:]]
    assert outcome(metered.report(mixed)) == {"duplicate": 100, "accepted": 50}
    assert calls(metered) == (410, 0)


def test_no_item_grows_without_bound(metered: Product) -> None:
    """However many events share a second, each stored item stays far below what an item may hold."""
    for n in range(12):
        metered.report(events("acct-1", 500, NOW, prefix=f"b{n}"))
    assert max(len(item) for item in tables(metered)["usage"]) < 100_000


def test_a_batch_of_many_seconds_and_sources(metered: Product) -> None:
    """A batch may touch any number of seconds and sources."""
    batch = [
        event("acct-1", f"e-{n}", f"2025-03-01T09:{n % 60:02d}:{n // 60:02d}+08:00", source=f"/gateway-{n % 7}")
        for n in range(60)
    ]
    assert outcome(metered.report(batch)) == {"accepted": 60}
    new_process()
    assert outcome(metered.report(batch[::-1])) == {"duplicate": 60}
    assert calls(metered) == (60, 0)


def test_many_accounts_in_one_batch(product: Product) -> None:
    """A batch may mix accounts; each is counted for itself, and unknown ones do not matter to the others."""
    for n in range(5):
        product.open_account(f"many-{n}")
    batch = [event(f"many-{n % 10}", f"e-{n}", NOW) for n in range(500)]
    reply = product.report(batch)
    assert outcome(reply) == {"accepted": 250, "rejected": 250}
    assert {code for _, code in refusals(reply)} == {"unknown_account"}
    for n in range(5):
        (row,) = product.get(f"/v1/accounts/many-{n}/usage").body["items"]
        assert row["calls"] == 50


@pytest.mark.parametrize("by", ["sub_account", "result_code"])
def test_names_beyond_the_bound_are_counted_together(metered: Product, by: str) -> None:
    """The first 1,000 sub-accounts or result codes are told apart, later ones counted under (other); none is lost."""

    def named(n: int) -> dict[str, Any]:
        extra: dict[str, Any] = {"sub_account": f"team-{n}"} if by == "sub_account" else {"code": f"c-{n}"}
        return event("acct-1", f"e-{n}", NOW, **extra)

    metered.report([named(n) for n in range(600)])
    metered.report([named(n) for n in range(600, 1300)])
    new_process()
    metered.report([named(n) for n in range(1300, 1500)])
    shown = usage(metered, by=by)
    counts = {row[by]: row["calls"] + row["not_chargeable"] for row in shown}
    other = counts.pop("(other)")
    assert (len(counts), set(counts.values())) == (1000, {1})
    assert (other, sum(counts.values()) + other) == (500, 1500)


def test_conflicts_are_found_beyond_the_bound_of_names(metered: Product) -> None:
    """Two sub-accounts, or two codes, that are counted together are still different data."""
    metered.report([event("acct-1", f"s-{n}", NOW, sub_account=f"team-{n}", code=f"c-{n}") for n in range(1000)])
    beyond = event("acct-1", "e-1", NOW, sub_account="team-x", code="c-x")
    others = [
        event("acct-1", "e-1", NOW, sub_account="team-y", code="c-x"),
        event("acct-1", "e-1", NOW, sub_account="team-x", code="c-y"),
        event("acct-1", "e-1", NOW, code="c-x"),
        event("acct-1", "e-1", NOW, sub_account="team-x"),
        event("acct-1", "e-1", NOW, sub_account="team-1", code="c-1"),
    ]
    assert outcome(post_usage(metered, [beyond])) == {"not_chargeable": 1}
    for _ in range(2):
        assert outcome(post_usage(metered, [*others, beyond])) == {"conflict": 5, "duplicate": 1}
        new_process()
    # Whether a result is charged does not depend on whether statistics can name it.
    assert outcome(metered.report(events("acct-1", 3, NOW, prefix="plain"))) == {"accepted": 3}
    other = next(row for row in usage(metered, by="result_code") if row["result_code"] == "(other)")
    assert (other["calls"], other["not_chargeable"]) == (3, 1)


def test_long_names_do_not_fill_the_table(metered: Product) -> None:
    """Names of 128 characters of 4 bytes are more than one dictionary can hold; usage goes on all the same."""
    for start in range(0, 600, 300):
        batch = [
            event("acct-1", f"e-{n}", NOW, sub_account="🀄" * 124 + f"{n:04d}", code="🀅" * 124 + f"{n:04d}")
            for n in range(start, start + 300)
        ]
        assert outcome(post_usage(metered, json.dumps(batch, ensure_ascii=False))) == {"not_chargeable": 300}
        new_process()
        assert outcome(post_usage(metered, json.dumps(batch, ensure_ascii=False))) == {"duplicate": 300}
    metered.stream()
    assert outcome(metered.report([event("acct-1", "last", NOW, sub_account="b")])) == {"accepted": 1}
    assert calls(metered, by="sub_account") == (1, 600)
    assert max(len(item.encode()) for item in tables(metered)["usage"]) < 4_000_000


def refused(code: str, operation: str = "PutItem") -> ClientError:
    """An error of AWS."""
    return ClientError({"Error": {"Code": code, "Message": "no"}}, operation)


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Exception]]:
    """The next errors that storing raises."""
    pending: list[Exception] = []
    store = BucketStore.store

    def failing(self: Any, *args: Any) -> Any:
        if pending:
            raise pending.pop()
        return store(self, *args)

    monkeypatch.setattr(BucketStore, "store", failing)
    yield pending
    assert not pending


@pytest.mark.parametrize(
    "error",
    [TryAgainError("busy"), refused("ProvisionedThroughputExceededException"), refused("InternalServerError")],
    ids=["contention", "throttling", "AWS is down"],
)
def test_what_is_not_durable_is_to_be_sent_again(metered: Product, broken: list[Exception], error: Exception) -> None:
    """Where the store is busy the answer is 503 `try_again`; the whole batch sent again is counted once."""
    batch = [event("acct-1", "e-1", NOW), event("acct-1", "e-2", "2025-03-01T09:00:00+08:00")]
    broken.append(error)
    reply = post_usage(metered, batch)
    assert (reply.status, reply.code) == (503, "try_again")
    assert outcome(metered.report(batch)).keys() <= {"accepted", "duplicate"}
    assert calls(metered) == (2, 0)


def test_a_fault_of_ours_is_a_problem_document(metered: Product, broken: list[Exception]) -> None:
    """An unforeseen error is answered as a problem without a word about its cause."""
    broken.append(KeyError("secret"))
    reply = post_usage(metered, [event("acct-1", "e-1", NOW)])
    assert (reply.status, reply.code) == (500, "internal_error")
    assert "secret" not in reply.text


def late_marks(product: Product) -> dict[str, str]:
    """The late marks by day; what each holds is another one after every late write."""
    items = [json.loads(item) for item in tables(product)["usage"]]
    return {item["sk"]["S"][2:]: json.dumps(item["raised"]) for item in items if "raised" in item}


def test_only_late_usage_raises_a_mark(metered: Product) -> None:
    """Usage of yesterday reported before 07:55 is on time, later it is late; each late write changes the mark (D4)."""
    yesterday = "2025-03-01T23:00:00+08:00"
    metered.report([event("acct-1", "e-0", NOW)])
    seen: set[str] = set()
    for now, late in (
        ("2025-03-02T00:10:00+08:00", False),
        ("2025-03-02T07:54:59+08:00", False),
        ("2025-03-02T07:55:00+08:00", True),
        ("2025-03-02T07:55:00.5+08:00", True),
        ("2025-03-02T07:59:59+08:00", True),
    ):
        metered.now = at(now)
        assert outcome(metered.report([event("acct-1", now, yesterday)])) == {"accepted": 1}
        marks = late_marks(metered)
        assert marks.keys() == ({"2025-03-01"} if late else set())
        assert not seen & set(marks.values())
        seen |= set(marks.values())
    assert outcome(metered.report([event("acct-1", "2025-03-02T07:55:00+08:00", yesterday)])) == {"duplicate": 1}
    assert outcome(metered.report([event("acct-1", "today", "2025-03-02T07:59:00+08:00")])) == {"accepted": 1}
    assert set(late_marks(metered).values()) <= seen
    # The run of 08:00 takes it all; marks of the last minutes before it may stay for the second pass.
    metered.move("2025-03-02T08:00:00+08:00")
    metered.move("2025-03-02T10:00:00+08:00")
    metered.run()
    assert late_marks(metered) == {}
    (row,) = metered.get(f"{A}/bills/details", month="2025-03").body["items"]
    assert row["raw_quantity"] == 6


def test_late_usage_of_a_monthly_account_is_late_after_its_month(product: Product) -> None:
    """A monthly account's usage is on time until 07:55 of the 1st, however old its day is (D4, D19)."""
    product.open_account("acct-1", opened_at="2022-06-01T00:00:00+08:00")
    product.now = at("2025-03-20T12:00:00+08:00")
    product.report([event("acct-1", "e-1", "2025-03-02T10:00:00+08:00")])
    assert late_marks(product) == {}
    product.now = at("2025-04-01T07:56:00+08:00")
    product.report([event("acct-1", "e-2", "2025-03-02T10:00:00+08:00")])
    assert late_marks(product).keys() == {"2025-03-02"}


def test_late_and_timely_usage_in_one_batch(metered: Product) -> None:
    """A batch may hold both; only the late day is marked, and all of it is stored."""
    metered.move("2025-03-05T09:00:00+08:00")
    batch = [event("acct-1", f"e-{day}", f"2025-03-0{day}T08:30:00+08:00") for day in (1, 2, 3, 4, 5)]
    assert outcome(metered.report(batch)) == {"accepted": 5}
    assert late_marks(metered).keys() == {"2025-03-01", "2025-03-02", "2025-03-03", "2025-03-04"}
    metered.move("2025-03-06T09:00:00+08:00")
    assert late_marks(metered) == {}
    rows = metered.get(f"{A}/bills/details", month="2025-03").body["items"]
    assert [row["usage_day"] for row in rows] == [f"2025-03-0{day}" for day in (1, 2, 3, 4, 5)]
