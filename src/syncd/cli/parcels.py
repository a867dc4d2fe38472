"""A shipment CSV as parcels: strict, every mistake named by line and column, rows of one parcel put together."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from syncd.cli.sheet import Row, Sheet, shortened
from syncd.sdk.channel import Carrier

KNOWN = ("shop", "order", "carrier", "carrier_name", "tracking", "shipped_at", "line", "units")
REQUIRED = ("shop", "order", "carrier", "tracking")
TIMES = ("%Y-%m-%d", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S")
NAMES: Mapping[str, Carrier] = {
    "ヤマト": Carrier.YAMATO,
    "ヤマト運輸": Carrier.YAMATO,
    "佐川": Carrier.SAGAWA,
    "佐川急便": Carrier.SAGAWA,
    "日本郵便": Carrier.JAPAN_POST,
    "ゆうパック": Carrier.JAPAN_POST,
    "西濃運輸": Carrier.SEINO,
    "福山通運": Carrier.FUKUYAMA,
    "名鉄運輸": Carrier.MEITETSU,
    "名鉄nx運輸": Carrier.MEITETSU,
    "トナミ運輸": Carrier.TONAMI,
    "エコ配": Carrier.ECOHAI,
    "その他": Carrier.OTHER,
}
"""Other names of carriers, as people write them."""


@dataclass(slots=True)
class Parcel:
    """One item of the API, and the rows it came from."""

    item: dict[str, Any]
    rows: list[Row] = field(default_factory=list)

    def row_of(self, line: str | None) -> Row:
        """The row about a line of the order."""
        return next((row for row in self.rows if line is not None and row["line"] == line), self.rows[0])


def grouped(read: Sheet) -> list[Parcel]:
    """The parcels of a file, in its order. Raises WrongFile with every mistake."""
    found: dict[tuple[Any, ...], Parcel] = {}
    for row in read.rows:
        item = _item(read, row)
        key = tuple(item.values())
        parcel = found.setdefault(key, Parcel({**item, "lines": {}}))
        name = row["line"]
        if parcel.rows and (not name or not parcel.rows[0]["line"] or name in parcel.item["lines"]):
            read.wrong(row, "line" if name else "order", f"this parcel stands on line {parcel.rows[0].line} already")
        parcel.rows.append(row)
        if name:
            parcel.item["lines"][name] = read.whole(row, "units", least=1) if row["units"] else None
        elif row["units"]:
            read.wrong(row, "units", "units without a line: say of which line")
    read.finish()
    return list(found.values())


def _item(read: Sheet, row: Row) -> dict[str, Any]:
    for column in ("shop", "order", "carrier"):
        if not row[column]:
            read.wrong(row, column, "is empty")
    carrier = _carrier(read, row)
    if carrier is Carrier.OTHER and not row["carrier_name"]:
        read.wrong(row, "carrier", "the carrier is other: name it in a column carrier_name")
    return {
        "shop": row["shop"],
        "order": row["order"],
        "carrier": carrier.value,
        "carrier_name": row["carrier_name"],
        "tracking": _tracking(read, row),
        **({"shipped_at": at} if (at := _moment(read, row)) else {}),
    }


def _carrier(read: Sheet, row: Row) -> Carrier:
    text = unicodedata.normalize("NFKC", row["carrier"]).casefold()
    try:
        return NAMES.get(text) or Carrier(text.replace(" ", "_"))
    except ValueError:
        known = ", ".join(carrier.value for carrier in Carrier)
        if row["carrier"]:
            read.wrong(row, "carrier", f'"{shortened(row["carrier"])}" is no carrier; known are: {known}')
        return Carrier.YAMATO


def _tracking(read: Sheet, row: Row) -> str:
    """A tracking number. Spreadsheets turn long ones into 4.9E+11, which nobody can read back."""
    text = unicodedata.normalize("NFKC", row["tracking"])
    if "E+" in text.upper():
        read.wrong(row, "tracking", f'"{shortened(text)}" was damaged by a spreadsheet: format the column as text')
    return text


def _moment(read: Sheet, row: Row) -> str:
    """When it left, as the API takes it; a time without a zone is this machine's. Empty where nothing is said."""
    text = unicodedata.normalize("NFKC", row["shipped_at"]).replace("/", "-")
    if not text:
        return ""
    for way in TIMES:
        try:
            return datetime.strptime(text, way).astimezone().isoformat()
        except ValueError:
            continue
    try:
        return datetime.fromisoformat(text).astimezone().isoformat()
    except ValueError:
        read.wrong(row, "shipped_at", f'"{shortened(row["shipped_at"])}" is no time; write e.g. 2026-11-20 18:00')
        return ""
