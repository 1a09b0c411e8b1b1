"""What accounts and packages tell, whatever happens to them, against models that look back (D21 to D23, D27)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from accounts.models import ViolationBody
from accounts.service import set_violation
from aws_platform.accounts import account_from_item, account_to_item
from rating.account import Account, Stage, Status
from rating.allocation import Source
from rating.civil import start_of
from rating.edges import account_notices, account_told, wallet_told, wallet_used
from rating.funds import Funds
from rating.history import Interval, covered
from rating.notices import Kind, Notice
from rating.wallet import Edge, Wallet, WalletPackage, ends_at
from tests.property.strategies import SECOND

BEGIN = start_of(date(2025, 3, 1))
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
STOP, RELEASE = 24 * HOUR, 24 * HOUR + 30 * DAY
GOOD = Account("a", "A", BEGIN, stage=Stage.OPENED, opened_at=BEGIN, version=1)

type Told = tuple[str, datetime]


# --- accounts -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Event:
    """Something that happens to an account: a movement of money, a violation, its end, or a sweep."""

    at: datetime
    what: str
    amount: int = 0


_GAPS = st.one_of(
    st.sampled_from([timedelta(0), timedelta(0), SECOND, STOP - SECOND, STOP, STOP + SECOND])
    | st.sampled_from([RELEASE - SECOND, RELEASE, RELEASE + SECOND, 30 * DAY]),
    st.integers(0, 40 * 24).map(lambda hours: hours * HOUR),
)
_STEPS = st.lists(
    st.tuples(_GAPS, st.sampled_from(["move", "move", "violate", "lift", "sweep"]), st.integers(-3, 3)), max_size=12
)


def _events(steps: Sequence[tuple[timedelta, str, int]]) -> list[Event]:
    now, found = BEGIN, []
    for gap, what, amount in steps:
        now += gap
        found.append(Event(now, what, amount))
    return found


def _after(account: Account, event: Event) -> Account:
    """What the product makes of the account."""
    match event.what:
        case "move":
            return account.with_funds(Funds(cash=account.funds.cash + event.amount), event.at)
        case "sweep":
            return account_told(account, event.at)
        case what:
            body = ViolationBody(active=what == "violate", reason="content")
            return set_violation(account, body, event.at)


def _replay(events: Sequence[Event]) -> tuple[list[Account], list[list[Notice]]]:
    """The account after each event, stored and read again, and what each tells."""
    account, accounts, pages = GOOD, [], []
    for event in events:
        after = _after(account, event)
        pages.append(account_notices(account, after, event.at))
        after = replace(after, version=account.version + 1)
        account = account_from_item(account_to_item(after))
        assert account == after
        accounts.append(account)
    return accounts, pages


class Model:
    """The same by looking back over the whole list of events."""

    def __init__(self, events: Sequence[Event]) -> None:
        self.events = events
        self.balances = [
            sum(one.amount for one in events[: number + 1] if one.what == "move") for number in range(len(events))
        ]
        self.debts = self._stretches([balance < 0 for balance in self.balances])
        self.violations = self._stretches(self._violated())

    def _violated(self) -> list[bool]:
        states, state = [], False
        for event in self.events:
            state = event.what == "violate" or (state and event.what != "lift")
            states.append(state)
        return states

    @staticmethod
    def _stretches(states: Sequence[bool]) -> list[tuple[int, int]]:
        """(number of the event that begins it, of the one that ends it), one beyond the last for what lasts."""
        begins = [number for number, state in enumerate(states) if state and not (number and states[number - 1])]
        return [(one, next((end for end in range(one, len(states)) if not states[end]), len(states))) for one in begins]

    def stops(self) -> Counter[Interval]:
        """Every stop, for whatever cause."""
        ends = [event.at for event in self.events]
        found = [(ends[one] + STOP, ends[end] if end < len(ends) else None) for one, end in self.debts]
        found = [(start, end) for start, end in found if end is None or start < end]
        found += [(ends[one], ends[end] if end < len(ends) else None) for one, end in self.violations]
        return Counter(Interval(start, end) for start, end in found)

    def page(self, number: int) -> list[Told]:
        """What the event of this number tells."""
        event = self.events[number]
        page: list[Told] = [("arrears", event.at) for one, _ in self.debts if one == number]
        debt = next(((one, end) for one, end in self.debts if one < number <= end), None)
        stop = stopped = released = None
        if debt is not None:
            since = self.events[debt[0]].at
            stop, release = since + STOP, since + RELEASE
            swept = [one.at for one in self.events[debt[0] : number] if one.what == "sweep"]
            stopped, released = any(at >= stop for at in swept), any(at >= release for at in swept)
            over = number == debt[1]
            if not stopped and ((event.what == "sweep" and event.at >= stop) or (over and event.at >= stop)):
                page.append(("stopped/arrears", stop))
            if not released and (event.what == "sweep" or over) and event.at >= release:
                page.append(("released", release))
        page += [("stopped/violation", event.at) for one, _ in self.violations if one == number]
        was_violated = any(one < number <= end for one, end in self.violations)
        is_violated = any(one <= number < end for one, end in self.violations)
        in_debt = debt is not None and number < debt[1]
        was_stopped = was_violated or (stop is not None and (bool(stopped) or stop <= event.at))
        is_stopped = is_violated or (in_debt and stop is not None and stop <= event.at)
        ends_something = (was_violated and not is_violated) or (debt is not None and not in_debt)
        if ends_something and was_stopped and not is_stopped:
            page.append(("resumed/violation" if was_violated else "resumed/arrears", event.at))
        return page


def _named(notices: Sequence[Notice]) -> list[Told]:
    return [
        (f"{one.kind}/{one.data['cause']}" if "cause" in one.data else one.kind, one.occurred_at) for one in notices
    ]


@settings(max_examples=400)
@given(_STEPS)
def test_an_account_tells_every_edge_once_and_none_that_was_not_crossed(
    steps: list[tuple[timedelta, str, int]],
) -> None:
    """Each change tells what a look back over all that happened says, in any order of payments, stops and sweeps."""
    events = _events(steps)
    _, pages = _replay(events)
    model = Model(events)
    for number, page in enumerate(pages):
        assert _named(page) == model.page(number), events[number]


@settings(max_examples=300)
@given(_STEPS)
def test_the_stops_on_record_are_those_that_were(steps: list[tuple[timedelta, str, int]]) -> None:
    """At every moment the dated stops are those of the log: of arrears, of violations, over or not (D5, D22)."""
    events = _events(steps)
    accounts, _ = _replay(events)
    for number, account in enumerate(accounts):
        assert Counter(account.conditions().stops) == Model(events[: number + 1]).stops()


@settings(max_examples=300)
@given(_STEPS)
def test_nothing_stops_while_the_balance_is_zero_or_more(steps: list[tuple[timedelta, str, int]]) -> None:
    """A stop for arrears is told only after 24 hours below zero without a break; a payment that suffices ends it."""
    events = _events(steps)
    accounts, pages = _replay(events)
    log = [(BEGIN, 0), *((event.at, balance) for event, balance in zip(events, Model(events).balances, strict=True))]
    for at in [when for page in pages for name, when in _named(page) if name == "stopped/arrears"]:
        assert [balance for when, balance in log if when <= at - STOP][-1] < 0
        assert all(balance < 0 for when, balance in log if at - STOP < when < at)
    for event, account in zip(events, accounts, strict=True):
        assert (account.arrears is None) == (account.funds.available >= Decimal(0))
        if account.arrears is None and account.violation is None:
            assert account.status(event.at) is Status.ACTIVE
            assert not covered(account.conditions().stops, event.at)


@settings(max_examples=200)
@given(_STEPS)
def test_sweeps_change_nothing_but_what_was_told(steps: list[tuple[timedelta, str, int]]) -> None:
    """With and without its sweeps an account stops and resumes at the same seconds, and tells the same in the end."""
    events = _events(steps)
    end = max((event.at for event in events), default=BEGIN) + 2 * RELEASE
    swept, told = _replay([*events, Event(end, "sweep")])
    never, late = _replay([*(event for event in events if event.what != "sweep"), Event(end, "sweep")])
    assert Counter(swept[-1].conditions().stops) == Counter(never[-1].conditions().stops)
    assert swept[-1].status(end) is never[-1].status(end)
    assert swept[-1].arrears == never[-1].arrears

    def named(pages: Sequence[Sequence[Notice]]) -> Counter[Told]:
        return Counter(one for page in pages for one in _named(page))

    assert named(told) == named(late)


@settings(max_examples=200)
@given(_STEPS)
def test_a_timer_is_due_when_there_is_something_to_tell(steps: list[tuple[timedelta, str, int]]) -> None:
    """Not a second earlier, and after its sweep it is due later or never (D21, D23)."""
    accounts, _ = _replay(_events(steps))
    for account in accounts:
        if account.arrears is None or account.arrears.next_due is None:
            assert account_told(account, BEGIN + 9999 * DAY) == account
            continue
        due = account.arrears.next_due
        assert account_notices(account, account_told(account, due - SECOND), due - SECOND) == []
        after = account_told(account, due)
        assert account_notices(account, after, due)
        assert after.arrears is not None
        assert after.arrears.next_due is None or after.arrears.next_due > due


# --- packages -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Look:
    """A look at a package: by a timer or the stream, or by a bill."""

    at: datetime
    left: int
    by_bill: bool
    released: bool


_SPANS = st.one_of(
    st.sampled_from([timedelta(0), SECOND, HOUR, DAY, DAY - SECOND, DAY + SECOND, 6 * DAY, 7 * DAY, 357 * DAY]),
    st.integers(0, 400).map(lambda days: days * DAY),
)


@st.composite
def _stories(draw: st.DrawFn) -> tuple[WalletPackage, list[Look]]:
    """A package and looks at it in the order of time, at whatever it has left then."""
    source = draw(st.sampled_from(list(Source)))
    delivered = BEGIN + draw(st.integers(0, 86_399)) * SECOND
    total = draw(st.integers(1, 30))
    package = WalletPackage("p", source, total, 0, delivered, ends_at(source, delivered))
    edges = [*package.timed_edges().values(), package.ends_at]
    near = st.sampled_from(edges).flatmap(lambda edge: st.sampled_from([edge - SECOND, edge, edge + SECOND]))
    anywhere = _SPANS.map(lambda span: delivered + span)
    times = sorted(one for one in draw(st.lists(near | anywhere, max_size=10)) if one >= delivered)
    often = st.sampled_from([0, 0, total // 5, max(0, -(-total // 5) - 1), total])
    released_from = draw(st.one_of(st.none(), st.none(), near))
    looks = [
        Look(
            at,
            draw(often | st.integers(0, total)),
            draw(st.booleans()),
            released_from is not None and released_from <= at,
        )
        for at in times
    ]
    return package, looks


def _tell(package: WalletPackage, look: Look) -> tuple[WalletPackage, list[Notice]]:
    wallet, left, released = Wallet("t", (package,)), {"p": look.left}, ["p"] if look.released else []
    tell = wallet_used if look.by_bill else wallet_told
    after, notices = tell(wallet, left, released, look.at)
    return after.packages[0], notices


@settings(max_examples=400)
@given(_stories())
def test_a_package_tells_each_edge_once_and_only_where_it_was_crossed(story: tuple[WalletPackage, list[Look]]) -> None:
    """Whatever it has left at whatever look: nothing untrue, nothing twice, nothing after its end or release (D27)."""
    package, looks = story
    told: list[tuple[Kind, int | None]] = []
    own: dict[int | None, datetime] = {7: package.ends_at - 7 * DAY, 1: package.ends_at - DAY}
    for look in looks:
        package, notices = _tell(package, look)
        assert not (look.released and notices)
        for notice in notices:
            days = notice.data.get("days")
            assert notice.data["remaining"] == look.left
            match notice.kind:
                case Kind.PACKAGE_LOW:
                    assert Fraction(look.left, package.total) < Fraction(20, 100)
                    assert look.left == 0 or look.at <= package.ends_at
                    assert notice.occurred_at == look.at
                case Kind.PACKAGE_EXHAUSTED:
                    assert look.left == 0
                    assert (Kind.PACKAGE_LOW, None) in told
                case Kind.PACKAGE_EXPIRING:
                    assert look.left > 0
                    assert notice.occurred_at == own[days] <= look.at <= package.ends_at
                case _:
                    assert notice.kind is Kind.PACKAGE_EXPIRED
                    assert look.left > 0
                    assert notice.occurred_at == package.ends_at + SECOND <= look.at
            assert not look.by_bill or notice.kind in {Kind.PACKAGE_LOW, Kind.PACKAGE_EXHAUSTED}
            assert (Kind.PACKAGE_EXPIRED, None) not in told
            told.append((notice.kind, days))
    assert len(told) == len(set(told))


@settings(max_examples=400)
@given(_stories())
def test_a_look_misses_nothing(story: tuple[WalletPackage, list[Look]]) -> None:
    """What is true at a look, and was not told and is not of an end that has passed, is told by it (D27)."""
    package, looks = story
    told: set[tuple[Kind, int | None]] = set()
    passed: set[int | None] = set()
    for look in looks:
        due: set[tuple[Kind, int | None]] = set()
        ended = look.at > package.ends_at
        if None not in passed and not look.released:
            if look.left * 5 < package.total and (not look.left or not ended):
                due.add((Kind.PACKAGE_LOW, None))
            if not look.left:
                due.add((Kind.PACKAGE_EXHAUSTED, None))
        if not look.by_bill:
            if ended and None not in passed and look.left and not look.released:
                due.add((Kind.PACKAGE_EXPIRED, None))
            for days in (7, 1):
                come = look.at >= package.ends_at - days * DAY
                if come and not ended and days not in passed and look.left and not look.released:
                    due.add((Kind.PACKAGE_EXPIRING, days))
                passed |= {days} if come else set()
            passed |= {None} if ended else set()
        package, notices = _tell(package, look)
        found = {(notice.kind, notice.data.get("days")) for notice in notices}
        assert found == due - told
        told |= found


@settings(max_examples=200)
@given(_stories())
def test_a_sweep_leaves_no_package_due(story: tuple[WalletPackage, list[Look]]) -> None:
    """After a look by a timer the package is due later or never, and the same look again tells nothing (D27)."""
    package, looks = story
    for look in looks:
        before = package.told
        package, _ = _tell(package, look)
        assert before & package.told == before
        assert _tell(package, look) == (package, [])
        if not look.by_bill:
            assert package.next_due is None or package.next_due > look.at
            assert Edge.DELIVERED in package.told
