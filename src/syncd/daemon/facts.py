"""What every transaction must know of the shops without asking the network: settings and declared capabilities."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from syncd.core.demand import NO_DEMAND, Assumed, Demand, Lags, blind_seconds, seen
from syncd.core.escrow import Exposure, feed_is_stale
from syncd.core.fence import GRAIN_US, Shown
from syncd.core.policy import Kind, Policy
from syncd.model import ReturnReason, Returns
from syncd.sdk.channel import Form, Restock
from syncd.sdk.settings import HandEdits, Writes
from syncd.store.listings import ListingRow

MIRROR = Policy(Kind.MIRROR)
BLIND_IS_FRESH_US = 10_000_000
CALL_US = 30_000_000
STALE_US = 180_000_000
DEAD_FEED = 4
"""A feed silent for so many times what makes it stale is dead: its listings in escrow are emptied."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShopFacts:
    """One shop as bookings and plans see it. Times in microseconds."""

    id: int
    name: str
    location_ids: tuple[int, ...]
    ships: str = "reported"
    returns: Returns = Returns.NEVER
    restocks: Restock = Restock.UNKNOWN
    most: int = 99_999
    visibility_us: int = 60_000_000
    reads_orders: bool = True
    reads_stock: bool = False
    writes: Writes = Writes.DRY_RUN
    hand_edits: HandEdits = HandEdits.ASK
    folds_keys: bool = False
    returns_by_reason: Mapping[ReturnReason, Returns] = field(default_factory=dict)
    takes_shipments: bool = False
    shows_shipments: bool = True
    poll_us: int = 60_000_000
    forms: frozenset[Form] = frozenset()
    dead_after_us: int = 0  # longest time after which a write can land no more, over its routes

    def returns_of(self, reason: str) -> Returns:
        """What goods that came back for this reason do to the stock."""
        known = self.returns_by_reason.get(ReturnReason(reason)) if reason else None
        return self.returns if known is None else known

    def key(self, listing: str) -> str:
        """A listing key as this shop compares them."""
        return listing.lower() if self.folds_keys else listing


@dataclass(slots=True)
class Facts:
    """All shops, and the settings every plan needs. Replaced shop by shop as they are loaded."""

    batch_us: int = 180_000_000
    brake_listings: int = 20
    brake_share: float = 0.05
    brake_window_us: int = 600_000_000
    retention_us: int = 0  # orders placed so long ago were booked and forgotten; 0 for never
    shops: dict[int, ShopFacts] = field(default_factory=dict)
    skew_us: dict[int, int] = field(default_factory=dict)
    policy: Policy = MIRROR
    """How SKUs are shown for which nothing else is set."""
    lags: dict[int, Lags] = field(default_factory=dict)
    usual: dict[int, Demand] = field(default_factory=dict)
    """What each shop sold of everything lately."""
    read_us: dict[int, int] = field(default_factory=dict)
    """Last good order read of each shop."""
    _blind: dict[int, tuple[int, float]] = field(default_factory=dict)
    moved_us: dict[int, int] = field(default_factory=dict)
    """When own orders last moved the belief of a listing: a read that was out then tells nothing sure."""
    _emptied: dict[int, tuple[int, frozenset[int]]] = field(default_factory=dict)

    def emptied(self, shop_id: int, listings: Iterable[int], now_us: int) -> int:
        """Note listings emptied by something other than orders; returns how many are in the running window."""
        since, known = self._emptied.get(shop_id, (now_us, frozenset[int]()))
        if now_us - since > self.brake_window_us:
            since, known = now_us, frozenset()
        known |= set(listings)
        self._emptied[shop_id] = (since, known)
        return len(known)

    def refilled(self, shop_id: int, listings: Iterable[int]) -> None:
        """These listings have stock again."""
        if shop_id in self._emptied:
            since, known = self._emptied[shop_id]
            self._emptied[shop_id] = (since, known - set(listings))

    def approved(self, shop_id: int) -> None:
        """A person said that these may be emptied: count anew."""
        self._emptied.pop(shop_id, None)

    def margin_us(self, shop_id: int) -> int:
        """Clock skew measured at a shop plus the grain of its time stamps."""
        return self.skew_us.get(shop_id, 0) + GRAIN_US

    def lags_of(self, shop_id: int) -> Lags:
        """What was measured of a shop's delays."""
        return self.lags.setdefault(shop_id, Lags())

    def note_sale(self, shop_id: int, units: int, now_us: int, fresh_us: int) -> None:
        """So many units of a shop were booked; see `fresh_us`."""
        self.usual[shop_id] = seen(self.usual.get(shop_id, NO_DEMAND), units, now_us, fresh_us)

    def fresh_us(self, shop_id: int, sold_us: int, now_us: int) -> int:
        """From when the age of a sale counts: one that is heard of as late as all of its shop's is as fresh as any.

        Else a shop whose orders always show late would hardly sell by our count, however fast it does.
        """
        return sold_us + int(self.blind_seconds(shop_id, now_us) * 1e6)

    def usual_units(self, shop_id: int, now_us: int) -> float:
        """What a shop sold in a day, as it fades: how a SKU's first pieces divide over the shops."""
        return self.usual.get(shop_id, NO_DEMAND).faded(now_us)[2]

    def blind_seconds(self, shop_id: int, now_us: int) -> float:
        """The usual time from a sale at a shop to the page that follows it; looked up anew every 10 s."""
        at_us, seconds = self._blind.get(shop_id, (0, 0.0))
        if not 0 <= now_us - at_us < BLIND_IS_FRESH_US:
            shop = self.shops[shop_id]
            assumed = Assumed(shop.visibility_us / 1e6, shop.poll_us / 1e6, 1.0, 1.0)
            seconds = blind_seconds(self.lags_of(shop_id), assumed)
            self._blind[shop_id] = (now_us, seconds)
        return seconds

    def drain_us(self) -> int:
        """How long the slowest shop needs until a lowered number is proven."""
        each = (shop.visibility_us + 2 * shop.poll_us + self.margin_us(shop.id) for shop in self.shops.values())
        return max(each, default=0) + CALL_US

    def feed_is_stale(self, shop: ShopFacts, now_us: int, times: int = 1) -> bool:
        """Whether a shop's orders were not read for too long to raise anything there (R12), or `times` as long."""
        after_us = max(5 * shop.poll_us, STALE_US) + shop.visibility_us
        return feed_is_stale(self.read_us.get(shop.id, 0), now_us, times * after_us)

    def names(self, shop_ids: Iterable[int]) -> list[str]:
        return sorted(self.shops[one].name for one in shop_ids if one in self.shops)


def shown_of(row: ListingRow) -> Shown:
    """What a listing's row holds true of its number."""
    return Shown(
        row.believed, row.base_us, row.unread, row.slack, row.seen, row.seen_us, row.seen_sold, row.seen_slack,
        bool(row.verify), row.doubt_us, row.base_from_us, row.seen_from_us,
    )  # fmt: skip


def put_shown(row: ListingRow, shown: Shown) -> None:
    """Take a new belief over into a row; `save_shown` writes it."""
    row.believed, row.base_us, row.unread, row.slack = shown.believed, shown.base_us, shown.unread, shown.slack
    row.seen, row.seen_us, row.seen_sold, row.seen_slack = shown.seen, shown.seen_us, shown.seen_sold, shown.seen_slack
    row.verify, row.doubt_us = int(shown.verify), shown.doubt_us
    row.base_from_us, row.seen_from_us = shown.base_from_us, shown.seen_from_us


def exposure_of(row: ListingRow) -> Exposure:
    """What a listing's row can still bring us at most."""
    return Exposure(
        row.exposure, row.calls, row.lost_us, row.back, row.proven, row.proven_from_us, row.proven_us,
        row.proven_sold, row.proven_vague, row.proven_back, row.proven_by_read,
    )  # fmt: skip


def put_exposure(row: ListingRow, have: Exposure) -> None:
    """Take a new exposure over into a row; `save_shown` and `save_exposure` write it."""
    row.exposure, row.calls, row.lost_us, row.back = have.bound, have.calls, have.dead_us, have.back
    row.proven, row.proven_from_us, row.proven_us = have.proven, have.proven_from_us, have.proven_us
    row.proven_sold, row.proven_vague = have.proven_sold, have.proven_vague
    row.proven_back, row.proven_by_read = have.proven_back, have.proven_by_read


def demand_of(row: ListingRow) -> Demand:
    """What a listing sold lately."""
    return Demand(row.demand_us, row.demand_short, row.demand_middle, row.demand_day, row.demand_largest)


def put_demand(row: ListingRow, demand: Demand) -> None:
    """Take new demand over into a row; `save_shown` writes it."""
    row.demand_us, row.demand_short = demand.at_us, demand.short
    row.demand_middle, row.demand_day, row.demand_largest = demand.middle, demand.day, demand.largest
