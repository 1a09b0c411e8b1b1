"""What ingest and the API tell CloudWatch of themselves, for alarms and the dashboard."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from aws_platform import api
from aws_platform.buckets import BucketStore
from aws_platform.failures import TryAgainError
from exports import worker as exporting
from notify import bounces, email, sms, webhooks
from settlement import settle
from tests.adapters.steps import NOW, A, queue_usage
from tests.support.product import Product, event, events, queue_records
from verification import handler as verification


def told(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """The metrics that were published since the last look: service and values of each line."""
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    found = []
    for line in lines:
        for one in line.get("_aws", {}).get("CloudWatchMetrics", ()):
            names = [each["Name"] for each in one["Metrics"]]
            found.append({"service": line["service"], **{name: line[name][0] for name in names}})
    return found


def test_a_request_tells_what_became_of_its_events(metered: Product, capsys: pytest.CaptureFixture[str]) -> None:
    """Each outcome is counted under its name, in one line a request; calls that are not charged are accepted too."""
    metered.report([event("acct-1", "old", NOW)])
    told(capsys)
    batch = [*events("acct-1", 5, NOW), event("acct-1", "free", NOW, code="-2"), event("acct-1", "old", NOW)]
    metered.report([*batch, event("acct-1", "old", NOW, code="-1"), event("nobody", "a", NOW), {}])
    counts = {"AcceptedUsage": 6, "DuplicateUsage": 1, "ConflictingUsage": 1, "RejectedUsage": 2, "RejectedShare": 20.0}
    assert told(capsys) == [{"service": "ingest", **counts}]


def test_a_request_in_order_tells_a_share_of_zero(metered: Product, capsys: pytest.CaptureFixture[str]) -> None:
    """The share of what is refused is told of every request, or its average would be that of bad ones alone."""
    metered.report(events("acct-1", 2, NOW))
    assert told(capsys) == [{"service": "ingest", "AcceptedUsage": 2, "RejectedShare": 0.0}]
    metered.report([])
    assert told(capsys) == []


def test_messages_are_counted_together(metered: Product, capsys: pytest.CaptureFixture[str]) -> None:
    """The messages of an invocation make one line; their refusals are counted, but are no share of requests."""
    bodies = [json.dumps(events("acct-1", 3, NOW)), json.dumps([event("nobody", "a", NOW)]), "no JSON"]
    told(capsys)
    queue_usage(metered, *bodies)
    assert told(capsys) == [{"service": "ingest", "AcceptedUsage": 3, "RejectedUsage": 1}]


@pytest.mark.parametrize(
    "error,status,metric", [(TryAgainError("busy"), 503, "TryAgainAnswers"), (KeyError("slip"), 500, "InternalErrors")]
)
@pytest.mark.parametrize("door", ["usage", "api"])
def test_faults_are_counted(
    metered: Product,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: Exception,
    status: int,
    metric: str,
    door: str,
) -> None:
    """What is answered 503 or 500, by ingest or any other function, is counted under its name."""

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(BucketStore if door == "usage" else api, "store" if door == "usage" else "check_account", fail)
    told(capsys)
    reply = metered.report(events("acct-1", 1, NOW)) if door == "usage" else metered.get(A)
    assert reply.status == status
    assert told(capsys) == [{"service": "api", metric: 1}]


@pytest.mark.parametrize(
    "worker,service",
    [
        (settle.handle, "settlement"),
        (verification.handle, "verification"),
        (exporting.handle, "exports"),
        (email.handle, "notify"),
        (sms.handle, "notify"),
        (webhooks.handle, "notify"),
        (bounces.handle, "notify"),
    ],
)
@pytest.mark.usefixtures("metered")
def test_messages_that_fail_are_counted_once(
    capsys: pytest.CaptureFixture[str], worker: Callable[..., dict[str, Any]], service: str
) -> None:
    """A worker counts each message that fails when it comes for the first time, and not when it comes again."""
    told(capsys)
    counted = []
    for receives in "12":
        batch = queue_records(["no json", "{}"])
        for record in batch["Records"]:
            record["attributes"] = {"ApproximateReceiveCount": receives}
        assert len(worker(batch, None)["batchItemFailures"]) == 2
        counted.append([one for one in told(capsys) if "FailedMessages" in one])
    assert counted == [[{"service": service, "FailedMessages": 2}], []]


def test_usage_that_could_not_be_taken_is_counted(
    metered: Product, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A batch of the queue that fails counts where the failure is ours, and not where a producer wrote no batch."""

    def fail(*_: object, **__: object) -> None:
        raise TryAgainError

    monkeypatch.setattr(BucketStore, "store", fail)
    told(capsys)
    bodies = [json.dumps(events("acct-1", 1, NOW)), "no JSON", "1", json.dumps([{}] * 1_001)]
    assert len(queue_usage(metered, *bodies)) == len(bodies)
    assert told(capsys) == [{"service": "ingest", "FailedMessages": 1}]
