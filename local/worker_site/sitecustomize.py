"""Python imports this at the start of every process of the emulator, Lambda workers among them.

A worker is not to find the emulator's own packages: a function has what its layers bring, as in Lambda.

A worker answers on standard output and logs on standard error. The emulator waits 50 ms for the first line
of log after each answer; an empty line right before the answer spares that wait and leaves nothing in the
log.
"""

import sys
from typing import Any


class _Answers:
    """Standard output of a worker, with an empty line of log before each answer."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> Any:
        sys.stderr.write("\n")
        sys.stderr.flush()
        return self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


if any(part.endswith("_worker.py") for part in sys.orig_argv):
    sys.path[:] = [entry for entry in sys.path if not entry.endswith("site-packages")]
    sys.stdout = _Answers(sys.stdout)
