"""The gateway over a function that is made up."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from local import gateway, template
from local.authorizer import Authorizer
from local.functions import FunctionFailedError, Functions, FunctionUnavailableError
from local.gateway import Backend, Gateway, read_body
from local.problems import ProblemError
from local.routing import Router
from local.template import Route
from local.tokens import TokenIssuer

if TYPE_CHECKING:
    from local.driver import Driver

ISSUER, AUDIENCE = "https://issuer.test", "zhangben"
TOKENS = TokenIssuer(rsa.generate_private_key(public_exponent=65537, key_size=2048), ISSUER, AUDIENCE)
JWT = template.Authorizer(ISSUER, (AUDIENCE,))
ROUTES = [
    Route("POST", "/v1/usage", "Ingest", JWT, ("usage:write",)),
    Route("GET", "/v1/accounts/{account_id}", "Accounts", JWT, ("billing:read", "billing:admin")),
    Route("GET", "/healthz", "Catalog", None, ()),
]
PRODUCER = {"authorization": "Bearer " + TOKENS.issue(None, ["usage:write"])}


@dataclass
class FakeFunctions(Functions):
    """Answers what the test wants and keeps the events."""

    answer: Callable[[dict[str, Any]], object] = lambda _: {"statusCode": 200, "body": "{}"}
    events: list[dict[str, Any]] = field(default_factory=list)

    def call(self, function: str, payload: bytes) -> bytes:
        """See `Functions`."""
        event = json.loads(payload)
        self.events.append({"function": function, **event})
        return json.dumps(self.answer(event)).encode()


@dataclass
class Site:
    """A gateway, its function and what was put on the queue."""

    functions: FakeFunctions = field(default_factory=FakeFunctions)
    queued: list[str] = field(default_factory=list)
    left: list[dict[str, Any]] | OSError = field(default_factory=list)

    def __post_init__(self) -> None:
        backend = Backend(
            Router(ROUTES),
            Authorizer(TOKENS.public_keys),
            self.functions,
            TOKENS,
            cast("Driver", None),
            self._put,
            self._left,
            self._left,
        )
        self.app = Gateway(backend)

    def _put(self, text: str) -> str:
        self.queued.append(text)
        return "m-1"

    def _left(self) -> list[dict[str, Any]]:
        if isinstance(self.left, OSError):
            raise self.left
        return self.left

    def send(self, method: str, path: str, **request: Any) -> httpx.Response:
        """Send one request."""

        async def once() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://local") as client:
                return await client.request(method, path, **request)

        return asyncio.run(once())


def _problem(answer: httpx.Response) -> tuple[int, str]:
    document = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert set(document) >= {"type", "title", "status", "detail", "code"}
    assert document["status"] == answer.status_code
    return answer.status_code, document["code"]


def test_round_trip() -> None:
    """A request reaches its function as an event, and the function's answer goes back."""
    site = Site()
    site.functions.answer = lambda _: {
        "statusCode": 202,
        "headers": {"x-a": "1"},
        "body": "好",
        "cookies": ["c=1"],
    }
    answer = site.send("POST", "/v1/usage?a=1", content=b"[]", headers=PRODUCER)
    assert (answer.status_code, answer.text, answer.headers["x-a"]) == (202, "好", "1")
    assert answer.headers["set-cookie"] == "c=1"
    event = site.functions.events[0]
    assert (event["function"], event["routeKey"]) == ("Ingest", "POST /v1/usage")
    assert event["requestContext"]["authorizer"]["jwt"]["scopes"] == ["usage:write"]


def test_open_route_needs_no_token() -> None:
    """The health route answers everybody."""
    assert Site().send("GET", "/healthz").status_code == 200


@pytest.mark.parametrize(
    "method,path,headers,refusal",
    [
        ("GET", "/nowhere", PRODUCER, (404, "route_not_found")),
        ("DELETE", "/v1/usage", PRODUCER, (404, "route_not_found")),
        ("GET", "/sandbox/nothing", {}, (404, "route_not_found")),
        ("POST", "/v1/usage", {}, (401, "unauthorized")),
        ("POST", "/v1/usage", {"authorization": "Bearer x"}, (401, "unauthorized")),
        ("GET", "/v1/accounts/a", PRODUCER, (403, "forbidden")),
    ],
)
def test_refusals(method: str, path: str, headers: dict[str, str], refusal: tuple[int, str]) -> None:
    """What API Gateway refuses never reaches a function and is told as a problem."""
    site = Site()
    assert _problem(site.send(method, path, headers=headers)) == refusal
    assert site.functions.events == []


def test_failures_of_functions() -> None:
    """A function that fails is a 500, one that does not answer a 503, and neither says more."""

    def fail(_: object) -> object:
        raise FunctionFailedError("Catalog", "KeyError", "a secret")

    def time_out(_: object) -> object:
        message = "a secret"
        raise FunctionUnavailableError(message)

    site = Site()
    for cause, refusal in [
        (fail, (500, "internal_error")),
        (time_out, (503, "try_again")),
        (lambda _: {"statusCode": "?"}, (500, "internal_error")),
    ]:
        site.functions.answer = cause
        answer = site.send("GET", "/healthz")
        assert _problem(answer) == refusal
        assert "secret" not in answer.text


def test_large_bodies() -> None:
    """More than 10 MB, or than Lambda takes once it is an event, is a 413 and reaches no function."""
    site = Site()
    for size in (gateway.BODY_LIMIT + 1, 7 * 1024 * 1024, 5 * 1024 * 1024):  # the last: base64 adds a third
        answer = site.send("POST", "/v1/usage", content=b"x" * size, headers=PRODUCER)
        assert _problem(answer) == (413, "body_too_large")
    assert site.functions.events == []
    text = {**PRODUCER, "content-type": "text/plain"}
    fits = b"x" * (5 * 1024 * 1024)
    assert site.send("POST", "/v1/usage", content=fits, headers=text).status_code == 200


@pytest.mark.parametrize("declared", [None, "8", "999999999"])
def test_a_body_is_not_held_beyond_the_limit(declared: str | None) -> None:
    """A body that is too large, whatever length it claims, is thrown away as it comes in, and not for ever."""
    given = 0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal given
        for _ in range(1000):
            given += 1
            yield b"x" * 1024 * 1024

    with pytest.raises(ProblemError) as caught:
        asyncio.run(read_body(chunks(), declared, 1024))
    assert caught.value.status == 413
    assert given <= gateway.DISCARD_LIMIT // (1024 * 1024) + 1


def test_tokens() -> None:
    """A token of the sandbox opens the routes of its scopes."""
    site = Site()
    answer = site.send("POST", "/sandbox/tokens", json={"account_id": "a", "scopes": ["billing:read"]})
    assert answer.status_code == 201
    document = answer.json()
    assert (document["token_type"], document["expires_in"]) == ("Bearer", 86_400)
    header = {"authorization": f"Bearer {document['access_token']}"}
    assert site.send("GET", "/v1/accounts/a", headers=header).status_code == 200
    claims = site.functions.events[0]["requestContext"]["authorizer"]["jwt"]["claims"]
    assert (claims["account_id"], claims["scope"]) == ("a", "billing:read")
    assert _problem(site.send("POST", "/v1/usage", headers=header)) == (403, "forbidden")


def test_bad_token_requests() -> None:
    """A request for a token that is no JSON is a 400, one with wrong fields a 422 that names them."""
    site = Site()
    assert _problem(site.send("POST", "/sandbox/tokens", content=b"{")) == (400, "malformed_body")
    answer = site.send("POST", "/sandbox/tokens", json={"scopes": ["root"], "admin": True})
    assert _problem(answer) == (422, "invalid_request")
    assert {error["field"] for error in answer.json()["errors"]} == {"scopes", "admin"}


def test_queue() -> None:
    """The body becomes one message, byte for byte; what is no JSON does not."""
    site = Site()
    body = '[{"id": "é" }]'
    assert site.send("POST", "/sandbox/queue", content=body.encode()).status_code == 202
    assert _problem(site.send("POST", "/sandbox/queue", content=b"[")) == (400, "malformed_body")
    too_large = b'"' + b"x" * gateway.MESSAGE_LIMIT + b'"'
    assert _problem(site.send("POST", "/sandbox/queue", content=too_large)) == (413, "body_too_large")
    assert site.queued == [body]


@pytest.mark.parametrize("path", ["/sandbox/messages", "/sandbox/events"])
def test_what_left_the_stack(path: str) -> None:
    """Messages and events are read without a token, by GET alone, also while there are none; a fault is a 503."""
    site = Site()
    assert site.send("GET", path).json() == {"items": []}
    site.left = [{"to": ["a@example.com"], "body": "余额"}]
    answer = site.send("GET", path)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json() == {"items": [{"to": ["a@example.com"], "body": "余额"}]}
    assert _problem(site.send("POST", path, json={})) == (404, "route_not_found")
    site.left = OSError("a secret")
    answer = site.send("GET", path)
    assert _problem(answer) == (503, "try_again")
    assert "secret" not in answer.text


def test_key_set() -> None:
    """The public key is there for whoever wants to check a token."""
    assert Site().send("GET", "/.well-known/jwks.json").json() == TOKENS.jwks()
