"""Stacks for the tests of the operator's commands: resources are named, clients are made up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tools.ops.stack import Stack

TABLES = {name: ("AWS::DynamoDB::Table", name) for name in ("UsageTable", "LiveTable", "LedgerTable")}
OTHERS = {
    "ArchiveBucket": ("AWS::S3::Bucket", "archive"),
    "ArchiveStream": ("AWS::KinesisFirehose::DeliveryStream", "archive"),
    "SettlementQueue": ("AWS::SQS::Queue", "https://sqs.example/SettlementQueue"),
}


def stack_with(resources: Mapping[str, tuple[str, str]], **clients: object) -> Stack:
    """A stack of tables and the like, with more resources, and with these clients."""
    stack = Stack("zhangben")
    known: dict[str, Any] = {"resources": {**TABLES, **OTHERS, **resources}, "parameters": {}}
    vars(stack).update(known)
    stack._clients.update(clients)
    return stack
