"""A mall behind an SFTP server: it imports stock files when it pleases and writes order files of its own.

Over folders in memory (`open_files`), or over a directory that a real server shows (`folder=`); then call `settle`
now and then, add `saw` to the server's watchers, and tell where it listens with `served_at`.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

from pydantic import SecretStr

from syncd.clock import Clock
from syncd.sdk.channel import Form, Restock
from syncd.sdk.files import FilesAddress, RemoteFile, RemoteFiles
from syncd.testing.emulator import Emulator
from syncd.testing.files import DiskTree, MemoryFiles, MemoryTree, split
from syncd.testing.world import Market, Refusal, Sent, World
from syncd_files.emulator_csv import (
    ERROR_COLUMNS,
    ORDER_COLUMNS,
    STATUSES,
    STOCK_COLUMNS,
    TOKYO,
    FileRefused,
    as_seen,
    error_file,
    is_stock_name,
    order_file,
    stock_rows,
)

STOCK, PROCESSED, REFUSED, ERRORS = "stock", "stock/done", "stock/refused", "stock/errors"
ORDERS, ORDERS_DONE, ORDERS_BAD = "orders", "orders/done", "orders/bad"
FOLDERS = (STOCK, PROCESSED, REFUSED, ERRORS, ORDERS, ORDERS_DONE, ORDERS_BAD)

WAITS_SECONDS = (5.0, 120.0)
HALF_SECONDS = 5.0
DROPS_HALF_AFTER = timedelta(seconds=600)
Arrival = tuple[str, int, datetime]  # name, size, server's time: one upload


@dataclass(frozen=True, slots=True)
class Upload:
    """A stock file that lies there: until when, since when, and which order read it could build on."""

    due: datetime
    sent: Sent


class FilesEmulator(Emulator):
    """One account. `consume_seconds` None means what the quirk `consumes` says; `export_seconds` 0 exports at once."""

    quirks: ClassVar[Mapping[str, Sequence[str]]] = {
        "consumes": ("at_once", "after_a_while", "never"),
        "taken_in": ("vanishes", "is_moved"),
        "errors": ("error_file", "told_nowhere"),
        "refuses": ("rows", "whole_file"),
        "header": ("by_text", "exact"),
        "half_files": ("waits_for_the_end", "imported"),
        "rename": ("offered", "missing"),
        "names": ("fixed", "with_time"),
        "charset": ("cp932", "utf-8-sig"),
        "order_files": ("renamed_when_whole", "written_in_place"),
        "order_lines": ("counts", "status_only"),
    }

    def __init__(
        self,
        world: World,
        market: Market,
        clock: Clock,
        *,
        round_trip_seconds: float = 0.0,
        folder: Path | None = None,
        consume_seconds: float | None = None,
        export_seconds: float = 0.0,
        seed: int = 0,
        **quirks: str,
    ) -> None:
        super().__init__(world, market, clock, round_trip_seconds=round_trip_seconds, **quirks)
        self.tree = MemoryTree(world.now, FOLDERS) if folder is None else DiskTree(folder, FOLDERS)
        self.consume_seconds = consume_seconds
        self.export_seconds = export_seconds
        self.imported: list[str] = []
        self.password = SecretStr("open sesame, folders")
        self._address: dict[str, Any] = {"host": "sftp.mall.example", "port": 22, "known_hosts": "ssh-ed25519 AAAA"}
        self._random = random.Random(f"{seed} {market.name}")  # noqa: S311  # waiting times, no secret
        self._uploads: dict[Arrival, Upload] = {}
        self._dirty: dict[str, None] = dict.fromkeys(market.orders)  # orders to export, in order
        self._unread: dict[str, tuple[str, ...]] = {}
        self._half: tuple[str, bytes, datetime] | None = None
        self._listed_at = world.now()
        self._listed: frozenset[str] = frozenset()  # order files in the last listing that were not read yet
        self._began = world.now()
        self._files_made = 0
        market.watchers.append(self._touched)

    # -- the client's side -----------------------------------------------------------------------------------

    def open_files(self, address: FilesAddress) -> RemoteFiles:
        """A session with the folders; the opener of a `ShopContext`."""
        return MemoryFiles(self.tree, address, self, self.saw)

    def served_at(self, host: str, port: int, known_hosts: str, password: str) -> None:
        """Say where a real server shows the folder."""
        self._address = {"host": host, "port": port, "known_hosts": known_hosts}
        self.password = SecretStr(password)

    def settings(self) -> dict[str, object]:
        return {
            **self._address,
            "user": "shop",
            "password": self.password,
            "stock": self._stock_settings(),
            "orders": self._order_settings(),
        }

    def _stock_settings(self) -> dict[str, object]:
        quirk = self.quirk
        table: dict[str, object] = {
            "folder": STOCK,
            "name": "stock.csv" if quirk["names"] == "fixed" else "stock%Y%m%d%H%M%S.csv",
            "encoding": quirk["charset"],
            "columns": dict(zip(STOCK_COLUMNS, ("u", "{listing}", "{quantity}"), strict=True)),
            "max_rows": 1000,
            "temporary_suffix": ".tmp" if quirk["rename"] == "offered" else "",
        }
        if quirk["taken_in"] == "is_moved":
            table |= {"done": "processed", "processed_folder": PROCESSED}
        if quirk["errors"] == "error_file":
            table["error_folder"] = REFUSED
            line, key, reason = ERROR_COLUMNS
            table["results"] = {
                "folder": ERRORS,
                "pattern": "{stem}_error*.csv",
                "encoding": "cp932",
                "listing": key,
                "line": line,
                "reason": reason,
                "unknown_listing": ["商品がありません"],
                "wait_seconds": 0,
            }
        return table

    def _order_settings(self) -> dict[str, object]:
        number, line, placed_at, status, key, ordered, *counts = ORDER_COLUMNS
        columns: dict[str, object] = {
            "order": number, "line": line, "placed_at": placed_at, "status": status, "listing": key, "quantity": ordered
        }  # fmt: skip
        if self.quirk["order_lines"] == "counts":
            columns |= dict(zip(("cancelled", "shipped", "returned"), counts, strict=True))
        return {
            "folder": ORDERS,
            "pattern": "orders_*.csv",
            "columns": columns,
            "statuses": STATUSES,
            "complete": True,
            "stable_seconds": 0 if self.quirk["order_files"] == "renamed_when_whole" else 10,
            "processed_folder": ORDERS_DONE,
            "error_folder": ORDERS_BAD,
            "visibility_seconds": self.market.visibility.total_seconds() + self.export_seconds + 60,
            "restocks_on_cancel": Restock.YES if self.market.restocks_on_cancel else Restock.NO,
        }

    def saw(self, operation: str, path: str) -> None:
        """A session did something; called after its effect, with the path without a leading slash."""
        folder, name = split(path)
        if operation in ("rename", "write"):
            self._notice()
        elif operation == "list" and path.strip("/") == ORDERS:
            self._listed_at, self._listed = self.world.now(), frozenset(self._unread)
            self._orders_are_read()
        elif operation == "read" and folder == ORDERS and name in self._unread and not self._is_half(name):
            self.market.delivered(self._unread.pop(name))
            self._orders_are_read()

    def _orders_are_read(self) -> None:
        now = self._listed_at
        late = () if self._shown_by_files else self._dirty
        if self._listed.isdisjoint(self._unread) and not any(self._visible(number, now) for number in late):
            self.market.read_orders_began(now)

    @property
    def _shown_by_files(self) -> bool:
        """Behind a real server `settle` runs when it can: an order is visible once its file lies there."""
        return isinstance(self.tree, DiskTree)

    # -- the mall's own work -------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Import what is due, finish a half-written order file, and export what changed.

        Also behind doors that are closed for maintenance: what lies there is taken in within its time.
        """
        self._notice()
        now = self.world.now()
        for arrival, upload in sorted(self._uploads.items(), key=lambda item: (item[1].due, item[0])):
            if upload.due <= now:
                self._take_in(arrival, upload)
        self._finish_half()
        self._export()

    def _notice(self) -> None:
        """Remember each stock file when it appears; forget what is gone."""
        lying = {_arrival(file): file for file in self.tree.list_files(STOCK) if is_stock_name(file.name)}
        now = self.world.now()
        self._uploads = {
            arrival: self._uploads.get(arrival) or Upload(self._due(now), self.market.sent_now(())) for arrival in lying
        }

    def _due(self, now: datetime) -> datetime:
        if self.consume_seconds is not None:
            return now + timedelta(seconds=self.consume_seconds)
        wait = {"at_once": 0.0, "after_a_while": self._random.uniform(*WAITS_SECONDS), "never": 10 * 365 * 86_400.0}
        return now + timedelta(seconds=wait[self.quirk["consumes"]])

    def _take_in(self, arrival: Arrival, upload: Upload) -> None:
        name = arrival[0]
        content = self.tree.read(f"{STOCK}/{name}")
        if not content.endswith(b"\n") and self.quirk["half_files"] == "waits_for_the_end":
            if self.world.now() - upload.sent.at >= DROPS_HALF_AFTER:
                self.tree.remove(f"{STOCK}/{name}")
            return
        del self._uploads[arrival]
        try:
            errors = self._import(content, upload)
        except FileRefused as refused:
            self._tell(name, [(1, "", str(refused))])
            self.tree.rename(f"{STOCK}/{name}", f"{REFUSED}/{name}")
            return
        self._tell(name, errors)
        self.imported.append(name)
        if self.quirk["taken_in"] == "is_moved":
            self.tree.rename(f"{STOCK}/{name}", f"{PROCESSED}/{name}")
        else:
            self.tree.remove(f"{STOCK}/{name}")

    def _import(self, content: bytes, upload: Upload) -> list[tuple[int, str, str]]:
        rows = stock_rows(content, self.quirk["charset"], exact=self.quirk["header"] == "exact")
        keys = {as_seen(key, self.quirk["charset"]): key for key in self.market.listings}
        if self.quirk["refuses"] == "whole_file" and any(key not in keys or fault for _, key, _, fault in rows):
            raise FileRefused("誤りのある行があります")
        errors = []
        for line, key, quantity, fault in rows:
            try:
                if fault:
                    errors.append((line, key, fault))
                    continue
                key = keys.get(key, key)
                self.market.write(key, Form.ABSOLUTE, quantity, sent=upload.sent)
            except Refusal:
                errors.append((line, key, "商品がありません"))
        return errors

    def _tell(self, name: str, errors: Sequence[tuple[int, str, str]]) -> None:
        if errors and self.quirk["errors"] == "error_file":
            self._files_made += 1
            stem = name.rsplit(".", 1)[0]
            at = self.world.now().astimezone(TOKYO)
            self.tree.write(f"{ERRORS}/{stem}_error{at:%Y%m%d%H%M%S}{self._files_made:03d}.csv", error_file(errors))

    # -- orders out ------------------------------------------------------------------------------------------------

    def _touched(self, number: str) -> None:
        self._dirty.pop(number, None)
        self._dirty[number] = None
        order = self.market.orders[number]
        if self.export_seconds and order.delivered_at is None:
            order.visible_at = self._next_export(max(order.visible_at, self.world.now()))

    def _next_export(self, moment: datetime) -> datetime:
        """The first export at or after a time."""
        every = timedelta(seconds=self.export_seconds)
        return self._began - (self._began - moment) // every * every

    def _visible(self, number: str, now: datetime) -> bool:
        return self.market.orders[number].visible_at <= now

    def _export(self) -> None:
        now = self.world.now()
        due = [number for number in self._dirty if self._visible(number, now)]
        if not due or self._half is not None:
            return
        for number in due:
            del self._dirty[number]
            order = self.market.orders[number]
            if self._shown_by_files and order.delivered_at is None:
                order.visible_at = max(order.visible_at, now)
        self._files_made += 1
        name = f"orders_{now.astimezone(TOKYO):%Y%m%d%H%M%S}_{self._files_made:05d}.csv"
        orders = [self.market.orders[number] for number in due]
        content = order_file(orders, counts=self.quirk["order_lines"] == "counts")
        self._unread[name] = tuple(due)
        if self.quirk["order_files"] == "written_in_place":
            self._half = (name, content, now + timedelta(seconds=HALF_SECONDS))
            self.tree.write(f"{ORDERS}/{name}", content[: len(content) // 2])
        else:
            self.tree.write(f"{ORDERS}/{name}.part", content)
            self.tree.rename(f"{ORDERS}/{name}.part", f"{ORDERS}/{name}")

    def _finish_half(self) -> None:
        if self._half is not None and self.world.now() >= self._half[2]:
            name, content, _ = self._half
            self.tree.write(f"{ORDERS}/{name}", content)
            self._half = None

    def _is_half(self, name: str) -> bool:
        return self._half is not None and self._half[0] == name


def _arrival(file: RemoteFile) -> Arrival:
    return (file.name, file.size, file.modified_at)
