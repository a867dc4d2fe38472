"""A person signs in for a shop: the page to go to, then what was brought back, then the shop goes on.

Works beside a running shop and without one: the channel object that gives the page is one of its own, and it is the
one that takes what was brought back, so that a plugin may keep what ties the two together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import structlog
from sqlalchemy import Connection

from syncd.config import ConfigError
from syncd.daemon.desk_answers import Refused
from syncd.daemon.hub import Hub, Shop, Status
from syncd.daemon.opening import OpenChannel, open_shop
from syncd.daemon.supervisor import Runner
from syncd.sdk.channel import SignInPage
from syncd.sdk.errors import ChannelError
from syncd.store.shops import SecondShop, clear_alarm, set_shop, shop_named
from syncd.telemetry import register_turning_secret

log = structlog.get_logger()


@dataclass(slots=True)
class SignIns:
    """Sign-ins under way, at most one a shop. What a person brings back is masked and never kept."""

    hub: Hub
    how: OpenChannel
    runners: Mapping[str, Runner]
    _open: dict[str, Shop] = field(default_factory=dict)

    async def page(self, name: str) -> SignInPage:
        """Where the person goes. Raises Refused for a shop that needs no sign-in or cannot be built."""
        await self._close(name)
        shop = await self._opened(self.runners[name])
        self._open[name] = shop
        if not shop.capabilities.signs_in:
            await self._close(name)
            raise Refused(
                f"{shop.channel} needs no sign-in: put the new key where {name}.toml points, then run"
                f" syncd shops resume {name}",
                "shop",
            )
        return await shop.running.sign_in_page()

    async def finish(self, name: str, brought_back: str) -> None:
        """Exchange what was brought back, then let this shop go on, and others that wait for the same sign-in.

        Raises Refused when it is not what the page gives (try again), ChannelError when the channel refuses it.
        """
        if name not in self._open:
            await self.page(name)
        shop = self._open[name]
        register_turning_secret(f"sign-in {name}", brought_back)
        try:
            with shop.grants.replacing():
                refused = await shop.running.sign_in(brought_back.strip())
        except ChannelError:
            await self._close(name)
            raise
        if refused:
            raise Refused(refused, "brought_back")
        await self._close(name)
        log.info("shop_signed_in", shop=name)
        await self._go_on(name)

    async def aclose(self) -> None:
        """Let go of what nobody finished."""
        for name in list(self._open):
            await self._close(name)

    async def _opened(self, runner: Runner) -> Shop:
        """A channel object of its own; what bookings know of a shop that runs stays as it is."""
        try:
            shop = await open_shop(self.hub, runner.reload(runner.config), self.how)
        except (ConfigError, SecondShop) as error:
            raise Refused(str(error), "shop") from None
        if runner.shop is not None:
            self.hub.facts.shops[shop.id] = runner.shop.facts
        return shop

    async def _close(self, name: str) -> None:
        shop = self._open.pop(name, None)
        if shop is not None:
            await shop.running.aclose()

    async def _go_on(self, name: str) -> None:
        own = self.runners[name]
        now_us = self.hub.clock.now_us()

        def signed_in(conn: Connection) -> None:
            row = shop_named(conn, name)
            if row is not None:
                clear_alarm(conn, "sign_in_required", row.id, "", now_us)
                if row.status == Status.SIGN_IN_REQUIRED:
                    set_shop(conn, row.id, status=Status.LOADED, status_text="")

        await self.hub.store.tx(signed_in)
        await own.resume()
        for other in self.runners.values():
            same = other is not own and other.config.shop.channel == own.config.shop.channel
            if same and not other.paused and other.now_status() is Status.SIGN_IN_REQUIRED:
                await other.resume()
