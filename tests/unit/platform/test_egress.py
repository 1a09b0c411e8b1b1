"""Requests to customers' addresses: only to public ones, to the one that was checked, and never for long."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from aws_platform import egress
from aws_platform.egress import (
    BadAnswerError,
    BlockedAddressError,
    EgressError,
    Endpoint,
    TimedOutError,
    TlsError,
    UnknownHostError,
    UnreachableError,
    check_url,
    is_public,
    post,
)

NAME = "hooks.example.com"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"


@pytest.mark.parametrize(
    "url,endpoint,authority",
    [
        ("https://hooks.example.com", Endpoint(NAME, 443, "/"), NAME),
        ("https://hooks.example.com:443/", Endpoint(NAME, 443, "/"), NAME),
        ("HTTPS://Hooks.Example.COM/A%20b", Endpoint(NAME, 443, "/A%20b"), NAME),
        ("https://hooks.example.com?k=v/?", Endpoint(NAME, 443, "/?k=v/?"), NAME),
        ("https://hooks.example.com:8443/p?q=a@b", Endpoint(NAME, 8443, "/p?q=a@b"), f"{NAME}:8443"),
        ("https://hooks.example.com:65535/", Endpoint(NAME, 65535, "/"), f"{NAME}:65535"),
        ("https://xn--fiqs8s.xn--fiqs8s/", Endpoint("xn--fiqs8s.xn--fiqs8s", 443, "/"), "xn--fiqs8s.xn--fiqs8s"),
        ("https://8.8.8.8/", Endpoint("8.8.8.8", 443, "/"), "8.8.8.8"),
        ("https://1.example.com/", Endpoint("1.example.com", 443, "/"), "1.example.com"),
        ("https://mylocal.example/", Endpoint("mylocal.example", 443, "/"), "mylocal.example"),
    ],
)
def test_a_usual_url_leads_somewhere(url: str, endpoint: Endpoint, authority: str) -> None:
    """Host, port and path are those of the URL, and the header Host names a port only where it is not the usual one."""
    assert check_url(url) == endpoint
    assert endpoint.authority == authority


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://hooks.example.com/",
        "ftp://hooks.example.com/",
        "//hooks.example.com/",
        "https:hooks.example.com",
        "https://",
        "https:///path",
        "https://user@hooks.example.com/",
        "https://user:secret@hooks.example.com/",
        "https://hooks.example.com@10.0.0.1/",
        "https://hooks.example.com#fragment",
        "https://hooks.example.com/#fragment",
        "https://hooks.example.com/a b",
        " https://hooks.example.com/",
        "https://hooks.example.com/\n",
        "https://hooks.example.com/\r\nHost: other",
        "https://hooks.example.com/\x00",
        "https://hooks.example.com/\t",
        "https://hooks.example.com\\@10.0.0.1/",
        "https://hooks.example.com/%zz",
        "https://hooks.example.com/ä",
        "https://bücher.example/",
        "https://example。com/",
        "https://hooks.example.com:/",
        "https://hooks.example.com:0/",
        "https://hooks.example.com:0443/",
        "https://hooks.example.com:22/",
        "https://hooks.example.com:80/",
        "https://hooks.example.com:1023/",
        "https://hooks.example.com:65536/",
        "https://hooks.example.com:99999/",
        "https://hooks.example.com:https/",
        "https://hooks.example.com./",
        "https://.example.com/",
        "https://hooks..example.com/",
        "https://-hooks.example.com/",
        "https://hooks-.example.com/",
        "https://hooks_1.example.com/",
        f"https://{'a' * 64}.example.com/",
        f"https://{'a.' * 130}com/",
        f"https://hooks.example.com/{'a' * 2048}",
        "https://localhost/",
        "https://LOCALHOST/",
        "https://api.localhost/",
        "https://printer.local/",
        "https://metadata.google.internal/",
        "https://ip-10-0-0-1.ap-southeast-1.compute.internal/",
        "https://router.home.arpa/",
        "https://localhost.localdomain/",
        "https://intranet/",
        "https://10.0.0.1/",
        "https://127.0.0.1/",
        "https://169.254.169.254/latest/meta-data/",
        "https://0.0.0.0/",
        "https://255.255.255.255/",
        # Odd spellings of addresses that resolvers know.
        "https://127.1/",
        "https://127.0.1/",
        "https://0x7f.1/",
        "https://0x7f000001/",
        "https://0x7f.0x0.0x0.0x1/",
        "https://2130706433/",
        "https://017700000001/",
        "https://0177.0.0.1/",
        "https://127.0.0.01/",
        "https://8.8.8.0x8/",
        "https://8.8.2056/",
        "https://1.2.3.4.5/",
        "https://256.1.1.1/",
        "https://[::1]/",
        "https://[::ffff:10.0.0.1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[2002:7f00:1::]/",
        "https://[64:ff9b::7f00:1]/",
        "https://[fe80::1%25eth0]/",
        "https://[fe80::1%eth0]/",
        "https://[::]/",
        "https://[2606:4700::1111]/",
        "https://[fd00:ec2::254]/",
        "https://1.1.1.1%2f@127.0.0.1/",
    ],
)
def test_any_other_url_is_refused(url: str) -> None:
    """What is no plain https URL of a public host is refused when it is registered."""
    with pytest.raises(ValueError, match=r"."):
        check_url(url)


@pytest.mark.parametrize(
    "first,last",
    [
        ("0.0.0.0", "0.255.255.255"),  # noqa: S104 - "this network", nothing is bound
        ("10.0.0.0", "10.255.255.255"),
        ("100.64.0.0", "100.127.255.255"),
        ("127.0.0.0", "127.255.255.255"),
        ("169.254.0.0", "169.254.255.255"),
        ("172.16.0.0", "172.31.255.255"),
        ("192.0.0.0", "192.0.0.255"),
        ("192.0.0.9", "192.0.0.10"),
        ("192.0.2.0", "192.0.2.255"),
        ("192.88.99.0", "192.88.99.255"),
        ("192.168.0.0", "192.168.255.255"),
        ("198.18.0.0", "198.19.255.255"),
        ("198.51.100.0", "198.51.100.255"),
        ("203.0.113.0", "203.0.113.255"),
        ("224.0.0.0", "239.255.255.255"),
        ("240.0.0.0", "255.255.255.254"),
        ("255.255.255.255", "255.255.255.255"),
    ],
)
def test_no_special_address_is_public(first: str, last: str) -> None:
    """IANA's special blocks are closed from their first to their last address, whoever resolves to them."""
    for address in (first, last):
        assert not is_public(IPv4Address(address))
        with pytest.raises(BlockedAddressError):
            post(Endpoint(NAME, 443, "/"), b"", {}, resolve=lambda _, found=address: [found])  # type: ignore[misc]


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "8.8.8.8", "11.0.0.0", "100.63.255.255", "172.32.0.0", "192.167.255.255", "223.255.255.254"]
)
def test_neighbours_of_special_blocks_are_public(address: str) -> None:
    """Only the blocks themselves are closed."""
    assert is_public(IPv4Address(address))


def test_one_private_address_closes_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that resolves to a public and a private address gets nothing, not even at the public one."""
    dialled: list[str] = []
    monkeypatch.setattr(socket, "create_connection", lambda place, **_: dialled.append(place[0]))
    closed = ("10.0.0.1", "0.0.0.0", "100.64.0.1", "169.254.169.254")  # noqa: S104 - nothing is bound
    for found in (pair for one in closed for pair in (["8.8.8.8", one], [one, "8.8.8.8"])):
        with pytest.raises(BlockedAddressError):
            post(Endpoint(NAME, 443, "/"), b"", {}, resolve=lambda _, found=found: found)  # type: ignore[misc]
    assert dialled == []


def test_the_name_is_resolved_once_and_the_checked_address_is_dialled(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that changes its answer right after the check (DNS rebinding) leads to the address that was checked."""
    answers = iter([["8.8.8.8"], ["127.0.0.1"], ["127.0.0.1"]])
    asked: list[str] = []
    dialled: list[tuple[str, int]] = []

    def resolve(host: str) -> Sequence[str]:
        asked.append(host)
        return next(answers)

    def dial(place: tuple[str, int], **_: object) -> socket.socket:
        dialled.append(place)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "create_connection", dial)
    with pytest.raises(UnreachableError):
        post(Endpoint(NAME, 8443, "/"), b"", {}, resolve=resolve)
    assert asked == [NAME]
    assert dialled == [("8.8.8.8", 8443)]


def test_the_next_address_is_tried_where_one_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host of several addresses is reached by any of them; at most three are tried."""
    dialled: list[str] = []

    def dial(place: tuple[str, int], **_: object) -> socket.socket:
        dialled.append(place[0])
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "create_connection", dial)
    found = ["8.8.8.8", "8.8.8.8", "8.8.4.4", "1.1.1.1", "1.0.0.1"]
    with pytest.raises(UnreachableError):
        post(Endpoint(NAME, 443, "/"), b"", {}, resolve=lambda _: found)
    assert dialled == ["8.8.8.8", "8.8.4.4", "1.1.1.1"]


@pytest.mark.parametrize(
    "found",
    [
        [],
        ["nonsense"],
        ["127.1"],
        ["0177.0.0.1"],
        ["8.8.8.8%eth0"],
        # Whatever IPv4 address hides in one of IPv6: mapped, compatible, 6to4, NAT64, Teredo.
        ["::ffff:127.0.0.1"],
        ["::ffff:8.8.8.8"],
        ["::127.0.0.1"],
        ["2002:7f00:1::"],
        ["64:ff9b::7f00:1"],
        ["2001:0:7f00:1::"],
        ["::"],
        ["::1"],
        ["fe80::1%eth0"],
        ["fd00:ec2::254"],
        ["2606:4700::1111"],
        ["8.8.8.8", "::1"],
        ["::ffff:127.0.0.1", "8.8.8.8"],
    ],
    ids=",".join,
)
def test_a_name_without_addresses_is_unknown(found: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing to connect to, or anything that is no IPv4 address, is a host that does not exist for us."""
    dialled: list[str] = []
    monkeypatch.setattr(socket, "create_connection", lambda place, **_: dialled.append(place[0]))
    with pytest.raises(UnknownHostError):
        post(Endpoint(NAME, 443, "/"), b"", {}, resolve=lambda _: found)
    assert dialled == []


def test_a_resolver_that_fails_is_an_unknown_host() -> None:
    """What the system's resolver raises is not let through."""

    def resolve(_: str) -> Sequence[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with pytest.raises(UnknownHostError) as raised:
        post(Endpoint(NAME, 443, "/"), b"", {}, resolve=resolve)
    assert raised.value.reason == "unknown_host"


def test_a_slow_resolver_is_not_waited_for() -> None:
    """The deadline holds for looking up the name too, which knows no time-out of its own."""
    release = threading.Event()
    begun = time.monotonic()
    with pytest.raises(TimedOutError):
        post(Endpoint(NAME, 443, "/"), b"", {}, resolve=lambda _: [str(release.wait(10))], seconds=0.2)
    assert time.monotonic() - begun < 2
    release.set()


def test_the_system_resolver_is_asked_for_ipv4_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """An IPv6 address would be no way out of a function, and no address that the check knows."""
    asked: list[tuple[object, ...]] = []

    def getaddrinfo(host: str, port: int, family: int, type: int) -> list[object]:  # noqa: A002 - the real name
        asked.append((host, port, family, type))
        return [(family, type, 6, "", ("8.8.8.8", port))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    assert egress.addresses_of(NAME) == ["8.8.8.8"]
    assert asked == [(NAME, 443, socket.AF_INET, socket.SOCK_STREAM)]


# --- Over TLS, to a server on this machine ---------------------------------------------------------------------------


def make_certificate(folder: Path, name: str) -> Path:
    """A certificate for a name, signed by itself, and its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.KeyUsage(
                digital_signature=True,
                key_cert_sign=True,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                crl_sign=False,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
        .sign(key, hashes.SHA256())
    )
    file = folder / f"{name}.pem"
    file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return file


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for the host of these tests."""
    return make_certificate(tmp_path_factory.mktemp("tls"), NAME)


class Server:
    """Takes connections over TLS one after the other, and answers each as the test says."""

    def __init__(self, certificate: Path, behave: Callable[[ssl.SSLSocket], None]) -> None:
        self.requests: list[bytes] = []
        self.names: list[str | None] = []
        self._behave = behave
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate)
        self._context.sni_callback = lambda _sock, name, _context: self.names.append(name)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve)
        self.endpoint = Endpoint(NAME, self._listener.getsockname()[1], "/hook?k=v")

    def _serve(self) -> None:
        while True:
            try:
                plain, _ = self._listener.accept()
            except OSError:
                return
            with closing(plain), suppress(OSError), self._context.wrap_socket(plain, server_side=True) as wire:
                self.requests.append(read_request(wire))
                self._behave(wire)

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def stop(self) -> None:
        """Stop, and wait for it."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)


def read_request(wire: ssl.SSLSocket) -> bytes:
    """The whole request, by its content length."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += wire.recv(65536)
    head, _, body = received.partition(b"\r\n\r\n")
    length = next(int(line[16:]) for line in head.split(b"\r\n") if line.startswith(b"Content-Length: "))
    while len(body) < length:
        body += wire.recv(65536)
    return head + b"\r\n\r\n" + body


@contextmanager
def serving(certificate: Path, behave: Callable[[ssl.SSLSocket], None]) -> Iterator[Server]:
    """A server for the time of a test."""
    server = Server(certificate, behave)
    server.start()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def trusted(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The certificate is trusted, and this machine counts as public."""
    monkeypatch.setattr(egress, "tls_context", lambda: ssl.create_default_context(cafile=str(certificate)))
    monkeypatch.setattr(egress, "is_public", lambda _: True)


def here(_: str) -> Sequence[str]:
    """Every name is this machine."""
    return ["127.0.0.1"]


@pytest.mark.usefixtures("trusted")
def test_a_post_arrives_as_it_was_sent(certificate: Path) -> None:
    """The request carries the name as SNI and Host, our headers and the body, and its answer's status comes back."""
    body = b"x" * 40_000
    with serving(certificate, lambda wire: wire.sendall(OK)) as server:
        assert post(server.endpoint, body, {"webhook-id": "m-1"}, resolve=here) == 200
    assert server.names == [NAME]
    head, _, received = server.requests[0].partition(b"\r\n\r\n")
    assert received == body
    assert head.split(b"\r\n") == [
        b"POST /hook?k=v HTTP/1.1",
        f"Host: {server.endpoint.authority}".encode(),
        b"webhook-id: m-1",
        b"Content-Length: 40000",
        b"Connection: close",
    ]


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize(
    "answer,status",
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204),
        (b"HTTP/1.0 200\r\n\r\n", 200),
        (b"HTTP/1.1 410 Gone\n\n", 410),
        (b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\n\r\n", 503),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\n\r\n", 201),
        (b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + OK, 200),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000, 200),
    ],
)
def test_the_status_of_an_answer_is_all_that_counts(certificate: Path, answer: bytes, status: int) -> None:
    """Answers before the answer are passed over, and nothing of head and body can spoil the status."""
    with serving(certificate, lambda wire: wire.sendall(answer)) as server:
        assert post(server.endpoint, b"{}", {}, resolve=here) == status


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(certificate: Path, status: int) -> None:
    """A redirect is an answer like any other: who could redirect us could send us to any address."""
    answer = f"HTTP/1.1 {status} Moved\r\nLocation: https://127.0.0.1/\r\nContent-Length: 0\r\n\r\n".encode()
    with serving(certificate, lambda wire: wire.sendall(answer)) as server:
        assert post(server.endpoint, b"{}", {}, resolve=here) == status
    assert len(server.requests) == 1


@pytest.mark.usefixtures("trusted")
def test_proxies_of_the_environment_are_ignored(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy would resolve the name again, out of our sight."""
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with serving(certificate, lambda wire: wire.sendall(OK)) as server:
        assert post(server.endpoint, b"{}", {}, resolve=here) == 200


def dripping(start: bytes, drop: bytes) -> Callable[[ssl.SSLSocket], None]:
    """A server that never comes to an end."""

    def drip(wire: ssl.SSLSocket) -> None:
        wire.sendall(start)
        for _ in range(200):
            wire.sendall(drop)
            time.sleep(0.05)

    return drip


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize(
    "behave",
    [
        lambda wire: wire.recv(1),
        dripping(b"", b"H"),
        dripping(b"HTTP/1.1 100 Continue\r\n", b"a: b\r\n"),
        dripping(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
)
def test_a_slow_server_is_cut_off(certificate: Path, behave: Callable[[ssl.SSLSocket], None]) -> None:
    """Silence and answers that drip in byte by byte end with the one deadline of the whole request."""
    with serving(certificate, behave) as server:
        begun = time.monotonic()
        with pytest.raises(TimedOutError):
            post(server.endpoint, b"{}", {}, resolve=here, seconds=0.5)
        assert time.monotonic() - begun < 2


@pytest.mark.usefixtures("trusted")
def test_an_answer_that_goes_on_is_not_listened_to_for_long(certificate: Path) -> None:
    """Once the status is known, the rest of the answer costs a second at most."""
    with serving(certificate, dripping(b"HTTP/1.1 200 OK\r\n\r\n", b"more")) as server:
        begun = time.monotonic()
        assert post(server.endpoint, b"{}", {}, resolve=here) == 200
        assert time.monotonic() - begun < 3


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-OpenSSH_9.6\r\n", b"HTTP/2 200\r\n\r\n", b"x" * 100_000])
def test_what_is_not_http_is_a_bad_answer(certificate: Path, answer: bytes) -> None:
    """An answer without a status is a failure, whatever and however much it is."""
    with serving(certificate, lambda wire: wire.sendall(answer)) as server, pytest.raises(BadAnswerError):
        post(server.endpoint, b"{}", {}, resolve=here)


def test_a_certificate_of_another_name_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever holds the address but not the name gets nothing of the request."""
    other = make_certificate(tmp_path, "other.example.com")
    monkeypatch.setattr(egress, "tls_context", lambda: ssl.create_default_context(cafile=str(other)))
    monkeypatch.setattr(egress, "is_public", lambda _: True)
    with serving(other, lambda wire: wire.sendall(OK)) as server, pytest.raises(TlsError):
        post(server.endpoint, b"{}", {}, resolve=here)
    assert server.requests == []


def test_a_certificate_that_nobody_trusts_is_refused(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name alone proves nothing: the context that production uses checks who signed."""
    monkeypatch.setattr(egress, "is_public", lambda _: True)
    with serving(certificate, lambda wire: wire.sendall(OK)) as server, pytest.raises(TlsError):
        post(server.endpoint, b"{}", {}, resolve=here)
    assert server.requests == []


@pytest.mark.usefixtures("trusted")
def test_a_port_that_nobody_listens_on_is_unreachable() -> None:
    """A refused connection is told apart from a slow one."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(UnreachableError):
        post(Endpoint(NAME, port, "/"), b"", {}, resolve=here)


def test_every_failure_has_a_reason_of_its_own() -> None:
    """Reasons are shown to the customer, and tell what to look at."""
    kinds: list[type[EgressError]] = [EgressError, *EgressError.__subclasses__()]
    assert {kind.reason for kind in kinds} == {
        "unreachable",
        "blocked_address",
        "unknown_host",
        "tls_failed",
        "timed_out",
        "bad_answer",
    }
