"""Tables as people see them."""

from __future__ import annotations

import io

from rich.cells import cell_len
from rich.console import Console

from syncd.cli.screen import Rows, cell, drawn, printable

STOCK = [
    {"sku": "red-mug", "name": "赤いマグ", "location": "main", "on_hand": 12, "ordered": 2, "allocated": 1, "free": 9},
    {"sku": "blue-mug", "name": None, "location": "main", "on_hand": 0, "ordered": 3, "allocated": 0, "free": -3},
]


def on_a_terminal(part: Rows, width: int) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=width).print(drawn(part))
    return out.getvalue().splitlines()


def test_a_table_of_stock_fits_eighty_columns_with_both_languages() -> None:
    lines = on_a_terminal(Rows(STOCK), 80)
    assert max(cell_len(line.rstrip()) for line in lines) <= 80
    shown = "\n".join(lines)
    for word in ("on hand", "実在庫", "red-mug", "blue-mug", "赤いマグ", "-3"):
        assert word in shown


def test_markup_in_a_name_is_text() -> None:
    assert "[red]x[/red]" in "\n".join(on_a_terminal(Rows([{"name": "[red]x[/red]"}]), 80))


def test_a_column_that_is_empty_everywhere_is_left_out() -> None:
    assert Rows([{"a": 1, "b": None, "c": ""}, {"a": None, "b": {}, "c": []}], ("a", "b", "c", "d")).shown() == ["a"]


def test_values_read_as_words() -> None:
    assert [cell(value) for value in (None, True, False, 3, {}, {"red": 2}, ["a", "b"])] == [
        "-", "yes", "no", "3", "-", "red 2", "a; b",
    ]  # fmt: skip
    assert cell("2026-11-21T00:00:00+00:00").startswith("2026-11-2")
    assert cell("2026-11-21 no time") == "2026-11-21 no time"
    assert printable("a\x1b[0mb\tc") == "a\N{REPLACEMENT CHARACTER}[0mb c"
