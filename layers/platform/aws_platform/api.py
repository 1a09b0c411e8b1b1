"""The API edge: routes with their access, checks in the contract's order, answers whose bytes are fixed once."""

from __future__ import annotations

import functools
import inspect
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import quote

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.event_handler.openapi.exceptions import RequestValidationError
from aws_lambda_powertools.event_handler.openapi.params import Query
from aws_lambda_powertools.logging import Logger
from pydantic import BaseModel, ConfigDict

from aws_platform import clients, clock, problems
from aws_platform.access import Access, Principal, check_account, check_scope
from aws_platform.edge import media_type, raw_body, strict_json
from aws_platform.faults import answer_to
from aws_platform.problems import FieldError, Problem
from aws_platform.settings import Settings

if TYPE_CHECKING:
    from datetime import datetime

    from aws_lambda_powertools.event_handler.openapi.types import OpenAPIResponse

    from aws_platform.reading import Item
    from rating.account import Account

type Reads = Callable[[Mapping[str, Any]], Sequence[str]]
"""The sort keys that a request wants read with its account."""

JSON = "application/json"
MAX_BODY_BYTES = 256 * 1024
"""Far beyond any request but a usage batch."""
_BODY_METHODS = {"POST", "PUT", "PATCH"}
_RESOLVED = "-._~()'!*:@,;=+&$%<> []{}|^"
"""Beside letters and digits, all that the resolver takes for part of an id."""

logger = Logger()


class Body(BaseModel):
    """A request body: unknown fields are errors, and nothing is converted from another type."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Shown(BaseModel):
    """Part of an answer, as the OpenAPI document describes it."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", defer_build=True)


@dataclass(frozen=True, slots=True)
class Answer:
    """A success: its status and its exact text."""

    status: int
    text: str
    headers: Mapping[str, str] = field(default_factory=dict)


def answer(document: object, status: int = HTTPStatus.OK) -> Answer:
    """A success with a JSON document."""
    return Answer(status, json.dumps(document, ensure_ascii=False, separators=(",", ":")))


@dataclass(slots=True)
class Call:
    """What a route handler may know of the request, beyond its parameters."""

    event: Mapping[str, Any]
    principal: Principal | None
    now: datetime
    settings: Settings
    checked_account: Account | None = None
    items: Mapping[str, Item] = field(default_factory=dict)
    """What the route asked to be read with the account, by sort key."""
    asked: Sequence[str] = ()
    """The sort keys that it asked for, whether there is an item or not."""

    @property
    def account(self) -> Account:
        """The account of the path, after the check."""
        if self.checked_account is None:
            msg = "the route has no account"
            raise LookupError(msg)
        return self.checked_account

    @property
    def operator(self) -> bool:
        """Whether the operator calls."""
        return self.principal is not None and self.principal.is_operator


class Api:
    """The routes of one function."""

    def __init__(self) -> None:
        """No I/O: clients and settings are made when the first request comes."""
        self.resolver = APIGatewayHttpResolver(enable_validation=True)
        self.access: dict[str, Access] = {}
        self._reads: dict[str, Reads] = {}
        self._guards: dict[str, Callable[[Call], None]] = {}
        self.queries: dict[str, set[str]] = {}
        """The names of each route's query parameters."""
        self._call: Call | None = None
        self.resolver.exception_handler(RequestValidationError)(_invalid)
        self.resolver.exception_handler(Problem)(_refused)
        self.resolver.not_found(_no_route)

    @property
    def call(self) -> Call:
        """The request that is being answered."""
        if self._call is None:
            msg = "no request is being answered"
            raise LookupError(msg)
        return self._call

    def route(  # noqa: PLR0913 - all that a route can say
        self,
        method: str,
        path: str,
        access: Access,
        *,
        success: tuple[int, str, type[BaseModel] | None],
        tags: list[str],
        refusals: Mapping[int, str] | None = None,
        reads: Reads | None = None,
        guard: Callable[[Call], None] | None = None,
    ) -> Callable[[Callable[..., Answer]], Callable[..., Answer]]:
        """Register a handler. `success` is (status, description, model of the answer), for the OpenAPI document.

        `reads` names items of the account that are read together with it. `guard` raises Problem 403 where the
        account's state closes the route, or 404 for what is not there; that comes before the body is looked at.
        """
        status, description, model = success
        content: Any = {JSON: {"model": model}} if model is not None else {JSON: {"schema": {"type": "object"}}}
        responses: dict[int, OpenAPIResponse] = {status: {"description": description, "content": content}}
        for code, why in (refusals or {}).items():
            responses[code] = {"description": why}

        def register(handler: Callable[..., Answer]) -> Callable[..., Answer]:
            @functools.wraps(handler)
            def respond(*args: Any, **kwargs: Any) -> Response[str]:
                made = handler(*args, **kwargs)
                return Response(made.status, JSON, made.text, headers=dict(made.headers))

            # The resolver would validate what a handler returns by its annotation; our answers are finished text.
            signature = inspect.signature(handler, eval_str=True)
            respond.__signature__ = signature.replace(return_annotation=inspect.Signature.empty)  # type: ignore[attr-defined]
            respond.__annotations__ = {}
            self.resolver.route(
                path.replace("{", "<").replace("}", ">"),
                method=method,
                summary=(handler.__doc__ or "").strip().splitlines()[0].rstrip("."),
                description=inspect.cleandoc(handler.__doc__ or ""),
                operation_id=handler.__name__,
                responses=responses,
                tags=tags,
            )(respond)
            self.access[f"{method} {path}"] = access
            self.queries[f"{method} {path}"] = _query_names(signature)
            if reads is not None:
                self._reads[f"{method} {path}"] = reads
            if guard is not None:
                self._guards[f"{method} {path}"] = guard
            return handler

        return register

    def handle(self, event: Mapping[str, Any], context: object) -> dict[str, Any]:
        """Answer one request: 401, 403, 404, then 400, 413, 415 and 422, then what the handler says."""
        try:
            self._call = self._admit(event)
            self._call.event = event = _checked_body(event)
            answered: dict[str, Any] = self.resolver.resolve({**event, "rawPath": _path(event)}, context)  # type: ignore[arg-type]
            if answered["statusCode"] == HTTPStatus.OK:
                self._check_query(event)
        except Problem as problem:
            answered = problem.response()
        except Exception as error:
            logger.exception("request failed", route=event.get("routeKey"))
            answered = answer_to(error).response()
        logger.info("request answered", route=event.get("routeKey"), status=answered["statusCode"])
        return answered

    def _admit(self, event: Mapping[str, Any]) -> Call:
        route = str(event.get("routeKey"))
        access = self.access.get(route)
        if access is None:
            raise problems.not_found("route")
        principal = check_scope(event, access)
        settings = Settings.from_environment()
        dynamodb = clients.dynamodb()
        account_id = (event.get("pathParameters") or {}).get("account_id")
        account: Account | None = None
        items: Mapping[str, Item] = {}
        also: Sequence[str] = ()
        if principal is not None and account_id is not None:
            also = tuple(self._reads[route](event)) if route in self._reads else ()
            account, items = check_account(
                principal, account_id, dynamodb, settings.ledger_table, access=access, also=also
            )
        call = Call(event, principal, clock.now(settings, dynamodb), settings, account, items, also)
        if route in self._guards:
            self._guards[route](call)
        return call

    def _check_query(self, event: Mapping[str, Any]) -> None:
        """Raises Problem 422 for a name that a reading route does not know: a filter with a slip must not pass unseen.

        After the answer, for 404 comes first, and nothing has been done. Whoever asks for health or the API's
        description may add what he likes.
        """
        route = str(event.get("routeKey"))
        if route.startswith("GET ") and self.access[route] is not Access.PUBLIC:
            unknown = sorted((event.get("queryStringParameters") or {}).keys() - self.queries[route])
            if unknown:
                raise problems.invalid_request(*(FieldError(name, "there is no such parameter") for name in unknown))


def _query_names(signature: inspect.Signature) -> set[str]:
    """What a handler calls its query parameters in a request."""
    names = set()
    for name, parameter in signature.parameters.items():
        for note in getattr(parameter.annotation, "__metadata__", ()):
            if isinstance(note, Query):
                names.add(note.alias or name)
    return names


def _path(event: Mapping[str, Any]) -> str:
    """The path as the gateway's route has it, for the resolver to come to the same one.

    An id with a character that the resolver does not take for part of one is encoded, and then it is the id of nothing.
    """
    given: Mapping[str, str] = event.get("pathParameters") or {}
    return re.sub(
        r"\{(\w+)\}",
        lambda place: quote(given.get(place[1], ""), safe=_RESOLVED, errors="replace"),
        str(event["routeKey"]).partition(" ")[2],
    )


def _checked_body(event: Mapping[str, Any]) -> dict[str, Any]:
    """The event with a body that is a JSON object; an absent one is empty."""
    checked = dict(event)
    if event["requestContext"]["http"]["method"] not in _BODY_METHODS:
        return checked
    raw = raw_body(event)
    if len(raw) > MAX_BODY_BYTES:
        raise problems.body_too_large(f"a body may have {MAX_BODY_BYTES} bytes")
    if raw and media_type(event) != JSON:
        raise problems.unsupported_media_type(JSON)
    document = strict_json(raw) if raw else {}
    if not isinstance(document, dict):
        raise problems.invalid_request(FieldError("body", "must be a JSON object"))
    checked["headers"] = {**(event.get("headers") or {}), "content-type": JSON}
    checked["body"], checked["isBase64Encoded"] = json.dumps(document), False
    return checked


def _invalid(error: RequestValidationError) -> Response[str]:
    found = [
        FieldError(".".join(str(part) for part in problem["loc"][1:]) or str(problem["loc"][0]), problem["msg"])
        for problem in error.errors()
    ]
    return _refused(problems.invalid_request(*found))


def _refused(problem: Problem) -> Response[str]:
    response = problem.response()
    headers: Any = response["headers"]
    return Response(problem.status, problems.PROBLEM_JSON, problem.body(), headers=headers)


def _no_route(_: Exception) -> Response[str]:
    """Only where an event does not say what its path's parameters are."""
    return _refused(problems.not_found("route"))
