"""Reading the archive of raw usage events back: what `archive` has written, as it lies in S3."""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from io import BufferedReader, RawIOBase
from typing import TYPE_CHECKING, cast

from aws_platform import records
from aws_platform.archive import COLUMNS, MAX_PACK_BYTES, TABLE

if TYPE_CHECKING:
    from botocore.response import StreamingBody
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ObjectTypeDef

_HEAD = re.compile(
    rb'\{"day":"([0-9-]{10})","account_hash":"([0-9]{2})","account_id":"([A-Za-z0-9_-]{1,64})","received_at":"[^"]*",'
)
"""What a pack begins with: enough to pass over a pack without reading it."""
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?\+08:00", re.ASCII)
_GZIP = b"\x1f\x8b"
_LONGEST_LINE = MAX_PACK_BYTES + 2


class BrokenArchiveError(Exception):
    """Something in the archive is no pack, or lies in a wrong place. The message names the object, not the content."""


@dataclass(frozen=True, slots=True)
class ArchivedCall:
    """A call that the archive holds. It may hold it more than once."""

    account_id: str
    identity: bytes
    """As in the usage table: what `records.identity` gives."""
    tag: str
    charged: bool


def folder(day: date, account_hash: str) -> str:
    """The prefix of the objects with a day's calls of a part of the accounts."""
    return f"{TABLE}/day={day.isoformat()}/account_hash={account_hash}/"


def archive_size(s3: S3Client, bucket: str, day: date, account_hash: str) -> int:
    """Bytes of a day and a part as they lie in S3, compressed."""
    return sum(one["Size"] for one in _objects(s3, bucket, day, account_hash))


def archived_calls(
    s3: S3Client,
    bucket: str,
    day: date,
    account_hash: str,
    wanted: Container[str] | None = None,
    passed_over: set[str] | None = None,
) -> Iterator[ArchivedCall]:
    """The calls of a day and a part, or those of the wanted accounts, in no order, with repeats.

    `passed_over` takes the ids of the accounts that are there and not wanted.
    One object after the other and one pack of it at a time, so that memory does not grow with the archive. Raises
    BrokenArchiveError for what is no pack: nothing is passed over unseen.
    """
    for key in object_keys(s3, bucket, day, account_hash):
        yield from _read(s3, bucket, key, _Place(day, account_hash, wanted, passed_over), _calls)


def object_keys(s3: S3Client, bucket: str, day: date, account_hash: str) -> Iterator[str]:
    """The names of the objects with a day's calls of a part of the accounts."""
    return (one["Key"] for one in _objects(s3, bucket, day, account_hash))


def rows_of(
    s3: S3Client, bucket: str, key: str, day: date, account_hash: str, wanted: Container[str] | None = None
) -> Iterator[tuple[str, Sequence[str]]]:
    """(Account id, row) of the calls of an object, or of those of the wanted accounts, with repeats.

    A row has a text for each of `COLUMNS`. Raises BrokenArchiveError for what is no pack.
    """
    return _read(s3, bucket, key, _Place(day, account_hash, wanted), _rows)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where an object lies, and whose packs of it are read."""

    day: date
    account_hash: str
    wanted: Container[str] | None
    passed_over: set[str] | None = None


def _read[T](
    s3: S3Client, bucket: str, key: str, place: _Place, take: Callable[[bytes, str], Iterator[T]]
) -> Iterator[T]:
    """What `take` makes of the packs of an object. Raises BrokenArchiveError."""
    try:
        for line in _lines(s3.get_object(Bucket=bucket, Key=key)["Body"]):
            account_id = _account_of(line, place.day, place.account_hash)
            if place.wanted is None or account_id in place.wanted:
                yield from take(line, account_id)
            elif place.passed_over is not None:
                place.passed_over.add(account_id)
    except (EOFError, zlib.error, gzip.BadGzipFile, ValueError, LookupError, TypeError) as error:
        msg = f"{key} holds something that is no pack"
        raise BrokenArchiveError(msg) from error


def _lines(body: StreamingBody) -> Iterator[bytes]:
    """The lines of an object, each cut off where no pack ends."""
    with BufferedReader(cast("RawIOBase", body)) as raw:
        # What Firehose delivers is compressed; the local cloud's is not.
        compressed = raw.peek(len(_GZIP)).startswith(_GZIP)
        stream = gzip.GzipFile(fileobj=raw) if compressed else raw
        while line := stream.readline(_LONGEST_LINE):
            yield line


def _objects(s3: S3Client, bucket: str, day: date, account_hash: str) -> Iterator[ObjectTypeDef]:
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=folder(day, account_hash))
    for page in pages:
        yield from page.get("Contents", [])


def _account_of(line: bytes, day: date, account_hash: str) -> str:
    """The account of a pack, by its head. Raises ValueError for what is no pack of this place."""
    head = _HEAD.match(line)
    if head is None or (head[1].decode(), head[2].decode()) != (day.isoformat(), account_hash):
        msg = "not the head of a pack of this place"
        raise ValueError(msg)
    return head[3].decode()


def _rows(line: bytes, account_id: str) -> Iterator[tuple[str, Sequence[str]]]:
    """The rows of a pack, with their account. Raises ValueError, LookupError or TypeError for anything else."""
    for call in json.loads(line)[TABLE]:
        if len(call) != len(COLUMNS):
            msg = f"a call has {len(call)} columns"
            raise ValueError(msg)
        yield account_id, call


def _calls(line: bytes, account_id: str) -> Iterator[ArchivedCall]:
    """The calls of a pack. Raises ValueError, LookupError or TypeError for anything else."""
    for _, (time, source, event_id, tag, charged, *_) in _rows(line, account_id):
        seconds, fraction = _instant(time)
        yield ArchivedCall(account_id, records.identity(source, event_id, seconds, fraction), tag, _CHARGED[charged])


_CHARGED = {"true": True, "false": False}


def _instant(time: str) -> tuple[int, str]:
    """Whole epoch seconds and the digits of the fraction. Raises ValueError."""
    match = _TIME.fullmatch(time)
    if match is None:
        msg = "not a time of the archive"
        raise ValueError(msg)
    return _epoch_seconds(match[1]), match[2] or ""


@lru_cache(maxsize=4096)
def _epoch_seconds(second: str) -> int:
    return int(datetime.fromisoformat(f"{second}+08:00").timestamp())
