"""Giving packages back: when, what for, what is refused and why (contract, Refunds; D24 to D26; guide, refunds)."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from itertools import combinations
from typing import Any

import pytest

from tests.adapters.prepaid import (
    OPENED,
    SKU,
    TAG,
    Interrupted,
    books_agree,
    buy,
    everything,
    give,
    give_back,
    journal,
    order,
    packages,
    payment,
    put_back,
    quote,
    rows_of_orders,
    split,
    use,
    voucher,
    vouchers,
)
from tests.adapters.steps import NOW, A, at, balance, details, later, pages, post_usage, resources, rows, tables
from tests.support.product import CUSTOMER, OPERATOR, Product, Reply, events

DAY = "2025-03-01"


def find(product: Product, package_id: str) -> dict[str, Any]:
    """One package of the list."""
    (found,) = [one for one in packages(product) if one["package_id"] == package_id]
    return found


def refused(product: Product, package_id: str) -> str:
    """Why a refund is refused, without a trace: the request, the quote and the list say the same."""
    before = tables(product)
    reply = give_back(product, package_id)
    assert reply.status == 409, reply.text
    quoted, listed = quote(product, package_id), find(product, package_id)
    assert quoted["refund_blocked_by"] == listed["refund_blocked_by"] == reply.code
    assert quoted["refundable"] is listed["refundable"] is False
    assert set(quoted["refunds"].values()) == {"0.00"}
    assert tables(product) == before
    return reply.code


def block(product: Product, package_id: str, **body: Any) -> Reply:
    """PUT A/packages/{id}/refund-block."""
    return product.request("PUT", f"{A}/packages/{package_id}/refund-block", {"reason": "abuse", **body})


def violate(product: Product, *, active: bool = True) -> None:
    """Stop the account for a violation, or lift that."""
    assert product.request("PUT", f"{A}/violation", {"active": active, "reason": "x"}).status == 200


def activity(product: Product, *, refundable: bool) -> None:
    """An activity at the full price with its own rule."""
    body = {"from": DAY, "package_rate": "1", "refundable": refundable}
    assert product.request("PUT", "/v1/activities/spring", body).status == 200


# --- the window ---------------------------------------------------------------------------------------------


def october(product: Product) -> str:
    """A package bought in the afternoon of 1 October 2020."""
    product.now = at("2020-10-01T15:20:10+08:00")
    product.open_account("acct-1", cash="300.00", opened_at="2020-06-01T00:00:00+08:00")
    (package_id,) = buy(product)
    return package_id


def test_the_guides_refund_example(product: Product) -> None:
    """Bought on 1 October, refundable to 8 October 23:59:59, not from 9 October 00:00:00: to the second (D24)."""
    package_id = october(product)
    for moment in ("2020-10-01T15:20:10+08:00", "2020-10-08T15:20:11+08:00", "2020-10-08T23:59:59.999+08:00"):
        product.now = at(moment)
        found = quote(product, package_id)
        assert (found["refundable"], found["amount"]) == (True, "300.00")
        assert found["refundable_until"] == "2020-10-08T23:59:59+08:00"
        assert find(product, package_id)["refundable"] is True
    product.now = at("2020-10-09T00:00:00+08:00")
    assert refused(product, package_id) == "refund_window_passed"
    product.now = at("2021-10-02T00:00:00+08:00")
    assert refused(product, package_id) == "refund_window_passed"


def test_a_refund_in_the_last_second(product: Product) -> None:
    """It is taken, and its money comes after the window has closed (D24, D26)."""
    package_id = october(product)
    product.now = at("2020-10-08T23:59:59+08:00")
    assert give_back(product, package_id).status == 202
    assert balance(product)["cash"] == "0.00"
    product.move("2020-10-09T00:02:58+08:00")
    assert balance(product)["cash"] == "0.00"
    product.move("2020-10-09T00:02:59+08:00")
    assert balance(product)["cash"] == "300.00"
    books_agree(product, ["2020-10"])


# --- what a refund does -------------------------------------------------------------------------------------


def test_a_refund_takes_the_package_at_once_and_pays_three_minutes_later(metered: Product) -> None:
    """202 `processing`, then `completed`; meanwhile the package is gone and the money not yet there (D26)."""
    (package_id,) = buy(metered)
    metered.now = at("2025-03-01T12:00:00.700+08:00")
    reply = give_back(metered, package_id)
    assert reply.status == 202
    refund = reply.body
    expected = {
        "status": "processing",
        "amount": "300.00",
        "refunds": {"cash": "300.00", "income_transfer": "0.00", "gift": "0.00"},
        "voucher_forfeited": "0.00",
    }
    assert {name: refund[name] for name in expected} == expected
    assert metered.get(f"{A}/refunds/{refund['refund_id']}").body == refund
    shown = find(metered, package_id)
    assert (shown["status"], shown["remaining"], shown["refundable"]) == ("refunded", 0, False)
    metered.move("2025-03-01T12:02:59+08:00")
    assert metered.get(f"{A}/refunds/{refund['refund_id']}").body["status"] == "processing"
    assert balance(metered)["cash"] == "700.00"
    metered.move("2025-03-01T12:03:00+08:00")
    done = metered.get(f"{A}/refunds/{refund['refund_id']}").body
    assert done["status"] == "completed"
    assert {name: done[name] for name in ("amount", "refunds", "voucher_forfeited")} == {
        name: refund[name] for name in ("amount", "refunds", "voucher_forfeited")
    }
    assert balance(metered)["cash"] == "1000.00"
    before = tables(metered)
    metered.invoke("TimersFunction", {"task": "sweep"})
    metered.move("2025-03-01T13:00:00+08:00")
    assert tables(metered) == before
    books_agree(metered, ["2025-03"])


def test_a_refund_is_an_order_and_a_bill_row(metered: Product) -> None:
    """The list of orders has it from the request on, the bill and the journal from the payment on."""
    (package_id,) = buy(metered)
    bought = resources(metered)
    refund = give_back(metered, package_id).body
    purchase, refunded = rows_of_orders(metered)
    assert (purchase["status"], purchase["amount"]) == ("refunded", "300.00")
    assert (refunded["order_id"], refunded["status"], refunded["amount"]) == (
        refund["refund_id"],
        "refunded",
        "-300.00",
    )
    assert refunded["refund_of"] == purchase["order_id"]
    assert resources(metered) == bought
    metered.move(later(metered, minutes=3))
    _, row = resources(metered)
    assert (row["transaction_type"], row["billing_mode"]) == ("prepay_refund", "prepaid")
    assert (row["total_cost"], row["cash"], row["original_cost"]) == ("-300.00", "-300.00", "-300.00")
    assert row["resource_id"] == bought[0]["resource_id"]
    assert row["charged_at"] == "2025-03-01T10:03:00+08:00"
    assert [line["total_cost"] for line in details(metered)] == ["300.00000000", "-300.00000000"]
    assert journal(metered)[-1] == ("refund", "cash", "300.00")
    assert rows(metered, f"{A}/journal")[-1]["reference"] == refund["refund_id"]


def test_each_fund_gets_its_own_back_and_the_voucher_is_lost(metered: Product) -> None:
    """Package by package, to the fen; all packages together pay back everything but the voucher (D24)."""
    metered.top_up("acct-1", "200.00", "gift")
    metered.top_up("acct-1", "100.00", "income_transfer")
    chosen = voucher(metered, "100.00", single_use=False)
    body = order(metered, [{"sku": SKU, "quantity": 3}], voucher_id=chosen).body
    start = balance(metered)
    refunds = []
    for number, package in enumerate(body["packages"], start=1):
        paid = package["payment"]
        quoted = quote(metered, package["package_id"])
        refund = give_back(metered, package["package_id"]).body
        refunds.append(refund)
        for shown in (quoted, refund):
            assert shown["refunds"] == {name: paid[name] for name in ("cash", "income_transfer", "gift")}
            assert shown["voucher_forfeited"] == paid["voucher"]
            assert Decimal(shown["amount"]) == Decimal("300.00") - Decimal(paid["voucher"])
        status = metered.get(f"{A}/orders/{body['order_id']}").body["status"]
        assert status == ("refunded" if number == 3 else "partly_refunded")
    assert balance(metered) == start
    metered.move(later(metered, minutes=3))
    found = balance(metered)
    assert (found["cash"], found["income_transfer"], found["gift"]) == ("1000.00", "100.00", "200.00")
    assert vouchers(metered)[chosen] == ("0.00", "used")
    assert sum(Decimal(refund["voucher_forfeited"]) for refund in refunds) == 100
    books_agree(metered, ["2025-03"])
    assert rows(metered, f"{A}/refunds") == [
        metered.get(f"{A}/refunds/{refund['refund_id']}").body for refund in refunds
    ]


def test_a_package_that_a_voucher_paid_brings_nothing_back(metered: Product) -> None:
    """The refund is done all the same: nothing moves, and the bill row is of zero (D24)."""
    (package_id,) = buy(metered, voucher_id=voucher(metered, "300.00"))
    moved = journal(metered)
    refund = give_back(metered, package_id).body
    assert (refund["amount"], refund["voucher_forfeited"]) == ("0.00", "300.00")
    metered.move(later(metered, minutes=3))
    assert metered.get(f"{A}/refunds/{refund['refund_id']}").body["status"] == "completed"
    assert journal(metered) == moved
    assert [row["total_cost"] for row in resources(metered)] == ["300.00", "0.00"]
    books_agree(metered, ["2025-03"])


def test_a_refunded_package_never_deducts(metered: Product) -> None:
    """Usage of the same day, before and after the request, is charged as if it had never been bought."""
    (package_id,) = buy(metered)
    metered.now = at("2025-03-01T12:00:00+08:00")
    assert give_back(metered, package_id).status == 202
    use(metered, 5, "2025-03-01T09:00:00+08:00")
    use(metered, 7, "2025-03-01T12:00:01+08:00")
    assert split(metered, DAY) == (0, 0, 12, 0)
    metered.move("2025-03-02T09:00:00+08:00")
    assert split(metered, DAY) == (0, 0, 12, 0)
    assert balance(metered)["cash"] == "996.40"
    assert rows(metered, f"{A}/packages/{package_id}/usage") == []


def test_a_refund_in_arrears_can_end_them(metered: Product) -> None:
    """It is allowed below zero (D17), and arrears end with the payment, not with the request (D21)."""
    (package_id,) = buy(metered, "bank_card_lookup:1000")
    use(metered, 3000, NOW)
    metered.move("2025-03-02T08:00:00+08:00")
    assert balance(metered)["available"] == "-180.00"
    assert order(metered, [{"sku": SKU, "quantity": 1}]).code == "account_in_arrears"
    assert give_back(metered, package_id).status == 202
    assert metered.get(A).body["arrears"] is not None
    metered.move("2025-03-02T08:03:00+08:00")
    assert (metered.get(A).body["arrears"], balance(metered)["available"]) == (None, "100.00")


def test_a_refund_that_does_not_reach_zero_changes_no_state(metered: Product) -> None:
    """It is booked, and the 24 hours keep running from the charge (D21)."""
    (package_id,) = buy(metered, "basic_uploaded:1000")
    use(metered, 4000, NOW)
    metered.move("2025-03-02T09:00:00+08:00")
    before = metered.get(A).body["arrears"]
    assert give_back(metered, package_id).status == 202
    metered.move("2025-03-02T09:03:00+08:00")
    assert balance(metered)["available"] == "-200.00"
    assert metered.get(A).body["arrears"] == before
    metered.move("2025-03-03T08:00:00+08:00")
    assert metered.get(A).body["status"] == "stopped"


def test_a_late_sweep_pays_all_the_same(metered: Product) -> None:
    """The timer may come late; the refund is processed until then, and paid once."""
    (package_id,) = buy(metered)
    refund = give_back(metered, package_id).body
    metered.now = at("2025-03-01T11:00:00+08:00")
    assert metered.get(f"{A}/refunds/{refund['refund_id']}").body["status"] == "processing"
    for _ in range(3):
        metered.invoke("TimersFunction", {"task": "sweep"})
    assert metered.get(f"{A}/refunds/{refund['refund_id']}").body["status"] == "completed"
    assert balance(metered)["cash"] == "1000.00"


def test_what_happens_later_does_not_stop_a_refund(metered: Product) -> None:
    """A block or a violation after the request does not keep the money back."""
    (package_id,) = buy(metered)
    give_back(metered, package_id)
    block(metered, package_id, blocked=True)
    violate(metered)
    metered.move(later(metered, minutes=3))
    assert balance(metered)["cash"] == "1000.00"


# --- refusals -----------------------------------------------------------------------------------------------

REASONS = (
    "already_refunded",
    "not_purchased",
    "account_in_violation",
    "refused_by_operator",
    "activity_not_refundable",
    "refund_window_passed",
    "package_used",
)
IMPOSSIBLE = [
    # Only what was bought is given back, and only where an activity allows it; then it cannot be used any more.
    {"already_refunded", "not_purchased"},
    {"already_refunded", "activity_not_refundable"},
    {"already_refunded", "package_used"},
    # A gift is not bought in an activity.
    {"not_purchased", "activity_not_refundable"},
]
TOGETHER = [
    reasons
    for size in (1, 2, 3, 6)
    for reasons in combinations(REASONS, size)
    if not any(pair <= set(reasons) for pair in IMPOSSIBLE)
]


def a_package_with(product: Product, reasons: Sequence[str]) -> str:
    """A package for which all of these hold."""
    more: dict[str, Any] = {}
    if "activity_not_refundable" in reasons:
        activity(product, refundable=False)
        more["activity_id"] = "spring"
    package_id = give(product, 100) if "not_purchased" in reasons else buy(product, **more)[0]
    if "already_refunded" in reasons:
        assert give_back(product, package_id, "first").status == 202
    if "package_used" in reasons:
        use(product, 1, NOW)
    if "refused_by_operator" in reasons:
        assert block(product, package_id, blocked=True).status == 200
    if "refund_window_passed" in reasons:
        product.move("2025-03-09T00:00:00+08:00")
    if "account_in_violation" in reasons:
        violate(product)
    return package_id


@pytest.mark.parametrize("reasons", TOGETHER, ids="+".join)
def test_the_first_reason_is_told(metered: Product, reasons: tuple[str, ...]) -> None:
    """Where several reasons hold, the request, the quote and the list name the first in the order of D25."""
    assert refused(metered, a_package_with(metered, reasons)) == reasons[0]


def test_the_operators_block_is_put_on_and_lifted(metered: Product) -> None:
    """While it is on, refunds are refused; lifted, they are taken; again the same changes nothing."""
    first, second = buy(metered, quantity=2)
    reply = block(metered, first, blocked=True)
    assert (reply.status, reply.body["blocked"], reply.body["reason"]) == (200, True, "abuse")
    before = tables(metered)
    assert block(metered, first, blocked=True).body == reply.body
    assert tables(metered) == before
    assert refused(metered, first) == "refused_by_operator"
    assert quote(metered, second)["refundable"] is True
    assert block(metered, first, blocked=False).body["blocked"] is False
    assert quote(metered, first)["refundable"] is True
    assert give_back(metered, first).status == 202


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"blocked": "true"},
        {"blocked": 1},
        {"blocked": None},
        {"blocked": True, "x": 1},
        {"blocked": True, "reason": 1},
    ],
    ids=repr,
)
def test_blocks_that_are_none(metered: Product, body: dict[str, Any]) -> None:
    """Whether it is blocked is true or false, and the reason a text."""
    (package_id,) = buy(metered)
    before = tables(metered)
    reply = metered.request("PUT", f"{A}/packages/{package_id}/refund-block", body)
    assert (reply.status, reply.code) == (422, "invalid_request")
    assert tables(metered) == before


def test_only_the_operator_blocks(metered: Product) -> None:
    """A customer is refused."""
    (package_id,) = buy(metered)
    path, body = f"{A}/packages/{package_id}/refund-block", {"blocked": False, "reason": "x"}
    assert metered.request("PUT", path, body, CUSTOMER, "acct-1").status == 403


def test_an_activity_that_allows_refunds(metered: Product) -> None:
    """The rule of the activity at the purchase holds, whatever becomes of the activity (D25)."""
    activity(metered, refundable=True)
    (taken_back,) = buy(metered, activity_id="spring")
    activity(metered, refundable=False)
    (kept,) = buy(metered, activity_id="spring")
    assert quote(metered, taken_back)["refundable"] is True
    activity(metered, refundable=True)
    assert refused(metered, kept) == "activity_not_refundable"


# --- what counts as use -------------------------------------------------------------------------------------


def test_todays_usage_counts_as_use(metered: Product) -> None:
    """One call that no run has settled, made before the purchase that day, is use (D10, D24)."""
    (package_id,) = buy(metered)
    use(metered, 1, "2025-03-01T00:00:00+08:00")
    assert refused(metered, package_id) == "package_used"


def test_usage_counts_before_the_live_totals_know_it(metered: Product) -> None:
    """The check counts what is stored, so no call slips between the report and the stream."""
    (package_id,) = buy(metered)
    post_usage(metered, events("acct-1", 1, NOW))
    assert packages(metered)[0]["used"] == 0
    assert quote(metered, package_id)["refund_blocked_by"] == "package_used"
    reply = give_back(metered, package_id)
    assert (reply.status, reply.code) == (409, "package_used")


def test_usage_that_is_settled_counts_as_use(metered: Product) -> None:
    """After the run too, and after the package is used up."""
    first, second = buy(metered, quantity=2)
    use(metered, 1001, NOW)
    metered.move("2025-03-02T09:00:00+08:00")
    assert [refused(metered, one) for one in (first, second)] == ["package_used"] * 2


def test_use_is_what_allocation_says(metered: Product) -> None:
    """Calls that a gift or an earlier package gives do not use the others (D9)."""
    give(metered, 10)
    first, second = buy(metered, quantity=2)
    use(metered, 10, "2025-03-01T09:00:00+08:00")
    assert [quote(metered, one)["refundable"] for one in (first, second)] == [True, True]
    use(metered, 1, "2025-03-01T09:30:00+08:00")
    assert [quote(metered, one)["refundable"] for one in (first, second)] == [False, True]
    assert give_back(metered, second).status == 202
    use(metered, 999, "2025-03-01T09:40:00+08:00")
    use(metered, 1, "2025-03-01T09:50:00+08:00")
    assert split(metered, DAY) == (10, 1000, 1, 0)


def test_usage_from_before_the_delivery_day_is_no_use(metered: Product) -> None:
    """Late calls of yesterday take nothing of what is bought today; nor do free results or other tags."""
    metered.move("2025-03-02T10:00:00+08:00")
    (package_id,) = buy(metered)
    use(metered, 5, "2025-03-01T23:59:59.999+08:00")
    use(metered, 5, "2025-03-02T09:00:00+08:00", "free", code="-2")
    use(metered, 5, "2025-03-02T09:00:00+08:00", "other", interface="api.phone_2e")
    assert quote(metered, package_id)["refundable"] is True
    metered.move("2025-03-03T09:00:00+08:00")
    assert give_back(metered, package_id).status == 202


def test_usage_of_yesterday_counts_until_and_after_its_run(metered: Product) -> None:
    """Between midnight and the run, and when it arrives late after the run, it is use."""
    (package_id,) = buy(metered)
    metered.move("2025-03-02T03:00:00+08:00")
    assert quote(metered, package_id)["refundable"] is True
    metered.move("2025-03-02T10:00:00+08:00")
    use(metered, 1, "2025-03-01T12:00:00+08:00")
    assert refused(metered, package_id) == "package_used"


def test_usage_while_stopped_is_no_use(metered: Product) -> None:
    """What a stop had charged postpaid took nothing of the package, and it can be given back afterwards (D22)."""
    (package_id,) = buy(metered)
    metered.now = at("2025-03-01T11:00:00+08:00")
    violate(metered)
    metered.now = at("2025-03-01T12:00:00+08:00")
    use(metered, 5, "2025-03-01T11:30:00+08:00")
    assert refused(metered, package_id) == "account_in_violation"
    violate(metered, active=False)
    assert quote(metered, package_id)["refundable"] is True
    metered.move("2025-03-02T09:00:00+08:00")
    assert give_back(metered, package_id).status == 202


# --- keys and reading ---------------------------------------------------------------------------------------


def test_the_same_request_again_is_the_first_answer(metered: Product) -> None:
    """Byte for byte, while it is processed and when it is done; another key is refused as refunded already."""
    (package_id,) = buy(metered)
    first = give_back(metered, package_id)
    for _ in range(2):
        before = tables(metered)
        again = give_back(metered, package_id)
        assert (again.status, again.text, again.headers["idempotent-replayed"]) == (202, first.text, "true")
        other = give_back(metered, package_id, "other")
        assert (other.status, other.code) == (409, "already_refunded")
        assert tables(metered) == before
        metered.move(later(metered, minutes=3))
    assert balance(metered)["cash"] == "1000.00"


def test_a_key_is_for_one_package(metered: Product) -> None:
    """The same key for another package is 422; without a key 400; a body that says something 422."""
    first, second = buy(metered, quantity=2)

    def send(package_id: str, body: Any = None, **headers: str) -> Reply:
        path = f"{A}/packages/{package_id}/refund"
        return metered.request("POST", path, {} if body is None else body, CUSTOMER, "acct-1", headers)

    assert send(first, **{"Idempotency-Key": "k"}).status == 202
    before = tables(metered)
    assert send(second, **{"Idempotency-Key": "k"}).code == "idempotency_key_reused"
    assert (send(second).status, send(second).code) == (400, "idempotency_key_missing")
    assert send(second, {"amount": "1000.00"}, **{"Idempotency-Key": "m"}).code == "invalid_request"
    assert tables(metered) == before


def test_a_customer_gives_back_only_their_own(metered: Product) -> None:
    """Another account's package is 404 for the operator on this account, 403 for a customer on the other."""
    metered.open_account("acct-2", cash="1000.00", opened_at=OPENED)
    for key in ("a", "b", "c"):
        bought = order(metered, [{"sku": SKU, "quantity": 1}], key, "acct-2")
    foreign = bought.body["packages"][0]["package_id"]
    path = f"/v1/accounts/acct-2/packages/{foreign}/refund"
    headers = {"Idempotency-Key": "k"}
    assert metered.request("POST", path, {}, CUSTOMER, "acct-1", headers).status == 403
    assert give_back(metered, foreign).code == "package_not_found"
    refund = metered.request("POST", path, {}, OPERATOR, None, headers).body
    answered = metered.get(f"{A}/refunds/{refund['refund_id']}")
    assert (answered.status, answered.code) == (404, "refund_not_found")


@pytest.mark.parametrize("refund_id", ["refund-1", "nothing", "x" * 5000, "账"])
def test_a_refund_that_is_not_there(metered: Product, refund_id: str) -> None:
    """404 `refund_not_found`."""
    reply = metered.get(f"{A}/refunds/{refund_id}")
    assert (reply.status, reply.code) == (404, "refund_not_found")


def test_refunds_are_listed_oldest_first_in_pages(metered: Product) -> None:
    """Each once, processing and completed ones."""
    metered.top_up("acct-1", "2000.00")
    expected = []
    for package_id in buy(metered, quantity=5):
        expected.append(give_back(metered, package_id).body["refund_id"])
        metered.move(later(metered, minutes=1))
    found = pages(metered, f"{A}/refunds", 2)
    assert [len(page) for page in found] == [2, 2, 1]
    assert [row["refund_id"] for page in found for row in page] == expected
    assert [row["status"] for page in found for row in page] == ["completed"] * 3 + ["processing"] * 2


def test_a_package_can_be_bought_again_and_given_back_again(metered: Product) -> None:
    """A refund does not end the right to another one for another package."""
    for _ in range(3):
        (package_id,) = buy(metered)
        assert give_back(metered, package_id).status == 202
        metered.move(later(metered, minutes=4))
    assert balance(metered)["cash"] == "1000.00"
    assert packages(metered, tag=TAG, status="active") == []
    assert payment(rows_of_orders(metered)[0]["payment"]) == (0, 0, 0, 300)
    books_agree(metered, ["2025-03"])


# --- at the same time ---------------------------------------------------------------------------------------


def test_a_refund_while_a_run_settles(metered: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whenever the run of yesterday's usage comes in between, what it takes is use, and what it leaves is not."""
    metered.top_up("acct-1", "600.00")
    first, second = buy(metered, quantity=2)
    use(metered, 10, NOW)
    metered.now = at("2025-03-02T08:00:00+08:00")
    stored, interrupted = everything(metered), Interrupted(monkeypatch)
    interrupted.what = metered.run
    for package_id, answers in ((first, (409, "package_used")), (second, (202, None))):
        for number in range(100):
            put_back(metered, stored)
            interrupted.start(number)
            reply = give_back(metered, package_id)
            assert (reply.status, reply.body.get("code")) == answers, number
            if interrupted.calls <= number:
                break
            interrupted.stop()
            metered.move("2025-03-02T09:00:00+08:00")
            assert find(metered, first)["used"] == 10
            books_agree(metered, ["2025-03"])
            metered.now = at("2025-03-02T08:00:00+08:00")
        assert number > 1


def test_two_refunds_of_one_package_at_the_same_time(metered: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whenever another request comes in between, one of them takes the package, and its money comes once."""
    (package_id,) = buy(metered)
    stored, interrupted = everything(metered), Interrupted(monkeypatch)
    for number in range(100):
        put_back(metered, stored)
        between: list[Reply] = []
        interrupted.what = lambda: between.append(give_back(metered, package_id, "other"))  # noqa: B023
        interrupted.start(number)
        reply = give_back(metered, package_id)
        interrupted.stop()
        if interrupted.calls <= number:
            break
        statuses = sorted([reply.status, between[0].status])
        assert statuses == [202, 409], number
        metered.move("2025-03-01T10:03:00+08:00")
        assert balance(metered)["cash"] == "1000.00"
        books_agree(metered, ["2025-03"])
        metered.now = at(NOW)
    assert number > 1


def test_one_request_sent_twice_at_the_same_time(metered: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same key twice at once is one refund, and both hear the same answer."""
    (package_id,) = buy(metered)
    stored, interrupted = everything(metered), Interrupted(monkeypatch)
    for number in range(100):
        put_back(metered, stored)
        between: list[Reply] = []
        interrupted.what = lambda: between.append(give_back(metered, package_id))  # noqa: B023
        interrupted.start(number)
        reply = give_back(metered, package_id)
        interrupted.stop()
        if interrupted.calls <= number:
            break
        assert (reply.status, reply.text) == (202, between[0].text), number
        assert len(rows(metered, f"{A}/refunds")) == 1
    assert number > 1
