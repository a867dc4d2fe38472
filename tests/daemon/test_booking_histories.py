"""Random histories of orders through the store: the ledger depends on the last states alone (promises 1 to 3)."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from syncd.daemon.desk_stock import Item, open_stock
from syncd.model import LineState, OrderState, Returns, Source
from syncd.sdk.channel import Restock

from .shelf import SECOND, Shelf

KEYS = ("mug", "pack", "set")
RELAXED = settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


class Twin:
    """Two shelves of the same merchant that go back to how they were at the touch of a button."""

    def __init__(self, runner: asyncio.Runner) -> None:
        self.shelves = [made_shelf(runner) for _ in range(2)]
        self.saved = [sqlite3.connect(":memory:") for _ in self.shelves]
        self.shops = [dict(shelf.facts.shops) for shelf in self.shelves]
        for shelf, saved in zip(self.shelves, self.saved, strict=True):
            shelf.store._raw.backup(saved)

    def again(self, **facts: Any) -> list[Shelf]:
        for shelf, saved, shops in zip(self.shelves, self.saved, self.shops, strict=True):
            saved.backup(shelf.store._raw)
            shelf.facts.shops = {one: replace(shop, **facts) for one, shop in shops.items()}
        return self.shelves


@pytest.fixture(scope="module")
def twin() -> Iterator[Twin]:
    with asyncio.Runner() as runner:
        made = Twin(runner)
        yield made
        for shelf, saved in zip(made.shelves, made.saved, strict=True):
            runner.run(shelf.store.aclose())
            saved.close()


def made_shelf(runner: asyncio.Runner) -> Shelf:
    """Two shops that sell a mug alone, by the pack, and in a set with a box."""
    shelf = Shelf(runner)
    shelf.sku("mug", 40)
    shelf.sku("box", 30)
    shelf.sku("set", parts={"mug": 2, "box": 1})
    for name in ("a", "b"):
        shop = shelf.shop(name)
        shelf.listing(shop, "mug", "mug", 40)
        shelf.listing(shop, "pack", "mug", 8, pack=5)
        shelf.listing(shop, "set", "set", 20)
    return shelf


def book(shelf: Shelf, *states: OrderState) -> None:
    shelf.book(next(iter(shelf.facts.shops.values())), *states)


small = st.integers(0, 4)
lines = st.lists(
    st.builds(
        lambda key, ordered, cancelled, shipped, returned: (key, ordered, cancelled, shipped, returned),
        st.sampled_from(KEYS), small, small, small, small,
    ),
    min_size=1, max_size=3,
)  # fmt: skip
versions = st.lists(st.tuples(lines, st.booleans()), min_size=1, max_size=4)
orders = st.lists(versions, min_size=1, max_size=3)


def state(
    shelf: Shelf, number: str, at: int, some: list[Any], opened: bool, *, source: Source = Source.API
) -> OrderState:
    made = tuple(
        LineState(line=str(i), listing=key, ordered=o, cancelled=c, shipped=s, returned=r)
        for i, (key, o, c, s, r) in enumerate(some)
    )
    return shelf.state(number, *made, at=at, placed=0, shipment_opened=opened, source=source)


def stable(history: list[Any]) -> list[Any]:
    """A line keeps its listing over the versions of an order."""
    keys: dict[int, str] = {}
    return [
        ([(keys.setdefault(i, one[0]), *one[1:]) for i, one in enumerate(some)], opened) for some, opened in history
    ]


def balances(shelf: Shelf) -> dict[str, tuple[int, int, int]]:
    return {code: shelf.numbers(code) for code in ("mug", "box")}


@RELAXED
@given(
    orders,
    st.integers(0, 2**16),
    st.sampled_from(["reported", "at_order"]),
    st.sampled_from(Returns),
    st.sampled_from(Restock),
)
def test_whatever_comes_late_twice_or_out_of_order_the_last_states_alone_are_booked(
    twin: Twin, histories: list[Any], seed: int, ships: str, returns: Returns, restocks: Restock
) -> None:
    chance = Random(seed)
    wild, plain = twin.again(ships=ships, returns=returns, restocks=restocks)
    arriving: list[OrderState] = []
    last: list[OrderState] = []
    for number, history in enumerate(histories):
        made = [state(wild, str(number), at, *one) for at, one in enumerate(stable(history))]
        arriving += made + chance.choices(made, k=2) + made[-1:]
        last.append(made[-1])
    chance.shuffle(arriving)
    while arriving:
        size = chance.randint(1, 4)
        some, arriving = arriving[:size], arriving[size:]
        wild.wait(1)
        book(wild, *some)
        wild.check()
    book(plain, *last)
    assert balances(wild) == balances(plain)
    before = wild.entries()
    book(wild, *last)
    assert wild.entries() == before


@RELAXED
@given(versions, st.integers(0, 2**16))
def test_an_order_split_over_pages_is_booked_as_one(twin: Twin, history: list[Any], seed: int) -> None:
    """Each page holds some lines and says that it is not complete; a page may be repeated."""
    chance = Random(seed)
    split, whole = twin.again()
    kept = stable(history)[-1]
    one = state(whole, "1", 9, *kept)
    book(whole, one)
    pages = [
        OrderState(
            number="1", lines=(line,), as_of=one.as_of, placed_at=one.placed_at, complete=False,
            shipment_opened=one.shipment_opened,
        )
        for line in one.lines
    ]  # fmt: skip
    pages += chance.choices(pages, k=2)
    chance.shuffle(pages)
    for page in pages:
        book(split, page)
        split.check()
    assert balances(split) == balances(whole)


@RELAXED
@given(versions, versions, st.integers(0, 2**16))
def test_the_strongest_source_decides_in_whatever_order_the_sources_come(
    twin: Twin, strong: list[Any], weak: list[Any], seed: int
) -> None:
    chance = Random(seed)
    mixed, alone = twin.again()
    good = [state(mixed, "1", at, *one) for at, one in enumerate(stable(strong))]
    bad = [state(mixed, "1", at + 50, *one, source=Source.MAIL) for at, one in enumerate(stable(weak))]
    arriving = [*good, *bad]
    chance.shuffle(arriving)
    for one in arriving:
        book(mixed, one)
        mixed.check()
    book(alone, good[-1])
    assert balances(mixed) == balances(alone)


old = st.tuples(st.integers(1, 4), st.integers(0, 4), st.integers(0, 4), st.booleans())


@RELAXED
@given(st.lists(old, max_size=4), st.lists(old, max_size=4), st.integers(0, 30))
def test_an_opening_stays_true_whenever_the_orders_before_and_after_it_are_read(
    twin: Twin, before: list[Any], after: list[Any], number: int
) -> None:
    """Each order is (units, shipped early, shipped in the end, read before the opening)."""
    shelf, _ = twin.again()

    def show(name: str, units: int, shipped: int, at: int, placed: int) -> None:
        line = LineState(line="1", listing="mug", ordered=units, shipped=min(units, shipped))
        book(shelf, shelf.state(name, line, at=at, placed=placed))

    for i, (units, early, _late, read) in enumerate(before):
        if read:
            show(f"old{i}", units, early, 20, 10)
    opened_us = shelf.start_us + 100 * SECOND
    shelf.wait(max(0.0, (opened_us - shelf.now_us) / SECOND))
    at = int((shelf.now_us - shelf.start_us) / SECOND)
    shelf.tx(lambda conn: open_stock(conn, shelf.facts, [Item("mug", number)], shelf.now_us, "staff"))
    shelf.wait(100)
    for i, (units, early, late, read) in enumerate(before):
        show(f"old{i}", units, max(early, late) if read else late, at + 50, 10)
    for i, (units, early, late, _read) in enumerate(after):
        show(f"new{i}", units, early, at + 60, at + 55)
        show(f"new{i}", units, max(early, late), at + 70, at + 55)
    shelf.check()
    assert shelf.free("mug") == number - sum(one[0] for one in after)
    held = sum(units - min(units, max(early, late) if read else late) for units, early, late, read in before)
    held += sum(units - min(units, max(early, late)) for units, early, late, _ in after)
    assert shelf.numbers("mug") == (shelf.free("mug") + held, held, 0)
