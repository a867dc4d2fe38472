"""Settings of a shop that speaks CSV over SFTP: where the files lie, and what stands in which column."""

from __future__ import annotations

import re
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from syncd.sdk.channel import Restock
from syncd.sdk.settings import ChannelSettings, Secret

Column = str | Annotated[int, Field(ge=1)]
"""A column by its header text, or by its position (from 1) in a file without a header."""

LISTING_PART = re.compile(r"\{listing\.([0-9])\}")


class Encoding(StrEnum):
    """Character set of a file. Every "Shift_JIS" of a mall is cp932."""

    CP932 = "cp932"
    UTF8 = "utf-8"
    UTF8_BOM = "utf-8-sig"


class Newline(StrEnum):
    """Line ends of a file that is sent."""

    CRLF = "crlf"
    LF = "lf"


class Quote(StrEnum):
    """Which fields are quoted: every one, or those that need it."""

    ALL = "all"
    NEEDED = "needed"


class Header(StrEnum):
    """Whether the first row names the columns."""

    ON = "on"
    OFF = "off"


class WaitWhile(StrEnum):
    """What makes us wait before a stock file is put down (the mall's mailbox is busy)."""

    SAME_NAME = "same_name"
    FOLDER_NOT_EMPTY = "folder_not_empty"
    NEVER = "never"


class Done(StrEnum):
    """What shows that the shop has taken a stock file in."""

    VANISH = "vanish"
    PROCESSED = "processed"
    UPLOADED = "uploaded"


class AfterReading(StrEnum):
    """What becomes of an order file that was read and stored."""

    MOVE = "move"
    DELETE = "delete"


class Status(StrEnum):
    """What a value of the status column says of the row's units."""

    OPEN = "open"
    SHIPMENT_OPENED = "shipment_opened"
    SHIPPED = "shipped"
    CANCELLED = "cancelled"
    RETURNED = "returned"


class Table(BaseModel):
    """Base of the tables below `[files]`."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _folder(value: object) -> object:
    return value.rstrip("/") or "/" if isinstance(value, str) else value


def _columns(value: object) -> object:
    return [value] if isinstance(value, str | int) else value


Folder = Annotated[str, BeforeValidator(_folder), Field(min_length=1)]
Columns = Annotated[tuple[Column, ...], BeforeValidator(_columns), Field(min_length=1)]


class ResultSettings(Table):
    """`[files.stock.results]`: the file in which the shop names the rows it refused."""

    folder: Folder | None = Field(None, description="Where it appears; the stock folder if not set.")
    pattern: str = Field(description="Its name: {name} or {stem} of the stock file, and * for what changes.")
    encoding: Encoding = Field(Encoding.CP932, description="Character set of the result file.")
    header: Header = Field(Header.ON, description="Whether its first row names the columns.")
    listing: Columns | None = Field(None, description="Column or columns of the key of a refused row.")
    line: Column | None = Field(None, description="Column of the line number of a refused row.")
    first_line: int = Field(2, ge=0, description="The number it gives to our first row of data.")
    reason: Column | None = Field(None, description="Column of the reason.")
    unknown_listing: tuple[str, ...] = Field((), description="Parts of reasons that mean: no such listing.")
    wait_seconds: float = Field(30, ge=0, description="Wait so long for it after a stock file has gone.")

    @model_validator(mode="after")
    def _names_rows(self) -> Self:
        if self.listing is None and self.line is None:
            raise ValueError("results: name the column of the listing or of the line number")
        return self


class StockSettings(Table):
    """`[files.stock]`: the stock file that we send."""

    folder: Folder = Field(description="Folder the shop imports from.")
    name: str = Field("stock.csv", description="File name; may hold %Y%m%d%H%M%S.", pattern=r"^[^/#]+$")
    zone: str = Field("Asia/Tokyo", description="Time zone of the time in the name.")
    name_ahead_seconds: float = Field(0, ge=0, description="The time in the name lies so far ahead (time of import).")
    name_step_seconds: int = Field(1, ge=1, description="The time in the name is a multiple of this.")
    encoding: Encoding = Field(Encoding.CP932, description="cp932, utf-8 or utf-8-sig (with BOM).")
    newline: Newline = Field(Newline.CRLF, description="crlf or lf.")
    quote: Quote = Field(Quote.ALL, description="all or needed.")
    header: Header = Field(Header.ON, description="on or off.")
    columns: dict[str, str] = Field(
        description='Header text = "{listing}", "{listing.0}", "{quantity}" or a constant, in the order of the file.'
    )
    max_rows: int = Field(10_000, ge=1, description="Most rows of one file.")
    wait_while: WaitWhile = Field(WaitWhile.SAME_NAME, description="same_name, folder_not_empty or never.")
    temporary_suffix: str = Field(".tmp", description='Written under this suffix, then renamed; "" without rename.')
    done: Done = Field(Done.VANISH, description="vanish, processed or uploaded.")
    processed_folder: Folder | None = Field(None, description="Where the shop moves a file it has taken in.")
    error_folder: Folder | None = Field(None, description="Where the shop moves a file it refuses as a whole.")
    results: ResultSettings | None = Field(None, description="The shop's file of refused rows, if it writes one.")
    ask_again_seconds: float = Field(
        5, gt=0, description="While a file lies unread, look again after so long, or when the last one went."
    )
    give_up_after_seconds: float = Field(1800, gt=0, description="Alarm when a file lies unread for so long.")
    dead_after_seconds: float = Field(900, gt=0, description="Longest until a doubtful upload takes effect.")
    max_quantity: int = Field(99_999, ge=0, description="Highest number the shop takes.")

    @property
    def has_time(self) -> bool:
        return "%" in self.name

    @property
    def parts(self) -> int:
        """In how many parts a listing key is split by "/"; 1 when it is used whole."""
        found = [int(n) for value in self.columns.values() for n in LISTING_PART.findall(value)]
        return max(found) + 1 if found else 1

    @field_validator("columns")
    @classmethod
    def _columns_hold(cls, columns: dict[str, str]) -> dict[str, str]:
        values = list(columns.values())
        if values.count("{quantity}") != 1:
            raise ValueError('exactly one column must be "{quantity}"')
        if not any(value.startswith("{listing") for value in values):
            raise ValueError('a column must be "{listing}" or "{listing.0}"')
        for header, value in columns.items():
            known = value in ("{quantity}", "{listing}") or LISTING_PART.fullmatch(value)
            if not known and ("{" in value or "}" in value):
                raise ValueError(f"column {header}: {value} is neither a constant nor a known placeholder")
            if value.strip().lower() == "d":  # deletes the item, or empties it, on every mall that has control columns
                raise ValueError(f"column {header}: a stock file never sends the control value d")
        return columns

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.wait_while is WaitWhile.NEVER and not self.has_time:
            raise ValueError("wait_while = never needs a name with a time: else an unread file would be replaced")
        if self.done is Done.PROCESSED and self.processed_folder is None:
            raise ValueError("done = processed needs processed_folder")
        _check_zone(self.zone)
        return self


class OrderColumns(Table):
    """`[files.orders.columns]`: which column tells what. Others are ignored; buyers' data is never read."""

    order: Column = Field(description="Order number.")
    line: Column | None = Field(None, description="Line number within the order; the listing stands for it if not set.")
    listing: Columns = Field(description='Key of the listing; several columns are joined by "/".')
    quantity: Column = Field(description="Units ordered.")
    placed_at: Column | None = Field(None, description="When the shop accepted the order.")
    status: Column | None = Field(None, description="Status of the row; see [files.orders.statuses].")
    cancelled: Column | None = Field(None, description="Units cancelled.")
    shipped: Column | None = Field(None, description="Units shipped.")
    returned: Column | None = Field(None, description="Units returned.")
    updated_at: Column | None = Field(None, description="When the order changed last.")

    def named(self) -> list[Column]:
        """Every column that must be there."""
        single = (
            self.order, self.line, self.quantity, self.placed_at, self.status,
            self.cancelled, self.shipped, self.returned, self.updated_at,
        )  # fmt: skip
        return [*self.listing, *(column for column in single if column is not None)]


class OrderFileSettings(Table):
    """`[files.orders]`: the order files that we read."""

    folder: Folder = Field(description="Folder the shop writes to.")
    pattern: str = Field("*.csv", description="Which names are order files: * and ? stand for anything.")
    encoding: Encoding = Field(Encoding.CP932, description="cp932 or utf-8 (with or without BOM).")
    header: Header = Field(Header.ON, description="off: columns are given by position, from 1.")
    columns: OrderColumns = Field(description="Which column tells what.")
    statuses: dict[str, Status] = Field(
        default_factory=dict, description="Status text = open, shipment_opened, shipped, cancelled or returned."
    )
    time_format: str = Field("%Y/%m/%d %H:%M:%S", description="How times are written.")
    zone: str = Field("Asia/Tokyo", description="Time zone of the times in the file and in its name.")
    name_time: str = Field("", description="Name with its time, e.g. orders_%Y%m%d%H%M%S.csv; else mtime.")
    complete: bool = Field(False, description="true: a file holds every line of each order it names.")
    stable_seconds: float = Field(
        10, ge=0, description="Taken when unchanged so long; 0: the shop renames whole files."
    )
    trailer: str = Field("", description="First field of the last row of a whole file, if the shop writes one.")
    stuck_seconds: float = Field(3600, gt=0, description="A file without its trailer is a problem after so long.")
    after_reading: AfterReading = Field(AfterReading.MOVE, description="move or delete.")
    processed_folder: Folder | None = Field(None, description="Where read files are moved.")
    error_folder: Folder = Field(description="Where files are moved that could not be believed.")
    visibility_seconds: float = Field(600, ge=0, description="Longest from an order to its file.")
    restocks_on_cancel: Restock = Field(
        Restock.UNKNOWN, description="Whether the shop resells cancelled units by itself."
    )
    max_bytes: int = Field(32 * 1024 * 1024, ge=1, description="Largest order file.")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.after_reading is AfterReading.MOVE and self.processed_folder is None:
            raise ValueError("after_reading = move needs processed_folder")
        if self.folder in (self.processed_folder, self.error_folder):
            raise ValueError("processed_folder and error_folder must differ from folder")
        if (self.columns.status is None) != (not self.statuses):
            raise ValueError("a status column and [files.orders.statuses] go together")
        by_position = [isinstance(column, int) for column in self.columns.named()]
        if any(by_position) if self.header is Header.ON else not all(by_position):
            raise ValueError("columns are named by text with a header, by position (from 1) without one")
        _check_zone(self.zone)
        return self


class FilesSettings(ChannelSettings):
    """`[files]`: stock out and orders in as CSV over SFTP."""

    host: str = Field(description="SFTP server.")
    port: int = Field(22, ge=1, le=65_535, description="Its port.")
    user: str = Field(description="User name.")
    password: Secret | None = Field(None, description="Password, by reference.")
    client_key: Secret | None = Field(None, description="Private key in OpenSSH form, by reference.")
    known_hosts: str = Field(description="Path of a known_hosts file, or the server's line itself.", min_length=1)
    stock: StockSettings | None = Field(None, description="The stock file that is sent.")
    orders: OrderFileSettings | None = Field(None, description="The order files that are read.")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.password is None and self.client_key is None:
            raise ValueError("give password or client_key")
        if self.stock is None and self.orders is None:
            raise ValueError("give [files.stock], [files.orders] or both")
        return self


def _check_zone(name: str) -> None:
    try:
        datetime(2026, 1, 1, tzinfo=ZoneInfo(name))
    except (ZoneInfoNotFoundError, ValueError):
        raise ValueError(f"unknown time zone {name}") from None
