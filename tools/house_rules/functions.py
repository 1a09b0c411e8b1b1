"""Functions: runtime, logs, and where failed events go."""

from __future__ import annotations

from cfnlint.rules import CloudFormationLintRule, RuleMatch
from cfnlint.template import Template

from tools.house_rules import _shared


class FunctionRuntime(CloudFormationLintRule):
    """One Python for all: the bytecode of the layers is made for it."""

    id = "E9001"
    shortdesc = "Functions run on python3.13"
    description = "The layers ship bytecode and binary wheels of one Python version"
    tags = ("house", "lambda")

    def match(self, cfn: Template) -> list[RuleMatch]:
        """Find functions on another runtime."""
        return [
            _shared.at(name, "Runtime must be python3.13")
            for name, function in _shared.of_type(cfn, "AWS::Lambda::Function")
            if function.get("Runtime") != "python3.13"
        ]


class FunctionLogGroup(CloudFormationLintRule):
    """The log group that Lambda makes by itself keeps everything for ever."""

    id = "E9002"
    shortdesc = "Functions log to a log group of the template, and every log group has a retention"
    description = "A log group that Lambda makes by itself is kept for ever and survives the stack"
    tags = ("house", "lambda", "logs")

    def match(self, cfn: Template) -> list[RuleMatch]:
        """Find functions without a log group of their own and log groups without retention."""
        groups = dict(_shared.of_type(cfn, "AWS::Logs::LogGroup"))
        found = [
            _shared.at(name, "needs LoggingConfig.LogGroup that refers to a log group of this template")
            for name, function in _shared.of_type(cfn, "AWS::Lambda::Function")
            if _shared.target(function.get("LoggingConfig", {}).get("LogGroup")) not in groups
        ]
        return found + [
            _shared.at(name, "needs RetentionInDays")
            for name, group in groups.items()
            if not group.get("RetentionInDays")
        ]


class FailureDestination(CloudFormationLintRule):
    """An event that fails for good lies somewhere afterwards, whatever brought it."""

    id = "E9003"
    shortdesc = "What an asynchronous, stream or queue source cannot deliver goes to a dead-letter queue"
    description = "Streams and schedules need an on-failure destination, queues a redrive policy, all partial failures"
    tags = ("house", "lambda")

    def match(self, cfn: Template) -> list[RuleMatch]:
        """Find event sources that would drop an event in silence."""
        return [*self._mappings(cfn), *self._schedules(cfn)]

    @staticmethod
    def _mappings(cfn: Template) -> list[RuleMatch]:
        queues = dict(_shared.of_type(cfn, "AWS::SQS::Queue"))
        found = []
        for name, mapping in _shared.of_type(cfn, "AWS::Lambda::EventSourceMapping"):
            if "ReportBatchItemFailures" not in _shared.as_list(mapping.get("FunctionResponseTypes")):
                found.append(_shared.at(name, "needs FunctionResponseTypes: [ReportBatchItemFailures]"))
            source = _shared.target(mapping.get("EventSourceArn"))
            if source in queues:
                if "RedrivePolicy" not in queues[source]:
                    found.append(_shared.at(name, f"its queue {source} needs a RedrivePolicy"))
            elif not mapping.get("DestinationConfig", {}).get("OnFailure"):
                found.append(_shared.at(name, "needs DestinationConfig.OnFailure"))
            elif mapping.get("MaximumRetryAttempts", -1) == -1 or not mapping.get("BisectBatchOnFunctionError"):
                found.append(_shared.at(name, "needs MaximumRetryAttempts and BisectBatchOnFunctionError"))
        return found

    @staticmethod
    def _schedules(cfn: Template) -> list[RuleMatch]:
        caught = {
            _shared.target(config.get("FunctionName"))
            for _, config in _shared.of_type(cfn, "AWS::Lambda::EventInvokeConfig")
            if config.get("DestinationConfig", {}).get("OnFailure")
        }
        caught |= {
            name for name, function in _shared.of_type(cfn, "AWS::Lambda::Function") if "DeadLetterConfig" in function
        }
        found = []
        for name, schedule in _shared.of_type(cfn, "AWS::Scheduler::Schedule"):
            aim = schedule.get("Target", {})
            if not aim.get("DeadLetterConfig"):
                found.append(_shared.at(name, "needs a DeadLetterConfig"))
            if _shared.target(aim.get("Arn")) not in caught:
                found.append(
                    _shared.at(name, "calls its function asynchronously: that needs an on-failure destination")
                )
        return found
