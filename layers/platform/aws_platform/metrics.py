"""Metrics of our own, for alarms and the dashboard: lines of the log that CloudWatch reads as metrics."""

from __future__ import annotations

import os
from collections.abc import Mapping

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
