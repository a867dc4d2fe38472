"""What settings become in a daemon, at its start and when they are read again: facts, runners, alarms about files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog
from sqlalchemy import Connection

from syncd.config import Settings, ShopConfig
from syncd.core.policy import parse as parse_policy
from syncd.daemon.hub import Hub
from syncd.daemon.opening import OpenChannel
from syncd.daemon.supervisor import Runner
from syncd.store import shops

if TYPE_CHECKING:
    from syncd.daemon.life import Daemon

log = structlog.get_logger()
MISNAMED = "shop_file_misnamed"


def facts_settings(settings: Settings) -> dict[str, Any]:
    """The settings that every plan needs, as `Facts` holds them."""
    return {
        "batch_us": int(settings.batch.every_seconds * 1e6),
        "brake_listings": settings.brake.listings,
        "brake_share": settings.brake.share,
        "policy": parse_policy(settings.policy.usual),
        "retention_us": settings.retention.orders_days * 86_400_000_000,
    }


def runner_of(hub: Hub, config: ShopConfig, how: OpenChannel, names: tuple[str, ...]) -> Runner:
    """A shop's runner, every label set of its metrics made."""
    hub.metrics.shop(config.name)
    return Runner(hub, config, how, names)


def new_runner(daemon: Daemon, config: ShopConfig) -> Runner:
    """The runner of a shop whose file came while the daemon runs; read again like the others."""
    runner = runner_of(daemon.hub, config, daemon.how, tuple(daemon.runners) + (config.name,))
    runner.reload = daemon.reload_shop
    return runner


def tell_misnamed(daemon: Daemon, conn: Connection) -> None:
    """Alarm the files that can be no shop's, for as long as they lie there. Of the others their runners tell."""
    now_us = daemon.hub.clock.now_us()
    shops.clear_alarms(conn, MISNAMED, now_us)
    for problem in daemon.config.misnamed:
        shops.raise_alarm(conn, MISNAMED, None, problem.file.name, str(problem), now_us)
        log.error("shop_set_aside", shop=problem.shop, problem=str(problem))
