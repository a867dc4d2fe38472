"""What a command prints: tables for people, or with --json exactly one JSON document on stdout.

On a terminal tables are drawn and long work shows a bar (on stderr); elsewhere a table is aligned plain text that is
never cut, and there is no bar. Texts of shops are printed without their control characters.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import click
from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console, JustifyMethod
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from syncd.cli.refusal import Refused
from syncd.cli.words import heading

Advance = Callable[[int], None]
CODES = {"sku", "code", "key", "listing", "shop", "number", "name"}
WIDEST = 24
NOTHING: tuple[Any, ...] = (None, "", [], {})


@dataclass(frozen=True, slots=True)
class Rows:
    """A table. Without `columns` it has those of the rows, in their order; a column that all rows lack is left out."""

    rows: Sequence[Mapping[str, Any]]
    columns: Sequence[str] = ()
    title: str = ""
    empty: str = "nothing"

    def shown(self) -> list[str]:
        """The columns that have something to show."""
        wanted = self.columns or list(dict.fromkeys(key for row in self.rows for key in row))
        return [column for column in wanted if any(row.get(column) not in NOTHING for row in self.rows)]


Part = str | Rows


class Screen:
    """The screen of one command. `answer` is called once."""

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json
        self.is_terminal = not as_json and sys.stdout.isatty()

    def answer(self, document: Any, *parts: Part) -> None:
        """Print the document, or its parts for people."""
        if self.as_json:
            click.echo(json.dumps(document, ensure_ascii=False, indent=2))
            return
        for part in parts:
            self.say(part)

    def say(self, part: Part) -> None:
        """Print one part for people; nothing with --json."""
        if self.as_json:
            return
        if isinstance(part, str):
            click.echo("\n".join(printable(line) for line in part.split("\n")))
        elif not part.rows:
            click.echo(printable(part.empty))
        elif self.is_terminal:
            Console().print(drawn(part))
        else:
            click.echo("\n".join(_aligned(part)))

    def warn(self, text: str) -> None:
        """Tell people on stderr something beside the answer."""
        click.echo("\n".join(printable(line) for line in text.split("\n")), err=True)

    def refused(self, error: Refused) -> None:
        """Print why the command failed: on stderr for people, as the document for programs."""
        if self.as_json:
            click.echo(json.dumps(error.document(), ensure_ascii=False, indent=2))
        else:
            self.warn(f"Error: {error}")

    @contextmanager
    def progress(self, label: str, total: int | None = None) -> Iterator[Advance]:
        """A bar on a terminal while the block runs; the block calls what it is given with how far it came."""
        if not (self.is_terminal and sys.stderr.isatty()):
            yield lambda _steps: None
            return
        with Progress(console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(label, total=total)
            yield lambda steps: bar.advance(task, steps)


def printable(text: str) -> str:
    """A text of one line without control characters, which a terminal would obey."""
    return "".join(
        char if char.isprintable() else " " if char in "\t\n\r\u3000" else "\N{REPLACEMENT CHARACTER}" for char in text
    )


def cell(value: Any) -> str:
    """A value as a table shows it."""
    if value is None or value == {} or value == []:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return printable(", ".join(f"{key} {cell(item)}" for key, item in value.items()))
    if isinstance(value, list | tuple):
        return printable("; ".join(cell(item) for item in value))
    if isinstance(value, float):
        return f"{value:.2f}".rstrip("0").rstrip(".")
    return local_time(value) if isinstance(value, str) else str(value)


def local_time(text: str) -> str:
    """A time of the API in this machine's zone; any other text as it is."""
    if len(text) >= 20 and text[4:5] == "-" and text[10:11] == "T":
        try:
            return datetime.fromisoformat(text).astimezone().isoformat(" ", "seconds")
        except ValueError:
            return printable(text)
    return printable(text)


def _is_number(part: Rows, column: str) -> bool:
    values = [row.get(column) for row in part.rows]
    return any(isinstance(value, int | float) for value in values) and not any(
        isinstance(v, str | bool) for v in values
    )


def drawn(part: Rows) -> Table:
    """A table for a terminal; the Japanese term stands under the English heading."""
    table = Table(title=Text(part.title) if part.title else None, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for column in part.shown():
        right = _is_number(part, column)
        longest = max(cell_len(cell(row.get(column))) for row in part.rows)
        kept = longest if right or column in CODES else 4  # a number or a code is not to be broken
        justify: JustifyMethod = "right" if right else "left"
        table.add_column(Text(heading(column, "\n")), justify=justify, overflow="fold", min_width=min(kept, WIDEST))
    for row in part.rows:
        table.add_row(*(Text(cell(row.get(column))) for column in part.shown()))
    return table


def _aligned(part: Rows) -> Iterator[str]:
    if part.title:
        yield printable(part.title)
    columns = part.shown()
    lines = [[heading(column) for column in columns]]
    lines += [[cell(row.get(column)) for column in columns] for row in part.rows]
    widths = [max(map(cell_len, column)) for column in zip(*lines, strict=True)]
    right = [_is_number(part, column) for column in columns]
    for line in lines:
        padded = (_padded(text, width, r) for text, width, r in zip(line, widths, right, strict=True))
        yield "  ".join(padded).rstrip()


def _padded(text: str, width: int, right: bool) -> str:
    space = " " * (width - cell_len(text))
    return space + text if right else text + space
