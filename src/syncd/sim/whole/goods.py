"""What there is to sell: tail, middle, hot and flash goods, bundles over them, and how much buyers like each."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from syncd.sim.whole.scene import Demand, Scene, code_of, demand_of
from syncd.testing.world import World

STOCK = {Demand.TAIL: (1, 4), Demand.MIDDLE: (8, 40), Demand.HOT: (40, 150), Demand.FLASH: (20, 60)}
LIKES = {Demand.TAIL: 0.5, Demand.MIDDLE: 2.0, Demand.HOT: 12.0, Demand.FLASH: 1.0}
SHELF_SHARE = 0.85
TWIN_SHARE = 0.08
PACKS = (1, 1, 1, 1, 2, 3)


@dataclass(slots=True)
class Goods:
    """The merchant's SKUs. `likes` is how often buyers look for one, bundles included."""

    demand: dict[str, Demand] = field(default_factory=dict)
    likes: dict[str, float] = field(default_factory=dict)
    bundles: list[str] = field(default_factory=list)

    @property
    def plain(self) -> list[str]:
        return list(self.demand)

    def of(self, demand: Demand) -> list[str]:
        return [sku for sku, one in self.demand.items() if one is demand]


@dataclass(frozen=True, slots=True)
class Offer:
    """One listing that a shop puts on sale."""

    sku: str
    pack: int
    twin: int


def stock_goods(world: World, scene: Scene, rng: Random) -> Goods:
    """Put the goods into the warehouse."""
    goods = Goods()
    for number in range(scene.skus):
        demand, sku = demand_of(number), code_of(number)
        world.stock(sku, rng.randint(*STOCK[demand]))
        goods.demand[sku], goods.likes[sku] = demand, LIKES[demand]
    first, second, third = goods.plain[1:4]
    world.bundle("SET-1", {first: 1, second: 2})
    world.bundle("SET-2", {"SET-1": 1, third: 1})
    goods.bundles = ["SET-1", "SET-2"]
    goods.likes |= dict.fromkeys(goods.bundles, 1.0)
    return goods


def shelf(goods: Goods, rng: Random) -> list[Offer]:
    """What one shop sells: most of the goods, a few on two pages, a few in packs."""
    offers = []
    for sku in (*goods.plain, *goods.bundles):
        if rng.random() < SHELF_SHARE:
            pages = 2 if rng.random() < TWIN_SHARE else 1
            offers += [Offer(sku, rng.choice(PACKS), twin) for twin in range(pages)]
    return offers
