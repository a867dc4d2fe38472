"""A well-behaved reference channel without a protocol: straight over a `Market`, for tests, benches and fuzzers.

`MemoryShop` is the mall (its emulator), found by its market's name in `MARKETS`; `MemoryChannel` is the plugin. What
the shop can do is chosen by `MemorySettings`. Operations are named `orders`, `write`, `read` and `ship`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, ClassVar, TypeVar

from syncd.clock import Clock
from syncd.model import LineState, OrderState, from_us, to_us
from syncd.sdk.channel import (
    Accepted,
    Budget,
    Capabilities,
    Channel,
    CheckReport,
    Cursor,
    Hint,
    ListingInfo,
    OrderFilter,
    OrderPage,
    Pending,
    Reason,
    Rejected,
    Shipment,
    ShopContext,
    StockWrite,
    Webhook,
    WriteReport,
    WriteRoute,
    hookimpl,
)
from syncd.sdk.errors import (
    BrokenAnswer,
    CallRefused,
    ChannelError,
    Closed,
    InDoubt,
    SignInRequired,
    Throttled,
    Unavailable,
)
from syncd.sdk.settings import ChannelSettings, ShopSettings
from syncd.testing.emulator import Fault, FaultKind, RateJudge
from syncd.testing.memory_settings import MemorySettings as MemorySettings
from syncd.testing.memory_sides import MemorySides
from syncd.testing.world import Market, Refusal, TruthLine, TruthOrder, World

T = TypeVar("T")

OPERATIONS = frozenset({"orders", "write", "read", "ship"})
MARKETS: dict[str, MemoryShop] = {}
"""The memory shops of this process by market name; a new one of the same name replaces the old."""


@dataclass(slots=True)
class Upload:
    """A row taken in, applied when due."""

    due: datetime
    row: StockWrite
    result: Accepted | Rejected | None = None


class MemoryShop(MemorySides):
    """One account on a mall in memory. Options are those of `MemorySettings`; they can be changed between calls.

    `moods` lets a test switch a hostile channel's behaviour while it runs (see hostile.py). `told` holds more of what
    the shop tells of a listing (fields of `ListingInfo` by key), `set_options` what was set on listings.
    """

    def __init__(
        self,
        world: World,
        market: Market,
        clock: Clock,
        *,
        round_trip_seconds: float = 0.0,
        options: Mapping[str, Any] | None = None,
        **quirks: str,
    ) -> None:
        settings: dict[str, Any] = dict(quirks)
        super().__init__(world, market, clock, round_trip_seconds=round_trip_seconds, **settings)
        self.options = MemorySettings(**{"market": market.name, **(options or {})})
        self.moods: dict[str, str] = {}
        self.told: dict[str, dict[str, Any]] = {}
        self.uploads: dict[str, Upload] = {}
        self.remembered: dict[str, tuple[datetime, WriteReport]] = {}
        if self.options.per_second:
            self.rates["calls"] = RateJudge(self.options.per_second, self.options.burst)
        MARKETS[market.name] = self

    def settings(self) -> dict[str, object]:
        return dict(self.options)

    def settle(self) -> None:
        for upload in self.uploads.values():
            if upload.result is None and upload.due <= self.world.now():
                upload.result = self.apply(0, upload.row)

    async def serve(self, operation: str, answer: Callable[[], T], *, effect: bool = False) -> T:
        """One call as the network and the mall treat it: round trip, faults, key, rate, then the answer."""
        self.called(operation)
        if self.round_trip_seconds:
            await self.clock.sleep(self.round_trip_seconds / 2)
        fault = self.faults.take(operation)
        if fault is not None:
            await self._before(operation, fault, effect)
        self._admit(operation)
        self.settle()
        given = answer()
        if fault is not None:
            self._after(operation, fault, effect)
        if self.round_trip_seconds:
            await self.clock.sleep(self.round_trip_seconds / 2)
        return given

    def _admit(self, operation: str) -> None:
        if self.maintenance:
            raise Closed(f"{operation}: maintenance")
        if not self.key_works:
            raise SignInRequired(f"{operation}: the key is dead")
        now = self.clock.monotonic()
        for rate in self.rates.values():
            if not rate.admit(now):
                raise Throttled(f"{operation}: too fast", after_seconds=rate.wait_seconds(now))

    async def _before(self, operation: str, fault: Fault, effect: bool) -> None:
        if fault.kind is FaultKind.LATENCY:
            await self.clock.sleep(fault.seconds)
        elif fault.kind is FaultKind.STATUS:
            raise _refused(operation, fault, effect)
        elif fault.kind is FaultKind.LOST_BEFORE:
            raise _lost(operation, effect)
        elif fault.kind is FaultKind.GARBAGE:
            raise BrokenAnswer(f"{operation}: a page of HTML")

    @staticmethod
    def _after(operation: str, fault: Fault, effect: bool) -> None:
        if fault.kind in (FaultKind.LOST_AFTER, FaultKind.HUGE):
            raise _lost(operation, effect)
        if fault.kind in (FaultKind.GARBAGE_AFTER, FaultKind.CUT_OFF, FaultKind.WRONG_ENCODING):
            raise BrokenAnswer(f"{operation}: {fault.kind.value}")

    # -- the mall's answers ----------------------------------------------------------------------------------

    def apply(self, index: int, row: StockWrite) -> Accepted | Rejected:
        """Apply one row, or refuse it."""
        listing = self.market.listings.get(row.listing)
        if listing is not None and not listing.counted:
            return Rejected(index, Reason.NOT_WRITABLE, "no stock is kept for it")
        low = 0 if not row.form.is_relative else -self.options.max_quantity
        if not low <= row.quantity <= self.options.max_quantity:
            return Rejected(index, Reason.INVALID, f"{row.quantity} is out of range")
        try:
            return Accepted(index, self.market.write(row.listing, row.form, row.quantity, row.expected))
        except Refusal as refusal:
            return Rejected(index, refusal.reason, str(refusal))

    def take(self, rows: Sequence[StockWrite], key: str) -> WriteReport:
        """A write call. Within its key's life the same key is answered as before and applied once."""
        if len(rows) > self.options.max_rows:
            raise CallRefused(f"{len(rows)} rows, at most {self.options.max_rows}")
        now = self.world.now()
        known = self.remembered.get(key)
        if known is not None and (now - known[0]).total_seconds() < self.options.key_life_seconds:
            return known[1]
        if self.options.later:
            report = WriteReport(tuple(self._upload(i, row, f"{key}/{i}") for i, row in enumerate(rows)))
        else:
            report = WriteReport(tuple(self.apply(i, row) for i, row in enumerate(rows)))
        if self.options.key_life_seconds:
            self.remembered[key] = (now, report)
        return report

    def take_parcels(self, shipments: Sequence[Shipment]) -> WriteReport:
        """A call that reports shipments."""
        if len(shipments) > self.options.shipment_rows:
            raise CallRefused(f"{len(shipments)} shipments, at most {self.options.shipment_rows}")
        return WriteReport(tuple(self._parcel(i, one) for i, one in enumerate(shipments)))

    def _parcel(self, index: int, shipment: Shipment) -> Accepted | Rejected:
        order = self.market.orders.get(shipment.order)
        if order is None:
            return Rejected(index, Reason.OTHER, "no such order")
        if shipment.tracking in order.parcels:
            return Accepted(index)
        held = {line.line: line.held for line in order.lines}
        if any(units > held.get(line, 0) for line, units in shipment.lines.items()) or not any(held.values()):
            return Rejected(index, Reason.INVALID, "more than is left to ship")
        self.market.ship(shipment.order, shipment.lines or None, tracking=shipment.tracking)
        return Accepted(index)

    def _upload(self, index: int, row: StockWrite, receipt: str) -> Pending:
        self.uploads[receipt] = Upload(self.world.now() + timedelta(seconds=self.options.later_seconds), row)
        return Pending(index, receipt)

    def show(self, keys: Sequence[str]) -> dict[str, int | None]:
        """A stock read."""
        if len(keys) > self.options.read_rows:
            raise CallRefused(f"{len(keys)} listings, at most {self.options.read_rows}")
        shown = {key: self.market.shows(key) for key in keys}
        return {key: listing.shown if listing.counted else None for key, listing in shown.items() if listing}


class MemoryChannel(Channel):
    """The reference plugin: does everything right, in the plainest way."""

    slug: ClassVar[str] = "memory"
    title: ClassVar[str] = "Shop in memory"
    settings_type: ClassVar[type[ChannelSettings]] = MemorySettings

    def __init__(self, shop: ShopSettings, settings: ChannelSettings, context: ShopContext) -> None:
        if not isinstance(settings, MemorySettings):
            raise TypeError(f"{type(settings).__name__} are not memory settings")
        self.settings = settings
        self.context = context
        self.shop_name = settings.market or shop.name
        self.http = context.http("memory://shop")

    @property
    def shop(self) -> MemoryShop:
        """The mall; looked up at each call, so that a test may replace it."""
        try:
            return MARKETS[self.shop_name]
        except KeyError:
            raise Unavailable(f"there is no memory market {self.shop_name}") from None

    @property
    def capabilities(self) -> Capabilities:
        s = self.settings
        budget = Budget("calls", OPERATIONS, s.per_second, s.burst)
        route = WriteRoute(
            "stock",
            "write",
            frozenset(s.forms),
            s.max_rows,
            dead_after_seconds=s.dead_after_seconds,
            key_life_seconds=s.key_life_seconds,
            later=s.later,
            results_within_seconds=s.results_within_seconds or s.later_seconds + s.dead_after_seconds,
        )
        return Capabilities(
            routes=(route,),
            budgets=(budget,) if s.per_second else (),
            order_filter=s.order_filter,
            visibility_seconds=s.visibility_seconds,
            poll_seconds=s.poll_seconds,
            restocks_on_cancel=s.restocks,
            reads_stock=s.reads_stock,
            read_rows=s.read_rows,
            read_operation="read",
            publishes_webhooks=True,
            shows_shipments=s.shows_shipments,
            takes_shipments=s.takes_shipments,
            shipment_rows=s.shipment_rows,
            lists_listings=True,
            listing_options=frozenset({"lead_time_days"}),
            max_quantity=s.max_quantity,
        )

    async def call(self, operation: str, answer: Callable[[], T], *, effect: bool = False) -> T:
        """One call: its budget, its time limit, and a lost answer classed."""
        await self.http.limiter.acquire(operation, 1.0)
        try:
            with self.context.clock.limit(self.http.timeout_seconds):
                return await self.shop.serve(operation, answer, effect=effect)
        except TimeoutError:
            raise (InDoubt if effect else Unavailable)(f"{operation}: no answer in time") from None
        except Throttled as error:
            self.http.limiter.throttled(operation, error.after_seconds)
            raise

    async def check(self) -> CheckReport:
        return await self.call("read", lambda: CheckReport(account=f"memory:{self.shop.market.name}"))

    async def fetch_orders(self, cursor: Cursor | None) -> OrderPage:
        where = dict(cursor or {})
        began_us = where.get("began_us") or self.context.clock.now_us()
        since_us = where.get("since_us", 0)
        after = tuple(where.get("after") or (0, ""))
        page, more = await self.call("orders", lambda: self._orders(since_us, after, began_us))
        if more:
            last = page[-1]
            following = {"since_us": since_us, "began_us": began_us, "after": [self._time_us(last), last.number]}
            return OrderPage(states=tuple(map(self._state, page)), cursor=following, more=True)
        again: list[TruthOrder] = []
        if self.settings.order_filter is OrderFilter.CREATED:
            numbers = set(await self.context.open_orders()) - {order.number for order in page}
            again = await self.call("orders", lambda: self._by_number(numbers))
        overlap_us = int(self.settings.visibility_seconds * 1e6) + 1_000_000
        return OrderPage(
            states=tuple(map(self._state, [*page, *again])), cursor={"since_us": max(0, began_us - overlap_us)}
        )

    def _time_us(self, order: TruthOrder) -> int:
        created = self.settings.order_filter is OrderFilter.CREATED
        return to_us(order.placed_at if created else order.updated_at)

    def _orders(self, since_us: int, after: tuple[Any, ...], began_us: int) -> tuple[list[TruthOrder], bool]:
        """The mall's answer: a page in the order of time and number, and whether there is more."""
        market = self.shop.market
        keyed = (((self._time_us(order), order.number), order) for order in market.visible_orders())
        found = sorted((at, order) for at, order in keyed if at[0] >= since_us and at > after)
        page = [order for _, order in found[: self.settings.page_size]]
        more = len(found) > len(page)
        market.delivered(order.number for order in page)
        if not more:
            market.read_orders_began(from_us(began_us))
        return page, more

    def _by_number(self, numbers: set[str]) -> list[TruthOrder]:
        market = self.shop.market
        return [order for order in market.visible_orders() if order.number in numbers]

    def _state(self, order: TruthOrder) -> OrderState:
        return OrderState(
            number=order.number,
            lines=tuple(self._line(line) for line in order.lines),
            as_of=order.updated_at,
            placed_at=order.placed_at,
            shipment_opened=bool(order.extra.get("shipment_opened")),
        )

    def _line(self, line: TruthLine) -> LineState:
        return LineState(
            line=line.line,
            listing=line.listing,
            ordered=line.ordered,
            cancelled=line.cancelled,
            shipped=line.shipped if self.settings.shows_shipments else 0,
            returned=line.returned,
            restocked=line.restocked if self.settings.tells_restocked else None,
        )

    async def write_stock(self, rows: Sequence[StockWrite], route: WriteRoute, key: str) -> WriteReport:
        return await self.call(route.operation, lambda: self.shop.take(rows, key), effect=True)

    async def collect(self, receipts: Sequence[str]) -> Mapping[str, Accepted | Rejected]:
        uploads = self.shop.uploads

        def results() -> dict[str, Accepted | Rejected]:
            known = ((receipt, uploads[receipt].result) for receipt in receipts if receipt in uploads)
            return {receipt: result for receipt, result in known if result is not None}

        return await self.call("read", results)

    async def read_stock(self, listings: Sequence[str]) -> Mapping[str, int | None]:
        return await self.call("read", lambda: self.shop.show(listings))

    async def list_listings(self) -> AsyncIterator[ListingInfo]:
        listings = await self.call("read", lambda: [one for one in self.shop.market.listings.values() if one.exists])
        for one in listings:
            info = ListingInfo(one.key, one.sku, quantity=one.shown if one.counted else None, counted=one.counted)
            yield replace(info, **self.shop.told.get(one.key, {}))

    async def set_listing_options(self, listing: str, options: Mapping[str, str]) -> None:
        for name, value in options.items():
            if name not in self.capabilities.listing_options:
                raise ValueError(f"there is no option {name}")
            if value and not value.isdigit():
                raise ValueError(f"{name}: {value!r} should be a number of days")

        def keep() -> None:
            if listing not in self.shop.market.listings:
                raise ValueError(f"there is no listing {listing}")
            kept = {**self.shop.set_options.get(listing, {}), **options}
            self.shop.set_options[listing] = {name: value for name, value in kept.items() if value}

        await self.call("write", keep, effect=True)

    async def send_shipments(self, shipments: Sequence[Shipment]) -> WriteReport:
        return await self.call("ship", lambda: self.shop.take_parcels(shipments), effect=True)

    async def receive(self, webhook: Webhook) -> Hint:
        """A push is signed with the key itself, in the header `x-key`; `x-id` is its id. Its body names listings."""
        if webhook.headers.get("x-key") != self.settings.key.get_secret_value():
            raise ValueError("the signature does not hold")
        return Hint(orders=True, listings=tuple(webhook.body.decode().split()), id=webhook.headers.get("x-id", ""))

    async def register_webhooks(self, address: str) -> None:
        def register() -> None:
            self.shop.pushes_to = address

        await self.call("read", register)

    async def aclose(self) -> None:
        await self.http.aclose()


def _lost(operation: str, effect: bool) -> ChannelError:
    return (InDoubt if effect else Unavailable)(f"{operation}: connection lost")


def _refused(operation: str, fault: Fault, effect: bool) -> ChannelError:
    if fault.status == 429:
        return Throttled(f"{operation}: 429", after_seconds=fault.retry_after)
    if fault.status == 401:
        return SignInRequired(f"{operation}: 401")
    return (InDoubt if effect else Unavailable)(f"{operation}: {fault.status}")


@hookimpl
def syncd_channels() -> list[type[Channel]]:
    return [MemoryChannel]
