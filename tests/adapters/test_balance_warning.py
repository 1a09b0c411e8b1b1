"""The warning that a balance will not last three days, after the run of each morning (D28)."""

from __future__ import annotations

import json
import os
from decimal import Decimal
from typing import Any
from unittest.mock import Mock

import pytest

from aws_platform import clients
from rating.notices import Kind
from tests.adapters.notices import adjust, kinds, times, told, violate
from tests.adapters.prepaid import MONTHLY_OPENED, OPENED, buy, give, postpaid, use
from tests.adapters.steps import A, at, balance, lose_answer, meanwhile
from tests.support.product import Product, queue_records

DAY = "2025-03-01"
MORNING = "2025-03-01T09:00:00+08:00"
RUN = "2025-03-02T08:00:00+08:00"
TIERED: dict[str, Any] = {"interface": "api.bank_card_2e"}
"""Costs 0.40 a call in the monthly list, and 0.38 from 1,000 calls on."""
WARNED = [("balance_low", RUN)]


def account(product: Product, cash: str, opened_at: str = OPENED) -> None:
    """The usual account with so much cash."""
    product.open_account("acct-1", cash=cash, opened_at=opened_at)


def warnings(product: Product) -> list[tuple[str, str]]:
    """When it was warned."""
    return times(product, Kind.BALANCE_LOW)


def settle(product: Product, **message: str) -> None:
    """Hand a message to the worker, as the queue does, which may do it again."""
    body = json.dumps({"account_id": "acct-1", **message})
    assert product.invoke("SettlementFunction", queue_records([body])) == {"batchItemFailures": []}


@pytest.mark.parametrize("opened_at", [OPENED, MONTHLY_OPENED])
@pytest.mark.parametrize("cash, warned", [("11.99", True), ("12.00", False), ("12.01", False)])
def test_less_than_three_days_at_yesterdays_cost(
    product: Product,
    opened_at: str,
    cash: str,
    warned: bool,  # noqa: FBT001
) -> None:
    """Ten calls cost 3.00; with 9.00 left it lasts three days, with a fen less it does not; any cycle (D2, D28)."""
    account(product, cash, opened_at)
    use(product, 10, MORNING)
    product.move(RUN)
    assert warnings(product) == (WARNED if warned else [])


@pytest.mark.parametrize("opened_at", [OPENED, MONTHLY_OPENED])
@pytest.mark.parametrize("cash, warned", [("12.29", True), ("12.30", False)])
def test_what_is_not_settled_counts(product: Product, opened_at: str, cash: str, warned: bool) -> None:  # noqa: FBT001
    """A call of this morning is taken off the balance first (D28)."""
    account(product, cash, opened_at)
    use(product, 10, MORNING)
    product.move("2025-03-02T07:30:00+08:00")
    use(product, 1, "2025-03-02T07:00:00+08:00")
    product.move(RUN)
    assert warnings(product) == (WARNED if warned else [])


def test_what_is_told_of_a_low_balance(product: Product) -> None:
    """The balance, what is not settled, the day and what it cost (contract, Notices)."""
    account(product, "10.00")
    use(product, 10, MORNING)
    product.move("2025-03-02T07:30:00+08:00")
    use(product, 2, "2025-03-02T07:00:00+08:00")
    product.move(RUN)
    (notice,) = told(product)
    assert notice.notice.data == {"balance": "7.00", "unsettled": "0.60", "day": DAY, "day_cost": "3.00"}
    assert notice.notice.occurred_at == at(RUN)


def test_a_monthly_account_owes_its_whole_month(product: Product) -> None:
    """What is not settled is all usage since the 1st, and yesterday's cost is yesterday's alone (D2, D28)."""
    account(product, "20.00", MONTHLY_OPENED)
    use(product, 10, MORNING)
    product.move("2025-03-03T10:00:00+08:00")
    assert warnings(product) == []
    use(product, 20, "2025-03-03T09:00:00+08:00")
    product.move("2025-03-04T08:00:00+08:00")
    (notice,) = told(product)
    assert notice.notice.data == {"balance": "20.00", "unsettled": "9.00", "day": "2025-03-03", "day_cost": "6.00"}


def test_once_a_day_and_the_next_day_again(product: Product) -> None:
    """Planned and delivered again and again it is told once; the next morning it is told anew (D28)."""
    account(product, "11.00")
    use(product, 10, MORNING)
    product.move(RUN)
    for hour in ("08:01", "12:00", "23:59"):
        product.now = at(f"2025-03-02T{hour}:00+08:00")
        product.run()
        settle(product)
        settle(product, task="warn")
    assert warnings(product) == WARNED
    use(product, 1, "2025-03-02T20:00:00+08:00")
    product.now = at("2025-03-03T07:59:59+08:00")
    settle(product)
    assert warnings(product) == WARNED
    product.now = at("2025-03-03T08:00:00+08:00")
    product.run()
    assert warnings(product) == WARNED
    use(product, 9, "2025-03-03T07:59:00+08:00")
    product.move("2025-03-04T08:00:00+08:00")
    assert warnings(product) == [*WARNED, ("balance_low", "2025-03-04T08:00:00+08:00")]


def test_every_morning_until_it_is_paid(product: Product) -> None:
    """Two mornings in a row, and none after the payment (D28)."""
    account(product, "6.40", MONTHLY_OPENED)
    for day in range(1, 6):
        product.move(f"2025-03-0{day}T20:00:00+08:00")
        if day == 4:
            product.top_up("acct-1", "1000.00")
        use(product, 5, f"2025-03-0{day}T19:00:00+08:00")
    product.move("2025-03-06T09:00:00+08:00")
    assert [when[:10] for _, when in warnings(product)] == ["2025-03-03", "2025-03-04"]


def test_a_message_that_is_delivered_twice_at_once(product: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two workers with the same account warn once; a lost answer makes no second warning either (D28)."""
    account(product, "11.00", MONTHLY_OPENED)
    use(product, 10, MORNING)
    product.now = at(RUN)
    meanwhile(monkeypatch, lambda: settle(product, task="warn"))
    settle(product, task="warn")
    assert warnings(product) == WARNED
    use(product, 10, "2025-03-02T07:00:00+08:00")
    product.now = at("2025-03-03T08:00:00+08:00")
    lose_answer(monkeypatch)
    settle(product, task="warn")
    settle(product, task="warn")
    assert len(warnings(product)) == 2


def test_a_payment_that_comes_first(product: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paid between the worker's look and its write, the balance is not low any more (D28)."""
    account(product, "11.00", MONTHLY_OPENED)
    use(product, 10, MORNING)
    product.now = at(RUN)
    meanwhile(monkeypatch, lambda: product.top_up("acct-1", "100.00"))
    settle(product, task="warn")
    assert warnings(product) == []


def test_in_arrears_it_hears_of_those_instead(product: Product) -> None:
    """The run that takes the balance below zero tells arrears and no low balance, and so do later ones (D28)."""
    account(product, "2.00")
    use(product, 10, MORNING)
    product.move(RUN)
    assert kinds(product) == ["arrears"]
    use(product, 10, "2025-03-02T07:00:00+08:00")
    product.move("2025-03-03T08:00:00+08:00")
    assert kinds(product) == ["arrears", "stopped/arrears"]


def test_a_balance_of_nothing_is_low(product: Product) -> None:
    """Zero is no arrears, and does not last (D21, D28)."""
    account(product, "3.00")
    use(product, 10, MORNING)
    product.move(RUN)
    assert balance(product)["available"] == "0.00"
    assert kinds(product) == ["balance_low"]


@pytest.mark.parametrize("opened_at", [OPENED, MONTHLY_OPENED])
def test_a_day_that_cost_nothing_warns_nobody(product: Product, opened_at: str) -> None:
    """Not used yesterday, used without charge, or covered by packages: whatever the balance is (D28)."""
    account(product, "1.00", opened_at)
    give(product, 100)
    use(product, 100, MORNING)
    use(product, 100, MORNING, "not charged", code="-2")
    product.move(RUN)
    settle(product, task="warn")
    assert warnings(product) == []
    use(product, 1, "2025-03-02T07:50:00+08:00")
    product.move("2025-03-04T08:00:00+08:00")
    settle(product, task="warn")
    found = warnings(product)
    assert [when[:10] for _, when in found] == ["2025-03-03"]


@pytest.mark.parametrize("opened_at", [OPENED, MONTHLY_OPENED])
def test_what_packages_leave_is_the_cost(product: Product, opened_at: str) -> None:
    """Of 110 calls 100 are the gift's: ten cost 3.00 (D9, D28)."""
    account(product, "11.99", opened_at)
    give(product, 100)
    use(product, 110, MORNING)
    product.move(RUN)
    (notice,) = told(product, Kind.BALANCE_LOW)
    assert notice.notice.data["day_cost"] == "3.00"


@pytest.mark.parametrize("opened_at", [OPENED, MONTHLY_OPENED])
def test_without_postpaid_nothing_is_owed(product: Product, opened_at: str) -> None:
    """Uncovered calls cost nothing, neither yesterday's nor this morning's (D14, D28)."""
    account(product, "1.00", opened_at)
    postpaid(product, on=False)
    product.move("2025-03-01T12:00:00+08:00")
    use(product, 10, "2025-03-01T11:00:00+08:00")
    product.move("2025-03-02T07:30:00+08:00")
    use(product, 10, "2025-03-02T07:00:00+08:00")
    product.move(RUN)
    settle(product, task="warn")
    assert kinds(product) == []


@pytest.mark.parametrize("opened_at", [OPENED, MONTHLY_OPENED])
@pytest.mark.parametrize("cash, warned", [("5.99", True), ("6.00", False)])
def test_discounts_count(product: Product, opened_at: str, cash: str, warned: bool) -> None:  # noqa: FBT001
    """At half price ten calls cost 1.50, before the run and after it (D18, D28)."""
    account(product, cash, opened_at)
    terms = {"rate": "0.5", "from": "2025-02-01", "until": "2026-01-01"}
    assert product.request("PUT", f"{A}/discounts/identity_check", terms).status == 200
    use(product, 10, MORNING)
    product.move(RUN)
    assert warnings(product) == (WARNED if warned else [])


@pytest.mark.parametrize("cash, warned", [("391.39", True), ("391.40", False)])
def test_the_tier_of_the_month_so_far_counts(product: Product, cash: str, warned: bool) -> None:  # noqa: FBT001
    """A monthly account pays all 1,000 calls of the month at the tier that they reach, yesterday's too (D19, D28)."""
    account(product, cash, MONTHLY_OPENED)
    use(product, 990, MORNING, **TIERED)
    product.now = at("2025-03-02T12:00:00+08:00")
    use(product, 10, "2025-03-02T11:00:00+08:00", **TIERED)
    product.now = at("2025-03-03T08:00:00+08:00")
    product.run()
    expected = {"balance": cash, "unsettled": "380.00", "day": "2025-03-02", "day_cost": "3.80"}
    assert [one.notice.data for one in told(product)] == ([expected] if warned else [])


@pytest.mark.parametrize("cash, warned", [("15.29", True), ("15.30", False)])
def test_a_monthly_account_on_the_first(product: Product, cash: str, warned: bool) -> None:  # noqa: FBT001
    """The run of the 1st settles the month; yesterday's cost is then read from its bill (D2, D28)."""
    account(product, cash, MONTHLY_OPENED)
    use(product, 10, MORNING)
    product.now = at("2025-03-31T12:00:00+08:00")
    use(product, 10, "2025-03-31T11:00:00+08:00")
    product.move("2025-04-01T07:30:00+08:00")
    use(product, 1, "2025-04-01T07:00:00+08:00")
    product.move("2025-04-01T08:00:00+08:00")
    assert Decimal(balance(product)["available"]) == Decimal(cash) - 6
    assert [when for _, when in warnings(product)] == (["2025-04-01T08:00:00+08:00"] if warned else [])
    assert [one.notice.data["day_cost"] for one in told(product)] == (["3.00"] if warned else [])


def test_the_tier_of_a_settled_month_counts(product: Product) -> None:
    """On the 1st yesterday's calls cost what the whole month's tier made of them (D19, D28)."""
    account(product, "391.39", MONTHLY_OPENED)
    use(product, 990, MORNING, **TIERED)
    product.now = at("2025-03-31T12:00:00+08:00")
    use(product, 10, "2025-03-31T11:00:00+08:00", **TIERED)
    product.now = at("2025-04-01T08:00:00+08:00")
    product.run()
    expected = {"balance": "11.39", "unsettled": "0.00", "day": "2025-03-31", "day_cost": "3.80"}
    assert [one.notice.data for one in told(product)] == [expected]


def test_a_month_is_rounded_once(product: Product) -> None:
    """Two calls of 0.165 on two days are 0.33 of the month, and one of them 0.17 of its day (D15, D28)."""
    account(product, "0.60", MONTHLY_OPENED)
    terms = {"rate": "0.55", "from": "2025-02-01", "until": "2026-01-01"}
    assert product.request("PUT", f"{A}/discounts/identity_check", terms).status == 200
    use(product, 1, MORNING)
    product.now = at("2025-03-02T12:00:00+08:00")
    use(product, 1, "2025-03-02T11:00:00+08:00")
    product.now = at("2025-03-03T08:00:00+08:00")
    product.run()
    expected = {"balance": "0.60", "unsettled": "0.33", "day": "2025-03-02", "day_cost": "0.17"}
    assert [one.notice.data for one in told(product)] == [expected]


def test_a_message_to_warn_settles_nothing(product: Product) -> None:
    """Whatever is due stays due for the message that settles; what it would deduct is taken off the balance (D28)."""
    account(product, "11.99")
    use(product, 10, MORNING)
    product.now = at(RUN)
    settle(product, task="warn")
    assert balance(product)["available"] == "11.99"
    expected = {"balance": "11.99", "unsettled": "3.00", "day": DAY, "day_cost": "3.00"}
    assert [one.notice.data for one in told(product)] == [expected]
    product.run()
    assert balance(product)["available"] == "8.99"
    assert warnings(product) == WARNED


def test_the_planner_queues_monthly_accounts_to_be_warned_only(product: Product) -> None:
    """Those with usage yesterday, once each, with their task; nothing of theirs is settled (D2, D28)."""
    account(product, "11.00", MONTHLY_OPENED)
    product.open_account("acct-2", cash="11.00", opened_at=MONTHLY_OPENED)
    use(product, 10, MORNING)
    product.now = at("2025-03-02T12:00:00+08:00")
    use(product, 1, "2025-03-02T11:00:00+08:00")
    product.now = at("2025-03-03T08:00:00+08:00")
    product.invoke("PlannerFunction", {"task": "check"})
    assert product.invoke("PlannerFunction", {"task": "plan"}) == {"queued": 0}
    answer = product.sqs.receive_message(QueueUrl=os.environ["SETTLEMENT_QUEUE_URL"], MaxNumberOfMessages=10)
    assert [json.loads(one["Body"]) for one in answer["Messages"]] == [{"account_id": "acct-1", "task": "warn"}]
    product.now = at("2025-03-04T08:00:00+08:00")
    assert product.invoke("PlannerFunction", {"task": "plan"}) == {"queued": 0}
    assert "Messages" not in product.sqs.receive_message(QueueUrl=os.environ["SETTLEMENT_QUEUE_URL"])
    assert balance(product)["available"] == "11.00"


def test_on_the_first_one_message_settles_and_warns(product: Product) -> None:
    """A monthly account is due then, and is not queued a second time to be warned (D2, D28)."""
    account(product, "11.00", MONTHLY_OPENED)
    product.now = at("2025-03-31T12:00:00+08:00")
    use(product, 10, "2025-03-31T11:00:00+08:00")
    product.now = at("2025-04-01T08:00:00+08:00")
    assert product.invoke("PlannerFunction", {"task": "plan"}) == {"queued": 1}
    answer = product.sqs.receive_message(QueueUrl=os.environ["SETTLEMENT_QUEUE_URL"], MaxNumberOfMessages=10)
    assert [json.loads(one["Body"]) for one in answer["Messages"]] == [{"account_id": "acct-1"}]


def test_a_daily_account_that_used_nothing_yesterday_is_not_queued(product: Product) -> None:
    """It has nothing due, and costs nothing in the morning (D3, D28)."""
    account(product, "11.00")
    use(product, 10, MORNING)
    product.move(RUN)
    assert product.invoke("PlannerFunction", {"task": "plan"}) == {"queued": 0}
    assert "Messages" not in product.sqs.receive_message(QueueUrl=os.environ["SETTLEMENT_QUEUE_URL"])


def test_late_usage_of_a_closed_month_is_not_settled_yet(product: Product) -> None:
    """A monthly account owes it until the next run of the 1st: it is taken off the balance like the rest (D4, D28)."""
    account(product, "100.00", MONTHLY_OPENED)
    use(product, 1, MORNING)
    product.move("2025-04-01T09:00:00+08:00")
    use(product, 300, MORNING, "late")
    product.move("2025-04-02T12:00:00+08:00")
    use(product, 10, "2025-04-02T11:00:00+08:00")
    product.move("2025-04-03T08:00:00+08:00")
    # 99.70 less 90.00 of March and 3.00 of yesterday: 6.70 does not last for 9.00.
    assert [one.notice.data["unsettled"] for one in told(product)] == ["93.00"]


def test_yesterdays_late_usage_counts_as_its_cost(product: Product) -> None:
    """What arrived before the run is on yesterday's bill, however late it was (D4, D28)."""
    account(product, "11.99")
    use(product, 5, MORNING)
    product.move("2025-03-02T07:58:00+08:00")
    use(product, 5, MORNING, "late")
    product.move(RUN)
    assert [one.notice.data["day_cost"] for one in told(product)] == ["3.00"]


def test_a_day_settled_in_two_bills_costs_both(product: Product) -> None:
    """Usage of yesterday that came after the run is charged later and is then part of no warning of its day (D4)."""
    account(product, "30.00")
    use(product, 10, MORNING)
    product.move(RUN)
    assert warnings(product) == []
    product.move("2025-03-02T09:00:00+08:00")
    use(product, 20, MORNING, "late")
    use(product, 10, "2025-03-02T08:30:00+08:00")
    product.move("2025-03-03T08:00:00+08:00")
    assert balance(product)["available"] == "18.00"
    assert warnings(product) == []


def test_stopped_for_a_violation_it_is_warned_all_the_same(product: Product) -> None:
    """Only arrears replace the warning (D28)."""
    account(product, "11.00")
    use(product, 10, MORNING)
    violate(product)
    product.move(RUN)
    assert len(warnings(product)) == 1


def test_bought_packages_and_adjustments_are_no_cost_of_a_day(product: Product) -> None:
    """Yesterday's cost is that of its usage: what was bought or corrected is not paid again every day (D28)."""
    account(product, "400.00")
    buy(product)
    adjust(product, "-80.00")
    use(product, 10, MORNING)
    product.move(RUN)
    settle(product, task="warn")
    assert warnings(product) == []


def test_a_payment_between_settlement_and_warning(product: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    """The warning after a run fails where the account has changed since, and looks at it anew (D28)."""
    account(product, "11.00")
    use(product, 10, MORNING)
    product.now = at(RUN)
    # The first transaction is the settlement's, the second the warning's.
    meanwhile(monkeypatch, lambda: meanwhile(monkeypatch, lambda: product.top_up("acct-1", "100.00")))
    settle(product)
    assert balance(product)["available"] == "108.00"
    assert warnings(product) == []


@pytest.mark.parametrize("used_today, reads", [(False, 3), (True, 4)])
def test_what_the_run_has_seen_is_not_read_again(
    product: Product,
    monkeypatch: pytest.MonkeyPatch,
    used_today: bool,  # noqa: FBT001
    reads: int,
) -> None:
    """A settlement and its warning query account, days and buckets, and live totals only where today has usage."""
    account(product, "11.00")
    use(product, 10, MORNING)
    product.move("2025-03-02T07:30:00+08:00")
    if used_today:
        use(product, 1, "2025-03-02T07:00:00+08:00")
    product.now = at(RUN)
    query = Mock(wraps=clients.dynamodb().query)
    monkeypatch.setattr(clients.dynamodb(), "query", query)
    settle(product)
    assert query.call_count == reads
    assert warnings(product) == WARNED
