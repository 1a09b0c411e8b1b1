"""The loads and runs that a million accounts and a billion calls a day come to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bench import works
from bench.costing import Recorded, Units, added, quota, times

MILLION, BILLION = 10**6, 10**9
DAY_SECONDS, YEAR_DAYS = 86_400, 365
PEAK = 3
"""The busiest second of a day has so many times the calls of the mean one: assumed."""
DAYS_OF_MONTH = 31
WINDOW, DAY_MINUTES = 240, 1_440
"""Minutes that settlement has in a morning, and that verification has."""
CHANNELS = 3
"""Queues that a notice is handed to."""
MESSAGES = 10
"""That a call sends to a queue."""
DAWN_SECONDS = 300
"""In which a million accounts begin their day: assumed."""
KINDS = ("write", "read")
ACCOUNT_READS: Units = {"LedgerTable": 1, "UsageTable": 1}
"""What IngestFunction reads of an account that its process has not kept: its item and its names, with consistency. The
recorded batches are of accounts that it has."""
SETTLEMENT, VERIFICATION = "SettlementFunction", "VerificationFunction"
USAGE_DUE = "UsageTable/DueIndex"


@dataclass(frozen=True, slots=True)
class Load:
    """How a billion calls of a day come."""

    name: str
    shares: Mapping[str, float]
    """Which part of them comes in which way."""
    unknown: float
    """Which part is of accounts that the process has not kept: with a million of them, all that come one by one."""

    def a_call(self, recorded: Recorded) -> Units:
        """Units of the mean call."""
        counted = [times(recorded.works[name].units(), share) for name, share in self.shares.items()]
        return added([*counted, {"read_units": sum(ACCOUNT_READS.values()) * self.unknown}])

    def by_bearer(self, recorded: Recorded, kind: str) -> Units:
        """Write or read units of the mean call by table and global index."""
        counted = [times(recorded.works[name].by_bearer(kind), share) for name, share in self.shares.items()]
        return added([*counted, times(ACCOUNT_READS, self.unknown)] if kind == "read" else counted)

    def stored(self, recorded: Recorded) -> float:
        """Bytes that the mean call leaves in the tables."""
        works_of = ((recorded.works[name], share) for name, share in self.shares.items())
        return sum(work.stored_bytes / work.per * share for work, share in works_of)

    def busy_seconds(self, recorded: Recorded, function: str) -> float:
        """How long the invocations of a function last for the mean call."""
        found = ((recorded.works[name], share) for name, share in self.shares.items())
        return sum(
            one.invocations * one.milliseconds() / 1e3 / work.per * share
            for work, share in found
            for one in (work.function(function),)
        )


LOADS = (
    Load("skewed: 1 % of the accounts have 90 % of the calls", {works.NAMES[10]: 0.9, works.EACH_OTHER: 0.1}, 0.1),
    Load("even: every call of another account", {works.EACH_OTHER: 1.0}, 1.0),
)
A_SECOND = BILLION / DAY_SECONDS * PEAK


@dataclass(frozen=True, slots=True)
class Run:
    """What a queue's workers do for every account in turn."""

    name: str
    short: str
    parts: Mapping[str, float]
    """Pieces of work, and how often an account has each."""
    function: str
    minutes: int
    """In which it should be over."""

    def seconds(self, recorded: Recorded) -> float:
        """A worker's time for an account."""
        return sum(recorded.works[name].seconds() * often for name, often in self.parts.items())

    def by_bearer(self, recorded: Recorded, kind: str) -> Units:
        """Write or read units of an account by table and global index."""
        return added(times(recorded.works[name].by_bearer(kind), often) for name, often in self.parts.items())

    def workers(self, recorded: Recorded) -> int:
        """As many as the template lets work at once."""
        return int(recorded.limits["workers"][self.function])

    def accounts_a_second(self, recorded: Recorded) -> float:
        """With all of them at work, and tables that keep up."""
        return self.workers(recorded) / self.seconds(recorded)

    def minutes_of_new_tables(self, recorded: Recorded) -> float:
        """For a million accounts, with tables and indexes that take what new ones take, each by itself."""
        slowest = [self.seconds(recorded) / self.workers(recorded)]
        for kind in KINDS:
            slowest += (units / quota(f"new_table_{kind}s") for units in self.by_bearer(recorded, kind).values())
        return max(slowest) * MILLION / 60


DAILY = Run("daily accounts, a usual day", "run, daily", {works.FEW: 1}, SETTLEMENT, WINDOW)
DAILY_FIRST = Run(
    "daily accounts, the 1st: a day, and the month closed",
    "run of the 1st, daily",
    {works.FEW: 1, works.CLOSED: 1},
    SETTLEMENT,
    WINDOW,
)
MONTHLY_FIRST = Run(
    "monthly accounts, the 1st: a month, and the one before closed",
    "run of the 1st, monthly",
    {works.MONTH: 1, works.CLOSED: 1},
    SETTLEMENT,
    WINDOW,
)
VERIFY = Run("a day of each account verified", "verifying", {works.VERIFIED: 1}, VERIFICATION, DAY_MINUTES)
VERIFY_MONTH = Run(
    "31 days of each account verified", "verifying a month", {works.VERIFIED: DAYS_OF_MONTH}, VERIFICATION, DAY_MINUTES
)
SETTLING = (DAILY, DAILY_FIRST, MONTHLY_FIRST)
RUNS = (*SETTLING, VERIFY, VERIFY_MONTH)
