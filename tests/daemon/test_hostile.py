"""A plugin that raises, hangs, lies or reports an index twice: its shop is named, every other shop keeps its speed."""

from __future__ import annotations

import pytest

from syncd.sim.trial import Trial, virtual
from syncd.testing.hostile import HostileChannel, HostileShop

MALLS: dict[str, dict[str, object]] = {"a": {}, "bad": {}, "c": {}}
SHOPS = {"bad": {"channel": "hostile"}}
ORDERS = ["raise", "hang", "leak", "none", "nonsense", "wrong_types", "bad_cursor", "no_cursor", "naive", "same_lines"]
WRITES = ["raise", "raise_after", "hang", "hang_after", "none", "nonsense", "twice", "out_of_range", "empty", "denies"]
READS = ["raise", "hang", "none", "nonsense", "unasked"]
MOODS = [("orders", one) for one in ORDERS] + [("writes", one) for one in WRITES] + [("reads", one) for one in READS]


@pytest.mark.parametrize(("call", "mood"), MOODS)
@virtual
async def test_a_bad_plugin_slows_no_other_shop(call: str, mood: str) -> None:
    async with Trial.of(
        MALLS, {"S1": 5}, shops=SHOPS, shop_type=HostileShop, channels={"hostile": HostileChannel}
    ) as trial:
        await trial.run(4)
        trial.mall("bad").moods[call] = mood
        trial.buy("a", "S1", 5)
        assert await trial.run_until(lambda: trial.shows("c", "S1") == 0) < 4
        await trial.run(8)
        assert trial.task is not None
        assert not trial.task.done()
        assert [one for one in await trial.books() if " bad " not in one] == []


@pytest.mark.parametrize(("call", "mood"), [("writes", "twice"), ("orders", "raise"), ("writes", "raise_after")])
@virtual
async def test_a_plugin_that_is_well_again_catches_up(call: str, mood: str) -> None:
    async with Trial.of(
        MALLS, {"S1": 5}, shops=SHOPS, shop_type=HostileShop, channels={"hostile": HostileChannel}
    ) as trial:
        await trial.run(4)
        trial.mall("bad").moods[call] = mood
        trial.buy("a", "S1", 3)
        await trial.run(20)
        trial.mall("bad").moods.clear()
        await trial.run(60)
        assert trial.wrong() == []
        assert await trial.books() == []
