"""Holds (取り置き) as staff record them: put some aside for an auction, say what was won, give up the rest."""

from __future__ import annotations

from enum import StrEnum
from functools import partial

from sqlalchemy import Connection

from syncd.daemon.booking import book_page
from syncd.daemon.desk_answers import Conflict, Done, NotFound, Refused, audit, meant, shop_facts
from syncd.daemon.facts import Facts, ShopFacts
from syncd.daemon.holds import Hold, load_holds, units_booked
from syncd.model import ListingState
from syncd.store import listings as listing_rows
from syncd.store import orders as order_rows

LONGEST = 100
MOST_UNITS = 100_000


class Given(StrEnum):
    """What of a hold is given up: what is still offered (ended unsold), what was won (never ordered), or all of it."""

    OFFERED = "offered"
    WON = "won"
    ALL = "all"


def add_hold(
    conn: Connection, facts: Facts, shop_name: str, name: str, listing: str, units: int, now_us: int, who: str,
    note: str = "",
) -> Done:  # fmt: skip
    """Hold units for a listing that its shop counts apart. What is ordered of it already is not held again."""
    shop = shop_facts(facts, shop_name)
    _check(name, units)
    key = _listing_of(conn, shop, listing)
    before = load_holds(conn, shop.id, [name]).get(name)
    if before is not None and before.listing != key:
        raise Conflict(f"{name} is a hold of {before.listing}, not of {key}", "listing")
    ordered = 0
    if before is None:
        numbers = order_rows.numbers_ending(conn, shop.id, name)
        rows = order_rows.load_orders(conn, shop.id, numbers)
        ordered = min(units, units_booked(order_rows.load_lines(conn, [row.id for row in rows.values()])))
    hold = (before or Hold(name, key)).offer(units)
    done = _book(conn, facts, shop, before, hold.pass_on(ordered), now_us, who, "hold_added", note)
    if ordered:
        done.notes.append(f"{ordered} of them are ordered already")
    return done


def win_hold(
    conn: Connection, facts: Facts, shop_name: str, name: str, units: int, now_us: int, who: str, note: str = ""
) -> Done:
    """Units of a hold are sold and not ordered yet: they stay held when the rest is given up."""
    shop = shop_facts(facts, shop_name)
    _check(name, units)
    hold = _known(conn, shop, name)
    if units > hold.offered.held:
        raise Conflict(f"{name} offers {hold.offered.held}, not {units}", "units")
    return _book(conn, facts, shop, hold, hold.win(units), now_us, who, "hold_won", note)


def release_hold(
    conn: Connection, facts: Facts, shop_name: str, name: str, given: Given, now_us: int, who: str, note: str = ""
) -> Done:
    """Give up what of a hold nobody will order: it is free again."""
    shop = shop_facts(facts, shop_name)
    hold = _known(conn, shop, name)
    offered = hold.offered.held if given is not Given.WON else 0
    won = hold.won.held if given is not Given.OFFERED else 0
    after = hold.release(offered=offered, won=won)
    return _book(conn, facts, shop, hold, after, now_us, who, "hold_released", note)


def _check(name: str, units: int) -> None:
    if not name or len(name) > LONGEST or not name.isprintable() or name != name.strip() or "/" in name:
        raise Refused(f"a hold is named by up to {LONGEST} printable characters without a slash", "hold")
    if not 1 <= units <= MOST_UNITS:
        raise Refused(f"units must be 1 to {MOST_UNITS}", "units")


def _listing_of(conn: Connection, shop: ShopFacts, listing: str) -> str:
    key = shop.key(listing)
    row = listing_rows.listings_by_key(conn, shop.id, [key]).get(key)
    way = f"map it first: a CSV with key, sku and state ({ListingState.SKIP}) for syncd listings import"
    if row is None or row.sku_id is None:
        raise NotFound(f"{shop.name} has no listing {listing} with a SKU; {way}", "listing")
    if row.state != ListingState.SKIP:
        text = (
            f"{listing} of {shop.name} is {row.state}: a hold is for what its shop counts apart ({ListingState.SKIP})"
        )
        raise Conflict(f"{text}; {way}", "listing")
    return key


def _known(conn: Connection, shop: ShopFacts, name: str) -> Hold:
    hold = load_holds(conn, shop.id, [name]).get(name)
    if hold is None:
        known = [number.partition(":")[2] for number in order_rows.hold_numbers(conn, shop.id)]
        raise NotFound(f"{shop.name} has no hold {name}{meant(name, known)}", "hold")
    return hold


def _book(
    conn: Connection, facts: Facts, shop: ShopFacts, before: Hold | None, after: Hold, now_us: int, who: str,
    action: str, note: str,
) -> Done:  # fmt: skip
    done = Done()
    if before == after:
        return done
    book = partial(book_page, began_us=now_us, answered_us=now_us, watermark_us=0, now_us=now_us)
    done.refreshed.add(book(conn, facts, shop, [after.state(now_us)]).refreshed)
    was = before or Hold(after.name, after.listing)
    done.changes.append(
        {
            "shop": shop.name, "hold": after.name, "listing": after.listing,
            "was_offered": was.offered.held, "offered": after.offered.held,
            "was_won": was.won.held, "won": after.won.held,
        }
    )  # fmt: skip
    audit(conn, who, action, done.changes, now_us, note=note)
    return done
