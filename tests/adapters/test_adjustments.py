"""Adjustments: the operator compensates or charges, with a bill that says why (contract, Accounts; D16, D17, D21)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from aws_platform.bills import bills_by_charge
from rating.bill import Bill, TransactionType
from rating.funds import Fund
from tests.adapters.prepaid import SKU, give_back, order, packages
from tests.adapters.steps import A, at, balance, kept, lose_answer, meanwhile, rows, tables
from tests.support.product import Product, Reply, events

REASON = "an outage on 27 February"


def adjust(product: Product, amount: Any, key: str | None = "k-1", **fields: Any) -> Reply:
    """POST A/adjustments."""
    headers = {} if key is None else {"Idempotency-Key": key}
    body = {"amount": amount, "reason": REASON, **fields}
    return product.request("POST", f"{A}/adjustments", body, headers=headers)


def bills(product: Product, month: str = "2025-03") -> list[Bill]:
    """The bills of a month, as issued."""
    return list(bills_by_charge(product.dynamodb, "ledger", "acct-1", month))


def entries(product: Product) -> list[tuple[str, str, str, str]]:
    """(fund, amount, balance after, reference) of each entry of an adjustment."""
    found = [entry for entry in rows(product, f"{A}/journal") if entry["kind"] == "adjustment"]
    return [(entry["fund"], entry["amount"], entry["balance_after"], entry["reference"]) for entry in found]


def test_a_compensation_goes_to_cash(metered: Product) -> None:
    """A positive amount is paid into cash; its bill and its payment say so with the sign of a bill."""
    metered.now = at("2025-03-01T10:00:00.900+08:00")
    reply = adjust(metered, "12.5", corrects="top-up-4-ba36a4ed")
    bill_id = reply.body["bill_id"]
    assert reply.status == 201
    assert bill_id.startswith("adjustment-20250301100000-")
    assert reply.body == {
        "transaction_id": f"{bill_id}-1",
        "bill_id": bill_id,
        "amount": "12.50",
        "payment": {"voucher": "0.00", "gift": "0.00", "income_transfer": "0.00", "cash": "-12.50"},
        "balance": {"available": "1012.50", "cash": "1012.50", "income_transfer": "0.00", "gift": "0.00"},
    }
    assert entries(metered) == [("cash", "12.50", "1012.50", bill_id)]
    assert balance(metered) == reply.body["balance"]
    (bill,) = bills(metered)
    assert (bill.bill_id, bill.transaction_type) == (bill_id, TransactionType.ADJUSTMENT)
    assert (bill.charged_at, bill.reason, bill.corrects) == (
        at("2025-03-01T10:00:00+08:00"),
        REASON,
        "top-up-4-ba36a4ed",
    )


def test_a_charge_takes_the_usual_order(metered: Product) -> None:
    """A negative amount is paid by gift, income transfer, then cash (D16)."""
    metered.top_up("acct-1", "1.00", "gift")
    metered.top_up("acct-1", "2.00", "income_transfer")
    reply = adjust(metered, "-10.00")
    assert reply.body["payment"] == {"voucher": "0.00", "gift": "1.00", "income_transfer": "2.00", "cash": "7.00"}
    assert reply.body["balance"] == {"available": "993.00", "cash": "993.00", "income_transfer": "0.00", "gift": "0.00"}
    assert [entry[:3] for entry in entries(metered)] == [
        ("gift", "-1.00", "0.00"),
        ("income_transfer", "-2.00", "0.00"),
        ("cash", "-7.00", "993.00"),
    ]


@pytest.mark.parametrize("amount", ["5.25", "-5.25", "0.01", "-1000000000.00"])
def test_the_bill_adds_up(metered: Product, amount: str) -> None:
    """One charge of one line of quantity 1, for no tag: amount, details and payment are the same fee."""
    metered.top_up("acct-1", "1.00", "gift")
    assert adjust(metered, amount).status == 201
    (bill,) = bills(metered)
    fee = -Decimal(amount)
    ((charge,), (line,)) = (bill.charges, bill.charges[0].lines)
    assert (charge.tag, charge.amount, charge.details, bill.amount) == ("", fee, fee, fee)
    assert sum(charge.payment.values(), Decimal(0)) == sum(line.payment.values(), Decimal(0)) == fee
    assert (line.line.quantities.raw, line.line.quantities.postpaid) == (1, 1)
    assert (line.line.price.unit_price, line.line.price.list_price) == (fee, None)
    assert Fund.VOUCHER not in charge.payment


def test_a_bill_is_of_the_day_in_shanghai(metered: Product) -> None:
    """Day and month of an adjustment are those of the charge (D1)."""
    metered.now = at("2025-03-31T16:00:00+00:00")
    adjust(metered, "1.00")
    (bill,) = bills(metered, "2025-04")
    assert (bill.charge_month, bill.usage_month) == ("2025-04", "2025-04")
    assert (bill.first_day.isoformat(), bill.last_day.isoformat()) == ("2025-04-01", "2025-04-01")


def test_no_voucher_pays_an_adjustment(metered: Product) -> None:
    """Vouchers are for orders and settlements only (facts.md 3.5)."""
    voucher = {"amount": "50.00", "scene": "postpaid"}
    assert metered.request("POST", f"{A}/vouchers", voucher, headers={"Idempotency-Key": "v"}).status == 201
    assert adjust(metered, "-10.00").body["payment"]["cash"] == "10.00"
    assert kept(metered).vouchers[0].remaining == 50


def test_a_charge_may_begin_arrears_and_a_compensation_end_them(product: Product) -> None:
    """Below zero arrears begin at once; they end with what reaches zero, and not with less (D21)."""
    product.open_account("acct-1", cash="5.00")
    adjust(product, "-5.01")
    since = "2025-03-01T10:00:00+08:00"
    assert product.get(A).body["arrears"]["since"] == since
    product.now = at("2025-03-02T09:59:59+08:00")
    adjust(product, "-1.00", "k-2")
    assert product.get(A).body["arrears"]["since"] == since
    adjust(product, "1.00", "k-3")
    assert product.get(A).body["arrears"]["since"] == since
    product.now = at("2025-03-02T10:00:00+08:00")
    assert product.get(A).body["status"] == "stopped"
    assert adjust(product, "0.01", "k-4").body["balance"]["available"] == "0.00"
    body = product.get(A).body
    assert (body["status"], body["arrears"]) == ("active", None)


def test_an_adjustment_is_booked_once_per_key(metered: Product) -> None:
    """The same request again has the first answer, byte for byte; another body is refused; neither moves money."""
    first = adjust(metered, "-3.00")
    before = tables(metered)
    metered.now = at("2026-03-01T10:00:00+08:00")
    again = adjust(metered, "-3.00")
    assert (again.status, again.text, again.headers["idempotent-replayed"]) == (201, first.text, "true")
    for fields in ({"amount": "3.00"}, {"reason": "x"}, {"corrects": "t"}):
        reply = adjust(metered, **{"amount": "-3.00", **fields})
        assert (reply.status, reply.code) == (422, "idempotency_key_reused")
    assert adjust(metered, "-3.00", None).code == "idempotency_key_missing"
    assert tables(metered) == before
    assert adjust(metered, "-3.00", "k-2").body["balance"]["cash"] == "994.00"


def test_a_lost_answer_is_found(metered: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    """What happened though its answer was lost is not done again."""
    lose_answer(monkeypatch)
    assert adjust(metered, "-3.00").body["balance"]["cash"] == "997.00"
    assert (len(bills(metered)), len(entries(metered))) == (1, 1)


def test_an_adjustment_goes_on_from_what_others_did(metered: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who comes second books on top of the first."""
    meanwhile(monkeypatch, lambda: adjust(metered, "-3.00", "other"))
    assert adjust(metered, "-2.00").body["balance"]["cash"] == "995.00"
    assert [entry[2] for entry in entries(metered)] == ["997.00", "995.00"]


def test_adjustments_do_not_touch_the_precision_row(metered: Product) -> None:
    """The row of a month closes the gap between usage and its details alone; adjustments have none (D15)."""
    adjust(metered, "-3.00")
    metered.move("2025-04-02T09:00:00+08:00")
    assert [bill.transaction_type for bill in bills(metered)] == [TransactionType.ADJUSTMENT]
    metered.report(events("acct-1", 3, "2025-04-02T08:30:00+08:00"))
    adjust(metered, "1.00", "k-2")
    metered.move("2025-05-01T09:00:00+08:00")
    found = {bill.transaction_type: bill.precision_difference for bill in bills(metered, "2025-04")}
    assert found[TransactionType.PRECISION_DIFFERENCE] == 0
    charged = sum((bill.amount for month in ("2025-03", "2025-04") for bill in bills(metered, month)), Decimal(0))
    assert Decimal(balance(metered)["available"]) == 1000 - charged


BAD = [
    ({"amount": "0"}, "amount"),
    ({"amount": "-0.00"}, "amount"),
    ({"amount": "0.001"}, "amount"),
    ({"amount": "+1"}, "amount"),
    ({"amount": "--1"}, "amount"),
    ({"amount": "1e3"}, "amount"),
    ({"amount": "1000000000.01"}, "amount"),
    ({"amount": "-1000000000.01"}, "amount"),
    ({"amount": "NaN"}, "amount"),
    ({"amount": "-Infinity"}, "amount"),
    ({"amount": "1" * 10_000}, "amount"),
    ({"amount": 1}, "amount"),
    ({"amount": -1.5}, "amount"),
    ({"amount": None}, "amount"),
    ({"reason": ""}, "reason"),
    ({"reason": None}, "reason"),
    ({"reason": 5}, "reason"),
    ({"reason": "x" * 501}, "reason"),
    ({"corrects": ""}, "corrects"),
    ({"corrects": "x" * 201}, "corrects"),
    ({"corrects": 5}, "corrects"),
    ({"fund": "cash"}, "fund"),
]


@pytest.mark.parametrize("fields, wrong", BAD, ids=[repr(fields)[:40] for fields, _ in BAD])
def test_what_an_adjustment_may_say(metered: Product, fields: dict[str, Any], wrong: str) -> None:
    """Wrong and unknown fields are named, and nothing is booked."""
    before = tables(metered)
    reply = adjust(metered, **{"amount": "1.00", **fields})
    assert (reply.status, [error["field"] for error in reply.body["errors"]]) == (422, [wrong])
    assert tables(metered) == before


def pointers(product: Product) -> list[str]:
    """The sort keys of what leads from a transaction to its corrections."""
    found = product.dynamodb.scan(TableName="ledger")["Items"]
    return sorted(item["sk"]["S"] for item in found if item["sk"]["S"].startswith("C#"))


def test_any_transaction_can_be_corrected(metered: Product) -> None:
    """A payment, each kind of line, and an adjustment; what was issued stays as it is, and leads to its correction."""
    metered.report(events("acct-1", 3, "2025-03-01T10:00:00+08:00", interface="face_risk"))
    order(metered, [{"sku": SKU, "quantity": 2}])
    give_back(metered, packages(metered)[0]["package_id"])
    paid = metered.top_up("acct-1", "5.00", "gift").body["transaction_id"]
    metered.move("2025-04-01T09:00:00+08:00")
    lines = [one["transaction_id"] for one in rows(metered, f"{A}/bills/details", month="2025-03", basis="charge")]
    kinds = {one.split("-")[0] for one in lines}
    assert kinds == {"20250301", "order", "refund", "precision"}
    issued = bills(metered)
    made = []
    for number, corrected in enumerate([*lines, paid]):
        reply = adjust(metered, "-0.01", f"k-{number}", corrects=corrected)
        assert reply.status == 201, (corrected, reply.text)
        made.append((corrected, reply.body["transaction_id"]))
    again = adjust(metered, "0.01", "again", corrects=made[0][1])
    assert again.status == 201
    made.append((made[0][1], again.body["transaction_id"]))
    assert pointers(metered) == sorted(f"C#{corrected}#{adjustment}" for corrected, adjustment in made)
    assert bills(metered) == issued
    assert {bill.corrects for bill in bills(metered, "2025-04")} == {corrected for corrected, _ in made}


def test_what_is_not_there_is_not_corrected(metered: Product) -> None:
    """No line and no payment of this account: 404, whatever the id looks like, and nothing is booked."""
    metered.open_account("acct-2", cash="1.00")
    metered.report(events("acct-2", 1, "2025-03-01T10:00:00+08:00"))
    metered.top_up("acct-2", "1.00", "gift")
    metered.move("2025-03-02T09:00:00+08:00")
    path = "/v1/accounts/acct-2/bills/details"
    (other,) = (one["transaction_id"] for one in rows(metered, path, month="2025-03"))
    before = tables(metered)
    numbers = ("0", "3", "04", "5", "999999999999", "-4")
    strange = (
        "x",
        *(f"top-up-{one}-ba36a4ed" for one in numbers),
        "top-up-4",
        "top-up-4-0badcafe",
        "top-up-4-ba36a4ed ",
    )
    for corrected in (*strange, "C#x", "20250230-1-1", "x" * 200, other, other.rpartition("-")[0], "account"):
        reply = adjust(metered, "1.00", corrects=corrected)
        assert (reply.status, reply.code) == (404, "transaction_not_found"), corrected
    assert tables(metered) == before
    assert adjust(metered, "1.00", corrects="top-up-4-ba36a4ed").status == 201, "the key is free after refusals"


def test_a_correction_is_booked_once(metered: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lost answer, a repeat and others in between: one adjustment, one pointer, each in its own transaction."""
    meanwhile(monkeypatch, lambda: adjust(metered, "-3.00", "other", corrects="top-up-4-ba36a4ed"))
    first = adjust(metered, "-2.00", corrects="top-up-4-ba36a4ed")
    lose_answer(monkeypatch)
    second = adjust(metered, "-1.00", "k-2", corrects="top-up-4-ba36a4ed")
    assert adjust(metered, "-1.00", "k-2", corrects="top-up-4-ba36a4ed").text == second.text
    assert first.body["balance"]["cash"] == "995.00"
    assert second.body["balance"]["cash"] == "994.00"
    assert (len(pointers(metered)), len(bills(metered)), len(entries(metered))) == (3, 3, 3)
