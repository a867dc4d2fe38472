"""Every call of a plugin goes through here: time limit, metrics, log context, answer validated, error classed.

A plugin may raise, hang, return nonsense or report an index twice. What comes out of here is either a valid
value or one of the classed errors of `sdk/errors.py`; anything else is `PluginFault`, which restarts that shop.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import structlog

from syncd.clock import Clock
from syncd.model import OrderState
from syncd.sdk.channel import (
    Accepted,
    Channel,
    CheckReport,
    Cursor,
    Hint,
    HintPage,
    ListingInfo,
    OrderPage,
    Pending,
    Rejected,
    Shipment,
    SignInPage,
    StockWrite,
    Unreported,
    Webhook,
    WriteReport,
    WriteRoute,
)
from syncd.sdk.errors import BrokenAnswer, ChannelError, InDoubt, Unavailable
from syncd.telemetry import Metrics, call_outcome, redact

T = TypeVar("T")
CALL_SECONDS = 600.0
"""Longest a plugin call may take, waiting for its rate budget included."""
CLOSE_SECONDS = 10.0
LISTINGS_A_CALL = 100
log = structlog.get_logger()


class PluginFault(Exception):
    """A bug in a plugin: it raised what it must not, hung, or returned what its interface forbids."""


class ForgedWebhook(Exception):
    """A push whose signature does not hold."""


@dataclass(slots=True)
class Running:
    """One shop's channel, wrapped."""

    shop: str
    channel: Channel
    clock: Clock
    metrics: Metrics
    call_seconds: float = CALL_SECONDS

    async def _call(self, name: str, make: Callable[[], Awaitable[T]], *, effect: bool = False) -> T:
        began = self.clock.monotonic()
        outcome = ""  # stays so when the call is cancelled: that is nobody's fault
        try:
            with self.clock.limit(self.call_seconds):
                answer = await make()
            outcome = "ok"
            return answer
        except ChannelError as error:
            outcome = call_outcome(error)
            raise
        except TimeoutError:
            outcome = "hung"
            text = f"{name}: no answer within {self.call_seconds:.0f} s"
            raise InDoubt(text) if effect else Unavailable(text) from None
        except Exception as error:  # the wrapper is where a plugin's bug becomes a fault of that shop alone
            outcome = "fault"
            raise PluginFault(redact(f"{self.shop}: {name} raised {type(error).__name__}: {error}")) from error
        finally:
            if outcome:
                self.metrics.plugin_calls.labels(self.shop, name, outcome).inc()
            if logging.getLogger().isEnabledFor(logging.DEBUG):  # a line that nobody asked for is not built
                took = round(self.clock.monotonic() - began, 3)
                log.debug("plugin_called", call=name, outcome=outcome, seconds=took)

    async def check(self) -> CheckReport:
        report = await self._call("check", self.channel.check)
        if not isinstance(report, CheckReport) or not isinstance(report.account, str) or not report.account:
            raise PluginFault(f"{self.shop}: check returned {_kind(report)}, not a CheckReport with an account")
        return report

    async def fetch_orders(self, cursor: Cursor | None) -> OrderPage:
        page = await self._call("fetch_orders", lambda: self.channel.fetch_orders(cursor))
        self._check_page(page)
        return page

    def _check_page(self, page: object) -> None:
        if not isinstance(page, OrderPage):
            raise PluginFault(f"{self.shop}: fetch_orders returned {_kind(page)}, not an OrderPage")
        for state in page.states:
            if not isinstance(state, OrderState) or not isinstance(state.number, str) or not state.number:
                raise PluginFault(f"{self.shop}: fetch_orders returned an order that is {_kind(state)}")
            for moment in (state.as_of, state.placed_at, state.shipped_at):
                if moment is not None and moment.tzinfo is None:
                    raise PluginFault(f"{self.shop}: order {state.number} has a time without a zone")
            keys = [line.line for line in state.lines]
            if len(set(keys)) != len(keys):
                raise PluginFault(f"{self.shop}: order {state.number} names a line twice")
        try:
            json.dumps(page.cursor)
        except (TypeError, ValueError):
            raise PluginFault(f"{self.shop}: fetch_orders returned a cursor that is no JSON") from None

    async def acknowledge(self, page: OrderPage | HintPage) -> None:
        """Tell the shop that a page is committed, or that its hints were taken."""
        if page.acknowledge is not None:
            await self._call("acknowledge", page.acknowledge)

    async def write_stock(self, rows: Sequence[StockWrite], route: WriteRoute, key: str) -> WriteReport:
        """Write rows. A fault of the plugin leaves every row in doubt: it may have been sent."""
        try:
            report = await self._call("write_stock", lambda: self.channel.write_stock(rows, route, key), effect=True)
            return self._check_report("write_stock", report, len(rows))
        except BrokenAnswer as error:
            raise InDoubt(str(error)) from error

    async def send_shipments(self, shipments: Sequence[Shipment]) -> WriteReport:
        """Report shipments. A fault of the plugin leaves every one in doubt: it may have been sent."""
        try:
            report = await self._call("send_shipments", lambda: self.channel.send_shipments(shipments), effect=True)
            return self._check_report("send_shipments", report, len(shipments))
        except BrokenAnswer as error:
            raise InDoubt(str(error)) from error

    def _check_report(self, call: str, report: object, count: int) -> WriteReport:
        if not isinstance(report, WriteReport) or not isinstance(report.unreported, Unreported):
            raise PluginFault(f"{self.shop}: {call} returned {_kind(report)}, not a WriteReport")
        seen: set[int] = set()
        for row in report.rows:
            if not isinstance(row, (Accepted, Rejected, Pending)) or not 0 <= row.index < count:
                raise PluginFault(f"{self.shop}: {call} reported {row!r:.100}, outside the {count} rows given")
            if row.index in seen:
                raise PluginFault(f"{self.shop}: {call} reported index {row.index} twice")
            seen.add(row.index)
        return report

    async def read_stock(self, listings: Sequence[str]) -> Mapping[str, int | None]:
        found = await self._call("read_stock", lambda: self.channel.read_stock(listings))
        if not isinstance(found, Mapping):
            raise PluginFault(f"{self.shop}: read_stock returned {_kind(found)}")
        wanted = set(listings)
        for key, number in found.items():
            if key not in wanted or not (number is None or (isinstance(number, int) and not isinstance(number, bool))):
                raise PluginFault(f"{self.shop}: read_stock returned {key!r:.60} = {number!r:.60}")
        return found

    async def collect(self, receipts: Sequence[str]) -> Mapping[str, Accepted | Rejected]:
        found = await self._call("collect", lambda: self.channel.collect(receipts))
        wanted = set(receipts)
        if not isinstance(found, Mapping) or any(
            key not in wanted or not isinstance(value, (Accepted, Rejected)) for key, value in found.items()
        ):
            raise PluginFault(f"{self.shop}: collect returned {_kind(found)} that does not fit the receipts")
        return found

    async def list_listings(self) -> list[ListingInfo]:
        """Every listing of the shop. The time limit is that of a hundred: a large shop's list takes its while."""
        iterator = self.channel.list_listings()

        async def some() -> list[ListingInfo]:
            found: list[ListingInfo] = []
            async for info in iterator:
                found.append(info)
                if len(found) == LISTINGS_A_CALL:
                    break
            return found

        every: list[ListingInfo] = []
        while True:
            found = await self._call("list_listings", some)
            for info in found:
                if not isinstance(info, ListingInfo) or not isinstance(info.key, str) or not info.key:
                    raise PluginFault(f"{self.shop}: list_listings gave {_kind(info)}, not a ListingInfo with a key")
            every += found
            if len(found) < LISTINGS_A_CALL:
                return every

    async def set_listing_options(self, listing: str, options: Mapping[str, str]) -> None:
        """Set options of a listing. Raises ValueError for a value the channel does not allow; its text names it."""

        async def attempt() -> str | None:
            try:
                await self.channel.set_listing_options(listing, options)
            except ValueError as error:
                return str(error) or "a value is not allowed"
            return None

        wrong = await self._call("set_listing_options", attempt, effect=True)
        if wrong is not None:
            raise ValueError(redact(wrong))

    async def sign_in_page(self) -> SignInPage:
        page = await self._call("sign_in_page", self.channel.sign_in_page)
        if not isinstance(page, SignInPage) or not page.address.startswith(("https://", "http://")):
            raise PluginFault(f"{self.shop}: sign_in_page returned {_kind(page)}, not a page with a web address")
        return page

    async def sign_in(self, brought_back: str) -> str:
        """Hand over what a person brought back; returns why the plugin could not use it, empty when it could."""

        async def attempt() -> str:
            try:
                await self.channel.sign_in(brought_back)
            except ValueError as error:
                return redact(str(error)) or "this is not what the page gives"
            return ""

        return await self._call("sign_in", attempt)

    async def register_webhooks(self, address: str) -> bool:
        """Have the shop push to an address. False where its channel cannot be told so and a person does it."""

        async def attempt() -> bool:
            try:
                await self.channel.register_webhooks(address)
            except NotImplementedError:
                return False
            return True

        return await self._call("register_webhooks", attempt)

    async def receive(self, webhook: Webhook) -> Hint:
        """Raises ForgedWebhook for a signature that does not hold."""

        async def attempt() -> Hint | None:
            try:
                return await self.channel.receive(webhook)
            except ValueError:  # its text may quote what a stranger sent
                return None

        hint = await self._call("receive", attempt)
        if hint is None:
            raise ForgedWebhook(f"{self.shop}: the signature of a push does not hold")
        if not isinstance(hint, Hint) or not isinstance(hint.id, str):
            raise PluginFault(f"{self.shop}: receive returned {_kind(hint)}, not a Hint")
        return hint

    async def listen(self) -> HintPage:
        page = await self._call("listen", self.channel.listen)
        if not isinstance(page, HintPage) or not all(isinstance(hint, Hint) for hint in page.hints):
            raise PluginFault(f"{self.shop}: listen returned {_kind(page)}, not a HintPage")
        return page

    async def aclose(self) -> None:
        try:
            with self.clock.limit(CLOSE_SECONDS):
                await self._call("aclose", self.channel.aclose)
        except (ChannelError, PluginFault, TimeoutError) as error:
            log.warning("plugin_close_failed", shop=self.shop, error=str(error))


def _kind(value: object) -> str:
    return type(value).__name__
