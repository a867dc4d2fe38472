"""Rakuten's order mail through the whole daemon: a mail comes, the order is read by the API, the other mall follows."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

import anyio
from sqlalchemy import text

from syncd.sdk.errors import SignInRequired
from syncd.sim.loop import VirtualClock
from syncd.sim.stage import Part, Stage
from syncd.sim.trial import virtual
from syncd.testing.memory import MemoryShop
from syncd.testing.world import TruthOrder, World
from syncd_rakuten.emulator import RakutenEmulator

KEY = "tea/tea"
POLL_SECONDS = 600.0


@dataclass(slots=True)
class Scene:
    """A Rakuten shop that is polled every ten minutes, its mailbox, and another mall with the same goods."""

    clock: VirtualClock
    rakuten: RakutenEmulator
    other: MemoryShop
    stage: Stage

    def buy(self) -> TruthOrder:
        order = self.rakuten.market.buy({KEY: 5})
        assert order is not None
        return order

    async def seconds_until_sold_out(self, within: float) -> float:
        """How long until the other mall shows what was bought at Rakuten."""
        began = self.clock.monotonic()
        while self.other.market.listings["T"].shown:
            assert self.clock.monotonic() - began < within, "nobody told the other mall"
            await self.clock.sleep(1)
        return self.clock.monotonic() - began

    async def alarms(self) -> set[str]:
        open_ones = text("SELECT kind FROM alarm WHERE cleared_us IS NULL")
        rows = await self.stage.store.tx(lambda conn: conn.execute(open_ones).all())
        return {row[0] for row in rows}


@asynccontextmanager
async def running(*, mail: bool = True, writes: str = "on") -> AsyncIterator[Scene]:
    clock = VirtualClock()
    world = World(clock.now)
    world.stock("tea", 5)
    markets = {name: world.market(name, visibility_seconds=0) for name in ("rakuten", "mall")}
    markets["rakuten"].offer(KEY, "tea", shown=5)
    markets["mall"].offer("T", "tea", shown=5)
    rakuten = RakutenEmulator(world, markets["rakuten"], clock)
    other = MemoryShop(world, markets["mall"], clock)
    table = {"mail": rakuten.mail_settings()} if mail else {}
    shop = {"poll_seconds": POLL_SECONDS, "writes": writes}
    parts = {
        "rakuten": Part(rakuten, "rakuten", shop, table),
        "mall": Part(other, settings={"poll_seconds": POLL_SECONDS}),
    }
    stage = await Stage.open(world, parts, clock)
    async with anyio.create_task_group() as group:
        group.start_soon(partial(stage.daemon.run, signals=False))
        await stage.daemon.ready.wait()
        await clock.sleep(60)
        yield Scene(clock, rakuten, other, stage)
        group.cancel_scope.cancel()
    await stage.aclose()


@virtual
async def test_a_mail_makes_the_order_be_read_within_seconds_instead_of_at_the_next_poll() -> None:
    async with running(mail=False) as without:
        without.buy()
        assert await without.seconds_until_sold_out(within=POLL_SECONDS) > 60
    async with running() as scene:
        mail = scene.rakuten.send_mail(scene.buy().number)
        assert await scene.seconds_until_sold_out(within=60) < 15
        await scene.clock.sleep(5)
        assert scene.rakuten.post.seen() == {mail}
        assert scene.rakuten.violations == 0


@virtual
async def test_a_refused_password_is_alarmed_and_the_shop_goes_on() -> None:
    async with running() as scene:
        scene.rakuten.post.trouble = SignInRequired("mail.example refuses user orders")
        await scene.clock.sleep(60)
        assert await scene.alarms() == {"hints_missing"}
        scene.rakuten.send_mail(scene.buy().number)
        assert await scene.seconds_until_sold_out(within=POLL_SECONDS + 30) > 15
        scene.rakuten.post.trouble = None
        await scene.clock.sleep(3600)
        assert await scene.alarms() == set()
        assert scene.rakuten.post.seen() == {1}


@virtual
async def test_a_dry_run_marks_no_mail() -> None:
    async with running(writes="dry_run") as scene:
        scene.rakuten.send_mail(scene.buy().number)
        await scene.clock.sleep(120)
        assert scene.rakuten.post.seen() == set()


@virtual
async def test_forged_mails_without_end_change_no_number_and_break_no_rate() -> None:
    async with running() as scene:
        for n in range(600):
            forged = f"From: order@rakuten.co.jp\r\n\r\n[1] 100001-20261121-{n:010d}\r\n".encode()
            scene.rakuten.post.put(forged, scene.clock.now())
        await scene.clock.sleep(600)
        assert len(scene.rakuten.post.seen()) == 600
        assert (scene.other.market.listings["T"].shown, scene.rakuten.violations) == (5, 0)
        scene.rakuten.send_mail(scene.buy().number)
        assert await scene.seconds_until_sold_out(within=60) < 15
