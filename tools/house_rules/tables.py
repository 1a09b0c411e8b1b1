"""Tables: nothing that is charged can be lost by a slip."""

from __future__ import annotations

from cfnlint.rules import CloudFormationLintRule, RuleMatch
from cfnlint.template import Template

from tools.house_rules import _shared

PROTECTED = (True, {"Fn::If": ["IsSandbox", False, True]})


class TableProtection(CloudFormationLintRule):
    """Point-in-time recovery, deletion protection (but in a sandbox), Retain and encryption."""

    id = "E9005"
    shortdesc = "Tables have point-in-time recovery, deletion protection, Retain and encryption"
    description = "A wrong click, a renamed resource or a deleted stack must not take the ledger with it"
    tags = ("house", "dynamodb")

    def match(self, cfn: Template) -> list[RuleMatch]:
        """Find tables that a slip could lose."""
        found = []
        for name, table in _shared.of_type(cfn, "AWS::DynamoDB::Table"):
            resource = _shared.resources(cfn)[name]
            if table.get("PointInTimeRecoverySpecification", {}).get("PointInTimeRecoveryEnabled") is not True:
                found.append(_shared.at(name, "needs PointInTimeRecoveryEnabled"))
            if table.get("DeletionProtectionEnabled") not in PROTECTED:
                found.append(_shared.at(name, "needs DeletionProtectionEnabled; only IsSandbox may switch it off"))
            if table.get("SSESpecification", {}).get("SSEEnabled") is not True:
                found.append(_shared.at(name, "needs SSEEnabled"))
            found += [
                _shared.at(name, f"needs {policy}: Retain")
                for policy in ("DeletionPolicy", "UpdateReplacePolicy")
                if resource.get(policy) != "Retain"
            ]
        return found
