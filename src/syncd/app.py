"""Composition root: builds every object, names every root task, owns the order of start and stop.

The life of what it builds (root tasks, ready, heartbeat, stop) is `daemon/life.py`.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from random import Random, SystemRandom
from typing import Any

import anyio
import httpx
import structlog
from starlette.types import ASGIApp

from syncd import telemetry
from syncd.clock import Clock, SystemClock
from syncd.config import Config, ConfigError, Problem, ShopConfig, encryption_keys, load, make_admin_token
from syncd.config.files import load_shop
from syncd.daemon.building import DATABASE, build, prepare
from syncd.daemon.hooks import Hooks
from syncd.daemon.hub import Shop, Status
from syncd.daemon.life import Daemon
from syncd.daemon.notify import Notifier
from syncd.daemon.opening import Transports, open_shop
from syncd.daemon.plugins import Plugins, discover
from syncd.daemon.running import PluginFault
from syncd.daemon.supervisor import Runner
from syncd.sdk.errors import ChannelError
from syncd.sdk.files import FilesOpener
from syncd.sdk.imap import imap_opener
from syncd.sdk.mail import MailOpener
from syncd.sdk.sftp import sftp_opener
from syncd.store.engine import Store, StoreError, StoreRefused
from syncd.store.shops import SecondShop
from syncd.store.vault import Vault, new_key
from syncd.web.context import WebContext
from syncd.web.routes import build_app
from syncd.web.server import CannotListen, serve
from syncd.web.webhooks import build_webhooks

log = structlog.get_logger()
BAD_CONFIGURATION = 78
STORE_ATTEMPTS = 5
SWITCH_SECONDS = 0.001
"""The store's thread and the loop hand over to each other often; the default of 5 ms adds up in a stockout's way."""


class RealNetwork(Transports):
    """Production: real sockets."""

    def __init__(self, clock: Clock) -> None:
        self._files = sftp_opener(clock)
        self._mail = imap_opener(clock)

    def http(self, shop: str) -> httpx.AsyncBaseTransport | None:
        return None

    def files(self, shop: str) -> FilesOpener:
        return self._files

    def mail(self, shop: str) -> MailOpener:
        return self._mail


async def start(config: Config, *, clock: Clock | None = None, transports: Transports | None = None) -> Daemon:
    """Open the store of a configuration and build a daemon on it. Close `daemon.hub.store` in the end."""
    daemon = await _assemble(config, clock or SystemClock(), transports, Notifier())
    token = make_admin_token(config.settings).get_secret_value()
    host, port = config.settings.address

    def listening(host: str, port: int) -> None:
        log.info("http_listening", address=f"{host}:{port}")
        daemon.listening.set()

    daemon.serve_http = partial(serve, web_app(daemon, token), host, port, listening)
    if (second := config.settings.webhooks_address) is not None:
        door = build_webhooks(Hooks(daemon.hub, daemon.runners), daemon.hub.clock)
        daemon.serve_webhooks = partial(serve, door, *second, _webhooks_listening, setting="listen_webhooks")
    return daemon


def _webhooks_listening(host: str, port: int) -> None:
    log.info("webhooks_listening", address=f"{host}:{port}")


async def _assemble(
    config: Config, clock: Clock, transports: Transports | None, notifier: Notifier, plugins: Plugins | None = None
) -> Daemon:
    config.settings.state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    vault = _vault(config)
    store = Store.open(config.settings.state_dir / DATABASE, clock=clock)
    try:
        daemon = build(
            config,
            store,
            clock=clock,
            plugins=plugins or discover(config.settings.plugins.allows),
            transports=transports or RealNetwork(clock),
            rng=SystemRandom(),  # jitter and ids of calls
            notifier=notifier,
            vault=vault,
        )
        daemon.reread, daemon.reload_shop = partial(load, config.file), _reload
        for runner in daemon.runners.values():
            runner.reload = _reload
        await prepare(daemon)
    except BaseException:
        await store.aclose()
        raise
    return daemon


def _vault(config: Config) -> Vault:
    """What seals the grants. Raises ConfigError for a key that cannot be used."""
    try:
        return Vault(encryption_keys(config.settings, new_key()))
    except ValueError as error:  # SecretError is one
        raise ConfigError([Problem(file=config.file, key="keys.encryption", text=str(error))]) from None


def _reload(shop: ShopConfig) -> ShopConfig:
    """A shop's file as it is now; its keys are read again with it."""
    return load_shop(shop.file)


def web_app(daemon: Daemon, token: str, *, offline: bool = False) -> ASGIApp:
    """The operations side of a daemon: health, metrics and the admin API. `offline`: it is built, but does not run."""
    return build_app(WebContext.of(daemon, token, offline=offline))


@asynccontextmanager
async def open_offline(
    config: Config,
    *,
    clock: Clock | None = None,
    transports: Transports | None = None,
    plugins: Plugins | None = None,
) -> AsyncIterator[tuple[ASGIApp, str]]:
    """The admin API over the store itself, for the CLI while no daemon runs: the app and the token it asks for.

    Holds the store's lock, so a daemon cannot start meanwhile. Shops are built but run no loop.
    """
    daemon = await _assemble(config, clock or SystemClock(), transports, Notifier({}), plugins)
    try:
        for runner in daemon.runners.values():
            await _load(daemon, runner)
        token = make_admin_token(config.settings).get_secret_value()
        yield web_app(daemon, token, offline=True), token
    finally:
        with anyio.CancelScope(shield=True):
            await daemon.sign_ins.aclose()
            for shop in daemon.hub.shops.values():
                await shop.running.aclose()
            await daemon.hub.store.aclose()


async def _load(daemon: Daemon, runner: Runner) -> Shop | None:
    """Build a shop's channel without running it; a shop that cannot be built says why in its status."""
    try:
        runner.config = runner.reload(runner.config)
        shop = await open_shop(daemon.hub, runner.config, daemon.how)
    except (ConfigError, SecondShop, PluginFault) as error:
        runner.status, runner.text = Status.CONFIG_ERROR, str(error)
        log.warning("shop_set_aside", shop=runner.name, problem=str(error))
        return None
    daemon.hub.shops[shop.id] = shop
    return shop


async def check_shops(
    config: Config, *, transports: Transports | None = None, plugins: Plugins | None = None
) -> Sequence[dict[str, Any]]:
    """Try every shop of a configuration, over a store in memory: who it is, and what a person should know."""
    clock = SystemClock()
    store = Store.open(None, clock=clock)
    results: list[dict[str, Any]] = [{"shop": one.shop, "ok": False, "text": str(one)} for one in config.problems]
    told = {one.shop for one in config.problems}
    daemon = build(
        config,
        store,
        clock=clock,
        plugins=plugins or discover(config.settings.plugins.allows),
        transports=transports or RealNetwork(clock),
        rng=Random(0),  # noqa: S311
    )
    try:
        for runner in daemon.runners.values():
            if runner.name not in told:
                results.append(await _check(daemon, runner))
    finally:
        await store.aclose()
    return sorted(results, key=lambda one: str(one["shop"]))


async def _check(daemon: Daemon, runner: Runner) -> dict[str, Any]:
    shop = await _load(daemon, runner)
    if shop is None:
        return {"shop": runner.name, "ok": False, "text": runner.text}
    try:
        if shop.capabilities.signs_in:  # a token that rotates must not be renewed beside the store that keeps it
            told = "not called: its sign-in lies in the store, see syncd shops"
            return {"shop": runner.name, "ok": True, "text": told}
        report = await shop.running.check()
    except (ChannelError, PluginFault) as error:
        return {"shop": runner.name, "ok": False, "text": f"{type(error).__name__}: {error}"}
    finally:
        await shop.running.aclose()
    expires = "" if report.key_expires_at is None else f", key until {report.key_expires_at:%Y-%m-%d}"
    return {
        "shop": runner.name,
        "ok": True,
        "text": "; ".join((f"account {report.account}{expires}", *report.warnings)),
    }


def run(config_path: Path) -> int:
    """`syncd run`: until SIGTERM. Returns the process's exit code."""
    try:
        config = load(config_path)
    except ConfigError as error:
        telemetry.set_up("info", "auto")
        log.error("configuration_refused", error=str(error))
        return BAD_CONFIGURATION
    telemetry.set_up(config.settings.log.level, config.settings.log.format)
    sys.setswitchinterval(SWITCH_SECONDS)
    return anyio.run(_run, config)


async def _run(config: Config) -> int:
    clock = SystemClock()
    for attempt in range(STORE_ATTEMPTS):
        try:
            daemon = await start(config, clock=clock)
            break
        except StoreRefused as error:  # a command that found no daemon may hold the store for a moment
            if attempt + 1 == STORE_ATTEMPTS:
                log.error("store_refused", error=str(error))
                return 1
            await clock.sleep(1.0)
        except StoreError as error:
            log.error("store_refused", error=str(error))
            return 1
        except ConfigError as error:
            log.error("configuration_refused", error=str(error))
            return BAD_CONFIGURATION
    code = 0
    try:
        await daemon.run()
    except* CannotListen as errors:
        log.error("cannot_listen", error=str(errors.exceptions[0]))
        code = 1
    finally:
        with anyio.CancelScope(shield=True):
            await daemon.hub.store.aclose()
    return code
