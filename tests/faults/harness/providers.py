"""The bus, the providers of e-mail and SMS, and endpoints of others, in memory: they keep what really reached them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, NamedTuple

from .calls import Call
from .errors import HarnessError
from .faults import Fault, Place
from .sqs import SQS
from .values import Refused, invalid

ENTRIES = 10
"""Most entries that one call may put."""
ENTRIES_BYTES = 262_144
_TIME_BYTES = 14
_ENTRY = {"Time", "Source", "Resources", "DetailType", "Detail", "EventBusName"}
_HERE = ("sesv2", "sns", "https")

type Body = dict[str, Any]
type Routes = Callable[[Body, str], Iterable[tuple[str, str]]]
"""Given an entry and its id: the queues that it goes to, and the bodies of the messages."""


class Sent(NamedTuple):
    """What reached a provider or an endpoint. The worker, and the number of its call, say on whose behalf."""

    service: str
    body: Body
    place: Place | None
    """None for a call of the test itself."""
    fault: Fault | None
    """What struck the call that sent it: if any, the caller does not know that it was sent."""
    status: int = HTTPStatus.OK
    """What an endpoint answered; providers keep only what they take."""


class State(NamedTuple):
    """What was put and sent so far."""

    events: tuple[Body, ...]
    sent: tuple[Sent, ...]


@dataclass
class EventBus:
    """EventBridge: every event goes to the queues of its routes, once; make a queue's delivery double it."""

    sqs: SQS
    events: list[Body] = field(default_factory=list)
    """Entries that were taken, in order."""
    routes: Routes = lambda _entry, _event_id: ()
    """A test sets what the rules of the bus are."""

    def put(self, body: Body) -> Body:
        """Take entries."""
        entries = body["Entries"]
        if not 0 < len(entries) <= ENTRIES:
            raise invalid(f"1 to {ENTRIES} entries, not {len(entries)}")
        if sum(map(_size, entries)) > ENTRIES_BYTES:
            raise invalid("Total size of the entries in the request is over the limit.")
        return {"FailedEntryCount": 0, "Entries": [self._take(one) for one in entries]}

    def _take(self, entry: Body) -> Body:
        unknown = set(entry) - _ENTRY
        if unknown or not entry.keys() >= {"Source", "DetailType", "Detail", "EventBusName"}:
            raise HarnessError(f"the harness does not emulate this entry: {sorted(entry)}")
        if not isinstance(json.loads(entry["Detail"]), dict):
            raise HarnessError(f"the detail of an event is an object, not {entry['Detail']}")
        self.events.append(entry)
        event_id = f"event-{len(self.events)}"
        for queue, text in self.routes(entry, event_id):
            self.sqs.send(queue, {"MessageBody": text})
        return {"EventId": event_id}


def _size(entry: Body) -> int:
    texts = [entry["Source"], entry["DetailType"], entry["Detail"], *entry.get("Resources", [])]
    return sum(len(text.encode()) for text in texts) + (_TIME_BYTES if "Time" in entry else 0)


@dataclass
class Providers:
    """SES, SNS and the endpoints of others."""

    sent: list[Sent] = field(default_factory=list)
    """What they took, in order. An endpoint takes whatever reaches it, whatever it answers."""
    refuse: dict[str, str] = field(default_factory=dict)
    """Error codes by address or phone number. Part of the scenery: ``World.restore`` leaves it alone."""
    statuses: dict[str, int] = field(default_factory=dict)
    """What endpoints answer, by URL, if not 204. Scenery too."""

    def serves(self, call: Call) -> bool:
        """Return whether the call is one of theirs."""
        return call.service in _HERE

    def call(self, call: Call, place: Place | None, fault: Fault | None) -> Body:
        """Take a message, or raise ``Refused``."""
        kept = Sent(call.service, call.body, place, fault)
        match call.service, call.operation:
            case "sesv2", "SendEmail":
                self._look(call.body["Destination"]["ToAddresses"])
            case "sns", "Publish":
                self._look([call.body["PhoneNumber"]])
            case "https", "POST":
                status = self.statuses.get(call.body["url"], HTTPStatus.NO_CONTENT)
                self.sent.append(kept._replace(status=status))
                return {"status": status}
            case _:
                raise HarnessError(f"the harness does not emulate {call}")
        self.sent.append(kept)
        return {"MessageId": f"{call.service}-{len(self.sent)}"}

    def _look(self, addresses: list[str]) -> None:
        for address in addresses:
            if address in self.refuse:
                raise Refused(self.refuse[address], "made by the test")
