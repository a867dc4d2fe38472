"""A stage: one world, an emulator per shop, and the real daemon over them, all in this process.

The daemon is the shipped one; only its seams differ: transports into the emulators, the clock, a store inline.
Used by tests and benches; the demo serves the same emulators on real sockets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import httpx
from sqlalchemy import Connection

from syncd.clock import Clock
from syncd.config import Config, Settings, ShopConfig
from syncd.daemon.building import build, prepare
from syncd.daemon.life import Daemon
from syncd.daemon.opening import Transports
from syncd.daemon.plugins import Plugins, discover
from syncd.sdk.channel import Channel
from syncd.sdk.errors import Unavailable
from syncd.sdk.files import FilesAddress, FilesOpener, RemoteFiles
from syncd.sdk.mail import MailOpener, no_mail
from syncd.sdk.settings import ShopSettings
from syncd.store import listings, shops, stock
from syncd.store.engine import Store
from syncd.store.vault import Vault
from syncd.testing.emulator import Emulator, EmulatorTransport, HttpEmulator
from syncd.testing.memory import MemoryChannel
from syncd.testing.world import World


@dataclass(slots=True)
class InProcess(Transports):
    """Transports straight into the emulators, by shop name."""

    emulators: Mapping[str, Emulator]

    def http(self, shop: str) -> httpx.AsyncBaseTransport | None:
        emulator = self.emulators.get(shop)
        if isinstance(emulator, HttpEmulator):
            return EmulatorTransport(emulator.app, emulator.told_time)
        return httpx.MockTransport(lambda request: httpx.Response(404))

    def files(self, shop: str) -> FilesOpener:
        opener = getattr(self.emulators.get(shop), "open_files", None)
        return opener or no_files  # file emulators offer one

    def mail(self, shop: str) -> MailOpener:
        return getattr(self.emulators.get(shop), "open_mail", no_mail)


def no_files(address: FilesAddress) -> RemoteFiles:
    """The opener of a shop whose emulator is no file server."""
    raise Unavailable(f"no file server at {address.host}")


@dataclass(slots=True)
class Part:
    """One shop on the stage: its emulator, its channel's slug, and overrides of its shop file and its own table."""

    emulator: Emulator
    channel: str = "memory"
    settings: Mapping[str, Any] = field(default_factory=dict)
    table: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Stage:
    """World, emulators, store and daemon. `open` builds and seeds them; run `daemon.run(signals=False)` yourself."""

    world: World
    parts: dict[str, Part]
    clock: Clock
    store: Store
    daemon: Daemon

    @classmethod
    async def open(
        cls,
        world: World,
        parts: Mapping[str, Part],
        clock: Clock,
        *,
        store: Store | None = None,
        seed: int = 1,
        settings: Mapping[str, Any] | None = None,
        channels: Mapping[str, type[Channel]] | None = None,
        fill: bool = True,
        vault: Vault | None = None,
    ) -> Stage:
        """Build the stage. Without a store, one in memory, inline. `fill` writes the world's catalogue into it."""
        store = store or Store.open(None, clock=clock, inline=True)
        values = {"state_dir": Path("/nonexistent"), "policy": {"usual": "mirror"}, **(settings or {})}
        config = Config(Path("stage.toml"), Settings(**values), tuple(_shops(parts)), ())
        plugins = discover(lambda name: True)
        found = Plugins({**plugins.channels, MemoryChannel.slug: MemoryChannel, **(channels or {})}, plugins.found)
        transports = InProcess({name: part.emulator for name, part in parts.items()})
        rng = Random(seed)  # noqa: S311  # chance of a simulation
        daemon = build(config, store, clock=clock, plugins=found, transports=transports, rng=rng, vault=vault)
        if fill:
            await store.tx(lambda conn: fill_store(conn, world, parts, clock.now_us()))
        await prepare(daemon)
        return cls(world, dict(parts), clock, store, daemon)

    async def aclose(self) -> None:
        await self.store.aclose()


def _shops(parts: Mapping[str, Part]) -> Sequence[ShopConfig]:
    found = []
    for name, part in parts.items():
        values = {"name": name, "channel": part.channel, "writes": "on", **part.settings}
        if isinstance(part.emulator, HttpEmulator):
            values.setdefault("base_url", "http://emulator")
        table = {**part.emulator.settings(), **part.table}
        found.append(ShopConfig(ShopSettings(**values), table, Path(f"{name}.toml"), ""))
    return found


def fill_store(conn: Connection, world: World, parts: Mapping[str, Part], now_us: int) -> None:
    """Write the world's SKUs, bundles, stock and listings into a new store, as a merchant's import would."""
    codes = sorted({*world.on_hand, *world.parts, *world.sellers})
    ids = stock.add_skus(conn, [(code, "") for code in codes], now_us)
    main = stock.location_ids(conn, ["main"])["main"]
    stock.add_to_balances(conn, [(ids[code], main, pieces, 0, 0, 0) for code, pieces in sorted(world.on_hand.items())])
    for bundle, inside in sorted(world.parts.items()):
        stock.set_parts(conn, ids[bundle], {ids[part]: count for part, count in inside.items()})
    for name, part in parts.items():
        shop = shops.ensure_shop(conn, name, part.channel)
        rows: list[dict[str, object]] = [
            {
                "shop_id": shop.id,
                "key": one.key,
                "sku_id": ids[one.sku],
                "pack": one.pack,
                "state": "ours" if one.counted else "not_counted",
                "verify": int(one.counted),
            }
            for one in part.emulator.market.listings.values()
        ]
        listings.add_listings(conn, rows)
