"""Names: two stacks of one account do not collide."""

from __future__ import annotations

from cfnlint.rules import CloudFormationLintRule, RuleMatch
from cfnlint.template import Template

from tools.house_rules import _shared

# By type the property that names a resource for the whole account and region.
NAMED = {
    "AWS::Athena::WorkGroup": "Name",
    "AWS::CloudWatch::Alarm": "AlarmName",
    "AWS::CloudWatch::Dashboard": "DashboardName",
    "AWS::DynamoDB::Table": "TableName",
    "AWS::Events::EventBus": "Name",
    "AWS::Events::Rule": "Name",
    "AWS::IAM::Role": "RoleName",
    "AWS::KinesisFirehose::DeliveryStream": "DeliveryStreamName",
    "AWS::Lambda::Function": "FunctionName",
    "AWS::Logs::LogGroup": "LogGroupName",
    "AWS::S3::Bucket": "BucketName",
    "AWS::SES::ConfigurationSet": "Name",
    "AWS::SNS::Topic": "TopicName",
    "AWS::SQS::Queue": "QueueName",
    "AWS::Scheduler::Schedule": "Name",
}


class StackNames(CloudFormationLintRule):
    """CloudFormation makes the names up, or the stack's name or a parameter is in them."""

    id = "E9016"
    shortdesc = "A resource with a name of its own has the stack's name or a parameter in it"
    description = "With a fixed name the second stack of an account cannot be made, and no resource can be replaced"
    tags = ("house", "names")

    def match(self, cfn: Template) -> list[RuleMatch]:
        """Find names that only one stack can have."""
        free = [f"${{{name}}}" for name in (*cfn.template.get("Parameters", {}), "AWS::StackName")]
        return [
            _shared.at(name, f"its {prop} needs ${{AWS::StackName}} or a parameter in it")
            for kind, prop in NAMED.items()
            for name, properties in _shared.of_type(cfn, kind)
            if prop in properties and not any(one in _text(properties[prop]) for one in free)
        ]


def _text(name: object) -> str:
    """A name with what is put into it in `${}`."""
    if isinstance(name, dict):
        return str(name.get("Fn::Sub", f"${{{name.get('Ref')}}}"))
    return str(name)
