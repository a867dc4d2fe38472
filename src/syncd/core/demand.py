"""How fast a listing sells and how long we are blind to it: m = rate × blind window, in units sold unseen.

Rates come from the orders we book, never from settings. For each listing three counters are kept, one a window
(30 s, 2 min, 24 h). Each is a sum of units that fades by exp(−age / τ) with τ = half the window, so

    rate = counter / τ        unbiased for a steady rate r once a few τ are seen; relative error 1 / √(r × window),
                              the same as that of a flat window of that width; it lags a jump by τ

Four numbers a listing, whatever it sells. A single order makes a short counter look like a burst: of n units in a
short window only n − 1 say anything about a rate, so short windows count by (n − 1) / n (`expected_blind`).

The blind window of a shop is the sum of four lags, each measured into a small histogram (`Lag`): from acceptance
to the order being readable, from there to our read, from the wish to the call, from the call to the page.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from syncd.core.values import value

WINDOWS_SECONDS = (30.0, 120.0, 86_400.0)
_TAUS = tuple(window / 2.0 for window in WINDOWS_SECONDS)
_SHORT, _MIDDLE, _LONG = _TAUS
_FADED = 60.0
"""After so many τ nothing of a counter is left that a float could tell from 0."""


@value
class Demand:
    """What a listing sold lately, in its own units: three fading sums, as they stood at `at_us`."""

    at_us: int = 0
    short: float = 0.0
    middle: float = 0.0
    day: float = 0.0
    largest: float = 0.0  # units of the largest order lately, fading like the middle sum

    def faded(self, now_us: int) -> tuple[float, float, float]:
        """The three sums as they stand now. A clock that ran backwards changes nothing."""
        age = (now_us - self.at_us) / 1e6
        if age <= 0.0:
            return self.short, self.middle, self.day
        middle = self.middle * math.exp(-age / _MIDDLE) if age < _FADED * _MIDDLE else 0.0
        short = self.short * math.exp(-age / _SHORT) if age < _FADED * _SHORT else 0.0
        return short, middle, self.day * math.exp(-age / _LONG)

    def rates(self, now_us: int) -> tuple[float, float, float]:
        """Units a second over the three windows."""
        short, middle, day = self.faded(now_us)
        return short / _SHORT, middle / _MIDDLE, day / _LONG

    def times(self, pieces: int) -> Demand:
        """The same in pieces, where a unit contains so many."""
        if pieces == 1:
            return self
        return Demand(self.at_us, *(pieces * one for one in (self.short, self.middle, self.day, self.largest)))


NO_DEMAND = Demand()


def seen(demand: Demand, units: int, now_us: int, sold_us: int | None = None) -> Demand:
    """So many units were booked now, sold at `sold_us` where that is known. Called once a booked line, for no cancel.

    Orders that waited through an outage count as old as they are: they are no burst.
    """
    short, middle, day = demand.faded(now_us)
    age = 0.0 if sold_us is None else max(0.0, (now_us - sold_us) / 1e6)
    fresh = [units * math.exp(-age / tau) if age < _FADED * tau else 0.0 for tau in _TAUS]
    largest = demand.largest * (middle / demand.middle) if demand.middle > 0.0 else 0.0
    return Demand(
        max(now_us, demand.at_us), short + fresh[0], middle + fresh[1], day + fresh[2], max(largest, fresh[1])
    )


@value
class Seller:
    """One listing as a consumer of one SKU: its demand, its pieces of the SKU a unit, its shop's blind window."""

    demand: Demand
    blind_seconds: float
    pieces: int = 1


def expected_blind(sellers: Iterable[Seller], now_us: int) -> float:
    """m of one SKU: pieces expected to be sold unseen over all its listings, by the window that says most."""
    short_pieces = short_blind = middle_pieces = middle_blind = day_blind = one_order = 0.0
    for seller in sellers:
        short, middle, day = seller.demand.faded(now_us)
        pieces, blind = seller.pieces, seller.pieces * seller.blind_seconds
        short_pieces += short * pieces
        short_blind += short * blind
        middle_pieces += middle * pieces
        middle_blind += middle * blind
        day_blind += day * blind
        one_order = max(one_order, seller.demand.largest * pieces)
    return max(
        _of_a_burst(short_blind / _SHORT, short_pieces, one_order),
        _of_a_burst(middle_blind / _MIDDLE, middle_pieces, one_order),
        day_blind / _LONG,
    )


def _of_a_burst(blind: float, pieces: float, one_order: float = 1.0) -> float:
    """The order that opens a window says nothing about a rate, however many pieces it takes."""
    least = max(1.0, one_order)
    return blind * (1.0 - least / pieces) if pieces > least else 0.0


USUAL_UNITS = 40.0
LATELY = 1.0


def weights(demands: Mapping[int, Demand], usual: Mapping[int, float], now_us: int) -> dict[int, float]:
    """How a SKU's demand divides over its listings, summing to 1.

    Units sold in the last 24 h, those of the last two minutes twice; and the usual shares of the shops
    (`usual`, any scale) as if they were forty more units. Without these a SKU's first orders, which come from the
    shops that are read fastest, would draw all rights there.
    """
    own = {}
    for key, demand in demands.items():
        _, middle, day = demand.faded(now_us)
        own[key] = day + LATELY * middle
    all_own, all_usual = sum(own.values()), sum(usual.get(key, 0.0) for key in demands)
    even = 1.0 / max(1, len(demands))
    return {
        key: (units + USUAL_UNITS * (usual.get(key, 0.0) / all_usual if all_usual > 0 else even))
        / (all_own + USUAL_UNITS)
        for key, units in own.items()
    }


# --- the blind window -------------------------------------------------------------------------------------------

_FIRST = 0.25
_STEP = 2.0**0.5
_BUCKETS = 34
_BOUNDS = tuple(_FIRST * _STEP**i for i in range(_BUCKETS))
FORGETS_AFTER = 512
TRUSTED_AFTER = 20


@dataclass(slots=True)
class Lag:
    """A measured delay: a histogram of 34 steps of √2 from 0.25 s to 6.5 h; old samples count half every 512.

    A quantile is the upper bound of its step: at most 41 % too long, never too short for what was measured.
    """

    counts: list[int] = field(default_factory=lambda: [0] * _BUCKETS)
    total: int = 0

    def add(self, seconds: float) -> None:
        """One sample. Negative ones (a shop's clock runs ahead) count as 0."""
        place = 0 if seconds <= _FIRST else min(_BUCKETS - 1, math.ceil(2.0 * math.log2(seconds / _FIRST) - 1e-9))
        self.counts[place] += 1
        self.total += 1
        if self.total > FORGETS_AFTER:
            self.counts = [count // 2 for count in self.counts]
            self.total = sum(self.counts)

    def quantile(self, share: float, otherwise: float) -> float:
        """Seconds that so large a share of the samples did not exceed; `otherwise` until 20 were measured."""
        if self.total < TRUSTED_AFTER:
            return otherwise
        wanted, reached = share * self.total, 0
        for bound, count in zip(_BOUNDS, self.counts, strict=True):
            reached += count
            if reached >= wanted:
                return bound
        return _BOUNDS[-1]


@dataclass(slots=True)
class Lags:
    """The four parts of one shop's blind window."""

    visibility: Lag = field(default_factory=Lag)  # accepted -> could first be read
    poll: Lag = field(default_factory=Lag)  # could be read -> was read
    queue: Lag = field(default_factory=Lag)  # wished -> sent
    apply: Lag = field(default_factory=Lag)  # sent -> shown

    def parts(self) -> Sequence[Lag]:
        return self.visibility, self.poll, self.queue, self.apply


@dataclass(frozen=True, slots=True)
class Assumed:
    """The same four parts before anything was measured, from the channel's capabilities and our settings."""

    visibility: float
    poll: float
    queue: float
    apply: float


USUAL = 0.95


def blind_seconds(lags: Lags, assumed: Assumed, share: float = USUAL) -> float:
    """W of one shop: the longest usual time from a sale there to the page that follows it, in seconds.

    A sum of quantiles is at least the quantile of the sum for lags that move together, and errs long otherwise.
    """
    guesses = (assumed.visibility, assumed.poll, assumed.queue, assumed.apply)
    return sum(lag.quantile(share, guess) for lag, guess in zip(lags.parts(), guesses, strict=True))
