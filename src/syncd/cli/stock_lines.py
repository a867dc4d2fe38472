"""Stock as the API tells it, one line a SKU and location, and the codes of a file compared with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from syncd.cli.damage import looks_damaged, lost_zeros
from syncd.cli.refusal import Refused
from syncd.cli.screen import Screen
from syncd.cli.session import Session
from syncd.cli.sheet import Sheet
from syncd.cli.suggest import unknown_sku

MAIN = "main"
CHUNK = 50
MANY = 1000
"""From so many codes on, the whole catalogue is read instead of asking for each."""
LOOKED_UP = 20
"""Most unknown codes for which a suggestion is looked up; more is another file, not a slip."""
COLUMNS = ("sku", "name", "location", "on_hand", "ordered", "allocated", "deliverable", "free", "parts")
Known = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""SKU -> location -> line. A SKU without stock is there, with no location."""


def lines(items: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """The columns of a table that stock is shown in. A SKU without stock is one line without a location."""
    for item in items:
        yield {name: item[name] for name in COLUMNS if item.get(name) is not None} | {
            "location": item["location"] or ""
        }


async def known(session: Session, codes: Sequence[str], screen: Screen) -> dict[str, dict[str, dict[str, Any]]]:
    """The stock of those of these SKUs that exist."""
    wanted = list(dict.fromkeys(codes))
    found: dict[str, dict[str, dict[str, Any]]] = {}
    with screen.progress("looking up SKUs") as advance:
        if len(wanted) > MANY:
            async for items in session.pages("/stock"):
                _take(found, items, set(wanted))
                advance(1)
            return found
        for at in range(0, len(wanted), CHUNK):
            _take(found, await _existing(session, wanted[at : at + CHUNK]), set(wanted))
            advance(1)
    return found


def _take(found: dict[str, dict[str, dict[str, Any]]], items: Sequence[Mapping[str, Any]], wanted: set[str]) -> None:
    for line in lines(items):
        if line["sku"] in wanted:
            places = found.setdefault(line["sku"], {})
            if line["location"]:
                places[line["location"]] = line


async def _existing(session: Session, codes: Sequence[str]) -> list[dict[str, Any]]:
    """The lines of those SKUs that exist: one unknown code refuses a request, so halves are asked again."""
    try:
        items: list[dict[str, Any]] = (await session.get("/stock", sku=list(codes)))["items"]
        return items
    except Refused as error:
        if error.status != 404:
            raise
    if len(codes) == 1:
        return []
    half = len(codes) // 2
    return await _existing(session, codes[:half]) + await _existing(session, codes[half:])


async def name_unknown(session: Session, sheet: Sheet, have: Known) -> None:
    """Note every row whose SKU does not exist, with what may be meant. Raises WrongFile if there is one."""
    told: dict[str, str] = {}
    for row in sheet.rows:
        code = row["sku"]
        if code in have:
            continue
        if code not in told:
            near = await unknown_sku(session, code) if len(told) < LOOKED_UP else f"no SKU {code}"
            told[code] = looks_damaged(code) or near
        sheet.wrong(row, "sku", told[code])
    sheet.finish()


async def name_damaged(session: Session, sheet: Sheet, screen: Screen) -> None:
    """Note every unknown code that a spreadsheet seems to have damaged; new codes pass. Raises WrongFile."""
    suspects = [row["sku"] for row in sheet.rows if looks_damaged(row["sku"]) or row["sku"].isdigit()]
    have = await known(session, suspects, screen)
    unknown = [code for code in dict.fromkeys(suspects) if code not in have]
    longer = await _digit_codes(session, [code for code in unknown if code.isdigit()])
    told = {code: looks_damaged(code) or lost_zeros(code, longer.get(code.lstrip("0"), ())) for code in unknown}
    for row in sheet.rows:
        if text := told.get(row["sku"]):
            sheet.wrong(row, "sku", text)
    sheet.finish()


async def _digit_codes(session: Session, codes: Sequence[str]) -> dict[str, list[str]]:
    """SKU codes of digits, by what is left of them without leading zeros: all those, or those like `codes`."""
    found: dict[str, list[str]] = {}
    for query in codes if len(codes) <= CHUNK else ("0",):
        async for items in session.pages("/skus", query=query):
            for item in items:
                if item["code"].isdigit():
                    found.setdefault(item["code"].lstrip("0"), []).append(item["code"])
    return found
