"""Which route a request belongs to."""

from __future__ import annotations

import pytest

from local.routing import Router
from local.template import Route

PATHS = [
    ("GET", "/healthz"),
    ("POST", "/v1/accounts"),
    ("GET", "/v1/accounts/{account_id}"),
    ("PATCH", "/v1/accounts/{account_id}"),
    ("GET", "/v1/accounts/{account_id}/bills/resources"),
    ("GET", "/v1/accounts/{account_id}/bills/{kind}"),
    ("GET", "/v1/accounts/{account_id}/{rest+}"),
    ("ANY", "/v1/accounts/{account_id}/bills/{kind}"),
]
ROUTER = Router(Route(method, path, "F", None, ()) for method, path in PATHS)


@pytest.mark.parametrize(
    "method,path,key,parameters",
    [
        ("GET", "/healthz", "GET /healthz", {}),
        ("GET", "/v1/accounts/a-1", "GET /v1/accounts/{account_id}", {"account_id": "a-1"}),
        ("PATCH", "/v1/accounts/a-1", "PATCH /v1/accounts/{account_id}", {"account_id": "a-1"}),
        ("GET", "/v1/accounts/%E4%B8%AD%20x", "GET /v1/accounts/{account_id}", {"account_id": "中 x"}),
        (
            "GET",
            "/v1/accounts/a/bills/resources",
            "GET /v1/accounts/{account_id}/bills/resources",
            {"account_id": "a"},
        ),
        (
            "GET",
            "/v1/accounts/a/bills/x",
            "GET /v1/accounts/{account_id}/bills/{kind}",
            {"account_id": "a", "kind": "x"},
        ),
        (
            "POST",
            "/v1/accounts/a/bills/x",
            "ANY /v1/accounts/{account_id}/bills/{kind}",
            {"account_id": "a", "kind": "x"},
        ),
        (
            "GET",
            "/v1/accounts/a/b/c/d",
            "GET /v1/accounts/{account_id}/{rest+}",
            {"account_id": "a", "rest": "b/c/d"},
        ),
        (
            "GET",
            "/v1/accounts/a%2Fb",
            "GET /v1/accounts/{account_id}/{rest+}",
            {"account_id": "a", "rest": "b"},
        ),
    ],
)
def test_match(method: str, path: str, key: str, parameters: dict[str, str]) -> None:
    """The most specific route wins, a named method before ANY, and variables are percent-decoded."""
    match = ROUTER.find(method, path)
    assert match is not None
    assert match.route.key == key
    assert match.parameters == parameters


@pytest.mark.parametrize(
    "method,path",
    [
        ("GET", "/"),
        ("POST", "/healthz"),
        ("GET", "/healthz/"),
        ("GET", "/v1/accounts/"),
        ("GET", "/v1/accounts"),
    ],
)
def test_no_match(method: str, path: str) -> None:
    """Another method, a trailing slash or an empty variable is another path."""
    assert ROUTER.find(method, path) is None


def test_default_route() -> None:
    """`$default` takes what no other route takes."""
    router = Router([Route("ANY", "$default", "F", None, ()), Route("GET", "/x", "G", None, ())])
    found = [router.find("GET", path) for path in ("/x", "/y")]
    assert [match.route.key for match in found if match] == ["GET /x", "$default"]
