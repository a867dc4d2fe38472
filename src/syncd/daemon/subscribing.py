"""Have a shop push to us: at its start and once a day, so that a subscription somebody deleted comes back."""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from syncd.daemon.hub import Hub, Shop
from syncd.sdk.errors import ChannelError

log = structlog.get_logger()
DAY_US = 86_400_000_000
AGAIN_US = 3_600_000_000
LOOK_US = 60_000_000
ALARM = "webhooks_missing"


@dataclass(slots=True)
class Subscribing:
    """The loop of one shop. Nothing is registered at a shop that is not written to (dry run)."""

    hub: Hub
    shop: Shop
    address: str

    async def turn(self) -> int | None:
        """Register, or find it registered. Returns when to look again; None where this is done by hand or never."""
        if not self.address or not self.shop.capabilities.publishes_webhooks:
            return None
        now_us = self.hub.clock.now_us()
        if not self.shop.writes:
            return now_us + LOOK_US
        try:
            by_us = await self.shop.running.register_webhooks(f"{self.address}/webhooks/{self.shop.name}")
        except ChannelError as error:
            why = f"{type(error).__name__}: {error}"
            text = f"{self.shop.name}: pushes cannot be registered, so it is only polled: {why}"
            await self.hub.store.tx(lambda conn: self.hub.raise_alarm(conn, ALARM, self.shop, "", text))
            return now_us + AGAIN_US
        await self.hub.store.tx(lambda conn: self.hub.clear_alarm(conn, ALARM, self.shop))
        log.debug("webhooks_registered", shop=self.shop.name, by_us=by_us)
        return now_us + DAY_US if by_us else None
