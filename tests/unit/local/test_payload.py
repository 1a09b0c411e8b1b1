"""Payload format 2.0, both ways."""

from __future__ import annotations

import base64
import json
from datetime import datetime
from typing import Any

import pytest

from local.authorizer import Identity
from local.payload import BadAnswerError, HttpRequest, build_event, read_answer
from local.routing import Match
from local.template import Route

NOW = datetime.fromisoformat("2025-03-01T08:00:00.250+08:00")
MATCH = Match(Route("POST", "/v1/accounts/{account_id}/x", "F", None, ()), {"account_id": "a b"})


def _event(
    body: bytes = b"",
    headers: list[tuple[str, str]] | None = None,
    query: str = "",
    identity: Identity | None = None,
) -> dict[str, Any]:
    request = HttpRequest("POST", "/v1/accounts/a%20b/x", query, headers or [], body, source_ip="10.0.0.1")
    return build_event(request, MATCH, identity, NOW)


def test_whole_event() -> None:
    """An event has exactly the members that API Gateway gives it."""
    identity = Identity({"sub": "s", "exp": 5, "ok": True, "groups": ["a", "b"]}, ("billing:read",))
    headers = [
        ("Host", "h:1"),
        ("X-A", "1"),
        ("x-a", "2"),
        ("Cookie", "c=1; d=2"),
        ("Content-Type", "application/json"),
    ]
    event = _event(b'{"a":1}', headers, "x=1&x=2&y=%E4%B8%AD+z&e=", identity)
    context = event["requestContext"]
    assert context.pop("requestId")
    assert event == {
        "version": "2.0",
        "routeKey": "POST /v1/accounts/{account_id}/x",
        "rawPath": "/v1/accounts/a b/x",
        "rawQueryString": "x=1&x=2&y=%E4%B8%AD+z&e=",
        "cookies": ["c=1", "d=2"],
        "headers": {
            "host": "h:1",
            "x-a": "1,2",
            "content-type": "application/json",
            "x-forwarded-for": "10.0.0.1",
            "x-forwarded-proto": "http",
        },
        "queryStringParameters": {"x": "1,2", "y": "中 z", "e": ""},
        "requestContext": {
            "accountId": "000000000000",
            "apiId": "local",
            "authorizer": {
                "jwt": {
                    "claims": {"sub": "s", "exp": "5", "ok": "true", "groups": "[a b]"},
                    "scopes": ["billing:read"],
                }
            },
            "domainName": "h:1",
            "domainPrefix": "h:1",
            "http": {
                "method": "POST",
                "path": "/v1/accounts/a b/x",
                "protocol": "HTTP/1.1",
                "sourceIp": "10.0.0.1",
                "userAgent": "",
            },
            "routeKey": "POST /v1/accounts/{account_id}/x",
            "stage": "$default",
            "time": "01/Mar/2025:00:00:00 +0000",
            "timeEpoch": 1740787200250,
        },
        "pathParameters": {"account_id": "a b"},
        "body": '{"a":1}',
        "isBase64Encoded": False,
    }


def test_a_claim_that_is_null_is_none() -> None:
    """A token without an account is not one of the account `null`."""
    event = _event(identity=Identity({"sub": "s", "account_id": None}, ()))
    assert event["requestContext"]["authorizer"]["jwt"]["claims"] == {"sub": "s"}


def test_what_is_absent() -> None:
    """Without query, cookies, token or body their members are left out."""
    event = _event()
    assert not {"queryStringParameters", "cookies", "body"} & set(event)
    assert event["isBase64Encoded"] is False
    assert "authorizer" not in event["requestContext"]


@pytest.mark.parametrize(
    "content_type,text",
    [
        ("application/json", True),
        ("Application/JSON; charset=utf-8", True),
        ("application/cloudevents-batch+json", True),
        ("text/plain", True),
        ("application/x-www-form-urlencoded", True),
        ("application/octet-stream", False),
        ("image/png", False),
        ("", False),
    ],
)
def test_text_or_base64(content_type: str, text: bool) -> None:  # noqa: FBT001
    """The content type decides whether a body comes as text or as base64."""
    event = _event("é".encode(), [("content-type", content_type)])
    assert event["isBase64Encoded"] is not text
    assert event["body"] == ("é" if text else base64.b64encode("é".encode()).decode())


def test_text_that_is_none() -> None:
    """Bytes that are no UTF-8 come as base64 whatever the content type says, so that nothing is lost."""
    event = _event(b'{"a":"\xff"}', [("content-type", "application/json")])
    assert event["isBase64Encoded"] is True
    assert base64.b64decode(event["body"]) == b'{"a":"\xff"}'


def test_structured_answer() -> None:
    """Status, headers, cookies and body of an answer go out as they are, but for the connection's headers."""
    answer = read_answer(
        json.dumps(
            {
                "statusCode": 201,
                "headers": {"Content-Type": "application/json", "X-N": 1, "Content-Length": "9"},
                "cookies": ["a=1", "b=2"],
                "body": "eyI=",
                "isBase64Encoded": True,
            }
        ).encode()
    )
    assert answer.status == 201
    assert answer.headers == [
        ("content-type", "application/json"),
        ("x-n", "1"),
        ("set-cookie", "a=1"),
        ("set-cookie", "b=2"),
    ]
    assert answer.body == b'{"'


@pytest.mark.parametrize("returned,body", [({"a": 1}, b'{"a":1}'), ([1], b"[1]"), ("text", b"text"), (None, b"null")])
def test_bare_answer(returned: object, body: bytes) -> None:
    """A result without a status is a 200 with that JSON."""
    answer = read_answer(json.dumps(returned, separators=(",", ":")).encode())
    assert (answer.status, answer.body) == (200, body)
    assert answer.headers == [("content-type", "application/json")]


@pytest.mark.parametrize("returned", [{"statusCode": "x"}, {"statusCode": 200, "body": {"a": 1}}, {"statusCode": None}])
def test_answer_that_is_none(returned: object) -> None:
    """A result with a status that is no HTTP answer is the function's fault."""
    with pytest.raises(BadAnswerError):
        read_answer(json.dumps(returned).encode())
