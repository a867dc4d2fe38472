"""The five shipped emulators as malls of a scene: how each is built, what it calls a listing, and which calls count."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bench.channels.limits import IMPORT_SECONDS
from syncd.clock import Clock
from syncd.sim.stage import Part
from syncd.testing.emulator import Emulator
from syncd.testing.world import Market, World
from syncd_amazon.emulator import AmazonEmulator
from syncd_files.emulator import FilesEmulator
from syncd_rakuten.emulator import RakutenEmulator
from syncd_shopify.emulator import ShopifyEmulator
from syncd_yahoo_shopping.emulator import YahooShoppingEmulator

ROUND_TRIP_SECONDS = 0.05
Build = Callable[..., Emulator]


@dataclass(frozen=True, slots=True)
class Mall:
    """One channel. `order_calls`: its operations that read orders. `plain_route`: the route of a call for each item.

    `settings` are overrides of its shop file.
    """

    slug: str
    emulator: Build
    order_calls: frozenset[str]
    plain_route: str
    key_of: Callable[[int], str]
    settings: Mapping[str, Any]

    def part(self, world: World, market: Market, clock: Clock) -> Part:
        return Part(
            self.emulator(world, market, clock, round_trip_seconds=ROUND_TRIP_SECONDS), self.slug, self.settings
        )


def _files(world: World, market: Market, clock: Clock, *, round_trip_seconds: float) -> Emulator:
    return FilesEmulator(world, market, clock, round_trip_seconds=round_trip_seconds, consume_seconds=IMPORT_SECONDS)


def _code(number: int) -> str:
    return f"item-{number:07d}"


MALLS = (
    Mall(
        "rakuten", RakutenEmulator, frozenset({"search_order", "get_order"}), "single",
        lambda number: f"item-{number:07d}/v1", {},
    ),
    Mall("yahoo-shopping", YahooShoppingEmulator, frozenset({"order_list", "order_info"}), "set_stock", _code, {}),
    Mall("amazon", AmazonEmulator, frozenset({"search_orders"}), "patch", _code, {}),
    Mall("shopify", ShopifyEmulator, frozenset({"graphql"}), "set", lambda number: str(40_000_000 + number), {}),
    Mall("files", _files, frozenset({"list", "read"}), "csv", _code, {}),
)  # fmt: skip
