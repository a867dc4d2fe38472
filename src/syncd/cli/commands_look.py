"""`syncd status|log|alarms|why|plugins`: commands that only look."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from syncd.cli.commands_policy import block
from syncd.cli.commands_shops import COLUMNS as SHOP_COLUMNS
from syncd.cli.refusal import Refused
from syncd.cli.screen import Part, Rows, cell
from syncd.cli.session import Session, part
from syncd.cli.starting import Here, connected
from syncd.cli.stock_lines import known
from syncd.cli.suggest import known_listing, unknown_sku
from syncd.cli.words import heading

ENTRIES = ("id", "at", "kind", "location", "on_hand", "ordered", "allocated", "shop", "order", "line", "who", "note")
ALARMS = 1000
BLOCKS = ("steps", "entries", "policies", "exposure", "conditions")
UNSHOWN = ("sku", "booking", "key")


@click.command()
@connected
async def status(here: Here, session: Session) -> None:
    """Show how everything stands: version, shops, what waits, alarms, latency."""
    document = await session.get("/status")
    tables = {key: value for key, value in document.items() if isinstance(value, list)}
    parts: list[Part] = [facts({key: value for key, value in document.items() if key not in tables})]
    for key, value in tables.items():
        rows = [row for row in value if isinstance(row, Mapping)]
        if rows:
            parts += ["", Rows(rows, SHOP_COLUMNS if key == "shops" else (), title=key)]
        parts += [f"{heading(key)}: {cell(text)}" for text in value if not isinstance(text, Mapping)]
    here.screen.answer(document, *parts)


@click.command()
@click.argument("sku")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="Most entries.")
@connected
async def log(here: Here, session: Session, sku: str, limit: int) -> None:
    """Show the ledger of SKU (在庫変動), newest first: what changed, when and why."""
    if sku not in await known(session, [sku], here.screen):
        raise Refused(await unknown_sku(session, sku), status=404)
    page = await session.get("/entries", sku=sku, limit=limit)
    here.screen.answer(page, Rows(page["items"], _columns(page["items"]), empty=f"nothing was booked on {sku} yet"))


def _columns(entries: list[dict[str, Any]]) -> list[str]:
    """The usual columns first, then whatever else an entry tells but its SKU."""
    rest = dict.fromkeys(key for entry in entries for key in entry if key not in (*ENTRIES, *UNSHOWN))
    return [*ENTRIES, *rest]


@click.command()
@click.option("--all", "every", is_flag=True, help="Also those that are over.")
@connected
async def alarms(here: Here, session: Session, every: bool) -> None:
    """Show the alarms that are open; the exit code stays 0."""
    document = await session.some("/alarms", ALARMS, open="false" if every else "true")
    columns = ("raised_at", "last_at", "cleared_at", "shop", "kind", "subject", "text", "times")
    here.screen.answer(document, Rows(document["items"], columns, empty="no alarm is open"))


@click.command()
@connected
async def plugins(here: Here, session: Session) -> None:
    """List the installed plugins, and why one could not be loaded."""
    document = await session.get("/plugins")
    columns = ("entry_point", "channel", "status", "error")
    here.screen.answer(document, Rows(document["items"], columns, empty="no plugin is installed"))


@click.command()
@click.argument("shop")
@click.argument("listing")
@connected
async def why(here: Here, session: Session, shop: str, listing: str) -> None:
    """Explain the number of LISTING in SHOP: the chain from on hand to what was sent, and what holds it."""
    try:
        document = await session.get(f"/why/{part(shop)}/{part(listing)}")
    except Refused as error:
        raise await known_listing(session, shop, listing, error) from None
    steps = document.get("steps", [])
    entries = document.get("entries", [])
    rest = {k: v for k, v in document.items() if k not in (*BLOCKS, "shop", "listing")}
    parts: list[Part] = [
        f"{listing} in {shop}",
        Rows(steps, ("step", "number", "setting"), empty="no number: this listing is not ours to write"),
        *block(document),
        "",
        facts(rest),
    ]
    if entries:
        parts += ["", Rows(entries, ["sku", *_columns(entries)], title="latest entries")]
    here.screen.answer(document, *parts)


def facts(document: Mapping[str, Any]) -> str:
    """Single values one a line, under their headings."""
    return "\n".join(f"{heading(key)}: {cell(value)}" for key, value in document.items())
