"""A backlog of orders: how fast the shipped intake books it, beside plain `sqlite3` writing the very same rows.

The daemon's own `Intake` reads prepared pages and books them into a real store file through its writer thread.
Every writing statement is kept as it passes, and replayed by plain `sqlite3` on a copy of the file, page after page
and in between, so that both meet the same machine.
"""

from __future__ import annotations

import shutil
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import anyio

from bench.filling import fill, listing_key, open_store
from bench.neighbours import load, starved_seconds
from bench.prepared import PreparedPages, hub_of, shop_of
from bench.report import Grid, Result
from syncd.clock import Clock, SystemClock
from syncd.daemon.intake import Intake
from syncd.model import LineState, OrderState
from syncd.sdk.channel import OrderPage
from syncd.store.engine import WRITER_PRAGMAS

SHOPS = 10
SKUS = 10_000
ORDERS = 100_000
PAGE = 500
GOAL_PER_SECOND = 1_500
GOAL_SHARE = 1 / 5
COLUMNS = ("", "seconds", "CPU seconds", "orders/s", "orders/CPU s", "rows/s", "rows an order")
WRITES = ("INSERT", "UPDATE", "DELETE")


@dataclass(slots=True)
class Written:
    """The writing statements of the transaction under way."""

    statements: list[tuple[str, Any, bool]] = field(default_factory=list)

    def note(self, sql: str, rows: Any, many: bool) -> None:
        if sql.lstrip().startswith(WRITES):
            self.statements.append((sql, rows, many))

    def take(self) -> list[tuple[str, Any, bool]]:
        taken, self.statements = self.statements, []
        return taken


@contextmanager
def noted(written: Written) -> Iterator[None]:
    """Connections opened meanwhile note every statement that the driver is given, whoever gives it."""

    class Cursor(sqlite3.Cursor):
        def execute(self, sql: str, rows: Any = (), /) -> Cursor:
            written.note(sql, rows, False)
            return super().execute(sql, rows)

        def executemany(self, sql: str, rows: Any, /) -> Cursor:
            written.note(sql, rows, True)
            return super().executemany(sql, rows)

    class Connection(sqlite3.Connection):
        def cursor(self, factory: Any = Cursor) -> Any:
            return super().cursor(factory)

        def execute(self, sql: str, rows: Any = (), /) -> sqlite3.Cursor:
            written.note(sql, rows, False)
            return super().execute(sql, rows)

        def executemany(self, sql: str, rows: Any, /) -> sqlite3.Cursor:
            written.note(sql, rows, True)
            return super().executemany(sql, rows)

    plain = sqlite3.connect
    with patch.object(sqlite3, "connect", partial(plain, factory=Connection)):
        yield


class Plain:
    """Plain `sqlite3` on a copy of the store's file, with the same durability."""

    def __init__(self, path: Path) -> None:
        self.conn = sqlite3.connect(path, isolation_level=None)
        for pragma in (*WRITER_PRAGMAS, "foreign_keys = ON"):
            self.conn.execute(f"PRAGMA {pragma}")
        self.seconds = self.cpu = 0.0
        self.rows = 0

    def replay(self, statements: Sequence[tuple[str, Any, bool]], clock: Clock) -> None:
        """One transaction of the same rows, in the same order."""
        began, began_cpu = clock.monotonic(), time.process_time()
        self.conn.execute("BEGIN IMMEDIATE")
        for sql, rows, many in statements:
            if many:
                self.conn.executemany(sql, rows)
            else:
                self.conn.execute(sql, rows)
        self.conn.execute("COMMIT")
        self.seconds += clock.monotonic() - began
        self.cpu += time.process_time() - began_cpu
        self.rows += sum(len(rows) if many else 1 for _, rows, many in statements)


def pages(shop: str, orders: int, rng: Random, clock: Clock) -> Iterator[OrderPage]:
    """Orders waiting at one shop: most of one line, some of two, at random SKUs."""
    at = clock.now()
    for start in range(0, orders, PAGE):
        states = []
        for number in range(start, min(orders, start + PAGE)):
            picked = rng.sample(range(SKUS), 2 if rng.random() < 0.1 else 1)
            lines = tuple(
                LineState(line=str(i + 1), listing=listing_key(one), ordered=1) for i, one in enumerate(picked)
            )
            states.append(OrderState(number=f"{shop}-{number:07d}", lines=lines, as_of=at, placed_at=at))
        more = start + PAGE < orders
        yield OrderPage(states=tuple(states), cursor={"after": start + PAGE}, more=more)


def run(orders: int = ORDERS) -> Result:
    """Book the backlog, shop by shop."""
    clock = SystemClock()
    with TemporaryDirectory(prefix="bench-") as folder:
        return anyio.run(_run, Path(folder), clock, orders)


async def _run(folder: Path, clock: Clock, orders: int) -> Result:
    names = [f"shop-{i:02d}" for i in range(SHOPS)]
    store = open_store(folder / "syncd.sqlite", clock)
    await store.tx(lambda conn: fill(conn, dict.fromkeys(names, "memory"), [10_000] * SKUS, clock.now_us()))
    await store.aclose()
    shutil.copy(folder / "syncd.sqlite", folder / "plain.sqlite")
    plain, written, rng = Plain(folder / "plain.sqlite"), Written(), Random(7)
    with noted(written):
        store = open_store(folder / "syncd.sqlite", clock)
    hub = hub_of(store, clock)
    between = between_cpu = between_starved = 0.0

    def feed(name: str) -> Iterator[OrderPage]:
        """Pages made as they are asked for; meanwhile plain `sqlite3` writes the rows of the page before."""
        nonlocal between, between_cpu, between_starved
        waiting = pages(name, orders // SHOPS, rng, clock)
        while True:
            began, began_cpu, starved = clock.monotonic(), time.process_time(), starved_seconds()
            if written.statements:
                plain.replay(written.take(), clock)
            page = next(waiting, None)
            between += clock.monotonic() - began
            between_cpu += time.process_time() - began_cpu
            between_starved += starved_seconds() - starved
            if page is None:
                return
            yield page

    shops = [await shop_of(hub, name, PreparedPages(feed(name))) for name in names]
    written.take()
    began, began_cpu, starved_before = clock.monotonic(), time.process_time(), starved_seconds()
    for shop in shops:
        await Intake(hub, shop).poll()
    seconds = clock.monotonic() - began - between
    cpu = time.process_time() - began_cpu - between_cpu
    starved = starved_seconds() - starved_before - between_starved
    plain.replay(written.take(), clock)
    booked = await store.tx(lambda conn: conn.exec_driver_sql("SELECT count(*) FROM orders").scalar_one())
    await store.aclose()
    return _result(int(booked), orders, seconds, cpu, starved, plain)


def _result(booked: int, orders: int, seconds: float, cpu: float, starved: float, plain: Plain) -> Result:
    result = Result("backlog", f"{orders:,} orders waiting at the start of {SHOPS} shops x {SKUS:,} SKUs")
    ours, theirs = booked / seconds, booked / plain.seconds
    result.goal(f"booked at >= {GOAL_PER_SECOND:,} orders/s", f"{ours:,.0f} orders/s", met=ours >= GOAL_PER_SECOND)
    result.goal(
        "at least 1/5 of plain sqlite3 writing the same rows as durably",
        f"1/{theirs / ours:.1f} ({theirs:,.0f} orders/s)",
        met=ours >= theirs * GOAL_SHARE,
    )
    alone = booked / (seconds - starved)
    result.notes.append(
        f"{load()}; without the {starved:.0f} s in which others held the processor: {alone:,.0f} orders/s"
    )
    result.numbers["orders_per_second_alone"] = alone
    result.goal("every order is booked", f"{booked:,} of {orders:,}", met=booked == orders)
    grid = Grid(f"pages of {PAGE} orders, one transaction each", COLUMNS)
    for name, spent, busy in (("syncd", seconds, cpu), ("plain sqlite3", plain.seconds, plain.cpu)):
        grid.add(
            name, f"{spent:.1f}", f"{busy:.1f}", f"{booked / spent:,.0f}", f"{booked / busy:,.0f}",
            f"{plain.rows / spent:,.0f}", f"{plain.rows / booked:.1f}",
        )  # fmt: skip
    result.grids.append(grid)
    result.numbers |= {
        "orders_per_second": ours, "orders_per_cpu_second": booked / cpu, "plain_orders_per_second": theirs,
        "share": ours / theirs, "rows_per_order": plain.rows / booked,
    }  # fmt: skip
    return result
