"""Every payload in events/ through its built function: the real Lambda runtime, the embedded cloud's tables."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest

from local.cloud import LocalCloud
from local.deploy import BUILD, SENDER
from local.emulator import REGION
from local.template import Template
from tests.local_invoke.rie import ROOT, Reply, Runtime, payload
from tests.support.sandbox import set_clock

FUNCTIONS = {
    "ingest": "IngestFunction",
    "rollup": "RollupFunction",
    "planner": "PlannerFunction",
    "settlement": "SettlementFunction",
    "verification": "VerificationFunction",
    "accounts": "AccountsFunction",
    "orders": "OrdersFunction",
    "entitlements": "EntitlementsFunction",
    "timers": "TimersFunction",
    "publish": "PublishFunction",
    "email": "EmailFunction",
    "sms": "SmsFunction",
    "webhooks": "WebhooksFunction",
    "bounces": "BouncesFunction",
    "notices": "NoticesFunction",
    "bills": "BillsFunction",
    "exports": "ExportsFunction",
    "exportworker": "ExportWorkerFunction",
    "catalog": "CatalogFunction",
}
README = (ROOT / "events" / "README.md").read_text(encoding="utf-8")
NAMES = sorted(path.stem for path in (ROOT / "events").glob("*.json"))


def counted(**wanted: int) -> Callable[[Reply], None]:
    """The counts of a usage report; those that are not named are 0."""

    def check(reply: Reply) -> None:
        every = dict.fromkeys(("accepted", "duplicate", "conflict", "not_chargeable", "rejected"), 0) | wanted
        assert reply.payload["statusCode"] == 200
        assert {name: reply.body[name] for name in every} == every

    return check


def answered(status: int, /, **wanted: Any) -> Callable[[Reply], None]:
    """An HTTP answer and some of its fields."""

    def check(reply: Reply) -> None:
        assert reply.payload["statusCode"] == status, reply.payload
        assert {name: reply.body[name] for name in wanted} == wanted

    return check


def returned(value: Any) -> Callable[[Reply], None]:
    """A value that the handler returns."""

    def check(reply: Reply) -> None:
        assert reply.payload == value

    return check


def poisoned(name: str) -> Callable[[Reply], None]:
    """The first message of the payload fails alone: its neighbours, if there are any, do not."""
    return returned({"batchItemFailures": [{"itemIdentifier": payload(name)["Records"][0]["messageId"]}]})


def raised(kind: str) -> Callable[[Reply], None]:
    """The handler raises, so that whoever called it hears of it."""

    def check(reply: Reply) -> None:
        assert reply.payload["errorType"] == kind

    return check


def billed(reply: Reply) -> None:
    """A line for each tag that the payloads of ingest have used."""
    assert reply.payload["statusCode"] == 200, reply.payload
    assert {item["tag"] for item in reply.body["items"]} == TAGS


def paid(reply: Reply) -> None:
    """The entries of the top-up, the order and its refund, then those of the settlement."""
    assert reply.payload["statusCode"] == 200, reply.payload
    kinds = [item["kind"] for item in reply.body["items"]]
    assert kinds[:3] == ["top_up", "order", "refund"]
    assert set(kinds[3:]) == {"settlement"}


def told(reply: Reply) -> None:
    """The notice of the order, which its e-mail's bounce is told of."""
    assert reply.payload["statusCode"] == 200, reply.payload
    (first, *_) = [item for item in reply.body["items"] if item["kind"] == "package_delivered"]
    assert first["notice_id"] == NOTICE
    statuses = {one["channel"]: one["status"] for one in first["deliveries"]}
    assert statuses == {"in_site": "delivered", "email": "bounced", "sms": "sent"}


NOTICE = "20250302073000-000006-0001"
TAGS = {
    "enhanced_authority_wechat",
    "identity_check",
    "phone_three_factor_detailed",
    "basic_uploaded",
    "nfc_document",
}
# In this order: what one leaves behind, the next may find.
EXPECTED: dict[str, Callable[[Reply], None]] = {
    "catalog_http_health": answered(200),
    "catalog_http_openapi": answered(200),
    "catalog_http_list": answered(200),
    "catalog_http_prices": answered(200, tag="face_risk", unit_price="0.004"),
    "catalog_http_activity": answered(200, activity_id="spring-2025", refundable=False),
    "catalog_http_activities": answered(200, next_cursor=None),
    "catalog_http_quote": answered(200, total="175184.00", saving="10000.00"),
    "catalog_http_quote_unknown_tag": answered(422, code="invalid_request"),
    "accounts_http_create": answered(201, account_id="acct-2", status="not_opened", enterprise_verified=True),
    "accounts_http_get": answered(200, account_id="acct-1", status="active", settlement_cycle="daily"),
    "accounts_http_get_foreign": answered(403, code="forbidden"),
    "accounts_http_top_up": answered(201),
    "accounts_http_invalid": answered(422, code="invalid_request"),
    "accounts_http_postpaid": answered(200, postpaid_enabled=True),
    "orders_http_order": answered(201, status="delivered", amount="145.00"),
    "notices_http_subscribe": answered(200, emails=["a@example.com"], locale="en", daily_report=False),
    "publish_stream_page": returned({"batchItemFailures": []}),
    "publish_invoke_republish": returned({"notices": 1}),
    "publish_invoke_no_day": raised("ValueError"),
    "email_sqs_notice": returned({"batchItemFailures": []}),
    "email_sqs_poisoned": poisoned("email_sqs_poisoned"),
    "sms_sqs_notice": returned({"batchItemFailures": []}),
    "sms_sqs_poisoned": poisoned("sms_sqs_poisoned"),
    "notices_http_webhook": answered(201, url="https://hooks.example.com/zhangben", enabled=True),
    "notices_http_webhook_private": answered(422, code="invalid_request"),
    "webhooks_sqs_notice": returned({"batchItemFailures": []}),
    "webhooks_sqs_poisoned": poisoned("webhooks_sqs_poisoned"),
    "webhooks_sqs_retry": returned({"batchItemFailures": []}),
    "bounces_sqs_bounce": returned({"batchItemFailures": []}),
    "bounces_sqs_poisoned": poisoned("bounces_sqs_poisoned"),
    "notices_http_list": told,
    "notices_http_subscription": answered(200, phones=["+8613800000000"]),
    "notices_http_webhooks": answered(200, next_cursor=None),
    "notices_http_webhook_unknown": answered(404, code="webhook_not_found"),
    "notices_http_deliveries_unknown": answered(404, code="webhook_not_found"),
    "notices_http_webhook_delete_unknown": answered(404, code="webhook_not_found"),
    "orders_http_unknown_sku": answered(422, code="unknown_sku"),
    "orders_http_orders": answered(200, next_cursor=None),
    "orders_http_packages": answered(200, next_cursor=None),
    "orders_http_package_usage": answered(200, items=[]),
    "orders_http_refund_quote": answered(200, refundable=True, amount="145.00"),
    "entitlements_http_check": answered(200, allowed=True, free_remaining=100, paid_remaining=1000),
    "entitlements_http_unknown_tag": answered(404, code="tag_not_found"),
    "orders_http_refund": answered(202, status="processing", amount="145.00"),
    "orders_http_grant": answered(201, source="gift", total=50, remaining=50),
    "ingest_http_batch": counted(accepted=2, duplicate=1, not_chargeable=1, rejected=1),
    "ingest_http_single": counted(accepted=1),
    "ingest_http_malformed": answered(400, code="malformed_body"),
    "ingest_sqs_batches": returned({"batchItemFailures": []}),
    "ingest_sqs_poisoned": poisoned("ingest_sqs_poisoned"),
    "rollup_stream_insert": returned({"batchItemFailures": []}),
    "rollup_stream_expired": returned({"batchItemFailures": []}),
    "bills_http_usage": answered(200, next_cursor=None),
    "bills_http_preview": answered(200),
    "planner_schedule_morning": returned({"queued": 1}),
    "planner_schedule_check": returned({"unsettled": 1}),
    "planner_schedule_unknown": returned({"queued": 1}),
    "timers_schedule_sweep": returned({"done": 1, "failed": 0, "left": 0}),
    "timers_schedule_empty": returned({"done": 0, "failed": 0, "left": 0}),
    "settlement_sqs_accounts": returned({"batchItemFailures": []}),
    "settlement_sqs_poisoned": poisoned("settlement_sqs_poisoned"),
    "planner_schedule_verify": returned({"days": 1, "parts": 1, "overdue": 0}),
    "verification_sqs_day": returned({"batchItemFailures": []}),
    "verification_sqs_poisoned": poisoned("verification_sqs_poisoned"),
    "bills_http_verification": answered(200, day="2025-03-01", settled=True),
    "verification_sqs_archive": returned({"batchItemFailures": []}),
    "bills_http_resources": billed,
    "bills_http_details": billed,
    "bills_http_overview": answered(200, month="2025-03"),
    "bills_http_unknown_filter": answered(422, code="invalid_request"),
    "bills_http_journal": paid,
    "exports_http_create": answered(202, status="processing", url=None, month="2025-02", kind="pack"),
    "exports_http_open_month": answered(409, code="month_open"),
    "exports_http_unknown": answered(404, code="export_not_found"),
    "exportworker_sqs_export": returned({"batchItemFailures": []}),
    "exportworker_sqs_unknown": poisoned("exportworker_sqs_unknown"),
    "exports_http_get": answered(200, status="completed", rows=0, columns=None, locale="zh-CN"),
    "accounts_http_merchant": answered(403, code="enterprise_verification_required"),
    "accounts_http_adjustment": answered(201, amount="-0.50"),
    "accounts_http_voucher": answered(201, remaining="50.00", threshold="100.00", status="active"),
    "accounts_http_vouchers": answered(200, next_cursor=None),
    "accounts_http_discount": answered(200, tag="photo_v2", rate="0.9"),
    "accounts_http_contract_price": answered(200, tag="face_risk", unit_price="0.25"),
}


@pytest.fixture(scope="module")
def cloud() -> Iterator[LocalCloud]:
    """The embedded cloud with the account of the payloads, opened as events/README.md says."""
    with LocalCloud(clock="2025-03-01T09:00:00+08:00") as running:
        (script,) = re.findall(r"^```sh\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
        script = script.replace("http://localhost:3000", running.url)
        done = subprocess.run(["/bin/sh", "-ec", script], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        yield running


@pytest.fixture(scope="module")
def resources(cloud: LocalCloud) -> dict[str, str]:
    """Physical names for the functions under test; what the planner queues, the cloud's own workers do not see."""
    queue = cloud.client("sqs").create_queue(QueueName="planned")["QueueUrl"]
    return {**cloud.resources, "SettlementQueue": queue, "VerificationQueue": queue}


@dataclass
class Warm:
    """Each function in one process of its own, started by its first payload and kept for the others, as Lambda does.

    So most payloads also show that nothing of an earlier one is left behind in the process.
    """

    cloud: LocalCloud
    resources: Mapping[str, str]
    ends: ExitStack
    running: dict[str, Runtime] = field(default_factory=dict)

    def invoke(self, name: str) -> tuple[Reply, list[str]]:
        """What the payload's function answers, and the lines that it logged."""
        function = FUNCTIONS[name.split("_", 1)[0]]
        if function not in self.running:
            region = {"AWS_REGION": REGION, "AWS_DEFAULT_REGION": REGION}
            environment = {"AWS_ENDPOINT_URL": self.cloud.emulator.url, "SANDBOX": "true", "SENDER_EMAIL": SENDER}
            self.running[function] = self.ends.enter_context(
                Runtime(function, {**environment, **region}, self.resources)
            )
        runtime = self.running[function]
        logged = len(runtime.log())
        reply = runtime.invoke(payload(name))
        return reply, runtime.log()[logged:].splitlines()


@pytest.fixture(scope="module")
def warm(cloud: LocalCloud, resources: dict[str, str]) -> Iterator[Warm]:
    """The functions, with the embedded cloud behind them."""
    with ExitStack() as ends:
        yield Warm(cloud, resources, ends)


def test_every_payload_is_expected() -> None:
    """Each payload in events/ is named by function and case, each function has some, and none is unexpected."""
    assert sorted(EXPECTED) == NAMES
    assert {name.split("_", 1)[0] for name in NAMES} == set(FUNCTIONS)
    functions = Template.load(BUILD / "template.yaml").of_type("AWS::Serverless::Function")
    assert sorted(FUNCTIONS.values()) == sorted(name for name, _ in functions)


def listed() -> dict[str, tuple[str, str]]:
    """Command and outcome of each payload that events/README.md has in its table."""
    rows = re.findall(r"^\| `(\w+)` \| .+ \| `(.+?)` \| `(.+)` \|$", README, re.MULTILINE)
    assert len({name for name, _, _ in rows}) == len(rows)
    return {name: (command, outcome) for name, command, outcome in rows}


def outcome(reply: Reply) -> str:
    """An outcome as the table says it."""
    if "statusCode" in (reply.payload or {}):
        status = reply.payload["statusCode"]
        return f"{status} {reply.body['code']}" if status >= 400 else str(status)
    return str(reply.payload["errorType"]) if reply.failed else json.dumps(reply.payload)


def test_every_payload_is_described() -> None:
    """events/README.md has a row for each payload, in the order in which one may need another, with its command."""
    assert list(listed()) == list(EXPECTED)
    for name, (command, _) in listed().items():
        assert command == f"sam local invoke {FUNCTIONS[name.split('_', 1)[0]]} --event events/{name}.json"


@pytest.mark.parametrize("name", EXPECTED)
def test_payload(cloud: LocalCloud, warm: Warm, name: str) -> None:
    """The built function answers the payload under the real runtime as expected and as told, and logs JSON only."""
    if name == "planner_schedule_morning":
        set_clock(cloud, "2025-03-02T08:00:00+08:00")
    reply, log = warm.invoke(name)
    EXPECTED[name](reply)
    assert outcome(reply) == listed()[name][1]
    for line in log:
        if not line.startswith(("START ", "END ", "REPORT ", "INIT ")):
            assert isinstance(json.loads(line), dict), line


@pytest.mark.parametrize(
    "name, alarm_name",
    [
        ("planner_schedule_check", "UnsettledAlarm"),
        ("planner_schedule_verify", "UnverifiedAlarm"),
        ("verification_sqs_day", "VerificationDifferencesAlarm"),
    ],
)
def test_metric_feeds_the_alarm(cloud: LocalCloud, warm: Warm, name: str, alarm_name: str) -> None:
    """A function emits the very metric that the alarm watches, also where there is nothing to tell."""
    _, log = warm.invoke(name)
    (metric,) = [line for line in map(json.loads, (one for one in log if one.startswith("{"))) if "_aws" in line]
    (emitted,) = metric["_aws"]["CloudWatchMetrics"]
    alarm = cloud.stack.template.resources[alarm_name]["Properties"]
    assert emitted["Namespace"] == cloud.stack.template.value(alarm["Namespace"])
    assert [one["Name"] for one in emitted["Metrics"]] == [alarm["MetricName"]]
    watched = {one["Name"]: one["Value"] for one in alarm["Dimensions"]}
    assert [{name: metric[name] for name in names} for names in emitted["Dimensions"]] == [watched]
