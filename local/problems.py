"""Refusals of the local gateway, as RFC 9457 problem details (`contract.md`, Conventions).

They look like those of the functions; the gateway is no part of the stack, so it does not share their code.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

MEDIA_TYPE = "application/problem+json"


@dataclass
class ProblemError(Exception):
    """A request that is answered with a problem instead of a result."""

    status: int
    code: str
    detail: str
    headers: Mapping[str, str] = field(default_factory=dict)
    errors: Mapping[str, str] = field(default_factory=dict)
    """What is wrong, by field."""

    def body(self) -> bytes:
        """The problem document as UTF-8 JSON."""
        document: dict[str, object] = {
            "type": f"urn:zhangben:problem:{self.code}",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
        }
        if self.errors:
            document["errors"] = [{"field": name, "detail": text} for name, text in self.errors.items()]
        return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def unauthorized(detail: str) -> ProblemError:
    """401: no token, or one that the authorizer does not accept."""
    return ProblemError(401, "unauthorized", detail, {"www-authenticate": 'Bearer error="invalid_token"'})


def forbidden() -> ProblemError:
    """403: a good token without a scope of this route."""
    challenge = {"www-authenticate": 'Bearer error="insufficient_scope"'}
    return ProblemError(403, "forbidden", "this token may not do this", challenge)


def route_not_found() -> ProblemError:
    """404: no route of the template has this method and path."""
    return ProblemError(404, "route_not_found", "there is no such route")


def request_timeout() -> ProblemError:
    """408: the body did not come in time; nothing more is taken on this connection."""
    return ProblemError(408, "request_timeout", "the body did not come in time", {"connection": "close"})


def body_too_large(limit: int) -> ProblemError:
    """413: more than `limit` bytes."""
    return ProblemError(413, "body_too_large", f"a request may have {limit} bytes")


def malformed_body(detail: str) -> ProblemError:
    """400: the body cannot be read at all."""
    return ProblemError(400, "malformed_body", detail)


def invalid_request(errors: Mapping[str, str]) -> ProblemError:
    """422: a body that can be read, but not taken; `errors` says what is wrong by field."""
    return ProblemError(422, "invalid_request", "the request has invalid fields", errors=errors)


def internal_error() -> ProblemError:
    """500: the function failed."""
    return ProblemError(500, "internal_error", "something went wrong on our side")


def try_again(detail: str) -> ProblemError:
    """503: the whole request may be sent again."""
    return ProblemError(503, "try_again", detail, {"retry-after": "1"})
