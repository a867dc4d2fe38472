"""The desk (受付): what staff do with stock, mappings and orders, as the admin API, the console and the CLI call it.

What a shop must be asked for is read first; then every change is one transaction of plain functions
(`desk_stock`, `desk_skus`, `desk_listings`, `desk_orders`), and strictly after it the writers are woken. A preview
runs the very same functions and rolls back. Long openings go in runs of SKUs, each whole or not at all.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from typing import Any, TypeVar

from sqlalchemy import Connection

from syncd.core.matching import Match
from syncd.daemon import (
    desk_holds,
    desk_listings,
    desk_opening,
    desk_orders,
    desk_policies,
    desk_proposals,
    desk_returns,
    desk_shipments,
    desk_skus,
    desk_stock,
    desk_why,
)
from syncd.daemon.desk_answers import Done, NotFound, Refused, names, shop_facts
from syncd.daemon.desk_holds import Given
from syncd.daemon.desk_listings import ListingItem
from syncd.daemon.desk_opening import Number, Opening, Reading
from syncd.daemon.desk_policies import PolicyItem
from syncd.daemon.desk_returns import ReturnItem, Verdict
from syncd.daemon.desk_shipments import ShipmentItem
from syncd.daemon.desk_skus import RuleItem, SkuItem
from syncd.daemon.desk_stock import Item
from syncd.daemon.desk_why import Why
from syncd.daemon.facts import Facts
from syncd.daemon.hub import Hub, Shop
from syncd.sdk.channel import Form, ListingInfo, Quantity
from syncd.store.engine import Priority

RUN = 500
MOST_READ = 500
T = TypeVar("T")
Change = Callable[[Connection, Facts, int], Done]


class _Rehearsed(Exception):
    """Rolls a preview back; carries what it would have done."""

    def __init__(self, done: Done) -> None:
        super().__init__("a preview")
        self.done = done


class Desk:
    """One desk for a running daemon, or for the CLI over a store of its own."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub

    async def change(
        self, fn: Change, *, preview: bool = False, facts: Facts | None = None, priority: Priority = Priority.NORMAL
    ) -> Done:
        """Run one change in a transaction and wake the writers after it; a preview is rolled back.

        A preview counts its own copy of what the brake saw, or asking would bring the brake on.
        """
        hub = self.hub
        if facts is None:
            facts = _rehearsal(hub.facts) if preview else hub.facts
        now_us = hub.clock.now_us()

        def run(conn: Connection) -> Done:
            done = fn(conn, facts, now_us)
            if preview:
                raise _Rehearsed(done)
            return done

        try:
            done = await hub.store.tx(run, priority=priority)
        except _Rehearsed as rehearsed:
            return rehearsed.done
        hub.wake_writers(done.refreshed)
        return done

    def shop(self, name: str) -> Shop:
        """A loaded shop with its channel."""
        shop = self.hub.shops.get(shop_facts(self.hub.facts, name).id)
        if shop is None:
            raise NotFound(f"shop {name} is not loaded; see syncd shops", "shop")
        return shop

    # -- stock -----------------------------------------------------------------------------------------------

    async def set_stock(self, items: Sequence[Item], who: str, note: str = "", *, preview: bool = False) -> Done:
        """Sellable numbers now."""
        if twice := [
            code for (code, _), times in Counter((one.sku, one.location) for one in items).items() if times > 1
        ]:
            raise Refused(f"SKU named twice: {names(twice)}", "items")
        return await self._in_runs(
            items, lambda conn, facts, some, now: desk_stock.open_stock(conn, facts, some, now, who, note), preview
        )

    async def count(self, items: Sequence[Item], who: str, note: str = "") -> Done:
        """Numbers on the shelf, now or at a time."""
        return await self.change(lambda conn, facts, now: desk_stock.count_stock(conn, facts, items, now, who, note))

    async def adjust(self, items: Sequence[Item], who: str, note: str = "", key: str = "") -> Done:
        """Pieces more or less."""
        return await self.change(
            lambda conn, facts, now: desk_stock.adjust_stock(conn, facts, items, now, who, note, key)
        )

    async def open_from(self, shop_names: Sequence[str], who: str, note: str = "", *, preview: bool = False) -> Done:
        """Open every SKU at what these shops show, added up."""
        if len(set(shop_names)) != len(shop_names) or not shop_names:
            raise Refused("name each shop once", "sum_shops")
        readings = [await self.read_numbers(self.shop(name)) for name in shop_names]
        openings, done = await self.hub.store.read(lambda conn: desk_opening.gather(conn, readings))
        done.notes += [
            f"no listing of {one.shop.name} has a SKU yet: syncd listings import --shop {one.shop.name}"
            for one in readings
            if not one.listings
        ]
        said = note or f"from {' + '.join(shop_names)}"

        def run(conn: Connection, facts: Facts, some: Sequence[Opening], now_us: int) -> Done:
            return desk_opening.open_from_shops(conn, facts, some, now_us, who, said)

        done.add(await self._in_runs(openings, run, preview))
        for name in shop_names if not preview else ():
            self.shop(name).reconcile_wake.set()
        return done

    async def read_numbers(self, shop: Shop) -> Reading:
        """What a shop shows for its mapped listings. Raises a ChannelError where it cannot be read."""
        if shop.capabilities.quantity is Quantity.ON_HAND:
            raise Refused(
                f"{shop.name} shows pieces on hand, not sellable ones: open from a file or another shop", "shop"
            )
        rows = await self.hub.store.read(lambda conn: desk_opening.to_open(conn, shop.facts))
        reading = Reading(shop.facts, rows)
        if not shop.capabilities.reads_stock:
            return await self._read_list(shop, reading)
        size = max(1, min(shop.capabilities.read_rows, MOST_READ))
        for start in range(0, len(rows), size):
            some = rows[start : start + size]
            began_us = self.hub.clock.now_us()
            answer = await shop.running.read_stock([row.key for row in some])
            ended_us = self.hub.clock.now_us()
            reading.numbers |= {
                row.id: Number(answer[row.key], began_us, ended_us) for row in some if row.key in answer
            }
        return reading

    async def _read_list(self, shop: Shop, reading: Reading) -> Reading:
        """The numbers that stand in a shop's list of listings, where single ones cannot be read."""
        if not shop.capabilities.lists_listings:
            raise Refused(f"{shop.name} does not tell its numbers: open from a file or another shop", "shop")
        began_us = self.hub.clock.now_us()
        infos = await self.list_listings(shop)
        ended_us = self.hub.clock.now_us()
        shown = {shop.facts.key(info.key): info for info in infos}
        if infos and all(info.quantity is None for info in infos):
            raise Refused(f"{shop.name} does not tell its numbers: open from a file or another shop", "shop")
        for row in reading.listings:
            info = shown.get(row.key)
            if info is not None:
                reading.numbers[row.id] = Number(info.quantity if info.counted else None, began_us, ended_us)
        return reading

    async def _in_runs(
        self, items: Sequence[T], fn: Callable[[Connection, Facts, Sequence[T], int], Done], preview: bool
    ) -> Done:
        """Many independent changes in runs, so that bookings get in between. A mistake in any run stops them all."""
        if not preview and len(items) > RUN:
            await self._in_runs(items, fn, preview=True)
        done = Done()
        facts = _rehearsal(self.hub.facts) if preview else self.hub.facts
        for start in range(0, len(items), RUN):
            some = items[start : start + RUN]
            done.add(await self.change(_bound(fn, some), preview=preview, facts=facts, priority=Priority.BACKGROUND))
        return done

    # -- SKUs, rules, listings ------------------------------------------------------------------------------------

    async def save_skus(self, items: Sequence[SkuItem], who: str) -> Done:
        """Create or change SKUs and bundles."""
        return await self.change(lambda conn, facts, now: desk_skus.save_skus(conn, facts, items, now, who))

    async def set_rules(self, items: Sequence[RuleItem], who: str) -> Done:
        """Set or take away rules."""
        return await self.change(lambda conn, facts, now: desk_skus.set_rules(conn, facts, items, now, who))

    async def set_policies(self, items: Sequence[PolicyItem], who: str) -> Done:
        """Set or take away policies and sales."""
        return await self.change(lambda conn, facts, now: desk_policies.set_policies(conn, facts, items, now, who))

    async def save_listings(
        self, shop: str, items: Sequence[ListingItem], who: str, *, create_skus: bool = False, preview: bool = False
    ) -> Done:
        """Import or change listings; the new ones are read back soon."""
        done = await self.change(
            lambda conn, facts, now: desk_listings.save_listings(
                conn, facts, shop, items, now, who, create_skus=create_skus
            ),
            preview=preview,
        )
        running = self.hub.shops.get(shop_facts(self.hub.facts, shop).id)
        if running is not None and not preview:
            running.reconcile_wake.set()
        return done

    async def list_listings(self, shop: Shop) -> list[ListingInfo]:
        """Every listing a shop has. Raises a ChannelError where it cannot be read."""
        if not shop.capabilities.lists_listings:
            raise Refused(f"{shop.name} cannot list its listings: import them from a file", "shop")
        return await shop.running.list_listings()

    async def fetch_listings(
        self, name: str, match_by: str, who: str, *, preview: bool, accept: Set[Match] = frozenset()
    ) -> tuple[list[dict[str, Any]], Done]:
        """Propose a mapping for every listing of a shop; without preview what is equal, or accepted, is saved."""
        shop = self.shop(name)
        infos = await self.list_listings(shop)
        facts = self.hub.facts
        proposals = await self.hub.store.read(lambda conn: desk_proposals.propose(conn, facts, name, infos, match_by))
        items = desk_proposals.accepted(proposals, accept)
        done = await self.save_listings(name, items, who, preview=preview) if items else Done()
        if not preview:
            now_us = self.hub.clock.now_us()
            await self.hub.store.tx(lambda conn: desk_proposals.keep_facts(conn, facts, name, infos, now_us))
        done.notes += desk_proposals.left_over(name, proposals, accept)
        return proposals, done

    async def set_listing_options(self, name: str, key: str, options: Mapping[str, str], who: str) -> Done:
        """Set options of a listing at its shop, e.g. lead times. Raises a ChannelError where the shop fails."""
        shop = self.shop(name)
        key = shop.facts.key(key)
        await self.hub.store.read(lambda conn: desk_listings.check_options(conn, shop, key, options))
        await shop.running.set_listing_options(key, options)
        change = {"shop": name, "listing": key, **{f"{option}": value for option, value in options.items()}}
        return await self.change(lambda conn, _facts, now: desk_listings.options_set(conn, who, change, now))

    async def approve(self, shop: str, key: str | None, who: str) -> Done:
        """Say yes to what is held."""
        return await self.change(lambda conn, facts, now: desk_listings.approve(conn, facts, shop, key, now, who))

    async def push_now(self, shop: str | None, who: str) -> None:
        """Send what waits for a batch now."""
        now_us = self.hub.clock.now_us()
        ids = await self.hub.store.tx(lambda conn: desk_listings.push_now(conn, self.hub.facts, shop, now_us, who))
        self.hub.wake(ids)

    # -- orders, why ----------------------------------------------------------------------------------------------

    async def close_order(self, shop: str, number: str, who: str, note: str = "") -> Done:
        """Release an order's hold."""
        return await self.change(
            lambda conn, facts, now: desk_orders.close_order(conn, facts, shop, number, now, who, note)
        )

    async def rebook(self, shop: str, numbers: Sequence[str], who: str, *, preview: bool) -> Done:
        """Book orders anew by today's mapping."""
        return await self.change(
            lambda conn, facts, now: desk_orders.rebook(conn, facts, shop, numbers, now, who), preview=preview
        )

    async def add_hold(self, shop: str, hold: str, listing: str, units: int, who: str, note: str = "") -> Done:
        """Hold units of a listing that its shop counts apart."""
        return await self.change(
            lambda conn, facts, now: desk_holds.add_hold(conn, facts, shop, hold, listing, units, now, who, note)
        )

    async def win_hold(self, shop: str, hold: str, units: int, who: str, note: str = "") -> Done:
        """Units of a hold are sold and not ordered yet."""
        return await self.change(
            lambda conn, facts, now: desk_holds.win_hold(conn, facts, shop, hold, units, now, who, note)
        )

    async def release_hold(self, shop: str, hold: str, given: Given, who: str, note: str = "") -> Done:
        """Give up what of a hold nobody will order."""
        return await self.change(
            lambda conn, facts, now: desk_holds.release_hold(conn, facts, shop, hold, given, now, who, note)
        )

    async def ship(self, items: Sequence[ShipmentItem], who: str, *, preview: bool) -> Done:
        """Book parcels that left, all or none; their shops are told."""
        done = await self.change(
            lambda conn, facts, now: desk_shipments.book_shipments(conn, facts, items, now, who), preview=preview
        )
        if not preview:
            self._wake_shipping(one.shop for one in items)
        return done

    async def decide_returns(self, verdict: Verdict, items: Sequence[ReturnItem], who: str, *, preview: bool) -> Done:
        """Put returned goods on the shelf again, or not."""
        return await self.change(
            lambda conn, facts, now: desk_returns.decide(conn, facts, verdict, items, now, who), preview=preview
        )

    async def decide_shipment(self, action: str, shipment_id: int, who: str) -> Done:
        """Send a shipment again (`retry`), say that its shop has it (`settle`), or take it back (`withdraw`)."""
        decide = {
            "retry": desk_shipments.retry,
            "settle": desk_shipments.settle,
            "withdraw": desk_shipments.withdraw,
        }[action]
        done = await self.change(lambda conn, facts, now: decide(conn, facts, shipment_id, now, who))
        self._wake_shipping(str(one["shop"]) for one in done.changes)
        return done

    def _wake_shipping(self, names: Iterable[str]) -> None:
        for name in set(names):
            running = self.hub.shops.get(shop_facts(self.hub.facts, name).id)
            if running is not None:
                running.shipment_wake.set()

    async def why(self, shop: str, key: str) -> Why:
        """Explain one listing's number."""
        running = self.hub.shops.get(shop_facts(self.hub.facts, shop).id)
        routes = running.capabilities.routes if running is not None else ()
        forms: frozenset[Form] = frozenset().union(*(route.forms for route in routes))
        now_us = self.hub.clock.now_us()
        return await self.hub.store.read(lambda conn: desk_why.why(conn, self.hub.facts, shop, key, now_us, forms))


def _rehearsal(facts: Facts) -> Facts:
    """The same facts with a brake of their own."""
    own = copy.copy(facts)
    own._emptied = dict(facts._emptied)  # noqa: SLF001  # the one place that forks what the brake counted
    return own


def _bound(fn: Callable[[Connection, Facts, Sequence[T], int], Done], some: Sequence[T]) -> Change:
    return lambda conn, facts, now_us: fn(conn, facts, some, now_us)
