"""`syncd shops`, `syncd approve`, `syncd sync`: shops, and what is written to them."""

from __future__ import annotations

import click

from syncd.cli.changes import beside, counted, done
from syncd.cli.refusal import Refused
from syncd.cli.screen import Rows
from syncd.cli.session import Session, part
from syncd.cli.starting import Here, Usual, connected
from syncd.cli.suggest import known_listing, known_shop

COLUMNS = (
    "name", "channel", "status", "orders", "writes", "last_order_read", "last_write", "oldest_push", "outbox", "doubts",
    "held", "alarms", "drift", "status_text",
)  # fmt: skip


@click.group(cls=Usual, usual="list")
def shops() -> None:
    """Shops (店舗): list, start, pause and resume them."""


@shops.command("list")
@connected
async def list_(here: Here, session: Session) -> None:
    """List the shops: how they stand, last good read and write, what waits."""
    document = await session.get("/shops")
    here.screen.answer(document, Rows(document["items"], COLUMNS, empty="no shop yet: put one into shops.d"))


def _verb(name: str, told: str, done: str) -> click.Command:
    @connected
    async def command(here: Here, session: Session, shop: str) -> None:
        await known_shop(session, shop)
        answer = await session.post(f"/shops/{part(shop)}/{name}")
        here.screen.answer(answer, f"{shop}: {done}")

    command.__doc__ = told
    return click.command(name)(click.argument("shop")(command))


shops.add_command(_verb("start", "Let SHOP be written for the first time: numbers go out from now on.", "started"))
shops.add_command(_verb("pause", "Stop reading and writing SHOP; changes are kept for it.", "paused"))
shops.add_command(_verb("resume", "Go on with SHOP after a pause.", "resumed"))


@shops.command("sign-in")
@click.argument("shop")
@connected
async def sign_in(here: Here, session: Session, shop: str) -> None:
    """Sign in for SHOP on its channel's page; it goes on at once, and so do others of the same sign-in.

    Asks for what the page gives; it is read from standard input, never from an argument.
    """
    await known_shop(session, shop)
    path = f"/shops/{part(shop)}/sign-in"
    page = await session.get(path)
    here.screen.warn(f"Open this address in a browser and sign in:\n\n  {page['address']}\n")
    here.screen.warn(f"Then bring back {page['bring_back']}.")
    brought_back = click.prompt("Brought back", err=True, prompt_suffix=": ")
    answer = await session.post(path, {"brought_back": brought_back})
    here.screen.answer(answer, f"{shop}: signed in; syncd shops shows when it runs")


@click.command()
@click.argument("shop")
@click.argument("listing", required=False)
@connected
async def approve(here: Here, session: Session, shop: str, listing: str | None) -> None:
    """Let held listings of SHOP be written: those the brake held, or whose number staff changed on the mall."""
    await known_shop(session, shop)
    body = {"shop": shop} if listing is None else {"shop": shop, "listing": listing}
    try:
        answer = await session.post("/approve", body)
    except Refused as error:
        raise (error if listing is None else await known_listing(session, shop, listing, error)) from None
    told = (
        done(answer, "approved") if answer.get("changes") else ["nothing was held that this approves", *beside(answer)]
    )
    here.screen.answer(answer, *told)


@click.command()
@click.option("--shop", help="Only this shop.")
@click.option("--dry-run", is_flag=True, help="Only show every number that differs, and why.")
@click.option("--full", is_flag=True, help="Compare and push everything (一括同期), in the background.")
@connected
async def sync(here: Here, session: Session, shop: str | None, dry_run: bool, full: bool) -> None:
    """Bring all shops up to date now; with --dry-run show what would change."""
    if dry_run and full:
        raise click.UsageError("--dry-run and --full exclude each other")
    if shop is not None:
        await known_shop(session, shop)
    with here.screen.progress("comparing"):
        answer = await session.post("/sync", {"shop": shop, "full": full, "dry_run": dry_run})
    if not dry_run:
        wrong = counted(answer.get("changes", []))
        told = "full sync asked for; it runs in the background" if full else f"sync asked for: {wrong} waited"
        here.screen.answer(answer, told)
        return
    changes = answer.get("changes", [])
    compared = answer.get("listings", 0)
    empty = "every shop shows what it must" if compared else "no listing has a SKU yet: syncd listings import --help"
    table = Rows(changes, ("shop", "listing", "sku", "shows", "would_show", "why"), empty=empty)
    told = f"{counted(changes)} in {compared} listings; nothing was written."
    here.screen.answer(answer, table, told + (" There is more: use --shop." if answer.get("more") else ""))
