"""The whole daemon in the simulated world: nothing lost or doubled, no stale raise, right in the end; repeatable."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from syncd.sim.outcome import Layer, Outcome
from syncd.sim.rough import KINDS
from syncd.sim.seeds import Ticket, play_all
from syncd.sim.whole.play import play_whole
from syncd.sim.whole.rights import Rights
from syncd.sim.whole.scene import Scene, dense, scene_of
from syncd.sim.whole.trace import Trace
from syncd.sim.whole.witness import Witness
from syncd.testing.fakes import START
from syncd.testing.world import World

CALM = Scene(seconds=60.0, malls=("rakuten", "shopify", "files"), skus=8, batch_seconds=10.0)


def good(outcome: Outcome) -> Outcome:
    assert outcome.good, outcome.report()
    return outcome


@pytest.mark.parametrize("seed", range(300, 312))
def test_a_dense_play_ends_well(seed: int) -> None:
    good(play_whole(seed, 12.0, dense(12.0, seed=seed)))


@pytest.mark.long
@pytest.mark.parametrize("seed", range(1000, 1040))
def test_a_longer_dense_play_ends_well(seed: int) -> None:
    good(play_whole(seed, 25.0, dense(25.0, seed=seed)))


@pytest.mark.parametrize("seed", [3, 4])
def test_minutes_of_trade_with_faults_end_well(seed: int) -> None:
    good(play_whole(seed, 120.0))


def test_real_malls_without_trouble_lose_nothing_and_oversell_little() -> None:
    outcome = good(play_whole(1, 60.0, CALM))
    assert outcome.orders > 5
    assert outcome.decisions
    assert outcome.counts["crashes"] == 0


def test_pages_of_skus_in_escrow_never_show_more_than_there_is() -> None:
    malls = ("shopify", "files", "swaps", "blind")
    policies = {"FLASH-000": "escrow", "HOT-001": "escrow", "MIDDLE-002": "mirror+reserve 2", "HOT-007": "auto"}
    scene = Scene(seconds=420.0, malls=malls, skus=8, flash_seconds=150.0, batch_seconds=10.0, policies=policies)
    outcome = good(play_whole(7, scene.seconds, scene))
    assert outcome.orders > 50
    assert outcome.counts["watched_in_escrow"] == 2


def test_a_sku_is_drained_in_before_its_sale_and_mirrored_again_after_it() -> None:
    malls = ("shopify", "files", "swaps", "plain")
    sales = {"FLASH-000": (250.0, 420.0), "HOT-007": (300.0, 360.0)}
    scene = Scene(
        seconds=600.0, malls=malls, skus=8, flash_seconds=300.0, batch_seconds=10.0, bounds_seconds=5.0, hands=False,
        staff_seconds=math.inf, sales=sales,
    )  # fmt: skip
    outcome = good(play_whole(7, scene.seconds, scene))
    assert (outcome.counts["sales_begun"], outcome.counts["sales_begun_unready"]) == (2, 0)
    assert outcome.counts["watched_in_escrow"] == 0, "both are over"


def test_a_page_in_escrow_that_shows_too_much_is_told() -> None:
    world = Witness(lambda: START, Trace(lambda: 0))
    world.stock("S1", 5)
    world.market("a").offer("k", "S1", shown=3)
    world.market("b").offer("k", "S1", shown=1, pack=2)
    unused: Any = None
    rights = Rights(world, unused, unused, {"S1": "escrow"}, watched={"S1": 0})
    assert rights.at_once() == []
    world.markets["a"].listings["k"].shown = 4
    assert [one.what for one in rights.at_once()] == ["S1 in escrow: its pages show 6, there are 5"]
    world.receive("S1", -1)  # from here on its stock was not real: no fault of the daemon
    assert rights.at_once() == []


def test_the_same_seed_gives_the_same_trace_and_another_one_another() -> None:
    scene = dense(6.0, seed=5)
    first, second = play_whole(5, 6.0, scene), play_whole(5, 6.0, scene)
    assert first == second
    assert play_whole(6, 6.0, scene).trace_hash != first.trace_hash


def test_a_seed_played_in_processes_whose_texts_hash_differently_gives_the_same_trace() -> None:
    ticket = Ticket(layer=Layer.WHOLE, seed=3, seconds=20.0)
    outcomes = list(play_all([ticket, replace(ticket, again=True)]))
    assert [good(one).seed for one in outcomes] == [3]  # the second is told only if it differs


def test_every_kind_of_mall_is_drawn_by_some_seed() -> None:
    drawn = {kind for seed in range(200) for kind in scene_of(seed, 60.0).malls}
    assert drawn >= {"rakuten", "shopify", "files", *KINDS}


def test_what_a_mall_sells_below_zero_is_its_own_fault() -> None:
    clock = [timedelta()]
    world = World(lambda: START + clock[0])
    world.stock("S1", 3)
    market = world.market("a")
    market.oversells_for = timedelta(seconds=2)
    market.offer("S1", "S1", shown=3)
    settled = [market.buy({"S1": 1}) for _ in range(8)]
    assert all(settled)
    assert market.listings["S1"].shown == 0
    assert world.tally["oversold_by_channel"] == 5
    assert world.tally["oversold_by_us"] == 0
    clock[0] = timedelta(seconds=3)
    assert market.buy({"S1": 1}) is None
