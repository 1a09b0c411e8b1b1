"""Watches over one emulator process so that nothing of it outlives the process that asked for it.

Run as a script. Its standard input is a pipe whose other end the asking process holds. The first line is a
JSON object: `command`, `environment`, `log` (a file), `grace` (seconds that a stop may take before
everything is killed) and `remove` (folders to delete at the end). When the pipe closes, however the asking
process ended, the emulator is stopped and its whole process group, Lambda workers included, is killed.
"""

import contextlib
import ctypes
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from typing import Any

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
LOOK_SECONDS = 0.2
REAP_SECONDS = 5


def _order() -> dict[str, Any]:
    line = b""
    while not line.endswith(b"\n"):
        chunk = os.read(sys.stdin.fileno(), 65536)
        if not chunk:
            sys.exit(0)  # the asking process is gone already
        line += chunk
    order: dict[str, Any] = json.loads(line)
    return order


def _start(order: dict[str, Any]) -> subprocess.Popen[bytes]:
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1)  # workers that the emulator leaves behind come to us

    def die_with_keeper() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)

    with open(order["log"], "ab") as log:  # noqa: PTH123
        return subprocess.Popen(  # noqa: S603
            order["command"],
            env=order["environment"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=die_with_keeper,  # noqa: PLW1509
        )


def _wait(child: subprocess.Popen[bytes], stop: list[int]) -> None:
    """Until the emulator ends, the asking process ends or closes the pipe, or a signal comes."""
    while child.poll() is None and not stop:
        readable, _, _ = select.select([sys.stdin], [], [], LOOK_SECONDS)
        if readable and not os.read(sys.stdin.fileno(), 4096):
            return


def _stop(child: subprocess.Popen[bytes], grace: float) -> None:
    if grace and child.poll() is None:
        child.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(grace)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    deadline = time.monotonic() + REAP_SECONDS
    with contextlib.suppress(ChildProcessError):
        while time.monotonic() < deadline:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                time.sleep(0.005)


def main() -> int:
    """Keep the emulator until it is no longer wanted."""
    stop: list[int] = []
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, _: stop.append(number))
    order = _order()
    child = _start(order)
    try:
        _wait(child, stop)
    finally:
        _stop(child, order["grace"])
        for folder in order["remove"]:
            shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
