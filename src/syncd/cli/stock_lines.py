"""Stock as the API tells it, one line a SKU and location, and the codes of a file compared with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from syncd.cli.damage import looks_damaged
from syncd.cli.screen import Screen
from syncd.cli.session import Session
from syncd.cli.sheet import Sheet
from syncd.cli.suggest import unknown_sku

MAIN = "main"
CHUNK = 50
LOOKED_UP = 20
"""Most unknown codes for which a suggestion is looked up; more is another file, not a slip."""
COLUMNS = ("sku", "name", "location", "on_hand", "ordered", "allocated", "deliverable", "free", "parts")
Known = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""SKU -> location -> line. A SKU without stock is there, with no location."""


def lines(items: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """The SKUs of an answer as lines of a table; one without stock is a line with zeros."""
    for item in items:
        head = {"sku": item.get("sku", item.get("code")), "name": item.get("name", "")}
        tail = {"parts": item["parts"]} if item.get("parts") else {}
        if "locations" not in item:
            yield {**head, "location": item.get("location", ""), **_numbers(item), **tail}
            continue
        places = item["locations"] or [{"location": ""}]
        for place in places:
            yield {**head, "location": place["location"], **_numbers(place), **tail}


def _numbers(line: Mapping[str, Any]) -> dict[str, int]:
    on_hand, ordered, allocated = (int(line.get(name, 0)) for name in ("on_hand", "ordered", "allocated"))
    deliverable = on_hand - allocated
    return {
        "on_hand": on_hand,
        "ordered": ordered,
        "allocated": allocated,
        "deliverable": deliverable,
        "free": deliverable - ordered,
    }


async def known(session: Session, codes: Sequence[str], screen: Screen) -> dict[str, dict[str, dict[str, Any]]]:
    """The stock of those of these SKUs that exist."""
    wanted = list(dict.fromkeys(codes))
    found: dict[str, dict[str, dict[str, Any]]] = {}
    with screen.progress("looking up SKUs", len(wanted)) as advance:
        for at in range(0, len(wanted), CHUNK):
            some = wanted[at : at + CHUNK]
            async for items in session.pages("/stock", sku=some):
                for line in lines(items):
                    places = found.setdefault(line["sku"], {})
                    if line["location"]:
                        places[line["location"]] = line
            advance(len(some))
    return found


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
    suspects = [row["sku"] for row in sheet.rows if row["sku"] and (looks_damaged(row["sku"]) or row["sku"].isdigit())]
    have = await known(session, suspects, screen)
    told: dict[str, str] = {}
    for code in dict.fromkeys(suspects):
        if code not in have and len(told) < LOOKED_UP:
            near = looks_damaged(code) or await unknown_sku(session, code)
            told |= {code: near} if not near.startswith("no SKU") else {}
    for row in sheet.rows:
        if row["sku"] in told:
            sheet.wrong(row, "sku", told[row["sku"]])
    sheet.finish()
