"""The stack's HTTP API on this machine, in place of API Gateway, and the sandbox's own calls.

Requests are matched, checked and turned into Lambda events as API Gateway does it; each waits for its
function in a thread of its own. Refusals that API Gateway would make are problem details here.
"""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from local import problems
from local.bodies import read_json
from local.clock import format_time, read_now
from local.driver import Driver, as_json
from local.functions import PAYLOAD_LIMIT, FunctionFailedError, Functions, FunctionUnavailableError
from local.payload import BadAnswerError, HttpAnswer, HttpRequest, build_event, read_answer
from local.problems import ProblemError
from local.tokens import LIFETIME_SECONDS, TokenIssuer, TokenRequest

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from local.authorizer import Authorizer
    from local.routing import Match, Router

BODY_LIMIT = 10 * 1024 * 1024
"""Bytes of a request body: API Gateway's limit."""
MESSAGE_LIMIT = 1024 * 1024
"""Bytes of an SQS message."""
DISCARD_LIMIT = 64 * 1024 * 1024
"""So much of a body that is too large is read and thrown away: many clients listen only when all is sent."""
BODY_SECONDS = 30.0
"""For the whole body of a request."""
AT_ONCE = 16
"""Requests that one function serves at the same time; more wait."""

type Call = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True)
class Backend:
    """What the gateway stands in front of."""

    router: Router
    authorizer: Authorizer
    functions: Functions
    tokens: TokenIssuer
    driver: Driver
    send_usage: Callable[[str], str]
    """Puts a message on the usage queue; gives its id."""
    messages: Callable[[], list[dict[str, Any]]]
    """E-mails and SMS as handed to the provider."""
    events: Callable[[], list[dict[str, Any]]]
    """What the bus saw."""


def _json(status: int, value: object, media_type: str = "application/json") -> Response:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return Response(text.encode(), status, media_type=media_type)


def _problem(error: ProblemError) -> Response:
    return Response(error.body(), error.status, dict(error.headers), media_type=problems.MEDIA_TYPE)


async def read_body(chunks: Any, declared: str | None, limit: int) -> bytes:
    """The body, of which at most `limit` bytes are held. Raises ProblemError 413."""
    body = bytearray()
    size = 0
    fits = declared is None or not declared.isdecimal() or int(declared) <= limit
    async for chunk in chunks:
        size += len(chunk)
        fits = fits and size <= limit
        if fits:
            body += chunk
        elif size > DISCARD_LIMIT:
            break
        else:
            body.clear()
    if not fits:
        raise problems.body_too_large(limit)
    return bytes(body)


async def _body_of(request: Request, limit: int = BODY_LIMIT) -> bytes:
    with anyio.move_on_after(BODY_SECONDS):
        return await read_body(request.stream(), request.headers.get("content-length"), limit)
    raise problems.request_timeout()


class Gateway:
    """The ASGI application."""

    def __init__(self, backend: Backend) -> None:
        """Take what stands behind it."""
        self._backend = backend
        self._own: Mapping[tuple[str, str], Call] = {
            ("GET", "/sandbox/clock"): self._read_clock,
            ("PUT", "/sandbox/clock"): self._move_clock,
            ("POST", "/sandbox/tokens"): self._issue_token,
            ("POST", "/sandbox/queue"): self._queue,
            ("GET", "/sandbox/messages"): lambda _: self._list(self._backend.messages),
            ("GET", "/sandbox/events"): lambda _: self._list(self._backend.events),
            ("GET", "/.well-known/jwks.json"): self._jwks,
        }
        self._slots: dict[str, anyio.CapacityLimiter] = {}
        self._sandbox_slots: anyio.CapacityLimiter | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        assert scope["type"] == "http"  # noqa: S101
        request = Request(scope, receive)
        try:
            response = await self._answer(request)
        except ClientDisconnect:
            return
        except ProblemError as error:
            response = _problem(error)
        except Exception:  # noqa: BLE001
            traceback.print_exc(file=sys.stderr)
            response = _problem(problems.internal_error())
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        own = self._own.get((request.method, request.url.path))
        return await own(request) if own else await self._call_function(request)

    # The API

    async def _call_function(self, request: Request) -> Response:
        raw_path = request.scope["raw_path"].decode("ascii", errors="replace").partition("?")[0]
        match = self._backend.router.find(request.method, raw_path)
        if match is None:
            raise problems.route_not_found()
        # Two tokens are none: the gateway joins headers of one name, and the result is no token.
        tokens = ",".join(request.headers.getlist("authorization"))
        identity = self._backend.authorizer.check(match.route, tokens)
        body = await _body_of(request)
        event = build_event(_wire(request, raw_path, body), match, identity, datetime.now(UTC))
        payload = json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()
        if len(payload) > PAYLOAD_LIMIT:
            raise problems.body_too_large(PAYLOAD_LIMIT)
        answer = await self._in_thread(match, payload)
        response = Response(answer.body, answer.status)
        response.raw_headers = [
            *((name, value) for name, value in response.raw_headers if name == b"content-length"),
            *((name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in answer.headers),
            (b"apigw-requestid", event["requestContext"]["requestId"].encode()),
        ]
        return response

    async def _in_thread(self, match: Match, payload: bytes) -> HttpAnswer:
        function = match.route.function
        slots = self._slots.setdefault(function, anyio.CapacityLimiter(AT_ONCE))
        try:
            result = await anyio.to_thread.run_sync(self._backend.functions.call, function, payload, limiter=slots)
            return read_answer(result)
        except FunctionUnavailableError as error:
            _log(f"{match.route.key}: {error}")
            msg = "the function did not answer in time; send the request again"
            raise problems.try_again(msg) from error
        except (FunctionFailedError, BadAnswerError) as error:
            _log(f"{match.route.key}: {error}")
            raise problems.internal_error() from error

    # The sandbox

    async def _aside[T](self, work: Callable[[], T]) -> T:
        """Run in a thread, outside of the functions' slots."""
        if self._sandbox_slots is None:
            self._sandbox_slots = anyio.CapacityLimiter(AT_ONCE)
        return await anyio.to_thread.run_sync(work, limiter=self._sandbox_slots)

    async def _read_clock(self, _: Request) -> Response:
        # Not in the sandbox's slots: answered however many wait to move it.
        now = await anyio.to_thread.run_sync(self._backend.driver.now)
        return _json(200, {"now": format_time(now)})

    async def _move_clock(self, request: Request) -> Response:
        target = read_now(read_json(await _body_of(request)))
        ran = await self._aside(lambda: self._backend.driver.move(target))
        return _json(200, {"now": format_time(target), "ran": as_json(ran)})

    async def _issue_token(self, request: Request) -> Response:
        wanted = TokenRequest.parse(read_json(await _body_of(request)))
        token = self._backend.tokens.issue(wanted.account_id, wanted.scopes)
        answer = {"access_token": token, "token_type": "Bearer", "expires_in": LIFETIME_SECONDS}
        return _json(201, answer)

    async def _queue(self, request: Request) -> Response:
        body = await _body_of(request, MESSAGE_LIMIT)
        try:
            text = body.decode("utf-8")
            json.loads(text)
        except (ValueError, RecursionError) as error:
            msg = f"the body is not JSON: {error}"
            raise problems.malformed_body(msg) from error
        message = await self._aside(lambda: self._backend.send_usage(text))
        return _json(202, {"message_id": message})

    async def _list(self, read: Callable[[], list[dict[str, Any]]]) -> Response:
        try:
            return _json(200, {"items": await self._aside(read)})
        except OSError as error:
            _log(f"the embedded cloud did not answer: {error}")
            msg = "the embedded cloud did not answer; send the request again"
            raise problems.try_again(msg) from error

    async def _jwks(self, _: Request) -> Response:
        return _json(200, self._backend.tokens.jwks())


def _wire(request: Request, raw_path: str, body: bytes) -> HttpRequest:
    headers: Iterable[tuple[bytes, bytes]] = request.headers.raw
    return HttpRequest(
        method=request.method,
        raw_path=raw_path,
        query=request.scope["query_string"].decode("ascii", errors="replace"),
        headers=[(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers],
        body=body,
        protocol=f"HTTP/{request.scope.get('http_version', '1.1')}",
        source_ip=request.client.host if request.client else "127.0.0.1",
    )


def _log(text: str) -> None:
    sys.stderr.write(f"{text}\n")
