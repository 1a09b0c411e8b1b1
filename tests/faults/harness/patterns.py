"""Event patterns, as EventBridge's rules and the filters of Lambda's event sources have them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .errors import HarnessError


def matches(pattern: Mapping[str, Any], document: Mapping[str, Any]) -> bool:
    """Return whether a document matches: every field of the pattern is there and has one of the wanted values."""
    return all(_field(wanted, document.get(name)) for name, wanted in pattern.items())


def _field(wanted: Any, found: Any) -> bool:
    if isinstance(wanted, Mapping):
        return isinstance(found, Mapping) and matches(wanted, found)
    if not isinstance(wanted, Sequence) or isinstance(wanted, str):
        raise HarnessError(f"a pattern has lists of values, not {wanted!r}")
    return found is not None and any(_value(one, found) for one in wanted)


def _value(wanted: Any, found: Any) -> bool:
    match wanted:
        case str() | int():
            return bool(wanted == found)
        case {"prefix": str(prefix), **rest} if not rest:
            return isinstance(found, str) and found.startswith(prefix)
        case {"anything-but": list(others), **rest} if not rest:
            return found not in others
    raise HarnessError(f"the harness does not emulate {wanted!r} of a pattern")
