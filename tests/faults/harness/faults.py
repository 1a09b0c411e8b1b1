"""Which fault strikes which call: written down, or drawn from a seed. Nothing here depends on time or on threads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random

from .calls import Call

_WRITES = frozenset({"PutItem", "UpdateItem", "DeleteItem"})
_CUT = {
    "BatchGetItem": 2,
    "BatchWriteItem": 2,
    "SendMessageBatch": 1,
    "PutRecordBatch": 1,
    "PutEvents": 1,
}


class Fault(StrEnum):
    """What may happen to one attempt of a call.

    "Retried" below is what botocore itself does, with the client's own retry settings, because faults are injected
    on the wire, under its retry handler.
    """

    CRASH_BEFORE = "crash_before"
    """The process dies before the request leaves."""
    CRASH_AFTER = "crash_after"
    """The call takes effect, and the process dies before it hears so."""
    TIMEOUT_BEFORE = "timeout_before"
    """The request is lost; nothing happened. Retried."""
    TIMEOUT_AFTER = "timeout_after"
    """The call takes effect, the answer is lost. Retried: the same request is sent again."""
    LOST = "lost"
    """As ``timeout_after``, and no re-send gets through: the caller sees the time-out, the effect is there."""
    UNREACHABLE = "unreachable"
    """No attempt gets through: the caller sees the time-out, there is no effect."""
    SERVER_ERROR_BEFORE = "server_error_before"
    """500, nothing happened. Retried."""
    SERVER_ERROR_AFTER = "server_error_after"
    """500, but the call took effect. Retried."""
    THROTTLED = "throttled"
    """This attempt is throttled. Retried."""
    THROTTLED_OUT = "throttled_out"
    """Every attempt is throttled: the caller sees the error."""
    CONFLICT = "conflict"
    """A transaction in flight holds the item: cancelled, or ``TransactionConflictException`` for a single write."""
    TRANSACTION_THROTTLED = "transaction_throttled"
    """The transaction is cancelled because one of its items was throttled."""
    TRANSACTION_IN_PROGRESS = "transaction_in_progress"
    """``TransactionInProgressException``: an attempt with this token is under way. Retried."""
    PARTIAL = "partial"
    """A batch call leaves some entries undone: unprocessed keys or items, failed messages, records or events."""
    SHORT_PAGE = "short_page"
    """A query or scan ends early and gives a key to go on from; the next page may be empty."""
    STALE = "stale"
    """A read that is not strongly consistent (every read of a global index) answers from a while ago."""

    def strikes(self, call: Call) -> bool:
        """Return whether this fault can happen to this call."""
        operation = call.operation
        match self:
            case Fault.CONFLICT:
                return operation in _WRITES or operation.startswith("Transact")
            case Fault.TRANSACTION_THROTTLED | Fault.TRANSACTION_IN_PROGRESS:
                return operation == "TransactWriteItems"
            case Fault.PARTIAL:
                return operation in _CUT and entries(call) >= _CUT[operation]
            case Fault.SHORT_PAGE:
                return operation in {"Query", "Scan"}
            case Fault.STALE:
                return _may_be_stale(call)
            case _:
                return True


CRASHES = (Fault.CRASH_BEFORE, Fault.CRASH_AFTER)
TIMEOUTS = (Fault.TIMEOUT_BEFORE, Fault.TIMEOUT_AFTER, Fault.LOST, Fault.UNREACHABLE)
SERVER_ERRORS = (Fault.SERVER_ERROR_BEFORE, Fault.SERVER_ERROR_AFTER)
REFUSALS = (
    Fault.THROTTLED,
    Fault.THROTTLED_OUT,
    Fault.CONFLICT,
    Fault.TRANSACTION_THROTTLED,
    Fault.TRANSACTION_IN_PROGRESS,
)
SHORTCOMINGS = (Fault.PARTIAL, Fault.SHORT_PAGE, Fault.STALE)
ALL = (*CRASHES, *TIMEOUTS, *SERVER_ERRORS, *REFUSALS, *SHORTCOMINGS)


def entries(call: Call) -> int:
    """Return how many entries a batch call has."""
    match call.operation:
        case "BatchGetItem":
            return sum(len(one["Keys"]) for one in call.body["RequestItems"].values())
        case "BatchWriteItem":
            return sum(len(one) for one in call.body["RequestItems"].values())
        case "PutRecordBatch":
            return len(call.body["Records"])
        case _:
            return len(call.body.get("Entries", []))


def _may_be_stale(call: Call) -> bool:
    if call.operation == "BatchGetItem":
        return not all(one.get("ConsistentRead") for one in call.body["RequestItems"].values())
    return call.operation in {"GetItem", "Query", "Scan"} and not call.body.get("ConsistentRead")


@dataclass(frozen=True)
class Place:
    """The ``number``-th call (attempts counted, from 1) of a worker, over all its restarts."""

    worker: str
    number: int

    def __str__(self) -> str:
        """Return the place as ``Faults.parse`` reads it."""
        return f"{self.worker}#{self.number}"


@dataclass(frozen=True)
class Injected:
    """A fault that struck, and where."""

    place: Place
    fault: Fault
    call: Call

    def __str__(self) -> str:
        """Return one line of the log."""
        return f"{self.place}={self.fault}  {self.call}"


@dataclass
class Faults:
    """A schedule of faults. Make one with ``none``, ``at``, ``on``, ``seeded`` or ``parse``; ``log`` is what struck."""

    plan: Mapping[str, Fault] = field(default_factory=dict)
    targets: list[tuple[str, range, Fault]] = field(default_factory=list)
    seed: int | None = None
    rates: Mapping[Fault, float] = field(default_factory=dict)
    budget: int = 1_000_000
    log: list[Injected] = field(default_factory=list)

    @classmethod
    def none(cls) -> Faults:
        """Return no faults."""
        return cls()

    @classmethod
    def at(cls, plan: Mapping[int | Place, Fault]) -> Faults:
        """Return faults at given calls; a bare number means that call of every worker."""
        return cls({f"*#{where}" if isinstance(where, int) else str(where): fault for where, fault in plan.items()})

    @classmethod
    def on(cls, operation: str, fault: Fault, *, nth: int = 1, times: int = 1) -> Faults:
        """Return one fault at the ``nth`` and following attempts of an operation, of each worker."""
        return cls(targets=[(operation, range(nth, nth + times), fault)])

    @classmethod
    def seeded(
        cls, seed: int, rates: Mapping[Fault, float] | float = 0.02, *, kinds: Iterable[Fault] = ALL, budget: int = 8
    ) -> Faults:
        """Return faults drawn from a seed: a chance for each kind at each call, ``budget`` of them a worker at most.

        A draw depends on the seed, the worker's name and the call's number alone, so that another interleaving, or a
        call that another worker makes, changes nothing.
        """
        each = rates if isinstance(rates, Mapping) else dict.fromkeys(kinds, rates)
        return cls(seed=seed, rates=dict(each), budget=budget)

    @classmethod
    def parse(cls, text: str) -> Faults:
        """Return the faults of ``replay()``: ``w0#3=crash_after;w1#2=conflict``."""
        pairs = [part.split("=") for part in text.split(";") if part.strip()]
        return cls({where.strip(): Fault(name.strip()) for where, name in pairs})

    def replay(self) -> str:
        """Return the faults that struck so far, as text that ``parse`` reads."""
        return ";".join(f"{one.place}={one.fault}" for one in self.log)

    def decide(self, place: Place, call: Call, *, same: int, taken: int) -> Fault | None:
        """Return the fault of this call; ``same``: the worker's attempts of this operation, this one included."""
        named = self.plan.get(str(place)) or self.plan.get(f"*#{place.number}")
        if named is not None:
            return named if named.strikes(call) else None
        for operation, numbers, fault in self.targets:
            if operation == call.operation and same in numbers and fault.strikes(call):
                return fault
        return self._draw(place, call) if self.rates and taken < self.budget else None

    def _draw(self, place: Place, call: Call) -> Fault | None:
        drawn = Random(f"{self.seed}/{place}").random()  # noqa: S311 - wants to be reproducible, not secret
        for fault, rate in self.rates.items():
            if not fault.strikes(call):
                continue
            if drawn < rate:
                return fault
            drawn -= rate
        return None

    def details(self, place: Place) -> Random:
        """Return the dice for the particulars of a fault; the same when a plan plays it again."""
        return Random(f"details/{place}")  # noqa: S311

    def __str__(self) -> str:
        """Return how to get these faults again."""
        if self.seed is not None:
            return f"Faults.seeded({self.seed}, ...), same as Faults.parse({self.replay()!r})"
        return f"Faults.parse({self.replay()!r})"
