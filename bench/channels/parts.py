"""What was measured of one channel: made, and at full size kept in a file of its own."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

from bench.channels.malls import Mall
from bench.channels.measuring import Outcome, plain, push, read
from bench.report import RESULTS
from syncd.sim.loop import run_virtual


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured. `name` is that of the result; parts are kept where a folder is given."""

    name: str
    listings: int
    orders: int
    script_items: int
    folder: Path | None = None


FULL = Size("channels", 100_000, 10_000, 300, RESULTS / "channels")
QUICK = Size("channels_quick", 3000, 300, 20)


@dataclass(frozen=True, slots=True)
class Part:
    """One channel's three measurements, over so many listings and orders."""

    listings: int
    orders: int
    push: Outcome
    read: Outcome
    plain: Outcome


def measured(mall: Mall, size: Size) -> Part:
    """Measure a channel now."""
    part = Part(
        size.listings,
        size.orders,
        run_virtual(partial(push, mall, size.listings)),
        run_virtual(partial(read, mall, size.orders)),
        run_virtual(partial(plain, mall, size.script_items)),
    )
    if size.folder is not None:
        size.folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(_values(part), indent=1)
        (size.folder / f"{mall.slug}.json").write_text(text + "\n", encoding="utf-8")
    return part


def kept(mall: Mall, size: Size) -> Part | None:
    """A channel as it was measured last; None if it never was."""
    path = None if size.folder is None else size.folder / f"{mall.slug}.json"
    if path is None or not path.exists():
        return None
    values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    outcomes = {name: _outcome(values[name]) for name in ("push", "read", "plain")}
    return Part(values["listings"], values["orders"], **outcomes)


def _values(of: Part | Outcome) -> dict[str, Any]:
    """Its fields by name; `dataclasses.asdict` makes nonsense of a Counter."""
    pairs = [(one.name, getattr(of, one.name)) for one in fields(of)]
    return {name: _values(value) if isinstance(value, Outcome) else value for name, value in pairs}


def _outcome(values: dict[str, Any]) -> Outcome:
    return Outcome(**{**values, "calls": Counter(values["calls"])})
