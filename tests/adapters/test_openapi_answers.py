"""Answers are what the handlers declare for the OpenAPI document, successes and problems alike."""

from __future__ import annotations

import importlib
import json
import re
from functools import cache
from typing import Any

import pytest

from accounts import handler as accounts_handler
from bills import handler as bills_handler
from catalog_api import handler as catalog_handler
from entitlements import handler as entitlements_handler
from exports import handler as exports_handler
from notices import handler as notices_handler
from orders import handler as orders_handler
from tests.adapters.steps import NOW, A, at, post_usage
from tests.support.product import Product, Reply, event, events, router

jsonschema: Any = importlib.import_module("jsonschema")
HANDLERS = (
    accounts_handler,
    bills_handler,
    catalog_handler,
    entitlements_handler,
    exports_handler,
    notices_handler,
    orders_handler,
)
APIS = [handler.api for handler in HANDLERS]


@cache
def declared() -> dict[str, Any]:
    """What the handlers declare: paths, and the schemas that they name."""
    paths: dict[str, Any] = {}
    schemas: dict[str, Any] = {}
    for api in APIS:
        part = json.loads(api.resolver.get_openapi_json_schema(title="x", version="1"))
        paths.update({path: {**paths.get(path, {}), **operations} for path, operations in part["paths"].items()})
        schemas.update(part["components"]["schemas"])
    return {"paths": paths, "components": {"schemas": schemas}}


def checked(method: str, path: str, reply: Reply, document: dict[str, Any] | None = None) -> Reply:
    """The reply, after a look into what is declared for it."""
    found = router().find(method, path)
    assert found is not None
    document = document or declared()
    responses = document["paths"][found.route.path][method.lower()]["responses"]
    assert str(int(reply.status)) in responses, f"{method} {path} does not declare {reply.status}"
    content = responses[str(int(reply.status))]["content"]
    schema = content[reply.headers["content-type"]]["schema"]
    validator = jsonschema.Draft202012Validator({**schema, "components": document["components"]})
    validator.validate(reply.body)
    # Times are answered at +08:00, in whole seconds; numbers are integers, a share apart.
    assert all(re.fullmatch(_TIME, text) for text in re.findall(r'"\d{4}-\d\d-\d\dT[^"]*"', reply.text))
    text = re.sub(r'"used_percent":\d+\.\d+', '"used_percent":0', reply.text)
    json.loads(text, parse_float=_no_float, parse_constant=_no_float)
    return reply


_TIME = r'"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+08:00"'


def _no_float(text: str) -> None:
    message = f"{text} is a float"
    raise AssertionError(message)


def visit(product: Product, document: dict[str, Any] | None = None) -> list[Reply]:
    """Every read once, in whatever state the account is; what the account's own routes answer."""
    found = []
    queries: dict[str, dict[str, str]] = {
        "": {},
        "/journal": {},
        "/usage": {},
        "/bills/preview": {},
        "/bills/resources": {"month": "2025-03"},
        "/bills/details": {"month": "2025-03", "basis": "charge"},
        "/bills/overview": {"month": "2025-03"},
        "/bills/verification": {"day": "2025-03-01"},
        "/vouchers": {},
        "/orders": {},
        "/packages": {},
        "/refunds": {},
        "/entitlements/identity_check": {},
        "/notices": {},
        "/notice-subscriptions": {},
        "/webhooks": {},
    }
    for path, query in queries.items():
        reply = product.request("GET", f"{A}{path}", query=query)
        found.append(checked("GET", f"{A}{path}", reply, document))
    for one in product.get(f"{A}/orders").body["items"]:
        checked("GET", f"{A}/orders/{one['order_id']}", product.get(f"{A}/orders/{one['order_id']}"), document)
    for one in product.get(f"{A}/packages").body["items"]:
        for path in ("usage", "refund-quote"):
            url = f"{A}/packages/{one['package_id']}/{path}"
            checked("GET", url, product.get(url), document)
    for one in product.get(f"{A}/refunds").body["items"]:
        checked("GET", f"{A}/refunds/{one['refund_id']}", product.get(f"{A}/refunds/{one['refund_id']}"), document)
    for one in product.get(f"{A}/webhooks").body["items"]:
        url = f"{A}/webhooks/{one['webhook_id']}"
        checked("GET", url, product.get(url), document)
        checked("GET", f"{url}/deliveries", product.get(f"{url}/deliveries"), document)
    for by in ("day", "tag", "sub_account", "interface", "result_code", "day,tag", "interface,day,result_code"):
        checked("GET", f"{A}/usage", product.get(f"{A}/usage", by=by), document)
    return found


def explained(product: Product, document: dict[str, Any] | None = None, *, corrected: bool = False) -> set[str]:
    """Every line explained once, the first one `corrected` if wanted; the kinds of the lines."""
    if corrected:
        line = product.get(f"{A}/bills/details", month="2025-03").body["items"][0]["transaction_id"]
        body, path = {"amount": "-1.00", "reason": "x", "corrects": line}, f"{A}/adjustments"
        made = checked("POST", path, product.request("POST", path, body, headers={"Idempotency-Key": "k"}))
        assert made.status == 201
    kinds = set()
    for month, locale in (("2025-03", "zh-CN"), ("2025-04", "en")):
        for line in product.get(f"{A}/bills/details", month=month, basis="charge").body["items"]:
            url = f"{A}/bills/details/{line['transaction_id']}/explanation"
            checked("GET", url, product.get(url, locale=locale), document)
            kinds.add(line["transaction_type"])
    return kinds


def exported(product: Product) -> list[str]:
    """One export from the request to its file; its statuses on the way."""
    wanted = {"month": "2025-03", "kind": "pack", "format": "xlsx", "columns": ["tag", "total_cost"]}
    url, key = f"{A}/bills/exports", {"Idempotency-Key": "k"}
    asked = checked("POST", url, product.request("POST", url, wanted, headers=key))
    url = f"{url}/{asked.body['export_id']}"
    waiting = checked("GET", url, product.get(url))
    product.make_exports()
    return [reply.body["status"] for reply in (asked, waiting, checked("GET", url, product.get(url)))]


@pytest.mark.parametrize("opened_at", ["2025-01-01T00:00:00+08:00", "2022-06-01T00:00:00+08:00"])
def test_answers_are_as_declared(product: Product, opened_at: str) -> None:
    """In every state of an account, daily or monthly, each answer fits the model that its route declares."""

    def send(method: str, path: str, body: Any, **headers: str) -> None:
        reply = checked(method, path, product.request(method, path, body, headers=headers))
        assert reply.status < 300

    contact = {"email": "a@example.com", "locale": "en"}
    send("POST", "/v1/accounts", {"account_id": "acct-1", "name": "Example", "contact": contact})
    visit(product)
    send("POST", f"{A}/service/application", {"purpose": "x"})
    send("POST", f"{A}/service/rejection", {"reason": "x"})
    send("POST", f"{A}/service/application", {"purpose": "x"})
    visit(product)
    send("POST", f"{A}/service/approval", {"opened_at": opened_at})
    send("POST", f"{A}/top-ups", {"fund": "gift", "amount": "0.10"}, **{"Idempotency-Key": "k"})
    send("POST", f"{A}/top-ups", {"fund": "cash", "amount": "300.00"}, **{"Idempotency-Key": "m"})
    phones = ["+8613800000001"]
    send("PUT", f"{A}/notice-subscriptions", {"emails": ["a@example.com"], "phones": phones, "daily_report": True})
    for name in ("good", "late"):
        send("POST", f"{A}/webhooks", {"url": f"https://{name}.example.com/hook", "kinds": ["package_delivered"]})
    product.inbox.statuses["https://late.example.com/hook"] = 500
    product.inbox.failing["a@example.com"] = "BadRequestException"
    send("POST", f"{A}/vouchers", {"amount": "580.00", "scene": "prepaid"}, **{"Idempotency-Key": "k"})
    chosen = product.get(f"{A}/vouchers").body["items"][0]["voucher_id"]
    items = [{"sku": "identity_check:1000", "quantity": 1}, {"sku": "bank_card_check:1000", "quantity": 1}]
    send("POST", f"{A}/orders", {"items": items, "voucher_id": chosen}, **{"Idempotency-Key": "k"})
    send("POST", f"{A}/packages", {"tag": "basic_uploaded", "calls": 5, "reason": "x"}, **{"Idempotency-Key": "k"})
    product.notify()
    bought = product.get(f"{A}/packages", tag="bank_card_check").body["items"][0]["package_id"]
    send("PUT", f"{A}/packages/{bought}/refund-block", {"blocked": True, "reason": "x"})
    visit(product)
    send("PUT", f"{A}/packages/{bought}/refund-block", {"blocked": False})
    send("POST", f"{A}/packages/{bought}/refund", {}, **{"Idempotency-Key": "k"})
    visit(product)
    product.report([event("acct-1", "e-1", NOW, sub_account="a"), event("acct-1", "e-2", NOW, code="-2")])
    product.report(events("acct-1", 1000, NOW, "many", interface="api.phone_2e"))
    product.report(events("acct-1", 7, NOW, "risk", interface="face_risk"))
    product.now = at("2025-03-01T11:00:00+08:00")
    send("PATCH", A, {"postpaid_enabled": False})
    product.report(events("acct-1", 3, "2025-03-01T11:00:00+08:00", "off"))
    visit(product)
    product.move("2025-03-02T09:00:00+08:00")
    visit(product)
    for now in ("2025-04-01T08:00:00+08:00", "2025-04-03T09:00:00+08:00"):
        product.now = at(now)
        product.run()
    send("PUT", f"{A}/violation", {"active": True, "reason": "x"})
    product.notify()
    replies = visit(product)
    assert replies[0].body["arrears"] is not None
    assert {"prepay_purchase", "prepay_refund", "adjustment"} < explained(product, corrected=True)
    assert exported(product) == ["processing", "processing", "completed"]
    for hook in product.get(f"{A}/webhooks").body["items"]:
        url = f"{A}/webhooks/{hook['webhook_id']}"
        assert checked("DELETE", url, product.request("DELETE", url)).status < 300


def test_answers_are_as_the_served_document_says(metered: Product) -> None:
    """The served document describes reports of usage, successes and problems as they are answered."""
    document = metered.request("GET", "/v1/openapi.json", scopes=None).body
    metered.report([event("acct-1", "e-1", NOW), event("acct-1", "e-1", NOW, code="-1"), event("nobody", "e-1", NOW)])
    metered.move("2025-03-02T09:00:00+08:00")
    visit(metered, document)
    assert explained(metered, document) == {"postpay_daily"}
    for price_list in ("daily", "monthly"):
        for document_ in (document, declared()):
            checked("GET", "/v1/catalog", metered.get("/v1/catalog", price_list=price_list), document_)
    for document_ in (document, declared()):
        checked("GET", "/healthz", metered.get("/healthz"), document_)
    batch = [event("acct-1", "e-2", NOW), event("acct-1", "e-2", NOW, code="-1"), event("nobody", "e-1", NOW)]
    checked("POST", "/v1/usage", post_usage(metered, batch), document)
    for body, content_type in (("{", ""), ("{", "application/cloudevents-batch+json"), ("x" * 2**21, "")):
        kind = content_type or "application/cloudevents-batch+json"
        checked("POST", "/v1/usage", post_usage(metered, body, kind), document)
    checked("POST", "/v1/usage", post_usage(metered, "[]", "text/plain"), document)
    checked("POST", "/v1/usage", post_usage(metered, "{}"), document)


MANY = {"items": [{"sku": "identity_check:1000000", "quantity": 1}]}
PROBLEMS: list[tuple[int, str, str, dict[str, Any]]] = [
    (401, "GET", A, {"scopes": None}),
    (401, "POST", "/v1/usage", {"scopes": None}),
    (403, "GET", A, {"scopes": ("usage:write",)}),
    (403, "POST", "/v1/accounts", {"scopes": ("billing:write",), "body": {}}),
    (404, "GET", "/v1/accounts/nobody", {}),
    (404, "PUT", "/v1/accounts/nobody/violation", {"body": {}}),
    (400, "POST", "/v1/accounts", {"body": "{"}),
    (400, "POST", f"{A}/top-ups", {"body": {"fund": "cash", "amount": "1"}}),
    (413, "POST", "/v1/accounts", {"body": "x" * 300_000}),
    (415, "PATCH", A, {"body": "x", "headers": {"content-type": "text/plain"}}),
    (422, "PATCH", A, {"body": {"x": 1}}),
    (422, "GET", f"{A}/usage", {"query": {"by": "x"}}),
    (422, "GET", "/v1/catalog", {"query": {"at": "x"}}),
    (
        422,
        "POST",
        f"{A}/orders",
        {"body": {"items": [{"sku": "x", "quantity": 1}]}, "headers": {"Idempotency-Key": "k"}},
    ),
    (402, "POST", f"{A}/orders", {"body": MANY, "headers": {"Idempotency-Key": "k"}}),
    (400, "POST", f"{A}/orders", {"body": MANY}),
    (404, "GET", f"{A}/orders/x", {}),
    (404, "GET", f"{A}/refunds/x", {}),
    (404, "GET", f"{A}/bills/exports/x", {}),
    (
        409,
        "POST",
        f"{A}/bills/exports",
        {"body": {"month": "2025-03", "kind": "pack", "format": "xlsx"}, "headers": {"Idempotency-Key": "k"}},
    ),
    (400, "POST", f"{A}/bills/exports", {"body": {"month": "2025-01", "kind": "pack", "format": "xlsx"}}),
    (422, "POST", f"{A}/bills/exports", {"body": {"month": "2025-01", "kind": "pack", "format": "pdf"}}),
    (404, "GET", f"{A}/bills/details/x/explanation", {}),
    (422, "GET", f"{A}/bills/overview", {}),
    (422, "GET", f"{A}/bills/verification", {"query": {"day": "yesterday"}}),
    (
        404,
        "POST",
        f"{A}/adjustments",
        {"body": {"amount": "1", "reason": "x", "corrects": "x"}, "headers": {"Idempotency-Key": "k"}},
    ),
    (404, "GET", f"{A}/webhooks/x", {}),
    (404, "DELETE", f"{A}/webhooks/x", {}),
    (404, "GET", f"{A}/webhooks/x/deliveries", {}),
    (422, "POST", f"{A}/webhooks", {"body": {"url": "http://hooks.example.com"}}),
    (422, "PUT", f"{A}/notice-subscriptions", {"body": {"emails": ["x"]}}),
    (422, "GET", f"{A}/notices", {"query": {"kind": "x"}}),
    (404, "POST", f"{A}/packages/x/refund", {"body": {}}),
    (404, "GET", f"{A}/packages/x/usage", {}),
    (404, "GET", f"{A}/entitlements/x", {}),
    (422, "GET", f"{A}/packages", {"query": {"status": "x"}}),
    (409, "POST", "/v1/accounts", {"body": {"account_id": "acct-1", "name": "x"}}),
    (409, "POST", f"{A}/service/application", {"body": {"purpose": "x"}}),
    (409, "POST", f"{A}/service/approval", {"body": {}}),
    (409, "POST", f"{A}/service/rejection", {"body": {}}),
]


@pytest.mark.parametrize(
    "status, method, path, request_", PROBLEMS, ids=[f"{one[0]} {one[1]} {one[2]}" for one in PROBLEMS]
)
def test_a_problem_is_a_problem_document(
    metered: Product, status: int, method: str, path: str, request_: dict[str, Any]
) -> None:
    """Every refusal has type, title, status, detail and code, as the served document declares for its route."""
    document = metered.request("GET", "/v1/openapi.json", scopes=None).body
    reply = checked(method, path, metered.request(method, path, **request_), document)
    assert reply.status == status
    assert {"type", "title", "status", "detail", "code"} <= set(reply.body)
    assert reply.body["status"] == status
    assert reply.headers["content-type"] == "application/problem+json"
