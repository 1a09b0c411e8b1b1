"""The same stack by the `sam deploy` that is used against AWS: all of the template arrives, and can be changed.

The embedded cloud takes no time-to-live, no point-in-time recovery and no time zone of a schedule from a template; that
the template has them is a matter of `tests/template`.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import httpx
import pytest

from local.cloud import LocalCloud
from local.deploy import Stack, sam_deploy
from local.emulator import Emulator
from local.story import BATCH, Teller, one_instant, open_account

ITEM = {"pk": {"S": "test"}, "sk": {"S": "kept"}, "n": {"N": "1"}}
ACCOUNT = "acct-deploy"
CALLS = 5
"""Of a batch."""


@dataclass
class Producer:
    """A gateway that reports calls without a pause, and sends again what was not answered 200. A context manager."""

    cloud: LocalCloud
    when: str
    """Of all its calls."""
    answers: Counter[int] = field(default_factory=Counter)
    """By their status; 0 is none."""
    reported: int = 0
    """Calls that it sent, each of them once or more often."""
    taken: int = 0
    """Calls that an answer called accepted, or known."""
    _over: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        """Begin."""
        self._thread = threading.Thread(target=self._report)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End, when the last batch is answered."""
        self._over.set()
        assert self._thread is not None
        self._thread.join()

    def wait_for(self, calls: int) -> None:
        """Return when so many calls more are taken."""
        wanted, deadline = self.taken + calls, time.monotonic() + 60
        while self.taken < wanted:
            assert time.monotonic() < deadline, self.answers
            time.sleep(0.05)

    def _report(self) -> None:
        header = {"authorization": f"Bearer {self.cloud.token(None, 'usage:write')}", "content-type": BATCH}
        batch = 0
        with httpx.Client(base_url=self.cloud.url, timeout=60, headers=header) as http:
            while not self._over.is_set():
                events = one_instant(ACCOUNT, self.when, "api.id_card_verification", f"batch-{batch}", CALLS)
                self.reported += CALLS
                self._send(http, json.dumps(events).encode())
                batch += 1

    def _send(self, http: httpx.Client, body: bytes) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                answer = http.post("/v1/usage", content=body)
            except httpx.TransportError:
                self.answers[0] += 1
                continue
            self.answers[answer.status_code] += 1
            if answer.status_code == httpx.codes.OK:
                counts = answer.json()
                self.taken += counts["accepted"] + counts["duplicate"]
                return
            time.sleep(0.05)


class Deployed(NamedTuple):
    """A stack as `sam deploy` left it, and what was there before the local cloud made its own settings."""

    cloud: LocalCloud
    found: Mapping[str, Any]


@pytest.fixture(scope="module")
def deployed() -> Iterator[Deployed]:
    """The stack, deployed once."""
    found: dict[str, Any] = {}

    def deploy(emulator: Emulator, build: Path) -> Stack:
        stack = sam_deploy(emulator, build)
        found.update(look(emulator, stack))
        return stack

    with LocalCloud(deployer=deploy) as cloud:
        yield Deployed(cloud, found)


def look(emulator: Emulator, stack: Stack) -> dict[str, Any]:
    """What the services say of the stack's resources, by logical id where the stack names them."""
    of, real = stack.template.of_type, stack.resources
    dynamodb, sqs, events = (emulator.client(service) for service in ("dynamodb", "sqs", "events"))
    schedules, metrics = emulator.client("scheduler"), emulator.client("cloudwatch")
    return {
        "tables": {
            name: dynamodb.describe_table(TableName=real[name])["Table"] for name, _ in of("AWS::DynamoDB::Table")
        },
        "queues": {
            name: sqs.get_queue_attributes(QueueUrl=real[name], AttributeNames=["All"])["Attributes"]
            for name, _ in of("AWS::SQS::Queue")
        },
        "mappings": emulator.client("lambda").list_event_source_mappings()["EventSourceMappings"],
        "schedules": [
            schedules.get_schedule(Name=schedule["Name"]) for schedule in schedules.list_schedules()["Schedules"]
        ],
        "alarms": {
            alarm["AlarmName"]: alarm
            for page in metrics.get_paginator("describe_alarms").paginate()
            for alarm in page["MetricAlarms"]
        },
        "dashboards": {one["DashboardName"] for one in metrics.list_dashboards()["DashboardEntries"]},
        "targets": {
            name: events.list_targets_by_rule(Rule=real[name].rpartition("|")[2], EventBusName=real["BillingBus"])[
                "Targets"
            ]
            for name, _ in of("AWS::Events::Rule")
        },
        "buckets": {bucket["Name"] for bucket in emulator.client("s3").list_buckets()["Buckets"]},
    }


def expected(deployed: Deployed, kind: str) -> Iterable[tuple[str, Mapping[str, Any]]]:
    """Logical id and properties of the resources of a kind, with parameters worked out."""
    template = deployed.cloud.stack.template
    for name, properties in template.of_type(kind):
        yield name, {key: template.value(value) for key, value in properties.items()}


def test_the_stack_answers(deployed: Deployed) -> None:
    """The API's health route runs from the artifacts that `sam deploy` uploaded."""
    assert httpx.get(f"{deployed.cloud.url}/healthz", timeout=60).status_code == 200


def test_every_resource_arrives(deployed: Deployed) -> None:
    """Each resource that the template's parameters ask for is in the stack; layers carry a hash of their content."""
    template = deployed.cloud.stack.template
    kinds = {resource["Type"] for resource in template.resources.values()}
    wanted = {name: kind for kind in kinds for name, _ in template.of_type(kind)}
    arrived = set(deployed.cloud.resources)
    layers = {name for name, kind in wanted.items() if kind == "AWS::Serverless::LayerVersion"}
    assert wanted.keys() - layers - arrived == set()
    for layer in layers:
        assert any(name.startswith(layer) for name in arrived), layer


def test_tables(deployed: Deployed) -> None:
    """Tables have the keys, indexes and streams of the template."""
    tables = dict(expected(deployed, "AWS::DynamoDB::Table"))
    assert len(tables) == 3
    for name, wanted in tables.items():
        found = deployed.found["tables"][name]
        assert found["BillingModeSummary"]["BillingMode"] == wanted["BillingMode"]
        assert found["KeySchema"] == wanted["KeySchema"]
        assert _sorted(found["AttributeDefinitions"]) == _sorted(wanted["AttributeDefinitions"])
        for indexes in ("GlobalSecondaryIndexes", "LocalSecondaryIndexes"):
            shown = [
                {key: index[key] for key in ("IndexName", "KeySchema", "Projection")}
                for index in found.get(indexes, [])
            ]
            assert shown == wanted.get(indexes, []), name
        view = wanted.get("StreamSpecification", {}).get("StreamViewType")
        assert found.get("StreamSpecification", {}).get("StreamViewType") == view


def _sorted(definitions: Iterable[Mapping[str, str]]) -> list[tuple[str, str]]:
    return sorted((one["AttributeName"], one["AttributeType"]) for one in definitions)


def test_queues(deployed: Deployed) -> None:
    """Queues have the template's time-outs, and lead to their own dead letters after as many tries as it says."""
    queues = dict(expected(deployed, "AWS::SQS::Queue"))
    arns = {name: found["QueueArn"] for name, found in deployed.found["queues"].items()}
    for name, wanted in queues.items():
        found = deployed.found["queues"][name]
        for attribute in ("VisibilityTimeout", "MessageRetentionPeriod"):
            if attribute in wanted:
                assert int(found[attribute]) == wanted[attribute], name
        if "RedrivePolicy" in wanted:
            target, _ = wanted["RedrivePolicy"]["deadLetterTargetArn"]["Fn::GetAtt"]
            policy = {
                "deadLetterTargetArn": arns[target],
                "maxReceiveCount": wanted["RedrivePolicy"]["maxReceiveCount"],
            }
            assert json.loads(found["RedrivePolicy"]) == policy


def test_event_sources(deployed: Deployed) -> None:
    """Each queue and stream of the template calls its function, in batches of the template's size."""
    arns = {found["QueueArn"]: name for name, found in deployed.found["queues"].items()}
    arns |= {found.get("LatestStreamArn", ""): name for name, found in deployed.found["tables"].items()}
    names = {real: name for name, real in deployed.cloud.resources.items()}
    found = {
        (names[one["FunctionArn"].split(":")[6]], arns[one["EventSourceArn"]], one["BatchSize"])
        for one in deployed.found["mappings"]
        if one["State"] == "Enabled" and one["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    }
    wanted = set()
    for name, properties in expected(deployed, "AWS::Serverless::Function"):
        for event in properties.get("Events", {}).values():
            source = event["Properties"].get("Queue") or event["Properties"].get("Stream")
            if event["Type"] in {"SQS", "DynamoDB"}:
                wanted.add((name, source["Fn::GetAtt"][0], event["Properties"]["BatchSize"]))
    assert found == wanted
    assert len(wanted) >= 10


def test_schedules(deployed: Deployed) -> None:
    """Each schedule of the template is there with its expression, its input and its function."""
    names = {real: name for name, real in deployed.cloud.resources.items()}
    found = {
        (names[one["Target"]["Arn"].split(":")[6]], one["ScheduleExpression"], one["Target"].get("Input"))
        for one in deployed.found["schedules"]
    }
    schedules = deployed.cloud.stack.template.schedules()
    assert found == {(one.function, one.expression, one.input) for one in schedules}


def test_alarms_and_dashboards(deployed: Deployed) -> None:
    """Each alarm watches the template's metric and tells the topic of alarms; each dashboard is there."""
    topic, resources = deployed.cloud.resources["AlarmTopic"], deployed.cloud.resources
    alarms = dict(expected(deployed, "AWS::CloudWatch::Alarm"))
    assert len(alarms) == len(deployed.found["alarms"])
    for name, wanted in alarms.items():
        found = deployed.found["alarms"][resources[name]]
        assert found["AlarmActions"] == [topic]
        for key in ("MetricName", "Threshold", "ComparisonOperator", "EvaluationPeriods", "TreatMissingData"):
            if key in wanted:
                assert found[key] == wanted[key], (name, key)
    dashboards = {name for name, _ in expected(deployed, "AWS::CloudWatch::Dashboard")}
    assert deployed.found["dashboards"] == {resources[name] for name in dashboards}


def test_bus_and_buckets(deployed: Deployed) -> None:
    """Each rule leads the bus's events to its queue with dead letters behind it, and the buckets are there."""
    arns = {name: found["QueueArn"] for name, found in deployed.found["queues"].items()}
    rules = dict(expected(deployed, "AWS::Events::Rule"))
    assert len(rules) == 3
    for name, wanted in rules.items():
        (target,) = wanted["Targets"]
        (found,) = deployed.found["targets"][name]
        assert found["Arn"] == arns[target["Arn"]["Fn::GetAtt"][0]]
        assert found["DeadLetterConfig"]["Arn"] == arns[target["DeadLetterConfig"]["Arn"]["Fn::GetAtt"][0]]
    buckets = {deployed.cloud.resources[name] for name, _ in expected(deployed, "AWS::S3::Bucket")}
    assert buckets <= deployed.found["buckets"]


class Changed(NamedTuple):
    """The stack after a second deploy, with another parameter, and who reported calls all the while."""

    resources: Mapping[str, str]
    producer: Producer
    during: int
    """Calls that were taken while it was deployed."""


@pytest.fixture(scope="module")
def changed(deployed: Deployed) -> Changed:
    """The stack with something in each table, deployed once more while calls are reported."""
    cloud = deployed.cloud
    for name in deployed.found["tables"]:
        cloud.client("dynamodb").put_item(TableName=cloud.resources[name], Item=ITEM)
    with Teller(cloud) as teller:
        open_account(teller, ACCOUNT, "Reports while it is deployed", "100.00")
    now = httpx.get(f"{cloud.url}/sandbox/clock", timeout=60).json()["now"]
    with Producer(cloud, now) as producer:
        producer.wait_for(CALLS)
        before = producer.taken
        stack = sam_deploy(cloud.emulator, LogLevel="DEBUG")
        during = producer.taken - before
        producer.wait_for(CALLS)
    return Changed(stack.resources, producer, during)


def test_another_parameter_replaces_nothing(deployed: Deployed, changed: Changed) -> None:
    """A deploy with a changed parameter reaches the functions; every table is the same one, with what is in it."""
    cloud, resources = deployed.cloud, deployed.cloud.resources
    dynamodb, functions = cloud.client("dynamodb"), cloud.client("lambda")
    for name in [*deployed.found["tables"], *deployed.found["queues"]]:
        assert changed.resources[name] == resources[name]
    for name, before in deployed.found["tables"].items():
        now = dynamodb.describe_table(TableName=resources[name])["Table"]
        assert now["TableId"] == before["TableId"]
        key = {part: ITEM[part] for part in ("pk", "sk")}
        assert dynamodb.get_item(TableName=resources[name], Key=key, ConsistentRead=True)["Item"] == ITEM
    configured = functions.get_function_configuration(FunctionName=changed.resources["CatalogFunction"])
    assert configured["Environment"]["Variables"]["LOG_LEVEL"] == "DEBUG"
    assert httpx.get(f"{cloud.url}/healthz", timeout=60).status_code == 200


def test_no_call_is_lost_or_counted_twice_by_a_deploy(deployed: Deployed, changed: Changed) -> None:
    """What is reported while a deploy replaces the functions is taken, never refused, and counted and billed once."""
    cloud, producer = deployed.cloud, changed.producer
    assert changed.during > CALLS
    assert [status for status in producer.answers if 400 <= status < 500] == []
    cloud.driver.drain()
    with Teller(cloud) as teller:
        days = teller.customer(ACCOUNT, "/usage")["items"]
        lines = teller.customer(ACCOUNT, "/bills/preview")["items"]
    assert producer.taken == producer.reported
    assert [one["calls"] for one in days] == [producer.taken]
    assert [one["raw_quantity"] for one in lines] == [producer.taken]
