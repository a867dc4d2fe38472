"""What a shop lists, and which SKU each listing seems to be: proposals, of which a person takes what is right.

Without a word only equal codes are taken over. Other kinds of match are taken when a person names the kind, or row by
row through a file. What a shop keeps no stock for, or does not let us write, is marked as such; what it says is wrong
with a listing is alarmed until it no longer says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Any

from sqlalchemy import Connection, select

from syncd.core.matching import Catalogue, Match
from syncd.daemon.desk_answers import shop_facts
from syncd.daemon.desk_listings import ListingItem
from syncd.daemon.facts import Facts, ShopFacts
from syncd.model import ListingState
from syncd.sdk.channel import ListingInfo
from syncd.store import listings as listing_rows
from syncd.store import shops, stock
from syncd.store.listings import ListingRow
from syncd.store.schema import sku

PROBLEM = "listing_problem"
MAPPED = "mapped"


def propose(
    conn: Connection, facts: Facts, shop_name: str, infos: Sequence[ListingInfo], match_by: str
) -> list[dict[str, Any]]:
    """For each listing of a shop the SKU it is mapped to, or seems to be, and how sure that is (`core/matching.py`)."""
    shop = shop_facts(facts, shop_name)
    known = listing_rows.listings_by_key(conn, shop.id, [shop.key(info.key) for info in infos])
    catalogue = Catalogue.of((row[0] for row in conn.execute(select(sku.c.code))), listing_rows.mapped_jans(conn))
    codes = stock.sku_codes(conn, [row.sku_id for row in known.values() if row.sku_id is not None])
    return [
        _proposal(shop, info, known.get(shop.key(info.key)), match_by, catalogue, codes)
        for info in {shop.key(info.key): info for info in infos}.values()
    ]


def _proposal(
    shop: ShopFacts,
    info: ListingInfo,
    row: ListingRow | None,
    match_by: str,
    catalogue: Catalogue,
    codes: Mapping[int, str],
) -> dict[str, Any]:
    wanted = {"jan": info.jan, "listing": info.key}.get(match_by, info.sku)
    match: str
    match, found = catalogue.find(wanted, info.jan)
    if row is not None and row.sku_id is not None:
        match, found = MAPPED, [(codes[row.sku_id], row.pack)]
    one = found[0] if len(found) == 1 else (None, 1)
    return {
        "listing": shop.key(info.key),
        "name": info.name,
        "shop_sku": info.sku,
        "jan": info.jan,
        "shows": info.quantity,
        "known": row is not None,
        "state": _state(info) if row is None or row.state == ListingState.OURS else row.state,
        "match": str(match),
        "sku": one[0],
        "pack": one[1],
        "candidates": [code for code, _ in found],
        "problem": info.problem,
    }


def _state(info: ListingInfo) -> str:
    """What a listing is to us, as far as its shop tells."""
    if not info.writable:
        return ListingState.SKIP
    return ListingState.OURS if info.counted else ListingState.NOT_COUNTED


def accepted(proposals: Sequence[Mapping[str, Any]], accept: Set[Match]) -> list[ListingItem]:
    """What is applied: new listings, mapped where a person accepts that kind of match, else left to map; what turned
    out not to be ours to write. A mapping that is there is never touched.
    """
    taken = {str(match) for match in (Match.EQUAL, *accept)} - {str(Match.AMBIGUOUS), str(Match.NONE)}
    items = []
    for one in proposals:
        maps = one["match"] in taken
        state = None if one["state"] == ListingState.OURS else one["state"]
        if one["known"] and not maps and state is None:
            continue
        if not one["known"] and one["problem"] and state == ListingState.SKIP:
            continue  # no listing of ours, and something is wrong with it: an orphan stock record
        name = None if one["known"] else one["name"] or None
        code, pack = (one["sku"], one["pack"]) if maps else (None, None)
        items.append(ListingItem(one["listing"], code, pack=pack, state=state, name=name))
    return items


def left_over(shop: str, proposals: Sequence[Mapping[str, Any]], accept: Set[Match]) -> list[str]:
    """What a person does about the listings that no SKU was taken over for, and about what is wrong with some."""
    taken = {MAPPED, str(Match.EQUAL), *map(str, accept)}
    notes = []
    if left := [one for one in proposals if one["state"] == ListingState.OURS and one["match"] not in taken]:
        kinds = [f"{n} {kind}" for kind in Match if (n := sum(one["match"] == kind for one in left))]
        notes.append(
            f"{len(left)} of {len(proposals)} listings of {shop} have no SKU yet ({', '.join(kinds)}): look at them "
            f"with `syncd listings proposals --shop {shop} --csv FILE`, say yes in its column confirm or fill in sku, "
            f"then `syncd listings import FILE`; or take a kind of match as a whole with --accept"
        )
    if skipped := sum(one["state"] == ListingState.SKIP and one["match"] != MAPPED for one in proposals):
        notes.append(f"{skipped} listings of {shop} are not ours to write, and are skipped")
    if wrong := [one for one in proposals if one["problem"]]:
        notes += [f"{one['listing']}: {one['problem']}" for one in wrong[:10]]
        notes += [f"… and {len(wrong) - 10} more; see syncd alarms"] if len(wrong) > 10 else []
    return notes


def keep_facts(conn: Connection, facts: Facts, shop_name: str, infos: Sequence[ListingInfo], now_us: int) -> None:
    """Keep what a shop says of its listings beside their mapping: the JAN, and what is wrong with them."""
    shop = shop_facts(facts, shop_name)
    listing_rows.save_jans(conn, shop.id, {shop.key(info.key): info.jan for info in infos})
    wrong = {shop.key(info.key): info.problem for info in infos if info.problem}
    for key in shops.open_alarms(conn, PROBLEM, shop.id) - wrong.keys():
        shops.clear_alarm(conn, PROBLEM, shop.id, key, now_us)
    for key, problem in wrong.items():
        shops.raise_alarm(conn, PROBLEM, shop.id, key, f"{shop.name} {key}: {problem}", now_us)
