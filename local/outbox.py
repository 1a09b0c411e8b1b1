"""What left the stack, for `GET /sandbox/messages` and `GET /sandbox/events`: the embedded cloud keeps it all.

E-mails and SMS are those that its SES and SNS took. What the bus saw lies in a queue of our own, behind a rule for
everything; it is looked at and never received, and nobody waits for it.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from local.clock import format_time

if TYPE_CHECKING:
    from pathlib import Path

    from local.emulator import Emulator

_QUEUE = "sandbox-events"
_RULE = "sandbox-everything"
_LONGEST_RETENTION_SECONDS = 1_209_600

type Item = dict[str, Any]


def verify_sender(ses: Any, address: str) -> None:
    """Let the embedded SES take e-mails from this address. May be repeated."""
    ses.verify_email_identity(EmailAddress=address)


def watch_bus(sqs: Any, events: Any, bus: str) -> str:
    """Keep everything that this bus sees from now on in a queue; gives the queue's URL. May be repeated."""
    retention = {"MessageRetentionPeriod": str(_LONGEST_RETENTION_SECONDS)}
    url: str = sqs.create_queue(QueueName=_QUEUE, Attributes=retention)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    everything = json.dumps({"source": [{"prefix": ""}]})
    events.put_rule(Name=_RULE, EventBusName=bus, EventPattern=everything)
    events.put_targets(Rule=_RULE, EventBusName=bus, Targets=[{"Id": "queue", "Arn": arn}])
    return url


class Outbox:
    """Reads what left the stack; reading changes nothing."""

    def __init__(self, emulator: Emulator, queue_url: str, earlier: Path) -> None:
        """Take the embedded cloud, the queue of `watch_bus`, and where `save` puts the e-mails."""
        self._emulator = emulator
        self._queue_url = queue_url
        self._file = earlier
        self._earlier: list[Item] = json.loads(earlier.read_text(encoding="utf-8")) if earlier.exists() else []

    def save(self) -> None:
        """Write down the e-mails: of all that is here, they alone are not part of the embedded cloud's kept state."""
        self._file.write_text(json.dumps(self._mails()), encoding="utf-8")

    def messages(self) -> list[Item]:
        """E-mails as handed to the provider, oldest first, then SMS.

        SNS keeps no time of an SMS: `sent_at` is null there, and only those to the same number are in their order.
        """
        texts = _flat(self._emulator.look("sns/sms-messages")["sms_messages"])
        return [*map(_mail, self._mails()), *map(_text, texts)]

    def _mails(self) -> list[Item]:
        new = _flat(self._emulator.look("ses/messages")["messages"])
        return [*self._earlier, *sorted(new, key=lambda mail: float(mail["Timestamp"]))]

    def events(self) -> list[Item]:
        """Every event that the bus saw, in the order in which it came."""
        accounts = self._emulator.look("sqs/messages", QueueUrl=self._queue_url)["messages"]
        queues = [queue for regions in accounts.values() for queues in regions.values() for queue in queues.values()]
        return [_event(json.loads(message["Body"])) for queue in queues for message in queue]


def _flat(lists: dict[str, list[Item]]) -> list[Item]:
    return [item for items in lists.values() for item in items]


def _mail(mail: Item) -> Item:
    sent_at = datetime.fromtimestamp(int(mail["Timestamp"]), UTC)
    return {
        "channel": "email",
        "to": mail["To"],
        "subject": mail["Subject"],
        "body": mail["BodyText"],
        "sent_at": format_time(sent_at),
    }


def _text(text: Item) -> Item:
    return {"channel": "sms", "to": [text["PhoneNumber"]], "body": text["Message"], "sent_at": None}


def _event(envelope: Item) -> Item:
    # The embedded bus puts real time in place of the time that comes with an event. Our own events say it in the detail
    # as well, as business time.
    time = envelope["detail"].get("occurred_at", envelope["time"])
    return {
        "event_id": envelope["id"],
        "time": format_time(datetime.fromisoformat(time)),
        "detail_type": envelope["detail-type"],
        "source": envelope["source"],
        "detail": envelope["detail"],
    }
