"""Statistics: GET A/usage by several dimensions, with finer filters (facts.md 5.2; contract, Metering)."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from itertools import combinations, permutations
from typing import Any

import pytest

from bills.usage import DIMENSIONS
from tests.adapters.prepaid import OPENED
from tests.adapters.steps import A, at, empty, pages, usage
from tests.support.product import Product, event

KINDS: list[dict[str, Any]] = [
    {"interface": "api.id_card_verification"},
    {"interface": "api.id_card_ocr_verification"},
    {"interface": "enhanced.wechat_mini_program", "library": "authority"},
    {"interface": "enhanced.wechat_mini_program", "library": "uploaded"},
    {"interface": "api.phone_3e", "mode": "simple"},
    {"interface": "api.phone_3e", "mode": "detailed"},
]
TAGS = ("identity_check", "enhanced_authority_wechat", "enhanced_uploaded_wechat", "phone_three_factor_simple")
SUB_ACCOUNTS = ("", "team-a", "team-b")
CODES = ("0", "-4", "7")
DAYS = ("2025-02-27", "2025-02-28", "2025-03-01")
RANGE = {"from": DAYS[0], "to": DAYS[-1]}
COUNTS = ("calls", "not_chargeable")
COVER = ("free", "paid", "postpaid", "uncovered")


@pytest.fixture(scope="module")
def mixed(cloud: Product) -> Iterator[Product]:
    """Three days of many kinds of calls, one of them settled and one with a switch; tests only read it."""
    empty(cloud)
    cloud.now = at("2025-02-28T07:00:00+08:00")
    cloud.open_account("acct-1", cash="1000.00", opened_at=OPENED)
    dice = random.Random(5)  # noqa: S311 - repeatable, not secret
    for number, day in enumerate(DAYS):
        cloud.move(f"{day}T23:00:00+08:00" if number else "2025-02-28T07:00:00+08:00")
        batch = [
            event(
                "acct-1",
                f"{day}-{one}",
                f"{day}T{dice.choice(('06', '13'))}:00:00+08:00",
                code=dice.choice(CODES),
                **({"sub_account": sub} if (sub := dice.choice(SUB_ACCOUNTS)) else {}),
                **dice.choice(KINDS),
            )
            for one in range(100)
        ]
        assert cloud.report(batch).body["rejected"] == 0
    cloud.request("PATCH", A, {"postpaid_enabled": False})
    yield cloud
    empty(cloud)


def shown(product: Product, by: str, **query: str) -> list[dict[str, Any]]:
    """The rows by some dimensions."""
    return usage(product, **{**RANGE, "by": by, **query})


def summed(rows: list[dict[str, Any]], dimensions: tuple[str, ...]) -> Counter[tuple[Any, ...]]:
    """The counts of rows by fewer dimensions; what is zero is left out."""
    sums: Counter[tuple[Any, ...]] = Counter()
    for row in rows:
        for count in COUNTS:
            sums[(*(row[name] for name in dimensions), count)] += row[count]
    return +sums


def test_any_split_sums_to_the_same(mixed: Product) -> None:
    """Every combination of dimensions is what the finest one adds up to, each row once, in the order that was asked."""
    finest = shown(mixed, ",".join(DIMENSIONS))
    assert sum(row[count] for row in finest for count in COUNTS) == 300
    for size in range(1, len(DIMENSIONS) + 1):
        for dimensions in combinations(DIMENSIONS, size):
            rows = shown(mixed, ",".join(dimensions))
            assert summed(rows, dimensions) == summed(finest, dimensions)
            keys = [tuple(row[name] or "" for name in dimensions) for row in rows]
            assert keys == sorted(set(keys))


def test_the_order_of_dimensions_is_that_of_the_rows(mixed: Product) -> None:
    """The same rows whichever dimension comes first; the first one sorts first."""
    known = None
    for dimensions in permutations(("day", "interface", "sub_account")):
        rows = shown(mixed, ",".join(dimensions))
        keys = [tuple(row[name] or "" for name in dimensions) for row in rows]
        assert keys == sorted(keys)
        found = sorted(repr(sorted(row.items(), key=str)) for row in rows)
        assert known in {None, tuple(found)}
        known = tuple(found)


def test_by_day_and_tag_calls_are_covered(mixed: Product) -> None:
    """By day, tag or both the parts add up to the calls, and the splits agree; by anything finer there are none."""
    both = shown(mixed, "day,tag")
    assert len(both) > 3
    for row in both:
        assert sum(row[part] for part in COVER) == row["calls"]
    for by in ("day", "tag"):
        for row in shown(mixed, by):
            own = [one for one in both if one[by] == row[by]]
            for name in (*COUNTS, *COVER):
                assert row[name] == sum(one[name] for one in own)
    assert sum(row["uncovered"] for row in both) == 0
    for by, query in (
        ("day,interface", {}),
        ("tag,result_code", {}),
        ("day", {"interface": "api.phone_3e"}),
        ("tag", {"library": "uploaded"}),
        ("day", {"sub_account": ""}),
        ("day,tag", {"result_code": "0"}),
    ):
        for row in shown(mixed, by, **query):
            assert not set(COVER) & set(row)


FILTERS = [
    ({"interface": "enhanced.wechat_mini_program"}, lambda row: row["interface"] == "enhanced.wechat_mini_program"),
    ({"library": "uploaded"}, lambda row: row["tag"] == "enhanced_uploaded_wechat"),
    ({"library": "authority"}, lambda row: row["tag"] == "enhanced_authority_wechat"),
    ({"sub_account": "team-a"}, lambda row: row["sub_account"] == "team-a"),
    ({"sub_account": ""}, lambda row: row["sub_account"] is None),
    ({"sub_account": "nobody"}, lambda _: False),
    ({"result_code": "-4"}, lambda row: row["result_code"] == "-4"),
    ({"result_code": "no-such-code"}, lambda _: False),
    ({"interface": "basic.pc_h5"}, lambda _: False),
    ({"interface": "api.phone_3e", "library": "authority"}, lambda _: False),
    ({"tag": "phone_three_factor_detailed", "interface": "api.phone_3e"}, lambda row: row["tag"].endswith("detailed")),
    (
        {"sub_account": "team-b", "result_code": "0", "tag": "identity_check"},
        lambda row: (row["sub_account"], row["result_code"], row["tag"]) == ("team-b", "0", "identity_check"),
    ),
]


@pytest.mark.parametrize("query, wanted", FILTERS, ids=[repr(query) for query, _ in FILTERS])
def test_a_filter_leaves_what_fits(mixed: Product, query: dict[str, str], wanted: Any) -> None:
    """Each filter leaves the rows that fit, by every dimension; a name that nobody has used leaves an empty list."""
    finest = [row for row in shown(mixed, ",".join(DIMENSIONS)) if wanted(row)]
    for dimensions in (DIMENSIONS, ("day",), ("tag",), ("sub_account", "day"), ("result_code",)):
        rows = shown(mixed, ",".join(dimensions), **query)
        assert summed(rows, dimensions) == summed(finest, dimensions)
    assert bool(finest) == bool(shown(mixed, "day", **query))


def test_rows_name_what_they_stand_for(mixed: Product) -> None:
    """Each dimension is named; day and tag also where there is only one of them (contract, Metering)."""
    for row in shown(mixed, "interface,result_code"):
        assert row["day"] is None
        assert {"interface", "result_code"} < set(row)
        assert "sub_account" not in row
        assert (row["tag"] is None) == (
            row["interface"] == "enhanced.wechat_mini_program" or row["interface"] == "api.phone_3e"
        )
    for row in shown(mixed, "sub_account", **{"from": DAYS[1], "to": DAYS[1]}, tag=TAGS[0]):
        assert (row["day"], row["tag"]) == (DAYS[1], TAGS[0])


@pytest.mark.parametrize("limit", [7, 50])
def test_pages_of_several_dimensions(mixed: Product, limit: int) -> None:
    """Pages hold every row once."""
    by = {"by": "tag,sub_account,result_code"}
    found = pages(mixed, f"{A}/usage", limit, **RANGE, **by)
    assert [row for page in found for row in page] == shown(mixed, by["by"])


def test_names_of_any_length_have_a_next_page(mixed: Product) -> None:
    """The cursor that an answer gives is taken, also after rows with the longest names that there are.

    The last of this file that reads rows, for it adds some.
    """
    names = [letter * 128 for letter in "验𠀀z"]
    noon = f"{DAYS[2]}T13:00:00+08:00"
    many = [event("acct-1", f"long-{name[0]}", noon, code=name, sub_account=name) for name in names]
    assert mixed.report(many).body["rejected"] == 0
    query = {"by": "sub_account,result_code,interface", "from": DAYS[2], "to": DAYS[2]}
    found = [row for page in pages(mixed, f"{A}/usage", 3, **query) for row in page]
    assert found == usage(mixed, **query)
    assert {row["sub_account"] for row in found} > set(names)


BAD = [
    {"by": "day,day"},
    {"by": "day,"},
    {"by": ",day"},
    {"by": "day, tag"},
    {"by": "day;tag"},
    {"by": "day,month"},
    {"by": "library"},
    {"by": "day\n"},
    {"by": ",".join(["day", "tag"] * 500)},
    {"interface": "no.such"},
    {"interface": ""},
    {"interface": "x" * 5000},
    {"library": "both"},
    {"library": ""},
    {"sub_account": "x" * 5000},
    {"result_code": "x" * 5000},
    {"resultcode": "0"},
]


@pytest.mark.parametrize("query", BAD, ids=[repr(query)[:50] for query in BAD])
def test_what_cannot_be_asked(mixed: Product, query: dict[str, str]) -> None:
    """Each dimension once, interfaces of the catalog, one of two libraries: the wrong parameter is named."""
    reply = mixed.request("GET", f"{A}/usage", query=query)
    assert (reply.status, reply.code) == (422, "invalid_request")
    assert [error["field"] for error in reply.body["errors"]] == list(query)
