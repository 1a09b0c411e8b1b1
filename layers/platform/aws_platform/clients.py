"""The AWS clients, one of each in a process. Tests replace the factory, never the calls."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_firehose import FirehoseClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sesv2 import SESV2Client
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_sqs import SQSClient

_CONNECT_TIMEOUT_SECONDS = 2
_READ_TIMEOUT_SECONDS = 5
"""Short: a call that hangs must leave its invocation time for another try."""


def _config(attempts: int) -> Config:
    return Config(
        connect_timeout=_CONNECT_TIMEOUT_SECONDS,
        read_timeout=_READ_TIMEOUT_SECONDS,
        retries={"mode": "standard", "total_max_attempts": attempts},
    )


@cache
def dynamodb() -> DynamoDBClient:
    """For reads and for transactions, which carry a token: sending those again is safe."""
    return boto3.client("dynamodb", config=_config(4))


@cache
def dynamodb_once() -> DynamoDBClient:
    """For conditional single writes. Nothing is sent again behind our back: after a time-out the caller looks first."""
    return boto3.client("dynamodb", config=_config(1))


@cache
def sqs() -> SQSClient:
    """For sending messages; all consumers bear repeats."""
    return boto3.client("sqs", config=_config(4))


@cache
def events() -> EventBridgeClient:
    """For the bus; who listens there bears repeats."""
    return boto3.client("events", config=_config(4))


@cache
def firehose() -> FirehoseClient:
    """For the archive; repeats in it do no harm."""
    return boto3.client("firehose", config=_config(4))


@cache
def s3() -> S3Client:
    """For reading the archive, and for exports, whose names are their own.

    Links that it signs lead to the region itself, for the global address redirects them, and with the signature that
    buckets of today ask for; by itself the library would take neither.
    """
    signing = Config(signature_version="s3v4", s3={"addressing_style": "virtual"})
    return boto3.client("s3", config=_config(4).merge(signing))


@cache
def sesv2() -> SESV2Client:
    """For e-mail. Never sent again behind our back: a message whose answer was lost may be on its way."""
    return boto3.client("sesv2", config=_config(1))


@cache
def sns() -> SNSClient:
    """For SMS; see `sesv2`."""
    return boto3.client("sns", config=_config(1))
