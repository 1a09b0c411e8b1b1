"""Where units are counted: the product's handlers in this process, the template's tables in the embedded cloud."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from itertools import batched, count
from typing import TYPE_CHECKING, Any
from unittest import mock

from aws_platform import clients, clock, keys
from aws_platform.accounts import account_to_item
from bench import ROOT
from bench.capacity import Item, Table
from bench.tap import Tap
from ingest import handler as ingest
from local.emulator import HOST, REGION, Emulator
from local.template import Template
from rating.account import Account, Stage
from rating.funds import Funds

if TYPE_CHECKING:
    from decimal import Decimal

VARIABLES = {"UsageTable": "USAGE_TABLE", "LiveTable": "LIVE_TABLE", "LedgerTable": "LEDGER_TABLE"}
ARCHIVE_STREAM = "archive"
OPENED_AT = datetime.fromisoformat("2025-01-06T09:00:00+08:00")
_new_meter = ingest.meter.__wrapped__
_BATCH_WRITE = 25
_SHAPE = {"AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes", "LocalSecondaryIndexes", "BillingMode"}


@cache
def template() -> Template:
    """The template, as a production stack has it."""
    parameters = {"Sandbox": "false", "JwtIssuer": "https://issuer.example", "JwtAudience": "zhangben"}
    return Template.load(ROOT / "template.yaml", parameters)


def environment(endpoint: str) -> dict[str, str]:
    """What the handlers and their clients read, and nothing of the user's own profile."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "bench",
        "AWS_SECRET_ACCESS_KEY": "bench",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": HOST,
        "SANDBOX": "false",
        "DUE_SHARDS": str(keys.SHARDS),
        "POWERTOOLS_SERVICE_NAME": "bench",
        "ARCHIVE_STREAM": ARCHIVE_STREAM,
        **{variable: variable.lower() for variable in VARIABLES.values()},
    }


@dataclass
class Scene:
    """One set of empty tables, the clients that the handlers use, and the clock."""

    raw: Any
    """A client that is not counted."""
    names: Mapping[str, str]
    """The tables' names, by logical id."""
    tap: Tap
    now: datetime = OPENED_AT
    meters: list[ingest.Meter] = field(default_factory=list)

    def process(self, number: int) -> ingest.Meter:
        """What one process of the ingest function keeps between requests; every number is a process of its own."""
        while len(self.meters) <= number:
            self.meters.append(_new_meter())
        return self.meters[number]

    @contextmanager
    def labelled(self, label: str) -> Iterator[None]:
        """Calls made inside are counted under this label."""
        before, self.tap.label = self.tap.label, label
        yield
        self.tap.label = before

    def open_account(self, account_id: str, cash: Decimal, opened_at: datetime = OPENED_AT) -> None:
        """A daily account whose service is open, or a monthly one by its opening; not counted."""
        self.put_all(self.names["LedgerTable"], [account_to_item(open_account(account_id, cash, opened_at))])

    def put_all(self, table: str, items: Sequence[Item]) -> None:
        """Many items at once; not counted."""
        for item in items:
            self.tap.know(table, item)
        for group in batched(items, _BATCH_WRITE, strict=False):
            self.raw.batch_write_item(RequestItems={table: [{"PutRequest": {"Item": item}} for item in group]})


def open_account(account_id: str, cash: Decimal, opened_at: datetime = OPENED_AT) -> Account:
    """An account whose service is open, in its first version."""
    return Account(
        account_id,
        "Example",
        opened_at,
        stage=Stage.OPENED,
        opened_at=opened_at,
        funds=Funds(cash=cash),
        version=1,
    )


@dataclass
class Scenes:
    """Makes scenes in one embedded cloud."""

    emulator: Emulator
    _numbers: Iterator[int] = field(default_factory=count)

    @contextmanager
    def fresh(self) -> Iterator[Scene]:
        """Empty tables, new clients and caches."""
        raw = self.emulator.client("dynamodb")
        number = next(self._numbers)
        names, tables = {}, {}
        for logical_id, properties in template().of_type("AWS::DynamoDB::Table"):
            name = names[logical_id] = f"{logical_id}-{number}"
            tables[name] = Table.of(name, properties)
            shape = {key: value for key, value in template().value(properties).items() if key in _SHAPE}
            raw.create_table(TableName=name, **shape)
        firehose, stream = self.emulator.client("firehose"), f"{ARCHIVE_STREAM}-{number}"
        firehose.create_delivery_stream(DeliveryStreamName=stream)
        scene = Scene(raw, names, Tap(raw, tables))
        told = {VARIABLES[logical_id]: name for logical_id, name in names.items()} | {"ARCHIVE_STREAM": stream}
        with (
            mock.patch.dict(os.environ, environment(self.emulator.url) | told),
            mock.patch.multiple(clock, now=lambda _settings, _dynamodb: scene.now),
            forgotten(),
        ):
            for client in (clients.dynamodb(), clients.dynamodb_once(), clients.firehose()):
                scene.tap.attach(client)
            yield scene
        for name in tables:
            raw.delete_table(TableName=name)
        firehose.delete_delivery_stream(DeliveryStreamName=stream)


@contextmanager
def forgotten() -> Iterator[None]:
    """New clients and caches inside, as in a process that has just started, and none of them left behind."""
    others = (clients.firehose, clients.sqs, clients.events, clients.sesv2, clients.s3)
    caches = (clients.dynamodb, clients.dynamodb_once, *others, ingest.meter)
    for cached in caches:
        cached.cache_clear()
    try:
        yield
    finally:
        for cached in caches:
            cached.cache_clear()
