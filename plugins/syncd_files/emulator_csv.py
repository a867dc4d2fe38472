"""The emulated mall's own CSV: how it reads stock files, names refused rows, and writes orders. Pure.

Written apart from `wire.py`, so that a fault of the plugin is not mirrored in its judge.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from zoneinfo import ZoneInfo

from syncd.testing.world import TruthLine, TruthOrder

TOKYO = ZoneInfo("Asia/Tokyo")
STOCK_COLUMNS = ("コントロールカラム", "商品コード", "在庫数")
ERROR_COLUMNS = ("行番号", "商品コード", "エラー内容")
BUYER = "名無 ～様 buyer-canary"
ORDER_COLUMNS = (
    "店舗伝票番号", "明細番号", "受注日", "受注状態", "商品コード", "受注数量", "キャンセル数", "出荷数", "返品数"
)  # fmt: skip
STATUSES = {"新規受付": "open", "出荷済": "shipped", "キャンセル": "cancelled", "返品": "returned", "一部処理": "open"}

StockRow = tuple[int, str, int, str]  # line of the file, key, quantity, what is wrong with it


class FileRefused(Exception):
    """The mall refuses a stock file as a whole."""


def is_stock_name(name: str) -> bool:
    """The import reacts to these names only; temporary names are not looked at."""
    return re.fullmatch(r"stock(\d{14})?\.csv", name) is not None


def as_seen(key: str, charset: str) -> str:
    """A listing's key as it comes back from the mall's character set."""
    return key.encode(charset, errors="replace").decode(charset)


def stock_rows(content: bytes, charset: str, *, exact: bool) -> list[StockRow]:
    """The rows of a stock file. `exact` demands exactly the known columns in their order."""
    try:
        text = content.decode(charset)
    except UnicodeDecodeError:
        raise FileRefused("文字コードが不正です") from None
    if charset == "utf-8-sig" and not content.startswith(b"\xef\xbb\xbf"):
        raise FileRefused("BOMがありません")
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error:
        rows = [next(csv.reader([line]), []) for line in text.splitlines()]  # a half file: what can be read
    header = rows[0] if rows else []
    if (exact and header != list(STOCK_COLUMNS)) or not set(STOCK_COLUMNS) <= set(header):
        raise FileRefused("項目名が一致しません")
    return [_stock_row(line, row, header) for line, row in enumerate(rows[1:], start=2) if row]


def _stock_row(line: int, row: Sequence[str], header: Sequence[str]) -> StockRow:
    if len(row) != len(header):
        return line, row[1] if len(row) > 1 else "", 0, f"{line}行目 項目数が一致しません"
    cells = dict(zip(header, row, strict=True))
    control, key, quantity = (cells[name] for name in STOCK_COLUMNS)
    if control != "u":
        return line, key, 0, "コントロールカラムが不正です"
    if not re.fullmatch(r"[0-9]{1,5}", quantity):
        return line, key, 0, "在庫数が不正です"
    return line, key, int(quantity), ""


def error_file(errors: Iterable[tuple[int, str, str]]) -> bytes:
    """The file that names refused rows, cp932."""
    return _table([ERROR_COLUMNS, *((str(line), key, why) for line, key, why in errors)])


def order_file(orders: Iterable[TruthOrder], *, counts: bool) -> bytes:
    """An order file, cp932: one row a line with the order's fields repeated, and a buyer's name to ignore."""
    header = [*(ORDER_COLUMNS if counts else ORDER_COLUMNS[:6]), "購入者名"]
    rows = (_order_row(order, line, counts=counts) for order in orders for line in order.lines)
    return _table([header, *rows])


def _order_row(order: TruthOrder, line: TruthLine, *, counts: bool) -> list[str]:
    placed = order.placed_at.astimezone(TOKYO).strftime("%Y/%m/%d %H:%M:%S")
    row = [order.number, line.line, placed, _status(line), line.listing]
    if counts:
        return [*row, *map(str, (line.ordered, line.cancelled, line.shipped, line.returned)), BUYER]
    left = line.ordered if line.cancelled == line.ordered else line.ordered - line.cancelled
    return [*row, str(left), BUYER]


def _status(line: TruthLine) -> str:
    """The one word a mall has for a line; with counts beside it, never more than they say."""
    if line.cancelled == line.ordered:
        return "キャンセル"
    if line.shipped and line.returned == line.shipped == line.ordered - line.cancelled:
        return "返品"
    if line.shipped and line.shipped == line.ordered - line.cancelled:
        return "出荷済"
    return "一部処理" if line.cancelled or line.shipped else "新規受付"


def _table(rows: Iterable[Sequence[str]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows(rows)
    return text.getvalue().encode("cp932")
