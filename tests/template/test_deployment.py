"""How a new version takes over: what makes one, how calls move to it, and what takes them back."""

from __future__ import annotations

import ast
import json
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import boto3
import pytest
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

from tests.template.linting import ROOT
from tests.template.published import published, sources
from tests.template.test_template import template
from tools import build, deploy
from tools.house_rules import _shared
from tools.house_rules._shared import REGION

CANARY = "Canary10Percent10Minutes"
ALARMS = ("ApiErrorsAlarm", "WorkerErrorsAlarm", "ChannelErrorsAlarm", "FailedMessagesAlarm")
"""What takes a deployment back."""
MOST_METRICS = 10
"""That an alarm may add up."""

type Resources = dict[str, dict[str, Any]]


@cache
def deployed(code: str = "code", layer: str = "layer", **given: str) -> Resources:
    """The resources after the transform of SAM, with these artifacts and parameters."""
    source = json.loads(json.dumps(template().template))
    for resource in source["Resources"].values():
        name = {"AWS::Serverless::Function": "CodeUri", "AWS::Serverless::LayerVersion": "ContentUri"}.get(
            resource["Type"]
        )
        if name:
            resource["Properties"][name] = {"Bucket": "bucket", "Key": code if name == "CodeUri" else layer}
    del source["Globals"]["Function"]["CodeUri"]
    parameters = {name: given.get(name, about.get("Default", name)) for name, about in source["Parameters"].items()}
    session = boto3.Session(region_name=REGION)
    found: Resources = Translator({}, Parser(), boto_session=session).translate(source, parameters)["Resources"]
    return found


def of_type(resources: Resources, kind: str) -> dict[str, dict[str, Any]]:
    """Resources of a type, by logical id."""
    return {name: resource for name, resource in resources.items() if resource["Type"] == kind}


def versions(**given: str) -> set[str]:
    """Logical ids of the versions: another one is another version."""
    return set(of_type(deployed(**given), "AWS::Lambda::Version"))


def references(node: Any) -> Iterator[str]:
    """Every name that a part of a template refers to."""
    if isinstance(node, list):
        for item in node:
            yield from references(item)
    elif isinstance(node, dict):
        for key, value in node.items():
            if key == "Ref":
                yield value
            elif key == "Fn::GetAtt":
                yield value[0] if isinstance(value, list) else value.split(".")[0]
            elif key == "Fn::Sub":
                yield from re.findall(r"\$\{([^!}.]+)", value if isinstance(value, str) else value[0])
            if key != "Ref":
                yield from references(value)


@pytest.mark.parametrize("changed", [{"code": "other"}, {"layer": "other"}, {"Release": "abc123"}], ids=str)
def test_every_change_is_a_new_version(changed: dict[str, str]) -> None:
    """Other code, another layer and another release give every function a version that it did not have."""
    assert len(versions()) == len(of_type(deployed(), "AWS::Lambda::Function"))
    assert versions().isdisjoint(versions(**changed))


def test_every_function_changes_with_the_release() -> None:
    """A release is in the configuration of each function: CloudFormation fails to publish one that has not changed."""
    for name, function in of_type(deployed(), "AWS::Lambda::Function").items():
        assert function["Properties"]["Environment"]["Variables"]["RELEASE"] == {"Ref": "Release"}, name


def test_a_parameter_alone_is_no_new_version() -> None:
    """SAM does not see the values of parameters: this is why `make deploy` gives a release of its own."""
    assert versions(LogLevel="DEBUG") == versions()


def test_nothing_of_codedeploy_unless_gradual() -> None:
    """Where all calls move at once, and in the local cloud, the stack needs no CodeDeploy, and no alarm stops them."""
    assert not [name for name, one in deployed().items() if one["Type"].startswith("AWS::CodeDeploy")]
    assert not [name for name, one in of_type(deployed(), "AWS::Lambda::Alias").items() if "UpdatePolicy" in one]


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """The name of a stage that deploys bit by bit, with values of its own and built."""
    text = re.sub(r"<([^>]*)>", r"\1", deploy.CONFIGURATION.read_text(encoding="utf-8"))
    configuration, stamp = tmp_path / "samconfig.toml", tmp_path / "inputs"
    configuration.write_text(text, encoding="utf-8")
    stamp.write_text("built", encoding="utf-8")
    monkeypatch.setattr(deploy, "CONFIGURATION", configuration)
    monkeypatch.setattr(build, "STAMP", stamp)
    monkeypatch.setattr(build, "main", lambda _: 0)
    return "production"


def test_the_way_back_asks_no_alarm(stage: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Told to deploy at once, a stage of canaries moves all calls at once; its other parameters stay."""

    def given(*more: str) -> set[str]:
        assert deploy.main([stage, "--dry-run", *more]) == 0
        return {one for one in capsys.readouterr().out.split() if "=" in one and not one.startswith("Release=")}

    assert given() - given("--at-once") == {f"DeploymentType={CANARY}"}
    assert given("--at-once") - given() == {"DeploymentType=AllAtOnce"}


@pytest.mark.parametrize("variables, options", [((), []), (("AT_ONCE=1",), ["--at-once"])])
def test_make_deploys_at_once_when_told(variables: tuple[str, ...], options: list[str]) -> None:
    """`make deploy` moves all calls at once with AT_ONCE, and else as the stage says."""
    asked = ["make", "--no-print-directory", "--dry-run", "--assume-old=setup", "deploy", "STAGE=production"]
    printed = subprocess.run([*asked, *variables], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert printed.partition("tools.deploy ")[2].split() == ["production", *options]


@pytest.mark.parametrize("kind", ["AllAtOnce", CANARY])
def test_no_resource_waits_for_itself(kind: str) -> None:
    """What is made before what has no circle, the groups of CodeDeploy and their alarms included."""
    found = deployed(DeploymentType=kind)
    graph = {
        name: {one for one in references(resource) if one in found} | set(_shared.as_list(resource.get("DependsOn")))
        for name, resource in found.items()
    }
    assert len(list(TopologicalSorter(graph).static_order())) == len(found)


def test_every_alias_moves_gradually_and_back() -> None:
    """With a canary each alias moves by a group of its own, which stops and goes back on the alarms."""
    found = deployed(DeploymentType=CANARY)
    groups = of_type(found, "AWS::CodeDeploy::DeploymentGroup")
    aliases = of_type(found, "AWS::Lambda::Alias")
    moved = {
        one["UpdatePolicy"]["CodeDeployLambdaAliasUpdate"]["DeploymentGroupName"]["Ref"] for one in aliases.values()
    }
    assert moved == set(groups)
    assert len(groups) == len(aliases) == len(of_type(found, "AWS::Lambda::Function"))
    for group in (one["Properties"] for one in groups.values()):
        assert group["AutoRollbackConfiguration"]["Enabled"] is True
        assert "DEPLOYMENT_STOP_ON_ALARM" in group["AutoRollbackConfiguration"]["Events"]
        names = [one["Name"] for one in group["AlarmConfiguration"]["Alarms"]]
        assert names[0] == found["ApiErrorsAlarm"]["Properties"]["AlarmName"]
        assert [one["Fn::If"][:2] for one in names[1:]] == [["IsGradual", {"Ref": name}] for name in ALARMS[1:]]


def test_codedeploy_may_move_every_alias() -> None:
    """The role of CodeDeploy names each function and its alias, and nothing else."""
    found = deployed(DeploymentType=CANARY)
    (policy,) = found["DeploymentRole"]["Properties"]["Policies"]
    (statement,) = [one for one in policy["PolicyDocument"]["Statement"] if one["Sid"] == "Aliases"]
    functions = of_type(found, "AWS::Lambda::Function")
    arns: list[Any] = [{"Fn::GetAtt": [name, "Arn"]} for name in functions]
    arns += [{"Fn::Sub": f"${{{name}.Arn}}:live"} for name in functions]
    assert sorted(map(json.dumps, statement["Resource"])) == sorted(map(json.dumps, arns))


def test_errors_of_every_function_are_watched() -> None:
    """Who is called by a queue, a stream or a schedule is in an alarm on errors; who answers HTTP shows as a 5xx."""
    found = deployed(DeploymentType=CANARY)
    aliases = {
        name: one["Properties"]["FunctionName"]["Ref"] for name, one in of_type(found, "AWS::Lambda::Alias").items()
    }
    called = {
        aliases[one["Properties"]["FunctionName"]["Ref"]]
        for one in of_type(found, "AWS::Lambda::EventSourceMapping").values()
    }
    called |= {
        aliases[one["Properties"]["Target"]["Arn"]["Ref"]]
        for one in of_type(found, "AWS::Scheduler::Schedule").values()
    }
    watched = []
    for name in ("WorkerErrorsAlarm", "ChannelErrorsAlarm"):
        metrics = [one["MetricStat"] for one in found[name]["Properties"]["Metrics"] if "MetricStat" in one]
        assert len(metrics) <= MOST_METRICS
        assert {(one["Metric"]["MetricName"], one["Stat"], one["Period"]) for one in metrics} == {("Errors", "Sum", 60)}
        watched += [one["Metric"]["Dimensions"][0]["Value"]["Ref"] for one in metrics]
    assert sorted(watched) == sorted(called)
    answering = {
        aliases[one["Properties"]["FunctionName"]["Ref"]]
        for one in of_type(found, "AWS::Lambda::Permission").values()
        if one["Properties"]["Principal"] == "apigateway.amazonaws.com"
    }
    assert answering | called == set(of_type(found, "AWS::Lambda::Function"))


def test_failures_without_an_error_are_watched() -> None:
    """Every worker that answers which messages have failed counts them, and an alarm adds up all such counts."""
    for path, module in sources().items():
        answers = [
            value
            for node in ast.walk(module)
            if isinstance(node, ast.Dict)
            for key, value in zip(node.keys, node.values, strict=True)
            if isinstance(key, ast.Constant) and key.value == "batchItemFailures"
        ]
        if any(not isinstance(one, ast.List) or one.elts for one in answers):
            assert "answer_batch(" in path.read_text(encoding="utf-8"), path
    alarm = deployed(DeploymentType=CANARY)["FailedMessagesAlarm"]["Properties"]
    metrics = [one["MetricStat"]["Metric"] for one in alarm["Metrics"] if "MetricStat" in one]
    assert len(metrics) <= MOST_METRICS
    assert {(one["MetricName"], one["Dimensions"][0]["Value"]) for one in metrics} == {
        pair for pair in published() if pair[0] in {"FailedMessages", "FailedTimers"}
    }


def test_a_canary_outlives_an_alarm() -> None:
    """Alarms that take a deployment back need no longer than the first part of any canary of production."""
    found = deployed(DeploymentType=CANARY)
    minutes = int(re.findall(r"(\d+)Minutes", CANARY)[0])
    for name in ALARMS:
        alarm = found[name]["Properties"]
        periods = [one["MetricStat"]["Period"] for one in alarm.get("Metrics", ()) if "MetricStat" in one]
        assert max([*periods, alarm.get("Period", 0)]) * (alarm["EvaluationPeriods"] + 1) <= minutes * 60, name
