"""The whole daemon with SKUs in escrow: no mall sells what is not there, whatever its write form (virtual time)."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from syncd.core.planner import POLICIES, Rule
from syncd.daemon.desk_skus import RuleItem, set_rules
from syncd.sim.trial import Trial, virtual
from syncd.sim.whole.bounds import underestimated
from syncd.sim.whole.malls import Mall
from syncd.testing.emulator import Fault, FaultKind

FORMS: dict[str, dict[str, Any]] = {
    "refuses": {"forms": ["relative_refuses", "absolute"]},
    "clamps": {"forms": ["relative_clamps", "absolute"]},
    "swaps": {"forms": ["compare_and_set", "absolute"], "key_life_seconds": 60.0},
    "plain": {"forms": ["absolute"], "reads_stock": True},
    "blind": {"forms": ["absolute"], "reads_stock": False},
}
LATE = {"visibility_seconds": 10.0, "dead_after_seconds": 10.0}


async def escrow(trial: Trial, sku: str, policy: str = "escrow") -> None:
    """An operator's word on a SKU."""
    assert trial.stage is not None
    hub = trial.stage.daemon.hub
    item = RuleItem(Rule.POLICY, POLICIES.index(policy), None, sku)
    done = await trial.store.tx(lambda conn: set_rules(conn, hub.facts, [item], trial.clock.now_us(), "test"))
    hub.wake_writers(done.refreshed)


async def crowd(trial: Trial, sku: str, seconds: float, rate: float, seed: int) -> None:
    """Buyers take whatever any page shows."""
    rng = Random(seed)
    end = trial.clock.monotonic() + seconds
    malls = {name: Mall(name, "memory", part.emulator, part) for name, part in trial.parts.items()}
    while trial.clock.monotonic() < end:
        await trial.run(rng.expovariate(rate))
        market = rng.choice(sorted(trial.world.markets.values(), key=lambda one: one.name))
        market.buy({sku: rng.choice([1, 1, 2])})
        assert await trial.store.read(lambda conn: underestimated(conn, trial.world, malls)) == []


@pytest.mark.parametrize("seed", range(3))
@virtual
async def test_a_sku_in_escrow_is_never_oversold_and_sells_out(seed: int) -> None:
    malls = {name: {**LATE, **options} for name, options in FORMS.items()}
    async with Trial.of(malls, {"hot": 60}) as trial:
        await escrow(trial, "hot")
        await trial.run(120)  # until every page is drained to its share and proven
        assert sum(trial.shows(name, "hot") for name in malls) <= 60
        await crowd(trial, "hot", 300, 0.5, seed)
        assert trial.world.tally["oversold"] == 0
        await trial.run(300)
        assert await trial.books() == []
        assert trial.world.stale == []
        taken = sum(line.ordered for m in trial.world.markets.values() for o in m.orders.values() for line in o.lines)
        assert taken >= 55, "what is left would be lost sales"


@virtual
async def test_the_same_crowd_oversells_a_mirror() -> None:
    """Otherwise the test above would show nothing."""
    malls = {name: {**LATE, **options} for name, options in FORMS.items()}
    async with Trial.of(malls, {"hot": 60}) as trial:
        await trial.run(120)
        await crowd(trial, "hot", 300, 0.5, 0)
        assert trial.world.tally["oversold"] > 0


@virtual
async def test_sales_in_escrow_move_rights_rarely() -> None:
    malls = {name: {**LATE, **FORMS[name]} for name in ("swaps", "refuses")}
    async with Trial.of(malls, {"hot": 60}) as trial:
        await escrow(trial, "hot")
        await trial.run(120)
        written = {name: trial.world.markets[name].tally["rows_written"] for name in malls}
        for _ in range(8):
            trial.buy("swaps", "hot")
            await trial.run(20)
        after = {name: trial.world.markets[name].tally["rows_written"] for name in malls}
        assert all(after[name] - written[name] <= 1 for name in malls), "8 sales, rights follow the demand once"


@virtual
async def test_goods_that_arrive_are_shared_out_and_missing_ones_taken_back() -> None:
    malls = {name: {**LATE, **options} for name, options in FORMS.items()}
    async with Trial.of(malls, {"hot": 10}) as trial:
        await escrow(trial, "hot")
        await trial.run(120)
        await trial.receive("hot", 40)
        await trial.run(120)
        shown = {name: trial.shows(name, "hot") for name in malls}
        assert 45 <= sum(shown.values()) <= 50, "a few stay in hand until somebody is short"
        assert min(shown.values()) >= 5, "without demand each has a like share"
        await trial.receive("hot", -45)
        await trial.run(120)
        assert sum(trial.shows(name, "hot") for name in malls) <= 5


@virtual
async def test_a_mall_whose_orders_stay_unread_is_raised_no_more() -> None:
    """R12: first no raise, then nothing is left on its page."""
    malls = {name: {**LATE, **FORMS[name]} for name in ("swaps", "refuses")}
    async with Trial.of(malls, {"hot": 20}) as trial:
        await escrow(trial, "hot")
        await trial.run(60)
        trial.mall("swaps").faults.add(Fault("orders", FaultKind.STATUS, times=100_000, status=503))
        await trial.run(300)
        before = trial.shows("swaps", "hot")
        await trial.receive("hot", 40)
        await trial.run(60)
        assert trial.shows("swaps", "hot") <= before
        await trial.run(900)
        assert trial.shows("swaps", "hot") == 0
        assert trial.shows("refuses", "hot") > 20


@virtual
async def test_a_mall_that_cannot_be_read_is_emptied_again_where_the_first_write_of_0_was_lost() -> None:
    """Whole seed 10: after a restore a 0 that was written while an older write could still land proved nothing, and
    0 was believed: nothing was ever written there again, and nothing of the SKU given anywhere.
    """
    malls = {name: {**LATE, **FORMS[name]} for name in ("refuses", "blind")}
    async with Trial.of(malls, {"hot": 1}) as trial:
        await escrow(trial, "hot")
        await trial.run(120)
        assert [trial.shows(name, "hot") for name in malls] == [1, 0]
        await trial.kill()
        trial.store.restored = True
        trial.mall("blind").faults.add(Fault("write", FaultKind.LOST_AFTER))
        await trial.start()
        await trial.run(1200)
        bounds = {row[0]: row[1] for row in await trial.rows("SELECT shop_id, exposure FROM listing")}
        assert sorted(bounds.values(), key=str) == [0, 1]
        assert trial.world.stale == []
