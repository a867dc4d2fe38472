"""Amazon.co.jp as a channel: what it can do, and how its parts stand together."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from typing import ClassVar

from syncd.sdk.channel import (
    Accepted,
    Capabilities,
    Channel,
    CheckReport,
    Cursor,
    HintPage,
    ListingInfo,
    OrderFilter,
    OrderPage,
    Quantity,
    Rejected,
    Restock,
    Shipment,
    ShopContext,
    StockWrite,
    WriteReport,
    WriteRoute,
)
from syncd.sdk.errors import CallRefused
from syncd.sdk.settings import ChannelSettings, Orders, ShopSettings
from syncd_amazon.api import BUDGETS, AmazonApi
from syncd_amazon.listening import Listener
from syncd_amazon.options import NAMES, Options
from syncd_amazon.orders import POLL_SECONDS, OrderReader, visibility_seconds
from syncd_amazon.queue import Queue
from syncd_amazon.report import ListingReport, holder_of
from syncd_amazon.results import Results
from syncd_amazon.settings import AmazonSettings
from syncd_amazon.shelf import Shelves
from syncd_amazon.shipping import Shipper
from syncd_amazon.wire import MAX_QUANTITY, READ_ROWS, Holder
from syncd_amazon.wire_orders import write_time
from syncd_amazon.writing import FEED, PATCH, Writer

SECRET_LIFE = timedelta(days=180)

CAPABILITIES = Capabilities(
    quantity=Quantity.AVAILABLE,
    routes=(PATCH, FEED),
    budgets=BUDGETS,
    order_filter=OrderFilter.MODIFIED,
    poll_seconds=POLL_SECONDS,
    restocks_on_cancel=Restock.UNKNOWN,
    reads_stock=True,
    read_rows=READ_ROWS,
    read_operation="search_listings",
    takes_shipments=True,
    shipment_rows=1,
    lists_listings=True,
    listing_options=NAMES,
    max_quantity=MAX_QUANTITY,
    listing_case_sensitive=True,
)


class AmazonChannel(Channel):
    """One seller account on one marketplace. A listing is the seller's SKU (出品者SKU), case as registered."""

    slug: ClassVar[str] = "amazon"
    title: ClassVar[str] = "Amazon.co.jp (アマゾン)"
    settings_type: ClassVar[type[ChannelSettings]] = AmazonSettings

    def __init__(self, shop: ShopSettings, settings: ChannelSettings, context: ShopContext) -> None:
        assert isinstance(settings, AmazonSettings)  # the core builds them of our settings_type
        self._shop = shop
        self._settings = settings
        self._clock = context.clock
        seconds = visibility_seconds(settings.overlap_minutes)
        self._capabilities = replace(
            CAPABILITIES,
            visibility_seconds=seconds,
            listens=settings.queue_arn is not None and shop.orders is Orders.ON,
        )
        self._api = AmazonApi(shop.base_url, settings, context)
        self._shelves = Shelves(self._api, context.clock)
        self._orders = OrderReader(self._api, settings, context.clock)
        self._results = Results(self._api, self._shelves, context.clock, self._orders_until, self._orders.sales)
        self._report = ListingReport(self._api, context.clock)
        self._writer = Writer(settings.seller_id, self._api, self._shelves, self._results, self._report, context.clock)
        self._shipper = Shipper(self._api, settings.marketplace_id)
        self._options = Options(self._api, self._results)
        self._queue = Queue(settings, context) if self._capabilities.listens else None
        self._listener = None
        if self._queue is not None:
            self._listener = Listener(self._api, self._queue, settings, context.clock, self._orders.remember)

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    async def aclose(self) -> None:
        await self._api.aclose()
        if self._queue is not None:
            await self._queue.aclose()

    def _orders_until(self) -> float:
        """Up to when orders were looked for; without end where nobody takes them in."""
        return math.inf if self._shop.orders is Orders.OFF else self._orders.looked_until

    async def check(self) -> CheckReport:
        """Use each role this shop needs once, then tell when the client secret has to be rotated."""
        await self._api.search_listings({"includedData": "summaries", "pageSize": "1"})
        if self._shop.orders is Orders.ON:
            minute = write_time(self._clock.now() - timedelta(minutes=5))
            await self._api.search_orders({"lastUpdatedAfter": minute, "maxResultsPerPage": "1"})
        issued = self._settings.client_secret_issued
        if issued is None:
            warning = "set client_secret_issued, or the client secret will end unannounced 180 days after it was issued"
            return CheckReport(self._settings.seller_id, None, (warning,))
        return CheckReport(self._settings.seller_id, datetime.combine(issued, time(), UTC) + SECRET_LIFE)

    async def fetch_orders(self, cursor: Cursor | None) -> OrderPage:
        return await self._orders.page(cursor)

    async def write_stock(self, rows: Sequence[StockWrite], route: WriteRoute, key: str) -> WriteReport:
        """Send numbers; what Amazon takes in is pending until its page was read back. A call has no key there."""
        if len(rows) > route.max_rows:
            raise CallRefused(f"{route.name} takes {route.max_rows} rows")
        return await self._writer.write(rows, route, key)

    async def collect(self, receipts: Sequence[str]) -> Mapping[str, Accepted | Rejected]:
        return await self._results.collect(receipts)

    async def read_stock(self, listings: Sequence[str]) -> Mapping[str, int | None]:
        """The numbers of the seller's own SKUs; None for those that Amazon holds or that count no stock."""
        shelves = await self._shelves.look(listings)
        return {sku: shelf.quantity if shelf.holder is Holder.SELLER else None for sku, shelf in shelves.items()}

    async def list_listings(self) -> AsyncIterator[ListingInfo]:
        """Every SKU of the listing report, FBA ones as not writable. Amazon's copy may be hours old."""
        listed = await self._report.fetch()
        self._shelves.take_list({info.key: holder_of(info) for info in listed})
        for info in listed:
            yield info

    async def send_shipments(self, shipments: Sequence[Shipment]) -> WriteReport:
        return WriteReport(tuple([await self._shipper.send(i, one) for i, one in enumerate(shipments)]))

    async def listen(self) -> HintPage:
        """The next order notifications of the queue; off unless `queue_arn` is set."""
        assert self._listener is not None  # listens says so
        return await self._listener.listen()

    async def set_listing_options(self, listing: str, options: Mapping[str, str]) -> None:
        await self._options.set(listing, options)
