"""Exposure: what a listing can still bring us at most, and the rules by which it moves (R1-R12).

For one listing, in its own units:  shown + sold and not yet booked <= bound.  While the sum over the listings of a
SKU of bound × pieces stays within its free stock, no reading of orders, however late, can oversell it: a sale moves a
unit from *shown* to *sold*, and its booking lowers bound and free stock alike. Only writes, cancels and hands can
break it, so every raise is booked here before its first byte (escrow transactional method, O'Neil 1986; demarcation
protocol, Barbará and Garcia-Molina 1991; bounded counters, Balegas et al. 2015).

                  R1 guard, R2 book               answer: R3 credit (relative, compare-and-set)
     SETTLED ──────────────────────────> SENT ──────────────────────────────────────────────────> SETTLED
      ^   ^                               │ │      answer of an absolute write
      │   └── refused: the cost is back ──┘ ├─────────────────────────────> WAIT_BARRIER ── R4 ──> SETTLED
      │                                     │ lost, crash (R7, R10)
      │                                     └──> LIMBO ── dead time over ──> READ_BACK ──── R8 ──> SETTLED
     UNKNOWN (new, restored; R11) ── read, or a write of 0 ──> READ_BACK / WAIT_BARRIER ──> SETTLED

The barrier of R4 and R8 is the shop's order watermark: every order accepted before it is booked. R5 and R6 are
`sold` and `put_back`. R9 (one open write a listing, but for a write to 0) is a unique index of the store; here a
write that was not alone proves nothing. R12 is `feed_is_stale`.

All times are microseconds of our clock; `margin_us` covers the shop's clock skew and the grain of its stamps.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from syncd.core.values import replace, value
from syncd.sdk.capabilities import Form


class Standing(StrEnum):
    """Where a listing stands in the drawing above."""

    SETTLED = "settled"
    SENT = "sent"
    WAIT_BARRIER = "wait_barrier"
    LIMBO = "limbo"
    READ_BACK = "read_back"
    UNKNOWN = "unknown"


@value
class Exposure:
    """The bound of one listing, and the proof that waits for its barrier.

    `bound`: None while nothing is known. Negative: the shop sold what it did not have, or a hand raised it.
    `calls`: writes under way. `dead_us`: a lost write may take effect until then. `back`: units that may have come
    back since the oldest of these was sent.
    `proven`: a number that was true at some time from `proven_from_us` to `proven_us` (an accepted absolute write, a
    read), with the costs booked since; None without one. Of it go, at the barrier, `proven_sold` units booked and
    certainly accepted later; to it come `proven_back` units put back since. `proven_vague` may have been sold later.
    """

    bound: int | None = None
    calls: int = 0
    dead_us: int | None = None
    back: int = 0
    proven: int | None = None
    proven_from_us: int = 0
    proven_us: int = 0
    proven_sold: int = 0
    proven_vague: int = 0
    proven_back: int = 0
    proven_by_read: int = 0

    @property
    def standing(self) -> Standing:
        if self.calls:
            return Standing.SENT
        if self.dead_us is not None:
            return Standing.LIMBO
        if self.proven is not None:
            return Standing.READ_BACK if self.proven_by_read else Standing.WAIT_BARRIER
        return Standing.UNKNOWN if self.bound is None else Standing.SETTLED

    @property
    def is_known(self) -> bool:
        """Whether raises of its SKU may count on the bound: it is known and not negative."""
        return self.bound is not None and self.bound >= 0

    def wants_proof(self, now_us: int) -> bool:
        """Whether nothing is known, nothing is under way to tell, and no lost write can still land (R11)."""
        dead = self.dead_us is None or self.dead_us <= now_us
        return not self.is_known and not self.calls and self.proven is None and dead


def cost_of(form: Form, quantity: int, expected: int | None = None) -> int:
    """Units a write can add to what its listing can sell (R1).

    An absolute number costs all of itself, also where it looks like a lowering: what was sold unread before it
    lands comes on top. `quantity` is the new number, or the signed change of a relative form.
    """
    if form is Form.COMPARE_AND_SET and expected is not None:
        return max(0, quantity - expected)
    return max(0, quantity)


def credit_of(form: Form, quantity: int, expected: int | None, quantity_after: int | None) -> int:
    """Units that an accepted write has proven to be gone from the page (R3); never more than it really took.

    A relative lowering that refuses below zero took all of it; one that clamps, too, where the answer shows a
    number left over. Below zero, a silent one took only what was there.
    """
    if form is Form.COMPARE_AND_SET and expected is not None:
        return max(0, expected - quantity)
    taken = max(0, -quantity)
    if form is Form.RELATIVE_REFUSES:
        return taken
    if form is Form.RELATIVE_CLAMPS:
        return taken if quantity_after else 0
    if form is Form.RELATIVE_SILENT:
        return 0 if quantity_after is None else max(0, taken + min(0, quantity_after))
    return 0


@value
class Holding:
    """One listing's part in a SKU: its bound in its own units, and the pieces of the SKU in one unit."""

    bound: int | None
    pieces: int = 1


def rights_left(free: int, holdings: Iterable[Holding]) -> int | None:
    """Pieces that may still be given to a listing of the SKU (R1). Negative: more is out than there is.

    None while a listing is unknown, or a bound is negative: then nothing of the SKU may be raised anywhere (R11).
    """
    out = 0
    for one in holdings:
        if one.bound is None or one.bound < 0:
            return None
        out += one.bound * one.pieces
    return free - out


def sent(have: Exposure, cost: int) -> Exposure:
    """A write is about to leave: book its cost before its first byte (R2)."""
    first = not have.calls and have.dead_us is None
    return _shifted(have, cost, have.calls + 1, 0 if first else have.back)


def refused(have: Exposure, cost: int) -> Exposure:
    """The shop took nothing of a write, for certain: its cost comes back."""
    return _shifted(have, -cost, max(0, have.calls - 1), have.back)


def accepted_change(have: Exposure, credit: int) -> Exposure:
    """A relative write or a compare-and-set was accepted; the credit counts now, not when it was sent (R3)."""
    return _shifted(have, -credit, max(0, have.calls - 1), have.back)


def accepted_number(have: Exposure, number: int, sent_us: int, answered_us: int, *, alone: bool) -> Exposure:
    """An absolute write was accepted: its number is a proof once the barrier has passed the answer (R4).

    Until then what was on the page before it stays booked. `alone`: no other write was under way or lost and alive
    since it was sent; of two writes nobody knows which landed last, so one that was not alone proves nothing (R9).
    """
    answered = replace(have, calls=max(0, have.calls - 1))
    if not alone:
        return answered
    if answered.dead_us is not None and answered.dead_us <= sent_us:
        answered = replace(answered, dead_us=None)  # what was lost could land no more: this number is the last word
    return _proof(answered, number, sent_us, answered_us, have.back, by_read=False)


def lost(have: Exposure, dead_us: int) -> Exposure:
    """The outcome of a write is unknown, also by a crash (R7, R10): its cost stays booked; it may still land."""
    until = dead_us if have.dead_us is None else max(dead_us, have.dead_us)
    return replace(have, calls=max(0, have.calls - 1), dead_us=until)


def read(have: Exposure, number: int, began_us: int, ended_us: int) -> Exposure:
    """The page showed `number` during a read, while no write was under way and nothing that came back was booked.

    Ends a limbo when the read began after the dead time (R8); a first proof of an unknown listing (R11). Showing
    more than the bound, a hand raised it: the bound follows at once. A proof that already waits is kept, since one
    that every read renews would never see its barrier.
    """
    if have.calls or (have.dead_us is not None and began_us < have.dead_us):
        return _at_least(have, number)
    if have.proven is not None and have.dead_us is None:
        return _at_least(have, number)
    back = 0 if have.dead_us is None else have.back
    proof = Exposure(have.bound, have.calls, None, have.back, number, began_us, ended_us, 0, 0, back, 1)
    return _at_least(proof, number)


def barrier(have: Exposure, watermark_us: int) -> Exposure:
    """Every order accepted before `watermark_us` is booked: a proof from before it counts now (R4, R8).

    The smaller of bound and proof holds, for both are bounds; but a proof above the bound that unsure sales do not
    explain shows that a hand raised the page.
    """
    if have.proven is None or have.proven_us > watermark_us:
        return have
    number = max(0, have.proven - have.proven_sold) + have.proven_back
    surely = number - have.proven_vague - have.proven_back
    broken = have.bound is None or have.bound < 0 or surely > have.bound
    bound = number if broken or have.bound is None else min(have.bound, number)
    return Exposure(bound, have.calls, have.dead_us, have.back)


def sold(have: Exposure, units: int, earliest_us: int, latest_us: int, margin_us: int) -> Exposure:
    """An own sale was booked, accepted between these times by the shop's clock (R5). Free stock went down alike."""
    bound = None if have.bound is None else have.bound - units
    if have.proven is None or latest_us <= have.proven_from_us - margin_us:
        return replace(have, bound=bound)
    if earliest_us > have.proven_us + margin_us:
        return replace(have, bound=bound, proven_sold=have.proven_sold + units)
    return replace(have, bound=bound, proven_vague=have.proven_vague + units)


def put_back(have: Exposure, units: int) -> Exposure:
    """Own units were cancelled or returned and the shop put them on sale again, or nobody knows (R6)."""
    waits = have.calls > 0 or have.dead_us is not None
    return replace(
        have,
        bound=None if have.bound is None else have.bound + units,
        back=have.back + units if waits else 0,
        proven_back=have.proven_back + units if have.proven is not None else 0,
    )


def unknown(have: Exposure) -> Exposure:
    """Nothing holds any more: a restored backup, a new mapping (R11). A lost write may still land."""
    return Exposure(calls=have.calls, dead_us=have.dead_us, back=have.back)


def feed_is_stale(read_us: int, now_us: int, after_us: int) -> bool:
    """Whether a shop's orders have not been read for so long that nothing may be raised there (R12)."""
    return now_us - read_us > after_us


def _shifted(have: Exposure, units: int, calls: int, back: int) -> Exposure:
    """Book units on the bound and on the proof that waits: whichever holds at the barrier has them."""
    return replace(
        have,
        bound=None if have.bound is None else have.bound + units,
        calls=calls,
        back=back,
        proven=None if have.proven is None else have.proven + units,
    )


def _proof(have: Exposure, number: int, from_us: int, until_us: int, back: int, *, by_read: bool) -> Exposure:
    return replace(
        have,
        proven=number,
        proven_from_us=from_us,
        proven_us=until_us,
        proven_sold=0,
        proven_vague=0,
        proven_back=back,
        proven_by_read=int(by_read),
    )


def _at_least(have: Exposure, number: int) -> Exposure:
    """A negative bound stays so until the barrier: beside what the page shows, sales may be unread (R5)."""
    return replace(have, bound=number) if have.bound is not None and 0 <= have.bound < number else have
