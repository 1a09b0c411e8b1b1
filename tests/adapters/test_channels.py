"""Notices from the ledger's stream over the bus to e-mail and SMS, and what providers tell afterwards."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError

from aws_platform import clients, clock, deliveries, keys
from aws_platform.deliveries import BusyError, Channel, Delivery, Status
from aws_platform.failures import TryAgainError, error_code
from aws_platform.ledger import transact
from aws_platform.notices import page_put
from aws_platform.reading import in_partition
from aws_platform.settings import Settings
from aws_platform.subscriptions import (
    Audience,
    BlockedAddress,
    Subscription,
    block_address,
    e164,
    next_report,
    read_audience,
    subscription_put,
    unblock,
)
from rating.notices import Kind, Notice
from tests.adapters.steps import at
from tests.support.product import Product, queue_records, stream_record
from tests.support.providers import envelope

pytestmark = pytest.mark.usefixtures("acct")

ARREARS = {
    "balance": "-12.30",
    "since": "2025-03-01T08:00:00+08:00",
    "stops_at": "2025-03-02T08:00:00+08:00",
    "releases_at": "2025-04-01T08:00:00+08:00",
}
REPORT = {
    "day": "2025-02-28",
    "calls": [],
    "total": 0,
    "trend": [{"day": f"2025-02-{day}", "calls": 0} for day in range(22, 29)],
    "chart": "▁▁▁▁▁▁▁",
    "packages": [],
    "more_packages": 0,
}
PAGE = "20250301100000-1"
FIRST = f"{PAGE}-0001"
EMAIL, OTHER = "ops@example.com", "boss@example.com"
PHONE = "+8613800138000"
MAILS = deliveries.recipient_key(EMAIL)


@pytest.fixture
def acct(product: Product) -> None:
    """An account that is told by e-mail and SMS."""
    contact = {"email": EMAIL, "phone": "138 0013-8000", "locale": "zh-CN"}
    created = product.request("POST", "/v1/accounts", {"account_id": "acct-1", "name": "Example", "contact": contact})
    assert created.status == 201, created.text


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Real time, which a test moves on by seconds."""
    now = [at("2026-01-01T00:00:00+00:00")]
    monkeypatch.setattr(clock, "machine_now", lambda: now[0])

    def move(seconds: float) -> None:
        now[0] += timedelta(seconds=seconds)

    return move


def arrears(**changes: Any) -> Notice:
    """A notice of arrears."""
    return Notice(Kind.ARREARS, at("2025-03-01T08:00:00+08:00"), {**ARREARS, **changes})


def tell(product: Product, *notices: Notice, page_id: str = PAGE) -> list[str]:
    """Notices happen; the messages that the bus makes of them."""
    transact(product.dynamodb, [page_put("ledger", "acct-1", page_id, notices or [arrears()])])
    before = len(product.inbox.events)
    answer = product.invoke("PublishFunction", {"Records": [stream_record(page(product, page_id), "INSERT")]})
    assert answer == {"batchItemFailures": []}
    return [json.dumps(envelope(entry, "e-1")) for entry in product.inbox.events[before:]]


def page(product: Product, page_id: str) -> Mapping[str, Any]:
    """A page, as it lies in the ledger."""
    key = {"pk": {"S": keys.ledger("acct-1")}, "sk": {"S": keys.notice_page(page_id)}}
    item: Mapping[str, Any] = product.dynamodb.get_item(TableName="ledger", Key=key)["Item"]
    return item


def subscribe(product: Product, subscription: Subscription) -> None:
    """What the customer asks for."""
    seen = in_partition(product.dynamodb, "ledger", keys.ledger("acct-1"), [keys.SUBSCRIPTION]).get(keys.SUBSCRIPTION)
    items = [
        subscription_put(Settings.from_environment(), "acct-1", subscription, product.now, seen),
        *unblock("ledger", "acct-1", subscription),
    ]
    transact(product.dynamodb, items)


def failed(product: Product, function: str, bodies: Sequence[str], receives: int | None = None) -> list[str]:
    """Hand messages over, as received so often where that is said; the ids of those that come again."""
    event = queue_records(bodies)
    if receives is not None:
        for record in event["Records"]:
            record["attributes"] = {"ApproximateReceiveCount": str(receives)}
    answer = product.invoke(function, event)
    return [one["itemIdentifier"] for one in answer["batchItemFailures"]]


def kept(product: Product) -> list[Delivery]:
    """The deliveries of the usual page."""
    return list(deliveries.deliveries_between(product.dynamodb, "ledger", "acct-1", FIRST, f"{PAGE}-9999"))


def statuses(product: Product) -> list[tuple[str, str, str]]:
    """(channel, recipient, status) of each."""
    return [(one.channel, one.recipient, one.status.value) for one in kept(product)]


def audience(product: Product) -> Audience:
    """Whom to tell."""
    found = read_audience(product.dynamodb, "ledger", "acct-1")
    assert found is not None
    return found


def blocked(product: Product) -> list[tuple[str, str, str]]:
    """(channel, address, status) of the addresses that get nothing."""
    return [(one.channel.value, one.address, one.status.value) for one in audience(product).blocked]


def receivers(product: Product) -> list[str]:
    """Who was sent an e-mail."""
    return [address for one in product.emails for address in one["Destination"]["ToAddresses"]]


def lose_answer(patch: pytest.MonkeyPatch, client: Any, call: str) -> None:
    """The provider takes the next message, and its answer gets lost."""
    real = getattr(client, call)

    def lost(**request: Any) -> Any:
        patch.setattr(client, call, real)
        real(**request)
        raise ReadTimeoutError(endpoint_url="https://provider")

    patch.setattr(client, call, lost)


def answer_once(patch: pytest.MonkeyPatch, client: Any, call: str, error: Exception) -> None:
    """The provider does not take the next message."""
    real = getattr(client, call)

    def refuse(**_: Any) -> Any:
        patch.setattr(client, call, real)
        raise error

    patch.setattr(client, call, refuse)


def aws_error(code: str, status: int) -> ClientError:
    """What a provider answers."""
    response: Any = {"Error": {"Code": code, "Message": EMAIL}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, "Send")


def code_of(error: Exception) -> str:
    """How an error is named in logs."""
    return error_code(error) or type(error).__name__


def logged(caplog: pytest.LogCaptureFixture, message: str) -> list[Any]:
    """The records of a message."""
    return [record for record in caplog.records if record.getMessage() == message]


def everything_logged(caplog: pytest.LogCaptureFixture) -> str:
    """All records with all their fields."""
    return "".join(str(record.__dict__) for record in caplog.records)


# --- the bus -----------------------------------------------------------------------------------------------


def test_page_becomes_events(product: Product) -> None:
    """Each notice of a page is one event on the bus, with its kind, its time and its detail."""
    tell(product, arrears(), Notice(Kind.DAILY_REPORT, at("2025-03-01T10:00:00+08:00"), REPORT))
    first, second = product.inbox.events
    assert (first["EventBusName"], first["Source"], first["DetailType"]) == ("Billing", "zhangben", "arrears")
    assert first["Time"] == at("2025-03-01T08:00:00+08:00")
    assert json.loads(first["Detail"]) == {
        "notice_id": FIRST,
        "account_id": "acct-1",
        "kind": "arrears",
        "occurred_at": "2025-03-01T08:00:00+08:00",
        "data": ARREARS,
    }
    assert (second["DetailType"], json.loads(second["Detail"])["notice_id"]) == ("daily_report", f"{PAGE}-0002")


@pytest.mark.parametrize("name", ["MODIFY", "REMOVE"])
def test_only_new_pages_are_published(product: Product, name: str) -> None:
    """Changes of pages and other new items make no events."""
    transact(product.dynamodb, [page_put("ledger", "acct-1", PAGE, [arrears()])])
    account = product.dynamodb.get_item(
        TableName="ledger", Key={"pk": {"S": keys.ledger("acct-1")}, "sk": {"S": keys.ACCOUNT}}
    )["Item"]
    record = stream_record(page(product, PAGE), name)
    if name == "REMOVE":
        del record["dynamodb"]["NewImage"]
    product.invoke("PublishFunction", {"Records": [record, stream_record(account, "INSERT")]})
    assert product.inbox.events == []


def test_many_notices_go_in_groups(product: Product) -> None:
    """A large page is put in several calls of at most ten entries, in order and complete."""
    tell(product, *[arrears(balance=f"-{number}.00") for number in range(1, 26)])
    numbers = [json.loads(entry["Detail"])["notice_id"][-4:] for entry in product.inbox.events]
    assert numbers == [f"{number:04d}" for number in range(1, 26)]


def test_large_notices_go_apart(product: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    """Entries that are too large together are put in several calls."""
    calls: list[int] = []
    client = clients.events()
    real = client.put_events

    def counted(**request: Any) -> Any:
        calls.append(len(request["Entries"]))
        return real(**request)

    monkeypatch.setattr(client, "put_events", counted)
    tell(product, *[arrears(more="x" * 100_000) for _ in range(5)])
    assert calls == [2, 2, 1]


def test_refused_entries_are_put_again(product: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    """Entries that the bus refuses are put again, those that it took are not."""
    client = clients.events()
    real = client.put_events

    def refuse_second(**request: Any) -> Any:
        monkeypatch.setattr(client, "put_events", real)
        first, _, third = request["Entries"]
        real(Entries=[first, third])
        refused = {"ErrorCode": "InternalFailure", "ErrorMessage": "later"}
        return {"FailedEntryCount": 1, "Entries": [{"EventId": "1"}, refused, {"EventId": "3"}]}

    monkeypatch.setattr(client, "put_events", refuse_second)
    tell(product, arrears(), arrears(), arrears())
    assert [json.loads(one["Detail"])["notice_id"][-4:] for one in product.inbox.events] == ["0001", "0003", "0002"]


@pytest.mark.parametrize("error", [aws_error("ThrottlingException", 400), ReadTimeoutError(endpoint_url="https://bus")])
def test_bus_that_is_busy_is_asked_again(product: Product, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """A call that the bus did not answer is made again."""
    answer_once(monkeypatch, clients.events(), "put_events", error)
    assert len(tell(product)) == 1


def test_bus_that_goes_on_refusing_fails_the_batch(product: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch whose notices did not get onto the bus comes again."""

    def refuse(**request: Any) -> Any:
        return {"FailedEntryCount": 1, "Entries": [{"ErrorCode": "InternalFailure"} for _ in request["Entries"]]}

    monkeypatch.setattr(clients.events(), "put_events", refuse)
    with pytest.raises(TryAgainError):
        tell(product)


def test_days_can_be_published_again(product: Product) -> None:
    """The task puts every notice of the account's days on the bus once more, in order; deliveries are not repeated."""
    times = ["20250228235959", "20250301000000", "20250302120000", "20250302235959", "20250303000000"]
    told = [tell(product, *[arrears()] * 12, page_id=f"{time}-1") for time in times]
    assert failed(product, "EmailFunction", told[1]) == []
    before, sent = len(product.inbox.events), len(product.emails)
    days = {"account_id": "acct-1", "from": "2025-03-01", "to": "2025-03-02"}
    assert product.invoke("PublishFunction", {"republish": days}) == {"notices": 36}
    again = product.inbox.events[before:]
    assert [json.dumps(envelope(entry, "e-1")) for entry in again] == [*told[1], *told[2], *told[3]]
    messages = [json.dumps(envelope(entry, "e-2")) for entry in again]
    assert failed(product, "EmailFunction", messages) == []
    assert (sent, len(product.emails)) == (12, 36)
    assert product.invoke("PublishFunction", {"republish": {**days, "account_id": "acct-2"}}) == {"notices": 0}


@pytest.mark.parametrize("day", ["2025-13-01", "today", ""])
def test_only_days_can_be_published_again(product: Product, day: str) -> None:
    """A task whose day is none is refused, and nothing is put on the bus."""
    tell(product)
    before = len(product.inbox.events)
    with pytest.raises(ValueError, match=r"month|isoformat"):
        product.invoke("PublishFunction", {"republish": {"account_id": "acct-1", "from": "2025-03-01", "to": day}})
    assert len(product.inbox.events) == before


@pytest.mark.parametrize("sandbox,answered", [("true", True), ("false", False)])
def test_drivers_mark_is_acknowledged_in_a_sandbox(
    product: Product, monkeypatch: pytest.MonkeyPatch, sandbox: str, *, answered: bool
) -> None:
    """In a sandbox the highest mark is answered under another key, and the answer is answered by nobody."""
    monkeypatch.setenv("SANDBOX", sandbox)
    marks = [{"pk": {"S": "sandbox"}, "sk": {"S": "drain"}, "n": {"N": number}} for number in ("7", "8")]
    records = [stream_record(marks[0], "INSERT"), stream_record(marks[1])]
    product.invoke("PublishFunction", {"Records": records})
    key = {"pk": {"S": "sandbox"}, "sk": {"S": "drained"}}
    item = product.dynamodb.get_item(TableName="ledger", Key=key).get("Item")
    assert item == ({**key, "n": {"N": "8"}} if answered else None)
    if item:
        before = product.dynamodb.scan(TableName="ledger")["Items"]
        product.invoke("PublishFunction", {"Records": [stream_record(item, "INSERT")]})
        assert product.dynamodb.scan(TableName="ledger")["Items"] == before


# --- e-mail and SMS ----------------------------------------------------------------------------------------


def test_email_goes_to_every_recipient_once(product: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each subscribed address gets one e-mail, in the language asked for, and a repeated message sends nothing."""
    monkeypatch.setenv("CONFIGURATION_SET", "zhangben")
    subscribe(product, Subscription(emails=(EMAIL, OTHER), locale="en"))
    messages = tell(product)
    assert failed(product, "EmailFunction", messages * 2) == []
    assert failed(product, "EmailFunction", messages) == []
    assert receivers(product) == [EMAIL, OTHER]
    sent = product.emails[0]
    assert sent["FromEmailAddress"] == "billing@zhangben.example"
    assert sent["ConfigurationSetName"] == "zhangben"
    assert sent["EmailTags"] == [
        {"Name": "account_id", "Value": "acct-1"},
        {"Name": "notice_id", "Value": FIRST},
        {"Name": "recipient", "Value": MAILS},
    ]
    content = sent["Content"]["Simple"]
    assert content["Subject"]["Data"] == "【Zhangben】Account in arrears: please top up before 2025-03-02 08:00:00"
    assert "CNY -12.30" in content["Body"]["Text"]["Data"]
    assert sorted(statuses(product)) == [("email", OTHER, "sent"), ("email", EMAIL, "sent")]
    assert {(one.attempts, one.at, one.detail) for one in kept(product)} == {(1, product.now, "")}


def test_sms_goes_to_the_contact_once(product: Product) -> None:
    """Without a subscription the account's phone gets one SMS, under its international number."""
    messages = tell(product)
    assert failed(product, "SmsFunction", messages * 2) == []
    assert [one["PhoneNumber"] for one in product.sms] == [PHONE]
    assert product.sms[0]["Message"].startswith("【Zhangben】您的账户已于 2025-03-01 08:00:00 欠费")
    assert product.sms[0]["MessageAttributes"]["AWS.SNS.SMS.SMSType"]["StringValue"] == "Transactional"
    assert statuses(product) == [("sms", PHONE, "sent")]


def test_daily_report_goes_by_email_only(product: Product) -> None:
    """A daily report is no SMS, even where its message comes to that queue."""
    messages = tell(product, Notice(Kind.DAILY_REPORT, product.now, REPORT))
    assert failed(product, "SmsFunction", messages) == []
    assert failed(product, "EmailFunction", messages) == []
    assert (len(product.sms), len(product.emails)) == (0, 1)


def test_empty_subscription_silences_channels(product: Product) -> None:
    """Whoever subscribes to no address gets nothing, whatever the contact says."""
    subscribe(product, Subscription(emails=(), phones=()))
    messages = tell(product)
    assert failed(product, "EmailFunction", messages) + failed(product, "SmsFunction", messages) == []
    assert (product.emails, product.sms, kept(product)) == ([], [], [])


def test_stack_without_sender_sends_no_email(product: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no sender is set, no e-mail is sent and none recorded."""
    monkeypatch.setenv("SENDER_EMAIL", "")
    assert failed(product, "EmailFunction", tell(product)) == []
    assert (product.emails, kept(product)) == ([], [])


def metric(capsys: pytest.CaptureFixture[str], name: str) -> list[float]:
    """What was counted under a name since the last look."""
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    return [value for line in lines if "_aws" in line for value in line.get(name, [])]


def test_refused_address_is_recorded_and_tried_again(product: Product) -> None:
    """A refusal is recorded and shown; the others are sent to, and the record goes with the next success."""
    subscribe(product, Subscription(emails=(EMAIL, OTHER)))
    product.inbox.failing[EMAIL] = "BadRequestException"
    assert failed(product, "EmailFunction", tell(product)) == []
    assert receivers(product) == [OTHER]
    assert sorted(statuses(product)) == [("email", OTHER, "sent"), ("email", EMAIL, "refused")]
    assert [one.detail for one in kept(product) if one.recipient == EMAIL] == ["BadRequestException"]
    assert blocked(product) == [("email", EMAIL, "refused")]
    del product.inbox.failing[EMAIL]
    assert failed(product, "EmailFunction", tell(product, page_id="20250301110000-2")) == []
    assert sorted(receivers(product)) == sorted([OTHER, OTHER, EMAIL])
    assert blocked(product) == []


def test_broken_sender_loses_nothing(product: Product) -> None:
    """D28: what SES rejects, as it does where our sender is not verified, is shown at once and goes out when it is."""
    product.inbox.failing[EMAIL] = "MessageRejected"
    messages = tell(product)
    for receives in (None, 2, 199):
        assert failed(product, "EmailFunction", messages, receives) == ["m-0"]
        assert [(one.status, one.detail) for one in kept(product)] == [(Status.PENDING, "MessageRejected")]
        assert blocked(product) == [("email", EMAIL, "refused")]
    product.inbox.failing.clear()
    assert failed(product, "EmailFunction", messages, 200) == []
    assert (statuses(product), receivers(product), blocked(product)) == ([("email", EMAIL, "sent")], [EMAIL], [])


def test_rejection_is_believed_in_the_end(product: Product) -> None:
    """After most of a day the address is what SES rejects: the delivery ends, before the message is a dead letter."""
    product.inbox.failing[EMAIL] = "MessageRejected"
    messages = tell(product)
    assert failed(product, "EmailFunction", messages, 199) == ["m-0"]
    assert failed(product, "EmailFunction", messages, 200) == []
    assert statuses(product) == [("email", EMAIL, "refused")]
    assert blocked(product) == [("email", EMAIL, "refused")]
    product.inbox.failing.clear()
    assert failed(product, "EmailFunction", messages, 201) == []
    assert receivers(product) == []


def test_address_is_counted_when_it_is_newly_refused(product: Product, capsys: pytest.CaptureFixture[str]) -> None:
    """An address counts for the alarm once, however often it is refused, and anew when messages got through again."""
    pages = [tell(product, page_id=f"2025030111000{number}-2") for number in range(4)]
    product.inbox.failing[EMAIL] = "MessageRejected"
    failed(product, "EmailFunction", [*pages[0], *pages[1]])
    assert metric(capsys, "RefusedMessages") == [1]
    failed(product, "EmailFunction", [*pages[0], *pages[1]], 2)
    product.inbox.failing[EMAIL] = "BadRequestException"
    failed(product, "EmailFunction", pages[1])
    assert metric(capsys, "RefusedMessages") == []
    product.inbox.failing.clear()
    failed(product, "EmailFunction", pages[2])
    product.inbox.failing[EMAIL] = "BadRequestException"
    failed(product, "EmailFunction", pages[3])
    assert metric(capsys, "RefusedMessages") == [1]


def test_stuck_messages_are_counted(product: Product, capsys: pytest.CaptureFixture[str]) -> None:
    """A message that still fails after ten receives, an hour, counts for the alarm each time; one that goes out not."""
    messages = tell(product)
    product.inbox.failing[EMAIL] = "MessageRejected"
    failed(product, "EmailFunction", messages, 9)
    assert metric(capsys, "StuckMessages") == []
    failed(product, "EmailFunction", messages, 10)
    assert metric(capsys, "StuckMessages") == [1]
    product.inbox.failing.clear()
    failed(product, "EmailFunction", messages, 11)
    assert metric(capsys, "StuckMessages") == []


@pytest.mark.parametrize("later", [Status.BOUNCED, Status.COMPLAINED])
def test_refusal_never_replaces_what_blocks(product: Product, later: Status) -> None:
    """A refusal that is recorded after a bounce or a complaint has come changes nothing; these replace a refusal."""
    for status, stands in ((Status.REFUSED, Status.REFUSED), (later, later), (Status.REFUSED, later)):
        block_address(
            product.dynamodb, "ledger", "acct-1", BlockedAddress(EMAIL, Channel.EMAIL, status, product.now, "")
        )
        assert blocked(product) == [("email", EMAIL, stands.value)]


def test_refused_phone_is_recorded(product: Product) -> None:
    """A number that the provider does not take is recorded as refused, for SMS only."""
    product.inbox.failing[PHONE] = "InvalidParameter"
    messages = tell(product)
    assert failed(product, "SmsFunction", messages) == []
    assert statuses(product) == [("sms", PHONE, "refused")]
    assert blocked(product) == [("sms", PHONE, "refused")]
    assert failed(product, "EmailFunction", messages) == []
    assert receivers(product) == [EMAIL]


def test_naming_an_address_anew_unblocks_it(product: Product) -> None:
    """A subscription that names a blocked address lets messages go there again; others stay blocked."""
    product.inbox.failing |= {EMAIL: "BadRequestException", PHONE: "InvalidParameter"}
    messages = tell(product)
    assert failed(product, "EmailFunction", messages) + failed(product, "SmsFunction", messages) == []
    subscribe(product, Subscription(emails=(EMAIL,)))
    assert blocked(product) == [("sms", PHONE, "refused")]
    subscribe(product, Subscription(phones=("13800138000",)))
    assert blocked(product) == []


def test_keys_give_no_address_away(product: Product) -> None:
    """Neither the keys of the ledger nor the bus hold an address or a number."""
    product.inbox.failing |= {EMAIL: "BadRequestException", PHONE: "InvalidParameter"}
    messages = tell(product)
    assert failed(product, "EmailFunction", messages) + failed(product, "SmsFunction", messages) == []
    items = product.dynamodb.scan(TableName="ledger")["Items"]
    seen = " ".join([*messages, *(f"{item['pk']['S']} {item['sk']['S']}" for item in items)])
    assert seen.count("D#") == seen.count("S#address#") == 2
    assert [secret for secret in (EMAIL, PHONE, "13800138000", "8000") if secret in seen] == []


@pytest.mark.parametrize(
    "error",
    [
        aws_error("TooManyRequestsException", 429),
        aws_error("SendingPausedException", 400),
        aws_error("AccountSuspendedException", 400),
        aws_error("MailFromDomainNotVerifiedException", 400),
        aws_error("LimitExceededException", 400),
        EndpointConnectionError(endpoint_url="https://provider"),
    ],
)
def test_what_was_not_sent_comes_again_at_once(
    product: Product, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    """Where the provider surely took nothing, the claim is given back, and the message comes again for the address."""
    messages = tell(product)
    answer_once(monkeypatch, clients.sesv2(), "send_email", error)
    assert failed(product, "EmailFunction", messages) == ["m-0"]
    assert statuses(product) == [("email", EMAIL, "pending")]
    assert failed(product, "EmailFunction", messages) == []
    assert statuses(product) == [("email", EMAIL, "sent")]
    assert (receivers(product), blocked(product)) == ([EMAIL], [])
    assert kept(product)[0].attempts == 2
    assert [one.error for one in logged(caplog, "not delivered")] == [code_of(error)]
    assert EMAIL not in everything_logged(caplog)


@pytest.mark.parametrize("function,call,make", [
    ("EmailFunction", "send_email", "sesv2"), ("SmsFunction", "publish", "sns")
])  # fmt: skip
def test_lost_answer_sends_again_after_the_lease(
    product: Product,
    monkeypatch: pytest.MonkeyPatch,
    machine: Callable[[float], None],
    function: str,
    call: str,
    make: str,
) -> None:
    """Where the answer got lost, nothing is sent while the lease runs, and once more after it: the only doubling."""
    messages = tell(product)
    lose_answer(monkeypatch, getattr(clients, make)(), call)
    assert failed(product, function, messages) == ["m-0"]
    assert [one.status for one in kept(product)] == [Status.SENDING]
    machine(deliveries.LEASE_SECONDS - 1)
    assert failed(product, function, messages) == ["m-0"]
    assert len(product.emails + product.sms) == 1
    machine(2)
    assert failed(product, function, messages) == []
    assert failed(product, function, messages) == []
    assert len(product.emails + product.sms) == 2
    assert [(one.status, one.attempts) for one in kept(product)] == [(Status.SENT, 2)]


def test_server_error_keeps_the_lease(product: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider's own failure leaves open whether it sent, so nothing is sent before the lease is over."""
    messages = tell(product)
    answer_once(monkeypatch, clients.sesv2(), "send_email", aws_error("InternalFailure", 500))
    assert failed(product, "EmailFunction", messages * 2) == ["m-0", "m-1"]
    assert (receivers(product), statuses(product)) == ([], [("email", EMAIL, "sending")])


def test_second_consumer_does_not_send_meanwhile(product: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    """While one consumer sends, another that has the same message hands it back."""
    messages = tell(product)
    client = clients.sesv2()
    real = client.send_email
    handed_back: list[str] = []

    def meanwhile(**request: Any) -> Any:
        monkeypatch.setattr(client, "send_email", real)
        handed_back.extend(failed(product, "EmailFunction", messages))
        return real(**request)

    monkeypatch.setattr(client, "send_email", meanwhile)
    assert failed(product, "EmailFunction", messages) == []
    assert (handed_back, receivers(product)) == (["m-0"], [EMAIL])


def test_one_failing_recipient_harms_no_other(product: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other recipients get theirs once, though the message comes again for the one that failed."""
    subscribe(product, Subscription(emails=(EMAIL, OTHER)))
    messages = tell(product)
    answer_once(monkeypatch, clients.sesv2(), "send_email", aws_error("TooManyRequestsException", 429))
    assert failed(product, "EmailFunction", messages) == ["m-0"]
    assert failed(product, "EmailFunction", messages) == []
    assert receivers(product) == [OTHER, EMAIL]


@pytest.mark.parametrize(
    "body",
    [
        "no json",
        "[]",
        "{}",
        json.dumps({"detail": {"notice_id": EMAIL}}),
        json.dumps({"detail": {"notice_id": FIRST, "account_id": "acct-1", "kind": "no_kind", "occurred_at": EMAIL}}),
    ],
)
@pytest.mark.parametrize("function", ["EmailFunction", "SmsFunction", "BouncesFunction"])
def test_poison_messages_fail_alone(
    product: Product, caplog: pytest.LogCaptureFixture, function: str, body: str
) -> None:
    """What is no message goes to the dead-letter queue, is logged once, without its content, and harms no neighbour."""
    messages = tell(product)
    if function == "BouncesFunction":
        messages = [report(bounce())]
    assert failed(product, function, [body, *messages]) == ["m-0"]
    assert [one.message_id for one in logged(caplog, "message failed")] == ["m-0"]
    assert EMAIL not in everything_logged(caplog)


@pytest.mark.parametrize("data", [{}, {**ARREARS, "balance": "much"}])
def test_notice_without_a_text_leaves_no_trace(product: Product, data: dict[str, Any]) -> None:
    """A notice whose data cannot be told is handed back before anything is claimed."""
    messages = tell(product, Notice(Kind.ARREARS, product.now, data))
    assert failed(product, "EmailFunction", messages) == ["m-0"]
    assert kept(product) == []


def test_notice_of_no_account_is_handed_back(product: Product) -> None:
    """A message about an account that does not exist goes to the dead-letter queue."""
    message = json.loads(tell(product)[0])
    message["detail"]["account_id"] = "acct-2"
    assert failed(product, "EmailFunction", [json.dumps(message)]) == ["m-0"]


# --- limits ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "codes,served",
    [
        ("+86", [PHONE]),
        ("+86, +852", [PHONE, "+85251234567"]),
        ("+1900", ["+19005550100"]),
        ("", [PHONE, "+85251234567", "+8816123456", "+19005550100"]),
    ],
)
def test_sms_go_to_served_countries_only(
    product: Product, monkeypatch: pytest.MonkeyPatch, codes: str, served: list[str]
) -> None:
    """Numbers of other countries get nothing, which is recorded and said; where no country is named all are served."""
    monkeypatch.setenv("SMS_COUNTRY_CODES", codes)
    phones = ("138 0013 8000", "00852 51234567", "+8816123456", "+1 900 5550100")
    subscribe(product, Subscription(phones=phones))
    assert failed(product, "SmsFunction", tell(product)) == []
    assert [one["PhoneNumber"] for one in product.sms] == served
    others = {one.recipient: (one.status, one.detail) for one in kept(product) if one.recipient not in served}
    assert others == dict.fromkeys({e164(one) for one in phones} - {*served}, (Status.SUPPRESSED, "country_not_served"))
    assert blocked(product) == []


@pytest.mark.parametrize("function,name", [("EmailFunction", "DAILY_EMAIL_LIMIT"), ("SmsFunction", "DAILY_SMS_LIMIT")])
def test_account_is_sent_so_much_a_day(
    product: Product, monkeypatch: pytest.MonkeyPatch, function: str, name: str
) -> None:
    """Beyond the day's limit of a channel nothing is sent to any address of the account; the next day it is again."""
    monkeypatch.setenv(name, "2")
    pages = [tell(product, page_id=f"2025030111000{number}-2") for number in range(4)]
    for messages in (pages[0], pages[1], pages[2]):
        assert failed(product, function, messages) == []
    other = "SmsFunction" if function == "EmailFunction" else "EmailFunction"
    assert failed(product, other, pages[2]) == []
    found = list(deliveries.deliveries_between(product.dynamodb, "ledger", "acct-1", "2", "3"))
    assert [(one.status.value, one.detail) for one in found if (one.channel == "email") == (function[0] == "E")] == [
        ("sent", ""),
        ("sent", ""),
        ("suppressed", "daily_limit"),
    ]
    assert len(product.emails + product.sms) == 3
    product.now = at("2025-03-01T23:59:59+08:00")
    failed(product, function, tell(product, page_id="20250301235959-2"))
    assert len(product.emails + product.sms) == 3
    product.now = at("2025-03-02T00:00:00+08:00")
    assert failed(product, function, [*pages[2], *pages[3]]) == []
    assert len(product.emails + product.sms) == 4


def test_what_is_tried_again_counts_once(product: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    """A message takes one place of its day's limit, however often it is tried, and keeps it; a later one finds none."""
    monkeypatch.setenv("DAILY_EMAIL_LIMIT", "2")
    first, second, third = (tell(product, page_id=f"2025030111000{number}-2") for number in range(3))
    product.inbox.failing[EMAIL] = "TooManyRequestsException"
    for _ in range(3):
        assert failed(product, "EmailFunction", [*first, *second]) == ["m-0", "m-1"]
    product.inbox.failing.clear()
    assert failed(product, "EmailFunction", [*third, *second, *first]) == []
    assert len(product.emails) == 2
    assert [tag["Value"] for one in product.emails for tag in one["EmailTags"] if tag["Name"] == "notice_id"] == [
        "20250301110001-2-0001",
        "20250301110000-2-0001",
    ]


def test_what_is_not_sent_anyway_does_not_count(product: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    """Suppressed messages take no place of the day's limit."""
    monkeypatch.setenv("DAILY_SMS_LIMIT", "1")
    subscribe(product, Subscription(phones=("+8816123456", "+19005550100", PHONE)))
    assert failed(product, "SmsFunction", tell(product)) == []
    assert [one["PhoneNumber"] for one in product.sms] == [PHONE]


@pytest.mark.parametrize("error", [None, aws_error("ThrottlingException", 400)], ids=["answer lost", "throttled"])
def test_uncertain_count_loses_no_message(
    product: Product, monkeypatch: pytest.MonkeyPatch, error: Exception | None
) -> None:
    """A count whose answer got lost is made again: it counts once, and the last message of the day goes out."""
    held = claim(product)
    assert held is not None
    client = clients.dynamodb_once()
    day = product.now.date()
    if error:
        answer_once(monkeypatch, client, "update_item", error)
    else:
        lose_answer(monkeypatch, client, "update_item")
    assert deliveries.count(client, "ledger", held, Channel.EMAIL, day, 1)
    assert deliveries.count(client, "ledger", held, Channel.EMAIL, day, 1)
    assert not deliveries.count(client, "ledger", replace(held, sort_key="D#another"), Channel.EMAIL, day, 1)


def test_message_comes_again_where_it_cannot_be_counted(product: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the ledger does not take the count, nothing is sent, and the message comes again."""

    def unavailable(*_: object) -> bool:
        raise TryAgainError

    messages = tell(product)
    monkeypatch.setattr(deliveries, "count", unavailable)
    assert failed(product, "EmailFunction", messages) == ["m-0"]
    assert (statuses(product), receivers(product)) == ([("email", EMAIL, "sending")], [])


# --- what SES tells later ----------------------------------------------------------------------------------


def bounce(kind: str = "Permanent") -> dict[str, Any]:
    """SES tells that an e-mail did not arrive."""
    recipient = {
        "emailAddress": EMAIL,
        "action": "failed",
        "status": "5.1.1",
        "diagnosticCode": "smtp; 550 5.1.1 user\nunknown",
    }
    inner = {"bounceType": kind, "bounceSubType": "General", "bouncedRecipients": [recipient]}
    return {"eventType": "Bounce", "bounce": inner}


def complaint(feedback: str | None = "abuse") -> dict[str, Any]:
    """SES tells that a recipient complained."""
    inner = {"complainedRecipients": [{"emailAddress": EMAIL}], "complaintFeedbackType": feedback}
    return {"eventType": "Complaint", "complaint": inner}


def report(event: Mapping[str, Any], **tags: str) -> str:
    """An event of SES, as the queue behind the topic has it."""
    named = {"account_id": "acct-1", "notice_id": FIRST, "recipient": MAILS, **tags}
    mail = {"destination": [EMAIL], "tags": {name: [value] for name, value in named.items() if value}}
    return json.dumps({"Type": "Notification", "MessageId": "n-1", "Message": json.dumps({**event, "mail": mail})})


@pytest.mark.parametrize(
    "event,status,detail",
    [
        (bounce(), "bounced", "Permanent General smtp; 550 5.1.1 user unknown"),
        (complaint(), "complained", "abuse"),
        (complaint(None), "complained", "complaint"),
        ({"eventType": "Reject", "reject": {"reason": "Bad content"}}, "refused", "Bad content"),
    ],
)
def test_report_marks_and_blocks(product: Product, event: Mapping[str, Any], status: str, detail: str) -> None:
    """A permanent bounce and a complaint block the address; a rejection is about a message; all are shown."""
    assert failed(product, "EmailFunction", tell(product)) == []
    product.now += timedelta(minutes=5)
    assert failed(product, "BouncesFunction", [report(event)] * 2) == []
    assert [(one.status.value, one.at, one.detail) for one in kept(product)] == [(status, product.now, detail)]
    assert blocked(product) == [("email", EMAIL, status)]
    assert failed(product, "EmailFunction", tell(product, page_id="20250301110000-2")) == []
    assert receivers(product) == [EMAIL] * (2 if status == "refused" else 1)


def test_transient_bounce_only_marks(product: Product) -> None:
    """A bounce that may pass is shown, and the address goes on being told."""
    assert failed(product, "EmailFunction", tell(product)) == []
    assert failed(product, "BouncesFunction", [report(bounce("Transient"))]) == []
    assert (statuses(product), blocked(product)) == ([("email", EMAIL, "bounced")], [])


@pytest.mark.parametrize(
    "body",
    [
        report({"eventType": "Delivery", "delivery": {}}),
        report(complaint("not-spam")),
        report(bounce(), notice_id=""),
        report(bounce(), notice_id=f"{PAGE}-0007"),
    ],
    ids=["delivered", "not spam", "not ours", "unknown"],
)
def test_other_reports_change_nothing(product: Product, body: str) -> None:
    """What says nothing against an address of ours is passed over."""
    assert failed(product, "EmailFunction", tell(product)) == []
    assert failed(product, "BouncesFunction", [body]) == []
    assert (statuses(product), blocked(product)) == ([("email", EMAIL, "sent")], [])


def test_bounce_before_our_own_record(product: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bounce that comes before the delivery is recorded as sent stays, and nothing is sent again."""
    messages = tell(product)
    lose_answer(monkeypatch, clients.sesv2(), "send_email")
    assert failed(product, "EmailFunction", messages) == ["m-0"]
    assert failed(product, "BouncesFunction", [report(bounce())]) == []
    assert failed(product, "EmailFunction", messages) == []
    assert (statuses(product), receivers(product)) == ([("email", EMAIL, "bounced")], [EMAIL])


# --- claims ------------------------------------------------------------------------------------------------

SORT_KEY = keys.delivery(FIRST, Channel.EMAIL, MAILS)


def claim(product: Product) -> deliveries.Claim | None:
    """Claim the usual delivery."""
    return deliveries.claim(clients.dynamodb_once(), "ledger", "acct-1", SORT_KEY, EMAIL, product.now)


def finish(product: Product, held: deliveries.Claim, status: Status) -> None:
    """Finish it."""
    deliveries.finish(clients.dynamodb_once(), "ledger", held, status, product.now)


@pytest.mark.parametrize("error", [None, aws_error("ThrottlingException", 400)], ids=["answer lost", "throttled"])
def test_claim_survives_a_lost_answer(
    product: Product, monkeypatch: pytest.MonkeyPatch, error: Exception | None
) -> None:
    """A claim whose answer got lost is recognised as one's own and counts once; so does one that was throttled."""
    if error:
        answer_once(monkeypatch, clients.dynamodb_once(), "update_item", error)
    else:
        lose_answer(monkeypatch, clients.dynamodb_once(), "update_item")
    held = claim(product)
    assert held is not None
    assert (held.attempts, held.first_at) == (1, product.now)
    assert deliveries.holds(product.dynamodb, "ledger", held)
    with pytest.raises(BusyError):
        claim(product)


def test_finish_survives_a_lost_answer(product: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    """An outcome whose answer got lost is recorded once; the delivery has come to its end."""
    held = claim(product)
    assert held is not None
    lose_answer(monkeypatch, clients.dynamodb_once(), "update_item")
    finish(product, held, Status.SENT)
    assert statuses(product) == [("email", EMAIL, "sent")]
    assert claim(product) is None
    assert not deliveries.holds(product.dynamodb, "ledger", held)


def test_late_finisher_changes_nothing(product: Product, machine: Callable[[float], None]) -> None:
    """Who finishes after the lease, when another has claimed, takes nothing from that claim."""
    late = claim(product)
    machine(deliveries.LEASE_SECONDS + 1)
    held = claim(product)
    assert late is not None
    assert held is not None
    finish(product, late, Status.FAILED)
    assert deliveries.holds(product.dynamodb, "ledger", held)
    finish(product, held, Status.SENT)
    assert statuses(product) == [("email", EMAIL, "sent")]


def test_pending_delivery_keeps_its_first_time_and_its_due_time(product: Product) -> None:
    """A delivery that is to be tried again is due at its time, can be claimed at any, and knows when it began."""
    first = claim(product)
    assert first is not None
    due_at = product.now + timedelta(minutes=1)
    due = keys.timer("acct-1", due_at, SORT_KEY, keys.SHARDS)
    deliveries.finish(product.dynamodb, "ledger", first, Status.PENDING, product.now, "HTTP 500", due)
    assert [(one.status, one.due, one.detail) for one in kept(product)] == [(Status.PENDING, due_at, "HTTP 500")]
    began, product.now = product.now, due_at
    again = claim(product)
    assert again is not None
    assert (again.attempts, again.first_at) == (2, began)
    finish(product, again, Status.SENT)
    assert [(one.due, one.detail, one.attempts) for one in kept(product)] == [(None, "", 2)]


# --- subscriptions -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "now,due",
    [
        ("2025-03-01T09:59:59+08:00", "2025-03-01T10:00:00+08:00"),
        ("2025-03-01T10:00:00+08:00", "2025-03-02T10:00:00+08:00"),
        ("2025-02-28T23:30:00+00:00", "2025-03-01T10:00:00+08:00"),
    ],
)
def test_next_report_is_at_ten(now: str, due: str) -> None:
    """The daily report is due at the first 10:00 in Shanghai after an instant."""
    assert next_report(at(now)) == at(due)


@pytest.mark.parametrize(
    "given,written",
    [
        ("13800138000", PHONE),
        ("138 0013-8000", PHONE),
        ("+86 138-0013-8000", PHONE),
        ("0086 13800138000", PHONE),
        ("8613800138000", PHONE),
        ("+14155550100", "+14155550100"),
        ("852 5123 4567", "+85251234567"),
    ],
)
def test_phones_are_written_as_e164(given: str, written: str) -> None:
    """A number is written with its country, a Chinese mobile number with China's."""
    assert e164(given) == written


def test_subscription_replaces_the_contact_by_parts(product: Product) -> None:
    """What a subscription does not name is the contact's; the same number twice is one."""
    assert audience(product).subscription == Subscription()
    assert (audience(product).emails, audience(product).phones, audience(product).locale) == (
        (EMAIL,),
        (PHONE,),
        "zh-CN",
    )
    wanted = Subscription(phones=("13800138000", "+8613800138000", "+14155550100"), locale="en", daily_report=True)
    subscribe(product, wanted)
    found = audience(product)
    assert found.subscription == wanted
    assert (found.emails, found.phones, found.locale) == ((EMAIL,), (PHONE, "+14155550100"), "en")


def test_daily_report_is_due_while_it_is_wanted(product: Product) -> None:
    """A subscription is in the due-index of timers while it asks for the daily report."""
    key = {"pk": {"S": keys.ledger("acct-1")}, "sk": {"S": keys.SUBSCRIPTION}}
    subscribe(product, Subscription(daily_report=True))
    item = product.dynamodb.get_item(TableName="ledger", Key=key)["Item"]
    due = keys.timer("acct-1", at("2025-03-02T10:00:00+08:00"), keys.SUBSCRIPTION, shards=1)
    assert item.items() >= due.items()
    subscribe(product, Subscription())
    assert "due_pk" not in product.dynamodb.get_item(TableName="ledger", Key=key)["Item"]


def test_unknown_account_has_no_audience(product: Product) -> None:
    """Nobody is told of an account that does not exist."""
    assert read_audience(product.dynamodb, "ledger", "acct-2") is None
