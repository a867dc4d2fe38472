"""Shopify's pushes through the whole daemon: signed by the emulator, taken at the second door, read by the API."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx

from syncd.daemon.hooks import HookOutcome, Hooks
from syncd.sim.loop import VirtualClock
from syncd.sim.stage import Part, Stage
from syncd.sim.trial import virtual
from syncd.testing.memory import MemoryShop
from syncd.testing.world import World
from syncd.web.webhooks import build_webhooks
from syncd_shopify.emulator import ShopifyEmulator
from syncd_shopify.emulator_hooks import Push

URL = "https://hooks.example.com"
KEY = "30322695"


class Scene:
    """A Shopify shop that is polled every ten minutes, another mall, and the door between."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.world = World(self.clock.now)
        self.world.stock("tea", 5)
        market = self.world.market("web", visibility_seconds=0)
        market.offer(KEY, "tea", shown=5)
        self.shopify = ShopifyEmulator(self.world, market, self.clock)
        other = self.world.market("mall", visibility_seconds=0)
        other.offer("T", "tea", shown=5)
        self.mall = MemoryShop(self.world, other, self.clock)

    async def open(self) -> None:
        parts = {
            "web": Part(self.shopify, "shopify", {"poll_seconds": 600.0}),
            "mall": Part(self.mall, settings={"poll_seconds": 600.0}),
        }
        settings: dict[str, Any] = {"webhooks_url": URL}
        self.stage = await Stage.open(self.world, parts, self.clock, settings=settings)
        self.task = asyncio.get_running_loop().create_task(self.stage.daemon.run(signals=False))
        await self.stage.daemon.ready.wait()
        await self.clock.sleep(5)
        daemon = self.stage.daemon
        door = build_webhooks(Hooks(daemon.hub, daemon.runners), self.clock)
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(app=door))

    async def send(self, push: Push) -> int:
        answer = await self.client.post(push.subscription.uri, content=push.body, headers=push.headers)
        return answer.status_code

    async def aclose(self) -> None:
        await self.client.aclose()
        self.task.cancel()
        await asyncio.wait({self.task})
        await self.stage.aclose()

    def counted(self, outcome: HookOutcome) -> float | None:
        labels = {"shop": "web", "outcome": outcome.value}
        return self.stage.daemon.hub.metrics.registry.get_sample_value("syncd_webhooks_total", labels)


@virtual
async def test_a_sale_on_shopify_reaches_the_other_mall_by_a_push_within_seconds() -> None:
    scene = Scene()
    await scene.open()
    assert {one.topic for one in scene.shopify.pushing.subscriptions} == {"ORDERS_CREATE", "ORDERS_UPDATED"}
    assert {one.uri for one in scene.shopify.pushing.subscriptions} == {f"{URL}/webhooks/web"}
    scene.shopify.market.buy({KEY: 5})
    assert await scene.shopify.pushing.deliver(scene.send) == 2
    await scene.clock.sleep(5)
    assert scene.mall.market.listings["T"].shown == 0
    assert scene.world.stale == []
    await scene.aclose()


@virtual
async def test_a_push_that_somebody_changed_on_its_way_is_refused_and_its_retry_with_the_first_body_is_taken() -> None:
    scene = Scene()
    await scene.open()
    scene.shopify.market.buy({KEY: 5})

    async def meddled(push: Push) -> int:
        answer = await scene.client.post(push.subscription.uri, content=push.body + b" ", headers=push.headers)
        return answer.status_code

    assert await scene.shopify.pushing.deliver(meddled) == 0
    assert scene.counted(HookOutcome.FORGED) == 2
    for push in scene.shopify.pushing.queue:
        push.due = scene.clock.now()
    assert await scene.shopify.pushing.deliver(scene.send) == 2
    await scene.clock.sleep(5)
    assert scene.mall.market.listings["T"].shown == 0
    await scene.aclose()
