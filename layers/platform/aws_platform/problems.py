"""How the API says no: RFC 9457 problem details with a stable `code`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus

PROBLEM_JSON = "application/problem+json"
MAX_ERRORS = 100
"""Of one answer. A body has room for errors whose description would be more than a function may answer."""
_MAX_FIELD_CHARACTERS = 200
"""What a request calls its fields is told as far as this."""


@dataclass(frozen=True, slots=True)
class FieldError:
    """What is wrong with one field, without its value."""

    field: str
    detail: str


class Problem(Exception):  # noqa: N818 - the name that RFC 9457 gives it
    """A request that is refused. Raised anywhere below a handler; the answer is made at the edge."""

    def __init__(self, status: int, code: str, detail: str, errors: Sequence[FieldError] = ()) -> None:
        """`detail` is for people and never holds personal data; `code` is for programs and never changes."""
        super().__init__(f"{status} {code}: {detail}")
        self.status = status
        self.code = code
        self.detail = detail
        self.errors = tuple(errors)

    def body(self) -> str:
        """The problem document."""
        document: dict[str, object] = {
            "type": f"urn:zhangben:problem:{self.code}",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
        }
        if self.errors:
            document["errors"] = [{"field": error.field, "detail": error.detail} for error in self.errors]
        return json.dumps(document, ensure_ascii=False, separators=(",", ":"))

    def response(self) -> dict[str, object]:
        """As a Lambda proxy answer."""
        headers = {"content-type": PROBLEM_JSON}
        if self.status == HTTPStatus.SERVICE_UNAVAILABLE:
            headers["retry-after"] = "1"
        return {"statusCode": self.status, "headers": headers, "body": self.body(), "isBase64Encoded": False}


def malformed_body(detail: str = "the body is not JSON") -> Problem:
    """400: the body cannot be read at all."""
    return Problem(HTTPStatus.BAD_REQUEST, "malformed_body", detail)


def invalid_request(*errors: FieldError) -> Problem:
    """422: the body or the parameters can be read, but not taken. Only the first errors are told, if there are many."""
    told = [FieldError(error.field[:_MAX_FIELD_CHARACTERS], error.detail) for error in errors[:MAX_ERRORS]]
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_request", "the request has invalid fields", told)


def forbidden() -> Problem:
    """403: the same whether the account exists or not."""
    return Problem(HTTPStatus.FORBIDDEN, "forbidden", "this token may not do this")


def unauthorized() -> Problem:
    """401: no token, or one that says too little."""
    return Problem(HTTPStatus.UNAUTHORIZED, "unauthorized", "a valid bearer token is needed")


def not_found(thing: str) -> Problem:
    """404: a thing that this account does not have."""
    return Problem(HTTPStatus.NOT_FOUND, f"{thing}_not_found", f"there is no such {thing.replace('_', ' ')}")


def conflict(code: str, detail: str) -> Problem:
    """409: a state that forbids it."""
    return Problem(HTTPStatus.CONFLICT, code, detail)


def body_too_large(detail: str) -> Problem:
    """413."""
    return Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "body_too_large", detail)


def unsupported_media_type(wanted: str) -> Problem:
    """415."""
    return Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", f"the body must be sent as {wanted}")


def try_again() -> Problem:
    """503: nothing is wrong with the request; the whole of it may be sent again."""
    return Problem(HTTPStatus.SERVICE_UNAVAILABLE, "try_again", "the request could not be finished now; send it again")


def internal_error() -> Problem:
    """500: a fault of ours, which is in the log."""
    return Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error", "something went wrong on our side")
