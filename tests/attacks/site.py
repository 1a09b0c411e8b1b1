"""The product as a WSGI application: schemathesis calls it in this process, as one role."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from local.authorizer import Identity
from local.payload import HttpRequest, build_event
from local.problems import route_not_found
from local.routing import Match
from tests.attacks.stage import NOBODY, STRANGER, Role, Stage
from tests.support.product import router

PROBLEM = "application/problem+json"
HEADERS = {
    ("content-type", "application/json"),
    ("content-type", PROBLEM),
    ("idempotent-replayed", "true"),
    ("retry-after", "1"),
}
"""All that answers ever have, so that nothing of a request gets there."""
NOT_HEADERS = {"HTTP_AUTHORIZATION", "HTTP_COOKIE"}

type Start = Callable[[str, list[tuple[str, str]]], object]


@dataclass
class Site:
    """Answers every request, counts the answers, and keeps what no answer may be."""

    stage: Stage
    role: Role
    answers: Counter[tuple[str, int, str]] = field(default_factory=Counter)
    wrong: list[tuple[str, str]] = field(default_factory=list)
    """(route, what is wrong)."""

    def __call__(self, environ: Mapping[str, Any], start: Start) -> Iterable[bytes]:
        """One request."""
        path = str(environ["REQUEST_URI"]).partition("?")[0]
        match = router().find(environ["REQUEST_METHOD"], path)
        if match is None:
            refusal = route_not_found()
            start("404 Not Found", [("content-type", PROBLEM)])
            return [refusal.body()]
        headers = [
            (name.removeprefix("HTTP_").replace("_", "-").lower(), value)
            for name, value in environ.items()
            if (name.startswith("HTTP_") or name == "CONTENT_TYPE") and name not in NOT_HEADERS
        ]
        body, query = environ["wsgi.input"].read(), environ.get("QUERY_STRING", "")
        answer = self._invoke(match, HttpRequest(environ["REQUEST_METHOD"], path, query, headers, body))
        status, text = int(answer["statusCode"]), answer["body"]
        self._look(match, status, {name.lower(): value for name, value in answer["headers"].items()}, text)
        start(f"{status} {HTTPStatus(status).phrase}", list(answer["headers"].items()))
        return [text.encode()]

    def _invoke(self, match: Match, request: HttpRequest) -> dict[str, Any]:
        claims = {"scope": " ".join(self.role.scopes or ()), "account_id": self.role.account_id}
        known = {name: value for name, value in claims.items() if value is not None}
        identity = Identity(known, self.role.scopes) if self.role.scopes is not None else None
        event = build_event(request, match, identity, self.stage.product.now)
        answer: dict[str, Any] = self.stage.product.invoke(match.route.function, event)
        return answer

    def _look(self, match: Match, status: int, headers: Mapping[str, str], text: str) -> None:
        """What holds for every answer, whatever the document says."""
        document = json.loads(text)
        route, code = match.route.key, document.get("code", "") if status >= HTTPStatus.BAD_REQUEST else ""
        self.answers[route, status, code] += 1
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            self.wrong.append((route, f"{status} {text}"))
        if status >= HTTPStatus.BAD_REQUEST and not _is_problem(status, headers, document):
            self.wrong.append((route, f"no problem: {headers} {text[:300]}"))
        if not headers.items() <= HEADERS:
            self.wrong.append((route, f"headers: {headers}"))
        wanted = self._wanted(match)
        if wanted is not None and status != wanted:
            self.wrong.append((route, f"{status} for {self.role.name}: {text[:300]}"))

    def _wanted(self, match: Match) -> int | None:
        """The answer that is certain, whatever is sent."""
        if self.role is NOBODY and match.route.scopes:
            return HTTPStatus.UNAUTHORIZED
        foreign = match.parameters.get("account_id") not in {None, self.role.account_id}
        if self.role is STRANGER and foreign:
            return HTTPStatus.FORBIDDEN
        if self.role.scopes and match.route.scopes and not set(self.role.scopes) & set(match.route.scopes):
            return HTTPStatus.FORBIDDEN
        return None


def _is_problem(status: int, headers: Mapping[str, str], document: Mapping[str, Any]) -> bool:
    code = str(document.get("code"))
    return (
        headers.get("content-type") == PROBLEM
        and code.replace("_", "").isalpha()
        and code.islower()
        and document.get("type") == f"urn:zhangben:problem:{code}"
        and document.get("status") == status
        and bool(document.get("title"))
        and bool(document.get("detail"))
    )
