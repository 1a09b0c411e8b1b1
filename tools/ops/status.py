"""How a stack is, on one screen: first money, then usage, then what people are told."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import batched
from typing import Any

from aws_platform import keys
from aws_platform.due_index import due_entries
from rating.civil import ONE_DAY, ONE_SECOND, day_of, rfc3339
from rating.schedule import begun_run_day
from tools.ops.consumers import MAKE_AGAIN, consumers
from tools.ops.pausing import is_paused
from tools.ops.redrive import ways
from tools.ops.stack import ALARM, QUEUE, Stack

_DEPTHS = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
)
_ALARMS_AT_ONCE = 100
_LOOK_BACK = timedelta(minutes=15)


def status(stack: Stack) -> int:
    """Print it; changes nothing."""
    now = stack.now()
    print(f"{stack.name} at {rfc3339(now)}{', PAUSED (make ops-resume)' if is_paused(stack) else ''}")
    for line in (*_money(stack, now), *_queues(stack), *_mappings(stack), *_alarms(stack)):
        print(line)
    return 0


def _money(stack: Stack, now: datetime) -> Iterator[str]:
    """What waits in the due-indexes."""
    settings, run = stack.settings, begun_run_day(now)
    tables = (settings.usage_table, settings.ledger_table)
    due = [
        entry
        for table in tables
        for entry in _entries(stack, table, keys.all_shards(settings.due_shards), (run + ONE_DAY).isoformat())
    ]
    accounts = {entry.split("#")[1] for entry in due}
    yield f"accounts to settle      {len(accounts)}{_since(due)}"
    shards = keys.all_verify_shards(settings.due_shards)
    waiting = list(_entries(stack, settings.usage_table, shards, (day_of(now) + ONE_DAY).isoformat()))
    yield f"days to verify          {len(waiting)}{_since(waiting)}"
    shards = keys.all_timer_shards(settings.due_shards)
    timers = list(_entries(stack, settings.ledger_table, shards, rfc3339(now + ONE_SECOND)))
    yield f"timers due              {len(timers)}{_since(timers)}"


def _entries(stack: Stack, table: str, shards: Iterable[str], after: str) -> Iterator[str]:
    for shard in shards:
        yield from due_entries(stack.dynamodb, table, shard, "0", after)


def _since(entries: list[str]) -> str:
    """Since when the oldest waits: entries begin with their time."""
    return f", the oldest since {min(entries).partition('#')[0]}" if entries else ""


def _queues(stack: Stack) -> Iterator[str]:
    dead = ways(stack)
    for name, url in stack.of_type(QUEUE).items():
        about: Any = stack.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn", *_DEPTHS])  # type: ignore[list-item]
        visible, in_flight, delayed = (int(about["Attributes"][depth]) for depth in _DEPTHS)
        if name in dead:
            if visible or in_flight:
                yield f"DEAD LETTERS            {visible + in_flight} in {name}: make ops-redrive QUEUE={name} DRY=1"
        elif visible or in_flight or delayed:
            age = _age(stack, about["Attributes"]["QueueArn"].rpartition(":")[2])
            yield f"queue                   {name}: {visible} wait, {in_flight} in work, {delayed} delayed{age}"


def _age(stack: Stack, queue: str) -> str:
    """How old the oldest message is, as CloudWatch has seen it lately."""
    end = datetime.now(UTC)
    points = stack.client("cloudwatch").get_metric_statistics(
        Namespace="AWS/SQS",
        MetricName="ApproximateAgeOfOldestMessage",
        Dimensions=[{"Name": "QueueName", "Value": queue}],
        StartTime=end - _LOOK_BACK,
        EndTime=end,
        Period=60,
        Statistics=["Maximum"],
    )["Datapoints"]
    newest = max(points, key=lambda point: point["Timestamp"], default=None)
    return f", the oldest for {newest['Maximum']:.0f} s" if newest else ""


def _mappings(stack: Stack) -> Iterator[str]:
    for one in consumers(stack):
        if one.mapping is None:
            yield f"CONSUMER GONE           {one.name}: {MAKE_AGAIN}"
        elif one.mapping["State"] not in {"Enabled", "Enabling"}:
            yield f"CONSUMER OFF            {one.name}: {one.mapping['State']}"


def _alarms(stack: Stack) -> Iterator[str]:
    names = {physical: logical for logical, physical in stack.of_type(ALARM).items()}
    described = [
        one
        for some in batched(names, _ALARMS_AT_ONCE, strict=False)
        for one in stack.client("cloudwatch").describe_alarms(AlarmNames=list(some))["MetricAlarms"]
    ]
    ringing = [names[one["AlarmName"]] for one in described if one["StateValue"] == "ALARM"]
    for name in sorted(ringing):
        yield f"ALARM                   {name}: docs/operations.md#{name.lower()}"
    yield f"alarms                  {len(ringing)} of {len(names)} ring"
