"""The archive of raw usage events: every call that was counted, in S3, for disputes and for the verification.

What is written are *packs*: the calls of one account and day out of one batch, a JSON object on a line of its own. A
call in it is a *row*, an array of strings in the order of `COLUMNS`. A row says what the event says, after defaults and
in one notation, and nothing else: the same event reported again gives the same row, so that `SELECT DISTINCT` over rows
drops repeats and nothing more. Attributes that the contract ignores are not archived, for they could be personal.

Packs because Firehose charges every record as if it had a multiple of 5 KB: with a record for each call the archive of
full batches would cost forty times as much.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from json.encoder import encode_basestring_ascii as quoted
from typing import TYPE_CHECKING

from aws_platform import failures, keys
from aws_platform.failures import TryAgainError
from rating.civil import UTC_OFFSET_SECONDS, rfc3339

if TYPE_CHECKING:
    from mypy_boto3_firehose import FirehoseClient

    from rating.catalog import Interface

COLUMNS = ("time", "source", "id", "tag", "charged", "interface", "library", "result_code", "sub_account")
"""What stands in a row, in this order. `charged` is `true` or `false`, `library` and `sub_account` may be empty."""
TABLE = "calls"
"""The table in Athena, and the folder in the bucket."""

MAX_PACK_BYTES = 1_000_000
"""A record of Firehose may have 1,000 KiB; a little is left for the delimiter."""
MAX_RECORDS = 500
"""Records that a PutRecordBatch may have."""
MAX_BATCH_BYTES = 4 * 1024 * 1024
"""Bytes that a PutRecordBatch may have."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@lru_cache(maxsize=4096)
def _second(epoch_seconds: int) -> str:
    """The beginning of a row: the second on Shanghai's clock."""
    return f'["{(_EPOCH + timedelta(seconds=epoch_seconds + UTC_OFFSET_SECONDS)).isoformat()[:19]}'


@lru_cache(maxsize=1024)
def _source(source: str) -> str:
    """The middle of a row: the offset of Shanghai's clock and the source."""
    return f'+08:00",{quoted(source)},'


def rest_of_row(interface: Interface, result_code: str, sub_account: str) -> str:
    """The end of the rows of all calls of one kind: made once, because most of a row is the same for many calls."""
    charged = "true" if result_code in interface.charged else "false"
    texts = (interface.tag, charged, interface.interface, interface.library or "", result_code, sub_account)
    return f",{','.join(map(quoted, texts))}]"


def row(epoch_seconds: int, fraction: str, source: str, event_id: str, rest: str) -> str:
    """A call as it stands in a pack; `rest` is what `rest_of_row` gives.

    The time has one notation: RFC 3339 at +08:00, with the digits of its fraction and no trailing zeros.
    """
    if fraction:
        return f"{_second(epoch_seconds)}.{fraction}{_source(source)}{quoted(event_id)}{rest}"
    return f"{_second(epoch_seconds)}{_source(source)}{quoted(event_id)}{rest}"


def packs(account_id: str, day: date, received_at: datetime, rows: Sequence[str]) -> Iterator[bytes]:
    """Rows of one account and day as records for Firehose, each of `MAX_PACK_BYTES` at most.

    `day` and `account_hash` come first: Firehose takes from them where the record goes.
    """
    head = (
        f'{{"day":"{day.isoformat()}","account_hash":"{keys.account_hash(account_id)}","account_id":"{account_id}",'
        f'"received_at":"{rfc3339(received_at)}","{TABLE}":['
    )
    tail = "]}"
    room = MAX_PACK_BYTES - len(head) - len(tail)
    # A row is ASCII: what is not, is escaped. So characters are bytes.
    for group in _grouped([len(one) + 1 for one in rows], room, len(rows)):
        yield f"{head}{','.join(rows[group])}{tail}".encode()


def _grouped(sizes: Sequence[int], room: int, most: int) -> Iterator[slice]:
    """Neighbours, as many at a time as have room, and `most` of them; what has no room alone is a group of its own."""
    if len(sizes) <= most and sum(sizes) <= room:
        yield slice(0, len(sizes))
        return
    first = used = 0
    for number, size in enumerate(sizes):
        if number > first and (used + size > room or number - first == most):
            yield slice(first, number)
            first, used = number, 0
        used += size
    yield slice(first, len(sizes))


class Archive:
    """Hands packs to Firehose."""

    def __init__(self, firehose: FirehoseClient, stream: str) -> None:
        """`stream` is the name of the delivery stream. Raises ValueError where it is empty: nothing goes unarchived."""
        if not stream:
            msg = "a stack that meters has an archive: ARCHIVE_STREAM is empty"
            raise ValueError(msg)
        self._firehose = firehose
        self._stream = stream

    def put(self, records: Iterable[bytes]) -> None:
        """When this returns, Firehose has all records, and keeps them until they are in S3.

        Some may be in the archive twice. Raises TryAgainError where Firehose does not take all of them in several
        tries; an error of the whole call, which the client has tried again by itself, passes through.
        """
        listed = list(records)
        for group in _grouped([len(one) for one in listed], MAX_BATCH_BYTES, MAX_RECORDS):
            if group.start != group.stop:
                self._put(listed[group])

    def _put(self, records: list[bytes]) -> None:
        left = records
        for _ in failures.attempts():
            answer = self._firehose.put_record_batch(
                DeliveryStreamName=self._stream, Records=[{"Data": one} for one in left]
            )
            if not answer["FailedPutCount"]:
                return
            told = zip(left, answer["RequestResponses"], strict=True)
            left = [one for one, response in told if "ErrorCode" in response]
        msg = f"Firehose did not take {len(left)} records of {len(records)}"
        raise TryAgainError(msg)


def calls_query(
    database: str, account_id: str, first_day: date, last_day: date, tag: str, *, charged: bool | None = None
) -> str:
    """The query from a line of a bill to the calls behind it, for Athena: each call once, by time.

    `first_day` and `last_day` are days of usage, both included: of a daily line its `usage_day`, of a monthly one the
    days that it covers. `charged` False gives the calls that are counted as not chargeable (D6), None all of them. The
    days and the hash are partitions, so that Athena reads only the part of the archive that the account is in.
    """
    columns = ",\n    ".join(f"call[{number}] AS {name}" for number, name in enumerate(COLUMNS, 1))
    conditions = [
        f"day BETWEEN '{first_day.isoformat()}' AND '{last_day.isoformat()}'",
        f"account_hash = '{keys.account_hash(account_id)}'",
        f"account_id = {_literal(account_id)}",
        f"call[{COLUMNS.index('tag') + 1}] = {_literal(tag)}",
    ]
    if charged is not None:
        conditions.append(f"call[{COLUMNS.index('charged') + 1}] = '{'true' if charged else 'false'}'")
    where = "\n    AND ".join(conditions)
    return (
        f"SELECT DISTINCT\n    {columns}\n"
        f"FROM {_identifier(database)}.{_identifier(TABLE)} CROSS JOIN UNNEST({TABLE}) AS one (call)\n"
        f"WHERE {where}\n"
        "ORDER BY 1, 2, 3"
    )


def _literal(text: str) -> str:
    """A string of SQL."""
    return "'" + text.replace("'", "''") + "'"


def _identifier(name: str) -> str:
    """A name of SQL."""
    return '"' + name.replace('"', '""') + '"'
