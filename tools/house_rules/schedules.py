"""Schedules: civil time is Beijing time (D1)."""

from __future__ import annotations

from cfnlint.rules import CloudFormationLintRule, RuleMatch
from cfnlint.template import Template

from tools.house_rules import _shared


class ScheduleTimezone(CloudFormationLintRule):
    """08:00 is 08:00 in Asia/Shanghai (D3); the scheduler's own default is UTC."""

    id = "E9008"
    shortdesc = "Schedules name the time zone Asia/Shanghai"
    description = "Without a zone a schedule is in UTC: eight hours late; EventBridge rules have no zone at all"
    tags = ("house", "scheduler")

    def match(self, cfn: Template) -> list[RuleMatch]:
        """Find schedules in another zone or without one."""
        found = [
            _shared.at(name, "needs ScheduleExpressionTimezone: Asia/Shanghai")
            for name, schedule in _shared.of_type(cfn, "AWS::Scheduler::Schedule")
            if schedule.get("ScheduleExpressionTimezone") != "Asia/Shanghai"
        ]
        return found + [
            _shared.at(name, "is a scheduled rule, which knows no time zone; use ScheduleV2")
            for name, rule in _shared.of_type(cfn, "AWS::Events::Rule")
            if "ScheduleExpression" in rule
        ]
