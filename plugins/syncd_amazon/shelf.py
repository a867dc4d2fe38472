"""Which SKUs are ours to write, and what they show: read from Amazon, remembered while it is of use.

Amazon must never be sent a number for a SKU that it holds itself (FBA): that would turn the SKU into one the seller
ships. So a number leaves only for a SKU that was seen as the seller's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from syncd.clock import Clock
from syncd_amazon.api import AmazonApi
from syncd_amazon.wire import INCLUDED, READ_ROWS, Holder, Shelf, fits_a_search, read_item, read_items, search_params

NUMBER_HOLDS_SECONDS = 10.0


class Shelves:
    """The SKUs of one account as last seen."""

    def __init__(self, api: AmazonApi, clock: Clock) -> None:
        self._api = api
        self._clock = clock
        self._holders: dict[str, Holder] = {}
        self._numbers: dict[str, tuple[int, float]] = {}
        self.listed_at: float | None = None

    def holder(self, sku: str) -> Holder | None:
        """Who holds a SKU; None where it was never seen."""
        return self._holders.get(sku)

    def unseen(self, skus: Iterable[str]) -> list[str]:
        return [sku for sku in skus if sku not in self._holders]

    def recent(self, sku: str) -> int | None:
        """The number that was read of a SKU in the last seconds."""
        number, at = self._numbers.get(sku, (0, -NUMBER_HOLDS_SECONDS))
        return number if self._clock.monotonic() - at < NUMBER_HOLDS_SECONDS else None

    def take_list(self, holders: Mapping[str, Holder]) -> None:
        """Take a whole listing report over. It may be hours old: what was seen directly stays."""
        self._holders = {**holders, **self._holders}
        self.listed_at = self._clock.monotonic()

    async def look(self, skus: Sequence[str]) -> dict[str, Shelf]:
        """Read SKUs, 20 a call; those Amazon does not know are left out, and forgotten."""
        found: dict[str, Shelf] = {}
        searched = [sku for sku in skus if fits_a_search(sku)]
        for first in range(0, len(searched), READ_ROWS):
            found |= await self._search(searched[first : first + READ_ROWS])
        for sku in skus:
            if not fits_a_search(sku):
                item = await self._api.get_listing(sku, INCLUDED)
                if item is not None:
                    found[sku] = read_item(item)
        self._remember(skus, found)
        return found

    async def _search(self, skus: Sequence[str]) -> dict[str, Shelf]:
        wanted = set(skus)
        found: dict[str, Shelf] = {}
        params = search_params(skus)
        for _ in range(READ_ROWS):
            items, token = read_items(await self._api.search_listings(params))
            found |= {shelf.sku: shelf for shelf in items if shelf.sku in wanted}
            if token is None or len(found) == len(wanted):
                break
            params = {**params, "pageToken": token}
        return found

    def _remember(self, asked: Iterable[str], found: Mapping[str, Shelf]) -> None:
        now = self._clock.monotonic()
        self._numbers = {sku: kept for sku, kept in self._numbers.items() if now - kept[1] < NUMBER_HOLDS_SECONDS}
        for sku in asked:
            shelf = found.get(sku)
            if shelf is None:
                self._holders.pop(sku, None)
                continue
            if shelf.holder is not Holder.NOBODY or self._holders.get(sku) is not Holder.SELLER:
                self._holders[sku] = shelf.holder
            if shelf.quantity is not None:
                self._numbers[sku] = (shelf.quantity, now)
