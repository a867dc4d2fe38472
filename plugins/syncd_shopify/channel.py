"""A shop on Shopify: stock of one location by compare-and-set or plain set, orders by update time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from syncd.sdk.channel import (
    Accepted,
    Budget,
    Capabilities,
    Channel,
    CheckReport,
    Cursor,
    Form,
    Hint,
    ListingInfo,
    OrderFilter,
    OrderPage,
    Quantity,
    Reason,
    Rejected,
    Restock,
    Shipment,
    ShopContext,
    StockWrite,
    Unreported,
    Webhook,
    WriteReport,
    WriteRoute,
)
from syncd.sdk.errors import BrokenAnswer, CallRefused, InDoubt, SignInRequired
from syncd.sdk.http import shown
from syncd.sdk.settings import ChannelSettings, ShopSettings
from syncd_shopify.admin import OPERATION, AdminApi, TooCostly
from syncd_shopify.checking import (
    of_locations,
    of_old_orders,
    of_scopes,
    of_version,
    read_list,
    read_nodes,
    read_scopes,
)
from syncd_shopify.documents import ACTIVATE, LEVELS, SET_AVAILABLE, SHOP, VARIANTS
from syncd_shopify.feed import OrderFeed
from syncd_shopify.hooks import Pushes
from syncd_shopify.settings import Notify, ShopifySettings
from syncd_shopify.shipping import ORDER, Shipping
from syncd_shopify.wire import (
    MAX_QUANTITY,
    NOT_STOCKED,
    REASONS,
    SetAnswer,
    idempotency_key,
    is_item,
    item_gid,
    read_levels,
    read_page,
    read_set_answer,
    read_user_errors,
    read_variant,
    refused_here,
    set_variables,
    tail,
)

ROWS = 250
VISIBILITY_SECONDS = 60.0
VARIANTS_PAGE = 100
OLDEST_LOOKED_AT = 50  # open orders, oldest first: those near the end of the window come first
MOST_ACTIVATIONS = 20  # a write; the others stay queued and take their turn

SET = WriteRoute(
    name="set",
    operation=OPERATION,
    forms=frozenset({Form.COMPARE_AND_SET, Form.ABSOLUTE}),
    max_rows=ROWS,
    # How long a key is kept is not confirmed, so a lost answer is read back and never repeated under its key.
    key_life_seconds=0.0,
    cost_per_call=11.0,  # a mutation 10, its payload 1; what an answer says is learned
)

CAPABILITIES = Capabilities(
    quantity=Quantity.AVAILABLE,
    routes=(SET,),
    budgets=(Budget("points", frozenset({OPERATION}), per_second=100.0, burst=2000.0),),
    order_filter=OrderFilter.MODIFIED,
    visibility_seconds=VISIBILITY_SECONDS,
    poll_seconds=15.0,
    restocks_on_cancel=Restock.UNKNOWN,
    reads_stock=True,
    read_rows=ROWS,
    read_operation=OPERATION,
    takes_shipments=True,
    shipment_rows=1,
    lists_listings=True,
    max_quantity=MAX_QUANTITY,
)


class ShopifyChannel(Channel):
    """One `{shop}.myshopify.com`. A listing key is the number of an inventory item."""

    slug = "shopify"
    title = "Shopify"
    settings_type = ShopifySettings

    def __init__(self, shop: ShopSettings, settings: ChannelSettings, context: ShopContext) -> None:
        assert isinstance(settings, ShopifySettings)  # the core builds them of our settings_type
        self._settings = settings
        self._location = settings.location_gid
        http = context.http(shop.base_url or f"https://{settings.shop}")
        self._api = AdminApi(settings, http, context.clock)
        visibility = timedelta(seconds=VISIBILITY_SECONDS)
        self._feed = OrderFeed(self._api, context.clock, self._location, visibility)
        self._pushes = Pushes(self._api, settings)
        self._shipping = Shipping(self._api, notify=settings.notify_buyers is Notify.ON)
        self._clock, self._open_orders = context.clock, context.open_orders
        self._levels_at_once = ROWS
        self._variants_at_once = VARIANTS_PAGE

    @property
    def capabilities(self) -> Capabilities:
        return replace(CAPABILITIES, publishes_webhooks=self._pushes.secret is not None)

    async def check(self) -> CheckReport:
        """Prove key and location. Warns of what a person should mend: another shop, scopes, places, versions."""
        asked = list(await self._open_orders())[:OLDEST_LOOKED_AT]
        data = await self._api.run(SHOP, {"loc": self._location, "orders": [ORDER + number for number in asked]})
        shop, location = data.get("shop"), data.get("location")
        if not isinstance(shop, Mapping) or not isinstance(shop.get("id"), str):
            raise BrokenAnswer("Shop: no shop in the answer")
        if not isinstance(location, Mapping):
            raise SignInRequired(f"the shop has no location {tail(self._location)}; correct `location` in its file")
        now = self._clock.now()
        granted = read_scopes(data)
        warnings = of_locations(location, read_nodes(data.get("locations"), "locations"))
        warnings += of_scopes(granted)
        warnings += of_old_orders(asked, read_list(data.get("nodes"), "nodes"), granted, now)
        if shop.get("myshopifyDomain") != self._settings.shop:
            warnings.append(f"the key opens {shop.get('myshopifyDomain')}, not {self._settings.shop}")
        warnings += of_version(self._settings.api_version, self._api.served_version, now)
        return CheckReport(account=tail(shop["id"]), warnings=tuple(warnings))

    async def fetch_orders(self, cursor: Cursor | None) -> OrderPage:
        return await self._feed.fetch(cursor)

    # -- stock out ---------------------------------------------------------------------------------------------

    async def write_stock(self, rows: Sequence[StockWrite], route: WriteRoute, key: str) -> WriteReport:
        """One inventorySetQuantities. Rows that no userError names are unsure once another row was refused:
        that one bad line fails the whole call is not confirmed, and a silent raise must not be repeated."""
        refused = refused_here(rows)
        skipped = {one.index for one in refused}
        sent = [index for index in range(len(rows)) if index not in skipped]
        if not sent:
            return WriteReport(refused)
        data = await self._api.run(SET_AVAILABLE, set_variables([rows[index] for index in sent], self._location, key))
        answer = read_set_answer(data, len(sent))
        if not answer.errors:
            taken = (Accepted(index, answer.changed.get(rows[index].listing)) for index in sent)
            return WriteReport((*refused, *taken))
        self._raise_for_call(answer)
        named = await self._named(answer, rows, sent, key)
        told = skipped | {one.index for one in named}
        applied = tuple(
            Accepted(index, answer.changed[rows[index].listing])
            for index in sent
            if index not in told and rows[index].listing in answer.changed
        )
        tried_before = any(error.code == "IDEMPOTENCY_PREVIOUS_ATTEMPT_FAILED" for error in answer.errors)
        unreported = Unreported.UNSURE if answer.applied or tried_before else Unreported.UNTOUCHED
        return WriteReport((*refused, *named, *applied), unreported)

    def _raise_for_call(self, answer: SetAnswer) -> None:
        """Errors that speak of the call and not of a row."""
        codes = {error.code for error in answer.errors}
        text = "SetAvailable: " + shown("; ".join(f"{one.code} {one.message}" for one in answer.errors))
        if "IDEMPOTENCY_CONCURRENT_REQUEST" in codes:
            raise InDoubt(text)  # the first attempt under this key is still running
        if "INVALID_LOCATION" in codes:
            raise SignInRequired(f"{text}; correct `location` {tail(self._location)} in the shop's file")
        if "IDEMPOTENCY_PREVIOUS_ATTEMPT_FAILED" in codes:
            return  # no row is named: they stay queued and go out under a new key
        if all(error.index is None for error in answer.errors) and not answer.applied:
            raise CallRefused(text)  # where some rows were applied, the others are in doubt instead

    async def _named(
        self, answer: SetAnswer, rows: Sequence[StockWrite], sent: Sequence[int], key: str
    ) -> tuple[Rejected, ...]:
        """Rejections of the rows that userErrors name. Rows not stocked here are activated and stay queued."""
        found: dict[int, Rejected] = {}
        activations = 0
        for error in answer.errors:
            if error.index is None:
                continue
            index = sent[error.index]
            if error.code != NOT_STOCKED:
                reason = REASONS.get(error.code, Reason.OTHER)
                found.setdefault(index, Rejected(index, reason, shown(f"{error.code} {error.message}")))
            elif activations < MOST_ACTIVATIONS:
                activations += 1
                if refusal := await self._activate(rows[index].listing, key):
                    found.setdefault(index, Rejected(index, Reason.NOT_WRITABLE, refusal))
        return tuple(found.values())

    async def _activate(self, listing: str, key: str) -> str:
        """Stock an item at the location once, as API versions up to 2026-07 demand. Returns why it was refused."""
        once = idempotency_key(key, "activate", listing)
        data = await self._api.run(ACTIVATE, {"item": item_gid(listing), "loc": self._location, "key": once})
        payload = data.get("inventoryActivate")
        if not isinstance(payload, Mapping):
            raise BrokenAnswer("Activate: no inventoryActivate in the answer")
        return shown("; ".join(error.message or "refused" for error in read_user_errors(payload, "Activate")))

    # -- stock in ----------------------------------------------------------------------------------------------

    async def read_stock(self, listings: Sequence[str]) -> Mapping[str, int | None]:
        found: dict[str, int | None] = {}
        asked = [listing for listing in listings if is_item(listing)]
        while asked:
            part = asked[: self._levels_at_once]
            gids = {item_gid(listing): listing for listing in part}
            try:
                data = await self._api.run(LEVELS, {"ids": list(gids), "loc": self._location})
            except TooCostly as error:
                if self._levels_at_once == 1:
                    raise BrokenAnswer(f"the stock of one item is too costly: {error}") from None
                self._levels_at_once //= 2
                continue
            found.update(read_levels(data, gids))
            asked = asked[len(part) :]
        return found

    async def list_listings(self) -> AsyncIterator[ListingInfo]:
        """Every variant once. A repeated SKU is yielded as it stands; deciding about it is the core's."""
        after: str | None = None
        while True:
            variables = {"first": self._variants_at_once, "after": after, "loc": self._location}
            try:
                data = await self._api.run(VARIANTS, variables)
            except TooCostly as error:
                if self._variants_at_once == 1:
                    raise BrokenAnswer(f"a page of one variant is too costly: {error}") from None
                self._variants_at_once //= 2
                continue
            nodes, after = read_page(data.get("productVariants"), "Variants")
            for node in nodes:
                yield read_variant(node)
            if after is None:
                return

    # -- shipments and pushes ----------------------------------------------------------------------------------

    async def send_shipments(self, shipments: Sequence[Shipment]) -> WriteReport:
        """One parcel a call, so that what failed is always one parcel."""
        return WriteReport(tuple([await self._shipping.send(i, one) for i, one in enumerate(shipments)]))

    async def register_webhooks(self, address: str) -> None:
        await self._pushes.register(address)

    async def receive(self, webhook: Webhook) -> Hint:
        return self._pushes.receive(webhook)

    async def aclose(self) -> None:
        await self._api.aclose()
