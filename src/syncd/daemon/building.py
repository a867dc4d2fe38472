"""Put a daemon together over an open store: hub, budgets, one runner per shop, housekeeping. Nothing runs yet."""

from __future__ import annotations

import shutil
from pathlib import Path
from random import Random

import structlog
from sqlalchemy import Connection, update

from syncd import __version__
from syncd.clock import Clock
from syncd.config import Config
from syncd.daemon.configured import facts_settings, runner_of, tell_misnamed
from syncd.daemon.facts import Facts
from syncd.daemon.grants import KeptGrants
from syncd.daemon.housekeeping import ALARM_KINDS, Housekeeping
from syncd.daemon.hub import Hub
from syncd.daemon.life import Daemon
from syncd.daemon.limits import Budgets
from syncd.daemon.notify import Notifier
from syncd.daemon.opening import OpenChannel, Transports
from syncd.daemon.plugins import Plugins
from syncd.daemon.signing_in import SignIns
from syncd.model import from_us
from syncd.store import shops
from syncd.store.engine import Store
from syncd.store.lock import forget_restored
from syncd.store.schema import intent, listing, shop
from syncd.store.vault import Vault
from syncd.telemetry import Metrics

log = structlog.get_logger()
DATABASE = "syncd.sqlite"
RESTORED_DEAD_US = 900_000_000
"""A write made after the backup, of which the store knows nothing, may still land for so long."""


def build(
    config: Config,
    store: Store,
    *,
    clock: Clock,
    plugins: Plugins,
    transports: Transports,
    rng: Random,
    notifier: Notifier | None = None,
    vault: Vault | None = None,
) -> Daemon:
    """Put a daemon together over an open store. Nothing runs yet. Without a vault, grants end with the process."""
    settings = config.settings
    metrics = Metrics(version=__version__, clock=clock)
    metrics.alarm_kinds(ALARM_KINDS)
    store.commit_seconds = metrics.commit_seconds.observe
    hub = Hub(store, clock, Facts(**facts_settings(settings)), metrics, rng)
    grants = KeptGrants(store, clock, vault or Vault.passing())
    how = OpenChannel(plugins, Budgets(clock), transports, grants, settings.webhooks_url or "")
    configured = sorted((*config.shops, *config.unread), key=lambda one: one.name)
    names = tuple(one.name for one in configured)
    runners = {one.name: runner_of(hub, one, how, names) for one in configured}
    housekeeping = Housekeeping(hub, settings, runners, lambda: _disk(settings.state_dir))
    return Daemon(
        config,
        hub,
        runners,
        plugins,
        how,
        housekeeping,
        notifier or Notifier({}),
        clock.now(),
        SignIns(hub, how, runners),
    )


def _disk(state_dir: Path) -> tuple[int, int]:
    """Bytes of the write-ahead log, and free bytes where the store lies."""
    wal = state_dir / f"{DATABASE}-wal"
    try:
        return (wal.stat().st_size if wal.exists() else 0), shutil.disk_usage(state_dir).free
    except OSError:
        return 0, 0


async def prepare(daemon: Daemon) -> None:
    """Before any loop: who is paused, and whether the store is a restored backup (then nothing is believed)."""
    store, clock_us = daemon.hub.store, daemon.hub.clock.now_us()

    def look(conn: Connection) -> list[shops.ShopRow]:
        if store.restored:
            conn.execute(
                update(listing).values(
                    believed=None,
                    seen=None,
                    unread=0,
                    slack=0,
                    seen_slack=0,
                    verify=1,
                    doubt_us=None,
                    base_us=0,
                    base_from_us=0,
                    exposure=None,
                    calls=0,
                    lost_us=clock_us + RESTORED_DEAD_US,
                    back=0,
                    proven=None,
                )
            )
            # What the backup waits for may have been overwritten since: its result proves nothing, it is in doubt.
            conn.execute(update(intent).where(intent.c.state == "waiting").values(state="open"))
            # The ledger lacks what was read since: nothing is raised before each shop's orders are read anew.
            conn.execute(update(shop).values(orders_began_us=0))
            forget_restored(conn)
        return shops.all_shops(conn)

    restored = store.restored
    backup_us = await store.read(lambda conn: shops.last_audit_us(conn, shops.BACKUP_MADE))
    daemon.hub.metrics.backup_last_success.set(backup_us / 1e6)
    rows = {row.name: row for row in await store.tx(look)}
    await daemon.how.grants.reseal()
    if restored:
        log.warning("backup_restored", what="every shop is read back before it is raised")
    for name, runner in daemon.runners.items():
        row = rows.get(name)
        runner.paused = row is not None and bool(row.paused)
        if row is not None and row.key_expires_us is not None:
            daemon.hub.metrics.credential_expiry(name, from_us(row.key_expires_us))
        if runner.paused:
            runner.settled.set()
    await store.tx(lambda conn: tell_misnamed(daemon, conn))
