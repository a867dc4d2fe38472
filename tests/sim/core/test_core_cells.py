"""The core layer: merchants that repeat exactly, shops that obey their forms, and what each way of working costs."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import pytest

from syncd.core.policy import AUTO, Kind, Mode
from syncd.sdk.capabilities import Form
from syncd.sdk.channel import Accepted, Reason, Rejected, StockWrite
from syncd.sim.core.assumptions import BEGIN_US, DEMANDS, SECOND_US, SHOPS, Scenario
from syncd.sim.core.buyers import poisson, script
from syncd.sim.core.calendar import Calendar
from syncd.sim.core.cells import Tally, build, play, run_cell, tally, total
from syncd.sim.core.habits import HABITS
from syncd.sim.core.market import Market
from syncd.sim.core.rows import Listing

ASKED = "from syncd.sim.core.cells import *; from syncd.sim.core.habits import HABITS; "
ASKED += "print(run_cell(Scenario.HOT, HABITS['auto'], 5), run_cell(Scenario.FLASH, HABITS['escrow'], 5))"


def test_the_same_seed_gives_the_same_merchant_in_every_process() -> None:
    found = {
        subprocess.run(
            [sys.executable, "-c", ASKED], env={**os.environ, "PYTHONHASHSEED": salt}, check=True, capture_output=True
        ).stdout
        for salt in ("1", "2")
    }
    assert len(found) == 1
    here = run_cell(Scenario.HOT, HABITS["auto"], 5), run_cell(Scenario.FLASH, HABITS["escrow"], 5)
    assert found == {f"{here[0]} {here[1]}\n".encode()}


@pytest.mark.parametrize("scenario", list(Scenario))
def test_buyers_ask_for_more_than_there_is_and_come_in_order(scenario: Scenario) -> None:
    told = [script(seed, DEMANDS[scenario]) for seed in range(20)]
    asked, there = sum(len(one.sales) for one in told), sum(sum(one.stock) for one in told)
    assert 1.2 * there < asked < 2.5 * there
    assert all(list(one.sales) == sorted(one.sales) for one in told)
    assert told[0] != told[1]


def test_a_large_poisson_mean_does_not_run_out_of_range() -> None:
    import random

    drawn = [poisson(random.Random(seed), 2000.0) for seed in range(50)]
    assert 1900 < sum(drawn) / len(drawn) < 2100


@pytest.mark.parametrize("habit", ["escrow", "sale mode"])
@pytest.mark.parametrize("scenario", [Scenario.FLASH, Scenario.CLOGGED])
def test_what_is_booked_before_it_is_given_is_never_oversold(habit: str, scenario: Scenario) -> None:
    found = total([run_cell(scenario, HABITS[habit], seed) for seed in range(20)])
    assert found.oversold == 0
    assert found.accepted > 3000
    assert found.lost < 0.02 * found.demanded


def test_escrow_writes_little_and_sells_out() -> None:
    found = total([run_cell(Scenario.HOT, HABITS["escrow"], seed) for seed in range(5)])
    assert found.oversold == 0
    assert found.pushes < 0.25 * found.accepted
    assert found.lost < 0.003 * found.demanded


def oversold_with(**wrong: float) -> int:
    """Units oversold in escrow when the shops are not what they were taken for."""
    demands, models = DEMANDS[Scenario.FLASH], tuple(replace(shop, **wrong) for shop in SHOPS)
    found = 0
    for seed in range(15):
        told = script(seed, demands)
        stall = build(told.stock, seed, HABITS["escrow"], models)
        for sku in stall.keeper.skus:
            stall.keeper.refresh(sku)
        play(stall, told)
        found += stall.market.oversold
    return found


def test_orders_that_can_be_read_later_than_held_possible_break_the_guarantee() -> None:
    assert oversold_with(bound=0.0) > 0
    assert oversold_with() == 0


def test_the_policies_keep_their_order_in_a_flash() -> None:
    found = {
        name: total([run_cell(Scenario.FLASH, HABITS[name], seed) for seed in range(15)])
        for name in ("fixed 10 min", "3 min + 1 min stockout", "mirror", "auto")
    }
    oversold = [one.oversold / one.accepted for one in found.values()]
    assert oversold == sorted(oversold, reverse=True)
    assert oversold[-1] < 0.02 < oversold[-2]


def test_a_stockout_does_not_wait_behind_the_batch_lane() -> None:
    clear = total([run_cell(Scenario.FLASH, HABITS["mirror"], seed) for seed in range(15)])
    clogged = total([run_cell(Scenario.CLOGGED, HABITS["mirror"], seed) for seed in range(15)])
    assert clogged.oversold < 1.15 * clear.oversold


def test_a_flash_drives_auto_into_escrow() -> None:
    told = script(2, DEMANDS[Scenario.FLASH])
    stall = build(told.stock, 2, HABITS["auto"])
    play(stall, told)
    assert stall.keeper.skus[0].policy is AUTO
    assert stall.keeper.skus[0].decision.mode is Mode.ESCROW
    assert tally(stall, told).accepted >= told.stock[0] - 2


def test_in_escrow_the_bounds_cover_what_can_still_be_sold() -> None:
    told = script(3, DEMANDS[Scenario.FLASH])
    stall = build(told.stock, 3, HABITS["escrow"])
    market, sku = stall.market, stall.keeper.skus[0]
    bounds: list[bool] = []

    def covered(_: object) -> None:
        exposures = [one.exposure.bound or 0 for one in sku.listings]
        bounds.append(sum(exposures) <= sku.free)
        bounds.extend(bound >= market.page[i] + market.unbooked[i] for i, bound in enumerate(exposures))

    for second in range(0, 1900, 3):
        stall.calendar.at(BEGIN_US + second * SECOND_US, 9, covered, None)
    play(stall, told)
    assert len(bounds) > 4000
    assert all(bounds)


def market_of(page: int) -> Market:
    return Market(SHOPS, (10,), [page] * len(SHOPS), 1)


def test_a_shop_applies_a_row_as_its_form_says() -> None:
    market = market_of(3)
    assert market.write(0, StockWrite("x", Form.RELATIVE_REFUSES, -4), 0) == Rejected(0, Reason.BELOW_ZERO)
    assert market.write(0, StockWrite("x", Form.RELATIVE_REFUSES, -2), 0) == Accepted(0, 1)
    assert market.write(1, StockWrite("x", Form.RELATIVE_CLAMPS, -4), 0) == Accepted(0, 0)
    assert market.write(2, StockWrite("x", Form.ABSOLUTE, 7), 0) == Accepted(0)
    assert market.write(3, StockWrite("x", Form.COMPARE_AND_SET, 5, 2), 0) == Rejected(0, Reason.STALE)
    assert market.write(3, StockWrite("x", Form.COMPARE_AND_SET, 5, 3), 0) == Accepted(0)
    assert market.page[:4] == [1, 0, 7, 5]


def test_a_shop_sells_what_it_shows_and_the_market_counts_what_was_not_there() -> None:
    market = Market(SHOPS, (1,), [1] * len(SHOPS), 1)
    seen_us = [market.buy(0, shop, shop, BEGIN_US) for shop in (0, 0, 2)]
    assert seen_us[1] is None
    assert (market.accepted, market.demanded, market.oversold, market.refused_in_stock) == ([2], [3], 1, 0)
    assert seen_us[0] is not None
    assert market.read_orders(0, seen_us[0] - 1) == []
    [(order, cancelled, back, _)] = market.read_orders(0, seen_us[0])
    assert (order.units, order.placed_us, cancelled, back) == (1, BEGIN_US, 0, 0)


def test_at_one_moment_effects_come_before_answers_before_reads() -> None:
    calendar, seen = Calendar(0), list[str]()
    for rank, name in ((6, "dispatch"), (0, "effect"), (2, "first poll"), (2, "second poll"), (1, "answer")):
        calendar.at(5, rank, seen.append, name)
    calendar.at(6, 0, seen.append, "later")
    calendar.run_to(5)
    assert seen == ["effect", "answer", "first poll", "second poll", "dispatch"]
    assert calendar.now_us == 5


def test_a_write_of_0_that_overtook_another_is_written_once_more_and_then_rests() -> None:
    found = run_cell(Scenario.TAIL, HABITS["mirror"], 18)
    assert found.pushes < 5.2 * found.accepted


def test_a_script_starts_with_every_page_at_its_number() -> None:
    stall = build((5, 9), 1, HABITS["escrow"])
    shown: list[Listing] = stall.keeper.listings
    assert [sum(stall.market.page[one.index] for one in sku.listings) for sku in stall.keeper.skus] == [5, 9]
    assert all(one.exposure.bound == stall.market.page[one.index] for one in shown)
    assert HABITS["escrow"].policy.kind is Kind.ESCROW
    assert total([Tally(1, 2, 3, 4, 5, 6, 7)] * 2) == Tally(2, 4, 6, 8, 10, 12, 14)
