"""The malls of a scene: every shipped emulator, and the rough ones in memory, each with what a play must know of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from random import Random
from typing import Any

from syncd.clock import Clock
from syncd.sim.rough import DEAD_AFTER_SECONDS, Habits, Nature, RoughShop, options_of
from syncd.sim.rough import KINDS as ROUGH
from syncd.sim.stage import Part
from syncd.sim.whole.goods import Goods, Offer, shelf
from syncd.sim.whole.scene import Scene
from syncd.sim.whole.trace import Trace
from syncd.testing.emulator import Emulator
from syncd.testing.world import Market, World
from syncd_amazon.emulator import AmazonEmulator
from syncd_amazon.emulator_orders import LAG
from syncd_amazon.emulator_orders import order_id as amazon_order_id
from syncd_amazon.orders import visibility_seconds
from syncd_files.emulator import FilesEmulator
from syncd_rakuten.emulator import RakutenEmulator
from syncd_shopify.emulator import ShopifyEmulator
from syncd_shopify.emulator_orders import order_id
from syncd_yahoo_shopping.emulator import YahooShoppingEmulator

ROUND_TRIP_SECONDS = 0.06
TIMEOUT_SECONDS = 6.0
SKEWS = (0.0, 0.0, -1.5, 1.5)
FILES_VISIBILITY_SECONDS = 60.0
FILES_DEAD_SECONDS = 120.0
AMAZON_DEAD_SECONDS = 900.0
AMAZON_OVERLAP_MINUTES = 5
RACE_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Backdrop:
    """What every mall of a play is built on."""

    world: World
    clock: Clock
    trace: Trace
    scene: Scene
    goods: Goods
    rng: Random


@dataclass(slots=True)
class Mall:
    """One shop of a play.

    `tells_parts`: its orders show what was cancelled of a line. `tells_returns`: and what came back.
    `finds_changes_seconds`: how long its feed takes to find a changed order, beyond a poll. `dead_seconds`: how long
    a write that we gave up may still land. `finds_late`: an order that shows later than the bound is found even so.
    `polls`: intervals at which an operator may have its orders read.
    """

    name: str
    kind: str
    emulator: Emulator
    part: Part
    tells_parts: bool = True
    tells_returns: bool = True
    finds_changes_seconds: float = 0.0
    finds_late: bool = False
    dead_seconds: float = 60.0
    polls: tuple[float, ...] = (10.0, 20.0)
    number_of: Callable[[str], str] = str

    @property
    def market(self) -> Market:
        return self.emulator.market

    @property
    def rough(self) -> RoughShop | None:
        return self.emulator if isinstance(self.emulator, RoughShop) else None


def furnish(on: Backdrop) -> dict[str, Mall]:
    """Build every mall of the scene and put the goods on its shelves."""
    malls = {}
    for number, kind in enumerate(on.scene.malls):
        name = f"{kind}-{number}"
        malls[name] = mall = BUILDERS.get(kind, _rough)(on, name, kind)
        for place, offer in enumerate(shelf(on.goods, on.rng), start=1):
            listing = mall.market.offer(KEYS.get(kind, _plain_key)(place, offer), offer.sku, shown=0, pack=offer.pack)
            listing.shown = on.world.should_show(listing)
        if on.scene.oversells and number == 0:
            mall.market.oversells_for = timedelta(seconds=RACE_SECONDS)
        mall.emulator.on_call = lambda operation, name=name: on.trace(f"{name} {operation}")  # type: ignore[misc]
    return malls


def _market(on: Backdrop, name: str, bound: float, *, usual: float, least: float = 0.0, skew: bool = True) -> Market:
    """A market whose orders show `least` to `bound` seconds after they were placed, mostly soon."""
    market = on.world.market(name, visibility_seconds=bound, restocks_on_cancel=on.rng.random() < 0.7)
    rng = Random(on.rng.random())  # noqa: S311  # a play must repeat
    market.visible_after = lambda: timedelta(seconds=min(bound, least + rng.expovariate(1 / usual)))
    market.skew = timedelta(seconds=on.rng.choice(SKEWS) if skew else 0.0)
    return market


def _quirks(emulator: type[Emulator], rng: Random, **fixed: str) -> dict[str, str]:
    """What the fact sheet leaves open, by chance."""
    drawn = {name: rng.choice(list(settings)) for name, settings in sorted(emulator.quirks.items())}
    return {**drawn, **fixed}


def _settings(on: Backdrop, **more: Any) -> dict[str, Any]:
    sweep = on.scene.sweep_seconds
    return {"hand_edits": "overwrite", "timeout_seconds": TIMEOUT_SECONDS, "reconcile_seconds": sweep, **more}


def _rakuten(on: Backdrop, name: str, kind: str) -> Mall:
    market = _market(on, name, 60.0, usual=8.0)
    quirks = _quirks(RakutenEmulator, on.rng)
    emulator = RakutenEmulator(on.world, market, on.clock, round_trip_seconds=ROUND_TRIP_SECONDS, **quirks)
    table = {"shop_url": name, "reread_seconds": 15, "sweep_seconds": 60}
    part = Part(emulator, "rakuten", _settings(on), table)
    return Mall(name, kind, emulator, part, finds_changes_seconds=90.0, finds_late=True)


def _shopify(on: Backdrop, name: str, kind: str) -> Mall:
    market = _market(on, name, 60.0, usual=5.0)
    # At the old rule's cost one poll takes so many pages that no order read is ever as fresh as a raise asks for.
    quirks = _quirks(ShopifyEmulator, on.rng, connection_cost="recorded")
    emulator = ShopifyEmulator(on.world, market, on.clock, round_trip_seconds=ROUND_TRIP_SECONDS, **quirks)
    emulator.shop_id = str(548_000_000 + len(on.world.markets))
    emulator.signs_in = on.rng.choice(["token", "client"])
    return Mall(
        name,
        kind,
        emulator,
        Part(emulator, "shopify", _settings(on)),
        tells_returns=False,
        polls=(15.0, 30.0),
        number_of=order_id,
    )


def _yahoo(on: Backdrop, name: str, kind: str) -> Mall:
    market = _market(on, name, 60.0, usual=8.0)
    # A signature that ages within a second is refused after any slow call, and then asks for a person; so does a new
    # refresh token that is lost on its way. Without what was ordered at first, an order that is cancelled before it is
    # read tells of no units: no bound can follow those that come back.
    fixed = {"signature_age": "300", "refresh_answer": "keeps", "original_num": "given"}
    quirks: dict[str, Any] = _quirks(YahooShoppingEmulator, on.rng, **fixed)
    emulator = YahooShoppingEmulator(
        on.world, market, on.clock, round_trip_seconds=ROUND_TRIP_SECONDS, seller_id=name, **quirks
    )
    part = Part(emulator, "yahoo-shopping", _settings(on), {"sweep_seconds": 60})
    return Mall(name, kind, emulator, part, tells_parts=False, tells_returns=False, finds_changes_seconds=120.0)


def _amazon(on: Backdrop, name: str, kind: str) -> Mall:
    market = _market(on, name, visibility_seconds(AMAZON_OVERLAP_MINUTES), usual=10.0, least=LAG.total_seconds())
    # A number that lands later than it was sent wipes the sales of that time off the page: they show in the orders
    # alone, which may be read every three minutes. Until then they are on sale again, and no bound is a proof.
    quirks: dict[str, Any] = _quirks(AmazonEmulator, on.rng, shown_after="0")
    emulator = AmazonEmulator(on.world, market, on.clock, round_trip_seconds=ROUND_TRIP_SECONDS, **quirks)
    part = Part(emulator, "amazon", _settings(on), {"overlap_minutes": AMAZON_OVERLAP_MINUTES})
    return Mall(
        name, kind, emulator, part, tells_parts=False, tells_returns=False, dead_seconds=AMAZON_DEAD_SECONDS,
        number_of=amazon_order_id, polls=(30.0, 60.0),
    )  # fmt: skip


def _files(on: Backdrop, name: str, kind: str) -> Mall:
    market = _market(on, name, FILES_VISIBILITY_SECONDS / 2, usual=5.0, skew=False)
    quirks: dict[str, Any] = _quirks(FilesEmulator, on.rng, consumes="at_once")
    luck, consumes = on.rng.getrandbits(32), on.rng.choice([0.0, 10.0, 60.0])
    if quirks["rename"] == "missing":  # half a file that is imported before its size can be compared: nobody can know
        consumes = max(10.0, consumes)
    emulator = FilesEmulator(
        on.world, market, on.clock, round_trip_seconds=ROUND_TRIP_SECONDS, seed=luck,
        consume_seconds=consumes, export_seconds=on.rng.choice([0.0, 20.0]), **quirks,
    )  # fmt: skip
    own: Any = emulator.settings()
    table = {
        "user": name,
        "stock": {**own["stock"], "ask_again_seconds": 2, "dead_after_seconds": FILES_DEAD_SECONDS},
        "orders": {**own["orders"], "visibility_seconds": FILES_VISIBILITY_SECONDS},
    }
    counts = quirks["order_lines"] == "counts"
    part = Part(emulator, "files", _settings(on, poll_seconds=10.0), table)
    return Mall(
        name,
        kind,
        emulator,
        part,
        tells_parts=counts,
        tells_returns=counts,
        dead_seconds=FILES_DEAD_SECONDS,
        finds_late=True,
    )


def _rough(on: Backdrop, name: str, kind: str) -> Mall:
    rng, options = on.rng, options_of(kind, on.rng)
    market = on.world.market(
        name, visibility_seconds=options["visibility_seconds"], restocks_on_cancel=options.pop("restocks_truly")
    )
    habits = Habits(rng.choice(SKEWS), rng.random() < 0.4)
    emulator = RoughShop(
        on.world, market, on.clock, nature=Nature(Random(rng.random()), habits), trace=on.trace,  # noqa: S311
        options=options, round_trip_seconds=ROUND_TRIP_SECONDS,
    )  # fmt: skip
    part = Part(emulator, "memory", _settings(on, poll_seconds=3.0))
    return Mall(
        name, kind, emulator, part, tells_returns=kind != "slow", dead_seconds=DEAD_AFTER_SECONDS, polls=(3.0, 10.0)
    )


def _plain_key(place: int, offer: Offer) -> str:
    return f"{offer.sku}-{offer.twin}"


def _rakuten_key(place: int, offer: Offer) -> str:
    return f"{offer.sku.lower()}/v{offer.twin}"


def _code_key(place: int, offer: Offer) -> str:
    return f"{offer.sku.lower()}-{offer.twin}"


def _shopify_key(place: int, offer: Offer) -> str:
    return str(40_000_000 + place)


BUILDERS: Mapping[str, Callable[[Backdrop, str, str], Mall]] = {
    "rakuten": _rakuten, "shopify": _shopify, "yahoo-shopping": _yahoo, "amazon": _amazon, "files": _files,
    **dict.fromkeys(ROUGH, _rough)
}  # fmt: skip
KEYS: Mapping[str, Callable[[int, Offer], str]] = {
    "rakuten": _rakuten_key, "shopify": _shopify_key, "yahoo-shopping": _code_key
}  # fmt: skip
