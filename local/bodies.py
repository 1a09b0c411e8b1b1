"""Reading JSON bodies of the sandbox's own calls strictly: no duplicate keys, no NaN, no infinities."""

from __future__ import annotations

import json
from typing import NoReturn

from local.problems import malformed_body


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        message = "a name occurs twice in an object"
        raise ValueError(message)
    return found


def _constant(name: str) -> NoReturn:
    message = f"{name} is no JSON number"
    raise ValueError(message)


def read_json(body: bytes) -> object:
    """The value of a JSON body. Raises ProblemError 400."""
    try:
        value: object = json.loads(body.decode("utf-8"), object_pairs_hook=_object, parse_constant=_constant)
    except (ValueError, RecursionError) as error:
        msg = f"the body is not JSON: {error}"
        raise malformed_body(msg) from error
    return value
