"""A day out of the archive, reported again: for usage that was lost from the usage table.

A row of the archive is a function of an event's identity and data, so the event that it is made into is the one that
was reported: what is stored still is answered as a duplicate, what was lost is accepted.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from http import HTTPStatus
from itertools import batched
from typing import TYPE_CHECKING, Any

from aws_platform import failures, keys
from aws_platform.archive import COLUMNS, TABLE
from aws_platform.archive_reading import object_keys, rows_of
from ingest.events import MAX_BYTES, MAX_EVENTS
from ingest.handler import BATCH
from ingest.record_usage import MAX_AGE_SECONDS
from rating.catalog import load
from rating.civil import end_of
from tools.ops.pausing import refresh
from tools.ops.stack import OpsError, Stack

if TYPE_CHECKING:
    from rating.catalog import Interface

COUNTS = ("accepted", "duplicate", "conflict", "not_chargeable", "rejected")
ERRORS = "errors/"
"""The folder of what Firehose could not lay away."""

_ROWS_AT_ONCE = 100_000

type Row = tuple[str, Sequence[str]]
"""An account and a row of its."""


def replay(stack: Stack, day: date, account_id: str, *, dry: bool, parallel: int) -> int:
    """Report a day's calls again; 1 where some were refused, or are known with other data."""
    if (stack.now() - end_of(day)).total_seconds() > MAX_AGE_SECONDS:
        print(f"{day} is more than 35 days ago: what is not stored of it any more will be rejected (D4)")
    parts = [keys.account_hash(account_id)] if account_id else [f"{n:02d}" for n in range(keys.ACCOUNT_HASHES)]
    # What is archived while this runs are these very calls.
    objects = [(part, key) for part in parts for key in object_keys(stack.s3, stack.settings.archive_bucket, day, part)]
    wanted = {account_id} if account_id else None
    rows = _distinct(
        one for source in (_laid(stack, day, objects, wanted), errors_of_day(stack, day, wanted)) for one in source
    )
    print(f"{day}: {len(objects)} objects of the archive, and what lies under {ERRORS}, are reported again")
    if dry:
        print(f"{day}: {sum(1 for _ in rows)} calls")
        return 0
    # A process remembers what it has seen stored, and would take for a duplicate what the table has lost since.
    refresh(stack, [stack.physical("IngestFunction")])
    variants = variants_of(load().interfaces)
    events = (event_of(account, row, variants) for account, row in rows)
    sums: Counter[str] = Counter()
    codes: Counter[str] = Counter()
    with ThreadPoolExecutor(parallel) as pool:
        # A few batches at a time: a day is larger than memory.
        for some in batched(_batches(events), parallel, strict=False):
            for report in pool.map(lambda batch: _report(stack, batch), some):
                sums.update({name: report[name] for name in COUNTS})
                codes.update(error["code"] for error in report["errors"])
    print(f"{day}: {', '.join(f'{sums[name]} {name}' for name in COUNTS)}")
    if codes:
        print(f"{day}: not taken: {', '.join(f'{number} {code}' for code, number in sorted(codes.items()))}")
    return 1 if codes else 0


def variants_of(interfaces: Iterable[Interface]) -> dict[tuple[str, str, str], Interface]:
    """The interfaces by what a row says of them; the tag tells mode and intention verification."""
    return {(one.interface, one.library or "", one.tag): one for one in interfaces}


def event_of(account_id: str, row: Sequence[str], variants: Mapping[tuple[str, str, str], Interface]) -> dict[str, Any]:
    """The event that a row was made of. Raises OpsError for a row that no catalog of ours made."""
    named = dict(zip(COLUMNS, row, strict=True))
    found = variants.get((named["interface"], named["library"], named["tag"]))
    if found is None:
        msg = f"the catalog has no {named['interface']} of tag {named['tag']}: replay with the release that knew it"
        raise OpsError(msg)
    data = {
        "interface": found.interface,
        "result_code": named["result_code"],
        "library": found.library,
        "mode": found.mode,
        "intention_verify": found.intention_verify,
        "sub_account": named["sub_account"] or None,
    }
    return {
        "specversion": "1.0",
        "id": named["id"],
        "source": named["source"],
        "type": "faceid.call",
        "subject": account_id,
        "time": named["time"],
        "data": {name: value for name, value in data.items() if value is not None},
    }


def _laid(stack: Stack, day: date, objects: Iterable[tuple[str, str]], wanted: set[str] | None) -> Iterator[Row]:
    for part, key in objects:
        yield from rows_of(stack.s3, stack.settings.archive_bucket, key, day, part, wanted)


def errors_of_day(stack: Stack, day: date, wanted: set[str] | None) -> Iterator[Row]:
    """The rows of a day that Firehose could not lay away."""
    for pack in packs_under_errors(stack):
        try:
            read = json.loads(pack)
            account_id, rows = read["account_id"], read[TABLE] if read["day"] == day.isoformat() else []
        except (ValueError, LookupError, TypeError):
            print(f"something under {ERRORS} is no pack, and is left")
            continue
        if wanted is None or account_id in wanted:
            yield from ((account_id, row) for row in rows)


def packs_under_errors(stack: Stack, prefix: str = ERRORS) -> Iterator[bytes]:
    """The packs of the archive's errors, as they were handed to Firehose."""
    bucket = stack.settings.archive_bucket
    for page in stack.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for one in page.get("Contents", []):
            content = stack.s3.get_object(Bucket=bucket, Key=one["Key"])["Body"].read()
            plain = gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content
            for line in plain.splitlines():
                yield base64.b64decode(json.loads(line)["rawData"])


def _distinct(rows: Iterator[Row]) -> Iterator[Row]:
    """Without the repeats that lie near each other: all others are duplicates, and do no harm."""
    for some in batched(rows, _ROWS_AT_ONCE, strict=False):
        yield from dict.fromkeys((account, tuple(row)) for account, row in some)


def _batches(events: Iterable[dict[str, Any]]) -> Iterator[list[str]]:
    """The events as JSON, as many at a time as a request may have."""
    batch: list[str] = []
    size = 0
    for event in events:
        text = json.dumps(event)
        if batch and (len(batch) == MAX_EVENTS or size + len(text) + 1 > MAX_BYTES - 2):
            yield batch
            batch, size = [], 0
        batch.append(text)
        size += len(text) + 1
    if batch:
        yield batch


def _report(stack: Stack, batch: Sequence[str]) -> dict[str, Any]:
    """What ingest answers to a batch: the request that a producer's gateway would send. Raises OpsError."""
    request = {
        "version": "2.0",
        "routeKey": "POST /v1/usage",
        "rawPath": "/v1/usage",
        "headers": {"content-type": BATCH},
        "requestContext": {
            "http": {"method": "POST", "path": "/v1/usage"},
            "authorizer": {"jwt": {"claims": {"scope": "usage:write"}, "scopes": ["usage:write"]}},
        },
        "body": f"[{','.join(batch)}]",
        "isBase64Encoded": False,
    }
    for _ in failures.attempts():
        answer = stack.call("IngestFunction", request)
        if answer["statusCode"] == HTTPStatus.OK:
            report: dict[str, Any] = json.loads(answer["body"])
            return report
        if answer["statusCode"] != HTTPStatus.SERVICE_UNAVAILABLE:
            break
    msg = f"ingest answers {answer['statusCode']}: what was reported up to here is stored; the command may be repeated"
    raise OpsError(msg)
