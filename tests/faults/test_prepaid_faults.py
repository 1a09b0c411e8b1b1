"""Packages, orders, refunds, vouchers and the refund timer under faults: each takes effect once, whatever happens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from aws_platform import accounts, due, keys, pending, snapshot, standing
from rating.account import Account
from rating.allocation import Package, Source
from settlement import settle
from tests.faults import prepaid
from tests.faults.harness import (
    ALL,
    EVERY_CALL,
    Exploration,
    Fault,
    FaultFound,
    Snapshot,
    exhaust,
    explore,
    race_seeds,
)
from tests.faults.properties import bills_of, check_always, check_money, check_settled, check_told, stored_facts
from tests.faults.support import FIVE, FOUR, Cloud, Json, Torn, at, start
from tests.support.product import event

type Work = Callable[[], object]

IDENTITY, PHONE = "identity_check", "phone_two_factor"


@pytest.fixture(scope="module")
def opened() -> Iterator[tuple[Cloud, Snapshot]]:
    """Give the product with small packages on sale, and two accounts that get no free ones, before each test."""
    with start("2024-03-01 11:00:37") as cloud:
        cloud.sell_small("2024-03-02")
        cloud.open_account("daily", cash="6.00", gift="0.50", opened_at="2024-01-01T00:00:00+08:00")
        cloud.top_up("daily", "0.70", "income_transfer", "first")
        cloud.open_account("monthly", cash="500.00", opened_at="2022-01-01T00:00:00+08:00")
        cloud.grant("daily", IDENTITY, 3, "a year ago")
        yield cloud, cloud.world.snapshot()


@pytest.fixture
def shop(opened: tuple[Cloud, Snapshot]) -> Cloud:
    """Give it: 1 March 2025, 10:00; the gift of three calls ends today at 11:00:37."""
    cloud, before = opened
    cloud.world.restore(before)
    cloud.go_to("2025-03-01 10:00")
    cloud.prepared()
    return cloud


def call(number: int, time: str = "2025-03-01T12:00:00", **more: Any) -> Json:
    """One call, on the first of March at noon if nothing else is said."""
    return event(more.pop("account", "daily"), f"e{number}", f"{time}+08:00", **more)


def calls(first: int, number: int, time: str = "2025-03-01T12:00:00", **more: Any) -> list[Json]:
    """Some calls of one instant."""
    return [call(one, time, **more) for one in range(first, first + number)]


def later(cloud: Cloud, when: str = "2025-03-02 08:00") -> Callable[[], None]:
    """What follows: the refund's money, and the next run."""

    def recover() -> None:
        now = cloud.world.clock.now
        cloud.world.clock.set(now + prepaid.REFUND_TAKES)
        cloud.sweep()
        cloud.later_run(when)()

    return recover


def right(cloud: Cloud, sent: Sequence[Json] = (), run_day: str = "2025-03-02", **more: Any) -> Callable[[], None]:
    """The properties, when everything is settled."""

    def check() -> None:
        check_told(cloud, sent)
        check_settled(cloud, sent, run_day, **more)

    return check


def every_order(cloud: Cloud, works: dict[str, Work], check: Work, recover: Work | None = None) -> Exploration:
    """Play every order of the workers' calls."""
    found = explore(cloud.world, works, check, recover=recover, limit=1500)
    assert found.complete, found
    assert found.schedules > 1
    return found


def refunds(cloud: Cloud) -> list[Json]:
    """The refunds of the daily account."""
    return list(prepaid.texts(cloud, "daily", "R#").values())


def everything(cloud: Cloud) -> list[Json]:
    """All that the ledger has."""
    return cloud.world.items("ledger")


def store(cloud: Cloud, when: str, *batches: Sequence[Json]) -> None:
    """Have usage stored at a time."""
    cloud.go_to(when)
    cloud.report(*batches)
    assert not any(told.report["rejected"] for told in cloud.told), cloud.told


def funds(cloud: Cloud) -> list[str]:
    """Gift, income transfer and cash of the daily account."""
    return [str(Decimal(amount).quantize(Decimal("0.01"))) for amount in cloud.accounts()["daily"]["funds"]]


# --- one worker ------------------------------------------------------------------------------------------------


def test_an_order(shop: Cloud) -> None:
    """Whatever strikes whichever call of an order, it is paid once, in order, and delivers each piece once."""
    voucher = shop.voucher("daily", "1.00", "prepaid", single_use=True)
    shop.prepared()

    def check() -> None:
        right(shop)()
        assert funds(shop) == ["0.00", "0.00", "5.40"]
        assert len(prepaid.pieces_of(shop, "daily")) == 3

    work = partial(shop.bought, "daily", FIVE, quantity=2, voucher_id=voucher)
    covered = exhaust(shop.world, work, check, kinds=ALL)
    assert covered.clean_calls == 3, "the account, what is on sale, the transaction"
    assert set(covered.faults) >= {Fault.LOST, Fault.CONFLICT, Fault.TRANSACTION_IN_PROGRESS, Fault.PARTIAL}


def test_a_refused_order(shop: Cloud) -> None:
    """Whatever strikes an order without enough money, nothing of it is left, and the key can be tried again."""
    before = everything(shop)

    def check() -> None:
        right(shop)()
        assert everything(shop) == before
        assert set(shop.refused.values()) == {"insufficient_balance"}

    work = partial(shop.order, "daily", FIVE, "insufficient_balance", quantity=6)
    exhaust(shop.world, work, check, kinds=ALL)
    assert work() is None
    shop.top_up("daily", "10.00")
    assert work() is not None


def test_a_refund(shop: Cloud) -> None:
    """Whatever strikes whichever call of a request, the package is taken away once and paid for once."""
    package, other = shop.bought("daily", FIVE, quantity=2)
    store(shop, "2025-03-01 12:00", calls(1, 2))
    shop.prepared(*calls(1, 2))

    def check() -> None:
        right(shop, calls(1, 2))()
        (refund,) = refunds(shop)
        assert refund["package"] == other
        assert refund["refunds"] == {"gift": "0.25", "income_transfer": "0.35", "cash": "0.80"}

    assert shop.request("GET", f"/v1/accounts/daily/packages/{package}/refund-quote").body["refundable"] is False
    covered = exhaust(shop.world, partial(shop.refund, "daily", other), check, kinds=ALL, recover=later(shop))
    assert covered.clean_calls == 4, "account and order, the days, the buckets, the transaction"


def test_the_completion_of_a_refund(shop: Cloud) -> None:
    """Whatever strikes whichever call of a sweep, the money is paid back once, exactly three minutes later."""
    voucher = shop.voucher("daily", "0.60", "prepaid")
    (package,) = shop.bought("daily", FIVE, voucher_id=voucher)
    before = funds(shop)
    shop.refund("daily", package)
    shop.go_to("2025-03-01 10:02:59")
    shop.sweep()
    assert funds(shop) == before, "not before its time"
    shop.go_to("2025-03-01 10:03")
    shop.prepared()

    def check() -> None:
        right(shop)()
        (refund,) = refunds(shop)
        assert refund["completed_at"] == "2025-03-01T10:03:00+08:00"
        assert (refund["refunds"], refund["forfeited"]) == ({"gift": "0.50", "income_transfer": "0.30"}, "0.60")
        assert funds(shop) == ["0.50", "0.70", "6.00"]

    covered = exhaust(shop.world, shop.sweep, check, kinds=ALL, recover=shop.sweep)
    assert covered.clean_calls == 6, "four shards, the refund, the transaction"
    assert Fault.STALE in covered.faults


def used_by_three(cloud: Cloud) -> list[Json]:
    """Usage that a gift, a bought package and a voucher cover in part, at the run that takes it."""
    cloud.bought("daily", FIVE, "o1")
    cloud.bought("daily", FOUR, "o2")
    cloud.voucher("daily", "0.50", key="v1", expires_at="2025-04-01T00:00:00+08:00")
    cloud.voucher("daily", "0.20", key="v2", expires_at="2025-03-20T00:00:00+08:00")
    early = calls(1, 2, "2025-03-01T09:00:00") + calls(3, 1, "2025-03-01T11:00:38")
    used = [*early, *calls(10, 6), *calls(20, 5, interface="api.phone_2e"), *calls(30, 3, interface="face_risk")]
    store(cloud, "2025-03-01 12:00", used)
    cloud.go_to("2025-03-02 08:00")
    cloud.prepared(*used)
    return used


def test_a_settlement(shop: Cloud) -> None:
    """Whatever strikes whichever call of a settlement, packages and a voucher are taken once, and by the rules."""
    used = used_by_three(shop)
    run = partial(shop.settle, "daily")
    covered = exhaust(shop.world, run, right(shop, used), kinds=ALL, recover=shop.later_run("2025-03-03 08:00"))
    assert set(covered.faults) >= {Fault.LOST, Fault.CONFLICT, Fault.TRANSACTION_IN_PROGRESS, Fault.THROTTLED_OUT}
    run()
    (bill,) = [bill for bill in bills_of(shop, "daily") if bill.counted]
    assert bill.amount == Decimal("1.01"), "two calls of 0.30, one of 0.40, three of 0.0035"
    assert {str(fund): amount for charge in bill.charges for fund, amount in charge.payment.items()}.keys() >= {
        "voucher"
    }
    left = {one: voucher["remaining"] for one, voucher in prepaid.Purse.of(shop, "daily").issued.items()}
    assert sorted(left.values()) == ["0.00", "0.50"], "none pays all, so the first to expire"


def test_a_month(shop: Cloud) -> None:
    """Packages of a monthly account are taken day by day, once, also where a package's late usage re-prices a month."""
    shop.go_to("2025-03-20 10:00")
    shop.bought("monthly", FIVE)
    days = [call(day, f"2025-03-{day}T12:00:00", account="monthly") for day in range(18, 27)]
    store(shop, "2025-03-27 10:00", days)
    shop.go_to("2025-04-01 08:00")
    shop.prepared(*days)
    late = [call(90 + day, f"2025-03-{day}T13:00:00", account="monthly") for day in (19, 26)]

    def work() -> None:
        shop.settle("monthly")
        shop.report(late)

    check = right(shop, [*days, *late], "2025-05-01")
    kinds = (Fault.CRASH_AFTER, Fault.LOST)
    exhaust(shop.world, work, check, kinds=kinds, recover=shop.later_run("2025-05-01 08:00"))
    shop.settle("monthly")
    (bill,) = [bill for bill in bills_of(shop, "monthly") if bill.counted]
    taken = {segment.start.day: one.calls for segment in bill.counted for one in segment.deductions}
    assert taken == dict.fromkeys(range(20, 25), 1), "from the day of its delivery on, until it is used up"


def test_gifts_and_vouchers(shop: Cloud) -> None:
    """Whatever strikes whichever call of a grant or an issue, it happens once."""
    exhaust(shop.world, partial(shop.grant, "daily", PHONE, 7), right(shop), kinds=(*EVERY_CALL, Fault.CONFLICT))
    exhaust(shop.world, partial(shop.voucher, "daily", "7.00"), right(shop), kinds=(*EVERY_CALL, Fault.CONFLICT))


# --- two at once -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["order", "refund", "grant", "voucher"])
def test_one_key_in_two_hands(shop: Cloud, what: str) -> None:
    """One key used twice at once: it takes effect once, with the same answer for both, byte for byte."""
    (package,) = shop.bought("daily", FIVE, "before")
    shop.prepared()
    work: dict[str, Work] = {
        "order": partial(shop.bought, "daily", FOUR),
        "refund": partial(shop.refund, "daily", package),
        "grant": partial(shop.grant, "daily", PHONE, 7),
        "voucher": partial(shop.voucher, "daily", "7.00"),
    }
    works = dict.fromkeys("ab", work[what])
    before = effects(shop)

    def check() -> None:
        right(shop)()
        assert len(shop.answered) == 1
        assert effects(shop) == before + 1

    every_order(shop, works, check, later(shop))
    race_seeds(shop.world, works, check, seeds=range(15), rates=0.03, recover=later(shop))


def effects(cloud: Cloud) -> int:
    """How many orders, grants, refunds and vouchers the account has."""
    prefixes = (keys.ORDER_PREFIX, keys.GRANT_PREFIX, keys.REFUND_PREFIX, keys.VOUCHER_PREFIX)
    return sum(len(prepaid.texts(cloud, "daily", prefix)) for prefix in prefixes)


def test_two_orders_and_the_last_yuan(shop: Cloud) -> None:
    """Money for one of two orders: one is delivered, the other refused, and nothing of that one is left."""
    shop.bought("daily", FIVE, "before", quantity=4)
    shop.prepared()
    works: dict[str, Work] = {
        "a": partial(shop.order, "daily", FIVE, "insufficient_balance", key="a"),
        "b": partial(shop.order, "daily", FOUR, "insufficient_balance", key="b"),
    }

    def check() -> None:
        right(shop)()
        assert len(prepaid.texts(shop, "daily", "O#")) == 2
        assert sorted(key for _, key in [*shop.answered, *shop.refused]) == ["a", "b"]
        assert len(shop.refused) == 1

    every_order(shop, works, check)
    race_seeds(shop.world, works, partial(without_trace, shop), seeds=range(15), rates=0.03)


def without_trace(cloud: Cloud) -> None:
    """At most one of two orders was delivered; what was refused has left nothing."""
    right(cloud)()
    delivered = {key for _, key in cloud.answered}
    assert len(prepaid.texts(cloud, "daily", "O#")) == 2
    assert not delivered & {key for _, key in cloud.refused}


def test_two_refunds_of_one_package(shop: Cloud) -> None:
    """Two requests of their own for one package: one is kept, the other hears that it was refunded already."""
    (package,) = shop.bought("daily", FIVE)
    shop.prepared()
    works: dict[str, Work] = {
        name: partial(shop.refund, "daily", package, "already_refunded", key=name) for name in "ab"
    }

    def check() -> None:
        right(shop)()
        assert len(refunds(shop)) == len(shop.answered) == len(shop.refused) == 1
        assert funds(shop) == ["0.50", "0.70", "6.00"]

    every_order(shop, works, check, later(shop))


def test_a_refund_and_the_settlement_of_its_usage(shop: Cloud) -> None:
    """A package with usage that is being settled is never given back, before, in between or afterwards."""
    (package,) = shop.bought("daily", FIVE)
    store(shop, "2025-03-01 12:00", calls(1, 2))
    shop.go_to("2025-03-02 08:00")
    shop.prepared(*calls(1, 2))
    works: dict[str, Work] = {
        "settle": partial(shop.settle, "daily"),
        "refund": partial(shop.refund, "daily", package, "package_used"),
    }

    def check() -> None:
        right(shop, calls(1, 2), "2025-03-03")()
        assert list(shop.refused.values()) == ["package_used"]

    every_order(shop, works, check)
    race_seeds(shop.world, works, check, seeds=range(15), rates=0.02)


def test_a_refund_and_a_settlement_that_leaves_it(shop: Cloud) -> None:
    """A package that the usage does not need is given back while the others are settled; both take effect once."""
    shop.bought("daily", FIVE, "o1")
    (spare,) = shop.bought("daily", FIVE, "o2")
    store(shop, "2025-03-01 12:00", calls(1, 4))
    shop.go_to("2025-03-02 08:00")
    shop.prepared(*calls(1, 4))
    works: dict[str, Work] = {
        "settle": partial(shop.settle, "daily"),
        "refund": partial(shop.refund, "daily", spare),
    }

    def check() -> None:
        right(shop, calls(1, 4), "2025-03-03")()
        assert len(refunds(shop)) == 1

    recover = later(shop, "2025-03-03 08:00")
    every_order(shop, works, check, recover)
    race_seeds(shop.world, works, check, seeds=range(15), rates=0.02, recover=recover)


def test_a_refund_and_usage(shop: Cloud) -> None:
    """A call and a refund at once: the package gives the call or is given back, never both."""
    (package,) = shop.bought("daily", FIVE)
    shop.go_to("2025-03-01 12:00")
    shop.prepared()
    works: dict[str, Work] = {
        "report": partial(shop.report, calls(1, 2)),
        "refund": partial(shop.refund, "daily", package, "package_used"),
    }
    ends: Counter[bool] = Counter()

    def check() -> None:
        right(shop, calls(1, 2))()
        trace = [one for one in shop.world.trace if one.place.worker in works]
        first = next(number for number, one in enumerate(trace) if one.place.worker == "refund")
        stored = [number for number, one in enumerate(trace) if one.place.worker == "report" and one.result == "ok"]
        if shop.told and max(stored) < first:
            assert shop.refused, "the usage was there first"
        assert len(shop.answered) + len(shop.refused) == 1
        ends[bool(shop.answered)] += 1

    every_order(shop, works, check, later(shop))
    assert set(ends) == {True, False}


def test_an_order_and_a_top_up(shop: Cloud) -> None:
    """An order that needs the money that is coming is delivered or refused, and nothing is lost or doubled."""
    works: dict[str, Work] = {
        "order": partial(shop.order, "daily", FIVE, "insufficient_balance", quantity=6),
        "top-up": partial(shop.top_up, "daily", "3.00"),
    }
    ends: Counter[bool] = Counter()

    def check() -> None:
        right(shop)()
        ends[bool(shop.refused)] += 1

    every_order(shop, works, check)
    assert set(ends) == {True, False}


@pytest.mark.parametrize("other", ["order", "voucher", "grant", "settle", "complete"])
def test_a_settlement_and_something_else(shop: Cloud, other: str) -> None:
    """A settlement beside whatever changes what it depends on: each takes effect once, and by what was there."""
    shop.bought("daily", FIVE, "o0")
    used = used_by_three(shop)
    spare = shop.bought("daily", FOUR, "o3")[0]
    if other == "complete":
        shop.refund("daily", spare)
        shop.go_to("2025-03-02 08:03")
    others: dict[str, Work] = {
        "order": partial(shop.bought, "daily", FIVE),
        "voucher": partial(shop.voucher, "daily", "9.00", threshold="0.10"),
        "grant": partial(shop.grant, "daily", IDENTITY, 2),
        "settle": partial(shop.settle, "daily"),
        "complete": shop.sweep,
    }
    works: dict[str, Work] = {"settle": partial(shop.settle, "daily"), "other": others[other]}
    shop.prepared(*used)
    check = right(shop, used, "2025-03-02")
    every_order(shop, works, check)
    race_seeds(shop.world, works, check, seeds=range(8), rates=0.02, recover=shop.later_run("2025-03-03 08:00"))


def test_two_sweeps(shop: Cloud) -> None:
    """Two sweeps of two refunds at once, with crashes: each is paid back once."""
    packages = shop.bought("daily", FIVE, quantity=2)
    for package in packages:
        shop.refund("daily", package, key=package)
    shop.go_to("2025-03-01 10:03")
    shop.prepared()
    works: dict[str, Work] = dict.fromkeys("ab", shop.sweep)

    def check() -> None:
        right(shop)()
        assert all(one["completed_at"] == "2025-03-01T10:03:00+08:00" for one in refunds(shop))
        assert funds(shop) == ["0.50", "0.70", "6.00"]

    assert explore(shop.world, works, check, preemptions=2, limit=250).schedules > 50
    race_seeds(shop.world, works, check, seeds=range(25), rates=0.03, recover=shop.sweep)


def then_look(cloud: Cloud, work: Work) -> Work:
    """Do something and make one more call: up to that one, others may see half of what was done."""

    def both() -> None:
        work()
        cloud.request("GET", "/v1/accounts/daily")

    return both


@pytest.mark.parametrize("hidden", range(5))
def test_items_of_a_transaction_seen_one_by_one(shop: Cloud, hidden: int) -> None:
    """Who sees an account before its wallet, or a wallet before its account, reads again: nothing goes wrong."""
    used = used_by_three(shop)
    spare = shop.bought("daily", FIVE, "o0")[0]
    shop.prepared(*used)
    works: dict[str, Work] = {
        "settle": partial(shop.settle, "daily"),
        "order": then_look(shop, partial(shop.bought, "daily", FIVE)),
        "refund": then_look(shop, partial(shop.refund, "daily", spare)),
    }
    check = right(shop, used, "2025-03-03")
    with Torn(shop.world, hidden) as torn:
        explore(shop.world, works, check, recover=later(shop, "2025-03-03 08:00"), preemptions=1, limit=100)
    assert torn.seen


# --- what is shown ---------------------------------------------------------------------------------------------


def shown(cloud: Cloud) -> Json:
    """What the API shows of the daily account."""
    return prepaid.view(cloud, "daily", (IDENTITY, PHONE), "2025-02-20", "2025-03-10")


def same_as_settled(cloud: Cloud, sent: Sequence[Json], flips: dict[str, list[Any]] | None = None) -> None:
    """What is shown just before a run, with the stream worked off, is what the run then writes."""
    cloud.roll_up()
    before = shown(cloud)
    cloud.settle("daily", "monthly")
    cloud.roll_up()
    assert shown(cloud) == before
    check_always(cloud)
    settled = [one for one in stored_facts(cloud, sent) if one.day < cloud.world.clock.now.date()]
    prepaid.check_shown(cloud, "daily", check_money(cloud, settled, flips)["daily"], before)


def test_shown_is_settled(shop: Cloud) -> None:
    """Packages, entitlements and usage, live, are what the run then writes; also on a day that is cut, and late."""
    used = used_by_three(shop)
    same_as_settled(shop, used)
    late = [*calls(100, 2, "2025-03-01T11:00:37"), *calls(110, 4, "2025-03-01T11:00:38")]
    today = calls(120, 3, "2025-03-02T11:00:00", interface="api.phone_2e")
    store(shop, "2025-03-02 12:00", late, today)
    shop.grant("daily", PHONE, 2)
    shop.go_to("2025-03-03 08:00")
    same_as_settled(shop, [*used, *late, *today])


def test_shown_is_settled_with_postpaid_off(shop: Cloud) -> None:
    """The same where postpaid was off for an hour: what comes in it and is not covered is shown, and never charged."""
    shop.bought("daily", FOUR)
    flips = {"daily": [at("2025-03-01 11:00"), at("2025-03-01 12:00")]}
    for when, on in (("2025-03-01 11:00", False), ("2025-03-01 12:00", True)):
        shop.go_to(when)
        assert shop.request("PATCH", "/v1/accounts/daily", {"postpaid_enabled": on}).status == 200
    used = [
        one
        for number, minute in enumerate((1030, 1059, 1100, 1130, 1159, 1200))
        for interface, first in (("api.id_card_verification", 1), ("api.phone_2e", 51))
        for one in calls(
            first + number * 100, 2, f"2025-03-01T{minute // 100}:{minute % 100:02d}:00", interface=interface
        )
    ]
    store(shop, "2025-03-01 12:00", used)
    shop.go_to("2025-03-02 08:00")
    shop.prepared(*used)
    same_as_settled(shop, used, flips)


LOOKS: dict[str, Json] = {
    "packages": {},
    "packages/{bought}/usage": {},
    "packages/{unused}/refund-quote": {},
    "usage": {"from": "2025-02-20", "to": "2025-03-10"},
    "entitlements/identity_check": {},
}


@pytest.mark.parametrize("path", LOOKS)
def test_a_look_beside_a_settlement(shop: Cloud, path: str) -> None:
    """Who looks while usage is settled, that of a cut day and late usage too, sees no difference, or `try_again`."""
    (bought,), (unused,) = shop.bought("daily", FIVE, "o1"), shop.bought("daily", FOUR, "o2")
    store(shop, "2025-03-01 12:00", calls(1, 2, "2025-03-01T09:00:00"), calls(10, 1))
    shop.go_to("2025-03-02 08:00")
    shop.settle("daily")
    late = [*calls(100, 2, "2025-03-01T11:00:37"), *calls(110, 1, "2025-03-01T11:00:38")]
    today = [*calls(120, 1, "2025-03-02T11:00:37"), *calls(130, 1, "2025-03-02T11:00:37", interface="api.phone_2e")]
    store(shop, "2025-03-02 12:00", late, today)
    shop.roll_up()
    shop.go_to("2025-03-03 08:00")
    shop.prepared()
    url = f"/v1/accounts/daily/{path.format(bought=bought, unused=unused)}"
    before = shop.request("GET", url, query=LOOKS[path]).body

    def look() -> None:
        reply = shop.request("GET", url, query=LOOKS[path])
        assert reply.status == 503 or reply.body == before, f"{reply.body} instead of {before}"

    works: dict[str, Work] = {"settle": partial(shop.settle, "daily"), "look": look}
    assert explore(shop.world, works, partial(check_always, shop), preemptions=1, limit=100).complete
    for hidden in range(6):
        with Torn(shop.world, hidden):
            assert explore(shop.world, works, partial(check_always, shop), preemptions=1, limit=100).complete


# --- the harness bites on the real code ------------------------------------------------------------------------


def test_packages_in_another_order_are_caught(shop: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bought packages before gifts."""
    monkeypatch.setattr(Package, "rank", property(lambda package: (package.source is Source.GIFT, package.package_id)))
    with pytest.raises(FaultFound, match="the model"):
        test_a_settlement(shop)


def test_a_wallet_that_is_not_written_is_caught(shop: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """A settlement that takes from packages and forgets to write it down."""
    monkeypatch.setattr(pending.Pending, "wallets", lambda *_: {})
    with pytest.raises(FaultFound, match="is in no wallet"):
        test_a_settlement(shop)


def test_another_voucher_is_caught(shop: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """A settlement that takes the voucher with the most left, not the first to expire."""
    monkeypatch.setattr(settle, "choose", lambda vouchers, *_: max(vouchers, key=lambda one: one.remaining))
    with pytest.raises(FaultFound, match="the model chose"):
        test_a_settlement(shop)


def test_usage_that_a_refund_does_not_count_is_caught(shop: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """A refund that asks the wallet alone gives back what unsettled usage needs."""
    monkeypatch.setattr(standing.Standing, "used_since", lambda *_: 0)
    with pytest.raises(FaultFound, match="the usage was there first"):
        test_a_refund_and_usage(shop)


def test_a_change_without_version_condition_is_caught(shop: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """A settlement and a grant of which the second does not ask for the version that it saw."""
    put = accounts.account_put

    def careless(*args: Any) -> Json:
        made = put(*args)
        for name in ("ConditionExpression", "ExpressionAttributeValues"):
            made["Put"].pop(name, None)
        return made

    monkeypatch.setattr(snapshot, "account_put", careless)
    with pytest.raises(FaultFound, match="written over"):
        test_a_settlement_and_something_else(shop, "grant")


def test_parts_that_are_not_of_the_account_are_caught(shop: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """A settlement that goes on from an account and an older wallet writes over what came in between."""
    read = snapshot.snapshot_of

    def careless(account: Account, parts: Sequence[Any]) -> Any:
        seen = {one["sk"]["S"]: int(one["version"]["N"]) for one in parts}
        return replace(read(replace(account, parts=seen), parts), account=account)

    monkeypatch.setattr(due, "snapshot_of", careless)
    with pytest.raises(FaultFound, match="wallet"):
        test_items_of_a_transaction_seen_one_by_one(shop, 2)
