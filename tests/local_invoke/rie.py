"""The real Lambda runtime, without Docker: a built function under the runtime interface emulator.

The emulator comes with the SAM CLI, the runtime's Python client (`awslambdaric`) from PyPI. The function sees what it
would see in Lambda: its own artifact, its layers, the runtime client and the standard library; not the packages of this
environment. One invocation at a time.

    with Runtime("CatalogFunction") as runtime:
        reply = runtime.invoke(payload)
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from local.deploy import BUILD, STACK
from local.template import Template
from tests.support import leaks

ROOT = Path(__file__).resolve().parents[2]
BOOTSTRAP = Path(__file__).with_name("bootstrap.py")
# What /var/runtime has in Lambda.
CLIENT = ("awslambdaric", "runtime_client", "simplejson", "snapshot_restore_py")
INVOKE = "/2015-03-31/functions/function/invocations"
# Where nothing listens: a call to AWS fails at once instead of leaving the machine.
NOWHERE = "http://127.0.0.1:9"

type Json = Any


class RuntimeStartError(Exception):
    """The emulator did not come up; its output is the message."""


@dataclass(frozen=True, slots=True)
class Init:
    """How long a function took to get ready for its first event, in milliseconds.

    `wall` counts from the first line of the runtime's Python code, `cpu` from the start of the process.
    """

    wall: float
    cpu: float


@dataclass(frozen=True, slots=True)
class Reply:
    """What a function answered, or the error that the runtime reported (`errorType`, `errorMessage`)."""

    payload: Json
    seconds: float

    @property
    def failed(self) -> bool:
        """Whether the handler raised."""
        return isinstance(self.payload, dict) and "errorType" in self.payload

    @property
    def body(self) -> Json:
        """The JSON in the body of an HTTP answer."""
        return json.loads(self.payload["body"])


def _emulator() -> Path:
    machine = {"aarch64": "arm64", "arm64": "arm64"}.get(platform.machine(), "x86_64")
    (found,) = (ROOT / ".venv-sam").glob(f"lib/python*/site-packages/samcli/local/rapid/aws-lambda-rie-{machine}")
    if not os.access(found, os.X_OK):
        found.chmod(0o755)
    return found


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class Runtime:
    """One function of the built template in its own process, from `with` to the end of the block.

    Args:
        function: Logical name in template.yaml.
        environment: Added to the function's variables. AWS calls go to `AWS_ENDPOINT_URL`, and nowhere without it.
        resources: Physical names by logical name, for variables that point at a resource; else the logical name.
        artifact, layers, handler: Instead of the template's, to measure something else the same way.

    Raises:
        RuntimeStartError: on entering, if the emulator does not listen within ten seconds.
    """

    function: str
    environment: Mapping[str, str] = field(default_factory=dict)
    resources: Mapping[str, str] = field(default_factory=dict)
    artifact: Path | None = None
    layers: tuple[Path, ...] | None = None
    handler: str | None = None

    def __post_init__(self) -> None:
        """Read what the built template says of the function."""
        self._template = Template.load(BUILD / "template.yaml", pseudo={"AWS::StackName": STACK})
        shared = self._template.document.get("Globals", {}).get("Function", {})
        own = self._template.resources[self.function]["Properties"] if self._is_in_template() else {}
        self._properties: dict[str, Json] = {**shared, **own}
        self._variables = {
            **shared.get("Environment", {}).get("Variables", {}),
            **own.get("Environment", {}).get("Variables", {}),
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._folder: Path | None = None
        self._http = httpx.Client(timeout=float(self._properties.get("Timeout", 60)) + 5)

    def _is_in_template(self) -> bool:
        return self.function in self._template.resources

    def __enter__(self) -> Self:
        """Start the emulator; the function itself starts with the first event, as a cold start."""
        self._folder = Path(tempfile.mkdtemp(prefix="local-invoke-"))
        self._log = self._folder / "log"
        port = _free_port()
        self._url = f"http://127.0.0.1:{port}{INVOKE}"
        command = [str(_emulator()), "--log-level", "error"]
        command += ["--runtime-interface-emulator-address", f"127.0.0.1:{port}"]
        command += ["--runtime-api-address", f"127.0.0.1:{_free_port()}"]
        # -S: without the packages of this environment.
        command += [sys.executable, "-S", str(BOOTSTRAP), self.handler or self._properties["Handler"]]
        with self._log.open("wb") as output:
            self._process = subprocess.Popen(
                command,
                env=self._process_environment(),
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._wait_for(port)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the emulator and the function, and remove what they wrote."""
        self._http.close()
        if self._process is not None:
            self._signal(signal.SIGTERM)
            try:
                self._process.wait(3)
            except subprocess.TimeoutExpired:
                self._signal(signal.SIGKILL)
                self._process.wait()
            self._signal(signal.SIGKILL)
        if self._folder is not None:
            leaks.look(self.log(), "the log of a function")
            shutil.rmtree(self._folder, ignore_errors=True)

    def _signal(self, number: int) -> None:
        assert self._process is not None
        try:
            os.killpg(self._process.pid, number)
        except ProcessLookupError:
            return

    def _wait_for(self, port: int) -> None:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            assert self._process is not None
            if self._process.poll() is not None:
                break
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.02)
        message = f"the emulator does not listen on port {port}:\n{self.log()}"
        self.__exit__(None, None, None)
        raise RuntimeStartError(message)

    def _layer_paths(self) -> list[Path]:
        if self.layers is not None:
            return list(self.layers)
        names = [layer["Ref"] for layer in self._properties.get("Layers", [])]
        return [BUILD / self._template.resources[name]["Properties"]["ContentUri"] for name in names]

    def _process_environment(self) -> dict[str, str]:
        assert self._folder is not None
        client = self._folder / "runtime"
        client.mkdir()
        for name in CLIENT:
            spec = find_spec(name)
            assert spec is not None
            assert spec.origin is not None
            origin = Path(spec.origin)
            origin = origin.parent if origin.name == "__init__.py" else origin
            (client / origin.name).symlink_to(origin)
        task = self.artifact or BUILD / str(self._properties["CodeUri"])
        # Layers are laid over each other in /opt in their order: the last one wins.
        layers = [path / "python" for path in reversed(self._layer_paths())]
        told = {name: self._told(value) for name, value in self._variables.items()}
        return {
            "PATH": os.defpath,
            "LANG": "en_US.UTF-8",
            "TZ": ":UTC",
            # The time zone database must come from the layer, as Lambda's image need not have one.
            "PYTHONTZPATH": "",
            "PYTHONPATH": os.pathsep.join(str(path) for path in [task, *layers, client]),
            # /opt and /var/task are read-only.
            "PYTHONDONTWRITEBYTECODE": "1",
            "LAMBDA_TASK_ROOT": str(task),
            "AWS_LAMBDA_FUNCTION_NAME": self.function,
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(self._properties.get("MemorySize", 1024)),
            "AWS_LAMBDA_FUNCTION_TIMEOUT": str(self._properties.get("Timeout", 60)),
            "AWS_LAMBDA_LOG_FORMAT": str(self._properties.get("LoggingConfig", {}).get("LogFormat", "Text")).upper(),
            "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
            "AWS_REGION": "ap-southeast-1",
            "AWS_DEFAULT_REGION": "ap-southeast-1",
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_ENDPOINT_URL": NOWHERE,
            **told,
            **self.environment,
        }

    def _told(self, value: Json) -> str:
        worked_out = self._template.value(value)
        if isinstance(worked_out, dict):
            logical: str = worked_out["Ref"]
            return self.resources.get(logical, logical)
        return str(worked_out)

    def invoke(self, event: Json) -> Reply:
        """Send one event and wait for the answer.

        Raises:
            httpx.HTTPError: the function did not answer within its time-out.
        """
        start = time.perf_counter()
        response = self._http.post(self._url, content=json.dumps(event).encode())
        seconds = time.perf_counter() - start
        if response.is_success:
            return Reply(json.loads(response.content) if response.content else None, seconds)
        # The process ended before it asked for the event.
        return Reply({"errorType": "InitError", "errorMessage": f"{response.status_code} {response.text}"}, seconds)

    def log(self) -> str:
        """Everything that the function, the runtime and the emulator wrote."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    @property
    def init(self) -> Init:
        """How long the function took to get ready. Known once the first event has been sent."""
        found = re.search(r"INIT wall ([\d.]+) ms cpu ([\d.]+) ms", self.log())
        if found is None:
            raise RuntimeStartError(self.log())
        return Init(wall=float(found[1]), cpu=float(found[2]))


def payload(name: str) -> Json:
    """A payload from events/, by its file name without `.json`."""
    return json.loads((ROOT / "events" / f"{name}.json").read_text(encoding="utf-8"))
