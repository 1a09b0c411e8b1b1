"""The metrics of our own that the code publishes: names and services, as its calls of `metrics.publish` have them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.template.linting import ROOT

PUBLISH = "publish"
FOLDERS = ("functions", "layers/platform")


@cache
def sources() -> dict[Path, ast.Module]:
    """The modules of functions and platform."""
    paths = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
    return {path: ast.parse(path.read_text(encoding="utf-8")) for path in paths}


def published() -> set[tuple[str, str]]:
    """Each pair of a metric and its service."""
    pairs: set[tuple[str, str]] = set()
    # Who publishes under a service that it is given, and what: the service is named by those who call it.
    given: dict[str, set[str]] = {}
    for function in _functions():
        for call in _calls(function, PUBLISH):
            service, names = call.args[0], _names(call, function)
            if isinstance(service, ast.Constant):
                pairs |= {(name, str(service.value)) for name in names}
            elif isinstance(service, ast.Name) and service.id == function.args.args[0].arg:
                given[function.name] = names
    for function in _functions():
        for called, names in given.items():
            for call in _calls(function, called):
                assert isinstance(call.args[0], ast.Constant), ast.unparse(call)
                pairs |= {(name, str(call.args[0].value)) for name in names}
    return pairs


def _functions() -> Iterator[ast.FunctionDef]:
    for module in sources().values():
        yield from (one for one in ast.walk(module) if isinstance(one, ast.FunctionDef))


def _calls(function: ast.FunctionDef, called: str) -> Iterator[ast.Call]:
    """The calls of a function by that name, within another."""
    for node in ast.walk(function):
        if isinstance(node, ast.Call) and node.args:
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", None)
            if name == called:
                yield node


def _names(call: ast.Call, function: ast.FunctionDef) -> set[str]:
    """What may be the names of the values: texts of the argument, or of the function where they are gathered before."""
    return _words(call.args[1]) or _words(function) if len(call.args) > 1 else set()


def _words(node: ast.AST) -> set[str]:
    return {one.value for one in ast.walk(node) if isinstance(one, ast.Constant) and isinstance(one.value, str)}
