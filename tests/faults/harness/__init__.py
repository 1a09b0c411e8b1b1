"""The fault harness: AWS as it can be, deterministic from a seed.

Faults strike on the wire, under botocore's own retry handler, at any boto3 client of the process. See ``World`` for
the cloud, ``Faults`` for what strikes, ``exhaust`` and ``sweep`` for one worker, ``explore`` and ``race_seeds`` for
several, ``StreamSource`` and ``QueueSource`` for Lambda's deliveries, ``cold_import`` for separate processes.

    with World(reset=(handler.meter.cache_clear,)) as world:
        world.create_table("usage", stream="NEW_IMAGE", global_indexes={"DueIndex": ("due_pk", "due_sk")})
        exhaust(world, work, check)                         # a crash, a lost answer at every call in turn
        explore(world, {"a": work, "b": work}, check)       # two workers, every order of their calls
        sweep(world, work, check, seeds=range(200))         # everything at once, from seeds

``work`` must raise where the real caller would send again (an answer 503, say), ``check`` where a property is broken.
"""

from .calls import Call, Footprint
from .clock import Clock
from .errors import Abandoned, FaultFound, HarnessError, WorkerCrashed
from .exhaustive import EVERY_CALL, Report, Scenario, exhaust, sweep
from .faults import (
    ALL,
    CRASHES,
    REFUSALS,
    SERVER_ERRORS,
    SHORTCOMINGS,
    TIMEOUTS,
    Fault,
    Faults,
    Injected,
    Place,
)
from .interleave import Exploration, Race, by_seed, explore, race_seeds, replay
from .patterns import matches
from .processes import cold_import
from .providers import Sent
from .shortcut import shortcut
from .sources import Delivery, LambdaContext, QueueSource, StreamSource
from .world import BUGS, SLEEP, Outcome, Snapshot, Worker, World

__all__ = [
    "ALL",
    "BUGS",
    "CRASHES",
    "EVERY_CALL",
    "REFUSALS",
    "SERVER_ERRORS",
    "SHORTCOMINGS",
    "SLEEP",
    "TIMEOUTS",
    "Abandoned",
    "Call",
    "Clock",
    "Delivery",
    "Exploration",
    "Fault",
    "FaultFound",
    "Faults",
    "Footprint",
    "HarnessError",
    "Injected",
    "LambdaContext",
    "Outcome",
    "Place",
    "QueueSource",
    "Race",
    "Report",
    "Scenario",
    "Sent",
    "Snapshot",
    "StreamSource",
    "Worker",
    "WorkerCrashed",
    "World",
    "by_seed",
    "cold_import",
    "exhaust",
    "explore",
    "matches",
    "race_seeds",
    "replay",
    "shortcut",
    "sweep",
]
