"""Daily accounts: the run of 08:00 and what it leaves behind (contract, Bills; D3, D4, D14, D15)."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from aws_platform import live
from tests.adapters.steps import NOW, A, at, balance, charges, details, resources, tables, total
from tests.support.product import Product, event, events

RISK = {"interface": "face_risk"}
RESOURCE_FIELDS = [
    "resource_id",
    "alias",
    "payer",
    "product",
    "sub_product",
    "tag",
    "project",
    "region",
    "billing_mode",
    "transaction_type",
    "order_id",
    "charged_at",
    "usage_start",
    "usage_end",
    "original_cost",
    "discount_rate",
    "total_cost",
    "cash",
    "income_transfer",
    "gift",
    "voucher",
]
DETAIL_FIELDS = (
    *RESOURCE_FIELDS,
    *[
        "transaction_id",
        "usage_day",
        "list_price",
        "unit_price",
        "price_unit",
        "raw_quantity",
        "deducted_quantity",
        "quantity",
        "formula",
    ],
)


def test_yesterday_is_charged_at_eight(metered: Product) -> None:
    """The run of 08:00 charges yesterday's usage and not today's; a second earlier nothing is charged."""
    metered.report(events("acct-1", 10, "2025-03-01T09:59:59+08:00"))
    metered.move("2025-03-02T07:50:00+08:00")
    metered.report(events("acct-1", 5, "2025-03-02T07:50:00+08:00", prefix="today"))
    metered.now = at("2025-03-02T07:59:59+08:00")
    metered.run()
    assert charges(metered) == []
    metered.move("2025-03-02T08:00:00+08:00")
    assert charges(metered) == [("2025-03-02T08:00:00+08:00", "-3.00")]
    assert balance(metered)["cash"] == "997.00"
    metered.move("2025-03-03T08:00:00+08:00")
    assert charges(metered) == [("2025-03-02T08:00:00+08:00", "-3.00"), ("2025-03-03T08:00:00+08:00", "-1.50")]


def test_a_detail_row_shows_all_that_the_contract_names(metered: Product) -> None:
    """A fee has every field of the contract, and each says what it should."""
    metered.report([*events("acct-1", 7, NOW, **RISK), *events("acct-1", 2, NOW, prefix="free", code="1", **RISK)])
    metered.move("2025-03-02T09:00:00+08:00")
    (row,) = details(metered)
    assert set(DETAIL_FIELDS) <= set(row)
    expected = {
        "payer": "acct-1",
        "tag": "face_risk",
        "sub_product": "人脸安全风险识别服务",
        "billing_mode": "postpaid",
        "transaction_type": "postpay_daily",
        "order_id": None,
        "charged_at": "2025-03-02T08:00:00+08:00",
        "usage_day": "2025-03-01",
        "usage_start": "2025-03-01T00:00:00+08:00",
        "usage_end": "2025-03-01T23:59:59+08:00",
        "list_price": "0.0035",
        "unit_price": "0.0035",
        "discount_rate": "1",
        "raw_quantity": 7,
        "deducted_quantity": 0,
        "quantity": 7,
        "original_cost": "0.02450000",
        "total_cost": "0.02450000",
        "cash": "0.02",
        "income_transfer": "0.00",
        "gift": "0.00",
        "voucher": "0.00",
    }
    assert {name: row[name] for name in expected} == expected
    for name in ("resource_id", "product", "project", "region", "price_unit", "formula", "transaction_id"):
        assert isinstance(row[name], str)
        assert row[name]


def test_a_resource_row_shows_all_that_the_contract_names(metered: Product) -> None:
    """A charge has every field of the contract, with amounts in whole fen, and is found again by its resource."""
    metered.report(events("acct-1", 10, NOW, **RISK))
    metered.move("2025-03-02T09:00:00+08:00")
    (row,) = resources(metered)
    assert set(RESOURCE_FIELDS) <= set(row)
    (detail,) = details(metered)
    same = set(RESOURCE_FIELDS) - {"original_cost", "total_cost"}
    assert {name: row[name] for name in same} == {name: detail[name] for name in same}
    # 0.035 is rounded half-up, away from zero (D15).
    assert (row["original_cost"], row["total_cost"], row["cash"]) == ("0.04", "0.04", "0.04")
    assert charges(metered) == [("2025-03-02T08:00:00+08:00", "-0.04")]


def test_each_tag_is_a_charge_of_its_own(metered: Product) -> None:
    """Every tag of a day is rounded for itself and paid in one go."""
    batch = events("acct-1", 1, NOW, **RISK) + events("acct-1", 2, NOW, prefix="p", interface="api.phone_2e")
    batch += events("acct-1", 3, NOW, prefix="w", interface="plus.app_sdk", library="authority")
    metered.report(batch)
    metered.move("2025-03-02T09:00:00+08:00")
    shown = [(row["tag"], row["total_cost"]) for row in resources(metered)]
    assert shown == [("face_risk", "0.00"), ("phone_two_factor", "0.80"), ("plus_authority_app", "4.50")]
    assert charges(metered) == [("2025-03-02T08:00:00+08:00", "-5.30")]
    assert len({row["resource_id"] for row in resources(metered)}) == 3


def test_calls_that_are_not_charged_leave_no_line(metered: Product) -> None:
    """A day of free results alone has no bill; it is neither charged nor left due."""
    metered.report(events("acct-1", 10, NOW, code="-2"))
    metered.move("2025-03-02T09:00:00+08:00")
    assert details(metered) == resources(metered) == []
    assert charges(metered) == []
    assert metered.invoke("PlannerFunction", {"task": "plan"})["queued"] == 0


def test_a_run_twice_charges_once(metered: Product) -> None:
    """Planning and settling again, at once or later that day, with messages repeated, changes nothing."""
    metered.report(events("acct-1", 10, NOW))
    metered.move("2025-03-02T08:00:00+08:00")
    before = tables(metered)
    message = {"messageId": "m", "body": json.dumps({"account_id": "acct-1"})}
    for now in ("2025-03-02T08:00:00+08:00", "2025-03-02T10:00:00+08:00", "2025-03-02T23:59:59+08:00"):
        metered.now = at(now)
        metered.run()
        for records in ([message], [message, message]):
            assert metered.invoke("SettlementFunction", {"Records": records}) == {"batchItemFailures": []}
    assert tables(metered) == before
    assert charges(metered) == [("2025-03-02T08:00:00+08:00", "-3.00")]


def test_the_planner_queues_who_has_something_due(product: Product) -> None:
    """An idle account costs no message, a busy one has one; afterwards nobody is unsettled."""
    for number in range(5):
        product.open_account(f"busy-{number}")
        product.open_account(f"idle-{number}")
        product.report([event(f"busy-{number}", "e-1", NOW)])
    assert product.invoke("PlannerFunction", {"task": "check"})["unsettled"] == 0
    product.now = at("2025-03-02T08:00:00+08:00")
    assert product.invoke("PlannerFunction", {"task": "check"})["unsettled"] == 5
    assert product.invoke("PlannerFunction", {"task": "plan"})["queued"] == 5
    url = os.environ["SETTLEMENT_QUEUE_URL"]
    found = product.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    assert sorted(json.loads(one["Body"])["account_id"] for one in found) == [f"busy-{n}" for n in range(5)]
    product.run()
    assert product.invoke("PlannerFunction", {"task": "check"})["unsettled"] == 0


def test_a_bad_message_harms_no_other(metered: Product) -> None:
    """What cannot be settled comes back alone; an account that does not exist has nothing due."""
    metered.report(events("acct-1", 10, NOW))
    metered.now = at("2025-03-02T08:00:00+08:00")
    bodies = ["hello", "{}", json.dumps({"account_id": "nobody"}), json.dumps({"account_id": "acct-1"})]
    records = [{"messageId": f"m-{number}", "body": body} for number, body in enumerate(bodies)]
    answer = metered.invoke("SettlementFunction", {"Records": records})
    assert [one["itemIdentifier"] for one in answer["batchItemFailures"]] == ["m-0", "m-1"]
    assert charges(metered) == [("2025-03-02T08:00:00+08:00", "-3.00")]


def test_days_that_were_missed_are_settled_oldest_first(metered: Product) -> None:
    """A run after days without one settles each day on a bill of its own, oldest first, at the time of the run."""
    for day in ("2025-02-26", "2025-02-27", "2025-02-28"):
        metered.now = at(f"{day}T10:00:00+08:00")
        metered.report(events("acct-1", int(day[-2:]), f"{day}T10:00:00+08:00", prefix=day))
    metered.now = at("2025-03-01T15:30:00+08:00")
    metered.run()
    assert [(row["usage_day"], row["raw_quantity"]) for row in details(metered, "2025-02")] == [
        ("2025-02-26", 26),
        ("2025-02-27", 27),
        ("2025-02-28", 28),
    ]
    assert {row["charged_at"] for row in details(metered, "2025-02")} == {"2025-03-01T15:30:00+08:00"}
    assert charges(metered) == [("2025-03-01T15:30:00+08:00", amount) for amount in ("-7.80", "-8.10", "-8.40")]


def test_late_usage_is_charged_by_the_next_run_on_its_own_line(metered: Product) -> None:
    """Usage of a settled day is charged in the next run, on a line that names its day; nothing issued changes (D4)."""
    metered.report(events("acct-1", 10, NOW))
    metered.move("2025-03-02T08:00:00+08:00")
    issued, charged = details(metered), resources(metered)
    metered.now = at("2025-03-02T08:00:01+08:00")
    metered.report(events("acct-1", 4, NOW, prefix="late"))
    metered.report(events("acct-1", 1, "2025-03-02T08:00:01+08:00", prefix="today"))
    metered.run()
    assert details(metered) == issued
    metered.move("2025-03-03T08:00:00+08:00")
    found = details(metered, basis="charge")
    assert found[:1] == issued
    assert [(row["usage_day"], row["raw_quantity"], row["charged_at"]) for row in found] == [
        ("2025-03-01", 10, "2025-03-02T08:00:00+08:00"),
        ("2025-03-01", 4, "2025-03-03T08:00:00+08:00"),
        ("2025-03-02", 1, "2025-03-03T08:00:00+08:00"),
    ]
    assert resources(metered, basis="charge")[:1] == charged
    assert len({row["transaction_id"] for row in found}) == 3
    metered.move("2025-03-05T08:00:00+08:00")
    assert details(metered, basis="charge") == found


def test_late_usage_is_charged_as_often_as_it_comes(metered: Product) -> None:
    """Late usage of one day may come again and again, in fractions of a fen, and each run charges what is new."""
    metered.report(events("acct-1", 1, NOW, **RISK))
    for day in range(2, 8):
        metered.move(f"2025-03-0{day}T09:00:00+08:00")
        metered.report(events("acct-1", day, NOW, prefix=f"late-{day}", **RISK))
        metered.report(events("acct-1", 1, NOW, **RISK))
    metered.move("2025-03-08T09:00:00+08:00")
    assert [row["raw_quantity"] for row in details(metered)] == [1, 2, 3, 4, 5, 6, 7]
    assert {row["usage_day"] for row in details(metered)} == {"2025-03-01"}
    assert [row["total_cost"] for row in resources(metered)] == ["0.00", "0.01", "0.01", "0.01", "0.02", "0.02", "0.02"]


def test_usage_of_the_35th_day_is_still_charged(metered: Product) -> None:
    """The oldest usage that metering takes is charged by the next run, with its own day on the line."""
    metered.report([event("acct-1", "e-1", "2025-01-25T10:00:00+08:00")])
    metered.move("2025-03-02T09:00:00+08:00")
    (row,) = details(metered, "2025-01")
    assert (row["usage_day"], row["charged_at"]) == ("2025-01-25", "2025-03-02T08:00:00+08:00")


def test_usage_that_comes_after_the_run_waits_for_the_next(metered: Product) -> None:
    """The second pass of a morning finishes what the first one left, and takes nothing that came after 08:00 (D4)."""
    metered.report(events("acct-1", 5, NOW))
    metered.now = at("2025-03-02T07:59:30+08:00")
    metered.report(events("acct-1", 4, NOW, prefix="in the minute of the run"))
    metered.move("2025-03-02T09:00:00+08:00")
    first = charges(metered)
    metered.report(events("acct-1", 3, NOW, prefix="after it"))
    metered.now = at("2025-03-02T10:00:00+08:00")
    metered.run()
    assert charges(metered) == first
    assert metered.invoke("PlannerFunction", {"task": "check"}) == {"unsettled": 0}
    metered.move("2025-03-03T08:00:00+08:00")
    assert [when for when, _ in charges(metered)] == ["2025-03-02T08:00:00+08:00", "2025-03-03T08:00:00+08:00"]


def test_usage_that_comes_during_the_run_waits_for_the_next(metered: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is reported while the run is at work, after it has counted the day, is charged by the next one (D4)."""

    def overtaken(*given: Any) -> None:
        monkeypatch.setattr(live, "put_day", put_day)
        metered.report(events("acct-1", 3, NOW, prefix="during it"))
        put_day(*given)

    put_day = live.put_day
    metered.now = at("2025-03-02T07:56:00+08:00")
    metered.report(events("acct-1", 4, NOW, prefix="late"))
    monkeypatch.setattr(live, "put_day", overtaken)
    metered.move("2025-03-02T09:00:00+08:00")
    first = charges(metered)
    metered.now = at("2025-03-02T10:00:00+08:00")
    metered.run()
    assert charges(metered) == first
    metered.move("2025-03-03T08:00:00+08:00")
    assert [when for when, _ in charges(metered)] == ["2025-03-02T08:00:00+08:00", "2025-03-03T08:00:00+08:00"]


def test_late_usage_that_is_not_charged_makes_no_bill(metered: Product) -> None:
    """Free results of a settled day change the statistics alone."""
    metered.report(events("acct-1", 10, NOW))
    metered.move("2025-03-02T09:00:00+08:00")
    before = tables(metered)["ledger"]
    metered.report(events("acct-1", 3, NOW, prefix="late", code="-2"))
    metered.move("2025-03-03T09:00:00+08:00")
    assert tables(metered)["ledger"] == before
    assert metered.invoke("PlannerFunction", {"task": "plan"})["queued"] == 0


def test_the_charge_that_goes_below_zero_begins_arrears(product: Product) -> None:
    """Arrears begin at the time of that charge, and do not move with later ones (D17, D21)."""
    product.open_account("acct-1", cash="4.00")
    for day in (1, 2, 3):
        now = f"2025-03-0{day}T10:00:00+08:00"
        product.move(now)
        product.report(events("acct-1", 10, now))
    product.move("2025-03-04T09:00:00+08:00")
    assert balance(product)["cash"] == "-5.00"
    assert product.get(A).body["arrears"] == {
        "since": "2025-03-03T08:00:00+08:00",
        "stops_at": "2025-03-04T08:00:00+08:00",
        "releases_at": "2025-04-03T08:00:00+08:00",
    }


def test_usage_while_stopped_is_charged(product: Product) -> None:
    """A stop refuses service; what happens all the same is charged (D22)."""
    product.open_account("acct-1")
    product.report([event("acct-1", "e-1", NOW)])
    product.move("2025-03-04T10:00:00+08:00")
    assert product.get(A).body["status"] == "stopped"
    product.report([event("acct-1", "e-2", "2025-03-04T10:00:00+08:00")])
    product.move("2025-03-05T10:00:00+08:00")
    assert [row["total_cost"] for row in resources(product)] == ["0.30", "0.30"]


def switch(product: Product, now: str, *, postpaid: bool) -> None:
    """PATCH A at an instant."""
    product.now = at(now)
    assert product.request("PATCH", A, {"postpaid_enabled": postpaid}).status == 200


def test_with_postpaid_off_calls_are_uncovered_and_never_charged(metered: Product) -> None:
    """A day wholly without postpaid is shown with all its calls and costs nothing (D14)."""
    switch(metered, NOW, postpaid=False)
    metered.report(events("acct-1", 10, NOW))
    metered.move("2025-03-02T09:00:00+08:00")
    (row,) = details(metered)
    assert (row["raw_quantity"], row["deducted_quantity"], row["quantity"]) == (10, 0, 0)
    assert (row["total_cost"], charges(metered)) == ("0.00000000", [])
    assert details(metered, hide_zero="true") == resources(metered, hide_zero="true") == []
    switch(metered, "2025-03-02T09:00:00+08:00", postpaid=True)
    metered.move("2025-03-10T09:00:00+08:00")
    assert charges(metered) == []


def test_switching_postpaid_off_late_does_not_make_the_day_free(metered: Product) -> None:
    """Usage is judged by the state at its own time: what came before the switch is charged, the rest is not (D5)."""
    metered.report(events("acct-1", 100, NOW))
    metered.now = at("2025-03-01T23:59:07+08:00")
    metered.report(events("acct-1", 10, "2025-03-01T23:59:06+08:00", prefix="before"))
    switch(metered, "2025-03-01T23:59:07+08:00", postpaid=False)
    metered.report(events("acct-1", 7, "2025-03-01T23:59:07+08:00", prefix="after"))
    metered.move("2025-03-02T09:00:00+08:00")
    (row,) = details(metered)
    assert (row["raw_quantity"], row["quantity"], row["total_cost"]) == (117, 110, "33.00000000")


def test_switching_it_on_again_charges_nothing_afterwards(metered: Product) -> None:
    """Off for an hour and on again: only the calls of that hour stay uncharged, late ones included (D4, D5)."""
    switch(metered, "2025-03-01T11:00:00+08:00", postpaid=False)
    switch(metered, "2025-03-01T12:00:00+08:00", postpaid=True)
    times = ["10:59:59", "11:00:00", "11:59:59", "12:00:00"]
    metered.report([event("acct-1", time, f"2025-03-01T{time}+08:00") for time in times])
    metered.move("2025-03-02T09:00:00+08:00")
    metered.report([event("acct-1", f"late-{time}", f"2025-03-01T{time}+08:00") for time in times])
    metered.move("2025-03-03T09:00:00+08:00")
    assert [(row["raw_quantity"], row["quantity"]) for row in details(metered)] == [(4, 2), (4, 2)]
    assert charges(metered) == [("2025-03-02T08:00:00+08:00", "-0.60"), ("2025-03-03T08:00:00+08:00", "-0.60")]


def test_switching_after_the_day_changes_nothing_of_it(metered: Product) -> None:
    """Postpaid switched off before the run, but after the day, leaves the day charged."""
    metered.report(events("acct-1", 10, NOW))
    switch(metered, "2025-03-02T00:00:00+08:00", postpaid=False)
    metered.move("2025-03-02T09:00:00+08:00")
    assert charges(metered) == [("2025-03-02T08:00:00+08:00", "-3.00")]


PREVIEWED = set(DETAIL_FIELDS) - {
    "transaction_id", "charged_at", "order_id", "cash", "income_transfer", "gift", "voucher",
}  # fmt: skip


def assert_preview_is_what_comes(product: Product, run: str, month: str) -> None:
    """What the preview says now is what the run then charges."""
    preview = product.get(f"{A}/bills/preview").body
    issued = {row["transaction_id"] for row in details(product, month, basis="charge")}
    charged = balance(product)["available"]
    product.move(run)
    new = [row for row in details(product, month, basis="charge") if row["transaction_id"] not in issued]
    new = [row for row in new if row["transaction_type"] != "precision_difference"]
    assert [{name: row[name] for name in PREVIEWED} for row in preview["items"]] == [
        {name: row[name] for name in PREVIEWED} for row in new
    ]
    paid = total([{"amount": charged}, {"amount": f"-{balance(product)['available']}"}], "amount")
    assert f"{paid:.2f}" == preview["total_cost"]


def test_the_preview_is_the_next_settlement(metered: Product) -> None:
    """The open period is shown as the next run charges it: several tags, a switch in the day, and late usage."""
    assert metered.get(f"{A}/bills/preview").body == {"as_of": NOW, "items": [], "total_cost": "0.00"}
    batch = events("acct-1", 13, NOW, **RISK) + events("acct-1", 5, NOW, prefix="p", interface="api.phone_2e")
    metered.report(batch)
    switch(metered, "2025-03-01T18:00:00+08:00", postpaid=False)
    metered.report(events("acct-1", 6, "2025-03-01T18:00:00+08:00", prefix="off", interface="api.phone_2e"))
    switch(metered, "2025-03-01T19:00:00+08:00", postpaid=True)
    assert_preview_is_what_comes(metered, "2025-03-02T08:00:00+08:00", "2025-03")
    metered.now = at("2025-03-02T23:00:00+08:00")
    metered.report(events("acct-1", 3, "2025-03-01T18:30:00+08:00", prefix="late", interface="api.phone_2e"))
    metered.report(events("acct-1", 9, NOW, prefix="late", **RISK))
    metered.report(events("acct-1", 2, "2025-03-02T23:00:00+08:00", prefix="today"))
    assert_preview_is_what_comes(metered, "2025-03-03T08:00:00+08:00", "2025-03")
    assert metered.get(f"{A}/bills/preview").body["items"] == []


def test_reading_changes_nothing(metered: Product) -> None:
    """No read leaves a trace, before or after settlement."""
    metered.report(events("acct-1", 10, NOW))
    for now in (NOW, "2025-03-02T09:00:00+08:00"):
        metered.move(now)
        before = tables(metered)
        for path in ("", "/journal", "/usage", "/bills/preview"):
            assert metered.get(f"{A}{path}").status == 200
        for path in ("resources", "details"):
            assert metered.get(f"{A}/bills/{path}", month="2025-03").status == 200
        assert tables(metered) == before


def test_a_worked_example_of_the_guide(metered: Product) -> None:
    """1,000 identity checks of one day cost 300 yuan (guide, postpaid by day, first example)."""
    metered.report(events("acct-1", 1000, NOW))
    metered.move("2025-03-02T09:00:00+08:00")
    (row,) = details(metered)
    assert (row["unit_price"], row["quantity"], row["total_cost"]) == ("0.30", 1000, "300.00000000")
    assert charges(metered) == [("2025-03-02T08:00:00+08:00", "-300.00")]
