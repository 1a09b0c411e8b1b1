"""What one account does in a simulated year, from a seed: a few weeks of life, in bursts, around what can go wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal

from tests.faults.support import SHANGHAI
from tests.simulation.callers import DAY, HOUR, SECOND, Caller, midnight
from tests.simulation.steps import (
    Adjustment,
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
from tests.simulation.wares import EID, OFFERS, PLAIN, TIERED, WITH_FREE

KINDS = ("daily", "monthly", "poor", "enterprise", "shopper", "off", "sub", "rich", "late", "opening", "late monthly")
"""Accounts take turns at these, so that a few are of all kinds."""
MONTHLY = ("monthly", "late monthly")
SPEND = {"poor": ("3.00", "0.90"), "rich": ("90000.00", "150.00")}
"""Cash and gift at the beginning; the others have a little."""


@dataclass
class Life(Caller):
    """One account: its nature, and what it has done so far."""

    _bought: list[tuple[datetime, PackageOf]] = field(default_factory=list)
    _vouchers: list[str] = field(default_factory=list)
    _terms: dict[str, date] = field(default_factory=dict)
    """Until when discounts and contract prices are agreed, by tag."""
    _postpaid: bool = True

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
