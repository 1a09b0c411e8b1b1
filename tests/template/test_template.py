"""template.yaml: the house rules hold, and it agrees with the contract and with the code."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from cfnlint.decode import decode_str
from cfnlint.template import Template

from aws_platform import exports, keys
from aws_platform.settings import Settings
from exports import worker
from notify import delivering
from tests.template.linting import ROOT, findings
from tools.house_rules import _shared

SOURCE = (ROOT / "template.yaml").read_text(encoding="utf-8")

READ = {"billing:read", "billing:admin"}
WRITE = {"billing:write", "billing:admin"}
ADMIN = {"billing:admin"}
ANY = {"usage:write", "billing:read", "billing:write", "billing:admin"}
ACCOUNT = "/v1/accounts/{account_id}"
# The contract's tables, as far as they are built; None is public.
ROUTES: dict[str, set[str] | None] = {
    "POST /v1/usage": {"usage:write"},
    "POST /v1/accounts": ADMIN,
    f"GET {ACCOUNT}": READ,
    f"PATCH {ACCOUNT}": WRITE,
    f"POST {ACCOUNT}/service/application": WRITE,
    f"POST {ACCOUNT}/service/approval": ADMIN,
    f"POST {ACCOUNT}/service/rejection": ADMIN,
    f"POST {ACCOUNT}/top-ups": ADMIN,
    f"PUT {ACCOUNT}/violation": ADMIN,
    f"POST {ACCOUNT}/eid-merchants": WRITE,
    f"POST {ACCOUNT}/adjustments": ADMIN,
    f"POST {ACCOUNT}/vouchers": ADMIN,
    f"GET {ACCOUNT}/vouchers": READ,
    f"PUT {ACCOUNT}/discounts/{{tag}}": ADMIN,
    f"PUT {ACCOUNT}/contract-prices/{{tag}}": ADMIN,
    f"POST {ACCOUNT}/orders": WRITE,
    f"GET {ACCOUNT}/orders": READ,
    f"GET {ACCOUNT}/orders/{{order_id}}": READ,
    f"POST {ACCOUNT}/packages": ADMIN,
    f"GET {ACCOUNT}/packages": READ,
    f"GET {ACCOUNT}/packages/{{package_id}}/usage": READ,
    f"GET {ACCOUNT}/packages/{{package_id}}/refund-quote": READ,
    f"POST {ACCOUNT}/packages/{{package_id}}/refund": WRITE,
    f"PUT {ACCOUNT}/packages/{{package_id}}/refund-block": ADMIN,
    f"GET {ACCOUNT}/refunds": READ,
    f"GET {ACCOUNT}/refunds/{{refund_id}}": READ,
    f"GET {ACCOUNT}/entitlements/{{tag}}": READ | {"usage:write"},
    f"GET {ACCOUNT}/journal": READ,
    f"GET {ACCOUNT}/usage": READ,
    f"GET {ACCOUNT}/bills/resources": READ,
    f"GET {ACCOUNT}/bills/details": READ,
    f"GET {ACCOUNT}/bills/preview": READ,
    f"GET {ACCOUNT}/bills/overview": READ,
    f"GET {ACCOUNT}/bills/verification": READ,
    f"GET {ACCOUNT}/bills/details/{{transaction_id}}/explanation": READ,
    f"POST {ACCOUNT}/bills/exports": READ,
    f"GET {ACCOUNT}/bills/exports/{{export_id}}": READ,
    f"GET {ACCOUNT}/notices": READ,
    f"GET {ACCOUNT}/notice-subscriptions": READ,
    f"PUT {ACCOUNT}/notice-subscriptions": WRITE,
    f"POST {ACCOUNT}/webhooks": WRITE,
    f"GET {ACCOUNT}/webhooks": READ,
    f"GET {ACCOUNT}/webhooks/{{webhook_id}}": READ,
    f"DELETE {ACCOUNT}/webhooks/{{webhook_id}}": WRITE,
    f"GET {ACCOUNT}/webhooks/{{webhook_id}}/deliveries": READ,
    "GET /v1/catalog": ANY,
    "PUT /v1/prices/{tag}": ADMIN,
    "GET /v1/activities": ANY,
    "PUT /v1/activities/{activity_id}": ADMIN,
    "POST /v1/quotes": READ,
    "GET /healthz": None,
    "GET /v1/openapi.json": None,
}

DAY_SECONDS = 86_400
OUR_METRICS = {"Fn::Sub": "Zhangben/${AWS::StackName}"}
"""The namespace of the code's own metrics: another one for each stack."""
CLIENTS = {"ses": "sesv2"}
"""The name of the client, where a policy calls its service otherwise."""


@cache
def template() -> Template:
    """The template as cfn-lint reads it."""
    decoded, errors = decode_str(SOURCE)
    assert not errors
    return Template(None, decoded)


def resources(kind: str) -> dict[str, Any]:
    """Properties by name of the resources that would be deployed."""
    return dict(_shared.of_type(template(), kind))


def test_house_rules_hold() -> None:
    """The template keeps every house rule."""
    assert findings(SOURCE) == []


def test_routes_are_those_of_the_contract() -> None:
    """Every route that is built asks for the scopes that the contract names, and there is no other."""
    body = resources("AWS::ApiGatewayV2::Api")["Api"]["Body"]
    found: dict[str, set[str] | None] = {}
    for path, methods in body["paths"].items():
        for method, operation in methods.items():
            (entry,) = operation["security"]
            ((scheme, scopes),) = entry.items()
            found[f"{method.upper()} {path}"] = set(scopes) if scheme == "Jwt" else None
    assert found == ROUTES


@pytest.mark.parametrize("function", sorted(resources("AWS::Lambda::Function")))
def test_handler_and_build_target_exist(function: str) -> None:
    """The handler's module is in the repository and `sam build` has a target for the function."""
    module, _ = resources("AWS::Lambda::Function")[function]["Handler"].rsplit(".", 1)
    assert (ROOT / "functions" / f"{module.replace('.', '/')}.py").is_file()
    makefile = (ROOT / "functions" / "Makefile").read_text(encoding="utf-8")
    assert re.search(rf"^(build-\w+ )*build-{function}\b.*:", makefile, re.MULTILINE)


@pytest.mark.parametrize(
    "queue,kinds",
    [("EmailQueue", None), ("SmsQueue", {"detail-type": [{"anything-but": ["daily_report"]}]}), ("WebhookQueue", None)],
)
def test_every_notice_goes_to_every_channel(queue: str, kinds: dict[str, Any] | None) -> None:
    """D27: a rule of the bus takes every notice to the channel's queue, the daily report not to SMS; it alone may send.

    What it cannot deliver goes to the channel's dead letters.
    """
    rules = resources("AWS::Events::Rule")
    name = next(one for one, rule in rules.items() if _shared.target(rule["Targets"][0]["Arn"]) == queue)
    rule, dead = rules[name], queue.replace("Queue", "DeadLetterQueue")
    assert rule["EventPattern"] == {"source": ["zhangben"], **(kinds or {})}
    assert _shared.target(rule["EventBusName"]) == "BillingBus"
    (target,) = rule["Targets"]
    assert _shared.target(target["DeadLetterConfig"]["Arn"]) == dead
    assert target["RetryPolicy"]["MaximumEventAgeInSeconds"] == 86_400
    (policy,) = [one for one in resources("AWS::SQS::QueuePolicy").values() if {"Ref": queue} in one["Queues"]]
    assert policy["Queues"] == [{"Ref": queue}, {"Ref": dead}]
    (statement,) = policy["PolicyDocument"]["Statement"]
    assert (statement["Action"], statement["Principal"]) == ("sqs:SendMessage", {"Service": "events.amazonaws.com"})
    assert statement["Condition"] == {"ArnEquals": {"aws:SourceArn": {"Fn::GetAtt": [name, "Arn"]}}}


@pytest.mark.parametrize("queue", ["EmailQueue", "SmsQueue", "WebhookQueue"])
def test_channels_try_for_a_day(queue: str) -> None:
    """D28: a notice that does not go out is tried for a day before it is a dead letter, and then kept for days."""
    queues = resources("AWS::SQS::Queue")
    properties, dead = queues[queue], queues[queue.replace("Queue", "DeadLetterQueue")]
    receives = properties["RedrivePolicy"]["maxReceiveCount"]
    assert receives * properties["VisibilityTimeout"] >= DAY_SECONDS
    # A doubtful refusal is recorded before the message is a dead letter.
    assert receives > delivering._LAST_RECEIVE
    assert properties["MessageRetentionPeriod"] >= 4 * DAY_SECONDS
    # A dead letter is as old as its message was.
    assert dead["MessageRetentionPeriod"] >= properties["MessageRetentionPeriod"]


@pytest.mark.parametrize("queue", ["EmailQueue", "SmsQueue", "WebhookQueue"])
def test_channels_that_wait_are_heard_of(queue: str) -> None:
    """What waits for more than an hour in a channel's queue raises an alarm."""
    found = [
        alarm
        for alarm in resources("AWS::CloudWatch::Alarm").values()
        if alarm.get("MetricName") == "ApproximateAgeOfOldestMessage"
        and alarm["Dimensions"] == [{"Name": "QueueName", "Value": {"Fn::GetAtt": [queue, "QueueName"]}}]
    ]
    assert [(alarm["Threshold"], alarm["ComparisonOperator"]) for alarm in found] == [(3600, "GreaterThanThreshold")]


@pytest.mark.parametrize(
    "name,metric,statistic,seconds,threshold,missing",
    [
        ("RefusedMessagesAlarm", "RefusedMessages", "Sum", 3600, 5, "notBreaching"),
        ("StuckMessagesAlarm", "StuckMessages", "Sum", 900, 0, "notBreaching"),
        ("LeftTimersAlarm", "LeftTimers", "Maximum", 900, 0, "notBreaching"),
        ("UnsweptAlarm", "FailedTimers", "SampleCount", 900, 1, "breaching"),
    ],
)
def test_alarms_on_our_own_metrics(
    name: str, metric: str, statistic: str, seconds: int, threshold: int, missing: str
) -> None:
    """Each alarm looks at a metric that the code has, for as long and from as much on as is agreed."""
    alarm = resources("AWS::CloudWatch::Alarm")[name]
    assert (alarm["Namespace"], alarm["MetricName"], alarm["Statistic"]) == (OUR_METRICS, metric, statistic)
    assert alarm["Period"] * alarm["EvaluationPeriods"] == seconds
    assert (alarm["Threshold"], alarm["TreatMissingData"]) == (threshold, missing)
    (service,) = [one["Value"] for one in alarm["Dimensions"]]
    source = {"notify": "notify/delivering.py", "timers": "timers/handler.py"}[service]
    assert f'"{metric}"' in (ROOT / "functions" / source).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "taken, calls, rings",
    [(5, [], True), (5, [0], True), (5, [1], False), (0, [], False)],
    ids=["taken and no call known", "taken and no call", "taken and called", "nothing taken"],
)
def test_usage_that_nobody_follows_is_heard_of(taken: int, calls: list[int], *, rings: bool) -> None:
    """For a quarter of an hour usage is taken and rollup is not called, which has no age of a stream: an alarm."""
    alarm = resources("AWS::CloudWatch::Alarm")["RollupStoppedAlarm"]
    said, *metrics = alarm["Metrics"]
    of = {one["Id"]: one["MetricStat"]["Metric"] for one in metrics}
    assert (of["taken"]["Namespace"], of["taken"]["MetricName"]) == (OUR_METRICS, "AcceptedUsage")
    assert (of["calls"]["MetricName"], of["calls"]["Dimensions"][0]["Value"]) == (
        "Invocations",
        {"Ref": "RollupFunction"},
    )
    assert {one["MetricStat"]["Period"] * alarm["DatapointsToAlarm"] for one in metrics} == {900}
    expression = said["Expression"].replace(" AND ", " and ").replace("[calls, ", "[*calls, ")
    names = {"IF": lambda so, one, other: one if so else other, "SUM": sum, "taken": taken, "calls": calls}
    assert (eval(expression, names) > alarm["Threshold"]) is rings  # noqa: S307 - our own


def test_alarms_tell_when_they_are_over() -> None:
    """Whoever was told of an alarm is told of its end too."""
    for name, alarm in resources("AWS::CloudWatch::Alarm").items():
        assert alarm["OKActions"] == alarm["AlarmActions"], name


def test_alarms_on_one_metric_watch_the_same() -> None:
    """A metric of ours is told apart by its service alone, which is that of all alarms on it."""
    watched: dict[str, list[Any]] = {}
    for alarm in resources("AWS::CloudWatch::Alarm").values():
        if alarm.get("Namespace") == OUR_METRICS:
            watched.setdefault(alarm["MetricName"], []).append(alarm["Dimensions"])
    assert len(watched["UnverifiedDays"]) == 2
    for name, dimensions in watched.items():
        assert [[one["Name"] for one in each] for each in dimensions] == [["service"]] * len(dimensions), name
        assert dimensions == dimensions[:1] * len(dimensions), name


def test_no_sweep_is_no_alarm_in_a_sandbox() -> None:
    """The alarm on a sweep that does not come is silent where sweeps are started by hand."""
    alarm = resources("AWS::CloudWatch::Alarm")["UnsweptAlarm"]
    assert alarm["ActionsEnabled"] == {"Fn::If": ["IsSandbox", False, True]}


def test_limits_of_channels_are_those_of_the_code() -> None:
    """Unless a stack says otherwise SMS go to China only, and an account is sent as much a day as the code says."""
    parameters, functions = template().template["Parameters"], resources("AWS::Lambda::Function")
    told = {
        name: parameters[value["Ref"]]["Default"]
        for function in ("EmailFunction", "SmsFunction")
        for name, value in functions[function]["Environment"]["Variables"].items()
        if "Ref" in value and value["Ref"] in {"SmsCountryCodes", "DailySmsLimit", "DailyEmailLimit"}
    }
    settings = Settings.from_environment({name: str(value) for name, value in told.items()})
    assert settings == replace(Settings(), sms_country_codes=("+86",))
    assert (settings.daily_email_limit, settings.daily_sms_limit) == (1000, 100)


@pytest.mark.parametrize(
    "codes,allowed",
    [
        ("", True),
        ("+86", True),
        ("+86,+852,+1", True),
        ("86", False),
        ("+86,", False),
        ("+86, +1", False),
        ("+0", False),
    ],
)
def test_country_codes_are_checked(codes: str, *, allowed: bool) -> None:
    """A stack takes a list of country codes, or none, and nothing that would silently serve nobody."""
    pattern = template().template["Parameters"]["SmsCountryCodes"]["AllowedPattern"]
    assert bool(re.fullmatch(pattern, codes)) is allowed


def test_only_notices_are_published() -> None:
    """Of all that is written to the ledger only new pages call the publisher, and in a sandbox the mark."""
    (mapping,) = [
        one
        for one in resources("AWS::Lambda::EventSourceMapping").values()
        if _shared.target(one["EventSourceArn"]) == "LedgerTable"
    ]
    pages, mark = mapping["FilterCriteria"]["Filters"]
    assert json.loads(pages["Pattern"]) == {
        "eventName": ["INSERT"],
        "dynamodb": {"Keys": {"sk": {"S": [{"prefix": keys.NOTICE_PREFIX}]}}},
    }
    condition, shown, otherwise = mark["Fn::If"]
    assert (condition, otherwise) == ("IsSandbox", {"Ref": "AWS::NoValue"})
    assert json.loads(shown["Pattern"]) == {"dynamodb": {"Keys": {"pk": {"S": ["sandbox"]}, "sk": {"S": ["drain"]}}}}


def test_layer_has_every_service_that_policies_allow() -> None:
    """The runtime layer keeps the client model of each AWS service that a function may call."""
    makefile = (ROOT / "layers" / "runtime" / "Makefile").read_text(encoding="utf-8")
    kept = set(re.findall(r"^SERVICES = (.*)$", makefile, re.MULTILINE)[0].split())
    roles = resources("AWS::IAM::Role")
    roles = {name: role for name, role in roles.items() if name not in {"SchedulerRole", "DeploymentRole"}}
    # Logs and traces are written by Lambda itself.
    allowed = set(re.findall(r'"([a-z0-9]+):[A-Z]\w+"', json.dumps(list(roles.values())))) - {"sts", "logs", "xray"}
    allowed -= {"aws"}  # keys of conditions
    assert {CLIENTS.get(service, service) for service in allowed} == kept


def test_schedules_are_those_of_the_decisions() -> None:
    """Runs start at 08:00, are checked at 12:00 (D3) and verified; timers are swept; a sandbox runs none by itself."""
    schedules = resources("AWS::Scheduler::Schedule").values()
    assert {schedule["ScheduleExpression"] for schedule in schedules} == {
        "cron(0 8 * * ? *)",
        "cron(0 10 * * ? *)",
        "cron(0 12 * * ? *)",
        "cron(30 12 * * ? *)",
        "rate(1 minute)",
    }
    for schedule in schedules:
        assert schedule["State"] == {"Fn::If": ["IsSandbox", "DISABLED", "ENABLED"]}
        assert "Name" not in schedule  # a fixed name would collide with that of another stack in the account


@pytest.mark.parametrize("function", sorted(resources("AWS::Lambda::Function")))
def test_function_is_told_only_of_tables_that_it_may_use(function: str) -> None:
    """The environment names exactly those of our resources that the function's role names, its triggers aside."""
    properties = resources("AWS::Lambda::Function")[function]
    role = resources("AWS::IAM::Role")[str(_shared.target(properties["Role"]))]
    rights = json.dumps(role["Policies"])
    told = {
        str(_shared.target(value))
        for name, value in properties["Environment"]["Variables"].items()
        if name.endswith(("_TABLE", "_QUEUE_URL"))
    }
    assert {name for name in told if name not in rights} == set()
    tables = set(resources("AWS::DynamoDB::Table"))
    used = {name for name in tables if re.search(rf'"{name}", "Arn"', rights) or f"${{{name}.Arn}}/index" in rights}
    assert used <= told


def test_exports_are_given_up_as_the_code_says() -> None:
    """The worker knows which try of a message is the last, and cannot still be at work when it is asked again."""
    queue, function = resources("AWS::SQS::Queue")["ExportQueue"], resources("AWS::Lambda::Function")
    assert queue["RedrivePolicy"]["maxReceiveCount"] == worker.MAX_RECEIVES
    assert function["ExportWorkerFunction"]["Timeout"] < exports.ASK_AGAIN_AFTER.total_seconds()


def test_exports_are_private_and_go_after_a_week() -> None:
    """The bucket of exports takes no plain HTTP, is open to nobody, and forgets files when the code says so."""
    bucket = resources("AWS::S3::Bucket")["ExportsBucket"]
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    (rule,) = bucket["LifecycleConfiguration"]["Rules"]
    assert (rule["Prefix"], rule["Status"]) == (f"{exports.FOLDER}/", "Enabled")
    assert rule["ExpirationInDays"] == exports.KEPT_FOR.days
    assert rule["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 1}
    (statement,) = resources("AWS::S3::BucketPolicy")["ExportsBucketPolicy"]["PolicyDocument"]["Statement"]
    assert (statement["Effect"], statement["Principal"], statement["Action"]) == ("Deny", "*", "s3:*")
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
