"""Notices under faults: none is lost, each is in the ledger once, and doubled outside only where nobody could know."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from unittest import mock

import pytest

from aws_platform import deliveries, keys
from aws_platform.deliveries import Claim, recipient_key
from notify import publish
from tests.faults.commits import inflated
from tests.faults.harness import (
    ALL,
    CRASHES,
    Delivery,
    Fault,
    FaultFound,
    Faults,
    Sent,
    Snapshot,
    exhaust,
    explore,
    race_seeds,
    sweep,
)
from tests.faults.support import CHANNELS, FIVE, SHANGHAI, Cloud, Json, start

ACCOUNT = "acct"
EMAIL, PHONE, URL = "first@customer.example", "+8613800000001", "https://customer.example/hook"
SECOND = "second@customer.example"
NOW = "2025-03-01 10:00"
UNKNOWN = (Fault.CRASH_AFTER, Fault.TIMEOUT_AFTER, Fault.LOST, Fault.SERVER_ERROR_AFTER)
"""What leaves a sender without the answer to something that was sent."""
RECORDED = (*UNKNOWN, None)
"""What may strike a write that is done all the same."""

type Key = tuple[str, str, str]
"""Notice, channel, recipient: what is to be sent once."""


@pytest.fixture(scope="module")
def stage() -> Iterator[tuple[Cloud, str, Snapshot]]:
    """Give a product whose one account is told something by every channel, and its webhook's id."""
    with start("2025-02-01 09:00") as cloud:
        cloud.open_account(ACCOUNT, cash="100.00", opened_at="2025-01-15T00:00:00+08:00")
        cloud.subscribe(ACCOUNT, emails=[EMAIL], phones=[PHONE], locale="zh-CN", daily_report=False)
        webhook_id = cloud.add_webhook(ACCOUNT, URL)
        cloud.sell_small("2025-02-01")
        yield cloud, webhook_id, cloud.world.snapshot()


@dataclass
class Case:
    """The product with something to tell, and what must have come of it."""

    cloud: Cloud
    webhook_id: str
    queues: tuple[str, ...] = tuple(CHANNELS)
    """The channels that it is about."""
    doubled: Counter[Fault] = field(default_factory=Counter)
    """How often each fault made a message go out once more, over all plays."""

    # the work

    def deliver(self, delivery: Delivery | None = None) -> None:
        """Everything from the stream to the recipients: whatever was there before is there once more."""
        self.cloud.publish(delivery)
        self.cloud.deliver_notices(delivery, *self.queues)

    def recover(self) -> None:
        """Everything once more, without faults, and the retries that are still planned."""
        self.deliver()
        while (due := self._next_retry()) is not None:
            self.cloud.world.clock.set(max(due, self.cloud.world.clock.now))
            self.cloud.sweep()
            self.deliver()

    def _next_retry(self) -> datetime | None:
        planned = [item["due_sk"]["S"] for item in self.items(keys.DELIVERY_PREFIX) if "due_sk" in item]
        return datetime.fromisoformat(min(planned).partition("#")[0]).astimezone(SHANGHAI) if planned else None

    # what there is

    def items(self, prefix: str) -> list[Json]:
        """The account's items of a kind."""
        return [item for item in self.cloud.world.items("ledger") if item["sk"]["S"].startswith(prefix)]

    def notices(self) -> dict[str, str]:
        """The kind of each notice in the ledger, by its id."""
        return {
            f"{item['sk']['S'].removeprefix(keys.NOTICE_PREFIX)}-{number:04d}": kind
            for item in self.items(keys.NOTICE_PREFIX)
            for number, (kind, _, _) in enumerate(inflated(item["page"]), 1)
        }

    def statuses(self) -> dict[Key, str]:
        """What the ledger says of each delivery."""
        return {_key(item["sk"]["S"]): item["status"]["S"] for item in self.items(keys.DELIVERY_PREFIX)}

    def expected(self) -> set[Key]:
        """What has to be sent."""
        recipients = {
            "EmailQueue": ("email", recipient_key(EMAIL)),
            "SmsQueue": ("sms", recipient_key(PHONE)),
            "WebhookQueue": ("webhook", self.webhook_id),
        }
        return {(notice_id, *recipients[queue]) for notice_id in self.notices() for queue in self.queues}

    def sent(self) -> dict[Key, list[Sent]]:
        """What was taken by providers and endpoints, by what the sender had claimed before."""
        found: dict[Key, list[Sent]] = defaultdict(list)
        for one in self.cloud.sent():
            key = self._claimed(one)
            assert _recipient(one) in {key[2], URL}, f"{one} was sent for {key}"
            if one.status < 300:
                found[key].append(one)
        return found

    def _claimed(self, sent: Sent) -> Key:
        """The delivery that a worker looked at last before it sent something."""
        for traced in reversed(self.cloud.world.trace[: self._index(sent)]):
            sort_key = traced.call.body.get("Key", {}).get("sk", {}).get("S", "")
            if sent.place and traced.place.worker == sent.place.worker and sort_key.startswith(keys.DELIVERY_PREFIX):
                return _key(sort_key)
        raise AssertionError(f"nobody claimed {sent}")

    def _index(self, sent: Sent) -> int:
        return next(at for at, traced in enumerate(self.cloud.world.trace) if traced.call.body is sent.body)

    def in_doubt(self, sent: Sent) -> Fault | None:
        """What kept the sender from recording that it has sent this; None where it was recorded."""
        if sent.fault is not None:
            return sent.fault
        key = self._claimed(sent)
        for traced in self.cloud.world.trace[self._index(sent) + 1 :]:
            if sent.place is None or traced.place.worker != sent.place.worker:
                continue
            if traced.fault is Fault.CRASH_BEFORE:
                return Fault.CRASH_BEFORE
            sort_key = traced.call.body.get("Key", {}).get("sk", {}).get("S", "")
            if sort_key and _key(sort_key) == key and traced.fault in RECORDED:
                return None
        raise AssertionError(f"{sent} was neither recorded nor forgotten")

    # what must hold

    def check(self) -> None:
        """Nothing is lost, in-site is exactly once, and of each message one was recorded: all others were in doubt."""
        expected, sent = self.expected(), self.sent()
        assert self.statuses() == dict.fromkeys(expected, "sent")
        for key in expected:
            doubts = [self.in_doubt(one) for one in sent.pop(key, [])]
            assert doubts.count(None) == 1, f"{key} was sent, with these doubts: {doubts}"
            self.doubled.update(doubt for doubt in doubts if doubt)
        assert not sent, f"sent to nobody: {sent}"
        self.check_ledger()

    def check_ledger(self) -> None:
        """Every notice is in-site once, on the bus at least once, and no commit did what it must not do."""
        notices = self.notices()
        shown = self.cloud.product.get(f"/v1/accounts/{ACCOUNT}/notices", limit="1000").body["items"]
        assert [(one["notice_id"], one["kind"]) for one in shown] == sorted(notices.items())
        self.check_bus()
        assert not self.cloud.watch.broken, self.cloud.watch.broken

    def check_bus(self) -> None:
        """Every notice was taken by the bus."""
        events = [json.loads(entry["Detail"]) for entry in self.cloud.world.bus.events]
        assert {event["notice_id"]: event["kind"] for event in events} == self.notices()


@pytest.fixture
def case(stage: tuple[Cloud, str, Snapshot]) -> Case:
    """Give an account that fell into arrears; nobody was told of it yet."""
    cloud, webhook_id, before = stage
    cloud.world.restore(before)
    cloud.world.providers.refuse.clear()
    cloud.world.providers.statuses.clear()
    cloud.go_to(NOW)
    cloud.adjust(ACCOUNT, "-200.00")
    cloud.prepared()
    case = Case(cloud, webhook_id)
    assert list(case.notices().values()) == ["arrears"]
    return case


@pytest.fixture
def case_of_two(case: Case) -> Case:
    """Give an account that has paid since, with more than it owed: that is a notice of its own, on another page."""
    case.cloud.top_up(ACCOUNT, "300.00")
    case.cloud.bought(ACCOUNT, FIVE)
    case.cloud.prepared()
    assert sorted(case.notices().values()) == ["arrears", "package_delivered"]
    return case


def _key(sort_key: str) -> Key:
    notice_id, channel, recipient = sort_key.removeprefix(keys.DELIVERY_PREFIX).split("#")
    return notice_id, channel, recipient


def _recipient(sent: Sent) -> str:
    """What stands for the recipient: the key of the address, or the endpoint's URL."""
    if sent.service == "sesv2":
        (address,) = sent.body["Destination"]["ToAddresses"]
        return recipient_key(address)
    return recipient_key(sent.body["PhoneNumber"]) if sent.service == "sns" else str(sent.body["url"])


def each_once(count: int) -> dict[Fault, int]:
    """How often each fault must have doubled something, where so many sendings were struck by every fault in turn."""
    return dict.fromkeys((*UNKNOWN, Fault.CRASH_BEFORE), count)


@pytest.mark.parametrize("queue", CHANNELS)
def test_a_fault_at_every_call(case_of_two: Case, queue: str) -> None:
    """A channel struck at every call by everything: one more message for each answer that was lost, and no other."""
    case = case_of_two
    case.queues = (queue,)
    report = exhaust(case.cloud.world, case.deliver, case.check, kinds=ALL, recover=case.recover)
    assert case.doubled == each_once(2)
    assert report.cases > 60


@pytest.mark.parametrize("queue", ["EmailQueue", "WebhookQueue"])
def test_a_fault_at_every_call_of_the_rerun(case: Case, queue: str) -> None:
    """The same, and then whoever comes after the crash is struck at every call as well."""
    case.queues = (queue,)
    kinds = (Fault.CRASH_BEFORE, Fault.CRASH_AFTER, Fault.LOST)
    exhaust(case.cloud.world, case.deliver, case.check, kinds=kinds, recover=case.recover, depth=2)
    assert set(case.doubled) == {*kinds}


def test_everything_at_once(case_of_two: Case) -> None:
    """All channels under all faults, with messages that come twice and in any order."""
    case, bad = case_of_two, Delivery(5, batch=(1, 3), duplicate=0.3, reorder=0.5)
    sweep(case.cloud.world, lambda: case.deliver(bad), case.check, seeds=range(20), rates=0.03, recover=case.recover)
    assert case.doubled


# --- one message in two hands ----------------------------------------------------------------------------------


def in_two_hands(case: Case, queue: str) -> dict[str, Callable[[], object]]:
    """Two consumers of a queue that have the same messages at the same time."""
    case.queues = (queue,)
    case.cloud.publish()
    messages = [one.body for one in case.cloud.world.sqs.queues[queue]]
    event = {"Records": [{"messageId": str(number), "body": body} for number, body in enumerate(messages)]}
    return dict.fromkeys("ab", lambda: case.cloud.invoke(CHANNELS[queue], event))


def later(case: Case) -> None:
    """What was handed back comes again when the leases of whoever had died are over."""
    case.cloud.world.clock.sleep(deliveries.LEASE_SECONDS + 1)
    case.recover()


@pytest.mark.parametrize("queue", CHANNELS)
def test_a_message_in_two_hands(case: Case, queue: str) -> None:
    """Two that have the same message send it once, in every order of their calls."""
    found = explore(case.cloud.world, in_two_hands(case, queue), case.check, recover=lambda: later(case))
    assert found.complete
    assert found.schedules > 4
    assert not case.doubled


@pytest.mark.parametrize("queue", CHANNELS)
def test_a_message_in_two_hands_of_which_one_dies(case: Case, queue: str) -> None:
    """The same under crashes and lost answers: still only what was in doubt goes out once more."""
    rates = {Fault.CRASH_BEFORE: 0.03, Fault.CRASH_AFTER: 0.03, Fault.LOST: 0.03}
    race_seeds(
        case.cloud.world,
        in_two_hands(case, queue),
        case.check,
        seeds=range(30),
        rates=rates,
        recover=lambda: later(case),
    )
    assert case.doubled


# --- the bus ---------------------------------------------------------------------------------------------------


def test_the_bus_refuses_some(case_of_two: Case) -> None:
    """Of a page of more notices than one call takes, each is on the bus, whatever strikes whichever call."""
    case = case_of_two
    case.cloud.bought(ACCOUNT, FIVE, key="many", quantity=20)
    case.cloud.prepared()

    def check() -> None:
        case.check_bus()
        taken = Counter(json.loads(entry["Detail"])["notice_id"] for entry in case.cloud.world.bus.events)
        messages = case.cloud.world.sqs.queues["EmailQueue"]
        queued = Counter(json.loads(message.body)["detail"]["notice_id"] for message in messages)
        assert queued == taken

    report = exhaust(case.cloud.world, case.cloud.publish, check, kinds=ALL, recover=lambda: None)
    assert report.faults[Fault.PARTIAL] == report.clean_calls == 3


@pytest.mark.parametrize("times", [1, 5, 20])
def test_the_bus_goes_on_refusing(case_of_two: Case, times: int) -> None:
    """However often the bus takes only some, all of them get there in the end, and nobody gets one twice."""
    case = case_of_two
    faults = Faults.on("PutEvents", Fault.PARTIAL, times=times)
    case.cloud.world.finish(case.deliver, faults)
    case.recover()
    case.check()
    assert len(faults.log) == times
    assert not case.doubled


# --- who does not take it --------------------------------------------------------------------------------------


def test_an_address_that_is_refused(case_of_two: Case) -> None:
    """An address that the provider refuses is recorded, gets nothing, and keeps nobody else from getting his."""
    case = case_of_two
    case.queues = ("EmailQueue",)
    case.cloud.subscribe(ACCOUNT, emails=[SECOND, EMAIL], phones=[PHONE], locale="en", daily_report=False)
    case.cloud.world.providers.refuse[SECOND] = "BadRequestException"
    second = recipient_key(SECOND)

    def check() -> None:
        statuses, sent = case.statuses(), case.sent()
        assert {key for key, status in statuses.items() if status == "sent"} == case.expected() == set(sent)
        refused = Counter(status for (_, _, recipient), status in statuses.items() if recipient == second)
        assert set(refused) <= {"refused", "suppressed"}
        assert (refused["refused"] > 0, refused.total()) == (True, 2)
        (blocked,) = case.items(keys.ADDRESS_PREFIX)
        assert (blocked["address"]["S"], blocked["status"]["S"]) == (SECOND, "refused")
        case.check_ledger()

    exhaust(
        case.cloud.world, case.deliver, check, kinds=(*CRASHES, Fault.LOST, Fault.UNREACHABLE), recover=case.recover
    )


def fail_then_recover(case: Case) -> None:
    """An endpoint that fails at first, and takes what the sweep brings again."""
    case.cloud.world.providers.statuses[URL] = 500
    case.deliver()
    case.cloud.world.providers.statuses.clear()
    case.cloud.world.clock.set(case.cloud.world.clock.now + timedelta(minutes=2))
    case.cloud.world.finish(case.cloud.sweep)
    case.cloud.deliver_notices(Delivery(), "WebhookQueue")


def test_a_retry(case: Case) -> None:
    """What an endpoint did not take is brought again by the sweep, whatever strikes either: taken once, or in doubt."""
    case.queues = ("WebhookQueue",)
    exhaust(
        case.cloud.world,
        lambda: fail_then_recover(case),
        case.check,
        kinds=(Fault.CRASH_BEFORE, Fault.CRASH_AFTER, Fault.LOST, Fault.UNREACHABLE),
        recover=case.recover,
    )
    assert case.doubled == dict.fromkeys((Fault.CRASH_BEFORE, Fault.CRASH_AFTER, Fault.LOST), 1)


def test_an_endpoint_that_is_gone(case: Case) -> None:
    """An endpoint that says that it is gone is switched off with one notice, which the other channels bring."""
    case.cloud.world.providers.statuses[URL] = 410
    case.queues = ("WebhookQueue", "EmailQueue")

    def check() -> None:
        assert Counter(case.notices().values())["webhook_disabled"] == 1
        statuses = case.statuses()
        others = {key for key in case.expected() if key[1] != "webhook"}
        assert {key for key, status in statuses.items() if status == "sent"} == others == set(case.sent())
        assert {status for (_, channel, _), status in statuses.items() if channel == "webhook"} <= {
            "failed",
            "suppressed",
        }
        case.check_ledger()

    def recover() -> None:
        case.recover()
        case.deliver()  # of what the first round has told

    exhaust(case.cloud.world, case.deliver, check, kinds=ALL, recover=recover)


# --- what the checks would find --------------------------------------------------------------------------------


def test_who_does_not_claim_is_caught(case: Case) -> None:
    """Without claims a message that comes twice is sent twice, with nothing in doubt."""
    claim = deliveries.claim

    def everybody(dynamodb: Any, table: str, account_id: str, sort_key: str, recipient: str, now: datetime) -> Claim:
        mine = claim(dynamodb, table, account_id, sort_key, recipient, now)
        return mine or Claim(account_id, sort_key, "", 1, now)

    with mock.patch.object(deliveries, "claim", everybody), pytest.raises(FaultFound, match="doubts"):
        exhaust(case.cloud.world, case.deliver, case.check, kinds=())


def test_a_lease_that_is_too_short_is_caught(case: Case) -> None:
    """Where a claim ends while its holder still sends, two send in some order of their calls."""
    workers = in_two_hands(case, "EmailQueue")
    with mock.patch.object(deliveries, "LEASE_SECONDS", -1), pytest.raises(FaultFound, match="doubts"):
        explore(case.cloud.world, workers, case.check, recover=lambda: later(case))


def test_who_ignores_refused_entries_is_caught(case: Case) -> None:
    """A publisher that does not look at the entries of the answer loses notices."""

    def put(events: Any, entries: Any) -> None:
        events.put_events(Entries=entries)

    with mock.patch.object(publish, "_put", put), pytest.raises(FaultFound, match="partial"):
        exhaust(case.cloud.world, case.deliver, case.check, kinds=[Fault.PARTIAL], recover=lambda: None)


def test_a_changed_page_is_caught(case: Case) -> None:
    """A page that is written over or taken away is seen at once."""
    client = case.cloud.world.client("dynamodb")
    page = case.items(keys.NOTICE_PREFIX)[0]
    client.delete_item(TableName="ledger", Key={name: page[name] for name in ("pk", "sk")})
    assert any("what was issued was changed" in what for what in case.cloud.watch.broken)
