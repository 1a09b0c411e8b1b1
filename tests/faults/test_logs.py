"""What functions log under faults is looked at, as what they write elsewhere is (tests/support/leaks.py)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from aws_platform import api
from settlement import settle
from tests.faults.support import Cloud
from tests.support import leaks

ADDRESS = "a.person@example.com"


def fail(*_: object) -> None:
    """Fail for an error that repeats what it was given."""
    message = "cannot be settled"
    raise RuntimeError(message) from ValueError(ADDRESS)


def settle_in_vain(patch: pytest.MonkeyPatch, cloud: Cloud) -> None:
    """The settlement of an account fails."""
    patch.setattr(settle.Worker, "settle_account", fail)
    assert cloud.invoke("SettlementFunction", {"Records": [{"messageId": "m", "body": '{"account_id":"daily"}'}]})


def answer_openly(patch: pytest.MonkeyPatch, cloud: Cloud) -> None:
    """A function logs whom it has answered."""
    info = api.logger.info
    patch.setattr(api.logger, "info", lambda message, **fields: info(message, caller=ADDRESS, **fields))
    assert cloud.request("GET", "/v1/catalog").status == 200


@pytest.mark.parametrize("work", [settle_in_vain, answer_openly])
def test_what_must_not_be_logged_is_seen(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, work: Callable[[pytest.MonkeyPatch, Cloud], None]
) -> None:
    """An address in the error that led to a logged one, or in a value, fails the test and is seen by the watch."""
    found: list[str] = []
    with monkeypatch.context() as patch:
        patch.setattr(leaks, "_found", found)
        work(patch, cloud)
    assert any("e-mail" in leak for leak in found)
    assert cloud.watch.broken
    assert ADDRESS not in str((found, cloud.watch.broken))


def test_other_lines_are_fine(cloud: Cloud) -> None:
    """What functions log when they answer and settle has nothing that must not be there."""
    assert cloud.request("GET", "/v1/accounts/daily").status == 200
    cloud.settle("daily", "monthly")
    assert cloud.watch.broken == []
