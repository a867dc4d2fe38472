"""Virtual time: jumps, repeats by seed, and calls a deadlock a deadlock."""

from __future__ import annotations

import asyncio

import anyio
import pytest

from syncd.clock import Wake
from syncd.sim.loop import Deadlock, VirtualClock, run_virtual


async def woken() -> list[int]:
    clock, order = VirtualClock(), []

    async def sleeper(number: int) -> None:
        for _ in range(3):
            await clock.sleep(3600)
            order.append(number)

    async with anyio.create_task_group() as group:
        for number in range(5):
            group.start_soon(sleeper, number)
    return order


def test_the_same_seed_gives_the_same_order_and_another_seed_another() -> None:
    assert run_virtual(woken, 1) == run_virtual(woken, 1)
    assert run_virtual(woken, 1) != run_virtual(woken, 2)


def test_a_task_that_nothing_wakes_is_a_deadlock() -> None:
    async def stuck() -> None:
        await anyio.Event().wait()

    with pytest.raises(Deadlock):
        run_virtual(stuck)


def test_a_limit_and_a_wait_end_in_virtual_time() -> None:
    async def main() -> tuple[bool, float]:
        clock = VirtualClock()
        with pytest.raises(TimeoutError), clock.limit(5):
            await clock.sleep(100)
        return await clock.wait(clock.now_us() + 7_000_000, Wake()), clock.monotonic()

    assert run_virtual(main) == (False, 12.0)


def test_a_thread_is_refused() -> None:
    async def main() -> None:
        await asyncio.get_running_loop().run_in_executor(None, int)

    with pytest.raises(AssertionError, match="thread"):
        run_virtual(main)


def test_scopes_cancelled_at_once_end_in_the_same_order_wherever_they_lie_in_memory() -> None:
    """Whole seed 10: anyio goes through the scopes inside a cancelled one by their addresses."""
    kept: list[anyio.CancelScope] = []

    async def cancelled() -> list[int]:
        order: list[int] = []

        async def inside(number: int) -> None:
            kept.append(anyio.CancelScope())  # the next run's scopes lie elsewhere
            with anyio.CancelScope() as scope:
                kept.append(scope)
                try:
                    await anyio.sleep_forever()
                finally:
                    order.append(number)

        async with anyio.create_task_group() as group:
            for number in range(12):
                group.start_soon(inside, number)
            await anyio.sleep(1)
            group.cancel_scope.cancel()
        return order

    first, *others = [run_virtual(cancelled) for _ in range(6)]
    assert others == [first] * 5
