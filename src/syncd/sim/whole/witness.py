"""The world of a play: it tells the trace of every sale, change and write, and keeps what the daemon decided."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from syncd.model import to_us
from syncd.sdk.channel import Form
from syncd.sim.whole.trace import Trace
from syncd.testing.world import Market, Sent, TruthListing, TruthOrder, World

MOST_DECISIONS = 10_000


class Witness(World):
    """The truth, with a trace of how it came about."""

    def __init__(self, now: Callable[[], datetime], trace: Trace) -> None:
        super().__init__(now)
        self.trace = trace
        self.decisions: list[str] = []
        self.stale_skus: list[str] = []

    def note_sale(self, market: Market, order: TruthOrder) -> None:
        super().note_sale(market, order)
        self._tell(market, order, "sold")

    def note_change(self, market: Market, order: TruthOrder) -> None:
        super().note_change(market, order)
        self._tell(market, order, "changed")

    def note_delivered(self, market: Market, order: TruthOrder) -> None:
        super().note_delivered(market, order)
        self._tell(market, order, "read")

    def _tell(self, market: Market, order: TruthOrder, what: str) -> None:
        lines = " ".join(
            f"{one.listing} {one.ordered}-{one.cancelled} shipped {one.shipped}-{one.returned},"
            f" shows {market.listings[one.listing].shown}"
            for one in order.lines
        )
        skus = {sku for one in order.lines for sku in self.pieces(market.listings[one.listing].sku)}
        self.trace(f"{market.name} {order.number} {what}: {lines}", sorted(skus))

    def judge_write(
        self,
        market: Market,
        listing: TruthListing,
        form: Form,
        before: int,
        expected: int | None,
        sent: Sent | None = None,
    ) -> None:
        known = len(self.stale)
        super().judge_write(market, listing, form, before, expected, sent)
        skus = sorted(self.pieces(listing.sku))
        self.trace(f"{market.name} {listing.key} written {form}: {before} -> {listing.shown}", skus)
        if len(self.stale) > known:
            self.stale_skus.append(skus[0])
        if len(self.decisions) < MOST_DECISIONS:
            moment = to_us(self.now() if sent is None else sent.at) / 1e6
            self.decisions.append(f"{moment:.6f} {market.name} {listing.key} {form} {listing.shown}")
