"""The traffic that benchmarks send."""

from __future__ import annotations

import json
from datetime import timedelta

from bench import traffic
from bench.metering import LONGEST_SPAN_SECONDS, START, cases


def test_calls_are_the_same_every_time() -> None:
    """Two runs send the same calls, evenly spaced, each with an id of its own."""
    first, second = (list(traffic.calls(100, START, timedelta(milliseconds=5), mixed=True)) for _ in range(2))
    assert first == second
    assert len({call.event_id for call in first}) == 100
    assert first[-1].at - first[0].at == timedelta(milliseconds=495)


def test_mixed_calls() -> None:
    """Mixed traffic has every interface, code and sub-account; plain traffic has one kind of call."""
    mixed = list(traffic.calls(500, START, timedelta(0), mixed=True))
    assert {call.interface for call in mixed} == set(traffic.INTERFACES)
    assert {call.code for call in mixed} == set(traffic.CODES)
    assert {call.sub_account for call in mixed} == set(traffic.SUB_ACCOUNTS)
    assert len({(call.interface, call.code) for call in traffic.calls(500, START, timedelta(0), mixed=False)}) == 1


def test_bodies_are_events() -> None:
    """A request's body is a batch of CloudEvents, sent when the last of them has happened."""
    (batch,) = traffic.batches(traffic.calls(3, START, timedelta(seconds=1), mixed=True, accounts=2), 5)
    events = json.loads(traffic.request(batch.body())["body"])
    assert [event["subject"] for event in events] == ["acct-000000", "acct-000001", "acct-000000"]
    assert events[0]["time"] == START.isoformat()
    assert set(events[0]["data"]) == {"interface", "library", "result_code", "sub_account"}
    assert batch.at == START + timedelta(seconds=2)


def test_cases_are_what_the_target_speaks_of() -> None:
    """Batches hold 50 events and more and span at most ten seconds, at every rate and with one and two processes."""
    for case in cases():
        assert case.size >= 50
        assert case.size <= case.rate * LONGEST_SPAN_SECONDS
    assert {(case.rate, case.processes, case.mixed) for case in cases()} == {
        (rate, processes, mixed) for rate in (10, 100, 1000, 5000) for processes in (1, 2) for mixed in (True, False)
    }


def test_a_case_keeps_its_rate() -> None:
    """A case sends as many events as its rate and length say, whatever the number of its sources."""
    for case in cases():
        if case.rate <= 100:
            batches = list(case.batches())
            assert sum(len(batch.calls) for batch in batches) == case.rate * case.seconds
            assert all(len(batch.calls) == case.size for batch in batches)
            assert len({batch.calls[0].source for batch in batches}) == case.sources
            assert batches == sorted(batches, key=lambda batch: batch.at)
