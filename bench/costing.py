"""What recorded units cost at public prices: computed, never measured, so that a test can repeat it.

`bench/units.json` holds what `python -m bench record` measured, `bench/prices.json` the prices and what is assumed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from bench import ROOT

PRICES, UNITS = ROOT / "bench" / "prices.json", ROOT / "bench" / "units.json"
GROUPS: Mapping[str, tuple[str, ...]] = {
    "writes": ("write_units",),
    "reads": ("read_units",),
    "Lambda": ("invocations", "gb_seconds"),
    "API and queues": ("http_requests", "sqs_requests", "bus_events", "schedules"),
    "archive": ("firehose_bytes", "archive_bytes", "s3_writes", "s3_reads"),
    "logs and traces": ("log_bytes", "traces"),
    "e-mail": ("emails",),
}
MONTH_DAYS, MONTH_HOURS = 30.4, 730
_MEGABYTES_A_GIGABYTE = 1024

type Units = dict[str, float]


@dataclass(frozen=True, slots=True)
class Function:
    """What the invocations of one function used in a piece of work."""

    name: str
    memory: int
    invocations: float
    cpu_ms: float
    calls: Mapping[str, float] = field(default_factory=dict)
    units: Mapping[str, float] = field(default_factory=dict)
    at_once: int = 1
    """Calls that it makes side by side."""
    write_units: Mapping[str, float] = field(default_factory=dict)
    """Of the units, those of each table and global index."""
    read_units: Mapping[str, float] = field(default_factory=dict)

    def wait_ms(self) -> float:
        """What an invocation waits for AWS, by the assumed time of each call."""
        waits: Mapping[str, float] = assumed("wait_ms")
        return sum(waits[name] * number for name, number in self.calls.items()) / self.invocations / self.at_once

    def milliseconds(self, memory: int | None = None) -> float:
        """What an invocation lasts with so much memory: less of it is less CPU."""
        share = min(1.0, (memory or self.memory) / float(assumed("one_vcpu_mb")))
        return self.cpu_ms / share + self.wait_ms()

    def gb_seconds(self, memory: int | None = None) -> float:
        """What all invocations are charged."""
        size = (memory or self.memory) / _MEGABYTES_A_GIGABYTE
        return self.invocations * size * self.milliseconds(memory) / 1e3

    def all_units(self) -> Units:
        """With what every invocation costs of its own."""
        own = {
            "invocations": self.invocations,
            "gb_seconds": self.gb_seconds(),
            "log_bytes": self.invocations * assumed("platform_log_bytes"),
            "traces": self.invocations * assumed("traced"),
        }
        return added([dict(self.units), own])


@dataclass(frozen=True, slots=True)
class Work:
    """A piece of work as it was recorded."""

    name: str
    per: int
    functions: tuple[Function, ...]
    stored_bytes: float = 0
    """What it leaves in the tables for good."""

    def units(self) -> Units:
        """Of one: a call, an account, a request."""
        total = added(function.all_units() for function in self.functions)
        return {name: amount / self.per for name, amount in total.items()}

    def by_bearer(self, kind: str) -> Units:
        """Write units of one, or read units, by table and global index."""
        found = (one.write_units if kind == "write" else one.read_units for one in self.functions)
        return times(added(found), 1 / self.per)

    def seconds(self) -> float:
        """How long the invocations last for one."""
        return sum(one.invocations * one.milliseconds() for one in self.functions) / 1e3 / self.per

    def cpu_ms(self) -> float:
        """CPU of the invocations for one."""
        return sum(one.invocations * one.cpu_ms for one in self.functions) / self.per

    def function(self, name: str) -> Function:
        """One of the functions. Raises StopIteration for another one."""
        return next(one for one in self.functions if one.name == name)


@cache
def prices() -> Mapping[str, Any]:
    """The file of prices."""
    loaded: Mapping[str, Any] = json.loads(PRICES.read_text(encoding="utf-8"))
    return loaded


def assumed(name: str) -> Any:
    """A number that was neither measured nor found."""
    return prices()["assumed"][name]["value"]


def quota(name: str) -> float:
    """What AWS allows unless it is asked for more."""
    return float(prices()["quotas"][name]["value"])


def quota_note(name: str) -> str:
    """The same as the document has it: with its page, unless it is from memory."""
    found = prices()["quotas"][name]
    text = f"{quota(name):,g} {found.get('of', '')}".strip()
    return f"[{text}]({found['page']})" if found["found"] == "page" else text


def usd(unit: str, amount: float) -> float:
    """The price of so many units. Raises KeyError for a unit without a price."""
    price = prices()["prices"][unit]
    return float(amount * price["usd"] / price["per"])


def total_usd(units: Mapping[str, float]) -> float:
    """The price of all units."""
    return sum(usd(name, amount) for name, amount in units.items())


def by_group(units: Mapping[str, float]) -> dict[str, float]:
    """The price by what it is for. Raises ValueError for a unit of no group."""
    known = {name: group for group, names in GROUPS.items() for name in names}
    groups = dict.fromkeys(GROUPS, 0.0)
    for name, amount in units.items():
        if name not in known:
            message = f"{name} belongs to no group"
            raise ValueError(message)
        groups[known[name]] += usd(name, amount)
    return groups


def added(several: Iterable[Mapping[str, float]]) -> Units:
    """The sum, unit by unit."""
    total: Units = {}
    for units in several:
        for name, amount in units.items():
            total[name] = total.get(name, 0) + amount
    return total


def times(units: Mapping[str, float], number: float) -> Units:
    """So many times as much."""
    return {name: amount * number for name, amount in units.items()}


@dataclass(frozen=True, slots=True)
class Recorded:
    """The file of units."""

    machine: str
    works: Mapping[str, Work]
    stack: Mapping[str, int]
    """What a stack has that costs without any usage, by kind."""
    limits: Mapping[str, Any] = field(default_factory=dict)
    """What the template and the stages say: what may run at once, and where."""
    sending_ms: float = 0.0
    """CPU of sending a thousand messages."""

    @classmethod
    def load(cls) -> Recorded:
        """As `python -m bench record` left it."""
        document = json.loads(UNITS.read_text(encoding="utf-8"))
        return cls.of(document)

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Recorded:
        """As the file has it."""
        works = {
            name: Work(
                name,
                work["per"],
                tuple(Function(function, **used) for function, used in work["functions"].items()),
                work["stored_bytes"],
            )
            for name, work in document["works"].items()
        }
        return cls(document["machine"], works, document["stack"], document["limits"], document["sending_ms"])

    def idle_month(self) -> dict[str, Units]:
        """What a stack costs in a month without any usage, by what it is for."""
        minutes = MONTH_DAYS * 24 * 60
        stack = self.stack
        sweeps = times(self.works["a sweep with nothing due"].units(), minutes)
        plans = times(self.works["a plan with nothing due"].units(), MONTH_DAYS * stack["plans_a_day"])
        clock = {"schedules": minutes + MONTH_DAYS * stack["plans_a_day"]}
        polls = stack["queues_polled"] * assumed("pollers") * MONTH_HOURS * 3_600 / 20
        keys = stack["tables"] * MONTH_HOURS * 3_600 / assumed("kms_seconds")
        return {
            "sweeps and plans": added([sweeps, plans, clock]),
            "polls of idle queues": {"sqs_requests": polls},
            "alarms, metrics, dashboards": {
                "alarms": stack["alarms"],
                "metrics": stack["metrics"],
                "dashboards": stack["dashboards"],
            },
            "the tables' key": {"kms_requests": keys},
        }
