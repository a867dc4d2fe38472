"""Where the order feed stands: windows of order time, pages, and the cursor that holds them. Pure.

Rakuten has no modified-since filter. Three readings together find every change (fact sheet, "Orders in"): new
orders by order time at every poll, every open order again over time, and a slow sweep over 63 days.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

CURSOR_VERSION = 1
DAY_SECONDS = 86_400
LONGEST_WINDOW_SECONDS = 63 * DAY_SECONDS
REACH_SECONDS = 729 * DAY_SECONDS  # orders older than 730 days cannot be searched; a day to spare
REACHABLE_RESULTS = 15_000
SEARCH_ROWS = 1000
ORDER_ROWS = 100

CHANGED = (400, 800, 900)
OPEN = (100, 200, 300)
BACKFILL = (100, 200, 300, 400, 800)

VISIBILITY_SECONDS = 60  # not documented; the worse case of comparable malls

Window = tuple[int, int]


class Turn(StrEnum):
    """The turns of one poll: new orders at once; a step of background if due; then new orders once more.

    So every poll ends with a search for new orders that began within it, wherever a crash made it start.
    """

    OPENING = "opening"
    BACKGROUND = "background"
    CLOSING = "closing"


def windows_over(start: int, end: int) -> tuple[Window, ...]:
    """A span of seconds since the epoch cut into windows of at most 63 days, oldest first."""
    windows: list[Window] = []
    while end - start > LONGEST_WINDOW_SECONDS:
        windows.append((end - LONGEST_WINDOW_SECONDS, end))
        end -= LONGEST_WINDOW_SECONDS
    return (*reversed([*windows, (start, end)]),)


@dataclass(frozen=True, slots=True)
class Scan:
    """A search under way: the last window is the one being read, at a page. `began` is its first request.

    `total`: results of the window when its last page was read. Fewer now: an order left the list, and those behind it
    moved up onto the page that was read.
    """

    windows: tuple[Window, ...]
    began: int
    rows: int
    page: int = 1
    statuses: tuple[int, ...] = ()
    total: int = 0

    @property
    def window(self) -> Window:
        return self.windows[-1]

    def halved(self, total: int) -> Scan | None:
        """The scan with its window cut in two when results past the reachable ones are in it; else None."""
        start, end = self.window
        if total <= REACHABLE_RESULTS or end - start < 2:
            return None
        middle = (start + end) // 2
        return replace(self, windows=(*self.windows[:-1], (start, middle), (middle, end)), page=1, total=0)

    def after(self, total: int) -> Scan | None:
        """The scan at its next page or window, or at the page before where the list shifted; None when all is read."""
        if self.page > 1 and total < self.total:
            return replace(self, page=self.page - 1, total=total)
        if self.page * self.rows < min(total, REACHABLE_RESULTS):
            return replace(self, page=self.page + 1, total=total)
        rest = self.windows[:-1]
        return replace(self, windows=rest, page=1, total=0) if rest else None

    def to_json(self) -> dict[str, Any]:
        return {
            "windows": [list(window) for window in self.windows],
            "began": self.began,
            "rows": self.rows,
            "page": self.page,
            "statuses": list(self.statuses),
            "total": self.total,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Scan:
        return cls(
            windows=tuple((int(start), int(end)) for start, end in data["windows"]),
            began=int(data["began"]),
            rows=int(data["rows"]),
            page=int(data["page"]),
            statuses=tuple(int(status) for status in data["statuses"]),
            total=int(data.get("total", 0)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """The cursor of the order feed. Times are whole seconds since the epoch, 0 means never.

    `searched` is the begin of the last complete search for new orders. `seen` holds the orders delivered whose
    order time the next search reaches again (number -> order time). `swept` and `reread` are when the last
    sweep and the last round over open orders began; `reread_after` is the last open order of a round under way.
    `turn` is what the next call does.
    """

    recent: Scan | None = None
    searched: int = 0
    seen: Mapping[str, int] = field(default_factory=dict)
    sweep: Scan | None = None
    swept: int = 0
    reread: int = 0
    reread_after: str = ""
    backfilled: bool = False
    turn: Turn = Turn.OPENING

    def to_cursor(self) -> dict[str, Any]:
        """The cursor as plain JSON."""
        return {
            "version": CURSOR_VERSION,
            "recent": None if self.recent is None else self.recent.to_json(),
            "searched": self.searched,
            "seen": dict(self.seen),
            "sweep": None if self.sweep is None else self.sweep.to_json(),
            "swept": self.swept,
            "reread": self.reread,
            "reread_after": self.reread_after,
            "backfilled": self.backfilled,
            "turn": self.turn.value,
        }

    @classmethod
    def from_cursor(cls, cursor: Mapping[str, Any] | None) -> Feed:
        """The feed where a cursor left it. A cursor of another version starts anew; that only costs calls."""
        if not cursor or cursor.get("version") != CURSOR_VERSION:
            return cls()
        data = {name: value for name, value in cursor.items() if name != "version"}
        for name in ("recent", "sweep"):
            data[name] = None if data[name] is None else Scan.from_json(data[name])
        return cls(**{**data, "turn": Turn(data["turn"])})

    # -- new orders ----------------------------------------------------------------------------------------

    def recent_scan(self, now: int, overlap: int) -> Scan:
        """The search for new orders under way, or a new one from the last one's begin less the overlap.

        Its end is the next whole second: an order of this very second is inside, whether or not the end is.
        """
        if self.recent is not None:
            return self.recent
        start = max(min(self.searched or now, now) - overlap, now - REACH_SECONDS)
        return Scan(windows_over(start, now + 1), began=now, rows=SEARCH_ROWS)

    def unseen(self, numbers: Iterable[str]) -> list[str]:
        return [number for number in numbers if number not in self.seen]

    def with_seen(self, placed: Mapping[str, int]) -> Feed:
        return replace(self, seen={**self.seen, **placed})

    def recent_read(self, scan: Scan, following: Scan | None, overlap: int) -> Feed:
        """The feed after a page of new orders: what no later search reaches is forgotten."""
        seen = {number: placed for number, placed in self.seen.items() if placed >= scan.began - overlap}
        searched = self.searched if following is not None else scan.began
        return replace(self, recent=following, seen=seen, searched=searched)

    # -- background ----------------------------------------------------------------------------------------

    def sweep_due(self, now: int, every: int) -> bool:
        return self.sweep is not None or now - self.swept >= every

    def reread_due(self, now: int, every: int) -> bool:
        return bool(self.reread_after) or now - self.reread >= every

    def sweep_scan(self, now: int) -> Scan:
        """The sweep under way, or the next: at first every open order of two years, then changes over 63 days."""
        if self.sweep is not None:
            return self.sweep
        if not self.backfilled:
            return Scan(windows_over(now - REACH_SECONDS, now + 1), now, ORDER_ROWS, statuses=BACKFILL)
        start = now + 1 - LONGEST_WINDOW_SECONDS
        return Scan(((start, now + 1),), now, ORDER_ROWS, statuses=CHANGED)

    def swept_on(self, scan: Scan, following: Scan | None) -> Feed:
        """The feed after a page of a sweep. The sweep for changes is followed by the one for missed orders."""
        if following is not None:
            return replace(self, sweep=following)
        if scan.statuses == CHANGED:
            start = scan.began + 1 - LONGEST_WINDOW_SECONDS
            missed = Scan(((start, scan.began + 1),), scan.began, ORDER_ROWS, statuses=OPEN)
            return replace(self, sweep=missed)
        return replace(self, sweep=None, swept=scan.began, backfilled=True)

    def open_slice(self, numbers: Iterable[str]) -> list[str]:
        """The next open orders to read again. By number, not by age: a closed one must not lose the place."""
        return sorted(number for number in numbers if number > self.reread_after)[:ORDER_ROWS]

    def reread_on(self, read: list[str], now: int) -> Feed:
        """The feed after a slice of open orders. The round ends with a slice that is not full."""
        began = self.reread if self.reread_after else now
        return replace(self, reread_after=read[-1] if len(read) == ORDER_ROWS else "", reread=began)
