"""Bodies and paths that nobody sends in good faith: each is refused as it should be, and none breaks anything."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from aws_platform import clients
from aws_platform.problems import MAX_ERRORS
from tests.adapters.steps import A
from tests.attacks.stage import OPERATOR, PRODUCER, Stage, staged
from tests.support.product import BATCH, JSON, Reply, template

ACCOUNTS, USAGE = "POST /v1/accounts", "POST /v1/usage"
WRITING = [route for route in template().routes() if route.method in {"POST", "PUT", "PATCH"}]
ROUTES = [route for route in WRITING if not route.path.startswith("/sandbox/")]
LAMBDA_PAYLOAD = 6 * 1024 * 1024

# No JSON at all, or none that we take.
MALFORMED: dict[str, bytes] = {
    "nothing but a bracket": b"{",
    "deep brackets": b"[" * 100_000,
    "deep objects": b'{"a":' * 40_000,
    "deep and closed": b'{"a":' + b"[" * 30_000 + b"]" * 30_000 + b"}",
    "NaN": b'{"amount":NaN}',
    "infinity": b'{"amount":-Infinity}',
    "a name twice": b'{"name":"a","name":"b"}',
    "a nested name twice": b'{"contact":{"email":"a@b.cn","email":"c@b.cn"}}',
    "latin-1": b'{"name":"\xff"}',
    "a byte order mark": b"\xef\xbb\xbf{}",
    "UTF-16": "{}".encode("utf-16"),
    "an encoded surrogate": b'{"name":"\xed\xa0\x80"}',
    "an overlong NUL": b'{"name":"\xc0\x80"}',
    "a bare control character": b'{"name":"a\nb"}',
    "two values": b"{}{}",
    "a comment": b"{/**/}",
    "single quotes": b"{'a':1}",
    "spaces alone": b"  ",
    "compressed": gzip.compress(b"{}"),
    "a number of 200,000 digits": b'{"calls":' + b"9" * 200_000 + b"}",
}
# JSON, but nothing that any route asks for.
SENSELESS: dict[str, bytes] = {
    "null": b"null",
    "a text": b'"x"',
    "a number": b"1",
    "a list": b"[]",
    "a huge number": b'{"calls":1e400,"quantity":-1e400,"active":1e400,"amount":1e400}',
    "4,000 digits": b'{"calls":' + b"9" * 4000 + b"}",
    "a surrogate": b'{"\\ud800":"\\udfff","name":"\\ud800","reason":"\\ud800","purpose":"\\ud800"}',
    "NUL": b'{"\\u0000":"\\u0000"}',
    "other names": b'{"__proto__":{"a":1},"contact.email":"x","":1}',
    "a long name": b'{"' + b"k" * 200_000 + b'":1}',
    "many names": json.dumps({f"{number:x}": 0 for number in range(20_000)}).encode(),
    "many nothings": b'{"kinds":[' + b"0," * 100_000 + b'0],"tags":[' + b"0," * 20_000 + b"0]}",
    "many empty objects": b'{"items":[' + b"{}," * 60_000 + b'{}],"url":"x"}',
}


def some(route: Any, bodies: dict[str, bytes]) -> dict[str, bytes]:
    """All of them for the two ways in which bodies are read, a few to see that a route has one of these ways."""
    names = list(bodies) if route.key in {ACCOUNTS, USAGE} else [*list(bodies)[:3], *list(bodies)[-2:]]
    return {name: bodies[name] for name in names}


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    """Two accounts with something of everything."""
    with staged() as made:
        yield made


def send(stage: Stage, route: Any, body: bytes, content_type: str | None = None) -> Reply:
    """A request that goes as far as its body lets it."""
    usage = route.path == "/v1/usage"
    role, kind = (PRODUCER, BATCH) if usage else (OPERATOR, JSON)
    headers = {"Idempotency-Key": "k", "content-type": content_type or kind}
    path = route.path.format(**stage.ids)
    begun = time.process_time()
    reply = stage.product.request(route.method, path, body, role.scopes, headers=headers)
    assert time.process_time() - begun < 2, "takes the processor for long"
    assert len(reply.text.encode()) < 64 * 1024, "answers at length"
    return reply


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.key)
def test_what_is_no_json_is_malformed(stage: Stage, route: Any) -> None:
    """Whatever cannot be read is 400 `malformed_body` on every route, and quickly."""
    stage.restore()
    for name, body in some(route, MALFORMED).items():
        reply = send(stage, route, body)
        if route.path == "/v1/usage" and name in {"a name twice", "a nested name twice", "a number of 200,000 digits"}:
            # There one bad event does not spoil its batch; a lone object is no batch.
            assert (reply.status, reply.code) == (422, "invalid_request"), name
        else:
            assert (reply.status, reply.code) == (400, "malformed_body"), name


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.key)
def test_what_makes_no_sense_is_invalid(stage: Stage, route: Any) -> None:
    """Whatever can be read but not be meant is 422, in an answer of bounded size, with no half a character in it."""
    stage.restore()
    for name, body in some(route, SENSELESS).items():
        if route.path == "/v1/usage" and name == "a list":
            continue
        reply = send(stage, route, body)
        assert (reply.status, reply.code) == (422, "invalid_request"), name
        assert 0 < len(reply.body["errors"]) <= MAX_ERRORS


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.key)
def test_a_body_of_another_kind_or_size(stage: Stage, route: Any) -> None:
    """Another content type is 415, more than the limit 413."""
    stage.restore()
    for kind in ("text/plain", "application/jsonp", ";", "*/*"):
        assert send(stage, route, b"{}", kind).status == 415, kind
    assert send(stage, route, b'{"name":"' + b"x" * 1024 * 1024 + b'"}').status == 413
    junk = {"body": "a\u20ac=", "isBase64Encoded": True}
    assert refusal_of(stage, route, junk) == (400, "malformed_body")
    assert refusal_of(stage, route, {"body": "\ud800", "isBase64Encoded": False}) == (400, "malformed_body")


def refusal_of(stage: Stage, route: Any, body: dict[str, Any]) -> tuple[int, str]:
    """What a function answers to an event whose body no gateway would make."""
    usage = route.path == "/v1/usage"
    claims = {"scope": " ".join((PRODUCER if usage else OPERATOR).scopes or ())}
    event = {
        "routeKey": route.key,
        "headers": {"content-type": BATCH if usage else JSON, "idempotency-key": "k"},
        "pathParameters": {name: value for name, value in stage.ids.items() if f"{{{name}}}" in route.path},
        "requestContext": {"http": {"method": route.method}, "authorizer": {"jwt": {"claims": claims}}},
        **body,
    }
    answer = stage.product.invoke(route.function, event)
    return answer["statusCode"], json.loads(answer["body"])["code"]


def test_the_answer_to_many_errors_fits(stage: Stage) -> None:
    """A customer's list of 100,000 wrong kinds gets a short answer: a function may answer 6 MB at most."""
    body = b'{"url":"https://hooks.example.com/a","kinds":[' + b"0," * 100_000 + b"0]}"
    reply = stage.product.request("POST", f"{A}/webhooks", body, ("billing:write",), "acct-1")
    assert (reply.status, reply.code) == (422, "invalid_request")
    assert len(reply.text) < LAMBDA_PAYLOAD // 1000


# --- Paths and parameters ---------------------------------------------------------------------------------------------

ODD = ("a%23b", "%00", "%0A", "a%0D%0Ab", "..", "%2e%2e", "%25", "%ff", "%22", "%5C", "%3F", "%20", "~", "%E2%80%AE")
LONG = ("x" * 1100, "%E2%82%AC" * 400, "x" * 8000)
NOT_FOUND = {
    "webhook_id": "webhook_not_found",
    "transaction_id": "transaction_not_found",
    "tag": "tag_not_found",
    "export_id": "export_not_found",
    "order_id": "order_not_found",
    "package_id": "package_not_found",
    "refund_id": "refund_not_found",
}
THINGS = [
    (route, name)
    for route in template().routes()
    for name in NOT_FOUND
    if f"{{{name}}}" in route.path and not route.path.startswith("/sandbox/")
]


@pytest.mark.parametrize("route, name", THINGS, ids=[route.key for route, _ in THINGS])
def test_an_odd_id_is_an_id_of_nothing(stage: Stage, route: Any, name: str) -> None:
    """Whatever characters an id has, the thing is not found; no key is asked for that the table cannot hold."""
    stage.restore()
    too_long: list[str] = []
    events = clients.dynamodb().meta.events
    events.register("provide-client-params.dynamodb.*", watch := _key_watch(too_long))
    bodies = {"refund": {}, "refund-block": {"blocked": True}, "prices": {"from": "2025-03-02", "unit_price": "1"}}
    body = next((bodies[part] for part in route.path.split("/") if part in bodies), {"from": "2025-03-02"})
    if "discounts" in route.path or "contract" in route.path:
        body = {"from": "2025-03-02", "rate" if "discounts" in route.path else "unit_price": "0.5"}
    for odd in (*ODD, *LONG):
        path = route.path.format(**{**stage.ids, name: odd})
        given = None if route.method in {"GET", "DELETE"} else body
        reply = stage.product.request(route.method, path, given, headers={"Idempotency-Key": odd[:9]})
        assert (reply.status, reply.code) == (404, NOT_FOUND[name]), odd
    events.unregister("provide-client-params.dynamodb.*", watch)
    assert too_long == []


def _key_watch(found: list[str]) -> Any:
    """Notes sort keys of more than 1,024 bytes, which DynamoDB refuses and the stand-in of the tests does not."""

    def look(params: Any, **_: object) -> None:
        texts = json.dumps(params, default=str, ensure_ascii=False)
        found.extend(part for part in texts.split('"') if len(part.encode()) > 1024)

    return look


@pytest.mark.parametrize("key", ["a\r\nSet-Cookie: b", "a\nb", "\x00", "\ud800"], ids=ascii)
def test_a_key_that_no_header_can_hold(stage: Stage, key: str) -> None:
    """422, and nothing of it in the answer."""
    stage.restore()
    body, headers = {"fund": "cash", "amount": "1.00"}, {"Idempotency-Key": key}
    reply = stage.product.request("POST", f"{A}/top-ups", body, headers=headers)
    assert (reply.status, reply.code) == (422, "invalid_request")
    assert [error["field"] for error in reply.body["errors"]] == ["Idempotency-Key"]
    assert reply.headers == {"content-type": "application/problem+json"}
    assert "Set-Cookie" not in reply.text


def test_encoded_ids_are_decoded_once(stage: Stage) -> None:
    """`%5F` names the underscore; encoded twice it names nothing."""
    stage.restore()
    entitlements = f"{A}/entitlements"
    assert stage.product.get(f"{entitlements}/identity%5Fcheck").status == 200
    assert stage.product.get(f"{entitlements}/identity%255Fcheck").code == "tag_not_found"


@pytest.mark.parametrize("path", ["/usage", "/bills/details", "/notices", "/journal"])
def test_many_and_long_parameters(stage: Stage, path: str) -> None:
    """Thousands of parameters, one given many times, and endless values are 422 in a short answer."""
    month = {"month": "2025-03"} if "bills" in path else {}
    many = {f"q{number}": "1" for number in range(3000)}
    for query in (many, {"limit": "9" * 6000}, {"cursor": "x" * 7000}, {"limit": "1,1,1"}, {"from": "0" * 7000}):
        reply = stage.product.request("GET", f"{A}{path}", query={**month, **query})
        assert (reply.status, reply.code) == (422, "invalid_request"), query
        assert len(reply.text) < 64 * 1024
