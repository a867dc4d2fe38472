"""Rows as the API shows them: times in ISO 8601, flags as booleans, lanes and sources by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from syncd.daemon.desk_answers import Done
from syncd.daemon.facts import Facts
from syncd.model import Lane, Source, from_us
from syncd.web.models import Changes, Page

FLAGS = frozenset({"sync", "verify", "opened", "open", "alone", "live", "bundle"})
RENAMED = {"at_us": "at", "doubt_us": "doubt_until"}
INNER = frozenset({"seen_sold", "slack", "line_id", "version"})


def iso(moment_us: int | None) -> str | None:
    """A time as the API writes it; None for never."""
    return from_us(moment_us).isoformat() if moment_us else None


def public(row: Mapping[str, Any]) -> dict[str, Any]:
    """One row with the names and values of the API."""
    return {_name(key): _value(key, value) for key, value in row.items() if key not in INNER}


def _name(key: str) -> str:
    return RENAMED.get(key, f"{key[:-3]}_at" if key.endswith("_us") else key)


def _value(key: str, value: Any) -> Any:
    if key.endswith("_us"):
        return iso(value)
    if isinstance(value, list):
        return [public(one) if isinstance(one, Mapping) else one for one in value]
    if value is None:
        return None
    if key == "lane":
        return Lane(value).name.lower()
    if key == "source" and isinstance(value, int):
        return Source(value).name.lower()
    return bool(value) if key in FLAGS else value


def page(rows: Sequence[Mapping[str, Any]], limit: int, mark: str = "id") -> Page:
    """A page of rows; the next one begins behind the last row's mark."""
    following = int(rows[-1][mark]) if rows and len(rows) >= limit else None
    return Page(items=[public(row) for row in rows], next=following)


def changes(done: Done, facts: Facts, *, applied: bool) -> Changes:
    """What the desk did."""
    return Changes(
        changes=done.changes,
        applied=applied,
        skipped=list(done.skipped),
        notes=done.notes,
        braked=facts.names(done.refreshed.braked),
    )


def quantiles(buckets: Iterable[tuple[float, float]], *wanted: float) -> dict[str, float | None]:
    """Quantiles of a cumulative histogram [(upper bound, count)], interpolated as Prometheus does.

    Above the last bound that bound is given; None while nothing was measured.
    """
    rows = sorted(buckets)
    total = rows[-1][1] if rows else 0.0
    found: dict[str, float | None] = {}
    for share in wanted:
        name = f"p{share * 100:g}"
        found[name] = _quantile(rows, share * total) if total else None
    return found


def _quantile(rows: Sequence[tuple[float, float]], rank: float) -> float:
    low, below = 0.0, 0.0
    for high, count in rows:
        if count >= rank:
            if high == float("inf"):
                return low
            return low + (high - low) * ((rank - below) / (count - below) if count > below else 1.0)
        low, below = high, count
    return low
