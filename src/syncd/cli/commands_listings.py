"""`syncd listings`: which listing of a shop is which SKU."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click

from syncd.cli import changes, files, sheet
from syncd.cli.changes import settle, with_preview
from syncd.cli.refusal import Problem, Refused, WrongFile
from syncd.cli.screen import Rows
from syncd.cli.session import Session, part
from syncd.cli.sheet import Row, Sheet
from syncd.cli.starting import Here, Usual, connected
from syncd.cli.stock_lines import name_damaged
from syncd.cli.suggest import known_listing, known_shop
from syncd.core.matching import Match
from syncd.model import ListingState

COLUMNS = ("shop", "key", "name", "sku", "pack", "state", "sync", "target", "believed", "told_at", "held", "error")
KNOWN = ("shop", "key", "sku", "pack", "state", "sync", "name", "target", "believed")
PROPOSED = (
    "shop", "key", "name", "shop_sku", "jan", "match", "sku", "proposed", "confirm", "pack", "state", "candidates",
    "problem",
)  # fmt: skip
CERTAIN = ("mapped", "equal")
EXPORTED = ("shop", "key", "sku", "pack", "state", "sync", "name")
MATCHES = [Match.FOLDED.value, Match.JAN.value, Match.DIGITS.value]
STATES = [state.value for state in ListingState]
ITEM = re.compile(r"items[.\[](\d+)\]?(?:\.(\w+))?")


@click.group(cls=Usual, usual="list")
def listings() -> None:
    """Listings (出品): which SKU and pack size each listing of a shop is."""


@listings.command("list")
@click.option("--shop", help="Only this shop's.")
@click.option("--query", help="Only those whose key, name or SKU contains this.")
@click.option("--state", type=click.Choice(STATES), help="Only those in this state.")
@click.option("--wrong", is_flag=True, help="Only those that wait to be written or are in doubt.")
@click.option("--limit", type=click.IntRange(0), default=100, show_default=True, help="Most rows; 0 for all.")
@connected
async def list_(here: Here, session: Session, shop: str | None, limit: int, **filters: Any) -> None:
    """List listings with what they must show and are believed to show."""
    if shop is not None:
        await known_shop(session, shop)
    page = await session.some("/listings", limit, shop=shop, **filters)
    more = [] if page["next"] is None else ["There is more: use --query or --limit."]
    here.screen.answer(
        page,
        Rows(page["items"], COLUMNS, empty="no such listing; the first ones come from: syncd listings import --help"),
        *more,
    )


@listings.command("import")
@click.argument("file", type=files.FILE_IN, required=False)
@click.option("--shop", help="The shop; without a FILE its listings are fetched and matched.")
@click.option(
    "--accept",
    multiple=True,
    type=click.Choice(MATCHES),
    help="Without a FILE: also take the SKUs that were found this way; repeat it.",
)
@click.option("--create-skus", is_flag=True, help="Create the SKUs that do not exist yet.")
@click.option("--as-is", is_flag=True, help="Take SKU codes that look damaged by a spreadsheet.")
@with_preview
@connected
async def import_(
    here: Here,
    session: Session,
    file: Path | None,
    shop: str | None,
    accept: tuple[str, ...],
    create_skus: bool,
    as_is: bool,
    preview: bool,
    yes: bool,
) -> None:
    """Map listings to SKUs from a CSV (key, sku, pack, state, sync), or fetch a shop's listings and match them."""
    if file is None:
        if shop is None:
            raise click.UsageError("give a FILE, or --shop SHOP to fetch its listings")
        if create_skus:
            raise click.UsageError("--create-skus needs a FILE that says which SKU each listing is")
        await known_shop(session, shop)
        body: dict[str, Any] = {"shop": shop, **({"accept": list(accept)} if accept else {})}
        await settle(here, session, "/listings/fetch", body, preview=preview, yes=yes)
        return
    if accept:
        raise click.UsageError("a FILE says by itself which SKU each listing is: leave --accept out")
    read = sheet.read_sheet(files.content(file), str(file), (*KNOWN, *PROPOSED), ("key", "sku"))
    shop = _shop_of(read, shop)
    await known_shop(session, shop)
    read.once([(row["key"],) for row in read.rows], "key")
    _keep_decided(read)
    items = [_item(read, row) for row in read.rows]
    read.finish()
    if not items:
        here.screen.answer({"changes": [], "applied": False}, "nothing is decided in this file yet")
        return
    if not as_is:
        await name_damaged(session, read, here.screen)
    body = {"shop": shop, "items": items, "create_skus": create_skus}
    try:
        await settle(here, session, "/listings", body, preview=preview, yes=yes)
    except Refused as error:
        raise _in_file(read, error) from None


def _shop_of(read: Sheet, shop: str | None) -> str:
    """The one shop of a file. Raises WrongFile for a second one, which could be applied by half only."""
    if "shop" not in read.columns:
        if shop is None:
            raise click.UsageError("the file has no column shop: add --shop SHOP")
        return shop
    name = shop or read.rows[0]["shop"]
    for row in read.rows:
        if row["shop"] != name:
            read.wrong(row, "shop", f'"{sheet.shortened(row["shop"])}" is not {name}; import one shop at a time')
    read.finish()
    return name


def _keep_decided(read: Sheet) -> None:
    """Of a file of proposals only the rows that a person decided: a SKU of their own, or a yes to the one proposed.

    Elsewhere an empty SKU takes a mapping away; here it only was not decided.
    """
    if "proposed" not in read.columns:
        return
    decided = []
    for row in read.rows:
        says_yes = bool(row["confirm"]) and read.flag(row, "confirm")
        if says_yes and not row["sku"] and not row["proposed"]:
            read.wrong(row, "confirm", "there is no SKU to say yes to; fill in sku")
        if says_yes and row["sku"] and row["proposed"] and row["sku"] != row["proposed"]:
            read.wrong(row, "confirm", f"a yes to {row['proposed']}, and another SKU in the column sku")
        sku = row["sku"] or (row["proposed"] if says_yes else "")
        if sku or row["state"]:
            decided.append(Row(row.line, {**row.cells, "sku": sku}))
    read.rows[:] = decided


def _item(read: Sheet, row: Row) -> dict[str, Any]:
    """One row as the API takes it. An empty SKU takes the mapping away; any other empty cell leaves that as it is."""
    item: dict[str, Any] = {"key": row["key"], "sku": read.code(row, required=False) or None}
    if item["sku"] is None and "proposed" in read.columns:
        del item["sku"]
    if not row["key"]:
        read.wrong(row, "key", "is empty")
    if row["pack"]:
        item["pack"] = read.whole(row, "pack", least=1)
    if row["sync"]:
        item["sync"] = read.flag(row, "sync")
    if row["name"]:
        item["name"] = row["name"]
    if state := row["state"]:
        item["state"] = state
        if state not in STATES:
            read.wrong(row, "state", f'"{sheet.shortened(state)}" should be one of: {", ".join(STATES)}')
    return item


def _in_file(read: Sheet, error: Refused) -> Refused:
    """The API's error about an item as one about a line of the file."""
    found = ITEM.search(error.where or "")
    if found is None or int(found[1]) >= len(read.rows):
        return error
    row = read.rows[int(found[1])]
    return WrongFile([Problem(read.file, row.line, read.columns.get(found[2] or ""), str(error))])


@listings.command("export")
@click.argument("file", type=files.FILE_OUT)
@click.option("--shop", help="Only this shop's.")
@connected
async def export(here: Here, session: Session, file: Path, shop: str | None) -> None:
    """Write the mapping of listings into a CSV that `listings import` reads; - is stdout."""
    files.refuse_dash_with_json(here, file)
    if shop is not None:
        await known_shop(session, shop)
    rows: list[dict[str, Any]] = []
    with here.screen.progress("reading") as advance:
        async for items in session.pages("/listings", shop=shop):
            rows += items
            advance(len(items))
    for row in rows:
        row["sync"] = bool(row.get("sync", True))
    files.save(here, file, sheet.written(EXPORTED, rows), len(rows))


@listings.command("proposals")
@click.option("--shop", required=True, help="The shop whose listings are read.")
@click.option("--csv", "file", type=files.FILE_OUT, help="Write them into a CSV to decide in; - is stdout.")
@connected
async def proposals(here: Here, session: Session, shop: str, file: Path | None) -> None:
    """Read a shop's listings and show which SKU each seems to be. Changes nothing.

    In the CSV say yes in the column confirm, or fill in sku, and give the file to `listings import`.
    """
    await known_shop(session, shop)
    document = await session.post("/listings/fetch", {"shop": shop, "preview": True})
    left = [one for one in document["proposals"] if one["match"] != "mapped" or one["problem"]]
    if file is None:
        here.screen.answer(
            document, Rows(left, changes.PROPOSED, empty="every listing has its SKU"), *document["notes"]
        )
        return
    files.refuse_dash_with_json(here, file)
    files.save(here, file, sheet.written(PROPOSED, [_proposed(shop, one) for one in left]), len(left))


def _proposed(shop: str, one: dict[str, Any]) -> dict[str, Any]:
    """A proposal as a row of the file. What is certain stands in sku; anything else waits for a yes."""
    certain = one["match"] in CERTAIN
    return {
        **one,
        "shop": shop,
        "key": one["listing"],
        "sku": one["sku"] if certain else None,
        "proposed": None if certain else one["sku"],
        "state": None if one["state"] == ListingState.OURS else one["state"],
        "pack": one["pack"] if one["sku"] else None,
        "candidates": " ".join(one["candidates"]) if len(one["candidates"]) > 1 else None,
    }


@listings.command("map")
@click.argument("shop")
@click.argument("listing")
@click.option("--sku", help="The SKU that it sells.")
@click.option("--pack", type=click.IntRange(1), help="Pieces of the SKU in one unit of it.")
@click.option("--state", type=click.Choice(STATES), help="What it is to us; only `ours` is written.")
@click.option("--sync", type=click.Choice(["on", "off"]), help="Whether its stock is written.")
@connected
async def map_(here: Here, session: Session, shop: str, listing: str, sync: str | None, **given: Any) -> None:
    """Change what the known LISTING of SHOP is: its SKU, pack size and state, and whether it is written."""
    item = {name: value for name, value in given.items() if value is not None}
    if sync is not None:
        item["sync"] = sync == "on"
    if not item:
        raise click.UsageError("name what to change: --sku, --pack, --state or --sync")
    await known_shop(session, shop)
    await _known(session, shop, listing)
    answer = await session.post("/listings", {"shop": shop, "items": [{"key": listing, **item}]})
    here.screen.answer(answer, *(changes.done(answer) if answer["changes"] else [f"{listing} of {shop} is so already"]))


async def _known(session: Session, shop: str, listing: str) -> None:
    """Refuse a key that no listing has; a new one comes by an import, where a slip of the finger shows."""
    try:
        await session.get(f"/why/{part(shop)}/{part(listing)}")
    except Refused as error:
        raise await known_listing(session, shop, listing, error) from None


@listings.command("set")
@click.argument("shop")
@click.argument("key")
@click.argument("options", nargs=-1, required=True, metavar="NAME=VALUE...")
@connected
async def set_(here: Here, session: Session, shop: str, key: str, options: tuple[str, ...]) -> None:
    """Set options of the listing KEY at SHOP, e.g. lead times. An empty VALUE takes one away."""
    await known_shop(session, shop)
    given: dict[str, str] = {}
    for text in options:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise click.UsageError(f'"{text}": write NAME=VALUE')
        given[name] = value
    document = await session.post("/listings/options", {"shop": shop, "listing": key, "options": given})
    here.screen.answer(document, f"{key} of {shop}: set {', '.join(sorted(given))}")
