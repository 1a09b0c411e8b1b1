"""Alarms: somebody hears of them, and knows what to do."""

from __future__ import annotations

from cfnlint.rules import CloudFormationLintRule, RuleMatch
from cfnlint.template import Template

from tools.house_rules import _shared

PAGES = "docs/operations.md"


class AlarmPage(CloudFormationLintRule):
    """An alarm goes to a topic when it begins and when it ends, says what no data means, and names its page."""

    id = "E9015"
    shortdesc = "Every alarm tells a topic of its begin and its end, treats missing data by choice and names its page"
    description = "An alarm that nobody hears, or with which nobody knows what to do, is none"
    tags = ("house", "cloudwatch")

    def match(self, cfn: Template) -> list[RuleMatch]:
        """Find alarms that leave somebody alone."""
        topics = {name for name, _ in _shared.of_type(cfn, "AWS::SNS::Topic")}
        found = []
        for name, alarm in _shared.of_type(cfn, "AWS::CloudWatch::Alarm"):
            for actions in ("AlarmActions", "OKActions"):
                told = {_shared.target(action) for action in _shared.as_list(alarm.get(actions))}
                if not told & topics:
                    found.append(_shared.at(name, f"needs {actions} to a topic of this template"))
            if "TreatMissingData" not in alarm:
                found.append(_shared.at(name, "needs TreatMissingData"))
            page = f"{PAGES}#{name.lower()}"
            if not str(alarm.get("AlarmDescription", "")).endswith(page):
                found.append(_shared.at(name, f"needs an AlarmDescription that ends with {page}"))
        return found
