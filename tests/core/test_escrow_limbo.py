"""How a limbo ends where nothing can be read: by the next number, once what was lost can land no more."""

from __future__ import annotations

from syncd.core import escrow
from syncd.core.escrow import Exposure, Standing

SENT, ANSWERED, DEAD = 1_000, 1_100, 900


def after_a_number(dead_us: int, *, alone: bool) -> Exposure:
    lost = escrow.lost(escrow.sent(Exposure(bound=5), 8), dead_us)
    return escrow.accepted_number(escrow.sent(lost, 6), 6, SENT, ANSWERED, alone=alone)


def test_a_number_sent_after_the_dead_time_ends_the_limbo_at_its_barrier() -> None:
    have = after_a_number(DEAD, alone=True)
    assert (have.standing, have.bound) == (Standing.WAIT_BARRIER, 19)
    settled = escrow.barrier(have, ANSWERED)
    assert (settled.standing, settled.bound) == (Standing.SETTLED, 6)


def test_a_number_sent_while_the_lost_one_may_still_land_ends_nothing() -> None:
    assert after_a_number(SENT + 1, alone=False).standing is Standing.LIMBO
    assert after_a_number(DEAD, alone=False).standing is Standing.LIMBO
