"""The check that API Gateway's JWT authorizer makes before a function is called.

Signature, algorithm, issuer, audience, expiry, not-before and issue time; then the scopes of the route, of
which a token needs one. Only RS256 is accepted, whatever the token's header says, and only with the key
that it names.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jwt

from local.problems import forbidden, unauthorized

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

    from local.template import Route

ALGORITHM = "RS256"


@dataclass(frozen=True)
class Identity:
    """A token that was accepted: its claims as it has them, and its scopes that the route asks for."""

    claims: Mapping[str, Any]
    scopes: tuple[str, ...]


def _bearer(header: str | None) -> str:
    scheme, _, token = (header or "").strip().partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        msg = "a bearer token is needed"
        raise unauthorized(msg)
    return token.strip()


def _scopes_of(claims: Mapping[str, Any]) -> Sequence[str]:
    given = claims.get("scope", claims.get("scp", ""))
    return [str(item) for item in given] if isinstance(given, list) else str(given).split()


def _check_audience(claims: Mapping[str, Any], accepted: Sequence[str]) -> None:
    given = claims.get("aud", claims.get("client_id"))
    audiences = given if isinstance(given, list) else [given]
    if not any(audience in accepted for audience in audiences):
        msg = "the token is for another audience"
        raise unauthorized(msg)


class Authorizer:
    """Checks tokens against the public keys of their issuer."""

    def __init__(self, keys: Mapping[str, RSAPublicKey]) -> None:
        """Take the issuer's public keys by key id."""
        self._keys = keys

    def check(self, route: Route, header: str | None) -> Identity | None:
        """Who calls; None where the route is open. Raises ProblemError 401 or 403."""
        if route.authorizer is None:
            return None
        claims = self._claims(_bearer(header), route.authorizer.issuer)
        _check_audience(claims, route.authorizer.audience)
        granted = _scopes_of(claims)
        wanted = tuple(scope for scope in route.scopes if scope in granted)
        if route.scopes and not wanted:
            raise forbidden()
        return Identity(claims, wanted)

    def _claims(self, token: str, issuer: str) -> Mapping[str, Any]:
        try:
            key = self._keys[str(jwt.get_unverified_header(token)["kid"])]
            claims: Mapping[str, Any] = jwt.decode(
                token,
                key,
                algorithms=[ALGORITHM],
                issuer=issuer,
                options={"require": ["exp", "iss"], "verify_aud": False},
            )
        except (jwt.InvalidTokenError, KeyError) as error:
            msg = "the token is not valid"
            raise unauthorized(msg) from error
        if not isinstance(claims.get("iat", 0), int | float) or claims.get("iat", 0) > time.time() + 1:
            msg = "the token was issued in the future"
            raise unauthorized(msg)
        return claims
