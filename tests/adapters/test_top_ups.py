"""Money in: amounts, funds, the journal, and requests with a key (contract, Conventions and Accounts; D17)."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from tests.adapters.steps import NOW, A, at, balance, later, pages, prepared, rows, tables, total
from tests.support.product import CUSTOMER, Product, Reply, events

BODY = {"fund": "cash", "amount": "10.00"}
FUNDS = ("cash", "income_transfer", "gift")


def pay(
    product: Product, key: str | None = "k-1", body: Any = None, account_id: str = "acct-1", **headers: str
) -> Reply:
    """POST A/top-ups."""
    given = {**({} if key is None else {"Idempotency-Key": key}), **headers}
    return product.request("POST", f"/v1/accounts/{account_id}/top-ups", BODY if body is None else body, headers=given)


@pytest.fixture
def poor(product: Product, opened: dict[str, list[Any]]) -> Product:
    """An open account without money, and another one."""

    def open_both() -> None:
        product.open_account("acct-1")
        product.open_account("acct-2")

    prepared(product, opened, "poor", open_both)
    return product


@pytest.mark.parametrize("fund", FUNDS)
def test_money_goes_into_its_fund(poor: Product, fund: str) -> None:
    """A top-up is booked into the fund that it names, and the answer shows the balance after it."""
    reply = pay(poor, body={"fund": fund, "amount": "12.30"})
    assert reply.status == 201
    assert set(reply.body) == {"transaction_id", "balance"}
    expected = {"available": "12.30", **dict.fromkeys(FUNDS, "0.00"), fund: "12.30"}
    assert reply.body["balance"] == balance(poor) == expected
    (entry,) = rows(poor, f"{A}/journal")
    assert {name: entry[name] for name in entry if name != "entry_id"} == {
        "occurred_at": NOW,
        "kind": "top_up",
        "fund": fund,
        "amount": "12.30",
        "balance_after": "12.30",
        "reference": reply.body["transaction_id"],
    }


@pytest.mark.parametrize(
    "amount, shown",
    [
        ("0.01", "0.01"),
        ("1", "1.00"),
        ("1.5", "1.50"),
        ("17000.00", "17000.00"),
        ("1000000000", "1000000000.00"),
        ("1000000000.00", "1000000000.00"),
        ("999999999.99", "999999999.99"),
    ],
)
def test_amounts_that_can_be_paid(poor: Product, amount: str, shown: str) -> None:
    """Above 0, at most 10^9 and at most 2 decimals, as text; answered with 2 decimals."""
    assert pay(poor, body={"fund": "cash", "amount": amount}).body["balance"]["cash"] == shown


BAD_AMOUNTS = [
    "0",
    "0.00",
    "-0.01",
    "-0",
    "0.001",
    "0.010",
    "1.005",
    "1000000000.01",
    "1000000001",
    "1e3",
    "1E3",
    "1e-2",
    "+1",
    " 1",
    "1 ",
    "1\n",
    "1,000.00",
    "1_000",
    "1.",
    ".5",
    ".",
    "",
    "-",
    "0x10",
    "NaN",
    "Infinity",
    "-Infinity",
    "sNaN",
    "ten",
    "¥1",
    "１.００",
    "١",
    "1.00元",
    "9" * 100,
    "0." + "0" * 5000 + "1",
    "9" * 10_000,
    1,
    1.5,
    10**30,
    True,
    None,
    ["1"],
    {"amount": "1"},
]


@pytest.mark.parametrize("amount", BAD_AMOUNTS, ids=lambda amount: repr(amount)[:30])
def test_amounts_that_cannot_be_paid(poor: Product, amount: object) -> None:
    """Anything else, numbers included, is refused and moves nothing."""
    before = tables(poor)
    reply = pay(poor, body={"fund": "cash", "amount": amount})
    assert (reply.status, reply.code) == (422, "invalid_request")
    assert [error["field"] for error in reply.body["errors"]] == ["amount"]
    assert tables(poor) == before


@pytest.mark.parametrize(
    "body, wrong",
    [
        ({"amount": "1.00"}, {"fund"}),
        ({"fund": "cash"}, {"amount"}),
        ({}, {"fund", "amount"}),
        ({"fund": "voucher", "amount": "1.00"}, {"fund"}),
        ({"fund": "CASH", "amount": "1.00"}, {"fund"}),
        ({"fund": None, "amount": "1.00"}, {"fund"}),
        ({"fund": ["cash"], "amount": "1.00"}, {"fund"}),
        ({**BODY, "currency": "USD"}, {"currency"}),
        ({**BODY, "fund": "x", "amount": "x", "y": 1}, {"fund", "amount", "y"}),
    ],
)
def test_what_a_top_up_may_say(poor: Product, body: dict[str, Any], wrong: set[str]) -> None:
    """Missing, wrong and unknown fields are named."""
    before = tables(poor)
    reply = pay(poor, body=body)
    assert (reply.status, {error["field"] for error in reply.body["errors"]}) == (422, wrong)
    assert tables(poor) == before


def test_one_customer_cannot_top_up(poor: Product) -> None:
    """Money comes in through the operator alone."""
    reply = poor.request("POST", f"{A}/top-ups", BODY, CUSTOMER, "acct-1", {"Idempotency-Key": "k"})
    assert (reply.status, reply.code) == (403, "forbidden")


@pytest.mark.parametrize("key", [None, ""])
def test_a_key_is_needed(poor: Product, key: str | None) -> None:
    """Without a key, or with an empty one, nothing happens."""
    before = tables(poor)
    reply = pay(poor, key)
    assert (reply.status, reply.code) == (400, "idempotency_key_missing")
    assert tables(poor) == before


def test_a_key_has_at_most_255_characters(poor: Product) -> None:
    """255 characters are a key, 256 are none."""
    before = tables(poor)
    reply = pay(poor, "k" * 256)
    assert (reply.status, reply.code) == (422, "invalid_request")
    assert tables(poor) == before
    assert pay(poor, "k" * 255).status == 201


@pytest.mark.parametrize("key", ["k", "'; DROP TABLE ledger; --", "a#b#c", "../x", "é", "账", "null", "0", "a b"])
def test_a_key_may_be_any_text(poor: Product, key: str) -> None:
    """Keys are compared as they are."""
    first = pay(poor, key)
    assert first.status == 201
    assert pay(poor, key).text == first.text
    assert pay(poor, key.upper() + "x").body["balance"]["cash"] == "20.00"


def test_the_same_request_again_has_the_first_answer_byte_for_byte(poor: Product) -> None:
    """A repeat, at once or much later, is answered as at first, marked as replayed, and moves nothing."""
    first = pay(poor)
    assert "idempotent-replayed" not in first.headers
    pay(poor, "k-2")
    for now in (NOW, "2025-03-01T10:00:01+08:00", "2027-03-01T10:00:00+08:00"):
        poor.now = at(now)
        before = tables(poor)
        again = pay(poor)
        assert (again.status, again.text) == (first.status, first.text)
        assert again.headers == {**first.headers, "idempotent-replayed": "true"}
        assert tables(poor) == before
    assert balance(poor)["cash"] == "20.00"


@pytest.mark.parametrize(
    "text",
    [
        '{"fund":"cash","amount":"10.00"}',
        '{"amount":"10.00","fund":"cash"}',
        ' {\n\t"fund" : "cash",\r\n "amount" : "10.00" } ',
        '{"f\\u0075nd":"c\\u0061sh","amount":"10.\\u00300"}',
    ],
)
def test_how_a_body_is_written_does_not_make_it_another(poor: Product, text: str) -> None:
    """White space, escapes and the order of fields do not matter to a key."""
    first = pay(poor)
    again = pay(poor, body=text)
    assert (again.status, again.text, again.headers["idempotent-replayed"]) == (201, first.text, "true")


@pytest.mark.parametrize(
    "body",
    [
        {**BODY, "amount": "10.01"},
        {**BODY, "amount": "10.0"},
        {**BODY, "amount": "10"},
        {**BODY, "fund": "gift"},
    ],
)
def test_a_key_is_not_for_another_body(poor: Product, body: dict[str, str]) -> None:
    """The same key with another body is refused, before and after a replay, and changes nothing."""
    first = pay(poor)
    before = tables(poor)
    reply = pay(poor, body=body)
    assert (reply.status, reply.code) == (422, "idempotency_key_reused")
    assert pay(poor).text == first.text
    assert tables(poor) == before


def test_a_body_that_is_wrong_is_refused_with_a_used_key_too(poor: Product) -> None:
    """A wrong body is an invalid request whatever its key, and the key still stands for its first request."""
    first = pay(poor)
    assert pay(poor, body={"fund": "cash"}).code in {"invalid_request", "idempotency_key_reused"}
    assert pay(poor, body="{").code == "malformed_body"
    assert pay(poor).text == first.text


def test_a_refusal_is_not_kept(poor: Product) -> None:
    """After a refusal the same key may be tried again, with another body or for an account that now exists."""
    assert pay(poor, body={"fund": "cash", "amount": "0"}).status == 422
    assert pay(poor, body="{").status == 400
    assert pay(poor, body=BODY, account_id="acct-3").status == 404
    assert pay(poor).status == 201
    poor.open_account("acct-3")
    assert pay(poor, body=BODY, account_id="acct-3").status == 201


def test_a_key_belongs_to_its_account(poor: Product) -> None:
    """The same key on another account is another request, with its own body."""
    first = pay(poor)
    other = pay(poor, body={"fund": "gift", "amount": "5.00"}, account_id="acct-2")
    assert (first.status, other.status) == (201, 201)
    assert "idempotent-replayed" not in other.headers
    assert balance(poor, "acct-2")["gift"] == "5.00"


def test_headers_and_parameters_are_no_part_of_a_request(poor: Product) -> None:
    """A repeat from another client, through another proxy, is a repeat."""
    first = pay(poor)
    again = pay(poor, **{"user-agent": "another", "content-type": "application/json; charset=utf-8"})
    assert (again.status, again.text) == (201, first.text)


def test_the_journal_is_the_funds(metered: Product) -> None:
    """Entry by entry the journal adds up to what each fund holds, and says what it held in between."""
    for number in range(12):
        metered.now = at(later(metered, hours=7))
        metered.top_up("acct-1", f"{number + 1}.{number:02d}", FUNDS[number % 3], key=str(number))
        metered.report(events("acct-1", 40 + number, metered.now.isoformat(), prefix=str(number)))
        metered.move(later(metered, hours=1))
    metered.move("2025-03-10T09:00:00+08:00")
    entries = rows(metered, f"{A}/journal")
    assert {entry["kind"] for entry in entries} == {"top_up", "settlement"}
    assert len({entry["entry_id"] for entry in entries}) == len(entries)
    assert [entry["occurred_at"] for entry in entries] == sorted(entry["occurred_at"] for entry in entries)
    held = dict.fromkeys(FUNDS, Decimal(0))
    for entry in entries:
        held[entry["fund"]] += Decimal(entry["amount"])
        assert Decimal(entry["balance_after"]) == held[entry["fund"]]
    shown = balance(metered)
    assert {fund: Decimal(shown[fund]) for fund in FUNDS} == held
    assert Decimal(shown["available"]) == sum(held.values()) == total(entries, "amount")


def test_charges_take_gifts_then_income_then_cash(poor: Product) -> None:
    """A charge is paid from the gift fund, then income transfers, then cash, which may go below zero (D16, D17)."""
    for fund, amount in (("cash", "1.00"), ("income_transfer", "0.50"), ("gift", "0.25")):
        pay(poor, fund, {"fund": fund, "amount": amount})
    poor.report(events("acct-1", 10, NOW))
    poor.move("2025-03-02T09:00:00+08:00")
    charges = [entry for entry in rows(poor, f"{A}/journal") if entry["kind"] == "settlement"]
    assert [(entry["fund"], entry["amount"], entry["balance_after"]) for entry in charges] == [
        ("gift", "-0.25", "0.00"),
        ("income_transfer", "-0.50", "0.00"),
        ("cash", "-2.25", "-1.25"),
    ]
    (row,) = poor.get(f"{A}/bills/resources", month="2025-03").body["items"]
    assert [row[fund] for fund in ("gift", "income_transfer", "cash", "voucher")] == ["0.25", "0.50", "2.25", "0.00"]


@pytest.mark.parametrize(
    "query, expected",
    [
        ({}, [0, 1, 2, 3, 4]),
        ({"from": "2025-03-02"}, [1, 2, 3, 4]),
        ({"to": "2025-03-02"}, [0, 1, 2]),
        ({"from": "2025-03-02", "to": "2025-03-02"}, [1, 2]),
        ({"from": "2025-03-03", "to": "2025-03-04"}, [3, 4]),
        ({"from": "2025-03-05"}, []),
        ({"to": "2025-02-28"}, []),
        ({"from": "0001-01-01", "to": "9999-12-31"}, [0, 1, 2, 3, 4]),
    ],
)
def test_days_of_the_journal(poor: Product, query: dict[str, str], expected: list[int]) -> None:
    """`from` and `to` are days in Shanghai, both included, by the second at which money moved."""
    times = ["01T23:59:59.999", "02T00:00:00", "02T23:59:59", "03T00:00:00", "04T12:00:00"]
    for number, time in enumerate(times):
        poor.now = at(f"2025-03-{time}+08:00")
        pay(poor, str(number), {"fund": "cash", "amount": f"{number + 1}.00"})
    items = poor.request("GET", f"{A}/journal", query=query).body["items"]
    assert [entry["amount"] for entry in items] == [f"{number + 1}.00" for number in expected]


@pytest.mark.parametrize(
    "query",
    [
        {"from": "2025-03-02", "to": "2025-03-01"},
        {"from": "2025-02-30"},
        {"from": "1"},
        {"to": "2025-03"},
        {"to": ""},
        {"limit": "0"},
        {"limit": "1001"},
        {"cursor": "nonsense"},
    ],
    ids=repr,
)
def test_what_a_journal_cannot_be_asked(poor: Product, query: dict[str, str]) -> None:
    """Backwards ranges, no days, and pages that there are not."""
    reply = poor.request("GET", f"{A}/journal", query=query)
    assert (reply.status, reply.code) == (422, "invalid_request")


@pytest.mark.parametrize("limit", [2, 7])
def test_pages_of_the_journal_are_stable(poor: Product, limit: int) -> None:
    """Pages hold every entry once, oldest first, and a page does not move when new entries come."""
    for number in range(7):
        pay(poor, str(number), {"fund": "cash", "amount": f"{number + 1}.00"})
    first = poor.get(f"{A}/journal", limit=str(limit)).body
    everything = pages(poor, f"{A}/journal", limit)
    assert [entry["amount"] for page in everything for entry in page] == [f"{n + 1}.00" for n in range(7)]
    pay(poor, "new", {"fund": "cash", "amount": "8.00"})
    again = pages(poor, f"{A}/journal", limit)
    full = [page for page in everything if len(page) == limit]
    assert again[: len(full)] == full
    if first["next_cursor"] is not None:
        following = poor.get(f"{A}/journal", limit=str(limit), cursor=first["next_cursor"]).body["items"]
        assert following == again[1]


def test_a_cursor_belongs_to_its_list(poor: Product) -> None:
    """A cursor of another account's journal that names nothing here is refused."""
    for number in range(9):
        pay(poor, str(number), BODY, account_id="acct-2")
    for _ in range(2):
        pay(poor, json.dumps(_), BODY)
    cursor = poor.get("/v1/accounts/acct-2/journal", limit="8").body["next_cursor"]
    reply = poor.get(f"{A}/journal", cursor=cursor)
    assert (reply.status, reply.code) == (422, "invalid_request")
