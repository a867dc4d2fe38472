"""The judge of the simulated world: which reads a number rests on, and when a feed shows what it has."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from syncd.sdk.channel import Form
from syncd.testing.blame import Blame
from syncd.testing.fakes import START
from syncd.testing.world import Market, World


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        return START + timedelta(seconds=self.seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def market(clock: Clock) -> Market:
    """A mall with two pages of ten pieces each, whose orders show at once."""
    world = World(clock.now)
    world.stock("S1", 10)
    market = world.market("a")
    for key in ("one", "two"):
        market.offer(key, "S1", shown=10)
    return market


def test_a_number_that_lands_later_is_held_against_the_orders_read_before_it_was_sent(
    market: Market, clock: Clock
) -> None:
    """Whole seed 4 with amazon: a twin's sale after the order read was held against the read of the page alone."""
    clock.seconds = 10.0
    market.read_orders_began(market.world.now())
    clock.seconds = 10.5
    assert market.buy({"two": 1})
    clock.seconds = 11.0
    market.shows("one")
    sent = market.sent_now(["one"])
    clock.seconds = 60.0
    market.write("one", Form.ABSOLUTE, 10, sent=sent)
    assert market.world.stale == []


@pytest.mark.parametrize("own", [True, False])
def test_a_number_that_lands_later_and_ignores_a_sale_that_was_read_is_stale(
    market: Market, clock: Clock, own: bool
) -> None:
    clock.seconds = 10.0
    assert market.buy({"one" if own else "two": 1})
    clock.seconds = 10.5
    market.read_orders_began(market.world.now())
    market.shows("one")
    sent = market.sent_now(["one"])
    clock.seconds = 60.0
    market.write("one", Form.ABSOLUTE, 10, sent=sent)
    assert len(market.world.stale) == 1


def test_a_feed_behind_the_present_hides_an_order_again_that_changed(market: Market, clock: Clock) -> None:
    market.visibility = timedelta(seconds=150)
    market.visible_after = lambda: timedelta(seconds=120)
    market.hides_changed = timedelta(seconds=120)
    order = market.buy({"one": 1})
    assert order is not None
    clock.seconds = 20.0
    market.ship(order.number)
    assert order.visible_at == START + timedelta(seconds=140)
    assert not order.late
    clock.seconds = 100.0
    market.ship(order.number)
    assert order.late, "it shows 220 s after it was placed"
    assert market.world.blames.ever == {"S1": {Blame.LATE}}


def test_an_order_that_was_read_is_not_hidden_by_a_change(market: Market, clock: Clock) -> None:
    market.hides_changed = timedelta(seconds=120)
    order = market.buy({"one": 1})
    assert order is not None
    market.delivered([order.number])
    clock.seconds = 20.0
    market.ship(order.number)
    assert order.visible_at == START
    market.not_delivered(order)
    assert order.visible_at == START + timedelta(seconds=140)


def test_a_number_that_lands_later_need_not_know_of_a_mall_that_could_not_be_read_when_it_was_sent(
    market: Market, clock: Clock
) -> None:
    """Whole seed 10 with sales: by the time a file was taken in, the mall whose order was missing was read again."""
    other = market.world.market("b")
    other.offer("three", "S1", shown=10)
    order = other.buy({"three": 1})
    assert order is not None
    other.delivered([order.number])
    clock.seconds = 10.0
    market.world.cannot_read = lambda name: name == "b"
    market.read_orders_began(market.world.now())
    sent = market.sent_now(())
    market.world.cannot_read = lambda name: False
    clock.seconds = 20.0
    market.write("one", Form.ABSOLUTE, 10, sent=sent)
    assert market.world.stale == []
    market.read_orders_began(market.world.now())
    market.write("one", Form.ABSOLUTE, 10)
    assert len(market.world.stale) == 1
