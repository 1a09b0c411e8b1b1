"""Usage as producers report it, the same in every run."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from itertools import batched
from random import Random
from typing import Any

from bench import ROOT

INTERFACES = ("enhanced.wechat_mini_program", "basic.pc_h5", "plus.app_sdk")
"""Of three tags, all with the library `authority`."""
CODES = ("0", "2006", "5")
"""The first is charged for each of the interfaces, the last for none."""
SUB_ACCOUNTS = ("team-a", "team-b", "team-c", "team-d", "team-e")


@dataclass(frozen=True, slots=True)
class Call:
    """One call to be reported."""

    event_id: str
    at: datetime
    account_id: str
    source: str
    interface: str
    code: str
    sub_account: str | None

    def text(self) -> str:
        """As a CloudEvent."""
        sub_account = f',"sub_account":"{self.sub_account}"' if self.sub_account else ""
        return (
            f'{{"specversion":"1.0","id":"{self.event_id}","source":"{self.source}","type":"faceid.call",'
            f'"subject":"{self.account_id}","time":"{self.at.isoformat()}","data":{{"interface":"{self.interface}",'
            f'"library":"authority","result_code":"{self.code}"{sub_account}}}}}'
        )


@dataclass(frozen=True, slots=True)
class Batch:
    """What one request reports."""

    at: datetime
    """When the request is sent: with its last event."""
    calls: Sequence[Call]

    def body(self) -> str:
        """The request's body."""
        return f"[{','.join(call.text() for call in self.calls)}]"


def calls(
    number: int,
    start: datetime,
    apart: timedelta,
    *,
    mixed: bool,
    accounts: int = 1,
    source: str = "/faceid/gateway-3",
    prefix: str = "01JNB",
) -> Iterator[Call]:
    """Calls at a steady rate. Mixed ones are of three interfaces, codes and five sub-accounts, in no order."""
    chance = Random(20250301)  # noqa: S311 - the same in every run
    for one in range(number):
        interface, code, sub_account = INTERFACES[0], CODES[0], None
        if mixed:
            interface, code, sub_account = chance.choice(INTERFACES), chance.choice(CODES), chance.choice(SUB_ACCOUNTS)
        yield Call(
            f"{prefix}{one:021d}",
            start + one * apart,
            account(one % accounts),
            source,
            interface,
            code,
            sub_account,
        )


def account(number: int) -> str:
    """An account's id."""
    return f"acct-{number:06d}"


def batches(made: Iterator[Call], size: int) -> Iterator[Batch]:
    """Calls in requests of one size."""
    for group in batched(made, size, strict=False):
        yield Batch(group[-1].at, group)


def request(body: str) -> dict[str, Any]:
    """A request as API Gateway hands it to the ingest function."""
    return {**_sample(), "body": body}


@cache
def _sample() -> Mapping[str, Any]:
    sample: Mapping[str, Any] = json.loads((ROOT / "events" / "ingest_http_batch.json").read_text(encoding="utf-8"))
    return sample
