"""Calls whose outcome a shop cannot tell or tells much later, in a running daemon."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from syncd.sdk.channel import Form, StockWrite, Unreported, WriteReport
from syncd.sim.trial import Trial, virtual
from syncd.testing.memory import MemoryShop

A, R, C = Form.ABSOLUTE, Form.RELATIVE_REFUSES, Form.COMPARE_AND_SET


class Vague(MemoryShop):
    """Applies some calls and then cannot say what became of them."""

    vague = 0
    applies = True

    def take(self, rows: Sequence[StockWrite], key: str) -> WriteReport:
        if not self.vague:
            return super().take(rows, key)
        self.vague -= 1
        if self.applies:
            super().take(rows, key)
        return WriteReport((), Unreported.UNSURE)


@pytest.mark.parametrize(
    ("forms", "applies"),
    [
        ((C,), True),
        ((C,), False), ((A,), True), ((A,), False), ((R, A), True), ((R, A), False),
    ],
)  # fmt: skip
@virtual
async def test_a_vague_report_is_read_back_and_leaves_no_trace(forms: tuple[Form, ...], applies: bool) -> None:
    async with Trial.of({"a": {}, "b": {"forms": forms}}, {"S1": 9}, shop_type=Vague) as trial:
        await trial.run(6)
        mall = trial.mall("b")
        assert isinstance(mall, Vague)
        mall.vague, mall.applies = 1, applies
        trial.buy("a", "S1", 2)
        await trial.run(60)
        assert mall.vague == 0
        assert trial.wrong() == []
        assert await trial.alarms() == set()
        held: list[tuple[Any, ...]] = await trial.rows("SELECT held, doubt_us FROM listing")
        assert held == [("", None)] * 2


@virtual
async def test_a_zero_whose_result_comes_later_is_sent_once() -> None:
    later = {"later": True, "later_seconds": 40.0}
    async with Trial.of({"a": {}, "b": later}, {"S1": 5}) as trial:
        await trial.run(6)
        calls = trial.mall("b").calls["write"]
        trial.buy("a", "S1", 5)
        await trial.run(35)
        assert trial.mall("b").calls["write"] == calls + 1
        await trial.run_until(lambda: trial.shows("b", "S1") == 0)
        await trial.run(60)
        assert trial.mall("b").calls["write"] == calls + 1
        assert trial.wrong() == []


@virtual
async def test_a_zero_that_overtakes_a_write_whose_result_comes_later_wins() -> None:
    later = {"later": True, "later_seconds": 15.0, "reads_stock": False}
    async with Trial.of({"a": {}, "b": later}, {"S1": 5}) as trial:
        await trial.run(20)
        calls = trial.mall("b").calls["write"]
        trial.buy("a", "S1", 2)
        await trial.run_until(lambda: trial.mall("b").calls["write"] == calls + 1)
        trial.buy("a", "S1", 3)
        await trial.run(90)
        assert trial.shows("b", "S1") == 0
        assert trial.world.wrong_listings() == []  # the mall judges a write when it lands, long after it was sent
        assert trial.mall("b").calls["write"] <= calls + 4


@virtual
async def test_a_stockout_whose_result_comes_later_is_measured_until_that_result() -> None:
    later = {"later": True, "later_seconds": 15.0}
    async with Trial.of({"a": {}, "b": later}, {"S1": 5}) as trial:
        await trial.run(6)
        trial.buy("a", "S1", 5)
        await trial.run(60)
        assert trial.stage is not None
        [family] = trial.stage.daemon.hub.metrics.stockout_seconds.collect()
        told = {sample.name: sample.value for sample in family.samples if sample.labels.get("shop") == "b"}
        assert told["syncd_stockout_seconds_count"] == 1
        assert 15 <= told["syncd_stockout_seconds_sum"] <= 25


class Mute(MemoryShop):
    """Applies what it takes, and tells of nothing while it is mute."""

    mute = True

    def settle(self) -> None:
        super().settle()
        for receipt in [receipt for receipt, one in self.uploads.items() if self.mute and one.result is not None]:
            del self.uploads[receipt]


@virtual
async def test_a_result_that_never_comes_puts_its_call_in_doubt_after_the_dead_time_and_tells_a_person() -> None:
    later = {"later": True, "later_seconds": 5.0, "dead_after_seconds": 40.0}
    async with Trial.of({"a": {}, "b": later}, {"S1": 9}, shop_type=Mute) as trial:
        await trial.run(6)
        trial.buy("a", "S1", 2)
        await trial.run(30)
        assert await trial.alarms() == set()
        await trial.run(40)
        [(kind, subject, text)] = await trial.rows("SELECT kind, subject, text FROM alarm WHERE cleared_us IS NULL")
        assert (kind, subject) == ("results_missing", "stock")
        assert text.startswith("b took call ")
        assert "(stock, 1 listings, " in text
        assert await trial.rows("SELECT count(*) FROM intent_row WHERE live = 1") == [(0,)]
        mall = trial.mall("b")
        assert isinstance(mall, Mute)
        mall.mute = False
        trial.buy("a", "S1", 3)
        await trial.run(60)
        assert trial.shows("b", "S1") == 4
        assert trial.wrong() == []
        assert await trial.alarms() == set()


@virtual
async def test_a_route_may_say_that_its_results_take_longer_than_its_dead_time() -> None:
    later = {"later": True, "later_seconds": 5.0, "dead_after_seconds": 20.0, "results_within_seconds": 3600.0}
    async with Trial.of({"a": {}, "b": later}, {"S1": 9}, shop_type=Mute) as trial:
        await trial.run(6)
        trial.buy("a", "S1", 2)
        await trial.run(300)
        assert await trial.alarms() & {"results_missing"} == set()
        assert await trial.rows("SELECT count(*) FROM intent_row WHERE live = 1") == [(1,)]


@virtual
async def test_after_a_restart_an_overdue_call_is_asked_about_once_before_it_is_given_up() -> None:
    later = {"later": True, "later_seconds": 30.0, "dead_after_seconds": 40.0}
    async with Trial.of({"a": {}, "b": later}, {"S1": 9}) as trial:
        await trial.run(6)
        trial.buy("a", "S1", 2)
        await trial.run(10)
        await trial.kill()
        await trial.run(100)
        assert await trial.rows("SELECT count(*) FROM intent_row WHERE live = 1") == [(1,)]
        await trial.start()
        await trial.run(30)
        assert await trial.alarms() == set()
        assert await trial.rows("SELECT count(*) FROM intent WHERE note != ''") == [(0,)]
        assert trial.shows("b", "S1") == 7
