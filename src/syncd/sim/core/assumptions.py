"""Every number that is assumed and not computed: six shops, five kinds of demand. Change them here only.

Documented is only that most updated orders of the Amazon-like shop can be read after about 2 minutes; everything
else is an assumption. Where a range is given, values are drawn evenly from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from syncd.sdk.capabilities import Form

SECOND_US = 1_000_000
BEGIN_US = 1_000_000 * SECOND_US


@dataclass(frozen=True, slots=True, kw_only=True)
class ShopModel:
    """How one shop behaves. Times in seconds.

    `share`: its part of the demand. `visible`: from acceptance until the order can be read, of which `late` (one in
    fifty) go up to `latest`. `bound`: what we hold to be the longest (V). `poll`: how often its orders are read;
    0 means a webhook brings them. `rows`, `calls`: rows a call, calls a second. `applies`: from the call to the
    page, where the call only takes the write in; None means within the call. `uploads`: calls leave at whole
    multiples of it. `reads`: rows a stock read, 0 for none.
    """

    name: str
    share: float
    forms: frozenset[Form]
    rows: int
    calls: float
    visible: tuple[float, float]
    latest: float
    bound: float
    poll: float
    applies: tuple[float, float] | None = None
    uploads: float = 0.0
    reads: int = 0
    dead_after: float = 60.0


SHOPS = (
    ShopModel(
        name="mall-a", share=0.35, forms=frozenset({Form.RELATIVE_REFUSES, Form.ABSOLUTE}), rows=400, calls=1.0,
        visible=(10, 15), latest=60, bound=60, poll=10, reads=400,
    ),
    ShopModel(
        name="mall-b", share=0.20, forms=frozenset({Form.RELATIVE_CLAMPS, Form.ABSOLUTE}), rows=1000, calls=1.0,
        visible=(10, 15), latest=60, bound=60, poll=10, reads=1000,
    ),
    ShopModel(
        name="amazon-like", share=0.20, forms=frozenset({Form.ABSOLUTE}), rows=1, calls=5.0,
        visible=(100, 180), latest=180, bound=180, poll=30, applies=(15, 90), reads=20, dead_after=300.0,
    ),
    ShopModel(
        name="cart-hooks", share=0.15, forms=frozenset({Form.COMPARE_AND_SET, Form.ABSOLUTE}), rows=250, calls=2.0,
        visible=(2, 2), latest=2, bound=30, poll=0, reads=250,
    ),
    ShopModel(
        name="cart-single", share=0.07, forms=frozenset({Form.ABSOLUTE}), rows=1, calls=2.0,
        visible=(1, 3), latest=3, bound=10, poll=15, reads=50,
    ),
    ShopModel(
        name="csv", share=0.03, forms=frozenset({Form.ABSOLUTE}), rows=100_000, calls=1.0,
        visible=(45, 120), latest=120, bound=120, poll=30, applies=(60, 180), uploads=60, dead_after=600.0,
    ),
)  # fmt: skip

CALL_SECONDS = 0.3
"""A call there and back; it takes effect half-way."""
READ_SECONDS = 0.1
"""From asking for numbers to having them."""
LATE_SHARE = 0.02
COLLECT_SECONDS = 5.0
"""How often results that come later are asked for."""
BATCH_SECONDS = 180.0
WATCH_SECONDS = 2.0
"""Low SKUs are read back as often as this; less often where the shop's calls do not suffice."""
WATCH_SHARE = 0.5
"""Part of a shop's calls that may go into watching."""


class Scenario(StrEnum):
    """How buyers come."""

    TAIL = "tail"
    MIDDLE = "middle"
    HOT = "hot"
    FLASH = "flash"
    CLOGGED = "flash, clogged"


@dataclass(frozen=True, slots=True, kw_only=True)
class Demands:
    """Stock and demand of one merchant's SKUs in one scenario.

    `stock`: the range it is drawn from. `per_second`: buyers of each SKU. `after`, `seconds`: when they come.
    `clog`: other rows, restocked in every shop at the minute when the buyers come.
    """

    skus: int
    stock: tuple[int, int]
    per_second: float
    seconds: float
    after: float = 0.0
    clog: int = 0


DAY = 86_400.0
DEMANDS: dict[Scenario, Demands] = {
    Scenario.TAIL: Demands(skus=200, stock=(1, 4), per_second=0.5 / DAY, seconds=7.5 * DAY),
    Scenario.MIDDLE: Demands(skus=50, stock=(20, 60), per_second=12 / DAY, seconds=5 * DAY),
    Scenario.HOT: Demands(skus=10, stock=(100, 300), per_second=30 / 3600, seconds=10 * 3600.0),
    Scenario.FLASH: Demands(skus=1, stock=(100, 300), per_second=40 / 60, seconds=600.0, after=1200.0),
    Scenario.CLOGGED: Demands(skus=1, stock=(100, 300), per_second=40 / 60, seconds=600.0, after=1200.0, clog=3000),
}
"""Demand is one and a half times the stock, twice in a flash: every SKU comes to its last piece."""
