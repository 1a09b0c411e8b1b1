"""CPU of the ingest handler per event: from the request's raw body to the answer, without any network."""

from __future__ import annotations

import gc
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from hashlib import blake2b
from time import process_time
from typing import Any
from unittest import mock

from pydantic import TypeAdapter

from aws_platform import clients, clock, keys
from bench import canned, traffic
from bench.figures import Figure, Section
from bench.scene import environment, forgotten
from ingest import handler
from ingest.events import UsageEvent

EVENTS = 1_000
TARGET = 10.0
START = datetime.fromisoformat("2025-03-01T10:00:03.370000+08:00")
_ROUNDS = 25


def _answer(operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Every write succeeds; accounts exist, and nothing else does."""
    if operation == "BatchGetItem":
        return canned.open_accounts(parameters)
    if operation == "PutRecordBatch":
        return canned.TAKEN
    return {"Items": []} if operation == "Query" else {}


@contextmanager
def _product(*, real_clients: bool, accounts: int) -> Iterator[None]:
    with (
        mock.patch.dict(os.environ, environment(canned.NOWHERE)),
        mock.patch.multiple(clock, now=lambda _settings, _dynamodb: START + timedelta(hours=1)),
        forgotten(),
    ):
        if real_clients:
            wanted = [{"pk": {"S": keys.ledger(traffic.account(one))}} for one in range(accounts)]
            known = canned.as_json(canned.open_accounts({"RequestItems": {"ledger_table": {"Keys": wanted}}}))
            answers = {"BatchGetItem": known, "PutRecordBatch": canned.as_json(canned.TAKEN)}
            for client in (clients.dynamodb(), clients.dynamodb_once(), clients.firehose()):
                canned.without_network(client, lambda name: answers.get(name, b"{}"))
            yield
            return
        instant = canned.Instant(_answer)
        with mock.patch.multiple(
            clients, dynamodb=lambda: instant, dynamodb_once=lambda: instant, firehose=lambda: instant
        ):
            yield


def microseconds(accounts: int, *, mixed: bool = True, real_clients: bool = False) -> float:
    """CPU per event, in the best of several requests of a warm process. Raises RuntimeError for an unexpected answer.

    The events of each request are new ones and lie within ten seconds of their own.
    """
    best = float("inf")
    with _product(real_clients=real_clients, accounts=accounts):
        for number in range(_ROUNDS):
            made = traffic.calls(
                EVENTS,
                START + number * timedelta(seconds=20),
                timedelta(milliseconds=10),
                mixed=mixed,
                accounts=accounts,
                prefix=f"{number:05d}",
            )
            request = traffic.request(next(traffic.batches(made, EVENTS)).body())
            gc.collect()
            began = process_time()
            answer = handler.handle(request, None)
            spent = process_time() - began
            report = json.loads(answer["body"])
            if answer["statusCode"] != 200 or report["accepted"] + report["not_chargeable"] != EVENTS:  # noqa: PLR2004
                message = f"the batch was answered {answer}"
                raise RuntimeError(message)
            best = min(best, spent)
    return best / EVENTS * 1e6


def yardstick() -> float:
    """CPU per event of what nobody can do without: parsing and validating in one call, and one hash."""
    made = traffic.calls(EVENTS, START, timedelta(milliseconds=10), mixed=True)
    raw = next(traffic.batches(made, EVENTS)).body().encode()
    shape = TypeAdapter(list[UsageEvent])
    best = float("inf")
    for _ in range(_ROUNDS):
        gc.collect()
        began = process_time()
        for event in shape.validate_json(raw):
            blake2b(event["id"].encode(), digest_size=12).digest()
        best = min(best, process_time() - began)
    return best / EVENTS * 1e6


def measure() -> Section:
    """CPU per event for one account and for fifty."""
    least = yardstick()
    figures = []
    for accounts, target in ((1, TARGET), (50, None)):
        own = microseconds(accounts)
        plain = microseconds(accounts, mixed=False)
        whole = microseconds(accounts, real_clients=True)
        name = f"{EVENTS:,} events of {accounts} account{'s' if accounts > 1 else ''} in 10 s"
        note = f"one interface and code, no sub-account: {plain:.2f} µs; {own / least:.1f} times the least"
        figures.append(Figure(f"{name}, without the AWS client", own, "µs", target, 2, note))
        figures.append(Figure(f"{name}, the AWS client's share", whole - own, "µs", None, 2, "without sockets and TLS"))
    figures.append(Figure("the least: parsing, validating and hashing alone", least, "µs", None, 2))
    return Section(
        "CPU of the ingest handler per event, raw body to answer",
        figures,
        (f"Best of {_ROUNDS}; times of this machine, which the last figure tells apart from those of another.",),
    )
