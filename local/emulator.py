"""The embedded cloud's process: ministack, on a free port of 127.0.0.1, with a state folder of its own.

It runs under `keeper.py`, so that it and its Lambda workers end with us, also when we are killed. Several
run side by side. Nothing is written outside the state folder.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import boto3
import botocore.session
from botocore.config import Config

if TYPE_CHECKING:
    from types import TracebackType

ROOT = Path(__file__).resolve().parent.parent
REGION = "us-east-1"
HOST = "127.0.0.1"
START_SECONDS = 60
SAVE_SECONDS = 60
PORT_ATTEMPTS = 5


class EmulatorError(Exception):
    """The emulator could not be started, or ended by itself."""


def default_python() -> Path:
    """The interpreter of the environment that ministack is installed in."""
    return Path(os.environ.get("CLOUD_PYTHON", ROOT / ".venv-cloud" / "bin" / "python"))


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


class Emulator:
    """One embedded cloud. A context manager; everything ends with it.

    With `state` a folder is kept: what the emulator holds is saved there when it stops and taken up again
    at the next start, on whatever port. Without, everything is temporary.
    """

    def __init__(self, state: Path | None = None, python: Path | None = None) -> None:
        """Choose the folder and the interpreter; nothing runs yet."""
        self.kept = state is not None
        self.python = python or default_python()
        self.port = 0
        self._state = state
        self._home: Path | None = None
        self._keeper: subprocess.Popen[bytes] | None = None
        self._lock: int | None = None
        self._clients: dict[tuple[str, float], Any] = {}

    # Life

    def __enter__(self) -> Self:
        """Start it and wait until it answers."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it."""
        self.stop()

    @property
    def home(self) -> Path:
        """The state folder."""
        assert self._home is not None  # noqa: S101
        return self._home

    @property
    def url(self) -> str:
        """Where its AWS endpoint is."""
        return f"http://{HOST}:{self.port}"

    def start(self) -> None:
        """Start it and wait until it answers. Raises EmulatorError."""
        if not self.python.exists():
            message = f"the environment of the embedded cloud is missing: {self.python}"
            raise EmulatorError(message)
        self._open_home()
        try:
            for attempt in range(1, PORT_ATTEMPTS + 1):
                self._launch()
                try:
                    self._await_answer()
                except EmulatorError:
                    self._end()
                    if attempt == PORT_ATTEMPTS or "already in use" not in self.log_tail():
                        raise
                else:
                    return
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop it with all its workers; a kept state is saved, another one deleted."""
        self._end()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
        if self._home is not None and not self.kept:
            shutil.rmtree(self._home, ignore_errors=True)

    def _open_home(self) -> None:
        if self._state is None:
            self._home = Path(tempfile.mkdtemp(prefix="zhangben-"))
            return
        self._state.mkdir(parents=True, exist_ok=True)
        self._home = self._state.resolve()
        self._lock = os.open(self._home / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            message = f"another local cloud uses the state folder {self._home}"
            raise EmulatorError(message) from error

    def _launch(self) -> None:
        self.port = free_port()
        shutil.rmtree(self.home / "tmp", ignore_errors=True)
        (self.home / "tmp").mkdir()
        if self.kept:
            _take_up(self.home, self.port)
        order = {
            "command": [str(self.python), "-m", "ministack.app"],
            "environment": self._environment(),
            "log": str(self.home / "emulator.log"),
            "grace": SAVE_SECONDS if self.kept else 0,
            "remove": [str(self.home / "tmp")] if self.kept else [str(self.home)],
        }
        (self.home / "emulator.log").write_bytes(b"")
        self._keeper = subprocess.Popen(  # noqa: S603
            [sys.executable, "-I", "-S", str(Path(__file__).with_name("keeper.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        assert self._keeper.stdin is not None  # noqa: S101
        self._keeper.stdin.write(json.dumps(order).encode() + b"\n")
        self._keeper.stdin.flush()

    def _environment(self) -> dict[str, str]:
        """All that the emulator and its workers see of ours: no profile, proxy or endpoint of the user's."""
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self.home / "tmp"),
            "TMPDIR": str(self.home / "tmp"),
            "LANG": "C.UTF-8",
            "TZ": "UTC",
            "PYTHONUTF8": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONPATH": str(Path(__file__).with_name("worker_site")),
            "BIND_HOST": HOST,
            "GATEWAY_PORT": str(self.port),
            "MINISTACK_HOST": HOST,
            "MINISTACK_REGION": REGION,
            "PERSIST_STATE": "1" if self.kept else "0",
            "STATE_DIR": str(self.home / "emulator"),
            "S3_PERSIST": "1" if self.kept else "0",
            "S3_DATA_DIR": str(self.home / "s3"),
            "DOCKER_HOST": f"unix://{self.home / 'tmp' / 'no-docker'}",
            "SFTP_ENABLED": "0",
            "IOT_MTLS_ENABLED": "0",
            "LOG_LEVEL": "INFO",
        }

    def _await_answer(self) -> None:
        assert self._keeper is not None  # noqa: S101
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._keeper.poll() is not None:
                message = f"the emulator ended by itself:\n{self.log_tail()}"
                raise EmulatorError(message)
            with contextlib.suppress(OSError, urllib.error.URLError):
                opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
                with opener.open(f"{self.url}/_ministack/ready", timeout=2) as answer:
                    if answer.status == 200:  # noqa: PLR2004
                        return
            time.sleep(0.02)
        message = f"the emulator did not answer within {START_SECONDS} s:\n{self.log_tail()}"
        raise EmulatorError(message)

    def _end(self) -> None:
        keeper, self._keeper = self._keeper, None
        self._clients.clear()
        if keeper is None:
            return
        assert keeper.stdin is not None  # noqa: S101
        keeper.stdin.close()
        keeper.wait(SAVE_SECONDS + 20)

    # Use

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._keeper is not None and self._keeper.poll() is None

    def look(self, what: str, **query: str) -> Any:
        """What it says of itself under this name, such as `ses/messages`. Raises OSError."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"{self.url}/_ministack/{what}?{urllib.parse.urlencode(query)}", timeout=70) as answer:
            return json.load(answer)

    def log_tail(self, lines: int = 60) -> str:
        """The end of its log, with what the functions wrote."""
        path = self.home / "emulator.log"
        text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    def client(self, service: str, timeout: float = 70) -> Any:
        """A boto3 client of this cloud, safe to share between threads; no retries."""
        key = (service, timeout)
        if key not in self._clients:
            self._clients[key] = _session().client(
                service,
                endpoint_url=self.url,
                config=Config(
                    retries={"total_max_attempts": 1},
                    read_timeout=timeout,
                    connect_timeout=5,
                    max_pool_connections=64,
                    proxies={},
                    s3={"addressing_style": "path"},
                    tcp_keepalive=True,
                ),
            )
        return self._clients[key]


def _session() -> Any:
    """A session that knows nothing of the user's profiles and credentials."""
    core = botocore.session.Session(
        session_vars={
            "profile": (None, None, None, None),
            "config_file": (None, None, os.devnull, None),
            "credentials_file": (None, None, os.devnull, None),
        }
    )
    return boto3.session.Session(
        aws_access_key_id="test",
        aws_secret_access_key="test",  # noqa: S106
        region_name=REGION,
        botocore_session=core,
    )


def _take_up(home: Path, port: int) -> None:
    """Make a saved state fit the new start.

    Queue URLs hold the port of the run that made them. And the emulator saves how far a function has read a
    stream, but not the stream, which begins anew: left as it is, the function would miss as many records as
    it had read.
    """
    note = home / "emulator.json"
    before = json.loads(note.read_text())["port"] if note.exists() else port
    for path in (home / "emulator").glob("*.json"):
        text = path.read_text(encoding="utf-8")
        new = text.replace(f"{HOST}:{before}/", f"{HOST}:{port}/")
        if path.name == "lambda.json":
            saved = json.loads(new)
            positions = saved["payload"].get("dynamodb_stream_positions", {}).get("data", {})
            positions.update(dict.fromkeys(positions, 0))
            new = json.dumps(saved)
        if new != text:
            path.write_text(new, encoding="utf-8")
    note.write_text(json.dumps({"port": port}))
