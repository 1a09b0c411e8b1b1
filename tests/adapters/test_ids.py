"""Ids are of one account: what two accounts do at the same moment, in the same order, has other ids."""

from __future__ import annotations

from typing import Any

from tests.adapters.prepaid import OPENED, SKU
from tests.support.product import CUSTOMER, Product

ACCOUNTS = ("acct-1", "acct-2")


def live(product: Product, account_id: str) -> dict[str, str]:
    """One thing of each kind, with the same keys in every account; where it is read, and its id."""
    path, headers = f"/v1/accounts/{account_id}", {"Idempotency-Key": "the same"}

    def post(route: str, body: Any) -> Any:
        reply = product.request("POST", f"{path}/{route}", body, headers=headers)
        assert reply.status < 300, reply.text
        return reply.body

    product.open_account(account_id, opened_at=OPENED)
    paid = post("top-ups", {"fund": "cash", "amount": "1000.00"})["transaction_id"]
    voucher = post("vouchers", {"amount": "5.00", "scene": "prepaid"})["voucher_id"]
    given = post("packages", {"tag": "identity_check", "calls": 5, "reason": "a gift"})["package_id"]
    ordered = post("orders", {"items": [{"sku": SKU, "quantity": 2}]})
    bought, kept = (one["package_id"] for one in ordered["packages"])
    adjusted = post("adjustments", {"amount": "-1.00", "reason": "a fee", "corrects": paid})
    export = post("bills/exports", {"month": "2025-02", "kind": "resources", "format": "csv"})["export_id"]
    return {
        "top_up": paid,
        "voucher": voucher,
        "packages/{}/refund-quote": given,
        "orders/{}": ordered["order_id"],
        "packages/{}/usage": kept,
        "refunds/{}": post(f"packages/{bought}/refund", {})["refund_id"],
        "bills/details/{}/explanation": adjusted["transaction_id"],
        "bills/exports/{}": export,
    }


def test_accounts_that_do_the_same_at_once_share_no_id(product: Product) -> None:
    """Every id differs, and with the id of another account's thing the answer is 404, for the operator too."""
    first, second = (live(product, account_id) for account_id in ACCOUNTS)
    assert not set(first.values()) & set(second.values())
    for route in (one for one in first if "{}" in one):
        for account_id, own, other in (("acct-1", first, second), ("acct-2", second, first)):
            for scopes in (CUSTOMER, ("billing:admin",)):
                path = f"/v1/accounts/{account_id}/{route}"
                found = product.request("GET", path.format(own[route]), None, scopes, account_id)
                missed = product.request("GET", path.format(other[route]), None, scopes, account_id)
                assert (found.status, missed.status) == (200, 404), (route, missed.text)


def test_an_adjustment_corrects_nothing_of_another_account(product: Product) -> None:
    """Neither its payments nor the lines of its bills."""
    live(product, "acct-1")
    other = live(product, "acct-2")
    for corrected in (other["top_up"], other["bills/details/{}/explanation"]):
        body = {"amount": "1.00", "reason": "x", "corrects": corrected}
        headers = {"Idempotency-Key": corrected}
        reply = product.request("POST", "/v1/accounts/acct-1/adjustments", body, headers=headers)
        assert (reply.status, reply.code) == (404, "transaction_not_found")
