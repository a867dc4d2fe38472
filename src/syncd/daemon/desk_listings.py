"""Listings as staff map them: import, mapping, the yes to what is held, and options of a listing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, func, select, update

from syncd.core import fence
from syncd.core.matching import folded
from syncd.daemon.booking import clear_unbooked, rebook_orders
from syncd.daemon.desk_answers import Done, NotFound, Refused, audit, meant, names, shop_facts
from syncd.daemon.desk_skus import check_code
from syncd.daemon.facts import Facts, ShopFacts, put_shown, shown_of
from syncd.daemon.findings import LOWERED
from syncd.daemon.hub import Shop
from syncd.daemon.targets import BRAKE, refresh_listings
from syncd.model import ListingState
from syncd.store import listings as listing_rows
from syncd.store import orders as order_rows
from syncd.store import outbox as outbox_rows
from syncd.store import stock
from syncd.store.listings import ListingRow
from syncd.store.orders import chunks
from syncd.store.schema import listing, outbox, sku
from syncd.store.shops import clear_alarm

LONGEST_KEY = 255
MOST_PACK = 1_000_000


@dataclass(frozen=True, slots=True)
class ListingItem:
    """What staff say of one listing. None leaves a known listing's field as it is; `unmap` takes its SKU away."""

    key: str
    sku: str | None = None
    unmap: bool = False
    pack: int | None = None
    state: str | None = None
    sync: bool | None = None
    name: str | None = None


def save_listings(
    conn: Connection,
    facts: Facts,
    shop_name: str,
    items: Sequence[ListingItem],
    now_us: int,
    who: str,
    *,
    create_skus: bool = False,
) -> Done:
    """Create listings or change their mapping; orders that waited for it are booked in the same transaction."""
    shop = shop_facts(facts, shop_name)
    given = _by_key(shop, items)
    ids = _sku_ids(conn, items, now_us, create=create_skus)
    known = listing_rows.listings_by_key(conn, shop.id, list(given))
    codes = stock.sku_codes(conn, [row.sku_id for row in known.values() if row.sku_id is not None])
    labels = _labels(conn, [row.id for row in known.values()])
    done = Done()
    fresh = [_new_row(shop, key, item, ids, now_us, conn) for key, item in given.items() if key not in known]
    listing_rows.add_listings(conn, fresh)
    by_code = {one: code for code, one in ids.items()}
    for values in fresh:
        after = {"sku": by_code.get(values["sku_id"]), **{name: values[name] for name in ("pack", "state", "name")}}  # type: ignore[call-overload]  # an id or None
        done.changes.append({"listing": values["key"], "before": None, "after": after})
    for key, row in known.items():
        change = _change(conn, shop, row, given[key], ids, codes, labels[row.id], now_us)
        if change is not None:
            done.changes.append(change)
    changed = [change["listing"] for change in done.changes]
    rows = listing_rows.listings_by_key(conn, shop.id, changed)
    _book_waiting(conn, facts, shop, rows, now_us, done)
    mine = [row.id for row in rows.values()]
    done.refreshed.add(refresh_listings(conn, facts, mine, now_us, by_orders=False))
    if done.changes:
        audit(conn, who, "listings_saved", done.changes, now_us, shop=shop.name)
    return done


def _by_key(shop: ShopFacts, items: Sequence[ListingItem]) -> dict[str, ListingItem]:
    """Items by the key as the shop compares it; refuses doubles and what no listing can be."""
    found: dict[str, ListingItem] = {}
    twice: list[str] = []
    for item in items:
        key = shop.key(item.key)
        if not key.strip() or len(key) > LONGEST_KEY or not key.isprintable():
            raise Refused(f"listing key {key[:40]!r} must be 1 to {LONGEST_KEY} printable characters", "key")
        if item.pack is not None and not 1 <= item.pack <= MOST_PACK:
            raise Refused(f"{key}: pack size {item.pack} must be 1 to {MOST_PACK}", "pack")
        if item.state is not None and item.state not in set(ListingState):
            raise Refused(f"{key}: no state {item.state}; states: {', '.join(ListingState)}", "state")
        if key in found:
            twice.append(key)
        found[key] = item
    if twice:
        raise Refused(f"listing named twice: {names(twice)}", "items")
    return found


def _sku_ids(conn: Connection, items: Sequence[ListingItem], now_us: int, *, create: bool) -> dict[str, int]:
    wanted = {item.sku: item.name or "" for item in items if item.sku is not None}
    known = stock.sku_ids(conn, list(wanted))
    missing = [code for code in wanted if code not in known]
    if not missing:
        return known
    if not create:
        first = next(item for item in items if item.sku == missing[0])
        near = [row[0] for row in conn.execute(_alike(missing[0]))]
        text = f"unknown SKU: {names(missing)}{meant(missing[0], near)}; first at listing {first.key}. "
        text += "Create them first, or add --create-skus (create_skus)"
        raise Refused(text, f"items[{list(items).index(first)}].sku")
    for code in missing:
        check_code(code)
    return stock.add_skus(conn, list(wanted.items()), now_us)


def _alike(code: str) -> Any:
    return select(sku.c.code).where(func.lower(sku.c.code).in_([code.lower(), folded(code)])).limit(3)


def _labels(conn: Connection, ids: Sequence[int]) -> dict[int, str]:
    found: dict[int, str] = {}
    for some in chunks(ids):
        query = select(listing.c.id, listing.c.name).where(listing.c.id.in_(some))
        found.update((row[0], row[1]) for row in conn.execute(query))
    return found


def _new_row(
    shop: ShopFacts, key: str, item: ListingItem, ids: Mapping[str, int], now_us: int, conn: Connection
) -> dict[str, object]:
    """A new listing is read before it is written: nobody knows what it shows."""
    mapped = item.sku is not None and not item.unmap
    return {
        "shop_id": shop.id,
        "key": key,
        "sku_id": ids[item.sku] if mapped and item.sku is not None else None,
        "pack": item.pack or 1,
        "state": item.state or ListingState.OURS.value,
        "sync": int(item.sync is not False),
        "name": (item.name or "")[:512],
        "verify": int(mapped and (item.state or ListingState.OURS) == ListingState.OURS),
    }


def _change(
    conn: Connection,
    shop: ShopFacts,
    row: ListingRow,
    item: ListingItem,
    ids: Mapping[str, int],
    codes: Mapping[int, str],
    label: str,
    now_us: int,
) -> dict[str, Any] | None:
    """Write what is different on a known listing; returns it, or None where nothing is."""
    old_sku = None if row.sku_id is None else codes[row.sku_id]
    old = {"sku": old_sku, "pack": row.pack, "state": row.state, "sync": bool(row.sync), "name": label}
    said = {"sku": item.sku, "pack": item.pack, "state": item.state, "sync": item.sync, "name": item.name}
    new = {name: old[name] if value is None else value for name, value in said.items()}
    if item.unmap:
        new["sku"] = None
    after = {name: value for name, value in new.items() if value != old[name]}
    if not after:
        return None
    values: dict[str, object] = {name: value for name, value in after.items() if name not in ("sku", "sync")}
    if "sku" in after:
        values["sku_id"] = None if item.unmap or item.sku is None else ids[item.sku]
    if "sync" in after:
        values["sync"] = int(bool(item.sync))
    listing_rows.set_fields(conn, [row.id], **values)
    if after.get("state") == ListingState.OURS or ("sku" in after and old_sku is None):
        _look_again(conn, shop, row, now_us)
    return {"listing": row.key, "before": {name: old[name] for name in after}, "after": after}


def _look_again(conn: Connection, shop: ShopFacts, row: ListingRow, now_us: int) -> None:
    """A listing that is ours again is read before it is written: what it showed meanwhile is not known."""
    put_shown(row, replace(fence.forgotten(shown_of(row)), verify=True))
    listing_rows.save_shown(conn, [row])
    for kind in ("listing_gone", "listing_not_counted", "row_refused"):
        clear_alarm(conn, kind, shop.id, row.key, now_us)


def _book_waiting(
    conn: Connection, facts: Facts, shop: ShopFacts, rows: Mapping[str, ListingRow], now_us: int, done: Done
) -> None:
    """Book the orders that waited for these listings to get a SKU, or to be said to keep no stock."""
    settled = [key for key, row in rows.items() if row.sku_id is not None or row.state == ListingState.NOT_COUNTED]
    waiting = order_rows.unbooked_lines_of(conn, shop.id, settled)
    if waiting:
        done.refreshed.add(rebook_orders(conn, facts, shop, waiting, now_us).refreshed)
        done.notes.append(f"{len(waiting)} waiting orders booked")
    clear_unbooked(conn, shop, settled, now_us)


# --- holds, wishes ------------------------------------------------------------------------------------------------


def approve(conn: Connection, facts: Facts, shop_name: str, key: str | None, now_us: int, who: str) -> Done:
    """Say yes: to what the brake holds of a shop, or to whatever holds one listing."""
    shop = shop_facts(facts, shop_name)
    query = select(listing.c.id, listing.c.key, listing.c.held, listing.c.target, listing.c.believed)
    query = query.where(listing.c.shop_id == shop.id)
    which = listing.c.held == BRAKE if key is None else listing.c.key == shop.key(key)
    rows = conn.execute(query.where(which)).all()
    if key is not None and not rows:
        raise NotFound(f"{shop.name} has no listing {key}", "listing")
    held = [row for row in rows if row.held]
    listing_rows.set_fields(conn, [row.id for row in held], held="")
    for row in held:
        if row.held.startswith(LOWERED):
            clear_alarm(conn, "hand_edit", shop.id, row.key, now_us)
    if not _held_keys(conn, shop.id, listing.c.held == BRAKE):
        facts.approved(shop.id)
        clear_alarm(conn, BRAKE, shop.id, "", now_us)
    done = Done(
        [{"listing": row.key, "held": row.held, "believed": row.believed, "target": row.target} for row in held]
    )
    done.refreshed = refresh_listings(conn, facts, [row.id for row in held], now_us, by_orders=True)
    outbox_rows.wait_anew(conn, shop.id, now_us, [row.id for row in held])
    done.refreshed.stockouts |= {shop.id} if held else set()  # its writer has work now
    if braked := _held_keys(conn, shop.id, listing.c.held == BRAKE):
        done.notes.append(f"still held by the brake, {len(braked)} in all: syncd approve {shop.name}")
    if left := _held_keys(conn, shop.id, listing.c.held.not_in(("", BRAKE))):
        done.notes.append(f"still held, each to be approved by name: {names(left)}")
    if held:
        audit(conn, who, "approved", done.changes, now_us, shop=shop.name)
    return done


def _held_keys(conn: Connection, shop_id: int, condition: Any) -> list[str]:
    query = select(listing.c.key).where(listing.c.shop_id == shop_id, condition).order_by(listing.c.id)
    return [row[0] for row in conn.execute(query)]


def push_now(conn: Connection, facts: Facts, shop_name: str | None, now_us: int, who: str) -> list[int]:
    """Make every waiting change due at once instead of at its batch; returns the shops to wake."""
    shops = [shop_facts(facts, shop_name)] if shop_name is not None else list(facts.shops.values())
    ids = [shop.id for shop in shops]
    changed = conn.execute(
        update(outbox).where(outbox.c.shop_id.in_(ids), outbox.c.due_us > now_us).values(due_us=now_us)
    )
    audit(conn, who, "sync_asked", [], now_us, shop=shop_name, pulled_ahead=changed.rowcount)
    return ids


def live_listings(conn: Connection, ids: Sequence[int]) -> set[int]:
    """Listings that a call under way may be changing."""
    return {row.listing_id for row, _ in outbox_rows.live_rows_of(conn, ids)}


# --- options of a listing -----------------------------------------------------------------------------------------


def check_options(conn: Connection, shop: Shop, key: str, options: Mapping[str, str]) -> None:
    """Refuse options that the shop does not have, unknown listings, and shops that are not written."""
    known = sorted(shop.capabilities.listing_options)
    for name in options:
        if name not in known:
            raise Refused(f"{shop.name} has no listing option {name}{meant(name, known)}; it has: {names(known)}", name)
    if not options:
        raise Refused(f"say what to set, as name=value; {shop.name} has: {names(known)}", "options")
    if not shop.writes:
        raise Refused(f'{shop.name} has writes = "{shop.facts.writes}": nothing is set there', "shop")
    if key not in listing_rows.listings_by_key(conn, shop.id, [key]):
        raise NotFound(f"{shop.name} has no listing {key}", "listing")


def options_set(conn: Connection, who: str, change: dict[str, Any], now_us: int) -> Done:
    """Keep who set which options."""
    audit(conn, who, "listing_options_set", [change], now_us)
    return Done([change])
