"""Random histories of orders through the store: the ledger depends on the last states alone (promises 1 to 3)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from syncd.model import LineState, OrderState, Returns, Source
from syncd.sdk.channel import Restock

from .shelf import Shelf

KEYS = ("mug", "pack", "set", "later")
RELAXED = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as made:
        yield made


def made_shelf(runner: asyncio.Runner, **facts: Any) -> Shelf:
    """Two shops that sell a mug alone, by the pack, and in a set with a box."""
    shelf = Shelf(runner)
    shelf.sku("mug", 40)
    shelf.sku("box", 30)
    shelf.sku("set", parts={"mug": 2, "box": 1})
    for name in ("a", "b"):
        shop = shelf.shop(name, **facts)
        shelf.listing(shop, "mug", "mug", 40)
        shelf.listing(shop, "pack", "mug", 8, pack=5)
        shelf.listing(shop, "set", "set", 20)
        shelf.listing(shop, "later", None)
    return shelf


def close(runner: asyncio.Runner, shelf: Shelf) -> None:
    runner.run(shelf.store.aclose())


small = st.integers(0, 4)
lines = st.lists(
    st.builds(
        lambda key, ordered, cancelled, shipped, returned: (key, ordered, cancelled, shipped, returned),
        st.sampled_from(KEYS[:3]), small, small, small, small,
    ),
    min_size=1, max_size=3,
)  # fmt: skip
versions = st.lists(st.tuples(lines, st.booleans()), min_size=1, max_size=4)
orders = st.lists(versions, min_size=1, max_size=3)


def state(shelf: Shelf, number: str, at: int, some: list[Any], opened: bool, *, source: Source = Source.API) -> OrderState:
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
@given(orders, st.integers(0, 2**16), st.sampled_from(["reported", "at_order"]), st.sampled_from(Returns), st.sampled_from(Restock))
def test_whatever_comes_late_twice_or_out_of_order_the_last_states_alone_are_booked(
    runner: asyncio.Runner, histories: list[Any], seed: int, ships: str, returns: Returns, restocks: Restock
) -> None:
    chance = Random(seed)
    wild, plain = (made_shelf(runner, ships=ships, returns=returns, restocks=restocks) for _ in range(2))
    try:
        shop = next(iter(wild.facts.shops.values()))
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
            wild.book(shop, *some)
            wild.check()
        plain.book(next(iter(plain.facts.shops.values())), *last)
        assert balances(wild) == balances(plain)
        before = wild.entries()
        wild.book(shop, *last)
        assert wild.entries() == before
    finally:
        close(runner, wild)
        close(runner, plain)


@RELAXED
@given(versions, st.integers(0, 2**16))
def test_an_order_split_over_pages_is_booked_as_one(runner: asyncio.Runner, history: list[Any], seed: int) -> None:
    """Each page holds some lines and says that it is not complete; a page may be repeated."""
    chance = Random(seed)
    split, whole = made_shelf(runner), made_shelf(runner)
    try:
        kept = stable(history)[-1]
        one = state(whole, "1", 9, *kept)
        whole.book(next(iter(whole.facts.shops.values())), one)
        pages = [
            OrderState(
                number="1", lines=(line,), as_of=one.as_of, placed_at=one.placed_at, complete=False,
                shipment_opened=one.shipment_opened,
            )
            for line in one.lines
        ]  # fmt: skip
        pages += chance.choices(pages, k=2)
        chance.shuffle(pages)
        shop = next(iter(split.facts.shops.values()))
        for page in pages:
            split.book(shop, page)
            split.check()
        assert balances(split) == balances(whole)
    finally:
        close(runner, split)
        close(runner, whole)


@RELAXED
@given(versions, versions, st.integers(0, 2**16))
def test_the_strongest_source_decides_in_whatever_order_the_sources_come(
    runner: asyncio.Runner, strong: list[Any], weak: list[Any], seed: int
) -> None:
    chance = Random(seed)
    mixed, alone = made_shelf(runner), made_shelf(runner)
    try:
        good = [state(mixed, "1", at, *one) for at, one in enumerate(stable(strong))]
        bad = [state(mixed, "1", at + 50, *one, source=Source.MAIL) for at, one in enumerate(stable(weak))]
        arriving = [*good, *bad]
        chance.shuffle(arriving)
        shop = next(iter(mixed.facts.shops.values()))
        for one in arriving:
            mixed.book(shop, one)
            mixed.check()
        alone.book(next(iter(alone.facts.shops.values())), good[-1])
        assert balances(mixed) == balances(alone)
    finally:
        close(runner, mixed)
        close(runner, alone)
