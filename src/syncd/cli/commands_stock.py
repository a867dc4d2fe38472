"""`syncd stock`: look up and correct the stock of single SKUs."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import click

from syncd.cli.changes import beside
from syncd.cli.refusal import Refused
from syncd.cli.screen import Rows
from syncd.cli.session import Session
from syncd.cli.starting import Here, Usual, connected
from syncd.cli.stock_lines import COLUMNS, MAIN, known, lines
from syncd.cli.suggest import unknown_sku

NEGATIVE = {"ignore_unknown_options": True}
"""So that -5 is a number and no option."""

location_option = click.option("--location", default=MAIN, show_default=True, help="The location (倉庫・拠点).")
note_option = click.option("--note", default="", help="Why; kept in the ledger.")


@click.group(cls=Usual, usual="show")
def stock() -> None:
    """Stock: look it up, correct it, take it over, import and export it."""


@stock.command("show")
@click.argument("skus", metavar="[SKU]...", nargs=-1)
@click.option("--query", help="Only SKUs whose code or name contains this.")
@click.option("--limit", type=click.IntRange(0), default=100, show_default=True, help="Most SKUs; 0 for all.")
@connected
async def show(here: Here, session: Session, skus: tuple[str, ...], query: str | None, limit: int) -> None:
    """Show stock of SKUs per location: on hand, ordered, allocated, deliverable and free."""
    have = await known(session, skus, here.screen)
    if missing := [code for code in dict.fromkeys(skus) if code not in have]:
        raise Refused("\n".join([await unknown_sku(session, code) for code in missing]), status=404)
    page = await session.some("/stock", 0 if skus else limit, sku=list(skus) or None, query=query)
    table = list(lines(page["items"]))
    oversold = [line for line in table if line["free"] < 0]
    parts: list[str | Rows] = [
        Rows(table, COLUMNS, empty="no such SKU; the first ones come from: syncd skus import --help")
    ]
    if oversold:
        parts.append(f"{len(oversold)} oversold (売り越し): see syncd orders --short")
    if page["next"] is not None:
        parts.append("There is more: use --query or --limit.")
    here.screen.answer(page, *parts)


async def _correct(
    here: Here, session: Session, verb: str, sku: str, change: dict[str, Any], note: str, **more: Any
) -> None:
    """Make one correction and show the SKU's line before and after."""
    before = await known(session, [sku], here.screen)
    if sku not in before:
        raise Refused(await unknown_sku(session, sku), status=404)
    answer = await session.post(f"/stock/{verb}", {"items": [{"sku": sku, **change}], "note": note, **more})
    after = await known(session, [sku], here.screen)
    place = change["location"]
    rows = [
        {"when": when, "sku": sku, "location": place, **have[sku].get(place, {})}
        for when, have in (("before", before), ("now", after))
    ]
    columns = ("when", "sku", "location", "on_hand", "ordered", "allocated", "free")
    document = {"sku": sku, "location": place, "before": before[sku].get(place), "now": after[sku].get(place)}
    here.screen.answer({**answer, **document}, Rows(rows, columns), *beside(answer))


@stock.command("set", context_settings=NEGATIVE)
@click.argument("sku")
@click.argument("number", type=click.IntRange(0))
@location_option
@note_option
@connected
async def set_(here: Here, session: Session, sku: str, number: int, location: str, note: str) -> None:
    """Say how many pieces of SKU can be sold now; what open orders hold comes on top (開始在庫)."""
    await _correct(here, session, "set", sku, {"location": location, "number": number}, note)


@stock.command("adjust", context_settings=NEGATIVE)
@click.argument("sku")
@click.argument("by", type=int)
@location_option
@note_option
@click.option("--key", help="Adjust once under this key, however often the command is repeated.")
@connected
async def adjust(here: Here, session: Session, sku: str, by: int, location: str, note: str, key: str | None) -> None:
    """Add pieces to what is on hand of SKU, or take some off: 5, -3."""
    more = {} if key is None else {"key": key}
    await _correct(here, session, "adjust", sku, {"location": location, "by": by}, note, **more)


@stock.command("count", context_settings=NEGATIVE)
@click.argument("sku")
@click.argument("number", type=click.IntRange(0))
@click.option("--at", metavar="TIME", help="When it was counted, e.g. 2026-11-20T18:00+09:00; now if not given.")
@location_option
@note_option
@connected
async def count(here: Here, session: Session, sku: str, number: int, at: str | None, location: str, note: str) -> None:
    """Say how many pieces of SKU lay on the shelf at a time (棚卸). Shipments before it are not taken off again."""
    change = {"location": location, "number": number, **({} if at is None else {"at": moment(at)})}
    await _correct(here, session, "count", sku, change, note)


def moment(text: str) -> str:
    """A time as the API takes it; without a zone it is this machine's. Raises a usage error."""
    try:
        return datetime.fromisoformat(text).astimezone().isoformat()
    except ValueError:
        raise click.UsageError(f'"{text}" is no time; write e.g. 2026-11-20T18:00+09:00') from None
