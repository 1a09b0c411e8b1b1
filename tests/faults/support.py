"""The real product over the fault harness: the template's tables and functions, and a watch over every commit.

``Cloud`` starts the product in a ``World`` and speaks to it as its callers do. ``Watch`` looks at each commit for what
must hold at every moment, whatever was interrupted. ``tests.faults.properties`` has what must hold in the end.
"""

from __future__ import annotations

import base64
import json
import logging
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import cache, lru_cache
from typing import Any, NamedTuple, Self
from unittest import mock
from zoneinfo import ZoneInfo

from aws_lambda_powertools.logging import Logger

from aws_platform import clients, clock, due, egress, keys, metrics, records
from aws_platform.directory import read_names
from ingest import handler as ingest
from ingest.events import parse_instant
from ingest.handler import Meter
from rating.catalog import load
from tests.faults import commits
from tests.faults.harness import Delivery, QueueSource, Sent, StreamSource, Worker, World, matches, shortcut
from tests.faults.harness.dynamodb import Change
from tests.support import leaks
from tests.support.product import BATCH, PRODUCER, TABLES, Product, Reply, template
from tests.support.providers import envelope

SHANGHAI = ZoneInfo("Asia/Shanghai")
SETTLEMENT, USAGE, DEAD_LETTERS = "settlement", "usage-queue", "usage-dead-letters"
CHANNELS = {"EmailQueue": "EmailFunction", "SmsQueue": "SmsFunction", "WebhookQueue": "WebhooksFunction"}
"""The queues of the template that the bus fills, and who takes from them."""
BUS = "Billing"
ARCHIVE = "archive"
FUNDS = ("gift", "income_transfer", "cash")
"""In the order of payment (D16), as an account's item has them."""
FIVE, FOUR = "identity_check:5", "phone_two_factor:4"
SMALL = {FIVE: "1.40", FOUR: "1.50"}
"""Packages that are small enough to be used up, and what they cost where a test puts them on sale."""
LATE_FROM = time(7, 55)
"""On the day of the run; what is written from then on must leave a mark."""
DAILY_SINCE = datetime(2023, 1, 4, tzinfo=SHANGHAI)

type Json = dict[str, Any]

_waiting = due._waiting
_make_meter: Callable[[], Meter] = ingest.meter.__wrapped__


def without_late_marks(*given: Any) -> list[Any]:
    """As `due._waiting`, but blind for late marks: a product that is broken so has to be caught."""
    return [item for item in _waiting(*given) if not item["sk"]["S"].startswith("L#")]


class TryAgain(Exception):  # noqa: N818 - what a caller hears, not a fault of it
    """An answer after which the caller sends the same again."""


class Fact(NamedTuple):
    """A call, as its event reports it."""

    account: str
    source: str
    event_id: str
    second: int
    """Since the epoch."""
    interface: str
    code: str
    sub_account: str

    @property
    def day(self) -> date:
        """The civil day that it belongs to (D1)."""
        return self.instant.date()

    @property
    def instant(self) -> datetime:
        """When it was made."""
        return datetime.fromtimestamp(self.second, SHANGHAI)

    @property
    def identity(self) -> tuple[str, str, str, int]:
        """What makes two events the same one."""
        return self[:4]


def fact(sent: Mapping[str, Any]) -> Fact:
    """What an event says; the tests' events have neither libraries nor fractions of seconds."""
    data = sent["data"]
    second = int(datetime.fromisoformat(sent["time"]).timestamp())
    names = data["interface"], data["result_code"], data.get("sub_account") or ""
    return Fact(sent["subject"], sent["source"], sent["id"], second, *names)


@dataclass(frozen=True)
class Told:
    """What a producer was answered."""

    worker: str
    events: tuple[Json, ...]
    report: Json


def day(text: str) -> date:
    """A day."""
    return date.fromisoformat(text)


def at(text: str) -> datetime:
    """An instant on Shanghai's clock: ``2025-03-01 08:00``."""
    return datetime.fromisoformat(text).replace(tzinfo=SHANGHAI)


def is_daily(account: Mapping[str, Any]) -> bool:
    """Whether an account is settled by day (D2); the body of its item is given."""
    return datetime.fromisoformat(account["opened_at"]) >= DAILY_SINCE


def late_from(account: Mapping[str, Any], usage_day: date) -> datetime:
    """From when on usage of a day is late: 07:55 before its run (D3)."""
    following = usage_day + timedelta(days=1)
    if not is_daily(account):
        following = (usage_day.replace(day=1) + timedelta(days=32)).replace(day=1)
    return datetime.combine(following, LATE_FROM, SHANGHAI)


class Watch:
    """Looks at every commit. What is wrong at any moment is kept in ``broken``, even if it is mended later."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.broken: list[str] = []
        self._commit = world.dynamodb._commit
        world.dynamodb._commit = self._watched  # type: ignore[method-assign]

    def _watched(self, changes: Any) -> None:
        listed: list[Change] = list(changes)
        self._commit(listed)
        real = [change for change in listed if change.before != change.after]
        for what in commits.wrong(real):
            self.expect(not what, what)
        for change in real:
            before, after = change.before or {}, change.after or {}
            item = after or before
            partition, sort_key = item["pk"]["S"], item["sk"]["S"]
            if change.table.name == "usage":
                self._usage(partition, sort_key, before, after, real)
            elif change.table.name == "ledger":
                self._ledger(partition, sort_key, before, after)

    def expect(self, holds: object, what: str) -> None:
        """Keep what does not hold."""
        if not holds:
            self.broken.append(f"{what} (after call {len(self.world.trace) + 1})")

    # usage

    def _usage(self, partition: str, sort_key: str, before: Json, after: Json, commit: list[Change]) -> None:
        where = f"usage {partition} {sort_key}"
        if "r" in before or "r" in after:
            self.expect("r" in after, f"{where}: a bucket was removed")
            self._bucket(where, before, after)
            self._around_bucket(partition, where, commit)
        elif sort_key == keys.DICTIONARY:
            for names in ("sub_accounts", "codes"):
                old, new = before.get(names, {"L": []})["L"], after.get(names, {"L": []})["L"]
                self.expect(new[: len(old)] == old, f"{where}: a number was given anew")
                self.expect(len({one["S"] for one in new}) == len(new), f"{where}: a name has two numbers")

    def _bucket(self, where: str, before: Json, after: Json) -> None:
        old = base64.b64decode(before["r"]["B"]) if before else b""
        new = base64.b64decode(after["r"]["B"])
        self.expect(new.startswith(old) and len(new) > len(old), f"{where}: stored events were changed")
        identities = [identity for identity, _ in records.split_records(new)]
        self.expect(len(set(identities)) == len(identities), f"{where}: an event is stored twice")
        counted = records.add_counts([base64.b64decode(after["c"]["B"])])
        self.expect(counted == dict(records.count_records(new)), f"{where}: the counts are not those of the records")

    def _around_bucket(self, partition: str, where: str, commit: list[Change]) -> None:
        account_id, _, digits = partition.rpartition("#")
        usage_day = datetime.strptime(digits, "%Y%m%d").replace(tzinfo=SHANGHAI).date()
        days = keys.usage_account(account_id)
        self.expect(self._item("usage", days, keys.day_item(usage_day)), f"{where}: no day item")
        account = self._item("ledger", keys.ledger(account_id), keys.ACCOUNT)
        body = json.loads((account or {})["body"]["S"])
        if self.world.clock.now >= late_from(body, usage_day):
            marks = [one.after for one in commit if one.after and one.after["sk"]["S"] == keys.late_mark(usage_day)]
            self.expect(marks and "due_pk" in marks[0], f"{where}: late usage without a mark")

    # ledger

    def _ledger(self, partition: str, sort_key: str, before: Json, after: Json) -> None:
        where = f"ledger {partition} {sort_key}"
        if sort_key == keys.ACCOUNT:
            self._account(where, before, after)
        elif sort_key.startswith(keys.MONTH_PREFIX):
            self.expect("closed" not in before, f"{where}: a closed month was changed")
        elif partition != keys.CATALOG and not sort_key.startswith(commits.MAY_CHANGE):
            self.expect(not before, f"{where}: what was issued was changed")

    def _account(self, where: str, before: Json, after: Json) -> None:
        number = int(before["version"]["N"]) if before else 0
        self.expect(int(after["version"]["N"]) == number + 1, f"{where}: a change was written over")
        new = json.loads(after["body"]["S"])
        old = json.loads(before["body"]["S"]) if before else {"settled_through": None}
        through = old["settled_through"]
        self.expect(through is None or through <= (new["settled_through"] or ""), f"{where}: settled_through fell")
        sums = self.journal_sums(where.split()[1])
        funds = dict(zip(FUNDS, map(Decimal, new["funds"]), strict=True))
        self.expect(sums == funds, f"{where}: the journal says {sums}, the funds are {funds}")

    def journal_sums(self, partition: str) -> dict[str, Decimal]:
        """What the journal of an account adds up to, fund by fund."""
        sums = dict.fromkeys(FUNDS, Decimal(0))
        for page in journal_pages(self.world, partition):
            add_page(sums, page)
        return sums

    def _item(self, table: str, partition: str, sort_key: str) -> Json | None:
        found = self.world.dynamodb.table(table)
        return found.get(found.key({"pk": {"S": partition}, "sk": {"S": sort_key}}))


class Torn:
    """Shows the items of a transaction one by one, as DynamoDB does to queries and batches of reads.

    While it is entered, the n-th item of each transaction (counted anew from the first where it has fewer) is not
    seen by others' queries and batches until the worker that wrote it goes on or ends, or somebody waits.
    """

    def __init__(self, world: World, hidden: int) -> None:
        self.world = world
        self.hidden = hidden
        self.seen = 0
        """How many queries and batches saw half a transaction."""
        self._call, self._enter = world.dynamodb.call, world.enter
        self._begun: tuple[object, float] = (None, 0.0)
        self._visible: object = None
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        """Take the place of the database's front. What was written before has long been seen."""
        self._visible = self.world.dynamodb._history[-1] if self.world.dynamodb._history else None
        self._stack.enter_context(mock.patch.object(self.world.dynamodb, "call", self.call))
        self._stack.enter_context(mock.patch.object(self.world, "enter", self.enter))
        return self

    def __exit__(self, *_: object) -> None:
        """Give it back."""
        self._stack.close()

    def enter(self, worker: Worker | None) -> None:
        """Notice that a worker ends: it has heard that its transaction is done."""
        before = self.world.current()
        if before is not None and worker is not before and before.name == self._writer():
            self._visible = self.world.dynamodb._history[-1]
        self._enter(worker)

    def call(self, operation: str, body: Json) -> Json:
        """Run one operation."""
        hidden = self._not_yet() if operation in {"Query", "BatchGetItem"} else None
        if hidden is None:
            return self._call(operation, body)
        self.seen += 1
        hidden.table.store(hidden.key, hidden.before)
        try:
            return self._call(operation, body)
        finally:
            hidden.table.store(hidden.key, hidden.after)

    def _not_yet(self) -> Change | None:
        """The item of the last commit that is not shown to the worker of this thread."""
        writer, reader = self._writer(), self.world.current()
        if writer is None or reader is None or writer == reader.name:
            return None
        changes = self.world.dynamodb._history[-1]
        if self._begun[0] is not changes:
            self._begun = changes, self.world.clock.elapsed
        if changes is self._visible or self._begun[1] < self.world.clock.elapsed:
            return None
        return changes[self.hidden % len(changes)]

    def _writer(self) -> str | None:
        """Who has written the last commit, if that was a transaction, and has not made another call since."""
        history = self.world.dynamodb._history
        if not history or len(history[-1]) == 1:
            return None
        went_on: set[str] = set()
        for one in reversed(self.world.trace):
            name = one.place.worker
            if one.call.operation == "TransactWriteItems" and one.result == "ok":
                return None if name in went_on else name
            went_on.add(name)
        return None


def add_page(sums: dict[str, Decimal], page: Json) -> None:
    """Add what a page of the journal moves to what the funds hold."""
    for fund, amount, _ in page["entries"]:
        if fund in sums:
            sums[fund] += Decimal(amount)


def journal_pages(world: World, partition: str) -> list[Json]:
    """An account's journal, in the order of its versions."""
    found = world.dynamodb.table("ledger").partitions.get(partition.encode(), {}).values()
    pages = [item for item in found if item["sk"]["S"].startswith("J#")]
    pages.sort(key=lambda item: item["sk"]["S"].rpartition("#")[2])
    return [{**json.loads(item["page"]["S"]), "version": int(item["sk"]["S"].rpartition("#")[2])} for item in pages]


@dataclass
class Cloud:
    """The product in a world. What its callers were told is kept until the world is restored."""

    world: World
    product: Product
    watch: Watch
    told: list[Told] = field(default_factory=list)
    before: tuple[Fact, ...] = ()
    """What was stored before anybody was told anything."""
    paid: dict[str, tuple[str, Json]] = field(default_factory=dict)
    """Answered top-ups by key: (account, body of the answer)."""
    answered: dict[tuple[str, str], str] = field(default_factory=dict)
    """The texts of successful answers to requests with a key, by path and key."""
    refused: dict[tuple[str, str], str] = field(default_factory=dict)
    """The codes of refusals of requests with a key, by path and key."""
    statuses: list[int] = field(default_factory=list)
    untold: bool = False
    """Whether events came through the queue, where nobody is answered."""
    archived: list[Json] = field(default_factory=list)
    """The packs that Firehose has taken."""
    logged: str = ""
    """The last error that a function logged."""
    make_meter: Callable[[], Meter] = _make_meter
    """How a process makes what ingest keeps; a test may put something broken in its place."""
    _meters: dict[str, Meter] = field(default_factory=dict)

    # processes

    def meter(self) -> Meter:
        """What the ingest function of this process keeps between invocations."""
        if self.name() not in self._meters:
            self._meters[self.name()] = self.make_meter()
        return self._meters[self.name()]

    def name(self) -> str:
        """The worker of this thread."""
        worker = self.world.current()
        return worker.name if worker else ""

    def forget(self) -> None:
        """A process has died; or, where none is running, another case begins."""
        worker = self.world.current()
        if worker is not None:
            self._meters.pop(worker.name, None)
            return
        self._meters.clear()
        self.told.clear()
        self.paid.clear()
        self.answered.clear()
        self.refused.clear()
        self.statuses.clear()
        self.archived.clear()
        self.untold = False
        self.watch.broken.clear()

    def as_worker[T](self, work: Callable[[], T]) -> T:
        """Do something as part of the worker of this thread, or as one without faults: its threads then take turns."""
        if self.world.current() is not None:
            return work()
        outcome = self.world.worker("test").run(work)
        if outcome.error is not None:
            raise outcome.error
        value: T = outcome.value
        return value

    def invoke(self, function: str, payload: Mapping[str, Any]) -> Any:
        """Call a function of the template by its logical id."""
        return self.as_worker(lambda: self.product.invoke(function, payload))

    def handler(self, function: str) -> Callable[[Json, Any], object]:
        """A function of the template, as Lambda's sources call it."""
        return lambda payload, _context: self.invoke(function, payload)

    # callers

    def open_account(self, account_id: str, *, cash: str, gift: str = "0", opened_at: str | None = None) -> None:
        """An account whose service is open, without faults."""
        self.product.now = self.world.clock.now
        self.product.open_account(account_id, cash=cash, opened_at=opened_at)
        if gift != "0":
            assert self.product.top_up(account_id, gift, fund="gift").status == 201

    def sell_small(self, first_day: str) -> None:
        """Put small packages on sale in place of the usual ones."""
        for sku, price in SMALL.items():
            tag, _, calls = sku.partition(":")
            body = {"price_list": "daily", "from": first_day, "packages": [{"calls": int(calls), "price": price}]}
            reply = self.request("PUT", f"/v1/prices/{tag}", body)
            assert reply.status == 200, reply.text

    def go_to(self, when: str) -> None:
        """Let time pass; nothing runs by itself."""
        self.world.clock.set(at(when))

    def prepared(self, *stored: Json) -> None:
        """Forget what was told up to here: what follows is the case. ``stored``: the events that are stored by now."""
        self.before = tuple(map(fact, stored))
        self.forget()

    def request(self, method: str, path: str, body: Any = None, **more: Any) -> Reply:
        """One request; an answer 5xx other than 503 fails the test at once."""
        self.product.now = self.world.clock.now
        reply = self.as_worker(lambda: self.product.request(method, path, body, **more))
        self.statuses.append(reply.status)
        if reply.status >= 500 and (reply.status, reply.code) != (503, "try_again"):
            raise AssertionError(f"{method} {path} answered {reply.status} {reply.text}\n{self.logged}")
        return reply

    def report(self, *batches: Sequence[Json]) -> None:
        """Send batches, each again until it is answered. Raises TryAgain where the producer is to send again."""
        answered = [told.events for told in self.told if told.worker == self.name()]
        for batch in batches:
            if tuple(batch) not in answered:
                self.report_again(batch)

    def report_again(self, batch: Sequence[Json]) -> None:
        """Send a batch, answered before or not."""
        reply = self.request("POST", "/v1/usage", list(batch), scopes=PRODUCER, headers={"content-type": BATCH})
        if reply.status == 503:
            raise TryAgain
        assert reply.status == 200, reply.text
        self.told.append(Told(self.name(), tuple(batch), reply.body))

    def keyed(self, method: str, path: str, body: Any, key: str, refusals: Sequence[str] = ()) -> Json | None:
        """A request with a key, again until it is answered; None where one of the refusals is the answer.

        Raises TryAgain where the caller is to send it again.
        """
        reply = self.request(method, path, body, headers={"Idempotency-Key": key})
        if reply.status >= 400:
            if (reply.status, reply.code) in {(503, "try_again"), (409, "request_in_progress")}:
                raise TryAgain
            assert reply.code in refusals, f"{method} {path} {key} was refused: {reply.text}"
            self.refused[path, key] = reply.code
            return None
        known = self.answered.setdefault((path, key), reply.text)
        assert known == reply.text, f"the same key was answered otherwise: {known}, {reply.text}"
        return dict(reply.body)

    def top_up(self, account_id: str, amount: str, fund: str = "cash", key: str = "k") -> None:
        """Put money in, again until it is answered."""
        path = f"/v1/accounts/{account_id}/top-ups"
        answer = self.keyed("POST", path, {"fund": fund, "amount": amount}, key)
        assert answer is not None
        self.paid[key] = account_id, answer

    def order(self, account_id: str, sku: str, *refusals: str, key: str = "o", **more: Any) -> Json | None:
        """Buy a package, or ``quantity`` of them, perhaps with a voucher."""
        items = [{"sku": sku, "quantity": more.pop("quantity", 1)}]
        return self.keyed("POST", f"/v1/accounts/{account_id}/orders", {"items": items, **more}, key, refusals)

    def refund(self, account_id: str, package_id: str, *refusals: str, key: str = "r") -> Json | None:
        """Ask for a refund."""
        return self.keyed("POST", f"/v1/accounts/{account_id}/packages/{package_id}/refund", {}, key, refusals)

    def grant(self, account_id: str, tag: str, calls: int, key: str = "g") -> str:
        """Give a package; returns its id."""
        body = {"tag": tag, "calls": calls, "reason": "a gift"}
        given = self.keyed("POST", f"/v1/accounts/{account_id}/packages", body, key)
        assert given is not None
        return str(given["package_id"])

    def adjust(self, account_id: str, amount: str, key: str = "a") -> None:
        """Book a compensation, or a charge where the amount is negative."""
        self.keyed("POST", f"/v1/accounts/{account_id}/adjustments", {"amount": amount, "reason": "an error"}, key)

    def voucher(self, account_id: str, amount: str, scene: str = "postpaid", key: str = "v", **more: Any) -> str:
        """Issue a voucher; returns its id."""
        body = {"amount": amount, "scene": scene, "threshold": "0", "single_use": False, **more}
        issued = self.keyed("POST", f"/v1/accounts/{account_id}/vouchers", body, key)
        assert issued is not None
        return str(issued["voucher_id"])

    def bought(self, account_id: str, sku: str, key: str = "o", **more: Any) -> list[str]:
        """Buy packages that can be bought; returns their ids."""
        order = self.order(account_id, sku, key=key, **more)
        assert order is not None
        return [package["package_id"] for package in order["packages"]]

    # what Lambda does

    def deliver(self, delivery: Delivery, *batches: Sequence[Json]) -> QueueSource:
        """Put batches on the usage queue and have them taken."""
        self.untold = True
        source = QueueSource(self.world, USAGE, delivery)
        source.put(*(json.dumps(list(batch)) for batch in batches))
        source.drain(self.handler("IngestFunction"))
        return source

    def roll_up(self, delivery: Delivery | None = None) -> None:
        """Have the whole stream of the usage table taken, from its beginning."""
        StreamSource(self.world, "usage", delivery).drain(self.handler("RollupFunction"))

    def plan(self) -> None:
        """Plan a run."""
        self.invoke("PlannerFunction", {"task": "plan"})

    def settle(self, *account_ids: str) -> None:
        """Settle accounts, as messages do. Raises TryAgain where messages are to be delivered again."""
        messages = [
            {"messageId": str(number), "body": json.dumps({"account_id": account_id})}
            for number, account_id in enumerate(account_ids)
        ]
        if self.invoke("SettlementFunction", {"Records": messages})["batchItemFailures"]:
            raise TryAgain

    def sweep(self) -> None:
        """Sweep the timers. Raises TryAgain where something stays due."""
        if self.invoke("TimersFunction", {"task": "sweep"})["failed"]:
            raise TryAgain

    def run(self, delivery: Delivery | None = None, plans: int = 1) -> None:
        """A whole run: the plan, and the messages that it queues."""
        given = delivery or Delivery(batch=(1, 10))
        source = QueueSource(self.world, SETTLEMENT, Delivery(**{**vars(given), "from_now": True}))
        for _ in range(plans):
            self.plan()
        source.drain(self.handler("SettlementFunction"))

    def later_run(self, when: str) -> Callable[[], None]:
        """The work of a later run: it settles the accounts that the due-indexes lead to.

        They are read here without calls, where the plan would ask for them in eight.
        """

        def recover() -> None:
            self.go_to(when)
            due = {
                item["due_sk"]["S"].split("#")[1]
                for table in ("usage", "ledger")
                for item in self.world.items(table)
                if item.get("due_pk", {"S": ""})["S"].startswith(keys.DUE_PREFIX)
                and item["due_sk"]["S"][:10] <= when[:10]
            }
            for account_id in sorted(due):
                self.settle(account_id)

        return recover

    def take_packs(self, body: Json) -> Json:
        """Take records, as Firehose does; what they hold is counted by then."""
        assert body["DeliveryStreamName"] == ARCHIVE
        packs = [json.loads(base64.b64decode(one["Data"])) for one in body["Records"]]
        for pack in packs:
            partition = keys.usage_day(pack["account_id"], day(pack["day"]))
            stored = self.world.dynamodb.table("usage").partitions.get(partition.encode(), {}).values()
            known = {identity for item in stored for identity, _, _ in _decoded(item["r"]["B"])}
            for instant, source, event_id, *_ in pack["calls"]:
                second, fraction = parse_instant(instant) or (0, "")
                identity = records.identity(source, event_id, second, fraction)
                self.watch.expect(identity in known, f"{event_id} is archived before it is counted")
        self.archived += packs
        told = [{"RecordId": str(number)} for number in range(len(body["Records"]))]
        return {"FailedPutCount": 0, "RequestResponses": told}

    def log(self, said: str, error: BaseException | None = None) -> None:
        """Look at what a function logs, and remember the error that it logs."""
        if error is not None:
            self.logged = traceback.format_exc()
            said = "\n".join((said, *_texts(error)))
        # Told both ways: not every test asks the watch, and a simulation outside of pytest has nothing else.
        fine = leaks.look(said, "what a function logs")
        self.watch.expect(fine, "a function logs what is secret or personal")

    # notices

    def publish(self, delivery: Delivery | None = None) -> None:
        """Have the whole stream of the ledger taken, from its beginning, as far as its filter lets it through."""
        source = StreamSource(self.world, "ledger", delivery, only=_publish_filter())
        source.drain(self.handler("PublishFunction"))

    def deliver_notices(self, delivery: Delivery | None = None, *queues: str) -> None:
        """Have everything that ever was on the channels' queues taken, or on some of them, in turn."""
        for queue in queues or CHANNELS:
            hidden = float(template().resources[queue]["Properties"]["VisibilityTimeout"])
            given = Delivery(**{**vars(delivery or Delivery()), "hidden_seconds": hidden})
            QueueSource(self.world, queue, given).drain(self.handler(CHANNELS[queue]))

    def subscribe(self, account_id: str, **more: Any) -> None:
        """Say who is to be told: ``emails``, ``phones``, ``locale``, ``daily_report``."""
        reply = self.request("PUT", f"/v1/accounts/{account_id}/notice-subscriptions", more)
        assert reply.status == 200, reply.text

    def add_webhook(self, account_id: str, url: str, kinds: Sequence[str] | None = None) -> str:
        """Register an endpoint; returns the webhook's id."""
        body = {"url": url, "kinds": kinds} if kinds else {"url": url}
        reply = self.request("POST", f"/v1/accounts/{account_id}/webhooks", body)
        assert reply.status == 201, reply.text
        return str(reply.body["webhook_id"])

    def sent(self, *services: str) -> list[Sent]:
        """What reached the providers and the endpoints, or some of ``sesv2``, ``sns`` and ``https``."""
        return [one for one in self.world.providers.sent if not services or one.service in services]

    # looking, without faults

    def accounts(self) -> dict[str, Json]:
        """The bodies of all accounts, with their versions."""
        return {
            item["pk"]["S"].removeprefix(keys.ledger("")): {
                **json.loads(item["body"]["S"]),
                "version": int(item["version"]["N"]),
            }
            for item in self.world.items("ledger")
            if item["sk"]["S"] == keys.ACCOUNT
        }

    def stored(self) -> list[tuple[str, bytes, Fact]]:
        """Every stored event: account, identity and what it says (source and id are only in the identity)."""
        found = []
        catalog = load()
        for item in self.world.items("usage"):
            if "r" not in item:
                continue
            account_id, _, digits = item["pk"]["S"].rpartition("#")
            names = read_names(self.product.dynamodb, "usage", account_id)
            codes = {number: name for name, number in names.codes.items()}
            subs = {number: name for name, number in names.sub_accounts.items()}
            start = int(datetime.strptime(digits, "%Y%m%d").replace(tzinfo=SHANGHAI).timestamp())
            start += records.slot_of_key(item["sk"]["S"]) * records.SLOT_SECONDS
            for identity, second, one in _decoded(item["r"]["B"]):
                interface, code = catalog.interface(one.kind), codes[one.code]
                assert one.chargeable == (code in interface.charged)
                sub_account = subs[one.sub_account] if one.sub_account else ""
                said = Fact(account_id, "", "", start + second, interface.interface, code, sub_account)
                found.append((account_id, identity, said))
        return found

    def dead_letters(self) -> list[Json]:
        """The events that were put aside."""
        return [one for message in self.world.sqs.queues[DEAD_LETTERS] for one in json.loads(message.body)]


@lru_cache(maxsize=2048)
def _decoded(content: str) -> list[tuple[bytes, int, records.Dimensions]]:
    """The events of a bucket: identity, second of its ten, dimensions."""
    decoded = []
    for identity, data in records.split_records(base64.b64decode(content)):
        ((second, packed),) = records.count_by_second(identity + data)
        decoded.append((identity, second, records.unpack_dimensions(packed)))
    return decoded


@contextmanager
def start(now: str, watching: Callable[[World], Watch] = Watch) -> Iterator[Cloud]:
    """The product, empty, at an instant; ``watching`` makes what looks at each commit."""
    names = {
        "USAGE_TABLE": "usage",
        "LIVE_TABLE": "live",
        "LEDGER_TABLE": "ledger",
        "ARCHIVE_STREAM": ARCHIVE,
        "BUS_NAME": BUS,
        "SENDER_EMAIL": "billing@zhangben.example",
        "SANDBOX": "false",
        "POWERTOOLS_METRICS_NAMESPACE": "Zhangben",
        "POWERTOOLS_SERVICE_NAME": "faults",
    }
    made: list[Cloud] = []

    def forget() -> None:
        for one in made:
            one.forget()

    _fresh_clients()
    with World(now=at(now), reset=(forget,)) as world, mock.patch.dict(os.environ, names):
        _create_tables(world)
        os.environ["SETTLEMENT_QUEUE_URL"] = world.create_queue(SETTLEMENT)
        os.environ["USAGE_DEAD_LETTER_QUEUE_URL"] = world.create_queue(DEAD_LETTERS)
        world.create_queue(USAGE)
        urls = {queue: world.create_queue(queue) for queue in CHANNELS}
        os.environ["WEBHOOK_QUEUE_URL"] = urls["WebhookQueue"]
        os.environ.pop("RELEASE_DAYS", None)
        world.bus.routes = _routes
        cloud = Cloud(world, Product(at(now), world.client("dynamodb"), world.client("sqs")), watching(world))
        made.append(cloud)
        world.answer("firehose", "PutRecordBatch", cloud.take_packs)

        def now_of_the_world(settings: object, dynamodb: object) -> datetime:
            return world.clock.now

        def machine_now_of_the_world() -> datetime:
            return world.clock.machine_now

        def post(endpoint: egress.Endpoint, body: bytes, headers: Mapping[str, str], **_: object) -> int:
            try:
                return world.post(f"https://{endpoint.authority}{endpoint.target}", body, headers)
            except TimeoutError as error:
                raise egress.TimedOutError from error
            except ConnectionError as error:
                raise egress.UnreachableError from error

        def unsigned(signer: object, request: object) -> None:
            pass

        def no_name(agent: object) -> str:
            return "faults"

        with (
            _logging_to(cloud),
            shortcut(world),
            mock.patch.object(clock, "now", now_of_the_world),
            mock.patch.object(clock, "machine_now", machine_now_of_the_world),
            mock.patch.object(egress, "post", post),
            # A third of a call's time, for what nobody reads here.
            mock.patch("botocore.auth.SigV4Auth.add_auth", unsigned),
            mock.patch("botocore.useragent.UserAgentString.to_string", no_name),
            mock.patch.object(ingest, "meter", cloud.meter),
            # They are numbers.
            mock.patch.object(metrics, "publish"),
        ):
            yield cloud
    _fresh_clients()


@contextmanager
def _logging_to(cloud: Cloud) -> Iterator[None]:
    """What functions log goes to the cloud alone: to write the lines takes longer than what is tried."""

    def log(_: Logger, *said: object, **fields: object) -> None:
        cloud.log(f"{said} {fields}")

    def exception(_: Logger, *said: object, **fields: object) -> None:
        cloud.log(f"{said} {fields}", sys.exception())

    logging.disable(logging.CRITICAL)
    try:
        with mock.patch.multiple(Logger, info=log, warning=log, error=log, exception=exception):
            yield
    finally:
        logging.disable(logging.NOTSET)


def _texts(error: BaseException | None) -> Iterator[str]:
    """What an error says, and those that led to it: a log has it all. The lines of code around it are no secret."""
    while error is not None:
        yield f"{type(error).__name__}: {error}"
        error = error.__cause__ or error.__context__


def _fresh_clients() -> None:
    for cached in (clients.dynamodb, clients.dynamodb_once, clients.sqs):
        cached.cache_clear()
    for cached_client in (clients.events, clients.firehose, clients.sesv2, clients.sns):
        cached_client.cache_clear()


@cache
def _publish_filter() -> tuple[Json, ...]:
    """The filter of the ledger's stream in the template; without what it has for sandboxes alone."""
    (source,) = template().resources["PublishFunction"]["Properties"]["Events"].values()
    filters = source["Properties"]["FilterCriteria"]["Filters"]
    return tuple(json.loads(one["Pattern"]) for one in filters if "Pattern" in one)


@cache
def _rules() -> tuple[tuple[Json, str], ...]:
    """The rules of the bus in the template: the pattern, and the queue."""
    return tuple(
        (rule["EventPattern"], target["Arn"]["Fn::GetAtt"][0])
        for _, rule in template().of_type("AWS::Events::Rule")
        for target in rule["Targets"]
    )


def _routes(entry: Json, event_id: str) -> Iterator[tuple[str, str]]:
    """Where the rules of the template take an event, and as what."""
    event = envelope(entry, event_id)
    for pattern, queue in _rules():
        if matches(pattern, event):
            yield queue, json.dumps(event, ensure_ascii=False)


def _create_tables(world: World) -> None:
    """The tables as the template has them, streams included."""
    shape = {"AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes", "LocalSecondaryIndexes", "BillingMode"}
    for logical_id, properties in template().of_type("AWS::DynamoDB::Table"):
        wanted = {name: value for name, value in properties.items() if name in shape}
        stream = properties.get("StreamSpecification")
        if stream:
            wanted["StreamSpecification"] = {"StreamEnabled": True, **stream}
        world.client("dynamodb").create_table(TableName=TABLES[logical_id], **wanted)
