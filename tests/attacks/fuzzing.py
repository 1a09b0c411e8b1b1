"""schemathesis over the served OpenAPI document, against the real handlers, as one role.

It knows what the document allows and what it forbids, and makes requests of both kinds. What an operation refuses
although the document allows it must be listed here: it is what a schema cannot say.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import schemathesis
from schemathesis import hooks
from schemathesis.engine import Status, events, from_schema

from tests.attacks.site import Site
from tests.attacks.stage import Role, Stage

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "positive_data_acceptance",
)
REAL_IDS = 8
"""Of ten ids in paths so many are those of something that is there."""
NEW_KEYS = 8
"""Of ten idempotency keys so many were never used before."""

_OF_LISTS = {"cursor", "limit", "from", "to"}
"""A cursor is one that an answer gave, and a range of days is neither backwards nor too long."""
_OF_TERMS = {"from", "until", "rate", "unit_price", "package_rate", "tags"}
MEANING: Mapping[str, set[str]] = {
    "POST /v1/accounts/{account_id}/service/approval": {"opened_at"},
    "POST /v1/accounts/{account_id}/top-ups": {"amount"},
    "POST /v1/accounts/{account_id}/adjustments": {"amount"},
    "POST /v1/accounts/{account_id}/vouchers": {"amount", "threshold", "expires_at"},
    "PUT /v1/accounts/{account_id}/discounts/{tag}": _OF_TERMS,
    "PUT /v1/accounts/{account_id}/contract-prices/{tag}": _OF_TERMS,
    "POST /v1/accounts/{account_id}/orders": {"items"},
    "POST /v1/accounts/{account_id}/bills/exports": {"columns", "kind", "basis"},
    "PUT /v1/accounts/{account_id}/notice-subscriptions": {"emails", "phones"},
    "POST /v1/accounts/{account_id}/webhooks": {"url"},
    "PUT /v1/prices/{tag}": {"unit_price", "tiers", "packages", "from", "body"},
    "PUT /v1/activities/{activity_id}": _OF_TERMS,
    "GET /v1/accounts/{account_id}/usage": {"interface", "tag", "by"},
}
"""The fields whose values an operation may refuse for what they mean, though the schema allows them."""
CODES = {"idempotency_key_reused", "unknown_sku", "voucher_not_applicable", "activity_not_applicable"}
"""Refusals by 422 that only depend on what there is."""
STATES = {"insufficient_balance"}
"""Refusals by 402."""


@dataclass(frozen=True)
class Finding:
    """An answer that is not as it should be, and the request that led to it."""

    operation: str
    check: str
    request: str
    answer: str

    def __str__(self) -> str:
        return f"{self.operation} {self.check}\n    {self.request}\n    {self.answer}"


@dataclass(frozen=True)
class Run:
    """How to attack."""

    role: Role
    phases: tuple[str, ...]
    examples: int = 1
    seed: int = 1
    only: str = ""
    """What the keys of the routes to attack have in them."""
    spared: tuple[str, ...] = ()
    """What the keys of routes to leave alone have in them."""

    def attacks(self, route: str) -> bool:
        """Whether it is meant for this route, given by its key; the sandbox is no part of the product."""
        return self.only in route and not any(part in route for part in (*self.spared, " /sandbox/"))


def attack(stage: Stage, run: Run) -> tuple[Site, list[Finding]]:
    """Send it all; gives the site with its counts, and what is wrong, one finding of a kind."""
    site = Site(stage, run.role)
    document = stage.product.request("GET", "/v1/openapi.json", scopes=None).body
    document["paths"] = {
        path: meant
        for path, operations in document["paths"].items()
        if (meant := {name: one for name, one in operations.items() if run.attacks(f"{name.upper()} {path}")})
    }
    schema = schemathesis.openapi.from_dict(document, config=_config(run))
    schema.app = site
    found: dict[tuple[str, str, str], Finding] = {}
    with _real_ids(stage, site):
        for event in from_schema(schema).execute():
            if isinstance(event, events.NonFatalError):
                found[event.label, "error", ""] = Finding(event.label, "error", "", repr(event.value)[:500])
            if isinstance(event, events.ScenarioFinished):
                for finding in _failures(event):
                    found.setdefault((finding.operation, finding.check, finding.answer[:120]), finding)
    for route, what in site.wrong:
        found.setdefault((route, "answer", what[:120]), Finding(route, "answer", "", what))
    return site, list(found.values())


def _config(run: Run) -> Any:
    checks: dict[str, Any] = {"enabled": False, **{name: {"enabled": True} for name in CHECKS}}
    # Whatever may be said before the body is looked at.
    checks["negative_data_rejection"] |= {"expected-statuses": [400, 401, 403, 404, 409, 413, 415, 422]}
    checks["positive_data_acceptance"] |= {"expected-statuses": ["2xx", 401, 402, 403, 404, 409]}
    phases: dict[str, dict[str, Any]]
    phases = {name: {"enabled": name in run.phases} for name in ("examples", "coverage", "fuzzing", "stateful")}
    # No function hears of a method that a route does not have.
    phases["coverage"]["unexpected-methods"] = []
    generation = {
        "max-examples": run.examples,
        "database": "none",
        "no-shrink": True,
        "deterministic": run.seed == 1,
        "with-security-parameters": False,
    }
    settings = {"seed": run.seed, "continue-on-failure": True, "generation": generation}
    return schemathesis.Config.from_dict({**settings, "phases": phases, "checks": checks})


@contextmanager
def _real_ids(stage: Stage, site: Site) -> Iterator[None]:
    """Let most requests reach something: ids that are there, keys that are new. Each operation finds the same state."""
    last = ""
    sent = 0

    def before_call(_context: object, case: Any, _kwargs: object) -> None:
        nonlocal last, sent
        sent += 1
        # So that every operation is reached at least once.
        first = case.operation.label != last
        if first:
            last = case.operation.label
            stage.restore()
        for name, value in (case.path_parameters or {}).items():
            drawn = zlib.crc32(f"{name}{value}{sent}".encode("utf-8", "replace")) % 10
            if name in stage.ids and (first or drawn < REAL_IDS):
                case.path_parameters[name] = stage.ids[name]
        key = (case.headers or {}).get("Idempotency-Key")
        if isinstance(key, str) and 0 < len(key) <= 200 and sent % 10 < NEW_KEYS:
            case.headers["Idempotency-Key"] = f"{key}-{sent}"

    schemathesis.hook("before_call")(before_call)
    try:
        yield
    finally:
        hooks.unregister(before_call)


def _failures(event: events.ScenarioFinished) -> Iterator[Finding]:
    recorder = event.recorder
    for case_id, checks in recorder.checks.items():
        for check in checks:
            if check.status is not Status.FAILURE:
                continue
            exchange = recorder.interactions[case_id]
            request, response = exchange.request, exchange.response
            case = recorder.cases[case_id].value
            if response is None:
                continue
            if check.name == "positive_data_acceptance" and _means_something(event.label, case, response):
                continue
            if check.name == "negative_data_rejection" and _stands_alone(event.label, response):
                continue
            sent = f"{request.method} {request.uri[:300]} {str(request.body)[:300]}"
            yield Finding(str(event.label), check.name, sent, f"{response.status_code} {response.content[:300]!r}")


def _means_something(label: str | None, case: Any, response: Any) -> bool:
    """Whether a refusal is one that no schema foresees."""
    problem = response.json()
    if problem["code"] in CODES | STATES:
        return True
    meaning = MEANING.get(str(label), set()) | (_OF_LISTS if str(label).startswith("GET ") else set())
    # For a schema 4.0 is an integer; our numbers are written without a point.
    points = _has_points(case.body)
    fields = {str(error["field"]).partition(".")[0] for error in problem.get("errors", ())}
    return bool(fields) and (fields <= meaning or points)


def _stands_alone(label: str | None, response: Any) -> bool:
    """Whether a bad event was rejected by itself: its batch is taken all the same."""
    return label == "POST /v1/usage" and response.json().get("rejected", 0) > 0


def _has_points(value: object) -> bool:
    if isinstance(value, dict):
        return any(map(_has_points, value.values()))
    return any(map(_has_points, value)) if isinstance(value, list) else isinstance(value, float)
