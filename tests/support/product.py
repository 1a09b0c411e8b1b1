"""The product in one process on moto: requests go through the routes of the template to the real handlers."""

from __future__ import annotations

import base64
import importlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from http import HTTPStatus
from itertools import batched
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import urlencode

import boto3
from botocore.auth import SigV4Auth
from moto import mock_aws

from aws_platform import clients, clock, egress
from aws_platform.keys import NOTICE_PREFIX, all_timer_shards
from ingest import handler as ingest_handler
from local.authorizer import Identity
from local.payload import HttpRequest, build_event
from local.routing import Router
from local.template import Route, Template
from tests.support.archive import BUCKET, DATABASE, STREAM, ArchiveStream
from tests.support.moto_shortcut import shortcut
from tests.support.providers import Inbox, Json, Posted, Providers, envelope

ROOT = Path(__file__).parents[2]
OPERATOR = ("billing:admin",)
CUSTOMER = ("billing:read", "billing:write")
PRODUCER = ("usage:write",)
BATCH = "application/cloudevents-batch+json"
JSON = "application/json"
TABLES = {"UsageTable": "usage", "LiveTable": "live", "LedgerTable": "ledger"}
CHANNELS: dict[str, set[str]] = {"EmailFunction": set(), "SmsFunction": {"daily_report"}, "WebhooksFunction": set()}
"""Who gets notices from the bus, and the kinds that he does not get, as the rules of the template have it."""
EXPORTS = "exports-bucket"
"""Made when it is first asked for, for that takes its time."""
_SIGN = SigV4Auth.add_auth
SWEEPS_AT_ONE_MOMENT = 20
"""More than a sweep that does its work ever needs."""


@cache
def template() -> Template:
    """The template, read once."""
    parameters = {"Sandbox": "true", "JwtIssuer": "https://issuer.example", "JwtAudience": "zhangben"}
    return Template.load(ROOT / "template.yaml", parameters)


@cache
def router() -> Router:
    """The routes of the template."""
    return Router(template().routes())


def create_tables(dynamodb: Any) -> None:
    """The tables as the template has them."""
    for logical_id, properties in template().of_type("AWS::DynamoDB::Table"):
        wanted = {"AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes", "LocalSecondaryIndexes", "BillingMode"}
        shape = {name: value for name, value in properties.items() if name in wanted}
        dynamodb.create_table(TableName=TABLES[logical_id], **shape)


@dataclass(frozen=True)
class Reply:
    """An answer of the API."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def body(self) -> Any:
        """The JSON document."""
        return json.loads(self.text)

    @property
    def code(self) -> str:
        """The problem's code."""
        assert self.headers["content-type"] == "application/problem+json"
        code: str = self.body["code"]
        return code


@dataclass
class Product:
    """Handlers, tables and a clock that a test moves."""

    now: datetime
    dynamodb: Any = field(default_factory=lambda: boto3.client("dynamodb"))
    sqs: Any = field(default_factory=lambda: boto3.client("sqs"))
    providers: Providers = field(default_factory=Providers)
    archive: ArchiveStream = field(default_factory=ArchiveStream)

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        scopes: Sequence[str] | None = OPERATOR,
        account_id: str | None = None,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> Reply:
        """One request; `scopes` None is one without a token. Text and bytes are sent as they are."""
        given = {name.lower(): value for name, value in (headers or {}).items()}
        raw = body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else b""
        if body is not None and not isinstance(body, bytes | str):
            raw = json.dumps(body).encode()
        if body is not None:
            given.setdefault("content-type", JSON)
        return self.send(
            HttpRequest(method, path, urlencode(query or {}), list(given.items()), raw), scopes, account_id
        )

    def send(self, request: HttpRequest, scopes: Sequence[str] | None, account_id: str | None) -> Reply:
        """One request as it comes over the wire; `scopes` None is one without a token."""
        match = router().find(request.method, request.raw_path)
        assert match is not None, f"no route for {request.method} {request.raw_path}"
        identity = None
        if scopes is not None:
            claims = {"scope": " ".join(scopes), **({"account_id": account_id} if account_id is not None else {})}
            identity = Identity(claims, tuple(scopes))
        event = build_event(request, match, identity, self.now)
        answered = self.invoke(match.route.function, event)
        lower = {name.lower(): value for name, value in answered["headers"].items()}
        reply = Reply(answered["statusCode"], lower, answered["body"])
        _check_described(match.route, reply)
        return reply

    def get(self, path: str, **query: str) -> Reply:
        """Read as the operator."""
        return self.request("GET", path, query={name.rstrip("_"): value for name, value in query.items()})

    def invoke(self, function: str, event: Mapping[str, Any]) -> Any:
        """Call a function of the template, by its logical id."""
        module, _, name = template().resources[function]["Properties"]["Handler"].rpartition(".")
        return getattr(importlib.import_module(module), name)(event, None)

    # --- the usual steps -----------------------------------------------------------------------------------

    def open_account(self, account_id: str, *, cash: str = "0", opened_at: str | None = None) -> None:
        """An account whose service is open, with some cash."""
        created = self.request("POST", "/v1/accounts", {"account_id": account_id, "name": "Example"})
        assert created.status == 201, created.text
        service = f"/v1/accounts/{account_id}/service"
        assert self.request("POST", f"{service}/application", {"purpose": "identity checks"}).status == 202
        approved = self.request("POST", f"{service}/approval", {"opened_at": opened_at} if opened_at else {})
        assert approved.status == 200, approved.text
        if cash != "0":
            paid = self.top_up(account_id, cash)
            assert paid.status == 201, paid.text

    def top_up(self, account_id: str, amount: str, fund: str = "cash", key: str | None = None) -> Reply:
        """Money in."""
        headers = {"Idempotency-Key": key or f"{account_id}-{fund}-{amount}-{self.now.isoformat()}"}
        body = {"fund": fund, "amount": amount}
        return self.request("POST", f"/v1/accounts/{account_id}/top-ups", body, headers=headers)

    def report(self, events: Sequence[Mapping[str, Any]] | str | bytes) -> Reply:
        """Usage, as a producer sends it; the stream follows at once."""
        body: Any = events if isinstance(events, str | bytes) else list(events)
        reply = self.request("POST", "/v1/usage", body, PRODUCER, headers={"content-type": BATCH})
        self.stream()
        return reply

    def stream(self) -> None:
        """Hand every bucket to the rollup: as absolute values, repeats change nothing."""
        pages = self.dynamodb.get_paginator("scan").paginate(TableName="usage")
        images = [item for page in pages for item in page["Items"] if "r" in item]
        if images:
            self.invoke("RollupFunction", {"Records": [stream_record(image) for image in images]})

    def move(self, to: str) -> None:
        """Let time pass; every 08:00 on the way runs a plan and settles what it queues, and timers run when due."""
        target = datetime.fromisoformat(to)
        run = self.now.replace(hour=8, minute=0, second=0, microsecond=0)
        while run <= target:
            if run > self.now:
                self.sweep_until(run)
                self.now = run
                self.run()
            run += timedelta(days=1)
        self.sweep_until(target)
        self.now = target

    def sweep_until(self, target: datetime) -> None:
        """Sweep the timers at each moment at which one is due, up to this one, and those that sweeps set themselves."""
        moment, sweeps = None, 0
        while (due := self._next_timer()) is not None and due <= target:
            self.now = max(self.now, due)
            moment, sweeps = self.now, sweeps + 1 if self.now == moment else 1
            assert sweeps <= SWEEPS_AT_ONE_MOMENT, f"timers of {due} stay due"
            self.sweep()

    def sweep(self) -> None:
        """Do what is due now."""
        assert self.invoke("TimersFunction", {"task": "sweep"})["failed"] == 0

    def _next_timer(self) -> datetime | None:
        """The first moment at which something is due."""
        timers: list[str] = []
        for shard in all_timer_shards(int(os.environ["DUE_SHARDS"])):
            answer = self.dynamodb.query(
                TableName="ledger",
                IndexName="DueIndex",
                KeyConditionExpression="due_pk = :pk",
                ExpressionAttributeValues={":pk": {"S": shard}},
                Limit=1,
            )
            timers += [item["due_sk"]["S"] for item in answer["Items"]]
        return datetime.fromisoformat(min(timers).partition("#")[0]) if timers else None

    def run(self) -> None:
        """Plan, and settle what the plan queued."""
        self.invoke("PlannerFunction", {"task": "plan"})
        for bodies in self._taken(os.environ["SETTLEMENT_QUEUE_URL"]):
            assert self.invoke("SettlementFunction", queue_records(bodies)) == {"batchItemFailures": []}

    def verify(self) -> Json:
        """Plan the verification, and work through what the plan queued; says what was planned."""
        planned: Json = self.invoke("PlannerFunction", {"task": "verify"})
        for bodies in self._taken(os.environ["VERIFICATION_QUEUE_URL"]):
            for body in bodies:
                assert self.invoke("VerificationFunction", queue_records([body])) == {"batchItemFailures": []}
        return planned

    def _taken(self, url: str) -> Iterator[list[str]]:
        """Take everything from a queue, ten messages at a time."""
        while messages := self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            yield [one["Body"] for one in messages]
            for one in messages:
                self.sqs.delete_message(QueueUrl=url, ReceiptHandle=one["ReceiptHandle"])

    # --- exports -------------------------------------------------------------------------------------------

    @property
    def s3(self) -> Any:
        """The store of files, with the bucket of exports."""
        store = clients.s3()
        if EXPORTS not in {bucket["Name"] for bucket in store.list_buckets()["Buckets"]}:
            here: Any = store.meta.region_name
            store.create_bucket(Bucket=EXPORTS, CreateBucketConfiguration={"LocationConstraint": here})
        return store

    def make_exports(self) -> None:
        """Make the files that were asked for since the last time."""
        assert self.s3
        for bodies in self._taken(os.environ["EXPORT_QUEUE_URL"]):
            self.hand_over("ExportWorkerFunction", bodies)

    # --- notices -------------------------------------------------------------------------------------------

    @property
    def inbox(self) -> Inbox:
        """What the providers were given since the cloud was last empty."""
        return self.providers.inbox

    @property
    def emails(self) -> list[Json]:
        """E-mails that the provider took, as parameters of SendEmail."""
        return self.inbox.emails

    @property
    def sms(self) -> list[Json]:
        """Short messages that the provider took, as parameters of Publish."""
        return self.inbox.sms

    @property
    def posts(self) -> list[Posted]:
        """Requests that reached customers' endpoints."""
        return self.inbox.posts

    def notify(self, *, failing: bool = False) -> list[Json]:
        """Take new notices from the ledger's stream over the bus to every channel, and retries to the webhooks.

        Answers the new entries of the bus. `failing` allows channels to hand messages back; those are lost here.
        """
        inbox = self.inbox
        before = len(inbox.events)
        pages = [page for page in self._pages() if (page["pk"]["S"], page["sk"]["S"]) not in inbox.handed_over]
        if pages:
            records = [stream_record(page, "INSERT") for page in pages]
            assert self.invoke("PublishFunction", {"Records": records}) == {"batchItemFailures": []}
            inbox.handed_over |= {(page["pk"]["S"], page["sk"]["S"]) for page in pages}
        entries = inbox.events[before:]
        for function, spared in CHANNELS.items():
            bodies = [
                json.dumps(envelope(entry, f"e-{before + number}"), ensure_ascii=False)
                for number, entry in enumerate(entries)
                if entry["DetailType"] not in spared
            ]
            for batch in batched(bodies, 10, strict=False):
                self.hand_over(function, batch, failing=failing)
        for bodies in self._taken(os.environ["WEBHOOK_QUEUE_URL"]):
            self.hand_over("WebhooksFunction", bodies, failing=failing)
        return entries

    def hand_over(self, function: str, bodies: Sequence[str], *, failing: bool = False) -> None:
        """Hand messages to the consumer of a queue."""
        answer = self.invoke(function, queue_records(bodies))
        assert failing or answer == {"batchItemFailures": []}, answer

    def _pages(self) -> list[Json]:
        """All pages of notices, by time."""
        asked = {
            "TableName": "ledger",
            "FilterExpression": "begins_with(sk, :page)",
            "ExpressionAttributeValues": {":page": {"S": NOTICE_PREFIX}},
        }
        scanned = self.dynamodb.get_paginator("scan").paginate(**asked)
        return sorted((item for one in scanned for item in one["Items"]), key=lambda item: str(item["sk"]["S"]))


def queue_records(bodies: Iterable[str]) -> dict[str, Any]:
    """What Lambda hands over of a queue."""
    return {"Records": [{"messageId": f"m-{number}", "body": body} for number, body in enumerate(bodies)]}


def stream_record(image: Mapping[str, Any], name: str = "MODIFY") -> dict[str, Any]:
    """A stream record as Lambda gets it: binary values in base64."""

    def encoded(value: Mapping[str, Any]) -> dict[str, Any]:
        return {kind: base64.b64encode(content).decode() if kind == "B" else content for kind, content in value.items()}

    new = {name: encoded(value) for name, value in image.items()}
    keys = {name: new[name] for name in ("pk", "sk")}
    return {"eventName": name, "dynamodb": {"Keys": keys, "NewImage": new, "SequenceNumber": "1"}}


def event(
    account_id: str,
    event_id: str,
    time: str,
    interface: str = "api.id_card_verification",
    code: str = "0",
    source: str = "/gateway-1",
    **data: Any,
) -> dict[str, Any]:
    """A usage event; the default interface has no library and costs 0.30."""
    return {
        "specversion": "1.0",
        "id": event_id,
        "source": source,
        "type": "faceid.call",
        "subject": account_id,
        "time": time,
        "data": {"interface": interface, "result_code": code, **data},
    }


def events(account_id: str, number: int, time: str, prefix: str = "e", **fields: Any) -> list[dict[str, Any]]:
    """Many events of one instant."""
    return [event(account_id, f"{prefix}-{one}", time, **fields) for one in range(number)]


@contextmanager
def product(now: str) -> Iterator[Product]:
    """A fresh product at an instant."""
    environment = {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "ap-southeast-1",
        "USAGE_TABLE": "usage",
        "LIVE_TABLE": "live",
        "LEDGER_TABLE": "ledger",
        "ARCHIVE_STREAM": STREAM,
        "ARCHIVE_BUCKET": BUCKET,
        "ARCHIVE_DATABASE": DATABASE,
        "BUS_NAME": "Billing",
        "EXPORTS_BUCKET": EXPORTS,
        "SENDER_EMAIL": "billing@zhangben.example",
        "SMS_COUNTRY_CODES": "+86",
        "DAILY_EMAIL_LIMIT": "1000",
        "DAILY_SMS_LIMIT": "100",
        "SANDBOX": "false",
        # As in a sandbox: each idle morning asks every shard. A test of shards sets more of them.
        "DUE_SHARDS": "1",
        "POWERTOOLS_METRICS_NAMESPACE": "Zhangben",
        "POWERTOOLS_SERVICE_NAME": "tests",
    }
    with mock_aws(), mock.patch.dict(os.environ, environment):
        _forget()
        sqs = boto3.client("sqs")
        os.environ["SETTLEMENT_QUEUE_URL"] = sqs.create_queue(QueueName="settlement")["QueueUrl"]
        os.environ["USAGE_DEAD_LETTER_QUEUE_URL"] = sqs.create_queue(QueueName="usage-dead-letters")["QueueUrl"]
        os.environ.pop("RELEASE_DAYS", None)
        os.environ["VERIFICATION_QUEUE_URL"] = sqs.create_queue(QueueName="verification")["QueueUrl"]
        os.environ["WEBHOOK_QUEUE_URL"] = sqs.create_queue(QueueName="webhooks")["QueueUrl"]
        os.environ["EXPORT_QUEUE_URL"] = sqs.create_queue(QueueName="exports")["QueueUrl"]
        create_tables(boto3.client("dynamodb"))
        made = Product(datetime.fromisoformat(now))
        made.archive.empty()
        with (
            mock.patch.object(clock, "now", side_effect=lambda *_: made.now),
            mock.patch.object(clients, "firehose", made.archive.firehose),
            mock.patch.object(clients, "events", made.providers.events),
            mock.patch.object(clients, "sesv2", made.providers.sesv2),
            mock.patch.object(clients, "sns", made.providers.sns),
            mock.patch.object(egress, "post", made.providers.post),
            # A fifth of a call's time, for what nobody reads here.
            mock.patch.object(SigV4Auth, "add_auth", _sign),
            shortcut(),
        ):
            yield made
    _forget()


_EVERYWHERE = {
    "unauthorized",
    "forbidden",
    "account_not_found",
    "malformed_body",
    "body_too_large",
    "unsupported_media_type",
    "invalid_request",
    "internal_error",
    "try_again",
}
"""Codes that the document tells once for all, as statuses."""


def _check_described(route: Route, reply: Reply) -> None:
    """No test meets an answer of which the OpenAPI document of the route says nothing."""
    described = _document()["paths"][route.path][route.method.lower()]["responses"].get(str(int(reply.status)))
    assert described is not None, f"{route.key} does not describe {reply.status}"
    if reply.status >= HTTPStatus.BAD_REQUEST and reply.code not in _EVERYWHERE:
        assert f"`{reply.code}`" in described["description"], f"{route.key} does not describe {reply.code}"


@cache
def _document() -> Any:
    return json.loads((ROOT / "functions" / "catalog_api" / "openapi.json").read_text(encoding="utf-8"))


def _sign(signer: Any, request: Any) -> None:
    """Say who asks for what where, as moto wants to hear it, without a signature. Files and links to them get one."""
    kind: type = type(signer)
    if kind is not SigV4Auth:
        _SIGN(signer, request)
        return
    scope = f"test/20250101/{signer._region_name}/{signer._service_name}/aws4_request"
    request.headers["Authorization"] = f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=none"


def _forget() -> None:
    """Clients and caches live as long as a process; a test is a process of its own."""
    for cached in (clients.dynamodb, clients.dynamodb_once, clients.sqs, ingest_handler.meter):
        cached.cache_clear()
    for cached_client in (clients.events, clients.firehose, clients.s3, clients.sesv2, clients.sns):
        cached_client.cache_clear()
