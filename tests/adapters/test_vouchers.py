"""Vouchers: issued once per key, spent by settlements, listed for good (contract, Accounts; D16; facts.md 3.5)."""

from __future__ import annotations

from typing import Any

import pytest

from accounts import vouchers
from tests.adapters.steps import A, at, balance, kept, lose_answer, meanwhile, pages, rows, tables
from tests.support.product import CUSTOMER, Product, Reply, events


def issue(product: Product, key: str | None = "k-1", account_id: str = "acct-1", **fields: Any) -> Reply:
    """POST A/vouchers: ten yuan for settlements, unless said otherwise."""
    body = {"amount": "10.00", "scene": "postpaid", **fields}
    headers = {} if key is None else {"Idempotency-Key": key}
    return product.request("POST", f"/v1/accounts/{account_id}/vouchers", body, headers=headers)


def listed(product: Product) -> list[dict[str, Any]]:
    """GET A/vouchers."""
    return rows(product, f"{A}/vouchers")


def states(product: Product) -> list[tuple[str, str]]:
    """(remaining, status) of every voucher, oldest first."""
    return [(one["remaining"], one["status"]) for one in listed(product)]


def living(product: Product) -> list[str]:
    """Ids of the vouchers that are kept with the account."""
    return sorted(one.voucher_id for one in kept(product).vouchers)


# --- issuing --------------------------------------------------------------------------------------------------


def test_a_voucher_is_issued(metered: Product) -> None:
    """The answer says what was asked for, when it was issued, and that all of it is left."""
    metered.now = at("2025-03-01T10:00:00.900+08:00")
    reply = issue(
        metered,
        amount="50",
        scene="prepaid",
        threshold="99.9",
        expires_at="2025-06-01T00:00:00.999+09:00",
        single_use=True,
    )
    voucher_id = reply.body["voucher_id"]
    assert voucher_id.startswith("voucher-20250301100000-")
    assert reply.status == 201
    assert reply.body == {
        "voucher_id": voucher_id,
        "scene": "prepaid",
        "amount": "50.00",
        "remaining": "50.00",
        "threshold": "99.90",
        "single_use": True,
        "issued_at": "2025-03-01T10:00:00+08:00",
        "expires_at": "2025-05-31T23:00:00+08:00",
        "status": "active",
    }
    assert listed(metered) == [reply.body]
    assert balance(metered)["available"] == "1000.00"


def test_only_amount_and_scene_are_needed(metered: Product) -> None:
    """Without more a voucher has no threshold, never expires and is spent bit by bit."""
    body = issue(metered).body
    assert (body["threshold"], body["expires_at"], body["single_use"]) == ("0.00", None, False)


def test_a_voucher_is_issued_once_per_key(metered: Product) -> None:
    """The same request again has the first answer, byte for byte, also after the expiry; another body is refused."""
    expires_at = "2025-03-02T10:00:00+08:00"
    first = issue(metered, expires_at=expires_at)
    before = tables(metered)
    for now in ("2025-03-01T12:00:00+08:00", "2025-04-01T12:00:00+08:00"):
        metered.now = at(now)
        again = issue(metered, expires_at=expires_at)
        assert (again.status, again.text, again.headers["idempotent-replayed"]) == (201, first.text, "true")
    assert issue(metered).code == "idempotency_key_reused"
    assert issue(metered, None).code == "idempotency_key_missing"
    assert tables(metered) == before


def test_a_lost_answer_is_found(metered: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    """A voucher that was issued though the answer was lost is there once."""
    lose_answer(monkeypatch)
    reply = issue(metered)
    assert reply.status == 201
    assert listed(metered) == [reply.body]


def test_two_at_once_are_both_issued(metered: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who comes second reads again; each voucher has an id of its own."""
    meanwhile(monkeypatch, lambda: issue(metered, "other"))
    assert issue(metered).status == 201
    assert len({one["voucher_id"] for one in listed(metered)}) == len(living(metered)) == 2


@pytest.mark.parametrize(
    "expires_at", ["2025-03-01T10:00:00+08:00", "2025-03-01T10:00:00.900+08:00", "2024-01-01T00:00:00Z"]
)
def test_an_expiry_is_to_come(metered: Product, expires_at: str) -> None:
    """In whole seconds, and after now; nothing is kept of a refusal, not even the key."""
    before = tables(metered)
    reply = issue(metered, expires_at=expires_at)
    assert (reply.status, [error["field"] for error in reply.body["errors"]]) == (422, ["expires_at"])
    assert tables(metered) == before
    assert issue(metered, expires_at="2025-03-01T10:00:01+08:00").status == 201


BAD = [
    *(({"amount": amount}, "amount") for amount in ("0", "-1", "0.001", "1000000000.01", "1e3", "", 1, 1.5, None)),
    *(({"threshold": text}, "threshold") for text in ("-0.01", "0.001", "1000000001", "", 0, None)),
    *(({"scene": scene}, "scene") for scene in ("both", "POSTPAID", "", None, 1)),
    *(({"expires_at": when}, "expires_at") for when in ("2025-06-01", "tomorrow", "2025-06-01T00:00:00", 1, "")),
    *(({"single_use": value}, "single_use") for value in ("true", 1, None)),
    ({"remaining": "10.00"}, "remaining"),
    ({"voucher_id": "voucher-1"}, "voucher_id"),
]


@pytest.mark.parametrize("fields, wrong", BAD, ids=[repr(fields) for fields, _ in BAD])
def test_what_a_voucher_may_say(metered: Product, fields: dict[str, Any], wrong: str) -> None:
    """Wrong and unknown fields are named, and nothing is issued."""
    before = tables(metered)
    reply = issue(metered, **fields)
    assert (reply.status, [error["field"] for error in reply.body["errors"]]) == (422, [wrong])
    assert tables(metered) == before


# --- the bound ------------------------------------------------------------------------------------------------


def test_vouchers_to_spend_are_bounded(metered: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound a voucher is refused without a trace; those that have expired do not count."""
    monkeypatch.setattr(vouchers, "MAX_VOUCHERS", 3)
    for number in range(3):
        assert issue(metered, str(number), expires_at=f"2025-03-0{number + 2}T00:00:00+08:00").status == 201
    before = tables(metered)
    reply = issue(metered, "refused")
    assert (reply.status, reply.code) == (409, "too_many_vouchers")
    assert tables(metered) == before
    metered.now = at("2025-03-02T00:00:00+08:00")
    assert issue(metered, "refused").status == 201
    assert issue(metered, "again").code == "too_many_vouchers"


def test_expired_vouchers_are_moved_away(metered: Product) -> None:
    """A new voucher takes some expired ones from the account's side; the list still has every one of them."""
    for number in range(7):
        issue(metered, str(number), expires_at="2025-03-02T00:00:00+08:00")
    everything = [one["voucher_id"] for one in listed(metered)]
    metered.now = at("2025-03-02T00:00:00+08:00")
    for number, left in enumerate([3, 2, 3]):
        everything.append(issue(metered, f"new-{number}").body["voucher_id"])
        assert len(living(metered)) == left
    assert [one["voucher_id"] for one in listed(metered)] == everything
    assert states(metered) == [("10.00", "expired")] * 7 + [("10.00", "active")] * 3


# --- reading --------------------------------------------------------------------------------------------------


def test_the_status_goes_by_the_clock(metered: Product) -> None:
    """A voucher is expired from its expiry on, and never again anything else."""
    issue(metered, expires_at="2025-03-02T00:00:00+08:00")
    metered.now = at("2025-03-01T23:59:59+08:00")
    assert states(metered) == [("10.00", "active")]
    metered.now = at("2025-03-02T00:00:00+08:00")
    assert states(metered) == [("10.00", "expired")]


def test_a_customer_reads_its_own_vouchers(metered: Product) -> None:
    """Each account has its own list; a customer reads it and issues nothing."""
    metered.open_account("acct-2")
    mine, other = issue(metered).body, issue(metered, account_id="acct-2").body
    reply = metered.request("GET", f"{A}/vouchers", None, CUSTOMER, "acct-1")
    assert reply.body == {"items": [mine], "next_cursor": None}
    assert rows(metered, "/v1/accounts/acct-2/vouchers") == [other]
    body = {"amount": "1.00", "scene": "postpaid"}
    refused = metered.request("POST", f"{A}/vouchers", body, CUSTOMER, "acct-1", {"Idempotency-Key": "k"})
    assert (refused.status, refused.code) == (403, "forbidden")


@pytest.mark.parametrize("limit", [1, 2, 3, 9])
def test_pages_hold_every_voucher_once(metered: Product, limit: int) -> None:
    """Living and spent ones together, oldest first, whatever the size of a page."""
    made = []
    for number in range(6):
        expires_at = "2025-03-02T00:00:00+08:00" if number % 2 else None
        made.append(issue(metered, str(number), expires_at=expires_at).body["voucher_id"])
    metered.now = at("2025-03-02T00:00:00+08:00")
    made.append(issue(metered, "moves three").body["voucher_id"])
    assert len(living(metered)) == 4
    found = [one["voucher_id"] for page in pages(metered, f"{A}/vouchers", limit) for one in page]
    assert found == made
    assert metered.get(f"{A}/vouchers", cursor="nonsense").status == 422


# --- spending -------------------------------------------------------------------------------------------------


def spend(product: Product, calls: int) -> None:
    """Usage of today at 0.30 a call, and the run of tomorrow."""
    product.report(events("acct-1", calls, product.now.isoformat(), prefix=product.now.isoformat()))
    product.move(f"{product.now.date().replace(day=product.now.day + 1)}T09:00:00+08:00")


def test_a_settlement_spends_a_voucher(metered: Product) -> None:
    """What the voucher pays is no money of the account; the rest of it pays the next bill, then cash does."""
    issue(metered)
    spend(metered, 20)
    assert (states(metered), balance(metered)["available"]) == ([("4.00", "active")], "1000.00")
    spend(metered, 20)
    assert (states(metered), balance(metered)["available"]) == ([("0.00", "used")], "998.00")
    assert living(metered) == []
    entries = [(entry["fund"], entry["amount"], entry["balance_after"]) for entry in rows(metered, f"{A}/journal")]
    assert entries[1:] == [
        ("voucher", "-6.00", "4.00"),
        ("voucher", "-4.00", "0.00"),
        ("cash", "-2.00", "998.00"),
    ]


def test_a_single_use_loses_what_is_left(metered: Product) -> None:
    """After its one payment it is used, however little that was."""
    issue(metered, single_use=True)
    spend(metered, 1)
    assert (states(metered), balance(metered)["available"]) == ([("0.00", "used")], "1000.00")


@pytest.mark.parametrize(
    "fields",
    [{"scene": "prepaid"}, {"threshold": "0.31"}, {"expires_at": "2025-03-02T08:00:00+08:00"}],
    ids=repr,
)
def test_what_does_not_fit_is_not_spent(metered: Product, fields: dict[str, Any]) -> None:
    """A settlement leaves vouchers for orders, those with a higher threshold and expired ones alone."""
    issue(metered, **fields)
    spend(metered, 1)
    assert (listed(metered)[0]["remaining"], balance(metered)["available"]) == ("10.00", "999.70")


def test_one_voucher_a_bill(metered: Product) -> None:
    """The first to expire of those that pay all is taken, and no second one helps (facts.md 3.5)."""
    issue(metered, "small", amount="2.00", expires_at="2025-04-01T00:00:00+08:00")
    issue(metered, "enough", amount="5.00", expires_at="2025-05-01T00:00:00+08:00")
    issue(metered, "forever", amount="100.00")
    spend(metered, 10)
    assert [remaining for remaining, _ in states(metered)] == ["2.00", "2.00", "100.00"]
    spend(metered, 1000)
    assert [remaining for remaining, _ in states(metered)] == ["0.00", "2.00", "100.00"]
    assert balance(metered)["available"] == "702.00"
