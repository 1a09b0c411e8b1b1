"""What lies behind the channels in one process: the bus, the mail and SMS providers, and customers' endpoints.

The clients are the real ones, so that botocore checks what they are given; their calls are answered before they leave.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from types import SimpleNamespace
from typing import Any, NamedTuple

from aws_platform import clients
from aws_platform.egress import Endpoint, TimedOutError

type Json = dict[str, Any]

_events, _sesv2, _sns = clients.events, clients.sesv2, clients.sns
"""The product's own, which a test replaces."""

ENTRIES_A_CALL = 10
"""Most that PutEvents takes."""


class Posted(NamedTuple):
    """A request to a customer's endpoint."""

    url: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Inbox:
    """What was handed over since the cloud was last empty."""

    events: list[Json] = field(default_factory=list)
    """Entries of the bus, as they were put."""
    emails: list[Json] = field(default_factory=list)
    """Parameters of SendEmail, of those that the provider took."""
    sms: list[Json] = field(default_factory=list)
    """Parameters of Publish, of those that the provider took."""
    posts: list[Posted] = field(default_factory=list)
    """Requests that reached customers' endpoints, whatever these answered."""
    handed_over: set[tuple[str, str]] = field(default_factory=set)
    """Keys of the pages that the stream has taken to the bus."""
    failing: dict[str, str] = field(default_factory=dict)
    """Error codes by address or phone number, for which the provider answers nothing else."""
    statuses: dict[str, int] = field(default_factory=dict)
    """What endpoints answer, by URL; 204 unless it is said. 0 is an endpoint that does not answer."""


class Providers:
    """Clients of the bus and of the providers, made when they are first asked for."""

    def __init__(self) -> None:
        self._clients: dict[str, Any] = {}
        self._inbox = Inbox()
        self._cloud = ""

    @property
    def inbox(self) -> Inbox:
        """What was handed over since the cloud was last empty: each time, its settlement queue has another name."""
        if self._cloud != os.environ["SETTLEMENT_QUEUE_URL"]:
            self._cloud, self._inbox = os.environ["SETTLEMENT_QUEUE_URL"], Inbox()
        return self._inbox

    def events(self) -> Any:
        """The bus: it takes every entry."""
        return self._listened("events", "PutEvents", _events)

    def sesv2(self) -> Any:
        """The mail provider."""
        return self._listened("sesv2", "SendEmail", _sesv2)

    def sns(self) -> Any:
        """The SMS provider."""
        return self._listened("sns", "Publish", _sns)

    def post(self, endpoint: Endpoint, body: bytes, headers: Mapping[str, str], **_: object) -> int:
        """Stand for `egress.post`: every endpoint of the test answers, unless it is said otherwise."""
        url = f"https://{endpoint.authority}{endpoint.target}"
        self.inbox.posts.append(Posted(url, dict(headers), body))
        status = self.inbox.statuses.get(url, HTTPStatus.NO_CONTENT)
        if not status:
            raise TimedOutError
        return status

    def _listened(self, service: str, operation: str, make: Callable[[], Any]) -> Any:
        if service not in self._clients:
            client = make()
            client.meta.events.register(f"before-parameter-build.{service}.{operation}", self._given)
            client.meta.events.register(f"before-call.{service}.{operation}", self._answered)
            self._clients[service] = client
        return self._clients[service]

    def _given(self, params: Json, context: Json, **_: Any) -> None:
        """Remember what the call was given; botocore has not checked it yet."""
        context["given"] = params

    def _answered(self, model: Any, context: Json, **_: Any) -> tuple[Any, Json]:
        """Answer a call whose parameters are in order."""
        given: Json = context["given"]
        if model.name == "PutEvents":
            assert len(given["Entries"]) <= ENTRIES_A_CALL
            self.inbox.events += given["Entries"]
            accepted = [{"EventId": str(number)} for number in range(len(given["Entries"]))]
            return SimpleNamespace(status_code=200), {"FailedEntryCount": 0, "Entries": accepted}
        is_email = model.name == "SendEmail"
        kept = self.inbox.emails if is_email else self.inbox.sms
        for address in given["Destination"]["ToAddresses"] if is_email else [given["PhoneNumber"]]:
            if address in self.inbox.failing:
                error = {"Code": self.inbox.failing[address], "Message": "refused by the test"}
                return SimpleNamespace(status_code=400), {"Error": error, "ResponseMetadata": {}}
        kept.append(given)
        return SimpleNamespace(status_code=200), {"MessageId": f"{model.name}-{len(kept)}"}


def envelope(entry: Mapping[str, Any], event_id: str) -> Json:
    """An entry of the bus as its targets get it; its `Time` is an instant or seconds since the epoch."""
    time = entry["Time"]
    instant = time if isinstance(time, datetime) else datetime.fromtimestamp(time, UTC)
    return {
        "version": "0",
        "id": event_id,
        "detail-type": entry["DetailType"],
        "source": entry["Source"],
        "account": "123456789012",
        "time": instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": "ap-southeast-1",
        "resources": entry.get("Resources", []),
        "detail": json.loads(entry["Detail"]),
    }
