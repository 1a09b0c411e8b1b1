"""Between HTTP and Lambda: API Gateway's payload format 2.0, both ways."""

from __future__ import annotations

import base64
import json
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from local.authorizer import Identity
    from local.routing import Match

ACCOUNT_NUMBER = "000000000000"
_TEXT_TYPES = {
    "application/json",
    "application/xml",
    "application/javascript",
    "application/x-www-form-urlencoded",
}
_OF_THE_CONNECTION = {"connection", "content-length", "keep-alive", "transfer-encoding", "upgrade"}


@dataclass(frozen=True)
class HttpRequest:
    """A request as it came over the wire."""

    method: str
    raw_path: str
    query: str
    headers: Sequence[tuple[str, str]]
    body: bytes
    protocol: str = "HTTP/1.1"
    source_ip: str = "127.0.0.1"


@dataclass(frozen=True)
class HttpAnswer:
    """An answer as it goes over the wire."""

    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes = field(repr=False)


class BadAnswerError(Exception):
    """A function returned something that is no HTTP answer."""


def _is_text(content_type: str) -> bool:
    media = content_type.partition(";")[0].strip().lower()
    return media in _TEXT_TYPES or media.startswith("text/") or media.endswith(("+json", "+xml"))


def _body(content_type: str, body: bytes) -> dict[str, Any]:
    """Text where the content type says so and the bytes agree, base64 otherwise."""
    if not body:
        return {"isBase64Encoded": False}
    if _is_text(content_type):
        try:
            return {"body": body.decode("utf-8"), "isBase64Encoded": False}
        except UnicodeDecodeError:
            pass
    return {"body": base64.b64encode(body).decode(), "isBase64Encoded": True}


def _joined(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    joined: dict[str, str] = {}
    for name, value in pairs:
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    return joined


def _claim(value: object) -> str:
    """A claim as API Gateway hands it on: always text."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return f"[{' '.join(_claim(item) for item in value)}]"
    return json.dumps(value, ensure_ascii=False)


def _authorizer(identity: Identity) -> dict[str, Any]:
    # Nothing is told about a claim that is null: as text it could be taken for an account of that name.
    claims = {name: _claim(value) for name, value in identity.claims.items() if value is not None}
    return {"jwt": {"claims": claims, "scopes": list(identity.scopes) or None}}


def build_event(request: HttpRequest, match: Match, identity: Identity | None, now: datetime) -> dict[str, Any]:
    """The event that the route's function gets; `now` is real time."""
    lower = [(name.lower(), value) for name, value in request.headers]
    headers = _joined((name, value) for name, value in lower if name != "cookie")
    cookies = [part.strip() for name, value in lower if name == "cookie" for part in value.split(";")]
    path = unquote(request.raw_path)
    headers.setdefault("x-forwarded-for", request.source_ip)
    headers.setdefault("x-forwarded-proto", "http")
    host = headers.get("host", "localhost")
    query = _joined(parse_qsl(request.query, keep_blank_values=True))
    context: dict[str, Any] = {
        "accountId": ACCOUNT_NUMBER,
        "apiId": "local",
        **({"authorizer": _authorizer(identity)} if identity else {}),
        "domainName": host,
        "domainPrefix": host.partition(".")[0],
        "http": {
            "method": request.method,
            "path": path,
            "protocol": request.protocol,
            "sourceIp": request.source_ip,
            "userAgent": headers.get("user-agent", ""),
        },
        "requestId": str(uuid.uuid4()),
        "routeKey": match.route.key,
        "stage": "$default",
        "time": now.astimezone(UTC).strftime("%d/%b/%Y:%H:%M:%S +0000"),
        "timeEpoch": int(now.timestamp() * 1000),
    }
    return {
        "version": "2.0",
        "routeKey": match.route.key,
        "rawPath": path,
        "rawQueryString": request.query,
        **({"cookies": cookies} if cookies else {}),
        "headers": headers,
        **({"queryStringParameters": query} if query else {}),
        "requestContext": context,
        **({"pathParameters": match.parameters} if match.parameters else {}),
        **_body(headers.get("content-type", ""), request.body),
    }


def _structured(result: Mapping[str, Any]) -> HttpAnswer:
    status, text = result["statusCode"], result.get("body") or ""
    if isinstance(status, str) and status.isdecimal():
        status = int(status)
    if not isinstance(status, int) or not isinstance(text, str):
        message = "statusCode is to be a number and body a text"
        raise BadAnswerError(message)
    headers = [(str(name).lower(), str(value)) for name, value in (result.get("headers") or {}).items()]
    kept = [(name, value) for name, value in headers if name not in _OF_THE_CONNECTION]
    if not any(name == "content-type" for name, _ in kept):
        kept.append(("content-type", "text/plain;charset=UTF-8"))
    kept += [("set-cookie", str(cookie)) for cookie in result.get("cookies") or []]
    body = base64.b64decode(text) if result.get("isBase64Encoded") else text.encode()
    return HttpAnswer(status, kept, body)


def read_answer(payload: bytes) -> HttpAnswer:
    """The HTTP answer that a function's result stands for. Raises BadAnswerError."""
    try:
        result = json.loads(payload)
        if isinstance(result, dict) and "statusCode" in result:
            return _structured(result)
    except (ValueError, TypeError, AttributeError) as error:
        raise BadAnswerError(str(error)) from error
    body = result.encode() if isinstance(result, str) else payload
    return HttpAnswer(200, [("content-type", "application/json")], body)
