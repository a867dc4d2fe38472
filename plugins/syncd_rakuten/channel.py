"""Rakuten Ichiba as a channel: what it can do, and how its answers become reports."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import ClassVar

from syncd.sdk.channel import (
    Budget,
    Capabilities,
    Channel,
    CheckReport,
    Cursor,
    Form,
    Hint,
    HintPage,
    ListingInfo,
    OrderFilter,
    OrderPage,
    Quantity,
    Restock,
    Shipment,
    ShopContext,
    StockWrite,
    Webhook,
    WriteReport,
    WriteRoute,
)
from syncd.sdk.errors import CallRefused, ChannelError, SignInRequired
from syncd.sdk.settings import ChannelSettings, Orders, ShopSettings, Writes
from syncd_rakuten.api import ADDRESS, RakutenApi, ReadRefused
from syncd_rakuten.catalogue import READ_ROWS, Catalogue
from syncd_rakuten.feed import OrderFeed
from syncd_rakuten.notices import REPLY, notice_of
from syncd_rakuten.order_mail import OrderMail, address_of
from syncd_rakuten.polling import VISIBILITY_SECONDS
from syncd_rakuten.settings import RakutenSettings
from syncd_rakuten.shipping import SHIPMENT_ROWS, ShippingDesk
from syncd_rakuten.wire import (
    LISTING_OPTIONS,
    Pair,
    StockRecord,
    accepted_rows,
    end_of_day,
    pair_of,
    refused_rows,
    stock_rows,
    with_options,
)

FORMS = frozenset({Form.ABSOLUTE, Form.RELATIVE_REFUSES})
WRITE_ROWS = 400
BULK = WriteRoute("bulk", "bulk_upsert", FORMS, max_rows=WRITE_ROWS, dead_after_seconds=60)
SINGLE = WriteRoute("single", "upsert", FORMS, max_rows=1, dead_after_seconds=60)
YOUNG = timedelta(days=2)  # Rakuten drops an orphan 24 h after its last write; asked by then, it is found out
PROOFS = 5  # one second of items.get: the number read must still be fresh when it is used
NOBODY = Pair("syncd-check", "syncd-check")

MARGIN = 0.95
"""Share of each rate we use: what Rakuten does to a caller beyond it is announced but not documented."""
CAPABILITIES = Capabilities(
    quantity=Quantity.AVAILABLE,
    routes=(BULK, SINGLE),
    budgets=(
        Budget("bulk_upsert", frozenset({"bulk_upsert"}), per_second=1, margin=MARGIN),
        Budget("upsert", frozenset({"upsert"}), per_second=1, margin=MARGIN),
        Budget("bulk_get", frozenset({"bulk_get", "bulk_get_range"}), per_second=5, margin=MARGIN),
        Budget(
            "order_api",
            frozenset({"search_order", "get_order", "confirm_order", "update_shipping"}),
            per_second=1,
            margin=MARGIN,
        ),
        Budget("items_get", frozenset({"items_get"}), per_second=5, margin=MARGIN),
        # The fact sheet names no rate for these two: the slowest of its others.
        Budget("items_search", frozenset({"items_search"}), per_second=1, margin=MARGIN),
        Budget("license_expiry", frozenset({"license_expiry"}), per_second=1, margin=MARGIN),
    ),
    order_filter=OrderFilter.CREATED,
    visibility_seconds=VISIBILITY_SECONDS,
    poll_seconds=10,
    restocks_on_cancel=Restock.UNKNOWN,
    reads_stock=True,
    read_rows=READ_ROWS,
    read_operation="bulk_get",
    takes_shipments=True,
    shipment_rows=SHIPMENT_ROWS,
    lists_listings=True,
    listing_options=LISTING_OPTIONS,
    max_quantity=99_999,
    listing_case_sensitive=True,
)


class RakutenChannel(Channel):
    """One Rakuten shop through RMS. A listing is `manageNumber/variantId`."""

    slug: ClassVar[str] = "rakuten"
    title: ClassVar[str] = "Rakuten Ichiba (楽天市場)"
    settings_type: ClassVar[type[ChannelSettings]] = RakutenSettings

    def __init__(self, shop: ShopSettings, settings: ChannelSettings, context: ShopContext) -> None:
        assert isinstance(settings, RakutenSettings)
        self._shop = shop
        self._settings = settings
        self._clock = context.clock
        self._api = RakutenApi(shop.base_url or ADDRESS, settings, context)
        self._proven: set[str] = set()
        self._catalogue = Catalogue(self._api, self.read_stock)
        self._shipping = ShippingDesk(self._api, settings)
        self._feed = OrderFeed(self._api, settings, context)
        self._mail: OrderMail | None = None
        if settings.mail is not None:
            mailbox = context.mail(address_of(settings.mail))
            self._mail = OrderMail(mailbox, settings.mail, context.clock, self._feed.look_at)

    @property
    def capabilities(self) -> Capabilities:
        found = replace(CAPABILITIES, listens=self._mail is not None)
        if self._settings.notice_auth_key is None:
            return found
        return replace(found, publishes_webhooks=True, webhook_reply=REPLY)

    async def aclose(self) -> None:
        if self._mail is not None:
            await self._mail.aclose()
        await self._api.aclose()

    async def check(self) -> CheckReport:
        """Try each function this shop uses, since RMS switches them on one by one, then ask for the key's end."""
        proven = False
        if self._shop.orders is Orders.ON:
            now = self._clock.now()
            await self._api.search_orders(now - timedelta(minutes=1), now, (), page=1, rows=1)
            proven = True
        if self._shop.writes is not Writes.OFF:
            await self._api.bulk_get([NOBODY])
            proven = True
        expires, warnings = await self._key_end(proven)
        trouble = "" if self._mail is None else await self._mail.trouble()
        return CheckReport(self._settings.shop_url, expires, (*warnings, trouble) if trouble else warnings)

    async def _key_end(self, proven: bool) -> tuple[datetime | None, tuple[str, ...]]:
        """When the licence key dies: by Rakuten, else by the settings, else a warning that nobody knows.

        With a key proven by other calls, a refusal here only means that this one function is off in RMS.
        """
        try:
            return await self._api.license_expiry(), ()
        except ChannelError as error:
            why = f"the licence API does not tell when the key dies ({error})"
            if isinstance(error, SignInRequired) and not proven:
                raise
            if self._settings.license_expires is not None:
                return end_of_day(self._settings.license_expires), (f"{why}; license_expires is used",)
            if not isinstance(error, ReadRefused | SignInRequired):
                raise
        return None, (f"{why}; set license_expires, or the key will die unannounced",)

    async def fetch_orders(self, cursor: Cursor | None) -> OrderPage:
        return await self._feed.page(cursor)

    async def write_stock(self, rows: Sequence[StockWrite], route: WriteRoute, key: str) -> WriteReport:
        """Write rows of any mix of forms. RMS has no idempotency key, so `key` is not sent.

        204 does not prove that a listing exists: Rakuten keeps a stock record for any pair for 24 h.
        """
        sending, rejected = stock_rows(rows)
        if not sending:
            return WriteReport(tuple(rejected))
        sent = list(sending)
        if route.name == SINGLE.name:
            if len(sent) > 1:
                raise CallRefused("upsert takes one row")
            complaints = await self._api.upsert(sending[sent[0]])
        else:
            complaints = await self._api.bulk_upsert([sending[index] for index in sent])
        if not complaints:
            return accepted_rows(sent, rejected)
        report = refused_rows(complaints, sent)
        if report is None:
            raise CallRefused(f"{route.operation}: {'; '.join(str(complaint) for complaint in complaints[:3])}")
        return replace(report, rows=(*rejected, *report.rows))

    async def send_shipments(self, shipments: Sequence[Shipment]) -> WriteReport:
        """Report parcels, one call each after one that reads their orders."""
        return await self._shipping.send(shipments)

    async def register_webhooks(self, address: str) -> None:
        """Nothing to do: Rakuten sets the address of the notices up itself, on the shop's and the vendor's word."""

    async def receive(self, webhook: Webhook) -> Hint:
        """Take a push notice; whatever it says, the orders are read, those it says changed first."""
        key = self._settings.notice_auth_key
        notice = notice_of(webhook.body, self._settings.shop_url, "" if key is None else key.get_secret_value())
        self._feed.look_at(notice.changed)
        return notice.hint

    async def listen(self) -> HintPage:
        """Look for new order mail."""
        if self._mail is None:
            return await super().listen()
        return await self._mail.listen()

    async def read_stock(self, listings: Sequence[str]) -> Mapping[str, int | None]:
        """Read stock records, 1000 a call.

        A write to an unknown pair leaves an orphan record behind, which reads like any other. So a record made
        in the last two days is a listing only if its item has it; at most `PROOFS` items are asked a call.
        """
        asked: dict[str, Pair] = {}
        for listing in listings:
            try:
                asked[listing] = pair_of(listing)
            except ValueError:
                continue  # Rakuten cannot hold such a key: unknown, hence left out
        if not asked:
            return {}
        records = await self._api.bulk_get(list(asked.values()))
        orphans = await self._orphans_in(records)
        return {
            listing: records[pair.listing].quantity
            for listing, pair in asked.items()
            if pair.listing in records and pair.listing not in orphans
        }

    async def _orphans_in(self, records: Mapping[str, StockRecord]) -> set[str]:
        """The young records that no item has. What is proven once is not asked again."""
        young_since = self._clock.now() - YOUNG
        by_item: dict[str, set[str]] = {}
        for listing, record in records.items():
            if listing not in self._proven and record.created is not None and record.created > young_since:
                by_item.setdefault(listing.partition("/")[0], set()).add(listing)
        orphans: set[str] = set()
        for manage_number in list(by_item)[:PROOFS]:
            held = await self._api.item_listings(manage_number)
            if held is not None:
                self._proven |= by_item[manage_number] & held.keys()
                orphans |= by_item[manage_number] - held.keys()
        return orphans

    async def set_listing_options(self, listing: str, options: Mapping[str, str]) -> None:
        """Set lead times (納期管理番号) and ship-from ids by version 2.1, which replaces all that it is not given."""
        pair = pair_of(listing)
        known = await self._api.lead_times(pair)
        if known is None:
            raise ValueError(f"{listing} has no stock record yet: write its stock first")
        complaints = await self._api.set_lead_times(pair, with_options(known, options))
        if complaints:
            raise ValueError("; ".join(str(complaint) for complaint in complaints[:3]))

    def list_listings(self) -> AsyncIterator[ListingInfo]:
        """Every SKU with its number; stock records that no item has come with a problem and are not ours to write."""
        return self._catalogue.listings()
