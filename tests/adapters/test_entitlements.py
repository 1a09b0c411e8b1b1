"""GET A/entitlements/{tag}: may the next call be made, and what is left for it (contract, Metering; D14, D22, D23)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.adapters.prepaid import SKU, TAG, buy, entitlement, give, give_back, left, postpaid, use
from tests.adapters.steps import NOW, A, at
from tests.support.product import Product

DAY = "2025-03-01"


def told(product: Product, tag: str = TAG) -> tuple[bool, str | None, int, int]:
    """(allowed, reason, free left, paid left)."""
    found = entitlement(product, tag)
    assert found["allowed"] is (found["reason"] is None)
    return found["allowed"], found["reason"], found["free_remaining"], found["paid_remaining"]


def violate(product: Product, *, active: bool) -> None:
    """Stop the account for a violation, or lift that."""
    assert product.request("PUT", f"{A}/violation", {"active": active, "reason": "x"}).status == 200


def test_with_postpaid_every_call_is_allowed(metered: Product) -> None:
    """Without packages there is nothing left, and the call is allowed all the same."""
    found = entitlement(metered)
    expected = {"allowed": True, "reason": None, "free_remaining": 0, "paid_remaining": 0, "postpaid_enabled": True}
    assert {name: found[name] for name in expected} == expected


def test_what_is_left_counts_usage_of_this_moment(metered: Product) -> None:
    """Free and paid calls are told apart, and calls count before any run, and as much after it."""
    metered.top_up("acct-1", "500.00")
    give(metered, 100)
    buy(metered, quantity=2)
    assert told(metered) == (True, None, 100, 2000)
    use(metered, 30, NOW)
    assert told(metered) == (True, None, 70, 2000)
    use(metered, 71, "2025-03-01T09:00:00+08:00")
    assert told(metered) == (True, None, 0, 1999)
    metered.move("2025-03-02T09:00:00+08:00")
    assert told(metered) == (True, None, 0, 1999)
    use(metered, 1, "2025-03-01T09:00:00+08:00", "late")
    assert told(metered) == (True, None, 0, 1998)
    assert told(metered, "basic_uploaded") == (True, None, 0, 0)


def test_without_postpaid_the_last_call_is_that_of_the_packages(metered: Product) -> None:
    """With postpaid off a call is refused once nothing is left, and allowed again with a package or postpaid (D14)."""
    postpaid(metered, on=False)
    assert told(metered) == (False, "packages_exhausted", 0, 0)
    assert entitlement(metered)["postpaid_enabled"] is False
    give(metered, 3)
    use(metered, 2, NOW)
    assert told(metered) == (True, None, 1, 0)
    use(metered, 1, "2025-03-01T09:00:00+08:00")
    assert told(metered) == (False, "packages_exhausted", 0, 0)
    assert told(metered, "basic_uploaded") == (False, "packages_exhausted", 0, 0)
    (package_id,) = buy(metered)
    # All of the day's usage is the gift's: the package is whole.
    assert told(metered) == (True, None, 0, 1000)
    assert give_back(metered, package_id).status == 202
    assert told(metered) == (False, "packages_exhausted", 0, 0)
    postpaid(metered, on=True)
    assert told(metered) == (True, None, 0, 0)


def test_overflow_takes_what_is_bought_later_that_day(metered: Product) -> None:
    """Calls that overflowed in the morning are the package's that is bought in the afternoon (D10)."""
    postpaid(metered, on=False)
    use(metered, 10, "2025-03-01T09:00:00+08:00")
    metered.now = at("2025-03-01T14:30:00+08:00")
    buy(metered)
    assert told(metered) == (True, None, 0, 990)


def test_what_has_ended_is_not_left(metered: Product) -> None:
    """A gift counts through its last second, a bought package through its last day (D11)."""
    metered.now = at("2025-03-01T11:00:37+08:00")
    give(metered, 5)
    buy(metered)
    metered.now = at("2026-03-01T11:00:37+08:00")
    assert told(metered) == (True, None, 5, 1000)
    metered.now = at("2026-03-01T11:00:38+08:00")
    assert told(metered) == (True, None, 0, 1000)
    metered.now = at("2026-03-02T00:00:00+08:00")
    assert told(metered) == (True, None, 0, 0)


def test_free_packages_count_from_their_delivery(product: Product) -> None:
    """A new account has its free calls half an hour after the opening, and not a second earlier (D13)."""
    product.open_account("acct-1")
    tag = "enhanced_authority_wechat"
    product.now = at("2025-03-01T10:29:59+08:00")
    assert told(product, tag) == (True, None, 0, 0)
    product.now = at("2025-03-01T10:30:00+08:00")
    assert told(product, tag) == (True, None, 100, 0)
    assert told(product, "plus_authority_wechat") == (True, None, 0, 0)


@pytest.mark.parametrize("applied", [False, True])
def test_before_the_opening_no_call_is_allowed(product: Product, applied: bool) -> None:  # noqa: FBT001
    """Whether it was applied for or not."""
    product.request("POST", "/v1/accounts", {"account_id": "acct-1", "name": "Example"})
    if applied:
        product.request("POST", f"{A}/service/application", {"purpose": "x"})
    assert told(product) == (False, "not_opened", 0, 0)


def test_stopped_and_released_accounts_may_not_call(metered: Product) -> None:
    """Arrears stop after 24 hours to the second, though packages are left, and release 30 days on (D21 to D23)."""
    buy(metered)
    use(metered, 2000, NOW, interface="api.phone_2e")
    metered.move("2025-03-02T08:00:00+08:00")
    moments = [
        ("2025-03-03T07:59:59+08:00", (True, None, 0, 1000)),
        ("2025-03-03T08:00:00+08:00", (False, "stopped", 0, 1000)),
        ("2025-04-02T07:59:59+08:00", (False, "stopped", 0, 1000)),
        ("2025-04-02T08:00:00+08:00", (False, "released", 0, 0)),
    ]
    for moment, expected in moments:
        metered.now = at(moment)
        assert told(metered) == expected
    metered.top_up("acct-1", "1000.00")
    assert told(metered) == (True, None, 0, 0)


def test_a_violation_refuses_calls_while_it_lasts(metered: Product) -> None:
    """With its own reason; what is left stays (D22)."""
    buy(metered)
    violate(metered, active=True)
    use(metered, 10, NOW)
    assert told(metered) == (False, "violation", 0, 1000)
    violate(metered, active=False)
    assert told(metered)[:2] == (True, None)


def test_a_call_during_a_stop_takes_nothing(metered: Product) -> None:
    """What a stop has charged postpaid is not missing from the packages afterwards (D22)."""
    buy(metered)
    metered.now = at("2025-03-01T11:00:00+08:00")
    violate(metered, active=True)
    metered.now = at("2025-03-01T12:00:00+08:00")
    violate(metered, active=False)
    use(metered, 3, "2025-03-01T10:59:59+08:00")
    use(metered, 20, "2025-03-01T11:30:00+08:00")
    assert told(metered) == (True, None, 0, 997)
    assert list(left(metered).values()) == [997]


@pytest.mark.parametrize("tag", ["no_such_tag", "IDENTITY_CHECK", "x" * 5000, SKU, "账", "%20"])
def test_tags_that_are_not_there(metered: Product, tag: str) -> None:
    """404 for what is no tag."""
    reply = metered.get(f"{A}/entitlements/{tag}")
    assert (reply.status, reply.code) == (404, "tag_not_found")


SCOPES: list[tuple[tuple[str, ...], str | None, int]] = [
    (("usage:write",), None, 200),
    (("usage:write",), "acct-2", 200),
    (("billing:read",), "acct-1", 200),
    (("billing:read",), "acct-2", 403),
    (("billing:write",), "acct-1", 403),
    (("billing:admin",), None, 200),
    (("openid",), "acct-1", 403),
]


@pytest.mark.parametrize("scopes, claim, status", SCOPES)
def test_gateways_and_readers_may_ask(metered: Product, scopes: Any, claim: str | None, status: int) -> None:
    """The metering producer for every account, a customer for their own, the operator."""
    assert metered.request("GET", f"{A}/entitlements/{TAG}", scopes=scopes, account_id=claim).status == status


def test_only_the_operator_hears_of_missing_accounts(metered: Product) -> None:
    """A producer is told 403 for an account that does not exist, the operator 404."""
    path = f"/v1/accounts/nobody/entitlements/{TAG}"
    assert metered.request("GET", path, scopes=("usage:write",)).code == "forbidden"
    assert metered.request("GET", path).code == "account_not_found"


def test_a_monthly_account_counts_its_open_month(product: Product) -> None:
    """Usage of all days since the last monthly run counts, though none of it is settled."""
    product.open_account("acct-1", cash="1000.00", opened_at="2022-06-01T00:00:00+08:00")
    buy(product)
    for day in range(1, 6):
        product.move(f"2025-03-0{day}T12:00:00+08:00")
        use(product, 100, f"2025-03-0{day}T11:00:00+08:00")
    assert told(product) == (True, None, 0, 500)
    product.move("2025-04-01T09:00:00+08:00")
    assert told(product) == (True, None, 0, 500)
