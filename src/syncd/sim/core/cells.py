"""One cell of the oversell table: a merchant's day under one habit, and what it cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from syncd.core.demand import Demand
from syncd.core.policy import Kind, Policy
from syncd.core.shares import shares
from syncd.sim.core.assumptions import BEGIN_US, DEMANDS, SECOND_US, SHOPS, Scenario, ShopModel
from syncd.sim.core.buyers import Script, script
from syncd.sim.core.calendar import Calendar
from syncd.sim.core.habits import Habit
from syncd.sim.core.keeper import Keeper
from syncd.sim.core.market import Market
from syncd.sim.core.rows import Listing, Shop, Sku
from syncd.sim.core.writing import Wire, Writer


@dataclass(frozen=True, slots=True)
class Tally:
    """Units. `lost`: could have been sold and were not. `refused_in_stock`: turned away while a piece was there."""

    demanded: int = 0
    accepted: int = 0
    oversold: int = 0
    lost: int = 0
    refused_in_stock: int = 0
    pushes: int = 0
    calls: int = 0


@dataclass(slots=True)
class Stall:
    """Everything of one merchant, ready to run."""

    calendar: Calendar
    market: Market
    keeper: Keeper
    writer: Writer


def build(
    stock: tuple[int, ...],
    seed: int,
    habit: Habit,
    models: tuple[ShopModel, ...] = SHOPS,
    policies: Sequence[Policy] | None = None,
) -> Stall:
    """Shops that show all stock, or in escrow each its share, with every order read and every number proven.

    `policies` of each SKU, else the habit's.
    """
    calendar, skus, shops, shown = lay_out(stock, policies or [habit.policy] * len(stock), models)
    market = Market(models, stock, shown, seed)
    keeper = Keeper(calendar, market, habit, skus, shops)
    return Stall(calendar, market, keeper, Writer(keeper, Wire(models, seed)))


def lay_out(
    stock: tuple[int, ...], policies: Sequence[Policy], models: tuple[ShopModel, ...]
) -> tuple[Calendar, list[Sku], list[Shop], list[int]]:
    """The rows of a merchant and what its pages show."""
    shops = [Shop(i, model, BEGIN_US) for i, model in enumerate(models)]
    for shop in shops:
        shop.demand = Demand(BEGIN_US, 0.0, 0.0, 100.0 * shop.model.share)  # yesterday's sales
    skus = [Sku(i, free, policy) for i, (free, policy) in enumerate(zip(stock, policies, strict=True))]
    shown: list[int] = []
    by = {shop.index: shop.model.share for shop in shops}
    for sku in skus:
        parts = (
            shares(sku.free, by)
            if sku.policy.kind is Kind.ESCROW
            else dict.fromkeys(by, max(0, sku.free - sku.policy.reserve))
        )
        for shop in shops:
            listing = Listing(len(shown), sku, shop, parts[shop.index], BEGIN_US - 3600 * SECOND_US)
            sku.listings.append(listing)
            shop.listings.append(listing)
            shown.append(parts[shop.index])
    return Calendar(BEGIN_US), skus, shops, shown


def run_cell(scenario: Scenario, habit: Habit, seed: int) -> Tally:
    """One merchant from its first buyer to its last."""
    told = script(seed, DEMANDS[scenario])
    stall = build(told.stock, seed, habit)
    for sku in stall.keeper.skus:
        stall.keeper.refresh(sku)
    if told.clog:
        stall.writer.clog_all(told.clog, told.clog_us)
    play(stall, told)
    return tally(stall, told)


def play(stall: Stall, told: Script) -> None:
    """Let the buyers come."""
    calendar, market, keeper = stall.calendar, stall.market, stall.keeper
    listings, shops, wide = keeper.listings, keeper.shops, len(keeper.shops)
    for at, sku, shop in told.sales:
        calendar.run_to(at)
        index = sku * wide + shop
        visible_us = market.buy(sku, shop, index, at)
        if visible_us is not None:
            keeper.expect(shops[shop], visible_us)
            keeper.sold_unseen(listings[index])


def tally(stall: Stall, told: Script) -> Tally:
    """What came of it."""
    market, stock = stall.market, told.stock
    lost = sum(
        max(0, min(have, asked) - got) for have, asked, got in zip(stock, market.demanded, market.accepted, strict=True)
    )
    return Tally(
        sum(market.demanded), sum(market.accepted), market.oversold, lost, market.refused_in_stock,
        stall.keeper.pushes, stall.writer.calls,
    )  # fmt: skip


def total(tallies: list[Tally]) -> Tally:
    """The sum over merchants."""
    names = Tally.__dataclass_fields__
    return replace(Tally(), **{name: sum(getattr(one, name) for one in tallies) for name in names})
