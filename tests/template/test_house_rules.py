"""Each house rule bites on a template that breaks it, and on that alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.template.linting import findings, house_rules

GOOD = (Path(__file__).parent / "good.yaml").read_text(encoding="utf-8")

PARTIAL = "FunctionResponseTypes: [ReportBatchItemFailures]"
STREAM_FAILURE = """
            DestinationConfig: {OnFailure: {Type: SQS, Destination: !GetAtt DeadLetters.Arn}}"""
INVOKE_FAILURE = """
      EventInvokeConfig:
        DestinationConfig: {OnFailure: {Type: SQS, Destination: !GetAtt DeadLetters.Arn}}"""
SECOND_FUNCTION = """
  Other:
    Type: AWS::Serverless::Function
    Properties:
      Runtime: python3.13
      CodeUri: src
      Handler: other.handle
      AutoPublishAlias: live
      Role: !GetAtt WorkerRole.Arn
      LoggingConfig: {LogGroup: !Ref WorkLogs}
"""
KEPT_TABLE = """Type: AWS::DynamoDB::Table
    DeletionPolicy: Retain
    UpdateReplacePolicy: Retain
"""
KEPT_BUCKET = """Type: AWS::S3::Bucket
    DeletionPolicy: Retain
    UpdateReplacePolicy: Retain
"""
BUCKET_ENCRYPTION = """
      BucketEncryption:
        ServerSideEncryptionConfiguration: [{ServerSideEncryptionByDefault: {SSEAlgorithm: AES256}}]"""
LONE_QUEUE = """
  Lone:
    Type: AWS::SQS::Queue
    Properties: {SqsManagedSseEnabled: true}
"""
SCHEDULED_RULE = """
  Nightly:
    Type: AWS::Events::Rule
    Properties: {ScheduleExpression: "cron(0 0 * * ? *)", State: ENABLED}
"""

PAST_THE_ALIAS = """
  Past:
    Type: AWS::Lambda::Permission
    Properties: {Action: lambda:InvokeFunction, FunctionName: !Ref Work, Principal: events.amazonaws.com}
"""
INVOKE_CONFIG = """
      EventInvokeConfig: {MaximumRetryAttempts: 1}"""

# What is broken, the rule that must say so, the text that is replaced and what replaces it.
BROKEN = [
    ("another runtime", "E9001", "Runtime: python3.13", "Runtime: python3.12"),
    ("no log group", "E9002", "\n      LoggingConfig: {LogGroup: !Ref WorkLogs}", ""),
    ("log group outside", "E9002", "LogGroup: !Ref WorkLogs", "LogGroup: /aws/lambda/work"),
    ("logs kept for ever", "E9002", "RetentionInDays: 30", "Tags: []"),
    ("stream without destination", "E9003", STREAM_FAILURE, ""),
    ("stream retried for ever", "E9003", "\n            MaximumRetryAttempts: 3", ""),
    ("stream never bisected", "E9003", "\n            BisectBatchOnFunctionError: true", ""),
    ("all or nothing on a queue", "E9003", f"Queue.Arn, {PARTIAL}", "Queue.Arn"),
    ("all or nothing on a stream", "E9003", f"\n            {PARTIAL}", ""),
    ("schedule without dead letters", "E9003", "\n            DeadLetterConfig: {Arn: !GetAtt DeadLetters.Arn}", ""),
    ("asynchronous call without destination", "E9003", INVOKE_FAILURE, ""),
    ("wildcard action", "E9004", "[dynamodb:GetItem, dynamodb:PutItem]", '"dynamodb:*"'),
    ("wildcard resource", "E9004", "Resource: !GetAtt Table.Arn", 'Resource: "*"'),
    (
        "wildcard resource under a condition",
        "E9004",
        "Resource: !GetAtt Table.Arn}",
        """Resource: !GetAtt Table.Arn}
              - !If [IsSandbox, {Effect: Allow, Action: sqs:SendMessage, Resource: "*"}, !Ref AWS::NoValue]""",
    ),
    ("all but one action", "E9004", "Action: [dynamodb:GetItem, dynamodb:PutItem]", "NotAction: dynamodb:DeleteTable"),
    ("SMS, and any topic", "E9004", "Effect: Deny, Action: sns:Publish", "Effect: Deny, Action: sns:Subscribe"),
    ("role made by SAM", "E9004", "\n      Role: !GetAtt WorkerRole.Arn", ""),
    ("shared role", "E9004", "\n  WorkLogs:", f"{SECOND_FUNCTION}\n  WorkLogs:"),
    ("no recovery", "E9005", "PointInTimeRecoveryEnabled: true", "PointInTimeRecoveryEnabled: false"),
    ("unprotected", "E9005", "\n      DeletionProtectionEnabled: !If [IsSandbox, false, true]", ""),
    ("protected in the sandbox only", "E9005", "[IsSandbox, false, true]", "[IsSandbox, true, false]"),
    ("deleted with the stack", "E9005", KEPT_TABLE, KEPT_TABLE.replace("DeletionPolicy: Retain", "", 1)),
    ("deleted when replaced", "E9005", KEPT_TABLE, KEPT_TABLE.replace("UpdateReplacePolicy: Retain", "")),
    ("table in the clear", "E9005", "\n      SSESpecification: {SSEEnabled: true}", ""),
    ("queue without redrive", "E9006", "\n  Topic:", f"{LONE_QUEUE}\n  Topic:"),
    ("queue in the clear", "E9006", "SqsManagedSseEnabled: true", "SqsManagedSseEnabled: false"),
    (
        "dead letters unheard",
        "E9007",
        "MetricName: ApproximateNumberOfMessagesVisible",
        "MetricName: NumberOfMessagesSent",
    ),
    ("alarm on the second message", "E9007", "Threshold: 0", "Threshold: 1"),
    ("schedule in UTC", "E9008", "\n            ScheduleExpressionTimezone: Asia/Shanghai", ""),
    ("scheduled rule", "E9008", "\n  Topic:", f"{SCHEDULED_RULE}\n  Topic:"),
    ("open route", "E9009", 'AuthorizationScopes: ["read"]', "Authorizer: NONE"),
    ("route for any token", "E9009", ', Auth: {AuthorizationScopes: ["read"]}', ""),
    ("sandbox unless told otherwise", "E9010", 'Default: "false"', 'Default: "true"'),
    ("no sandbox parameter default", "E9010", 'Default: "false", ', ""),
    ("bucket that may be opened", "E9011", "\n        BlockPublicPolicy: true", ""),
    ("bucket in the clear", "E9011", BUCKET_ENCRYPTION, ""),
    ("bucket without a lifecycle", "E9011", "\n      LifecycleConfiguration: {Rules: [{", "\n      Tags: [] # [{"),
    ("bucket deleted with the stack", "E9011", KEPT_BUCKET, KEPT_BUCKET.replace("DeletionPolicy: Retain", "", 1)),
    ("bucket deleted when replaced", "E9011", KEPT_BUCKET, KEPT_BUCKET.replace("UpdateReplacePolicy: Retain", "")),
    ("bucket without TLS", "E9011", 'SecureTransport": "false"', 'SecureTransport": "true"'),
    ("TLS for some actions", "E9011", "Action: s3:*", "Action: s3:GetObject"),
    ("TLS for the bucket alone", "E9011", "[!GetAtt Bucket.Arn, !Sub", "[!Sub"),
    ("TLS for some callers", "E9011", 'Principal: "*"', "Principal: {Service: athena.amazonaws.com}"),
    ("TLS that is allowed", "E9011", "Effect: Deny\n", "Effect: Allow\n"),
    ("every folder of a bucket", "E9004", "${Bucket.Arn}/files/*", "${Bucket.Arn}/*"),
    ("any table by its name", "E9004", "${Bucket.Arn}/files/*", "arn:${AWS::Partition}:dynamodb:*:*:table/x*"),
    ("another alias", "E9012", "AutoPublishAlias: live", "AutoPublishAlias: other"),
    ("a caller past the alias", "E9012", "\n  Topic:", f"{PAST_THE_ALIAS}\n  Topic:"),
    ("asynchronous calls without an alias", "E9003", INVOKE_FAILURE, INVOKE_CONFIG),
    ("longer than its queue waits", "E9013", "VisibilityTimeout: 186", "VisibilityTimeout: 179"),
    ("longer than API Gateway waits", "E9013", "Timeout: 30\n      Auto", "Timeout: 31\n      Auto"),
    ("a secret by its name", "E9014", "LIMIT:", "SIGNING_SECRET:"),
    ("a secret by its place", "E9014", 'LIMIT: "1"', 'LIMIT: "{{resolve:secretsmanager:one}}"'),
    ("a secret by its parameter", "E9014", "Type: String, Default", "Type: String, NoEcho: true, Default"),
    ("a variable of Lambda", "E9014", "LIMIT:", "AWS_REGION:"),
    ("alarm that tells nobody", "E9015", "\n      AlarmActions: [!Ref Topic]", ""),
    ("alarm without an end", "E9015", "\n      OKActions: [!Ref Topic]", ""),
    ("alarm of undecided silence", "E9015", "\n      TreatMissingData: notBreaching", ""),
    ("alarm without a page", "E9015", "; docs/operations.md#deadlettersalarm", ""),
    ("alarm with another one's page", "E9015", "#deadlettersalarm", "#otheralarm"),
    ("schedule that SAM names", "E9016", "\n            OmitName: true", ""),
    ("name that only one stack can have", "E9016", "!Sub ${AWS::StackName}-dead-letters", "dead-letters"),
]


def test_good_template_is_clean() -> None:
    """A template that keeps the rules trips none of them."""
    assert findings(GOOD) == []


@pytest.mark.parametrize("rule,old,new", [case[1:] for case in BROKEN], ids=[case[0] for case in BROKEN])
def test_rule_bites(rule: str, old: str, new: str) -> None:
    """A template that breaks one rule trips that rule and no other."""
    assert old in GOOD
    found = findings(GOOD.replace(old, new))
    assert {name for name, _ in found} == {rule}


def test_every_rule_is_tested() -> None:
    """No house rule is without a template that trips it."""
    assert {rule.id for rule in house_rules().rules.values()} == {rule for _, rule, _, _ in BROKEN}
