"""Who wants what, where and when: the same list for every policy, from the seed alone."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from syncd.sim.core.assumptions import BEGIN_US, SECOND_US, SHOPS, Demands, ShopModel

Sale = tuple[int, int, int]
"""When, which SKU, which shop."""


@dataclass(frozen=True, slots=True)
class Script:
    """What happens to one merchant: the stock of each SKU, and the buyers in order of time."""

    seed: int
    stock: tuple[int, ...]
    sales: tuple[Sale, ...]
    clog: int
    clog_us: int


def script(seed: int, demands: Demands, shops: Sequence[ShopModel] = SHOPS) -> Script:
    """The same seed gives the same script in every process."""
    chance = random.Random(f"buyers {seed}")  # noqa: S311  # a play must repeat
    low, high = demands.stock
    stock = tuple(chance.randint(low, high) for _ in range(demands.skus))
    names, shares = range(len(shops)), [shop.share for shop in shops]
    begin = BEGIN_US + int(demands.after * SECOND_US)
    length_us = int(demands.seconds * SECOND_US)
    sales: list[Sale] = []
    for sku in range(demands.skus):
        count = poisson(chance, demands.per_second * demands.seconds)
        where = chance.choices(names, shares, k=count)
        sales += [(begin + chance.randrange(length_us), sku, shop) for shop in where]
    sales.sort()
    return Script(seed, stock, tuple(sales), demands.clog, begin)


def poisson(chance: random.Random, mean: float) -> int:
    """A Poisson number, drawn in parts so that no power of e runs out of range."""
    total = 0
    while mean > 0.0:
        part = min(mean, 300.0)
        mean -= part
        limit, product = math.exp(-part), chance.random()
        while product > limit:
            total += 1
            product *= chance.random()
    return total
