"""The second door of metering: batches on UsageQueue, one a message (contract, Metering)."""

from __future__ import annotations

import json

import pytest

from aws_platform.buckets import BucketStore
from aws_platform.failures import TryAgainError
from ingest import handler as ingest_handler
from tests.adapters.steps import (
    NOW,
    calls,
    dead_letters,
    new_process,
    outcome,
    post_usage,
    queue_usage,
    stored,
    tables,
    usage,
)
from tests.support.product import Product, event, events


@pytest.mark.parametrize("first", ["http", "queue"])
def test_the_same_events_through_both_doors_count_once(metered: Product, first: str) -> None:
    """Whichever door an event comes through first, and whatever process takes it, it is counted once."""
    batch = [*events("acct-1", 20, NOW), event("acct-1", "free", NOW, code="-2")]
    body = json.dumps(batch)
    if first == "http":
        assert outcome(metered.report(batch)) == {"accepted": 20, "not_chargeable": 1}
    else:
        assert queue_usage(metered, body) == []
    before = tables(metered)
    new_process()
    assert queue_usage(metered, body, body) == []
    assert outcome(metered.report(batch)) == {"duplicate": 21}
    assert tables(metered) == before
    assert calls(metered) == (20, 1)
    assert dead_letters(metered) == []


def test_one_event_may_be_a_message(metered: Product) -> None:
    """A message holds a batch or a single event, with white space around it or not."""
    one = json.dumps(event("acct-1", "e-1", NOW))
    assert queue_usage(metered, one, f" \n{one}\n", f"[{one}]") == []
    assert calls(metered) == (1, 0)


def test_a_message_delivered_twice_counts_once(metered: Product) -> None:
    """Queues deliver at least once: the same message again, in the same or a later invocation, changes nothing."""
    body = json.dumps(events("acct-1", 5, NOW))
    assert queue_usage(metered, body, body) == []
    before = tables(metered)
    for _ in range(3):
        new_process()
        assert queue_usage(metered, body) == []
    assert tables(metered) == before
    assert calls(metered) == (5, 0)


BROKEN = {
    "no JSON": "hello",
    "empty": "",
    "truncated": '[{"id":',
    "NaN": "[NaN]",
    "a number": "5",
    "null": "null",
    "a text": '"x"',
    "100,000 brackets": "[" * 100_000,
}


@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN.keys())
def test_a_malformed_message_stays_and_harms_no_other(metered: Product, body: str) -> None:
    """What is no batch stays on the queue for its dead-letter queue; messages before and after it are taken."""
    good = [json.dumps([event("acct-1", f"e-{n}", NOW)]) for n in range(2)]
    assert queue_usage(metered, good[0], body, good[1]) == ["m-1"]
    assert calls(metered) == (2, 0)
    assert dead_letters(metered) == []


def test_a_message_with_too_many_events_stays(metered: Product) -> None:
    """The queue's batches have the same limit as the API's, and none of a larger one is taken."""
    before = tables(metered)
    assert queue_usage(metered, json.dumps(events("acct-1", 1001, NOW))) == ["m-0"]
    assert tables(metered) == before


def test_rejected_events_are_put_aside_as_a_batch_that_can_be_sent_again(product: Product) -> None:
    """Nobody hears an answer: refused events lie in the dead-letter queue, and count once what was wrong is mended."""
    product.open_account("acct-1")
    good, bad = event("acct-1", "good", NOW), event("acct-2", "early", NOW, sub_account="账🀄")
    worse = {**event("acct-1", "worse", NOW), "time": "2025-03-01T10:00:00"}
    assert queue_usage(product, json.dumps([bad, good, worse])) == []
    assert calls(product) == (1, 0)
    ((body, codes),) = dead_letters(product)
    assert json.loads(body) == [bad, worse]
    assert codes == "invalid_event,unknown_account"
    product.open_account("acct-2")
    assert outcome(post_usage(product, body)) == {"accepted": 1, "rejected": 1}
    assert queue_usage(product, body) == []
    product.stream()
    assert product.get("/v1/accounts/acct-2/usage").body["items"][0]["calls"] == 1


def test_conflicts_are_put_aside_too(metered: Product) -> None:
    """An event that conflicts is not lost without a word either."""
    metered.report([event("acct-1", "e-1", NOW)])
    before = stored(metered)
    odd = event("acct-1", "e-1", NOW, code="-1")
    assert queue_usage(metered, json.dumps([odd])) == []
    ((body, codes),) = dead_letters(metered)
    assert (json.loads(body), codes) == ([odd], "conflict")
    assert stored(metered) == before


def test_what_cannot_be_read_is_put_aside_as_it_came(metered: Product) -> None:
    """An event that gives a name twice, or holds half a character, is put aside so that all of it can still be read."""
    texts = ['{"id": "a", "id": "b"}', '{"id": "\\ud800", "data": {"x": 1, "x": [2, {"y": 3, "y": 4}]}}', "5"]
    good = json.dumps(event("acct-1", "good", NOW))
    assert queue_usage(metered, f"[{texts[0]}, {good}, {texts[1]}, {texts[2]}]") == []
    ((body, codes),) = dead_letters(metered)
    assert body == f"[{', '.join(texts)}]"
    assert codes == "invalid_event"
    assert calls(metered) == (1, 0)


def test_only_the_messages_that_could_not_be_stored_come_back(
    metered: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that is busy for one message leaves that one on the queue; delivered again, all are counted once."""
    store = BucketStore.store
    tries = iter([False, True, False])

    def busy(*args: object) -> object:
        if next(tries, False):
            raise TryAgainError
        return store(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(BucketStore, "store", busy)
    bodies = [json.dumps(events("acct-1", 4, NOW, prefix=f"m{n}")) for n in range(3)]
    assert queue_usage(metered, *bodies) == ["m-1"]
    assert calls(metered) == (8, 0)
    assert queue_usage(metered, bodies[1]) == []
    assert calls(metered) == (12, 0)
    assert dead_letters(metered) == []


def test_a_queue_that_puts_nothing_aside_keeps_the_message(metered: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where refused events cannot be put aside their message comes back, and its good events still count once."""
    batch = json.dumps([event("acct-1", "good", NOW), event("nobody", "bad", NOW)])
    with monkeypatch.context() as patched:
        patched.setattr(ingest_handler, "write_body", lambda _: 1 / 0)
        assert queue_usage(metered, batch) == ["m-0"]
    assert queue_usage(metered, batch) == []
    assert calls(metered) == (1, 0)
    assert len(dead_letters(metered)) == 1


def test_both_doors_share_one_identity(metered: Product) -> None:
    """A conflict is seen across the doors, whichever came first."""
    assert queue_usage(metered, json.dumps([event("acct-1", "e-1", NOW, sub_account="a")])) == []
    assert outcome(metered.report([event("acct-1", "e-1", NOW, sub_account="b")])) == {"conflict": 1}
    assert [row["sub_account"] for row in usage(metered, by="sub_account")] == ["a"]
