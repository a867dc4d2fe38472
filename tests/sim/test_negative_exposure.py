"""A page that sold more than it was given: alarmed, and not raised until a number is proven (virtual time)."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text as sql

from syncd.daemon.desk_policies import PolicyItem, count_unguaranteed, set_policies
from syncd.sim.trial import Trial, virtual

LATE = {"visibility_seconds": 10.0, "dead_after_seconds": 10.0}
MALLS: dict[str, dict[str, Any]] = {
    "a": {**LATE, "forms": ["compare_and_set", "absolute"], "key_life_seconds": 60.0},
    "b": {**LATE, "forms": ["relative_refuses", "absolute"]},
}
BLIND = {**LATE, "forms": ["absolute"], "reads_stock": False}


async def escrow(trial: Trial, sku: str) -> None:
    assert trial.stage is not None
    hub, items = trial.stage.daemon.hub, [PolicyItem(sku, "escrow")]
    done = await trial.store.tx(lambda conn: set_policies(conn, hub.facts, items, trial.clock.now_us(), "test"))
    hub.wake_writers(done.refreshed)


def metric(trial: Trial, name: str, **labels: str) -> float | None:
    assert trial.stage is not None
    found: float | None = trial.stage.daemon.hub.metrics.registry.get_sample_value(name, labels)
    return found


async def bound(trial: Trial, shop: str) -> int | None:
    query = "SELECT l.exposure FROM listing l JOIN shop s ON s.id = l.shop_id WHERE s.name = :shop"
    [[found]] = await trial.rows(query, shop=shop)
    return None if found is None else int(found)


@virtual
async def test_a_page_raised_by_a_hand_and_sold_is_alarmed_frozen_and_proven_again() -> None:
    shops = {name: {"reconcile_seconds": 3600.0} for name in MALLS}
    malls = {name: {**options, "visibility_seconds": 1.0} for name, options in MALLS.items()}
    async with Trial.of(malls, {"hot": 20}, shops=shops) as trial:
        await escrow(trial, "hot")
        await trial.run(120)
        reads = trial.mall("a").calls["read"]
        await trial.run_until(lambda: trial.mall("a").calls["read"] > reads)
        await trial.run(1)  # and that read is over: the order comes before the next one
        given = await bound(trial, "a")
        assert given is not None
        page = trial.world.markets["a"].listings["hot"]
        page.shown += 30  # somebody in the mall's back office
        trial.buy("a", "hot", given + 2)
        seen = await trial.run_until(lambda: metric(trial, "syncd_negative_exposure_total", shop="a") == 1)
        assert seen < 30
        assert metric(trial, "syncd_negative_exposure_total", shop="b") == 0
        assert "exposure_negative" in await trial.alarms()
        assert (await bound(trial, "a") or 0) < 0
        [[text]] = await trial.rows("SELECT text FROM alarm WHERE kind = 'exposure_negative'")
        assert text.startswith("a hot sold 2 more than it was given")
        assert "syncd why a hot" in text
        assert trial.stage is not None
        facts, now_us = trial.stage.daemon.hub.facts, trial.clock.now_us()
        assert await trial.store.read(lambda conn: count_unguaranteed(conn, facts, now_us)) == (1, 1)
        await trial.run(180)
        assert "exposure_negative" not in await trial.alarms()
        assert await bound(trial, "a") == trial.shows("a", "hot")
        assert metric(trial, "syncd_escrow_skus") == 1
        assert metric(trial, "syncd_escrow_unguaranteed_skus") == 0
        assert trial.shows("a", "hot") + trial.shows("b", "hot") <= max(0, 20 - given - 2)


@pytest.mark.parametrize("exposure", ["NULL", "-1"])
@virtual
async def test_a_mall_that_cannot_be_read_is_emptied_once_to_know_it_again(exposure: str) -> None:
    async with Trial.of({"a": MALLS["a"], "blind": BLIND}, {"hot": 20}) as trial:
        await escrow(trial, "hot")
        await trial.run(120)
        assert trial.shows("blind", "hot") > 0
        spoil = f"UPDATE listing SET exposure = {exposure}, verify = 1 WHERE key = 'hot'"
        await trial.store.tx(lambda conn: conn.execute(sql(spoil)))
        drained = await trial.run_until(lambda: trial.shows("blind", "hot") == 0, within=120)
        assert drained < 120
        await trial.run(300)
        assert trial.shows("blind", "hot") >= 5
        assert trial.shows("a", "hot") + trial.shows("blind", "hot") <= 20
        assert metric(trial, "syncd_exposure_unknown_listings", shop="blind") == 0
