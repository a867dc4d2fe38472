"""The five shops of the demo, one of each kind: how its emulator is opened, and which of its limits are the real ones.

Every emulator keeps its mall's documented rates. What is shortened, so that there is something to watch within a
minute, stands in `SHORTENED` and in each stall's `shortened`; the demo shows both texts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from syncd.clock import Clock
from syncd.sim.crowd import KeyOf
from syncd.testing.emulator import Emulator
from syncd.testing.world import Market, World
from syncd_amazon.emulator import AmazonEmulator
from syncd_amazon.emulator_orders import order_id as amazon_order_id
from syncd_files.emulator import FilesEmulator
from syncd_rakuten.emulator import RakutenEmulator
from syncd_shopify.emulator import ShopifyEmulator
from syncd_shopify.emulator_orders import order_id as shopify_order_id
from syncd_yahoo_shopping.emulator import YahooShoppingEmulator

BATCH_SECONDS = 5.0
POLL_SECONDS = 2.0
VISIBLE_AFTER_SECONDS = 1.0
ROUND_TRIP_SECONDS = 0.03
IMPORT_SECONDS = 1.0
SEARCHES_PER_SECOND = 2.0
"""Amazon's order searches; its published plan is one in 179 seconds."""
REREAD_SECONDS = 15


@dataclass(frozen=True, slots=True)
class Ground:
    """What every emulator stands on. `folder` is the one that the SFTP server shows; None keeps files in memory."""

    world: World
    clock: Clock
    folder: Path | None
    seed: int


Opens = Callable[[Ground, Market], Emulator]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stall:
    """One shop: its channel, how it names listings and orders, and how many of the buyers come to it.

    `table` is what the demo sets otherwise than the emulator does in the channel's own settings table. `kept` are the
    documented limits to be seen at work, `shortened` what the demo does quicker than the mall; both in a few words.
    """

    channel: str
    open: Opens
    key_of: KeyOf
    number_of: Callable[[str], str] = str
    buyers: float
    kept: str
    shortened: str = ""
    table: Mapping[str, object] = field(default_factory=dict)


def rakuten_key(number: int, sku: str, pack: int) -> str:
    name = plain_key(number, sku, pack).lower()
    return f"{name}/{name}"


def yahoo_key(number: int, sku: str, pack: int) -> str:
    return plain_key(number, sku, pack).lower()


def shopify_key(number: int, sku: str, pack: int) -> str:
    return str(40_000_000 + number)


def plain_key(number: int, sku: str, pack: int) -> str:
    return sku if pack == 1 else f"{sku}-x{pack}"


def as_it_is(made: Callable[..., Emulator]) -> Opens:
    """An emulator with nothing set otherwise than its documents say."""
    return lambda on, market: made(on.world, market, on.clock, round_trip_seconds=ROUND_TRIP_SECONDS)


def open_amazon(on: Ground, market: Market) -> Emulator:
    emulator = AmazonEmulator(on.world, market, on.clock, round_trip_seconds=ROUND_TRIP_SECONDS)
    emulator.set_lag(timedelta(seconds=VISIBLE_AFTER_SECONDS))
    emulator.set_rate("search_orders", SEARCHES_PER_SECOND)
    return emulator


def open_files(on: Ground, market: Market) -> Emulator:
    return FilesEmulator(
        on.world, market, on.clock, folder=on.folder, consume_seconds=IMPORT_SECONDS, seed=on.seed
    )  # fmt: skip


STALLS: Mapping[str, Stall] = {
    "rakuten-main": Stall(
        channel="rakuten",
        open=as_it_is(RakutenEmulator),
        key_of=rakuten_key,
        buyers=0.28,
        kept="1 write/s",
        table={"reread_seconds": REREAD_SECONDS},
    ),
    "yahoo-main": Stall(
        channel="yahoo-shopping",
        open=as_it_is(YahooShoppingEmulator),
        key_of=yahoo_key,
        buyers=0.12,
        kept="1 call/s a URL, an order a call",
    ),
    "amazon-main": Stall(
        channel="amazon",
        open=open_amazon,
        key_of=plain_key,
        number_of=amazon_order_id,
        buyers=0.24,
        kept="5 numbers/s, each read back",
        shortened=f"Amazon's order search {SEARCHES_PER_SECOND:g}/s (1 in 179 s), with no two-minute lag",
        table={"overlap_minutes": 1},
    ),
    "shopify-brand": Stall(
        channel="shopify",
        open=as_it_is(ShopifyEmulator),
        key_of=shopify_key,
        number_of=shopify_order_id,
        buyers=0.2,
        kept="100 points/s",
    ),
    "sftp-mall": Stall(
        channel="files",
        open=open_files,
        key_of=plain_key,
        buyers=0.16,
        kept="one file at a time",
        shortened=f"files taken in after {IMPORT_SECONDS:g} s (minutes)",
        table={"stock": {"ask_again_seconds": 1}},
    ),
}

KEPT = tuple(f"{stall.channel} {stall.kept}" for stall in STALLS.values())
SHORTENED = (
    f"batch {BATCH_SECONDS:g} s (180 s)",
    f"polls {POLL_SECONDS:g} s (10 to 200 s)",
    f"orders shown {VISIBLE_AFTER_SECONDS:g} s after the sale (up to 60 s)",
    *(stall.shortened for stall in STALLS.values() if stall.shortened),
)
