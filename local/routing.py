"""Which route a request belongs to, as API Gateway's HTTP API chooses it.

The path is percent-decoded before it is compared. A fixed segment goes before a variable one, that before a
greedy one (`{name+}`), a named method before `ANY`, and everything before `$default`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Iterable

    from local.template import Route

_FIXED, _VARIABLE, _GREEDY = 0, 1, 2


@dataclass(frozen=True)
class Match:
    """A route and the values of its path's variables."""

    route: Route
    parameters: dict[str, str]


def _rank(segment: str) -> int:
    if segment.startswith("{") and segment.endswith("}"):
        return _GREEDY if segment.endswith("+}") else _VARIABLE
    return _FIXED


def _compare(pattern: list[str], actual: list[str]) -> dict[str, str] | None:
    parameters: dict[str, str] = {}
    for position, segment in enumerate(pattern):
        rank = _rank(segment)
        if rank == _GREEDY:
            rest = "/".join(actual[position:])
            return {**parameters, segment[1:-2]: rest} if rest else None
        if position >= len(actual) or not actual[position]:
            return None
        if rank == _VARIABLE:
            parameters[segment[1:-1]] = actual[position]
        elif segment != actual[position]:
            return None
    return parameters if len(pattern) == len(actual) else None


class Router:
    """All routes of the API."""

    def __init__(self, routes: Iterable[Route]) -> None:
        """Take the routes; the order in which they come does not matter."""
        everything = list(routes)
        self._default = next((route for route in everything if route.path == "$default"), None)
        self._routes = sorted(
            ((route.path.strip("/").split("/"), route) for route in everything if route.path != "$default"),
            key=lambda pair: ([_rank(segment) for segment in pair[0]], pair[1].method == "ANY"),
        )

    def find(self, method: str, raw_path: str) -> Match | None:
        """The route of a request; `raw_path` as it came, percent-encoded and without the query."""
        path = unquote(raw_path)
        segments = path[1:].split("/")
        for pattern, route in self._routes:
            if route.method not in {method, "ANY"}:
                continue
            if route.path == "/" and path == "/":
                return Match(route, {})
            parameters = _compare(pattern, segments)
            if parameters is not None:
                return Match(route, parameters)
        return Match(self._default, {}) if self._default else None
