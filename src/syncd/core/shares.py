"""Who may show how many pieces of a SKU in escrow (在庫配分): shares by demand, and how to move between them.

No write is needed after a sale: the others' rights stay valid. So rights move only when a listing has less than
half of what it should have, or when more is given out than there is; then in the demarcation order (Barbará and
Garcia-Molina 1991): take back first, give only what is proven free.

Amounts are pieces of one SKU; keys are listings (or shops), in any order: the answer does not depend on it.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from syncd.core.escrow import Exposure, Standing
from syncd.core.fence import Shown
from syncd.core.values import value
from syncd.sdk.capabilities import Form

LEAST = 1


def shares(
    total: int, weights: Mapping[int, float], caps: Mapping[int, int] | None = None, *, least: int = LEAST
) -> dict[int, int]:
    """Divide `total` pieces by weight into whole shares.

    The sum is `total`, or what the caps can take if that is less; no share is above its cap (a shop's own
    locations) or below 0. While there is enough for all, each gets at least `least`; else the heaviest come first.
    Weights of 0 or no weight at all divide evenly. A negative total gives nothing.
    """
    rooms = {key: total if caps is None else max(0, min(total, caps.get(key, total))) for key in weights}
    given = dict.fromkeys(weights, 0)
    order = sorted(weights, key=lambda key: (-weights[key], key))
    left = _least_first(max(0, total), order, rooms, given, least)
    open_keys = [key for key in order if given[key] < rooms[key]]
    while left > 0 and open_keys:
        left = _pour(left, open_keys, weights, rooms, given)
        open_keys = [key for key in open_keys if given[key] < rooms[key]]
    return given


def _least_first(left: int, order: list[int], rooms: dict[int, int], given: dict[int, int], least: int) -> int:
    """A first piece for each while there are enough of them for all; the rest goes by weight."""
    for _ in range(least):
        takers = [key for key in order if given[key] < rooms[key]]
        if left < len(takers):
            break
        for key in takers:
            given[key] += 1
        left -= len(takers)
    return left


def _pour(
    left: int, keys: list[int], weights: Mapping[int, float], rooms: dict[int, int], given: dict[int, int]
) -> int:
    """One round by weight of what each should have in all, largest remainder first. Gives out at least one piece."""
    heavy = sum(weights[key] for key in keys)
    whole = left + sum(given[key] for key in keys)
    ideal = {key: whole * (weights[key] / heavy if heavy > 0 else 1.0 / len(keys)) for key in keys}
    short = {key: max(0.0, ideal[key] - given[key]) for key in keys}
    scale = left / total if (total := sum(short.values())) > left else 1.0
    rest = left
    for key in keys:
        more = min(rest, rooms[key] - given[key], math.floor(short[key] * scale + 1e-9))
        given[key] += more
        rest -= more
    for key in sorted(keys, key=lambda one: (given[one] - ideal[one], -weights[one], one)):
        if rest and given[key] < rooms[key]:
            given[key] += 1
            rest -= 1
    return rest


@dataclass(frozen=True, slots=True)
class Transfer:
    """Rights to move: `take` back from listings at once, `give` what is free now. Both may be empty.

    What was taken is given only after it is proven (R3, R4, R8): ask again then.
    """

    take: Mapping[int, int] = field(default_factory=dict)
    give: Mapping[int, int] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.take or self.give)


STAY = Transfer()


def transfer(
    total: int,
    wanted: Mapping[int, int],
    held: Mapping[int, int],
    whole: Collection[int] = frozenset(),
    coming: int = 0,
) -> Transfer:
    """What to move now so that `held` comes nearer to `wanted`; `total` is all that may be out together.

    Nothing moves while every listing holds at least half of what it should and no more is out than `total`. Then
    those that are short, and no others, get their share, first from pieces that nobody holds. `whole` names the
    listings that only take absolute numbers: a number must be free in full (R1), and `give` says that number.
    `coming` pieces are being taken back already.
    """
    free = total - sum(held.values())
    short = [key for key, want in wanted.items() if want > 0 and 2 * held.get(key, 0) < want]
    if free >= 0 and not short:
        return STAY
    short.sort(key=lambda one: (one in whole, held.get(one, 0) / wanted[one], one))
    over = {key: have - wanted.get(key, 0) for key, have in held.items() if have > wanted.get(key, 0)}
    easy = sum(more for key, more in over.items() if key not in whole)
    give: dict[int, int] = {}
    idle, lack = max(0, free), max(0, -free)
    for key in short:
        want, have = wanted[key], held.get(key, 0)
        now, later = _lots(key in whole, want, have, idle, max(0, coming + easy - lack))
        if now:
            give[key] = now
            idle -= now
        if later:
            lack += later
    return Transfer(_take(max(0, lack - coming), over, whole), give)


def _lots(whole: bool, want: int, have: int, idle: int, easy: int) -> tuple[int, int]:
    """(pieces to give now, pieces to take back for it) for one listing that is short.

    An absolute number is paid in full while what is there still counts: worth it only for half of what is missing.
    """
    if not whole:
        now = min(idle, want - have)
        return now, want - have - now
    if idle >= want:
        return want, 0
    best = min(want, idle + easy)
    if have == 0:
        return (idle, 0) if best == idle and idle else (0, want - idle)
    if 2 * (best - have) < want - have:
        return 0, 0
    return (idle, 0) if best == idle else (0, best - idle)


def _take(lack: int, over: Mapping[int, int], whole: Collection[int]) -> dict[int, int]:
    """From those who hold most above their share, never below it; from absolute ones last, as they must be drained."""
    taken: dict[int, int] = {}
    for key in sorted(over, key=lambda one: (one in whole, -over[one], one)):
        back = min(lack, over[key])
        if back > 0:
            taken[key] = back
            lack -= back
    return taken


@value
class Holder:
    """One listing in escrow, in pieces: what it is believed to show (own unread sales included), its bound, whether
    that is settled, whether it takes absolute numbers only, and how much of the bound a write under way or a barrier
    will bring back."""

    believed: int
    bound: int
    settled: bool = True
    whole: bool = False
    coming: int = 0


@value
class UnderWay:
    """The newest write under way of a listing, in its units: its form, its number or signed change, what it changes."""

    form: Form
    quantity: int
    delta: int


def holder(
    shown: Shown, have: Exposure, forms: Collection[Form], under_way: UnderWay | None = None, pieces: int = 1
) -> Holder:
    """A listing as a holder of a SKU of which one unit contains so many pieces."""
    believed = shown.believed or 0
    bound = believed if have.bound is None else have.bound
    settled = have.standing is Standing.SETTLED and have.is_known and not shown.in_doubt
    whole = all(form is Form.ABSOLUTE for form in forms)
    coming = 0 if settled else _coming(have, bound, under_way)
    return Holder(believed * pieces, bound * pieces, settled, whole, coming * pieces)


def _coming(have: Exposure, bound: int, under_way: UnderWay | None) -> int:
    """How much of a bound is on its way back: an open lowering, or a number that waits for its barrier."""
    if under_way is not None:
        exact = under_way.form is not Form.ABSOLUTE
        return max(0, -under_way.delta if exact else bound - under_way.quantity)
    if have.proven is None or have.dead_us is not None:
        return 0
    return max(0, bound - max(0, have.proven - have.proven_sold) - have.proven_back)


def goals(total: int, wanted: Mapping[int, int], holders: Mapping[int, Holder]) -> dict[int, int]:
    """The number each listing should be brought to now; the guard (R1) still has the last word on every raise.

    A listing that is not settled stays as it is, and its bound counts in full. An absolute lowering that cannot be
    paid in full becomes a drain: 0 now, its share once that is proven.
    """
    fixed = sum(max(0, one.bound) for one in holders.values() if not one.settled)
    coming = sum(one.coming for one in holders.values() if not one.settled)
    held = {key: max(0, one.bound) for key, one in holders.items() if one.settled}
    whole = {key for key in held if holders[key].whole}
    free = total - fixed
    move = transfer(free, {key: wanted.get(key, 0) for key in held}, held, whole, coming)
    rights = free - sum(held.values()) - sum(move.give.values())
    result = {key: one.believed for key, one in holders.items()}
    for key, more in move.give.items():
        result[key] = more if key in whole else result[key] + more
    for key, back in move.take.items():
        left = max(0, result[key] - back)
        if key in whole and left:
            left = left if left <= rights else 0
            rights -= left
        result[key] = left
    return result
