"""A simulated year from a seed: what its accounts do, prices and activities, runs, sweeps, and when to look."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time
from decimal import Decimal
from random import Random

from tests.faults.support import SHANGHAI
from tests.simulation.callers import DAY, SECOND, Sending, Year, midnight
from tests.simulation.lives import KINDS, Life
from tests.simulation.steps import Activity, Call, Look, OfAccount, Price, Report, Run, Step, Sweep
from tests.simulation.wares import OFFERS, TIERED

YEARS = ((date(2025, 1, 1), date(2026, 1, 1)), (date(2024, 2, 20), date(2025, 3, 5)))
"""A year, and one with two ends of February, the first of which is a 29th."""
RATES = (0.001, 0.003, 0.0005, 0.006)
RELEASE_DAYS = (30, 2, 1, 9)
GENTLE = ((0, Decimal("0.40")), (7, Decimal("0.37")), (20, Decimal("0.355")), (60, Decimal("0.3")))
STEEP = ((0, Decimal("1.00")), (4, Decimal("0.5")), (9, Decimal("0.21")), (30, Decimal("0.1")))
"""Monthly prices that a few calls change: a late one may make the whole month cheaper (D19)."""
FOLLOWING = 2
"""For so many days after something happened to an account it is looked at closely: it is settled, perhaps stopped."""


@dataclass(frozen=True)
class Plan:
    """A simulation: everything that it needs."""

    seed: int
    steps: tuple[Step, ...]
    rate: float = 0.0
    """The chance of each kind of fault at each call to AWS."""
    release_days: int = 30

    @property
    def accounts(self) -> tuple[str, ...]:
        """The accounts that it has, in order."""
        return tuple(sorted({name for step in self.steps for name in accounts_of(step)}))


def accounts_of(step: Step) -> Iterator[str]:
    """The accounts that a step happens to; looks happen to nobody."""
    if isinstance(step, OfAccount):
        yield step.account
    elif isinstance(step, Report):
        yield from dict.fromkeys(call.account for call in step.calls if call.account != "nobody")


def plan(seed: int, accounts: int = 50, days: int | None = None) -> Plan:
    """The simulation of a seed; of its first days only, where a number is given."""
    dice = _dice("plan", seed)
    first, last = YEARS[seed % 5 == 0]
    if days is not None:
        last = min(last, first + (days - 1) * DAY)
    year = _year(dice, first, last)
    lives = [_life(seed, number, year) for number in range(accounts)]
    steps: list[Step] = [step for life in lives for step in life.steps]
    steps += _reports(_dice("reports", seed), lives)
    steps += _prices(_dice("prices", seed), year)
    steps += _activities(_dice("activities", seed), year)
    begun = min(step.at for step in steps)
    steps.sort(key=lambda step: step.at)
    steps = _in_order([*steps, *_work(dice, year, begun)])
    steps = _in_order([*steps, *_looks(dice, year, steps)])
    return Plan(seed, tuple(steps), RATES[seed % len(RATES)], year.release_days)


def _dice(of: str, seed: int) -> Random:
    """Dice for one thing, so that nothing else changes what it does."""
    return Random(f"{of}/{seed}")  # noqa: S311 - wants to be reproducible, not secret


def _in_order(steps: Iterable[Step]) -> list[Step]:
    """By time; what was there first comes first at the same instant."""
    return sorted(steps, key=lambda step: step.at)


def _year(dice: Random, first: date, last: date) -> Year:
    days = [first + number * DAY for number in range((last - first).days + 1)]
    drawn = {day: dice.choice((time(8),) * 12 + (time(10), None)) for day in days}
    # What comes of a closed month is late from 08:00 of the 1st on (D3, D4): where no run is then the texts are silent.
    times = {day: time(8) if day.day == 1 else drawn[day] for day in days}
    runs = {day: datetime.combine(day, at, SHANGHAI) for day, at in times.items() if at}
    return Year(first, last, runs, dice.choice(RELEASE_DAYS), tuple(f"activity-{number}" for number in range(4)))


def _life(seed: int, number: int, year: Year) -> Life:
    name = f"acct-{number:02d}"
    life = Life(name, KINDS[number % len(KINDS)], year, _dice(f"life/{name}", seed))
    life.live()
    return life


# --- usage ------------------------------------------------------------------------------------------------------------


def _reports(dice: Random, lives: Sequence[Life]) -> Iterator[Report]:
    """Each account's own batches, and those in which gateways send the calls of several."""
    shared: dict[datetime, list[Sending]] = defaultdict(list)
    for life in lives:
        for sending in life.sendings:
            if sending.shared:
                shared[sending.at].append(sending)
            else:
                yield Report(sending.at, sending.calls, by_queue=dice.random() < 0.3)
    for at, sendings in sorted(shared.items()):
        calls: list[Call] = [call for sending in sendings for call in sending.calls]
        yield Report(at, tuple(calls), by_queue=dice.random() < 0.3)


# --- what the operator sets -------------------------------------------------------------------------------------------


def _prices(dice: Random, year: Year) -> Iterator[Price]:
    """Small packages from the beginning, and now and then another price."""
    begin = midnight(year.first) - 400 * DAY
    for tag, offers in OFFERS.items():
        packages = tuple((calls, Decimal(price)) for calls, price in offers)
        yield Price(begin, tag, "daily", begin.date(), packages=packages)
    tiers = dice.choice((GENTLE, STEEP, ()))
    for tag in TIERED if tiers else ():
        yield Price(begin, tag, "monthly", begin.date(), tiers=tiers)
    for _ in range(dice.randint(3, 8)):
        when = midnight(year.first) + dice.randint(0, (year.last - year.first).days * 86400) * SECOND
        first = when.date() + dice.choice((0, 1, 1, 7)) * DAY
        yield _price(dice, when, first)


def _price(dice: Random, when: datetime, first: date) -> Price:
    tag = dice.choice((*TIERED, *OFFERS, "face_risk"))
    kind = dice.random()
    if kind < 0.4 or tag not in OFFERS:
        flat = dice.choice((Decimal("0.45"), Decimal("0.005"), Decimal("0.1111"), Decimal("1.23")))
        return Price(when, tag, "daily", first, unit_price=flat)
    if kind < 0.7 and tag in TIERED:
        steps = sorted(dice.sample(range(3, 50), 2))
        prices = dice.sample(("0.5", "0.4444", "0.31", "0.2"), 3)
        return Price(when, tag, "monthly", first, tiers=tuple(zip((0, *steps), map(Decimal, prices), strict=True)))
    if kind < 0.8 and tag in TIERED:
        return Price(when, tag, "monthly", first, unit_price=Decimal("0.333"))
    packages = tuple((calls, Decimal(price) * dice.randint(90, 110) / 100) for calls, price in OFFERS[tag])
    return Price(when, tag, "daily", first, packages=tuple((calls, round(price, 2)) for calls, price in packages))


def _activities(dice: Random, year: Year) -> Iterator[Activity]:
    for name in year.activities:
        first = year.first + dice.randint(0, (year.last - year.first).days) * DAY
        until = first + dice.choice((1, 30, 150, 300)) * DAY
        rate = dice.choice((Decimal("0.8"), Decimal("0.3333"), Decimal(1)))
        tags = tuple(dice.sample(sorted(OFFERS), dice.choice((len(OFFERS) // 2, len(OFFERS) - 1, len(OFFERS)))))
        yield Activity(midnight(year.first) - 399 * DAY, name, first, until, rate, tags, dice.random() < 0.5)


# --- what the product does by itself ----------------------------------------------------------------------------------


def _work(dice: Random, year: Year, begun: datetime) -> Iterator[Step]:
    """Runs and sweeps: a few before the year, some each day in it."""
    for _ in range(12):
        yield Sweep(begun + dice.randint(0, int((midnight(year.first) - begun).total_seconds())) * SECOND)
    day = year.first
    while day <= year.last:
        for _ in range(dice.choice((0, 1, 1, 2))):
            yield Sweep(midnight(day) + dice.randint(0, 86399) * SECOND)
        if day in year.runs:
            yield Run(year.runs[day])
            if dice.random() < 0.1:
                yield Run(year.runs[day] + dice.choice((0, 1, 60, 3600)) * SECOND)
        day += DAY


def _looks(dice: Random, year: Year, steps: Sequence[Step]) -> Iterator[Step]:
    """Each day: closely at those to whom something has happened, at the ends of months and in the end at everybody."""
    happened: dict[date, set[str]] = defaultdict(set)
    for step in steps:
        for name in accounts_of(step):
            for after in range(FOLLOWING):
                happened[step.at.date() + after * DAY].add(name)
    day = year.first
    while day <= year.last:
        when = datetime.combine(day, time(dice.randint(8, 23), dice.randint(0, 59), dice.randint(1, 59)), SHANGHAI)
        whole = (day + DAY).day == 1 or day == year.last
        yield Sweep(when)
        yield Look(when, () if whole else tuple(sorted(happened[day])), everybody=whole)
        day += DAY


# --- parts of a simulation --------------------------------------------------------------------------------------------


def only(made: Plan, accounts: Iterable[str]) -> Plan:
    """The simulation of some of the accounts."""
    wanted = set(accounts)
    return replace(made, steps=tuple(part for step in made.steps if (part := _part(step, wanted)) is not None))


def _part(step: Step, wanted: set[str]) -> Step | None:
    if isinstance(step, OfAccount):
        return step if step.account in wanted else None
    if isinstance(step, Report):
        calls = tuple(call for call in step.calls if call.account in wanted)
        return replace(step, calls=calls) if calls else None
    if isinstance(step, Look):
        return replace(step, accounts=tuple(name for name in step.accounts if name in wanted))
    return step
