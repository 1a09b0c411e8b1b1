"""Make the served OpenAPI document from the routes of all functions.

    python tools/openapi.py            write functions/catalog_api/openapi.json

The document is committed, so that a change of the interface shows in a review; a test compares it with the routes.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / folder) for folder in ("layers/rating", "layers/platform", "functions")]

from pydantic import TypeAdapter  # noqa: E402

import accounts.handler  # noqa: E402
import bills.handler  # noqa: E402
import catalog_api.handler  # noqa: E402
import entitlements.handler  # noqa: E402
import exports.handler  # noqa: E402
import notices.handler  # noqa: E402
import orders.handler  # noqa: E402
from aws_platform.access import Access  # noqa: E402
from ingest.events import MAX_EVENTS, UsageEvent  # noqa: E402
from ingest.handler import BATCH, SINGLE  # noqa: E402
from rating.catalog import load  # noqa: E402

TARGET = ROOT / "functions" / "catalog_api" / "openapi.json"
APIS = [
    accounts.handler.api,
    orders.handler.api,
    entitlements.handler.api,
    notices.handler.api,
    bills.handler.api,
    exports.handler.api,
    catalog_api.handler.api,
]
PROBLEM = "application/problem+json"
VERSION = "1"
DESCRIPTION = """Usage billing for metered APIs. Money is a decimal string in yuan, quantities are integers, times are
RFC 3339 and answered at +08:00, days are `YYYY-MM-DD` in Asia/Shanghai. Refusals are problem documents (RFC 9457)
with a stable `code`."""

PROBLEM_SCHEMA = {
    "type": "object",
    "description": "Why a request was refused (RFC 9457).",
    "required": ["type", "title", "status", "detail", "code"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string", "description": "for programs; never changes"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "detail"],
                "properties": {"field": {"type": "string"}, "detail": {"type": "string"}},
            },
        },
    },
}
REFUSALS = {
    "400": "`malformed_body`, or a header is missing",
    "401": "no or bad token",
    "403": "`forbidden`: the token may not do this, or the account is not its own",
    "404": "the account does not have this; `account_not_found` for the operator only",
    "413": "`body_too_large`",
    "415": "`unsupported_media_type`",
    "422": "`invalid_request`, with each field in `errors`",
    "500": "`internal_error`",
    "503": "`try_again`: the whole request may be sent again",
}
REPLAYED = {
    "description": "this is the first answer to this key, once more",
    "schema": {"type": "string", "enum": ["true"]},
}
ERROR_CODES = [
    "invalid_event",
    "unknown_interface",
    "library_required",
    "unknown_account",
    "account_not_open",
    "before_opening",
    "time_too_old",
    "time_in_future",
    "conflict",
]


def document() -> dict[str, Any]:
    """The whole document."""
    paths: dict[str, Any] = {}
    schemas: dict[str, Any] = {"Problem": PROBLEM_SCHEMA}
    for api in APIS:
        part = json.loads(api.resolver.get_openapi_json_schema(title="Zhangben", version=VERSION))
        for path, operations in part["paths"].items():
            for method, operation in operations.items():
                access = api.access[f"{method.upper()} {path}"]
                operation["security"] = [{"bearer": [scope]} for scope in sorted(access.value)]
            paths.setdefault(path, {}).update(operations)
        for name, schema in part.get("components", {}).get("schemas", {}).items():
            if schemas.setdefault(name, schema) != schema:
                message = f"two models are called {name}"
                raise ValueError(message)
    paths["/v1/usage"] = {"post": usage_operation(schemas)}
    paths.update(sandbox_paths())
    for path, operation in operations_of(paths):
        complete(path, operation, schemas)
    name_tags(paths, schemas)
    for unused in ("HTTPValidationError", "ResponseValidationError", "ValidationError"):
        schemas.pop(unused, None)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Zhangben", "version": VERSION, "description": DESCRIPTION},
        "servers": [{"url": "/"}],
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": dict(sorted(schemas.items())),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
            },
        },
    }


def name_tags(paths: dict[str, Any], schemas: dict[str, Any]) -> None:
    """List the tags where another one is refused: functions start faster without the catalog in their models."""
    tags = {"enum": sorted(tag.code for tag in load().tags)}
    for model in ("NewGrant", "QuoteBody"):
        schemas[model]["properties"]["tag"].update(tags)
    listed = next(kind for kind in schemas["ActivityBody"]["properties"]["tags"]["anyOf"] if kind["type"] == "array")
    listed["items"].update(tags)
    for path, operation in operations_of(paths):
        for parameter in operation.get("parameters", []):
            if parameter["name"] == "tag" and (parameter["in"] == "path" or "/bills/" in path):
                schema = parameter["schema"]
                next((kind for kind in schema.get("anyOf", ()) if kind["type"] == "string"), schema).update(tags)


def operations_of(paths: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every operation with its path."""
    for path, operations in paths.items():
        for operation in operations.values():
            yield path, operation


def complete(path: str, operation: dict[str, Any], schemas: dict[str, Any]) -> None:
    """What every operation may answer, and what powertools cannot know."""
    responses = operation["responses"]
    # powertools says of itself that every route may answer 422.
    own = responses.pop("422", {}).get("description", "")
    wanted = {"500", "503"}
    if operation.get("security"):
        wanted |= {"401", "403"}
    if "{account_id}" in path:
        wanted |= {"404"}
    if "requestBody" in operation:
        wanted |= {"400", "413", "415", "422"}
        body = operation["requestBody"]["content"].get("application/json", {}).get("schema", {})
        model = schemas.get(body.get("$ref", "").rpartition("/")[2], {})
        # Where nothing has to be said, the body may be left out.
        operation["requestBody"]["required"] = "required" in model or not model
    if operation.get("parameters"):
        wanted |= {"422"}
    for status in sorted(wanted):
        entry = responses.setdefault(status, {"description": REFUSALS[status]})
        entry["description"] = entry["description"] or REFUSALS[status]
    if own.startswith("`"):
        responses["422"]["description"] += f"; {own}"
    for status, response in responses.items():
        if not status.startswith("2"):
            response["content"] = {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    with_key(operation)


def with_key(operation: dict[str, Any]) -> None:
    """What a request with an Idempotency-Key needs, and may be answered."""
    responses = operation["responses"]
    for parameter in operation.get("parameters", []):
        if parameter["in"] == "header" and parameter["name"].lower() == "idempotency-key":
            parameter.update(required=True, schema={"type": "string", "minLength": 1, "maxLength": 255})
            responses["422"]["description"] += "; `idempotency_key_reused`"
            for response in responses.values():
                if PROBLEM not in response["content"]:
                    response["headers"] = {"Idempotent-Replayed": REPLAYED}


def usage_operation(schemas: dict[str, Any]) -> dict[str, Any]:
    """POST /v1/usage, whose handler has no resolver: it is the hot path."""
    event = TypeAdapter(UsageEvent).json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(event.pop("$defs", {}))
    event["additionalProperties"] = True
    schemas["UsageEvent"] = event
    schemas["UsageReport"] = report_schema()
    one = {"$ref": "#/components/schemas/UsageEvent"}
    return {
        "summary": "Report calls",
        "description": "The answer comes when the events are durable. The five counts add up to the batch.",
        "operationId": "report_usage",
        "tags": ["Usage"],
        "security": [{"bearer": [scope]} for scope in sorted(Access.METERING.value)],
        "requestBody": {
            "required": True,
            "content": {
                BATCH: {"schema": {"type": "array", "maxItems": MAX_EVENTS, "items": one}},
                SINGLE: {"schema": one},
            },
        },
        "responses": {
            "200": {
                "description": "what became of each event",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/UsageReport"}}},
            }
        },
    }


def report_schema() -> dict[str, Any]:
    """What became of a batch."""
    counts = ["accepted", "duplicate", "conflict", "not_chargeable", "rejected"]
    error = {
        "type": "object",
        "required": ["index", "id", "code", "detail"],
        "additionalProperties": False,
        "properties": {
            "index": {"type": "integer", "minimum": 0},
            "id": {"type": ["string", "null"]},
            "code": {"type": "string", "enum": ERROR_CODES},
            "detail": {"type": "string"},
        },
    }
    return {
        "type": "object",
        "required": [*counts, "errors"],
        "additionalProperties": False,
        "properties": {
            **{name: {"type": "integer", "minimum": 0} for name in counts},
            "errors": {"type": "array", "items": error},
        },
    }


def sandbox_paths() -> dict[str, Any]:
    """The sandbox's routes, which need no token and exist only where the stack's parameter `Sandbox` is true."""
    clock = {"type": "object", "required": ["now"], "properties": {"now": {"type": "string", "format": "date-time"}}}
    ran = {
        "type": "object",
        "required": ["now", "ran"],
        "properties": {**clock["properties"], "ran": {"type": "array", "items": {"type": "object"}}},  # type: ignore[dict-item]
    }
    token_request = {
        "type": "object",
        "required": ["scopes"],
        "additionalProperties": False,
        "properties": {
            "account_id": {"type": ["string", "null"]},
            "scopes": {"type": "array", "items": {"type": "string", "enum": sorted(Access.ANY_TOKEN.value)}},
        },
    }
    token = {"type": "object", "required": ["access_token"], "properties": {"access_token": {"type": "string"}}}
    queued, batch = {"type": "object"}, {"type": ["array", "object"]}
    texts: dict[str, Any] = {"type": "array", "items": {"type": "string"}}
    message = {
        "type": "object",
        "required": ["channel", "to", "body", "sent_at"],
        "properties": {
            "channel": {"type": "string", "enum": ["email", "sms"]},
            "to": texts,
            "subject": {"type": "string"},
            "body": {"type": "string"},
            "sent_at": {"type": ["string", "null"], "format": "date-time"},
        },
    }
    event = {
        "type": "object",
        "required": ["event_id", "time", "detail_type", "source", "detail"],
        "properties": {
            **{name: {"type": "string"} for name in ("event_id", "time", "detail_type", "source")},
            "detail": {"type": "object"},
        },
    }
    moved = sandbox("Move the sandbox clock forward and run all that falls due", "put_clock", "200", ran, clock)
    moved["responses"]["409"] = {"description": "`clock_moves_forward_only`"}
    return {
        "/sandbox/clock": {
            "get": sandbox("Read the sandbox clock", "get_clock", "200", clock),
            "put": moved,
        },
        "/sandbox/tokens": {
            "post": sandbox("Get a token, on the local gateway only", "post_token", "201", token, token_request)
        },
        "/sandbox/messages": {
            "get": sandbox("E-mails and SMS as handed to their providers", "get_messages", "200", items_of(message))
        },
        "/sandbox/events": {"get": sandbox("What the bus saw", "get_events", "200", items_of(event))},
        "/sandbox/queue": {"post": sandbox("Put a batch on the usage queue", "post_queue", "202", queued, batch)},
    }


def items_of(item: dict[str, Any]) -> dict[str, Any]:
    """A list that is answered whole, oldest first."""
    return {"type": "object", "required": ["items"], "properties": {"items": {"type": "array", "items": item}}}


def sandbox(
    summary: str, operation_id: str, status: str, answer: dict[str, Any], body: dict[str, Any] | None = None
) -> dict[str, Any]:
    """One operation of the sandbox."""
    json_of = "application/json"
    return {
        "summary": summary,
        "operationId": operation_id,
        "tags": ["Sandbox"],
        "security": [],
        **({"requestBody": {"required": True, "content": {json_of: {"schema": body}}}} if body else {}),
        "responses": {status: {"description": "done", "content": {json_of: {"schema": answer}}}},
    }


def text() -> str:
    """The document as it is written."""
    return json.dumps(document(), ensure_ascii=False, indent=1) + "\n"


if __name__ == "__main__":
    TARGET.write_text(text(), encoding="utf-8")
