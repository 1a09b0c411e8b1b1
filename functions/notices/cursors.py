"""Where a list goes on, so that no request reads all that is before its page, nor all that is behind it.

An account may have any number of notices and deliveries, of which a request may want few. So it reads a bounded part of
them, and answers what it has found there with the cursor of the last one that it has looked at.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

AT_ONCE = 1000
"""Stored items of one query, which DynamoDB ends at 1 MB besides."""
QUERIES = 2
"""Of one request, so that it reads 2,000 items or 2 MB at most."""
AFTER_ALL = "~"
"""Sorts behind every notice and every delivery."""


class Stretch[T]:
    """What one request looks at of a list: stored items in their order, and what is made of each."""

    def __init__(
        self,
        dynamodb: DynamoDBClient,
        query: Mapping[str, Any],
        read: Callable[[Mapping[str, Any]], Iterator[T]],
        identity: Callable[[T], str],
        at_once: int = AT_ONCE,
    ) -> None:
        """Nothing is read before it is asked for. `at_once` is how many stored items are surely enough."""
        self._dynamodb, self._query, self._read, self._identity = dynamodb, query, read, identity
        self._at_once = min(at_once, AT_ONCE)
        self.looked_at: list[str] = []
        """The identity of everything that was looked at."""
        self.is_cut = False
        """Whether there is more behind it."""

    def __iter__(self) -> Iterator[T]:
        """Read on while something is asked for and the request may read."""
        start: dict[str, Any] = {}
        for _ in range(QUERIES):
            found = self._dynamodb.query(**self._query, **start, Limit=self._at_once)
            for item in found["Items"]:
                for one in self._read(item):
                    self.looked_at.append(self._identity(one))
                    yield one
            if "LastEvaluatedKey" not in found:
                return
            start = {"ExclusiveStartKey": found["LastEvaluatedKey"]}
        self.is_cut = True

    def next_cursor(self, listed: Mapping[str, Any]) -> str | None:
        """The cursor of the page that was listed of it: its own, or that of what was looked at last."""
        own: str | None = listed["next_cursor"]
        return cursor_of(self.looked_at[-1]) if own is None and self.is_cut else own


def cursor_of(identity: str) -> str:
    """The cursor that goes on behind something, as `aws_platform.paging.page` reads it."""
    return base64.urlsafe_b64encode(identity.encode()).decode().rstrip("=")


def place(cursor: str) -> str:
    """What a cursor names, or `AFTER_ALL`, where nothing is; `aws_platform.paging.page` refuses such a cursor then.

    Every notice and every delivery begins with a time.
    """
    try:
        identity = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
    except ValueError:
        return AFTER_ALL
    return identity if "0" <= identity[:1] <= "9" else AFTER_ALL
