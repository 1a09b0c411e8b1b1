"""The product with two open accounts, one for each settlement cycle, as every fault test of the real code finds it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.harness import Snapshot
from tests.faults.support import Cloud, start


@pytest.fixture(scope="module")
def stage() -> Iterator[tuple[Cloud, Snapshot]]:
    """Give the product and its state before each test; made once a module, because it takes a while."""
    with start("2025-02-01 09:00") as cloud:
        cloud.open_account("daily", cash="5.00", gift="0.50")
        cloud.open_account("monthly", cash="500.00", opened_at="2022-01-01T00:00:00+08:00")
        yield cloud, cloud.world.snapshot()


@pytest.fixture
def cloud(stage: tuple[Cloud, Snapshot]) -> Cloud:
    """Give the product, with the accounts and nothing else: it is 1 March 2025, 10:00."""
    product, before = stage
    product.world.restore(before)
    product.prepared()
    product.go_to("2025-03-01 10:00")
    return product
