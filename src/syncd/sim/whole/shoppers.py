"""Buyers: tail, middle and hot goods all day, a flash now and then; later they cancel, take less or send back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random

from syncd.sim.whole.goods import Goods
from syncd.sim.whole.malls import Mall
from syncd.sim.whole.scene import Demand
from syncd.testing.world import TruthOrder

FLASH_LASTS_SECONDS = 45.0
FLASH_TIMES = 8.0
"""In a flash so many times the usual number of buyers come, all for one SKU."""
CHANGES: Mapping[str, float] = {"ship": 0.35, "cancel": 0.08, "take_less": 0.04, "ship_and_return": 0.03}
UNITS = (1, 1, 1, 1, 2, 3)

Later = Callable[[float, Callable[[], None]], object]


@dataclass(slots=True)
class Shoppers:
    """The crowd of a play. `later(seconds, act)` does something when its time has come."""

    malls: list[Mall]
    goods: Goods
    rng: Random
    later: Later
    per_second: float
    flash_every: float
    bought: int = 0
    _shelves: dict[str, tuple[list[str], list[float]]] = field(default_factory=dict)
    _pages: dict[tuple[str, str], list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for mall in self.malls:
            listings = mall.market.listings.values()
            likes = [self.goods.likes[one.sku] / one.pack for one in listings]
            self._shelves[mall.name] = [one.key for one in listings], likes
            for one in listings:
                self._pages.setdefault((mall.name, one.sku), []).append(one.key)

    def flash_at(self, second: float) -> str | None:
        """The SKU that is in a flash at that second of the play."""
        flashy = self.goods.of(Demand.FLASH)
        number, since = divmod(second, self.flash_every)
        if not flashy or number < 1 or since >= FLASH_LASTS_SECONDS:
            return None
        return flashy[int(number) % len(flashy)]

    def rate(self, second: float) -> float:
        """Buyers a second."""
        return self.per_second * (1 + FLASH_TIMES * (self.flash_at(second) is not None))

    def visit(self, second: float) -> None:
        """One buyer comes to one shop."""
        mall, flash = self.rng.choice(self.malls), self.flash_at(second)
        keys, likes = self._shelves[mall.name]
        wanted = self.rng.choices(keys, likes, k=self.rng.choice([1, 1, 1, 2]))
        if flash is not None and self.rng.random() < FLASH_TIMES / (1 + FLASH_TIMES):
            wanted = self._pages.get((mall.name, flash), wanted)[:1]
        order = mall.market.buy({key: self.rng.choice(UNITS) for key in dict.fromkeys(wanted)})
        if order is not None:
            self.bought += 1
            self._plan(mall, order)

    def _plan(self, mall: Mall, order: TruthOrder) -> None:
        kept = 1.0 - sum(CHANGES.values())
        [name] = self.rng.choices([*CHANGES, ""], [*CHANGES.values(), kept])
        if name:
            self.later(self.rng.uniform(1.0, 240.0), lambda: self._change(mall, order, name))

    def _change(self, mall: Mall, order: TruthOrder, name: str) -> None:
        market, lines = mall.market, order.lines
        if name == "cancel":
            market.cancel(order.number)
        elif name == "take_less" and mall.tells_parts:
            market.cancel(order.number, {self.rng.choice(lines).line: 1})
        elif name.startswith("ship"):
            market.ship(order.number)
            if name == "ship_and_return" and mall.tells_returns:
                self.later(self.rng.uniform(60.0, 300.0), lambda: self._send_back(mall, order))

    @staticmethod
    def _send_back(mall: Mall, order: TruthOrder) -> None:
        units = {line.line: line.shipped - line.returned for line in order.lines}
        mall.market.give_back(order.number, units, restock=False)
