"""Lists: `items` and `next_cursor`, oldest first (contract, Conventions)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable
from itertools import dropwhile, islice
from typing import Annotated, Any

from aws_lambda_powertools.event_handler.openapi.params import Query

from aws_platform import problems
from aws_platform.problems import FieldError

Limit = Annotated[int, Query(ge=1, le=1000, description="how many items at most")]
Cursor = Annotated[str | None, Query(min_length=1, max_length=1024, description="`next_cursor` of the page before")]
DEFAULT_LIMIT = 100


def page[T](
    items: Iterable[T],
    identity: Callable[[T], str],
    show: Callable[[T], dict[str, Any]],
    limit: int,
    cursor: str | None,
    keep: Callable[[T], bool] = lambda _: True,
) -> dict[str, Any]:
    """One page of items that are in a lasting order: those after the one that the cursor names.

    New items at the end do not move the pages before them, and an item that is not kept any more may still be where a
    page begins. Raises Problem 422 for a cursor that names nothing.
    """
    rest = iter(items)
    if cursor is not None:
        last = _decoded(cursor)
        rest = dropwhile(lambda item: identity(item) != last, rest)
        if next(rest, None) is None:
            raise problems.invalid_request(FieldError("cursor", "not a cursor of this list"))
    shown = list(islice(filter(keep, rest), limit + 1))
    more = len(shown) > limit
    kept = shown[:limit]
    return {
        "items": [show(item) for item in kept],
        "next_cursor": _encoded(identity(kept[-1])) if more else None,
    }


def _encoded(identity: str) -> str:
    return base64.urlsafe_b64encode(identity.encode()).decode().rstrip("=")


def _decoded(cursor: str) -> str:
    try:
        return base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
    except (ValueError, binascii.Error) as error:
        raise problems.invalid_request(FieldError("cursor", "not a cursor of this list")) from error
