"""What the daemon holds in memory: its rows of SKUs, listings and shops, and the calls it has out."""

from __future__ import annotations

from dataclasses import dataclass, field

from syncd.core.demand import NO_DEMAND, Assumed, Demand, Lags
from syncd.core.escrow import Exposure
from syncd.core.fence import Shown
from syncd.core.ledger import NOTHING, Booked
from syncd.core.planner import Plan
from syncd.core.policy import AUTO, UNDECIDED, Decision, Policy
from syncd.model import Lane
from syncd.sdk.channel import Accepted, Rejected
from syncd.sim.core.assumptions import CALL_SECONDS, ShopModel


class Sku:
    """One SKU: free stock, and how it is shown."""

    __slots__ = ("changed_us", "decision", "found", "free", "index", "listings", "policy", "raised_us", "timer_us")

    def __init__(self, index: int, free: int, policy: Policy = AUTO) -> None:
        self.index, self.free, self.policy = index, free, policy
        self.decision: Decision = UNDECIDED
        self.listings: list[Listing] = []
        self.found = 0  # units that read-back found sold, whose orders are not read yet
        self.raised_us = 0
        self.changed_us = 0  # when mode or reserve changed
        self.timer_us = 0


class Listing:
    """One SKU in one shop: what it is believed to show, its bound, its demand, and its wish in the queue."""

    __slots__ = (
        "again_us", "calls", "demand", "due_us", "exposure", "found", "found_us", "index", "lane", "name",
        "not_before_us", "settle_us", "shop", "shown", "since_us", "sku", "target", "told_us", "watch_us",
    )  # fmt: skip

    def __init__(self, index: int, sku: Sku, shop: Shop, shows: int, now_us: int) -> None:
        self.index, self.sku, self.shop = index, sku, shop
        self.name = f"{shop.model.name}/{sku.index}"
        self.shown = Shown(believed=shows, base_us=now_us)
        self.exposure = Exposure(bound=shows)
        self.demand: Demand = NO_DEMAND
        self.calls: list[Row] = []
        self.target = shows
        self.lane: Lane | None = None
        self.due_us = self.since_us = self.not_before_us = self.told_us = 0
        self.found = self.found_us = 0
        self.watch_us = self.settle_us = self.again_us = 0  # when it is looked at next; 0 for not


class Shop:
    """One shop: its queue, its speed, what we know of its orders and of its lags."""

    __slots__ = (
        "assumed", "batch", "blind", "demand", "dispatch_us", "index", "lags", "listings", "measured", "model",
        "opens_us", "polled_us", "restocks", "shut_us", "slot_us", "stockout", "watched",
    )  # fmt: skip

    def __init__(self, index: int, model: ShopModel, now_us: int) -> None:
        self.index, self.model = index, model
        self.listings: list[Listing] = []
        self.stockout: dict[int, Listing] = {}
        self.batch: dict[int, Listing] = {}
        self.slot_us = self.dispatch_us = 0
        self.polled_us = now_us
        self.shut_us = self.opens_us = 0  # maintenance: no call gets through
        self.restocks: bool | None = True  # cancelled units go back on the page; None: nobody knows
        self.demand: Demand = NO_DEMAND
        self.lags = Lags()
        applies = model.applies[1] if model.applies else CALL_SECONDS
        self.assumed = Assumed(model.bound, model.poll, model.uploads + 1.0, applies)
        self.blind = 0.0
        self.measured = 0
        self.watched = 0


@dataclass(slots=True)
class Row:
    """One row of a call under way. `alone`: no other write of the listing was out with it, or lost and alive."""

    listing: Listing
    plan: Plan
    target: int
    cost: int
    began_us: int
    since_us: int
    lane: Lane
    alone: bool
    sold_old: int = 0
    sold_new: int = 0
    back: int = 0
    outcome: Accepted | Rejected | None = None


@dataclass(slots=True)
class Call:
    """One call of a shop. `crashed`: the daemon died over it; what comes of it is settled as in doubt."""

    shop: Shop
    rows: list[Row]
    began_us: int
    crashed: bool = False


@dataclass(slots=True)
class Line:
    """What is booked of one order: its newest state, in units of its listing."""

    as_of_us: int
    booked: Booked = NOTHING
    cancelled: int = 0
    back: int = 0


@dataclass(slots=True)
class Books:
    """Every order that was booked, by number, and how many states told nothing new."""

    lines: dict[int, Line] = field(default_factory=dict)
    older: int = 0
    same: int = 0
