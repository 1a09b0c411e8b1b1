"""What ingest archives: every call that is counted, before it answers, and nothing that the contract ignores."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import date
from typing import Any

import pytest

from aws_platform import clients, failures, records
from aws_platform.archive import COLUMNS
from aws_platform.archive_reading import archived_calls
from aws_platform.keys import account_hash
from tests.adapters.steps import new_process, outcome, post_usage, prepared, queue_usage, stored
from tests.support.archive import BUCKET
from tests.support.product import Product, event, events

WHEN = "2025-03-01T09:00:00+08:00"


@pytest.fixture
def two(product: Product, opened: dict[str, list[Any]]) -> Product:
    """The product with two accounts, open since the new year."""

    def open_both() -> None:
        for account_id in ("acct-1", "acct-2"):
            product.open_account(account_id, opened_at="2025-01-01T00:00:00+08:00")

    prepared(product, opened, "archive-two", open_both)
    return product


def ids(product: Product, account_id: str | None = None) -> list[str]:
    """The ids of the calls in the archive."""
    return sorted(call[COLUMNS.index("id")] for call in product.archive.rows(account_id))


def identities(product: Product, account_id: str) -> set[bytes]:
    """The identities that the usage table counts."""
    found: set[bytes] = set()
    for item in product.dynamodb.scan(TableName="usage")["Items"]:
        if "r" in item and item["pk"]["S"].startswith(f"{account_id}#"):
            found |= {identity for identity, _ in records.split_records(item["r"]["B"])}
    return found


def read_back(product: Product, account_id: str, days: Iterable[date]) -> set[bytes]:
    """The identities that the archive gives back."""
    part = account_hash(account_id)
    assert product.archive.packs()
    return {call.identity for day in days for call in archived_calls(clients.s3(), BUCKET, day, part, {account_id})}


def test_a_call_is_archived_after_defaults(two: Product) -> None:
    """A row says the variant that is billed and whether it is charged; what is not given is empty."""
    sent = [
        event("acct-1", "a", "2025-03-01T01:00:00.500Z", interface="api.phone_3e", code="-4", sub_account="团队"),
        event("acct-1", "b", WHEN, interface="eid.mini_program", code="7", library=None, intention_verify=True),
    ]
    assert outcome(post_usage(two, sent)) == {"accepted": 1, "not_chargeable": 1}
    assert two.archive.rows() == [
        (WHEN, "/gateway-1", "b", "intention_authority", "false", "eid.mini_program", "authority", "7", ""),
        (
            "2025-03-01T09:00:00.5+08:00",
            "/gateway-1",
            "a",
            "phone_three_factor_simple",
            "true",
            "api.phone_3e",
            "",
            "-4",
            "团队",
        ),
    ]


def test_what_the_contract_ignores_is_not_archived(two: Product) -> None:
    """Extension attributes could be personal: they are nowhere in the archive."""
    sent = {**event("acct-1", "a", WHEN), "traceparent": "secret-1", "user": {"phone": "secret-2"}}
    assert outcome(post_usage(two, [sent])) == {"accepted": 1}
    assert "secret" not in json.dumps(two.archive.packs())


def test_only_what_is_counted_is_archived(two: Product) -> None:
    """Conflicts and refused events are not in the archive, duplicates are there again; each account has packs."""
    first = [event("acct-1", "a", WHEN), event("acct-1", "b", WHEN), event("acct-2", "c", WHEN)]
    post_usage(two, first)
    mixed = [
        event("acct-1", "a", WHEN, code="9"),
        event("acct-1", "b", WHEN),
        event("acct-1", "d", WHEN),
        event("acct-1", "e", "2025-01-01T00:00:00+08:00"),
        event("nobody", "f", WHEN),
        {"id": "g"},
    ]
    assert outcome(post_usage(two, mixed)) == {"accepted": 1, "duplicate": 1, "conflict": 1, "rejected": 3}
    assert ids(two, "acct-1") == ["a", "b", "b", "d"]
    assert ids(two, "acct-2") == ["c"]
    assert [pack["account_id"] for pack in two.archive.packs()] == ["acct-1", "acct-2", "acct-1"]


def test_where_nothing_is_counted_firehose_is_not_called(two: Product) -> None:
    """A batch of refused events or of conflicts alone does without a call of Firehose."""
    post_usage(two, [event("acct-1", "a", WHEN)])
    two.archive.calls.clear()
    post_usage(two, [event("nobody", "a", WHEN)])
    post_usage(two, [event("acct-1", "a", WHEN, code="9")])
    post_usage(two, [])
    assert two.archive.calls == []


def test_one_call_of_firehose_a_batch(two: Product) -> None:
    """A batch of several accounts, days and buckets is one call with a pack for each account and day."""
    times = ("2025-02-28T23:59:59.999+08:00", "2025-03-01T00:00:00+08:00", WHEN)
    sent = [event(account, f"{n}", time) for account in ("acct-1", "acct-2") for n, time in enumerate(times)]
    assert outcome(post_usage(two, sent)) == {"accepted": 6}
    (call,) = two.archive.calls
    places = sorted((pack["account_id"], pack["day"], len(pack["calls"])) for pack in map(json.loads, call))
    assert places == [(account, day, n) for account in ("acct-1", "acct-2") for day, n in DAYS]
    assert {pack["received_at"] for pack in two.archive.packs()} == {two.now.isoformat()}


DAYS = (("2025-02-28", 1), ("2025-03-01", 2))


def test_the_archive_is_read_back_by_identity(two: Product) -> None:
    """What the archive gives back are the identities that are counted, repeats and notations aside."""
    sent = events("acct-1", 30, "2025-03-01T08:00:00.120+08:00") + events("acct-1", 5, "2025-02-28T23:59:59+08:00")
    post_usage(two, sent)
    post_usage(two, [{**one, "time": one["time"].replace("T08:00:00.120+08:00", "T00:00:00.12Z")} for one in sent])
    post_usage(two, events("acct-2", 3, WHEN))
    assert len(two.archive.rows("acct-1")) == 70
    assert len(set(two.archive.rows("acct-1"))) == 35
    days = (date(2025, 2, 28), date(2025, 3, 1))
    assert read_back(two, "acct-1", days) == identities(two, "acct-1")
    assert len(identities(two, "acct-1")) == 35


@pytest.mark.parametrize("fault", ["ServiceUnavailableException", "ThrottlingException", "InternalFailure"])
def test_a_call_that_fails_is_try_again(two: Product, fault: str) -> None:
    """Where Firehose takes nothing the answer is 503; the same batch again is a duplicate, and then in the archive."""
    sent = events("acct-1", 3, WHEN)
    two.archive.faults.append(fault)
    refused = post_usage(two, sent)
    assert (refused.status, refused.code) == (503, "try_again")
    assert two.archive.rows() == []
    assert len(stored(two)) > 0
    assert outcome(post_usage(two, sent)) == {"duplicate": 3}
    assert ids(two) == ["e-0", "e-1", "e-2"]


def test_what_firehose_does_not_take_is_sent_again(two: Product) -> None:
    """Of a call that is taken in part the rest follows within the request; its answer is the usual one."""
    sent = [
        event(account, "a", time) for account in ("acct-1", "acct-2") for time in (WHEN, "2025-02-28T09:00:00+08:00")
    ]
    two.archive.faults += [{0, 3}, {1}]
    assert outcome(post_usage(two, sent)) == {"accepted": 4}
    assert [len(call) for call in two.archive.calls] == [4, 2, 1]
    assert len(two.archive.rows()) == 4


def test_a_firehose_that_never_takes_all_is_try_again(two: Product) -> None:
    """After bounded tries the producer hears 503, with a part in the archive; sending again completes it."""
    two.archive.faults += [{1}, *[{0}] * (failures.ATTEMPTS - 1)]
    sent = [event(account, "a", WHEN) for account in ("acct-1", "acct-2")]
    assert post_usage(two, sent).code == "try_again"
    assert len(two.archive.calls) == failures.ATTEMPTS
    assert len(two.archive.rows()) == 1
    assert outcome(post_usage(two, sent)) == {"duplicate": 2}
    assert [ids(two, account) for account in ("acct-1", "acct-2")] == [["a", "a"], ["a"]]


def test_a_stream_that_is_gone_is_our_fault(two: Product) -> None:
    """An error that no repeat mends is answered 500, not 503."""
    two.archive.faults.append("ResourceNotFoundException")
    assert post_usage(two, events("acct-1", 1, WHEN)).code == "internal_error"


def test_the_queue_keeps_what_is_not_archived(two: Product) -> None:
    """A message whose calls Firehose does not take stays on the queue; when it comes again, they are archived."""
    bodies = [json.dumps(events("acct-1", 2, WHEN, prefix=name)) for name in ("a", "b")]
    two.archive.faults.append("ServiceUnavailableException")
    assert queue_usage(two, *bodies) == ["m-0"]
    assert ids(two) == ["b-0", "b-1"]
    new_process()
    assert queue_usage(two, bodies[0]) == []
    assert ids(two) == ["a-0", "a-1", "b-0", "b-1"]


def test_a_crash_before_the_archive_is_made_up_for(two: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls whose request ended between storing and archiving are archived by the next one that brings them."""
    sent = events("acct-1", 3, WHEN)
    with monkeypatch.context() as patch:
        patch.setattr("ingest.record_usage._to_archive", lambda *_: [])
        assert outcome(post_usage(two, sent)) == {"accepted": 3}
    assert two.archive.rows() == []
    new_process()
    assert outcome(post_usage(two, sent)) == {"duplicate": 3}
    assert ids(two) == ["e-0", "e-1", "e-2"]
