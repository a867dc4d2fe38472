"""Where the order feed stands: scans, what is still to be read, and the cursor that holds them. Pure.

Yahoo cannot be asked for what changed, but its list shows when each order changed last (fact sheet, "Orders in").
So two speeds: every poll lists the orders of the last hours, and a sweep lists those of the last two months.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from syncd_yahoo_shopping.orders import Listed, ListQuery, Row

CURSOR_VERSION = 1
DAY_SECONDS = 86_400
VISIBILITY_SECONDS = 60  # not documented; the worse case of comparable malls
SLACK_SECONDS = 300  # between Yahoo's clock and ours, when a sweep looks for what changed since the last
MOST_RESTARTS = 5

Window = tuple[int, int]


class Turn(StrEnum):
    """The turns of one poll: the last hours; a step of a sweep if due; then the last hours once more."""

    OPENING = "opening"
    SWEEP = "sweep"
    CLOSING = "closing"


class Shifting(Exception):
    """A list that loses rows while it is read, again and again."""


def windows_over(begin: int, end: int, widest: int) -> tuple[Window, ...]:
    """A span of seconds cut into windows of at most `widest` seconds, the newest first in line (last)."""
    windows: list[Window] = []
    while end - begin > widest:
        windows.append((begin, begin + widest))
        begin += widest
    return (*windows, (begin, end))


@dataclass(frozen=True, slots=True)
class Scan:
    """A list under way, oldest window first. `began` is its first request.

    Pages overlap by one order, the anchor: a page without it proves that an order left the list meanwhile and that
    another one may have slipped through between two pages.
    """

    windows: tuple[Window, ...]
    began: int
    start: int = 1
    anchor: str = ""
    restarts: int = 0

    def query(self, rows: int) -> ListQuery:
        begin, end = self.windows[0]
        return ListQuery(begin, end, self.start, rows)

    def after(self, listed: Listed) -> Scan | None:
        """The scan at its next page or window, or at the first page again; None when all is read."""
        numbers = [row.number for row in listed.rows]
        if self.anchor and self.anchor not in numbers:
            if self.restarts >= MOST_RESTARTS:
                raise Shifting
            return replace(self, start=1, anchor="", restarts=self.restarts + 1)
        last = self.start + len(numbers) - 1
        if last < listed.total and len(numbers) > (1 if self.anchor else 0):
            return replace(self, start=last, anchor=numbers[-1])
        rest = self.windows[1:]
        return replace(self, windows=rest, start=1, anchor="") if rest else None

    def narrowed(self, widest: int) -> Scan:
        """The scan with its windows cut anew, from the first page of the one being read."""
        cut = tuple(part for window in self.windows for part in windows_over(*window, widest))
        return replace(self, windows=cut, start=1, anchor="")

    def to_json(self) -> dict[str, Any]:
        return {
            "windows": [list(window) for window in self.windows],
            "began": self.began,
            "start": self.start,
            "anchor": self.anchor,
            "restarts": self.restarts,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Scan:
        windows = tuple((int(begin), int(end)) for begin, end in data["windows"])
        return cls(windows, int(data["began"]), int(data["start"]), str(data["anchor"]), int(data["restarts"]))


@dataclass(frozen=True, slots=True)
class Known:
    """An order as it stood in a list: its mark, when it was placed, when it changed."""

    mark: str
    placed: int
    updated: int

    def to_json(self) -> list[Any]:
        return [self.mark, self.placed, self.updated]

    @classmethod
    def of(cls, row: Row) -> Known:
        return cls(row.mark, row.placed, row.updated)


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """The cursor of the order feed. Times are whole seconds since the epoch, 0 means never.

    `searched` and `swept` are the begin of the last whole list and the last whole sweep. `seen` holds what was
    delivered and may still turn up in a list as new. `todo` and `sweep_todo` were listed and are still to be read.
    `counts` are the numbers of orderCount when the last sweep began, `counts_now` the newest ones, asked at `counted`.
    `backfilled`: every order that was open at the first poll has been read.
    """

    turn: Turn = Turn.OPENING
    recent: Scan | None = None
    todo: Mapping[str, Known] = field(default_factory=dict)
    searched: int = 0
    sweep: Scan | None = None
    sweep_todo: Mapping[str, Known] = field(default_factory=dict)
    swept: int = 0
    seen: Mapping[str, Known] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    counts_now: Mapping[str, int] = field(default_factory=dict)
    counted: int = 0
    backfilled: bool = False

    def to_cursor(self) -> dict[str, Any]:
        """The cursor as plain JSON."""
        known = {name: _known_to_json(getattr(self, name)) for name in ("todo", "sweep_todo", "seen")}
        scans = {name: scan and scan.to_json() for name, scan in (("recent", self.recent), ("sweep", self.sweep))}
        return {
            "version": CURSOR_VERSION,
            "turn": self.turn.value,
            "searched": self.searched,
            "swept": self.swept,
            "counts": dict(self.counts),
            "counts_now": dict(self.counts_now),
            "counted": self.counted,
            "backfilled": self.backfilled,
            **known,
            **scans,
        }

    @classmethod
    def from_cursor(cls, cursor: Mapping[str, Any] | None) -> Feed:
        """The feed where a cursor left it. A cursor of another version starts anew; that only costs calls."""
        if not cursor or cursor.get("version") != CURSOR_VERSION:
            return cls()
        data = {name: value for name, value in cursor.items() if name != "version"}
        for name in ("recent", "sweep"):
            data[name] = None if data[name] is None else Scan.from_json(data[name])
        for name in ("todo", "sweep_todo", "seen"):
            data[name] = {number: Known(*told) for number, told in data[name].items()}
        return cls(**{**data, "turn": Turn(data["turn"])})

    # -- the last hours ------------------------------------------------------------------------------------

    def recent_scan(self, now: int, overlap: int, widest: int) -> Scan:
        """The list under way, or a new one from the last one's begin less the overlap.

        A second more on both sides: whether the ends are inside is not documented.
        """
        if self.recent is not None:
            return self.recent
        begin = min(self.searched or now, now) - overlap
        return Scan(windows_over(begin - 1, now + 1, widest), began=now)

    def listed(self, rows: Iterable[Row]) -> Feed:
        """The feed with those rows to be read that were not delivered as they are now."""
        fresh = {row.number: Known.of(row) for row in rows if not self._is_seen(row)}
        return replace(self, todo={**self.todo, **fresh})

    def _is_seen(self, row: Row) -> bool:
        known = self.seen.get(row.number)
        return known is not None and known.mark == row.mark

    def recent_done(self, scan: Scan, overlap: int) -> Feed:
        """The feed after a whole list: what no later list shows as new is forgotten."""
        since = self.sweep_since
        kept = {
            number: known
            for number, known in self.seen.items()
            if known.placed >= scan.began - overlap - DAY_SECONDS // 24 or known.updated >= since
        }
        return replace(self, recent=None, searched=scan.began, seen=kept)

    # -- sweeps --------------------------------------------------------------------------------------------

    @property
    def sweep_since(self) -> int:
        """What changed since then is read by the next sweep."""
        return max(0, self.swept - SLACK_SECONDS)

    def sweep_due(self, now: int, every: int) -> bool:
        """Whether a sweep is under way or due; sooner when the counts moved, since something changed."""
        if self.sweep is not None or self.sweep_todo:
            return True
        wait = every if self.counts_now == self.counts else every // 5
        return now - self.swept >= wait

    def sweep_scan(self, now: int, days: int, widest: int) -> Scan:
        if self.sweep is not None:
            return self.sweep
        return Scan(windows_over(now - days * DAY_SECONDS, now + 1, widest), began=now)

    def swept_page(self, scan: Scan, rows: Iterable[Row]) -> Feed:
        """The feed after a page of a sweep: at first every open order, then what changed since the last one."""
        due = {
            row.number: Known.of(row)
            for row in rows
            if (row.updated >= self.sweep_since if self.swept else row.is_open)
            if not self._is_seen(row)
        }
        counts = self.counts_now if scan.start == 1 and not scan.restarts else self.counts
        return replace(self, sweep_todo={**self.sweep_todo, **due}, counts=counts)

    def swept_on(self, scan: Scan, following: Scan | None) -> Feed:
        if following is not None:
            return replace(self, sweep=following)
        return replace(self, sweep=None, swept=scan.began)

    @property
    def is_swept(self) -> bool:
        """Whether no sweep is under way, and all that the last one found was read."""
        return self.swept > 0 and self.sweep is None and not self.sweep_todo

    # -- what was read -------------------------------------------------------------------------------------

    def delivered(self, numbers: Iterable[str]) -> Feed:
        """The feed after these orders were read: as they stood in the list that named them."""
        todo, sweep_todo, seen = dict(self.todo), dict(self.sweep_todo), dict(self.seen)
        for number in numbers:
            known = [one for one in (todo.pop(number, None), sweep_todo.pop(number, None)) if one is not None]
            if known:
                seen[number] = max(known, key=lambda one: one.updated)
        return replace(self, todo=todo, sweep_todo=sweep_todo, seen=seen)


def _known_to_json(known: Mapping[str, Known]) -> dict[str, list[Any]]:
    return {number: one.to_json() for number, one in known.items()}
