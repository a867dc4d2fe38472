"""Bring the targets and wishes of listings up to date after anything changed, in the same transaction.

Level-triggered: what a listing must show is computed from rows, compared with what it is believed to show, and
the outbox row follows. Cost grows with the listings of the changed SKUs, never with the catalogue.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection, func, select

from syncd.core import planner
from syncd.core.fence import Shown
from syncd.daemon.allotting import allot
from syncd.daemon.facts import Facts, exposure_of, shown_of
from syncd.daemon.policies import decide
from syncd.daemon.stock_view import StockView, load_stock, target_of
from syncd.model import Lane, ListingState
from syncd.sdk.capabilities import Form
from syncd.store import listings as listing_rows
from syncd.store import outbox, stances, stock
from syncd.store.listings import ListingRow, Pair, WishRow
from syncd.store.schema import listing
from syncd.store.shops import clear_alarm, raise_alarm

BRAKE = "brake"


@dataclass(slots=True)
class Refreshed:
    """What a refresh changed: shops whose writers are woken, shops held by the brake, targets changed."""

    stockouts: set[int] = field(default_factory=set)
    braked: set[int] = field(default_factory=set)
    changed: int = 0

    def add(self, other: Refreshed) -> None:
        self.stockouts |= other.stockouts
        self.braked |= other.braked
        self.changed += other.changed


def refresh_skus(
    conn: Connection, facts: Facts, sku_ids: Iterable[int], now_us: int, *, by_orders: bool, since_us: int | None = None
) -> Refreshed:
    """Recompute every listing that shows one of these SKUs, bundles that contain them included.

    `since_us` is when the cause became known to us (the answer that showed the order); it starts the clock
    of the stockout's latency. `by_orders` exempts from the brake.
    """
    changed = set(sku_ids)
    pairs = listing_rows.listings_of_skus(conn, sorted(stock.bundles_above(conn, changed)))
    return refresh_pairs(conn, facts, pairs, now_us, by_orders=by_orders, since_us=since_us, changed=changed)


def refresh_due(conn: Connection, facts: Facts, now_us: int) -> Refreshed:
    """Look again at SKUs whose policy time alone may change, and at those in escrow."""
    due = stances.due_stances(conn, now_us)
    return refresh_skus(conn, facts, due, now_us, by_orders=True) if due else Refreshed()


def refresh_listings(
    conn: Connection, facts: Facts, ids: Sequence[int], now_us: int, *, by_orders: bool = False
) -> Refreshed:
    """Recompute these listings."""
    return refresh_pairs(conn, facts, listing_rows.pairs_by_id(conn, ids), now_us, by_orders=by_orders)


def refresh_moved(conn: Connection, facts: Facts, moved: Sequence[tuple[ListingRow, Shown]], now_us: int) -> Refreshed:
    """Recompute listings whose belief or exposure moved; with each goes what was held true of it before.

    A number that was right and stays right changes nothing, unless its SKU is in escrow, where every bound counts.
    """
    ids = {row.id for row, before in moved if _pushes(row, before) or _pushes(row, shown_of(row))}
    skus = {row.sku_id for row, _ in moved if row.sku_id is not None and row.id not in ids}
    guarded = _in_escrow(conn, skus) if skus else set()
    ids |= {row.id for row, _ in moved if row.sku_id in guarded}
    return refresh_listings(conn, facts, sorted(ids), now_us, by_orders=True) if ids else Refreshed()


def _pushes(row: ListingRow, shown: Shown) -> bool:
    return planner.needs_push(row.target, shown)


def _in_escrow(conn: Connection, skus: set[int]) -> set[int]:
    """Those of these SKUs that are in escrow, or contain one that is."""
    if not stances.any_stance(conn):
        return set()
    have = load_stock(conn, skus)
    return {sku for sku in skus if have.in_escrow(sku)}


def refresh_pairs(
    conn: Connection,
    facts: Facts,
    pairs: Sequence[Pair],
    now_us: int,
    *,
    by_orders: bool,
    since_us: int | None = None,
    changed: Collection[int] = (),
) -> Refreshed:
    """Recompute listings already loaded; writes targets and wishes that changed.

    `changed`: SKUs whose stock or demand moved, all of whose listings are here; their policy is decided anew.
    """
    pairs, have = _whole_groups(conn, pairs)
    if changed:
        decide(conn, facts, changed, pairs, have, now_us)
    allotted = allot(conn, facts, pairs, have, now_us) if have.stances else {}
    result = Refreshed()
    targets: list[tuple[int | None, int]] = []
    emptied: dict[int, list[ListingRow]] = {}
    for row, _ in pairs:
        shop = facts.shops.get(row.shop_id)
        if shop is None:
            continue
        before = row.target
        row.target = allotted[row.id] if row.id in allotted else target_of(row, shop, have)
        if row.target != before:
            targets.append((row.target, row.id))
            if row.target == 0 and before and not by_orders and row.id not in allotted:
                emptied.setdefault(row.shop_id, []).append(row)
    listing_rows.save_targets(conn, targets)
    result.changed = len(targets)
    moved = {listing_id for _, listing_id in targets}
    _release(conn, facts, [row for row, _ in pairs if row.held == BRAKE and row.target], now_us)
    for shop_id, rows in emptied.items():
        if _brake(conn, facts, shop_id, rows, now_us):
            result.braked.add(shop_id)
    jumps = {row.id for row, _ in pairs if row.id in allotted or _jumps(row, have)}
    drained = {row.id for row, _ in pairs if row.id in allotted and _must_drain(facts, row, now_us)}
    _follow(conn, facts, pairs, moved, jumps, drained, now_us, since_us or now_us, result)
    return result


def _must_drain(facts: Facts, row: ListingRow, now_us: int) -> bool:
    """Whether only one more write of 0 can tell what a listing in escrow may sell (R11), though 0 is believed."""
    shop = facts.shops.get(row.shop_id)
    blind = shop is not None and not shop.reads_stock and shop.reads_orders and Form.ABSOLUTE in shop.forms
    return blind and exposure_of(row).wants_proof(now_us)


def _whole_groups(conn: Connection, pairs: Sequence[Pair]) -> tuple[Sequence[Pair], StockView]:
    """Listings of SKUs in escrow or watched are looked at together: add those that are missing."""
    while True:
        have = load_stock(conn, {row.sku_id for row, _ in pairs if row.sku_id is not None})
        joint = {sku for sku, one in have.stances.items() if one.watched}
        if not joint:
            return pairs, have
        known = {row.id for row, _ in pairs}
        every = listing_rows.listings_of_skus(conn, sorted(stock.bundles_above(conn, joint)))
        missing = [pair for pair in every if pair[0].id not in known]
        if not missing:
            return pairs, have
        pairs = [*pairs, *missing]


def _jumps(row: ListingRow, have: StockView) -> bool:
    """Whether a listing's policy has its pushes jump ahead of the batch."""
    if not have.stances or row.sku_id is None:
        return False
    return any(have.stances[sku].jumps for sku in have.plain(row.sku_id) if sku in have.stances)


def _follow(
    conn: Connection,
    facts: Facts,
    pairs: Sequence[Pair],
    changed: set[int],
    jumps: set[int],
    drained: set[int],
    now_us: int,
    since_us: int,
    result: Refreshed,
) -> None:
    """Bring the outbox in line with targets and beliefs. `jumps`: listings whose pushes do not wait for the batch;
    `drained`: those that must be written 0 once more, whatever is believed.
    """
    put: list[tuple[int, int, int, int, int, int]] = []
    bump: list[int] = []
    drop: list[int] = []
    tick = planner.next_tick_us(now_us, facts.batch_us)
    for row, wish in pairs:
        shown = shown_of(row)
        wanted = row.target is not None and bool(row.sync)
        wanted = wanted and (planner.needs_push(row.target or 0, shown) or row.id in drained)
        if not wanted:
            if wish is not None:
                drop.append(row.id)
            continue
        lane = planner.lane_of(row.target or 0, row.told, shown, jumps=row.id in jumps)
        if wish is not None and wish.lane == lane:
            if row.id in changed:
                bump.append(row.id)
            if lane is Lane.LOW:  # in escrow it may have waited for rights that are free now
                result.stockouts.add(row.shop_id)
            continue
        if lane in (Lane.STOCKOUT, Lane.LOW):
            result.stockouts.add(row.shop_id)
        put.append((row.id, row.shop_id, *_wish(wish, lane, now_us, since_us, tick)))
    outbox.drop_wishes(conn, drop)
    outbox.bump_wishes(conn, bump)
    outbox.put_wishes(conn, put)


def _wish(wish: WishRow | None, lane: Lane, now_us: int, since_us: int, tick_us: int) -> tuple[int, int, int, int]:
    """(lane, due, since, version) of a wish that is new or changes its lane."""
    due = now_us if lane in (Lane.STOCKOUT, Lane.LOW) else tick_us
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
