"""`syncd policy`: how SKUs are shown (連動方式), and whether they can be oversold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click

from syncd.cli.changes import beside, counted
from syncd.cli.commands_stock import moment
from syncd.cli.refusal import Refused
from syncd.cli.screen import Part, Rows, cell
from syncd.cli.session import Session
from syncd.cli.starting import Here, Usual, connected
from syncd.cli.stock_lines import known
from syncd.cli.suggest import unknown_sku

MANY = (
    "sku", "policy", "scope", "mode", "since", "sale_from", "sale_until", "unseen", "reserve", "free", "rights_left",
    "guaranteed", "parts",
)  # fmt: skip
LISTINGS = ("shop", "listing", "pieces", "target", "believed", "share", "exposure", "standing", "waits_for")
POLICY = 'auto|mirror|"mirror+reserve N"|escrow|none'
RESERVE = "mirror+reserve"


@click.group(cls=Usual, usual="show")
def policy() -> None:
    """Policies (連動方式): mirrored, mirrored less a reserve, or in escrow, where nothing can be oversold."""


async def _checked(here: Here, session: Session, skus: Sequence[str]) -> None:
    have = await known(session, skus, here.screen)
    if missing := [code for code in dict.fromkeys(skus) if code not in have]:
        raise Refused("\n".join([await unknown_sku(session, code) for code in missing]), status=404)


@policy.command("show")
@click.argument("skus", metavar="[SKU]...", nargs=-1)
@click.option("--escrow", is_flag=True, help="Only SKUs in escrow.")
@click.option("--limit", type=click.IntRange(0), default=100, show_default=True, help="Most SKUs; 0 for all.")
@connected
async def show(here: Here, session: Session, skus: tuple[str, ...], escrow: bool, limit: int) -> None:
    """Show how SKUs are shown now, each listing's exposure, and whether escrow can be guaranteed.

    Without SKUs, those with a policy of their own and those that are not simply mirrored.
    """
    if skus:
        await _checked(here, session, skus)
        document = await session.get("/policies", sku=list(dict.fromkeys(skus)), escrow=escrow)
    else:
        document = await _every(session, escrow, limit)
    items = document["items"]
    empty = "nothing is in escrow" if escrow else "every SKU is mirrored by the usual policy"
    parts: list[Part] = [_usual(document["usual"]), Rows(items, MANY, empty=empty)]
    for item in items:
        parts += details(item, listings=bool(skus))
    parts += _conditions(document, items)
    if document["next"] is not None:
        parts.append("There is more: use --limit.")
    here.screen.answer(document, *parts)


async def _every(session: Session, escrow: bool, limit: int) -> dict[str, Any]:
    page = await session.some("/policies", limit, escrow=escrow)
    rest = await session.get("/policies", escrow=escrow, limit=1)
    return {**rest, **page}


def _usual(usual: Mapping[str, Any]) -> str:
    sale = f", sale {cell(usual['sale_from'])} to {cell(usual['sale_until'])}" if usual.get("sale_from") else ""
    return f"where nothing else is set: {usual['policy']} ({usual['scope']}){sale}"


def details(item: Mapping[str, Any], *, listings: bool = True) -> Iterator[Part]:
    """The listings of one SKU, and why it is guaranteed or not."""
    rows = item.get("listings", [])
    if listings and rows:
        yield ""
        yield Rows(rows, LISTINGS, title=f"listings of {item['sku']}")
    yield from guarantee(item)


def guarantee(item: Mapping[str, Any]) -> Iterator[str]:
    """Whether zero overselling of a SKU in escrow is guaranteed, or the reasons why not."""
    if item.get("guaranteed") is True:
        yield f"{item['sku']}: zero overselling is guaranteed under the four conditions"
    elif item.get("guaranteed") is False:
        yield f"{item['sku']}: zero overselling is not guaranteed:"
        yield from (f"  {text}" for text in item["reasons"])


def _conditions(document: Mapping[str, Any], items: Sequence[Mapping[str, Any]]) -> list[Part]:
    if not any(item.get("mode") == "escrow" for item in items):
        return []
    return ["", conditions(document["conditions"])]


def conditions(every: Sequence[str]) -> str:
    """The four conditions of the guarantee."""
    return "\n".join(["the four conditions of escrow:", *(f"  {one}" for one in every)])


@policy.command("set")
@click.argument("words", metavar=f"[SKU]... {POLICY}", nargs=-1, required=True)
@click.option("--all", "every", is_flag=True, help="For all SKUs that have none of their own.")
@click.option("--sale-from", metavar="TIME", help="When a sale (セール) begins, e.g. 2026-11-27T20:00+09:00.")
@click.option("--sale-until", metavar="TIME", help="When it ends.")
@click.option("--no-sale", is_flag=True, help="Take the sale away.")
@connected
async def set_(
    here: Here,
    session: Session,
    words: tuple[str, ...],
    every: bool,
    sale_from: str | None,
    sale_until: str | None,
    no_sale: bool,
) -> None:
    """Set the policy of SKUs, or of all with --all; none takes it away.

    In a sale a SKU is in escrow whatever its policy. A time without a zone is this machine's.
    """
    skus, word = _split(words)
    if bool(skus) == every:
        raise click.UsageError("name SKUs, or --all, and then the policy")
    await _checked(here, session, skus)
    item = {"policy": word, **_sale(sale_from, sale_until, no_sale)}
    items = [{"sku": code, **item} for code in dict.fromkeys(skus)] or [item]
    answer = await session.put("/policies", {"items": items})
    columns = ("sku", "before", "after")
    shown = [{**one, "sku": one.get("sku") or "all"} for one in answer["changes"]]
    table = Rows(shown, columns, empty="nothing to change")
    here.screen.answer(answer, f"set: {counted(shown)}", table, *beside(answer))


def _split(words: Sequence[str]) -> tuple[Sequence[str], str]:
    """SKUs, and the policy behind them: `mirror+reserve 2` is one also without quotes."""
    if len(words) > 1 and words[-1].isdigit() and words[-2].casefold() == RESERVE:
        return words[:-2], f"{RESERVE} {words[-1]}"
    return words[:-1], words[-1]


def _sale(begins: str | None, ends: str | None, none: bool) -> dict[str, str | None]:
    if none and (begins or ends):
        raise click.UsageError("--no-sale goes without --sale-from and --sale-until")
    if none:
        return {"sale_from": None, "sale_until": None}
    if (begins is None) != (ends is None):
        raise click.UsageError("a sale has both --sale-from and --sale-until")
    return {} if begins is None or ends is None else {"sale_from": moment(begins), "sale_until": moment(ends)}


def block(document: Mapping[str, Any]) -> Iterator[Part]:
    """The part of `why` about policies: how its SKUs are shown, its share and exposure, the guarantee."""
    for item in document.get("policies") or ():
        yield ""
        yield f"{item['sku']}: {_now(item)}"
        if item["mode"] == "escrow":
            share, left = cell(item["share"]), cell(item["rights_left"])
            yield f"its share: {share} of {item['free']} free; rights left: {left}"
        yield from guarantee(item)
    if document.get("policies"):
        have = document["exposure"]
        waits = f", waits for {have['waits_for']}" if have["waits_for"] else ""
        yield f"exposure: {cell(have['bound'])} ({have['standing']}{waits})"
    if document.get("conditions"):
        yield conditions(document["conditions"])


def _now(item: Mapping[str, Any]) -> str:
    """`policy auto (settings), now reserve since …, 0.5 pieces expected to be sold unseen, 2 kept back`."""
    since = f" since {cell(item['since'])}" if item["since"] else ""
    sale = " for a sale" if item["in_sale"] else ""
    unseen = f", {cell(item['unseen'])} pieces expected to be sold unseen" if item["unseen"] else ""
    kept = f", {item['reserve']} kept back" if item["reserve"] else ""
    return f"policy {item['policy']} ({item['scope']}), now {item['mode']}{sale}{since}{unseen}{kept}"
