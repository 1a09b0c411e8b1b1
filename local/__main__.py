"""`python -m local`: the local cloud until Ctrl-C or SIGTERM.

Environment: `PORT` (3000), `CLOCK` (where the sandbox clock starts; now), `STATE` (a folder to keep; none).
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import TYPE_CHECKING

from local.cloud import LocalCloud
from local.deploy import DeployError
from local.emulator import EmulatorError

if TYPE_CHECKING:
    from types import FrameType


class _StopError(Exception):
    """Somebody wants us to end."""


def _stop(_: int, __: FrameType | None) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the stop itself is not to be broken off
    raise _StopError


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> int:
    """Run until a signal comes."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    try:
        port, clock, state = (os.environ.get(name, "") for name in ("PORT", "CLOCK", "STATE"))
        with LocalCloud(int(port or 3000), clock or None, state or None) as cloud:
            _say(f"The local cloud is ready at {cloud.url} (business time {cloud.driver.now().isoformat()}).")
            _say(f"Its AWS endpoint is {cloud.emulator.url}. Ctrl-C stops it.")
            while cloud.emulator.alive:
                threading.Event().wait(1)
            _say(f"The embedded cloud ended by itself:\n{cloud.emulator.log_tail()}")
            return 1
    except _StopError:
        return 0
    except (EmulatorError, DeployError, OSError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
