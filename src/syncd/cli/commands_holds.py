"""`syncd holds`: units held for a listing that its shop counts apart, e.g. an auction, until they are ordered."""

from __future__ import annotations

import click

from syncd.cli.changes import done
from syncd.cli.screen import Rows
from syncd.cli.session import Session, part
from syncd.cli.starting import Here, Usual, connected
from syncd.cli.suggest import known_shop
from syncd.daemon.desk_holds import Given

COLUMNS = ("shop", "hold", "listing", "offered", "won", "open", "first_at", "seen_at")


@click.group(cls=Usual, usual="list")
def holds() -> None:
    """Holds (取り置き): units put aside for an auction or the like, won units, and what is given up."""


@holds.command("list")
@click.option("--shop", help="Only this shop's.")
@click.option("--all", "every", is_flag=True, help="Also those that hold nothing any more.")
@click.option("--limit", type=click.IntRange(0), default=100, show_default=True, help="Most rows; 0 for all.")
@connected
async def list_(here: Here, session: Session, shop: str | None, every: bool, limit: int) -> None:
    """List holds, newest first."""
    if shop is not None:
        await known_shop(session, shop)
    page = await session.some("/holds", limit, shop=shop, open=not every)
    more = [] if page["next"] is None else ["There is more: use --limit."]
    here.screen.answer(page, Rows(page["items"], COLUMNS, empty="no hold"), *more)


@holds.command("add")
@click.argument("shop")
@click.argument("hold")
@click.argument("listing")
@click.argument("units", type=click.IntRange(1))
@click.option("--note", default="", help="Why; kept in the ledger.")
@connected
async def add(here: Here, session: Session, shop: str, hold: str, listing: str, units: int, note: str) -> None:
    """Hold UNITS of LISTING of SHOP from now on, under the name HOLD, e.g. the auction's id. Again adds to it."""
    await known_shop(session, shop)
    body = {"shop": shop, "hold": hold, "listing": listing, "units": units, "note": note}
    document = await session.post("/holds", body)
    here.screen.answer(document, *done(document, "held"))


@holds.command("won")
@click.argument("shop")
@click.argument("hold")
@click.argument("units", type=click.IntRange(1), default=1)
@click.option("--note", default="", help="Why; kept in the ledger.")
@connected
async def won(here: Here, session: Session, shop: str, hold: str, units: int, note: str) -> None:
    """Say that UNITS of HOLD were won (落札) and are not ordered yet: they stay held when the rest is given up."""
    await known_shop(session, shop)
    document = await session.post(f"/holds/{part(shop)}/{part(hold)}/won", {"units": units, "note": note})
    here.screen.answer(document, *done(document, "won"))


@holds.command("release")
@click.argument("shop")
@click.argument("hold")
@click.option(
    "--given",
    type=click.Choice([given.value for given in Given]),
    default=Given.OFFERED.value,
    show_default=True,
    help="What is given up: what is still offered, what was won and never ordered, or all.",
)
@click.option("--note", default="", help="Why; kept in the ledger.")
@connected
async def release(here: Here, session: Session, shop: str, hold: str, given: str, note: str) -> None:
    """Give up what of HOLD nobody will order: the auction ended unsold, or its winner never ordered."""
    await known_shop(session, shop)
    document = await session.post(f"/holds/{part(shop)}/{part(hold)}/release", {"given": given, "note": note})
    here.screen.answer(document, *done(document, "released"))
