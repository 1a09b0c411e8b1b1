"""Queues: what fails is kept, and somebody hears of it."""

from __future__ import annotations

from cfnlint.rules import CloudFormationLintRule, RuleMatch
from cfnlint.template import Template

from tools.house_rules import _shared

DEPTH = "ApproximateNumberOfMessagesVisible"


class QueueRedrive(CloudFormationLintRule):
    """A message that cannot be handled leaves the queue for another one, and is encrypted in both."""

    id = "E9006"
    shortdesc = "Every queue has a redrive policy or is a dead-letter queue, and is encrypted"
    description = "Without redrive a poisoned message is tried until it expires, and then is gone"
    tags = ("house", "sqs")

    def match(self, cfn: Template) -> list[RuleMatch]:
        """Find queues that lose messages or keep them in the clear."""
        dead = _shared.dead_letter_queues(cfn)
        found = []
        for name, queue in _shared.of_type(cfn, "AWS::SQS::Queue"):
            if "RedrivePolicy" not in queue and name not in dead:
                found.append(_shared.at(name, "needs a RedrivePolicy, or to be some source's dead-letter queue"))
            if queue.get("SqsManagedSseEnabled") is not True and "KmsMasterKeyId" not in queue:
                found.append(_shared.at(name, "needs SqsManagedSseEnabled or KmsMasterKeyId"))
        return found


class DeadLetterAlarm(CloudFormationLintRule):
    """A dead letter is work for a person."""

    id = "E9007"
    shortdesc = "Every dead-letter queue has an alarm on its first message"
    description = "A dead letter is usage, a bill or a notice that is missing: somebody must hear of it"
    tags = ("house", "sqs", "cloudwatch")

    def match(self, cfn: Template) -> list[RuleMatch]:
        """Find dead-letter queues that fill up unheard."""
        watched = {
            _shared.target(dimension.get("Value"))
            for _, alarm in _shared.of_type(cfn, "AWS::CloudWatch::Alarm")
            for dimension in _shared.as_list(alarm.get("Dimensions"))
            if alarm.get("MetricName") == DEPTH
            and (alarm.get("Threshold"), alarm.get("ComparisonOperator")) == (0, "GreaterThanThreshold")
        }
        return [
            _shared.at(name, f"needs an alarm on {DEPTH} > 0")
            for name in sorted(_shared.dead_letter_queues(cfn) - watched)
        ]
