"""What is measured: label sets that exist from the start, and when the clock of a stockout starts."""

from __future__ import annotations

from typing import Any

from syncd.sim.trial import Trial, virtual
from syncd.testing.emulator import Fault, FaultKind
from syncd.testing.hostile import HostileChannel, HostileShop

GOODS = {f"S{i}": 9 for i in range(8)}


def series(trial: Trial) -> set[str]:
    """Every series of syncd's own as it stands in /metrics, without its value."""
    assert trial.stage is not None
    lines = trial.stage.daemon.hub.metrics.render()[0].decode().splitlines()
    return {line.rpartition(" ")[0] for line in lines if line.startswith("syncd_")}


@virtual
async def test_whatever_goes_wrong_no_series_appears_that_was_not_there_from_the_start() -> None:
    malls: dict[str, dict[str, Any]] = {"a": {}, "b": {}, "bad": {}}
    async with Trial.of(
        malls, GOODS, shops={"bad": {"channel": "hostile"}}, shop_type=HostileShop, channels={"hostile": HostileChannel}
    ) as trial:
        before = series(trial)
        kinds = [kind for kind in FaultKind if kind is not FaultKind.LATENCY]
        for number, kind in enumerate(kinds):
            for operation in ("orders", "write", "read"):
                trial.mall("b").faults.add(Fault(operation, kind))
            trial.buy("a", f"S{number % 8}", 1)
            await trial.run(20)
        for call, mood in (("orders", "raise"), ("writes", "denies"), ("reads", "nonsense"), ("writes", "hang")):
            trial.mall("bad").moods[call] = mood
            trial.buy("b", "S7", 1)
            await trial.run(30)
        assert series(trial) == before


@virtual
async def test_a_refused_call_counts_its_rows_as_untouched() -> None:
    async with Trial.of({"a": {}, "b": {}}, GOODS) as trial:
        await trial.run(6)
        trial.mall("b").faults.add(Fault("write", FaultKind.STATUS, status=429))
        trial.buy("a", "S1", 9)
        await trial.run(20)
        assert trial.stage is not None
        [family] = trial.stage.daemon.hub.metrics.push_items.collect()
        untouched = [one.value for one in family.samples if one.labels.get("outcome") == "untouched"]
        assert sum(untouched) > 0


@virtual
async def test_a_stockout_that_was_only_shown_in_dry_run_is_not_measured_as_days_late_once_the_shop_is_started() -> (
    None
):
    async with Trial.of({"a": {}, "b": {}}, {"S1": 5}, shops={"b": {"writes": "dry_run"}}) as trial:
        trial.buy("a", "S1", 5)
        await trial.run(3600)
        assert trial.stage is not None
        assert trial.shows("b", "S1") == 5
        daemon = trial.stage.daemon
        [writing] = [one.value for one in daemon.hub.metrics.writing.collect()[0].samples if one.labels["shop"] == "b"]
        assert writing == 0
        await daemon.runners["b"].start_writing()
        await trial.run_until(lambda: trial.shows("b", "S1") == 0)
        await trial.run(15)
        slow = daemon.hub.metrics.stockout_seconds.labels("b")._sum.get()
        assert slow < 5
        assert "stockout_late" not in await trial.alarms()
        [writing] = [one.value for one in daemon.hub.metrics.writing.collect()[0].samples if one.labels["shop"] == "b"]
        assert writing == 1
