"""The stock file: its name, its bytes, the receipts of its rows, and the shop's file of refused rows. Pure."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from zoneinfo import ZoneInfo

from syncd.model import to_us
from syncd.sdk.channel import Accepted, Form, Reason, Rejected, StockWrite
from syncd_files.settings import Header, ResultSettings, StockSettings
from syncd_files.wire import fits, fold, read_table, same_form, write_table

TIME_FIELDS = {"%Y": r"\d{4}", "%m": r"\d\d", "%d": r"\d\d", "%H": r"\d\d", "%M": r"\d\d", "%S": r"\d\d"}


@dataclass(frozen=True, slots=True)
class Receipt:
    """Which row of which upload: file name, row of data from 1, the server's time of the file, and the key.

    The time tells two uploads of one name apart, the key finds a refused row in the shop's answer.
    """

    file: str
    row: int
    stamp_us: int
    listing: str

    def __str__(self) -> str:
        return f"{self.file}#{self.row}#{self.stamp_us}#{self.listing}"

    @classmethod
    def parse(cls, text: str) -> Receipt:
        file, row, stamp_us, listing = text.split("#", 3)
        return cls(file, int(row), int(stamp_us), listing)


@dataclass(frozen=True, slots=True)
class StockFile:
    """What is sent: the bytes, the rows in the order of the file (by index), and the rows that were left out."""

    content: bytes
    order: tuple[int, ...]
    rejected: tuple[Rejected, ...]


# --- names --------------------------------------------------------------------------------------------------


def name_pattern(name: str) -> re.Pattern[str]:
    """Matches every name that a name with a time can become."""
    parts = re.split(r"(%[YmdHMS])", name)
    return re.compile("".join(TIME_FIELDS.get(part, re.escape(part)) for part in parts) + r"\Z")


def file_name(settings: StockSettings, now: datetime, taken: Iterable[str]) -> str:
    """The name of the next file: after every file of ours that lies there, never one that is taken."""
    if not settings.has_time:
        return settings.name
    step = settings.name_step_seconds
    zone = ZoneInfo(settings.zone)
    due = now + timedelta(seconds=settings.name_ahead_seconds)
    due_us = -(-to_us(due) // (step * 1_000_000)) * step * 1_000_000
    moment = now + timedelta(microseconds=due_us - to_us(now))
    pattern = name_pattern(settings.name)
    latest = max((name for name in taken if pattern.match(name)), default="")
    while (name := moment.astimezone(zone).strftime(settings.name)) <= latest and latest:
        moment += timedelta(seconds=step)
    return name


def is_ours(settings: StockSettings, name: str) -> bool:
    """Whether a name is one that we give."""
    return bool(name_pattern(settings.name).match(name))


def is_leftover(settings: StockSettings, name: str) -> bool:
    """Whether a file is our own, written and never renamed."""
    suffix = settings.temporary_suffix
    return bool(suffix) and name.endswith(suffix) and is_ours(settings, name.removesuffix(suffix))


# --- bytes --------------------------------------------------------------------------------------------------


def build(settings: StockSettings, rows: Sequence[StockWrite]) -> StockFile:
    """The file of these rows, zeros first. A row that cannot stand in it is rejected alone."""
    cells: dict[int, list[str]] = {}
    rejected: list[Rejected] = []
    for index, row in enumerate(rows):
        fault = _fault(settings, row)
        if fault:
            rejected.append(Rejected(index, Reason.INVALID, fault))
        else:
            cells[index] = _cells(settings, row)
    order = tuple(sorted(cells, key=lambda index: (rows[index].quantity > 0, index)))
    table = [list(settings.columns)] if settings.header is Header.ON else []
    table += [cells[index] for index in order]
    content = write_table(table, encoding=settings.encoding, newline=settings.newline, quote=settings.quote)
    return StockFile(content, order, tuple(rejected))


def _fault(settings: StockSettings, row: StockWrite) -> str:
    if row.form is not Form.ABSOLUTE:
        return f"a stock file sets numbers; it has no {row.form.value}"
    if not 0 <= row.quantity <= settings.max_quantity:
        return f"quantity {row.quantity} is outside 0 to {settings.max_quantity}"
    if not row.listing.strip():
        return "empty key"
    if not fits(row.listing, settings.encoding):
        return f"the key cannot be written in {settings.encoding.value}"
    if settings.parts > 1 and len(row.listing.split("/")) != settings.parts:
        return f'the key needs {settings.parts} parts joined by "/"'
    return ""


def _cells(settings: StockSettings, row: StockWrite) -> list[str]:
    parts = row.listing.split("/") if settings.parts > 1 else [row.listing]
    known = {"{quantity}": str(row.quantity), "{listing}": row.listing}
    known |= {f"{{listing.{n}}}": part for n, part in enumerate(parts)}
    return [known.get(value, value) for value in settings.columns.values()]


# --- refused rows -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Refused:
    """A row of the shop's result file. Without key and row it means the whole file."""

    row: int | None
    listing: str
    reason: Reason
    message: str


def result_glob(settings: ResultSettings, file: str) -> str:
    """The pattern of the result files of one stock file."""
    stem = file.rsplit(".", 1)[0]
    return settings.pattern.replace("{name}", glob.escape(file)).replace("{stem}", glob.escape(stem))


def is_result_of(settings: ResultSettings, file: str, name: str) -> bool:
    return fnmatchcase(name, result_glob(settings, file))


def read_results(settings: ResultSettings, content: bytes) -> list[Refused]:
    """The refused rows. Raises BadTable."""
    keys = settings.listing or ()
    columns = [*keys, *(column for column in (settings.line, settings.reason) if column is not None)]
    table = read_table(content, columns, encoding=settings.encoding, header=settings.header)
    refused = []
    for row in table.rows:
        line = table.cell(row, settings.line) if settings.line is not None else ""
        message = table.cell(row, settings.reason) if settings.reason is not None else "refused by the shop"
        unknown = any(part in message for part in settings.unknown_listing)
        refused.append(
            Refused(
                row=int(line) - settings.first_line + 1 if re.fullmatch(r"[0-9]{1,9}", line) else None,
                listing="/".join(table.cell(row, key) for key in keys).strip("/"),
                reason=Reason.UNKNOWN_LISTING if unknown else Reason.OTHER,
                message=message,
            )
        )
    return refused


def outcomes(receipts: Mapping[str, Receipt], refused: Sequence[Refused]) -> dict[str, Accepted | Rejected]:
    """What became of the rows of a file that was taken in, given the rows the shop refused.

    A refused key means the listing of just that key; only where there is none, the one that folds to the same.
    """
    keys = {same_form(receipt.listing) for receipt in receipts.values()}
    told: dict[str, Accepted | Rejected] = {}
    for text, receipt in receipts.items():
        why = next((row for row in refused if _means(row, receipt, keys)), None)
        index = receipt.row - 1
        told[text] = Accepted(index) if why is None else Rejected(index, why.reason, why.message)
    return told


def _means(row: Refused, receipt: Receipt, keys: Set[str]) -> bool:
    if row.row not in (None, receipt.row):
        return False
    if not row.listing:
        return True
    if same_form(row.listing) in keys:
        return same_form(row.listing) == same_form(receipt.listing)
    return fold(row.listing) == fold(receipt.listing)
