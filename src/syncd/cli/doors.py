"""What stands behind the commands: the application, the demo, the simulation, and the way to a running daemon.

Everything is imported when it is used, so that `syncd --help` is quick. Tests hand in doors of their own as
click's `obj`.
"""

from __future__ import annotations

import importlib
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from syncd.config import Config

Offline = Callable[[Config], AbstractAsyncContextManager[tuple[Any, str]]]
"""Opens the store; gives the ASGI app of the admin API and the token it asks for."""


def _app() -> Any:
    return importlib.import_module("syncd.app")


def _offline(config: Config) -> AbstractAsyncContextManager[tuple[Any, str]]:
    from syncd.telemetry import set_up

    set_up("warning")  # on stderr: stdout is the answer's
    opened: AbstractAsyncContextManager[tuple[Any, str]] = _app().open_offline(config)
    return opened


def _run(path: Path) -> int:
    return int(_app().run(path))


async def _check(config: Config) -> Sequence[dict[str, Any]]:
    from syncd.telemetry import set_up

    set_up("error")  # on stderr: stdout is the answer's, which tells each shop's trouble
    results: Sequence[dict[str, Any]] = await _app().check_shops(config)
    return results


def _demo(**options: Any) -> int:
    return int(importlib.import_module("syncd.sim.demo").run_demo(**options) or 0)


def _sim(**options: Any) -> int:
    return int(importlib.import_module("syncd.sim.seeds").run_sim(**options))


def _new_channel(slug: str, into: Path, **options: Any) -> Any:
    return importlib.import_module("syncd.testing.new_channel").write_new_channel(slug, into, **options)


@dataclass(frozen=True, slots=True)
class Doors:
    """The outside world of the commands."""

    offline: Offline = _offline
    run: Callable[[Path], int] = _run
    check_shops: Callable[[Config], Awaitable[Sequence[dict[str, Any]]]] = _check
    demo: Callable[..., int] = _demo
    sim: Callable[..., int] = _sim
    new_channel: Callable[..., Any] = _new_channel
    network: httpx.AsyncBaseTransport | None = None
    """The way to a running daemon; None for a socket."""
