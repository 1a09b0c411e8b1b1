"""Metering ingest: POST /v1/usage, and the queue for producers inside AWS. One use case behind both doors."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from typing import Any

from aws_lambda_powertools.logging import Logger

from aws_platform import clients, clock, metrics, problems
from aws_platform.access import Access, check_scope
from aws_platform.archive import Archive
from aws_platform.batches import answer_batch
from aws_platform.buckets import BucketStore
from aws_platform.directory import Directory
from aws_platform.edge import media_type, raw_body
from aws_platform.faults import answer_to
from aws_platform.problems import FieldError, Problem
from aws_platform.settings import Settings
from aws_platform.tasks import side_by_side
from ingest.events import (
    MAX_BYTES,
    MAX_EVENTS,
    MalformedBodyError,
    TooManyEventsError,
    WrongShapeError,
    parse_body,
    write_body,
)
from ingest.record_usage import Report, record_usage
from rating.catalog import Catalog, load

BATCH = "application/cloudevents-batch+json"
SINGLE = "application/cloudevents+json"
UNREADABLE = (MalformedBodyError, WrongShapeError, TooManyEventsError)
"""What a body is that holds no batch of events."""
_MOST_REPORTERS_LOGGED = 10
"""Accounts and sources of one batch whose conflicts are named; most batches have one."""

logger = Logger()


@dataclass(frozen=True, slots=True)
class Meter:
    """What a process keeps between invocations."""

    settings: Settings
    catalog: Catalog
    directory: Directory
    buckets: BucketStore
    archive: Archive

    def take(self, values: list[object]) -> Report:
        """Record a batch. Raises TryAgainError."""
        return record_usage(
            values,
            clock.now(self.settings, clients.dynamodb()),
            catalog=self.catalog,
            directory=self.directory,
            buckets=self.buckets,
            archive=self.archive,
            run=side_by_side,
        )


@cache
def meter() -> Meter:
    """Made once, with the first invocation."""
    settings = Settings.from_environment()
    reads, writes = clients.dynamodb(), clients.dynamodb_once()
    return Meter(
        settings,
        load(),
        Directory(reads, writes, settings.usage_table, settings.ledger_table, settings.due_shards),
        BucketStore(reads, writes, settings.usage_table, settings.due_shards),
        Archive(clients.firehose(), settings.archive_stream),
    )


def handle(event: Mapping[str, Any], context: object) -> dict[str, Any]:  # noqa: ARG001 - Lambda's signature
    """Take a request, or the messages of the queue."""
    if "Records" in event:
        return _handle_queue(event["Records"])
    return _handle_request(event)


def _handle_request(event: Mapping[str, Any]) -> dict[str, Any]:
    try:
        check_scope(event, Access.METERING)
        values = _values(event)
        report = meter().take(values)
    except Problem as problem:
        logger.info("usage refused", code=problem.code)
        return problem.response()
    except Exception as error:
        logger.exception("usage failed")
        return answer_to(error).response()
    _log(values, report)
    _publish([report])
    return {
        "statusCode": int(HTTPStatus.OK),
        "headers": {"content-type": "application/json"},
        "body": json.dumps(_shown(report), ensure_ascii=False, separators=(",", ":")),
        "isBase64Encoded": False,
    }


def _values(event: Mapping[str, Any]) -> list[object]:
    """The values in the body that should be events. Raises Problem 400, 413, 415 or 422."""
    kind = media_type(event)
    if kind not in {BATCH, SINGLE}:
        raise problems.unsupported_media_type(f"{BATCH} or {SINGLE}")
    raw = raw_body(event)
    if len(raw) > MAX_BYTES:
        raise problems.body_too_large(f"a batch may have {MAX_BYTES} bytes")
    try:
        return parse_body(raw, batch=kind == BATCH)
    except MalformedBodyError as error:
        raise problems.malformed_body() from error
    except WrongShapeError as error:
        wanted = "an array of events" if kind == BATCH else "an event"
        raise problems.invalid_request(FieldError("body", f"must be {wanted}")) from error
    except TooManyEventsError as error:
        raise problems.body_too_large(f"a batch may have {MAX_EVENTS} events") from error


def _handle_queue(messages: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Take one batch a message. What cannot be taken is put aside, where an alarm sees it: nobody hears an answer."""
    failed = []
    reports = []
    unreadable = set()
    for message in messages:
        try:
            body = message["body"]
            values = parse_body(body, batch=not body.lstrip().startswith("{"))
            report = meter().take(values)
            if report.errors:
                _put_aside(values, report)
            _log(values, report, message_id=message["messageId"])
            reports.append(report)
        except Exception as error:
            logger.exception("message not taken", message_id=message["messageId"])
            failed.append(message["messageId"])
            if isinstance(error, UNREADABLE):
                unreadable.add(message["messageId"])
    _publish(reports, refusals_wait=True)
    # What a producer wrote wrongly is no failure of ours.
    return answer_batch("ingest", messages, failed, excused=unreadable)


def _put_aside(values: list[object], report: Report) -> None:
    """Send the refused events to the dead-letter queue, as a batch that can be sent again once it is mended."""
    codes = sorted({problem.code for problem in report.errors})
    clients.sqs().send_message(
        QueueUrl=meter().settings.usage_dead_letter_queue_url,
        MessageBody=write_body([values[problem.index] for problem in report.errors]),
        MessageAttributes={"codes": {"DataType": "String", "StringValue": ",".join(codes)}},
    )


def _shown(report: Report) -> dict[str, Any]:
    return {
        "accepted": report.accepted,
        "duplicate": report.duplicate,
        "conflict": report.conflict,
        "not_chargeable": report.not_chargeable,
        "rejected": report.rejected,
        "errors": [
            {"index": problem.index, "id": problem.event_id, "code": problem.code, "detail": problem.detail}
            for problem in report.errors
        ],
    }


def _log(values: Sequence[Any], report: Report, message_id: str | None = None) -> None:
    logger.info(
        "usage taken",
        message_id=message_id,
        accepted=report.accepted,
        duplicate=report.duplicate,
        conflict=report.conflict,
        not_chargeable=report.not_chargeable,
        rejected=report.rejected,
    )
    # Whoever is on call sees no answer of ours, and must know who reports them: ids alone, and no more than a few.
    conflicts = [values[problem.index] for problem in report.errors if problem.code == "conflict"]
    reporters = Counter((event["subject"], event["source"]) for event in conflicts)
    for (account_id, source), number in reporters.most_common(_MOST_REPORTERS_LOGGED):
        logger.warning("usage conflicts", message_id=message_id, account_id=account_id, source=source, events=number)


def _publish(reports: Iterable[Report], *, refusals_wait: bool = False) -> None:
    """Count what became of events, in one line an invocation; a request also what share of it was refused.

    Refusals of the queue door wait among the dead letters, where an alarm of its own sees them.
    """
    counts: Counter[str] = Counter()
    for report in reports:
        counts["AcceptedUsage"] += report.accepted + report.not_chargeable
        counts["DuplicateUsage"] += report.duplicate
        counts["ConflictingUsage"] += report.conflict
        counts["RejectedUsage"] += report.rejected
    if not counts.total():
        return
    values: dict[str, float] = {name: value for name, value in counts.items() if value}
    if not refusals_wait:
        values["RejectedShare"] = 100 * counts["RejectedUsage"] / counts.total()
    metrics.publish("ingest", values)
