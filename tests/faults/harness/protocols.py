"""The services' protocols: what an HTTP request of botocore calls, and what the wire carries back."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit
from xml.sax.saxutils import escape

from .calls import Call
from .errors import HarnessError
from .values import Refused

_TARGETS = {"DynamoDB_20120810": "dynamodb", "AmazonSQS": "sqs", "AWSEvents": "events"}
_PREFIXES = {"dynamodb": "com.amazonaws.dynamodb.v20120810#", "sqs": "com.amazonaws.sqs#"}
_PATHS = {("email", "POST", "/v2/email/outbound-emails"): ("sesv2", "SendEmail")}
_SNS = "http://sns.amazonaws.com/doc/2010-03-31/"


class Answer(NamedTuple):
    """What the wire carries back; ``result`` is for the trace, and is not on the wire."""

    status: int
    headers: dict[str, str]
    body: bytes
    result: str = "ok"


def called(request: Any) -> Call:
    """Return what a request calls."""
    retries = _text(request.headers.get("amz-sdk-request", "attempt=1"))
    attempt = int(dict(part.strip().split("=") for part in retries.split(";"))["attempt"])
    invocation = _text(request.headers.get("amz-sdk-invocation-id", ""))
    return Call(*_operation(request), invocation, attempt)


def _operation(request: Any) -> tuple[str, str, dict[str, Any]]:
    target = request.headers.get("X-Amz-Target")
    if target is not None:
        prefix, _, operation = _text(target).partition(".")
        service = _TARGETS.get(prefix, prefix.partition("_")[0].lower())
        return service, operation, json.loads(request.body or b"{}")
    url = urlsplit(request.url)
    host = (url.hostname or "").partition(".")[0]
    if (host, request.method, url.path) in _PATHS:
        return *_PATHS[host, request.method, url.path], json.loads(request.body)
    if host == "sns":
        body = dict(parse_qsl(_text(request.body), keep_blank_values=True, strict_parsing=True))
        del body["Version"]
        return "sns", body.pop("Action"), body
    raise HarnessError(f"no network in here: {request.method} {request.url}")


def answered(call: Call, body: dict[str, Any], number: int) -> Answer:
    """Return the answer with this body; an endpoint's body is its status alone."""
    if call.service == "https":
        return Answer(body["status"], {}, b"", "ok" if body["status"] < HTTPStatus.MULTIPLE_CHOICES else "refused")
    if call.service == "sns":
        result = "".join(f"<{name}>{escape(str(value))}</{name}>" for name, value in body.items())
        name = f"{call.operation}Result"
        return _xml(HTTPStatus.OK, f"{call.operation}Response", f"<{name}>{result}</{name}>{_metadata(number)}", number)
    return Answer(HTTPStatus.OK, _headers(number), json.dumps(body).encode())


def refusal(call: Call, refused: Refused, number: int) -> Answer:
    """Return the answer that says an error."""
    if call.service == "https":
        return Answer(refused.status, {}, b"", refused.code)
    if call.service == "sns":
        side = "Receiver" if refused.status >= HTTPStatus.INTERNAL_SERVER_ERROR else "Sender"
        told = f"<Type>{side}</Type><Code>{escape(refused.code)}</Code><Message>{escape(refused.message)}</Message>"
        text = f"<Error>{told}</Error><RequestId>harness-{number}</RequestId>"
        return _xml(refused.status, "ErrorResponse", text, number)._replace(result=refused.code)
    extra = dict(refused.extra)
    headers = _headers(number)
    if call.service == "sqs":
        headers["x-amzn-query-error"] = f"{extra.pop('query', refused.code)};Sender"
    if call.service == "sesv2":
        headers["x-amzn-ErrorType"] = refused.code
    word = "Message" if refused.code == "TransactionCanceledException" else "message"
    body = {"__type": f"{_PREFIXES.get(call.service, '')}{refused.code}", word: refused.message, **extra}
    reasons = ",".join(one["Code"] for one in extra.get("CancellationReasons", []))
    result = f"{refused.code}[{reasons}]" if reasons else refused.code
    return Answer(refused.status, headers, json.dumps(body).encode(), result)


def _headers(number: int) -> dict[str, str]:
    return {"Content-Type": "application/x-amz-json-1.0", "x-amzn-RequestId": f"harness-{number}"}


def _xml(status: int, name: str, text: str, number: int) -> Answer:
    headers = {"Content-Type": "text/xml", "x-amzn-RequestId": f"harness-{number}"}
    return Answer(status, headers, f'<{name} xmlns="{_SNS}">{text}</{name}>'.encode())


def _metadata(number: int) -> str:
    return f"<ResponseMetadata><RequestId>harness-{number}</RequestId></ResponseMetadata>"


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
