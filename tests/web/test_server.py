"""The socket: served as a task, ended by its cancellation, an address in use told as such."""

from __future__ import annotations

import signal
import socket
from typing import Any

import anyio
import httpx
import pytest

from syncd.web.routes import build_app
from syncd.web.server import CannotListen, bind, serve

pytestmark = pytest.mark.anyio


async def test_it_serves_until_cancelled_and_leaves_the_signals_alone(site: Any) -> None:
    bound: list[tuple[str, int]] = []
    ready = anyio.Event()

    def is_ready(host: str, port: int) -> None:
        bound.append((host, port))
        ready.set()

    before = signal.getsignal(signal.SIGTERM)
    app = build_app(site.context)
    async with anyio.create_task_group() as group:
        group.start_soon(serve, app, "127.0.0.1", 0, is_ready)
        await ready.wait()
        [(host, port)] = bound
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.get(f"http://{host}:{port}/healthz")
        assert (answer.json(), signal.getsignal(signal.SIGTERM)) == ({"status": "ok"}, before)
        assert "server" not in answer.headers
        group.cancel_scope.cancel()
    with socket.socket() as probe:
        assert probe.connect_ex((host, port)) != 0


async def test_an_address_in_use_is_told_with_the_setting_to_change() -> None:
    with bind("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CannotListen, match=rf"127.0.0.1:{port} is taken: .* Set listen in syncd.toml"):
            bind("127.0.0.1", port)
