"""Separate copies of the code under test, so that workers share no memory, as separate Lambda instances share none."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from .world import SLEEP, World


def _within(name: str, packages: tuple[str, ...]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


@contextmanager
def _without(packages: tuple[str, ...]) -> Iterator[None]:
    kept = {name: module for name, module in sys.modules.items() if _within(name, packages)}
    for name in kept:
        del sys.modules[name]
    try:
        yield
    finally:
        for name in [name for name in sys.modules if _within(name, packages)]:
            del sys.modules[name]
        sys.modules.update(kept)


def cold_import(module: str, *packages: str, sleeps: tuple[str, ...] = (SLEEP,)) -> ModuleType:
    """Import a module anew, with everything under ``packages``: own globals, own caches, own clients.

    The copy lives beside the normally imported one, which stays in ``sys.modules``; an import inside a function of
    the copy therefore finds the normal one. Sleep is replaced in the copy too while a world is entered.
    """
    world = World.active()
    with _without(packages or (module.partition(".")[0],)):
        copy = importlib.import_module(module)
        if world is not None:
            for name in sleeps:
                if _within(name, packages):
                    world.patch_sleep(name)
        return copy
