"""What a shop should show now (*believed*), and what we may conclude from reads, writes and orders.

`believed` is kept as an upper bound in the frame of booked orders:  believed >= shown + own units sold, not yet
booked. So an own sale moves nothing until it is booked, and then takes believed and the target down alike: an
own sale causes no push. Where a time stamp cannot tell whether a sale came before or after an absolute write
(clock skew, one-second stamps), the sale does not lower believed (`slack`), so the error is to show too little,
and the listing is read to find out.

    UNKNOWN ── read ──> SEEN ── watermark passes the read ──> SETTLED ── write ──> SETTLED
       ^                 ^                                       │     (an absolute one leaves `unread`)
       │                 └── dead time, then read ── IN DOUBT <──┘ lost answer
       └── restored backup

All times are microseconds of our clock; `margin_us` covers the shop's clock skew and the grain of its stamps.
"""

from __future__ import annotations

from syncd.core.values import replace, value

GRAIN_US = 1_000_000


@value
class Shown:
    """What we hold true of one listing's number at its shop.

    `base_us`: end of the newest absolute proof (a read, an absolute write); own sales accepted later lower `believed`
    for certain. `base_from_us`: its begin; what was accepted earlier is inside the proof for certain.
    `unread`: units inside `believed` that were sold before the base and are not booked yet.
    `slack`: booked units that could not be placed before or after the base: `believed` may be too high by them.
    `seen`: a number read from `seen_from_us` to `seen_us`, to be settled once all orders up to then are known;
    `seen_sold` are own units booked since that were accepted after it (put back ones negative), `seen_slack` those
    of which the time stamps cannot tell.
    `doubt_us`: a write may have happened; until then it still may.
    """

    believed: int | None = None
    base_us: int = 0
    unread: int = 0
    slack: int = 0
    seen: int | None = None
    seen_us: int = 0
    seen_sold: int = 0
    seen_slack: int = 0
    verify: bool = False
    doubt_us: int | None = None
    base_from_us: int = 0
    seen_from_us: int = 0

    @property
    def in_doubt(self) -> bool:
        return self.doubt_us is not None

    @property
    def shows_at_most(self) -> int | None:
        """The number the page is expected to show: believed less the sales known to be unread."""
        return None if self.believed is None else max(0, self.believed - self.unread)


def _base_from(shown: Shown) -> int:
    return shown.base_from_us or shown.base_us


def _seen_from(shown: Shown) -> int:
    return shown.seen_from_us or shown.seen_us


def sold(shown: Shown, units: int, earliest_us: int, latest_us: int, margin_us: int) -> Shown:
    """An own sale of so many units was booked; the shop accepted it between these times.

    Certainly after the base: the page went down by it. Certainly before: it is inside `unread`, or an
    absolute write has wiped it out. Neither: it stays inside `believed`, as slack.
    """
    if shown.seen is not None:
        if earliest_us > shown.seen_us + margin_us:
            shown = replace(shown, seen_sold=shown.seen_sold + units)
        elif latest_us > _seen_from(shown) - margin_us:
            shown = replace(shown, seen_slack=shown.seen_slack + units)
    if shown.believed is None:
        return shown
    if earliest_us > shown.base_us + margin_us:
        believed = shown.believed - units
        over = max(0, -believed)  # the page cannot show them missing: should they be put back, they explain it
        return replace(shown, believed=max(0, believed), slack=shown.slack + over, verify=shown.verify or over > 0)
    known = min(units, shown.unread)
    left = shown.believed - known
    before = latest_us <= _base_from(shown) - margin_us
    blurred = 0 if before else min(units - known, left)  # a page at 0 sells no more
    return replace(
        shown,
        believed=left,
        unread=shown.unread - known,
        slack=shown.slack + blurred,
        verify=shown.verify or blurred > 0,
    )


def restocked(shown: Shown, units: int, earliest_us: int, latest_us: int, margin_us: int, *, certain: bool) -> Shown:
    """The shop put so many cancelled units back on sale between these times (perhaps, if not `certain`).

    They are left out only when the base certainly contained them.
    """
    if shown.seen is not None and latest_us > _seen_from(shown) - margin_us:
        sure = certain and earliest_us > shown.seen_us + margin_us
        shown = replace(shown, seen_sold=shown.seen_sold - units, seen_slack=shown.seen_slack + (0 if sure else units))
    if shown.believed is None or latest_us < _base_from(shown) - margin_us:
        return shown
    blurred = not certain or earliest_us <= shown.base_us + margin_us
    return replace(
        shown,
        believed=shown.believed + units,
        slack=shown.slack + (units if blurred else 0),
        verify=shown.verify or blurred,
    )


@value
class Finding:
    """What a read or a settlement found out: the state after it, and the drift in units (0 for none).

    Positive drift: the shop shows more than it should. Negative: somebody lowered it.
    """

    shown: Shown
    drift: int = 0


def read(shown: Shown, number: int, ended_us: int, began_us: int = 0) -> Finding:
    """A stock read from `began_us` (if it took any time) to `ended_us`, with no write under way, returned `number`.

    More than believed is drift at once, since unread sales can only lower it. Less is either unread sales
    or a hand; `settle` tells once all orders up to the read are known. A read that waits for that is kept: one that
    were replaced by each newer read would never be settled.
    """
    if shown.believed is None or (number > shown.believed and not shown.in_doubt):
        drift = 0 if shown.believed is None else number - shown.believed
        base = Shown(
            believed=number, base_us=ended_us, base_from_us=began_us, seen=number, seen_us=ended_us,
            seen_from_us=began_us, verify=shown.verify and shown.believed is not None, doubt_us=shown.doubt_us,
        )  # fmt: skip
        return Finding(base, drift)
    # in doubt, a read that waits was taken after the dead time, or it would not be there
    waits = shown.seen is not None
    seen = (
        shown
        if waits
        else replace(shown, seen=number, seen_us=ended_us, seen_from_us=began_us, seen_sold=0, seen_slack=0)
    )
    return Finding(replace(seen, believed=max(shown.believed, number)) if shown.in_doubt else seen)


def settle(shown: Shown) -> Finding:
    """Every order accepted before the read is booked now: the read is the truth less what was sold after it.

    The caller makes sure that the watermark has passed `seen_us` by the margin.
    """
    if shown.seen is None:
        return Finding(shown)
    truth = max(0, shown.seen - shown.seen_sold)
    slack = shown.seen_slack  # may be more than the page held: what was put back and is not booked yet was sold again
    settled = Shown(
        believed=truth, base_us=shown.seen_us, base_from_us=shown.seen_from_us, slack=slack, verify=slack > 0
    )
    if shown.believed is None or shown.in_doubt:
        return Finding(settled)
    drift = truth - shown.believed
    explained = -shown.slack <= drift <= slack
    return Finding(settled, 0 if explained else drift)


def wrote_change(shown: Shown, delta: int) -> Shown:
    """A relative write or a compare-and-set was accepted: the number moved by exactly `delta`."""
    seen = None if shown.seen is None else shown.seen + delta
    if shown.believed is None:
        return replace(shown, seen=seen)
    believed = shown.believed + delta
    over = max(0, -believed)  # units came back that are not booked yet: they explain it
    return replace(
        shown, believed=max(0, believed), slack=shown.slack + over, verify=shown.verify or over > 0, seen=seen
    )


def wrote_number(
    shown: Shown,
    number: int,
    *,
    unread: int,
    sold_old: int,
    sold_new: int,
    restocked: int,
    ended_us: int,
    began_us: int = 0,
) -> Shown:
    """An absolute write of `number` was accepted; it was sent at `began_us` and its answer came at `ended_us`.

    `unread`: units by which the read before it was below believed; as many as were slack then may be booked
    already, and stay slack. Booked between plan and answer: `sold_old` units accepted for certain before the
    send, `sold_new` that may have come after it (kept in, as slack), and `restocked` units that may have come
    back after it.
    """
    old_slack = min(unread, max(0, shown.slack - sold_new))
    still = max(0, unread - old_slack - sold_old)
    left = max(0, still - sold_new)  # the others may be what was booked meanwhile
    slack = min(sold_new, number) + restocked + old_slack + still - left
    return Shown(
        believed=number + still + restocked + old_slack,
        base_us=ended_us,
        base_from_us=began_us,
        unread=left,
        slack=slack,
        verify=slack > 0,
    )


def expire(shown: Shown) -> Finding:
    """Every order accepted before the base is booked now: units still held to be unread were no sales.

    The caller makes sure that the watermark has passed `base_us` by the margin.
    """
    if shown.believed is None:
        return Finding(replace(shown, unread=0))
    believed = max(0, shown.believed - shown.unread)
    return Finding(replace(shown, believed=believed, unread=0), believed - shown.believed)


def doubted(shown: Shown, highest: int, dead_us: int) -> Shown:
    """A write may have happened and may still happen until `dead_us`; it leaves at most `highest`."""
    believed = None if shown.believed is None else max(shown.believed, highest)
    until = dead_us if shown.doubt_us is None else max(dead_us, shown.doubt_us)
    return replace(shown, believed=believed, doubt_us=until, seen=None, seen_sold=0, seen_slack=0, verify=True)


def forgotten(shown: Shown) -> Shown:
    """Nothing is known any more: a restored backup, a listing that came back."""
    return Shown(doubt_us=shown.doubt_us)
