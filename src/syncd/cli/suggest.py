"""What somebody may have meant: names that are near, also in another letter case or width."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable, Sequence

from syncd.cli.damage import lost_zeros
from syncd.cli.refusal import Refused
from syncd.cli.session import PAGE, Session

ENDS = 2


def folded(text: str) -> str:
    """A code without differences of letter case and width."""
    return unicodedata.normalize("NFKC", text).casefold().strip()


def nearest(word: str, known: Iterable[str]) -> list[str]:
    """Up to three known words that `word` may stand for, the likeliest first."""
    by_fold: dict[str, list[str]] = {}
    for each in known:
        by_fold.setdefault(folded(each), []).append(each)
    if same := by_fold.get(folded(word)):
        return same[:3]
    near = difflib.get_close_matches(folded(word), by_fold, n=3, cutoff=0.6)
    return [each for fold in near for each in by_fold[fold]][:3]


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean a or b?`, or nothing."""
    near = nearest(word, known)
    return f"; did you mean {' or '.join(near)}?" if near else ""


async def known_shop(session: Session, name: str) -> None:
    """Raise Refused unless there is such a shop."""
    names = [str(shop["name"]) for shop in (await session.get("/shops"))["items"]]
    if name not in names:
        raise Refused(f"no shop {name}{did_you_mean(name, names) or _all(names)}", status=404)


async def unknown_sku(session: Session, code: str) -> str:
    """The sentence about a SKU that does not exist, with what may be meant."""
    near = await codes_near(session, code)
    return lost_zeros(code, near) or f"no SKU {code}{did_you_mean(code, near)}"


async def codes_near(session: Session, code: str) -> list[str]:
    """SKU codes that contain the code or its beginning; enough to suggest from, however large the catalogue."""
    codes: dict[str, None] = {}
    for query in _queries(code):
        page = await session.get("/skus", query=query, limit=PAGE)
        codes |= dict.fromkeys(str(item["code"]) for item in page["items"])
    return list(codes)


def _queries(word: str) -> list[str]:
    """What a near word may contain, the longest parts first: half of it, then its ends."""
    plain, half = folded(word), (len(word) + 1) // 2
    parts = (word, plain, word.lstrip("0"), plain[:half], plain[half:], plain[:ENDS], plain[-ENDS:])
    return [part for part in dict.fromkeys(parts) if part]


async def known_listing(session: Session, shop: str, key: str, error: Refused) -> Refused:
    """The same error, with the keys of listings that may be meant if the listing is unknown."""
    if error.status != 404:
        return error
    await known_shop(session, shop)
    keys: dict[str, None] = {}
    for query in _queries(key):
        page = await session.get("/listings", shop=shop, query=query, limit=PAGE)
        keys |= dict.fromkeys(str(item["key"]) for item in page["items"])
    return Refused(f"no listing {key} in {shop}{did_you_mean(key, keys)}", where=error.where, status=404)


def _all(names: Sequence[str]) -> str:
    return f"; there are: {', '.join(names)}" if names else "; there is none yet: put one into shops.d"
