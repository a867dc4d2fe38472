"""How many times faster than life both layers of the simulation run, on one core.

Core: the merchant of the goal (six shops, 200 SKUs, one order a second) under each policy. Whole: the first seeds
with everything they draw. Processor time is counted, so that what other programs take does not.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

from bench.report import Grid, Result
from syncd.sim.core.assumptions import SHOPS, Demands
from syncd.sim.core.buyers import script
from syncd.sim.core.cells import build, play
from syncd.sim.core.habits import HABITS
from syncd.sim.whole.play import play_whole

SKUS, HOURS = 200, 1.0
POLICIES = ("mirror", "auto", "escrow")
SEEDS, WHOLE_HOURS = range(1, 9), 0.5
GOAL_CORE, GOAL_WHOLE = 5_000, 300
HOUR = 3600.0


def run() -> Result:
    """Play both layers one after the other."""
    result = Result("simulation", "virtual time over processor time, one core")
    _core(result)
    _whole(result)
    return result


def _core(result: Result) -> None:
    demands = Demands(skus=SKUS, stock=(20, 60), per_second=1 / SKUS, seconds=HOURS * HOUR)
    told = script(1, demands)
    grid = Grid(f"core: {len(SHOPS)} shops × {SKUS} SKUs, one order a second", ("policy", "orders", "× real time"))
    slowest = float("inf")
    for name in POLICIES:
        stall = build(told.stock, told.seed, HABITS[name])
        for sku in stall.keeper.skus:
            stall.keeper.refresh(sku)
        speed = HOURS * HOUR / _cpu_seconds(lambda stall=stall: play(stall, told))  # type: ignore[misc]
        slowest = min(slowest, speed)
        grid.add(name, f"{sum(stall.market.accepted):,}", f"{speed:,.0f}")
        result.numbers[f"core/{name}"] = speed
    result.grids.append(grid)
    result.goal(f"core: at least {GOAL_CORE:,} × under every policy", f"{slowest:,.0f} ×", met=slowest >= GOAL_CORE)


def _whole(result: Result) -> None:
    grid = Grid("whole: seeds as they are drawn", ("seed", "orders", "crashes", "× real time"))
    seconds = cpu = 0.0
    for seed in SEEDS:
        began = time.process_time()
        outcome = play_whole(seed, WHOLE_HOURS * HOUR)
        took = time.process_time() - began
        virtual = outcome.seconds + outcome.counts.get("quiet_seconds", 0)
        grid.add(seed, outcome.orders, outcome.counts.get("crashes", 0), f"{virtual / took:,.0f}")
        seconds, cpu = seconds + virtual, cpu + took
    speed = seconds / cpu
    result.numbers["whole"] = speed
    result.grids.append(grid)
    result.goal(f"whole: at least {GOAL_WHOLE} ×", f"{speed:,.0f} ×", met=speed >= GOAL_WHOLE)


def _cpu_seconds(work: Callable[[], object]) -> float:
    gc.collect()
    gc.disable()  # as the seeds of a cell run: the rows of a merchant live as long as it does
    try:
        began = time.process_time()
        work()
        return time.process_time() - began
    finally:
        gc.enable()
