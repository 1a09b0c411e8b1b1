"""Fixtures of the adapter tests: the product on moto, in one process and in one thread."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Self

import pytest

from aws_platform import failures, tasks
from tests.adapters.steps import NOW, empty, prepared
from tests.support.product import Product
from tests.support.product import product as fresh_product


class InTurn:
    """Stands for a pool of threads, for moto is not made for them: one call after the other."""

    def __init__(self, workers: int) -> None:
        assert workers > 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is left to wait for."""

    def map(self, call: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        """As a pool's."""
        return map(call, items)


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """No threads, and no waiting between the tries of a write."""
    monkeypatch.setattr(tasks, "ThreadPoolExecutor", InTurn)
    monkeypatch.setattr(failures, "sleep", lambda _seconds: None)


@pytest.fixture(scope="module")
def cloud() -> Iterator[Product]:
    """Clients and queues that the tests of a module share: making them is most of a test's time."""
    with fresh_product(NOW) as made:
        yield made


@pytest.fixture
def product(cloud: Product) -> Product:
    """An empty product at 10:00 on 1 March 2025."""
    empty(cloud)
    return cloud


@pytest.fixture(scope="session")
def opened() -> dict[str, list[Any]]:
    """What opening accounts leaves in the ledger, by the name of the preparation."""
    return {}


@pytest.fixture
def metered(product: Product, opened: dict[str, list[Any]]) -> Product:
    """The product with one daily account `acct-1`, open since the new year, that has 1,000 yuan of cash."""

    def open_one() -> None:
        product.open_account("acct-1", cash="1000.00", opened_at="2025-01-01T00:00:00+08:00")

    prepared(product, opened, "metered", open_one)
    return product
