"""Many clients of one local cloud at the same moment, and what they may all rely on afterwards."""

from __future__ import annotations

import json
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from aws_platform.reconcile import balances
from local.clock import format_time, parse_time
from local.cloud import LocalCloud
from local.functions import Functions
from local.story import BATCH, Teller, open_account

ROUNDS = int(os.environ.get("CONCURRENCY_ROUNDS", "1"))
"""How often each race is run: 1 in `make test`."""
CONNECTIONS = 16
"""Clients that ask for the same thing at once."""
PROCESSES = int(os.environ.get("CONCURRENCY_PROCESSES", "4"))
"""Processes of one function that serve them at once; each costs a cold start."""
OPENED = "2025-01-01T00:00:00+08:00"
"""Opened elsewhere: an account like this gets no free packages, so that none pays for what is raced for."""
FUNDS = ("cash", "income_transfer", "gift")
_SENT_AGAIN = 30
"""So often a client follows a 503, which says that the whole request may be sent again."""


type Run = tuple[str, Mapping[str, Any]]
"""A function, and the event that it is called with."""


@dataclass(frozen=True)
class Ask:
    """One request, sent when all others are ready, or a moment later."""

    method: str
    path: str
    token: str
    body: Any = None
    key: str | None = None
    delay: float = 0.0
    content_type: str = "application/json"


@dataclass(frozen=True)
class Told:
    """What the client was answered in the end."""

    status: int
    content: bytes
    replayed: bool

    @property
    def body(self) -> Any:
        """The JSON of the answer."""
        return json.loads(self.content)

    @property
    def code(self) -> str | None:
        """What a refusal is called; None for a success."""
        return str(self.body["code"]) if self.status >= httpx.codes.BAD_REQUEST else None


@dataclass
class Crowd:
    """Sixteen clients and an operator who lets functions run several times at once. A context manager.

    Everything is asked for and looked at over HTTP. What is beside it is what a stack's own schedules and queues do:
    calls of its functions, and the clock without what moving it would run.
    """

    cloud: LocalCloud
    teller: Teller
    sent_again: Counter[str] = field(default_factory=Counter)
    """Requests that a 503 made a client send again, by path."""
    _number: int = 0

    def __post_init__(self) -> None:
        """Connect; the functions answer within the time of a cold start of all processes."""
        limits = httpx.Limits(max_connections=64, max_keepalive_connections=64)
        self._http = httpx.Client(base_url=self.cloud.url, timeout=120, limits=limits)
        self._functions = Functions(self.cloud.emulator.client("lambda", 120), self.cloud.resources)
        self.operator = self.cloud.token(None, "billing:admin")
        self.producer = self.cloud.token(None, "usage:write")
        self.random = random.Random(self.cloud.url)  # noqa: S311 - delays, not secrets

    def __enter__(self) -> Self:
        """The crowd itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        self._http.close()

    # Asking

    def together(self, asks: Sequence[Ask], runs: Sequence[Run] = ()) -> tuple[list[Told], list[Any]]:
        """Send and run all of them at the same moment, each request over a connection of its own.

        What was answered and what the functions returned, each in the order of what was asked. Raises what a function
        raises.
        """
        ready = threading.Barrier(len(asks) + len(runs))

        def ask(one: Ask) -> Told:
            ready.wait(60)
            return self._send(one)

        def run(one: Run) -> Any:
            function, event = one
            ready.wait(60)
            return json.loads(self._functions.call(function, json.dumps(event).encode()))

        with ThreadPoolExecutor(ready.parties) as pool:
            told, returned = pool.map(ask, asks), pool.map(run, runs)
            return list(told), list(returned)

    def ask(self, asks: Sequence[Ask]) -> list[Told]:
        """Send all of them at the same moment; the answers in the same order."""
        return self.together(asks)[0]

    def run(self, runs: Sequence[Run]) -> list[Any]:
        """Invoke functions at the same moment, as schedules and queues would; what they return."""
        return self.together([], runs)[1]

    def _send(self, ask: Ask) -> Told:
        time.sleep(ask.delay)
        headers = {"authorization": f"Bearer {ask.token}"} if ask.token else {}
        if ask.key is not None:
            headers["idempotency-key"] = ask.key
        content = None
        if ask.body is not None:
            headers["content-type"] = ask.content_type
            content = json.dumps(ask.body).encode()
        for _ in range(_SENT_AGAIN):
            answer = self._http.request(ask.method, ask.path, headers=headers, content=content)
            if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                return Told(answer.status_code, answer.content, answer.headers.get("idempotent-replayed") == "true")
            self.sent_again[ask.path] += 1
        message = f"{ask.method} {ask.path} was answered 503 {_SENT_AGAIN} times"
        raise AssertionError(message)

    def usage(self, events: Sequence[Mapping[str, Any]], delay: float = 0.0) -> Ask:
        """A gateway reports calls."""
        return Ask("POST", "/v1/usage", self.producer, list(events), delay=delay, content_type=BATCH)

    def queued(self, events: Sequence[Mapping[str, Any]]) -> Ask:
        """A producer inside AWS puts calls on the queue."""
        return Ask("POST", "/sandbox/queue", "", list(events))

    def writer(self, account_id: str) -> str:
        """A customer's token that may change things and read them."""
        return self.cloud.token(account_id, "billing:write", "billing:read")

    # What the stack does by itself

    def settlement(self, account_ids: Sequence[str]) -> Run:
        """What the settlement queue would hand to the function: a message an account."""
        return "SettlementFunction", _messages({"account_id": account_id} for account_id in account_ids)

    def verification(self, account_ids: Sequence[str], day: str) -> Run:
        """What the verification queue would hand to the function."""
        return "VerificationFunction", _messages(
            {"task": "charges", "account_id": account_id, "day": day} for account_id in account_ids
        )

    def now(self) -> str:
        """What the clock says."""
        now: str = self._http.get("/sandbox/clock").json()["now"]
        return now

    def settle_down(self) -> None:
        """Let queues and streams be worked off, and whatever is due by now run once more."""
        self.teller.move_to(self.now())

    def next_morning(self, time_of_day: str = "08:00:00") -> str:
        """That instant of the day after today."""
        tomorrow = parse_time(self.now()).date() + timedelta(days=1)
        return f"{tomorrow.isoformat()}T{time_of_day}+08:00"

    # Accounts

    def account(self, cash: str = "10000.00", contact: Mapping[str, str] | None = None) -> str:
        """A new account without free packages that has this much cash; its id."""
        self._number += 1
        account_id = f"crowd-{self._number}"
        open_account(self.teller, account_id, "Crowd", cash, OPENED, contact)
        return account_id

    def balance(self, account_id: str) -> str:
        """What the account has."""
        available: str = self.teller.customer(account_id, "")["balance"]["available"]
        return available

    def journal(self, account_id: str) -> list[dict[str, Any]]:
        """Every movement of its money."""
        until = parse_time(self.now()).date().isoformat()
        items: list[dict[str, Any]] = self.teller.customer(
            account_id, "/journal", from_="2025-01-01", to=until, limit="1000"
        )["items"]
        return items

    def kinds(self, account_id: str) -> Counter[str]:
        """How many pages of the journal there are of each kind; the ids of a page's entries begin alike."""
        pages = {(entry["kind"], entry["entry_id"].rpartition("-")[0]) for entry in self.journal(account_id)}
        return Counter(kind for kind, _ in pages)

    def notices(self, account_id: str) -> Counter[str]:
        """What the account was told, and how often."""
        return Counter(one["kind"] for one in self.teller.customer(account_id, "/notices")["items"])

    def counted(self, account_id: str, day: str, by: str = "tag") -> dict[str, dict[str, Any]]:
        """The usage of a day, by what it is asked for."""
        items = self.teller.customer(account_id, "/usage", from_=day, to=day, by=by)["items"]
        return {item[by]: item for item in items}

    def check_books(self, account_id: str, *days: str) -> None:
        """The journal leads to the balance, and these settled days, computed again, and all places agree."""
        held = dict.fromkeys(FUNDS, Decimal(0))
        for entry in self.journal(account_id):
            if entry["fund"] in held:
                held[entry["fund"]] += Decimal(entry["amount"])
                assert held[entry["fund"]] == Decimal(entry["balance_after"]), entry
        balance = self.teller.customer(account_id, "")["balance"]
        assert {fund: Decimal(balance[fund]) for fund in FUNDS} == held
        assert Decimal(balance["available"]) == sum(held.values())
        for day in days:
            verified = self.teller.customer(account_id, "/bills/verification", day=day)
            assert verified["settled"], verified
            assert verified["matches"], verified
        months = balances(self.cloud.client("dynamodb"), self.cloud.resources["LedgerTable"], account_id)
        assert [one for one in months if not one.agrees] == []


def _messages(bodies: Iterable[Mapping[str, Any]]) -> Mapping[str, Any]:
    """An event of a queue."""
    return {"Records": [{"messageId": f"m-{n}", "body": json.dumps(body)} for n, body in enumerate(bodies)]}


def day_of(instant: str) -> str:
    """The date of an instant."""
    return date.fromisoformat(instant[:10]).isoformat()


def after(instant: str, **time: int) -> str:
    """So much later."""
    return format_time(datetime.fromisoformat(instant) + timedelta(**time))


def outcomes(told: Sequence[Told]) -> Counter[int | str]:
    """How often each answer was given: the status of a success, the code of a refusal."""
    return Counter(one.code or one.status for one in told)


def processes_of(cloud: LocalCloud, function: str) -> int:
    """How many processes of a function the embedded cloud runs."""
    name = f"AWS_LAMBDA_FUNCTION_NAME={cloud.resources[function]}\0".encode()
    found = 0
    for folder in Path("/proc").iterdir():
        try:
            found += name in (folder / "environ").read_bytes()
        except OSError:  # not a process, or one that has ended
            continue
    return found
