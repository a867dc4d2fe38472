"""`syncd stock open|import|export`: many numbers at once, always shown before they are applied."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import click

from syncd.cli import files, sheet
from syncd.cli.changes import agreed, done, settle, with_preview
from syncd.cli.commands_stock import moment, note_option, stock
from syncd.cli.refusal import Problem, WrongFile
from syncd.cli.session import Session
from syncd.cli.sheet import Row, Sheet
from syncd.cli.starting import Here, connected
from syncd.cli.stock_lines import COLUMNS, MAIN, Known, known, lines, name_damaged, name_unknown
from syncd.cli.suggest import known_shop

MODES = {"set": ("number", "free"), "count": ("number", "on_hand"), "adjust": ("by",)}
"""What an import does -> the columns its number may stand in, the first that is there."""
KNOWN = ("sku", "name", "location", "number", "by", "on_hand", "ordered", "allocated", "deliverable", "free")
CHANGES = ("sku", "location", "before", "now", "number", "by")


@stock.command("open")
@click.argument("file", type=files.FILE_IN, required=False)
@click.option("--from", "from_shop", metavar="SHOP", help="Take over the numbers that this shop shows.")
@click.option("--sum", "sum_shops", metavar="SHOP", multiple=True, help="Add up what these shops show; repeat it.")
@click.option("--as-is", is_flag=True, help="Take codes that look damaged by a spreadsheet.")
@with_preview
@connected
async def open_(
    here: Here,
    session: Session,
    file: Path | None,
    from_shop: str | None,
    sum_shops: tuple[str, ...],
    as_is: bool,
    preview: bool,
    yes: bool,
) -> None:
    """Take over sellable numbers (開始在庫): from a shop, from the sum of shops, or from a CSV with sku and number."""
    if sum(map(bool, (file, from_shop, sum_shops))) != 1:
        raise click.UsageError("give one of: a FILE, --from SHOP, --sum SHOP …")
    body: dict[str, Any] = {"from_shop": from_shop} if from_shop else {"sum_shops": list(sum_shops)}
    for shop in [from_shop] if from_shop else sum_shops:
        await known_shop(session, shop)
    if file is not None:
        read = sheet.read_sheet(files.content(file), str(file), KNOWN, ("sku",))
        body = {"items": _to_set(read, _items(read, "set", None), {})}
        if not as_is:
            await name_damaged(session, read, here.screen)
    await settle(here, session, "/stock/open", body, preview=preview, yes=yes)


@stock.command("import")
@click.argument("file", type=files.FILE_IN)
@click.option(
    "--mode",
    type=click.Choice(list(MODES)),
    default="set",
    show_default=True,
    help="The numbers are sellable pieces (set), pieces on the shelf (count) or changes (adjust).",
)
@click.option("--at", metavar="TIME", help="With --mode count: when it was counted.")
@click.option("--again", is_flag=True, help="With --mode adjust: apply the same file once more.")
@note_option
@with_preview
@connected
async def import_(
    here: Here,
    session: Session,
    file: Path,
    mode: str,
    at: str | None,
    again: bool,
    note: str,
    preview: bool,
    yes: bool,
) -> None:
    """Correct stock from a CSV with sku, number (or by) and location; all of it or nothing."""
    if at and mode != "count":
        raise click.UsageError("--at goes with --mode count")
    raw = files.content(file)
    read = sheet.read_sheet(raw, str(file), KNOWN, ("sku",))
    items = _items(read, mode, moment(at) if at else None)
    have = await known(session, [item["sku"] for item in items], here.screen)
    await name_unknown(session, read, have)
    if mode == "set":
        items = _to_set(read, items, have)
    changes = [_change(have, item, mode) for item in items]
    document: dict[str, Any] = {"changes": changes, "applied": False}
    asks = not items or preview or not yes
    if asks and not await agreed(here, session, document, CHANGES, preview=preview):
        return
    body: dict[str, Any] = {"items": items, "note": note or f"import of {file.name}"}
    if mode == "adjust" and not again:
        body["key"] = f"file-{hashlib.sha256(raw).hexdigest()[:32]}"
    with here.screen.progress("applying"):
        answer = await session.post(f"/stock/{mode}", body)
    result = {**document, **answer}
    here.screen.answer(result, *done(result))


def _items(read: Sheet, mode: str, at: str | None) -> list[dict[str, Any]]:
    """The rows as the API takes them. Raises WrongFile."""
    wanted = next((column for column in MODES[mode] if column in read.columns), None)
    if wanted is None:
        told = f"no column {' or '.join(MODES[mode])} in the headings, which --mode {mode} needs"
        raise WrongFile([Problem(read.file, 1, None, told)])
    items = [_item(read, row, wanted, mode, at) for row in read.rows]
    read.once([(item["sku"], item["location"]) for item in items], "sku")
    read.finish()
    return items


def _item(read: Sheet, row: Row, column: str, mode: str, at: str | None) -> dict[str, Any]:
    number = read.whole(row, column, least=0 if mode == "count" else None)
    item: dict[str, Any] = {"sku": read.code(row), "location": row["location"] or MAIN}
    item["by" if mode == "adjust" else "number"] = number
    return item if at is None else item | {"at": at}


def _to_set(read: Sheet, items: list[dict[str, Any]], have: Known) -> list[dict[str, Any]]:
    """The items whose number is another one now: an export may come back with oversold SKUs, below 0 as they are.
    Raises WrongFile for any other number below 0.
    """
    column = next(name for name in MODES["set"] if name in read.columns)
    new = [(row, item) for row, item in zip(read.rows, items, strict=True) if not _as_now(have, item)]
    for row, item in new:
        if item["number"] < 0:
            read.wrong(row, column, f"{item['number']} should be at least 0; else leave the row out")
    read.finish()
    return [item for _, item in new]


def _as_now(have: Known, item: dict[str, Any]) -> bool:
    return item["sku"] in have and _now(have, item, "free") == item["number"]


def _now(have: Known, item: dict[str, Any], column: str) -> int:
    place = have[item["sku"]].get(item["location"])
    return 0 if place is None else int(place[column])


def _change(have: Known, item: dict[str, Any], mode: str) -> dict[str, Any]:
    """What an item changes: the free pieces of `set`, the pieces on hand of the others."""
    before = _now(have, item, "free" if mode == "set" else "on_hand")
    return item | {"before": before, "now": before + item["by"] if mode == "adjust" else item["number"]}


@stock.command("export")
@click.argument("file", type=files.FILE_OUT)
@click.option("--query", help="Only SKUs whose code or name contains this.")
@connected
async def export(here: Here, session: Session, file: Path, query: str | None) -> None:
    """Write all stock, without bundles, into a CSV that spreadsheets open and `stock import` reads; - is stdout."""
    files.refuse_dash_with_json(here, file)
    rows: list[dict[str, Any]] = []
    with here.screen.progress("reading") as advance:
        async for items in session.pages("/stock", query=query):
            rows += [line for line in lines(items) if "parts" not in line]  # a bundle has no stock of its own
            advance(len(items))
    files.save(here, file, sheet.written(COLUMNS[:-1], rows), len(rows))
