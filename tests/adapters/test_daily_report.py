"""The daily report at 10:00, for those who have asked for it (contract, Notices; facts.md 5.1)."""

from __future__ import annotations

from typing import Any

import pytest

from aws_platform import clients
from aws_platform.settings import Settings
from aws_platform.standing import Reader
from rating.catalog import load
from rating.notices import Kind
from tests.adapters.notices import adjust, counted_calls, pass_time, times, told, told_pages
from tests.adapters.prepaid import SKU, TAG, buy, give, order, use
from tests.adapters.steps import A, at, lose_answer, meanwhile
from tests.support.product import CUSTOMER, Product
from timers import reports

DUE = "2025-03-02T10:00:00+08:00"
NEXT = "2025-03-03T10:00:00+08:00"


def subscribe(product: Product, *, daily_report: bool = True) -> None:
    """PUT A/notice-subscriptions as the customer."""
    reply = product.request("PUT", f"{A}/notice-subscriptions", {"daily_report": daily_report}, CUSTOMER, "acct-1")
    assert reply.status == 200, reply.text


def reported(product: Product) -> list[tuple[str, str]]:
    """(day, when it was due) of each report."""
    return [(one.notice.data["day"], one.notice.occurred_at.isoformat()) for one in told(product, Kind.DAILY_REPORT)]


def report(product: Product) -> dict[str, Any]:
    """What the last report says."""
    return dict(told(product, Kind.DAILY_REPORT)[-1].notice.data)


@pytest.fixture
def subscribed(metered: Product) -> Product:
    """An account that gets a report from 2 March on."""
    subscribe(metered)
    return metered


def test_the_figures_of_a_report(subscribed: Product) -> None:
    """Yesterday's chargeable calls by tag, the trend of seven days with its bars, and the packages (facts.md 5.1)."""
    gift = give(subscribed, 1000)
    for day, number in (("02-22", 7), ("02-23", 4), ("02-25", 8), ("02-27", 2), ("02-28", 1)):
        use(subscribed, number, f"2025-{day}T12:00:00+08:00")
    use(subscribed, 6, "2025-03-01T09:00:00+08:00")
    use(subscribed, 10, "2025-03-01T09:00:00+08:00", interface="api.bank_card_2e")
    use(subscribed, 50, "2025-03-01T09:00:00+08:00", code="-2")
    subscribed.move("2025-03-02T09:59:00+08:00")
    use(subscribed, 3, "2025-03-02T09:00:00+08:00")
    use(subscribed, 1, "2025-03-01T23:59:59.999+08:00", "late")
    subscribed.move(DUE)
    found = report(subscribed)
    assert found == {
        "day": "2025-03-01",
        "calls": [{"tag": "bank_card_check", "calls": 10}, {"tag": TAG, "calls": 7}],
        "total": 17,
        "trend": [
            {"day": "2025-02-23", "calls": 4},
            {"day": "2025-02-24", "calls": 0},
            {"day": "2025-02-25", "calls": 8},
            {"day": "2025-02-26", "calls": 0},
            {"day": "2025-02-27", "calls": 2},
            {"day": "2025-02-28", "calls": 1},
            {"day": "2025-03-01", "calls": 17},
        ],
        "chart": "▃▁▅▁▂▂█",
        "packages": [
            {
                "package_id": gift,
                "tag": TAG,
                "total": 1000,
                "remaining": 990,
                "expires_at": "2026-03-01T10:00:00+08:00",
            }
        ],
        "more_packages": 0,
    }
    assert times(subscribed, Kind.DAILY_REPORT) == [("daily_report", DUE)]


def test_an_account_without_calls_and_packages(subscribed: Product) -> None:
    """It gets its report with nothing in it, and a flat line."""
    subscribed.move(DUE)
    found = report(subscribed)
    assert (found["calls"], found["total"], found["packages"], found["chart"]) == ([], 0, [], "▁▁▁▁▁▁▁")


def test_who_has_not_asked_gets_none(metered: Product) -> None:
    """Without a subscription, or with one that does not ask for it, there is no report and no timer."""
    metered.move(DUE)
    subscribe(metered, daily_report=False)
    metered.move("2025-03-05T12:00:00+08:00")
    assert reported(metered) == []


def test_every_day_at_ten(subscribed: Product) -> None:
    """One a day, from the first 10:00 after the subscription on; not a second earlier (contract, Notices)."""
    subscribed.move("2025-03-02T09:59:59+08:00")
    assert reported(subscribed) == []
    subscribed.move("2025-03-04T10:00:00+08:00")
    assert reported(subscribed) == [
        ("2025-03-01", DUE),
        ("2025-03-02", NEXT),
        ("2025-03-03", "2025-03-04T10:00:00+08:00"),
    ]


def test_two_sweeps_at_once(subscribed: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    """One between the other's read and its write, a stale list, a lost answer: the report is there once."""
    subscribed.now = at(DUE)
    meanwhile(monkeypatch, subscribed.sweep)
    subscribed.sweep()
    reader = Reader(clients.dynamodb(), Settings.from_environment(), load())
    reports.tell(reader, "acct-1", at(DUE), subscribed.now)
    subscribed.sweep()
    assert reported(subscribed) == [("2025-03-01", DUE)]
    subscribed.now = at(NEXT)
    lose_answer(monkeypatch)
    subscribed.sweep()
    subscribed.sweep()
    reports.tell(reader, "acct-1", at(NEXT), subscribed.now)
    reports.tell(reader, "acct-1", at(DUE), subscribed.now)
    assert reported(subscribed) == [("2025-03-01", DUE), ("2025-03-02", NEXT)]


def test_a_late_sweep(subscribed: Product) -> None:
    """The report is that of its own day and 10:00, and the next one comes in time."""
    use(subscribed, 5, "2025-03-01T09:00:00+08:00")
    subscribed.now = at("2025-03-02T23:00:00+08:00")
    use(subscribed, 9, "2025-03-02T22:00:00+08:00")
    subscribed.sweep()
    subscribed.sweep()
    assert reported(subscribed) == [("2025-03-01", DUE)]
    assert report(subscribed)["total"] == 5
    subscribed.move(NEXT)
    assert reported(subscribed)[1:] == [("2025-03-02", NEXT)]
    assert [one["calls"] for one in report(subscribed)["trend"]][-2:] == [5, 9]


def test_days_that_were_missed_follow_one_by_one(subscribed: Product) -> None:
    """After four days without a sweep each day's report comes, oldest first, and none twice."""
    subscribed.now = at("2025-03-05T11:00:00+08:00")
    for number in range(1, 7):
        subscribed.sweep()
        assert len(reported(subscribed)) == min(number, 4)
    assert [day for day, _ in reported(subscribed)] == ["2025-03-01", "2025-03-02", "2025-03-03", "2025-03-04"]


def test_unsubscribing_stops_it(subscribed: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    """At once, also between the sweep's read and its write; subscribing again starts with the next 10:00."""
    subscribed.move(DUE)
    subscribe(subscribed, daily_report=False)
    subscribed.move("2025-03-04T12:00:00+08:00")
    assert len(reported(subscribed)) == 1
    subscribe(subscribed)
    subscribed.now = at("2025-03-05T10:00:00+08:00")
    meanwhile(monkeypatch, lambda: subscribe(subscribed, daily_report=False))
    subscribed.sweep()
    subscribed.sweep()
    assert len(reported(subscribed)) == 1


def test_subscribing_again_on_the_same_day_sends_no_second_report(subscribed: Product) -> None:
    """Who replaces the subscription after 10:00 gets the next report tomorrow."""
    subscribed.move("2025-03-02T10:00:30+08:00")
    subscribe(subscribed, daily_report=False)
    subscribe(subscribed)
    subscribed.move("2025-03-02T23:00:00+08:00")
    assert len(reported(subscribed)) == 1
    subscribed.move(NEXT)
    assert len(reported(subscribed)) == 2


@pytest.mark.parametrize("steps", [[True], [False, True]])
def test_a_subscription_that_is_written_as_the_report_goes_out(subscribed: Product, steps: list[bool]) -> None:
    """Requests that began before 10:00 and are stored after the report repeat nothing, and lose no later report."""
    subscribed.now = at("2025-03-02T10:00:01+08:00")
    subscribed.sweep()
    assert len(reported(subscribed)) == 1
    subscribed.now = at("2025-03-02T09:59:59+08:00")
    for daily_report in steps:
        subscribe(subscribed, daily_report=daily_report)
    for moment in ("2025-03-02T10:02:00+08:00", "2025-03-03T10:00:00+08:00", "2025-03-03T10:01:00+08:00"):
        subscribed.now = at(moment)
        subscribed.sweep()
    assert reported(subscribed) == [("2025-03-01", DUE), ("2025-03-02", NEXT)]


def test_the_packages_of_a_report(subscribed: Product) -> None:
    """Twenty that end soonest, and how many more there are; what is used up, refunded or not there yet is left out."""
    subscribed.top_up("acct-1", "10000.00")
    used_up = give(subscribed, 5, "phone_two_factor")
    use(subscribed, 5, "2025-03-01T09:00:00+08:00", interface="api.phone_2e")
    order(subscribed, [{"sku": SKU, "quantity": 20}])
    subscribed.move("2025-03-01T11:00:00+08:00")
    gift = give(subscribed, 7)
    (later,) = buy(subscribed, "bank_card_check:1000")
    subscribed.move(DUE)
    found = report(subscribed)
    listed = [one["package_id"] for one in found["packages"]]
    assert len(listed) == 20
    assert found["more_packages"] == 2
    assert listed[0] == gift
    assert used_up not in listed
    assert later not in listed
    ends = [one["expires_at"] for one in found["packages"]]
    assert ends == sorted(ends)


def test_packages_that_have_ended_or_were_released_are_left_out(subscribed: Product) -> None:
    """An ended package, and one that a release has ended, have nothing left to show (D11, D23)."""
    give(subscribed, 7)
    pass_time(subscribed, "2025-03-05T12:00:00+08:00")
    assert len(report(subscribed)["packages"]) == 1
    adjust(subscribed, "-2000.00")
    pass_time(subscribed, "2025-04-05T09:00:00+08:00")
    assert len(report(subscribed)["packages"]) == 1
    pass_time(subscribed, "2025-04-06T12:00:00+08:00")
    assert report(subscribed)["packages"] == []
    subscribed.top_up("acct-1", "2000.00")
    new = give(subscribed, 3)
    pass_time(subscribed, "2025-04-07T12:00:00+08:00")
    assert [one["package_id"] for one in report(subscribed)["packages"]] == [new]


def test_free_packages_before_their_delivery_are_left_out(product: Product) -> None:
    """They are in the wallets half an hour ahead of time (D13)."""
    product.now = at("2025-03-01T09:45:00+08:00")
    product.open_account("acct-1")
    subscribe(product)
    product.move("2025-03-01T10:00:00+08:00")
    assert report(product)["packages"] == []
    product.move(DUE)
    assert len(report(product)["packages"]) > 1


def test_a_report_is_a_page_of_its_own(subscribed: Product) -> None:
    """It changes nothing of the account: two writes, the page and the subscription's next time."""
    subscribed.now = at(DUE)
    with counted_calls() as calls:
        subscribed.sweep()
    (request,) = [request for name, request in calls if name == "TransactWriteItems"]
    assert [list(item) for item in request["TransactItems"]] == [["Put"], ["Update"]]
    (page,) = told_pages(subscribed)
    assert [one.notice.kind for one in page] == [Kind.DAILY_REPORT]
