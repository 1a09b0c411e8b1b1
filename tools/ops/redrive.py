"""Dead letters back to where they came from, and what can be shown of them.

Which queue belongs to which is read from the stack as it is deployed: redrive policies of queues, failure destinations
of event source mappings and of asynchronous calls, dead letters of schedules.
"""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from botocore.exceptions import ClientError

from aws_platform import failures
from tools.ops.consumers import consumers
from tools.ops.positions import InStream
from tools.ops.stack import FUNCTION, QUEUE, SCHEDULE, OpsError, Stack

if TYPE_CHECKING:
    from mypy_boto3_sqs.type_defs import MessageTypeDef

_BATCH = 10
_HIDDEN_SECONDS = 120
"""How long a message stays out of others' sight while it is moved."""
_LOOK_SECONDS = 30
_MOST_SHOWN = 100
_SHOWN = ("account_id", "notice_id", "kind", "task", "day", "part", "settled_on", "export_id", "source", "detail-type")
"""Fields of a message that name things and no person."""


class Way(Protocol):
    """Where a dead letter goes back to."""

    def __str__(self) -> str:
        """In words."""
        ...

    def back(self, stack: Stack, message: MessageTypeDef) -> None:
        """Send it there. Raises OpsError where it did not arrive: the message then stays."""
        ...


@dataclass(frozen=True, slots=True)
class ToQueue:
    """Back to the queue whose consumer failed."""

    queue: str
    url: str

    def __str__(self) -> str:
        """In words."""
        return f"back to {self.queue}"

    def back(self, stack: Stack, message: MessageTypeDef) -> None:
        """See `Way`. Attributes go along."""
        attributes: Any = message.get("MessageAttributes", {})
        stack.sqs.send_message(QueueUrl=self.url, MessageBody=message["Body"], MessageAttributes=attributes)


@dataclass(frozen=True, slots=True)
class ToFunction:
    """Call the function again, as the schedule or the asynchronous call did."""

    function: str

    def __str__(self) -> str:
        """In words."""
        return f"to {self.function}, called again"

    def back(self, stack: Stack, message: MessageTypeDef) -> None:
        """See `Way`. Lambda wraps what it was called with, the scheduler does not."""
        body = json.loads(message["Body"])
        stack.call(self.function, body.get("requestPayload", body))


def ways(stack: Stack) -> dict[str, Way]:
    """Where the letters of each dead-letter queue go back to, by its logical id."""
    urls = stack.of_type(QUEUE)
    attributes = {
        name: stack.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn", "RedrivePolicy"])["Attributes"]
        for name, url in urls.items()
    }
    names = {each["QueueArn"]: name for name, each in attributes.items()}
    found: dict[str, Way] = {}
    for function, target in _failures_of_calls(stack):
        if target in names:
            found[names[target]] = ToFunction(function)
    for mapping in filter(None, (one.mapping for one in consumers(stack))):
        target = (mapping.get("DestinationConfig") or {}).get("OnFailure", {}).get("Destination", "")
        if target in names:
            found[names[target]] = InStream(stack.logical(mapping["FunctionArn"]))
    for name, each in attributes.items():
        if "RedrivePolicy" in each:
            target = json.loads(each["RedrivePolicy"])["deadLetterTargetArn"]
            if target in names:
                found[names[target]] = ToQueue(name, urls[name])
    return dict(sorted(found.items()))


def _failures_of_calls(stack: Stack) -> Iterator[tuple[str, str]]:
    """(Function, ARN of the queue) of asynchronous calls and of schedules."""
    for name in stack.of_type(SCHEDULE).values():
        target = stack.scheduler.get_schedule(Name=name.rpartition("/")[2])["Target"]
        if "DeadLetterConfig" in target:
            yield stack.logical(target["Arn"]), target["DeadLetterConfig"].get("Arn", "")
    for function, name in stack.of_type(FUNCTION).items():
        for config in stack.functions.list_function_event_invoke_configs(FunctionName=name).get(
            "FunctionEventInvokeConfigs", []
        ):
            yield function, config.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination", "")


def way_of(stack: Stack, queue: str) -> Way:
    """Where the letters of a queue go back to. Raises OpsError where it is none of dead letters."""
    known = ways(stack)
    if queue not in known:
        msg = f"{queue or 'nothing'} is no queue of dead letters: QUEUE is one of {', '.join(known)}"
        raise OpsError(msg)
    return known[queue]


def redrive(stack: Stack, queue: str, *, dry: bool, rate: float) -> int:
    """Send a queue's dead letters back, each before it is deleted; 1 where some would not go.

    No more than were there at the beginning: what fails again at once comes back here, and is not sent in circles.
    """
    way, url = way_of(stack, queue), stack.physical(queue)
    waiting = count(stack, url)
    print(f"{queue}: {waiting} dead letters, {way}")
    if dry:
        show(stack, url)
        return 0
    moved = 0
    failed: list[MessageTypeDef] = []
    for message in _received(stack, url, waiting):
        try:
            way.back(stack, message)
        except (OpsError, ValueError, LookupError, ClientError) as error:
            failed.append(message)
            why = str(error) if isinstance(error, OpsError) else type(error).__name__
            print(f"  stays: {message['MessageId']}: {why}")
            continue
        stack.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        moved += 1
        failures.sleep(1 / rate)
    _release(stack, url, failed)
    print(f"{queue}: {moved} sent back, {len(failed)} stay, {count(stack, url)} are there now")
    return 1 if failed else 0


def take_out(stack: Stack, queue: str, message_id: str, path: Path, *, dry: bool) -> int:
    """Write one dead letter to a file that only its owner reads, then delete it; 1 where it is not found."""
    url = stack.physical(queue)
    way_of(stack, queue)
    seen = list(_received(stack, url, count(stack, url), seconds=_LOOK_SECONDS))
    wanted = next((message for message in seen if message["MessageId"] == message_id), None)
    if wanted is None:
        print(f"{queue}: {message_id} is not there, or somebody else is looking at it: try again in half a minute")
    else:
        print(f"{queue}: {_about(wanted)}")
        if not dry:
            path.touch(mode=stat.S_IRUSR | stat.S_IWUSR, exist_ok=False)
            path.write_text(wanted["Body"], encoding="utf-8")
            stack.sqs.delete_message(QueueUrl=url, ReceiptHandle=wanted["ReceiptHandle"])
            seen.remove(wanted)
            print(f"{queue}: its body is in {path}, and it is deleted")
    _release(stack, url, seen)
    return 0 if wanted else 1


def show(stack: Stack, url: str) -> None:
    """What can be told of the letters of a queue, up to a hundred: ids, times and what they are about."""
    seen = list(_received(stack, url, min(_MOST_SHOWN, count(stack, url)), seconds=_LOOK_SECONDS))
    for message in seen:
        print(f"  {_about(message)}")
    _release(stack, url, seen)


def _release(stack: Stack, url: str, messages: list[MessageTypeDef]) -> None:
    """Let others see messages again."""
    for message in messages:
        stack.sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0)


def count(stack: Stack, url: str) -> int:
    """Messages that wait in a queue, about."""
    answer = stack.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
    return int(answer["Attributes"]["ApproximateNumberOfMessages"])


def _received(stack: Stack, url: str, most: int, seconds: int = _HIDDEN_SECONDS) -> Iterator[MessageTypeDef]:
    """Up to so many messages; ends where the queue has no more to give."""
    given = 0
    while given < most:
        answer = stack.sqs.receive_message(
            QueueUrl=url,
            MaxNumberOfMessages=min(_BATCH, most - given),
            VisibilityTimeout=seconds,
            WaitTimeSeconds=1,
            MessageAttributeNames=["All"],
            MessageSystemAttributeNames=["SentTimestamp", "ApproximateReceiveCount"],
        )
        messages = answer.get("Messages", [])
        if not messages:
            return
        given += len(messages)
        yield from messages


def _about(message: MessageTypeDef) -> str:
    """A line for a letter: nothing of it that could be personal."""
    attributes: Any = message.get("MessageAttributes", {})
    codes = attributes.get("codes", {}).get("StringValue")
    told = [f"{len(message['Body'])} bytes", *([f"refused: {codes}"] if codes else [])]
    try:
        body = json.loads(message["Body"])
    except ValueError:
        told.append("no JSON")
    else:
        told += _fields(body)
    return f"{message['MessageId']}: {', '.join(told)}"


def _fields(body: Any) -> Iterator[str]:
    if isinstance(body, list):
        yield f"{len(body)} events"
    elif isinstance(body, Mapping):
        detail = body.get("detail")
        for fields in (body, detail if isinstance(detail, Mapping) else {}):
            for name in _SHOWN:
                if isinstance(fields.get(name), str):
                    yield f"{name} {fields[name]}"
        if "DDBStreamBatchInfo" in body:
            yield f"{body['DDBStreamBatchInfo'].get('batchSize')} records of a stream"
        if isinstance(body.get("requestPayload"), Mapping):
            yield from _fields(body["requestPayload"])
