"""What each channel's documents allow, as arithmetic on their numbers alone: nothing here is measured.

Numbers are those of the channels' fact sheets; `margin` is the share of a rate that the plugin uses, less than 1 where
the channel punishes excess. A full bucket is part of what is allowed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil

FILE_ROWS = 1000
IMPORT_SECONDS = 60.0
"""A shop that takes CSV files names no rate: it takes one file at a time, and so often."""
POLL_SECONDS = 15.0
"""How often its order folder is looked into: what bounds an order file, for which there is no rate either."""
FEED_ROWS, FEEDS_A_WINDOW, WINDOW_SECONDS = 25_000, 5, 300
FEED_TAKES_SECONDS = 17.0
"""The emulator's own time for a feed (that of the one recorded feed): not our time."""
WRITE_POINTS = 11.0
ORDER_POINTS = 71.0
"""Shopify's cost of a write (mutation 10, object 1), and of a page of 25 orders as its emulator charges it."""


@dataclass(frozen=True, slots=True)
class Rate:
    """A token bucket: so many units a second, so many at once, and the share of the rate that is used."""

    per_second: float
    burst: float = 1.0
    margin: float = 1.0

    def seconds(self, units: float) -> float:
        """The least time until so many units have left a full bucket."""
        return max(0.0, (units - self.burst) / (self.per_second * self.margin))

    def slot(self, units: float = 1.0) -> float:
        """The time an empty bucket takes to allow one more call of so many units."""
        return units / (self.per_second * self.margin)


@dataclass(frozen=True, slots=True)
class Allowed:
    """What a channel allows.

    `push` and `read`: number of listings or orders -> seconds until the last of their calls may leave. `slot_seconds`:
    between two calls that a stockout may take. `takes_seconds`: the shop's own time from a call until it shows.
    `how` says the sum in words.
    """

    push: Callable[[int], float]
    read: Callable[[int], float]
    slot_seconds: float
    how: str
    push_takes_seconds: float = 0.0
    stockout_takes_seconds: float = 0.0


RAKUTEN = Rate(1, margin=0.95)
YAHOO = Rate(1, margin=0.95)
AMAZON_PATCH = Rate(5, burst=5)
AMAZON_FEED = Rate(0.0083, burst=15)
AMAZON_SEARCH = Rate(0.0056, burst=20)
SHOPIFY = Rate(100, burst=2000)


def amazon_push(rows: int) -> float:
    """Patches or feeds, whichever is over sooner; a feed is over when Amazon has worked it off."""
    feeds = ceil(rows / FEED_ROWS)
    by_feed = max(AMAZON_FEED.seconds(feeds), (feeds - 1) // FEEDS_A_WINDOW * WINDOW_SECONDS)
    by_patch = AMAZON_PATCH.seconds(rows) - FEED_TAKES_SECONDS
    return min(by_feed, by_patch)


ALLOWED = {
    "rakuten": Allowed(
        push=lambda rows: RAKUTEN.seconds(ceil(rows / 400)),
        read=lambda orders: RAKUTEN.seconds(ceil(orders / 1000) + ceil(orders / 100)),
        slot_seconds=RAKUTEN.slot(),
        how="400 rows a call, 1 call/s × 0.95; searches of 1,000 and details of 100 orders share 1 call/s × 0.95",
    ),
    "yahoo-shopping": Allowed(
        push=lambda rows: YAHOO.seconds(ceil(rows / 1000)),
        read=YAHOO.seconds,
        slot_seconds=YAHOO.slot(),
        how="1,000 rows a call, 1 call/s × 0.95; one call an order, 1 call/s × 0.95",
    ),
    "amazon": Allowed(
        push=amazon_push,
        read=lambda orders: AMAZON_SEARCH.seconds(ceil(orders / 100)),
        slot_seconds=AMAZON_PATCH.slot(),
        how="25,000 rows a feed, 5 feeds in any 5 min (and 15 at once, then 0.0083/s), or patches at 5/s, whichever is "
        "sooner; 100 orders a search, 20 at once, then 0.0056/s",
        push_takes_seconds=FEED_TAKES_SECONDS,
    ),
    "shopify": Allowed(
        push=lambda rows: SHOPIFY.seconds(ceil(rows / 250) * WRITE_POINTS),
        read=lambda orders: SHOPIFY.seconds(ceil(orders / 25) * ORDER_POINTS),
        slot_seconds=SHOPIFY.slot(WRITE_POINTS),
        how="250 rows for 11 points, 25 orders for 71; 2,000 points at once, then 100/s",
    ),
    "files": Allowed(
        push=lambda rows: (ceil(rows / FILE_ROWS) - 1) * IMPORT_SECONDS,
        read=lambda orders: POLL_SECONDS,
        slot_seconds=IMPORT_SECONDS,
        how=f"{FILE_ROWS:,} rows a file, one file in {IMPORT_SECONDS:.0f} s (how often this shop imports); "
        f"orders lie in one file, looked for every {POLL_SECONDS:.0f} s",
        push_takes_seconds=IMPORT_SECONDS,
        stockout_takes_seconds=IMPORT_SECONDS,
    ),
}  # fmt: skip
