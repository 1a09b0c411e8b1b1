"""Verifying one day of one account: the evidence is read, and compared by `rating.verification`. It writes nothing.

All reads are of one moment: that of a version of the account. What does not agree is looked at again before it is told,
for the items of a transaction become visible one by one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING

from aws_platform import failures, keys
from aws_platform.accounts import read_account
from aws_platform.bills import LastBillMissingError
from aws_platform.due import DueDay
from aws_platform.evidence import Evidence
from aws_platform.ledger import OutdatedError
from aws_platform.pending import Usage, cycle_of, issued_before
from aws_platform.reading import in_partition
from aws_platform.snapshot import Snapshot, read_snapshot
from aws_platform.tasks import Run, in_turn
from aws_platform.usage_counts import count_day
from rating.bill import Bill, CountedSegment
from rating.civil import ONE_DAY, day_of, first_day, last_day, month_of, start_of
from rating.history import HISTORY_KEPT
from rating.schedule import Cycle, begun_run_day, run_day
from rating.verification import (
    Difference,
    Ground,
    Kind,
    charges_of,
    package_differences,
    period_differences,
    taking_differences,
    usage_differences,
)
from rating.verified_money import Page, charge_differences, money_differences

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from aws_platform.settings import Settings
    from rating.account import Account
    from rating.catalog import Catalog

type Cut = tuple[datetime, Mapping[str, int]]
"""Calls by tag from an instant on."""
type Counts = dict[tuple[tuple[datetime, ...], tuple[str, ...]], Sequence[Cut]]
"""Counts of a day, by how it was cut and which bills it had before it was counted."""


@dataclass(frozen=True, slots=True)
class Looks:
    """What the looks of one verification have found so far."""

    counts: Counts = field(default_factory=dict)
    without_last_bill: set[int] = field(default_factory=set)
    """Versions of the account at which its last bill was not there. Seen twice, it is not only hidden yet."""


@dataclass(frozen=True, slots=True)
class Verified:
    """What became of a verification."""

    account_id: str
    day: date
    settled: bool
    """Whether the day is over and nothing of it waits for a run."""
    charged_at: datetime | None
    """When something of the day was charged last."""
    differences: tuple[Difference, ...]

    @property
    def errors(self) -> tuple[Difference, ...]:
        """The differences that no run to come will make up for."""
        return tuple(one for one in self.differences if not one.pending)


@dataclass(frozen=True, slots=True)
class Verifier:
    """Verifies days of accounts."""

    dynamodb: DynamoDBClient
    settings: Settings
    catalog: Catalog
    run: Run = in_turn

    def verify(self, account_id: str, day: date, now: datetime, *, whole_month: bool = True) -> Verified:
        """Compute a day again and compare.

        The bills of a monthly account are for more than a day: each is verified with its first day of usage, unless
        the `whole_month` is asked for. Raises LookupError where there is no such account, TryAgainError where it
        changes all the time.
        """
        looks = Looks()
        before: Verified | None = None
        for _ in failures.attempts():
            try:
                found = self._look(account_id, day, now, looks, whole_month=whole_month)
            except OutdatedError:
                continue
            if not found.errors or found == before:
                return found
            before = found
            looks.counts.clear()
        raise failures.TryAgainError

    def _look(self, account_id: str, day: date, now: datetime, looks: Looks, *, whole_month: bool) -> Verified:
        snapshot = read_snapshot(self.dynamodb, self.settings.ledger_table, account_id)
        if snapshot is None:
            msg = f"there is no account {account_id}"
            raise LookupError(msg)
        account = snapshot.account
        if account.cycle is None:
            return Verified(account_id, day, day < begun_run_day(now), None, ())
        issued, differences = self._issued(account, day, looks)
        counted = self._counted(account, day, issued, looks.counts)
        waiting = self._waiting(account_id, day)
        differences += usage_differences(counted, _of_day(issued, day), waiting=waiting)
        usage = _billed_with(account, day)
        wanted = [bill for bill in issued if whole_month or _first_day_of(bill) == day]
        if wanted:
            differences += period_differences(wanted, usage.first_day, usage.last_day)
            differences += self._judge(snapshot, wanted, issued, now)
        # Usage that was billed after the account was read does not wait any more: without its bill it would be wrong.
        if read_account(self.dynamodb, self.settings.ledger_table, account_id) != account:
            raise OutdatedError
        settled = not waiting and run_day(account.cycle, day) <= begun_run_day(now)
        charged_at = max((bill.charged_at for bill in _of_day(issued, day)), default=None)
        return Verified(account_id, day, settled, charged_at, tuple(differences))

    def _issued(self, account: Account, day: date, looks: Looks) -> tuple[list[Bill], list[Difference]]:
        """The bills of the day, of a monthly account those of its month, in the order in which they were issued.

        And what is wrong with them as a whole. Raises OutdatedError where the last one may only not be visible yet.
        """
        differences = []
        try:
            found = issued_before(self.dynamodb, self.settings, account, _billed_with(account, day))
        except LastBillMissingError as error:
            if account.version not in looks.without_last_bill:
                looks.without_last_bill.add(account.version)
                raise
            found = list(error.known)
            last = account.last_bill
            differences.append(Difference(Kind.BILL, "the account's last bill is not there", None, last, bill_id=last))
        return sorted(found, key=lambda bill: bill.version), differences

    def _counted(self, account: Account, day: date, issued: Sequence[Bill], counts: Counts) -> Sequence[Cut]:
        """The records of the day by the segments of its bills: not the counts beside them, which a run may go by."""
        segments = sorted({part.start for bill in _of_day(issued, day) for part in bill.counted if _is_of(part, day)})
        cuts = tuple(segments[1:])
        # The bills were read first, so what they have taken is in any count of the same bills.
        key = cuts, tuple(bill.bill_id for bill in issued)
        if key not in counts:
            start = start_of(day)
            # A cut at 00:00 has nothing before it; with a cut the records are counted.
            made = count_day(
                self.dynamodb,
                self.settings.usage_table,
                account.account_id,
                day,
                (start, *cuts),
                self.catalog,
                self.run,
            )
            counts[key] = list(zip((start, *cuts), made.segments[1:], strict=True))
        return counts[key]

    def _waiting(self, account_id: str, day: date) -> bool:
        """Whether a run has still to look at the day."""
        items = in_partition(
            self.dynamodb,
            self.settings.usage_table,
            keys.usage_account(account_id),
            [keys.day_item(day), keys.late_mark(day)],
        )
        return any(item.get("due_pk", {"S": ""})["S"].startswith(keys.DUE_PREFIX) for item in items.values())

    def _judge(
        self, snapshot: Snapshot, wanted: Sequence[Bill], issued: Sequence[Bill], now: datetime
    ) -> list[Difference]:
        """The bills themselves, the packages that they took from, and their pages of the journal."""
        account, evidence = snapshot.account, Evidence(self.dynamodb, self.settings.ledger_table)
        packages = evidence.packages(account, wanted)
        since = min((day_of(one.delivered_at) for one in packages), default=None)
        ground = Ground(
            cycle_of(account),
            account.conditions(),
            snapshot.terms,
            self.catalog,
            packages,
            evidence.bills_since(account.account_id, since) if since else (),
            # Of the day itself the morning's switches may be gone.
            day_of(now - HISTORY_KEPT) + ONE_DAY,
        )
        kept, pages = evidence.kept_and_pages(snapshot, packages, wanted)
        differences = []
        for bill in wanted:
            before = [one for one in issued if one.version < bill.version]
            differences += _judge_one(ground, bill, before, pages.get(bill.version))
        return differences + package_differences(packages, ground.bills, kept)


def _judge_one(ground: Ground, bill: Bill, before: Sequence[Bill], page: Page | None) -> list[Difference]:
    """One bill, given those before it. One that is so crippled that nothing can be computed from it is told as such."""
    try:
        return [
            *taking_differences(ground, bill, before),
            *charge_differences(bill, charges_of(ground, bill, before)),
            *money_differences(bill, page),
        ]
    except (ValueError, LookupError, ArithmeticError, StopIteration) as error:
        detail = f"cannot be computed: {type(error).__name__}"
        return [Difference(Kind.BILL, detail, None, None, bill_id=bill.bill_id)]


def _billed_with(account: Account, day: date) -> Usage:
    """What is billed together with a day: the day alone, or its month.

    The periods of bills are judged by it, so it does not ask `pending.together`, by which the settlement groups days.
    """
    if cycle_of(account) is Cycle.DAILY:
        return Usage([DueDay(day)], day, day)
    month = month_of(day)
    return Usage([DueDay(day)], first_day(month), last_day(month))


def _is_of(part: CountedSegment, day: date) -> bool:
    return day_of(part.start) == day


def _of_day(issued: Iterable[Bill], day: date) -> list[Bill]:
    """The bills that took usage of the day."""
    return [bill for bill in issued if any(_is_of(part, day) for part in bill.counted)]


def _first_day_of(bill: Bill) -> date:
    """The first day whose usage a bill took."""
    return min((day_of(part.start) for part in bill.counted), default=bill.first_day)
