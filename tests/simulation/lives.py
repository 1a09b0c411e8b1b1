"""What one account does in a simulated year, from a seed: a few weeks of life, in bursts, around what can go wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import partial
from random import Random
from typing import NamedTuple

from tests.faults.support import SHANGHAI
from tests.simulation.steps import (
    Adjustment,
    Call,
    ContractPrice,
    Discount,
    Grant,
    Merchant,
    Open,
    Order,
    PackageOf,
    Postpaid,
    Refund,
    RefundBlock,
    Step,
    TopUp,
    Violation,
    Voucher,
)
from tests.simulation.wares import EID, OFFERS, PLAIN, TIERED, WARES, WITH_FREE, Ware

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)
MICROSECOND = timedelta(microseconds=1)
KINDS = ("daily", "monthly", "poor", "enterprise", "shopper", "off", "sub", "rich", "late", "opening", "late monthly")
"""Accounts take turns at these, so that a few are of all kinds."""
MONTHLY = ("monthly", "late monthly")
SPEND = {"poor": ("3.00", "0.90"), "rich": ("90000.00", "150.00")}
"""Cash and gift at the beginning; the others have a little."""
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
class Life:
    """One account: its nature, and what it has done so far."""

    name: str
    kind: str
    year: Year
    dice: Random
    steps: list[Step] = field(default_factory=list)
    sendings: list[Sending] = field(default_factory=list)
    _said: list[Call] = field(default_factory=list)
    _tags: list[str] = field(default_factory=list)
    _bought: list[tuple[datetime, PackageOf]] = field(default_factory=list)
    _ends: list[datetime] = field(default_factory=list)
    """When packages end, so that something can happen then."""
    _edges: list[datetime] = field(default_factory=list)
    """Instants around which it is good to make calls."""
    _vouchers: list[str] = field(default_factory=list)
    _terms: dict[str, date] = field(default_factory=dict)
    """Until when discounts and contract prices are agreed, by tag."""
    _postpaid: bool = True
    _names: int = 0

    # beginning

    def live(self) -> None:
        """Do everything."""
        self._begin()
        for start in self._bursts():
            for number in range(self.dice.choice((1, 2, 2, 3, 4))):
                day = start + number * DAY
                if self.year.first <= day <= self.year.last:
                    self._day(day)
        if self.kind == "poor":
            self._pay_late()

    def _begin(self) -> None:
        dice, first = self.dice, self.year.first
        early = midnight(first) - dice.randint(1, 380) * DAY + dice.randint(0, 86399) * SECOND
        if self.kind == "opening" or dice.random() < 0.15:
            span = (self.year.last - first).days // 2
            early = midnight(first) + dice.randint(0, span) * DAY + dice.randint(0, 86399) * SECOND
        moved = self._moved(early)
        enterprise = self.kind == "enterprise" or dice.random() < 0.2
        self.steps.append(Open(early, self.name, enterprise, moved))
        if moved is None:
            self._ends.append(early + timedelta(minutes=30) + 365 * DAY)
        self._choose_tags(enterprise=enterprise)
        cash, gift = SPEND.get(self.kind, ("60.00", "4.00"))
        self._at(early + HOUR, lambda now: TopUp(now, self.name, self._name("pay"), "cash", Decimal(cash)))
        self._at(early + HOUR, lambda now: TopUp(now, self.name, self._name("pay"), "gift", Decimal(gift)))
        if enterprise:
            self._at(early + 2 * HOUR, lambda now: Merchant(now, self.name, "m-1"))
        if self.kind == "off":
            self._switch(early + HOUR)
        for _ in range(dice.randint(0, 3)):
            when = early + dice.randint(3600, 370 * 86400) * SECOND
            if early < when < midnight(first):
                self._buy_or_get(when)

    def _moved(self, now: datetime) -> datetime | None:
        """When it was opened elsewhere, if it was."""
        moved = None
        if self.kind in MONTHLY or self.dice.random() < 0.2:
            moved = datetime(2022, 5, 6, 7, 8, 9, tzinfo=SHANGHAI) if self.kind in MONTHLY else now - 30 * DAY
            if self.dice.random() < 0.1:
                moved = datetime(2023, 1, 4, tzinfo=SHANGHAI) - self.dice.randint(0, 1) * SECOND
        return moved

    def _choose_tags(self, *, enterprise: bool) -> None:
        """What it will call."""
        dice = self.dice
        self._tags = [*dice.sample(PLAIN, 2), dice.choice(WITH_FREE)]
        if self.kind == "late monthly":
            self._tags = dice.sample(TIERED, 2)
        if self.kind == "monthly":
            self._tags = [*dice.sample(TIERED, 2), dice.choice(("basic_uploaded", "plus_authority_wechat"))]
        if dice.random() < 0.3:
            self._tags.append(dice.choice(("face_risk", "plus_authority_wechat", "phone_three_factor_detailed")))
        if enterprise:
            self._tags += EID

    def _bursts(self) -> list[date]:
        """The days on which something begins."""
        dice, year = self.dice, self.year
        span = (year.last - year.first).days
        opened = self.steps[0].at.date()
        begin = max(0, (opened - year.first).days)
        days = [year.first + dice.randint(begin, span) * DAY for _ in range(dice.randint(3, 6))]
        months = [one for one in days if dice.random() < 0.4]
        days += [(one.replace(day=1) + 31 * DAY).replace(day=1) - DAY for one in months]
        ends = [one.date() for one in self._ends if year.first <= one.date() <= year.last]
        days += dice.sample(ends, min(2, len(ends)))
        if self.kind == "late monthly":
            days = [one.replace(day=1) + extra * DAY for one in days for extra in (-2, 1, 5)]
        return sorted({one for one in days if opened <= one <= year.last})

    # a day

    def _day(self, day: date) -> None:
        dice = self.dice
        for action, chance in self._habits().items():
            if dice.random() < chance:
                when = midnight(day) + dice.randint(0, 86399) * SECOND
                if dice.random() < 0.15:
                    when = self.year.runs.get(day, when) + dice.choice((-1, 0, 0, 1)) * SECOND
                if when > self.steps[0].at:
                    action(when)
        self._use(day)

    def _habits(self) -> dict[Callable[[datetime], None], float]:
        """What it does on a day, and how often."""
        kind = self.kind
        shops = 0.6 if kind in {"shopper", "rich"} else 0.2 if kind == "poor" else 0.35
        return {
            self._buy_or_get: shops,
            self._give_back: 0.5 if kind == "shopper" else 0.25,
            self._top_up: 0.05 if kind == "poor" else 0.2,
            self._adjust: 0.12,
            self._issue: 0.25,
            self._agree: 0.15,
            self._switch: 0.25 if kind == "off" else 0.06,
            self._police: 0.06,
            self._block: 0.05,
            self._merchant: 0.1 if kind == "enterprise" else 0.01,
        }

    def _at(self, when: datetime, step: Callable[[datetime], Step]) -> None:
        if when.date() <= self.year.last:
            self.steps.append(step(when))

    def _name(self, what: str) -> str:
        self._names += 1
        return f"{what}-{self._names}"

    def _amount(self, low: int, high: int) -> Decimal:
        """Some yuan, from so many fen to so many."""
        return Decimal(self.dice.randint(low, high)).scaleb(-2)

    # what it does

    def _top_up(self, when: datetime) -> None:
        fund = self.dice.choice(("cash", "cash", "gift", "income_transfer"))
        amount = self._amount(1, 900) if self.kind == "poor" else self._amount(1, 6000)
        self._at(when, lambda now: TopUp(now, self.name, self._name("pay"), fund, amount))

    def _pay_late(self) -> None:
        """Pay some time after what may have been a stop: before, at and after it, and after the release."""
        for sending in list(self.sendings):
            if self.dice.random() < 0.25:
                stop = self.year.run_after(sending.at) + DAY
                release = stop + self.year.release_days * DAY
                when = self.dice.choice((stop, release)) + self.dice.choice((-7200, -1, 0, 1, 40000)) * SECOND
                if self.steps[0].at < when:
                    self._top_up(when)

    def _adjust(self, when: datetime) -> None:
        amount = self._amount(1, 300) * self.dice.choice((-1, -1, 1))
        self._at(when, lambda now: Adjustment(now, self.name, self._name("adjust"), amount))

    def _issue(self, when: datetime, scene: str | None = None) -> None:
        dice, name = self.dice, self._name("voucher")
        expires = when + dice.randint(1, 40 * 86400) * SECOND
        if dice.random() < 0.3:
            expires = self.year.run_after(expires) + dice.choice((0, 0, 1)) * SECOND
        scene = scene or dice.choice(("prepaid", "postpaid", "postpaid"))
        threshold = dice.choice((Decimal(0), Decimal(0), self._amount(1, 500)))
        given = Voucher(when, self.name, name, self._amount(1, 1500), scene, threshold, expires, dice.random() < 0.4)
        self._at(when, lambda _: given)
        if scene == "prepaid" or dice.random() < 0.1:
            self._vouchers.append(name)

    def _agree(self, when: datetime) -> None:
        """Agree a discount, or a contract price, for some days that nothing is agreed for."""
        dice, tag = self.dice, self.dice.choice(self._tags)
        first = max(when.date() + dice.choice((0, 1, 1, 3)) * DAY, self._terms.get(tag, date.min))
        until = first + dice.choice((1, 2, 5, 40)) * DAY
        self._terms[tag] = until
        if dice.random() < 0.5:
            rate = dice.choice((Decimal("0.85"), Decimal("0.9999"), Decimal("0.3333"), Decimal(1)))
            self._at(when, lambda now: Discount(now, self.name, tag, rate, first, until))
        else:
            price = dice.choice((Decimal("0.25"), Decimal("0.12345678"), Decimal("0.005")))
            self._at(when, lambda now: ContractPrice(now, self.name, tag, price, first, until))

    def _switch(self, when: datetime) -> None:
        """Switch postpaid, and often back some time later."""
        self._postpaid = not self._postpaid
        to = self._postpaid
        self._edges.append(when)
        self._at(when, lambda now: Postpaid(now, self.name, to))
        if self.dice.random() < 0.5:
            back = when + self.dice.randint(0, 40000) * SECOND
            self._postpaid = not to
            self._edges.append(back)
            self._at(back, lambda now: Postpaid(now, self.name, not to))

    def _police(self, when: datetime) -> None:
        """Find a violation, and lift it some time later."""
        lifted = when + self.dice.choice((0, 1, 3600, 30000, 90000, 400000)) * SECOND
        self._edges += [when, lifted]
        self._at(when, lambda now: Violation(now, self.name, active=True))
        self._at(lifted, lambda now: Violation(now, self.name, active=False))

    def _merchant(self, when: datetime) -> None:
        self._at(when, lambda now: Merchant(now, self.name, f"m-{self.dice.randint(1, 2)}"))

    def _buy_or_get(self, when: datetime) -> None:
        dice = self.dice
        if dice.random() < 0.2:
            tag, calls = dice.choice(self._tags), dice.choice((1, 3, 8, 20))
            name = self._name("gift")
            self._at(when, lambda now: Grant(now, self.name, name, tag, calls))
            self._has(when, PackageOf(name), when + 365 * DAY)
            return
        name, items, pieces = self._name("order"), [], 0
        for tag in dice.sample(self._tags, dice.choice((1, 1, 2))):
            if tag in OFFERS:
                calls, _ = dice.choice(OFFERS[tag])
                quantity = dice.choice((1, 1, 1, 2, 3))
                items.append((f"{tag}:{calls}", quantity))
                pieces += quantity
        if dice.random() < 0.03:
            items.append(("identity_check:77", 1))
        if not items:
            return
        if dice.random() < 0.2:
            self._issue(when, "prepaid")
        voucher = dice.choice(self._vouchers[-2:]) if self._vouchers and dice.random() < 0.6 else None
        activity = dice.choice(self.year.activities) if self.year.activities and dice.random() < 0.25 else None
        self._at(when, lambda now: Order(now, self.name, name, tuple(items), voucher, activity))
        for index in range(pieces):
            self._has(when, PackageOf(name, index), midnight(when.date() + 366 * DAY) - SECOND)
        if dice.random() < 0.12:
            self._at(when, lambda now: Order(now, self.name, name, tuple(items), voucher, activity))

    def _has(self, when: datetime, package: PackageOf, ends: datetime) -> None:
        self._bought.append((when, package))
        self._ends.append(ends)

    def _give_back(self, when: datetime) -> None:
        """Ask for a refund: soon, at the end of the window, after it, twice, of something else."""
        dice = self.dice
        if not self._bought:
            return
        bought, package = dice.choice(self._bought[-4:])
        window = midnight(bought.date() + 8 * DAY)
        asked = dice.choice((when, bought + dice.randint(0, 7200) * SECOND, window - SECOND, window))
        if asked < bought or asked < self.steps[0].at:
            return
        self._at(asked, lambda now: Refund(now, self.name, self._name("refund"), package))
        if dice.random() < 0.15:
            self._at(asked, lambda now: Refund(now, self.name, self._name("refund"), package))

    def _block(self, when: datetime) -> None:
        if self._bought:
            _, package = self.dice.choice(self._bought[-3:])
            blocked = self.dice.random() < 0.7
            self._at(when, lambda now: RefundBlock(now, self.name, package, blocked))

    # usage

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
