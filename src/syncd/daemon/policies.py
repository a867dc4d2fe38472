"""By which policy each SKU is shown now: decided from booked demand and measured lags, kept in rows."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import Connection

from syncd.core import policy
from syncd.core.demand import Seller, expected_blind
from syncd.core.planner import POLICIES, Rule, RuleTable, rule_of
from syncd.core.policy import Decision, Kind, Mode, Policy
from syncd.daemon.facts import Facts, demand_of
from syncd.daemon.stock_view import StockView, sellers_of
from syncd.store import stances
from syncd.store.listings import ListingRow, Pair
from syncd.store.stances import StanceRow

WATCHED_FROM = 0.02
"""Under so few pieces sold unseen a SKU is simply mirrored: its low stock neither jumps nor is read back."""
DAY_TAU = 43_200.0
Sellers = Sequence[tuple[ListingRow, int]]


def policy_of(rules: RuleTable, sku: int, usual: Policy) -> Policy:
    """The operator's word on a SKU: the narrowest that is set, else the usual one of the settings."""
    code = rule_of(rules, Rule.POLICY, 0, sku)
    kind = usual.kind if code is None else Kind(POLICIES[code])
    reserve = rule_of(rules, Rule.RESERVE, 0, sku) or (usual.reserve if code is None else 0)
    begins, ends = rule_of(rules, Rule.SALE_FROM, 0, sku), rule_of(rules, Rule.SALE_UNTIL, 0, sku)
    if begins is None or ends is None or begins >= ends:
        begins = ends = None
    return Policy(kind, reserve if kind is Kind.MIRROR else 0, begins, ends)


def decide(
    conn: Connection, facts: Facts, skus: Collection[int], pairs: Sequence[Pair], have: StockView, now_us: int
) -> None:
    """Decide anew how these plain SKUs are shown. `pairs` hold every listing that sells one of them."""
    changed: dict[int, StanceRow | None] = {}
    plain = [sku for sku in skus if sku not in have.parts]
    for sku, rows in sellers_of(have, pairs, plain).items():
        wanted = with_bundles(have, rows, sku, facts.policy)
        before = have.stances.get(sku)
        if before is None and _is_calm(facts, rows, wanted):
            continue
        after = _decide(facts, rows, have, sku, wanted, before, now_us)
        if after == before:
            continue
        changed[sku] = after
        have.stances.pop(sku, None)
        if after is not None:
            have.stances[sku] = after
    stances.save_stances(conn, changed)


def with_bundles(have: StockView, rows: Sellers, sku: int, usual: Policy) -> Policy:
    """A bundle set to escrow puts its parts there, too: it can be no safer than they are."""
    own = policy_of(have.rules, sku, usual)
    if own.kind is Kind.ESCROW or not have.rules:
        return own
    for one in sorted({row.sku_id for row, _ in rows if row.sku_id is not None and row.sku_id != sku}):
        above = policy_of(have.rules, one, usual)
        if above.kind is Kind.ESCROW:
            return above
        if above.sale_from_us is not None and own.sale_from_us is None:
            return Policy(own.kind, own.reserve, above.sale_from_us, above.sale_until_us)
    return own


def _is_calm(facts: Facts, rows: Sellers, wanted: Policy) -> bool:
    """Whether nothing needs to be worked out: no word of an operator, and at most one order in two minutes."""
    if wanted.kind is Kind.ESCROW or wanted.reserve or wanted.sale_from_us is not None:
        return False
    burst = day = one_order = 0.0
    for row, pieces in rows:
        burst += row.demand_middle * pieces
        one_order = max(one_order, row.demand_largest * pieces)
        if row.demand_day and row.shop_id in facts.shops:
            day += row.demand_day * pieces * facts.blind_seconds(row.shop_id, row.demand_us)
    return burst <= max(1.0, one_order) and day < WATCHED_FROM * DAY_TAU


def _decide(
    facts: Facts, rows: Sellers, have: StockView, sku: int, wanted: Policy, before: StanceRow | None, now_us: int
) -> StanceRow | None:
    at_work = [(row, pieces) for row, pieces in rows if row.shop_id in facts.shops]
    sellers = [Seller(demand_of(row), facts.blind_seconds(row.shop_id, now_us), pieces) for row, pieces in at_work]
    blind = expected_blind(sellers, now_us)
    free = have.free(sku, (facts.shops[row.shop_id] for row, _ in at_work))
    drain_us = facts.drain_us()
    decision = policy.decide(wanted, free, blind, now_us, decision_of(before), drain_us=drain_us)
    next_us = policy.next_change_us(wanted, now_us, decision, drain_us=drain_us)
    return _row(decision, next_us, blind)


def decision_of(row: StanceRow | None) -> Decision:
    """The decision that a row keeps."""
    if row is None:
        return policy.UNDECIDED
    return Decision(Mode(row.mode), row.reserve, bool(row.jumps), bool(row.watched), row.since_us, bool(row.sale))


def _row(decision: Decision, next_us: int | None, blind: float) -> StanceRow | None:
    """What is kept of a decision; None where it is a plain mirror with nothing to look at."""
    worth = blind >= WATCHED_FROM
    jumps, watched = decision.jumps and worth, decision.watched and worth
    if decision.mode is Mode.MIRROR and not (jumps or watched) and next_us is None:
        return None
    watched = watched or decision.mode is Mode.ESCROW
    return StanceRow(
        decision.mode, decision.reserve, int(jumps), int(watched), decision.since_us, int(decision.sale), next_us,
        float(f"{blind:.2g}"),
    )  # fmt: skip


def in_words(found: Mapping[int, StanceRow], sku: int) -> str:
    """A SKU's stance for people."""
    row = found.get(sku)
    if row is None:
        return "mirror"
    more = f", {row.reserve} kept back" if row.reserve else ""
    return f"{row.mode}{more}, {row.blind:g} pieces expected to be sold unseen{', in a sale' if row.sale else ''}"
