"""What the desk says: why it refuses, what it changed, and the audit row that keeps both sides of a change."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection

from syncd.daemon.facts import Facts, ShopFacts
from syncd.daemon.targets import Refreshed
from syncd.store import shops

NAMED = 10
AUDIT_CHARACTERS = 4000
"""`write_audit` cuts at 4096; a cut row would be no JSON any more."""


class Refused(ValueError):
    """Staff asked for something that cannot be done; nothing was changed. The text says the way out."""

    def __init__(self, text: str, where: str = "") -> None:
        super().__init__(text)
        self.where = where


class NotFound(Refused):
    """The shop, SKU, listing or order is not known."""


class Conflict(Refused):
    """It contradicts what is stored: a cycle of bundles, an older count, a key used for something else."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """One item of a request that cannot be applied."""

    index: int
    field: str
    text: str

    @property
    def where(self) -> str:
        return f"items[{self.index}].{self.field}"


class Mistakes(Refused):
    """Items that cannot be applied, so that none was. The text is the first one's."""

    def __init__(self, every: Sequence[Mistake]) -> None:
        more = f" (and {len(every) - 1} more mistakes)" if len(every) > 1 else ""
        super().__init__(f"{every[0].where}: {every[0].text}{more}", every[0].where)
        self.every = tuple(every)


@dataclass(slots=True)
class Done:
    """What a change at the desk did: each change as a plain row, what was left out and why, and the targets."""

    changes: list[dict[str, Any]] = field(default_factory=list)
    skipped: list[dict[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    refreshed: Refreshed = field(default_factory=Refreshed)

    def add(self, other: Done) -> None:
        self.changes += other.changes
        self.skipped += other.skipped
        self.notes += other.notes
        self.refreshed.add(other.refreshed)


def audit(
    conn: Connection, who: str, action: str, changes: Sequence[Mapping[str, Any]], now_us: int, **more: Any
) -> None:
    """Keep who changed what, before and after. Of many changes the first stand here, all of them in the ledger."""
    head = {key: value for key, value in more.items() if value not in ("", None)} | {"count": len(changes)}
    few = list(changes[:100])
    while few and len(json.dumps([head, few], ensure_ascii=False, default=str)) > AUDIT_CHARACTERS:
        few = few[: len(few) // 2]
    shops.write_audit(conn, who, action, {**head, "changes": few}, now_us)


def shop_facts(facts: Facts, name: str) -> ShopFacts:
    """A loaded shop by its name."""
    for shop in facts.shops.values():
        if shop.name == name:
            return shop
    known = sorted(shop.name for shop in facts.shops.values())
    raise NotFound(f"there is no running shop {name}{meant(name, known)}; shops: {names(known)}", "shop")


def names(some: Iterable[str]) -> str:
    """The first few of some names, for a sentence."""
    every = list(some)
    rest = f" and {len(every) - NAMED} more" if len(every) > NAMED else ""
    return (", ".join(every[:NAMED]) or "none") + rest


def meant(given: str, known: Sequence[str]) -> str:
    """ "(did you mean …?)" where a known name is close."""
    near = difflib.get_close_matches(given, known[:5000], n=1)
    return f" (did you mean {near[0]}?)" if near else ""
