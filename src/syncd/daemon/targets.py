"""Bring the targets and wishes of listings up to date after anything changed, in the same transaction.

Level-triggered: what a listing must show is computed from rows, compared with what it is believed to show, and
the outbox row follows. Cost grows with the listings of the changed SKUs, never with the catalogue.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection, func, select

from syncd.core import planner
from syncd.daemon.facts import Facts, ShopFacts, shown_of
from syncd.model import Balance, Lane, ListingState
from syncd.store import listings as listing_rows
from syncd.store import outbox, stock
from syncd.store.listings import ListingRow, Pair, WishRow
from syncd.store.schema import listing
from syncd.store.shops import clear_alarm, raise_alarm

BRAKE = "brake"


@dataclass(slots=True)
class Refreshed:
    """What a refresh changed: shops with a new stockout, shops held by the brake, targets changed."""

    stockouts: set[int] = field(default_factory=set)
    braked: set[int] = field(default_factory=set)
    changed: int = 0

    def add(self, other: Refreshed) -> None:
        self.stockouts |= other.stockouts
        self.braked |= other.braked
        self.changed += other.changed


@dataclass(slots=True)
class StockView:
    """Balances, parts and rules of the SKUs of one refresh, loaded at once."""

    parts: dict[int, dict[int, int]]
    balances: dict[int, dict[int, stock.BalanceRow]]
    rules: dict[tuple[str, int, int], int]
    known: dict[tuple[int, tuple[int, ...]], Balance] = field(default_factory=dict)
    pieces: dict[tuple[int, tuple[int, ...]], int] = field(default_factory=dict)

    def balance(self, sku: int, locations: tuple[int, ...]) -> Balance:
        found = self.known.get((sku, locations))
        if found is None:
            rows = self.balances.get(sku, {})
            found = Balance()
            for one in locations:
                row = rows.get(one)
                if row is not None:
                    found += Balance(row.on_hand, row.ordered, row.allocated)
            self.known[sku, locations] = found
        return found

    def sellable(self, sku: int, shop: ShopFacts, say: planner.Explain = planner.silent) -> int:
        """Steps 1-4 of the chain; without rules they are the same for every shop of these locations."""
        shared = not self.rules and say is planner.silent
        found = self.pieces.get((sku, shop.location_ids)) if shared else None
        if found is None:
            found = planner.sellable(
                sku, shop.id, lambda one: self.balance(one, shop.location_ids), self.parts, self.rules, say
            )
            if shared:
                self.pieces[sku, shop.location_ids] = found
        return found


def load_stock(conn: Connection, sku_ids: Iterable[int]) -> StockView:
    """All that the rule chain needs to know of these SKUs."""
    wanted = set(sku_ids)
    parts = stock.parts_below(conn, wanted)
    every = wanted | {part for inside in parts.values() for part in inside}
    ordered = sorted(every)
    return StockView(parts, stock.load_balances(conn, ordered), stock.load_rules(conn, ordered))


def target_of(row: ListingRow, shop: ShopFacts, have: StockView, say: planner.Explain = planner.silent) -> int | None:
    """What a listing must show by the rule chain; None where we do not write it."""
    if row.sku_id is None or row.state != ListingState.OURS:
        return None
    pieces = have.sellable(row.sku_id, shop, say)
    return planner.finish(pieces, row.sku_id, shop.id, row.pack, shop.most, have.rules, say)


def refresh_skus(
    conn: Connection, facts: Facts, sku_ids: Iterable[int], now_us: int, *, by_orders: bool, since_us: int | None = None
) -> Refreshed:
    """Recompute every listing that shows one of these SKUs, bundles that contain them included.

    `since_us` is when the cause became known to us (the answer that showed the order); it starts the clock
    of the stockout's latency. `by_orders` exempts from the brake.
    """
    touched = stock.bundles_above(conn, sku_ids)
    pairs = listing_rows.listings_of_skus(conn, sorted(touched))
    return refresh_pairs(conn, facts, pairs, now_us, by_orders=by_orders, since_us=since_us)


def refresh_listings(
    conn: Connection, facts: Facts, ids: Sequence[int], now_us: int, *, by_orders: bool = False
) -> Refreshed:
    """Recompute these listings."""
    return refresh_pairs(conn, facts, listing_rows.pairs_by_id(conn, ids), now_us, by_orders=by_orders)


def refresh_pairs(
    conn: Connection, facts: Facts, pairs: Sequence[Pair], now_us: int, *, by_orders: bool, since_us: int | None = None
) -> Refreshed:
    """Recompute listings already loaded; writes targets and wishes that changed."""
    have = load_stock(conn, {row.sku_id for row, _ in pairs if row.sku_id is not None})
    result = Refreshed()
    targets: list[tuple[int | None, int]] = []
    emptied: dict[int, list[ListingRow]] = {}
    for row, _ in pairs:
        shop = facts.shops.get(row.shop_id)
        if shop is None:
            continue
        before, row.target = row.target, target_of(row, shop, have)
        if row.target != before:
            targets.append((row.target, row.id))
            if row.target == 0 and before and not by_orders:
                emptied.setdefault(row.shop_id, []).append(row)
    listing_rows.save_targets(conn, targets)
    result.changed = len(targets)
    changed = {listing_id for _, listing_id in targets}
    _release(conn, facts, [row for row, _ in pairs if row.held == BRAKE and row.target], now_us)
    for shop_id, rows in emptied.items():
        if _brake(conn, facts, shop_id, rows, now_us):
            result.braked.add(shop_id)
    _follow(conn, facts, pairs, changed, now_us, since_us or now_us, result)
    return result


def _follow(
    conn: Connection,
    facts: Facts,
    pairs: Sequence[Pair],
    changed: set[int],
    now_us: int,
    since_us: int,
    result: Refreshed,
) -> None:
    """Bring the outbox in line with targets and beliefs."""
    put: list[tuple[int, int, int, int, int, int]] = []
    bump: list[int] = []
    drop: list[int] = []
    tick = planner.next_tick_us(now_us, facts.batch_us)
    for row, wish in pairs:
        shown = shown_of(row)
        wanted = row.target is not None and bool(row.sync) and planner.needs_push(row.target, shown)
        if not wanted:
            if wish is not None:
                drop.append(row.id)
            continue
        lane = planner.lane_of(row.target or 0, row.told, shown)
        if wish is not None and wish.lane == lane:
            if row.id in changed:
                bump.append(row.id)
            continue
        if lane is Lane.STOCKOUT:
            result.stockouts.add(row.shop_id)
        put.append((row.id, row.shop_id, *_wish(wish, lane, now_us, since_us, tick)))
    outbox.drop_wishes(conn, drop)
    outbox.bump_wishes(conn, bump)
    outbox.put_wishes(conn, put)


def _wish(wish: WishRow | None, lane: Lane, now_us: int, since_us: int, tick_us: int) -> tuple[int, int, int, int]:
    """(lane, due, since, version) of a wish that is new or changes its lane."""
    due = now_us if lane is Lane.STOCKOUT else tick_us
    if wish is None:
        return lane, due, since_us, 1
    return lane, min(due, wish.due_us), since_us if lane is Lane.STOCKOUT else wish.since_us, wish.version + 1


def _release(conn: Connection, facts: Facts, rows: Sequence[ListingRow], now_us: int) -> None:
    """The cause of a hold is gone: these listings have stock again. The last one ends the alarm."""
    if not rows:
        return
    listing_rows.set_fields(conn, [row.id for row in rows], held="")
    for row in rows:
        row.held = ""
        facts.refilled(row.shop_id, (row.id,))
    for shop_id in {row.shop_id for row in rows}:
        held = select(listing.c.id).where(listing.c.shop_id == shop_id, listing.c.held == BRAKE).limit(1)
        if conn.execute(held).first() is None:
            clear_alarm(conn, BRAKE, shop_id, "", now_us)


def _brake(conn: Connection, facts: Facts, shop_id: int, rows: Sequence[ListingRow], now_us: int) -> bool:
    """Hold listings that something other than orders would empty, when they are too many (promise 10).

    Counts listings emptied within the brake's window, so that many small changes are caught like one big one.
    """
    recent = facts.emptied(shop_id, (row.id for row in rows), now_us)
    if recent <= facts.brake_listings:
        return False
    ours = conn.execute(
        select(func.count()).where(listing.c.shop_id == shop_id, listing.c.state == ListingState.OURS)
    ).scalar_one()
    if recent <= facts.brake_share * ours:
        return False
    for row in rows:
        row.held = BRAKE
    listing_rows.set_fields(conn, [row.id for row in rows], held=BRAKE)
    name = facts.shops[shop_id].name
    text = f"{recent} of {ours} listings of {name} would go to 0, not by orders; approve with: syncd approve {name}"
    raise_alarm(conn, BRAKE, shop_id, "", text, now_us)
    return True
