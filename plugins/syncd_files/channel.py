"""The channel `files`: stock out and orders in as CSV over SFTP, for every shop that has no API (or not for this)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from syncd.sdk.channel import (
    Accepted,
    Capabilities,
    Channel,
    CheckReport,
    Cursor,
    Form,
    OrderFilter,
    OrderPage,
    Quantity,
    Rejected,
    Restock,
    ShopContext,
    StockWrite,
    WriteReport,
    WriteRoute,
)
from syncd.sdk.files import FilesAddress
from syncd.sdk.settings import ChannelSettings, ShopSettings
from syncd_files.folders import listed
from syncd_files.incoming import Incoming
from syncd_files.outgoing import Outgoing
from syncd_files.settings import Done, FilesSettings, Status

POLL_SECONDS = 15.0


class FilesChannel(Channel):
    """One shop's folders on one SFTP server. What the files look like is all in the settings."""

    slug: ClassVar[str] = "files"
    title: ClassVar[str] = "CSV over SFTP (CSV連携)"
    settings_type: ClassVar[type[ChannelSettings]] = FilesSettings

    def __init__(self, shop: ShopSettings, settings: ChannelSettings, context: ShopContext) -> None:
        if not isinstance(settings, FilesSettings):
            raise ValueError("the channel files needs its own [files] table")
        self._settings = settings
        self._files = context.files(
            FilesAddress(
                host=settings.host,
                port=settings.port,
                user=settings.user,
                password=settings.password,
                client_key=settings.client_key,
                known_hosts=settings.known_hosts,
                timeout_seconds=shop.timeout_seconds,
            )
        )
        stock, orders = settings.stock, settings.orders
        self._outgoing = None if stock is None else Outgoing(stock, self._files, context.clock)
        self._incoming = None if orders is None else Incoming(orders, self._files, context.clock)

    @property
    def capabilities(self) -> Capabilities:
        stock, orders = self._settings.stock, self._settings.orders
        told = set() if orders is None else set(orders.statuses.values())
        columns = None if orders is None else orders.columns
        return Capabilities(
            quantity=Quantity.AVAILABLE,
            routes=self._routes(),
            order_filter=OrderFilter.FILE,
            visibility_seconds=0.0 if orders is None else orders.visibility_seconds,
            poll_seconds=POLL_SECONDS,
            shows_cancels=columns is not None and (columns.cancelled is not None or Status.CANCELLED in told),
            shows_shipments=columns is not None and (columns.shipped is not None or Status.SHIPPED in told),
            restocks_on_cancel=Restock.UNKNOWN if orders is None else orders.restocks_on_cancel,
            reads_orders=orders is not None,
            max_quantity=99_999 if stock is None else stock.max_quantity,
        )

    def _routes(self) -> tuple[WriteRoute, ...]:
        stock = self._settings.stock
        if stock is None:
            return ()
        route = WriteRoute(
            name="csv",
            operation="rename" if stock.temporary_suffix else "write",
            forms=frozenset({Form.ABSOLUTE}),
            max_rows=stock.max_rows,
            dead_after_seconds=stock.dead_after_seconds,
            later=stock.done is not Done.UPLOADED,
            results_within_seconds=max(86_400.0, 2 * stock.give_up_after_seconds),  # a file may lie there over night
        )
        return (route,)

    async def check(self) -> CheckReport:
        """Sign in and find every folder of the settings."""
        settings = self._settings
        for folder in self._folders():
            await listed(self._files, folder)
        warnings: list[str] = []
        if settings.stock is not None and self._outgoing is not None:
            stuck = self._outgoing.warning(await listed(self._files, settings.stock.folder))
            warnings += [stuck] if stuck else []
        table = settings.stock or settings.orders
        folder = "" if table is None else table.folder.strip("/")
        return CheckReport(f"{settings.user}@{settings.host}:{settings.port}/{folder}", warnings=tuple(warnings))

    def _folders(self) -> list[str]:
        found: list[str | None] = []
        if (stock := self._settings.stock) is not None:
            found += [stock.folder, stock.processed_folder, stock.error_folder]
            found += [] if stock.results is None else [stock.results.folder]
        if (orders := self._settings.orders) is not None:
            found += [orders.folder, orders.processed_folder, orders.error_folder]
        return list(dict.fromkeys(folder for folder in found if folder is not None))

    async def fetch_orders(self, cursor: Cursor | None) -> OrderPage:
        if self._incoming is None:
            return await super().fetch_orders(cursor)
        return await self._incoming.fetch(cursor)

    async def write_stock(self, rows: Sequence[StockWrite], route: WriteRoute, key: str) -> WriteReport:
        if self._outgoing is None:
            return await super().write_stock(rows, route, key)
        return await self._outgoing.write(rows)

    async def collect(self, receipts: Sequence[str]) -> Mapping[str, Accepted | Rejected]:
        if self._outgoing is None:
            return await super().collect(receipts)
        return await self._outgoing.collect(receipts)

    async def aclose(self) -> None:
        await self._files.aclose()
