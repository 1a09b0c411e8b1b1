"""The cloud of one test: in-memory services behind every boto3 client of the process, workers, and faults."""

from __future__ import annotations

import importlib
import importlib.util
import os
import random
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple, Self
from unittest import mock
from weakref import WeakSet

from . import _sdk, wire
from .calls import Call
from .clock import REGION, Clock
from .dynamodb import DynamoDB
from .dynamodb import Snapshot as DynamoSnapshot
from .errors import FaultFound, HarnessError, WorkerCrashed
from .faults import Fault, Faults, Injected, Place
from .protocols import Answer, answered, called, refusal
from .providers import EventBus, Providers
from .providers import State as ProvidersState
from .sqs import SQS, Message, url_of
from .values import Item, Refused

if TYPE_CHECKING:
    from datetime import datetime
    from types import TracebackType

SLEEP = "aws_platform.failures.sleep"
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "harness",
    "AWS_SECRET_ACCESS_KEY": "harness",
    "AWS_DEFAULT_REGION": REGION,
    "AWS_REGION": REGION,
    "AWS_EC2_METADATA_DISABLED": "true",
}
BUGS: tuple[type[Exception], ...] = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    NameError,
    TypeError,
    RecursionError,
    NotImplementedError,
)
BUG_CODES = frozenset(
    {"ValidationException", "SerializationException", "ResourceNotFoundException", "QueueDoesNotExist"}
)
RESTARTS = 25
_TRACE_LINES = 80
_EFFECTIVE = frozenset({Fault.CRASH_AFTER, Fault.TIMEOUT_AFTER, Fault.LOST, Fault.SERVER_ERROR_AFTER})


def is_bug(error: Exception) -> bool:
    """Return whether an error can only be a mistake of the code under test: no fault leads to it."""
    return isinstance(error, (*BUGS, _sdk.exceptions.ParamValidationError))


@dataclass(frozen=True)
class Outcome:
    """How one attempt of some work ended; ``calls``: the attempts of AWS calls that it made."""

    value: Any = None
    error: Exception | None = None
    crashed: bool = False
    calls: int = 0

    @property
    def ok(self) -> bool:
        """Whether it came to its end."""
        return self.error is None and not self.crashed


class Traced(NamedTuple):
    """One line of a trace."""

    place: Place
    call: Call
    fault: Fault | None
    result: str

    def __str__(self) -> str:
        """Return the line."""
        struck = f"  <<< {self.fault}" if self.fault else ""
        return f"{self.place!s:>8} {self.call} -> {self.result}{struck}"


class Snapshot(NamedTuple):
    """A state of the whole world."""

    dynamodb: DynamoSnapshot
    sqs: dict[str, list[Message]]
    providers: ProvidersState
    clock: tuple[datetime, float]


class _Posted(NamedTuple):
    """What an error tells of the request that it is about."""

    url: str


@dataclass
class Worker:
    """One process of the code under test, over all its restarts."""

    world: World
    name: str
    faults: Faults
    calls: int = 0
    taken: int = 0
    struck: Fault | None = None
    """The fault of the present call."""
    dead: bool = False
    same: dict[str, int] = field(default_factory=dict)
    hopeless: dict[str, Fault] = field(default_factory=dict)
    operations: list[Call] = field(default_factory=list)
    refused: Refused | None = None
    """What the next call of botocore is answered, for that is what a call past botocore was."""

    def run(self, work: Callable[[], object]) -> Outcome:
        """Run once; a crash or an error is an outcome, a bug of the code under test (``BUGS``) is raised."""
        before = self.calls
        outer = self.world.current()
        self.dead = False
        self.world.enter(self)
        try:
            value = work()
        except WorkerCrashed:
            return self._crashed(before)
        except Exception as error:
            if self.dead:
                return self._crashed(before)
            if is_bug(error):
                error.add_note(self.world.explain(self.faults))
                raise
            return Outcome(error=error, calls=self.calls - before)
        finally:
            self.world.enter(outer)
        if self.dead:  # swallowed, but dead is dead
            return self._crashed(before)
        return Outcome(value, calls=self.calls - before)

    def _crashed(self, before: int) -> Outcome:
        self.dead = False
        self.world.forget()
        return Outcome(crashed=True, calls=self.calls - before)

    def finish(self, work: Callable[[], object], *, restarts: int = RESTARTS) -> Outcome:
        """Run again and again, as a queue or a stream would deliver again, until it comes to its end."""
        outcome = self.run(work)
        for _ in range(restarts):
            if outcome.ok:
                return outcome
            outcome = self.run(work)
        if outcome.ok:
            return outcome
        message = f"{self.name} did not come to its end in {restarts + 1} attempts: {outcome}"
        raise self.world.found(message, self.faults) from outcome.error


class World:
    """Every boto3 client of the process talks to this while it is entered; one at a time.

    ``sleeps``: functions, by dotted name, that are replaced by the clock's ``sleep`` (``time.sleep`` is anyway).
    ``reset``: called when a process dies and before each case, to empty what the code under test keeps in memory.
    ``strict``: a request that AWS would refuse as invalid ends the test, even where the code under test handles the
    error: no fault leads to one.
    """

    _active: World | None = None

    def __init__(
        self,
        *,
        now: datetime | None = None,
        sleeps: tuple[str, ...] = (SLEEP,),
        reset: tuple[Callable[[], object], ...] = (),
        strict: bool = True,
    ) -> None:
        self.clock = Clock(now)
        self.dynamodb = DynamoDB(self.clock)
        self.sqs = SQS(self.clock)
        self.bus = EventBus(self.sqs)
        self.providers = Providers()
        self.trace: list[Traced] = []
        self.schedule: list[str] = []
        self.outcomes: dict[str, Outcome] = {}
        self.pause: Callable[[Worker, Call], None] | None = None
        self._sleeps = sleeps
        self._reset = reset
        self._strict = strict
        self._answers: dict[tuple[str, str], Callable[[dict[str, Any]], dict[str, Any]]] = {}
        self._here = threading.local()
        self._lock = threading.RLock()
        self._stack = ExitStack()
        self._owner = 0
        self._served = 0
        self._posts = 0
        self._quotas: WeakSet[Any] = WeakSet()
        self._stray: HarnessError | None = None

    # entering and leaving

    def __enter__(self) -> Self:
        """Take over the wire, sleep, and thread pools; all of it or nothing."""
        if World._active is not None:
            raise HarnessError("another World is active")
        if _sdk.moto_is_on():
            raise HarnessError("moto is active: it would answer in our place")
        self._owner = threading.get_ident()
        try:
            self._take_over()
        except BaseException:
            self._stack.close()
            raise
        World._active = self
        return self

    def _take_over(self) -> None:
        patch = self._stack.enter_context
        missing = {name: value for name, value in ENVIRONMENT.items() if name not in os.environ}
        patch(mock.patch.dict(os.environ, missing))
        world = self

        def send(session: object, request: Any) -> Any:
            del session
            return world.send(request)

        real_sleep = time.sleep

        def sleep(seconds: float) -> None:
            (world.clock.sleep if world.known_thread() else real_sleep)(seconds)

        real_submit = ThreadPoolExecutor.submit

        def submit(pool: Any, function: Any, /, *args: Any, **kwargs: Any) -> Any:
            if world.current() is None:
                return real_submit(pool, function, *args, **kwargs)
            return _inline(function, *args, **kwargs)

        real_acquire = _sdk.RetryQuota.acquire

        def acquire(quota: Any, amount: int) -> bool:
            world._quotas.add(quota)
            return bool(real_acquire(quota, amount))

        patch(mock.patch.object(_sdk.httpsession.URLLib3Session, "send", send))
        patch(mock.patch.object(_sdk.RetryQuota, "acquire", acquire))
        self._stack.callback(random.setstate, random.getstate())
        random.seed(0)
        patch(mock.patch.object(time, "sleep", sleep))
        patch(mock.patch.object(ThreadPoolExecutor, "submit", submit))
        for name in self._sleeps:
            self.patch_sleep(name)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give everything back; a failure gets the trace as a note."""
        self._stack.close()
        World._active = None
        if error is not None and self.trace and not isinstance(error, FaultFound) and not hasattr(error, "__notes__"):
            error.add_note(self.explain())
        if error is None and self._stray is not None:
            raise self._stray

    def patch_sleep(self, name: str) -> None:
        """Replace a sleep function, by dotted name; a module that does not exist is left out."""
        module_name, _, attribute = name.rpartition(".")
        try:
            module = importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            if error.name is not None and (module_name == error.name or module_name.startswith(f"{error.name}.")):
                return
            raise
        if not hasattr(module, attribute):
            raise HarnessError(f"there is no {name} to replace")
        self._stack.enter_context(mock.patch.object(module, attribute, self.clock.sleep))

    @classmethod
    def active(cls) -> World | None:
        """Return the world that is entered."""
        return cls._active

    # making and looking at things, without faults

    def client(self, service: str) -> Any:
        """Return a boto3 client for the test's own use; outside a worker no fault strikes it."""
        return _client(service)

    def create_table(
        self,
        name: str,
        *,
        keys: tuple[str, ...] = ("pk", "sk"),
        stream: str | None = None,
        global_indexes: Mapping[str, tuple[str, ...]] | None = None,
        local_indexes: Mapping[str, tuple[str, str]] | None = None,
        types: Mapping[str, str] | None = None,
    ) -> None:
        """Create a table; global indexes are KEYS_ONLY and local ones ALL, attributes are strings unless in ``types``.

        For anything else use ``world.client("dynamodb").create_table``.
        """
        kinds = types or {}
        indexes: list[tuple[str, str, tuple[str, ...], str]] = [
            ("GlobalSecondaryIndexes", index, names, "KEYS_ONLY") for index, names in (global_indexes or {}).items()
        ]
        indexes += [("LocalSecondaryIndexes", index, names, "ALL") for index, names in (local_indexes or {}).items()]
        used = dict.fromkeys([*keys, *(one for _, _, names, _ in indexes for one in names)])
        body: dict[str, Any] = {
            "TableName": name,
            "KeySchema": _schema(keys),
            "AttributeDefinitions": [{"AttributeName": one, "AttributeType": kinds.get(one, "S")} for one in used],
        }
        for where, index, names, projection in indexes:
            one = {"IndexName": index, "KeySchema": _schema(names), "Projection": {"ProjectionType": projection}}
            body.setdefault(where, []).append(one)
        if stream:
            body["StreamSpecification"] = {"StreamEnabled": True, "StreamViewType": stream}
        self.dynamodb.call("CreateTable", body)

    def create_queue(self, name: str) -> str:
        """Create a queue and return its URL."""
        self.sqs.call("CreateQueue", {"QueueName": name})
        return url_of(name)

    def items(self, table: str) -> list[Item]:
        """Return every item of a table, as DynamoDB JSON."""
        return list(self.dynamodb.table(table).items())

    def answer(self, service: str, operation: str, function: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        """Answer an operation of another JSON service (``firehose``) by a function of its parameters."""
        self._answers[service, operation] = function

    def snapshot(self) -> Snapshot:
        """Return the state."""
        providers = ProvidersState(tuple(self.bus.events), tuple(self.providers.sent))
        clock = self.clock.now, self.clock.elapsed
        return Snapshot(self.dynamodb.snapshot(), self.sqs.snapshot(), providers, clock)

    def restore(self, snapshot: Snapshot) -> None:
        """Return to a state, with a new trace and an empty memory of the code under test."""
        self.dynamodb.restore(snapshot.dynamodb)
        self.sqs.restore(snapshot.sqs)
        self.bus.events[:], self.providers.sent[:] = snapshot.providers
        self.clock.now, self.clock.elapsed = snapshot.clock
        self.clock.slept.clear()
        self.trace.clear()
        self.schedule.clear()
        self.outcomes.clear()
        random.seed(0)
        self.forget()

    def forget(self) -> None:
        """Empty the memory of the code under test, and of its AWS clients: its process has died."""
        for function in self._reset:
            function()
        self.rest()

    def rest(self) -> None:
        """Let so much time pass that AWS clients may retry as often as new ones."""
        for quota in self._quotas:
            _sdk.refill(quota)

    # workers

    def worker(self, name: str = "w0", faults: Faults | None = None) -> Worker:
        """Return a new worker."""
        return Worker(self, name, faults or Faults.none())

    def run(self, work: Callable[[], object], faults: Faults | None = None, *, name: str = "w0") -> Outcome:
        """Run once under faults; inside a worker, as part of it."""
        return (self.current() or self.worker(name, faults)).run(work)

    def finish(
        self,
        work: Callable[[], object],
        faults: Faults | None = None,
        *,
        name: str = "w0",
        restarts: int = RESTARTS,
    ) -> Outcome:
        """Run under faults until it comes to its end."""
        return (self.current() or self.worker(name, faults)).finish(work, restarts=restarts)

    def current(self) -> Worker | None:
        """Return the worker of this thread."""
        worker: Worker | None = getattr(self._here, "worker", None)
        return worker

    def enter(self, worker: Worker | None) -> None:
        """Make this thread work for a worker."""
        self._here.worker = worker

    def known_thread(self) -> bool:
        """Return whether this thread is the test's own or a worker's."""
        return self.current() is not None or threading.get_ident() == self._owner

    def found(self, message: str, faults: Faults | None = None) -> FaultFound:
        """Return the failure to raise, with the way to get it again."""
        return FaultFound(f"{message}\n{self.explain(faults)}")

    def explain(self, faults: Faults | None = None) -> str:
        """Return the trace, the faults that struck and the schedule, as a person reads them."""
        lines = [str(one) for one in self.trace]
        if len(lines) > _TRACE_LINES:
            lines = [f"... {len(lines) - _TRACE_LINES} calls before", *lines[-_TRACE_LINES:]]
        told = [f"faults: {faults}"] if faults is not None else []
        if self.schedule:
            told.append(f"schedule: {' '.join(self.schedule)}")
        return "\n".join([*told, "trace (worker#call):", *lines])

    # the wire

    def send(self, request: Any) -> Any:
        """Answer one HTTP request of botocore."""
        answer = self._exchange(called(request), request)
        return _sdk.response(request.url, answer.status, answer.headers, answer.body)

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        """Post to an endpoint of somebody else and return the status: a call like any other, where faults strike.

        Raises ConnectionError where no connection was made, TimeoutError where an answer did not come.
        """
        self._posts += 1
        sent = {"url": url, "headers": dict(headers), "body": body}
        try:
            return self._exchange(Call("https", "POST", sent, f"post-{self._posts}"), _Posted(url)).status
        except _sdk.exceptions.ConnectTimeoutError as error:
            raise ConnectionError from error
        except _sdk.exceptions.HTTPClientError as error:
            raise TimeoutError from error

    def unstruck(self, call: Call) -> dict[str, Any] | None:
        """Answer a call that no fault strikes with the body of the answer; do nothing and return None otherwise.

        Raises Refused where the service refuses it; the worker's next call over the wire is answered just that, and
        counts.
        """
        worker = self.current()
        if worker is None:
            return self._answer(call) if self.known_thread() else None
        if worker.dead:
            return None
        place, same = Place(worker.name, worker.calls + 1), worker.same.get(call.operation, 0) + 1
        if worker.faults.decide(place, call, same=same, taken=worker.taken) is not None:
            return None
        if self.pause is not None:
            self.pause(worker, call)
        with self._lock:
            try:
                body = self._answer(call)
            except Refused as refused:
                worker.refused = refused
                raise
        worker.calls, worker.same[call.operation], worker.struck = place.number, same, None
        worker.operations.append(call)
        self.trace.append(Traced(place, call, None, "ok"))
        return body

    def _exchange(self, call: Call, request: Any) -> Answer:
        worker = self.current()
        if worker is None and threading.get_ident() != self._owner:
            self._stray = HarnessError("an AWS call came from a thread that the harness does not know")
            raise self._stray
        return self._serve(call) if worker is None else self._attempt(worker, call, request)

    def _attempt(self, worker: Worker, call: Call, request: Any) -> Answer:
        if worker.dead:
            raise WorkerCrashed
        refused, worker.refused = worker.refused, None
        if self.pause is not None and refused is None:
            self.pause(worker, call)
        worker.calls += 1
        worker.operations.append(call)
        worker.same[call.operation] = worker.same.get(call.operation, 0) + 1
        place = Place(worker.name, worker.calls)
        fault = worker.struck = self._fault(worker, place, call) if refused is None else None
        try:
            if refused is None:
                answer = self._under(fault, worker, place, call, request)
            else:
                answer = refusal(call, refused, self._next())
        except BaseException as error:
            self.trace.append(Traced(place, call, fault, type(error).__name__))
            raise
        self.trace.append(Traced(place, call, fault, answer.result))
        if self._strict and answer.result in BUG_CODES:
            raise HarnessError(f"AWS refuses this request: {answer.body.decode()}\n{self.explain(worker.faults)}")
        return answer

    def _fault(self, worker: Worker, place: Place, call: Call) -> Fault | None:
        if call.invocation in worker.hopeless:
            return worker.hopeless[call.invocation]
        fault = worker.faults.decide(place, call, same=worker.same[call.operation], taken=worker.taken)
        if fault is not None:
            worker.taken += 1
            worker.faults.log.append(Injected(place, fault, call))
            if fault in {Fault.LOST, Fault.UNREACHABLE, Fault.THROTTLED_OUT}:
                worker.hopeless[call.invocation] = fault
        return fault

    def _under(self, fault: Fault | None, worker: Worker, place: Place, call: Call, request: Any) -> Answer:
        if fault is None:
            return self._serve(call)
        dice = worker.faults.details(place)
        if fault in wire.REFUSED:
            return refusal(call, wire.REFUSED[fault](call, dice), self._next())
        if fault in _EFFECTIVE and worker.faults.log[-1].call is call:  # not the re-sends of a lost one
            self._serve(call)
        match fault:
            case Fault.CRASH_BEFORE | Fault.CRASH_AFTER:
                worker.dead = True
                raise WorkerCrashed
            case Fault.TIMEOUT_BEFORE | Fault.UNREACHABLE:
                raise dice.choice([_sdk.timeout(request.url), _sdk.unreachable(request.url)])
            case Fault.TIMEOUT_AFTER | Fault.LOST:
                raise dice.choice([_sdk.timeout(request.url), _sdk.closed(request.url, request)])
            case Fault.SERVER_ERROR_AFTER:
                return refusal(call, wire.server_error(call), self._next())
            case Fault.PARTIAL:
                return self._serve(call, lambda one: wire.partial(one, dice, self._answer))
            case Fault.SHORT_PAGE:
                return self._serve(call, lambda one: wire.short_page(one, dice, self._answer))
        with self._lock, self.dynamodb.rewound(dice.randint(1, wire.STALE_COMMITS)):
            return self._serve(call)

    def _serve(self, call: Call, how: Callable[[Call], dict[str, Any]] | None = None) -> Answer:
        with self._lock:
            number = self._next()
            try:
                body = (how or self._answer)(call)
            except Refused as refused:
                return refusal(call, refused, number)
            return answered(call, body, number)

    def _answer(self, call: Call) -> dict[str, Any]:
        if call.service == "dynamodb":
            return self.dynamodb.call(call.operation, call.body)
        if call.service == "sqs":
            return self.sqs.call(call.operation, call.body)
        if (call.service, call.operation) == ("events", "PutEvents"):
            return self.bus.put(call.body)
        if self.providers.serves(call):
            worker = self.current()
            place = Place(worker.name, worker.calls) if worker else None
            return self.providers.call(call, place, worker.struck if worker else None)
        if (call.service, call.operation) in self._answers:
            return self._answers[call.service, call.operation](call.body)
        raise HarnessError(f"nothing answers {call.service} {call.operation}: use world.answer(...)")

    def _next(self) -> int:
        self._served += 1
        return self._served


@cache
def _client(service: str) -> Any:
    return _sdk.boto3.client(service, region_name=REGION)


def _inline(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Future[Any]:
    """Run a pool's task at once, in this thread: one of the orders that a real pool may take, and always the same."""
    future: Future[Any] = Future()
    try:
        future.set_result(function(*args, **kwargs))
    except Exception as error:  # noqa: BLE001 - a future carries every error
        future.set_exception(error)
    return future


def _schema(names: tuple[str, ...]) -> list[dict[str, str]]:
    return [{"AttributeName": name, "KeyType": kind} for name, kind in zip(names, ("HASH", "RANGE"), strict=False)]
