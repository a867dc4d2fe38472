"""`syncd skus`: the merchant's own codes, and which of them are bundles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from syncd.cli import files, sheet
from syncd.cli.changes import agreed, done, with_preview
from syncd.cli.screen import Rows
from syncd.cli.session import Session
from syncd.cli.sheet import Sheet
from syncd.cli.starting import Here, Usual, connected
from syncd.cli.stock_lines import name_damaged

COLUMNS = ("code", "name", "bundle", "parts", "on_hand", "ordered", "allocated", "free")
KNOWN = ("sku", "name", "part", "pieces")


@click.group(cls=Usual, usual="list")
def skus() -> None:
    """SKUs (商品コード) and bundles (セット商品)."""


@skus.command("list")
@click.option("--query", help="Only those whose code or name contains this.")
@click.option("--limit", type=click.IntRange(0), default=100, show_default=True, help="Most SKUs; 0 for all.")
@connected
async def list_(here: Here, session: Session, query: str | None, limit: int) -> None:
    """List SKUs."""
    page = await session.some("/skus", limit, query=query)
    more = [] if page["next"] is None else ["There is more: use --query or --limit."]
    here.screen.answer(
        page,
        Rows(page["items"], COLUMNS, empty="no such SKU; the first ones come from: syncd skus import --help"),
        *more,
    )


@skus.command("import")
@click.argument("file", type=files.FILE_IN)
@click.option("--as-is", is_flag=True, help="Take codes that look damaged by a spreadsheet.")
@with_preview
@connected
async def import_(here: Here, session: Session, file: Path, as_is: bool, preview: bool, yes: bool) -> None:
    """Create or change SKUs from a CSV with sku and name; a bundle has one row a part, with part and pieces."""
    read = sheet.read_sheet(files.content(file), str(file), KNOWN, ("sku",))
    items = _items(read)
    if not as_is:
        await name_damaged(session, read, here.screen)
    document: dict[str, Any] = {"changes": items, "applied": False}
    asks = preview or not yes
    if asks and not await agreed(here, session, document, ("code", "name", "parts"), preview=preview):
        return
    answer = await session.post("/skus", {"items": items})
    result = {**document, **answer}
    here.screen.answer(result, *done(result))


def _items(read: Sheet) -> list[dict[str, Any]]:
    """The rows as SKUs: the rows of one code together, their parts as pieces. Raises WrongFile."""
    items: dict[str, dict[str, Any]] = {}
    for row in read.rows:
        code = read.code(row)
        item = items.setdefault(code, {"code": code})
        if row["name"]:  # an empty cell leaves the name as it is
            item["name"] = row["name"]
        if not row["part"]:
            continue
        part = read.code(row, "part")
        parts = item.setdefault("parts", {})
        if part in parts:
            read.wrong(row, "part", f"{part} stands in {code} already")
        parts[part] = read.whole(row, "pieces", least=1) if row["pieces"] else 1
    read.once([(row["sku"], row["part"]) for row in read.rows], "sku")
    read.finish()
    return list(items.values())
