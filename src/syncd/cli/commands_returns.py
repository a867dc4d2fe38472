"""`syncd returns`: returned goods (返品) that a person looks at before they are on the shelf again."""

from __future__ import annotations

from typing import Any

import click

from syncd.cli.changes import settle, with_preview
from syncd.cli.commands_shipments import line_units
from syncd.cli.screen import Rows
from syncd.cli.session import Session
from syncd.cli.starting import Here, Usual, connected
from syncd.cli.suggest import known_shop

COLUMNS = ("shop", "order", "line", "listing", "units", "reason", "returned", "accepted", "rejected")
CHANGES = ("shop", "order", "line", "listing", "units", "reason", "verdict")


@click.group(cls=Usual, usual="list")
def returns() -> None:
    """Returned goods (返品) of shops with `returns = "inspect"`: a person decides whether they come back."""


@returns.command("list")
@click.option("--shop", help="Only this shop's.")
@click.option("--limit", type=click.IntRange(0), default=100, show_default=True, help="Most rows; 0 for all.")
@connected
async def list_(here: Here, session: Session, shop: str | None, limit: int) -> None:
    """List returned units that wait to be inspected, oldest first."""
    if shop is not None:
        await known_shop(session, shop)
    page = await session.some("/returns", limit, shop=shop)
    more = [] if page["next"] is None else ["There is more: use --limit."]
    here.screen.answer(page, Rows(page["items"], COLUMNS, empty="no returned goods wait"), *more)


def _verdict(command: Any) -> Any:
    """SHOP ORDER… and --line, with --preview and --yes."""
    line = click.option("--line", "lines", metavar="LINE=UNITS", multiple=True, help="Only these units; repeat it.")
    orders = click.argument("numbers", nargs=-1, required=True, metavar="ORDER...")
    return click.argument("shop")(orders(line(with_preview(command))))


@returns.command("accept")
@_verdict
@connected
async def accept(here: Here, session: Session, **given: Any) -> None:
    """Put what came back of ORDERs of SHOP on the shelf again: on hand goes up, once."""
    await _decide(here, session, "accept", **given)


@returns.command("reject")
@_verdict
@connected
async def reject(here: Here, session: Session, **given: Any) -> None:
    """Say that what came back of ORDERs of SHOP cannot be sold."""
    await _decide(here, session, "reject", **given)


async def _decide(
    here: Here,
    session: Session,
    verdict: str,
    *,
    shop: str,
    numbers: tuple[str, ...],
    lines: tuple[str, ...],
    preview: bool,
    yes: bool,
) -> None:
    await known_shop(session, shop)
    items = [{"shop": shop, "order": number, "lines": line_units(lines)} for number in numbers]
    await settle(here, session, f"/returns/{verdict}", {"items": items}, columns=CHANGES, preview=preview, yes=yes)
