"""The harness' bus, providers and endpoints: what reached them, what the caller heard, and where events go."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, HTTPClientError

from tests.faults.harness import (
    Delivery,
    Fault,
    Faults,
    HarnessError,
    QueueSource,
    StreamSource,
    World,
    explore,
    matches,
)
from tests.faults.harness.clock import MACHINES_START, REGION

NOT_SENT = (
    Fault.CRASH_BEFORE,
    Fault.TIMEOUT_BEFORE,
    Fault.UNREACHABLE,
    Fault.SERVER_ERROR_BEFORE,
    Fault.THROTTLED,
    Fault.THROTTLED_OUT,
)
SENT = (Fault.CRASH_AFTER, Fault.TIMEOUT_AFTER, Fault.LOST, Fault.SERVER_ERROR_AFTER)
SERVICES = ("sesv2", "sns", "https")
URL = "https://customer.example/hook"


@pytest.fixture
def world() -> Iterator[World]:
    """Give a world with a bus that takes everything but reports to one queue, and a table with a stream."""
    with World() as entered:
        entered.create_queue("Q")
        entered.create_table("T", stream="NEW_IMAGE")
        entered.bus.routes = lambda entry, event_id: [] if entry["DetailType"] == "report" else [("Q", event_id)]
        yield entered


def client(service: Any, attempts: int = 1) -> Any:
    """Return a client that makes so many attempts."""
    retries = Config(retries={"total_max_attempts": attempts, "mode": "standard"})
    return boto3.client(service, region_name=REGION, config=retries)


def email(to: str = "a@customer.example", attempts: int = 1) -> Any:
    """Send an e-mail."""
    content = {"Simple": {"Subject": {"Data": "s"}, "Body": {"Text": {"Data": "t"}}}}
    request = {"FromEmailAddress": "billing@zhangben.example", "Destination": {"ToAddresses": [to]}}
    return client("sesv2", attempts).send_email(**request, Content=content)


def sms(to: str = "+8613800000000") -> Any:
    """Send a short message."""
    return client("sns").publish(PhoneNumber=to, Message="余额 <low> & more")


def senders(world: World) -> Mapping[str, Callable[[], Any]]:
    """Return what sends one message, by service; an endpoint that answers no success is an error of the sender."""

    def post() -> int:
        status = world.post(URL, b"{}", {"webhook-id": "1"})
        if status >= 300:
            raise RuntimeError(status)
        return status

    return {"sesv2": email, "sns": sms, "https": post}


@pytest.mark.parametrize("service", SERVICES)
def test_what_is_sent_is_kept(world: World, service: str) -> None:
    """A message that was taken is kept with the worker and the number of its call, as the provider got it."""
    outcome = world.run(senders(world)[service], name="w7")
    assert outcome.ok
    (sent,) = world.providers.sent
    assert (sent.service, str(sent.place), sent.fault) == (service, "w7#1", None)
    if service == "sns":
        assert sent.body == {"PhoneNumber": "+8613800000000", "Message": "余额 <low> & more"}
        assert outcome.value["MessageId"] == "sns-1"
    elif service == "sesv2":
        assert sent.body["Destination"] == {"ToAddresses": ["a@customer.example"]}
        assert outcome.value["MessageId"] == "sesv2-1"
    else:
        assert (sent.body, outcome.value) == ({"url": URL, "body": b"{}", "headers": {"webhook-id": "1"}}, 204)


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("fault", NOT_SENT)
def test_not_sent(world: World, service: str, fault: Fault) -> None:
    """A fault before the effect: the caller hears no success, and nothing was sent."""
    outcome = world.run(senders(world)[service], Faults.at({1: fault}))
    assert not outcome.ok
    assert outcome.crashed == (fault is Fault.CRASH_BEFORE)
    assert not world.providers.sent


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("fault", SENT)
def test_sent_but_not_known(world: World, service: str, fault: Fault) -> None:
    """A fault after the effect: the caller hears no success, but the message was sent, and says what struck."""
    outcome = world.run(senders(world)[service], Faults.at({1: fault}))
    assert not outcome.ok
    assert outcome.crashed == (fault is Fault.CRASH_AFTER)
    (sent,) = world.providers.sent
    assert sent.fault is fault


def test_a_client_that_retries_doubles(world: World) -> None:
    """A lost answer makes a client with several attempts send again: the provider has the message twice."""
    outcome = world.run(lambda: email(attempts=3), Faults.at({1: Fault.TIMEOUT_AFTER}))
    assert (outcome.ok, outcome.calls) == (True, 2)
    assert [sent.fault for sent in world.providers.sent] == [Fault.TIMEOUT_AFTER, None]


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("fault, status", [(Fault.THROTTLED, 429), (Fault.SERVER_ERROR_BEFORE, 500)])
def test_errors_have_their_status(world: World, service: str, fault: Fault, status: int) -> None:
    """Throttling is an error of the 400s and a failure of the service one of the 500s, as the caller sees them."""
    error = world.run(senders(world)[service], Faults.at({1: fault})).error
    if isinstance(error, ClientError):
        seen = error.response["ResponseMetadata"]["HTTPStatusCode"]
        assert seen // 100 == status // 100
    else:
        assert isinstance(error, RuntimeError)
        assert error.args == (status,)


def test_refused_address(world: World) -> None:
    """An address that the provider does not take is refused with the code that the test says, and gets nothing."""
    world.providers.refuse |= {"gone@customer.example": "MessageRejected", "+86": "InvalidParameter"}
    for send, code in (
        (lambda: email("gone@customer.example"), "MessageRejected"),
        (lambda: sms("+86"), "InvalidParameter"),
    ):
        error = world.run(send).error
        assert isinstance(error, ClientError)
        assert (error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]) == (code, 400)
    assert not world.providers.sent
    assert email()["MessageId"] == "sesv2-1"


def test_endpoint(world: World) -> None:
    """An endpoint answers as the test says and keeps the request all the same; without an answer, its kind is told."""
    world.providers.statuses[URL] = 410
    assert world.post(URL, b"1", {}) == 410
    kinds = set()
    for number in range(8):
        worker = world.worker(f"w{number}", Faults.at({1: Fault.UNREACHABLE}))
        kinds.add(type(worker.run(lambda: world.post(URL, b"2", {})).error))
    assert kinds == {TimeoutError, ConnectionError}
    assert type(world.run(lambda: world.post(URL, b"3", {}), Faults.at({1: Fault.LOST})).error) is TimeoutError
    assert [sent.body["body"] for sent in world.providers.sent] == [b"1", b"3"]


def entries(*kinds: str) -> list[dict[str, Any]]:
    """Return entries for the bus, numbered."""
    time = datetime(2025, 3, 1, tzinfo=UTC)
    return [
        {"EventBusName": "B", "Source": "s", "DetailType": kind, "Detail": json.dumps({"n": number}), "Time": time}
        for number, kind in enumerate(kinds)
    ]


def test_bus_routes(world: World) -> None:
    """Each event goes once to the queues of its routes, and its time comes as seconds, as on the wire."""
    answer = world.client("events").put_events(Entries=entries("arrears", "report", "stopped"))
    assert answer["FailedEntryCount"] == 0
    assert [one["EventId"] for one in answer["Entries"]] == ["event-1", "event-2", "event-3"]
    assert [message.body for message in world.sqs.queues["Q"]] == ["event-1", "event-3"]
    assert world.bus.events[0]["Time"] == datetime(2025, 3, 1, tzinfo=UTC).timestamp()


def test_bus_refuses_some(world: World) -> None:
    """The bus may refuse some entries of a call, and names them; those are nowhere, the others are routed."""
    put = lambda: world.client("events").put_events(Entries=entries(*["arrears"] * 6))  # noqa: E731
    answer: Any = world.run(put, Faults.at({1: Fault.PARTIAL})).value
    failed = [number for number, one in enumerate(answer["Entries"]) if "ErrorCode" in one]
    assert 0 < len(failed) == answer["FailedEntryCount"]
    taken = [json.loads(one["Detail"])["n"] for one in world.bus.events]
    assert taken == [number for number in range(6) if number not in failed]
    assert len(world.sqs.queues["Q"]) == len(taken)


@pytest.mark.parametrize("size, count", [(1, 11), (30_000, 9)])
def test_bus_limits(world: World, size: int, count: int) -> None:
    """More entries or bytes than one call takes end the test: no fault leads to them."""
    large = [{**one, "Detail": json.dumps({"n": "x" * size})} for one in entries(*["arrears"] * count)]
    with pytest.raises(HarnessError, match="refuses"):
        world.run(lambda: world.client("events").put_events(Entries=large))
    assert not world.bus.events


def test_restore(world: World) -> None:
    """A state of the world has what was put and sent until then; what endpoints answer is no part of it."""
    email()
    before = world.snapshot()
    world.client("events").put_events(Entries=entries("arrears"))
    sms()
    world.providers.statuses[URL] = 500
    world.restore(before)
    assert [sent.service for sent in world.providers.sent] == ["sesv2"]
    assert not world.bus.events
    assert world.post(URL, b"", {}) == 500


def test_sending_commutes_with_the_table(world: World) -> None:
    """Of two workers of which one only sends and one only writes, one order stands for all; two that send have two."""

    def write() -> None:
        world.client("dynamodb").put_item(TableName="T", Item={"pk": {"S": "p"}, "sk": {"S": "s"}})

    assert explore(world, {"a": email, "b": write}, lambda: None).schedules == 1
    assert explore(world, {"a": email, "b": sms}, lambda: None).schedules == 2


@pytest.mark.parametrize(
    "pattern, document, match",
    [
        ({"source": ["a", "b"]}, {"source": "b", "more": 1}, True),
        ({"source": ["a"]}, {"source": "b"}, False),
        ({"source": ["a"]}, {}, False),
        ({"kind": [{"anything-but": ["x"]}]}, {"kind": "y"}, True),
        ({"kind": [{"anything-but": ["x"]}]}, {"kind": "x"}, False),
        ({"kind": [{"anything-but": ["x"]}]}, {}, False),
        ({"a": {"b": [{"prefix": "N#"}]}}, {"a": {"b": "N#1"}}, True),
        ({"a": {"b": [{"prefix": "N#"}]}}, {"a": {"b": "M#1"}}, False),
        ({"a": {"b": [{"prefix": "N#"}]}}, {"a": "N#1"}, False),
    ],
)
def test_patterns(pattern: dict[str, Any], document: dict[str, Any], match: bool) -> None:  # noqa: FBT001 - from the table
    """A pattern matches where every field that it names has one of the wanted values."""
    assert matches(pattern, document) == match


@pytest.mark.parametrize("pattern", [{"a": [{"suffix": "x"}]}, {"a": "x"}, {"a": [{"prefix": "x", "more": 1}]}])
def test_unknown_patterns(pattern: dict[str, Any]) -> None:
    """What the harness does not know of patterns ends the test."""
    with pytest.raises(HarnessError):
        matches(pattern, {"a": "x"})


def test_stream_filter(world: World) -> None:
    """A stream with a filter delivers what matches one of its patterns, and ends although the rest was left out."""
    for sort_key in ("N#1", "M#1", "N#2", "N#1"):
        item = {"pk": {"S": "p"}, "sk": {"S": sort_key}, "n": {"N": str(len(world.items("T")))}}
        world.client("dynamodb").put_item(TableName="T", Item=item)
    pattern = {"eventName": ["INSERT"], "dynamodb": {"Keys": {"sk": {"S": [{"prefix": "N#"}]}}}}
    seen: list[str] = []

    def take(event: dict[str, Any], _: object) -> None:
        seen.extend(record["dynamodb"]["Keys"]["sk"]["S"] for record in event["Records"])

    StreamSource(world, "T", only=[pattern]).drain(take)
    assert seen == ["N#1", "N#2"]


def test_what_failed_is_hidden(world: World) -> None:
    """A message that failed comes again when its queue's time-out is over; until then others are taken."""
    source = QueueSource(world, "Q", Delivery(batch=(1, 1), hidden_seconds=90))
    source.put("a", "b")
    seen: list[tuple[str, float]] = []
    business = world.clock.now

    def take(event: dict[str, Any], _: object) -> object:
        (record,) = event["Records"]
        seen.append((record["body"], (world.clock.machine_now - MACHINES_START).total_seconds()))
        if len(seen) > 1:
            return None
        return {"batchItemFailures": [{"itemIdentifier": record["messageId"]}]}

    source.drain(take)
    assert seen == [("a", 0), ("b", 0), ("a", 90)]
    assert world.clock.now == business


def test_lost_answers_are_what_clients_raise(world: World) -> None:
    """Where an answer does not come, the caller sees botocore's own error."""
    assert isinstance(world.run(sms, Faults.at({1: Fault.LOST})).error, HTTPClientError)
