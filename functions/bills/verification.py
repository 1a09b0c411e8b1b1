"""Verifying a day when somebody asks: its charges, and its archive where that is soon done (contract, Bills)."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date, datetime, timedelta
from typing import Any, Literal

from aws_platform import clients, keys
from aws_platform.api import Shown
from aws_platform.archive_check import ArchiveCheck, Compared, Fault, Pass, TooManyCallsError
from aws_platform.archive_reading import BrokenArchiveError, archive_size
from aws_platform.settings import Settings
from aws_platform.tasks import side_by_side
from aws_platform.verification import Verified, Verifier
from rating.catalog import Catalog
from rating.civil import end_of
from rating.verification import Difference, Kind

SOON_READ_BYTES = 32 * 1024 * 1024
"""Of a part of the archive in S3: at 20 bytes a call and more it holds at most some 1.6 million calls, which are passed
over or compared in less than an answer may take. Larger ones only the job compares."""
DELIVERY = timedelta(hours=1)
"""Firehose keeps calls back for a quarter of an hour; for as long as this a call may be on its way."""


class DifferenceShown(Shown):
    """One thing that does not agree: what was charged says `charged`, the raw usage comes to `computed`."""

    kind: Literal["usage", "segment", "deduction", "package", "line", "amount", "payment", "journal", "bill", "archive"]
    detail: str
    charged: str | None
    computed: str | None
    bill_id: str | None
    transaction_id: str | None
    tag: str | None
    package_id: str | None
    pending: bool
    """Whether it is usage that no run has taken yet, or a call on its way to the archive."""


class ArchiveShown(Shown):
    """The archive against the calls that are counted, by identity."""

    compared: bool
    """Not while the day goes on or once it has left the archive, and not where that is too large for an answer."""
    counted: int
    archived: int
    missing: int
    """Counted and not archived."""
    unknown: int
    """Archived and not counted."""
    other: int
    """Archived as another call than was counted."""


class VerificationShown(Shown):
    """A day computed again."""

    day: date
    settled: bool
    """Whether the day is over and nothing of it waits for a run."""
    matches: bool
    """Whether there is no difference at all."""
    differences: list[DifferenceShown]
    archive: ArchiveShown


def verification(settings: Settings, catalog: Catalog, account_id: str, day: date, now: datetime) -> dict[str, Any]:
    """Compute the day again, and compare. Raises TryAgainError where the account changes all the time."""
    verifier = Verifier(clients.dynamodb(), settings, catalog, side_by_side)
    verified = verifier.verify(account_id, day, now)
    differences = [*verified.differences]
    compared = None
    try:
        compared = _compared(settings, catalog, account_id, day, now)
    except BrokenArchiveError as error:
        differences.append(Difference(Kind.ARCHIVE, str(error), None, None))
    if compared is not None:
        differences += compared.differences(young=_is_young(verified, now))
    return {
        "day": day.isoformat(),
        "settled": verified.settled,
        "matches": not differences,
        "differences": [_show(one) for one in differences],
        "archive": _show_archive(compared),
    }


def _compared(settings: Settings, catalog: Catalog, account_id: str, day: date, now: datetime) -> Compared | None:
    """The archive of the day against its buckets; None where it is not compared."""
    part = keys.account_hash(account_id)
    # What is older may have left the archive.
    if not end_of(day) <= now < end_of(day) + timedelta(days=settings.archive_days - 1):
        return None
    if archive_size(clients.s3(), settings.archive_bucket, day, part) > SOON_READ_BYTES:
        return None
    check = ArchiveCheck(clients.dynamodb(), clients.s3(), settings, catalog, side_by_side)
    try:
        (compared,) = check.compare(day, part, [account_id], Pass())
    except TooManyCallsError:
        return None
    return compared


def _is_young(verified: Verified, now: datetime) -> bool:
    """Whether calls of the day may have come so lately that they are on their way to the archive."""
    latest = max(filter(None, (end_of(verified.day), verified.charged_at)))
    return now < latest + DELIVERY


def _show(one: Difference) -> dict[str, Any]:
    return {**asdict(one), "kind": one.kind.value}


def _show_archive(compared: Compared | None) -> dict[str, Any]:
    faults = compared.faults if compared else {}
    return {
        "compared": compared is not None,
        "counted": compared.counted if compared else 0,
        "archived": compared.archived if compared else 0,
        "missing": faults.get(Fault.MISSING, 0),
        "unknown": faults.get(Fault.UNKNOWN, 0),
        "other": faults.get(Fault.OTHER, 0),
    }
