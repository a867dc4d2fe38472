"""Headings of tables: the words of the project in English, with the Japanese term beside them."""

from __future__ import annotations

from collections.abc import Mapping

JAPANESE: Mapping[str, str] = {
    "channel": "モール・カート",
    "shop": "店舗",
    "sku": "商品コード",
    "bundle": "セット商品",
    "parts": "セット商品",
    "listing": "出品",
    "key": "出品",
    "location": "倉庫・拠点",
    "entry": "在庫変動",
    "on_hand": "実在庫",
    "ordered": "受注済",
    "allocated": "引当済",
    "deliverable": "配送可在庫",
    "free": "フリー在庫",
    "hold_back": "予備在庫",
    "cap": "表示上限",
    "policy": "連動方式",
    "share": "在庫配分",
    "opening": "開始在庫",
    "target": "反映する在庫数",
    "would_show": "反映する在庫数",
    "push": "在庫反映",
    "oversold": "売り越し",
    "carrier": "配送会社",
    "tracking": "送り状番号",
    "order": "受注番号",
}


def heading(column: str, between: str = " ") -> str:
    """The heading of a column: `on hand 実在庫`."""
    plain = column.replace("_", " ").replace("sku", "SKU")
    return f"{plain}{between}{JAPANESE[column]}" if column in JAPANESE else plain
