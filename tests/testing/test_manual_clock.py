"""The manual clock: time moves only when told, and everybody due is woken in order."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from syncd.clock import Wake
from syncd.sdk.channel import Budget
from syncd.testing.fakes import BudgetLimiter, ManualClock, Stuck, run_until, spawn

pytestmark = pytest.mark.anyio


async def test_it_starts_at_its_day_and_stands_still() -> None:
    clock = ManualClock()
    assert clock.now() == datetime(2026, 11, 21, tzinfo=UTC)
    await asyncio.sleep(0)
    assert clock.monotonic() == 0.0


async def test_sleepers_wake_in_the_order_of_their_times() -> None:
    clock, woken = ManualClock(), []

    async def sleeper(seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append((seconds, clock.monotonic()))

    tasks = [spawn(sleeper(s)) for s in (3, 1, 2)]
    await clock.advance(2.5)
    assert woken == [(1, 1.0), (2, 2.0)]
    await clock.advance(1)
    assert woken[-1] == (3, 3.0)
    await asyncio.gather(*tasks)


async def test_a_sleeper_started_by_a_woken_one_is_woken_in_the_same_advance() -> None:
    clock, times = ManualClock(), []

    async def ticker() -> None:
        for _ in range(4):
            await clock.sleep(1)
            times.append(clock.monotonic())

    task = spawn(ticker())
    await clock.advance(10)
    assert times == [1.0, 2.0, 3.0, 4.0]
    await task


async def test_a_wake_ends_a_wait_early_and_is_kept_when_nobody_waits() -> None:
    clock, wake = ManualClock(), Wake()
    wake.set()
    assert await clock.wait(None, wake) is True
    task = spawn(clock.wait(clock.now_us() + 10_000_000, wake))
    await clock.advance(1)
    assert not task.done()
    wake.set()
    assert await task is True
    task = spawn(clock.wait(clock.now_us() + 10_000_000, wake))
    await clock.advance(10)
    assert task.result() is False


async def test_a_limit_raises_when_the_manual_time_passes_it() -> None:
    clock = ManualClock()

    async def slow() -> str:
        try:
            with clock.limit(5):
                await clock.sleep(10)
        except TimeoutError:
            return f"gave up at {clock.monotonic():g}"
        return "done"

    assert await run_until(clock, slow()) == "gave up at 5"
    assert clock.next_due_us() is None


async def test_a_limit_that_is_kept_leaves_no_trace() -> None:
    clock = ManualClock()
    with clock.limit(5):
        await asyncio.sleep(0)
    await clock.advance(10)
    assert clock.next_due_us() is None


async def test_run_until_moves_time_only_as_far_as_needed() -> None:
    clock = ManualClock()
    await run_until(clock, clock.sleep(7))
    assert clock.monotonic() == 7.0


async def test_run_until_says_when_time_will_not_help() -> None:
    with pytest.raises(Stuck, match="neither time"):
        await run_until(ManualClock(), asyncio.Event().wait())


async def test_the_budget_limiter_keeps_the_rate() -> None:
    clock = ManualClock()
    limiter = BudgetLimiter(clock, [Budget("b", frozenset({"x"}), per_second=2.0, burst=2.0)])

    async def calls() -> None:
        for _ in range(6):
            await limiter.acquire("x", 1.0)

    await run_until(clock, calls())
    assert clock.monotonic() == pytest.approx(2.0)


async def test_setting_the_wall_moves_no_sleeper() -> None:
    clock = ManualClock()
    task = spawn(clock.sleep(10))
    clock.set_wall(datetime(2027, 1, 1, tzinfo=UTC))
    await clock.advance(9)
    assert not task.done()
    assert clock.now() == datetime(2027, 1, 1, 0, 0, 9, tzinfo=UTC)
    await clock.advance(1)
    await task


async def test_time_stands_while_a_thread_is_busy() -> None:
    clock, left = ManualClock(), [3]
    seen: list[float] = []

    def busy() -> bool:
        left[0] -= 1
        seen.append(clock.monotonic())
        return left[0] > 0

    clock.busy.append(busy)
    await clock.advance(5)
    assert seen[:3] == [0.0, 0.0, 0.0]
    assert clock.monotonic() == 5.0


async def test_work_given_up_is_cancelled() -> None:
    clock = ManualClock()
    ended: list[str] = []

    async def endless() -> None:
        try:
            while True:
                await clock.sleep(1)
        finally:
            ended.append("cancelled")

    with pytest.raises(Stuck, match="not done within 5 s"):
        await run_until(clock, endless(), within_seconds=5)
    assert ended == ["cancelled"]
