"""The emulated malls on real sockets, with their buyers, in an event loop of their own.

The world is synchronous and knows no threads, so world, emulators and crowd live in one loop together. The daemon
meets them on sockets only; the demo asks by `Malls`' methods through the portal, or reads the latest `view`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from random import Random

import anyio
from anyio.abc import TaskGroup, TaskStatus

from syncd.clock import Clock
from syncd.sdk.channel import Form
from syncd.sim.crowd import Crowd, Flash, Habits, fill_shelves, stock_goods
from syncd.sim.stalls import STALLS, VISIBLE_AFTER_SECONDS, Ground
from syncd.testing.emulator import Emulator, HttpEmulator, on_sockets
from syncd.testing.sftp_server import LOOPBACK, LocalSftpServer
from syncd.testing.world import Market, Sent, TruthListing, TruthOrder, World
from syncd.web.server import serve
from syncd_files.emulator import FilesEmulator

LOOK_SECONDS = 0.2
JITTER_SECONDS = 1.0
"""Real sockets, and the malls' work in the daemon's own process: where the machine stalls, calls that keep a rate where
they leave arrive nearer to each other. No rate is exceeded by more than that once.
"""


@dataclass(slots=True)
class Stockout:
    """A listing that must go to 0 because another shop sold the last piece; open until its shop accepts that."""

    order: TruthOrder
    market: str


class WatchedWorld(World):
    """A world that also takes the time of stockouts, from outside: from the order being visible at its shop to the
    moment another shop that still shows the goods accepts a 0. A listing that its own buyers empty first is left out,
    as is one that goods come back for.
    """

    def __init__(self, now: Callable[[], datetime]) -> None:
        super().__init__(now)
        self.latencies: dict[str, list[float]] = {}
        self._open: dict[tuple[str, str], Stockout] = {}

    def note_sale(self, market: Market, order: TruthOrder) -> None:
        before = {
            (other.name, listing.key): self.should_show(listing) for other, listing in self._touched(market, order)
        }
        super().note_sale(market, order)
        for other, listing in self._touched(market, order):
            key = (other.name, listing.key)
            if before[key] and not self.should_show(listing) and listing.shown and other is not market:
                self._open[key] = Stockout(order, other.name)
        self._forget_settled()

    def free_pieces(self) -> dict[str, int]:
        """Pieces of each plain SKU that no order holds or has taken; negative when oversold."""
        return {sku: pieces - self._taken[sku] for sku, pieces in self.on_hand.items()}

    def note_change(self, market: Market, order: TruthOrder) -> None:
        super().note_change(market, order)
        self._forget_settled()

    def receive(self, sku: str, pieces: int) -> None:
        super().receive(sku, pieces)
        self._forget_settled()

    def judge_write(
        self,
        market: Market,
        listing: TruthListing,
        form: Form,
        before: int,
        expected: int | None,
        sent: Sent | None = None,
    ) -> None:
        super().judge_write(market, listing, form, before, expected, sent)
        stockout = self._open.get((market.name, listing.key))
        if stockout is not None and listing.shown == 0:
            del self._open[market.name, listing.key]
            seconds = (self.now() - stockout.order.visible_at).total_seconds()
            self.latencies.setdefault(market.name, []).append(max(0.0, seconds))

    def _touched(self, market: Market, order: TruthOrder) -> list[tuple[Market, TruthListing]]:
        """Every listing, of any shop, that shows a piece of an order."""
        skus = {part for line in order.lines for part in self.pieces(market.listings[line.listing].sku)}
        shown = (*skus, *(bundle for bundle, parts in self.parts.items() if skus & parts.keys()))
        return [pair for sku in shown for pair in self.sellers.get(sku, ())]

    def _forget_settled(self) -> None:
        for key in list(self._open):
            listing = self.markets[key[0]].listings[key[1]]
            if listing.shown == 0 or self.should_show(listing):
                del self._open[key]


def quantile(numbers: Sequence[float], share: float) -> float | None:
    """The smallest number that at least that share of them does not exceed; None of nothing."""
    return sorted(numbers)[max(0, math.ceil(share * len(numbers)) - 1)] if numbers else None


# --- what people see ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ShopView:
    """One shop as the world has it."""

    name: str
    kind: str = ""
    orders: int = 0
    taken_in: int = 0
    writes: int = 0
    refused_buyers: int = 0
    wrong: int = 0
    stockouts: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class View:
    """Everything at one moment, taken in the malls' loop and never changed after."""

    shops: tuple[ShopView, ...] = ()
    oversold: int = 0
    stale_raises: int = 0
    gap_units: int = 0
    rate_violations: int = 0
    wrong: tuple[str, ...] = ()
    buying: bool = False
    flash: bool = False

    @property
    def orders(self) -> int:
        return sum(shop.orders for shop in self.shops)

    @property
    def taken_in(self) -> int:
        return sum(shop.taken_in for shop in self.shops)

    @property
    def stockouts(self) -> tuple[float, ...]:
        return tuple(seconds for shop in self.shops for seconds in shop.stockouts)


@dataclass(frozen=True, slots=True)
class Truth:
    """What was really sold, to judge the daemon by."""

    orders: Mapping[tuple[str, str], Mapping[str, tuple[int, int, int]]]
    """(shop, number) -> line -> units ordered, cancelled, shipped."""
    free: Mapping[str, int]
    stale: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ListingRow:
    """A listing as a merchant's file would name it."""

    key: str
    sku: str
    pack: int


@dataclass(frozen=True, slots=True)
class Merchant:
    """What the merchant knows before the first day: pieces on the shelf, bundles, and each shop's listings."""

    pieces: Mapping[str, int]
    bundles: Mapping[str, Mapping[str, int]]
    listings: Mapping[str, tuple[ListingRow, ...]]


# --- the malls ------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Malls:
    """Every emulator on its socket. Build and use it in one loop; `view` alone may be read from elsewhere."""

    folder: Path
    clock: Clock
    seed: int
    flash_after_seconds: float = 15.0
    view: View = field(default_factory=View)
    tables: dict[str, dict[str, object]] = field(default_factory=dict)
    """Shop -> its channel's own settings table, to be written into its file."""
    addresses: dict[str, str] = field(default_factory=dict)
    world: WatchedWorld = field(init=False)
    crowd: Crowd = field(init=False)
    emulators: dict[str, Emulator] = field(init=False, default_factory=dict)
    _closing: anyio.Event = field(init=False)
    _group: TaskGroup = field(init=False)

    async def serve(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Open every socket, and work until `close`."""
        self._closing = anyio.Event()
        self._build()
        async with LocalSftpServer(self.folder) as sftp, anyio.create_task_group() as group:
            self._group = group
            for name, emulator in self.emulators.items():
                if isinstance(emulator, HttpEmulator):
                    port = await group.start(self._serve_http, emulator)
                    self.addresses[name] = f"http://{LOOPBACK}:{port}"
                elif isinstance(emulator, FilesEmulator):
                    emulator.served_at(LOOPBACK, sftp.port, sftp.known_hosts, sftp.password)
                    sftp.watch.append(emulator.saw)
                    self.addresses[name] = f"sftp://{LOOPBACK}:{sftp.port}"
                self.tables[name] = dict(emulator.settings())
            group.start_soon(self._work)
            task_status.started()
            await self._closing.wait()
            group.cancel_scope.cancel()

    def _build(self) -> None:
        rng = Random(self.seed)  # noqa: S311  # what buyers like, no secret
        world = self.world = WatchedWorld(self.clock.now)
        visits = stock_goods(world, rng)
        ground = Ground(world, self.clock, self.folder, self.seed)
        for name, stall in STALLS.items():
            market = world.market(name, visibility_seconds=VISIBLE_AFTER_SECONDS)
            fill_shelves(world, market, stall.key_of, rng)
            emulator = self.emulators[name] = stall.open(ground, market)
            for rate in emulator.rates.values():
                rate.slack_seconds = JITTER_SECONDS
        habits = Habits(flash=Flash(after_seconds=self.flash_after_seconds))
        shares = {name: stall.buyers for name, stall in STALLS.items()}
        self.crowd = Crowd(world, visits, self.clock, rng, habits, shares)

    async def _serve_http(self, emulator: HttpEmulator, *, task_status: TaskStatus[int]) -> None:
        await serve(on_sockets(emulator.app), LOOPBACK, 0, lambda host, port: task_status.started(port))

    async def _work(self) -> None:
        """The malls' own work, and the view of it all."""
        while True:
            for emulator in self.emulators.values():
                emulator.settle()
            self.view = self._look()
            await self.clock.sleep(LOOK_SECONDS)

    def _look(self) -> View:
        world, wrong = self.world, self.world.wrong_listings()
        return View(
            shops=tuple(self._look_at(market, wrong) for market in world.markets.values()),
            oversold=world.tally["oversold"],
            stale_raises=world.tally["stale_raises"],
            gap_units=world.tally["gap_units"],
            rate_violations=sum(emulator.violations for emulator in self.emulators.values()),
            wrong=tuple(wrong),
            buying=self._buying(),
            flash=self.crowd.flash_on,
        )

    def _buying(self) -> bool:
        return bool(self.world.tally["opened"]) and not self.crowd.stopped

    def _look_at(self, market: Market, wrong: Sequence[str]) -> ShopView:
        return ShopView(
            name=market.name,
            kind=STALLS[market.name].channel,
            orders=market.tally["orders_placed"],
            taken_in=sum(order.delivered_at is not None for order in market.orders.values()),
            writes=market.tally["rows_written"],
            refused_buyers=market.tally["refused_buyers"],
            wrong=sum(line.startswith(f"{market.name} ") for line in wrong),
            stockouts=tuple(self.world.latencies.get(market.name, ())),
        )

    # -- asked by the demo, in this loop ---------------------------------------------------------------------------

    def merchant(self) -> Merchant:
        """What there is to sell, and where."""
        listings = {
            name: tuple(ListingRow(one.key, one.sku, one.pack) for one in market.listings.values())
            for name, market in self.world.markets.items()
        }
        return Merchant(
            dict(self.world.on_hand), {sku: dict(parts) for sku, parts in self.world.parts.items()}, listings
        )

    def open_doors(self, seconds: float | None) -> None:
        """Let the buyers in."""
        self.world.tally["opened"] = 1
        self._group.start_soon(self.crowd.run, seconds)

    def close_doors(self) -> None:
        """Let no more buyers in."""
        self.crowd.stop()

    def deliver(self, sku: str, pieces: int) -> None:
        """Goods arrive at the warehouse; who is told of it sells them."""
        self.world.receive(sku, pieces)

    def scarce(self, most: int) -> list[str]:
        """Plain SKUs that are sold out or nearly, the scarcest first."""
        free = self.world.free_pieces()
        return sorted(free, key=lambda sku: (free[sku], sku))[:most]

    def truth(self) -> Truth:
        """What was really sold."""
        orders = {
            (market.name, STALLS[market.name].number_of(order.number)): {
                line.line: (line.ordered, line.cancelled, line.shipped) for line in order.lines
            }
            for market in self.world.markets.values()
            for order in market.orders.values()
        }
        self.view = self._look()
        return Truth(orders, self.world.free_pieces(), tuple(self.world.stale))

    def close(self) -> None:
        """Close every socket."""
        self._closing.set()
