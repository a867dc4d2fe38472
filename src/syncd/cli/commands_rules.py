"""`syncd rules`: hold-back, share, floor and cap, by default, shop, SKU, or SKU in a shop."""

from __future__ import annotations

import click

from syncd.cli.changes import beside
from syncd.cli.refusal import Refused
from syncd.cli.screen import Rows
from syncd.cli.session import Session
from syncd.cli.starting import Here, Usual, connected
from syncd.cli.stock_lines import known
from syncd.cli.suggest import known_shop, unknown_sku

RULES = ("hold_back", "share", "floor", "cap")


class RuleName(click.Choice[str]):
    """A rule's name; hold-back is hold_back."""

    def __init__(self) -> None:
        super().__init__(RULES, case_sensitive=False)

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        return super().convert(value.replace("-", "_"), param, ctx)


@click.group(cls=Usual, usual="show")
def rules() -> None:
    """Rules between free stock and the number a listing shows: hold_back (予備在庫), share, floor, cap (表示上限)."""


async def _checked(here: Here, session: Session, shop: str | None, sku: str | None) -> None:
    if shop is not None:
        await known_shop(session, shop)
    if sku is not None and sku not in await known(session, [sku], here.screen):
        raise Refused(await unknown_sku(session, sku), status=404)


@rules.command("show")
@click.option("--shop", help="Only rules of this shop.")
@click.option("--sku", help="Only rules of this SKU.")
@connected
async def show(here: Here, session: Session, shop: str | None, sku: str | None) -> None:
    """Show the rules that are set; the narrowest scope wins: SKU in a shop, SKU, shop, default."""
    await _checked(here, session, shop, sku)
    document = await session.get("/rules", shop=shop, sku=sku)
    table = Rows(document["items"], ("rule", "shop", "sku", "value"), empty="no rule is set: listings show free stock")
    here.screen.answer(document, table)


@rules.command("set", context_settings={"ignore_unknown_options": True})
@click.argument("rule", type=RuleName())
@click.argument("value")
@click.option("--shop", help="For this shop.")
@click.option("--sku", help="For this SKU.")
@connected
async def set_(here: Here, session: Session, rule: str, value: str, shop: str | None, sku: str | None) -> None:
    """Set RULE to VALUE (pieces; percent for share), or take it away with VALUE none."""
    try:
        number = None if value.casefold() == "none" else int(value)
    except ValueError:
        raise click.UsageError(f'"{value}" should be a whole number, or none') from None
    await _checked(here, session, shop, sku)
    item = {"rule": rule, "value": number} | ({"shop": shop} if shop else {}) | ({"sku": sku} if sku else {})
    answer = await session.put("/rules", {"items": [item]})
    scope = " in ".join(each for each in (sku, shop) if each) or "all"
    told = f"{rule} of {scope}: {'taken away' if number is None else number}"
    here.screen.answer(answer, told, *beside(answer))
