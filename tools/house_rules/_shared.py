"""What several rules need: the template after the SAM transform, and ways to walk it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import boto3
from cfnlint.rules import RuleMatch
from cfnlint.template import Template
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

type Properties = dict[str, Any]

# Only for words that contain a region; nothing is asked of AWS.
REGION = "ap-southeast-1"
# Stands in for local code, which the transform does not take.
PACKAGE = {"Bucket": "bucket", "Key": "key"}


@lru_cache(maxsize=4)
def _transformed(template: str) -> dict[str, Properties]:
    source = json.loads(template)
    if "Transform" in source:
        for resource in source["Resources"].values():
            if resource["Type"] == "AWS::Serverless::LayerVersion":
                resource["Properties"]["ContentUri"] = PACKAGE
            if resource["Type"] == "AWS::Serverless::Function":
                resource["Properties"]["CodeUri"] = PACKAGE
        source.get("Globals", {}).get("Function", {}).pop("CodeUri", None)
        given = {name: parameter.get("Default", name) for name, parameter in source.get("Parameters", {}).items()}
        translator = Translator({}, Parser(), boto_session=boto3.Session(region_name=REGION))
        source = translator.translate(source, given)
    found: dict[str, Properties] = source.get("Resources", {})
    return found


def resources(cfn: Template) -> dict[str, Properties]:
    """The resources that would be deployed, by logical name."""
    return _transformed(json.dumps(cfn.template))


def of_type(cfn: Template, kind: str) -> Iterator[tuple[str, Properties]]:
    """Name and properties of each resource of a CloudFormation type."""
    for name, resource in resources(cfn).items():
        if resource.get("Type") == kind:
            yield name, resource.get("Properties", {})


def target(value: object) -> str | None:
    """Name of the resource that a `Ref` or `Fn::GetAtt` points at, else None."""
    if not isinstance(value, dict):
        return None
    if "Ref" in value:
        return str(value["Ref"])
    attribute = value.get("Fn::GetAtt")
    if isinstance(attribute, list):
        return str(attribute[0])
    return None if attribute is None else str(attribute).split(".", maxsplit=1)[0]


def as_list(value: object) -> list[Any]:
    """A list as it is, nothing as no element, anything else as one."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def branches(value: object) -> list[Any]:
    """What a value may become: both sides of each `Fn::If`, without `AWS::NoValue`."""
    if isinstance(value, dict) and "Fn::If" in value:
        return [branch for side in value["Fn::If"][1:] for branch in branches(side)]
    if isinstance(value, dict) and value.get("Ref") == "AWS::NoValue":
        return []
    return [value]


def aliases(cfn: Template) -> dict[str, str | None]:
    """For each alias the function that it is of."""
    return {name: target(alias.get("FunctionName")) for name, alias in of_type(cfn, "AWS::Lambda::Alias")}


def callers(cfn: Template) -> Iterator[tuple[str, object]]:
    """Name and called function of everything that calls one."""
    for kind in ("AWS::Lambda::EventSourceMapping", "AWS::Lambda::Permission"):
        for name, properties in of_type(cfn, kind):
            yield name, properties.get("FunctionName")
    for name, schedule in of_type(cfn, "AWS::Scheduler::Schedule"):
        yield name, schedule.get("Target", {}).get("Arn")


def dead_letter_queues(cfn: Template) -> set[str]:
    """Queues that something is sent to when it has failed: redrive, on-failure destinations, schedules."""
    found: set[str | None] = set()
    for _, queue in of_type(cfn, "AWS::SQS::Queue"):
        found.add(target(queue.get("RedrivePolicy", {}).get("deadLetterTargetArn")))
    for kind in ("AWS::Lambda::EventSourceMapping", "AWS::Lambda::EventInvokeConfig"):
        for _, properties in of_type(cfn, kind):
            found.add(target(properties.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination")))
    for _, schedule in of_type(cfn, "AWS::Scheduler::Schedule"):
        found.add(target(schedule.get("Target", {}).get("DeadLetterConfig", {}).get("Arn")))
    for _, rule in of_type(cfn, "AWS::Events::Rule"):
        found |= {target(aim.get("DeadLetterConfig", {}).get("Arn")) for aim in as_list(rule.get("Targets"))}
    for _, subscription in of_type(cfn, "AWS::SNS::Subscription"):
        found.add(target(subscription.get("RedrivePolicy", {}).get("deadLetterTargetArn")))
    return {name for name in found if name is not None}


def at(resource: str, message: str) -> RuleMatch:
    """A finding at a resource."""
    return RuleMatch(["Resources", resource], f"{resource}: {message}")
