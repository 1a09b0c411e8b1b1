"""When an activity applies (contract, Catalog; D25)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from decimal import Decimal

import pytest

from rating.activities import Activity

FIRST, UNTIL = date(2025, 3, 1), date(2025, 3, 11)
SOME = Activity("spring", FIRST, UNTIL, Decimal("0.8"), ("basic_authority", "identity_check"), refundable=True)
OPEN = Activity("always", FIRST, None, Decimal("0.8"), None, refundable=False)


@pytest.mark.parametrize(
    "day, holds",
    [
        (date(2025, 2, 28), False),
        (FIRST, True),
        (date(2025, 3, 10), True),
        (UNTIL, False),
        (date(2025, 3, 12), False),
    ],
)
def test_it_holds_from_its_first_day_until_its_end(day: date, holds: bool) -> None:  # noqa: FBT001 - the expectation
    """The first day is included, the end is not."""
    assert SOME.applies(day, ["identity_check"]) is holds


@pytest.mark.parametrize("day", [FIRST, UNTIL, date(2999, 12, 31)])
def test_without_an_end_it_lasts(day: date) -> None:
    """An activity without an end holds on every later day."""
    assert OPEN.applies(day, ["identity_check"])
    assert not OPEN.applies(date(2025, 2, 28), ["identity_check"])


@pytest.mark.parametrize(
    "tags, own",
    [
        (["identity_check"], True),
        (["identity_check", "basic_authority", "identity_check"], True),
        (["identity_check", "face_risk"], False),
        (["face_risk"], False),
    ],
)
def test_every_tag_of_an_order_must_be_its_own(tags: Iterable[str], own: bool) -> None:  # noqa: FBT001
    """One package of another tag is enough for it not to apply; without a list of tags all are its own."""
    assert SOME.applies(FIRST, tags) is own
    assert OPEN.applies(FIRST, tags)
