"""Take changed settings over while the daemon runs (SIGHUP): everything is read and checked first, then swapped.

Settings that are wrong as a whole change nothing. A shop whose file is wrong now goes on as it is, if it goes; one that
did not run is tried again. A shop whose file and keys are the same notices nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog

from syncd import telemetry
from syncd.config import ConfigError, Settings, ShopConfig, channel_settings
from syncd.daemon.configured import facts_settings, new_runner, tell_misnamed
from syncd.daemon.hub import Status
from syncd.daemon.supervisor import Runner

if TYPE_CHECKING:
    from syncd.daemon.life import Daemon

log = structlog.get_logger()
AT_START_ONLY = ("state_dir", "listen", "admin_token", "plugins", "keys", "listen_webhooks", "webhooks_url")


@dataclass(slots=True)
class Reloaded:
    """What a reload did. `problem`: the settings are wrong as a whole and nothing was changed."""

    problem: str = ""
    needs_restart: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    """Shops whose files are wrong now and that go on as they are: name -> why."""


async def reload(daemon: Daemon) -> Reloaded:
    """Read the settings again and take over what may change while the daemon runs."""
    try:
        fresh = daemon.reread()
    except ConfigError as error:
        log.error("reload_refused", problem=str(error))
        return Reloaded(problem=str(error))
    done = Reloaded(needs_restart=_swap_settings(daemon, fresh.settings))
    daemon.config = fresh
    shops = {one.name: one for one in (*fresh.shops, *fresh.unread)}
    for runner in daemon.runners.values():
        runner.all_names = tuple(shops)
    gone = [daemon.runners.pop(name) for name in list(daemon.runners) if name not in shops]
    await _end(daemon, gone)  # strictly before the new ones: a renamed file takes the old one's orders over
    done.removed = [one.name for one in gone]
    for config in shops.values():
        _take(daemon, config, done)
    await daemon.hub.store.tx(lambda conn: tell_misnamed(daemon, conn))
    log.info("settings_reloaded", shops=len(shops), changed=done.changed, removed=done.removed)
    return done


def _swap_settings(daemon: Daemon, fresh: Settings) -> list[str]:
    """Put settings in force; returns those that only a restart changes."""
    before = daemon.config.settings
    late = [name for name in AT_START_ONLY if getattr(before, name) != getattr(fresh, name)]
    if late:
        log.warning("reload_needs_restart", settings=late)
    for name, value in facts_settings(fresh).items():
        setattr(daemon.hub.facts, name, value)
    daemon.housekeeping.settings = fresh
    if fresh.full_sync != before.full_sync:
        daemon.housekeeping.next_full_us = None
    if fresh.log != before.log:
        telemetry.set_up(fresh.log.level, fresh.log.format)
    return late


async def _end(daemon: Daemon, gone: list[Runner]) -> None:
    """Stop shops whose files were taken away; stockouts that are due still go out."""
    until_us = daemon.hub.clock.now_us() + int(daemon.config.settings.stop.drain_seconds * 1e6)
    for runner in gone:
        runner.stop(until_us)
    for runner in gone:
        await runner.ended.wait()
        daemon.hub.metrics.forget_shop(runner.name)


def _take(daemon: Daemon, config: ShopConfig, done: Reloaded) -> None:
    """Start a shop that is new, and start one anew that changed or does not run."""
    runner = daemon.runners.get(config.name)
    if runner is None:
        daemon.runners[config.name] = runner = new_runner(daemon, config)
        daemon.start_runner(runner)
    else:
        try:
            if runner.status is Status.RUNNING and _same(daemon, runner, config):
                return
        except ConfigError as error:
            log.error("shop_reload_refused", shop=config.name, problem=str(error))
            done.refused[config.name] = str(error)
            return
        runner.reread(config)
    done.changed.append(config.name)


def _same(daemon: Daemon, runner: Runner, config: ShopConfig) -> bool:
    """Whether a running shop has these very settings and keys. Raises ConfigError for settings that are wrong."""
    if config.problems:
        raise ConfigError(config.problems)
    channel_type = daemon.how.plugins.channels.get(config.shop.channel)
    if channel_type is None or runner.shop is None:
        return False
    settings: Mapping[str, object] = dict(channel_settings(config, channel_type.settings_type))
    return config.shop == runner.config.shop and settings == dict(runner.shop.settings or {})
