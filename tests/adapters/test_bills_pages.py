"""Pages of bills while bills are being issued (contract, Conventions)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.adapters.prepaid import buy
from tests.adapters.steps import A, pages, post_usage
from tests.support.product import Product, events

PHONE = {"interface": "api.phone_2e"}
BASES = ("usage", "charge")


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


@pytest.mark.parametrize("path", ["resources", "details"])
@pytest.mark.parametrize("wrong", ["hidezero=true", "transactiontype=adjustment", "tag=no_such_tag", "Tag=face_risk"])
def test_a_filter_with_a_slip_is_refused(metered: Product, path: str, wrong: str) -> None:
    """A parameter that the route does not know, or a tag that there is not, does not pass as no filter at all."""
    name, _, value = wrong.partition("=")
    reply = metered.request("GET", f"{A}/bills/{path}", query={"month": "2025-03", name: value})
    assert (reply.status, reply.code) == (422, "invalid_request")
    assert [error["field"] for error in reply.body["errors"]] == [name]


def test_pages_hold_every_row_once_while_new_rows_arrive(metered: Product) -> None:
    """A client that pages sees each row once and each page unchanged, whatever is charged meanwhile; new rows follow.

    Between its pages late usage of the first day, a purchase and an adjustment arrive (contract, Conventions).
    """
    for number in range(4):
        day = f"2025-03-0{number + 1}T10:00:00+08:00"
        metered.move(day)
        post_usage(metered, events("acct-1", 2, day, f"a-{number}"))
        post_usage(metered, events("acct-1", 2, day, f"b-{number}", **PHONE))
    metered.move("2025-03-05T10:00:00+08:00")

    def late() -> None:
        post_usage(metered, events("acct-1", 5, "2025-03-01T10:00:00+08:00", "late"))
        metered.move("2025-03-06T10:00:00+08:00")

    def adjust() -> None:
        body = {"amount": "-1.00", "reason": "x"}
        metered.request("POST", f"{A}/adjustments", body, headers={"Idempotency-Key": "k"})

    arrivals = [late, lambda: buy(metered), adjust]
    lists = [(path, basis) for path in ("resources", "details") for basis in BASES]
    before = {one: pages(metered, f"{A}/bills/{one[0]}", 1000, month="2025-03", basis=one[1])[0] for one in lists}
    assert {len(rows) for rows in before.values()} == {8}
    read: dict[tuple[str, str], list[dict[str, Any]]] = {one: [] for one in lists}
    first_pages: dict[tuple[str, str], list[dict[str, Any]]] = {}
    cursors: dict[tuple[str, str], str | None] = {}
    for number in range(4):
        for one in lists:
            query = {"month": "2025-03", "basis": one[1], "limit": "3"}
            if number:
                query["cursor"] = str(cursors[one])
            body = metered.get(f"{A}/bills/{one[0]}", **query).body
            first_pages.setdefault(one, body["items"])
            read[one] += body["items"]
            cursors[one] = body["next_cursor"]
        if arrivals:
            arrivals.pop(0)()
    for one in lists:
        after = pages(metered, f"{A}/bills/{one[0]}", 1000, month="2025-03", basis=one[1])[0]
        assert cursors[one] is None
        assert read[one] == after
        assert read[one][:8] == before[one], "what was there stays where it was"
        kinds = [row["transaction_type"] for row in read[one][8:]]
        assert kinds == ["postpay_daily", "prepay_purchase", "adjustment"]
        again = metered.get(f"{A}/bills/{one[0]}", month="2025-03", basis=one[1], limit="3").body["items"]
        assert again == first_pages[one]
