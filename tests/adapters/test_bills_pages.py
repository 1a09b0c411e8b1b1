"""Pages of bills while bills are being issued (contract, Conventions)."""

from __future__ import annotations

import pytest

from tests.adapters.steps import A
from tests.support.product import Product, events

PHONE = {"interface": "api.phone_2e"}


@pytest.mark.parametrize("basis", ["usage", "charge"])
@pytest.mark.parametrize("path", ["resources", "details"])
def test_a_page_that_was_read_does_not_move(metered: Product, path: str, basis: str) -> None:
    """Between two pages new bills may come, late usage of the first day among them: no row is shown twice."""
    for number in range(3):
        metered.report(events("acct-1", 1, metered.now.isoformat(), f"a-{number}"))
        metered.report(events("acct-1", 1, metered.now.isoformat(), f"b-{number}", **PHONE))
        metered.move(f"2025-03-0{number + 2}T10:00:00+08:00")
    query = {"month": "2025-03", "basis": basis, "limit": "4"}
    first = metered.get(f"{A}/bills/{path}", **query).body
    metered.report(events("acct-1", 5, "2025-03-01T10:00:00+08:00", "late"))
    metered.report(events("acct-1", 5, metered.now.isoformat(), "on-time"))
    metered.move("2025-03-05T10:00:00+08:00")
    second = metered.get(f"{A}/bills/{path}", cursor=first["next_cursor"], **query).body
    shown = [repr(row) for row in (*first["items"], *second["items"])]
    assert len(set(shown)) == len(shown)
    whole = metered.request("GET", f"{A}/bills/{path}", query={**query, "limit": "1000"}).body["items"]
    following = whole[whole.index(first["items"][-1]) + 1 :]
    assert second["items"] == following[:4]
