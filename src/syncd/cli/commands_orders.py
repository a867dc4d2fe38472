"""`syncd orders`: what was ordered, what cannot be delivered, and the two things a person decides about orders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

from syncd.cli.changes import settle, with_preview
from syncd.cli.screen import Part, Rows
from syncd.cli.session import Session, part
from syncd.cli.starting import Here, Usual, connected
from syncd.cli.suggest import known_shop

COLUMNS = ("shop", "number", "label", "open", "placed_at", "lines")
SHORT = ("shop", "number", "placed_at", "sku", "pieces", "line")


@click.group(cls=Usual, usual="list")
def orders() -> None:
    """Orders (受注): list them, close one that can no longer be read, book one anew by today's mapping."""


@orders.command("list")
@click.option("--shop", help="Only this shop's.")
@click.option("--number", help="Only the order with this number.")
@click.option("--open", "open_only", is_flag=True, help="Only orders that still hold stock.")
@click.option("--short", is_flag=True, help="Only orders that cannot be delivered in full (売り越し).")
@click.option("--limit", type=click.IntRange(0), default=100, show_default=True, help="Most orders; 0 for all.")
@connected
async def list_(
    here: Here, session: Session, shop: str | None, number: str | None, open_only: bool, short: bool, limit: int
) -> None:
    """List orders, newest first."""
    if shop is not None:
        await known_shop(session, shop)
    if short:
        document = await session.get("/orders/short")
        items = [i for i in document["items"] if shop in (None, i["shop"]) and number in (None, i["number"])]
        here.screen.answer({**document, "items": items}, Rows(items, SHORT, empty="no order is short"))
        return
    page = await session.some("/orders", limit, shop=shop, number=number, open=open_only)
    shown = [order | {"lines": _brief(order.get("lines", []))} for order in page["items"]]
    parts: list[Part] = [Rows(shown, COLUMNS, empty="no such order")]
    if page["next"] is not None:
        parts.append("There is more: use --limit.")
    here.screen.answer(page, *parts)


def _brief(lines: Sequence[Mapping[str, Any]]) -> str:
    """The lines of an order in one cell: `red-mug × 2, blue-mug × 1 (cancelled 1)`."""
    return ", ".join(_line(line) for line in lines)


def _line(line: Mapping[str, Any]) -> str:
    rest = [f"{name} {line[name]}" for name in ("cancelled", "shipped", "returned") if line.get(name)]
    rest += [] if line.get("booked", True) else ["not booked: unknown listing"]
    name = line.get("listing") or line.get("listing_key") or line.get("key") or line.get("line")
    return f"{name} × {line.get('ordered', 0)}" + (f" ({', '.join(rest)})" if rest else "")


@orders.command("close")
@click.argument("shop")
@click.argument("number")
@click.option("--note", default="", help="Why; kept in the ledger.")
@click.option("--yes", is_flag=True, help="Close without asking.")
@connected
async def close(here: Here, session: Session, shop: str, number: str, note: str, yes: bool) -> None:
    """Close an order that SHOP no longer shows: what it holds becomes free."""
    await known_shop(session, shop)
    if not yes and here.screen.is_terminal:
        click.confirm(f"Close {number} of {shop} and free what it holds?", abort=True)
    answer = await session.post(f"/orders/{part(shop)}/{part(number)}/close", {"note": note})
    here.screen.answer(answer, f"{number} of {shop}: closed")


@orders.command("rebook")
@click.argument("shop")
@click.argument("numbers", nargs=-1, required=True, metavar="NUMBER...")
@with_preview
@connected
async def rebook(here: Here, session: Session, shop: str, numbers: tuple[str, ...], preview: bool, yes: bool) -> None:
    """Book orders of SHOP anew by today's mapping, after a listing was mapped to the wrong SKU."""
    await known_shop(session, shop)
    body = {"shop": shop, "numbers": list(numbers)}
    await settle(here, session, "/orders/rebook", body, preview=preview, yes=yes)
