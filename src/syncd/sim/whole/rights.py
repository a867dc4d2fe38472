"""Policies of a play: set as staff sets them, and what escrow promises of them, seen from outside.

A SKU that is said to be in escrow is watched from the moment when its pages show no more than there is, and the daemon
sees no reason why that could not be guaranteed. From then on all pages together must never show more than there is,
orders that nobody has read included, unless somebody else breaks one of the four conditions of the guarantee.
"""

from __future__ import annotations

from collections.abc import Mapping
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
    """SKUs that are not simply mirrored. `watched` are those in escrow whose pages must stay within what there is."""

    world: Witness
    life: Life
    staff: Staff
    policies: Mapping[str, str]
    watched: set[str] = field(default_factory=set)

    async def say(self) -> None:
        """Set every policy; again, where nobody knows whether it was kept."""
        if not self.policies or not self.life.alive:
            return
        items = [PolicyItem(sku, policy) for sku, policy in sorted(self.policies.items())]
        facts, now_us = self.life.hub.facts, self.life.clock.now_us()
        await self.staff.kept(lambda conn: set_policies(conn, facts, items, now_us, WHO))

    def at_once(self) -> list[Broken]:
        """Pages of watched SKUs that together show more than there is."""
        return [
            Broken(what=f"{sku} in escrow: its pages show {shown}, there are {free}", sku=sku)
            for sku in sorted(self.watched)
            if self._is_whole(sku) and (shown := self._shown(sku)) > (free := self.world.there_are(sku))
        ]

    def look(self, conn: Connection) -> None:
        """Watch what is within its rights (R1) from now on. A bound above them later is no fault: bounds are high
        where a unit was put back and nobody knows yet whether it was read or booked; then nothing is raised.
        """
        escrowed = sorted(sku for sku, policy in self.policies.items() if policy == ESCROW and sku not in self.watched)
        if not escrowed:
            return
        ids = stock.sku_ids(conn, escrowed)
        for view in describe(conn, self.life.hub.facts, sorted(ids.values()), self.life.clock.now_us()):
            within = _bound(view) <= _free(conn, view.id) and self._shown(view.sku) <= self.world.there_are(view.sku)
            if view.in_escrow and not view.reasons and within:
                self.watched.add(view.sku)

    def _is_whole(self, sku: str) -> bool:
        """Whether nobody has broken a condition for a SKU."""
        return not self.world.blames.ever.get(sku)

    def _shown(self, sku: str) -> int:
        return sum(
            max(0, listing.shown) * listing.pack * each
            for market in self.world.markets.values()
            for listing in market.listings.values()
            if (each := _pieces_in(self.world.parts, listing.sku, sku))
        )


def _pieces_in(parts: Mapping[str, Mapping[str, int]], sku: str, plain: str) -> int:
    """Pieces of a plain SKU in one of a SKU. Asked of every listing after every event, so nothing is built for it."""
    inside = parts.get(sku)
    if inside is None:
        return int(sku == plain)
    return sum(_pieces_in(parts, one, plain) * count for one, count in inside.items())


def _bound(view: PolicyView) -> int:
    return sum((one.row.exposure or 0) * one.pieces for one in view.listings)


def _free(conn: Connection, sku_id: int) -> int:
    balances = stock.load_balances(conn, [sku_id]).get(sku_id, {})
    return sum(one.on_hand - one.ordered - one.allocated for one in balances.values())
