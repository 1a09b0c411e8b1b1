"""An account that does not pay, from the arrears to the release a month later, as everybody concerned sees it."""

from __future__ import annotations

from typing import Any

import pytest

from local.story import Teller, one_instant, open_account, report_all

ACCOUNT = "late-1"
EMAIL, PHONE = "owner@late.example", "+8613800000001"
TAG, PACKAGED = "identity_check", "api.id_card_verification"
"""0.30 yuan a call; a package of 1,000 was bought."""
CHARGED = "api.phone_2e"
"""0.40 yuan a call; there is no package."""
TOLD = {
    "package_delivered": "2025-03-01T08:30:00+08:00",
    "arrears": "2025-03-02T08:00:00+08:00",
    "stopped": "2025-03-03T08:00:00+08:00",
    "released": "2025-04-02T08:00:00+08:00",
    "resumed": "2025-04-02T09:00:00+08:00",
}
"""Every notice of the story, and when what it tells happened."""


def use(teller: Teller, interface: str, number: int, when: str) -> None:
    """Report charged calls of one instant."""
    report_all(teller, one_instant(ACCOUNT, when, interface, f"{interface}-{when}", number))


def status(teller: Teller) -> tuple[str, str]:
    """What the customer reads of its account: status and balance."""
    account = teller.customer(ACCOUNT, "")
    return account["status"], account["balance"]["available"]


def package(teller: Teller) -> dict[str, Any]:
    """The bought package."""
    items = teller.customer(ACCOUNT, "/packages", tag=TAG)["items"]
    assert len(items) == 1
    return dict(items[0])


def kinds(teller: Teller) -> list[str]:
    """What the inbox holds."""
    return [notice["kind"] for notice in teller.customer(ACCOUNT, "/notices")["items"]]


@pytest.fixture(scope="module")
def told(teller: Teller) -> Teller:
    """Live through the story once; what it claims on the way is asserted here."""
    open_account(teller, ACCOUNT, "Late", "310.00", contact={"email": EMAIL, "phone": PHONE, "locale": "zh-CN"})
    teller.buyer(ACCOUNT, "POST", "/orders", {"items": [{"sku": f"{TAG}:1000", "quantity": 1}]}, "order")
    use(teller, CHARGED, 100, "2025-03-01T08:30:00+08:00")
    teller.move_to("2025-03-02T07:59:59+08:00")
    assert status(teller) == ("active", "10.00")
    teller.move_to("2025-03-02T08:00:00+08:00")
    assert status(teller) == ("active", "-30.00")
    assert teller.customer(ACCOUNT, "")["arrears"] == {
        "since": TOLD["arrears"],
        "stops_at": TOLD["stopped"],
        "releases_at": TOLD["released"],
    }
    teller.move_to("2025-03-03T07:59:59+08:00")
    assert status(teller) == ("active", "-30.00")
    assert kinds(teller) == ["package_delivered", "arrears"]
    use(teller, PACKAGED, 100, "2025-03-03T07:59:59+08:00")
    teller.move_to("2025-03-03T08:00:00+08:00")
    assert status(teller) == ("stopped", "-30.00")
    # What is made in spite of the stop is charged; the package is not touched.
    use(teller, PACKAGED, 100, "2025-03-03T08:00:00+08:00")
    refused = teller.customer(ACCOUNT, f"/entitlements/{TAG}")
    assert (refused["allowed"], refused["reason"]) == (False, "stopped")
    order = {"items": [{"sku": f"{TAG}:1000", "quantity": 1}]}
    assert teller.refusal(ACCOUNT, "/orders", order, "refused") == "account_in_arrears"
    teller.move_to("2025-03-04T08:00:00+08:00")
    assert status(teller) == ("stopped", "-60.00")
    assert (package(teller)["remaining"], package(teller)["status"]) == (900, "active")
    teller.move_to("2025-04-02T07:59:59+08:00")
    assert status(teller) == ("stopped", "-60.00")
    teller.move_to("2025-04-02T08:00:00+08:00")
    assert status(teller) == ("released", "-60.00")
    assert teller.customer(ACCOUNT, f"/entitlements/{TAG}")["reason"] == "released"
    assert (package(teller)["remaining"], package(teller)["status"]) == (900, "released")
    teller.move_to("2025-04-02T09:00:00+08:00")
    teller.operator("POST", f"/v1/accounts/{ACCOUNT}/top-ups", {"fund": "cash", "amount": "100.00"}, "paid")
    teller.move_to("2025-04-02T09:00:00+08:00")
    assert status(teller) == ("active", "40.00")
    return teller


def test_the_inbox_tells_the_story_once(told: Teller) -> None:
    """Each thing that happened is one notice, at its own instant, delivered on every channel."""
    notices = told.customer(ACCOUNT, "/notices")["items"]
    assert {notice["kind"]: notice["occurred_at"] for notice in notices} == TOLD
    assert [notice["kind"] for notice in notices] == list(TOLD)
    for notice in notices:
        channels = {one["channel"]: one["status"] for one in notice["deliveries"]}
        assert channels == {"in_site": "delivered", "email": "sent", "sms": "sent"}


def test_each_message_went_out_once(told: Teller) -> None:
    """One e-mail and one SMS a notice, and each e-mail has the subject of its notice."""
    subjects = [notice["subject"] for notice in told.customer(ACCOUNT, "/notices")["items"]]
    sent = told.messages()
    emails = [one["subject"] for one in sent if one["channel"] == "email" and one["to"] == [EMAIL]]
    texts = [one["body"] for one in sent if one["channel"] == "sms" and one["to"] == [PHONE]]
    assert emails == [f"【Zhangben】{subject}" for subject in subjects]
    assert len(texts) == len(subjects)


def test_the_bus_saw_each_notice(told: Teller) -> None:
    """Whoever listens on the bus learns the same, by the same ids."""
    seen = [one["detail"] for one in told.events() if one["detail"]["account_id"] == ACCOUNT]
    notices = told.customer(ACCOUNT, "/notices")["items"]
    assert {one["notice_id"]: one["data"] for one in seen} == {one["notice_id"]: one["data"] for one in notices}
    assert [one["kind"] for one in seen] == list(TOLD)


def test_a_released_package_stays_away(told: Teller) -> None:
    """After the payment the service runs again, without the package that the release has ended."""
    allowed = told.customer(ACCOUNT, f"/entitlements/{TAG}")
    assert (allowed["allowed"], allowed["paid_remaining"]) == (True, 0)
    use(told, PACKAGED, 10, "2025-04-02T09:00:00+08:00")
    told.move_to("2025-04-03T08:00:00+08:00")
    assert status(told) == ("active", "37.00")
    assert package(told)["status"] == "released"
