"""Yahoo! Shopping as a channel: what it can do, and how its answers become reports."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import ClassVar

from syncd.sdk.channel import (
    Accepted,
    Budget,
    Capabilities,
    Channel,
    CheckReport,
    Cursor,
    Form,
    ListingInfo,
    OrderFilter,
    OrderPage,
    Pending,
    Quantity,
    ReadFirst,
    Reason,
    Rejected,
    Restock,
    Scope,
    Shipment,
    ShopContext,
    SignInPage,
    StockWrite,
    WriteReport,
    WriteRoute,
)
from syncd.sdk.settings import ChannelSettings, Orders, ShopSettings
from syncd_yahoo_shopping.api import ADDRESS, TEST_ADDRESS, OrderUnknown, ShipmentRefused, YahooApi
from syncd_yahoo_shopping.families import PartReader
from syncd_yahoo_shopping.feed import OrderFeed
from syncd_yahoo_shopping.polling import VISIBILITY_SECONDS
from syncd_yahoo_shopping.session import ADDRESS as SIGN_IN_ADDRESS
from syncd_yahoo_shopping.session import Session
from syncd_yahoo_shopping.settings import Environment, Overdraft, StockRoute, YahooShoppingSettings
from syncd_yahoo_shopping.shipping import bears, reports_of, ship_body
from syncd_yahoo_shopping.stock_wire import (
    MAX_QUANTITY,
    Stock,
    is_listing,
    listings_of,
    read_receipt,
    receipt_of,
    sending_of,
)
from syncd_yahoo_shopping.wire import JST

ROWS = 1000
SET_STOCK = WriteRoute(
    "set_stock",
    "set_stock",
    # Whether a change may leave less than nothing is not confirmed, so it is declared as one that tells no refusal.
    frozenset({Form.ABSOLUTE, Form.RELATIVE_SILENT}),
    max_rows=ROWS,
)
CSV = WriteRoute(
    "csv",
    "upload_stock",
    frozenset({Form.ABSOLUTE}),
    max_rows=20_000,
    dead_after_seconds=3600,
    later=True,
    # How long an upload may take is not documented. These two are guesses on the long side.
    settle_seconds=600,
    read_first=ReadFirst.ORDERS,  # more rows than getStock could read in time
)
CSV_SETTLED_SECONDS = 1800
COLLECT_SECONDS = 60  # between two looks at what an upload did: a look is a call for each thousand rows
ROUTES = {StockRoute.SET_STOCK: (SET_STOCK,), StockRoute.CSV: (CSV,), StockRoute.EITHER: (SET_STOCK, CSV)}

MARGIN = 0.95
"""Share of each rate we use: a URL called too often is closed to the caller for a while."""
OPERATIONS = (
    "set_stock",
    "get_stock",
    "upload_stock",
    "my_item_list",
    "get_item",
    "order_count",
    "order_list",
    "order_info",
    "order_ship",
)
CALLS_A_DAY = 50_000
DAY_BURST = CALLS_A_DAY / 2
DAY_RATE = (CALLS_A_DAY * MARGIN - DAY_BURST) / 86_400
"""A full bucket and a day's refill together stay below the calls that one application has in any 24 hours."""
NOBODY = "syncd-check"
LIST_ROWS = 100


def budgets_of(client_id: str) -> tuple[Budget, ...]:
    """One call a second for each URL, and the day's calls for all, shared by every store of the application."""
    each = (
        Budget(name, frozenset({name}), per_second=1, margin=MARGIN, scope=Scope.APPLICATION, shared_as=client_id)
        for name in OPERATIONS
    )
    day = Budget(
        "day", frozenset(OPERATIONS), per_second=DAY_RATE, burst=DAY_BURST, scope=Scope.APPLICATION, shared_as=client_id
    )
    return (*each, day)


class YahooShoppingChannel(Channel):
    """One store on Yahoo! Shopping. A listing is `code` or `code:sub-code`, as setStock spells it."""

    slug: ClassVar[str] = "yahoo-shopping"
    title: ClassVar[str] = "Yahoo! Shopping (Yahoo!ショッピング)"
    settings_type: ClassVar[type[ChannelSettings]] = YahooShoppingSettings

    def __init__(self, shop: ShopSettings, settings: ChannelSettings, context: ShopContext) -> None:
        assert isinstance(settings, YahooShoppingSettings)  # the core builds them of our settings_type
        if shop.orders is Orders.ON and settings.public_key is None:
            raise ValueError('orders need public_key (公開鍵); without it set orders = "off"')
        self._reads_orders = shop.orders is Orders.ON
        self._settings = settings
        self._clock = context.clock
        address = TEST_ADDRESS if settings.environment is Environment.TEST else ADDRESS
        self._session = Session(shop.base_url or SIGN_IN_ADDRESS, settings, context)
        self._api = YahooApi(shop.base_url or address, settings, self._session, context)
        self._feed = OrderFeed(self._api, settings, context)
        self._parts = PartReader(self._api)
        self._looked = 0
        self._capabilities = Capabilities(
            quantity=Quantity.AVAILABLE,
            routes=ROUTES[settings.stock_route],
            budgets=budgets_of(settings.client_id),
            order_filter=OrderFilter.CREATED,
            visibility_seconds=VISIBILITY_SECONDS,
            poll_seconds=15,
            restocks_on_cancel=Restock.UNKNOWN,
            reads_stock=True,
            read_rows=ROWS,
            read_operation="get_stock",
            takes_shipments=True,
            lists_listings=True,
            signs_in=True,
            max_quantity=MAX_QUANTITY,
        )

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    async def aclose(self) -> None:
        await self._api.aclose()
        await self._session.aclose()

    # -- the sign-in ---------------------------------------------------------------------------------------

    async def check(self) -> CheckReport:
        """Try the stock API and the order API, which Yahoo approves one by one."""
        await self._api.get_stock([NOBODY])
        if self._reads_orders:
            await self._api.order_counts()
        signed_in_until = await self._session.signed_in_until()
        warnings = []
        if signed_in_until is None:
            warnings.append("when the sign-in ends is not known (28 days after it): run `syncd shops sign-in` once")
        key_end = self._key_end()
        if self._reads_orders and key_end is None:
            warnings.append("set public_key_expires, or the public key will die unannounced after its year")
        ends = [end for end in (signed_in_until, key_end) if end is not None]
        return CheckReport(self._settings.seller_id, min(ends, default=None), tuple(warnings))

    def _key_end(self) -> datetime | None:
        day = self._settings.public_key_expires
        return None if day is None else datetime(day.year, day.month, day.day, 23, 59, 59, tzinfo=JST)

    async def sign_in_page(self) -> SignInPage:
        return self._session.page()

    async def sign_in(self, brought_back: str) -> None:
        await self._session.sign_in(brought_back)

    # -- orders --------------------------------------------------------------------------------------------

    async def fetch_orders(self, cursor: Cursor | None) -> OrderPage:
        return await self._feed.page(cursor)

    async def send_shipments(self, shipments: Sequence[Shipment]) -> WriteReport:
        """Report shipments, each after a look at the order: what it bears already is accepted and not sent again."""
        return WriteReport(tuple([await self._ship(index, one) for index, one in enumerate(shipments)]))

    async def _ship(self, index: int, shipment: Shipment) -> Accepted | Rejected:
        try:
            family = await self._parts.family(shipment.order)
            if not any(not part.is_cancelled for part in family.parts):
                return Rejected(index, Reason.NOT_WRITABLE, f"order {shipment.order} is cancelled")
            if not bears(family.parts, shipment.tracking):
                for report in reports_of(family.parts, shipment):
                    await self._api.ship(ship_body(report, shipment, self._settings))
        except OrderUnknown as error:
            return Rejected(index, Reason.OTHER, str(error))
        except ValueError as error:
            return Rejected(index, Reason.OTHER, f"order {shipment.order} is not understood: {error}")
        except ShipmentRefused as error:
            return Rejected(index, Reason.NOT_WRITABLE, str(error))
        return Accepted(index)

    # -- stock ---------------------------------------------------------------------------------------------

    async def write_stock(self, rows: Sequence[StockWrite], route: WriteRoute, key: str) -> WriteReport:
        """Write rows of any mix of forms. Yahoo has no idempotency key, so `key` is not sent.

        An accepted row does not prove that a listing exists: Yahoo keeps the number for any code.
        """
        sending = sending_of(rows)
        if not sending.rows:
            return WriteReport(sending.refused)
        if route.name != CSV.name:
            return await self._api.set_stock(sending)
        sent_at = self._clock.now_us() // 1_000_000
        await self._api.upload_stock(list(sending.rows.values()))
        waiting = (Pending(index, receipt_of(row, sent_at)) for index, row in sending.rows.items())
        return WriteReport((*sending.refused, *waiting))

    async def collect(self, receipts: Sequence[str]) -> Mapping[str, Accepted | Rejected]:
        """Look whether an upload shows: nothing documented tells the result of a stock CSV."""
        now = self._clock.now_us() // 1_000_000
        if now - self._looked < COLLECT_SECONDS:
            return {}
        asked = {receipt: read_receipt(receipt) for receipt in receipts}
        shown = await self._stocks(sorted({listing for listing, _, _ in asked.values()}))
        self._looked = now
        results: dict[str, Accepted | Rejected] = {}
        for receipt, (listing, wanted, sent_at) in asked.items():
            stock, settled = shown.get(listing), now - sent_at >= CSV_SETTLED_SECONDS
            if stock is not None and stock.quantity == wanted:
                results[receipt] = Accepted(0, wanted)
            elif stock is None and settled:
                results[receipt] = Rejected(0, Reason.UNKNOWN_LISTING, f"Yahoo knows no {listing}")
            elif settled:
                results[receipt] = Rejected(0, Reason.STALE, f"{listing} never showed the {wanted} of the stock CSV")
        return results

    async def read_stock(self, listings: Sequence[str]) -> Mapping[str, int | None]:
        """Read what is shown; None for what sells on at 0 (no stock, or orders beyond it)."""
        found = await self._stocks([listing for listing in listings if is_listing(listing)])
        return {listing: stock.quantity if self._is_counted(stock) else None for listing, stock in found.items()}

    def _is_counted(self, stock: Stock) -> bool:
        """Whether the number stops buyers; orders beyond it will not, once every write switches them off."""
        return stock.quantity is not None and (not stock.overdraft or self._settings.allow_overdraft is Overdraft.OFF)

    async def _stocks(self, listings: Sequence[str]) -> dict[str, Stock]:
        found: dict[str, Stock] = {}
        for first in range(0, len(listings), ROWS):
            found |= await self._api.get_stock(listings[first : first + ROWS])
        return found

    async def list_listings(self) -> AsyncIterator[ListingInfo]:
        """Every item and variant with its number: one call an item, since only getItem names the variants."""
        start, total, told = 1, 1, set[str]()
        while start <= total:
            items, total = await self._api.items(start, LIST_ROWS)
            if not items:
                return
            for item in items:
                if item.code not in told:  # a new item moves the pages
                    told.add(item.code)
                    for info in listings_of(item, await self._api.variants(item.code)):
                        yield info
            start += len(items)
