"""Reading a request as API Gateway hands it over: body and content type."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from aws_platform import problems


def strict_json(raw: str | bytes) -> object:
    """Parse JSON as it is defined: UTF-8, no NaN, and no object that gives a name twice. Raises Problem 400."""
    try:
        # Left to itself, `json.loads` takes UTF-16 and encoded surrogates too.
        text = raw.decode() if isinstance(raw, bytes) else raw
        return json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise problems.malformed_body() from error


def raw_body(event: Mapping[str, Any]) -> bytes:
    """The request's body, decoded where the gateway had to encode it. Raises Problem 400 where that is not possible."""
    body = event.get("body") or ""
    try:
        return base64.b64decode(body, validate=True) if event.get("isBase64Encoded") else body.encode()
    except ValueError as error:
        raise problems.malformed_body() from error


def peek(event: Mapping[str, Any]) -> dict[str, Any]:
    """The body as an object before anybody has checked it; empty where it is none."""
    try:
        document = strict_json(raw_body(event))
    except problems.Problem:
        return {}
    return document if isinstance(document, dict) else {}


def media_type(event: Mapping[str, Any]) -> str:
    """The content type without its parameters, in lower case."""
    return str((event.get("headers") or {}).get("content-type", "")).partition(";")[0].strip().lower()


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    named = dict(pairs)
    if len(named) != len(pairs):
        msg = "a name is given twice"
        raise ValueError(msg)
    return named


def _no_constant(name: str) -> object:
    msg = f"{name} is not JSON"
    raise ValueError(msg)
