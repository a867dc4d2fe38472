"""A mall in memory that keeps the rows of every call that reached it."""

from __future__ import annotations

from collections.abc import Sequence

from syncd.sdk.channel import StockWrite, WriteReport
from syncd.sim.trial import Trial
from syncd.testing.memory import MemoryShop


class Recorded(MemoryShop):
    """Keeps the rows of every call that reached it."""

    def __init__(self, *args, **kwargs) -> None:  # type: ignore[no-untyped-def]
        super().__init__(*args, **kwargs)
        self.took: list[dict[str, int]] = []

    def take(self, rows: Sequence[StockWrite], key: str) -> WriteReport:
        self.took.append({row.listing: row.quantity for row in rows})
        return super().take(rows, key)


def took(trial: Trial, name: str) -> list[dict[str, int]]:
    mall = trial.mall(name)
    assert isinstance(mall, Recorded)
    return mall.took
