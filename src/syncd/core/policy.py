"""By which policy a SKU is shown: mirrored, mirrored less a reserve, or in escrow. Pure; asked at every booking.

    m = units expected to be sold unseen (`core/demand.py`)         L = free stock

    m < 0.3                        MIRROR    shows L
    m >= 0.3                       RESERVE   shows L − floor(m + 2 √m)
    ... and L <= 3m + 4 √m + 2     ESCROW    each listing shows its share (`core/shares.py`), every raise booked first

The reserve is for X ~ Poisson(m) units sold between the last piece and the last page: E[(X − reserve)+] is what a
stockout oversells. Escrow needs no luck at all, and costs idle pieces; so it takes over when the stock is low
enough for the reserve to bite. What is entered at one line is left at another, lower or higher by a factor, and
not before HOLD has passed: modes do not flap. In every mode low stock (L <= max(3, 2m)) jumps the queue, and its
listings are watched by reading their numbers back.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from syncd.core.values import value

ENTER_RESERVE = 0.3
LEAVE_RESERVE = 0.15
LEAVE_ESCROW = 1.5
"""Escrow is left when the stock is so many times what would enter it, or m falls under LEAVE_RESERVE."""
HOLD_US = 120_000_000
LOW_STOCK = 3


class PolicyError(ValueError):
    """A policy that cannot be: the text says what may be written instead."""


class Kind(StrEnum):
    """What an operator chooses for a SKU (在庫連動の方式)."""

    AUTO = "auto"
    MIRROR = "mirror"
    ESCROW = "escrow"


class Mode(StrEnum):
    """How a SKU is shown at this moment."""

    MIRROR = "mirror"
    RESERVE = "reserve"
    ESCROW = "escrow"


@dataclass(frozen=True, slots=True)
class Policy:
    """The operator's word on one SKU. `reserve` goes with MIRROR only.

    A sale (セール) is escrow from `sale_from_us` to `sale_until_us` whatever `kind` says; the shops are drained in
    before it begins and out after it ended (`decide`).
    """

    kind: Kind = Kind.AUTO
    reserve: int = 0
    sale_from_us: int | None = None
    sale_until_us: int | None = None

    def __post_init__(self) -> None:
        if self.reserve < 0 or (self.reserve and self.kind is not Kind.MIRROR):
            raise PolicyError("a reserve is 0 or more and goes with mirror only: mirror+reserve 2")
        if (self.sale_from_us is None) != (self.sale_until_us is None):
            raise PolicyError("a sale has both a start and an end")
        if self.sale_from_us is not None and self.sale_until_us is not None and self.sale_from_us >= self.sale_until_us:
            raise PolicyError("a sale ends after it starts")

    def __str__(self) -> str:
        return f"{self.kind}+reserve {self.reserve}" if self.reserve else str(self.kind)


AUTO = Policy()


def parse(text: str) -> Policy:
    """A policy as an operator writes it: auto, mirror, mirror+reserve 2, escrow. Raises PolicyError."""
    kind, plus, rest = "".join(text.split()).lower().partition("+reserve")
    if kind not in list(Kind):
        raise PolicyError(f"no policy {text!r}; there are: auto, mirror, mirror+reserve N, escrow")
    if not plus:
        return Policy(Kind(kind))
    if not rest.isascii() or not rest.isdigit():
        raise PolicyError(f"a reserve is a whole number: mirror+reserve 2, not {text!r}")
    return Policy(Kind(kind), int(rest))


def reserve_of(m: float) -> int:
    """Pieces to keep back while so many are expected to be sold unseen: floor(m + 2 √m)."""
    return math.floor(m + 2.0 * math.sqrt(m)) if m > 0.0 else 0


def escrow_at(m: float) -> float:
    """Free stock at or under which a hot SKU goes into escrow: 3m + 4 √m + 2."""
    return 3.0 * m + 4.0 * math.sqrt(m) + 2.0


def is_low(free: int, m: float) -> bool:
    """Whether the next few sales may be the last: then pushes jump the queue and numbers are read back."""
    return free <= max(LOW_STOCK, 2.0 * m)


@value
class Decision:
    """How a SKU is shown. Mirrored listings show free stock less `reserve`, by the rule chain; in escrow the
    guard holds the sum of all exposures at or under free stock less `reserve`.

    `jumps`: its pushes travel in the stockout lane. `watched`: its listings are read back in short turns.
    `since_us`: when the mode began. `sale`: the mode comes from a sale, or from bringing one in or out.
    """

    mode: Mode = Mode.MIRROR
    reserve: int = 0
    jumps: bool = False
    watched: bool = False
    since_us: int = 0
    sale: bool = False

    def shown(self, free: int) -> int:
        """What a mirrored listing may show of so much free stock; in escrow, what all may show together."""
        return max(0, free - self.reserve)


UNDECIDED = Decision()


def in_sale(policy: Policy, now_us: int, drain_us: int) -> bool:
    """Whether a SKU is in escrow for its sale: from so long before the start until so long after the end.

    `drain_us`: how long the slowest shop needs until a lowered number is proven (call, application, barrier). After
    the end the same time passes until all that was sold in the sale is booked.
    """
    if policy.sale_from_us is None or policy.sale_until_us is None:
        return False
    return policy.sale_from_us - drain_us <= now_us < policy.sale_until_us + drain_us


def decide(
    policy: Policy, free: int, m: float, now_us: int, before: Decision = UNDECIDED, *, drain_us: int = 0
) -> Decision:
    """How to show a SKU now. `before` is the last decision (it makes modes stick), `drain_us` see `in_sale`."""
    low = is_low(free, m)
    if in_sale(policy, now_us, drain_us):
        return _in(Mode.ESCROW, 0, low, now_us, before, sale=True)
    if policy.kind is Kind.ESCROW:
        return _in(Mode.ESCROW, 0, low, now_us, before)
    if policy.kind is Kind.MIRROR:
        return _in(Mode.RESERVE if policy.reserve else Mode.MIRROR, policy.reserve, low, now_us, before)
    mode = _automatic(free, m, now_us, before)
    return _in(mode, reserve_of(m) if mode is Mode.RESERVE else 0, low, now_us, before)


def _in(mode: Mode, reserve: int, low: bool, now_us: int, before: Decision, *, sale: bool = False) -> Decision:
    since_us = before.since_us if before.mode is mode else now_us
    return Decision(mode, reserve, low and mode is not Mode.ESCROW, low, since_us, sale)


def _automatic(free: int, m: float, now_us: int, before: Decision) -> Mode:
    """The table above, with the lines of the mode we are in moved out by the hysteresis."""
    held = before.sale is False and now_us - before.since_us < HOLD_US
    line = escrow_at(m)
    if before.mode is Mode.ESCROW:
        if held or (m >= LEAVE_RESERVE and free <= LEAVE_ESCROW * line):
            return Mode.ESCROW
    elif m >= ENTER_RESERVE and free <= line:
        return Mode.ESCROW  # never waits: the stock will not
    if before.mode is Mode.MIRROR:
        return Mode.RESERVE if m >= ENTER_RESERVE else Mode.MIRROR
    if m >= LEAVE_RESERVE or (before.mode is Mode.RESERVE and held):
        return Mode.RESERVE
    return Mode.MIRROR


def next_change_us(policy: Policy, now_us: int, before: Decision = UNDECIDED, *, drain_us: int = 0) -> int | None:
    """The next time at which `decide` must be asked although nothing happened; None if there is none."""
    times = []
    if policy.sale_from_us is not None and policy.sale_until_us is not None:
        times += [policy.sale_from_us - drain_us, policy.sale_until_us + drain_us]
    if policy.kind is Kind.AUTO and before.mode is not Mode.MIRROR:
        times.append(max(before.since_us + HOLD_US, now_us + HOLD_US // 2))
    return min((at for at in times if at > now_us), default=None)
