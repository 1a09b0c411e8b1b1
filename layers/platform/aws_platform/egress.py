"""Requests to addresses that customers name: HTTPS only, never to anything but the public Internet.

The host is resolved once, every address is checked, and the connection goes to a checked address itself: a name that
resolves differently a moment later changes nothing. Nothing here follows a redirect or asks the environment for a
proxy, and one deadline holds for all of it, however slowly the other side talks.
"""

from __future__ import annotations

import queue
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import cache
from ipaddress import AddressValueError, IPv4Address, IPv4Network

MAX_URL_CHARACTERS = 2048
TOTAL_SECONDS = 10.0
"""For one request, from looking up the name to the answer's head."""
_CONNECT_SECONDS = 3.0
"""For one of a name's addresses, so that there is time for another."""
_MAX_ADDRESSES = 3
_MAX_ANSWER_BYTES = 8 * 1024
"""Nobody looks at more of an answer than its status."""
_HEAR_OUT_SECONDS = 1.0
_PIECE_BYTES = 16 * 1024
"""What is sent in one go: a TLS record."""
_HTTPS = 443
_FIRST_FREE_PORT = 1024
_LAST_PORT = 65535
_MAX_HOST_CHARACTERS = 253

_URL = re.compile(
    r"https://(?P<host>[a-z0-9.-]+)(?::(?P<port>[1-9][0-9]{0,4}))?"
    r"(?P<target>(?:/(?:[a-z0-9\-._~!$&'()*+,;=:@/]|%[0-9a-f]{2})*)?"
    r"(?:\?(?:[a-z0-9\-._~!$&'()*+,;=:@/?]|%[0-9a-f]{2})*)?)",
    re.IGNORECASE | re.ASCII,
)
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_INTERIM = re.compile(rb"\A(?:HTTP/1\.[01] 1[0-9]{2}[^\n]*\n(?:[^\r\n]+\r?\n)*\r?\n)+", re.ASCII)
"""Answers before the answer, as 100 Continue."""
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([2-9][0-9]{2})[ \r\n]", re.ASCII)
_LOCAL_NAMES = ("localhost", "localdomain", "local", "internal", "home.arpa")
"""Names that only mean something inside a network."""
_ALSO_CLOSED = (IPv4Network("192.0.0.0/24"), IPv4Network("192.88.99.0/24"))
"""Special by IANA's registry, though some of them count as global: protocol assignments, and relays of 6to4."""

type Resolve = Callable[[str], Sequence[str]]
"""The IPv4 addresses of a name. Raises OSError where there are none."""


class EgressError(Exception):
    """The request got no answer. `reason` is for programs and says nothing about the address."""

    reason = "unreachable"


class BlockedAddressError(EgressError):
    """The name leads to an address that is not public, so nothing was sent."""

    reason = "blocked_address"


class UnknownHostError(EgressError):
    """The name leads nowhere."""

    reason = "unknown_host"


class UnreachableError(EgressError):
    """No connection, or one that ended before the answer."""


class TlsError(EgressError):
    """The other side could not show that it has the name."""

    reason = "tls_failed"


class TimedOutError(EgressError):
    """No answer in time; the request may have arrived."""

    reason = "timed_out"


class BadAnswerError(EgressError):
    """What came back is not HTTP."""

    reason = "bad_answer"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a URL leads."""

    host: str
    """In lower case."""
    port: int
    target: str
    """Path and query."""

    @property
    def authority(self) -> str:
        """As the header Host says it."""
        return self.host if self.port == _HTTPS else f"{self.host}:{self.port}"


def check_url(text: str) -> Endpoint:
    """Where this URL leads. Raises ValueError where requests may not go there, whatever its name resolves to.

    A host that is not written in ASCII is to be given in punycode.
    """
    if len(text) > MAX_URL_CHARACTERS:
        msg = f"at most {MAX_URL_CHARACTERS} characters"
        raise ValueError(msg)
    found = _URL.fullmatch(text)
    if found is None:
        msg = "must be an https URL with a host name, without user info and fragment"
        raise ValueError(msg)
    port = int(found["port"] or _HTTPS)
    if port != _HTTPS and not _FIRST_FREE_PORT <= port <= _LAST_PORT:
        msg = f"the port must be {_HTTPS}, or from {_FIRST_FREE_PORT} to {_LAST_PORT}"
        raise ValueError(msg)
    host = found["host"].lower()
    _check_host(host)
    target = found["target"]
    return Endpoint(host, port, target if target.startswith("/") else f"/{target}")


def _check_host(host: str) -> None:
    labels = host.split(".")
    if len(host) > _MAX_HOST_CHARACTERS or not all(map(_LABEL.fullmatch, labels)):
        msg = "not a host name"
        raise ValueError(msg)
    if _NUMBER.fullmatch(labels[-1]):
        # A host that ends in a number is an address, and resolvers know odd spellings: 127.1, 0x7f.1, 2130706433.
        try:
            address = IPv4Address(host)
        except AddressValueError as error:
            msg = "not an address in its usual form"
            raise ValueError(msg) from error
        if not is_public(address):
            msg = "not a public address"
            raise ValueError(msg)
    elif len(labels) == 1 or any(f".{host}".endswith(f".{name}") for name in _LOCAL_NAMES):
        msg = "not a public host name"
        raise ValueError(msg)


def is_public(address: IPv4Address) -> bool:
    """Whether this is the address of one machine on the public Internet."""
    return (
        address.is_global
        and not address.is_multicast
        and not address.is_reserved
        and not any(address in network for network in _ALSO_CLOSED)
    )


def addresses_of(host: str) -> list[str]:
    """Ask the resolver. Only for IPv4: a function has no other way out."""
    found = socket.getaddrinfo(host, _HTTPS, family=socket.AF_INET, type=socket.SOCK_STREAM)
    return [str(sockaddr[0]) for *_, sockaddr in found]


def post(
    endpoint: Endpoint,
    body: bytes,
    headers: Mapping[str, str],
    *,
    resolve: Resolve = addresses_of,
    seconds: float = TOTAL_SECONDS,
) -> int:
    """Send one POST, and give the status of its answer. Raises EgressError where there is none."""
    deadline = _Deadline(seconds)
    addresses = _public_addresses(endpoint.host, resolve, deadline)
    lines = [f"POST {endpoint.target} HTTP/1.1", f"Host: {endpoint.authority}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    lines += [f"Content-Length: {len(body)}", "Connection: close", "", ""]
    request = "\r\n".join(lines).encode("ascii") + body
    try:
        with closing(_connect(addresses, endpoint, deadline)) as wire:
            for start in range(0, len(request), _PIECE_BYTES):
                wire.settimeout(deadline.left())
                wire.sendall(request[start : start + _PIECE_BYTES])
            return _status(wire, deadline)
    except TimeoutError as error:
        raise TimedOutError from error
    except ssl.SSLError as error:
        raise TlsError from error
    except OSError as error:
        raise UnreachableError from error


class _Deadline:
    """The end of the time that a request has, on the machine's own stopwatch."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds that are left. Raises TimeoutError where there are none."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


def _public_addresses(host: str, resolve: Resolve, deadline: _Deadline) -> list[str]:
    """The addresses of a host, all of them checked.

    One that is not public refuses the host as a whole: who has such a name has no good reason for it.
    """
    try:
        found = list(dict.fromkeys(_in_time(lambda: resolve(host), deadline)))
        addresses = [IPv4Address(address) for address in found]
    except TimeoutError as error:
        raise TimedOutError from error
    except (OSError, ValueError) as error:
        raise UnknownHostError from error
    if not addresses:
        raise UnknownHostError
    if not all(map(is_public, addresses)):
        raise BlockedAddressError
    return found


def _in_time[T](call: Callable[[], T], deadline: _Deadline) -> T:
    """What the call gives. The resolver knows no time-out, so it works beside us and we stop waiting.

    Raises TimeoutError then, or what the call raised.
    """
    box: queue.SimpleQueue[tuple[T, None] | tuple[None, Exception]] = queue.SimpleQueue()

    def run() -> None:
        try:
            box.put((call(), None))
        except Exception as error:  # noqa: BLE001 - raised again by whoever waits
            box.put((None, error))

    threading.Thread(target=run, daemon=True).start()
    try:
        result, error = box.get(timeout=deadline.left())
    except queue.Empty:
        raise TimeoutError from None
    if error is not None:
        raise error
    return result  # type: ignore[return-value]


def _connect(addresses: Sequence[str], endpoint: Endpoint, deadline: _Deadline) -> ssl.SSLSocket:
    """A connection to the first address that answers, over which the other side has shown that it has the name."""
    plain = _plain(addresses, endpoint.port, deadline)
    try:
        plain.settimeout(deadline.left())
        return tls_context().wrap_socket(plain, server_hostname=endpoint.host)
    except BaseException:
        plain.close()
        raise


def _plain(addresses: Sequence[str], port: int, deadline: _Deadline) -> socket.socket:
    *others, last = addresses[:_MAX_ADDRESSES]
    for address in others:
        with suppress(OSError):  # The next address may answer; the last one's failure is everybody's.
            return _dial(address, port, deadline)
    return _dial(last, port, deadline)


def _dial(address: str, port: int, deadline: _Deadline) -> socket.socket:
    return socket.create_connection((address, port), timeout=min(_CONNECT_SECONDS, deadline.left()))


@cache
def tls_context() -> ssl.SSLContext:
    """Checks certificates and names against what this machine trusts; made once, for it reads them all."""
    return ssl.create_default_context()


def _status(wire: ssl.SSLSocket, deadline: _Deadline) -> int:
    """The status of the answer, as soon as its first line is there. Raises BadAnswerError where it is none."""
    answer, room = b"", _MAX_ANSWER_BYTES
    while room > 0:
        wire.settimeout(deadline.left())
        piece = wire.recv(room)
        if not piece:
            break
        room -= len(piece)
        answer = _INTERIM.sub(b"", answer + piece)
        found = _STATUS_LINE.match(answer)
        if found is not None:
            _hear_out(wire, deadline)
            return int(found[1])
    raise BadAnswerError


def _hear_out(wire: ssl.SSLSocket, deadline: _Deadline) -> None:
    """Let the other side finish its sentence, if it is short: a connection cut in the middle is an error to it."""
    end, room = _Deadline(_HEAR_OUT_SECONDS), _MAX_ANSWER_BYTES
    # The answer is known; whatever happens to the rest of it changes nothing.
    with suppress(OSError):
        while room > 0:
            wire.settimeout(min(end.left(), deadline.left()))
            piece = wire.recv(room)
            if not piece:
                return
            room -= len(piece)
