"""Why a listing shows what it shows: the rule chain step by step, what is believed, and what a write waits for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, func, select

from syncd.core import ledger, planner
from syncd.core.planner import Evidence, Need
from syncd.daemon import guarantee
from syncd.daemon.desk_answers import NotFound, meant, shop_facts
from syncd.daemon.desk_policies import PolicyView, describe
from syncd.daemon.facts import Facts, ShopFacts, shown_of
from syncd.daemon.stock_view import StockView, load_stock, target_of
from syncd.model import Lane, ListingState, from_us
from syncd.sdk.channel import Form
from syncd.sdk.settings import Writes
from syncd.store import listings as listing_rows
from syncd.store import outbox, reports, shops, stock
from syncd.store.listings import ListingRow, WishRow
from syncd.store.schema import listing, order_line, orders
from syncd.store.shops import ShopRow

LAST_ENTRIES = 10
INDENT = "  "


@dataclass(slots=True)
class Why:
    """Everything about one listing's number. Times in microseconds."""

    row: ListingRow
    name: str
    error: str
    error_us: int
    sku: str | None
    steps: list[planner.Step] = field(default_factory=list)
    target: int | None = None
    holds: list[str] = field(default_factory=list)
    lane: int | None = None
    orders_began_us: int = 0
    watermark_us: int = 0
    open_orders: int = 0
    entries: list[dict[str, Any]] = field(default_factory=list)
    policies: list[PolicyView] = field(default_factory=list)  # of the plain SKUs in it
    waits_for: str = ""  # what its exposure waits for
    conditions: list[str] = field(default_factory=list)  # of the guarantee, where a SKU of it is in escrow


def why(
    conn: Connection, facts: Facts, shop_name: str, key: str, now_us: int, forms: frozenset[Form], paused: bool = False
) -> Why:
    """Explain one listing. `forms` are the writes the shop takes."""
    shop = shop_facts(facts, shop_name)
    row, wish = _find(conn, shop, key)
    at_shop = shops.shop_row(conn, shop.id)
    extra = conn.execute(
        select(listing.c.name, listing.c.error, listing.c.error_us).where(listing.c.id == row.id)
    ).one()
    found = Why(row, *extra, sku=None)
    found.orders_began_us, found.watermark_us = at_shop.orders_began_us, at_shop.watermark_us
    found.lane = None if wish is None else wish.lane
    have = load_stock(conn, [] if row.sku_id is None else [row.sku_id])
    if row.sku_id is not None:
        codes = _codes(conn, row.sku_id, have)
        found.sku = codes[row.sku_id]
        found.target = _explain(row, shop, have, codes, found.steps)
        found.entries = _entries(conn, row.sku_id, have, codes)
        found.policies = [one for one in describe(conn, facts, [row.sku_id], now_us) if not one.parts]
    found.waits_for = guarantee.waits_for(shop, row)
    if any(one.in_escrow for one in found.policies):
        found.conditions = guarantee.conditions(facts)
    found.open_orders = conn.execute(
        select(func.count(func.distinct(order_line.c.order_id)))
        .join(orders, orders.c.id == order_line.c.order_id)
        .where(orders.c.open == 1, orders.c.shop_id == shop.id, order_line.c.listing == row.key)
    ).scalar_one()
    if paused or at_shop.paused:
        found.holds.append(f"{shop.name} is paused: syncd shops resume {shop.name}")
    found.holds += _holds(conn, shop, row, wish, have, at_shop, now_us, forms)
    return found


def _find(conn: Connection, shop: ShopFacts, key: str) -> tuple[ListingRow, WishRow | None]:
    row = listing_rows.listings_by_key(conn, shop.id, [shop.key(key)]).get(shop.key(key))
    if row is None:
        near: list[str] = []
        for some in (key[:3], key[:1]):
            begins = listing.c.key.startswith(some, autoescape=True)
            query = select(listing.c.key).where(listing.c.shop_id == shop.id, begins).limit(200)
            near += [one[0] for one in conn.execute(query)]
        raise NotFound(f"{shop.name} has no listing {key}{meant(key, near)}", "listing")
    return listing_rows.pairs_by_id(conn, [row.id])[0]


def _codes(conn: Connection, sku_id: int, have: StockView) -> dict[int, str]:
    return stock.sku_codes(conn, [sku_id, *(part for inside in have.parts.values() for part in inside)])


def _explain(
    row: ListingRow, shop: ShopFacts, have: StockView, codes: Mapping[int, str], steps: list[planner.Step]
) -> int | None:
    """The chain's steps; the parts of a bundle first, each indented under its name."""

    def say(depth: int) -> planner.Explain:
        return lambda name, number, setting: steps.append(planner.Step(INDENT * depth + name, number, setting))

    def parts_of(sku: int, depth: int) -> None:
        for part, each in have.parts.get(sku, {}).items():
            pieces = planner.sellable(part, shop.id, balance_of, have.parts, have.rules, planner.silent, have.reserve)
            say(depth)(f"part {codes[part]}", pieces // each, f"{pieces} ÷ {each}")
            parts_of(part, depth + 1)
            planner.sellable(part, shop.id, balance_of, have.parts, have.rules, say(depth + 1), have.reserve)

    def balance_of(sku: int) -> Any:
        return have.balance(sku, shop.location_ids)

    if row.sku_id is not None and row.state == ListingState.OURS:
        parts_of(row.sku_id, 1)
    return target_of(row, shop, have, say(0))


def _entries(conn: Connection, sku_id: int, have: StockView, codes: Mapping[int, str]) -> list[dict[str, Any]]:
    plain = ledger.expand(sku_id, 1, have.parts)
    found = [row for one in plain for row in reports.entry_rows(conn, codes[one], limit=LAST_ENTRIES)]
    return sorted(found, key=lambda row: -int(row["id"]))[:LAST_ENTRIES]


def _holds(
    conn: Connection,
    shop: ShopFacts,
    row: ListingRow,
    wish: WishRow | None,
    have: StockView,
    at_shop: ShopRow,
    now_us: int,
    forms: frozenset[Form],
) -> list[str]:
    """What keeps the target from being written this moment, the lasting reasons first."""
    lasting = list(_never(shop, row))
    found = [*lasting, *([] if shop.reads_orders else ["unfenced: orders off"])]
    if row.target is None or lasting:
        return found
    if row.held:
        found.append(f"held: {row.held}; syncd approve {shop.name} {row.key}")
    for one, began_us in outbox.live_rows_of(conn, [row.id]):
        found.append(f"a write of {one.quantity} ({one.form}) is under way since {_at(began_us)}")
    if row.doubt_us is not None:
        found.append(f"in doubt until {_at(row.doubt_us)}, then read back")
    if wish is None:
        return [*found, "nothing to write: it shows what it must"]
    if wish.not_before_us > now_us:
        found.append(f"refused {wish.attempts} times, not tried again before {_at(wish.not_before_us)}")
    elif wish.due_us > now_us:
        found.append(f"waits for batch at {_at(wish.due_us)}")
    raised_us = _raised_us(row.sku_id, have)
    seen = Evidence(
        now_us,
        shop.reads_stock,
        shop.reads_orders,
        at_shop.orders_began_us,
        raised_us,
        watermark_us=at_shop.watermark_us,
    )
    need = planner.plan_write(row.key, row.target, shown_of(row), forms, seen)
    if need is Need.STOCK_READ:
        found.append("its number is read right before the write")
    if need is Need.ORDER_READ:
        found.append(f"needs an order read begun after {_at(max(raised_us, now_us - planner.READ_IS_FRESH_US))}")
    if need is Need.NO_FORM:
        found.append("the channel has no write for it")
    return found or [f"goes at once in lane {Lane(wish.lane).name.lower()}"]


def _never(shop: ShopFacts, row: ListingRow) -> Iterator[str]:
    """Reasons that last until a person changes something."""
    if row.sku_id is None:
        yield "not mapped: it has no SKU"
    if row.state != ListingState.OURS:
        yield f"not written: its state is {row.state}"
    if not row.sync:
        yield "not written: sync is off for it"
    if shop.writes is Writes.OFF:
        yield f"not written: writes are off for {shop.name}"
    if shop.writes is Writes.DRY_RUN:
        yield f"not written: {shop.name} is in dry run; syncd shops start {shop.name}"


def _raised_us(sku_id: int | None, have: StockView) -> int:
    if sku_id is None:
        return 0
    plain: Sequence[int] = list(ledger.expand(sku_id, 1, have.parts))
    return max((line.raised_us for one in plain for line in have.balances.get(one, {}).values()), default=0)


def _at(moment_us: int) -> str:
    return from_us(moment_us).isoformat(timespec="seconds")
