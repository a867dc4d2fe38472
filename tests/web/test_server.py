"""The socket: served as a task, ended by its cancellation, an address in use told as such."""

from __future__ import annotations

import signal
import socket
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from structlog.testing import capture_logs

from syncd.app import start
from syncd.config import Config, Settings
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


async def test_the_second_listener_is_a_socket_of_its_own_that_exposes_nothing_else(tmp_path: Path) -> None:
    settings = Settings(state_dir=tmp_path / "state", listen="127.0.0.1:0", listen_webhooks="127.0.0.1:0")
    daemon = await start(Config(tmp_path / "syncd.toml", settings))
    assert daemon.serve_http is not None
    assert daemon.serve_webhooks is not None
    with capture_logs() as lines:
        async with anyio.create_task_group() as group:
            group.start_soon(daemon.serve_http)
            group.start_soon(daemon.serve_webhooks)
            async with httpx.AsyncClient(trust_env=False) as client:
                at = {}
                while len(at) < 2:
                    await anyio.sleep(0.01)
                    at = {one["event"]: one["address"] for one in lines if one["event"].endswith("_listening")}
                answers = [
                    (await client.get(f"http://{at[door]}{path}")).status_code
                    for door in ("http_listening", "webhooks_listening")
                    for path in ("/healthz", "/webhooks/a")
                ]
            group.cancel_scope.cancel()
    await daemon.hub.store.aclose()
    assert answers == [200, 404, 404, 404]


async def test_without_the_setting_there_is_no_second_listener(tmp_path: Path) -> None:
    daemon = await start(Config(tmp_path / "syncd.toml", Settings(state_dir=tmp_path / "state")))
    await daemon.hub.store.aclose()
    assert daemon.serve_webhooks is None


def test_a_taken_address_of_the_second_listener_names_its_own_setting() -> None:
    with bind("127.0.0.1", 0) as taken, pytest.raises(CannotListen, match=r"Set listen_webhooks in syncd\.toml"):
        bind("127.0.0.1", taken.getsockname()[1], "listen_webhooks")
