"""A negative bound (R5): only the barrier ends it."""

from __future__ import annotations

from syncd.core import escrow
from syncd.core.escrow import Exposure


def test_a_read_lifts_no_negative_bound_before_its_barrier() -> None:
    """R5: what the page shows is not all, as long as sales may be unread."""
    have = escrow.read(Exposure(bound=-2), 3, 100, 110)
    assert (have.bound, have.is_known) == (-2, False)
    assert escrow.barrier(have, 109).bound == -2
    assert escrow.barrier(have, 110).bound == 3
