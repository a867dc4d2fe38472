"""Policies (連動方式) as staff set them for SKUs, and how each SKU is shown now."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection, select

from syncd.core.planner import POLICIES, RULE_LIMITS, Rule, RuleTable
from syncd.core.policy import Kind, Policy, PolicyError, parse
from syncd.daemon import guarantee
from syncd.daemon.allotting import shares_of
from syncd.daemon.desk_answers import Done, Refused, audit, names
from syncd.daemon.desk_stock import find_skus
from syncd.daemon.facts import Facts, exposure_of
from syncd.daemon.guarantee import Reason, Surroundings
from syncd.daemon.policies import policy_of, with_bundles
from syncd.daemon.rights import left_of
from syncd.daemon.stock_view import ESCROW, StockView, load_stock, sellers_of
from syncd.daemon.targets import Refreshed, refresh_skus
from syncd.model import from_us
from syncd.store import listings as listing_rows
from syncd.store import orders as order_rows
from syncd.store import shops, stances, stock
from syncd.store.listings import ListingRow, Pair
from syncd.store.schema import rule, sku, stance
from syncd.store.stances import StanceRow

EVERY = 0
NONE = "none"
MIRRORED = StanceRow()
RULES = (Rule.POLICY, Rule.RESERVE, Rule.SALE_FROM, Rule.SALE_UNTIL)
Sale = tuple[int | None, int | None]


@dataclass(frozen=True, slots=True)
class PolicyItem:
    """A policy for a SKU, or without one for all. "" leaves the policy, "none" takes it away.

    `sale`: start and end in microseconds; None leaves it, (None, None) takes it away.
    """

    sku: str | None = None
    policy: str = ""
    sale: Sale | None = None


def set_policies(conn: Connection, facts: Facts, items: Sequence[PolicyItem], now_us: int, who: str) -> Done:
    """Set policies and sales, or take them away; the SKU's own goes before that of all."""
    done = Done()
    codes = [item.sku for item in items if item.sku is not None]
    if twice := sorted({code for code in codes if codes.count(code) > 1}):
        raise Refused(f"SKU named twice: {names(twice)}", "items")
    skus = find_skus(conn, codes)
    rules = stock.load_rules(conn, [EVERY, *skus.values()])
    touched: set[int] = set()
    for item in items:
        sku_id = EVERY if item.sku is None else skus[item.sku]
        before = {name: rules.get((name, EVERY, sku_id)) for name in RULES}
        after = {**before, **_values(item)}
        _check(after)
        if after == before:
            continue
        for name in RULES:
            if after[name] != before[name]:
                stock.set_rule(conn, name, EVERY, sku_id, after[name])
        done.changes.append({"sku": item.sku, "before": _in_words(before), "after": _in_words(after)})
        touched.add(sku_id)
    if touched:
        done.refreshed.add(_refresh(conn, facts, touched, now_us))
        audit(conn, who, "policies_set", done.changes, now_us)
    return done


def _values(item: PolicyItem) -> dict[Rule, int | None]:
    """The rules an item sets. A mirror says its reserve even where that is 0, or a wider one would hold."""
    values: dict[Rule, int | None] = {}
    if item.policy.strip().casefold() == NONE:
        values |= {Rule.POLICY: None, Rule.RESERVE: None}
    elif item.policy:
        try:
            given = parse(item.policy)
        except PolicyError as error:
            raise Refused(str(error), "policy") from None
        reserve = given.reserve if given.kind is Kind.MIRROR else None
        values |= {Rule.POLICY: POLICIES.index(given.kind), Rule.RESERVE: reserve}
    if item.sale is not None:
        values |= {Rule.SALE_FROM: item.sale[0], Rule.SALE_UNTIL: item.sale[1]}
    return values


def _check(values: Mapping[Rule, int | None]) -> None:
    for name, value in values.items():
        low, high = RULE_LIMITS[name]
        if value is not None and not low <= value <= high:
            raise Refused(f"{name} = {value} must be {low} to {high}", "policy" if name is Rule.RESERVE else name)
    try:
        Policy(sale_from_us=values[Rule.SALE_FROM], sale_until_us=values[Rule.SALE_UNTIL])
    except PolicyError as error:
        raise Refused(str(error), "sale_from") from None


def _in_words(values: Mapping[Rule, int | None]) -> dict[str, str | None] | None:
    """A scope's rules for people; None where none is set."""
    if all(value is None for value in values.values()):
        return None
    code, begins, ends = values[Rule.POLICY], values[Rule.SALE_FROM], values[Rule.SALE_UNTIL]
    kind = None if code is None else Kind(POLICIES[code])
    policy = None if kind is None else str(Policy(kind, values[Rule.RESERVE] or 0 if kind is Kind.MIRROR else 0))
    return {"policy": policy, "sale_from": _iso(begins), "sale_until": _iso(ends)}


def _iso(moment_us: int | None) -> str | None:
    return None if moment_us is None else from_us(moment_us).isoformat()


def _refresh(conn: Connection, facts: Facts, touched: Collection[int], now_us: int) -> Refreshed:
    """Decide anew how these SKUs are shown, and the parts of those that are bundles: a bundle is shown by them."""
    if EVERY in touched:
        skus = {row[0] for row in conn.execute(select(sku.c.id))}
    else:
        have = load_stock(conn, touched)
        skus = {*touched, *(part for one in touched for part in have.plain(one))}
    return refresh_skus(conn, facts, skus, now_us, by_orders=False)


# --- how SKUs are shown now -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ListingView:
    """One listing of a SKU. `share`: pieces it should have in escrow; None outside."""

    row: ListingRow
    shop: str
    pieces: int
    share: int | None
    waits_for: str

    @property
    def standing(self) -> str:
        return exposure_of(self.row).standing


@dataclass(slots=True)
class PolicyView:
    """How one SKU is shown. A bundle has parts, each with its mode, instead of a stance, stock and listings.

    `left`: pieces that may still be given in escrow; None where nothing may (R11, R12), and outside.
    """

    id: int
    sku: str
    policy: Policy
    scope: str
    parts: dict[str, str] = field(default_factory=dict)
    stance: StanceRow = MIRRORED
    free: int | None = None
    left: int | None = None
    listings: list[ListingView] = field(default_factory=list)
    reasons: list[Reason] = field(default_factory=list)

    @property
    def in_escrow(self) -> bool:
        return self.stance.mode == ESCROW


def find_policies(
    conn: Connection, facts: Facts, codes: Sequence[str], now_us: int, *, escrow: bool, after_id: int, limit: int
) -> list[PolicyView]:
    """How these SKUs are shown, bundles with their parts; of all, a page of those that are not simply mirrored."""
    if codes:
        ids = sorted(find_skus(conn, codes).values())
        found = describe(conn, facts, ids, now_us)
        return [one for one in found if one.in_escrow or not escrow]
    worded = select(rule.c.sku_id).where(rule.c.name.in_(RULES), rule.c.sku_id != EVERY)
    escrowed, any_stance = select(stance.c.sku_id).where(stance.c.mode == ESCROW), select(stance.c.sku_id)
    some = escrowed.subquery() if escrow else any_stance.union(worded).subquery()
    page = select(some.c.sku_id).where(some.c.sku_id > after_id).order_by(some.c.sku_id).limit(limit)
    ids = [row[0] for row in conn.execute(page)]
    return [one for one in describe(conn, facts, ids, now_us) if one.id in set(ids)]


def usual_policy(conn: Connection, facts: Facts) -> tuple[Policy, str]:
    """What holds for a SKU of which nothing is said, and from where."""
    rules = stock.load_rules(conn, [])
    return policy_of(rules, EVERY, facts.policy), _scope(rules, EVERY)


def describe(conn: Connection, facts: Facts, ids: Sequence[int], now_us: int) -> list[PolicyView]:
    """How these SKUs and the parts of those that are bundles are shown now, in the order of their ids."""
    below = load_stock(conn, ids)
    plain = sorted({part for one in ids for part in below.plain(one)})
    pairs = listing_rows.listings_of_skus(conn, sorted(stock.bundles_above(conn, plain)))
    have = load_stock(conn, {*ids, *plain, *(row.sku_id for row, _ in pairs if row.sku_id is not None)})
    codes = stock.sku_codes(conn, sorted({*ids, *plain, *(row.sku_id for row, _ in pairs if row.sku_id is not None)}))
    left = left_of(conn, facts, [one for one in plain if one in have.in_escrow(one)])
    beside = surroundings(conn, pairs, now_us)
    found = {one: _bundle(facts, one, have, codes) for one in ids if one in have.parts}
    for one, rows in sellers_of(have, pairs, plain).items():
        view = found[one] = _plain(facts, one, rows, have, codes)
        view.left = left.get(one)
        view.listings = _listings(facts, one, rows, have, beside)
        if view.in_escrow:
            view.reasons = _broken_by(facts, one, rows, have, beside)
    return [found[one] for one in sorted(found)]


def _bundle(facts: Facts, one: int, have: StockView, codes: Mapping[int, str]) -> PolicyView:
    modes = {codes[part]: have.stances.get(part, MIRRORED).mode for part in have.plain(one)}
    return PolicyView(one, codes[one], policy_of(have.rules, one, facts.policy), _scope(have.rules, one), modes)


def _plain(
    facts: Facts, one: int, rows: Sequence[tuple[ListingRow, int]], have: StockView, codes: Mapping[int, str]
) -> PolicyView:
    own, wanted = policy_of(have.rules, one, facts.policy), with_bundles(have, rows, one, facts.policy)
    scope = _scope(have.rules, one)
    if wanted != own:
        above = {row.sku_id for row, _ in rows if row.sku_id is not None and row.sku_id != one}
        by = [codes[each] for each in sorted(above) if _gives(policy_of(have.rules, each, facts.policy), wanted)]
        scope = f"bundle {by[0]}" if by else scope
    at_work = (facts.shops[row.shop_id] for row, _ in rows if row.shop_id in facts.shops)
    return PolicyView(
        one, codes[one], wanted, scope, stance=have.stances.get(one, MIRRORED), free=have.free(one, at_work)
    )


def _gives(above: Policy, wanted: Policy) -> bool:
    return above == wanted or above.sale_from_us == wanted.sale_from_us is not None


def _scope(rules: RuleTable, one: int) -> str:
    """Where a SKU's policy is set: at the SKU, by default for all, or in the settings file."""
    if one and (Rule.POLICY, EVERY, one) in rules:
        return "sku"
    return "default" if (Rule.POLICY, EVERY, EVERY) in rules else "settings"


def _listings(
    facts: Facts, one: int, rows: Sequence[tuple[ListingRow, int]], have: StockView, beside: Surroundings
) -> list[ListingView]:
    shares = shares_of(facts, one, rows, have, beside.now_us) if have.in_escrow(one) else {}
    return [
        ListingView(
            row, beside.shops[row.shop_id].name, pieces, shares.get(row.id),
            guarantee.waits_for(facts.shops.get(row.shop_id), row),
        )
        for row, pieces in rows
    ]  # fmt: skip


def _broken_by(
    facts: Facts, one: int, rows: Sequence[tuple[ListingRow, int]], have: StockView, beside: Surroundings
) -> list[Reason]:
    """Why a SKU in escrow cannot be guaranteed now."""
    stance_row = have.stances.get(one, MIRRORED)
    free = have.free(one, (facts.shops[row.shop_id] for row, _ in rows if row.shop_id in facts.shops))
    return [
        *guarantee.reasons(facts, [row for row, _ in rows], beside),
        *guarantee.draining(facts, rows, free, stance_row.since_us, beside.now_us),
    ]


def surroundings(conn: Connection, pairs: Sequence[Pair], now_us: int) -> Surroundings:
    """What a guarantee must know beside the listings."""
    return Surroundings({row.id: row for row in shops.all_shops(conn)}, _unbooked(conn, pairs), now_us)


def _unbooked(conn: Connection, pairs: Sequence[Pair]) -> dict[int, int]:
    """Units on order lines that are not booked, by listing."""
    known = {(row.shop_id, row.key): row.id for row, _ in pairs}
    found: dict[int, int] = {}
    for shop_id, key, units in order_rows.unbooked_units(conn, sorted({key for _, key in known})):
        if units and (shop_id, key) in known:
            found[known[shop_id, key]] = int(units)
    return found


def count_unguaranteed(conn: Connection, facts: Facts, now_us: int) -> tuple[int, int]:
    """How many SKUs are in escrow, and how many of them cannot be guaranteed now."""
    ids = stances.in_escrow(conn)
    if not ids:
        return 0, 0
    pairs = listing_rows.listings_of_skus(conn, sorted(stock.bundles_above(conn, ids)))
    have = load_stock(conn, {*ids, *(row.sku_id for row, _ in pairs if row.sku_id is not None)})
    beside = surroundings(conn, pairs, now_us)
    every = sellers_of(have, pairs, ids).items()
    return len(ids), sum(bool(_broken_by(facts, one, rows, have, beside)) for one, rows in every)
