"""A script played in the whole layer, event by event: the daemon over malls in memory, in virtual time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from syncd.core.demand import Demand
from syncd.core.planner import POLICIES, Rule
from syncd.daemon.desk_skus import RuleItem, set_rules
from syncd.daemon.desk_stock import Item, adjust_stock, count_stock
from syncd.sdk.channel import Accepted, Rejected, Restock, StockWrite
from syncd.sim.script import (
    APART_SECONDS,
    BATCH_SECONDS,
    BUSY_SECONDS,
    DEAD_SECONDS,
    GAP_SECONDS,
    OPENING_SECONDS,
    POLL_SECONDS,
    STANDS,
    VISIBLE_SECONDS,
    Act,
    Event,
    Script,
    Stand,
    View,
    Written,
)
from syncd.sim.trial import Trial
from syncd.testing.memory import MemoryShop

SHOP = {"poll_seconds": POLL_SECONDS, "reconcile_seconds": 600.0}
SETTINGS = {"batch": {"every_seconds": BATCH_SECONDS}, "brake": {"listings": 1000}}


def options_of(stand: Stand) -> Mapping[str, Any]:
    """A stand as a shop in memory."""
    return {
        "forms": stand.forms, "reads_stock": stand.reads, "visibility_seconds": VISIBLE_SECONDS,
        "dead_after_seconds": DEAD_SECONDS, "restocks": Restock.YES if stand.restocks else Restock.NO,
    }  # fmt: skip


class Noting(MemoryShop):
    """A shop in memory, with a note of every write that it took."""

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        self.writes: list[tuple[str, Written]] = []

    def apply(self, index: int, row: StockWrite) -> Accepted | Rejected:
        outcome = super().apply(index, row)
        if isinstance(outcome, Accepted):
            self.writes.append((row.listing, Written(row.form, self.market.listings[row.listing].shown)))
        return outcome


@dataclass(slots=True)
class Scripted:
    """The malls and the daemon of one script. Every listing is named like its SKU."""

    script: Script
    trial: Trial
    orders: list[list[tuple[int, str]]]

    @classmethod
    async def play(cls, script: Script, shown: Mapping[tuple[int, int], int]) -> AsyncIterator[View]:
        """What there is before the first event, then after each. At first the pages show what is `shown`."""
        goods = {ware.code: ware.pieces for ware in script.wares}
        malls = {stand.name: options_of(stand) for stand in STANDS}
        shops = {stand.name: SHOP for stand in STANDS}
        async with Trial.of(malls, goods, shops=shops, settings=SETTINGS, shop_type=Noting, start=False) as trial:
            play = cls(script, trial, [[] for _ in script.wares])
            play._furnish(shown)
            await trial.run(APART_SECONDS)
            await trial.start()
            await play._say_policies()
            yield await play._after(OPENING_SECONDS)
            for event in script.events:
                await play._happen(event)
                yield await play._after(GAP_SECONDS)

    def _furnish(self, shown: Mapping[tuple[int, int], int]) -> None:
        for i, stand in enumerate(STANDS):
            market = self.trial.world.markets[stand.name]
            market.restocks_on_cancel = stand.restocks
            for j, ware in enumerate(self.script.wares):
                market.listings[ware.code].shown = shown[i, j]

    async def _say_policies(self) -> None:
        trial = self.trial
        assert trial.stage is not None
        hub, now_us = trial.stage.daemon.hub, trial.clock.now_us()
        usual = {stand.name: stand.usual for stand in STANDS}
        for shop in hub.shops.values():
            hub.facts.usual[shop.id] = Demand(now_us, 0.0, 0.0, usual[shop.name])
        items = [
            item for ware in self.script.wares
            for item in (RuleItem(Rule.POLICY, POLICIES.index(ware.policy.kind), None, ware.code),
                         RuleItem(Rule.RESERVE, ware.policy.reserve, None, ware.code))
        ]  # fmt: skip
        done = await trial.store.tx(lambda conn: set_rules(conn, hub.facts, items, now_us, "script"))
        hub.wake_writers(done.refreshed)

    async def _after(self, seconds: float) -> View:
        trial = self.trial
        assert trial.stage is not None
        for _ in range(BUSY_SECONDS):
            for shop in trial.stage.daemon.hub.shops.values():
                shop.intake_wake.set()
            await trial.run(1.0)
        await trial.run(seconds - BUSY_SECONDS)
        rows = await trial.rows("SELECT s.code, t.mode, t.reserve FROM stance t JOIN sku s ON s.id = t.sku_id")
        modes = {code: f"{mode} {reserve}" for code, mode, reserve in rows}
        wares = {ware.code: j for j, ware in enumerate(self.script.wares)}
        view = View(
            {(i, j): trial.shows(stand.name, code) for i, stand in enumerate(STANDS) for code, j in wares.items()},
            {j: modes.get(code, "mirror 0") for code, j in wares.items()},
        )
        for i, stand in enumerate(STANDS):
            mall = trial.mall(stand.name)
            assert isinstance(mall, Noting)
            for key, written in mall.writes:
                view.writes.setdefault((i, wares[key]), []).append(written)
            mall.writes.clear()
        return view

    async def _happen(self, event: Event) -> None:
        code = self.script.wares[event.ware].code
        if event.act is Act.BUY:
            stand = STANDS[event.stand].name
            units = event.wants(self.trial.shows(stand, code))
            if units:
                self.orders[event.ware].append((event.stand, self.trial.buy(stand, code, units).number))
        elif event.act is Act.CANCEL and self.orders[event.ware]:
            place, number = self.orders[event.ware].pop()
            self.trial.world.markets[STANDS[place].name].cancel(number)
        elif event.change:
            await self._correct(event, code)

    async def _correct(self, event: Event, code: str) -> None:
        trial = self.trial
        assert trial.stage is not None
        hub, now_us = trial.stage.daemon.hub, trial.clock.now_us()
        correct = adjust_stock if event.act is Act.ARRIVE else count_stock
        trial.world.receive(code, event.change)
        done = await trial.store.tx(lambda conn: correct(conn, hub.facts, [Item(code, event.number)], now_us, "script"))
        hub.wake_writers(done.refreshed)
