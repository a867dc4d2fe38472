"""What the plays found once, each in its smallest form."""

from __future__ import annotations

import pytest

from syncd.core import fence, planner
from syncd.core.fence import Shown
from syncd.core.planner import Evidence, Need, Plan
from syncd.sdk.channel import Form
from syncd.sim.trial import Trial, virtual
from syncd.store.engine import StoreFull
from syncd.testing.emulator import Fault, FaultKind

SECOND_US = 1_000_000


def test_a_read_that_waits_to_be_settled_is_not_replaced_by_a_newer_one() -> None:
    first = fence.read(Shown(believed=2, base_us=1), 0, 10 * SECOND_US).shown
    again = fence.read(first, 0, 12 * SECOND_US).shown
    assert again.seen_us == 10 * SECOND_US


def test_a_doubt_that_is_read_again_and_again_ends_with_its_first_read() -> None:
    """Whole seed 2: a shop that is swept faster than its orders become known never came out of doubt."""
    doubted = fence.doubted(Shown(believed=5, base_us=1), 5, 8 * SECOND_US)
    first = fence.read(doubted, 3, 10 * SECOND_US).shown
    again = fence.read(first, 3, 70 * SECOND_US).shown
    assert (again.seen, again.seen_us) == (3, 10 * SECOND_US)
    assert fence.settle(again).shown.believed == 3


def test_a_newer_read_above_what_is_believed_counts_at_once() -> None:
    first = fence.read(Shown(believed=2, base_us=1), 1, 10 * SECOND_US).shown
    again = fence.read(first, 5, 12 * SECOND_US)
    assert again.shown.believed == 5
    assert again.drift == 3


@pytest.mark.parametrize("form", [Form.ABSOLUTE, Form.COMPARE_AND_SET])
def test_pieces_that_another_listing_sells_too_need_the_orders_first(form: Form) -> None:
    shown, now_us = Shown(believed=8, base_us=1), 100 * SECOND_US
    old = Evidence(now_us, True, True, now_us - 5 * SECOND_US, 0, 8, now_us, shared=True)
    new = Evidence(now_us, True, True, now_us - SECOND_US, 0, 8, now_us, shared=True)
    alone = Evidence(now_us, True, True, now_us - 5 * SECOND_US, 0, 8, now_us)
    assert planner.plan_write("L", 6, shown, {form}, old) is Need.ORDER_READ
    assert isinstance(planner.plan_write("L", 6, shown, {form}, new), Plan)
    assert isinstance(planner.plan_write("L", 6, shown, {form}, alone), Plan)


@virtual
async def test_a_clamped_lowering_that_tells_its_result_is_not_made_twice() -> None:
    async with Trial.of({"a": {}, "b": {"forms": (Form.RELATIVE_CLAMPS, Form.ABSOLUTE)}}, {"S1": 5}) as trial:
        await trial.run(6)
        trial.buy("a", "S1", 1)
        await trial.run(20)
        assert trial.mall("b").market.tally["rows_written"] == 1
        assert trial.wrong() == []


@virtual
async def test_a_full_disk_does_not_end_the_daemon() -> None:
    async with Trial.of({"a": {}, "b": {}}, {"S1": 5}) as trial:

        def point(name: str) -> None:
            if name == "before_commit":
                raise StoreFull("the disk is full")

        trial.store.crash_point = point
        await trial.run(40)
        assert trial.task is not None
        assert not trial.task.done()


@virtual
async def test_after_a_restore_nothing_is_raised_before_the_orders_were_read_anew() -> None:
    """Whole seed 3: the ledger of a backup lacks orders that had been read; a number read alone does not tell."""
    malls, soon = {"a": {"forms": (Form.COMPARE_AND_SET,)}, "b": {}}, {"batch": {"every_seconds": 1.0}}
    async with Trial.of(malls, {"S1": 5}, settings=soon) as trial:
        await trial.run(20)
        await trial.kill()
        trial.buy("a", "S1", 3)
        await trial.run(5)
        trial.store.restored = True
        trial.mall("a").faults.add(Fault("orders", FaultKind.LATENCY, seconds=4.0))
        await trial.start(ready=False)
        await trial.run(30)
        assert trial.world.stale == []
        assert trial.wrong() == []


@virtual
async def test_the_late_result_of_a_call_from_before_a_restore_proves_nothing() -> None:
    """Whole seed 31: a number written after the backup landed after the one whose result the backup waited for."""
    later = {"forms": (Form.ABSOLUTE,), "later": True, "later_seconds": 30.0, "reads_stock": False}
    async with Trial.of({"a": {}, "b": later}, {"S1": 5}) as trial:
        await trial.run(60)
        trial.buy("a", "S1")
        while not await trial.rows("SELECT id FROM intent WHERE state = 'waiting'"):
            await trial.run(0.5)
        await trial.kill()
        trial.store.restored = True
        await trial.start()
        await trial.run(120)
        query = "SELECT l.exposure FROM listing l JOIN shop s ON s.id = l.shop_id WHERE s.name = 'b'"
        assert [row[0] for row in await trial.rows(query)] == [None]
        await trial.run(120)
        assert trial.wrong() == []
