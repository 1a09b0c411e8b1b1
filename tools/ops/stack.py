"""A deployed stack as the operator's commands see it: its resources by logical id, its clients, its business time."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from aws_platform import clock
from aws_platform.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodbstreams import DynamoDBStreamsClient
    from mypy_boto3_firehose import FirehoseClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_scheduler import EventBridgeSchedulerClient
    from mypy_boto3_sqs import SQSClient

QUEUE = "AWS::SQS::Queue"
FUNCTION = "AWS::Lambda::Function"
ALIAS = "AWS::Lambda::Alias"
MAPPING = "AWS::Lambda::EventSourceMapping"
SCHEDULE = "AWS::Scheduler::Schedule"
ALARM = "AWS::CloudWatch::Alarm"
_LONGEST_FUNCTION_SECONDS = 910
"""What is waited for an answer of a function: a little longer than the longest may run."""
_GONE = {"DELETE_COMPLETE", "DELETE_SKIPPED"}


class OpsError(Exception):
    """A command cannot be done; the text says why, and what to do instead."""


@dataclass(frozen=True)
class Stack:
    """One stack, found through CloudFormation with the caller's credentials."""

    name: str
    endpoint: str = ""
    """Another endpoint than AWS's."""
    _clients: dict[str, Any] = field(default_factory=dict, init=False, repr=False)

    # Clients

    def client(self, service: str) -> Any:
        """A client of the service."""
        if service not in self._clients:
            attempts = 1 if service == "lambda" else 4
            config = Config(
                read_timeout=_LONGEST_FUNCTION_SECONDS if service == "lambda" else 60,
                retries={"mode": "standard", "total_max_attempts": attempts},
                s3={"addressing_style": "path" if self.endpoint else "auto"},
            )
            make: Any = boto3.client
            self._clients[service] = make(service, endpoint_url=self.endpoint or None, config=config)
        return self._clients[service]

    @property
    def formation(self) -> CloudFormationClient:
        """CloudFormation."""
        client: CloudFormationClient = self.client("cloudformation")
        return client

    @property
    def dynamodb(self) -> DynamoDBClient:
        """DynamoDB."""
        client: DynamoDBClient = self.client("dynamodb")
        return client

    @property
    def streams(self) -> DynamoDBStreamsClient:
        """The tables' streams."""
        client: DynamoDBStreamsClient = self.client("dynamodbstreams")
        return client

    @property
    def functions(self) -> LambdaClient:
        """Lambda. Calls are not sent again by themselves."""
        client: LambdaClient = self.client("lambda")
        return client

    @property
    def sqs(self) -> SQSClient:
        """SQS."""
        client: SQSClient = self.client("sqs")
        return client

    @property
    def s3(self) -> S3Client:
        """S3."""
        client: S3Client = self.client("s3")
        return client

    @property
    def firehose(self) -> FirehoseClient:
        """Firehose."""
        client: FirehoseClient = self.client("firehose")
        return client

    @property
    def scheduler(self) -> EventBridgeSchedulerClient:
        """EventBridge Scheduler."""
        client: EventBridgeSchedulerClient = self.client("scheduler")
        return client

    # Resources

    @cached_property
    def resources(self) -> Mapping[str, tuple[str, str]]:
        """(Type, physical id) by logical id."""
        pages = self.formation.get_paginator("list_stack_resources").paginate(StackName=self.name)
        return {
            one["LogicalResourceId"]: (one["ResourceType"], one["PhysicalResourceId"])
            for page in pages
            for one in page["StackResourceSummaries"]
            if one["ResourceStatus"] not in _GONE
        }

    def physical(self, logical: str) -> str:
        """The physical id of a resource. Raises OpsError where the stack has none of this name."""
        if logical not in self.resources:
            msg = f"stack {self.name} has no {logical or 'resource without a name'}"
            raise OpsError(msg)
        return self.resources[logical][1]

    def of_type(self, kind: str) -> dict[str, str]:
        """Physical ids by logical id of the resources of a type, in the order of their names."""
        return {name: physical for name, (one, physical) in sorted(self.resources.items()) if one == kind}

    def logical(self, physical: str) -> str:
        """The logical id of a function or queue, by its name, its URL or its ARN, with an alias or not."""
        for name, (_, known) in self.resources.items():
            own = known.rpartition("/")[2]
            if own and own in physical.replace("/", ":").split(":"):
                return name
        return physical

    @cached_property
    def parameters(self) -> Mapping[str, str]:
        """The values of the template's parameters."""
        (described,) = self.formation.describe_stacks(StackName=self.name)["Stacks"]
        return {one["ParameterKey"]: one["ParameterValue"] for one in described.get("Parameters", [])}

    @cached_property
    def settings(self) -> Settings:
        """What the template tells its functions."""
        sandbox = self.parameters.get("Sandbox", "false")
        return Settings.from_environment(
            {
                "USAGE_TABLE": self.physical("UsageTable"),
                "LIVE_TABLE": self.physical("LiveTable"),
                "LEDGER_TABLE": self.physical("LedgerTable"),
                "ARCHIVE_BUCKET": self.physical("ArchiveBucket"),
                "ARCHIVE_STREAM": self.physical("ArchiveStream"),
                "SETTLEMENT_QUEUE_URL": self.physical("SettlementQueue"),
                "ARCHIVE_DAYS": self.parameters.get("ArchiveDays", "400"),
                "SANDBOX": sandbox,
                # As the template's Globals say it.
                **({"DUE_SHARDS": "1"} if sandbox == "true" else {}),
            }
        )

    def now(self) -> datetime:
        """The stack's business time."""
        return clock.now(self.settings, self.dynamodb)

    # Calls

    def called(self, function: str) -> str:
        """What a function's callers call: its alias, where it has one."""
        name = self.physical(function)
        return next((one for one in self.of_type(ALIAS).values() if f":{name}:" in one), name)

    def call(self, function: str, payload: Mapping[str, Any]) -> dict[str, Any]:
        """What a function answers to an event. Raises OpsError where it fails."""
        answer = self.functions.invoke(FunctionName=self.called(function), Payload=json.dumps(payload).encode())
        text = answer["Payload"].read()
        failed = answer.get("FunctionError")
        if failed:
            about = json.loads(text or b"{}")
            # Not its message, which may repeat what somebody sent.
            msg = f"{function} failed with {about.get('errorType', failed)}: its log says why"
            raise OpsError(msg)
        answered: dict[str, Any] = json.loads(text)
        return answered
