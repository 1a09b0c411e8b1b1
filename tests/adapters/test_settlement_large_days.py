"""Days of more usage than one read returns: every call is counted once, however the day is read (design, Money)."""

from __future__ import annotations

import random
from itertools import batched

import pytest

from aws_platform import records
from rating.catalog import load
from tests.adapters.steps import A, at, charges, details
from tests.support.product import Product, event

SECONDS = [second for second in range(10) for _ in range(5)]
"""Of the calls in each stored bucket."""


def bucket(dimensions: int) -> tuple[bytes, bytes]:
    """The records and the counts of a bucket: five calls in each of its ten seconds."""
    content = b"".join(
        records.identity("s", f"e-{number}", 0, "") + records.pack_data(dimensions, second, "", "0")
        for number, second in enumerate(SECONDS)
    )
    return content, records.pack_counts(records.count_records(content))


@pytest.fixture
def many(metered: Product) -> list[int]:
    """The ten-second slots of 1 March in which a bucket lies: together more than two megabytes."""
    # One real event brings the day item and the names with it.
    metered.report([event("acct-1", "e-1", "2025-03-01T00:00:00+08:00", source="/first")])
    interface = load().lookup["api.id_card_verification", None, None, None]
    content, counts = bucket(records.Dimensions(interface.number, chargeable=True, code=1, sub_account=0).pack())
    dice = random.Random(7)  # noqa: S311 - repeatable, not secret
    slots = [0, 0, 1, 8639, 8639, *dice.choices(range(8640), k=2495)]
    items = [
        {
            "pk": {"S": "acct-1#20250301"},
            "sk": {"S": f"{slot:04d}#{number:08x}#0000"},
            "r": {"B": content},
            "c": {"B": counts},
        }
        for number, slot in enumerate(slots)
    ]
    for part in batched(items, 25, strict=True):
        metered.dynamodb.batch_write_item(RequestItems={"usage": [{"PutRequest": {"Item": item}} for item in part]})
    return slots


def test_a_day_of_many_pages(metered: Product, many: list[int]) -> None:
    """A day of 2,500 buckets is charged to the call."""
    page = metered.dynamodb.query(
        TableName="usage",
        KeyConditionExpression="pk = :pk",
        ExpressionAttributeValues={":pk": {"S": "acct-1#20250301"}},
    )
    assert page["Count"] < len(many) / 2, "more than two pages"
    metered.move("2025-03-02T09:00:00+08:00")
    (row,) = details(metered)
    assert row["raw_quantity"] == row["quantity"] == len(many) * len(SECONDS) + 1
    assert charges(metered) == [("2025-03-02T08:00:00+08:00", "-37500.30")]


def test_a_day_of_many_pages_that_is_cut(metered: Product, many: list[int]) -> None:
    """With postpaid switched in the middle of a ten-second slot each call is on its side of the second."""
    metered.now = at("2025-03-01T13:37:07+08:00")
    metered.request("PATCH", A, {"postpaid_enabled": False})
    metered.now = at("2025-03-01T20:00:03+08:00")
    metered.request("PATCH", A, {"postpaid_enabled": True})
    off, on = 13 * 3600 + 37 * 60 + 7, 20 * 3600 + 3
    uncovered = sum(off <= slot * 10 + second < on for slot in many for second in SECONDS)
    metered.move("2025-03-02T09:00:00+08:00")
    (row,) = details(metered)
    assert row["raw_quantity"] == len(many) * len(SECONDS) + 1
    assert (row["uncovered_quantity"], row["quantity"]) == (uncovered, row["raw_quantity"] - uncovered)
