"""Composition root: builds every object, names every root task, owns the order of start and stop.

The life of what it builds (root tasks, ready, heartbeat, stop) is `daemon/life.py`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import anyio
import httpx
import structlog
from sqlalchemy import Connection, update
from starlette.types import ASGIApp

from syncd import __version__, telemetry
from syncd.clock import Clock, SystemClock
from syncd.config import Config, ConfigError, ShopConfig, admin_token, load, make_admin_token
from syncd.daemon.facts import Facts
from syncd.daemon.housekeeping import ALARM_KINDS, Housekeeping
from syncd.daemon.hub import Hub
from syncd.daemon.life import Daemon
from syncd.daemon.limits import Budgets
from syncd.daemon.notify import Notifier
from syncd.daemon.opening import OpenChannel, Transports, open_shop
from syncd.daemon.plugins import Plugins, discover
from syncd.daemon.running import PluginFault
from syncd.daemon.supervisor import Runner
from syncd.sdk.errors import ChannelError
from syncd.sdk.files import FilesOpener
from syncd.sdk.sftp import sftp_opener
from syncd.store import backup, shops
from syncd.store.engine import Store, StoreError
from syncd.store.lock import forget_restored
from syncd.store.schema import listing
from syncd.store.shops import SecondShop
from syncd.telemetry import Metrics
from syncd.web.context import WebContext
from syncd.web.routes import build_app
from syncd.web.server import serve

log = structlog.get_logger()
DATABASE = "syncd.sqlite"
BAD_CONFIGURATION = 78


class RealNetwork(Transports):
    """Production: real sockets."""

    def __init__(self, clock: Clock) -> None:
        self._files = sftp_opener(clock)

    def http(self, shop: str) -> httpx.AsyncBaseTransport | None:
        return None

    def files(self, shop: str) -> FilesOpener:
        return self._files


def build(
    config: Config,
    store: Store,
    *,
    clock: Clock,
    plugins: Plugins,
    transports: Transports,
    rng: Random,
    notifier: Notifier | None = None,
) -> Daemon:
    """Put a daemon together over an open store. Nothing runs yet."""
    settings = config.settings
    metrics = Metrics(version=__version__, clock=clock)
    metrics.alarm_kinds(ALARM_KINDS)
    store.commit_seconds = metrics.commit_seconds.observe
    facts = Facts(
        batch_us=int(settings.batch.every_seconds * 1e6),
        brake_listings=settings.brake.listings,
        brake_share=settings.brake.share,
    )
    hub = Hub(store, clock, facts, metrics, rng)
    how = OpenChannel(plugins, Budgets(clock), transports)
    names = tuple(one.name for one in config.shops) + tuple(one.shop for one in config.problems)
    runners = {one.name: Runner(hub, one, how, names) for one in config.shops}
    for runner in runners.values():
        metrics.shop(runner.name)
    housekeeping = Housekeeping(hub, settings, runners, lambda: _disk(settings.state_dir))
    return Daemon(config, hub, runners, plugins, how, housekeeping, notifier or Notifier({}), clock.now())


def _disk(state_dir: Path) -> tuple[int, int]:
    """Bytes of the write-ahead log, and free bytes where the store lies."""
    wal = state_dir / f"{DATABASE}-wal"
    try:
        return (wal.stat().st_size if wal.exists() else 0), shutil.disk_usage(state_dir).free
    except OSError:
        return 0, 0


async def prepare(daemon: Daemon) -> None:
    """Before any loop: who is paused, and whether the store is a restored backup (then nothing is believed)."""
    store = daemon.hub.store

    def look(conn: Connection) -> dict[str, int]:
        if store.restored:
            conn.execute(
                update(listing).values(believed=None, seen=None, unread=0, slack=0, verify=1, doubt_us=None, base_us=0)
            )
            forget_restored(conn)
        return {row.name: row.paused for row in shops.all_shops(conn)}

    restored = store.restored
    paused = await store.tx(look)
    if restored:
        log.warning("backup_restored", what="every shop is read back before it is raised")
    for name, runner in daemon.runners.items():
        runner.paused = bool(paused.get(name))
        if runner.paused:
            runner.settled.set()
    for problem in daemon.config.problems:
        log.error("shop_set_aside", shop=problem.shop, problem=str(problem))
    for warning in store.warnings:
        log.warning("store_warned", warning=warning)


def web_app(daemon: Daemon, token: str) -> ASGIApp:
    """The operations listener of a daemon."""
    return build_app(WebContext.of(daemon, token))


async def start(config: Config, *, clock: Clock | None = None, transports: Transports | None = None) -> Daemon:
    """Open the store of a configuration and build a daemon on it. Close `daemon.hub.store` in the end."""
    clock = clock or SystemClock()
    config.settings.state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    store = Store.open(config.settings.state_dir / DATABASE, clock=clock)
    try:
        plugins = discover(config.settings.plugins.allows)
        daemon = build(
            config, store, clock=clock, plugins=plugins, transports=transports or RealNetwork(clock),
            rng=Random(os.urandom(16)), notifier=Notifier(),  # noqa: S311  # jitter and ids, no secrets
        )  # fmt: skip
        token = make_admin_token(config.settings)
        host, port = config.settings.address
        daemon.serve_http = partial(serve, web_app(daemon, token.get_secret_value()), host, port)
        await prepare(daemon)
    except BaseException:
        await store.aclose()
        raise
    return daemon


def run(config_path: Path) -> int:
    """`syncd run`: until SIGTERM. Returns the process's exit code."""
    try:
        config = load(config_path)
    except ConfigError as error:
        telemetry.set_up("info", "auto")
        log.error("configuration_refused", error=str(error))
        return BAD_CONFIGURATION
    telemetry.set_up(config.settings.log.level, config.settings.log.format)
    return anyio.run(_run, config)


async def _run(config: Config) -> int:
    try:
        daemon = await start(config)
    except StoreError as error:
        log.error("store_refused", error=str(error))
        return 1
    try:
        await daemon.run()
        return 0
    finally:
        with anyio.CancelScope(shield=True):
            await daemon.hub.store.aclose()
