"""What makes two events the same one, and when an event is still taken (contract, Metering; D4)."""

from __future__ import annotations

import json
import random
from itertools import permutations
from typing import Any

import pytest

from aws_platform import records
from tests.adapters.steps import (
    NOW,
    A,
    at,
    calls,
    new_process,
    outcome,
    post_usage,
    queue_usage,
    refusals,
    stored,
    tables,
    usage,
)
from tests.support.product import Product, event, events

SAME_INSTANT = [
    "2025-03-01T10:00:00+08:00",
    "2025-03-01T02:00:00Z",
    "2025-03-01T02:00:00z",
    "2025-03-01t02:00:00Z",
    "2025-03-01t02:00:00z",
    "2025-03-01T02:00:00+00:00",
    "2025-03-01T02:00:00-00:00",
    "2025-02-28T21:00:00-05:00",
    "2025-03-01T07:45:00+05:45",
    "2025-03-01T16:00:00+14:00",
    "2025-02-28T14:00:00-12:00",
    "2025-03-01T10:00:00.0+08:00",
    "2025-03-01T02:00:00.000000Z",
    "2025-03-01T02:00:00." + "0" * 40 + "Z",
]
SAME_FRACTION = [
    "2025-03-01T10:00:00.25+08:00",
    "2025-03-01T02:00:00.250Z",
    "2025-03-01T02:00:00.250000000000z",
    "2025-02-28T21:00:00.25-05:00",
]
OTHER_INSTANTS = [
    "2025-03-01T10:00:00+08:00",
    "2025-03-01T10:00:00.1+08:00",
    "2025-03-01T10:00:00.01+08:00",
    "2025-03-01T10:00:00.10000001+08:00",
    "2025-03-01T10:00:00.123456+08:00",
    "2025-03-01T10:00:00.1234567+08:00",
    "2025-03-01T10:00:00.123456789+08:00",
    "2025-03-01T10:00:00.123456788+08:00",
    "2025-03-01T10:00:00.12345678900000000001+08:00",
    "2025-03-01T10:00:01+08:00",
    "2025-03-01T09:59:59.999999999+08:00",
    "2025-03-01T10:00:00+07:59",
    "2025-03-01T10:00:00Z",
]


@pytest.mark.parametrize("times", [SAME_INSTANT, SAME_FRACTION], ids=["whole second", "fraction"])
def test_one_instant_is_one_event_in_any_notation(metered: Product, times: list[str]) -> None:
    """An event sent again with its time in another notation is a duplicate, within a batch and in later ones."""
    assert outcome(metered.report([event("acct-1", "e-1", time) for time in times])) == {
        "accepted": 1,
        "duplicate": len(times) - 1,
    }
    new_process()
    for time in times:
        assert outcome(metered.report([event("acct-1", "e-1", time)])) == {"duplicate": 1}
    assert calls(metered) == (1, 0)


def test_other_instants_are_other_events(metered: Product) -> None:
    """The least difference in time makes another event, at any precision; the latest of these is in the future."""
    reply = metered.report([event("acct-1", "e-1", time) for time in OTHER_INSTANTS])
    assert outcome(reply) == {"accepted": len(OTHER_INSTANTS) - 1, "rejected": 1}
    assert refusals(reply) == [(len(OTHER_INSTANTS) - 1, "time_in_future")]
    new_process()
    again = metered.report([event("acct-1", "e-1", time) for time in OTHER_INSTANTS[:-1]])
    assert outcome(again) == {"duplicate": len(OTHER_INSTANTS) - 1}


def test_each_part_of_the_identity_counts(product: Product) -> None:
    """The same id from another source, at another time or for another account is another event."""
    product.open_account("acct-1", opened_at="2025-01-01T00:00:00+08:00")
    product.open_account("acct-2")
    batch = [
        event("acct-1", "e-1", NOW),
        event("acct-1", "e-2", NOW),
        event("acct-1", "e-1", NOW, source="/gateway-2"),
        event("acct-1", "e-1", "2025-03-01T09:59:59+08:00"),
        event("acct-2", "e-1", NOW),
    ]
    assert outcome(product.report(batch)) == {"accepted": 5}
    assert outcome(product.report(batch)) == {"duplicate": 5}
    assert calls(product) == (4, 0)


def test_parts_of_the_identity_do_not_run_into_each_other(metered: Product) -> None:
    """Moving characters from the source to the id, or to the time, makes another event."""
    pairs = [("a", "b1"), ("ab", "1"), ("a", "b"), ("ab", ""), ("1:a", "b"), ("1:a1:b", "x"), ("a1", "b"), ("a", "1b")]
    batch = [event("acct-1", event_id or "-", NOW, source=source) for source, event_id in pairs]
    assert outcome(metered.report(batch)) == {"accepted": len(pairs)}
    assert outcome(metered.report(batch)) == {"duplicate": len(pairs)}


@pytest.mark.parametrize(
    "sources", [("/gateway-46899", "/gateway-51471"), ("/gateway-63963", "/gateway-107702")], ids=" ".join
)
def test_sources_whose_short_forms_meet_are_told_apart(metered: Product, sources: tuple[str, str]) -> None:
    """Two sources that share a stored bucket (their short hashes are the same) still have events of their own."""
    one, other = (events("acct-1", 30, NOW, source=source) for source in sources)
    assert records.source_key(sources[0]) == records.source_key(sources[1])
    assert outcome(metered.report(one)) == {"accepted": 30}
    assert outcome(metered.report([*one, *other])) == {"duplicate": 30, "accepted": 30}
    new_process()
    assert outcome(metered.report([*other, *one])) == {"duplicate": 60}
    assert calls(metered) == (60, 0)


PHONE = {"interface": "api.phone_3e"}
EID = {"interface": "eid.mini_program"}
COMPARE = {"interface": "api.liveness_compare", "code": "Success"}
SAME_DATA = {
    "mode left out is simple": [PHONE, {**PHONE, "mode": None}, {**PHONE, "mode": "simple"}],
    "intention left out is false": [EID, {**EID, "intention_verify": None}, {**EID, "intention_verify": False}],
    "the only library may be left out": [EID, {**EID, "library": "authority"}, {**EID, "library": None}],
    "so may the uploaded one": [COMPARE, {**COMPARE, "library": "uploaded"}, {**COMPARE, "library": None}],
    "null is left out": [{}, {"library": None, "mode": None, "intention_verify": None, "sub_account": None}],
}


@pytest.mark.parametrize("variants", SAME_DATA.values(), ids=SAME_DATA.keys())
def test_data_are_compared_after_defaults(metered: Product, variants: list[dict[str, Any]]) -> None:
    """Spelling a default out, as null or leaving it out says the same."""
    for first in variants:
        for second in variants:
            name = repr((first, second))
            batch = [event("acct-1", name, NOW, **first), event("acct-1", name, NOW, **second)]
            assert outcome(metered.report(batch)) == {"accepted": 1, "duplicate": 1}


BOTH = {"interface": "plus.app_sdk", "library": "authority"}
OTHER_DATA = {
    "result": [{}, {"code": "-1"}],
    "chargeable or not": [{}, {"code": "-2"}],
    "two results that are both free": [{"code": "-2"}, {"code": "-3"}],
    "leading zero": [{"code": "0"}, {"code": "00"}],
    "interface of the same tag": [{}, {"interface": "api.id_card_ocr_verification"}],
    "interface of another tag": [{}, {"interface": "api.phone_2e"}],
    "library": [BOTH, {**BOTH, "library": "uploaded"}],
    "mode": [PHONE, {**PHONE, "mode": "detailed"}],
    "intention": [EID, {**EID, "intention_verify": True}],
    "a sub-account": [{}, {"sub_account": "team-a"}],
    "another sub-account": [{"sub_account": "team-a"}, {"sub_account": "team-b"}],
    "a sub-account that looks like none": [{}, {"sub_account": "null"}],
    "sub-accounts that differ in case": [{"sub_account": "a"}, {"sub_account": "A"}],
}


@pytest.mark.parametrize("first, second", OTHER_DATA.values(), ids=OTHER_DATA.keys())
def test_other_data_are_a_conflict_and_change_nothing(
    metered: Product, first: dict[str, Any], second: dict[str, Any]
) -> None:
    """The same event with other data conflicts, in one batch and later; the first stays as it was."""
    for earlier, later in ((first, second), (second, first)):
        name = repr(earlier)
        reply = metered.report([event("acct-1", name, NOW, **earlier), event("acct-1", name, NOW, **later)])
        assert refusals(reply) == [(1, "conflict")]
        assert outcome(reply)["conflict"] == 1
        before = stored(metered)
        for _ in range(2):
            new_process()
            reply = metered.report([event("acct-1", name, NOW, **later), event("acct-1", name, NOW, **earlier)])
            assert outcome(reply) == {"conflict": 1, "duplicate": 1}
            assert refusals(reply) == [(0, "conflict")]
        assert stored(metered) == before


def test_the_first_of_a_batch_wins(metered: Product) -> None:
    """In one batch the first of several is taken; the same again is a duplicate, other data are conflicts."""
    batch = [
        event("acct-1", "e-1", NOW, sub_account="first"),
        event("acct-1", "e-1", NOW, sub_account="second"),
        event("acct-1", "e-1", NOW, sub_account="first"),
        event("acct-1", "e-1", NOW, sub_account="third"),
        event("acct-1", "e-1", NOW, sub_account="second"),
    ]
    reply = metered.report(batch)
    assert outcome(reply) == {"accepted": 1, "duplicate": 1, "conflict": 3}
    assert refusals(reply) == [(1, "conflict"), (3, "conflict"), (4, "conflict")]
    assert [(row["sub_account"], row["calls"]) for row in usage(metered, by="sub_account")] == [("first", 1)]


def conflicts_logged(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str, int]]:
    """(account, source, events) of the conflicts that ingest logged, and forgets."""
    told: list[Any] = [record for record in caplog.records if record.getMessage() == "usage conflicts"]
    caplog.clear()
    return [(one.account_id, one.source, one.events) for one in told]


@pytest.mark.parametrize("door", ["http", "queue"])
def test_the_log_names_who_reports_conflicts(metered: Product, caplog: pytest.LogCaptureFixture, door: str) -> None:
    """Account and source of conflicts are logged, the most first, and nothing of the events' data."""
    first = [*events("acct-1", 3, NOW), event("acct-1", "other", NOW, source="/gateway-2")]
    other = [{**one, "data": {**one["data"], "sub_account": "Wang Fang"}} for one in first]
    metered.report(first)
    assert conflicts_logged(caplog) == []
    batch = [*first, *reversed(other)]
    if door == "http":
        metered.report(batch)
    else:
        queue_usage(metered, json.dumps(batch))
    logged = "".join(str(record.__dict__) for record in caplog.records)
    assert conflicts_logged(caplog) == [("acct-1", "/gateway-1", 3), ("acct-1", "/gateway-2", 1)]
    assert "Wang Fang" not in logged


def test_the_log_names_few_of_many_sources(metered: Product, caplog: pytest.LogCaptureFixture) -> None:
    """However many sources have conflicts in a batch, ten are named."""
    first = [event("acct-1", "e-1", NOW, source=f"/gateway-{number}") for number in range(12)]
    metered.report(first)
    metered.report([{**one, "data": {**one["data"], "sub_account": "s"}} for one in first])
    assert len(conflicts_logged(caplog)) == 10


def test_the_order_of_a_batch_does_not_change_its_counts(metered: Product) -> None:
    """However a batch is ordered, as many events are accepted, duplicates, conflicts and rejected."""
    for number, order in enumerate(permutations(range(5))):
        name = f"batch-{number}"
        batch = [
            event("acct-1", name, NOW),
            event("acct-1", name, "2025-03-01T02:00:00Z"),
            event("acct-1", name, NOW, code="-1"),
            event("acct-1", name, "2025-03-01T09:00:00+08:00", code="-2"),
            event("acct-1", name, "2026-03-01T10:00:00+08:00"),
        ]
        reply = post_usage(metered, [batch[index] for index in order])
        counts = outcome(reply)
        # Of the three at one instant one is first; if it is the odd one, the other two conflict with it.
        odd_first = order.index(2) < min(order.index(0), order.index(1))
        conflicts = {"conflict": 2} if odd_first else {"duplicate": 1, "conflict": 1}
        assert counts == {"accepted": 1, "not_chargeable": 1, "rejected": 1, **conflicts}
        assert (order.index(4), "time_in_future") in refusals(reply)


def test_any_split_and_order_of_the_same_events_comes_to_the_same(metered: Product) -> None:
    """Events sent several times, in any batches and any order, are counted once each."""
    dice = random.Random(20250301)  # noqa: S311 - repeatable, not secret
    everything = [
        event(
            "acct-1",
            f"e-{n}",
            f"2025-03-01T09:{n % 4:02d}:{n * 7 % 60:02d}+08:00",
            interface=dice.choice(["api.phone_2e", "api.id_card_verification"]),
            code=dice.choice(["0", "-3"]),
            source=f"/gateway-{n % 3}",
        )
        for n in range(150)
    ]
    sent = everything * 3
    dice.shuffle(sent)
    seen: dict[str, int] = dict.fromkeys(("accepted", "not_chargeable", "duplicate"), 0)
    while sent:
        size = dice.randint(1, 120)
        part, sent = sent[:size], sent[size:]
        for name, number in outcome(post_usage(metered, part)).items():
            seen[name] += number
        if dice.random() < 0.3:
            new_process()
    metered.stream()
    charged = sum(one["data"]["result_code"] == "0" for one in everything)
    assert seen == {"accepted": charged, "not_chargeable": 150 - charged, "duplicate": 300}
    assert calls(metered, by="tag") == (charged, 150 - charged)


def test_the_oldest_second_that_is_taken(product: Product) -> None:
    """An event may be 35 days old to the second, and one second more is too much."""
    product.open_account("acct-1", opened_at="2024-01-01T00:00:00+08:00")
    batch = [
        event("acct-1", "e-1", "2025-01-25T10:00:00+08:00"),
        event("acct-1", "e-2", "2025-01-25T02:00:00Z"),
        event("acct-1", "e-3", "2025-01-25T10:00:00.000001+08:00"),
        event("acct-1", "e-4", "2025-01-25T09:59:59+08:00"),
        event("acct-1", "e-5", "2025-01-25T09:59:59.999999+08:00"),
    ]
    reply = product.report(batch)
    assert outcome(reply) == {"accepted": 3, "rejected": 2}
    assert refusals(reply) == [(3, "time_too_old"), (4, "time_too_old")]


def test_the_newest_second_that_is_taken(metered: Product) -> None:
    """An event may be 5 minutes ahead to the second, and one second more is too much."""
    batch = [
        event("acct-1", "e-1", "2025-03-01T10:05:00+08:00"),
        event("acct-1", "e-2", "2025-03-01T10:04:59.999999999+08:00"),
        event("acct-1", "e-3", "2025-03-01T10:05:01+08:00"),
        event("acct-1", "e-4", "2025-03-01T10:05:00Z"),
    ]
    reply = metered.report(batch)
    assert outcome(reply) == {"accepted": 2, "rejected": 2}
    assert refusals(reply) == [(2, "time_in_future"), (3, "time_in_future")]


def test_usage_before_the_opening_is_refused_to_the_second(product: Product) -> None:
    """The second of the opening is the first that is taken; the opening counts in whole seconds."""
    product.now = at("2025-03-01T10:00:00.700+08:00")
    product.open_account("acct-1")
    assert product.get(A).body["opened_at"] == "2025-03-01T10:00:00+08:00"
    batch = [
        event("acct-1", "e-1", "2025-03-01T10:00:00+08:00"),
        event("acct-1", "e-2", "2025-03-01T10:00:00.1+08:00"),
        event("acct-1", "e-3", "2025-03-01T09:59:59.999+08:00"),
        event("acct-1", "e-4", "2025-03-01T09:59:59+08:00"),
    ]
    reply = product.report(batch)
    assert outcome(reply) == {"accepted": 2, "rejected": 2}
    assert refusals(reply) == [(2, "before_opening"), (3, "before_opening")]


def test_an_event_belongs_to_the_day_of_its_own_time(metered: Product) -> None:
    """Days are Shanghai's, by the event's time and neither by its arrival nor by its own offset (D1)."""
    metered.now = at("2025-03-03T10:00:00+08:00")
    batch = [
        event("acct-1", "e-1", "2025-03-01T23:59:59.999+08:00"),
        event("acct-1", "e-2", "2025-03-02T00:00:00+08:00"),
        event("acct-1", "e-3", "2025-03-01T15:59:59Z"),
        event("acct-1", "e-4", "2025-03-01T16:00:00Z"),
        event("acct-1", "e-5", "2025-03-02T02:00:00+14:00"),
    ]
    assert outcome(metered.report(batch)) == {"accepted": 5}
    assert [(row["day"], row["calls"]) for row in usage(metered)] == [("2025-03-01", 3), ("2025-03-02", 2)]


def test_a_resend_is_found_after_settlement(metered: Product) -> None:
    """An event of a settled day sent again is a duplicate, and with other data a conflict, as ever."""
    batch = events("acct-1", 10, NOW)
    metered.report(batch)
    metered.move("2025-03-05T09:00:00+08:00")
    new_process()
    before = stored(metered), tables(metered)["ledger"], tables(metered)["live"]
    assert outcome(metered.report(batch)) == {"duplicate": 10}
    assert outcome(metered.report(events("acct-1", 10, NOW, code="-1"))) == {"conflict": 10}
    assert (stored(metered), tables(metered)["ledger"], tables(metered)["live"]) == before


def test_a_stopped_account_still_accepts_usage(product: Product) -> None:
    """Usage of a stopped or released account happened, and is taken."""
    product.open_account("acct-1", cash="1.00")
    product.report(events("acct-1", 10, NOW))
    for now, status in (("2025-03-04T10:00:00+08:00", "stopped"), ("2025-04-10T10:00:00+08:00", "released")):
        product.move(now)
        assert product.get(A).body["status"] == status
        assert outcome(product.report(events("acct-1", 5, now))) == {"accepted": 5}
