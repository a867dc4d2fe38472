"""Policies and sales of a play: set as staff sets them, and what escrow promises of them, seen from outside.

A SKU in escrow, by its policy or for its sale, is watched from the moment when its pages show no more than there is,
and the daemon sees no reason why that could not be guaranteed. From then on (in a sale, until it ends) all pages
together must never show more than there is, orders that nobody has read included, unless somebody else breaks one of
the four conditions of the guarantee.

The bounds of a watched SKU together must stay within what the ledger has, but for units that malls put back: such a
unit may be counted twice, by a read of its page and by the booking of its cancel, until the next proof. That is safe:
a bound too high gives nothing away (R1), and what is there was put back, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from sqlalchemy import Connection

from syncd.daemon.desk_policies import PolicyItem, PolicyView, describe, set_policies
from syncd.sim.outcome import Broken
from syncd.sim.whole.life import Life
from syncd.sim.whole.staff import WHO, Staff
from syncd.sim.whole.witness import Witness
from syncd.store import stock

ESCROW = "escrow"


@dataclass(slots=True)
class Rights:
    """SKUs that are not simply mirrored. `sales`: begin and end in microseconds. `watched` are those whose pages must
    stay within what there is, with the pieces that malls had put back before. `begun` are the sales that have begun,
    `unready` those of them whose SKU was not watched by then.
    """

    world: Witness
    life: Life
    staff: Staff
    policies: Mapping[str, str]
    sales: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    watched: dict[str, int] = field(default_factory=dict)
    begun: set[str] = field(default_factory=set)
    unready: set[str] = field(default_factory=set)

    async def say(self) -> None:
        """Set every policy and sale; again, where nobody knows whether it was kept."""
        skus = sorted({*self.policies, *self.sales})
        if not skus or not self.life.alive:
            return
        items = [PolicyItem(sku, self.policies.get(sku, ""), self.sales.get(sku)) for sku in skus]
        facts, now_us = self.life.hub.facts, self.life.clock.now_us()
        await self.staff.kept(lambda conn: set_policies(conn, facts, items, now_us, WHO))

    def at_once(self) -> list[Broken]:
        """Pages of watched SKUs that together show more than there is."""
        self._follow_sales()
        return [
            Broken(what=f"{sku} in escrow: its pages show {shown}, there are {free}", sku=sku)
            for sku in sorted(self.watched)
            if self._is_whole(sku) and (shown := self._shown(sku)) > (free := self.world.there_are(sku))
        ]

    def _follow_sales(self) -> None:
        now_us = self.life.clock.now_us() if self.sales else 0
        for sku, (begins, ends) in self.sales.items():
            if begins <= now_us and sku not in self.begun:
                self.begun.add(sku)
                self.unready |= {sku} - self.watched.keys()
            if ends <= now_us and self.policies.get(sku) != ESCROW:
                self.watched.pop(sku, None)

    def look(self, conn: Connection) -> list[Broken]:
        """Watch what is within its rights (R1) from now on, and tell of bounds that have grown above what there is."""
        skus = sorted(sku for sku in {*self.policies, *self.sales} if sku in self.watched or self._may_be_watched(sku))
        found: list[Broken] = []
        for view in self._views(conn, skus):
            bound, free = _bound(view), _free(conn, view.id)
            back = self._put_back(view.sku)
            if view.sku not in self.watched:
                within = bound <= free and self._shown(view.sku) <= self.world.there_are(view.sku)
                if view.in_escrow and not view.reasons and within:
                    self.watched[view.sku] = back
            elif (
                self._is_whole(view.sku) and self._is_proven(view.sku) and bound > free + back - self.watched[view.sku]
            ):
                what = f"{view.sku} in escrow: bounds {bound}, there are {free}, put back {back}"
                found.append(Broken(what=what, sku=view.sku))
        return found

    def _may_be_watched(self, sku: str) -> bool:
        return self.policies.get(sku) == ESCROW or (sku in self.sales and self.life.clock.now_us() < self.sales[sku][1])

    def _views(self, conn: Connection, skus: list[str]) -> Iterable[PolicyView]:
        if not skus:
            return ()
        ids = stock.sku_ids(conn, skus)
        return describe(conn, self.life.hub.facts, sorted(ids.values()), self.life.clock.now_us())

    def _is_whole(self, sku: str) -> bool:
        """Whether nobody has broken a condition for a SKU."""
        return not self.world.blames.ever.get(sku)

    def _is_proven(self, sku: str) -> bool:
        """Whether the ledger knows of all that was there when rights were given: no piece was found missing that the
        world does not know of yet, and no backup was put back that lacks arrivals or orders.
        """
        return not self.staff.missing[sku] and self.life.clock.monotonic() >= self.life.unproven_until

    def _shown(self, sku: str) -> int:
        return sum(
            max(0, listing.shown) * listing.pack * each
            for market in self.world.markets.values()
            for listing in market.listings.values()
            if (each := self.world.pieces(listing.sku)[sku])
        )

    def _put_back(self, sku: str) -> int:
        """Pieces of cancelled and returned orders that malls have put on sale again."""
        return sum(
            line.restocked * market.listings[line.listing].pack * each
            for market in self.world.markets.values()
            for order in market.orders.values()
            for line in order.lines
            if line.restocked and (each := self.world.pieces(market.listings[line.listing].sku)[sku])
        )


def _bound(view: PolicyView) -> int:
    return sum((one.row.exposure or 0) * one.pieces for one in view.listings)


def _free(conn: Connection, sku_id: int) -> int:
    balances = stock.load_balances(conn, [sku_id]).get(sku_id, {})
    return sum(one.on_hand - one.ordered - one.allocated for one in balances.values())
