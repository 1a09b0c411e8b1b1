"""The calls that one account makes and has reported: on their day, late, twice, and wrong ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from functools import partial
from random import Random
from typing import NamedTuple

from tests.faults.support import SHANGHAI
from tests.simulation.steps import Call, Step
from tests.simulation.wares import WARES, WITH_FREE, Ware

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)
MICROSECOND = timedelta(microseconds=1)
LATE = {"late": 0.7, "monthly": 0.35, "late monthly": 0.7}
"""How often a day has late usage."""
OLDEST = timedelta(days=35)
"""How old an event may be (D4)."""
COLLECTED = (time(7, 54, 59), time(7, 55), time(8, 0, 1), time(12), time(23, 58))
"""When gateways send what they have, the calls of several accounts in one batch."""


class Sending(NamedTuple):
    """Calls that are reported together."""

    at: datetime
    calls: tuple[Call, ...]
    shared: bool
    """Whether they may go into one batch with those of other accounts."""


@dataclass(frozen=True)
class Year:
    """What all accounts share: the days of the simulation, the time of each day's run, the activities."""

    first: date
    last: date
    """The last day, included."""
    runs: dict[date, datetime]
    release_days: int
    activities: tuple[str, ...]

    def run_after(self, instant: datetime) -> datetime:
        """The first run after an instant."""
        return next((run for run in self.runs.values() if run > instant), instant + DAY)


def midnight(day: date) -> datetime:
    """When a day begins."""
    return datetime.combine(day, time(), SHANGHAI)


@dataclass
class Caller:
    """An account as far as it makes calls."""

    name: str
    kind: str
    year: Year
    dice: Random
    steps: list[Step] = field(default_factory=list)
    sendings: list[Sending] = field(default_factory=list)
    _said: list[Call] = field(default_factory=list)
    _tags: list[str] = field(default_factory=list)
    _ends: list[datetime] = field(default_factory=list)
    """When packages end, so that something can happen then."""
    _edges: list[datetime] = field(default_factory=list)
    """Instants around which it is good to make calls."""
    _names: int = 0

    def _name(self, what: str) -> str:
        self._names += 1
        return f"{what}-{self._names}"

    def _use(self, day: date) -> None:
        """Calls of a day, and when they are reported."""
        dice = self.dice
        for _ in range(dice.choice((1, 1, 2, 3))):
            tag = dice.choice(self._tags)
            number = dice.choice((1, 2, 3, 5, 8, 13, 25))
            if tag in WITH_FREE and dice.random() < 0.3:
                number = 110
            calls = tuple(self._call(tag, when) for when in self._times(day, number))
            self._said += calls
            self._send(day, calls)
        if dice.random() < LATE.get(self.kind, 0.1):
            self._send_late(day)

    def _times(self, day: date, number: int) -> list[datetime]:
        """When so many calls of a day are made: in one moment, or a few."""
        dice = self.dice
        moments = [self._instant(day) for _ in range(dice.choice((1, 1, 2, 3)))]
        times = [dice.choice(moments) for _ in range(number)]
        last = midnight(day) + DAY - MICROSECOND
        return sorted(one if dice.random() < 0.7 else min(one + dice.randint(0, 5) * SECOND, last) for one in times)

    def _instant(self, day: date) -> datetime:
        """Some time of a day, often one at which something begins or ends."""
        dice = self.dice
        start = midnight(day)
        edges = [one for one in (*self._edges, *self._ends) if one.date() == day]
        run = self.year.runs.get(day)
        if run is not None:
            edges.append(run)
        if edges and dice.random() < 0.3:
            near = dice.choice(edges) + dice.choice((-SECOND, -MICROSECOND, 0 * SECOND, MICROSECOND, SECOND))
            return min(max(near, start), start + DAY - MICROSECOND)
        if dice.random() < 0.08:
            return dice.choice((start, start + DAY - SECOND, start + DAY - MICROSECOND))
        return start + dice.randint(0, 86399) * SECOND + dice.choice((0, 0, 0, 250_000)) * MICROSECOND

    def _call(self, tag: str, when: datetime) -> Call:
        dice = self.dice
        ware: Ware = dice.choice(WARES[tag])
        fields = ware.fields
        if dice.random() < (0.8 if self.kind == "sub" else 0.05):
            fields = (*fields, ("sub_account", dice.choice(("team-a", "team-b", "team-c"))))
        source = dice.choice(("/gateway-1", "/gateway-1", "/gateway-2"))
        return Call(self.name, source, self._name("e"), when, ware.interface, dice.choice(ware.codes), fields)

    def _send(self, day: date, calls: Sequence[Call]) -> None:
        """Report calls: as they come, or by a gateway that collects; with what makes trouble among them."""
        dice = self.dice
        last = max(one.time for one in calls)
        collected = [datetime.combine(day + extra, at, SHANGHAI) for extra in (0 * DAY, DAY) for at in COLLECTED]
        in_time = [one for one in collected if one >= last - 5 * 60 * SECOND]
        shared = bool(in_time) and dice.random() < 0.5
        at = dice.choice(in_time[:3]) if shared else last + dice.choice((-300, 0, 1, 60, 3600, 20000)) * SECOND
        self._report(at, [*calls, *self._trouble(at)], shared=shared)
        if dice.random() < 0.1:
            self._report(at + dice.choice((1, 600, 90000)) * SECOND, calls, shared=False)

    def _trouble(self, at: datetime) -> list[Call]:
        """Events that are known, contradict what is known, or are refused."""
        dice, trouble = self.dice, list[Call]()
        if self._said and dice.random() < 0.3:
            trouble += dice.choices(self._said[-60:], k=dice.randint(1, 3))
        if self._said and dice.random() < 0.2:
            trouble.append(replace(dice.choice(self._said[-30:]), result_code="-77"))
        if dice.random() < 0.15:
            one = self._call(dice.choice(self._tags), at)
            trouble.append(dice.choice(_REFUSED)(one))
        return trouble

    def _send_late(self, day: date) -> None:
        """Report calls of days before: of a closed month, as old as may be, or older."""
        dice = self.dice
        at = midnight(day) + dice.randint(30000, 86399) * SECOND
        back = dice.choice((DAY, 2 * DAY, 5 * DAY, 20 * DAY, OLDEST, OLDEST + SECOND, OLDEST + MICROSECOND))
        if self.kind == "late monthly":
            back = (day.day + dice.randint(0, 3)) * DAY
        tags = dice.choice((self._tags, self._tags[:1]))
        calls = [self._call(dice.choice(tags), at - back) for _ in range(dice.choice((1, 2, 5, 9)))]
        if dice.random() < 0.5:
            calls += [replace(one, time=one.time + dice.randint(0, 80000) * SECOND) for one in self._some(calls)]
        self._report(at, calls, shared=False)

    def _some(self, calls: Sequence[Call]) -> list[Call]:
        return self.dice.sample(list(calls), self.dice.randint(0, len(calls)))

    def _report(self, at: datetime, calls: Sequence[Call], *, shared: bool) -> None:
        opened, at = self.steps[0].at, at.replace(microsecond=0)
        if opened < at and at.date() <= self.year.last and calls:
            self.sendings.append(Sending(at, tuple(calls), shared))


def _with_field(call: Call, name: str, value: str) -> Call:
    return replace(call, fields=(*call.fields, (name, value)))


_REFUSED: tuple[Callable[[Call], Call], ...] = (
    lambda call: replace(call, interface="no.such"),
    lambda call: replace(call, interface="basic.pc_h5", fields=()),
    partial(_with_field, name="colour", value="red"),
    lambda call: replace(call, time=call.time + timedelta(minutes=5)),
    lambda call: replace(call, time=call.time + timedelta(minutes=5, seconds=1)),
    lambda call: replace(call, time=call.time - OLDEST),
    lambda call: replace(call, time=call.time - OLDEST - SECOND),
    lambda call: replace(call, account="nobody"),
)
"""What may be wrong with an event, or just not wrong. That of nobody shrinks with the account that sent it."""
