"""Cold start under the real runtime client, against a function that only makes one DynamoDB client.

CPU time, not wall time: init is nothing but imports, and on a shared machine CPU is what repeats. What neighbours do to
memory and caches is in it all the same, by a third within minutes, so each start is compared with one of the same
round, and the middle of many such ratios is told. Init alone would flatter a function that makes its clients with the
first event, so the first answer is measured too; there the other function makes one call. What is asked of AWS is
answered at once, and with nothing, by a server of ours.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from operator import attrgetter
from pathlib import Path
from statistics import median
from threading import Thread
from typing import Any, ClassVar

from bench.figures import Figure, Section
from local.deploy import BUILD
from tests.local_invoke.rie import Runtime, payload

EVENT_TARGET, API_TARGET = 1.3, 2.0
_ROUNDS = 9
_ONE_CLIENT = """
import boto3

client = boto3.client("dynamodb")


def handle(event, context):
    client.get_item(TableName="table", Key={"pk": {"S": "a"}, "sk": {"S": "b"}})
"""
_INIT, _ANSWER = attrgetter("init"), attrgetter("answer")
_COMMON = ("RatingLayer", "PlatformLayer", "RuntimeLayer")


@dataclass(frozen=True, slots=True)
class Function:
    """A function of the template, and the event that wakes it."""

    name: str
    event: str
    target: float
    layers: tuple[str, ...] = _COMMON


FUNCTIONS = (
    Function("RollupFunction", "rollup_stream_insert", EVENT_TARGET),
    Function("PlannerFunction", "planner_schedule_morning", EVENT_TARGET),
    Function("SettlementFunction", "settlement_sqs_accounts", EVENT_TARGET),
    Function("VerificationFunction", "verification_sqs_day", EVENT_TARGET),
    Function("TimersFunction", "timers_schedule_sweep", EVENT_TARGET),
    Function("EmailFunction", "email_sqs_notice", EVENT_TARGET),
    Function("WebhooksFunction", "webhooks_sqs_notice", EVENT_TARGET),
    Function("ExportWorkerFunction", "exportworker_sqs_export", EVENT_TARGET, (*_COMMON, "ExportLayer")),
    Function("IngestFunction", "ingest_http_batch", API_TARGET, (*_COMMON, "ApiLayer")),
    Function("AccountsFunction", "accounts_http_get", API_TARGET, (*_COMMON, "ApiLayer")),
    Function("OrdersFunction", "orders_http_packages", API_TARGET, (*_COMMON, "ApiLayer")),
    Function("EntitlementsFunction", "entitlements_http_check", API_TARGET, (*_COMMON, "ApiLayer")),
    Function("BillsFunction", "bills_http_usage", API_TARGET, (*_COMMON, "ApiLayer")),
    Function("ExportsFunction", "exports_http_unknown", API_TARGET, (*_COMMON, "ApiLayer")),
    Function("NoticesFunction", "notices_http_list", API_TARGET, (*_COMMON, "ApiLayer")),
    Function("CatalogFunction", "catalog_http_list", API_TARGET, (*_COMMON, "ApiLayer")),
)


@dataclass(frozen=True, slots=True)
class Start:
    """Milliseconds of CPU since the process began."""

    init: float
    answer: float
    memory: float
    """Most that the process had, MiB."""


class _Nothing(BaseHTTPRequestHandler):
    """Answers whatever is asked of AWS: there is nothing."""

    protocol_version = "HTTP/1.1"
    BODY: ClassVar = b'{"Items":[],"Responses":{},"UnprocessedKeys":{}}'

    def do_POST(self) -> None:
        """Answer."""
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.send_response(200)
        self.send_header("content-type", "application/x-amz-json-1.0")
        self.send_header("content-length", str(len(self.BODY)))
        self.end_headers()
        self.wfile.write(self.BODY)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def _nothing() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Nothing)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def start(runtime: Runtime, event: Any) -> Start:
    """Start a function with its first event."""
    with runtime:
        runtime.invoke(event)
        process = _function_process()
        answer = time.clock_gettime(_cpu_clock(process)) * 1e3
        return Start(runtime.init.cpu, answer, _peak_memory(process))


def _function_process() -> int:
    """The process that runs the function: the child of our child, the emulator. Raises RuntimeError without one."""
    parents = dict(_parents())
    own = [child for child, parent in parents.items() if parents.get(parent) == _own_id()]
    if len(own) != 1:
        message = f"the function is one of the processes {own}"
        raise RuntimeError(message)
    return own[0]


def _peak_memory(process: int) -> float:
    status = Path(f"/proc/{process}/status").read_text(encoding="ascii")
    (peak,) = (line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
    return int(peak) / 1024


def _own_id() -> int:
    return int(Path("/proc/self").readlink().name)


def _parents() -> Iterator[tuple[int, int]]:
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                text = (folder / "stat").read_text(encoding="utf-8", errors="replace")
            except OSError:
                continue  # it has ended
            yield int(folder.name), int(text.rpartition(")")[2].split()[1])


def _cpu_clock(process: int) -> int:
    """Linux's clock of another process's CPU time."""
    return ~process << 3 | 2


def _starts(folder: Path, endpoint: str) -> Mapping[str, list[Start]]:
    """All functions in turn, several times, so that what else the machine does falls on all alike."""
    (folder / "one_client.py").write_text(_ONE_CLIENT, encoding="utf-8")
    environment = {"AWS_ENDPOINT_URL": endpoint}
    found: dict[str, list[Start]] = {}
    for _ in range(_ROUNDS):
        for layers in dict.fromkeys(function.layers for function in FUNCTIONS):
            paths = tuple(BUILD / layer for layer in layers)
            base = Runtime("OneClient", environment, artifact=folder, layers=paths, handler="one_client.handle")
            found.setdefault(_base(layers), []).append(start(base, {}))
        for function in FUNCTIONS:
            runtime = Runtime(function.name, environment)
            found.setdefault(function.name, []).append(start(runtime, payload(function.event)))
    return found


def _base(layers: tuple[str, ...]) -> str:
    return f"one client, {' '.join(layers)}"


def measure() -> Section:
    """Each function's start as a multiple of the start of a function with one client and the same layers."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        starts = _starts(folder, stack.enter_context(_nothing()))
    figures = []
    for function in FUNCTIONS:
        bases, own = starts[_base(function.layers)], starts[function.name]
        figures.append(_figure(f"{function.name}: to the first answer", function.target, own, bases, _ANSWER))
        figures.append(_figure(f"{function.name}: init", function.target, own, bases, _INIT))
    return Section(
        "Cold start, to that of a function that only makes one DynamoDB client",
        figures,
        (f"CPU time, the middle of {_ROUNDS} rounds. To the first answer, that function makes one call.",),
    )


def _figure(
    name: str, target: float, own: Sequence[Start], bases: Sequence[Start], part: Callable[[Start], float]
) -> Figure:
    """The middle of what each round says."""
    ratio = median(part(one) / part(base) for one, base in zip(own, bases, strict=True))
    middle, base = median(map(part, own)), median(map(part, bases))
    memory = max(one.memory for one in own)
    return Figure(name, ratio, "x", target, 2, f"{middle:.0f} to {base:.0f} ms, {memory:.0f} MiB")
