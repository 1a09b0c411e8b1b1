"""Functions: runtime, logs, and where failed events go."""

from __future__ import annotations

import re

from cfnlint.rules import CloudFormationLintRule, RuleMatch
from cfnlint.template import Template

from tools.house_rules import _shared

ALIAS = "live"
# What Lambda sets itself.
RESERVED = re.compile(r"_|AWS_(?!EC2_METADATA_DISABLED$)|LAMBDA_|TZ$|PATH$|PYTHONPATH$")
SECRET = re.compile(r"SECRET|PASSWORD|PASSWD|TOKEN|CREDENTIAL|PRIVATE|API_?KEY|ACCESS_?KEY")
# As long as API Gateway waits for a function.
HTTP_SECONDS = 30


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
            (_shared.target(config.get("FunctionName")), config.get("Qualifier"))
            for _, config in _shared.of_type(cfn, "AWS::Lambda::EventInvokeConfig")
            if config.get("DestinationConfig", {}).get("OnFailure")
        }
        aliases = dict(_shared.of_type(cfn, "AWS::Lambda::Alias"))
        found = []
        for name, schedule in _shared.of_type(cfn, "AWS::Scheduler::Schedule"):
            aim = schedule.get("Target", {})
            if not aim.get("DeadLetterConfig"):
                found.append(_shared.at(name, "needs a DeadLetterConfig"))
            called = aliases.get(str(_shared.target(aim.get("Arn"))), {})
            if (_shared.target(called.get("FunctionName")), called.get("Name")) not in caught:
                found.append(
                    _shared.at(name, "calls its function asynchronously: that needs an on-failure destination")
                )
        return found


class FunctionAlias(CloudFormationLintRule):
    """Calls can move from one version to the next, and back, only where all of them name the alias."""

    id = "E9012"
    shortdesc = "Every function has the alias live, and whatever calls a function calls its alias"
    description = "A caller of the function itself would get new code at once, past canary and rollback"
    tags = ("house", "lambda", "deployment")

    def match(self, cfn: Template) -> list[RuleMatch]:
        """Find functions without the alias, and callers that go past it."""
        live = {name for name, alias in _shared.of_type(cfn, "AWS::Lambda::Alias") if alias.get("Name") == ALIAS}
        aliases = _shared.aliases(cfn)
        reached = {aliases[name] for name in live}
        found = [
            _shared.at(name, f"needs AutoPublishAlias: {ALIAS}")
            for name, _ in _shared.of_type(cfn, "AWS::Lambda::Function")
            if name not in reached
        ]
        return found + [
            _shared.at(name, "calls a function past its alias")
            for name, called in _shared.callers(cfn)
            if _shared.target(called) in reached
        ]


class FunctionTimeout(CloudFormationLintRule):
    """Nothing goes to a second worker while the first may still be at it, and no caller gives up before the end."""

    id = "E9013"
    shortdesc = "A function's time-out is a sixth of its queue's visibility at most, and 30 s behind the HTTP API"
    description = "A message that becomes visible too early is worked on twice; API Gateway waits for 30 s"
    tags = ("house", "lambda", "sqs")

    def match(self, cfn: Template) -> list[RuleMatch]:
        """Find functions that run on after their caller has given up."""
        functions, queues = dict(_shared.of_type(cfn, "AWS::Lambda::Function")), _shared.of_type(cfn, "AWS::SQS::Queue")
        visible = {name: queue.get("VisibilityTimeout", 30) for name, queue in queues}
        aliases = _shared.aliases(cfn)
        found = []
        for _, mapping in _shared.of_type(cfn, "AWS::Lambda::EventSourceMapping"):
            queue, name = (_shared.target(mapping.get(end)) for end in ("EventSourceArn", "FunctionName"))
            function = str(aliases.get(str(name), name))
            if queue in visible and 6 * functions[function].get("Timeout", 3) > visible[queue]:
                found.append(_shared.at(function, f"may run for more than a sixth of the visibility of {queue}"))
        for _, permission in _shared.of_type(cfn, "AWS::Lambda::Permission"):
            name = _shared.target(permission.get("FunctionName"))
            function = str(aliases.get(str(name), name))
            if (
                permission.get("Principal") == "apigateway.amazonaws.com"
                and functions[function].get("Timeout", 3) > HTTP_SECONDS
            ):
                found.append(_shared.at(function, f"may run for more than {HTTP_SECONDS} s behind the HTTP API"))
        return found


class FunctionEnvironment(CloudFormationLintRule):
    """Whoever may look at a function's settings sees its environment, and so does every log that prints it."""

    id = "E9014"
    shortdesc = "No secrets and no names that Lambda reserves in the environment of functions"
    description = "Environment variables are readable by everybody who may describe the function"
    tags = ("house", "lambda")

    def match(self, cfn: Template) -> list[RuleMatch]:
        """Find variables that hold what nobody may see, or that Lambda would refuse."""
        found = []
        for name, function in _shared.of_type(cfn, "AWS::Lambda::Function"):
            for variable, value in function.get("Environment", {}).get("Variables", {}).items():
                if RESERVED.match(variable):
                    found.append(_shared.at(name, f"{variable} is reserved by Lambda"))
                secret = SECRET.search(variable) or "{{resolve:" in str(value)
                parameter = cfn.template.get("Parameters", {}).get(str(_shared.target(value)), {})
                if secret or parameter.get("NoEcho"):
                    found.append(_shared.at(name, f"{variable} looks like a secret"))
        return found
