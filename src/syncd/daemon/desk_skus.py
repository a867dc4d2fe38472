"""SKUs, bundles (セット商品) and rules as staff keep them."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select, update

from syncd.core import ledger
from syncd.core.planner import CHAIN, RULE_LIMITS, Rule
from syncd.daemon.desk_answers import Conflict, Done, Refused, audit, names, shop_facts
from syncd.daemon.desk_stock import find_skus
from syncd.daemon.facts import Facts
from syncd.daemon.targets import refresh_listings, refresh_skus
from syncd.store import stock
from syncd.store.schema import listing, rule, sku

LONGEST_CODE = 128
DEEPEST = 20
FORMULA = "=+-@"
EVERY = 0


@dataclass(frozen=True, slots=True)
class SkuItem:
    """A SKU to create or change. None leaves its name or parts as they are; empty parts make it plain again."""

    code: str
    name: str | None = None
    parts: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True)
class RuleItem:
    """One rule for a scope: no shop is every shop, no SKU is every SKU; value None takes it away."""

    rule: str
    value: int | None
    shop: str | None = None
    sku: str | None = None


def check_code(code: str, where: str = "sku") -> None:
    """Refuse codes that a spreadsheet or a CSV file would not keep as they are."""
    if not code or code != code.strip() or len(code) > LONGEST_CODE:
        raise Refused(f"SKU code {code[:40]!r} must be 1 to {LONGEST_CODE} characters without blanks around", where)
    if any(unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") for char in code):
        raise Refused(f"SKU code {code[:40]!r} holds a control character", where)
    if unicodedata.normalize("NFKC", code)[0] in FORMULA:
        raise Refused(f"SKU code {code[:40]} begins with {code[0]}: a spreadsheet would take it for a formula", where)


def save_skus(conn: Connection, facts: Facts, items: Sequence[SkuItem], now_us: int, who: str) -> Done:
    """Create SKUs and bundles, or change their names and parts."""
    codes = [item.code for item in items]
    if twice := [code for code, times in Counter(codes).items() if times > 1]:
        raise Refused(f"SKU named twice: {names(twice)}", "items")
    known = stock.sku_ids(conn, codes)
    for item in items:
        if item.code not in known:
            check_code(item.code)
    ids = stock.add_skus(conn, [(item.code, item.name or "") for item in items], now_us)
    done = Done()
    before = _names(conn, list(known.values()))
    for item in items:
        if item.code not in known:
            done.changes.append({"sku": item.code, "before": None, "after": {"name": item.name or ""}})
        elif item.name is not None and item.name != before[known[item.code]]:
            conn.execute(update(sku).where(sku.c.id == known[item.code]).values(name=item.name))
            old = {"name": before[known[item.code]]}
            done.changes.append({"sku": item.code, "before": old, "after": {"name": item.name}})
    changed = _save_parts(conn, items, ids, done)
    if changed:
        done.refreshed = refresh_skus(conn, facts, changed, now_us, by_orders=False)
    if done.changes:
        audit(conn, who, "skus_saved", done.changes, now_us)
    return done


def _names(conn: Connection, ids: Sequence[int]) -> dict[int, str]:
    found: dict[int, str] = {}
    for some in (ids[i : i + 500] for i in range(0, len(ids), 500)):
        found.update((row[0], row[1]) for row in conn.execute(select(sku.c.id, sku.c.name).where(sku.c.id.in_(some))))
    return found


def _save_parts(conn: Connection, items: Sequence[SkuItem], ids: Mapping[str, int], done: Done) -> set[int]:
    """Write the parts that changed; returns the SKUs whose parts are others now."""
    bundles = {item.code: dict(item.parts) for item in items if item.parts is not None}
    if not bundles:
        return set()
    part_ids = find_skus(conn, [code for parts in bundles.values() for code in parts])
    graph = stock.all_parts(conn)
    changes = {code: parts for code, parts in bundles.items() if parts != graph.get(code, {})}
    for code, parts in changes.items():
        if bad := [f"{part} × {pieces}" for part, pieces in parts.items() if not 1 <= pieces <= 10_000]:
            raise Refused(f"{code}: pieces of a part must be 1 to 10000: {names(bad)}", "parts")
    check_graph({**graph, **changes})
    _keep_no_stock(conn, [code for code, parts in changes.items() if parts and code not in graph], ids, done)
    for code, parts in changes.items():
        stock.set_parts(conn, ids[code], {part_ids[part]: pieces for part, pieces in parts.items()})
        done.changes.append({"sku": code, "before": {"parts": graph.get(code, {})}, "after": {"parts": parts}})
    return {ids[code] for code in changes}


def check_graph(graph: Mapping[str, Mapping[str, int]]) -> None:
    """Refuse bundles that contain themselves, or are nested too deep to be meant."""
    try:
        cycle = ledger.find_cycle(graph)
        too_deep = [] if cycle else _too_deep(graph)
    except RecursionError:
        raise Refused(f"bundles nested deeper than {DEEPEST}", "parts") from None
    if cycle:
        raise Conflict(f"bundle contains itself: {' > '.join(cycle)}", "parts")
    if too_deep:
        raise Refused(f"bundles nested deeper than {DEEPEST}: {names(too_deep)}", "parts")


def _too_deep(graph: Mapping[str, Mapping[str, int]]) -> list[str]:
    depth: dict[str, int] = {}

    def deep(code: str) -> int:
        if code not in depth:
            depth[code] = 1 + max((deep(part) for part in graph.get(code, ())), default=-1)
        return depth[code]

    return [code for code in graph if deep(code) > DEEPEST]


def _keep_no_stock(conn: Connection, codes: Sequence[str], ids: Mapping[str, int], done: Done) -> None:
    """A bundle sells its parts: stock of its own would be lost from sight."""
    rows = stock.load_balances(conn, [ids[code] for code in codes])
    for code in codes:
        mine = rows.get(ids[code], {}).values()
        if on_hand := sum(row.on_hand for row in mine):
            raise Conflict(
                f"{code} has {on_hand} pieces of its own: adjust them to 0 before making it a bundle", "parts"
            )
        if any(row.ordered or row.allocated for row in mine):
            done.notes.append(f"open orders hold {code} itself: book them to its parts with syncd orders rebook")


# --- rules --------------------------------------------------------------------------------------------------------


def set_rules(conn: Connection, facts: Facts, items: Sequence[RuleItem], now_us: int, who: str) -> Done:
    """Set rules or take them away; the narrowest scope wins (shop × SKU, SKU, shop, all)."""
    done = Done()
    skus = find_skus(conn, [item.sku for item in items if item.sku is not None])
    touched_skus: set[int] = set()
    touched_shops: set[int] = set()
    for item in items:
        name = _check_rule(item)
        shop_id = EVERY if item.shop is None else shop_facts(facts, item.shop).id
        sku_id = EVERY if item.sku is None else skus[item.sku]
        before = stock.load_rules(conn, [sku_id]).get((name, shop_id, sku_id))
        if before == item.value:
            continue
        stock.set_rule(conn, name, shop_id, sku_id, item.value)
        done.changes.append(
            {"rule": str(name), "shop": item.shop, "sku": item.sku, "before": before, "after": item.value}
        )
        if sku_id:
            touched_skus.add(sku_id)
        else:
            touched_shops |= {shop_id} if shop_id else set(facts.shops)
    if touched_skus:
        done.refreshed.add(refresh_skus(conn, facts, touched_skus, now_us, by_orders=False))
    if touched_shops:
        ids = select(listing.c.id).where(listing.c.shop_id.in_(sorted(touched_shops)), listing.c.sku_id.is_not(None))
        every = [row[0] for row in conn.execute(ids)]
        done.refreshed.add(refresh_listings(conn, facts, every, now_us, by_orders=False))
    if done.changes:
        audit(conn, who, "rules_set", done.changes, now_us)
    return done


def _check_rule(item: RuleItem) -> Rule:
    try:
        name = Rule(item.rule)
    except ValueError:
        raise Refused(f"no rule {item.rule}; rules: {', '.join(Rule)}", "rule") from None
    low, high = RULE_LIMITS[name]
    if item.value is not None and not low <= item.value <= high:
        raise Refused(f"{name} = {item.value} must be {low} to {high}", "value")
    return name


def list_rules(conn: Connection, facts: Facts, shop: str | None, code: str | None) -> list[dict[str, Any]]:
    """Rules of the chain that are set, the widest scope first; for a shop or a SKU, those that can touch it."""
    query = (
        select(rule.c.name, rule.c.shop_id, sku.c.code, rule.c.value)
        .outerjoin(sku, sku.c.id == rule.c.sku_id)
        .where(rule.c.name.in_(CHAIN))
        .order_by(rule.c.sku_id, rule.c.shop_id, rule.c.name)
    )
    if shop is not None:
        query = query.where(rule.c.shop_id.in_([EVERY, shop_facts(facts, shop).id]))
    if code is not None:
        query = query.where(rule.c.sku_id.in_([EVERY, find_skus(conn, [code])[code]]))
    shops = {one.id: one.name for one in facts.shops.values()}
    return [
        {"rule": name, "shop": shops.get(shop_id, f"#{shop_id}") if shop_id else None, "sku": known, "value": value}
        for name, shop_id, known, value in conn.execute(query)
    ]
