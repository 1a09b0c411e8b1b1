"""IAM policies: least privilege, in the open."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from typing import Any

from cfnlint.rules import CloudFormationLintRule, RuleMatch
from cfnlint.template import Template

from tools.house_rules import _shared

# Actions for which IAM knows no resource.
WITHOUT_RESOURCE = frozenset({"xray:PutTraceSegments", "xray:PutTelemetryRecords", "cloudwatch:DescribeAlarms"})
# What an asterisk at the end of a resource may stand for.
OPEN_ENDED = (
    re.compile(r"\$\{\w*Bucket\.Arn\}/[a-z-]+/"),  # whatever is in one folder of a bucket
    re.compile(r"\$\{\w*Table\.Arn\}/stream/"),  # a table's streams, whose names are times
    re.compile(
        r"arn:.*:ses:.*:identity/"
    ),  # senders are limited by ses:FromAddress; in its sandbox SES asks recipients, too
)
# Of SMS and of topics alike: phone numbers have no ARN, topics have. Who may do it to anything must be denied topics.
PUBLISH = "sns:Publish"


class LeastPrivilege(CloudFormationLintRule):
    """A role's rights are all in this file, and each names what it is for."""

    id = "E9004"
    shortdesc = "No wildcard actions or resources, no managed policies, a role of its own for each function"
    description = "Managed policies, SAM's own among them, reach every table and queue of the account"
    tags = ("house", "iam")

    def match(self, cfn: Template) -> list[RuleMatch]:
        """Find rights that reach further than named."""
        found = []
        for name, role in _shared.of_type(cfn, "AWS::IAM::Role"):
            if role.get("ManagedPolicyArns"):
                found.append(_shared.at(name, "has managed policies"))
            statements = list(self._statements(role))
            unnamed = WITHOUT_RESOURCE | ({PUBLISH} if any(map(_denies_topics, statements)) else set())
            for statement in statements:
                found += [_shared.at(name, fault) for fault in self._faults(statement, unnamed)]
        roles: set[str | None] = set()
        for name, function in _shared.of_type(cfn, "AWS::Lambda::Function"):
            role_name = _shared.target(function.get("Role"))
            if role_name in roles:
                found.append(_shared.at(name, f"shares the role {role_name} with another function"))
            roles.add(role_name)
        return found

    @staticmethod
    def _statements(role: dict[str, Any]) -> Iterator[dict[str, Any]]:
        for entry in _shared.as_list(role.get("Policies")):
            for policy in _shared.branches(entry):
                for statement in _shared.as_list(policy.get("PolicyDocument", {}).get("Statement")):
                    yield from _shared.branches(statement)

    @staticmethod
    def _faults(statement: dict[str, Any], unnamed: AbstractSet[str]) -> Iterator[str]:
        if statement.get("Effect") != "Allow":
            return
        if "NotAction" in statement or "NotResource" in statement:
            yield "NotAction and NotResource allow what nobody thought of"
        actions = [str(action) for action in _shared.as_list(statement.get("Action"))]
        yield from (f"wildcard action {action}" for action in actions if "*" in action)
        if "*" in _shared.as_list(statement.get("Resource")) and not set(actions) <= unnamed:
            yield f"resource * for {', '.join(actions)}"
        for resource in _shared.as_list(statement.get("Resource")):
            text = str(resource.get("Fn::Sub", "") if isinstance(resource, dict) else resource)
            if "*" in text and text != "*" and not any(one.fullmatch(text[:-1]) for one in OPEN_ENDED):
                yield f"wildcard resource {text}"


def _denies_topics(statement: dict[str, Any]) -> bool:
    """Whether a statement keeps a role from publishing to topics, of whatever region and account."""
    resources = [json.dumps(resource) for resource in _shared.as_list(statement.get("Resource"))]
    actions = _shared.as_list(statement.get("Action"))
    return statement.get("Effect") == "Deny" and PUBLISH in actions and any(":sns:*:*:*" in one for one in resources)
