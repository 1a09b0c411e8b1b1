"""Free packages and E证通 merchant ids: who gets them, when, and only once (contract, Accounts; D13)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from accounts import service
from aws_platform.orders import order_from_item
from rating.allocation import Package
from rating.orders import Order
from tests.adapters.steps import NOW, A, at, charges, kept, lose_answer, meanwhile, tables
from tests.support.product import CUSTOMER, Product, Reply, event

EVERY_OPENING = {
    "enhanced_authority_wechat",
    "enhanced_uploaded_wechat",
    "enhanced_authority_float_h5",
    "enhanced_uploaded_float_h5",
    "enhanced_authority_app",
    "enhanced_uploaded_app",
    "basic_authority",
    "basic_uploaded",
}
HALF_AN_HOUR_LATER = "2025-03-01T10:30:00+08:00"


def prepare(product: Product, *, verified: bool = True) -> None:
    """An account that has applied for the service."""
    body = {"account_id": "acct-1", "name": "Example", "enterprise_verified": verified}
    assert product.request("POST", "/v1/accounts", body).status == 201
    assert product.request("POST", f"{A}/service/application", {"purpose": "identity checks"}).status == 202


def approve(product: Product, **fields: Any) -> Reply:
    """POST A/service/approval."""
    return product.request("POST", f"{A}/service/approval", fields)


def merchant(product: Product, merchant_id: Any = "merchant-1") -> Reply:
    """POST A/eid-merchants, as the customer."""
    return product.request("POST", f"{A}/eid-merchants", {"merchant_id": merchant_id}, CUSTOMER, "acct-1")


def open_packages(product: Product, now: str | datetime) -> list[Package]:
    """The packages that can be used at an instant."""
    when = at(now) if isinstance(now, str) else now
    return [package for wallet in kept(product).wallets.values() for package in wallet.open_packages(when)]


def grants(product: Product) -> list[Order]:
    """What was granted to the account."""
    items = product.dynamodb.scan(TableName="ledger")["Items"]
    return [order_from_item(item) for item in items if item["sk"]["S"].startswith("G#")]


def call(product: Product, event_id: str, time: str, **fields: Any) -> None:
    """A call that is charged as `enhanced_authority_wechat`, of which 100 are free."""
    one = event("acct-1", event_id, time, "enhanced.wechat_mini_program", library="authority", **fields)
    assert product.report([one]).body["accepted"] == 1


# --- the first opening ----------------------------------------------------------------------------------------


def test_an_opened_account_gets_free_packages_half_an_hour_later(product: Product) -> None:
    """100 calls of each tag on the list, from 30 minutes after the opening, for a year to the second (D11, D13)."""
    prepare(product)
    assert approve(product).status == 200
    assert open_packages(product, "2025-03-01T10:29:59+08:00") == []
    found = open_packages(product, HALF_AN_HOUR_LATER)
    assert {package.tag for package in found} == EVERY_OPENING | {"photo_v2"}
    for package in found:
        assert (package.source, package.remaining) == ("gift", 100)
        assert (package.delivered_at, package.ends_at) == (at(HALF_AN_HOUR_LATER), at("2026-03-01T10:30:00+08:00"))


def test_a_grant_says_how_the_packages_came(product: Product) -> None:
    """One grant with its reason holds them all, by package id, and nothing was paid."""
    prepare(product)
    approve(product)
    (grant,) = grants(product)
    assert grant.order_id.startswith("grant-20250301100000-")
    assert (grant.created_at, grant.reason, grant.payment) == (at(NOW), "first opening", {})
    assert [package.package_id for package in grant.packages] == sorted(
        package.package_id for package in open_packages(product, HALF_AN_HOUR_LATER)
    )
    for package in grant.packages:
        wallet = kept(product).wallet(package.tag)
        assert wallet.packages == (package.in_wallet(),)


@pytest.mark.parametrize(
    "now, more",
    [("2024-05-15T23:59:59+08:00", set()), ("2024-05-16T00:00:00+08:00", {"photo_v2"})],
)
def test_photo_v2_is_for_accounts_opened_from_16_may_2024(product: Product, now: str, more: set[str]) -> None:
    """What counts is the day of the opening, not that of the delivery (D13)."""
    product.now = at(now)
    prepare(product)
    approve(product)
    assert {package.tag for package in open_packages(product, NOW)} == EVERY_OPENING | more


@pytest.mark.parametrize(
    "opened_at", ["2025-03-01T09:59:59+08:00", "2025-01-01T00:00:00+08:00", "2019-01-01T00:00:00Z"]
)
def test_a_customer_who_moved_here_gets_none(product: Product, opened_at: str) -> None:
    """An opening before now is one elsewhere: no free packages, also not with the first merchant id (D13)."""
    prepare(product)
    approve(product, opened_at=opened_at)
    assert merchant(product).status == 201
    assert (grants(product), dict(kept(product).wallets)) == ([], {})


@pytest.mark.parametrize("opened_at", ["2025-03-01T10:00:00+08:00", "2025-03-01T02:00:00.750Z", None])
def test_opened_in_this_very_second_is_opened_here(product: Product, opened_at: str | None) -> None:
    """Openings are whole seconds (D1): one that names this second is a first opening."""
    product.now = at("2025-03-01T10:00:00.900+08:00")
    prepare(product)
    approve(product, opened_at=opened_at)
    assert len(grants(product)) == 1


def test_packages_come_once(product: Product) -> None:
    """Rejected and approved later, applied for again, approved again: one grant, at the opening."""
    prepare(product)
    product.request("POST", f"{A}/service/rejection", {})
    assert grants(product) == []
    product.request("POST", f"{A}/service/application", {"purpose": "again"})
    approve(product)
    before = tables(product)
    assert product.request("POST", f"{A}/service/application", {"purpose": "again"}).code == "already_open"
    assert approve(product).code == "no_application"
    assert tables(product) == before
    assert len(grants(product)) == 1


def test_a_lost_answer_of_an_approval_is_found(product: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    """An approval that happened is answered as such, with the packages granted once."""
    prepare(product)
    lose_answer(monkeypatch)
    reply = approve(product)
    assert (reply.status, reply.body["status"]) == (200, "active")
    assert len(grants(product)) == 1
    assert len(open_packages(product, HALF_AN_HOUR_LATER)) == 9


def test_an_approval_that_came_second_grants_nothing(product: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two operators who decide at once one wins; the other hears that there is nothing to decide on."""
    prepare(product)
    meanwhile(monkeypatch, lambda: approve(product, opened_at="2019-01-01T00:00:00+08:00"))
    assert approve(product).code == "no_application"
    assert (grants(product), dict(kept(product).wallets)) == ([], {})


def test_the_same_approval_twice_at_once_grants_once(product: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two equal decisions of one second are one."""
    prepare(product)
    meanwhile(monkeypatch, lambda: approve(product))
    approve(product)
    assert len(grants(product)) == 1
    assert all(len(wallet.packages) == 1 for wallet in kept(product).wallets.values())


def test_an_approval_goes_on_from_what_others_did(product: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another change in between does not keep the opening from being one transaction with its packages."""
    prepare(product)
    meanwhile(monkeypatch, lambda: product.top_up("acct-1", "1.00"))
    assert approve(product).body["balance"]["cash"] == "1.00"
    assert len(grants(product)) == 1


def test_free_packages_reach_back_to_midnight(product: Product) -> None:
    """A call between the opening and the delivery is covered, for the package counts from 00:00 of its day (D10)."""
    prepare(product)
    approve(product)
    call(product, "e-1", "2025-03-01T10:05:00+08:00")
    product.move("2025-03-02T09:00:00+08:00")
    assert charges(product) == []
    wallet = kept(product).wallet("enhanced_authority_wechat")
    assert [package.used for package in wallet.packages] == [1]


def test_a_delivery_after_midnight_does_not_reach_into_the_day_of_the_opening(product: Product) -> None:
    """Opened at 23:45, the packages are of the next day: calls of the first day are charged, later ones are free."""
    product.now = at("2025-03-01T23:45:00+08:00")
    prepare(product)
    approve(product)
    call(product, "e-1", "2025-03-01T23:46:00+08:00")
    product.now = at("2025-03-02T00:10:00+08:00")
    call(product, "e-2", "2025-03-02T00:05:00+08:00")
    product.move("2025-03-03T09:00:00+08:00")
    assert [when for when, _ in charges(product)] == ["2025-03-02T08:00:00+08:00"]
    (package,) = kept(product).wallet("enhanced_authority_wechat").packages
    assert (package.delivered_at, package.used) == (at("2025-03-02T00:15:00+08:00"), 1)


# --- merchant ids ---------------------------------------------------------------------------------------------


@pytest.fixture
def opened_now(product: Product) -> Product:
    """A verified account whose service was opened now."""
    prepare(product)
    assert approve(product).status == 200
    return product


def test_the_first_merchant_id_brings_a_free_package(opened_now: Product) -> None:
    """100 calls of E证通, half an hour after the first merchant id was granted; further ids bring nothing."""
    opened_now.now = at("2025-03-05T12:00:00.500+08:00")
    reply = merchant(opened_now)
    expected = {"merchant_id": "merchant-1", "granted_at": "2025-03-05T12:00:00+08:00"}
    assert (reply.status, reply.body) == (201, expected)

    def eid(now: str) -> list[tuple[int, datetime]]:
        found = kept(opened_now).wallet("eid_authority").open_packages(at(now))
        return [(package.remaining, package.delivered_at) for package in found]

    assert eid("2025-03-05T12:29:59+08:00") == []
    delivered = at("2025-03-05T12:30:00+08:00")
    assert eid("2025-03-05T12:30:00+08:00") == [(100, delivered)]
    assert merchant(opened_now, "merchant-2").status == 201
    assert eid("2025-04-05T12:30:00+08:00") == [(100, delivered)]
    assert [grant.reason for grant in grants(opened_now)] == ["first opening", "first merchant id"]


def test_a_merchant_id_is_granted_once(opened_now: Product) -> None:
    """The same id again is answered with what was granted first, and changes nothing."""
    first = merchant(opened_now)
    opened_now.now = at("2025-03-02T10:00:00+08:00")
    before = tables(opened_now)
    again = merchant(opened_now)
    assert (again.status, again.text) == (201, first.text)
    assert tables(opened_now) == before


def test_merchant_ids_are_for_verified_and_open_accounts(product: Product) -> None:
    """First the enterprise is verified, then the service is opened; until then nothing is granted or kept."""
    prepare(product, verified=False)
    before = tables(product)
    reply = merchant(product)
    assert (reply.status, reply.code) == (403, "enterprise_verification_required")
    assert tables(product) == before
    product.request("PATCH", A, {"enterprise_verified": True})
    before = tables(product)
    reply = merchant(product)
    assert (reply.status, reply.code) == (403, "service_not_open")
    assert tables(product) == before
    approve(product)
    assert merchant(product).status == 201


def test_a_lost_answer_of_a_merchant_id_is_found(opened_now: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    """An id that was granted though the answer was lost brings one package."""
    lose_answer(monkeypatch)
    assert merchant(opened_now).status == 201
    assert len(kept(opened_now).account.merchants) == 1
    assert len(grants(opened_now)) == 2


def test_two_first_merchant_ids_bring_one_package(opened_now: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two ids that are asked for at once one is the first."""
    meanwhile(monkeypatch, lambda: merchant(opened_now, "merchant-2"))
    assert merchant(opened_now, "merchant-1").status == 201
    assert [one.merchant_id for one in kept(opened_now).account.merchants] == ["merchant-2", "merchant-1"]
    assert len(kept(opened_now).wallet("eid_authority").packages) == 1


def test_merchant_ids_are_bounded(opened_now: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound a new id is refused without a trace; those that are there are still answered."""
    monkeypatch.setattr(service, "MAX_MERCHANTS", 2)
    first = merchant(opened_now)
    merchant(opened_now, "merchant-2")
    before = tables(opened_now)
    reply = merchant(opened_now, "merchant-3")
    assert (reply.status, reply.code) == (409, "too_many_merchants")
    assert merchant(opened_now).text == first.text
    assert tables(opened_now) == before


@pytest.mark.parametrize("merchant_id", ["m", "0", "x" * 64, "a#b", "';--", "!~"])
def test_merchant_ids_that_there_are(opened_now: Product, merchant_id: str) -> None:
    """1 to 64 visible characters."""
    reply = merchant(opened_now, merchant_id)
    assert (reply.status, reply.body["merchant_id"]) == (201, merchant_id)


@pytest.mark.parametrize(
    "merchant_id", ["", "x" * 65, "a b", " a", "a\n", "a\u0000", "\u200b", "账", 5, None, True, ["m"]]
)
def test_merchant_ids_that_there_are_not(opened_now: Product, merchant_id: object) -> None:
    """Anything else is an invalid request and leaves nothing behind."""
    before = tables(opened_now)
    reply = merchant(opened_now, merchant_id)
    assert (reply.status, reply.code) == (422, "invalid_request")
    assert [error["field"] for error in reply.body["errors"]] == ["merchant_id"]
    assert tables(opened_now) == before
