"""The order feed: turns a cursor into a page of states with a bounded number of calls.

A poll opens with the new orders: one search, and one getOrder when there are some. When background work is due,
the next call (asked for with `more`) does one step of it, and a last search for new orders closes the poll.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from syncd.model import OrderState
from syncd.sdk.channel import Cursor, OrderPage, Problem, ShopContext
from syncd_rakuten.api import RakutenApi
from syncd_rakuten.orders import Found
from syncd_rakuten.polling import OPEN, ORDER_ROWS, VISIBILITY_SECONDS, Feed, Scan, Turn
from syncd_rakuten.settings import RakutenSettings

NEW_SEARCHES = 20  # pages of a thousand in one turn for new orders
NEW_GETS = 3  # getOrder calls in one turn for new orders
SWEEP_SEARCHES = 4  # searches in one turn of a sweep while they find nothing


@dataclass(slots=True)
class _Read:
    """What one call has read so far."""

    states: list[OrderState]
    problems: list[Problem]

    def add(self, other: _Read) -> None:
        self.states += other.states
        self.problems += other.problems

    @property
    def placed(self) -> dict[str, int]:
        """Order time of each state, in seconds since the epoch."""
        return {s.number: int(s.placed_at.timestamp()) for s in self.states if s.placed_at is not None}


class OrderFeed:
    """Reads one shop's orders. Keeps nothing between calls but hints and a page: all that matters is in the cursor."""

    def __init__(self, api: RakutenApi, settings: RakutenSettings, context: ShopContext) -> None:
        self._api = api
        self._settings = settings
        self._context = context
        self._overlap = settings.overlap_hours * 3600
        self._hinted: set[str] = set()
        self._cut_short: tuple[Scan, Found] | None = None
        self._began_us = 0

    def look_at(self, numbers: Iterable[str]) -> None:
        """Read these orders with the next new ones. A hint only: what is lost with it, the rounds find."""
        self._hinted.update(numbers)
        while len(self._hinted) > ORDER_ROWS:
            self._hinted.pop()

    async def page(self, cursor: Cursor | None) -> OrderPage:
        """Do one turn: new orders, or background if the cursor says so."""
        feed = Feed.from_cursor(cursor)
        self._began_us = self._context.clock.now_us()
        now = self._began_us // 1_000_000
        background = feed.turn is Turn.BACKGROUND
        return await (self._background(feed, now) if background else self._new_orders(feed, now))

    async def _new_orders(self, feed: Feed, now: int) -> OrderPage:
        """Search page by page, newest first, and get what was not seen before. One search and one get as a rule."""
        resumed = feed.recent is not None
        if not resumed:
            self._cut_short = None
        scan = feed.recent_scan(now, self._overlap)
        asked = set(self._hinted)
        read = _Read((await self._get(sorted(asked))).states, [])  # what a hint names may well not be there
        self._hinted -= asked
        for _ in range(NEW_SEARCHES):
            found = await self._found(scan)
            halved = scan.halved(found.total)
            if halved is not None:
                scan = halved
                continue
            fresh = [number for number in feed.unseen(found.numbers) if number not in asked]
            batch = fresh[: NEW_GETS * ORDER_ROWS - len(asked)]
            asked.update(batch)
            part = await self._get(batch)
            read.add(part)
            feed = feed.with_seen(part.placed)
            if len(fresh) > len(batch) and read.states:
                self._cut_short = (scan, found)
                break  # this page again in the next call, for the rest of it
            following = scan.after(found.total)
            feed = feed.recent_read(scan, following, self._overlap)
            if following is None:
                return self._searched(feed, read, now, resumed)
            scan = following
        return self._answer(replace(feed, recent=scan), read, more=True)

    async def _found(self, scan: Scan) -> Found:
        """A page of the search; without a call where the last turn left off in the middle of it.

        Its window ended when the search began, so a page read a little later shows nothing that belongs to it.
        """
        held, self._cut_short = self._cut_short, None
        return held[1] if held is not None and held[0] == scan else await self._search(scan)

    def _searched(self, feed: Feed, read: _Read, now: int, resumed: bool) -> OrderPage:
        """The page that ends a search. It ends the poll too, unless background work is due or the first is not done.

        A search promises what its begin does: that of an earlier call, or of this one. The poll may have begun long
        before, by its background work, and would look too old for a number above 0.
        """
        due = not feed.backfilled or (feed.turn is Turn.OPENING and not resumed and self._is_due(feed, now))
        if due:
            return self._answer(replace(feed, turn=Turn.BACKGROUND), read, more=True)
        began = feed.searched if resumed else self._began_us / 1e6
        seen_until = datetime.fromtimestamp(began - VISIBILITY_SECONDS, UTC)
        return self._answer(replace(feed, turn=Turn.OPENING), read, more=False, seen_until=seen_until)

    def _is_due(self, feed: Feed, now: int) -> bool:
        return feed.sweep_due(now, self._settings.sweep_seconds) or feed.reread_due(now, self._settings.reread_seconds)

    async def _background(self, feed: Feed, now: int) -> OrderPage:
        """One slice of open orders and one step of a sweep, whichever is due."""
        read = _Read([], [])
        known = await self._context.open_orders()
        if feed.reread_due(now, self._settings.reread_seconds):
            numbers = feed.open_slice(known)
            read.add(await self._get(numbers))
            feed = feed.reread_on(numbers, now)
        if feed.sweep_due(now, self._settings.sweep_seconds):
            feed = await self._sweep(feed, now, frozenset(known), read)
        return self._answer(replace(feed, turn=Turn.CLOSING), read, more=True)

    async def _sweep(self, feed: Feed, now: int, known: frozenset[str], read: _Read) -> Feed:
        """Step on in a sweep until it finds something to read. What the core holds open is left to the rereads."""
        for _ in range(SWEEP_SEARCHES):
            scan = feed.sweep_scan(now)
            found = await self._search(scan)
            halved = scan.halved(found.total)
            if halved is not None:
                return replace(feed, sweep=halved)
            done = {state.number for state in read.states}
            numbers = [number for number in found.numbers if number not in done]
            if scan.statuses == OPEN:
                numbers = [number for number in feed.unseen(numbers) if number not in known]
            read.add(await self._get(numbers))
            feed = feed.swept_on(scan, scan.after(found.total))
            if numbers or feed.sweep is None:
                break
        return feed

    async def _search(self, scan: Scan) -> Found:
        start, end = (datetime.fromtimestamp(moment, UTC) for moment in scan.window)
        return await self._api.search_orders(start, end, scan.statuses, scan.page, scan.rows)

    async def _get(self, numbers: Sequence[str]) -> _Read:
        read = _Read([], [])
        for first in range(0, len(numbers), ORDER_ROWS):
            states, problems = await self._api.get_orders(numbers[first : first + ORDER_ROWS])
            read.states += states
            read.problems += problems
        return read

    @staticmethod
    def _answer(feed: Feed, read: _Read, *, more: bool, seen_until: datetime | None = None) -> OrderPage:
        return OrderPage(
            states=tuple(read.states),
            cursor=feed.to_cursor(),
            more=more,
            seen_until=seen_until,
            problems=tuple(read.problems),
        )
