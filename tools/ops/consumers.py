"""What hands functions the messages of queues and the records of streams, as it is now.

A mapping that was made by hand, for a table that was restored under its name, is unknown to CloudFormation. So mappings
are found by the functions that they call.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tools.ops.stack import FUNCTION, MAPPING, Stack

MAKE_AGAIN = "docs/operations.md#a-table-as-it-was says how to make it again"


@dataclass(frozen=True, slots=True)
class Consumer:
    """An event source mapping of the template."""

    name: str
    """Its logical id, that of the one that it replaces where it was made by hand."""
    mapping: Mapping[str, Any] | None
    """What Lambda says of it; None where there is none."""


def consumers(stack: Stack) -> list[Consumer]:
    """The stack's consumers, in the order of their names."""
    uuids = stack.of_type(MAPPING)
    functions = stack.of_type(FUNCTION)
    found: list[Consumer] = []
    for function in functions:
        own = {uuids[name]: name for name in uuids if _function_of(name, functions) == function}
        if own:
            found += _consumers_of(stack, function, own)
    return sorted(found, key=lambda one: one.name)


def _consumers_of(stack: Stack, function: str, names: Mapping[str, str]) -> Iterator[Consumer]:
    """Those of a function, whose mappings the template names so, by UUID."""
    pages = stack.functions.get_paginator("list_event_source_mappings").paginate(FunctionName=stack.called(function))
    listed: dict[str, Mapping[str, Any]] = {one["UUID"]: one for page in pages for one in page["EventSourceMappings"]}
    gone = [name for uuid, name in names.items() if uuid not in listed]
    for uuid, mapping in listed.items():
        yield Consumer(names.get(uuid) or (gone.pop(0) if gone else min(names.values())), mapping)
    for name in gone:
        yield Consumer(name, None)


def _function_of(mapping: str, functions: Mapping[str, str]) -> str:
    """The function that a mapping belongs to: SAM has its name begin with the function's."""
    return max((one for one in functions if mapping.startswith(one)), key=len, default="")
