"""Tokens for the local cloud: a key pair of its own and `POST /sandbox/tokens`. Tokens live in real time."""

from __future__ import annotations

import base64
import hashlib
import re
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from local.authorizer import ALGORITHM
from local.problems import invalid_request

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

SCOPES = ("usage:write", "billing:read", "billing:write", "billing:admin")
LIFETIME_SECONDS = 86_400
_ACCOUNT_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


def _base64url(number: int) -> str:
    raw = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@dataclass(frozen=True)
class TokenRequest:
    """What a token is asked for."""

    account_id: str | None
    scopes: tuple[str, ...]

    @classmethod
    def parse(cls, body: object) -> TokenRequest:
        """Read the body of `POST /sandbox/tokens`. Raises ProblemError 422."""
        if not isinstance(body, dict):
            raise invalid_request({"body": "must be a JSON object"})
        errors = {str(name): "is not known" for name in body if name not in {"account_id", "scopes"}}
        account_id, scopes = body.get("account_id"), body.get("scopes")
        if account_id is not None and not (isinstance(account_id, str) and _ACCOUNT_ID.fullmatch(account_id)):
            errors["account_id"] = "must have 1 to 64 of A-Z, a-z, 0-9, _ and -"
        if not isinstance(scopes, list) or not all(scope in SCOPES for scope in scopes):
            errors["scopes"] = f"must be a list of some of {', '.join(SCOPES)}"
            scopes = []
        if errors:
            raise invalid_request(errors)
        return cls(account_id, tuple(dict.fromkeys(scopes)))


class TokenIssuer:
    """Signs tokens with a key pair that is made at the first start and kept in the state folder."""

    def __init__(self, key: rsa.RSAPrivateKey, issuer: str, audience: str) -> None:
        """Take the key pair, and the issuer and audience that the template's authorizer asks for."""
        self._key = key
        self.issuer = issuer
        self.audience = audience
        numbers = key.public_key().public_numbers()
        self._numbers = {"e": _base64url(numbers.e), "n": _base64url(numbers.n)}
        self.key_id = hashlib.sha256(self._numbers["n"].encode()).hexdigest()[:16]

    @classmethod
    def open(cls, path: Path, issuer: str, audience: str) -> TokenIssuer:
        """Take the key pair of this file; make it when there is none yet."""
        if path.exists():
            key = serialization.load_pem_private_key(path.read_bytes(), password=None)
            if not isinstance(key, rsa.RSAPrivateKey):
                message = f"{path} does not hold an RSA key"
                raise TypeError(message)
            return cls(key, issuer, audience)
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        path.touch(mode=0o600)
        path.write_bytes(pem)
        return cls(key, issuer, audience)

    @property
    def public_keys(self) -> Mapping[str, rsa.RSAPublicKey]:
        """What an authorizer needs to check the tokens."""
        return {self.key_id: self._key.public_key()}

    def jwks(self) -> dict[str, Any]:
        """The public key as a JSON Web Key Set."""
        key = {"kty": "RSA", "use": "sig", "alg": ALGORITHM, "kid": self.key_id, **self._numbers}
        return {"keys": [key]}

    def issue(self, account_id: str | None, scopes: Sequence[str]) -> str:
        """A token good for 24 hours; without `account_id` it is an operator's or a producer's."""
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "aud": self.audience,
            "sub": account_id or "operator",
            "scope": " ".join(scopes),
            "iat": now,
            "nbf": now,
            "exp": now + LIFETIME_SECONDS,
            "jti": str(uuid.uuid4()),
            **({} if account_id is None else {"account_id": account_id}),
        }
        return jwt.encode(claims, self._key, algorithm=ALGORITHM, headers={"kid": self.key_id})
