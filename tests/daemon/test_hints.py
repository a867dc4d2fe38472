"""Hints that wait in a queue: taken, told apart from repeats, and no more than hints whatever goes wrong."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, ClassVar

from syncd.clock import Wake
from syncd.daemon.hints import Listening
from syncd.sdk.channel import Capabilities, Hint, HintPage
from syncd.sdk.errors import ChannelError, SignInRequired, Unavailable
from syncd.sim.trial import Trial, virtual
from syncd.testing.memory import MemoryChannel

QUEUE_SECONDS = 20.0


class Listens(MemoryChannel):
    """A channel whose hints wait in a queue."""

    slug = "listens"
    waiting: ClassVar[list[Hint]] = []
    taken: ClassVar[list[Hint]] = []
    arrived: ClassVar[Wake]
    trouble: ClassVar[ChannelError | None] = None
    calls: ClassVar[int] = 0

    @property
    def capabilities(self) -> Capabilities:
        return replace(super().capabilities, listens=True)

    async def listen(self) -> HintPage:
        kind = type(self)
        kind.calls += 1
        if kind.trouble is not None:
            raise kind.trouble
        if not kind.waiting:
            await self.context.clock.wait(self.context.clock.now_us() + int(QUEUE_SECONDS * 1e6), kind.arrived)
        page = tuple(kind.waiting)

        async def acknowledge() -> None:
            kind.taken.extend(page)
            del kind.waiting[: len(page)]

        return HintPage(page, acknowledge)

    @classmethod
    def put(cls, *hints: Hint) -> None:
        cls.waiting.extend(hints)
        cls.arrived.set()


@asynccontextmanager
async def listening(**shop: Any) -> AsyncIterator[Trial]:
    """Two shops polled every five minutes, one of them with a queue."""
    Listens.waiting, Listens.taken, Listens.arrived, Listens.trouble, Listens.calls = [], [], Wake(), None, 0
    shops = {"a": {"poll_seconds": 300.0, "channel": "listens", **shop}, "b": {"poll_seconds": 300.0}}
    async with Trial.of({"a": {}, "b": {}}, {"S1": 9}, shops=shops, channels={"listens": Listens}) as trial:
        await trial.run(5)
        yield trial


@virtual
async def test_a_hint_from_the_queue_brings_an_order_in_at_once_and_is_then_deleted() -> None:
    async with listening() as trial:
        trial.buy("a", "S1", 9)
        Listens.put(Hint(orders=True, id="1"))
        assert await trial.run_until(lambda: trial.shows("b", "S1") == 0) < 3
        assert Listens.taken == [Hint(orders=True, id="1")]


@virtual
async def test_a_repeated_hint_leaves_the_queue_and_wakes_nobody() -> None:
    async with listening() as trial:
        before = trial.mall("a").calls["orders"]
        for _ in range(3):
            Listens.put(Hint(orders=True, id="1"))
            await trial.run(5)
        assert trial.mall("a").calls["orders"] == before + 1
        assert len(Listens.taken) == 3


@virtual
async def test_a_dry_run_takes_nothing_out_of_a_queue() -> None:
    async with listening(writes="dry_run") as trial:
        Listens.put(Hint(orders=True))
        await trial.run(300)
        assert (Listens.calls, Listens.taken) == (0, [])


@virtual
async def test_a_queue_that_fails_again_and_again_is_alarmed_while_the_shop_is_polled_on() -> None:
    async with listening() as trial:
        Listens.trouble = Unavailable("no queue today")
        await trial.run(25)
        assert await trial.alarms() == set(), "one wait that was cut off is no news"
        await trial.run(600)
        assert await trial.alarms() == {"hints_missing"}
        assert Listens.calls < 10
        trial.buy("a", "S1", 9)
        await trial.run_until(lambda: trial.shows("b", "S1") == 0, within=310, step=5)
        Listens.trouble = None
        await trial.run(3600)
        assert await trial.alarms() == set()


@virtual
async def test_a_queue_that_refuses_its_key_is_alarmed_at_once_and_the_shop_is_not_signed_out() -> None:
    async with listening() as trial:
        assert trial.stage is not None
        Listens.trouble = SignInRequired("the key is wrong")
        await trial.run(25)
        assert await trial.alarms() == {"hints_missing"}
        shop = trial.stage.daemon.runners["a"].shop
        assert shop is not None
        assert not shop.signed_out


@virtual
async def test_a_shop_without_a_queue_does_not_listen() -> None:
    async with listening() as trial:
        assert trial.stage is not None
        shop = trial.stage.daemon.runners["b"].shop
        assert shop is not None
        assert await Listening(trial.stage.daemon.hub, shop).turn() is None
