"""A script played in the core layer, event by event."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from syncd.core.demand import Assumed, Demand, blind_seconds
from syncd.core.policy import Mode
from syncd.sdk.channel import Accepted, Rejected, StockWrite
from syncd.sim.core.assumptions import BEGIN_US, SECOND_US, ShopModel
from syncd.sim.core.calendar import Rank
from syncd.sim.core.cells import lay_out
from syncd.sim.core.habits import Habit
from syncd.sim.core.keeper import Keeper
from syncd.sim.core.market import Market, Order
from syncd.sim.core.rows import Shop
from syncd.sim.core.writing import Wire, Writer
from syncd.sim.script import (
    APART_SECONDS,
    BATCH_SECONDS,
    DEAD_SECONDS,
    GAP_SECONDS,
    LOOK_SECONDS,
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

ROUND_TRIP_US = 50_000
HABIT = Habit(name="script", batch=BATCH_SECONDS, low=True, bounds=True)


def model_of(stand: Stand) -> ShopModel:
    """A stand as a shop of this layer, polled each second."""
    usual = sum(one.usual for one in STANDS)
    return ShopModel(
        name=stand.name, share=stand.usual / usual, forms=frozenset(stand.forms), rows=100, calls=100.0,
        visible=(VISIBLE_SECONDS, VISIBLE_SECONDS), latest=VISIBLE_SECONDS, bound=VISIBLE_SECONDS, poll=1.0,
        reads=100 if stand.reads else 0, dead_after=DEAD_SECONDS,
    )  # fmt: skip


class Pages(Market):
    """The truth, with a note of every write that was taken."""

    writes: list[tuple[int, Written]]

    def write(self, listing: int, row: StockWrite, position: int) -> Accepted | Rejected:
        outcome = super().write(listing, row, position)
        if isinstance(outcome, Accepted):
            self.writes.append((listing, Written(row.form, self.page[listing])))
        return outcome


class Prompt(Wire):
    """A wire as fast as the malls in memory are."""

    def times(self, shop: Shop, now_us: int) -> tuple[int, int]:
        return now_us + ROUND_TRIP_US // 2, now_us + ROUND_TRIP_US


class Scripted:
    """The rows, shops and orders of one script."""

    def __init__(self, script: Script) -> None:
        self.script = script
        models = tuple(model_of(stand) for stand in STANDS)
        stock = tuple(ware.pieces for ware in script.wares)
        self.calendar, skus, shops, shown = lay_out(stock, [ware.policy for ware in script.wares], models)
        self.market = Pages(models, stock, shown, script.seed)
        self.market.writes = []
        for shop, stand in zip(shops, STANDS, strict=True):
            _begin(shop, stand)
        self.keeper = Keeper(self.calendar, self.market, HABIT, skus, shops)
        self.writer = Writer(self.keeper, Prompt(models, script.seed))
        self.orders: list[list[tuple[int, Order]]] = [[] for _ in script.wares]

    def play(self) -> Iterator[View]:
        """What there is before the first event, then after each."""
        self.calendar.run_to(self.calendar.now_us + int(APART_SECONDS * SECOND_US))
        for sku in self.keeper.skus:
            self.keeper.refresh(sku)
        self._look(None)
        yield self._after(OPENING_SECONDS)
        for event in self.script.events:
            self._happen(event)
            yield self._after(GAP_SECONDS)

    def _look(self, _: object) -> None:
        """The daemon looks at SKUs in escrow again and again, by shares of today; the keeper does when something
        changed, by what each shop had sold at its last sale."""
        now_us = self.calendar.now_us
        for shop in self.keeper.shops:
            shop.demand = replace(shop.demand, at_us=now_us, day=shop.demand.faded(now_us)[2])
        for sku in self.keeper.skus:
            if sku.decision.mode is Mode.ESCROW:
                self.keeper.refresh(sku)
        self.calendar.at(self.calendar.now_us + int(LOOK_SECONDS * SECOND_US), Rank.TIMER, self._look, None)

    def _after(self, seconds: float) -> View:
        self.calendar.run_to(self.calendar.now_us + int(seconds * SECOND_US))
        wide = len(STANDS)
        view = View(
            {(i % wide, i // wide): max(0, page) for i, page in enumerate(self.market.page)},
            {sku.index: f"{sku.decision.mode} {sku.decision.reserve}" for sku in self.keeper.skus},
        )
        for listing, written in self.market.writes:
            view.writes.setdefault((listing % wide, listing // wide), []).append(written)
        self.market.writes.clear()
        return view

    def _happen(self, event: Event) -> None:
        keeper, market = self.keeper, self.market
        if event.act is Act.BUY:
            self._buy(event)
        elif event.act is Act.CANCEL:
            self._cancel(event)
        elif event.change:
            market.left[event.ware] += event.change
            keeper.received(keeper.skus[event.ware], event.change)

    def _buy(self, event: Event) -> None:
        index = event.ware * len(STANDS) + event.stand
        units = event.wants(self.market.page[index])
        if not units:
            return
        visible_us = self.market.accept(event.ware, event.stand, index, units, self.calendar.now_us)
        assert self.market.newest is not None
        self.orders[event.ware].append((event.stand, self.market.newest))
        self.keeper.expect(self.keeper.shops[event.stand], visible_us)
        self.keeper.sold_unseen(self.keeper.listings[index])

    def _cancel(self, event: Event) -> None:
        if not self.orders[event.ware]:
            return
        stand, order = self.orders[event.ware].pop()
        self.market.left[event.ware] += order.units
        back = order.units if STANDS[stand].restocks else 0
        visible_us = self.market.cancel(stand, order, back, self.calendar.now_us)
        self.keeper.expect(self.keeper.shops[stand], visible_us)


def _begin(shop: Shop, stand: Stand) -> None:
    """A shop as it was yesterday, its delays assumed as the daemon assumes them."""
    shop.demand, shop.restocks = Demand(BEGIN_US, 0.0, 0.0, stand.usual), stand.restocks
    shop.assumed = Assumed(VISIBLE_SECONDS, POLL_SECONDS, 1.0, 1.0)
    shop.blind = blind_seconds(shop.lags, shop.assumed)
