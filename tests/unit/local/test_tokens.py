"""What `POST /sandbox/tokens` takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from local.bodies import read_json
from local.problems import ProblemError
from local.tokens import SCOPES, TokenIssuer, TokenRequest

if TYPE_CHECKING:
    from pathlib import Path


def test_customer_and_operator() -> None:
    """An account is optional: operators and producers have none."""
    assert TokenRequest.parse({"account_id": "a_B-9", "scopes": ["billing:read"]}).account_id == "a_B-9"
    assert TokenRequest.parse({"account_id": None, "scopes": list(SCOPES)}).scopes == SCOPES
    assert TokenRequest.parse({"scopes": ["usage:write", "usage:write"]}) == TokenRequest(None, ("usage:write",))


@pytest.mark.parametrize(
    "body,fields",
    [
        ([], {"body"}),
        ({}, {"scopes"}),
        ({"scopes": "billing:read"}, {"scopes"}),
        ({"scopes": ["billing:root"]}, {"scopes"}),
        ({"scopes": [1]}, {"scopes"}),
        ({"scopes": [["billing:read"]]}, {"scopes"}),
        ({"scopes": [], "account_id": ""}, {"account_id"}),
        ({"scopes": [], "account_id": "a" * 65}, {"account_id"}),
        ({"scopes": [], "account_id": "a b"}, {"account_id"}),
        ({"scopes": [], "account_id": 1}, {"account_id"}),
        ({"scopes": [], "account": "a"}, {"account"}),
        ({"account_id": {}, "x": 1}, {"account_id", "scopes", "x"}),
    ],
)
def test_bad_requests(body: object, fields: set[str]) -> None:
    """Every wrong or unknown field is named at once."""
    with pytest.raises(ProblemError) as caught:
        TokenRequest.parse(body)
    assert (caught.value.status, caught.value.code) == (422, "invalid_request")
    assert set(caught.value.errors) == fields


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"a":1,"a":2}', b"NaN", b"[" * 100_000])
def test_bodies_that_are_no_json(body: bytes) -> None:
    """Broken JSON, duplicate names and NaN are malformed."""
    with pytest.raises(ProblemError) as caught:
        read_json(body)
    assert (caught.value.status, caught.value.code) == (400, "malformed_body")


def test_key_is_kept(tmp_path: Path) -> None:
    """The key pair of a state folder stays the same from start to start, and is nobody else's to read."""
    path = tmp_path / "key.pem"
    first, second = (TokenIssuer.open(path, "i", "a") for _ in range(2))
    assert first.jwks() == second.jwks()
    assert path.stat().st_mode & 0o077 == 0
