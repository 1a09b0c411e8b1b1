"""Least privilege, both ways: a function may do what it does, and does what it may do.

No emulator enforces IAM, so a missing right would show only in the cloud. Here the product runs through its paths in
process, every AWS call is written down with the function that made it, and the template's policies must say the same.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from fnmatch import fnmatch, fnmatchcase
from typing import Any
from unittest import mock

import pytest
from botocore.client import BaseClient
from moto.s3 import models as store

from aws_platform import archive_check, thresholds
from aws_platform.failures import TryAgainError
from aws_platform.keys import usage_account, usage_day
from exports import upload
from ingest import handler
from tests.support.archive import BUCKET
from tests.support.archive import STREAM as ARCHIVE
from tests.support.product import EXPORTS, TABLES, Product, event, events, product
from tests.support.product import template as source
from tests.template.test_template import resources
from tools.house_rules import _shared

type Needs = dict[str, set[Need]]
type Json = dict[str, Any]

LOGICAL = {name: logical for logical, name in TABLES.items()} | {
    "settlement": "SettlementQueue",
    "usage-dead-letters": "UsageDeadLetterQueue",
    "webhooks": "WebhookQueue",
    "exports": "ExportQueue",
    "verification": "VerificationQueue",
    EXPORTS: "ExportsBucket",
    ARCHIVE: "ArchiveStream",
    BUCKET: "ArchiveBucket",
    "Billing": "BillingBus",
    "configuration-set": "EmailConfiguration",
}
# What Lambda itself does in a function's name: it reads event sources, and writes failures, logs and traces.
QUEUE = {"ReceiveMessage", "DeleteMessage", "GetQueueAttributes", "ChangeMessageVisibility"}
STREAM = {"DescribeStream", "GetRecords", "GetShardIterator", "ListStreams"}
LOGS = {"CreateLogStream", "PutLogEvents"}
TRACES = {"PutTraceSegments", "PutTelemetryRecords"}
PARTS = ("CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload")
SAME_RIGHT = {"SendMessageBatch": "SendMessage", "ListObjectsV2": "ListBucket"} | dict.fromkeys(PARTS, "PutObject")
SENDER_EMAIL = "billing@zhangben.example"
"""The sender of the product under test."""
FUNCTIONS = sorted(resources("AWS::Lambda::Function"))
LEADING, PREFIX, SENDER = "dynamodb:LeadingKeys", "s3:prefix", "ses:FromAddress"


@dataclass(frozen=True)
class Need:
    """What a call asks a policy for."""

    action: str
    resource: str
    context: tuple[str, str] | None = None
    """The key of a condition that it could be held against, and its value in this call."""


@dataclass(frozen=True)
class Right:
    """What a statement of a policy allows."""

    action: str
    resource: str
    key: str | None = None
    """The key of its condition, if it has one."""
    patterns: tuple[str, ...] = ()

    def allows(self, need: Need) -> bool:
        """Whether this right is enough for a need."""
        if (self.action, self.resource) != (need.action, need.resource):
            return False
        if self.key is None:
            return True
        key, value = need.context or (None, "")
        return key == self.key and any(fnmatchcase(value, pattern) for pattern in self.patterns)


LINKS = {"ExportsFunction": {Right("GetObject", "ExportsBucket/exports/*")}}
"""What a function's links may: a signature is no call, but who follows it has the signer's rights."""


def named(arguments: Mapping[str, Any]) -> str:
    """The resource that a call is about."""
    if "Prefix" in arguments:
        return LOGICAL[arguments["Bucket"]]
    if "Bucket" in arguments:
        return f"{LOGICAL[arguments['Bucket']]}/{arguments['Key'].partition('/')[0]}/*"
    name = (
        arguments.get("TableName")
        or arguments.get("DeliveryStreamName")
        or str(arguments.get("QueueUrl", "")).rsplit("/", 1)[-1]
    )
    index = arguments.get("IndexName")
    return LOGICAL[name] + (f"/{index}" if index else "")


def leading(arguments: Mapping[str, Any]) -> tuple[str, str] | None:
    """The partition that a call to a table is about, where it names one item."""
    item = arguments.get("Key") or arguments.get("Item")
    return (LEADING, item["pk"]["S"]) if isinstance(item, Mapping) else None


def needs_of(operation: str, arguments: Mapping[str, Any]) -> set[Need]:
    """What a policy must allow for one call of the client."""
    if operation == "TransactWriteItems":
        writes = [next(iter(item.items())) for item in arguments["TransactItems"]]
        actions = {"ConditionCheck": "ConditionCheckItem"}
        return {Need(actions.get(kind, f"{kind}Item"), named(write), leading(write)) for kind, write in writes}
    if operation == "BatchGetItem":
        asked = arguments["RequestItems"].items()
        return {Need(operation, LOGICAL[table], leading({"Key": key})) for table, one in asked for key in one["Keys"]}
    if operation == "PutEvents":
        return {Need(operation, LOGICAL[entry["EventBusName"]]) for entry in arguments["Entries"]}
    if operation == "SendEmail":
        sender = (SENDER, arguments["FromEmailAddress"])
        return {Need(operation, one, sender) for one in ("identity/*", LOGICAL[arguments["ConfigurationSetName"]])}
    if operation == "Publish":
        assert set(arguments) & {"TopicArn", "TargetArn"} == set()
        return {Need(operation, "*")}
    context = (PREFIX, arguments["Prefix"]) if "Prefix" in arguments else leading(arguments)
    return {Need(SAME_RIGHT.get(operation, operation), named(arguments), context)}


@dataclass
class Record:
    """What the functions did."""

    needs: Needs = field(default_factory=dict)
    doors: set[tuple[str, str]] = field(default_factory=set)
    """Each function with the routes and kinds of events that it was called by."""


@contextmanager
def watched() -> Iterator[Record]:
    """Every call that the functions make meanwhile, and what they were called by."""
    record = Record()
    running: list[str] = []
    send, invoke = BaseClient._make_api_call, Product.invoke  # type: ignore[attr-defined]

    def spy(client: BaseClient, operation: str, arguments: Json) -> Any:
        if running:
            record.needs.setdefault(running[-1], set()).update(needs_of(operation, arguments))
        return send(client, operation, arguments)

    def marked(which: Product, function: str, payload: Mapping[str, Any]) -> Any:
        record.doors.add((function, str(payload.get("routeKey") or payload.get("task") or "Records")))
        running.append(function)
        try:
            return invoke(which, function, payload)
        finally:
            running.pop()

    with mock.patch.object(BaseClient, "_make_api_call", spy), mock.patch.object(Product, "invoke", marked):
        yield record


def statements(function: str, *, sandbox: bool = False) -> Iterator[Json]:
    """The statements of a function's role, with those of a sandbox stack if asked for."""
    role = _shared.target(resources("AWS::Lambda::Function")[function]["Role"])
    for listed in resources("AWS::IAM::Role")[str(role)]["Policies"]:
        entry = listed["Fn::If"][1] if "Fn::If" in listed and sandbox else listed
        if "Fn::If" not in entry:
            yield from entry["PolicyDocument"]["Statement"]


def policy(function: str, *, sandbox: bool = False) -> set[Right]:
    """What the template allows a function."""
    return {
        Right(action.split(":")[1], resource_name(resource), *condition(statement))
        for statement in statements(function, sandbox=sandbox)
        if statement["Effect"] == "Allow"
        for action in _shared.as_list(statement["Action"])
        for resource in _shared.as_list(statement["Resource"])
    }


def condition(statement: Json) -> tuple[str | None, tuple[str, ...]]:
    """Key and patterns of a statement's condition."""
    if "Condition" not in statement:
        return None, ()
    ((test, ((key, patterns),)),) = ((name, tuple(one.items())) for name, one in statement["Condition"].items())
    assert test.removeprefix("ForAllValues:") in {"StringEquals", "StringLike"}
    assert key in {LEADING, PREFIX, SENDER}
    sender = {"Ref": "SenderEmail"}
    return key, tuple(SENDER_EMAIL if one == sender else one for one in _shared.as_list(patterns))


def by_lambda(function: str) -> set[Right]:
    """What Lambda does in the name of a function: its logs and traces, its sources, and what they cannot deliver."""
    properties = resources("AWS::Lambda::Function")[function]
    group = str(_shared.target(properties["LoggingConfig"]["LogGroup"]))
    rights = {Right(action, group) for action in LOGS} | {Right(action, "*") for action in TRACES}
    configured = [
        one for one in resources("AWS::Lambda::EventInvokeConfig").values() if one["FunctionName"] == {"Ref": function}
    ]
    for mapping in resources("AWS::Lambda::EventSourceMapping").values():
        if mapping["FunctionName"] != {"Ref": f"{function}Aliaslive"}:
            continue
        configured.append(mapping)
        source = str(_shared.target(mapping["EventSourceArn"]))
        if source.endswith("Queue"):
            rights |= {Right(action, source) for action in QUEUE}
        else:
            # Any stream of the table: one that is restored under its name has another.
            rights |= {Right(action, f"{source}/stream/*") for action in STREAM}
    failures = [
        one["DestinationConfig"]["OnFailure"]["Destination"] for one in configured if "DestinationConfig" in one
    ]
    return rights | {Right("SendMessage", str(_shared.target(queue))) for queue in failures}


def resource_name(resource: Any) -> str:
    """The resource of a statement, as `named` calls it."""
    name = _shared.target(resource)
    if name is not None:
        return name
    text: str = resource["Fn::Sub"] if isinstance(resource, dict) else resource
    if text.startswith("arn:"):
        kind, _, one = text.rpartition(":")[2].partition("/")
        return one.strip("${}") if one.startswith("$") else f"{kind}/{one}"
    return text.replace("${", "").replace(".Arn}", "").replace("/index/", "/")


def live_through(at: Product) -> None:
    """Every path that calls AWS: both kinds of account, both doors of ingest, late usage, runs, month ends, reads."""
    at.open_account("daily", cash="1000")
    at.open_account("monthly", cash="1000", opened_at="2022-05-01T00:00:00+08:00")
    at.request("PATCH", "/v1/accounts/daily", {"postpaid_enabled": True})
    at.request("POST", "/v1/accounts", {"account_id": "refused", "name": "Refused"})
    at.request("POST", "/v1/accounts/refused/service/application", {"purpose": "identity checks"})
    at.request("POST", "/v1/accounts/refused/service/rejection", {"reason": "no licence"})
    at.report(events("daily", 300, "2025-03-01T09:00:00+08:00") + events("monthly", 2, "2025-03-01T09:00:00+08:00"))
    at.report(events("daily", 2, "2025-03-01T09:00:00+08:00", prefix="again", sub_account="team-a", code="9"))
    handler.meter.cache_clear()  # another instance, which does not know the bucket
    bodies = [json.dumps(events("daily", 3, "2025-03-01T09:00:00+08:00", prefix="queue"))]
    bodies.append(json.dumps([event("daily", "odd", "2025-03-01T09:00:00+08:00", interface="no.such")]))
    records = [{"messageId": str(number), "body": body, "attributes": {}} for number, body in enumerate(bodies)]
    at.invoke("IngestFunction", {"Records": records})
    at.move("2025-03-02T09:00:00+08:00")
    at.report([event("daily", "late", "2025-03-01T09:30:00+08:00")])
    at.move("2025-03-03T09:00:00+08:00")
    at.sweep_until(datetime.fromisoformat("2025-04-01T07:00:00+08:00"))  # days of which the runs would find nothing
    at.move("2025-04-01T12:30:00+08:00")
    at.invoke("PlannerFunction", {"task": "check"})
    for account in ("daily", "monthly"):
        path = f"/v1/accounts/{account}"
        at.get(path)
        at.get(f"{path}/journal")
        for by in ("day", "tag", "sub_account", "interface", "result_code"):
            at.get(f"{path}/usage", from_="2025-03-01", to="2025-03-31", by=by)
        for kind in ("resources", "details"):
            for basis in ("usage", "charge"):
                at.get(f"{path}/bills/{kind}", month="2025-03", basis=basis)
        at.get(f"{path}/bills/preview")
        at.get(f"{path}/bills/overview", month="2025-03")
    for public in ("/v1/catalog", "/healthz", "/v1/openapi.json"):
        at.get(public)
    buy_and_sell(at)
    export(at)
    run_dry(at)
    listen(at)
    verify(at)


def verify(at: Product) -> None:
    """Every path of the verification: the job, in passes too, and the question. All that was lived through is right."""
    with mock.patch.object(archive_check, "MOST_CALLS", 200):
        at.verify()
    for account, day in (("daily", "2025-03-01"), ("monthly", "2025-03-01"), ("shop", "2025-04-01")):
        found = at.get(f"/v1/accounts/{account}/bills/verification", day=day).body
        assert found["matches"], found


def export(at: Product) -> None:
    """Every path of exports: of each kind, small and in parts, one that breaks, one that nobody makes in time."""
    path = "/v1/accounts/daily/bills/exports"
    asked: list[str] = []

    def ask(kind: str, file_format: str) -> None:
        body = {"month": "2025-03", "kind": kind, "format": file_format}
        reply = at.request("POST", path, body, headers={"Idempotency-Key": f"{kind}-{len(asked)}"})
        assert reply.status == 202
        asked.append(reply.body["export_id"])

    for kind in ("pack", "focus"):
        ask(kind, "xlsx")
    at.make_exports()
    with mock.patch.object(upload, "PART_BYTES", 4096):
        ask("pack", "xlsx")
        # The store refuses parts that are so small, and the upload is thrown away.
        for bodies in at._taken(os.environ["EXPORT_QUEUE_URL"]):
            at.hand_over("ExportWorkerFunction", bodies, failing=True)
        with mock.patch.object(store, "S3_UPLOAD_PART_MIN_SIZE", 1):
            at.sweep_until(at.now + timedelta(minutes=10))
            at.make_exports()
    for export_id in asked:
        assert at.get(f"{path}/{export_id}").body["status"] == "completed"


def run_dry(at: Product) -> None:
    """Every path of arrears and of what time does: packages low, a warning, the stop, the release, the way back."""
    path = "/v1/accounts/dry"
    at.open_account("dry", cash="100")
    at.request("PATCH", path, {"postpaid_enabled": True})
    at.request("PUT", f"{path}/notice-subscriptions", {"emails": ["a@example.com"], "daily_report": True})
    # A package within the day, before the report.
    at.move((at.now + timedelta(minutes=5)).isoformat())
    for calls in (10, 500):
        given = {"tag": "identity_check", "calls": calls, "reason": "goodwill"}
        assert at.request("POST", f"{path}/packages", given, headers={"Idempotency-Key": f"{calls}"}).status == 201
    # A day in which something changes: to look at its packages, its buckets are counted.
    at.request("PATCH", path, {"postpaid_enabled": False})
    at.move((at.now + timedelta(minutes=1)).isoformat())
    at.request("PATCH", path, {"postpaid_enabled": True})
    at.report(events("dry", 395, at.now.isoformat()))
    # A look that fails is made up for by the next sweep.
    with mock.patch.object(thresholds, "tell", side_effect=TryAgainError):
        at.report(events("dry", 1, at.now.isoformat(), prefix="again"))
    # And where such a day has its bill, what that holds is left out.
    cut = at.now.isoformat()
    at.move((at.now + timedelta(days=1)).isoformat())
    assert at.request("POST", f"{path}/packages", {**given, "calls": 1}, headers={"Idempotency-Key": "1"}).status == 201
    at.report([event("dry", "late", cut)])
    for _ in range(3):
        at.move((at.now + timedelta(days=1)).isoformat())
        at.report(events("dry", 200, at.now.isoformat()))
        at.notify()
    at.move((at.now + timedelta(days=1)).isoformat())
    released = at.now + timedelta(days=39)
    at.sweep_until(released)
    at.now = released
    at.top_up("dry", "1000")
    at.notify()
    at.get(path)


def listen(at: Product) -> None:
    """Every path of notices and webhooks: taken, refused, bounced, tried again, given up, switched off, repeated."""
    path, subscription = "/v1/accounts/heard", "/v1/accounts/heard/notice-subscriptions"
    at.open_account("heard", cash="100000")
    mails = [f"{name}@example.com" for name in ("good", "bad", "gone")]
    body = {"emails": mails, "phones": ["+8613800000001", "+8613800000002"], "locale": "en"}
    assert at.request("PUT", subscription, {**body, "daily_report": True}).status == 200
    at.inbox.failing.update({"bad@example.com": "BadRequestException", "+8613800000002": "InvalidParameter"})
    hooks = []
    for name in ("good", "late", "gone"):
        hook = {"url": f"https://{name}.example.com/hook", "kinds": None}
        hooks.append(at.request("POST", f"{path}/webhooks", hook).body["webhook_id"])
    at.inbox.statuses.update({"https://late.example.com/hook": 500, "https://gone.example.com/hook": 410})

    def buy() -> None:
        order = {"items": [{"sku": "identity_check:1000", "quantity": 1}]}
        key = {"Idempotency-Key": f"heard-{at.now.isoformat()}"}
        assert at.request("POST", f"{path}/orders", order, headers=key).status == 201
        at.notify()

    buy()
    # Refused, and then taken: the record of the refusal goes.
    at.inbox.failing.clear()
    at.now += timedelta(minutes=1)
    buy()
    sent = next(mail for mail in at.emails if mail["Destination"]["ToAddresses"] == ["gone@example.com"])
    tags = {tag["Name"]: [tag["Value"]] for tag in sent["EmailTags"]}
    bounce = {"bounceType": "Permanent", "bounceSubType": "General", "bouncedRecipients": []}
    told = {"eventType": "Bounce", "bounce": bounce, "mail": {"tags": tags}}
    at.hand_over("BouncesFunction", [json.dumps({"Message": json.dumps(told)})] * 2)
    for _ in range(13):
        at.move((at.now + timedelta(hours=2)).isoformat())
        at.notify(failing=True)  # two retries of one delivery may come at once
    buy()
    assert at.request("PUT", subscription, body).status == 200
    at.inbox.statuses.clear()
    today = at.now.date().isoformat()
    at.invoke("PublishFunction", {"republish": {"account_id": "heard", "from": today, "to": today}})
    at.get(f"{path}/notices")
    at.get(subscription)
    at.get(f"{path}/webhooks")
    for hook in hooks:
        at.get(f"{path}/webhooks/{hook}")
        at.get(f"{path}/webhooks/{hook}/deliveries")
        at.request("DELETE", f"{path}/webhooks/{hook}")
    buy()


def buy_and_sell(at: Product) -> None:
    """Every path of packages, vouchers, terms and prices."""

    def put(path: str, body: Any) -> None:
        assert at.request("PUT", path, body).status == 200

    def post(path: str, body: Any) -> Any:
        keys.append(f"key-{len(keys)}")
        reply = at.request("POST", path, body, headers={"Idempotency-Key": keys[-1]})
        assert reply.status in {200, 201, 202}, reply.text
        return reply.body

    keys: list[str] = []
    path = "/v1/accounts/shop"
    put("/v1/prices/face_risk", {"price_list": "daily", "unit_price": "0.0040", "from": "2025-05-01"})
    put("/v1/activities/spring", {"from": "2025-04-01", "package_rate": "0.8"})
    at.get("/v1/activities")
    at.request("POST", "/v1/quotes", {"tag": "basic_authority", "calls": 12345})
    at.open_account("shop", cash="100000")
    at.request("PATCH", path, {"enterprise_verified": True})
    at.request("POST", f"{path}/eid-merchants", {"merchant_id": "merchant-1"})
    put(f"{path}/discounts/face_risk", {"rate": "0.9", "from": "2025-04-01"})
    put(f"{path}/contract-prices/photo_v2", {"unit_price": "0.5", "from": "2025-04-01"})
    post(f"{path}/adjustments", {"amount": "1.00", "reason": "goodwill"})
    small = {"amount": "0.01", "scene": "postpaid", "single_use": True}
    post(f"{path}/vouchers", {**small, "expires_at": "2025-04-01T12:35:00+08:00"})
    post(f"{path}/vouchers", small)
    voucher = post(f"{path}/vouchers", {"amount": "50", "scene": "prepaid"})["voucher_id"]
    order = {"items": [{"sku": "basic_authority:1000", "quantity": 2}], "voucher_id": voucher, "activity_id": "spring"}
    first, second = (one["package_id"] for one in post(f"{path}/orders", order)["packages"])
    at.move("2025-04-01T13:10:00+08:00")
    post(f"{path}/vouchers", small)
    at.get(f"{path}/vouchers")
    put(f"{path}/packages/{first}/refund-block", {"blocked": True, "reason": "abuse"})
    for active in (True, False):
        put(f"{path}/violation", {"active": active, "reason": "abuse"})
    at.get(f"{path}/packages/{second}/refund-quote")
    refund = post(f"{path}/packages/{second}/refund", {})["refund_id"]
    given = post(f"{path}/packages", {"tag": "identity_check", "calls": 100, "reason": "goodwill"})["package_id"]
    at.request("PATCH", path, {"postpaid_enabled": False})
    at.move("2025-04-01T13:20:00+08:00")
    at.request("PATCH", path, {"postpaid_enabled": True})
    at.report(events("shop", 30, "2025-04-01T13:15:00+08:00"))
    for tag in ("identity_check", "basic_authority"):
        at.get(f"{path}/entitlements/{tag}")
    at.get(f"{path}/usage", by="day")
    at.get(f"{path}/packages")
    at.get(f"{path}/packages/{given}/usage")
    at.report(events("shop", 30, "2025-04-01T13:25:00+08:00", prefix="more", interface="face_risk"))
    at.move("2025-04-02T09:00:00+08:00")
    # Late usage of a day that is cut, and whatever decides about it.
    at.report([event("shop", "late", "2025-04-01T13:15:00+08:00")])
    for tag in ("identity_check", "no_such_tag"):
        at.get(f"{path}/entitlements/{tag}")
    at.get(f"{path}/packages/{first}/refund-quote")
    other = post(f"{path}/orders", {"items": [{"sku": "identity_check:1000", "quantity": 1}]})["packages"][0]
    at.get(f"{path}/packages/{other['package_id']}/refund-quote")
    for page in ("orders", f"orders/{refund}", "refunds", f"refunds/{refund}", "packages", "usage"):
        assert at.get(f"{path}/{page}").status == 200
    correct(at, path)


def correct(at: Product, path: str) -> None:
    """Adjustments that name what they correct, and what explains every line."""
    lines = [line["transaction_id"] for line in at.get(f"{path}/bills/details", month="2025-04").body["items"]]
    paid = {"fund": "gift", "amount": "0.01"}
    payment = at.request("POST", f"{path}/top-ups", paid, headers={"Idempotency-Key": "paid"}).body["transaction_id"]
    for corrected in (next(one for one in lines if one.startswith("2025")), payment):
        body, headers = {"amount": "0.01", "reason": "goodwill", "corrects": corrected}, {"Idempotency-Key": corrected}
        assert at.request("POST", f"{path}/adjustments", body, headers=headers).status == 201
    for line in lines:
        assert at.get(f"{path}/bills/details/{line}/explanation").status == 200


@pytest.fixture(scope="module")
def made() -> Iterator[Record]:
    """What a month's life did."""
    with product("2025-03-01T09:00:00+08:00") as at, watched() as record:
        os.environ["CONFIGURATION_SET"] = "configuration-set"
        live_through(at)
        yield record


@pytest.mark.parametrize("function", FUNCTIONS)
def test_function_may_do_what_it_does(made: Record, function: str) -> None:
    """Every AWS call that a function makes is allowed by its own role, with the conditions that the role has."""
    rights = policy(function)
    refused = {need for need in made.needs.get(function, set()) if not any(right.allows(need) for right in rights)}
    assert refused == set()
    assert by_lambda(function) - rights == set()


@pytest.mark.parametrize("function", FUNCTIONS)
def test_function_does_what_it_may_do(made: Record, function: str) -> None:
    """No role allows a call that neither its function nor Lambda in its name ever makes."""
    needs = made.needs.get(function, set())
    unused = {right for right in policy(function) if not any(right.allows(need) for need in needs)}
    assert unused - by_lambda(function) - LINKS.get(function, set()) == set()


def test_every_door_is_gone_through(made: Record) -> None:
    """What was recorded came by every route, every task of a schedule, and from every queue and stream."""
    doors = {(one.function, one.key) for one in source().routes()}
    doors |= {(one.function, json.loads(str(one.input))["task"]) for one in source().schedules()}
    mappings = resources("AWS::Lambda::EventSourceMapping").values()
    doors |= {(str(_shared.target(one["FunctionName"])).removesuffix("Aliaslive"), "Records") for one in mappings}
    assert doors - made.doors == set()


@pytest.mark.parametrize("function", FUNCTIONS)
def test_function_may_read_the_sandbox_clock(function: str) -> None:
    """In a sandbox stack every function may read the clock, which is an item of the ledger table."""
    clock = Need("GetItem", "LedgerTable", (LEADING, "sandbox"))
    assert any(right.allows(clock) for right in policy(function, sandbox=True))


def test_schedules_may_call_what_they_call() -> None:
    """The scheduler may call the aliases that its schedules name, put what fails where they say, and nothing else."""
    (listed,) = resources("AWS::IAM::Role")["SchedulerRole"]["Policies"]
    allowed = {
        (one["Action"], json.dumps(resource))
        for one in listed["PolicyDocument"]["Statement"]
        for resource in _shared.as_list(one["Resource"])
    }
    targets = [one["Target"] for one in resources("AWS::Scheduler::Schedule").values()]
    wanted = {("lambda:InvokeFunction", json.dumps(one["Arn"])) for one in targets}
    wanted |= {("sqs:SendMessage", json.dumps(one["DeadLetterConfig"]["Arn"])) for one in targets}
    assert allowed == wanted


def test_verification_writes_day_items_alone() -> None:
    """What the verification may change of the usage table is that a day waits for it, and never a bucket of calls."""
    (policies,) = resources("AWS::IAM::Role")["VerificationRole"]["Policies"][:1]
    statements = policies["PolicyDocument"]["Statement"]
    (writing,) = [one for one in statements if "dynamodb:UpdateItem" in _shared.as_list(one["Action"])]
    (pattern,) = writing["Condition"]["ForAllValues:StringLike"]["dynamodb:LeadingKeys"]
    assert fnmatch(usage_account("acct-1"), pattern)
    assert not fnmatch(usage_day("acct-1", date(2025, 3, 1)), pattern)
