"""Every listing of the shop, and what has a stock record without an item: orphans, and items too new for the search."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import replace

from syncd.sdk.channel import ListingInfo
from syncd.sdk.errors import SignInRequired
from syncd_rakuten.api import RakutenApi, ReadRefused
from syncd_rakuten.wire import StockRecord, listings_of

READ_ROWS = 1000
MOST_QUANTITY = 99_999
ORPHAN = "a stock record without an item: nothing sells it, and Rakuten removes it 24 hours after its last update"

Shown = Callable[[Sequence[str]], Awaitable[Mapping[str, int | None]]]


class Catalogue:
    """Reads what a shop sells. Keeps nothing."""

    def __init__(self, api: RakutenApi, shown: Shown) -> None:
        self._api = api
        self._shown = shown

    async def listings(self) -> AsyncIterator[ListingInfo]:
        """Every SKU of items/search with its number, then what only the stock API knows.

        A new item takes up to 24 hours to show in the search; by its stock record it is found at once.
        """
        found: set[str] = set()
        async for page in self._pages():
            found.update(info.key for info in page)
            for first in range(0, len(page), READ_ROWS):
                part = page[first : first + READ_ROWS]
                shown = await self._shown([info.key for info in part])
                for info in part:
                    yield replace(info, quantity=shown.get(info.key))
        async for info in self._without_search(found):
            yield info

    async def _pages(self) -> AsyncIterator[list[ListingInfo]]:
        mark: str | None = None
        while True:
            page, asked, following = await self._api.items(mark)
            yield list(listings_of(page))
            if not following or following == asked:
                return
            mark = following

    async def _without_search(self, found: set[str]) -> AsyncIterator[ListingInfo]:
        """Stock records of no listing that the search gave: of new items, or of none."""
        folded = {key.lower() for key in found}  # one page says that variantId is folded in 2.0
        by_item: dict[str, dict[str, StockRecord]] = {}
        async for key, record in self._records():
            if key.lower() not in folded:
                by_item.setdefault(key.partition("/")[0], {})[key] = record
        for manage_number, records in by_item.items():
            held = await self._api.item_listings(manage_number)
            if held is None:
                continue  # RMS will not tell: then nothing is said of it
            for key, record in records.items():
                known = held.get(key) or next((info for info in held.values() if info.key.lower() == key.lower()), None)
                orphan = ListingInfo(key, writable=False, problem=ORPHAN)
                yield replace(known or orphan, quantity=record.quantity)

    async def _records(self) -> AsyncIterator[tuple[str, StockRecord]]:
        """Every stock record, by ranges of its number, halved until RMS gives them.

        More than a thousand records of one and the same number cannot be read; they are passed over.
        """
        ranges = [(0, MOST_QUANTITY)]
        while ranges:
            least, most = ranges.pop()
            try:
                records = await self._api.stock_range(least, most)
            except (ReadRefused, SignInRequired):
                return  # bulk-get.range is switched on in RMS by itself: the list is whole without it
            if records is None and least < most:
                middle = (least + most) // 2
                ranges += [(middle + 1, most), (least, middle)]
            for key, record in (records or {}).items():
                yield key, record
