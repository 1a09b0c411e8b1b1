"""The whole local cloud as one object: emulator, stack, gateway and clock."""

from __future__ import annotations

import contextlib
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from local import outbox, timers
from local.authorizer import Authorizer
from local.clock import Clock, parse_time
from local.connections import listen, serve
from local.deploy import BUILD, SENDER, Stack, built_template, deploy
from local.driver import Driver, DueSource, ScheduleSource
from local.emulator import HOST, Emulator
from local.functions import Functions
from local.gateway import Backend, Gateway
from local.outbox import Outbox
from local.routing import Router
from local.timers import OverdueTimers, TimerSource
from local.tokens import TokenIssuer
from local.work import Backlog, Marker, Queue, Stream, StuckError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import TracebackType

    from local.template import Template

READY_SECONDS = 60
LONGEST_FUNCTION_SECONDS = 910
RETRY_SECONDS = 20
"""Seconds after which a message whose function failed is handed out again, at the latest."""
FROM_A_QUEUE_AT_ONCE = 4
"""Processes of a function that work off one queue, at most: each start of one takes half a second of a core."""
QUIET_AT_STOP_SECONDS = 10.0
MARKERS = {"UsageTable": "LiveTable", "LedgerTable": "LedgerTable"}
"""For each table whose stream calls a function, the table in which that function answers a marker."""


class LocalCloud:
    """The stack, running on this machine. A context manager.

    `port` 0 takes a free one. `clock` is where the sandbox clock starts (RFC 3339; now, if not given;
    without effect on a kept state that has one). `state` is a folder to keep; without one each start is
    empty.
    """

    def __init__(
        self,
        port: int = 0,
        clock: str | datetime | None = None,
        state: str | Path | None = None,
        *,
        build: Path = BUILD,
        python: Path | None = None,
        deployer: Callable[[Emulator, Path], Stack] = deploy,
    ) -> None:
        """Choose; nothing runs yet. Raises ValueError for a clock that is no time."""
        self._port = port
        self._began = _first_instant(clock)
        self._build = build
        self._deployer = deployer
        self.emulator = Emulator(Path(state) if state else None, python)
        self._exit = contextlib.ExitStack()
        self._stack: Stack | None = None
        self._tokens: TokenIssuer | None = None
        self._driver: Driver | None = None
        self._outbox: Outbox | None = None
        self.url = ""

    def __enter__(self) -> Self:
        """Start it; it is ready when this returns."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it."""
        self.stop()

    def start(self) -> None:
        """Start everything and wait until it answers. Raises EmulatorError, DeployError, OSError."""
        built_template(self._build)
        with contextlib.ExitStack() as undo:
            listener = undo.enter_context(listen(self._port))
            undo.enter_context(self.emulator)
            self._stack = self._deployer(self.emulator, self._build)
            backend = self._backend(self._stack)
            if self.emulator.kept:
                undo.callback(self._settle_down)
            undo.callback(serve(Gateway(backend), listener))
            self.url = f"http://{HOST}:{listener.getsockname()[1]}"
            self._warm_up(backend)
            self._exit = undo.pop_all()

    def stop(self) -> None:
        """Stop everything."""
        self._exit.close()

    # Parts

    def _backend(self, stack: Stack) -> Backend:
        template = stack.template
        routes = template.routes()
        accepted = [route.authorizer for route in routes if route.authorizer]
        issuer, audience = (accepted[0].issuer, accepted[0].audience[0]) if accepted else ("https://local", "local")
        self._tokens = TokenIssuer.open(self.emulator.home / "signing-key.pem", issuer, audience)
        functions = Functions(self.client("lambda"), stack.resources)
        clock = Clock(self.client("dynamodb"), stack.resources["LedgerTable"])
        clock.begin(self._began)
        self._keep_expired()
        self._retry_soon()
        self._start_few()
        began = clock.read().began
        patient = Functions(self.emulator.client("lambda", LONGEST_FUNCTION_SECONDS), stack.resources)
        ledger_table = stack.resources["LedgerTable"]
        sources: list[DueSource] = [
            TimerSource(schedule, patient, began, self.client("dynamodb"), ledger_table)
            if schedule.function == timers.FUNCTION
            else ScheduleSource(schedule, patient, began)
            for schedule in template.schedules()
        ]
        overdue = [OverdueTimers(source, clock) for source in sources if isinstance(source, TimerSource)]
        queues, fed = self._queues(template, stack.resources), template.fed_queues()
        backlogs = [queue for queue in queues if queue.name not in fed]
        followers = [queue for queue in queues if queue.name in fed]
        backlogs += self._streams(template, stack.resources)
        self._driver = Driver(clock, sources, backlogs, followers, overdue)
        left = self._outbox = self._open_outbox(stack)
        return Backend(
            router=Router(routes),
            authorizer=Authorizer(self._tokens.public_keys),
            functions=functions,
            tokens=self._tokens,
            driver=self._driver,
            send_usage=self._send_usage,
            messages=left.messages,
            events=left.events,
        )

    def _open_outbox(self, stack: Stack) -> Outbox:
        """Make ready what a real account brings along and the template does not: a sender, and an ear on the bus."""
        outbox.verify_sender(self.client("ses"), SENDER)
        bus = stack.resources["BillingBus"]
        queue = outbox.watch_bus(self.client("sqs"), self.client("events"), bus)
        return Outbox(self.emulator, queue, self.emulator.home / "sent-mail.json")

    def _queues(self, template: Template, resources: Mapping[str, str]) -> list[Backlog]:
        return [Queue(name, self.client("sqs"), resources[name]) for name in template.working_queues()]

    def _streams(self, template: Template, resources: Mapping[str, str]) -> Iterator[Backlog]:
        for name in template.streamed_tables():
            marker = Marker(resources[name], resources[MARKERS[name]])
            yield Stream(name, marker, self.client("dynamodb"), self.client("dynamodbstreams"))

    def _keep_expired(self) -> None:
        """Turn off time-to-live: it deletes by real time, which business time may lag behind by years."""
        dynamodb = self.client("dynamodb")
        for name, _ in self.stack.template.of_type("AWS::DynamoDB::Table"):
            table = self.resources[name]
            about = dynamodb.describe_time_to_live(TableName=table)["TimeToLiveDescription"]
            if about.get("TimeToLiveStatus") == "ENABLED":
                setting = {"Enabled": False, "AttributeName": about["AttributeName"]}
                dynamodb.update_time_to_live(TableName=table, TimeToLiveSpecification=setting)

    def _retry_soon(self) -> None:
        """Shorten visibility time-outs: who moves the clock waits for failed messages to be tried again."""
        sqs, name = self.client("sqs"), "VisibilityTimeout"
        for queue in self.stack.template.working_queues():
            url = self.resources[queue]
            now = int(sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[name])["Attributes"][name])
            if now > RETRY_SECONDS:
                sqs.set_queue_attributes(QueueUrl=url, Attributes={name: str(RETRY_SECONDS)})

    def _start_few(self) -> None:
        """Bound how many processes of a function a queue starts: fifty cold starts at once help nobody here."""
        functions = self.client("lambda")
        for mapping in functions.list_event_source_mappings()["EventSourceMappings"]:
            if ":sqs:" in mapping["EventSourceArn"]:
                scaling = {"MaximumConcurrency": FROM_A_QUEUE_AT_ONCE}
                functions.update_event_source_mapping(UUID=mapping["UUID"], ScalingConfig=scaling)

    def _send_usage(self, text: str) -> str:
        answer = self.client("sqs").send_message(QueueUrl=self.resources["UsageQueue"], MessageBody=text)
        return str(answer["MessageId"])

    def _warm_up(self, backend: Backend) -> None:
        """Wait until the health route answers, if the template has one."""
        match = backend.router.find("GET", "/healthz")
        if match is not None:
            _await_ok(f"{self.url}/healthz", time.monotonic() + READY_SECONDS)

    def _settle_down(self) -> None:
        """Let everything be worked off before a kept state is saved: streams are not part of it, nor are e-mails."""
        with contextlib.suppress(StuckError, Exception):
            self.driver.drain(QUIET_AT_STOP_SECONDS)
        with contextlib.suppress(OSError):  # the embedded cloud has ended by itself
            assert self._outbox is not None  # noqa: S101
            self._outbox.save()

    # Use

    @property
    def stack(self) -> Stack:
        """The deployed stack."""
        assert self._stack is not None  # noqa: S101
        return self._stack

    @property
    def driver(self) -> Driver:
        """Who moves the clock."""
        assert self._driver is not None  # noqa: S101
        return self._driver

    @property
    def resources(self) -> Mapping[str, str]:
        """Physical ids by logical id: table and function names, queue URLs."""
        return self.stack.resources

    def client(self, service: str) -> Any:
        """A boto3 client of the embedded cloud."""
        return self.emulator.client(service)

    def token(self, account_id: str | None, *scopes: str) -> str:
        """A bearer token; without an account it is an operator's or a producer's."""
        assert self._tokens is not None  # noqa: S101
        return self._tokens.issue(account_id, scopes)


def _first_instant(clock: str | datetime | None) -> datetime:
    if clock is None:
        return datetime.now(UTC).replace(microsecond=0)
    return parse_time(clock if isinstance(clock, str) else clock.isoformat())


def _await_ok(url: str, deadline: float) -> None:
    import urllib.error  # noqa: PLC0415
    import urllib.request  # noqa: PLC0415

    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    last = ""
    while time.monotonic() < deadline:
        try:
            with opener.open(url, timeout=30) as answer:
                if answer.status == 200:  # noqa: PLR2004
                    return
        except urllib.error.HTTPError as error:
            last = f"{error.code} {error.read().decode(errors='replace')}"
        except OSError as error:
            last = str(error)
        time.sleep(0.05)
    message = f"{url} did not become ready: {last}"
    raise TimeoutError(message)
