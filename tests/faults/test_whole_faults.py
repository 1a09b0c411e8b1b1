"""The whole product under faults: random histories against a model of a few lines, and what the API says meanwhile."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import ROUND_DOWN, Decimal
from functools import partial
from random import Random
from typing import Any
from unittest import mock

import pytest

from aws_platform import due, snapshot
from rating import edges, money
from tests.faults import prepaid
from tests.faults.harness import (
    ALL,
    Delivery,
    Fault,
    FaultFound,
    Faults,
    QueueSource,
    StreamSource,
    by_seed,
    exhaust,
)
from tests.faults.harness.interleave import Race
from tests.faults.notices import Diary, Edges, calls_of, check_account, diary_of
from tests.faults.properties import (
    SOLD,
    check_always,
    check_complete,
    check_live,
    check_settled,
    check_told,
)
from tests.faults.support import (
    FIVE,
    FOUR,
    SETTLEMENT,
    USAGE,
    Cloud,
    Fact,
    Json,
    Torn,
    TryAgain,
    at,
    without_late_marks,
)
from tests.faults.verifying import check_verified
from tests.support.product import Reply, event

ACCOUNTS = ("daily", "monthly", "small")
ROUNDS = (
    "2025-02-27 10:00",
    "2025-02-27 23:57",
    "2025-02-28 07:56",
    "2025-02-28 08:00",
    "2025-02-28 12:30:01",
    "2025-03-01 08:00",
    "2025-03-01 10:00",
    "2025-03-02 08:00",
    "2025-03-02 08:00:01",
)
"""Three runs of which the second closes a month, and what is around them: ends of gifts, and stops and releases."""
LATER = ("2025-03-03 08:00", "2025-04-01 08:00")
RELEASE_DAYS = 1
"""So that who fell into arrears with the first of these runs is stopped with the next, and released with the third."""
RATE = 0.01
IDENTITY, PHONE = "identity_check", "phone_two_factor"
NOT_SOLD = ("insufficient_balance", "account_in_arrears", "account_in_violation", "voucher_not_applicable")
NOT_REFUNDED = ("already_refunded", "not_purchased", "account_in_violation", "refund_window_passed", "package_used")


@dataclass
class History:
    """What happens, from a seed: who reports what when, what comes again, who pays, who is stopped for what."""

    cloud: Cloud
    diary: Diary
    seed: int
    sent: list[Json] = field(default_factory=list)
    valid: list[Json] = field(default_factory=list)
    flips: dict[str, list[datetime]] = field(default_factory=lambda: {name: [] for name in ACCOUNTS})
    violated: set[str] = field(default_factory=set)
    dice: Random = field(init=False)

    def __post_init__(self) -> None:
        """Make the dice, the queues' consumers and the stream's."""
        self.dice = Random(f"history/{self.seed}")  # noqa: S311 - wants to be reproducible, not secret
        bad = Delivery(self.seed, batch=(1, 3), duplicate=0.3, reorder=0.4)
        self.usage = QueueSource(self.cloud.world, USAGE, bad)
        self.settlements = QueueSource(self.cloud.world, SETTLEMENT, bad)
        self.stream = StreamSource(
            self.cloud.world, "usage", Delivery(self.seed, batch=(1, 8), duplicate=0.3, reorder=0.3, shards=2)
        )

    # what is reported

    def batch(self) -> list[Json]:
        """A few events: new ones, ones that are known, ones that contradict those, ones that are refused."""
        return [self.one() for _ in range(self.dice.randint(1, 5))]

    def one(self) -> Json:
        """One event."""
        kind = self.dice.random()
        if kind < 0.15 and self.valid:
            return self.dice.choice(self.valid)
        if kind < 0.20 and self.valid:
            known = self.dice.choice(self.valid)
            return self.kept({**known, "data": {**known["data"], "result_code": "-9"}})
        if kind < 0.25:
            return self.kept(
                self.new(self.dice.choice(["nobody", "daily"]), code="0", interface="no.such"), valid=False
            )
        return self.kept(self.new(self.dice.choice(ACCOUNTS)))

    def new(self, account: str, **more: Any) -> Json:
        """An event of some time of the last days, mostly of the last hours."""
        now = self.cloud.world.clock.now
        back = self.dice.choice([0, 8, 12, 24, 48] if now.hour > 8 else [12, 24, 24])
        when = now - timedelta(seconds=self.dice.randint(-240, back * 3600))
        interface = self.dice.choice(list(SOLD))
        code = self.dice.choice([*sorted(SOLD[interface].charged), "-1", "-5"])
        given = {"interface": interface, "code": code, **more}
        if self.dice.random() < 0.3:
            given["sub_account"] = self.dice.choice(["team-a", "team-b"])
        source = self.dice.choice(["/gateway-1", "/gateway-2"])
        return event(account, f"{self.seed}-{len(self.sent)}", when.isoformat(), source=source, **given)

    def kept(self, made: Json, *, valid: bool = True) -> Json:
        """Remember an event."""
        self.sent.append(made)
        if valid:
            self.valid.append(made)
        return made

    # who works

    def round(self, when: str) -> dict[str, Callable[[], object]]:
        """Who works side by side at this time."""
        cloud, dice = self.cloud, self.dice
        cloud.go_to(when)
        first, second, queued = ([self.batch() for _ in range(dice.randint(1, 2))] for _ in range(3))
        works: dict[str, Callable[[], object]] = {
            "http-1": partial(cloud.report, *first),
            "http-2": partial(cloud.report, *second),
            "queue": self.take,
            "stream": partial(self.stream.drain, cloud.handler("RollupFunction")),
        }
        cloud.untold = True
        for batch in queued:
            self.usage.put(json.dumps(batch))
        if when.endswith("08:00"):
            works["run"] = partial(self.run, dice.randint(1, 2))
        if dice.random() < 0.5:
            fund, amount = dice.choice(["cash", "gift", "income_transfer"]), dice.choice(["0.35", "1.00", "20.00"])
            works["pay"] = partial(cloud.top_up, dice.choice(ACCOUNTS), amount, fund, f"{self.seed}-{when}")
        if dice.random() < 0.3:
            works["switch"] = partial(self.switch, dice.choice(ACCOUNTS))
        if dice.random() < 0.3:
            self.violated ^= {account_id := dice.choice(ACCOUNTS)}
            works["police"] = partial(self.violate, account_id, active=account_id in self.violated)
        return works | self.shopping(f"{self.seed}-{when}")

    def shopping(self, key: str) -> dict[str, Callable[[], object]]:
        """Who buys, gives back, is given something, or pays back, in some rounds."""
        cloud, dice = self.cloud, self.dice
        buyer, giver = dice.choice(ACCOUNTS), dice.choice(ACCOUNTS)
        pieces = [(name, one) for name in ACCOUNTS for one in prepaid.pieces_of(cloud, name)]
        wanted = [(name, one.package_id) for name, one in pieces if not one.gift or dice.random() < 0.05]
        vouchers = [
            one for one, voucher in prepaid.Purse.of(cloud, buyer).issued.items() if voucher["scene"] == "prepaid"
        ]
        more: Json = {"quantity": dice.randint(1, 2)}
        if vouchers and dice.random() < 0.5:
            more["voucher_id"] = dice.choice(vouchers)
        order = partial(cloud.order, buyer, dice.choice([FIVE, FOUR]), *NOT_SOLD, key=key, **more)
        tag, single = dice.choice([IDENTITY, PHONE]), dice.random() < 0.5
        scene, threshold = dice.choice(["prepaid", "postpaid", "postpaid"]), dice.choice(["0", "0.30"])
        amount = dice.choice(["0.25", "1.00"])
        terms: Json = {"key": key, "single_use": single, "threshold": threshold}
        if dice.random() < 0.5:
            terms["expires_at"] = dice.choice(["2025-03-02T12:00:00+08:00", "2025-03-09T00:00:00+08:00"])
        works: dict[str, Callable[[], object]] = {
            "buy": order,
            "give": partial(cloud.grant, giver, tag, dice.randint(1, 6), key),
            "issue": partial(cloud.voucher, giver, amount, scene, **terms),
            "adjust": partial(cloud.adjust, giver, dice.choice(["0.20", "-0.30"]), key),
        }
        if wanted:
            works["refund"] = partial(cloud.refund, *dice.choice(wanted), *NOT_REFUNDED, key=key)
        return {name: work for name, work in works.items() if dice.random() < 0.5} | {"timers": cloud.sweep}

    def take(self) -> None:
        """Take what lies in the usage queue."""
        self.usage.drain(self.cloud.handler("IngestFunction"))

    def run(self, plans: int) -> None:
        """Plan, perhaps twice, and settle what is queued."""
        for _ in range(plans):
            self.cloud.plan()
        self.settlements.drain(self.cloud.handler("SettlementFunction"))

    def switch(self, account_id: str) -> None:
        """Switch postpaid to what it is not, again until it is answered."""
        now = self.cloud.world.clock.now
        if now not in self.flips[account_id]:
            self.flips[account_id].append(now)
        on = len(self.flips[account_id]) % 2 == 0
        if self.cloud.request("PATCH", f"/v1/accounts/{account_id}", {"postpaid_enabled": on}).status == 503:
            raise TryAgain

    def violate(self, account_id: str, *, active: bool) -> None:
        """Put a violation or lift it, again until it is answered."""
        body = {"active": True, "reason": "abuse"} if active else {"active": False}
        if self.cloud.request("PUT", f"/v1/accounts/{account_id}/violation", body).status == 503:
            raise TryAgain

    # from beginning to end

    def play(self) -> None:
        """Live through it, and check."""
        world = self.cloud.world
        try:
            for number, when in enumerate(ROUNDS):
                works = self.round(when)
                faults = Faults.seeded(self.seed * 100 + number, RATE, budget=4)
                with Torn(world, self.seed):
                    Race(works, lambda: None).play(world, by_seed(self.seed * 100 + number), faults)
            for when in LATER:
                self.cloud.go_to(when)
                world.finish(self.cloud.sweep)
                self.same_as_settled()
            self.check()
        except AssertionError as error:
            found = error if isinstance(error, FaultFound) else world.found(str(error))
            found.add_note(f"play it again: History(cloud, diary, {self.seed}).play()")
            raise found from error

    def same_as_settled(self) -> None:
        """What is shown before a run, with the stream worked off, is what the run writes."""
        roll_up = partial(self.stream.drain, self.cloud.handler("RollupFunction"))
        self.cloud.world.finish(roll_up)
        before = self.shown()
        self.cloud.world.finish(partial(self.run, 1))
        self.cloud.world.finish(roll_up)
        after = self.shown()
        assert after == before, f"settled {after}, shown before {before}"

    def shown(self) -> dict[str, Json]:
        """What the API shows of all accounts."""
        return {
            name: prepaid.view(self.cloud, name, (IDENTITY, PHONE), "2025-02-20", "2025-03-10") for name in ACCOUNTS
        }

    def check(self) -> None:
        """All that must hold."""
        facts = check_told(self.cloud, self.sent)
        check_complete(self.cloud, self.sent, self.valid)
        walks = check_settled(self.cloud, self.sent, "2025-04-01", self.flips)
        check_live(self.cloud)
        check_verified(self.cloud)
        looks = list(map(at, (*ROUNDS, *LATER)))
        for account_id in ACCOUNTS:
            check_account(self.diary, account_id, looks[-1])
            Edges(self.diary, account_id, calls_of(facts, account_id), looks).check()
        for account_id, shown in self.shown().items():
            prepaid.check_shown(self.cloud, account_id, walks[account_id], shown)
            self.check_shown(account_id, [one for one in facts if one.account == account_id])

    def check_shown(self, account_id: str, facts: Sequence[Fact]) -> None:
        """What the API shows is what was reported."""
        path = f"/v1/accounts/{account_id}"
        shown = self.cloud.request("GET", f"{path}/usage", query={"from": "2025-02-20", "to": "2025-03-10"}).body
        calls = Counter(one.day.isoformat() for one in facts if one.code in SOLD[one.interface].charged)
        others = Counter(one.day.isoformat() for one in facts if one.code not in SOLD[one.interface].charged)
        assert {row["day"]: (row["calls"], row["not_chargeable"]) for row in shown["items"]} == {
            day: (calls[day], others[day]) for day in {*calls, *others}
        }
        balance = Decimal(self.cloud.request("GET", path).body["balance"]["available"])
        query = {"from": "2024-01-01", "to": "2025-04-30", "limit": "1000"}
        journal = self.cloud.request("GET", f"{path}/journal", query=query).body["items"]
        assert balance == sum(Decimal(entry["amount"]) for entry in journal if entry["fund"] != "voucher")
        rows = Decimal(0)
        for month in ("2025-02", "2025-03", "2025-04"):
            query = {"month": month, "basis": "charge"}
            rows += Decimal(
                self.cloud.request("GET", f"{path}/bills/resources", query=query).body["totals"]["total_cost"]
            )
        charged = -sum((Decimal(entry["amount"]) for entry in journal if entry["kind"] != "top_up"), Decimal(0))
        assert rows == charged, f"{account_id}: the bills say {rows}, the journal {charged}"


@pytest.fixture
def shop(cloud: Cloud) -> Cloud:
    """Give the product with small packages, and a third account with little money and gifts that end in these days."""
    cloud.world.clock.set(at("2024-02-28 12:30"))
    cloud.sell_small("2024-02-28")
    cloud.open_account("small", cash="0.40")
    cloud.grant("small", IDENTITY, 6, "identity")
    cloud.grant("small", PHONE, 3, "phone")
    cloud.world.clock.set(at("2024-03-01 07:00"))
    cloud.grant("small", IDENTITY, 4, "more")
    cloud.prepared()
    return cloud


@pytest.fixture
def diary(cloud: Cloud) -> Iterator[Diary]:
    """Give what the model of notices knows; releases come soon."""
    with diary_of(cloud) as diary, mock.patch.dict(os.environ, RELEASE_DAYS=str(RELEASE_DAYS)):
        diary.release_after = timedelta(days=RELEASE_DAYS)
        yield diary


@pytest.mark.parametrize("seed", range(2))
def test_histories(shop: Cloud, diary: Diary, seed: int) -> None:
    """Whatever happens in some days of three accounts, in the end everything is as the events say."""
    History(shop, diary, seed).play()


# --- the harness bites on the real code ------------------------------------------------------------------------


def caught(shop: Cloud, diary: Diary, what: str) -> None:
    """Live through histories until one goes wrong, in the way expected."""
    start = shop.world.snapshot()

    def live() -> None:
        for seed in range(12):
            shop.world.restore(start)
            History(shop, diary, seed).play()

    with pytest.raises(FaultFound, match=what) as found:
        live()
    assert "play it again: History(cloud, diary, " in found.value.__notes__[-1]


def test_marks_that_are_not_looked_at_are_caught(shop: Cloud, diary: Diary, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where runs do not look at late marks some history leaves usage unbilled."""
    monkeypatch.setattr(due, "_waiting", without_late_marks)
    caught(shop, diary, "billed")


def test_a_price_that_is_wrong_is_caught(shop: Cloud, diary: Diary, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a charge is rounded down the model says so."""
    monkeypatch.setattr(money, "round_to_fen", lambda amount: amount.quantize(Decimal("0.01"), ROUND_DOWN))
    caught(shop, diary, "BilledCharge")


def test_a_notice_that_is_forgotten_is_caught(shop: Cloud, diary: Diary, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where service is resumed and nobody is told the model says so."""

    def forgetful(*args: Any) -> list[Any]:
        return [one for one in edges.account_notices(*args) if one.kind != "resumed"]

    monkeypatch.setattr(snapshot, "account_notices", forgetful)
    caught(shop, diary, "not told")


# --- what the API says meanwhile -------------------------------------------------------------------------------

A = "/v1/accounts/daily"
READS: dict[str, dict[str, str]] = {
    A: {},
    f"{A}/journal": {"from": "2025-01-01", "to": "2025-04-30"},
    f"{A}/usage": {"from": "2025-02-20", "to": "2025-03-10"},
    f"{A}/usage?sub": {"from": "2025-02-20", "to": "2025-03-10", "by": "sub_account"},
    f"{A}/bills/resources": {"month": "2025-03"},
    f"{A}/bills/details": {"month": "2025-03", "basis": "charge"},
    f"{A}/bills/preview": {},
}


@pytest.mark.parametrize("path", READS)
def test_reads(cloud: Cloud, path: str) -> None:
    """A read that meets a fault is answered as without it, or 503 `try_again` where the fault lasts; never 500."""
    history = [event("daily", f"e{number}", f"2025-03-01T10:00:0{number}+08:00") for number in range(5)]
    cloud.report(history)
    cloud.go_to("2025-03-02 08:00")
    cloud.settle("daily")
    cloud.report([{**one, "id": f"late-{one['id']}"} for one in history])
    cloud.roll_up()

    def ask() -> Reply:
        return cloud.request("GET", path.partition("?")[0], query=READS[path])

    clean = cloud.world.worker("clean")
    right = clean.run(ask).value
    assert right.status == 200, right.text
    for number in range(1, clean.calls + 1):
        for fault in (Fault.TIMEOUT_BEFORE, Fault.SERVER_ERROR_AFTER, Fault.THROTTLED, Fault.SHORT_PAGE):
            assert cloud.world.run(ask, Faults.at({number: fault})).value.body | {"as_of": 0} == right.body | {
                "as_of": 0
            }
        for fault in (Fault.THROTTLED_OUT, Fault.UNREACHABLE):
            assert cloud.world.run(ask, Faults.at({number: fault})).value.status == 503


WRITES: dict[str, tuple[str, str, Json, int]] = {
    "create": ("POST", "/v1/accounts", {"account_id": "new", "name": "Example"}, 201),
    "apply": ("POST", "/v1/accounts/under/service/application", {"purpose": "checks"}, 202),
    "approve": ("POST", "/v1/accounts/asked/service/approval", {}, 200),
    "reject": ("POST", "/v1/accounts/asked/service/rejection", {"reason": "none"}, 200),
    "change": ("PATCH", A, {"postpaid_enabled": False}, 200),
    "violation": ("PUT", f"{A}/violation", {"active": True, "reason": "none"}, 200),
    "top-up": ("POST", f"{A}/top-ups", {"fund": "cash", "amount": "1.00"}, 201),
}


@pytest.mark.parametrize("name", WRITES)
def test_writes(cloud: Cloud, name: str) -> None:
    """A write that meets a fault has its effect once, and is not told that its own effect forbids it; never 500."""
    for account_id in ("under", "asked"):
        assert cloud.request("POST", "/v1/accounts", {"account_id": account_id, "name": "Example"}).status == 201
    asked = cloud.request("POST", "/v1/accounts/asked/service/application", {"purpose": "checks"})
    assert asked.status == 202
    cloud.prepared()
    method, path, body, success = WRITES[name]
    versions = {account_id: account["version"] for account_id, account in cloud.accounts().items()}

    def write() -> None:
        reply = cloud.request(method, path, body, headers={"Idempotency-Key": "k"})
        if reply.status == 503:
            raise TryAgain

    def check() -> None:
        check_always(cloud)
        now = {account_id: account["version"] for account_id, account in cloud.accounts().items()}
        assert sum(now.values()) == sum(versions.values()) + 1
        crashed = any(one.fault in {Fault.CRASH_AFTER, Fault.CRASH_BEFORE} for one in cloud.world.trace)
        if len(cloud.statuses) == 1 and not crashed:
            assert cloud.statuses == [success]

    exhaust(cloud.world, write, check, kinds=ALL, recover=lambda: None)
