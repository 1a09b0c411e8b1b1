"""What the local cloud reads off a template."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from local.template import Authorizer, Route, Schedule, Template

if TYPE_CHECKING:
    from pathlib import Path

TEXT = """
AWSTemplateFormatVersion: 2010-09-09
Parameters:
  Sandbox: {Type: String, Default: "false"}
  Issuer: {Type: String}
Conditions:
  IsSandbox: !Equals [!Ref Sandbox, "true"]
  IsReal: !Not [!Condition IsSandbox]
Resources:
  Api:
    Type: AWS::Serverless::HttpApi
    Properties:
      Auth:
        DefaultAuthorizer: Jwt
        Authorizers:
          Jwt:
            JwtConfiguration: {issuer: !Sub "https://${Issuer}", audience: [a, b]}
  Table: {Type: AWS::DynamoDB::Table}
  Work: {Type: AWS::SQS::Queue}
  Dead: {Type: AWS::SQS::Queue}
  OnlyReal: {Type: AWS::SQS::Queue, Condition: IsReal}
  Told: {Type: AWS::SQS::Queue}
  Bounced: {Type: AWS::SQS::Queue}
  Topic: {Type: AWS::SNS::Topic}
  Rule: {Type: AWS::Events::Rule, Properties: {Targets: [{Id: queue, Arn: !GetAtt Told.Arn}]}}
  Mail: {Type: AWS::SNS::Subscription, Properties: {Protocol: email, Endpoint: a@example.com}}
  Subscription: {Type: AWS::SNS::Subscription, Properties: {Protocol: sqs, Endpoint: !GetAtt Bounced.Arn}}
  One:
    Type: AWS::Serverless::Function
    Properties:
      Events:
        Get:
          Type: HttpApi
          Properties: {ApiId: !Ref Api, Method: get, Path: "/x/{id}", Auth: {AuthorizationScopes: [r, w]}}
        Health:
          Type: HttpApi
          Properties: {ApiId: !Ref Api, Method: GET, Path: /healthz, Auth: {Authorizer: NONE}}
        Queue: {Type: SQS, Properties: {Queue: !GetAtt Work.Arn}}
        Stream: {Type: DynamoDB, Properties: {Stream: !GetAtt Table.StreamArn}}
  Two:
    Type: AWS::Serverless::Function
    Properties:
      Events:
        Morning:
          Type: ScheduleV2
          Properties:
            ScheduleExpression: cron(0 8 * * ? *)
            ScheduleExpressionTimezone: Asia/Shanghai
            Name: !Sub ${AWS::StackName}-Morning
            State: !If [IsSandbox, DISABLED, ENABLED]
            Input: '{"pass":"plan"}'
        Never: {Type: ScheduleV2, Properties: {ScheduleExpression: rate(1 day), State: DISABLED}}
"""


@pytest.fixture
def template(tmp_path: Path) -> Template:
    """The template above, in a sandbox."""
    path = tmp_path / "template.yaml"
    path.write_text(TEXT, encoding="utf-8")
    return Template.load(
        path, {"Sandbox": "true", "Issuer": "issuer.test", "Unknown": "x"}, {"AWS::StackName": "stack"}
    )


def test_routes(template: Template) -> None:
    """A route has its function, its scopes and the authorizer with its parameters worked out, or none."""
    authorizer = Authorizer("https://issuer.test", ("a", "b"))
    assert template.routes() == [
        Route("GET", "/x/{id}", "One", authorizer, ("r", "w")),
        Route("GET", "/healthz", "One", None, ()),
    ]


def test_schedules(template: Template) -> None:
    """The schedules are those that run in production, also where the sandbox switches them off."""
    assert template.schedules() == [
        Schedule("stack-Morning", "cron(0 8 * * ? *)", "Asia/Shanghai", "Two", '{"pass":"plan"}')
    ]


def test_queues_and_streams(template: Template) -> None:
    """Queues and streams that call a function are worked off; dead-letter queues are not."""
    assert template.working_queues() == ["Work"]
    assert template.streamed_tables() == ["Table"]


def test_fed_queues(template: Template) -> None:
    """Queues behind a rule of a bus or a subscription of a topic are filled by these; no other queue is."""
    assert template.fed_queues() == {"Told", "Bounced"}


def test_conditional_resources(template: Template) -> None:
    """A resource whose condition does not hold is not there."""
    assert [name for name, _ in template.of_type("AWS::SQS::Queue")] == ["Work", "Dead", "Told", "Bounced"]
    real = template.with_parameters(Sandbox="false")
    assert [name for name, _ in real.of_type("AWS::SQS::Queue")] == ["Work", "Dead", "OnlyReal", "Told", "Bounced"]


def test_only_declared_parameters(template: Template) -> None:
    """Values for parameters that the template does not have are left out, and its version stays text."""
    assert template.parameters == {"Sandbox": "true", "Issuer": "issuer.test"}
    assert template.document["AWSTemplateFormatVersion"] == "2010-09-09"
