"""The pages of the operator: every alarm has its section, the dashboard shows what there is, every command parses."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import time
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore import xform_name

from tests.template.linting import ROOT
from tests.template.published import published
from tests.template.test_template import resources
from tools.house_rules import _shared
from tools.ops.__main__ import COMMANDS, _parser

DOCS = sorted((ROOT / "docs").glob("*.md"))
OPERATIONS = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
ALARMS = resources("AWS::CloudWatch::Alarm")
SERVICES = {"deploy": "codedeploy"}
"""What the AWS CLI calls otherwise than its API."""
OURS = "Zhangben/${AWS::StackName}"


# Sections


def sections() -> dict[str, str]:
    """The text of each section by its title."""
    parts = re.split(r"^#{1,3} (.+)$", OPERATIONS, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_every_alarm_has_a_section_and_every_section_an_alarm() -> None:
    """Whoever is told of an alarm finds its section by its name, and no section is of an alarm that there is not."""
    titles = {title for title in sections() if title.endswith("Alarm")}
    assert titles == set(ALARMS)


def test_the_pages_name_alarms_and_queues_that_there_are() -> None:
    """No page sends anybody to an alarm or a queue of another name."""
    texts = [page.read_text(encoding="utf-8") for page in [*DOCS, ROOT / "README.md"]]
    named = {name for text in texts for name in re.findall(r"\b([A-Z][A-Za-z]+(?:Alarm|Queue))\b", text)}
    known = {*ALARMS, *resources("AWS::SQS::Queue"), *resources("AWS::Lambda::EventSourceMapping")}
    assert sorted(named - known) == []


@pytest.mark.parametrize("word", ["Look", "Mend", "Mended"])
def test_every_section_says_what_to_do(word: str) -> None:
    """A section says how to look, how to mend, and how to know that it is mended."""
    said = re.compile(rf"\*{word}:?\*")
    assert [title for title, text in sections().items() if title in ALARMS and not said.search(text)] == []


def test_links_within_the_page_lead_somewhere() -> None:
    """Every link to a section, from any page, names one that there is."""
    anchors = {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in sections()}
    pages = {page.name: page.read_text(encoding="utf-8") for page in [*DOCS, ROOT / "README.md"]}
    links = [link for text in pages.values() for link in re.findall(r"operations\.md#([\w-]+)", text)]
    links += re.findall(r"\]\(#([\w-]+)\)", OPERATIONS)
    assert len(links) > 5
    assert sorted(set(links) - anchors) == []


# Alarms


def test_no_two_alarms_ring_for_the_same() -> None:
    """Each alarm looks at something else, or at the same thing in another way."""
    seen: dict[str, str] = {}
    for name, alarm in ALARMS.items():
        looks = ("Namespace", "MetricName", "Metrics", "Dimensions", "Statistic", "ComparisonOperator")
        key = json.dumps([alarm.get(one) for one in looks], sort_keys=True)
        assert key not in seen, (name, seen.get(key))
        seen[key] = name


def test_metrics_of_our_own_are_published() -> None:
    """What alarms and dashboard look at under our namespace is published by the code, by that name and service."""
    parts = [one["MetricStat"]["Metric"] for alarm in ALARMS.values() for one in alarm.get("Metrics", ())[1:]]
    looks = [one for one in [*ALARMS.values(), *parts] if one.get("Namespace") == {"Fn::Sub": OURS}]
    watched = {(one["MetricName"], one["Dimensions"][0]["Value"]) for one in looks}
    watched |= {(each[1], each[3]) for widget in widgets() for each in widget.get("metrics", ()) if each[0] == OURS}
    assert len(watched) > 10
    assert sorted(watched - published()) == []


def test_every_function_publishes_to_the_stack_s_own_namespace() -> None:
    """Two stacks of one AWS account do not ring each other's alarms."""
    for name, function in resources("AWS::Lambda::Function").items():
        assert function["Environment"]["Variables"]["METRICS_NAMESPACE"] == {"Fn::Sub": OURS}, name


# The dashboard


@cache
def widgets() -> list[dict[str, Any]]:
    """The properties of the dashboard's widgets; what is put in by CloudFormation stands as it is in the template."""
    body = resources("AWS::CloudWatch::Dashboard")["Dashboard"]["DashboardBody"]["Fn::Sub"]
    return [widget["properties"] for widget in json.loads(body)["widgets"]]


def shown(metric: str) -> set[str]:
    """The resources that the dashboard shows a metric of."""
    listed = [each for widget in widgets() for each in widget.get("metrics", ()) if each[1] == metric]
    return {re.sub(r"\$\{(\w+).*\}", r"\1", each[3]) for each in listed}


def test_the_dashboard_shows_every_alarm() -> None:
    """Every alarm that each stack has is in the widget of alarms."""
    (listed,) = [widget["alarms"] for widget in widgets() if "alarms" in widget]
    always = {name for name, alarm in ALARMS.items() if "Metrics" not in alarm}
    assert sorted(listed) == sorted(f"${{{name}.Arn}}" for name in always)


def test_the_dashboard_shows_every_resource() -> None:
    """No function, queue, stream or table is left out."""
    functions, tables = set(resources("AWS::Lambda::Function")), set(resources("AWS::DynamoDB::Table"))
    queues = set(resources("AWS::SQS::Queue"))
    assert shown("Errors") == shown("Throttles") == shown("Duration") == functions
    assert shown("ApproximateNumberOfMessagesVisible") == queues
    assert shown("ApproximateAgeOfOldestMessage") == {one for one in queues if "DeadLetter" not in one}
    assert shown("WriteThrottleEvents") == shown("ConsumedReadCapacityUnits") == tables
    streams = {
        str(_shared.target(mapping["FunctionName"]))
        for mapping in resources("AWS::Lambda::EventSourceMapping").values()
        if mapping["EventSourceArn"]["Fn::GetAtt"][1] == "StreamArn"
    }
    assert {one.removesuffix("Aliaslive") for one in streams} == shown("IteratorAge")


def test_the_dashboard_shows_only_what_there_is() -> None:
    """Every resource that it names is in the template."""
    body = resources("AWS::CloudWatch::Dashboard")["Dashboard"]["DashboardBody"]["Fn::Sub"]
    known = set(_shared_names())
    assert {name.partition(".")[0] for name in re.findall(r"\$\{([\w.]+)\}", body)} <= known


def _shared_names() -> list[str]:
    kinds = ("AWS::Lambda::Function", "AWS::SQS::Queue", "AWS::DynamoDB::Table", "AWS::CloudWatch::Alarm")
    more = ("AWS::KinesisFirehose::DeliveryStream", "AWS::ApiGatewayV2::Api")
    return [name for kind in kinds + more for name in resources(kind)]


# Commands


def in_blocks(program: str) -> list[str]:
    """The commands of a program in the pages' blocks of the shell."""
    blocks = [block for page in DOCS for block in re.findall(r"```sh\n(.*?)```", page.read_text("utf-8"), re.DOTALL)]
    return _of(program, (line for block in blocks for line in block.replace("\\\n", " ").splitlines()))


def in_text(program: str) -> list[str]:
    """The commands of a program that the pages' text mentions."""
    texts = [re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL) for page in DOCS]
    return _of(program, (line for text in texts for line in re.findall(r"`([^`\n]+)`", text)))


def _of(program: str, lines: Iterable[str]) -> list[str]:
    found = [line for line in lines if re.search(rf"(^|[\s{{|(]){program} ", line)]
    return sorted({line[line.index(f"{program} ") :] for line in found})


def test_the_pages_have_commands() -> None:
    """The commands are found at all."""
    assert len(in_blocks("aws")) > 10
    assert len(in_blocks("make")) > 20
    assert len(in_text("make")) > 20


def options_of(command: str) -> tuple[set[str], set[str], set[str]]:
    """The options of a command, those that its operation knows, and those that it must have."""
    words = shlex.split(command.partition(";")[0].replace("…", "X"))
    model = botocore.session.get_session().get_service_model(SERVICES.get(words[1], words[1]))
    (name,) = [one for one in model.operation_names if xform_name(one, "-") == words[2]]
    shape = model.operation_model(name).input_shape
    known = {xform_name(member, "-") for member in (shape.members if shape else {})}
    required = {xform_name(member, "-") for member in (shape.required_members if shape else [])}
    flags = {word.removeprefix("--").removeprefix("no-") for word in words if word.startswith("--")}
    return flags, known | {"query", "output", "cli-input-json"}, required


@pytest.mark.parametrize("command", in_blocks("aws"))
def test_commands_of_aws_are_whole(command: str) -> None:
    """Service, operation and options of a command are those of the AWS API, and none is missing."""
    flags, known, required = options_of(command)
    assert flags <= known
    assert "cli-input-json" in flags or required <= flags


@pytest.mark.parametrize("command", in_text("aws"))
def test_mentioned_commands_of_aws_are_known(command: str) -> None:
    """Service, operation and the options that are named are those of the AWS API."""
    flags, known, _ = options_of(command)
    assert flags <= known


def undefined(page: str) -> list[str]:
    """The variables of the shell that a page's commands use, and nothing sets.

    What the page's first block sets holds everywhere, for everybody begins there; else it is the same section that has
    to set them before, for whoever is led to a section by an alarm reads no other.
    """
    first = page.find("```sh\n")
    everywhere: set[str] = set()
    missing: list[str] = []
    here: set[str] = set()
    for found in re.finditer(r"^#{1,3} [A-Z]|```sh\n(.*?)```|`((?:aws|make) [^`\n]+)`", page, re.DOTALL | re.MULTILINE):
        if found[0].startswith("#"):
            here = set()
        for line in (found[1] or found[2] or "").splitlines():
            missing += sorted(set(re.findall(r"\$\{?([A-Za-z_]\w*)", line)) - here - everywhere)
            (everywhere if found.start() == first else here).update(_set_by(line))
    return missing


def _set_by(line: str) -> set[str]:
    """The variables that a line of the shell sets for those after it."""
    return set(re.findall(r"(?:^|\s)([A-Z_]+)=", line)) if re.match(r"(export )?[A-Z_]+=", line) else set()


@pytest.mark.parametrize("page", DOCS, ids=lambda page: page.stem)
def test_commands_use_no_variable_that_nothing_sets(page: Path) -> None:
    """Every `$NAME` of a command is set at the beginning of the page, or before it in its section."""
    assert undefined(page.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "page, missing",
    [
        ("# A\n```sh\nexport ONE=1 TWO=2\necho $ONE $TWO\n```\n# B\n`aws $TWO`", []),
        ("# A\n```sh\necho $ONE\nONE=1\n```\n# B\n`aws ${TWO}` and `$LATEST`", ["ONE", "TWO"]),
        ("# A\n```sh\nONE=1\n```\n# B\n```sh\nTWO=2\n```\n# C\n```sh\necho $ONE $TWO\n```", ["TWO"]),
    ],
)
def test_variables_that_nothing_sets_are_found(page: str, missing: list[str]) -> None:
    """A variable that is set later, or in another section than the first, is missed."""
    assert undefined(page) == missing


def asked(command: str, folder: Path) -> list[list[str]]:
    """What AWS is asked by a command that is typed after those of the page's first block, in words."""
    begin = re.search(r"```sh\n(.*?)```", OPERATIONS, re.DOTALL)
    assert begin is not None
    for name in ("aws", "make"):
        stand_in = folder / name
        stand_in.write_text(f'#!/bin/sh\n[ {name} = make ] || printf "%s\\0" "$@" end >> "{folder}/asked"\n')
        stand_in.chmod(0o755)
    path = {"PATH": f"{folder}:{os.environ['PATH']}"}
    subprocess.run(["/bin/sh", "-euc", f"{begin[1]}\n{command}"], env=path, check=True, capture_output=True)
    calls = (folder / "asked").read_text(encoding="utf-8").split("end\0")
    return [call.split("\0")[:-1] for call in calls[:-1]]


def test_errors_of_a_function_are_those_it_tells_and_those_it_cannot(tmp_path: Path) -> None:
    """`errors` finds what a function logged, and the calls that ran out of time or memory, in the last three hours."""
    told, reported = asked("errors ingest", tmp_path)
    for words in (told, reported):
        options = dict(zip(words[2::2], words[3::2], strict=True))
        assert options["--log-group-name"] == "/zhangben/zhangben/ingest"
        assert abs(time.time() - 3 * 3600 - int(options["--start-time"]) / 1000) < 60
    assert '{ $.level = "ERROR" }' in told
    assert '{ $.type = "platform.report" && $.record.status != "success" }' in reported


def test_a_resource_is_found_by_its_name_in_the_template(tmp_path: Path) -> None:
    """`physical` asks for the resource in the operator's stack."""
    ((*_, stack, _, logical, _, query, _, _),) = asked("physical UsageTable", tmp_path)
    assert (stack, logical, query) == ("zhangben", "UsageTable", "StackResourceDetail.PhysicalResourceId")


def test_the_helpers_are_asked_for_what_there_is() -> None:
    """Every log and every resource that the page's helpers are asked for is in the template."""
    groups = {
        group["LogGroupName"]["Fn::Sub"].rpartition("/")[2] for group in resources("AWS::Logs::LogGroup").values()
    }
    named = set(re.findall(r"(?:^|`)errors ([\w-]+)", OPERATIONS, re.MULTILINE))
    assert len(named) > 10
    assert sorted(named - groups) == []
    kinds = ("AWS::DynamoDB::Table", "AWS::SQS::Queue", "AWS::Lambda::EventSourceMapping")
    known = {name for kind in kinds for name in resources(kind)}
    assert sorted(set(re.findall(r"physical ([A-Z]\w+)", OPERATIONS)) - known) == []


def test_commands_of_make_are_targets() -> None:
    """Every target that a page names is in the Makefile, with variables that it takes."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = dict(re.findall(r"^([a-z-]+):.*?## (.*)$", makefile, re.MULTILINE))
    variables = set(re.findall(r"^([A-Z_]+) \?=", makefile, re.MULTILINE))
    for command in [*in_blocks("make"), *in_text("make")]:
        target, *settings = [word for word in command.replace(";", " ").split()[1:] if word != "…"]
        if target.endswith("-…"):
            continue
        assert target.rstrip(".,") in targets, command
        assert {one.partition("=")[0] for one in settings if "=" in one} <= variables, command


def test_every_command_of_the_operator_has_a_target() -> None:
    """Each `make ops-…` runs one command of `tools.ops` with options that it knows; none is without a target."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"^ops-([a-z-]+):", makefile, re.MULTILINE)
    assert sorted(targets) == sorted(COMMANDS)
    given = {"ACCOUNT": "acct-1", "DAY": "2025-03-01", "DRY": "1", "FRESH": "1", "QUEUE": "UsageDeadLetterQueue"}
    asked = ["make", "--no-print-directory", "--dry-run", "--assume-old=setup", *(f"ops-{one}" for one in targets)]
    printed = subprocess.run(
        [*asked, *(f"{name}={value}" for name, value in given.items())],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    lines = [line for line in printed.replace("\\\n", " ").splitlines() if "tools.ops" in line]
    parsed = [_parser().parse_args(shlex.split(line.partition("tools.ops")[2])) for line in lines]
    assert [one.command for one in parsed] == targets
    assert {(one.account, one.day, one.dry) for one in parsed} == {("acct-1", "2025-03-01", True)}
    assert [one.command for one in parsed if one.fresh] == ["live"]
