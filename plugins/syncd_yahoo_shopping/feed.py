"""The order feed: turns a cursor into a page of states with a bounded number of calls.

A poll asks the counts, lists the last hours and reads what is new there. When a sweep is due, the next call (asked
for with `more`) does one step of it, and a last list of the last hours closes the poll.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from syncd.model import OrderState
from syncd.sdk.channel import Cursor, OrderPage, Problem, ShopContext
from syncd.sdk.errors import BrokenAnswer
from syncd_yahoo_shopping.api import OrderQueryRefused, OrderUnknown, YahooApi
from syncd_yahoo_shopping.families import PartReader, state_of
from syncd_yahoo_shopping.orders import Listed
from syncd_yahoo_shopping.polling import DAY_SECONDS, VISIBILITY_SECONDS, Feed, Known, Scan, Shifting, Turn
from syncd_yahoo_shopping.settings import YahooShoppingSettings

READS = 1  # orderInfo calls in one page: one a second, and what is read is booked before the next
SWEEP_READS = 2  # of them in one step of a sweep: nothing read may wait long for its booking, no poll for the sweep
ROWS = (2000, 500, 100)  # no maximum is documented; clients send up to 2,000
NARROWEST_SECONDS = 3600
COUNT_SECONDS = 60
MOST_BROKEN = 3  # an order whose details cannot be read must not hold up the others for ever


@dataclass(slots=True)
class _Read:
    """What one call has read so far; `covered` are the order ids that it needs not ask for again."""

    states: list[OrderState] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    covered: set[str] = field(default_factory=set)
    calls: int = 0


class OrderFeed:
    """Reads one store's orders. Where it stands is all in the cursor; only how much a list may ask for is learned."""

    def __init__(self, api: YahooApi, settings: YahooShoppingSettings, context: ShopContext) -> None:
        self._api = api
        self._settings = settings
        self._clock = context.clock
        self._overlap = settings.overlap_hours * 3600
        self._parts = PartReader(api)
        self._broken: Counter[str] = Counter()
        self._rows = 0  # place in ROWS
        self._widest = max(settings.sweep_days, 1) * DAY_SECONDS + 1

    async def page(self, cursor: Cursor | None) -> OrderPage:
        """Do one turn: the last hours, or a step of a sweep if the cursor says so."""
        feed = Feed.from_cursor(cursor)
        return await (self._sweep(feed) if feed.turn is Turn.SWEEP else self._recent(feed))

    @property
    def _now(self) -> int:
        return self._clock.now_us() // 1_000_000

    # -- the last hours ------------------------------------------------------------------------------------

    async def _recent(self, feed: Feed) -> OrderPage:
        read = _Read()
        if not feed.todo:
            feed = await self._list_recent(feed)
        feed = await self._read_some(feed, feed.todo, read, READS)
        if feed.todo or feed.recent is not None:
            return _answer(feed, read, more=True)
        return self._searched(feed, read)

    async def _list_recent(self, feed: Feed) -> Feed:
        """One page of the list, and the counts before the first of a poll."""
        if feed.recent is None and feed.turn is Turn.OPENING and self._now - feed.counted >= COUNT_SECONDS:
            counted = self._now
            feed = replace(feed, counts_now=await self._api.order_counts(), counted=counted)
        scan = feed.recent_scan(self._now, self._overlap, self._widest)
        listed, scan = await self._list(scan)
        following = _after(scan, listed)
        feed = feed.listed(listed.rows)
        return feed.recent_done(scan, self._overlap) if following is None else replace(feed, recent=following)

    def _searched(self, feed: Feed, read: _Read) -> OrderPage:
        """The page that ends a list. It ends the poll too, unless a sweep is due or the first one is not done.

        It promises what the list's own begin does, which may lie before a restart.
        """
        opening = feed.turn is Turn.OPENING
        more = not feed.backfilled or (opening and feed.sweep_due(self._now, self._settings.sweep_seconds))
        feed = replace(feed, turn=Turn.SWEEP if more else Turn.OPENING)
        seen_until = datetime.fromtimestamp(feed.searched - VISIBILITY_SECONDS, UTC) if not more else None
        return _answer(feed, read, more=more, seen_until=seen_until)

    # -- sweeps --------------------------------------------------------------------------------------------

    async def _sweep(self, feed: Feed) -> OrderPage:
        """One page of the sweep and some of what it found. The first sweep goes on to its end within the poll."""
        read = _Read()
        if not feed.sweep_todo:
            scan = feed.sweep_scan(self._now, self._settings.sweep_days, self._widest)
            listed, scan = await self._list(scan)
            feed = feed.swept_page(scan, listed.rows).swept_on(scan, _after(scan, listed))
        feed = await self._read_some(feed, feed.sweep_todo, read, SWEEP_READS if feed.backfilled else READS)
        feed = replace(feed, backfilled=feed.backfilled or feed.is_swept)
        return _answer(replace(feed, turn=Turn.CLOSING if feed.backfilled else Turn.SWEEP), read, more=True)

    # -- calls ---------------------------------------------------------------------------------------------

    async def _list(self, scan: Scan) -> tuple[Listed, Scan]:
        """One page of a list; asks for less when Yahoo refuses, and remembers that."""
        while True:
            try:
                return await self._api.order_list(scan.query(ROWS[self._rows])), scan
            except OrderQueryRefused:
                if self._rows + 1 < len(ROWS):
                    self._rows += 1
                    continue
                begin, end = scan.windows[0]
                if end - begin <= NARROWEST_SECONDS:
                    raise
                self._widest = max(NARROWEST_SECONDS, min(self._widest, end - begin) // 2)
                scan = scan.narrowed(self._widest)

    async def _read_some(self, feed: Feed, todo: Mapping[str, Known], read: _Read, most: int) -> Feed:
        for number in list(todo):
            if read.calls >= most:
                break
            if number not in read.covered:
                await self._read_order(number, read)
            feed = feed.delivered([number])
        return feed

    async def _read_order(self, number: str, read: _Read) -> None:
        """One order, with the parts it was split into or from."""
        read.covered.add(number)
        try:
            family = await self._parts.family(number)
        except OrderUnknown:
            read.problems.append(Problem(number, "stands in the list, and Yahoo does not give it"))
        except ValueError as error:
            read.problems.append(Problem(number, f"order not understood: {error}"))
        except BrokenAnswer as error:
            self._broken[number] += 1
            if self._broken[number] < MOST_BROKEN:
                raise
            read.problems.append(Problem(number, f"its details cannot be read: {error}"))
        else:
            self._broken.pop(number, None)
            read.calls += len(family.parts)
            read.covered.update(part.number for part in family.parts)
            read.states.append(state_of(family))
            return
        read.calls += 1


def _after(scan: Scan, listed: Listed) -> Scan | None:
    try:
        return scan.after(listed)
    except Shifting:
        raise BrokenAnswer("order_list: the list loses orders faster than it can be read") from None


def _answer(feed: Feed, read: _Read, *, more: bool, seen_until: datetime | None = None) -> OrderPage:
    return OrderPage(
        states=tuple(read.states),
        cursor=feed.to_cursor(),
        more=more,
        seen_until=seen_until,
        problems=tuple(read.problems),
    )
