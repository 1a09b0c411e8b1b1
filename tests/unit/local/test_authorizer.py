"""The check of bearer tokens."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from typing import TYPE_CHECKING, Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from local import template
from local.authorizer import Authorizer
from local.problems import ProblemError
from local.template import Route
from local.tokens import TokenIssuer

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

ISSUER, AUDIENCE = "https://issuer.test", "zhangben"
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
TOKENS = TokenIssuer(KEY, ISSUER, AUDIENCE)
CHECK = Authorizer(TOKENS.public_keys)
ROUTE = Route("GET", "/x", "F", template.Authorizer(ISSUER, (AUDIENCE,)), ("billing:read", "billing:admin"))
OPEN = Route("GET", "/healthz", "F", None, ())


def _token(key: RSAPrivateKey = KEY, kid: str = TOKENS.key_id, algorithm: str = "RS256", **claims: Any) -> str:
    now = int(time.time())
    usual = {"iss": ISSUER, "aud": AUDIENCE, "exp": now + 60, "nbf": now, "iat": now, "scope": "billing:read"}
    kept = {name: value for name, value in {**usual, **claims}.items() if value is not None}
    return jwt.encode(kept, key, algorithm=algorithm, headers={"kid": kid})


def _raw(header: dict[str, str], secret: bytes | None) -> str:
    """A token made by hand, as a forger would."""
    now = int(time.time())
    claims = {"iss": ISSUER, "aud": AUDIENCE, "exp": now + 60, "scope": "billing:admin"}
    parts = [json.dumps(part).encode() for part in ({**header, "kid": TOKENS.key_id}, claims)]
    signed = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)
    mac = hmac.new(secret, signed, hashlib.sha256).digest() if secret is not None else b""
    return (signed + b"." + base64.urlsafe_b64encode(mac).rstrip(b"=")).decode()


def _refusal(header: str | None, route: Route = ROUTE) -> tuple[int, str]:
    with pytest.raises(ProblemError) as caught:
        CHECK.check(route, header)
    return caught.value.status, caught.value.code


def test_good_token() -> None:
    """A token of the issuer passes, and the function hears its claims and the scope that opened the route."""
    identity = CHECK.check(ROUTE, "Bearer " + TOKENS.issue("acct-1", ["billing:read", "usage:write"]))
    assert identity is not None
    assert identity.claims["account_id"] == "acct-1"
    assert identity.claims["scope"] == "billing:read usage:write"
    assert identity.scopes == ("billing:read",)


def test_open_route() -> None:
    """A route without authorizer asks for nothing, whatever is sent."""
    assert CHECK.check(OPEN, None) is None
    assert CHECK.check(OPEN, "Bearer nonsense") is None


def test_lifetime() -> None:
    """A token of the sandbox lives for 24 hours of real time."""
    claims = jwt.decode(TOKENS.issue(None, []), options={"verify_signature": False})
    assert claims["exp"] - claims["iat"] == 86_400
    assert "account_id" not in claims


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic abc", "Bearer a.b", "Bearer a.b.c", "x"])
def test_no_token(header: str | None) -> None:
    """Without a token that can be read the answer is 401."""
    assert _refusal(header) == (401, "unauthorized")


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://other.test"},
        {"iss": None},
        {"aud": "another"},
        {"aud": None},
        {"aud": ["a", "b"]},
        {"exp": int(time.time()) - 1},
        {"exp": None},
        {"exp": "soon"},
        {"nbf": int(time.time()) + 86_400},
        {"iat": int(time.time()) + 86_400},
    ],
    ids=[
        "other issuer",
        "no issuer",
        "other audience",
        "no audience",
        "other audiences",
        "expired",
        "no expiry",
        "expiry is no time",
        "not yet valid",
        "issued in the future",
    ],
)
def test_wrong_claims(claims: dict[str, Any]) -> None:
    """Issuer, audience and times must all be in order."""
    assert _refusal("Bearer " + _token(**claims)) == (401, "unauthorized")


def test_audience_in_a_list_or_as_client() -> None:
    """The audience may be one of several, or stand in `client_id` where there is no `aud`."""
    assert CHECK.check(ROUTE, "Bearer " + _token(aud=["other", AUDIENCE])) is not None
    assert CHECK.check(ROUTE, "Bearer " + _token(aud=None, client_id=AUDIENCE)) is not None


def test_foreign_key() -> None:
    """A signature of another key fails, also under our key's id, and so does an unknown key id."""
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    assert _refusal("Bearer " + _token(key=other)) == (401, "unauthorized")
    assert _refusal("Bearer " + _token(kid="unknown")) == (401, "unauthorized")


def test_other_algorithms() -> None:
    """Only RS256 counts: not `none`, not HS256 keyed with the public key, not RS512 with the right key."""
    pem = KEY.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    forged = [_raw({"alg": "none"}, None), _raw({"alg": "HS256"}, pem), _raw({"alg": "RS256"}, pem)]
    for token in [*forged, _token(algorithm="RS512")]:
        assert _refusal("Bearer " + token) == (401, "unauthorized")


@pytest.mark.parametrize(
    "header",
    [
        b"[" * 100_000,
        b'{"alg":"RS256","kid":' + b"[" * 50_000,
        b"[]",
        b"null",
        b'{"alg":"RS256","kid":null}',
        b'{"alg":"RS256","kid":["a"]}',
        b'{"alg":["RS256"],"kid":"a"}',
        b'{"alg":"RS256","crit":["exp"],"kid":"a"}',
        b'{"alg":"RS256","kid":' + b"9" * 5000 + b"}",
        b"\xff\xfe",
    ],
    ids=[
        "deep",
        "deep id",
        "a list",
        "null",
        "no id",
        "a list of ids",
        "a list of algorithms",
        "critical",
        "digits",
        "bytes",
    ],
)
def test_headers_of_tokens_that_are_none(header: bytes) -> None:
    """Nothing that stands for a token's header breaks the check: the answer is 401."""
    encoded = base64.urlsafe_b64encode(header).rstrip(b"=").decode()
    for token in (f"{encoded}.e30.c2ln", f"{encoded}..", encoded):
        assert _refusal("Bearer " + token) == (401, "unauthorized")


@pytest.mark.parametrize(
    "header",
    [
        "Bearer {0},Bearer {0}",
        "Bearer {0} {0}",
        "Bearer {0}, Basic YTpi",
        "Basic YTpi,Bearer {0}",
        "Bearer \u00e9{0}",
        "Token {0}",
        "Bearer={0}",
        "{0}",
        "Bearer\t{0}",
    ],
)
def test_a_good_token_in_a_wrong_header(header: str) -> None:
    """Two headers, which the gateway joins by a comma, are none; the scheme is Bearer and nothing else."""
    assert _refusal(header.format(_token())) == (401, "unauthorized")


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "Bearer", "bEaReR", "Bearer  "])
def test_the_scheme_in_any_case(scheme: str) -> None:
    """The name of a scheme is the same in capitals and small letters (RFC 9110)."""
    assert CHECK.check(ROUTE, f"{scheme} {_token()}") is not None


@pytest.mark.parametrize(
    "scope, granted",
    [
        ("  usage:write   billing:read ", True),
        ("usage:write\tbilling:read", True),
        (["billing:read"], True),
        (["billing:read billing:admin"], False),
        ("billing:read,billing:admin", False),
        ([], False),
        (5, False),
        ({"billing:read": True}, False),
        ("BILLING:READ", False),
    ],
)
def test_scopes_as_they_may_be_written(scope: object, granted: bool) -> None:  # noqa: FBT001
    """Scopes are words of a text or items of a list; anything else grants nothing, and breaks nothing."""
    header = "Bearer " + _token(scope=scope)
    if granted:
        assert CHECK.check(ROUTE, header) is not None
    else:
        assert _refusal(header) == (403, "forbidden")


def test_no_scope_at_all() -> None:
    """A token that says nothing of scopes is good, and may do nothing."""
    assert _refusal("Bearer " + _token(scope=None)) == (403, "forbidden")


@pytest.mark.parametrize("scope", ["", "billing:write", "billing:readx", "usage:write billing:write"])
def test_missing_scope(scope: str) -> None:
    """A good token without one of the route's scopes is forbidden."""
    assert _refusal("Bearer " + _token(scope=scope)) == (403, "forbidden")


def test_published_key() -> None:
    """The published key set verifies the tokens."""
    key = jwt.PyJWK.from_dict(TOKENS.jwks()["keys"][0])
    claims = jwt.decode(TOKENS.issue("a", ["billing:read"]), key, algorithms=["RS256"], audience=AUDIENCE)
    assert claims["sub"] == "a"
