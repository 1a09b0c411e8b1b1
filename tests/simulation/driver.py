"""Does the steps of a simulation to the product, over the fault harness, as the product's callers and AWS do.

Faults strike every call that the product makes, drawn from the seed and the step, so that a step meets the same faults
whatever other steps there are. Callers send again until they are answered; queues and streams deliver twice and in
other orders. What the product gives ids to is known here by the names of the plan.
"""

from __future__ import annotations

import json
import os
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from functools import singledispatchmethod
from typing import Any
from unittest import mock

from tests.faults import support
from tests.faults.harness import Delivery, Faults, QueueSource, StreamSource, Worker, World
from tests.faults.harness.dynamodb import Change
from tests.faults.support import FUNDS, SETTLEMENT, USAGE, Cloud, TryAgain, Watch, add_page, start
from tests.simulation.steps import (
    Activity,
    Adjustment,
    Call,
    ContractPrice,
    Discount,
    Grant,
    Look,
    Merchant,
    Open,
    Order,
    PackageOf,
    Postpaid,
    Price,
    Refund,
    RefundBlock,
    Report,
    Run,
    Step,
    Sweep,
    TopUp,
    Violation,
    Voucher,
)
from tests.simulation.view import Answer
from tests.support.product import BATCH, CUSTOMER, OPERATOR, PRODUCER

BUDGET = 4
"""Faults a step at most: beyond, callers only wait longer."""

type Json = dict[str, Any]
type Answers = tuple[Answer, ...]


class YearWatch(Watch):
    """Adds journals up as they grow: over a year, reading them anew at each commit would take longer than the year."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._sums: dict[str, dict[str, Decimal]] = defaultdict(lambda: dict.fromkeys(FUNDS, Decimal(0)))

    def _watched(self, changes: Any) -> None:
        listed: list[Change] = list(changes)
        for change in listed:
            item = change.after or {}
            if change.before is None and item.get("sk", {}).get("S", "").startswith("J#"):
                add_page(self._sums[item["pk"]["S"]], json.loads(item["page"]["S"]))
        super()._watched(listed)

    def journal_sums(self, partition: str) -> dict[str, Decimal]:
        """What the journal has come to."""
        return dict(self._sums[partition])


@dataclass
class Driver:
    """The product, and what its callers know of it."""

    cloud: Cloud
    seed: int
    rate: float
    """The chance of each kind of fault at each call."""
    packages: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    """Ids of packages by account and the name of their order or grant."""
    vouchers: dict[tuple[str, str], str] = field(default_factory=dict)
    struck: int = 0
    """How many faults have struck."""
    calls: int = 0
    """How many calls to AWS the product has made, reads of views apart."""
    _worker: Worker = field(init=False)

    def __post_init__(self) -> None:
        """Make the consumers of the queues and of the stream, which live as long as the product."""
        world = self.cloud.world
        bad = Delivery(self.seed, batch=(1, 3), duplicate=0.2, reorder=0.4)
        self._usage = QueueSource(world, USAGE, bad)
        self._settlements = QueueSource(world, SETTLEMENT, bad)
        self._stream = StreamSource(world, "usage", Delivery(self.seed, (1, 40), duplicate=0.1, reorder=0.3))
        self._worker = world.worker()

    # a step

    def do(self, step: Step) -> Answers:
        """Do a step at its time, under faults; answers what callers heard in the end."""
        world = self.cloud.world
        self._go_to(step.at)
        world.trace.clear()
        world.rest()
        world.dynamodb.catch_up()
        self.cloud.statuses.clear()
        self._worker = world.worker("w0", self._faults(step))
        answers = self._do(step)
        self.struck += len(self._worker.faults.log)
        self.calls += self._worker.calls
        if self.cloud.watch.broken:
            raise world.found("; ".join(self.cloud.watch.broken))
        return answers

    def _go_to(self, when: datetime) -> None:
        clock = self.cloud.world.clock
        clock.elapsed += (when - clock.now).total_seconds()
        clock.set(when)

    def _faults(self, step: Step) -> Faults:
        """The faults of a step: they depend on it and the seed alone."""
        if not self.rate or isinstance(step, Look):
            return Faults.none()
        return Faults.seeded(self.seed + (zlib.crc32(repr(step).encode()) << 32), self.rate, budget=BUDGET)

    def _finish(self, work: Callable[[], object]) -> Any:
        return self._worker.finish(work).value

    @singledispatchmethod
    def _do(self, step: Step) -> Answers:
        raise NotImplementedError(step)

    # requests

    def ask(
        self,
        method: str,
        path: str,
        body: Json | None = None,
        *,
        customer: str | None = None,
        key: str | None = None,
    ) -> Answer:
        """A request, sent again until it is answered: by the operator, or by a customer."""
        headers = {"Idempotency-Key": key} if key else {}
        scopes = CUSTOMER if customer else OPERATOR
        struck = len(self._worker.faults.log)

        def work() -> Answer:
            reply = self.cloud.request(method, path, body, headers=headers, scopes=scopes, account_id=customer)
            if reply.status == 503 or (reply.status == 409 and reply.code == "request_in_progress"):
                raise TryAgain
            return Answer(reply.status, reply.body)

        answer: Answer = self._finish(work)
        return answer._replace(again=len(self._worker.faults.log) > struck)

    def read(self, path: str, query: Json) -> Answer:
        """Read as the operator; no faults strike."""
        reply = self.cloud.request("GET", path, query=query)
        return Answer(reply.status, reply.body)

    def _unless_done(self, answer: Answer, refusal: str, account: str) -> Answer:
        """A caller who heard nothing and is then told that it is done already looks at what is there."""
        if answer.again and answer.status == 409 and answer.body["code"] == refusal:
            return Answer(200, self.ask("GET", f"/v1/accounts/{account}").body, again=True)
        return answer

    @_do.register
    def _open(self, step: Open) -> Answers:
        path = f"/v1/accounts/{step.account}"
        body = {"account_id": step.account, "name": "Example", "enterprise_verified": step.enterprise_verified}
        created = self._unless_done(self.ask("POST", "/v1/accounts", body), "account_exists", step.account)
        service = f"{path}/service"
        applied = self.ask("POST", f"{service}/application", {"purpose": "identity checks"}, customer=step.account)
        moved = {"opened_at": step.opened_at.isoformat()} if step.opened_at else {}
        approved = self.ask("POST", f"{service}/approval", moved)
        approved = self._unless_done(approved, "no_application", step.account)
        return created._replace(status=201), applied, approved

    @_do.register
    def _postpaid(self, step: Postpaid) -> Answers:
        path = f"/v1/accounts/{step.account}"
        return (self.ask("PATCH", path, {"postpaid_enabled": step.enabled}, customer=step.account),)

    @_do.register
    def _merchant(self, step: Merchant) -> Answers:
        path = f"/v1/accounts/{step.account}/eid-merchants"
        return (self.ask("POST", path, {"merchant_id": step.merchant_id}, customer=step.account),)

    @_do.register
    def _violation(self, step: Violation) -> Answers:
        body: Json = {"active": True, "reason": "abuse"} if step.active else {"active": False}
        return (self.ask("PUT", f"/v1/accounts/{step.account}/violation", body),)

    @_do.register
    def _top_up(self, step: TopUp) -> Answers:
        body = {"fund": step.fund, "amount": str(step.amount)}
        return (self.ask("POST", f"/v1/accounts/{step.account}/top-ups", body, key=step.name),)

    @_do.register
    def _adjustment(self, step: Adjustment) -> Answers:
        body = {"amount": str(step.amount), "reason": "an error"}
        return (self.ask("POST", f"/v1/accounts/{step.account}/adjustments", body, key=step.name),)

    @_do.register
    def _voucher(self, step: Voucher) -> Answers:
        body = {
            "amount": str(step.amount),
            "scene": step.scene,
            "threshold": str(step.threshold),
            "expires_at": step.expires_at.isoformat(),
            "single_use": step.single_use,
        }
        answer = self.ask("POST", f"/v1/accounts/{step.account}/vouchers", body, key=step.name)
        if answer.status == 201:
            self.vouchers[step.account, step.name] = answer.body["voucher_id"]
        return (answer,)

    @_do.register
    def _discount(self, step: Discount) -> Answers:
        body = {"rate": str(step.rate), "from": step.first.isoformat(), "until": step.until.isoformat()}
        return (self.ask("PUT", f"/v1/accounts/{step.account}/discounts/{step.tag}", body),)

    @_do.register
    def _contract_price(self, step: ContractPrice) -> Answers:
        body = {"unit_price": str(step.unit_price), "from": step.first.isoformat(), "until": step.until.isoformat()}
        return (self.ask("PUT", f"/v1/accounts/{step.account}/contract-prices/{step.tag}", body),)

    @_do.register
    def _price(self, step: Price) -> Answers:
        body: Json = {"price_list": step.price_list, "from": step.first.isoformat()}
        if step.unit_price is not None:
            body["unit_price"] = str(step.unit_price)
        if step.tiers:
            body["tiers"] = [{"from_calls": calls, "unit_price": str(price)} for calls, price in step.tiers]
        if step.packages:
            body["packages"] = [{"calls": calls, "price": str(price)} for calls, price in step.packages]
        return (self.ask("PUT", f"/v1/prices/{step.tag}", body),)

    @_do.register
    def _activity(self, step: Activity) -> Answers:
        body = {
            "from": step.first.isoformat(),
            "until": step.until.isoformat(),
            "package_rate": str(step.package_rate),
            "tags": list(step.tags),
            "refundable": step.refundable,
        }
        return (self.ask("PUT", f"/v1/activities/{step.name}", body),)

    @_do.register
    def _order(self, step: Order) -> Answers:
        body: Json = {"items": [{"sku": sku, "quantity": quantity} for sku, quantity in step.items]}
        if step.voucher is not None:
            if (step.account, step.voucher) not in self.vouchers:
                return ()
            body["voucher_id"] = self.vouchers[step.account, step.voucher]
        if step.activity is not None:
            body["activity_id"] = step.activity
        path = f"/v1/accounts/{step.account}/orders"
        answer = self.ask("POST", path, body, customer=step.account, key=step.name)
        if answer.status == 201:
            self.packages[step.account, step.name] = [one["package_id"] for one in answer.body["packages"]]
        return (answer,)

    @_do.register
    def _grant(self, step: Grant) -> Answers:
        body = {"tag": step.tag, "calls": step.calls, "reason": "a gift"}
        answer = self.ask("POST", f"/v1/accounts/{step.account}/packages", body, key=step.name)
        if answer.status == 201:
            self.packages[step.account, step.name] = [answer.body["package_id"]]
        return (answer,)

    def package_id(self, account: str, package: PackageOf) -> str | None:
        """The id of a package; None where its order was refused."""
        known = self.packages.get((account, package.name), [])
        return known[package.index] if package.index < len(known) else None

    @_do.register
    def _refund(self, step: Refund) -> Answers:
        package_id = self.package_id(step.account, step.package)
        if package_id is None:
            return ()
        path = f"/v1/accounts/{step.account}/packages/{package_id}/refund"
        return (self.ask("POST", path, {}, customer=step.account, key=step.name),)

    @_do.register
    def _refund_block(self, step: RefundBlock) -> Answers:
        package_id = self.package_id(step.account, step.package)
        if package_id is None:
            return ()
        body: Json = {"blocked": True, "reason": "abuse"} if step.blocked else {"blocked": False}
        return (self.ask("PUT", f"/v1/accounts/{step.account}/packages/{package_id}/refund-block", body),)

    # usage

    @_do.register
    def _report(self, step: Report) -> Answers:
        batch = [event_of(call) for call in step.calls]
        if step.by_queue:
            self._usage.put(json.dumps(batch))
            self._finish(lambda: self._usage.drain(self.cloud.handler("IngestFunction")))
            return ()

        def work() -> Answer:
            headers = {"content-type": BATCH}
            reply = self.cloud.request("POST", "/v1/usage", batch, scopes=PRODUCER, headers=headers)
            if reply.status == 503:
                raise TryAgain
            return Answer(reply.status, reply.body)

        answer: Answer = self._finish(work)
        return (answer._replace(again=bool(self._worker.faults.log)),)

    # what the product does by itself

    @_do.register
    def _run(self, _: Run) -> Answers:
        def work() -> None:
            self.cloud.plan()
            self._settlements.drain(self.cloud.handler("SettlementFunction"))

        self._finish(work)
        return ()

    @_do.register
    def _sweep(self, _: Sweep) -> Answers:
        self._finish(self.roll_up)
        self._finish(self.cloud.sweep)
        return ()

    @_do.register
    def _look(self, _: Look) -> Answers:
        self._finish(self.roll_up)
        return ()

    def roll_up(self) -> None:
        """Have what is new in the stream of usage taken, and now and then what is old again."""
        self._stream.drain(self.cloud.handler("RollupFunction"))


def event_of(call: Call) -> Json:
    """The event that reports a call. The same instant has several notations: which one depends on the call."""
    zone = UTC if zlib.crc32(call.event_id.encode()) % 3 == 0 else call.time.tzinfo
    return {
        "specversion": "1.0",
        "id": call.event_id,
        "source": call.source,
        "type": "faceid.call",
        "subject": call.account,
        "time": call.time.astimezone(zone).isoformat(),
        "data": {"interface": call.interface, "result_code": call.result_code, **dict(call.fields)},
    }


@contextmanager
def same_clients() -> Iterator[None]:
    """Let simulations use the same AWS clients, one after the other: making them is most of the time of a short one."""
    with mock.patch.object(support, "_fresh_clients"):
        yield
    support._fresh_clients()


@contextmanager
def drive(seed: int, rate: float, now: datetime, release_days: int = 30) -> Iterator[Driver]:
    """The product, empty, shortly before the first step."""
    settings = {"RELEASE_DAYS": str(release_days), "DUE_SHARDS": "1"}
    begun = now.replace(tzinfo=None).isoformat(" ")
    with start(begun, YearWatch) as cloud, mock.patch.dict(os.environ, settings):
        yield Driver(cloud, seed, rate)
