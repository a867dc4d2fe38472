"""One order costs the same in a small and in a very large catalogue: cost follows what it touches."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import anyio
from sqlalchemy import Connection

from bench.filling import fill, listing_key, open_store
from bench.prepared import facts_of
from bench.report import Grid, Result, share
from syncd.clock import Clock, SystemClock
from syncd.daemon.booking import book_page
from syncd.daemon.facts import Facts
from syncd.model import LineState, OrderState
from syncd.store.engine import Priority, Store

SHOPS = 10
SIZES = (1_000, 1_000_000)
ROUNDS = 12
ORDERS_A_ROUND = 50
WARM_UP = 200
GOAL = 2.0


class Catalogue:
    """A store of so many listings, booking one order at a time as an intake does."""

    def __init__(self, store: Store, listings: int, clock: Clock) -> None:
        self.store, self.listings, self.clock = store, listings, clock
        self.skus = listings // SHOPS
        self.facts = Facts(shops={i + 1: facts_of(i + 1, f"shop-{i:02d}", 1) for i in range(SHOPS)})
        self.rng = Random(listings)
        self.booked = 0
        self.inside: list[float] = []
        self.cpu: list[float] = []
        self.whole: list[float] = []

    async def book(self) -> None:
        """One order of one line, in a transaction of its own."""
        self.booked += 1
        at, now_us = self.clock.now(), self.clock.now_us()
        line = LineState(line="1", listing=listing_key(self.rng.randrange(self.skus)), ordered=1)
        state = OrderState(number=f"order-{self.booked}", lines=(line,), as_of=at, placed_at=at)
        shop = self.facts.shops[1 + self.booked % SHOPS]

        def work(conn: Connection) -> None:
            began, began_cpu = self.clock.monotonic(), time.thread_time()
            book_page(
                conn, self.facts, shop, [state], began_us=now_us, answered_us=now_us, watermark_us=0, now_us=now_us
            )
            self.inside.append(self.clock.monotonic() - began)
            self.cpu.append(time.thread_time() - began_cpu)

        began = self.clock.monotonic()
        await self.store.tx(work, priority=Priority.URGENT)
        self.whole.append(self.clock.monotonic() - began)

    def forget(self) -> None:
        for times in (self.inside, self.cpu, self.whole):
            times.clear()


def run() -> Result:
    """Fill both stores, then book in both by turns."""
    with TemporaryDirectory(prefix="bench-") as folder:
        return anyio.run(_run, Path(folder), SystemClock())


async def _run(folder: Path, clock: Clock) -> Result:
    catalogues = [await _open(folder, listings, clock) for listings in SIZES]
    for one in catalogues:
        for _ in range(WARM_UP):
            await one.book()
        one.forget()
    for _ in range(ROUNDS):
        for one in catalogues:
            for _ in range(ORDERS_A_ROUND):
                await one.book()
    for one in catalogues:
        await one.store.aclose()
    return _result(catalogues)


async def _open(folder: Path, listings: int, clock: Clock) -> Catalogue:
    names, skus = [f"shop-{i:02d}" for i in range(SHOPS)], listings // SHOPS
    store = open_store(folder / f"{listings}.sqlite", clock)
    await store.tx(lambda conn: fill(conn, dict.fromkeys(names, "memory"), [10_000] * skus, clock.now_us()))
    return Catalogue(store, listings, clock)


def _rows(one: Catalogue) -> Iterator[tuple[str, list[float]]]:
    yield "book_page", one.inside
    yield "book_page, CPU", one.cpu
    yield "with commit", one.whole


def _result(catalogues: list[Catalogue]) -> Result:
    small, large = catalogues
    result = Result("growth", f"one order at {small.listings:,} and at {large.listings:,} listings ({SHOPS} shops)")
    grid = Grid(
        "milliseconds an order",
        ("", *(f"{one.listings:,} {q}" for one in catalogues for q in ("p50", "p99")), "ratio p50"),
    )
    for (name, few), (_, many) in zip(_rows(small), _rows(large), strict=True):
        cells = [f"{share(times, quantile) * 1e3:.2f}" for times in (few, many) for quantile in (0.5, 0.99)]
        ratio = share(many, 0.5) / share(few, 0.5)
        grid.add(name, *cells, f"{ratio:.2f}")
        result.numbers[name] = ratio
        if name != "book_page, CPU":
            result.goal(f"{name}: within {GOAL:g} x", f"{ratio:.2f} x", met=ratio <= GOAL)
    result.grids.append(grid)
    return result
