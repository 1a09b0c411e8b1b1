"""Connections to the local gateway: where it listens, how it is served, and how long anybody may take to ask."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from local.emulator import HOST

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from local.gateway import Gateway

HEAD_SECONDS = 30.0
"""For the head of a request from its first byte, however it trickles in. uvicorn has no limit of its own for that."""

BACKLOG = 512
"""Connections that may wait to be taken."""


class Connection(H11Protocol):
    """One that is closed when a request does not begin in time; how long its body may take is the gateway's to say."""

    _end: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Wait on, unless there is a request to answer now."""
        super().data_received(data)
        # No cycle before the first request, and the last one's until the next has begun.
        if getattr(self.cycle, "response_complete", True):
            self._wait()
        else:
            self._wait_no_more()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing to wait for."""
        self._wait_no_more()
        super().connection_lost(exc)

    def _wait(self) -> None:
        if self._end is None:
            self._end = self.loop.call_later(HEAD_SECONDS, self.transport.abort)

    def _wait_no_more(self) -> None:
        if self._end is not None:
            self._end.cancel()
            self._end = None


def listen(port: int) -> socket.socket:
    """A socket at this port, at any free one for 0. Raises OSError where it cannot be had."""
    # Named protocol: asyncio turns off Nagle's delay only for sockets that say they are TCP.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
    except OSError as error:
        listener.close()
        message = f"port {port} of {HOST} cannot be used: {error.strerror}"
        raise OSError(error.errno, message) from error
    listener.listen(BACKLOG)
    return listener


def serve(gateway: Gateway, listener: socket.socket) -> Callable[[], None]:
    """Serve in a thread; gives what stops it."""
    config = uvicorn.Config(
        gateway,
        http=Connection,
        lifespan="off",
        log_level="warning",
        access_log=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=3,
        backlog=BACKLOG,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="gateway", daemon=True)
    thread.start()

    def stop() -> None:
        server.should_exit = True
        thread.join(15)

    return stop
