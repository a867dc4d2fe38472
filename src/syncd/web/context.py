"""What the HTTP side is given by whoever composes it: the running daemon, or the CLI over a store of its own."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from syncd import __version__
from syncd.daemon.desk import Desk
from syncd.daemon.desk_answers import NotFound, Refused, names
from syncd.daemon.hub import Hub, Status
from syncd.daemon.life import Daemon
from syncd.daemon.plugins import PluginStatus
from syncd.daemon.supervisor import Runner
from syncd.model import to_us
from syncd.sdk.channel import SignInPage
from syncd.sdk.settings import ShopSettings
from syncd.store.backup import backup_beside
from syncd.store.engine import Store

STOPPED = "stopped"
"""A shop while no daemon runs."""
REMOVED = "removed"
"""A shop whose file was taken away; its orders and its ledger stay."""


class TokenVerifier:
    """Knows the admin token only by its hash, and compares in constant time."""

    def __init__(self, token: str) -> None:
        if not token:
            raise ValueError("an empty admin token would let everybody in")
        self._digest = hashlib.sha256(token.encode()).digest()

    def accepts(self, given: str) -> bool:
        return hmac.compare_digest(hashlib.sha256(given.encode("utf-8", "replace")).digest(), self._digest)


@dataclass(frozen=True, slots=True)
class ShopActions:
    """What a person can do to a shop as a whole; each takes its name, and raises ValueError with the way out."""

    start: Callable[[str], Awaitable[None]]
    pause: Callable[[str], Awaitable[None]]
    resume: Callable[[str], Awaitable[None]]
    full_sync: Callable[[str | None], Awaitable[None]]
    sign_in_page: Callable[[str], Awaitable[SignInPage]]
    sign_in: Callable[[str, str], Awaitable[None]]


@dataclass(slots=True, kw_only=True)
class WebContext:
    """Everything the routes use.

    `host` is the address listened on; `hosts` are further names under which people reach it. `offline`: no daemon
    runs, a command looks into the store. `stuck` names what of the core does not turn (then nothing is ready), `late`
    what waits longer than its limit allows. `status_of` is how a shop's runner stands, `broken_shops` why it does not
    run. `backup` makes a copy and returns its size.
    """

    hub: Hub
    desk: Desk
    token: TokenVerifier
    actions: ShopActions
    backup: Callable[[Path], Awaitable[int]]
    started_us: int
    version: str = __version__
    host: str = "127.0.0.1"
    hosts: Sequence[str] = ()
    offline: bool = False
    settings_of: Callable[[str], ShopSettings | None] = lambda _shop: None
    status_of: Callable[[str], str | None] = lambda _shop: None
    plugins: Callable[[], Sequence[PluginStatus]] = tuple
    warnings: Callable[[], Sequence[str]] = tuple
    broken_shops: Callable[[], Mapping[str, str]] = dict
    stuck: Callable[[], Sequence[str]] = tuple
    late: Callable[[], Sequence[str]] = tuple

    @classmethod
    def of(cls, daemon: Daemon, token: str, *, hosts: Sequence[str] = (), offline: bool = False) -> WebContext:
        """The context of a daemon, running or only built."""

        def settings_of(name: str) -> ShopSettings | None:
            found = daemon.runners.get(name)
            return None if found is None or found.config.problems else found.config.shop

        return cls(
            hub=daemon.hub,
            desk=Desk(daemon.hub),
            token=TokenVerifier(token),
            actions=_actions(daemon),
            backup=backup_of(daemon.hub.store),
            started_us=to_us(daemon.started_at),
            host=daemon.config.settings.address[0],
            hosts=hosts,
            offline=offline,
            settings_of=settings_of,
            status_of=lambda name: _status(daemon, name, offline=offline),
            plugins=lambda: daemon.plugins.found,
            broken_shops=lambda: _broken(daemon),
            stuck=lambda: _stuck(daemon, offline=offline),
            late=lambda: [*map(str, daemon.config.misnamed), *daemon.housekeeping.late],
        )


def _actions(daemon: Daemon) -> ShopActions:
    def runner(name: str) -> Runner:
        found = daemon.runners.get(name)
        if found is None:
            raise NotFound(f"there is no shop file {name}.toml; shops: {names(sorted(daemon.runners))}", "shop")
        return found

    async def full_sync(name: str | None) -> None:
        some = list(daemon.runners.values()) if name is None else [runner(name)]
        running = [one.reconcile for one in some if one.reconcile is not None]
        if not running:
            raise Refused("no shop runs that could be compared; see syncd shops", "shop")
        for one in running:
            one.start_full_sync()

    async def start(name: str) -> None:
        await runner(name).start_writing()

    async def pause(name: str) -> None:
        await runner(name).pause()

    async def resume(name: str) -> None:
        await runner(name).resume()

    async def sign_in_page(name: str) -> SignInPage:
        return await daemon.sign_ins.page(runner(name).name)

    async def sign_in(name: str, brought_back: str) -> None:
        await daemon.sign_ins.finish(runner(name).name, brought_back)

    return ShopActions(start, pause, resume, full_sync, sign_in_page, sign_in)


def _stuck(daemon: Daemon, *, offline: bool) -> Sequence[str]:
    if offline:
        return ["no daemon runs: nothing is read or written; start it: systemctl start syncd, or syncd run"]
    return daemon.stuck() if daemon.ready.is_set() else ["starting: not every shop is checked yet"]


def _status(daemon: Daemon, name: str, *, offline: bool) -> str:
    runner = daemon.runners.get(name)
    if runner is None:
        return REMOVED
    status = runner.now_status()
    return STOPPED if offline and status is Status.LOADED else status.value


def _broken(daemon: Daemon) -> dict[str, str]:
    found = {one.shop: str(one) for one in daemon.config.misnamed}
    bad = (Status.CONFIG_ERROR, Status.FAILED_CHECK)
    return found | {one.name: one.text for one in daemon.runners.values() if one.status in bad}


def backup_of(store: Store) -> Callable[[Path], Awaitable[int]]:
    """How a store is copied."""

    async def make(target: Path) -> int:
        if store.path is None:
            raise Refused("this store is in memory: there is no file to copy")
        own = store.path.absolute()
        if target in (own, *(own.with_name(own.name + more) for more in ("-wal", "-shm", ".lock", ".boot"))):
            raise Refused(f"{target} belongs to the store itself; name another file", "path")
        return await backup_beside(store.path, target)

    return make
