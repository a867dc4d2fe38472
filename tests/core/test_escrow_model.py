"""The model check of R1-R12: with all rules nothing breaks; with any one of them wrong, something does."""

from __future__ import annotations

from dataclasses import replace

import pytest

from syncd.core import escrow
from syncd.core.escrow import Exposure
from syncd.sdk.channel import Form

from .rights import Rules, first_broken, walk


def only_the_difference(form: Form, quantity: int, expected: int | None) -> int:
    """A SET that looks like a small raise costs only that."""
    return escrow.cost_of(form, quantity, expected) if form is not Form.ABSOLUTE else min(1, quantity)


def full_credit(form: Form, quantity: int, expected: int | None, after: int | None) -> int:
    """A clamping lowering is credited in full."""
    if form is Form.RELATIVE_CLAMPS:
        return max(0, -quantity)
    return escrow.credit_of(form, quantity, expected, after)


def no_barrier(have: Exposure, watermark_us: int) -> Exposure:
    return escrow.barrier(have, 2**62)


def credit_without_barrier(have: Exposure, watermark_us: int) -> Exposure:
    """Sales that came after the proof are not told apart by its time, only the number counts."""
    return escrow.barrier(replace(have, proven_back=0), watermark_us)


def as_failed(have: Exposure, _dead_us: int, cost: int) -> Exposure:
    return escrow.refused(have, cost)


def read_too_early(have: Exposure, number: int, began_us: int, ended_us: int) -> Exposure:
    return escrow.read(replace(have, dead_us=None) if not have.calls else have, number, began_us, ended_us)


MUTANTS = {
    "R1: a raise without the guard": Rules(r1_guard=lambda _left, _cost: True),
    "R1: an absolute number costs the difference only": Rules(r1_cost=only_the_difference),
    "R1: an unknown listing is left out of the sum": Rules(r1_guard=lambda left, cost: left is None or cost <= left),
    "R2: booked at the answer, not before the send": Rules(r2_booked_late=True),
    "R3: credited at the send": Rules(r3_credit_at_send=True),
    "R3: a clamp is credited in full": Rules(r3_credit=full_credit),
    "R4: no barrier": Rules(r4_barrier=no_barrier),
    "R4: what came back since the send is forgotten": Rules(r4_barrier=credit_without_barrier),
    "R5: an order is booked at every poll": Rules(r5_once=False),
    "R6: what the shop puts back on sale is not booked": Rules(r6_put_back=lambda have, _units: have),
    "R7: unknown is taken for failed": Rules(r7_lost=as_failed),
    "R7: an unknown raise is simply repeated": Rules(r7_repeats=True),
    "R8: read back before the dead time": Rules(r8_read=read_too_early),
    "R9: several writes under way": Rules(r9_one_open=False),
    "R10: a restart forgets what was under way": Rules(r10_restart=as_failed),
    "R11: a backup's numbers are trusted": Rules(r11_restored=lambda have: have),
    "R12: raises on a shop whose orders are not read": Rules(r12_stale=lambda _read, _now, _after: False),
}


def test_no_walk_breaks_a_promise() -> None:
    assert first_broken(Rules(), range(1_500)) is None


def test_the_walks_really_raise_and_settle() -> None:
    worlds = [walk(seed) for seed in range(60)]
    assert sum(world.raised for world in worlds) > 300
    assert sum(mall.have.bound is not None for world in worlds for mall in world.malls) > 150


@pytest.mark.parametrize("name", MUTANTS)
def test_a_rule_that_is_broken_is_caught(name: str) -> None:
    assert first_broken(MUTANTS[name], range(3_000)) is not None


@pytest.mark.long
def test_no_long_run_of_walks_breaks_a_promise() -> None:
    assert first_broken(Rules(), range(1_500, 41_500)) is None
