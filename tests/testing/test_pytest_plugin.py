"""A test that blocks its event loop is noticed; one that only waits is not."""

from __future__ import annotations

import asyncio
import time

import pytest

from syncd.testing.pytest_plugin import loop_watch

pytestmark = pytest.mark.anyio


async def _block(seconds: float) -> None:
    time.sleep(seconds)  # noqa: ASYNC251  # what the watch is for


async def test_a_blocking_callback_is_named() -> None:
    with loop_watch(0.02) as blocked:
        await asyncio.get_running_loop().create_task(_block(0.05))
    assert len(blocked) == 1
    assert "_block" in blocked[0]


async def test_waiting_is_not_blocking() -> None:
    with loop_watch(0.02) as blocked:
        done = asyncio.Event()
        asyncio.get_running_loop().call_later(0.05, done.set)
        await done.wait()
    assert blocked == []


async def test_async_tests_run_on_asyncio(anyio_backend_name: str) -> None:
    assert anyio_backend_name == "asyncio"
