"""Raw connections to the local gateway: what is no request is refused, who never ends is cut off, others are served.

Behind it stands a function that is made up: none of this gets so far as to reach one.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, cast

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from local import connections, gateway
from local.authorizer import Authorizer
from local.emulator import HOST
from local.functions import Functions
from local.gateway import Backend, Gateway
from local.routing import Router
from local.template import Authorizer as Jwt
from local.template import Route
from local.tokens import TokenIssuer

if TYPE_CHECKING:
    from local.driver import Driver

PATIENCE = 10
"""Seconds after which a connection that is still open is a failure."""
ROUNDS = 60
"""Bytes after which a connection that is still open is a failure."""
HEAD = b"POST /sandbox/tokens HTTP/1.1\r\nHost: local\r\n"
ROUTES = [
    Route("GET", "/healthz", "Catalog", None, ()),
    Route("POST", "/v1/usage", "Ingest", Jwt("https://issuer.test", ("zhangben",)), ("usage:write",)),
]


class Healthy(Functions):
    """A function that answers everything with 200."""

    def __init__(self) -> None:
        """It needs nothing."""

    def call(self, function: str, payload: bytes) -> bytes:
        """See `Functions`."""
        del function, payload
        return b'{"statusCode":200,"body":"{}"}'


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """Where a gateway listens that waits half a second for heads and bodies."""
    tokens = TokenIssuer(rsa.generate_private_key(65537, 2048), "https://issuer.test", "zhangben")
    backend = Backend(
        Router(ROUTES),
        Authorizer(tokens.public_keys),
        Healthy(),
        tokens,
        cast("Driver", None),
        lambda _: "m-1",
        list,
        list,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connections, "HEAD_SECONDS", 0.5)
        patch.setattr(gateway, "BODY_SECONDS", 0.5)
        listener = connections.listen(0)
        stop = connections.serve(Gateway(backend), listener)
        yield listener.getsockname()[1]
        stop()


def dial(port: int) -> socket.socket:
    """A connection."""
    return socket.create_connection((HOST, port), PATIENCE)


def heard(wire: socket.socket) -> bytes:
    """Everything until the other side closes, which it must do in time."""
    answer = b""
    with suppress(ConnectionError):
        while piece := wire.recv(65_536):
            answer += piece
    return answer


def is_well(port: int) -> bool:
    """Whether somebody else is served."""
    return httpx.get(f"http://{HOST}:{port}/healthz", timeout=PATIENCE).status_code == 200


@pytest.mark.parametrize(
    "request_",
    [
        b"\r\n\r\nGET\r\n\r\n",
        b"GET /healthz\r\n\r\n",
        b"GET /a b HTTP/1.1\r\nHost: local\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: local\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64),
        HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        HEAD + b"Content-Length: -1\r\n\r\n",
        HEAD + b"Content-Length: 2x\r\n\r\n{}",
        HEAD + b"Transfer-Encoding: chunked, identity\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
        HEAD + b"X-A: a\rb\r\n\r\n",
        HEAD + b"X-A: a\x00b\r\n\r\n",
        HEAD + b"X A: a\r\n\r\n",
        HEAD + b"X-A : a\r\n\r\n",
        HEAD + b"no colon\r\n\r\n",
        HEAD + b"X-A: " + b"a" * 200_000,
        b"A" * 200_000,
    ],
    ids=lambda request_: str(request_[-40:]),
)
def test_what_is_no_request_is_refused(port: int, request_: bytes) -> None:
    """400 and the end of the connection; the gateway lives on."""
    with dial(port) as wire:
        # It need not listen to the end.
        with suppress(ConnectionError):
            wire.sendall(request_)
        answer = heard(wire)
    # Where it did not listen to the end, the answer may be lost.
    assert answer.startswith(b"HTTP/1.1 400 ") or (answer == b"" and len(request_) > 65_536)
    assert is_well(port)


def test_a_line_end_in_a_header_makes_another_header(port: int) -> None:
    """What stands behind a line end is not said back, and is no second answer."""
    with dial(port) as wire:
        wire.sendall(b"GET /healthz HTTP/1.1\r\nHost: local\r\nX-A: a\nSet-Cookie: b\r\nConnection: close\r\n\r\n")
        answer = heard(wire)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.count(b"HTTP/1.1") == 1
    assert b"set-cookie" not in answer.lower()


def test_a_length_beside_chunks_smuggles_nothing(port: int) -> None:
    """Of two ways to say where a body ends one counts; what comes behind is no request of its own."""
    with dial(port) as wire:
        wire.sendall(HEAD + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
        wire.shutdown(socket.SHUT_WR)
        answer = heard(wire)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1") == 1


def test_a_body_that_stops_coming(port: int) -> None:
    """408 as a problem after a bounded time, and the end of the connection."""
    with dial(port) as wire:
        wire.sendall(HEAD + b'Content-Length: 100\r\n\r\n{"scopes"')
        assert is_well(port)
        head, _, body = heard(wire).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408 ")
    assert json.loads(body)["code"] == "request_timeout"


@pytest.mark.parametrize(
    "begin",
    [
        b"",
        b"GET /healthz HTTP/1.1\r\nHost: local\r\nX-A: ",
        b"GET /healthz HTTP/1.1\r\nHost: local\r\n\r\nGET /healthz HTTP/1.1\r\nX-A: ",
        b"POST /v1/usage HTTP/1.1\r\nHost: local\r\nContent-Length: 9999999\r\n\r\n",
    ],
    ids=["nothing at all", "a head", "a second head", "the body of a refused request"],
)
def test_who_takes_for_ever_is_cut_off(port: int, begin: bytes) -> None:
    """A byte at a time holds no connection; many at once keep nobody else from being served."""
    with ExitStack() as stack:
        wires = [stack.enter_context(dial(port)) for _ in range(8)]
        for wire in wires:
            wire.sendall(begin)
            wire.settimeout(0.02)
        assert is_well(port)
        rounds = 0
        while wires and rounds < ROUNDS:
            rounds += 1
            wires = [wire for wire in wires if not _is_closed(wire)]
    assert not wires


def _is_closed(wire: socket.socket) -> bool:
    """Send one more byte, and hear."""
    try:
        wire.send(b"a")
        while wire.recv(65_536):
            pass
    except TimeoutError:
        return False
    except ConnectionError:
        return True
    return True
