"""Settlement under faults: charged is counted x price, the journal is the funds, and nothing is forgotten or twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from aws_platform import accounts, pending, snapshot
from aws_platform.buckets import BucketStore
from settlement import settle
from tests.faults.harness import (
    ALL,
    EVERY_CALL,
    Delivery,
    Exploration,
    Fault,
    FaultFound,
    exhaust,
    explore,
    race_seeds,
    sweep,
)
from tests.faults.properties import bills_of, check_settled, check_told
from tests.faults.support import Cloud, Json, Torn, TryAgain, at
from tests.support.product import event

type Work = Callable[[], object]


def call(number: int, time: str = "2025-03-01T10:00:00", **more: Any) -> Json:
    """One call, on the first of March if nothing else is said."""
    return event(more.pop("account", "daily"), f"e{number}", f"{time}+08:00", **more)


USED = [
    *(call(number) for number in range(4)),
    call(4, code="-2"),
    *(call(number, interface="face_risk") for number in (5, 6, 7)),
    call(8, "2025-03-01T10:00:07", interface="api.phone_2e", code="1"),
]
"""Four calls of 0.30, one that is not charged, three of 0.0035, one of 0.40: 1.61 are deducted."""
LATE = [call(20), call(21, interface="face_risk")]
LATER = [call(30, "2025-03-01T22:00:00", interface="face_risk")]


def settled(cloud: Cloud, sent: Sequence[Json], run_day: str, **more: Any) -> Callable[[], None]:
    """The property, after the run of this day."""

    def check() -> None:
        check_told(cloud, sent)
        check_settled(cloud, sent, run_day, **more)

    return check


def at_the_run(cloud: Cloud, *batches: Sequence[Json], when: str = "2025-03-02 08:00") -> None:
    """Store usage, and go to the run."""
    cloud.report(*batches)
    assert not any(told.report["rejected"] for told in cloud.told), cloud.told
    cloud.go_to(when)
    cloud.prepared(*(one for batch in batches for one in batch))


def late_at_the_run(cloud: Cloud) -> None:
    """A settled day with late usage, at the run that takes it."""
    at_the_run(cloud, USED)
    cloud.later_run("2025-03-02 08:00")()
    cloud.go_to("2025-03-02 09:00")
    cloud.report(LATE)
    cloud.go_to("2025-03-03 08:00")
    cloud.prepared(*USED, *LATE)


def every_order(cloud: Cloud, works: dict[str, Work], check: Work, recover: Work | None = None) -> Exploration:
    """Play every order of the workers' calls."""
    found = explore(cloud.world, works, check, recover=recover, limit=1500)
    assert found.complete, found
    assert found.schedules > 1
    return found


# --- one worker ------------------------------------------------------------------------------------------------


def test_a_fault_at_every_call(cloud: Cloud) -> None:
    """Whatever strikes whichever call of a settlement, the day is billed once, at the right price, and paid once."""
    at_the_run(cloud, USED)
    check = settled(cloud, USED, "2025-03-03")
    recover = cloud.later_run("2025-03-03 08:00")
    report = exhaust(cloud.world, lambda: cloud.settle("daily"), check, kinds=ALL, recover=recover)
    assert set(report.faults) >= {Fault.LOST, Fault.CONFLICT, Fault.TRANSACTION_IN_PROGRESS, Fault.THROTTLED_OUT}
    cloud.settle("daily")
    (bill,) = bills_of(cloud, "daily")
    assert bill.amount == Decimal("1.61")
    check()


def test_a_fault_at_every_call_of_late_usage(cloud: Cloud) -> None:
    """The same for late usage of a settled day: it gets a bill of its own, and its mark goes."""
    late_at_the_run(cloud)
    check = settled(cloud, [*USED, *LATE], "2025-03-04")
    recover = cloud.later_run("2025-03-04 08:00")
    exhaust(cloud.world, lambda: cloud.settle("daily"), check, kinds=ALL, recover=recover)


def test_fault_after_fault(cloud: Cloud) -> None:
    """A second crash or lost answer in what comes after the first changes nothing."""
    late_at_the_run(cloud)
    check = settled(cloud, [*USED, *LATE], "2025-03-04")
    kinds = (Fault.CRASH_AFTER,)
    recover = cloud.later_run("2025-03-04 08:00")
    exhaust(cloud.world, lambda: cloud.settle("daily"), check, kinds=kinds, recover=recover, depth=2)


def test_a_run_from_plan_to_bill(cloud: Cloud) -> None:
    """Whatever strikes the plan or the queue, and however old what the index answers, the next run mends it."""
    at_the_run(cloud, USED)
    kinds = (Fault.CRASH_AFTER, Fault.TIMEOUT_AFTER, Fault.THROTTLED_OUT, Fault.PARTIAL, Fault.SHORT_PAGE, Fault.STALE)
    recover = partial(later, cloud, "2025-03-03 08:00")
    exhaust(cloud.world, cloud.run, settled(cloud, USED, "2025-03-03"), kinds=kinds, recover=recover)


def later(cloud: Cloud, when: str) -> None:
    """A later run, from plan to bill."""
    cloud.go_to(when)
    cloud.run()


def test_planned_twice_and_delivered_badly(cloud: Cloud) -> None:
    """Two plans, messages that come again and in other orders, under faults: one bill a day and account."""
    on_the_second = [call(40 + number, "2025-03-02T10:00:00") for number in range(3)]
    monthly = [call(50, "2025-02-20T10:00:00", account="monthly")]
    cloud.go_to("2025-02-20 10:01")
    cloud.report(monthly)
    cloud.go_to("2025-03-01 10:00")
    cloud.report(USED)
    cloud.go_to("2025-03-02 10:01")
    at_the_run(cloud, on_the_second, when="2025-03-03 08:00")
    sent = [*USED, *on_the_second, *monthly]
    cloud.prepared(*sent)
    check = settled(cloud, sent, "2025-03-04")
    for seed in range(20):
        work = partial(cloud.run, Delivery(seed=seed, batch=(1, 3), duplicate=0.4, reorder=0.5), plans=2)
        recover = cloud.later_run("2025-03-04 08:00")
        sweep(cloud.world, work, check, seeds=[seed], rates=0.02, recover=recover)


# --- several at once -------------------------------------------------------------------------------------------


def test_two_settlements(cloud: Cloud) -> None:
    """Two workers at the same two days of an account, in every order of their calls: each day is billed once."""
    next_day = [call(40, "2025-03-02T10:00:00")]
    cloud.report(USED)
    cloud.go_to("2025-03-02 10:01")
    at_the_run(cloud, next_day, when="2025-03-03 08:00")
    cloud.prepared(*USED, *next_day)
    works: dict[str, Work] = {name: partial(cloud.settle, "daily") for name in "ab"}
    found = every_order(cloud, works, settled(cloud, [*USED, *next_day], "2025-03-03"))
    assert found.schedules > 10


def test_settlement_and_top_up(cloud: Cloud) -> None:
    """Money that comes in during a settlement that ends in arrears is neither lost nor doubled, in every order."""
    used = [*USED, *(call(number, "2025-03-01T10:00:20") for number in range(60, 75))]
    at_the_run(cloud, used)
    works: dict[str, Work] = {
        "settle": partial(cloud.settle, "daily"),
        "top-up": partial(cloud.top_up, "daily", "10.00"),
    }

    def check() -> None:
        check_settled(cloud, used, "2025-03-02")
        account = cloud.accounts()["daily"]
        assert account["funds"] == ["0.00", "0", "9.39"]
        assert account["arrears"] is None
        assert len(cloud.paid) == 1

    every_order(cloud, works, check)
    race_seeds(cloud.world, works, check, seeds=range(25), rates=0.03)


@pytest.mark.parametrize("first", [True, False], ids=["first settlement", "settled before"])
def test_late_usage_at_every_call_of_a_settlement(cloud: Cloud, *, first: bool) -> None:
    """Usage that arrives between any two calls of a settlement is on that bill, or on the next run's, never on none."""
    if first:
        at_the_run(cloud, USED)
    else:
        late_at_the_run(cloud)
    sent = [*USED, *([] if first else LATE), *LATER]
    works: dict[str, Work] = {"settle": partial(cloud.settle, "daily"), "late": partial(cloud.report, LATER)}
    every_order(cloud, works, settled(cloud, sent, "2025-03-04"), cloud.later_run("2025-03-04 08:00"))


def test_late_usage_while_a_day_of_many_pages_is_read(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """Usage that arrives before, in or behind the page that a settlement reads is counted once, on either bill."""
    many = [call(300 + number, f"2025-03-01T{number:02d}:30:00") for number in range(10)]
    new = [call(400 + number, f"2025-03-01T{number:02d}:40:00", interface="face_risk") for number in (0, 5, 9)]
    at_the_run(cloud, many)
    monkeypatch.setattr(cloud.world.dynamodb, "page_bytes", 100)
    works: dict[str, Work] = {
        "settle": partial(cloud.settle, "daily"),
        "late": partial(cloud.report, *([one] for one in new)),
    }
    check = settled(cloud, [*many, *new], "2025-03-04")
    recover = cloud.later_run("2025-03-04 08:00")
    start = cloud.world.snapshot()
    assert cloud.world.run(works["settle"]).calls > 10
    cloud.world.restore(start)
    race_seeds(cloud.world, works, check, seeds=range(25), rates=0.01, recover=recover)


def three_at_once(cloud: Cloud) -> Exploration:
    """Two settlements and late usage; a worker is interrupted once."""
    works: dict[str, Work] = {name: partial(cloud.settle, "daily") for name in "ab"}
    works["late"] = partial(cloud.report, LATER)
    check = settled(cloud, [*USED, *LATE, *LATER], "2025-03-04")
    recover = cloud.later_run("2025-03-04 08:00")
    return explore(cloud.world, works, check, recover=recover, preemptions=1, limit=500)


def test_late_usage_between_two_settlements(cloud: Cloud) -> None:
    """A mark that one worker has removed and late usage has raised anew is not removed by a worker that saw the old."""
    late_at_the_run(cloud)
    assert three_at_once(cloud).complete


def items_seen_one_by_one(cloud: Cloud, other: str, hidden: int) -> None:
    """A settlement beside another one or late usage, of whose transactions one item is not seen for a moment."""
    late_at_the_run(cloud)
    late = [*LATER, call(33, "2025-03-03T07:00:00")]
    works: dict[str, Work] = {"a": partial(cloud.settle, "daily"), "b": partial(cloud.settle, "daily")}
    if other == "late usage":
        works["b"] = partial(cloud.report, late)
    check = settled(cloud, [*USED, *LATE, *late], "2025-03-04")
    recover = cloud.later_run("2025-03-04 08:00")
    with Torn(cloud.world, hidden) as torn:
        assert explore(cloud.world, works, check, recover=recover, preemptions=1, limit=300).complete
    assert torn.seen


@pytest.mark.parametrize(
    "other, hidden", [*(("settlement", number) for number in range(4)), ("late usage", 0), ("late usage", 1)]
)
def test_items_of_a_transaction_seen_one_by_one(cloud: Cloud, other: str, hidden: int) -> None:
    """A query may see an account before its bill, or a mark before its bucket: nothing is billed twice or forgotten."""
    items_seen_one_by_one(cloud, other, hidden)


def test_a_preview_beside_a_settlement(cloud: Cloud) -> None:
    """Who looks at the open charges while they are settled sees them open or billed, or is told `try_again`."""
    late_at_the_run(cloud)
    path = "/v1/accounts/daily/bills/preview"
    totals: set[str] = set()

    def look() -> None:
        reply = cloud.request("GET", path)
        totals.add(reply.body["total_cost"] if reply.status == 200 else reply.code)

    works: dict[str, Work] = {"a": partial(cloud.settle, "daily"), "b": look}
    check = settled(cloud, [*USED, *LATE], "2025-03-03")
    for hidden in range(4):
        with Torn(cloud.world, hidden):
            explore(cloud.world, works, check, preemptions=1, limit=100)
    assert totals <= {"0.30", "0.00", "try_again"}, totals


def test_all_at_once(cloud: Cloud) -> None:
    """Two settlements, late usage by two producers and a top-up at once, under faults: the next run leaves no doubt."""
    late_at_the_run(cloud)
    other = [call(31, "2025-03-01T22:00:01"), call(32, "2025-03-02T07:00:00")]
    works: dict[str, Work] = {
        "a": partial(cloud.settle, "daily"),
        "b": partial(cloud.settle, "daily"),
        "late": partial(cloud.report, LATER),
        "later": partial(cloud.report, other),
        "top-up": partial(cloud.top_up, "daily", "0.01"),
    }
    check = settled(cloud, [*USED, *LATE, *LATER, *other], "2025-03-04")
    recover = cloud.later_run("2025-03-04 08:00")
    race_seeds(cloud.world, works, check, seeds=range(30), rates=0.02, recover=recover)


# --- a day that is cut -----------------------------------------------------------------------------------------


def test_a_day_that_is_cut(cloud: Cloud) -> None:
    """A day cut by postpaid off and on, and by the stop that arrears bring: late usage still finds its segment."""
    used = [*USED, *(call(number, "2025-03-01T10:00:20") for number in range(60, 80))]
    at_the_run(cloud, used)
    cloud.settle("daily")
    assert cloud.accounts()["daily"]["arrears"]["since"] == "2025-03-02T08:00:00+08:00"
    cloud.go_to("2025-03-03 06:00")
    switch(cloud, on=False)
    cloud.go_to("2025-03-03 07:00")
    switch(cloud, on=True)
    cloud.go_to("2025-03-03 09:00")
    cut = [call(100 + hour, f"2025-03-03T0{hour}:30:00") for hour in range(5, 9)]
    late = [call(110 + hour, f"2025-03-03T0{hour}:30:00", interface="face_risk") for hour in (6, 8)]
    at_the_run(cloud, cut, when="2025-03-04 08:00")
    cloud.prepared(*used, *cut)
    flips = {"daily": [at("2025-03-03 06:00"), at("2025-03-03 07:00")]}
    check = settled(cloud, [*used, *cut, *late], "2025-03-05", flips=flips)
    works: dict[str, Work] = {"settle": partial(cloud.settle, "daily"), "late": partial(cloud.report, late)}
    every_order(cloud, works, check, cloud.later_run("2025-03-05 08:00"))
    race_seeds(cloud.world, works, check, seeds=range(15), rates=0.03, recover=cloud.later_run("2025-03-05 08:00"))


def switch(cloud: Cloud, *, on: bool) -> None:
    """Switch postpaid."""
    reply = cloud.request("PATCH", "/v1/accounts/daily", {"postpaid_enabled": on})
    if reply.status == 503:
        raise TryAgain
    assert reply.status == 200, reply.text


# --- months ----------------------------------------------------------------------------------------------------


def month_before_the_step(cloud: Cloud) -> list[Json]:
    """February of the monthly account: one call short of the price's step, and the first late one."""
    many = [
        call(number, f"2025-02-{20 + number % 5}T10:00:00", account="monthly", interface="api.phone_2e")
        for number in range(999)
    ]
    cloud.go_to("2025-02-27 10:00")
    at_the_run(cloud, many, when="2025-03-01 08:00")
    return many


FEBRUARY = [call(2000, "2025-02-28T10:00:00", account="monthly", interface="api.phone_2e")]
MORE = [call(2001, "2025-02-20T10:00:00", account="monthly", interface="api.phone_2e")]


def test_a_month_is_priced_again(cloud: Cloud) -> None:
    """Late usage that takes a closed month to another step credits the difference once, whatever strikes."""
    many = month_before_the_step(cloud)
    cloud.settle("monthly")
    assert cloud.accounts()["monthly"]["funds"][2] == "100.40"
    cloud.go_to("2025-03-05 10:00")
    at_the_run(cloud, FEBRUARY, when="2025-04-01 08:00")
    cloud.prepared(*many, *FEBRUARY)
    check = settled(cloud, [*many, *FEBRUARY, *MORE], "2025-05-01")
    recover = cloud.later_run("2025-05-01 08:00")

    def work() -> None:
        cloud.settle("monthly")
        cloud.report(MORE)

    exhaust(cloud.world, work, check, recover=recover)
    cloud.settle("monthly")
    assert cloud.accounts()["monthly"]["funds"][2] == "120.00"


@pytest.mark.parametrize("when", ["2025-03-01 07:57", "2025-03-01 08:00"])
def test_late_usage_at_every_call_of_a_monthly_settlement(cloud: Cloud, when: str) -> None:
    """Usage of a month that arrives while the month is settled is on that bill, or on that of the next 1st."""
    small = [call(number, "2025-02-20T10:00:00", account="monthly") for number in range(3)]
    cloud.go_to("2025-02-27 10:00")
    at_the_run(cloud, small, when="2025-03-01 08:00")

    def report() -> None:
        cloud.go_to(when)
        cloud.report(FEBRUARY)
        cloud.go_to("2025-03-01 08:00")

    works: dict[str, Work] = {"settle": partial(cloud.settle, "monthly")}
    if when.endswith("08:00"):
        works["late"] = partial(cloud.report, FEBRUARY)
    else:
        report()
        cloud.prepared(*small, *FEBRUARY)
    check = settled(cloud, [*small, *FEBRUARY], "2025-04-01")
    explore(cloud.world, works, check, recover=cloud.later_run("2025-04-01 08:00"), limit=500)


def test_closing_a_month(cloud: Cloud) -> None:
    """The precision row of a month is there once, whatever strikes, and whoever else closes it or is late."""
    at_the_run(cloud, USED)
    cloud.settle("daily")
    cloud.go_to("2025-03-31 09:00")
    at_the_run(cloud, LATE, when="2025-04-01 08:00")
    cloud.prepared(*USED, *LATE)
    sent = [*USED, *LATE]
    check = settled(cloud, sent, "2025-04-01")
    exhaust(cloud.world, lambda: cloud.settle("daily"), check, kinds=(*EVERY_CALL, Fault.CONFLICT))
    works: dict[str, Work] = {name: partial(cloud.settle, "daily") for name in "ab"}
    race_seeds(cloud.world, works, check, seeds=range(15), rates=0.02)
    explore(cloud.world, works, check, preemptions=1, limit=200)
    cloud.settle("daily")
    rows = [bill.precision_difference for bill in bills_of(cloud, "daily") if not bill.charges]
    assert rows == [Decimal("-0.0005")]


# --- the harness bites on the real code ------------------------------------------------------------------------


def test_a_mark_that_is_removed_unconditionally_is_caught(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """A settlement that removes a mark without looking forgets what arrived after it counted."""

    def remove(dynamodb: Any, table: str, account_id: str, day: Any, _: str) -> bool:
        key = {"pk": {"S": f"{account_id}#days"}, "sk": {"S": f"L#{day.isoformat()}"}}
        dynamodb.delete_item(TableName=table, Key=key)
        return True

    monkeypatch.setattr(settle, "remove_mark", remove)
    with pytest.raises(FaultFound, match="billed"):
        test_late_usage_at_every_call_of_a_settlement(cloud, first=False)


def test_a_mark_that_counts_is_caught(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mark that begins to count anew after its removal is taken for the old one by a worker that saw that."""

    def count(store: BucketStore, bucket: Any, late: Any) -> Json:
        update = raise_mark(store, bucket, late)
        marks = [item for item in cloud.world.items("usage") if item["sk"]["S"].startswith("L#")]
        update["ExpressionAttributeValues"][":token"] = {"S": f"{at('2025-03-01 00:00').isoformat()}#{len(marks) + 1}"}
        return update

    raise_mark = BucketStore._raise_mark
    monkeypatch.setattr(BucketStore, "_raise_mark", count)
    late_at_the_run(cloud)
    with pytest.raises(FaultFound, match="billed"):
        three_at_once(cloud)


def test_a_young_mark_that_is_removed_is_caught(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mark that is seen before its bucket, and removed all the same, leaves what is in the bucket to nobody."""
    monkeypatch.setattr(settle, "YOUNG_MARK", timedelta(days=-1))
    with pytest.raises(FaultFound, match="billed"):
        items_seen_one_by_one(cloud, "late usage", 0)


def test_a_bill_that_is_not_waited_for_is_caught(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """An account that is seen before its bill, and gone on from all the same, has its usage billed twice."""
    monkeypatch.setattr(pending, "bill_prefix", lambda _: "no bill's beginning")
    with pytest.raises(FaultFound, match="billed"):
        items_seen_one_by_one(cloud, "settlement", 1)


def test_an_account_without_version_condition_is_caught(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """A settlement that does not ask for the version that it saw writes over what came in between."""

    def put(*args: Any) -> Json:
        made = accounts.account_put(*args)
        for name in ("ConditionExpression", "ExpressionAttributeValues"):
            made["Put"].pop(name, None)
        return made

    monkeypatch.setattr(snapshot, "account_put", put)
    at_the_run(cloud, USED)
    works: dict[str, Work] = {"settle": partial(cloud.settle, "daily"), "switch": lambda: switch(cloud, on=False)}
    with pytest.raises(FaultFound, match="written over"):
        every_order(cloud, works, settled(cloud, USED, "2025-03-02"))


def test_bills_that_forget_earlier_ones_are_caught(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """A settlement that does not take off what earlier bills hold bills it twice."""
    late_at_the_run(cloud)
    monkeypatch.setattr(pending, "issued_before", lambda *_: [])
    with pytest.raises(FaultFound, match="billed"):
        exhaust(cloud.world, lambda: cloud.settle("daily"), settled(cloud, [*USED, *LATE], "2025-03-03"), kinds=[])


def test_a_day_that_leaves_the_index_unbilled_is_caught(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """A settlement that takes a day off the due-index in a call of its own, before the bill, forgets it in a crash."""

    def hasty(worker: settle.Worker, seen: Any, usage: Any, now: Any) -> Any:
        worker._leave_days(seen.account, usage.days, now)
        return settle_usage(worker, seen, usage, now)

    settle_usage = settle.Worker._settle_usage
    monkeypatch.setattr(settle.Worker, "_settle_usage", hasty)
    at_the_run(cloud, USED)
    recover = cloud.later_run("2025-03-03 08:00")
    with pytest.raises(FaultFound, match="crash_"):
        exhaust(cloud.world, lambda: cloud.settle("daily"), settled(cloud, USED, "2025-03-03"), recover=recover)
