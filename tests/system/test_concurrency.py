"""Races on the local cloud: sixteen connections, several processes of each function, and nothing happens twice.

The embedded cloud's tables take one call at a time, as a probe with conditional writes and transactions showed, so what
races are the calls of processes that run side by side. It never cancels a transaction for a conflict: that is the part
of the fault tests. `make concurrency` makes more of everything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from itertools import islice
from typing import Any

import pytest

import local.cloud
from local import gateway
from local.cloud import LocalCloud
from local.story import Teller, one_instant
from tests.support.sandbox import set_clock
from tests.system.crowd import CONNECTIONS, PROCESSES, ROUNDS, Ask, Crowd, Run, after, day_of, outcomes, processes_of

BEGIN = "2025-03-01T10:00:00+08:00"
CALL, CALL_TAG, CALL_PRICE = "api.phone_2e", "phone_two_factor", Decimal("0.40")
SKU, SKU_PRICE = "identity_check:1000", 300
PACKAGED = {
    "identity_check": "api.id_card_verification",
    "identity_validity_check": "api.id_name_date_check",
    "bank_card_check": "api.bank_card_2e",
    "bank_card_lookup": "api.bank_card_information",
    "phone_tenure_status": "api.phone_tenure",
    "phone_two_factor": "api.phone_2e",
    "phone_three_factor_simple": "api.phone_3e",
    "phone_three_factor_ctcc": "api.phone_3e_ctcc",
}
"""Tags that have packages, each with an interface that charges the code 0."""
SETTLERS = max(4, PROCESSES // 2)
"""Processes that settle the same accounts at once, beside those that the queue lets run; eight of sixteen."""
SWEEP: Run = ("TimersFunction", {"task": "sweep"})
SWEEPS = max(2, PROCESSES // 4)
rounds = pytest.mark.parametrize("round_", range(ROUNDS))


@pytest.fixture(scope="module")
def crowd() -> Iterator[Crowd]:
    """A local cloud with many clients, whose gateway lets so many processes of a function run at once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gateway, "AT_ONCE", PROCESSES)
        patch.setattr(local.cloud, "FROM_A_QUEUE_AT_ONCE", PROCESSES // 2)
        with LocalCloud(clock=BEGIN) as cloud, Teller(cloud) as teller, Crowd(cloud, teller) as made:
            yield made


def order(sku: str = SKU, **terms: str) -> dict[str, Any]:
    """An order of one package."""
    return {"items": [{"sku": sku, "quantity": 1}], **terms}


# The same event


@rounds
def test_the_same_events_from_everywhere(crowd: Crowd, round_: int) -> None:
    """Events that sixteen connections report at once, alone and in batches, are each accepted once and billed once."""
    account_id, today = crowd.account(), crowd.now()
    events = one_instant(account_id, today, CALL, "e", 40)
    batches = [events[:1] if client % 4 == 0 else (events + events)[client * 5 :][:20] for client in range(CONNECTIONS)]
    before = crowd.sent_again.total()
    told = crowd.ask([crowd.usage(batch) for batch in batches])
    assert {one.status for one in told} == {200}
    accepted = sum(one.body["accepted"] for one in told)
    assert sum(one.body["duplicate"] for one in told) == sum(map(len, batches)) - accepted
    reported = len({event["id"] for batch in batches for event in batch})
    # A 503 may have come after some were stored, and then nobody was told of those.
    assert accepted == reported if crowd.sent_again.total() == before else accepted <= reported
    assert processes_of(crowd.cloud, "IngestFunction") >= PROCESSES
    crowd.settle_down()
    assert crowd.counted(account_id, day_of(today))[CALL_TAG]["calls"] == reported
    crowd.teller.move_to(crowd.next_morning())
    assert crowd.kinds(account_id) == {"top_up": 1, "settlement": 1}
    assert Decimal(crowd.balance(account_id)) == 10000 - reported * CALL_PRICE
    crowd.check_books(account_id, day_of(today))


@rounds
def test_both_doors_at_once(crowd: Crowd, round_: int) -> None:
    """What comes over HTTP and through the queue at the same time counts once."""
    account_id, today = crowd.account(), crowd.now()
    events = one_instant(account_id, today, CALL, "e", 30)
    asks = [crowd.usage(events[client :: client % 3 + 1]) for client in range(CONNECTIONS // 2)]
    asks += [crowd.queued(events[number:]) for number in range(CONNECTIONS // 2)]
    told = crowd.ask(asks)
    assert {one.status for one in told} == {200, 202}
    assert sum(one.body["accepted"] for one in told if one.status == 200) <= len(events)
    crowd.settle_down()
    assert crowd.counted(account_id, day_of(today))[CALL_TAG]["calls"] == len(events)
    crowd.teller.move_to(crowd.next_morning())
    assert Decimal(crowd.balance(account_id)) == 10000 - len(events) * CALL_PRICE
    crowd.check_books(account_id, day_of(today))


@rounds
def test_one_identity_with_other_data(crowd: Crowd, round_: int) -> None:
    """Of conflicting data under one identity one wins, all others hear so, and the winner is counted and billed."""
    account_id, today = crowd.account(), crowd.now()
    variants = {(CALL, "0"): CALL_PRICE, (CALL, "99"): Decimal(0), ("api.id_card_verification", "0"): Decimal("0.30")}

    def event(number: int, variant: int) -> dict[str, Any]:
        interface, code = list(variants)[variant % len(variants)]
        (one,) = one_instant(account_id, today, interface, f"e{number}", 1)
        return {**one, "data": {"interface": interface, "result_code": code}}

    batches = [[event(number, number + client) for number in range(8)] for client in range(CONNECTIONS)]
    told = crowd.ask([crowd.usage(batch) for batch in batches])
    winners: dict[str, set[tuple[str, str]]] = {}
    for batch, one in zip(batches, told, strict=True):
        assert {error["code"] for error in one.body["errors"]} <= {"conflict"}
        lost = {error["index"] for error in one.body["errors"]}
        for number, reported in enumerate(batch):
            if number not in lost:
                data = reported["data"]
                winners.setdefault(reported["id"], set()).add((data["interface"], data["result_code"]))
    assert len(winners) == 8
    assert {len(variant) for variant in winners.values()} == {1}
    assert sum(one.body["accepted"] + one.body["not_chargeable"] for one in told) <= 8
    crowd.settle_down()
    counted = Counter(variant for (variant,) in winners.values())
    for by, place in (("interface", 0), ("result_code", 1)):
        calls = {
            name: item["calls"] + item["not_chargeable"]
            for name, item in crowd.counted(account_id, day_of(today), by).items()
        }
        expected: Counter[str] = Counter()
        for variant, number in counted.items():
            expected[variant[place]] += number
        assert calls == expected
    crowd.teller.move_to(crowd.next_morning())
    charged = sum(number * variants[variant] for variant, number in counted.items())
    assert Decimal(crowd.balance(account_id)) == 10000 - charged
    crowd.check_books(account_id, day_of(today))


# The same key


@rounds
def test_the_same_key(crowd: Crowd, round_: int) -> None:
    """A request that sixteen connections send with one key takes effect once; all hear the same bytes."""
    account_id = crowd.account()
    root, writer = f"/v1/accounts/{account_id}", crowd.writer(account_id)
    bought = crowd.teller.buyer(account_id, "POST", "/orders", order(), "first")
    package_id = bought["packages"][0]["package_id"]
    month = "2025-02"
    same = [
        Ask("POST", f"{root}/orders", writer, order(), "k"),
        Ask("POST", f"{root}/packages/{package_id}/refund", writer, {}, "k"),
        Ask("POST", f"{root}/top-ups", crowd.operator, {"fund": "cash", "amount": "7.00"}, "k"),
        Ask("POST", f"{root}/adjustments", crowd.operator, {"amount": "-3.00", "reason": "test"}, "k"),
        Ask("POST", f"{root}/bills/exports", writer, {"month": month, "kind": "details", "format": "csv"}, "k"),
    ]
    # Another function, whose processes would do nothing else here.
    clients = [CONNECTIONS] * 4 + [PROCESSES // 2]
    everything = iter(crowd.ask([ask for ask, number in zip(same, clients, strict=True) for _ in range(number)]))
    for ask, number in zip(same, clients, strict=True):
        told = list(islice(everything, number))
        found = outcomes(told)
        assert set(found) <= {201, 202, "request_in_progress"}, (ask.path, found)
        done = [one for one in told if one.code is None]
        assert len({one.content for one in done}) == 1, ask.path
        # The first answer itself may be lost behind a 503.
        first = [one.replayed for one in done].count(False)
        assert first == 1 or (first == 0 and crowd.sent_again[ask.path]), ask.path
    assert crowd.kinds(account_id) == {"top_up": 2, "order": 2, "adjustment": 1}
    assert len(crowd.teller.customer(account_id, "/refunds")["items"]) == 1
    crowd.teller.move_to(after(crowd.now(), minutes=3))
    assert crowd.kinds(account_id)["refund"] == 1
    assert crowd.notices(account_id)["refund_completed"] == 1
    assert crowd.balance(account_id) == f"{10000 - SKU_PRICE + 7 - 3}.00"
    crowd.check_books(account_id)


@rounds
def test_one_key_for_different_requests(crowd: Crowd, round_: int) -> None:
    """Of requests with one key and different bodies one takes effect, and the others hear that the key is used."""
    account_id = crowd.account("0.50")
    root = f"/v1/accounts/{account_id}"
    amounts = [f"{number}.00" for number in range(1, CONNECTIONS + 1)]
    told = crowd.ask(
        [
            Ask("POST", f"{root}/top-ups", crowd.operator, {"fund": "cash", "amount": amount}, "same")
            for amount in amounts
        ]
    )
    found = outcomes(told)
    assert found[201] == 1
    assert set(found) <= {201, "idempotency_key_reused", "request_in_progress"}
    (won,) = [amount for amount, one in zip(amounts, told, strict=True) if one.status == 201]
    assert Decimal(crowd.balance(account_id)) == Decimal(won) + Decimal("0.50")
    crowd.check_books(account_id)


# The last yuan


@rounds
def test_orders_for_the_last_yuan(crowd: Crowd, round_: int) -> None:
    """Of sixteen orders, as many are delivered as the balance pays for, and it ends at zero."""
    affordable = 5
    account_id = crowd.account(f"{affordable * SKU_PRICE}.00")
    writer = crowd.writer(account_id)
    told = crowd.ask(
        [Ask("POST", f"/v1/accounts/{account_id}/orders", writer, order(), f"k{n}") for n in range(CONNECTIONS)]
    )
    assert outcomes(told) == {201: affordable, "insufficient_balance": CONNECTIONS - affordable}
    assert crowd.balance(account_id) == "0.00"
    assert crowd.kinds(account_id) == {"top_up": 1, "order": affordable}
    packages = crowd.teller.customer(account_id, "/packages")["items"]
    assert sorted(one["order_id"] for one in packages) == sorted(
        one.body["order_id"] for one in told if one.status == 201
    )
    crowd.check_books(account_id)


@rounds
def test_a_voucher_that_all_want(crowd: Crowd, round_: int) -> None:
    """A voucher for one use pays for one of sixteen orders, whoever asks."""
    account_id = crowd.account()
    voucher = crowd.teller.operator(
        "POST",
        f"/v1/accounts/{account_id}/vouchers",
        {"amount": "100.00", "scene": "prepaid", "threshold": "0", "single_use": True},
        "v",
    )
    body = order(voucher_id=voucher["voucher_id"])
    writer = crowd.writer(account_id)
    told = crowd.ask(
        [Ask("POST", f"/v1/accounts/{account_id}/orders", writer, body, f"k{n}") for n in range(CONNECTIONS)]
    )
    assert outcomes(told) == {201: 1, "voucher_not_applicable": CONNECTIONS - 1}
    assert crowd.balance(account_id) == f"{10000 - SKU_PRICE + 100}.00"
    assert crowd.kinds(account_id) == {"top_up": 1, "order": 1}
    crowd.check_books(account_id)


# Refund against usage


@rounds
def test_refund_against_usage(crowd: Crowd, round_: int) -> None:
    """Of a package that is given back while it is used, either the money comes back or its calls count, never both.

    Usage that was answered comes before a refund, and a refund before usage; only of what races either may win.
    """
    account_id, today, calls = crowd.account("20000.00"), crowd.now(), 10
    body = {"items": [{"sku": f"{tag}:1000", "quantity": 1} for tag in PACKAGED]}
    bought = crowd.teller.buyer(account_id, "POST", "/orders", body, "k")
    packages = {one["tag"]: one["package_id"] for one in bought["packages"]}
    writer = crowd.writer(account_id)
    # In each round others.
    turn = 2 * round_ % len(packages)
    tags = [*packages][turn:] + [*packages][:turn]
    used_first, refunded_first, raced = tags[:2], tags[2:4], tags[4:]

    def refund(tag: str, delay: float = 0.0) -> Ask:
        path = f"/v1/accounts/{account_id}/packages/{packages[tag]}/refund"
        return Ask("POST", path, writer, {}, packages[tag], delay)

    def report(tag: str, delay: float = 0.0) -> Ask:
        return crowd.usage(one_instant(account_id, today, PACKAGED[tag], tag, calls), delay)

    begun = crowd.ask([*map(report, used_first), *map(refund, refunded_first)])
    followed = crowd.ask([*map(refund, used_first), *map(report, refunded_first)])
    assert outcomes(begun) == {200: len(used_first), 202: len(refunded_first)}
    assert outcomes(followed) == {"package_used": len(used_first), 200: len(refunded_first)}
    refunds = [refund(tag, crowd.random.random() * 0.06) for tag in raced]
    both = crowd.ask([*refunds, *(report(tag, crowd.random.random() * 0.06) for tag in raced)])
    told, reported = both[: len(raced)], [*begun[: len(used_first)], *followed[len(used_first) :], *both[len(raced) :]]
    assert set(outcomes(told)) <= {202, "package_used"}
    assert {one.body["accepted"] + one.body["duplicate"] for one in reported} == {calls}
    refunded = {*refunded_first, *(tag for tag, one in zip(raced, told, strict=True) if one.status == 202)}
    crowd.teller.move_to(crowd.next_morning())
    split = crowd.counted(account_id, day_of(today))
    shown = {one["package_id"]: one for one in crowd.teller.customer(account_id, "/packages")["items"]}
    for tag, package_id in packages.items():
        given = 0 if tag in refunded else calls
        assert (split[tag]["paid"], split[tag]["postpaid"]) == (given, calls - given), tag
        assert shown[package_id]["used"] == given
        usage = crowd.teller.customer(account_id, f"/packages/{package_id}/usage")["items"]
        assert sum(one["calls"] for one in usage) == given
    assert crowd.kinds(account_id)["refund"] == len(refunded)
    assert crowd.notices(account_id)["refund_completed"] == len(refunded)
    crowd.check_books(account_id, day_of(today))


@rounds
def test_postpaid_switched_during_usage(crowd: Crowd, round_: int) -> None:
    """However the switch of postpaid races with usage, every call is counted once, and is either charged or not."""
    account_id, today = crowd.account(), crowd.now()
    writer = crowd.writer(account_id)
    reports = [crowd.usage(one_instant(account_id, today, CALL, f"e{n}", 5)) for n in range(CONNECTIONS // 2)]
    switches = [
        Ask("PATCH", f"/v1/accounts/{account_id}", writer, {"postpaid_enabled": n % 2 == 1})
        for n in range(CONNECTIONS // 2)
    ]
    told = crowd.ask([*reports, *switches])
    assert {one.status for one in told} == {200}
    enabled = crowd.teller.customer(account_id, "")["postpaid_enabled"]
    crowd.teller.move_to(crowd.next_morning())
    split = crowd.counted(account_id, day_of(today))[CALL_TAG]
    calls = 5 * len(reports)
    charged = calls if enabled else 0
    # All happened in the same second, and the last switch is what holds from then on.
    assert (split["calls"], split["postpaid"], split["uncovered"]) == (calls, charged, calls - charged)
    assert Decimal(crowd.balance(account_id)) == 10000 - charged * CALL_PRICE
    crowd.check_books(account_id, day_of(today))


# Runs at the same time


@rounds
def test_settling_many_times_at_once(crowd: Crowd, round_: int) -> None:
    """A day that many processes settle while two plan, customers buy and pay, and others verify, is billed once."""
    accounts, today = [crowd.account("1000.00") for _ in range(3)], crowd.now()
    for number, account_id in enumerate(accounts):
        crowd.teller.report(one_instant(account_id, today, CALL, "e", 100 * (number + 1)))
    set_clock(crowd.cloud, crowd.next_morning())
    buyer, writer = accounts[0], crowd.writer(accounts[0])
    asks = [Ask("POST", f"/v1/accounts/{buyer}/orders", writer, order(), f"k{n}") for n in range(4)]
    top_up = {"fund": "gift", "amount": "10.00"}
    asks += [Ask("POST", f"/v1/accounts/{buyer}/top-ups", crowd.operator, top_up, f"k{n}") for n in range(4)]
    verify = Ask("GET", f"/v1/accounts/{accounts[1]}/bills/verification?day={day_of(today)}", crowd.writer(accounts[1]))
    runs: list[Run] = [("PlannerFunction", {"task": "plan"})] * 2
    runs += [crowd.settlement(accounts if number % 2 else accounts[::-1]) for number in range(SETTLERS)]
    runs += [crowd.verification(accounts, day_of(today))]
    told, returned = crowd.together([*asks, verify], runs)
    assert [one for one in returned if one.get("batchItemFailures")] == []
    assert outcomes(told[:8]) == {201: 3 + 4, "insufficient_balance": 1}
    shown = told[8].body
    assert [one for one in shown["differences"] if not one["pending"]] == []
    crowd.settle_down()
    for number, account_id in enumerate(accounts):
        charged = 100 * (number + 1) * CALL_PRICE
        assert crowd.kinds(account_id)["settlement"] == 1
        month = day_of(today)[:7]
        bills = crowd.teller.customer(account_id, "/bills/details", month=month, transaction_type="postpay_daily")
        assert [Decimal(line["total_cost"]) for line in bills["items"]] == [charged]
        resources = crowd.teller.customer(account_id, "/bills/resources", month=month, mode="postpaid")
        assert [Decimal(row["total_cost"]) for row in resources["items"]] == [charged]
        if account_id != buyer:
            assert Decimal(crowd.balance(account_id)) == 1000 - charged
        crowd.check_books(account_id, day_of(today))
    assert crowd.balance(buyer) == f"{1000 - 40 - 3 * SKU_PRICE + 4 * 10}.00"


@rounds
def test_arrears_payments_and_sweeps(crowd: Crowd, round_: int) -> None:
    """Arrears that payments race with begin and end once; a stop that several sweeps find is told once."""
    contact = {"email": f"owner{round_}@crowd.example", "locale": "en"}
    paying, owing = crowd.account("10.00"), crowd.account("10.00", contact)
    today = crowd.now()
    for account_id in (paying, owing):
        crowd.teller.report(one_instant(account_id, today, CALL, "e", 100))
    morning = crowd.next_morning()
    set_clock(crowd.cloud, morning)
    top_up = {"fund": "cash", "amount": "5.00"}
    payments = [
        Ask("POST", f"/v1/accounts/{paying}/top-ups", crowd.operator, top_up, f"k{n}", crowd.random.random() * 0.05)
        for n in range(8)
    ]
    crowd.together(payments, [crowd.settlement([paying, owing])] * SETTLERS)
    assert crowd.balance(paying) == "10.00"
    assert crowd.balance(owing) == "-30.00"
    told = crowd.notices(paying)
    assert told["arrears"] <= 1
    assert crowd.teller.customer(paying, "")["arrears"] is None
    assert crowd.teller.customer(owing, "")["arrears"]["since"] == morning
    crowd.settle_down()
    stop = after(morning, days=1)
    set_clock(crowd.cloud, stop)
    swept = crowd.run([SWEEP] * SWEEPS)
    assert [one for one in swept if one["failed"]] == []
    crowd.settle_down()
    assert crowd.notices(owing) == {"arrears": 1, "stopped": 1}
    mails = Counter(one["subject"] for one in crowd.teller.messages() if contact["email"] in one["to"])
    assert len(mails) == 2
    assert set(mails.values()) == {1}
    events = Counter(one["detail"]["kind"] for one in crowd.teller.events() if one["detail"]["account_id"] == owing)
    assert events == {"arrears": 1, "stopped": 1}
    resume = [
        Ask("POST", f"/v1/accounts/{owing}/top-ups", crowd.operator, {"fund": "cash", "amount": "10.00"}, f"k{n}")
        for n in range(4)
    ]
    crowd.together(resume, [SWEEP] * SWEEPS)
    crowd.settle_down()
    assert crowd.teller.customer(owing, "")["status"] == "active"
    assert crowd.notices(owing) == {"arrears": 1, "stopped": 1, "resumed": 1}
    for account_id in (paying, owing):
        crowd.check_books(account_id, day_of(today))


@rounds
def test_refunds_that_several_sweeps_pay(crowd: Crowd, round_: int) -> None:
    """A refund that several sweeps complete at once is paid once and told once."""
    account_id = crowd.account("1000.00")
    for number in range(3):
        bought = crowd.teller.buyer(account_id, "POST", "/orders", order(), f"k{number}")
        package_id = bought["packages"][0]["package_id"]
        crowd.teller.buyer(account_id, "POST", f"/packages/{package_id}/refund", {}, f"k{number}")
    set_clock(crowd.cloud, after(crowd.now(), minutes=3))
    swept = crowd.run([SWEEP] * SWEEPS)
    assert [one for one in swept if one["failed"]] == []
    crowd.settle_down()
    assert crowd.kinds(account_id) == {"top_up": 1, "order": 3, "refund": 3}
    assert crowd.notices(account_id)["refund_completed"] == 3
    assert crowd.balance(account_id) == "1000.00"
    crowd.check_books(account_id)
