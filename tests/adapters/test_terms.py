"""Discounts and contract prices: dated, not overlapping, and never for settled days (contract, Accounts; D5, D18)."""

from __future__ import annotations

from typing import Any

import pytest

from accounts import terms
from tests.adapters.steps import A, at, charges, kept, lose_answer, meanwhile, tables
from tests.support.product import Product, Reply, event, events

TAG = "identity_check"
KINDS = {"discounts": ("rate", "0.9", "0.8"), "contract-prices": ("unit_price", "0.25", "0.2")}


def put(product: Product, kind: str, body: Any, tag: str = TAG) -> Reply:
    """PUT A/discounts/{tag} or A/contract-prices/{tag}."""
    return product.request("PUT", f"{A}/{kind}/{tag}", body)


def agree(product: Product, kind: str, value: str, first: str, until: str | None = None, tag: str = TAG) -> Reply:
    """Agree a rate or a price for some days."""
    return put(product, kind, {KINDS[kind][0]: value, "from": first, "until": until}, tag)


def periods(product: Product, kind: str) -> list[tuple[str, str, str, str | None]]:
    """(tag, rate or price, from, until) of what is agreed."""
    found = kept(product).terms
    known: list[Any] = list(found.discounts if kind == "discounts" else found.contract_prices)
    return [
        (
            one.tag,
            str(one.rate if kind == "discounts" else one.unit_price),
            one.first_day.isoformat(),
            one.until and one.until.isoformat(),
        )
        for one in known
    ]


both = pytest.mark.parametrize("kind", KINDS)


# --- what is agreed -------------------------------------------------------------------------------------------


@both
def test_what_is_agreed_is_answered(metered: Product, kind: str) -> None:
    """The answer names the tag, the value and the days; an end that is not given is open."""
    name, value, _ = KINDS[kind]
    reply = agree(metered, kind, value, "2025-03-01", "2025-04-01")
    expected = {"tag": TAG, name: value, "from": "2025-03-01", "until": "2025-04-01"}
    assert (reply.status, reply.body) == (200, expected)
    reply = put(metered, kind, {name: value, "from": "2025-05-01"}, "photo_v2")
    assert (reply.status, reply.body["until"]) == (200, None)
    assert periods(metered, kind) == [
        (TAG, value, "2025-03-01", "2025-04-01"),
        ("photo_v2", value, "2025-05-01", None),
    ]


@pytest.mark.parametrize(
    "kind, given, shown",
    [
        ("discounts", "1", "1"),
        ("discounts", "1.0000", "1"),
        ("discounts", "0.0001", "0.0001"),
        ("discounts", "0.90", "0.9"),
        ("contract-prices", "1", "1.00"),
        ("contract-prices", "0.00000001", "0.00000001"),
        ("contract-prices", "999999999.99999999", "999999999.99999999"),
        ("contract-prices", "0.2500", "0.25"),
    ],
)
def test_values_that_can_be_agreed(metered: Product, kind: str, given: str, shown: str) -> None:
    """Rates up to 1 with 4 decimals, prices with 8; answered without idle zeros (D15, D18)."""
    reply = agree(metered, kind, given, "2025-03-01")
    assert (reply.status, reply.body[KINDS[kind][0]]) == (200, shown)


def test_bills_write_a_rate_as_the_agreement_does(metered: Product) -> None:
    """However it was given, a discount reads the same everywhere."""
    rate = agree(metered, "discounts", "0.90", "2025-03-01").body["rate"]
    assert metered.report(events("acct-1", 3, "2025-03-01T09:00:00+08:00")).status == 200
    (line,) = metered.get(f"{A}/bills/preview").body["items"]
    assert line["discount_rate"] == rate == "0.9"


@both
def test_agreeing_again_is_the_same_as_once(metered: Product, kind: str) -> None:
    """Repeated, whenever and however it is written, a request changes nothing and is answered the same."""
    value = KINDS[kind][1]
    first = agree(metered, kind, value, "2025-03-01", "2025-04-01")
    before = tables(metered)
    metered.now = at("2025-03-05T10:00:00+08:00")
    for text in (value, f"{value}0"):
        again = agree(metered, kind, text, "2025-03-01", "2025-04-01")
        assert (again.status, again.text) == (200, first.text)
    assert tables(metered) == before


@both
def test_the_same_first_day_replaces(metered: Product, kind: str) -> None:
    """Value and end of a period that is not settled may change; the other periods stay."""
    _, value, other = KINDS[kind]
    agree(metered, kind, value, "2025-03-10", "2025-03-20")
    agree(metered, kind, value, "2025-04-01")
    assert agree(metered, kind, other, "2025-03-10", "2025-04-01").status == 200
    assert periods(metered, kind) == [
        (TAG, other, "2025-03-10", "2025-04-01"),
        (TAG, value, "2025-04-01", None),
    ]


@both
@pytest.mark.parametrize(
    "first, until, fits",
    [
        ("2025-03-02", "2025-03-10", True),
        ("2025-03-02", "2025-03-11", False),
        ("2025-03-02", None, False),
        ("2025-03-11", "2025-03-12", False),
        ("2025-03-19", None, False),
        ("2025-03-20", None, True),
        ("2025-03-20", "2025-03-21", True),
        ("2025-03-10", "2025-03-30", True),
        ("2025-03-10", None, True),
    ],
)
def test_periods_do_not_overlap(metered: Product, kind: str, first: str, until: str | None, fits: bool) -> None:  # noqa: FBT001
    """`until` is the first day without: the next period may begin on it, and no earlier (D18)."""
    _, value, other = KINDS[kind]
    agree(metered, kind, value, "2025-03-10", "2025-03-20")
    before = tables(metered)
    reply = agree(metered, kind, other, first, until)
    if fits:
        assert reply.status == 200
    else:
        assert (reply.status, reply.code) == (409, "overlaps")
        assert tables(metered) == before


@both
def test_a_replaced_period_does_not_overlap_its_neighbour(metered: Product, kind: str) -> None:
    """A longer end must not reach into the next period."""
    value = KINDS[kind][1]
    agree(metered, kind, value, "2025-03-10", "2025-03-20")
    agree(metered, kind, value, "2025-03-25", "2025-03-30")
    assert agree(metered, kind, value, "2025-03-10", "2025-03-26").code == "overlaps"
    assert agree(metered, kind, value, "2025-03-10").code == "overlaps"
    assert agree(metered, kind, value, "2025-03-10", "2025-03-25").status == 200


def test_tags_and_kinds_do_not_overlap(metered: Product) -> None:
    """A discount of another tag, and a contract price of the same, may hold on the same days."""
    assert agree(metered, "discounts", "0.9", "2025-03-01").status == 200
    assert agree(metered, "discounts", "0.9", "2025-03-01", tag="photo_v2").status == 200
    assert agree(metered, "contract-prices", "0.25", "2025-03-01").status == 200


@both
def test_terms_are_bounded(metered: Product, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound, both kinds together, nothing new is agreed; what is there may still change."""
    monkeypatch.setattr(terms, "MAX_TERMS", 2)
    _, value, other = KINDS[kind]
    agree(metered, "discounts", "0.9", "2025-03-10", tag="photo_v2")
    agree(metered, kind, value, "2025-03-10", "2025-03-20")
    before = tables(metered)
    reply = agree(metered, kind, value, "2025-03-20")
    assert (reply.status, reply.code) == (409, "too_many_terms")
    assert tables(metered) == before
    assert agree(metered, kind, other, "2025-03-10").status == 200


# --- settled days ---------------------------------------------------------------------------------------------


@pytest.fixture
def settled(metered: Product) -> Product:
    """The account settled through 3 March; it is the morning of the 4th."""
    metered.now = at("2025-03-03T12:00:00+08:00")
    metered.report([event("acct-1", "settled", "2025-03-03T12:00:00+08:00")])
    metered.move("2025-03-04T09:00:00+08:00")
    assert str(kept(metered).account.settled_through) == "2025-03-03"
    return metered


@both
@pytest.mark.parametrize("first", ["2025-03-03", "2025-01-01", "0001-01-01"])
@pytest.mark.parametrize("until", ["2025-03-05", None])
def test_nothing_begins_on_a_settled_day(settled: Product, kind: str, first: str, until: str | None) -> None:
    """A settled day keeps the price that it was charged at."""
    before = tables(settled)
    reply = agree(settled, kind, KINDS[kind][1], first, until)
    assert (reply.status, reply.code) == (409, "already_settled")
    assert tables(settled) == before
    assert agree(settled, kind, KINDS[kind][1], "2025-03-04", until).status == 200


@both
@pytest.mark.parametrize(
    "old_until, value, until, fits",
    [
        (None, 1, "2025-03-05", True),
        (None, 1, "2025-03-04", True),
        (None, 1, "2025-03-03", False),
        ("2025-03-04", 1, None, True),
        ("2025-03-04", 1, "2025-03-10", True),
        ("2025-03-03", 1, None, False),
        ("2025-03-03", 1, "2025-03-02", False),
        ("2025-03-03", 1, "2025-03-03", True),
        (None, 2, None, False),
        ("2025-03-10", 2, "2025-03-10", False),
    ],
)
def test_a_settled_period_may_only_end_otherwise_later(
    metered: Product,
    kind: str,
    old_until: str | None,
    value: int,
    until: str | None,
    fits: bool,  # noqa: FBT001
) -> None:
    """Of a period that began on a settled day only the end may change, where both ends lie after the settled days."""
    agree(metered, kind, KINDS[kind][1], "2025-03-01", old_until)
    metered.now = at("2025-03-03T12:00:00+08:00")
    metered.report([event("acct-1", "settled", "2025-03-03T12:00:00+08:00")])
    metered.move("2025-03-04T09:00:00+08:00")
    before = tables(metered)
    reply = agree(metered, kind, KINDS[kind][value], "2025-03-01", until)
    if fits:
        assert reply.status == 200
    else:
        assert (reply.status, reply.code) == (409, "already_settled")
        assert tables(metered) == before


def test_a_settlement_in_between_is_seen(metered: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a run settles a day between the reads and the write, the terms of that day stay as they were."""
    metered.report([event("acct-1", "e-1", "2025-03-01T10:00:00+08:00")])
    metered.now = at("2025-03-02T08:00:00+08:00")
    meanwhile(monkeypatch, metered.run)
    assert agree(metered, "discounts", "0.5", "2025-03-01").code == "already_settled"
    assert (periods(metered, "discounts"), [amount for _, amount in charges(metered)]) == ([], ["-0.30"])


def test_a_lost_answer_is_found(metered: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was agreed though the answer was lost is answered as agreed, and is there once."""
    lose_answer(monkeypatch)
    assert agree(metered, "discounts", "0.9", "2025-03-01").status == 200
    assert periods(metered, "discounts") == [(TAG, "0.9", "2025-03-01", None)]


def test_two_at_once_are_both_agreed(metered: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who comes second adds to what the first one left, and is refused where that now overlaps."""
    meanwhile(monkeypatch, lambda: agree(metered, "contract-prices", "0.2", "2025-03-01", tag="photo_v2"))
    assert agree(metered, "contract-prices", "0.2", "2025-03-01").status == 200
    assert len(periods(metered, "contract-prices")) == 2
    meanwhile(monkeypatch, lambda: agree(metered, "discounts", "0.9", "2025-03-02"))
    assert agree(metered, "discounts", "0.9", "2025-03-01").code == "overlaps"


# --- what it does to a bill -----------------------------------------------------------------------------------


def charged_by_day(product: Product, *days: str) -> list[str]:
    """What ten calls of each day cost at 0.30, once all are settled."""
    for number, day in enumerate(days):
        product.now = at(f"{day}T12:00:00+08:00")
        product.report(events("acct-1", 10, f"{day}T12:00:00+08:00", prefix=f"d{number}"))
        product.move(f"{day}T23:00:00+08:00")
    product.move("2025-03-20T09:00:00+08:00")
    return [amount for _, amount in charges(product)]


def test_each_day_has_its_own_price(metered: Product) -> None:
    """A discount holds from its first day to the one before `until`; a contract price replaces it (D18)."""
    agree(metered, "discounts", "0.9", "2025-03-02", "2025-03-05")
    agree(metered, "contract-prices", "0.1", "2025-03-03", "2025-03-04")
    days = [f"2025-03-{day:02d}" for day in range(1, 6)]
    assert charged_by_day(metered, *days) == ["-3.00", "-2.70", "-1.00", "-2.70", "-3.00"]


def test_late_usage_has_the_price_of_its_day(metered: Product) -> None:
    """A discount that ended, or began later, does not price the late call of another day (D4, D18)."""
    agree(metered, "discounts", "0.5", "2025-03-02", "2025-03-03")
    assert charged_by_day(metered, "2025-03-01", "2025-03-02", "2025-03-03") == ["-3.00", "-1.50", "-3.00"]
    metered.report([event("acct-1", "late-1", "2025-03-01T12:00:00+08:00")])
    metered.report([event("acct-1", "late-2", "2025-03-02T12:00:00+08:00")])
    metered.move("2025-03-21T09:00:00+08:00")
    assert [amount for _, amount in charges(metered)][3:] == ["-0.30", "-0.15"]


def test_a_month_is_priced_by_period(product: Product) -> None:
    """A monthly account has one line per price period, each at the price of its own days (D19)."""
    product.open_account("acct-1", cash="1000.00", opened_at="2022-01-01T00:00:00+08:00")
    agree(product, "contract-prices", "0.1", "2025-03-03")
    assert charged_by_day(product, "2025-03-01", "2025-03-05") == []
    product.move("2025-04-01T09:00:00+08:00")
    assert [amount for _, amount in charges(product)] == ["-4.00"]
    assert agree(product, "contract-prices", "0.2", "2025-03-31").code == "already_settled"
    assert agree(product, "contract-prices", "0.1", "2025-03-03", "2025-04-01").status == 200


# --- refusals -------------------------------------------------------------------------------------------------


@both
@pytest.mark.parametrize("tag", ["%00", "%0A", "identity_check%7F"])
def test_a_path_that_no_route_takes(metered: Product, kind: str, tag: str) -> None:
    """Control characters are in no path; the answer is a problem document all the same."""
    reply = put(metered, kind, {KINDS[kind][0]: "0.5", "from": "2025-03-01"}, tag)
    assert (reply.status, reply.code.endswith("_not_found")) == (404, True)


@both
@pytest.mark.parametrize("tag", ["nothing", "IDENTITY_CHECK", "identity_check%20", "账", "x" * 2000])
def test_a_tag_must_be_known(metered: Product, kind: str, tag: str) -> None:
    """404 `tag_not_found`, before the body is looked at, and nothing is kept."""
    before = tables(metered)
    bodies: list[Any] = [{KINDS[kind][0]: "0.5", "from": "2025-03-01"}, {"wrong": 1}, {}, [], "{"]
    for body in bodies:
        reply = put(metered, kind, body, tag)
        assert (reply.status, reply.code) == (404, "tag_not_found")
    assert tables(metered) == before


BAD_DAYS: list[tuple[dict[str, Any], str]] = [
    ({"from": None}, "from"),
    ({"from": "2025-02-30"}, "from"),
    ({"from": "2025-3-1"}, "from"),
    ({"from": "2025-03-01T00:00:00+08:00"}, "from"),
    ({"from": 20250301}, "from"),
    ({"until": "2025-03-10"}, "until"),
    ({"until": "2025-03-09"}, "until"),
    ({"until": ""}, "until"),
    ({"until": False}, "until"),
    ({"to": "2025-04-01"}, "to"),
    ({"tag": TAG}, "tag"),
]
BAD_VALUES = ["0", "-0.1", "0.00", "1e-1", ".5", "1.", "", " 0.5", "NaN", "0.123456789", "1" * 1000, 0.5, 1, None, True]
BAD = {
    "discounts": [*BAD_VALUES, "1.0001", "0.12345", "0.90000", "2"],
    "contract-prices": [*BAD_VALUES, "1000000000", "0.100000000"],
}


@both
@pytest.mark.parametrize("fields, wrong", BAD_DAYS, ids=[repr(fields) for fields, _ in BAD_DAYS])
def test_days_that_are_none(metered: Product, kind: str, fields: dict[str, Any], wrong: str) -> None:
    """Wrong days, backwards and empty periods and unknown fields are named, and nothing is kept."""
    before = tables(metered)
    reply = put(metered, kind, {KINDS[kind][0]: "0.5", "from": "2025-03-10", **fields})
    assert (reply.status, [error["field"] for error in reply.body["errors"]]) == (422, [wrong])
    assert tables(metered) == before


@pytest.mark.parametrize("kind, value", [(kind, value) for kind, values in BAD.items() for value in values])
def test_values_that_cannot_be_agreed(metered: Product, kind: str, value: object) -> None:
    """Nothing but plain decimals within the bounds, as text."""
    before = tables(metered)
    reply = put(metered, kind, {KINDS[kind][0]: value, "from": "2025-03-10"})
    assert (reply.status, [error["field"] for error in reply.body["errors"]]) == (422, [KINDS[kind][0]])
    assert tables(metered) == before
