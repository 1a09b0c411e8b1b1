"""Moving the clock, with everything behind it made up."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest

from local.clock import Clock, ClockState, format_time, parse_time, read_now
from local.driver import Driver, ScheduleSource
from local.functions import FunctionFailedError, Functions
from local.problems import ProblemError
from local.template import Schedule
from local.work import StuckError

START = parse_time("2025-03-01T00:00:00+08:00")


class FakeClock(Clock):
    """A clock in memory that remembers where it stood."""

    def __init__(self, now: datetime) -> None:
        self.state = ClockState(now, now - timedelta(seconds=1), now)
        self.stood: list[str] = []

    def read(self) -> ClockState:
        """See `Clock`."""
        return self.state

    def set(self, now: datetime, through: datetime) -> None:
        """See `Clock`."""
        assert now >= self.state.now
        self.state = ClockState(now, through, self.state.began)
        self.stood.append(format_time(now))


@dataclass
class FakeFunctions(Functions):
    """Functions that note what they are called with, and fail as often as is wanted."""

    log: list[str]
    failures: int = 0

    def call(self, function: str, payload: bytes) -> bytes:
        """See `Functions`."""
        if self.failures:
            self.failures -= 1
            raise FunctionFailedError(function, "Boom", "made to fail")
        self.log.append(f"{function} {payload.decode()}")
        return b"null"


@dataclass
class FakeBacklog:
    """Something that has so many units to work off."""

    log: list[str]
    name: str = "Work"
    kind: str = "queue"
    units: int = 0
    stuck: bool = False
    asked: int = 0
    leaves: FakeBacklog | None = None

    def pending(self) -> bool:
        """See `Backlog`."""
        self.asked += 1
        return self.units > 0

    def done(self) -> bool:
        """See `Backlog`."""
        if not self.stuck:
            self.log.append(f"{self.name} worked off")
            self.units = 0
            if self.leaves:
                self.leaves.units, self.leaves = 1, None
        return not self.stuck


@dataclass
class World:
    """Clock, functions and a backlog, with the driver over them."""

    schedules: list[Schedule]
    log: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.clock = FakeClock(START)
        self.functions = FakeFunctions(self.log)
        self.backlog = FakeBacklog(self.log)
        self.follower = FakeBacklog(self.log, "Channel")
        self.overdue = FakeBacklog(self.log, "Overdue", "timer")
        sources = [ScheduleSource(schedule, self.functions, START) for schedule in self.schedules]
        self.driver = Driver(self.clock, sources, [self.backlog], [self.follower], [self.overdue], patience=0.05)

    def move(self, to: str) -> list[tuple[str, str]]:
        """Move the clock; the times and names of what ran."""
        return [(item.at, item.name) for item in self.driver.move(parse_time(to))]


def _schedule(name: str, expression: str, text: str | None = "{}") -> Schedule:
    return Schedule(name, expression, "Asia/Shanghai", f"{name}Function", text)


MORNING, SECOND = _schedule("Morning", "cron(0 8 * * ? *)"), _schedule("Second", "cron(0 10 * * ? *)")


def test_in_order_from_moment_to_moment() -> None:
    """Everything due runs once, in time order, at its own time, and the clock ends where it was sent."""
    world = World([SECOND, MORNING])
    assert world.move("2025-03-02T09:00:00+08:00") == [
        ("2025-03-01T08:00:00+08:00", "Morning"),
        ("2025-03-01T10:00:00+08:00", "Second"),
        ("2025-03-02T08:00:00+08:00", "Morning"),
    ]
    assert world.clock.stood == [
        "2025-03-01T08:00:00+08:00",
        "2025-03-01T10:00:00+08:00",
        "2025-03-02T08:00:00+08:00",
        "2025-03-02T09:00:00+08:00",
    ]
    assert world.move("2025-03-02T09:00:00+08:00") == []


def test_due_at_the_very_moment() -> None:
    """What is due at exactly the target has run, and is not run again by the next move."""
    world = World([MORNING])
    assert world.move("2025-03-01T08:00:00+08:00") == [("2025-03-01T08:00:00+08:00", "Morning")]
    assert world.move("2025-03-01T08:00:00+08:00") == []
    assert world.move("2025-03-01T08:00:01+08:00") == []


def test_backlogs_before_the_next_moment() -> None:
    """What a schedule leaves behind is worked off before anything later runs."""
    world = World([MORNING, SECOND])
    world.backlog.units = 1
    ran = world.move("2025-03-01T08:00:00+08:00")
    assert ran == [("2025-03-01T00:00:00+08:00", "Work"), ("2025-03-01T08:00:00+08:00", "Morning")]
    assert world.log == ["Work worked off", "MorningFunction {}"]


def test_what_follows_is_worked_off_in_order() -> None:
    """Backlogs come first, then what they fill, then what has become due meanwhile, until all is quiet."""
    world = World([])
    world.backlog.units = 1
    world.backlog.leaves, world.follower.leaves = world.follower, world.overdue
    world.overdue.leaves = world.backlog
    assert [name for _, name in world.move(format_time(START))] == ["Work", "Channel", "Overdue", "Work"]


def test_idle_time_asks_little() -> None:
    """While nothing is worked off, what only follows is asked once a move, however many schedules run."""
    world = World([MORNING, SECOND])
    assert len(world.move("2025-03-11T00:00:00+08:00")) == 20
    assert (world.follower.asked, world.overdue.asked) == (1, 1)
    assert world.backlog.asked > 20


@pytest.mark.parametrize("name", ["follower", "overdue"])
def test_what_was_left_is_found_by_the_next_move(name: str) -> None:
    """Whatever a broken move left behind is worked off first, even if nothing else happens."""
    world = World([])
    left: FakeBacklog = getattr(world, name)
    left.units = 1
    assert world.move(format_time(START)) == [(format_time(START), left.name)]


def test_same_moment_in_the_templates_order() -> None:
    """Two schedules of one moment run one after the other, as the template lists them."""
    world = World([_schedule("B", "cron(0 8 * * ? *)"), _schedule("A", "cron(0 8 * * ? *)")])
    assert [name for _, name in world.move("2025-03-01T08:00:00+08:00")] == ["B", "A"]


def test_never_back() -> None:
    """The clock moves forward only."""
    world = World([])
    with pytest.raises(ProblemError) as caught:
        world.move("2025-02-28T23:59:59+08:00")
    assert (caught.value.status, caught.value.code) == (409, "clock_moves_forward_only")


def test_not_for_ever() -> None:
    """A move over many years is refused before it begins."""
    with pytest.raises(ProblemError) as caught:
        World([MORNING]).move("9999-12-31T00:00:00+08:00")
    assert (caught.value.status, list(caught.value.errors)) == (422, ["now"])


def test_stuck_backlog() -> None:
    """A backlog that stays ends the move with 503 and its name; the next move goes on from there."""
    world = World([MORNING])
    world.backlog.units, world.backlog.stuck = 1, True
    with pytest.raises(ProblemError) as caught:
        world.move("2025-03-01T09:00:00+08:00")
    assert (caught.value.status, caught.value.code) == (503, "try_again")
    assert "Work" in caught.value.detail
    world.backlog.stuck = False
    assert world.move("2025-03-01T09:00:00+08:00")[-1] == ("2025-03-01T08:00:00+08:00", "Morning")


def test_failing_schedule() -> None:
    """A schedule is called again when it fails; if it goes on failing, the clock stays at that moment."""
    world = World([MORNING])
    world.functions.failures = 1
    assert len(world.move("2025-03-01T08:00:00+08:00")) == 1
    world.functions.failures = 3
    with pytest.raises(ProblemError) as caught:
        world.move("2025-03-05T00:00:00+08:00")
    assert caught.value.status == 503
    assert format_time(world.driver.now()) == "2025-03-02T08:00:00+08:00"
    assert world.move("2025-03-03T00:00:00+08:00") == [("2025-03-02T08:00:00+08:00", "Morning")]


def test_one_move_at_a_time() -> None:
    """Movers wait for each other; the clock can be read meanwhile."""
    world = World([MORNING])
    world.backlog.units, world.backlog.stuck = 1, True
    failed: list[ProblemError] = []

    def move() -> None:
        try:
            world.move("2025-03-01T09:00:00+08:00")
        except ProblemError as error:
            failed.append(error)

    movers = [threading.Thread(target=move) for _ in range(3)]
    for mover in movers:
        mover.start()
    assert world.driver.now() == START
    for mover in movers:
        mover.join()
    assert [error.status for error in failed] == [503, 503, 503]


def test_drain_alone() -> None:
    """Draining works off what there is and moves nothing; it says when something is stuck."""
    world = World([MORNING])
    world.backlog.units = 1
    world.driver.drain()
    assert world.log == ["Work worked off"]
    assert world.clock.stood == []
    world.backlog.units, world.backlog.stuck = 1, True
    with pytest.raises(StuckError):
        world.driver.drain(0)


def test_usual_notification() -> None:
    """A schedule without input of its own sends the scheduler's usual notification, in UTC."""
    source = ScheduleSource(_schedule("S", "rate(1 day)", None), FakeFunctions([]), START)
    payload = json.loads(source.payload(START))
    assert payload["time"] == "2025-02-28T16:00:00Z"
    assert (payload["source"], payload["detail-type"]) == ("aws.scheduler", "Scheduled Event")
    assert payload["resources"] == ["arn:aws:scheduler:us-east-1:000000000000:schedule/default/S"]


def test_context_attributes() -> None:
    """The scheduler's context attributes in an input are filled in."""
    text = '{"at":"<aws.scheduler.scheduled-time>","try":<aws.scheduler.attempt-number>}'
    source = ScheduleSource(_schedule("S", "rate(1 day)", text), FakeFunctions([]), START)
    assert json.loads(source.payload(START, attempt=2)) == {"at": "2025-02-28T16:00:00Z", "try": 2}


@pytest.mark.parametrize(
    "body,fields",
    [
        ([], {"body"}),
        ({}, {"now"}),
        ({"now": 1}, {"now"}),
        ({"now": "2025-03-01"}, {"now"}),
        ({"now": "2025-03-01T00:00:00"}, {"now"}),
        ({"now": "2025-02-30T00:00:00Z"}, {"now"}),
        ({"now": "9999-12-31T23:59:59-08:00"}, {"now"}),
        ({"now": "2025-03-01T00:00:00Z", "then": 1}, {"then"}),
    ],
)
def test_bad_times(body: object, fields: set[str]) -> None:
    """Only an RFC 3339 time with a zone, and nothing else, moves the clock."""
    with pytest.raises(ProblemError) as caught:
        read_now(body)
    assert (caught.value.status, set(caught.value.errors)) == (422, fields)


def test_whole_seconds_at_plus_eight() -> None:
    """Times are cut to whole seconds (D1) and shown at +08:00."""
    assert format_time(read_now({"now": "2025-02-28t16:00:00.999z"})) == "2025-03-01T00:00:00+08:00"
