"""What became of numbers that Amazon took in: ACCEPTED proves nothing, so the page itself is read back.

A receipt holds all that is needed to judge by: what was sent, when, and what the page showed before. A number is
settled when the page shows it; when it shows something that only our number can explain; or when it is overdue.

A number that took long to show has wiped out the sales of that time from the page, so no reading of it can tell them
any more. Its result is held back until an order read has looked past the time at which it was seen.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum

from syncd.clock import Clock
from syncd.model import to_us
from syncd.sdk.channel import Accepted, Reason, Rejected
from syncd.sdk.errors import BrokenAnswer, TryAgain
from syncd_amazon.api import AmazonApi, RequestRefused
from syncd_amazon.sales import GRAIN_SECONDS, Sales
from syncd_amazon.shelf import NUMBER_HOLDS_SECONDS, Shelves
from syncd_amazon.wire import READ_ROWS, Holder, Shelf
from syncd_amazon.wire_feeds import FeedState, Processed, Progress, read_processed, read_progress

MOST_READS = 4
MOST_FEEDS = 4
SHOWN_WITHIN_SECONDS = 900.0
"""How long a number may take to show: general knowledge, not confirmed."""
OVERDUE_SECONDS = 2 * SHOWN_WITHIN_SECONDS
INDEXED_WITHIN_SECONDS = 60.0
QUICK_SECONDS = 30.0
"""A number seen so soon has wiped out next to nothing: its result is given at once."""
HELD_AT_MOST_SECONDS = 900.0
LOOK_AGAIN_SECONDS = 60.0


class Way(StrEnum):
    """By which route a number went."""

    PATCH = "p"
    LOST = "l"  # a patch whose answer was lost: it may never have arrived
    FEED = "f"


@dataclass(frozen=True, slots=True)
class Receipt:
    """One number on its way. `source` is the submission or the feed, `message` its place in the feed."""

    way: Way
    sent: int
    quantity: int
    before: int | None
    source: str
    message: int
    sku: str

    def text(self) -> str:
        before = "" if self.before is None else str(self.before)
        return f"{self.way}|{self.sent}|{self.quantity}|{before}|{self.source}|{self.message}|{self.sku}"

    @classmethod
    def parse(cls, text: str) -> Receipt:
        """Raises ValueError for a text that is no receipt of ours."""
        way, sent, quantity, before, source, message, sku = text.split("|", 6)
        return cls(Way(way), int(sent), int(quantity), int(before) if before else None, source, int(message), sku)


def verdict(
    receipt: Receipt, shelf: Shelf | None, age_seconds: float, *, taken: bool = True
) -> Accepted | Rejected | None:
    """What a page read so long after the number was sent says about it; None where it says nothing yet.

    `taken`: Amazon is known to have taken it in. Then a page that shows another number after all that time, and not
    the one from before, has sold some or got some back.
    """
    if shelf is None:
        late = age_seconds >= INDEXED_WITHIN_SECONDS
        return Rejected(0, Reason.UNKNOWN_LISTING, "accepted, but Amazon has no such SKU") if late else None
    if shelf.holder is Holder.AMAZON:
        return Rejected(0, Reason.NOT_WRITABLE, "Amazon holds this SKU (FBA)")
    if shelf.quantity is None:
        return Accepted(0)
    if shelf.quantity == receipt.quantity or _only_ours_explains(receipt, shelf.quantity):
        return Accepted(0, receipt.quantity if shelf.quantity == receipt.quantity else None)
    moved = shelf.quantity < receipt.quantity or receipt.before not in (None, shelf.quantity)
    if taken and receipt.quantity == 0 and (moved or (receipt.before is None and age_seconds >= QUICK_SECONDS)):
        # A cancel put units back, or it has not landed: proof of nothing, and while it stands open no other 0 follows.
        return Rejected(0, Reason.STALE, f"its page shows {shelf.quantity} after {age_seconds:.0f} seconds")
    if moved and taken:  # some were sold, or put back by a cancel
        return Accepted(0) if age_seconds >= SHOWN_WITHIN_SECONDS else None
    told = f"sent, but after {age_seconds / 60:.0f} minutes the page still shows {shelf.quantity}"
    return Rejected(0, Reason.OTHER, told) if age_seconds >= OVERDUE_SECONDS else None


def zeros_that_overtake(receipts: Mapping[str, Receipt]) -> set[str]:
    """The writes to 0 of SKUs that have another number on its way, which may land over them."""
    numbers = Counter(one.sku for one in receipts.values())
    return {text for text, one in receipts.items() if one.quantity == 0 and numbers[one.sku] > 1}


def _only_ours_explains(receipt: Receipt, shows: int) -> bool:
    """Sales only take down. So a page above what it showed before was raised by us; one lowered below our number
    was lowered by us, or sold that low, which is as good."""
    if receipt.before is None:
        return False
    return shows > receipt.before if receipt.quantity > receipt.before else shows <= receipt.quantity


@dataclass(slots=True)
class FeedResult:
    """A feed as last asked: its progress, when we first saw its end, and its report once read."""

    progress: Progress
    ended: float = 0.0
    processed: Processed | None = None

    @property
    def is_told(self) -> bool:
        """Whether Amazon says of each message what became of it. Of a FATAL feed some, none or all may be done."""
        return self.progress.state is FeedState.DONE and self.processed is not None


class Results:
    """Finds the results of receipts. Keeps nothing that a restart must not lose: the receipts hold it all."""

    def __init__(
        self, api: AmazonApi, shelves: Shelves, clock: Clock, orders_until: Callable[[], float], sales: Sales
    ) -> None:
        self._api = api
        self._shelves = shelves
        self._clock = clock
        self._orders_until = orders_until
        self._sales = sales
        self._unclear: dict[str, tuple[float, int]] = {}
        self._looked: dict[str, float] = {}
        self._held: dict[str, tuple[float, Accepted]] = {}
        self._feeds: dict[str, FeedResult] = {}
        self._under_way: dict[str, float] = {}
        self._parsed: dict[str, Receipt] = {}

    def is_under_way(self, sku: str) -> bool:
        """Whether a number of this SKU has been sent and not been seen on its page."""
        return self._now() - self._under_way.get(sku, -OVERDUE_SECONDS) < OVERDUE_SECONDS

    def sent(self, sku: str) -> None:
        """A number of this SKU is about to leave."""
        self._under_way[sku] = self._now()

    def refused(self, sku: str) -> None:
        """That number was refused for certain."""
        self._under_way.pop(sku, None)

    async def collect(self, texts: Sequence[str]) -> dict[str, Accepted | Rejected]:
        """The results known by now. A call reads a few pages only: a stockout must not wait behind it."""
        told: dict[str, Accepted | Rejected] = {}
        receipts: dict[str, Receipt] = {}
        for text in texts:
            try:
                receipts[text] = self._parsed.get(text) or Receipt.parse(text)
            except ValueError:
                told[text] = Rejected(0, Reason.OTHER, "a receipt of another version")
        self._parsed = receipts
        await self._ask_feeds(receipts.values())
        due = self._judge_by_feed({text: one for text, one in receipts.items() if text not in self._held}, told)
        await self._read_back(receipts, due, told)
        self._release(receipts, told)
        self._explain(receipts, told)
        self._looked = {text: at for text, at in self._looked.items() if text in receipts and text not in told}
        for text, one in receipts.items():
            if text in told:
                self.refused(one.sku)
        self._under_way |= {one.sku: self._now() for text, one in receipts.items() if text not in told}
        return told

    # -- feeds ---------------------------------------------------------------------------------------------

    async def _ask_feeds(self, receipts: Iterable[Receipt]) -> None:
        """Ask how far each open feed is, the one asked longest ago first. A feed's report is read once.

        Trouble of the feeds API must not keep stockouts from leaving by patch: what was not told is asked again.
        """
        named = dict.fromkeys(one.source for one in receipts if one.way is Way.FEED)
        self._feeds = {feed: result for feed, result in self._feeds.items() if feed in named}
        still_open = [feed for feed in named if feed not in self._feeds or not self._feeds[feed].ended]
        still_open.sort(key=lambda feed: feed in self._feeds)
        for feed in still_open[:MOST_FEEDS]:
            self._feeds.pop(feed, None)
            with suppress(TryAgain, BrokenAnswer):
                self._feeds[feed] = await self._ask(feed)

    async def _ask(self, feed: str) -> FeedResult:
        try:
            progress = read_progress(await self._api.get_feed(feed), "resultFeedDocumentId")
        except RequestRefused:
            progress = Progress(FeedState.FATAL)  # forgotten, as after 90 days: the pages alone can tell
        if not progress.state.has_ended:
            return FeedResult(progress)
        ended = self._now() if progress.ended_at is None else to_us(progress.ended_at) / 1e6
        return FeedResult(progress, max(ended, 1.0), await self._report_of(progress))

    async def _report_of(self, progress: Progress) -> Processed | None:
        """The processing report, read once; None where there is none to be read. Then the pages tell."""
        if progress.state is not FeedState.DONE or not progress.document:
            return None
        try:
            document = await self._api.get_feed_document(progress.document)
            return read_processed(await self._api.download(document))
        except BrokenAnswer:
            return None

    def _judge_by_feed(self, receipts: dict[str, Receipt], told: dict[str, Accepted | Rejected]) -> dict[str, float]:
        """Judge what the feeds alone decide. Gives what has to be read back, with the time it counts from."""
        due: dict[str, float] = {}
        for text, one in receipts.items():
            if one.way is not Way.FEED:
                due[text] = float(one.sent)
                continue
            result = self._feeds.get(one.source)
            if result is None or not result.ended:
                continue  # it may hang for days: until it is known to be dead, only a 0 may overtake it
            processed = result.processed or Processed()
            refused = processed.refused.get(one.message) or processed.whole
            if result.progress.state is FeedState.CANCELLED:
                told[text] = Rejected(0, Reason.OTHER, f"feed {one.source} was cancelled")
            elif refused:
                told[text] = Rejected(0, Reason.INVALID, refused)
            else:
                due[text] = result.ended
        return due

    # -- pages ---------------------------------------------------------------------------------------------

    async def _read_back(
        self, receipts: dict[str, Receipt], due: dict[str, float], told: dict[str, Accepted | Rejected]
    ) -> None:
        """Read pages, those looked at longest ago first."""
        now, overtaking = self._now(), zeros_that_overtake(receipts)
        turn = [text for text, since in due.items() if now >= self._looked.get(text, 0.0) + self._pause(now - since)]
        turn = sorted(turn, key=lambda text: self._looked.get(text, 0.0))[: MOST_READS * READ_ROWS]
        for first in range(0, len(turn), READ_ROWS):
            part = turn[first : first + READ_ROWS]
            try:
                shelves = await self._shelves.look(list(dict.fromkeys(receipts[text].sku for text in part)))
            except (TryAgain, BrokenAnswer):
                break  # what is known by now is told; the other pages are read with the next call
            for text in part:
                self._looked[text] = now
                shelf = shelves.get(receipts[text].sku)
                one = self._verdict(receipts[text], shelf, now - due[text])
                if shelf is not None and text in overtaking and not isinstance(one, Accepted):
                    one = Accepted(0)  # the core sends it again until the older write is known to be dead
                if one is not None:
                    self._settle(text, receipts[text], one, told)
                elif shelf is not None and shelf.quantity is not None:
                    self._unclear.setdefault(text, (now, shelf.quantity))
        self._let_go(receipts, due.keys() - set(turn), due, told)

    @staticmethod
    def _pause(age_seconds: float) -> float:
        """Seconds between two looks at a page: the longer a number takes, the more seldom."""
        return min(LOOK_AGAIN_SECONDS, age_seconds / 4)

    def _settle(
        self, text: str, receipt: Receipt, one: Accepted | Rejected, told: dict[str, Accepted | Rejected]
    ) -> None:
        """Give a result, or hold it back until the orders of the time that the number took are read."""
        if isinstance(one, Accepted) and self._now() - receipt.sent > QUICK_SECONDS:
            self._held[text] = (self._now(), one)
        else:
            told[text] = one

    def _release(self, receipts: dict[str, Receipt], told: dict[str, Accepted | Rejected]) -> None:
        """Give the results whose time the orders now cover; none is held for ever."""
        covered = max(self._orders_until(), self._now() - HELD_AT_MOST_SECONDS)
        told |= {text: one for text, (seen, one) in self._held.items() if text in receipts and seen <= covered}
        self._held = {text: held for text, held in self._held.items() if text in receipts and text not in told}

    def _explain(self, receipts: dict[str, Receipt], told: dict[str, Accepted | Rejected]) -> None:
        """Give the results of pages that showed another number, once the orders of that time are read: where they make
        ours into what was shown, and could not have made it of the number before."""
        for text, (seen, shows) in list(self._unclear.items()):
            one = receipts.get(text)
            if one is None or text in told or text in self._held:
                del self._unclear[text]
            elif seen + GRAIN_SECONDS <= self._orders_until() < math.inf:
                del self._unclear[text]  # looked at again if this tells nothing
                if one.way is Way.PATCH and self._is_ours(one, shows, seen):
                    told[text] = Accepted(0)

    def _is_ours(self, one: Receipt, shows: int, seen: float) -> bool:
        sent = float(one.sent)
        if one.before is None or not self._sales.explain(one.sku, one.quantity, shows, sent, seen):
            return False
        return not self._sales.explain(one.sku, one.before, shows, sent - NUMBER_HOLDS_SECONDS, seen)

    def _let_go(
        self,
        receipts: dict[str, Receipt],
        unread: Iterable[str],
        due: dict[str, float],
        told: dict[str, Accepted | Rejected],
    ) -> None:
        """Of a feed too large to be read back in time, take the rest as shown: the sweep of every listing will see."""
        shown = self._now() - SHOWN_WITHIN_SECONDS
        for text in unread:
            result = self._feeds.get(receipts[text].source) if due[text] <= shown else None
            if result is not None and result.is_told:
                self._settle(text, receipts[text], Accepted(0), told)

    def _verdict(self, receipt: Receipt, shelf: Shelf | None, age_seconds: float) -> Accepted | Rejected | None:
        feed = self._feeds.get(receipt.source) if receipt.way is Way.FEED else None
        taken = receipt.way is Way.PATCH if feed is None else feed.is_told
        return verdict(receipt, shelf, age_seconds, taken=taken)

    def _now(self) -> float:
        return self._clock.now_us() / 1e6
