"""The demo's verdict: the daemon's books, read through its admin API, against what was really sold."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from syncd.sim.served import Truth

PAGE = 1000


@dataclass(slots=True)
class Admin:
    """The admin API as any client sees it."""

    client: httpx.AsyncClient

    async def get(self, path: str, **params: Any) -> Any:
        answer = await self.client.get(f"/api/v1{path}", params=params)
        return answer.raise_for_status().json()

    async def post(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        answer = await self.client.post(f"/api/v1{path}", json=body or {})
        if answer.is_error:
            raise RuntimeError(f"{path}: {answer.status_code} {answer.text[:256]}")
        return answer.json()

    async def rows(self, path: str) -> AsyncIterator[dict[str, Any]]:
        """Every row of a list, page by page."""
        after: dict[str, int] = {}
        while True:
            page = await self.get(path, limit=PAGE, **after)
            for row in page["items"]:
                yield row
            if page["next"] is None:
                return
            after = {"after": page["next"]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How the daemon's books compare with what was really sold."""

    orders_booked: int
    lost: int
    doubled: int
    wrong: Sequence[str] = ()
    stale: Sequence[str] = ()

    @property
    def settled(self) -> bool:
        """Whether waiting longer can change nothing."""
        return not (self.lost or self.doubled or self.wrong)

    @property
    def clean(self) -> bool:
        return self.settled and not self.stale


def compare(
    truth: Truth, booked: Mapping[tuple[str, str], int], free: Mapping[str, int], wrong: Sequence[str]
) -> Verdict:
    """Judge by orders and by the ledger. `booked`: (shop, number) -> units that count; `free`: SKU -> pieces.

    Lost is whichever is more: orders that are missing or short, or pieces that the ledger still has and should not.
    """
    sold = {
        key: sum(ordered - cancelled for ordered, cancelled, _ in lines.values()) for key, lines in truth.orders.items()
    }
    missing = sum(key not in booked or booked[key] < units for key, units in sold.items())
    twice = sum(units > sold.get(key, 0) for key, units in booked.items())
    over = sum(max(0, free.get(sku, 0) - pieces) for sku, pieces in truth.free.items())
    under = sum(max(0, pieces - free.get(sku, 0)) for sku, pieces in truth.free.items())
    return Verdict(
        orders_booked=len(booked), lost=max(missing, over), doubled=max(twice, under), wrong=wrong, stale=truth.stale
    )


async def judge(admin: Admin, truth: Truth, wrong: Sequence[str]) -> Verdict:
    """Read the daemon's books through its API and compare."""
    booked: Counter[tuple[str, str]] = Counter()
    async for order in admin.rows("/orders"):
        lines = [line for line in order["lines"] if line["booked"]]
        booked[order["shop"], order["number"]] += sum(line["ordered"] - line["cancelled"] for line in lines)
    free: Counter[str] = Counter()
    async for row in admin.rows("/stock"):
        free[row["sku"]] += row["free"]
    return compare(truth, booked, free, wrong)
