"""POST /v1/usage as a request: content types, bodies, limits and the five counts (contract, Metering)."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from tests.adapters.steps import NOW, SINGLE, A, outcome, post_usage, refusals, tables
from tests.support.product import BATCH, Product, event, events, router

EVENT = event("acct-1", "e-1", NOW)
MIB = 1024 * 1024


def test_every_outcome_of_a_batch_is_counted_once(metered: Product) -> None:
    """Accepted, duplicate, conflict, not chargeable and rejected events add up to the batch that held them."""
    metered.report([event("acct-1", "old", NOW)])
    batch = [
        event("acct-1", "new", NOW),
        event("acct-1", "old", NOW),
        event("acct-1", "old", NOW, code="-1"),
        event("acct-1", "free", NOW, code="-2"),
        event("acct-1", "bad", "yesterday"),
    ]
    reply = metered.report(batch)
    assert {name: reply.body[name] for name in reply.body if name != "errors"} == {
        "accepted": 1,
        "duplicate": 1,
        "conflict": 1,
        "not_chargeable": 1,
        "rejected": 1,
    }
    assert refusals(reply) == [(2, "conflict"), (4, "invalid_event")]
    assert reply.headers["content-type"] == "application/json"


def test_an_empty_batch_has_nothing_to_count(metered: Product) -> None:
    """A batch without events is answered with zeros and an empty list of errors."""
    before = tables(metered)
    reply = post_usage(metered, "[]")
    assert (reply.status, outcome(reply), reply.body["errors"]) == (200, {}, [])
    assert tables(metered) == before


@pytest.mark.parametrize(
    "content_type",
    [BATCH, f"{BATCH}; charset=utf-8", f"{BATCH};charset=UTF-8", f"{BATCH.upper()} ; charset=utf-8"],
)
def test_a_batch_is_taken_under_its_content_type(metered: Product, content_type: str) -> None:
    """The type of a batch may be written with parameters and in any case."""
    assert outcome(post_usage(metered, [EVENT], content_type)) == {"accepted": 1}


@pytest.mark.parametrize("content_type", [SINGLE, f"{SINGLE}; charset=utf-8", "Application/CloudEvents+JSON"])
def test_one_event_is_taken_under_its_content_type(metered: Product, content_type: str) -> None:
    """A single event is a batch of one."""
    reply = post_usage(metered, EVENT, content_type)
    assert outcome(reply) == {"accepted": 1}
    assert outcome(post_usage(metered, [EVENT])) == {"duplicate": 1}


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "text/plain",
        "",
        "application/cloudevents",
        "application/cloudevents-batch",
        "application/cloudevents+xml",
        "application/cloudevents-batch+json-seq",
        "; charset=utf-8",
    ],
)
def test_other_content_types_are_refused(metered: Product, content_type: str) -> None:
    """Only the two CloudEvents types in JSON are supported, whatever the body says."""
    before = tables(metered)
    reply = post_usage(metered, [EVENT], content_type)
    assert (reply.status, reply.code) == (415, "unsupported_media_type")
    assert tables(metered) == before


MALFORMED = {
    "empty": b"",
    "a space": b" ",
    "no JSON": b"hello",
    "truncated": json.dumps([EVENT]).encode()[:-2],
    "two documents": b"[][]",
    "a comma too many": b"[1,]",
    "single quotes": b"[{'id': 'x'}]",
    "NaN": b'[{"x": NaN}]',
    "Infinity": b'[{"x": Infinity}]',
    "minus Infinity": b'[{"x": -Infinity}]',
    "an invalid byte": b'[{"id": "\xff"}]',
    "an encoded surrogate": b'[{"id": "\xed\xa0\x80"}]',
    "an overlong zero": b'[{"id": "\xc0\x80"}]',
    "UTF-16": json.dumps([EVENT]).encode("utf-16"),
    "Latin-1": '[{"id": "é"}]'.encode("latin-1"),
    "a bare control character": b'[{"id": "\x00"}]',
    "100,000 brackets": b"[" * 100_000,
    "100,000 closed brackets": b"[" * 100_000 + b"]" * 100_000,
    "100,000 objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED.keys())
@pytest.mark.parametrize("content_type", [BATCH, SINGLE])
def test_what_is_not_json_is_malformed(metered: Product, body: bytes, content_type: str) -> None:
    """A body that is no JSON text in UTF-8 is refused as a whole, and nothing is stored."""
    before = tables(metered)
    reply = post_usage(metered, body, content_type)
    assert (reply.status, reply.code) == (400, "malformed_body")
    assert tables(metered) == before


@pytest.mark.parametrize(
    "content_type, body",
    [(BATCH, body) for body in ("{}", '"x"', "5", "null", "true", json.dumps(EVENT))]
    + [(SINGLE, body) for body in ("[]", '"x"', "5", "null", "false", json.dumps([EVENT]))],
)
def test_the_top_level_must_be_what_the_type_says(metered: Product, content_type: str, body: str) -> None:
    """A batch is an array and an event an object; anything else is an invalid request."""
    before = tables(metered)
    reply = post_usage(metered, body, content_type)
    assert (reply.status, reply.code) == (422, "invalid_request")
    assert [set(error) for error in reply.body["errors"]] == [{"field", "detail"}]
    assert tables(metered) == before


def test_a_batch_may_have_a_thousand_events_and_not_one_more(metered: Product) -> None:
    """1,000 events are taken; 1,001 are too large a body, and none of them is stored."""
    batch = events("acct-1", 1001, NOW)
    before = tables(metered)
    reply = post_usage(metered, batch)
    assert (reply.status, reply.code) == (413, "body_too_large")
    assert tables(metered) == before
    assert outcome(post_usage(metered, batch[:1000])) == {"accepted": 1000}


def test_a_body_may_have_a_mebibyte_and_not_one_byte_more(metered: Product) -> None:
    """The limit counts bytes, not characters, and holds to the byte."""
    text = json.dumps([EVENT], ensure_ascii=False).encode()
    assert outcome(post_usage(metered, text + b" " * (MIB - len(text)))) == {"accepted": 1}
    before = tables(metered)
    for body in (text + b" " * (MIB - len(text) + 1), b'["' + "账".encode() * (MIB // 3) + b'"]', b"x" * 10 * MIB):
        reply = post_usage(metered, body)
        assert (reply.status, reply.code) == (413, "body_too_large")
    assert tables(metered) == before


def test_a_body_in_base64_is_the_same_body(metered: Product) -> None:
    """The gateway may hand a body over in base64: it is decoded, measured as decoded, and taken."""

    def send(raw: bytes) -> Any:
        found = router().find("POST", "/v1/usage")
        assert found is not None
        claims = {"scope": "usage:write"}
        return metered.invoke(
            found.route.function,
            {
                "version": "2.0",
                "routeKey": found.route.key,
                "headers": {"content-type": BATCH},
                "requestContext": {"authorizer": {"jwt": {"claims": claims}}, "http": {"method": "POST"}},
                "body": base64.b64encode(raw).decode(),
                "isBase64Encoded": True,
            },
        )

    text = json.dumps([EVENT]).encode()
    padded = text + b" " * (MIB - len(text))
    assert json.loads(send(padded)["body"])["accepted"] == 1
    assert send(padded + b" ")["statusCode"] == 413
    assert send(b"\xff")["statusCode"] == 400


def test_the_answer_repeats_no_more_of_an_id_than_an_id_may_have(metered: Product) -> None:
    """An error names the event by its id as far as that is text, cut where it is absurdly long."""
    batch: list[Any] = [
        {**EVENT, "id": "x" * 10_000},
        {**EVENT, "id": 7},
        {**EVENT, "id": None},
        {**EVENT, "id": "\ud800"},
        5,
        {**EVENT, "id": "账单🀄\u202e", "time": "never"},
    ]
    reply = metered.report(batch)
    assert [error["id"] for error in reply.body["errors"]] == ["x" * 256, None, None, "?", None, "账单🀄\u202e"]
    assert refusals(reply) == [(index, "invalid_event") for index in range(6)]


def test_only_a_producer_may_report(metered: Product) -> None:
    """Without a token 401, and without `usage:write` 403, the operator included, before anything is read."""
    before = tables(metered)
    for body in (json.dumps([EVENT]), "broken"):
        for scopes, expected in (
            (None, 401),
            ((), 403),
            (("billing:admin",), 403),
            (("billing:read", "billing:write"), 403),
        ):
            reply = metered.request("POST", "/v1/usage", body, scopes, "acct-1", {"content-type": BATCH})
            assert reply.status == expected
            if expected == 403:
                assert reply.code == "forbidden"
    assert tables(metered) == before


def test_a_producer_who_is_also_the_operator_may_report(metered: Product) -> None:
    """One of the wanted scopes is enough, whatever else a token has."""
    scopes = ("billing:admin", "usage:write")
    reply = metered.request("POST", "/v1/usage", [EVENT], scopes, headers={"content-type": BATCH})
    assert outcome(reply) == {"accepted": 1}


def test_an_answer_is_durable(metered: Product) -> None:
    """When the answer says accepted, the event is in the usage table, before any stream has run."""
    assert outcome(post_usage(metered, [EVENT])) == {"accepted": 1}
    assert any("r" in json.loads(item) for item in tables(metered)["usage"])
    assert metered.get(f"{A}/bills/preview").body["total_cost"] == "0.30"
