"""Parameters: safe unless told otherwise."""

from __future__ import annotations

from cfnlint.rules import CloudFormationLintRule, RuleMatch
from cfnlint.template import Template


class SandboxDefault(CloudFormationLintRule):
    """Whoever forgets the parameter gets real time."""

    id = "E9010"
    shortdesc = "The parameter Sandbox is false unless given"
    description = "A sandbox stack's clock is set by hand: no production stack may become one by accident"
    tags = ("house", "parameters")

    def match(self, cfn: Template) -> list[RuleMatch]:
        """Find a template whose stack could be a sandbox by accident."""
        sandbox = cfn.template.get("Parameters", {}).get("Sandbox", {})
        if sandbox.get("Default") == "false" and sorted(sandbox.get("AllowedValues", [])) == [
            "false",
            "true",
        ]:
            return []
        return [RuleMatch(["Parameters"], 'Sandbox needs Default "false" and AllowedValues ["true", "false"]')]
