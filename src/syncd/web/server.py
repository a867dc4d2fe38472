"""The socket: uvicorn as a task of ours. Signals belong to the supervisor, so uvicorn never sees them."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import anyio
import structlog
import uvicorn
from starlette.types import ASGIApp

from syncd.web.guard import is_loopback

log = structlog.get_logger()
GRACE_SECONDS = 5
BACKLOG = 128


class CannotListen(OSError):
    """The address is taken or not ours. The text says which setting to change."""


class _Server(uvicorn.Server):
    """A server that leaves the process's signals alone."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(
    app: ASGIApp,
    host: str,
    port: int,
    ready: Callable[[str, int], None] | None = None,
    *,
    setting: str = "listen",
) -> None:
    """Serve until cancelled; then open requests get a few seconds to end. `setting` names the address to people.

    `ready` is called once with the address really bound (port 0 takes a free one). Raises CannotListen.
    """
    if not is_loopback(host):
        why = "it speaks plain HTTP; put TLS before it"
        log.warning("listens_beyond_loopback", setting=setting, host=host, why=why)
    bound = bind(host, port, setting)
    config = uvicorn.Config(
        app,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ws="none",
        loop="none",
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    server = _Server(config)
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(_stop_when_cancelled, server)
            with anyio.CancelScope(shield=True):
                if ready is not None:
                    ready(*bound.getsockname()[:2])
                await server.serve(sockets=[bound])
            group.cancel_scope.cancel()
    finally:
        bound.close()


async def _stop_when_cancelled(server: uvicorn.Server) -> None:
    """Turn a cancellation into uvicorn's own graceful end."""
    try:
        await anyio.sleep_forever()
    finally:
        server.should_exit = True


def bind(host: str, port: int, setting: str = "listen") -> socket.socket:
    """A listening socket. Raises CannotListen with what to do."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        taken = error.errno == errno.EADDRINUSE
        text = (
            f"is taken: does another syncd run? Set {setting}"
            if taken
            else f"cannot be used ({error.strerror}): set {setting}"
        )
        raise CannotListen(f"{host}:{port} {text} in syncd.toml to another address") from error
    return listener
