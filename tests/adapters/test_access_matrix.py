"""Who may do what, for every route: 401, 403 and 404 come before anything else (contract, Conventions)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from accounts import handler as accounts_handler
from aws_platform import clients
from bills import handler as bills_handler
from catalog_api import handler as catalog_handler
from entitlements import handler as entitlements_handler
from exports import handler as exports_handler
from notices import handler as notices_handler
from orders import handler as orders_handler
from tests.adapters.steps import A, empty, tables
from tests.support.product import Product, Reply, template

READ, WRITE, ADMIN, METER = "billing:read", "billing:write", "billing:admin", "usage:write"

# Typed from the contract's tables: method, path below the account, who may, a body that would be taken.
ROUTES: list[tuple[str, str, str, Any]] = [
    ("GET", "", "read", None),
    ("PATCH", "", "write", {"postpaid_enabled": False}),
    ("POST", "/service/application", "write", {"purpose": "x"}),
    ("POST", "/service/approval", "admin", {}),
    ("POST", "/service/rejection", "admin", {}),
    ("PUT", "/violation", "admin", {"active": True, "reason": "x"}),
    ("POST", "/top-ups", "admin", {"fund": "cash", "amount": "1.00"}),
    ("POST", "/eid-merchants", "write", {"merchant_id": "m"}),
    ("POST", "/adjustments", "admin", {"amount": "-1.00", "reason": "x"}),
    ("POST", "/vouchers", "admin", {"amount": "1.00", "scene": "prepaid"}),
    ("GET", "/vouchers", "read", None),
    ("PUT", "/discounts/{tag}", "admin", {"rate": "0.9", "from": "2025-03-01"}),
    ("PUT", "/contract-prices/{tag}", "admin", {"unit_price": "0.25", "from": "2025-03-01"}),
    ("GET", "/journal", "read", None),
    ("GET", "/usage", "read", None),
    ("GET", "/bills/resources", "read", None),
    ("GET", "/bills/details", "read", None),
    ("GET", "/bills/preview", "read", None),
    ("GET", "/bills/overview", "read", None),
    ("GET", "/bills/verification", "read", None),
    ("GET", "/bills/details/{transaction_id}/explanation", "read", None),
    ("POST", "/bills/exports", "read", {"month": "2025-01", "kind": "details", "format": "csv"}),
    ("GET", "/bills/exports/{export_id}", "read", None),
    ("POST", "/orders", "write", {"items": [{"sku": "identity_check:1000", "quantity": 1}]}),
    ("GET", "/orders", "read", None),
    ("GET", "/orders/{order_id}", "read", None),
    ("POST", "/packages", "admin", {"tag": "identity_check", "calls": 1, "reason": "x"}),
    ("GET", "/packages", "read", None),
    ("GET", "/packages/{package_id}/usage", "read", None),
    ("GET", "/packages/{package_id}/refund-quote", "read", None),
    ("POST", "/packages/{package_id}/refund", "write", {}),
    ("PUT", "/packages/{package_id}/refund-block", "admin", {"blocked": False, "reason": "x"}),
    ("GET", "/refunds", "read", None),
    ("GET", "/refunds/{refund_id}", "read", None),
    ("GET", "/notices", "read", None),
    ("GET", "/notice-subscriptions", "read", None),
    ("PUT", "/notice-subscriptions", "write", {"emails": ["a@example.com"], "locale": "en"}),
    ("POST", "/webhooks", "write", {"url": "https://hooks.example.com/a"}),
    ("GET", "/webhooks", "read", None),
    ("GET", "/webhooks/{webhook_id}", "read", None),
    ("GET", "/webhooks/{webhook_id}/deliveries", "read", None),
    ("DELETE", "/webhooks/{webhook_id}", "write", None),
]
# One thing alone, or one that has no parameters.
UNPAGED = {
    "",
    "/bills/preview",
    "/bills/exports/{export_id}",
    "/bills/overview",
    "/bills/verification",
    "/bills/details/{transaction_id}/explanation",
    "/orders/{order_id}",
    "/packages/{package_id}/refund-quote",
    "/refunds/{refund_id}",
    "/notice-subscriptions",
    "/webhooks/{webhook_id}",
}
# What the state of these accounts forbids, after all of these checks.
STATES = {
    "already_open",
    "no_application",
    "account_in_violation",
    "already_refunded",
    "webhook_not_found",
}
MAY = {"read": {READ, ADMIN}, "write": {WRITE, ADMIN}, "admin": {ADMIN}}
IDS = [f"{method} A{path}" for method, path, _, _ in ROUTES]


PLACES = {"tag": "identity_check"}
"""What the paths name, of `acct-1`."""


@pytest.fixture(scope="module")
def two_accounts(cloud: Product) -> Product:
    """Accounts `acct-1` and `acct-2`, both with a package and a refund."""
    empty(cloud)
    for account_id in ("acct-2", "acct-1"):
        cloud.open_account(account_id, cash="10000.00", opened_at="2025-01-01T00:00:00+08:00")
        account, key = f"/v1/accounts/{account_id}", {"Idempotency-Key": "k"}
        cloud.request("PATCH", account, {"enterprise_verified": True})
        body = {"items": [{"sku": "identity_check:1000", "quantity": 2}]}
        order = cloud.request("POST", f"{account}/orders", body, headers=key).body
        first, second = (package["package_id"] for package in order["packages"])
        refund = cloud.request("POST", f"{account}/packages/{first}/refund", {}, headers=key).body
        PLACES.update(order_id=order["order_id"], package_id=second, refund_id=refund["refund_id"])
        wanted = {"month": "2025-01", "kind": "details", "format": "csv"}
        export = cloud.request("POST", f"{account}/bills/exports", wanted, headers=key).body
        PLACES["export_id"] = export["export_id"]
        PLACES["transaction_id"] = f"{order['order_id']}-1"
    for place in ("webhook_id", "doomed_webhook_id"):
        hook = cloud.request("POST", f"{A}/webhooks", {"url": f"https://hooks.example.com/{place}"}).body
        PLACES[place] = hook["webhook_id"]
    return cloud


def call(
    product: Product,
    route: tuple[str, str, str, Any],
    scopes: tuple[str, ...] | None,
    claim: str | None,
    account_id: str = "acct-1",
    **changes: Any,
) -> Reply:
    """A request that would be taken if its token allowed it."""
    method, path, _, body = route
    query = {"month": "2025-03"} if path in {"/bills/resources", "/bills/details", "/bills/overview"} else {}
    query |= {"day": "2025-03-01"} if path == "/bills/verification" else {}
    headers = {"Idempotency-Key": f"{scopes}{claim}{account_id}"}
    given = {"body": body, "query": query, "headers": headers, **changes}
    doomed = {"webhook_id": PLACES["doomed_webhook_id"]} if method == "DELETE" else {}
    path = path.format(**PLACES | doomed)
    return product.request(method, f"/v1/accounts/{account_id}{path}", scopes=scopes, account_id=claim, **given)


def tokens() -> Iterator[tuple[tuple[str, ...], str | None]]:
    """Every single scope, and some together, with the own account, another one, none, and one that looks alike."""
    singles = [(scope,) for scope in (READ, WRITE, ADMIN, METER)]
    others = [(), ("billing:READ",), ("billing",), ("admin",), ("billing:admin2",), ("usage:write billing:readx",)]
    for scopes in (*singles, *others, (READ, METER), (WRITE, METER), (READ, WRITE)):
        for claim in ("acct-1", "acct-2", None, "ACCT-1", "acct-1 ", "*", "acct-"):
            yield scopes, claim


@pytest.mark.parametrize("route", ROUTES, ids=IDS)
def test_no_token_no_answer(two_accounts: Product, route: tuple[str, str, str, Any]) -> None:
    """Without a token every route answers 401, for accounts that exist and for those that do not."""
    answers = {call(two_accounts, route, None, None, account_id).text for account_id in ("acct-1", "nobody")}
    assert len(answers) == 1
    reply = call(two_accounts, route, None, None, body="broken")
    assert (reply.status, reply.headers["content-type"]) == (401, "application/problem+json")


@pytest.mark.parametrize("route", ROUTES, ids=IDS)
def test_a_token_does_what_its_scope_says_on_its_own_account(
    two_accounts: Product, route: tuple[str, str, str, Any]
) -> None:
    """A customer needs the route's scope and the account's claim; the operator neither claim nor more; others 403."""
    before = tables(two_accounts)
    for scopes, claim in tokens():
        allowed = bool(MAY[route[2]] & set(scopes)) and (ADMIN in scopes or claim == "acct-1")
        if allowed:
            continue
        reply = call(two_accounts, route, scopes, claim)
        assert (reply.status, reply.code) == (403, "forbidden"), (scopes, claim)
    assert tables(two_accounts) == before
    for scope in sorted(MAY[route[2]]):
        reply = call(two_accounts, route, (scope,), None if scope == ADMIN else "acct-1")
        assert reply.status < 300 or reply.code in STATES, (scope, reply.text)


@pytest.mark.parametrize("route", ROUTES, ids=IDS)
def test_forbidden_says_nothing_about_the_account(two_accounts: Product, route: tuple[str, str, str, Any]) -> None:
    """403 is the same, byte for byte, for an account that exists, one that does not, and what cannot even be an id.

    Nor does it take another time: nothing is looked up before it.
    """
    seen = set()
    names = ["acct-1", "acct-2", "nobody", "x" * 3000, "a%20b", "a%23b", "%00", "%F0%9F%80%84", "%2e%2e", "a%0D%0Ab"]
    looked_up: list[object] = []
    clients.dynamodb().meta.events.register("before-call.dynamodb", watch := _noting(looked_up))
    for scopes, claim in tokens():
        for account_id in names:
            if ADMIN in scopes or claim == account_id:
                continue
            reply = call(two_accounts, route, scopes, claim, account_id)
            assert reply.status == 403, (scopes, claim, account_id, reply.text)
            seen.add((reply.text, tuple(sorted(reply.headers.items()))))
    clients.dynamodb().meta.events.unregister("before-call.dynamodb", watch)
    assert looked_up == []
    # A token for an account that does not exist hears the same as one for another's.
    reply = call(two_accounts, route, (READ, WRITE), "nobody", "nobody")
    seen.add((reply.text, tuple(sorted(reply.headers.items()))))
    assert len(seen) == 1


def _noting(calls: list[object]) -> Any:
    """Notes each call that goes out."""

    def note(model: Any, **_: object) -> None:
        calls.append(model.name)

    return note


@pytest.mark.parametrize("route", ROUTES, ids=IDS)
def test_only_the_operator_hears_that_an_account_does_not_exist(
    two_accounts: Product, route: tuple[str, str, str, Any]
) -> None:
    """404 `account_not_found` is for the operator alone, whatever text the path holds."""
    for account_id in ("nobody", "ACCT-1", "acct-1%20", "x" * 3000, "a%23b", "%00", "%F0%9F%80%84", "%2e%2e"):
        reply = call(two_accounts, route, (ADMIN,), None, account_id)
        assert (reply.status, reply.code) == (404, "account_not_found")


@pytest.mark.parametrize("route", [route for route in ROUTES if route[3] is not None], ids=lambda route: str(route[1]))
def test_the_order_of_checks(two_accounts: Product, route: tuple[str, str, str, Any]) -> None:
    """A bad body does not matter before the token and the account are checked, and does before the state."""
    before = tables(two_accounts)
    for broken, status in (("{", 400), ({"unknown": 1}, 422), ("[]", 422), ("x" * 300_000, 413)):
        assert call(two_accounts, route, None, None, body=broken).status == 401
        assert call(two_accounts, route, (METER,), "acct-1", body=broken).status == 403
        assert call(two_accounts, route, (WRITE,), "acct-2", body=broken).status == 403
        assert call(two_accounts, route, (ADMIN,), None, "nobody", body=broken).status == 404
        assert call(two_accounts, route, (ADMIN,), None, body=broken).status == status
    form = {"Idempotency-Key": "k", "content-type": "text/plain"}
    assert call(two_accounts, route, (METER,), "acct-1", headers=form).status == 403
    assert call(two_accounts, route, (ADMIN,), None, headers=form).status == 415
    assert tables(two_accounts) == before


@pytest.mark.parametrize("route", [route for route in ROUTES if route[0] == "GET"], ids=lambda route: str(route[1]))
def test_the_order_of_checks_when_reading(two_accounts: Product, route: tuple[str, str, str, Any]) -> None:
    """A bad parameter does not matter before the token and the account are checked."""
    if route[1] in UNPAGED:
        return
    bad = {"limit": "0"}
    assert call(two_accounts, route, None, None, query=bad).status == 401
    assert call(two_accounts, route, (WRITE,), "acct-1", query=bad).status == 403
    assert call(two_accounts, route, (ADMIN,), None, "nobody", query=bad).status == 404
    assert call(two_accounts, route, (READ,), "acct-1", query=bad).status == 422


def test_only_the_operator_creates_accounts(two_accounts: Product) -> None:
    """POST /v1/accounts is the operator's; nobody else learns whether an id is taken."""
    seen = set()
    for scopes, claim in tokens():
        for account_id in ("acct-1", "new"):
            if ADMIN not in scopes:
                body = {"account_id": account_id, "name": "Example"}
                reply = two_accounts.request("POST", "/v1/accounts", body, scopes, claim)
                assert reply.status == 403
                seen.add(reply.text)
    assert len(seen) == 1
    assert two_accounts.get("/v1/accounts/new").status == 404


def test_the_catalog_is_for_any_token(two_accounts: Product) -> None:
    """Every token of ours reads the catalog, one without a scope of ours does not; health and document are public."""
    for scope in (READ, WRITE, ADMIN, METER):
        assert two_accounts.request("GET", "/v1/catalog", scopes=(scope,)).status == 200
    assert two_accounts.request("GET", "/v1/catalog", scopes=None).status == 401
    assert two_accounts.request("GET", "/v1/catalog", scopes=("openid",)).status == 403
    for path in ("/healthz", "/v1/openapi.json"):
        assert two_accounts.request("GET", path, scopes=None).status == 200


def test_a_customer_without_a_claim_is_nobody(two_accounts: Product) -> None:
    """An account claim that is missing, or empty, opens no account."""
    for claim in (None, ""):
        assert two_accounts.request("GET", A, scopes=(READ,), account_id=claim).status == 403


def test_the_operator_may_be_a_customer_too(two_accounts: Product) -> None:
    """With the operator's scope beside others, another account's claim does not matter."""
    for scopes in ((READ, ADMIN), (ADMIN, METER), (WRITE, ADMIN, READ)):
        assert two_accounts.request("GET", A, scopes=scopes, account_id="acct-2").status == 200


def test_every_route_is_in_this_table() -> None:
    """The table above, the template and the functions know the same routes with the same scopes."""
    ours = {f"{method} /v1/accounts/{{account_id}}{path}": MAY[who] for method, path, who, _ in ROUTES}
    ours["POST /v1/accounts"] = {ADMIN}
    ours["POST /v1/usage"] = {METER}
    ours["GET /v1/catalog"] = ours["GET /v1/activities"] = {READ, WRITE, ADMIN, METER}
    ours["PUT /v1/prices/{tag}"] = ours["PUT /v1/activities/{activity_id}"] = {ADMIN}
    ours["POST /v1/quotes"] = {READ, ADMIN}
    ours["GET /v1/accounts/{account_id}/entitlements/{tag}"] = {READ, ADMIN, METER}
    ours["GET /healthz"] = ours["GET /v1/openapi.json"] = set()
    deployed = {route.key: set(route.scopes) for route in template().routes() if "/sandbox/" not in route.path}
    assert deployed == ours
    handlers = (
        accounts_handler,
        bills_handler,
        catalog_handler,
        entitlements_handler,
        exports_handler,
        notices_handler,
        orders_handler,
    )
    apis = [handler.api for handler in handlers]
    handled = {key: set(access.value) for api in apis for key, access in api.access.items()}
    assert handled == {key: scopes for key, scopes in ours.items() if key != "POST /v1/usage"}
