"""What a memory shop plays beside its calls: pushes that bear its key, and options of its listings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from syncd.sdk.channel import Webhook
from syncd.testing.emulator import Emulator
from syncd.testing.mall import HasOptions, Pushes
from syncd.testing.memory_settings import MemorySettings
from syncd.testing.world import TruthOrder


class MemorySides(Emulator, Pushes, HasOptions):
    """`pushes_to` is the address registered, `set_options` what was set on listings."""

    options: MemorySettings
    signs_pushes = False

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        self.pushes_to = ""
        self.pushed_orders = 0
        self.set_options: dict[str, dict[str, str]] = {}

    def registered(self) -> Sequence[str]:
        return [self.pushes_to] if self.pushes_to else []

    def forget_registration(self) -> None:
        self.pushes_to = ""

    def pushed(self) -> Sequence[Webhook]:
        orders = list(self.market.orders.values())
        found = orders[self.pushed_orders :] if self.pushes_to else []
        self.pushed_orders = len(orders)
        return [self._push(order) for order in found]

    def _push(self, order: TruthOrder) -> Webhook:
        headers = {"x-key": self.options.key.get_secret_value(), "x-id": order.number}
        return Webhook(headers, " ".join(line.listing for line in order.lines).encode())

    def options_of(self, key: str) -> Mapping[str, str]:
        return self.set_options.get(key, {})
