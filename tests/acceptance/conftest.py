"""One local cloud for the acceptance tests, and its users."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from local.cloud import LocalCloud
from local.story import Teller

BEGIN = "2025-03-01T08:30:00+08:00"


@pytest.fixture(scope="module")
def cloud() -> Iterator[LocalCloud]:
    """A local cloud whose clock starts on 1 March 2025."""
    with LocalCloud(clock=BEGIN) as running:
        yield running


@pytest.fixture(scope="module")
def teller(cloud: LocalCloud) -> Iterator[Teller]:
    """Speaks as operator, producer and customer."""
    with Teller(cloud) as speaking:
        yield speaking
