"""What exports of a large month cost: seconds of CPU, memory, room in /tmp and the size of the file.

The ledger answers from memory, with pages of 1 MB as DynamoDB has them, and the bucket takes whatever is put; each
export is made by the worker's own code in a process of its own, so that its memory is its own.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from tempfile import gettempdir
from threading import Event, Thread
from typing import Any
from unittest import mock

from aws_platform import clients, clock, keys
from aws_platform.accounts import account_to_item
from aws_platform.bills import bill_to_item
from aws_platform.exports import Export, What, export_put, new_export_id
from aws_platform.settings import Settings
from bench import canned
from bench.capacity import PAGE_BYTES, Item, item_bytes
from bench.figures import Figure, Section
from bench.scene import open_account
from exports.upload import PART_BYTES
from exports.worker import make
from rating.bill import Bill, BilledCharge, BilledLine, TransactionType
from rating.billing import Line, Quantities
from rating.catalog import load
from rating.civil import end_of, first_day
from rating.funds import Fund
from rating.pricing import AppliedPrice

ROWS = 100_000
MONTH = "2025-03"
ACCOUNT = "acct-1"
CREATED = end_of(first_day("2025-04")) + timedelta(hours=9)
# Of Lambda: time-out and room as the template has them, memory as one CPU of it comes with.
SECONDS_TARGET, MEMORY_TARGET, ROOM_TARGET = 300, 1_769, 4_096
_MIB = 1024 * 1024
_LINES = 2
"""Fees of a charge: a price changed within the day."""
_DAYS = 28


@dataclass(slots=True)
class Month:
    """The bills of a month with so many fees, as the ledger has them."""

    fees: int
    items: list[Item] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Make them, once: a bill a run, with a charge for each tag."""
        tags = [tag.code for tag in load().tags]
        left, number = self.fees, 0
        while left > 0:
            number += 1
            charges = min(len(tags), -(-left // _LINES))
            self.items.append(bill_to_item(ACCOUNT, _bill(number, tags[:charges], left)))
            left -= charges * _LINES

    def answer(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """What DynamoDB would."""
        prefix = parameters.get("ExpressionAttributeValues", {}).get(":prefix", {"S": keys.MONTH_PREFIX})["S"]
        if operation == "Query" and prefix != keys.MONTH_PREFIX:
            return self._page(parameters)
        if operation == "Query":
            return {"Items": []}
        if operation == "GetItem" and parameters["Key"]["sk"]["S"].startswith("0#"):
            return {"Item": account_to_item(open_account(ACCOUNT, Decimal(0)))}
        return {}

    def _page(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        start = int(parameters.get("ExclusiveStartKey", {"place": {"N": "0"}})["place"]["N"])
        size = end = 0
        for end in range(start, len(self.items)):
            size += item_bytes(self.items[end])
            if size > PAGE_BYTES:
                break
        else:
            end = len(self.items)
        page: dict[str, Any] = {"Items": [{"bill": item["bill"]} for item in self.items[start:end]]}
        if end < len(self.items):
            page["LastEvaluatedKey"] = {"place": {"N": str(end)}}
        return page


def _bill(number: int, tags: Sequence[str], most: int) -> Bill:
    day = first_day(MONTH) + timedelta(days=number % _DAYS)
    charges, left = [], most
    for place, tag in enumerate(tags):
        lines = tuple(_line(tag, number, place, one) for one in range(min(_LINES, left)))
        left -= len(lines)
        amount = Decimal("0.30") * (number % 1_000 + place)
        charges.append(BilledCharge(tag, amount, {Fund.CASH: amount}, lines))
    return Bill(
        bill_id=f"{day:%Y%m%d}-{number}",
        version=number,
        transaction_type=TransactionType.POSTPAY_DAILY,
        charged_at=end_of(day) + timedelta(hours=8),
        charge_month=MONTH,
        first_day=day,
        last_day=day,
        charges=tuple(charges),
    )


def _line(tag: str, number: int, place: int, one: int) -> BilledLine:
    day, calls = first_day(MONTH) + timedelta(days=number % _DAYS), number % 977 + 13 * place + one
    price = AppliedPrice(Decimal("0.2835"), Decimal("0.30"), Decimal("0.945"))
    paid = {Fund.CASH: Decimal("0.15") * (number % 1_000 + place)}
    return BilledLine(Line(tag, day, day, Quantities(calls + 5, free=5, postpaid=calls), price), paid)


@dataclass(slots=True)
class Bucket:
    """In place of S3: takes parts, and forgets them."""

    taken: int = 0
    largest: int = 0

    def answer(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """What S3 would."""
        size = len(parameters.get("Body", b""))
        self.taken += size
        self.largest = max(self.largest, size)
        return {"UploadId": "upload", "ETag": "etag"} if operation != "PutObject" else {}


def an_export(what: What, file_format: str, columns: tuple[str, ...] | None = None) -> Export:
    """What a customer asks for."""
    return Export(
        export_id=new_export_id(ACCOUNT, CREATED, "0"),
        account_id=ACCOUNT,
        month=MONTH,
        basis="usage",
        what=what,
        file_format=file_format,
        columns=columns,
        locale="zh-CN",
        created_at=CREATED,
        version=10**9,
    )


def work(month: Month, export: Export) -> Bucket:
    """Have the worker make an export; what the bucket was given."""
    stored: Item = export_put("ledger", export, 1)["Put"]["Item"]
    bucket = Bucket()

    def answer(operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        if operation == "GetItem" and parameters["Key"]["sk"] == stored["sk"]:
            return {"Item": stored}
        return month.answer(operation, parameters)

    client, s3 = canned.Instant(answer), canned.Instant(bucket.answer)
    settings = Settings(ledger_table="ledger", exports_bucket="bucket")
    with (
        mock.patch.multiple(clients, s3=lambda: s3),
        mock.patch.multiple(clock, now=lambda _settings, _dynamodb: CREATED),
    ):
        made = make(client, settings, ACCOUNT, export.export_id)  # type: ignore[arg-type]
    if made is None:
        message = f"{export} was not made"
        raise RuntimeError(message)
    return bucket


@dataclass(frozen=True, slots=True)
class Cost:
    """What an export cost."""

    seconds: float
    """Of CPU."""
    memory: float
    """The process' peak, MiB."""
    more: float
    """Of it, what was not there before, MiB."""
    room: float
    """Most that lay in /tmp, MiB."""
    size: float
    """Of the file, MiB."""


def cost(what: What, file_format: str, rows: int) -> Cost:
    """Make an export in this process, and look at what it takes."""
    month, export = Month(rows), an_export(what, file_format)
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before = _memory("VmRSS")
    with _watched() as room:
        began = time.process_time()
        bucket = work(month, export)
        seconds = time.process_time() - began
    peak = _memory("VmHWM")
    return Cost(seconds, peak, peak - before, max(room) / _MIB, bucket.taken / _MIB)


def apart[T](task: Callable[[], T]) -> T:
    """Run a task in a process of its own."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(task).result()


def measure() -> Section:
    """All figures about exports."""
    figures: list[Figure] = []
    cases = (
        (What.DETAILS, "csv"),
        (What.DETAILS, "xlsx"),
        (What.PACK, "csv"),
        (What.PACK, "xlsx"),
        (What.FOCUS, "csv"),
    )
    for what, file_format in cases:
        small, large = (apart(partial(cost, what, file_format, rows)) for rows in (ROWS // 10, ROWS))
        figures += _figures(f"{what} {file_format}", small, large)
    remarks = (
        f"{ROWS:,} fees of {ROWS // _LINES:,} charges; a pack has both, and a summary",
        f"files larger than {PART_BYTES // _MIB} MiB go up in parts of that size",
    )
    return Section(f"Exports of a month of {ROWS:,} rows", figures, remarks)


def _figures(name: str, small: Cost, large: Cost) -> Iterator[Figure]:
    yield Figure(f"{name}: CPU", large.seconds, "s", SECONDS_TARGET, 1, f"file of {large.size:.1f} MiB")
    yield Figure(f"{name}: peak memory", large.memory, "MiB", MEMORY_TARGET, 0, f"{large.more:.1f} more than before")
    yield Figure(f"{name}: more than for a tenth of the rows", large.more - small.more, "MiB", 16, 1)
    yield Figure(f"{name}: room in /tmp", large.room, "MiB", ROOM_TARGET, 0)


def _memory(name: str) -> float:
    """A figure of this process, MiB."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(name):
            return int(line.split()[1]) / 1024
    raise LookupError(name)


@contextmanager
def _watched() -> Iterator[list[int]]:
    """How many bytes exports of this process have in /tmp, looked at ten times a second meanwhile."""
    seen, done = [0], Event()
    before = set(Path(gettempdir()).glob("export-*"))

    def look() -> None:
        while not done.wait(0.1):
            folders = set(Path(gettempdir()).glob("export-*")) - before
            seen.append(sum(_size(path) for folder in folders for path in folder.iterdir()))

    thread = Thread(target=look, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()


def _size(path: Path) -> int:
    try:
        return os.stat(path).st_size  # noqa: PTH116 - one call, in a race with whoever removes it
    except FileNotFoundError:
        return 0
