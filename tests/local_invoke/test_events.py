"""Every payload in events/ through its built function: the real Lambda runtime, the embedded cloud's tables."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import httpx
import pytest

from local.cloud import LocalCloud
from local.deploy import SENDER
from local.emulator import REGION
from tests.local_invoke.rie import ROOT, Reply, Runtime, payload

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


def poisoned(reply: Reply) -> None:
    """The message that is no batch fails, its neighbour does not."""
    (bad, _) = payload("ingest_sqs_poisoned")["Records"]
    assert reply.payload == {"batchItemFailures": [{"itemIdentifier": bad["messageId"]}]}


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
    "accounts_http_create": answered(201, account_id="acct-2", status="not_opened", enterprise_verified=True),
    "accounts_http_get": answered(200, account_id="acct-1", status="active", settlement_cycle="daily"),
    "accounts_http_get_foreign": answered(403, code="forbidden"),
    "accounts_http_top_up": answered(201),
    "orders_http_order": answered(201, status="delivered", amount="145.00"),
    "notices_http_subscribe": answered(200, emails=["a@example.com"], locale="en", daily_report=False),
    "publish_stream_page": returned({"batchItemFailures": []}),
    "publish_invoke_republish": returned({"notices": 1}),
    "email_sqs_notice": returned({"batchItemFailures": []}),
    "sms_sqs_notice": returned({"batchItemFailures": []}),
    "notices_http_webhook": answered(201, url="https://hooks.example.com/zhangben", enabled=True),
    "webhooks_sqs_notice": returned({"batchItemFailures": []}),
    "webhooks_sqs_retry": returned({"batchItemFailures": []}),
    "bounces_sqs_bounce": returned({"batchItemFailures": []}),
    "notices_http_list": told,
    "notices_http_subscription": answered(200, phones=["+8613800000000"]),
    "notices_http_webhooks": answered(200, next_cursor=None),
    "notices_http_webhook_unknown": answered(404, code="webhook_not_found"),
    "notices_http_deliveries_unknown": answered(404, code="webhook_not_found"),
    "notices_http_webhook_delete_unknown": answered(404, code="webhook_not_found"),
    "orders_http_unknown_sku": answered(422, code="unknown_sku"),
    "orders_http_packages": answered(200, next_cursor=None),
    "orders_http_package_usage": answered(200, items=[]),
    "orders_http_refund_quote": answered(200, refundable=True, amount="145.00"),
    "entitlements_http_check": answered(200, allowed=True, free_remaining=100, paid_remaining=1000),
    "orders_http_refund": answered(202, status="processing", amount="145.00"),
    "orders_http_grant": answered(201, source="gift", total=50, remaining=50),
    "ingest_http_batch": counted(accepted=2, duplicate=1, not_chargeable=1, rejected=1),
    "ingest_http_single": counted(accepted=1),
    "ingest_http_malformed": answered(400, code="malformed_body"),
    "ingest_sqs_batches": returned({"batchItemFailures": []}),
    "ingest_sqs_poisoned": poisoned,
    "rollup_stream_insert": returned({"batchItemFailures": []}),
    "bills_http_usage": answered(200, next_cursor=None),
    "bills_http_preview": answered(200),
    "planner_schedule_morning": returned({"queued": 1}),
    "planner_schedule_check": returned({"unsettled": 1}),
    "timers_schedule_sweep": returned({"done": 1, "failed": 0, "left": 0}),
    "settlement_sqs_accounts": returned({"batchItemFailures": []}),
    "planner_schedule_verify": returned({"days": 1, "parts": 1, "overdue": 0}),
    "verification_sqs_day": returned({"batchItemFailures": []}),
    "bills_http_verification": answered(200, day="2025-03-01", settled=True),
    "verification_sqs_archive": returned({"batchItemFailures": []}),
    "bills_http_resources": billed,
    "bills_http_details": billed,
    "bills_http_journal": paid,
    "exports_http_create": answered(202, status="processing", url=None, month="2025-02", kind="pack"),
    "exports_http_open_month": answered(409, code="month_open"),
    "exports_http_unknown": answered(404, code="export_not_found"),
    "exportworker_sqs_export": returned({"batchItemFailures": []}),
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
    """The embedded cloud with the account of the payloads, before the run of the day after its first usage."""
    with LocalCloud(clock="2025-03-01T09:00:00+08:00") as running:
        headers = {"Authorization": f"Bearer {running.token(None, 'billing:admin')}"}
        with httpx.Client(base_url=running.url, headers=headers, timeout=60) as operator:
            operator.post("/v1/accounts", json={"account_id": "acct-1", "name": "Example"}).raise_for_status()
            service = "/v1/accounts/acct-1/service"
            operator.post(f"{service}/application", json={"purpose": "identity checks"}).raise_for_status()
            operator.post(f"{service}/approval", json={}).raise_for_status()
            operator.put("/sandbox/clock", json={"now": "2025-03-02T07:30:00+08:00"}).raise_for_status()
        yield running


@pytest.fixture(scope="module")
def resources(cloud: LocalCloud) -> dict[str, str]:
    """Physical names for the functions under test; what the planner queues, the cloud's own workers do not see."""
    queue = cloud.client("sqs").create_queue(QueueName="planned")["QueueUrl"]
    return {**cloud.resources, "SettlementQueue": queue, "VerificationQueue": queue}


def runtime_of(function: str, cloud: LocalCloud, resources: Mapping[str, str]) -> Runtime:
    """The function in its own process, with the embedded cloud behind it."""
    region = {"AWS_REGION": REGION, "AWS_DEFAULT_REGION": REGION}
    environment = {"AWS_ENDPOINT_URL": cloud.emulator.url, "SANDBOX": "true", "SENDER_EMAIL": SENDER, **region}
    return Runtime(function, environment, resources)


def set_clock(cloud: LocalCloud, now: str) -> None:
    """Business time, without what moving it through the gateway would run."""
    cloud.client("dynamodb").update_item(
        TableName=cloud.resources["LedgerTable"],
        Key={"pk": {"S": "sandbox"}, "sk": {"S": "clock"}},
        UpdateExpression="SET #now = :now",
        ExpressionAttributeNames={"#now": "now"},
        ExpressionAttributeValues={":now": {"S": now}},
    )


def test_every_payload_is_expected() -> None:
    """Each payload in events/ is named by function and case, and none is without an expectation."""
    assert sorted(EXPECTED) == NAMES
    assert {name.split("_", 1)[0] for name in NAMES} == set(FUNCTIONS)


@pytest.mark.parametrize("name", EXPECTED)
def test_payload(cloud: LocalCloud, resources: dict[str, str], name: str) -> None:
    """The built function answers the payload under the real runtime as expected, and logs JSON only."""
    if name == "planner_schedule_morning":
        set_clock(cloud, "2025-03-02T08:00:00+08:00")
    with runtime_of(FUNCTIONS[name.split("_", 1)[0]], cloud, resources) as runtime:
        reply = runtime.invoke(payload(name))
        assert not reply.failed, runtime.log()
        EXPECTED[name](reply)
        for line in runtime.log().splitlines():
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
def test_metric_feeds_the_alarm(cloud: LocalCloud, resources: dict[str, str], name: str, alarm_name: str) -> None:
    """A function emits the very metric that the alarm watches, also where there is nothing to tell."""
    with runtime_of(FUNCTIONS[name.split("_", 1)[0]], cloud, resources) as runtime:
        runtime.invoke(payload(name))
        lines = [json.loads(line) for line in runtime.log().splitlines() if line.startswith("{")]
    (metric,) = [line for line in lines if "_aws" in line]
    (emitted,) = metric["_aws"]["CloudWatchMetrics"]
    alarm = cloud.stack.template.resources[alarm_name]["Properties"]
    assert emitted["Namespace"] == alarm["Namespace"]
    assert [one["Name"] for one in emitted["Metrics"]] == [alarm["MetricName"]]
    watched = {one["Name"]: one["Value"] for one in alarm["Dimensions"]}
    assert [{name: metric[name] for name in names} for names in emitted["Dimensions"]] == [watched]
