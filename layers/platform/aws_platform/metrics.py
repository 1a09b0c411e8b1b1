"""Metrics of our own, for alarms and the dashboard: lines of the log that CloudWatch reads as metrics."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

from aws_lambda_powertools.metrics import Metrics, MetricUnit

PERCENTS = frozenset({"RejectedShare"})
"""What is no count."""


def publish(service: str, values: Mapping[str, float]) -> None:
    """Tell values of the same moment, in one line; nothing where there are none.

    The stack's name is in the namespace, so that two stacks of one AWS account do not ring each other's alarms.
    """
    if not values:
        return
    metrics = Metrics(namespace=os.environ.get("METRICS_NAMESPACE", "Zhangben"), service=service)
    for name, value in values.items():
        unit = MetricUnit.Percent if name in PERCENTS else MetricUnit.Count
        metrics.add_metric(name=name, unit=unit, value=value)
    metrics.flush_metrics()


def publish_failures(service: str, messages: Iterable[Mapping[str, Any]], answer: Mapping[str, Any]) -> None:
    """Tell how many of these messages of a queue failed when they came for the first time, if any did.

    One that comes again is not counted again, for what has failed for hours does not speak against a new release.
    """
    failed = {one["itemIdentifier"] for one in answer["batchItemFailures"]}
    count = sum(_is_first(one) and one["messageId"] in failed for one in messages)
    publish(service, {"FailedMessages": count} if count else {})


def _is_first(message: Mapping[str, Any]) -> bool:
    """Whether the queue hands the message over for the first time."""
    receives: str = message.get("attributes", {}).get("ApproximateReceiveCount", "1")
    return receives == "1"
