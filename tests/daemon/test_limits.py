"""Rate budgets at work: shared buckets, who goes first, what moves a waiter, and a waiter that gives up."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from syncd.daemon.limits import Budgets, ShopLimiter, slot_of_call, urgency
from syncd.model import Lane
from syncd.sdk.channel import Budget, Scope
from syncd.sim.loop import VirtualClock
from syncd.sim.trial import virtual

CALLS = frozenset({"orders", "write", "read"})


def rate(per_second: float, burst: float = 1.0, **more: object) -> Budget:
    return Budget("calls", CALLS, per_second, burst, **more)  # type: ignore[arg-type]


def limiter(budgets: Budgets, shop: str, *declared: Budget) -> ShopLimiter:
    made = budgets.limiter()
    budgets.declare(made, shop, "memory", declared)
    return made


class Calls:
    """Calls of shops as they leave, with their times."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.budgets = Budgets(self.clock)
        self.left: list[tuple[str, float]] = []
        self.tasks: set[asyncio.Task[None]] = set()

    async def call(self, limiter: ShopLimiter, name: str, times: int = 1, operation: str = "write") -> None:
        for _ in range(times):
            await limiter.acquire(operation, 1.0)
            self.left.append((name, round(self.clock.monotonic(), 3)))

    async def start(
        self, limiter: ShopLimiter, name: str, times: int = 1, lane: Lane = Lane.BATCH, operation: str = "write"
    ) -> asyncio.Task[None]:
        """Start to call, and wait in line before this returns."""
        token = urgency.set(int(lane))
        task = asyncio.get_running_loop().create_task(self.call(limiter, name, times, operation))
        urgency.reset(token)
        self.tasks.add(task)
        await self.clock.sleep(0.001)
        return task

    async def done(self) -> Sequence[str]:
        """Who left, in order, once all have."""
        await asyncio.gather(*self.tasks, return_exceptions=True)
        return [name for name, _ in self.left]

    def when(self, name: str) -> list[float]:
        return [at for one, at in self.left if one == name]


@virtual
async def test_two_shops_of_one_application_draw_from_one_bucket_and_none_starves() -> None:
    calls = Calls()
    shared = rate(2.0, scope=Scope.APPLICATION, shared_as="app-1")
    a, b = limiter(calls.budgets, "a", shared), limiter(calls.budgets, "b", shared)
    await calls.start(a, "a", 20)
    await calls.start(b, "b", 20)
    await calls.done()
    assert calls.left[-1][1] == pytest.approx(39 / 2.0, abs=0.01)
    for names in ([name for name, _ in calls.left[i : i + 4]] for i in range(1, 36)):
        assert names.count("a") == names.count("b") == 2


@virtual
async def test_another_application_and_a_shop_of_its_own_have_buckets_of_their_own() -> None:
    calls = Calls()
    for shop, declared in {
        "a": rate(0.1, scope=Scope.APPLICATION, shared_as="app-1"),
        "b": rate(0.1, scope=Scope.APPLICATION, shared_as="app-2"),
        "c": rate(0.1, scope=Scope.ACCOUNT, shared_as="app-1"),
        "d": rate(0.1),
        "e": rate(0.1),
    }.items():
        await calls.start(limiter(calls.budgets, shop, declared), shop)
    await calls.done()
    assert max(at for _, at in calls.left) < 0.1


@virtual
async def test_a_shop_that_was_restarted_goes_on_with_what_is_left_of_its_bucket() -> None:
    calls = Calls()
    await calls.call(limiter(calls.budgets, "a", rate(0.5)), "before")
    again = limiter(calls.budgets, "a", rate(0.5))
    assert again.ready_in("write") == pytest.approx(2.0)
    await calls.call(again, "after")
    assert calls.when("after") == [2.0]


@virtual
async def test_a_shop_that_punishes_excess_starts_with_an_empty_bucket() -> None:
    calls = Calls()
    careful = limiter(calls.budgets, "a", rate(1.0, 5.0, margin=0.5))
    assert careful.ready_in("write") == pytest.approx(2.0)
    assert careful.left() == dict.fromkeys(CALLS, 0.0)


@virtual
async def test_an_urgent_call_overtakes_all_that_wait() -> None:
    calls = Calls()
    one = limiter(calls.budgets, "a", rate(1.0))
    await calls.start(one, "first")
    await calls.start(one, "background", 2, Lane.BACKGROUND)
    await calls.start(one, "batch", 2)
    await calls.start(one, "stockout", 1, Lane.STOCKOUT)
    order = await calls.done()
    assert list(order) == ["first", "stockout", "batch", "batch", "background", "background"]
    assert calls.when("stockout") == [1.0]


@virtual
async def test_an_urgent_call_of_one_shop_overtakes_its_neighbour_on_the_same_bucket() -> None:
    calls = Calls()
    shared = rate(1.0, scope=Scope.ACCOUNT, shared_as="us")
    a, b = limiter(calls.budgets, "a", shared), limiter(calls.budgets, "b", shared)
    await calls.start(a, "a", 5)
    await calls.start(b, "b", 1, Lane.STOCKOUT)
    await calls.done()
    assert calls.when("b") == [1.0]


@virtual
async def test_what_the_shop_says_is_left_moves_the_waiter_forward() -> None:
    calls = Calls()
    slow = limiter(calls.budgets, "a", rate(0.01))
    await calls.start(slow, "a", 2)
    await calls.clock.sleep(5)
    slow.feed("read", available=1.0, per_second=None, burst=None)
    await calls.done()
    assert calls.when("a")[1] == pytest.approx(5.0, abs=0.01)


@virtual
async def test_a_higher_rate_from_the_shop_counts_for_those_who_wait() -> None:
    calls = Calls()
    slow = limiter(calls.budgets, "a", rate(0.01))
    await calls.start(slow, "a", 3)
    await calls.clock.sleep(5)
    slow.feed("write", available=0.0, per_second=1.0, burst=2.0)
    await calls.done()
    assert calls.when("a")[1:] == pytest.approx([6.0, 7.0], abs=0.01)


@virtual
async def test_a_refusal_for_speed_holds_up_every_sharer_for_as_long_as_asked() -> None:
    calls = Calls()
    shared = rate(100.0, 100.0, scope=Scope.ACCOUNT, shared_as="us")
    a, b = limiter(calls.budgets, "a", shared), limiter(calls.budgets, "b", shared)
    a.throttled("orders", 7.0)
    await calls.start(b, "b")
    await calls.clock.sleep(3)
    a.throttled("orders", None)  # a shorter one does not end it early
    await calls.done()
    assert calls.when("b") == pytest.approx([7.0], abs=0.02)


@virtual
async def test_a_refusal_for_speed_uses_up_the_rate_of_the_moment_and_not_the_day() -> None:
    """Whole seeds 7 and 9 with yahoo-shopping: after one 503 a shop made one call in four seconds for a day."""
    calls = Calls()
    one = limiter(calls.budgets, "a", rate(1.0), replace(rate(0.25, 20_000.0), name="day"))
    one.throttled("write", 5.0)
    await calls.start(one, "a", 3)
    await calls.done()
    assert calls.when("a") == pytest.approx([5.0, 6.0, 7.0], abs=0.02)


@virtual
async def test_a_waiter_is_held_up_by_a_refusal_that_comes_while_it_waits() -> None:
    calls = Calls()
    one = limiter(calls.budgets, "a", rate(1.0))
    await calls.start(one, "a", 2)
    one.throttled("write", 9.0)
    await calls.done()
    assert calls.when("a")[1] == pytest.approx(9.0, abs=0.01)


@pytest.mark.parametrize("who", [0, 1, 2], ids=["first", "middle", "last"])
@virtual
async def test_a_waiter_that_gives_up_leaves_the_queue_as_it_was(who: int) -> None:
    calls = Calls()
    one = limiter(calls.budgets, "a", rate(1.0))
    await calls.call(one, "gone")
    waiting = [await calls.start(one, f"w{i}") for i in range(3)]
    await calls.clock.sleep(0.5)
    waiting[who].cancel()
    left = await calls.done()
    assert list(left) == ["gone", *(f"w{i}" for i in range(3) if i != who)]
    assert [at for _, at in calls.left] == pytest.approx([0.0, 1.0, 2.0], abs=0.01)
    await calls.call(one, "after")
    assert calls.when("after") == pytest.approx([3.0], abs=0.01)


@virtual
async def test_a_call_under_two_budgets_waits_for_both() -> None:
    calls = Calls()
    daily = Budget("daily", frozenset({"write"}), 0.5, 1.0)
    both = limiter(calls.budgets, "a", rate(10.0), daily)
    await calls.call(both, "write", 2)
    await calls.call(both, "read", 2, operation="read")
    assert calls.when("write") == [0.0, 2.0]
    assert calls.when("read")[-1] < 2.5
    assert both.seconds_each("write", 1.0) == pytest.approx(2.0)
    assert both.ready_in("unheard-of") == both.seconds_each("unheard-of", 1.0) == 0.0


@virtual
async def test_a_rate_that_was_changed_in_the_shops_file_counts_once_the_file_is_read_again() -> None:
    calls = Calls()
    limiter(calls.budgets, "a", rate(0.1))
    again = limiter(calls.budgets, "a", rate(10.0, 5.0))
    assert again.seconds_each("write", 1.0) == pytest.approx(0.1)


@virtual
async def test_a_slot_that_is_held_is_used_by_nobody_else_and_counts_when_its_call_leaves() -> None:
    calls = Calls()
    one = limiter(calls.budgets, "a", rate(1.0))
    slot = await one.reserve("write", 1.0)
    await calls.start(one, "other", 2)
    await calls.clock.sleep(2.5)
    assert calls.left == []
    token = slot_of_call.set(slot)
    await calls.call(one, "mine")
    slot_of_call.reset(token)
    await calls.done()
    assert [(name, round(at, 1)) for name, at in calls.left] == [("mine", 2.5), ("other", 3.5), ("other", 4.5)]


@virtual
async def test_a_slot_that_is_given_back_is_free_at_once() -> None:
    calls = Calls()
    one = limiter(calls.budgets, "a", rate(1.0))
    slot = await one.reserve("write", 1.0)
    await calls.start(one, "other")
    await calls.clock.sleep(2.5)
    assert slot.give_back()
    assert not slot.give_back()
    await calls.clock.sleep(0.001)
    assert calls.when("other") == [2.501]


@virtual
async def test_who_gives_up_waiting_for_two_buckets_holds_neither() -> None:
    calls = Calls()
    narrow = Budget("writes", frozenset({"write"}), 0.1)
    one = limiter(calls.budgets, "a", rate(5.0), narrow)
    await calls.call(one, "first")
    waiting = asyncio.get_running_loop().create_task(one.reserve("write", 1.0))
    await calls.clock.sleep(1.0)
    waiting.cancel()
    await asyncio.wait({waiting})
    await calls.call(one, "read", operation="read")
    assert calls.when("read") == [1.0]


@virtual
async def test_what_an_answer_says_is_left_was_so_before_the_calls_that_left_since() -> None:
    calls = Calls()
    shop = limiter(calls.budgets, "a", rate(10.0, burst=100.0))

    async def slow() -> None:
        await shop.acquire("read", 50.0)
        await calls.clock.sleep(1.0)
        shop.feed("read", available=50.0, per_second=None, burst=None)

    asked = asyncio.get_running_loop().create_task(slow())
    await calls.clock.sleep(0.5)
    await asyncio.get_running_loop().create_task(shop.acquire("write", 40.0))
    await asked
    assert shop.ready_in("write", 10.0) == 0
    assert shop.ready_in("write", 20.0) == pytest.approx(1.0)
