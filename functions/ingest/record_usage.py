"""The use case of metering: a batch of reported calls is stored, each event exactly once, and archived."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import partial
from typing import NamedTuple

from aws_platform import archive as archiving
from aws_platform import records
from aws_platform.archive import Archive
from aws_platform.buckets import Bucket, BucketStore, LateMark, Outcome
from aws_platform.directory import Directory, Metered
from aws_platform.keys import is_account_id
from aws_platform.tasks import Run, in_turn
from ingest.events import Rejected, UsageEvent, check_shape, echoed_id, parse_instant
from rating.catalog import Catalog, Interface, InterfaceRefused
from rating.civil import UTC_OFFSET_SECONDS
from rating.schedule import Cycle, is_late, late_run_day

MAX_AGE_SECONDS = 35 * 86_400
"""An event may be this old (D4)."""
MAX_AHEAD_SECONDS = 5 * 60
"""An event may be this far ahead of now (D4)."""
_DAY_SECONDS = 86_400
_EPOCH = date(1970, 1, 1)


@dataclass(slots=True)
class Report:
    """What became of the events of a batch; the five counts add up to it."""

    accepted: int = 0
    duplicate: int = 0
    conflict: int = 0
    not_chargeable: int = 0
    rejected: int = 0
    errors: list[Rejected] = field(default_factory=list)

    def count(self, outcomes: Counter[tuple[Outcome, bool]]) -> None:
        """Count stored events by outcome and whether their result is charged."""
        self.accepted += outcomes[Outcome.ACCEPTED, True]
        self.not_chargeable += outcomes[Outcome.ACCEPTED, False]
        self.duplicate += outcomes[Outcome.DUPLICATE, True] + outcomes[Outcome.DUPLICATE, False]
        self.conflict += outcomes[Outcome.CONFLICT, True] + outcomes[Outcome.CONFLICT, False]


class _Call(NamedTuple):
    """An event that can be taken."""

    position: int
    event: UsageEvent
    interface: Interface
    epoch_seconds: int
    fraction: str


class _Group(NamedTuple):
    """The calls of a batch that go into one bucket."""

    bucket: Bucket
    late: LateMark | None
    calls: list[_Call]
    records: list[tuple[bytes, bytes]]
    """Identity and data of each call, as they are stored."""
    rows: list[str]
    """Each call, as it is archived."""


class _Refusal(Exception):  # noqa: N818 - a refusal of input, not a fault of the program
    """Why an event cannot be taken."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


def record_usage(
    values: list[object],
    now: datetime,
    *,
    catalog: Catalog,
    directory: Directory,
    buckets: BucketStore,
    archive: Archive,
    run: Run = in_turn,
) -> Report:
    """Store what can be stored of a batch, and say what became of each event.

    When this returns, accepted events are durable, and Firehose has them for the archive. Raises TryAgainError when
    some are not; the whole batch may then be sent again. Duplicates are archived again, for the request that stored
    them may have ended before it archived them; conflicts are not, for they leave the first as it is.
    """
    shaped, problems = check_shape(values)
    report = Report(errors=problems)
    subjects = {event["subject"] for _, event in shaped}
    accounts = directory.load(set(filter(is_account_id, subjects)))
    judge = _Judge(now, catalog, accounts)
    calls: dict[str, list[_Call]] = {}
    for index, event in shaped:
        try:
            call = judge.judge(index, event)
        except _Refusal as refusal:
            report.errors.append(Rejected(index, echoed_id(event), refusal.code, refusal.detail))
        else:
            calls.setdefault(event["subject"], []).append(call)
    report.rejected = len(report.errors)

    groups: list[_Group] = []
    for account_id, own in calls.items():
        groups += _packed(account_id, own, accounts[account_id], now, directory)
    outcomes = run([partial(buckets.store, group.bucket, group.records, group.late) for group in groups])
    for group, found in zip(groups, outcomes, strict=True):
        report.count(_tally(group.calls, found))
        report.errors += [
            Rejected(call.position, call.event["id"], "conflict", "the event is known with other data")
            for call, outcome in zip(group.calls, found, strict=True)
            if outcome is Outcome.CONFLICT
        ]
    archive.put(_to_archive(groups, outcomes, now))
    report.errors.sort(key=lambda problem: problem.index)
    return report


class _Judge:
    """Decides of each event whether it can be taken, in the order of the contract's codes."""

    def __init__(self, now: datetime, catalog: Catalog, accounts: Mapping[str, Metered]) -> None:
        self._catalog = catalog
        self._lookup = catalog.lookup
        self._accounts = accounts
        now_seconds = int(now.timestamp())
        self._oldest = now_seconds - MAX_AGE_SECONDS
        self._newest = now_seconds + MAX_AHEAD_SECONDS
        self._opened: dict[str, int] = {}

    def judge(self, index: int, event: UsageEvent) -> _Call:
        """The event, read. Raises _Refusal."""
        instant = parse_instant(event["time"])
        if instant is None:
            raise _Refusal("invalid_event", "time: not an RFC 3339 time")
        data = event["data"]
        interface = self._lookup.get(
            (data["interface"], data.get("library"), data.get("mode"), data.get("intention_verify"))
        )
        if interface is None:
            raise self._unknown_interface(event)
        seconds, fraction = instant
        opened = self._opened.get(event["subject"])
        if opened is None:
            opened = self._opened_seconds(event["subject"])
        if seconds < opened:
            raise _Refusal("before_opening", "the time is before the account was opened")
        if seconds < self._oldest:
            raise _Refusal("time_too_old", "the time is more than 35 days ago")
        if seconds > self._newest:
            raise _Refusal("time_in_future", "the time is more than 5 minutes ahead")
        return _Call(index, event, interface, seconds, fraction)

    def _opened_seconds(self, account_id: str) -> int:
        metered = self._accounts.get(account_id)
        if metered is None:
            raise _Refusal("unknown_account", "there is no such account")
        if not metered.opened or metered.opened_at is None:
            raise _Refusal("account_not_open", "the account's service is not open")
        opened = int(metered.opened_at.timestamp())
        self._opened[account_id] = opened
        return opened

    def _unknown_interface(self, event: UsageEvent) -> _Refusal:
        data = event["data"]
        try:
            self._catalog.resolve_interface(
                data["interface"], data.get("library"), data.get("mode"), data.get("intention_verify")
            )
        except InterfaceRefused as refused:
            return _Refusal(refused.code, str(refused))
        msg = "an interface that resolves must be in the lookup"
        raise AssertionError(msg)


def _to_archive(groups: Sequence[_Group], outcomes: Sequence[Sequence[Outcome]], now: datetime) -> Iterator[bytes]:
    """What is to be in the archive of the calls that are stored: a pack or more for each account and day."""
    rows: dict[tuple[str, date], list[str]] = {}
    for group, found in zip(groups, outcomes, strict=True):
        own = rows.setdefault((group.bucket.account_id, group.bucket.day), [])
        if Outcome.CONFLICT in found:
            own += [row for row, outcome in zip(group.rows, found, strict=True) if outcome is not Outcome.CONFLICT]
        else:
            own += group.rows
    for (account_id, day), stored in rows.items():
        if stored:
            yield from archiving.packs(account_id, day, now, stored)


def _packed(
    account_id: str, calls: Sequence[_Call], metered: Metered, now: datetime, directory: Directory
) -> list[_Group]:
    """An account's calls as records by bucket; numbers and day items are in place when this returns."""
    pairs = {(call.event["data"]["result_code"], call.event["data"].get("sub_account") or "") for call in calls}
    directory.ensure_names(account_id, metered, {sub for _, sub in pairs}, {code for code, _ in pairs})
    names = metered.names
    groups: dict[tuple[int, str], tuple[list[_Call], list[tuple[bytes, bytes]], list[str]]] = {}
    # Calls of one kind differ in their second only: there are ten forms of their data, and one end of their rows.
    kinds: dict[tuple[int, str, str], tuple[list[bytes], str]] = {}
    for call in calls:
        _, event, interface, epoch_seconds, fraction = call
        data, source = event["data"], event["source"]
        code, sub_account = data["result_code"], data.get("sub_account") or ""
        key = (interface.number, code, sub_account)
        kind = kinds.get(key)
        if kind is None:
            dimensions = records.Dimensions(
                interface.number,
                code in interface.charged,
                _number(names.code(code)),
                _number(names.sub_account(sub_account)),
            ).pack()
            kind = kinds[key] = (
                [records.pack_data(dimensions, second, sub_account, code) for second in range(records.SLOT_SECONDS)],
                archiving.rest_of_row(interface, code, sub_account),
            )
        ten_seconds, second = divmod(epoch_seconds + UTC_OFFSET_SECONDS, records.SLOT_SECONDS)
        group = groups.get((ten_seconds, source))
        if group is None:
            group = groups[ten_seconds, source] = ([], [], [])
        group[0].append(call)
        group[1].append((records.identity(source, event["id"], epoch_seconds, fraction), kind[0][second]))
        group[2].append(archiving.row(epoch_seconds, fraction, source, event["id"], kind[1]))
    packed = []
    for (ten_seconds, source), (own, stored, rows) in groups.items():
        day_number, slot = divmod(ten_seconds, _DAY_SECONDS // records.SLOT_SECONDS)
        day = _EPOCH + timedelta(days=day_number)
        directory.ensure_day(account_id, metered, day, now)
        bucket = Bucket(account_id, day, slot, source)
        packed.append(_Group(bucket, _late(metered.cycle, day, now), own, stored, rows))
    return packed


def _late(cycle: Cycle | None, day: date, now: datetime) -> LateMark | None:
    if cycle is not None and is_late(cycle, day, now):
        return LateMark(late_run_day(cycle, day, now), now)
    return None


def _number(number: int | None) -> int:
    if number is None:
        msg = "the name has no number yet"
        raise AssertionError(msg)
    return number


def _tally(calls: Sequence[_Call], outcomes: Sequence[Outcome]) -> Counter[tuple[Outcome, bool]]:
    return Counter(
        (outcome, call.event["data"]["result_code"] in call.interface.charged)
        for call, outcome in zip(calls, outcomes, strict=True)
    )
