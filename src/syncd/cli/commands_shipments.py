"""`syncd orders ship` and `syncd shipments`: parcels that left, and where each stands with its shop."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click

from syncd.cli import files, parcels, sheet
from syncd.cli.changes import done, settle, with_preview
from syncd.cli.commands_orders import orders
from syncd.cli.commands_stock import moment
from syncd.cli.refusal import Problem, Refused, WrongFile
from syncd.cli.screen import Rows
from syncd.cli.session import Session
from syncd.cli.sheet import Sheet
from syncd.cli.starting import Here, Usual, connected
from syncd.cli.suggest import known_shop
from syncd.model import ShipmentState
from syncd.sdk.channel import Carrier

COLUMNS = ("id", "shop", "order", "state", "carrier", "tracking", "shipped_at", "lines", "note")
CHANGES = ("shop", "order", "line", "listing", "units", "carrier", "tracking", "state")
CARRIERS = [carrier.value for carrier in Carrier]
ITEM = re.compile(r"items\[(\d+)\]\.(?:lines\[(.*)\]\.)?(\w+)")


@orders.command("ship")
@click.argument("shop", required=False)
@click.argument("numbers", nargs=-1, metavar="[ORDER]...")
@click.option("--file", "file", type=files.FILE_IN, help="Parcels from a CSV instead.")
@click.option("--carrier", type=click.Choice(CARRIERS), help="Who carries it (配送会社).")
@click.option("--carrier-name", default="", help="The name of a carrier that is `other`.")
@click.option("--tracking", default="", help="The tracking number (送り状番号).")
@click.option("--at", metavar="TIME", help="When it left; now if not given.")
@click.option("--line", "lines", metavar="LINE=UNITS", multiple=True, help="Only these units of a line; repeat it.")
@with_preview
@connected
async def ship(
    here: Here,
    session: Session,
    shop: str | None,
    numbers: tuple[str, ...],
    file: Path | None,
    lines: tuple[str, ...],
    preview: bool,
    yes: bool,
    **parcel: str | None,
) -> None:
    """Book that orders of SHOP left: on hand goes down, the hold ends, and the shop is told. All of it or nothing."""
    if file is not None:
        if shop or any(parcel.values()) or lines:
            raise click.UsageError("a --file says shop, orders, carrier and tracking number itself")
        read = sheet.read_sheet(files.content(file), str(file), parcels.KNOWN, parcels.REQUIRED)
        found = parcels.grouped(read)
        body: dict[str, Any] = {"items": [one.item for one in found]}
        try:
            await settle(here, session, "/shipments", body, columns=CHANGES, preview=preview, yes=yes)
        except Refused as error:
            raise _in_file(read, found, error) from None
        return
    if shop is None or not numbers or parcel["carrier"] is None:
        raise click.UsageError("give a --file, or SHOP, ORDER… and --carrier")
    await known_shop(session, shop)
    item = {"shop": shop, **_parcel(parcel), "lines": line_units(lines)}
    body = {"items": [{**item, "order": number} for number in numbers]}
    await settle(here, session, "/shipments", body, columns=CHANGES, preview=preview, yes=yes)


def _parcel(given: dict[str, str | None]) -> dict[str, Any]:
    at = given.pop("at")
    return {**given, **({} if at is None else {"shipped_at": moment(at)})}


def line_units(given: tuple[str, ...]) -> dict[str, int | None]:
    """LINE=UNITS as the API takes it; without =UNITS all that is left of the line."""
    found: dict[str, int | None] = {}
    for text in given:
        name, equals, units = text.rpartition("=") if "=" in text else (text, "", "")
        if equals and not units.isdigit():
            raise click.UsageError(f'--line "{text}": write LINE=UNITS, e.g. 1=2')
        found[name] = int(units) if equals else None
    return found


def _in_file(read: Sheet, found: list[parcels.Parcel], error: Refused) -> Refused:
    """The API's mistakes about items as mistakes on lines of the file."""
    problems = []
    for where, text in error.mistakes:
        match = ITEM.match(where)
        if match is None or int(match[1]) >= len(found):
            return error
        row = found[int(match[1])].row_of(match[2])
        problems.append(Problem(read.file, row.line, read.columns.get(match[3]), text))
    return WrongFile(problems) if problems else error


@click.group(cls=Usual, usual="list")
def shipments() -> None:
    """Shipments (出荷): parcels booked here, and where each stands with its shop."""


@shipments.command("list")
@click.option("--shop", help="Only this shop's.")
@click.option("--order", help="Only those of the order with this number.")
@click.option("--state", type=click.Choice([state.value for state in ShipmentState]), help="Only those in this state.")
@click.option("--limit", type=click.IntRange(0), default=100, show_default=True, help="Most rows; 0 for all.")
@connected
async def list_(here: Here, session: Session, shop: str | None, limit: int, **filters: Any) -> None:
    """List shipments, newest first."""
    if shop is not None:
        await known_shop(session, shop)
    page = await session.some("/shipments", limit, shop=shop, **filters)
    shown = [row | {"lines": [f"{one['listing']} × {one['units']}" for one in row["lines"]]} for row in page["items"]]
    more = [] if page["next"] is None else ["There is more: use --limit."]
    here.screen.answer(page, Rows(shown, COLUMNS, empty="no such shipment"), *more)


@shipments.command("retry")
@click.argument("shipment", type=int)
@connected
async def retry(here: Here, session: Session, shipment: int) -> None:
    """Send a SHIPMENT once more that was refused, is in doubt, or was not sent."""
    await _decide(here, session, shipment, "retry", "sent again")


@shipments.command("settle")
@click.argument("shipment", type=int)
@connected
async def settle_(here: Here, session: Session, shipment: int) -> None:
    """Say that the shop has this SHIPMENT: somebody entered it there, or sees it there."""
    await _decide(here, session, shipment, "settle", "settled")


@shipments.command("withdraw")
@click.argument("shipment", type=int)
@click.option("--yes", is_flag=True, help="Take it back without asking.")
@connected
async def withdraw(here: Here, session: Session, shipment: int, yes: bool) -> None:
    """Take a SHIPMENT back that never left: its pieces are on hand and held again."""
    if not yes and here.screen.is_terminal:
        click.confirm(f"Did shipment {shipment} never leave?", abort=True)
    await _decide(here, session, shipment, "withdraw", "withdrawn")


async def _decide(here: Here, session: Session, shipment: int, decision: str, verb: str) -> None:
    document = await session.post(f"/shipments/{shipment}/{decision}")
    here.screen.answer(document, *done(document, verb))
