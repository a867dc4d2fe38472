"""Blind windows: each part is a histogram, and what was measured outlives a stop (virtual time)."""

from __future__ import annotations

from typing import Any

from syncd.core.demand import Lags
from syncd.daemon import measured
from syncd.daemon.desk_policies import PolicyItem, set_policies
from syncd.sim.trial import Trial, virtual

MALLS: dict[str, dict[str, Any]] = {"a": {"visibility_seconds": 10.0}, "b": {}}


def lags(trial: Trial, name: str) -> Lags:
    assert trial.stage is not None
    facts = trial.stage.daemon.hub.facts
    [shop] = [one for one in facts.shops.values() if one.name == name]
    return facts.lags_of(shop.id)


def counted(trial: Trial, metric: str, shop: str) -> float | None:
    assert trial.stage is not None
    found: float | None = trial.stage.daemon.hub.metrics.registry.get_sample_value(f"{metric}_count", {"shop": shop})
    return found


@virtual
async def test_the_parts_of_a_blind_window_are_measured_and_kept_over_a_stop() -> None:
    async with Trial.of(MALLS, {"S1": 3, "S2": 5}) as trial:
        await trial.run(10)
        trial.buy("a", "S1", 3)
        trial.buy("a", "S2", 1)
        await trial.run(60)
        assert counted(trial, "syncd_order_visibility_seconds", "a") == 2
        assert counted(trial, "syncd_order_poll_seconds", "a") == 2
        assert counted(trial, "syncd_order_visibility_seconds", "b") == 0
        assert counted(trial, "syncd_push_queue_seconds", "b") == counted(trial, "syncd_push_apply_seconds", "b") == 1
        before = [part.counts for part in lags(trial, "a").parts()], [part.counts for part in lags(trial, "b").parts()]
        assert sum(before[0][0]) == 2
        assert trial.stage is not None
        trial.stage.daemon.stop()
        assert trial.task is not None
        await trial.task
        await trial.restart()
        after = [part.counts for part in lags(trial, "a").parts()], [part.counts for part in lags(trial, "b").parts()]
        assert after == before
        assert [part.total for part in lags(trial, "a").parts()] == [sum(counts) for counts in before[0]]


@virtual
async def test_what_was_kept_in_another_shape_is_left() -> None:
    async with Trial.of({"a": {}}, {"S1": 3}) as trial:
        await trial.store.tx(lambda conn: measured.notes.write(conn, "lags 7", "[[1,2],[3]]"))
        kept = await trial.store.read(lambda conn: measured.kept(conn, 7))
        assert kept == Lags()


@virtual
async def test_what_a_shop_sells_is_kept_and_shares_out_a_new_sku_in_escrow() -> None:
    """Nobody has bought the new SKU yet: its pieces go where the merchant's buyers are."""
    forms = {"forms": ["compare_and_set"], "key_life_seconds": 60.0}
    async with Trial.of({"a": forms, "b": forms}, {"old": 200, "new": 40}) as trial:
        await trial.run(10)
        for _ in range(15):
            trial.buy("a", "old", 4)
            await trial.run(10)
        trial.buy("b", "old", 4)
        await trial.run(30)
        assert trial.stage is not None
        trial.stage.daemon.stop()
        assert trial.task is not None
        await trial.task
        await trial.restart()
        items = [PolicyItem("new", "escrow")]
        facts = trial.stage.daemon.hub.facts
        done = await trial.store.tx(lambda conn: set_policies(conn, facts, items, trial.clock.now_us(), "test"))
        trial.stage.daemon.hub.wake_writers(done.refreshed)
        await trial.run(120)
        assert trial.shows("a", "new") > 3 * trial.shows("b", "new") > 0
