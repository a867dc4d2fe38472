"""Numbers out, by two routes: a patch for each SKU, or one feed for many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import anyio

from syncd.clock import Clock
from syncd.sdk.channel import (
    Form,
    Pending,
    ReadFirst,
    Reason,
    Rejected,
    StockWrite,
    Unreported,
    WriteReport,
    WriteRoute,
)
from syncd.sdk.errors import BrokenAnswer, CallRefused, ChannelError, InDoubt, SignInRequired
from syncd_amazon.api import AmazonApi, RequestRefused
from syncd_amazon.report import ListingReport
from syncd_amazon.results import Receipt, Results, Way
from syncd_amazon.shelf import Shelves
from syncd_amazon.wire import MAX_QUANTITY, READ_ROWS, Holder, Submission, availability, patch_body, read_submission
from syncd_amazon.wire_feeds import MOST_MESSAGES, feed_body, read_feeds
from syncd_amazon.wire_orders import write_time

PATCH_ROWS = 5
FEED_TAKES_SECONDS = 160.0
"""What a feed is reckoned to take. By patches 800 SKUs take as long: beyond that a feed is the faster route."""

PATCH = WriteRoute(
    "patch",
    "patch_listing",
    frozenset({Form.ABSOLUTE}),
    max_rows=PATCH_ROWS,  # one burst: all leave within a second of the read before them
    dead_after_seconds=900.0,
    later=True,
    results_within_seconds=2 * 3600.0,  # judged after 30 minutes at the latest, then held back for the orders
    cost_per_call=0.0,
    cost_per_row=1.0,
)
FEED = WriteRoute(
    "feed",
    "create_feed",
    frozenset({Form.ABSOLUTE}),
    max_rows=MOST_MESSAGES,
    dead_after_seconds=6 * 3600.0,  # hangs of hours are reported
    later=True,
    results_within_seconds=3 * 86_400.0,  # hangs of days, too, and a feed that hangs may land at any time
    settle_seconds=FEED_TAKES_SECONDS,
    read_first=ReadFirst.ORDERS,  # 25,000 pages cannot be read in the second before it leaves
)
MOST_LOOKED_UP = 5 * READ_ROWS


class Writer:
    """Sends numbers. What was taken in comes back as a receipt; nothing is called done here."""

    def __init__(
        self, seller: str, api: AmazonApi, shelves: Shelves, results: Results, report: ListingReport, clock: Clock
    ) -> None:
        self._seller = seller
        self._api = api
        self._shelves = shelves
        self._results = results
        self._report = report
        self._clock = clock
        self._made: set[str] = set()

    async def write(self, rows: Sequence[StockWrite], route: WriteRoute, key: str) -> WriteReport:
        """Send what may be sent. A step that Amazon refuses outright is CallRefused: nothing was changed by it."""
        try:
            return await self._write(rows, route, key)
        except RequestRefused as error:
            raise CallRefused(str(error)) from None

    async def _write(self, rows: Sequence[StockWrite], route: WriteRoute, key: str) -> WriteReport:
        wanted, rejected = wanted_rows(rows)
        if not await self._get_to_know(list(wanted), patient=route.name == PATCH.name):
            return WriteReport(tuple(rejected))
        sending: dict[int, StockWrite] = {}
        for sku, index in wanted.items():
            refusal = self._refusal(index, sku)
            if refusal is None:
                sending[index] = rows[index]
            else:
                rejected.append(refusal)
        if not sending:
            return WriteReport(tuple(rejected))
        if route.name == FEED.name:
            return WriteReport((*rejected, *await self._feed(sending)))
        return await self._patches(sending, rejected, key)

    async def _get_to_know(self, skus: Sequence[str], *, patient: bool) -> bool:
        """Learn who holds SKUs never seen so far. False while the listing report that tells of many is on its way:
        it takes a minute or two, and no stockout shall wait behind it."""
        unseen = self._shelves.unseen(skus)
        if len(unseen) > MOST_LOOKED_UP and not patient:
            listed = await self._report.step()
            if listed is None:
                return False
            self._shelves.take_list(listed)
            unseen = self._shelves.unseen(skus)
        await self._shelves.look(unseen[:MOST_LOOKED_UP])
        return True

    def _refusal(self, index: int, sku: str) -> Rejected | None:
        holder = self._shelves.holder(sku)
        if holder is Holder.SELLER:
            return None
        if holder is Holder.AMAZON:
            return Rejected(index, Reason.NOT_WRITABLE, "Amazon holds this SKU (FBA): its stock is not ours to write")
        if holder is Holder.NOBODY:
            told = "no offer of the seller's own: a parent of variations, or unfinished"
            return Rejected(index, Reason.NOT_WRITABLE, told)
        return Rejected(index, Reason.UNKNOWN_LISTING, "Amazon has no such SKU")

    # -- patches -------------------------------------------------------------------------------------------

    async def _patches(self, sending: Mapping[int, StockWrite], rejected: list[Rejected], key: str) -> WriteReport:
        """One call a SKU, all under way at once. Where others got through, a lost one becomes a receipt, too:
        its page will tell."""
        told: dict[int, Pending | Rejected] = {}
        failed: dict[int, ChannelError] = {}
        async with anyio.create_task_group() as group:
            for index, row in sending.items():
                group.start_soon(self._patch, index, row, f"{key}.{index}", told, failed)
        doubtful = [index for index, error in failed.items() if isinstance(error, InDoubt | BrokenAnswer)]
        if failed and not told and (len(doubtful) == len(failed) or not doubtful):
            errors = list(failed.values())
            raise next((one for one in errors if isinstance(one, SignInRequired)), errors[0])
        for index in doubtful:
            told[index] = Pending(index, self._receipt(Way.LOST, sending[index], f"{key}.{index}").text())
        return WriteReport((*rejected, *(told[index] for index in sorted(told))), Unreported.UNTOUCHED)

    async def _patch(
        self,
        index: int,
        row: StockWrite,
        name: str,
        told: dict[int, Pending | Rejected],
        failed: dict[int, ChannelError],
    ) -> None:
        receipt = self._receipt(Way.PATCH, row, name)
        self._results.sent(row.listing)
        try:
            answer = await self._api.patch_listing(row.listing, patch_body(availability(row.quantity)))
            submission = read_submission(answer)
        except RequestRefused as error:
            submission = Submission(reason=Reason.INVALID, message=str(error))
        except ChannelError as error:
            failed[index] = error
            return
        if submission.reason is None:
            told[index] = Pending(index, receipt.text())
        else:
            self._results.refused(row.listing)
            told[index] = Rejected(index, submission.reason, submission.message)

    def _receipt(self, way: Way, row: StockWrite, source: str) -> Receipt:
        before = self._shelves.recent(row.listing)
        return Receipt(way, self._now(), row.quantity, before, source, 0, row.listing)

    # -- feeds ---------------------------------------------------------------------------------------------

    async def _feed(self, sending: Mapping[int, StockWrite]) -> list[Pending]:
        """One feed. A lost answer to its last step alone is in doubt: before it nothing can have changed."""
        began = write_time(self._clock.now())
        numbered = [(message, row.listing, row.quantity) for message, row in enumerate(sending.values(), 1)]
        document = await self._api.create_feed_document()
        await self._api.upload(document, feed_body(self._seller, numbered))
        for row in sending.values():
            self._results.sent(row.listing)
        sent = self._now()
        try:
            feed = await self._api.create_feed(document.id)
        except (InDoubt, BrokenAnswer) as error:
            if isinstance(error, RequestRefused):
                raise
            feed = await self._found_again(began, error)
        self._made.add(feed)
        return [
            Pending(index, Receipt(Way.FEED, sent, row.quantity, None, feed, message, row.listing).text())
            for message, (index, row) in enumerate(sending.items(), 1)
        ]

    async def _found_again(self, began: str, lost: ChannelError) -> str:
        """The feed whose id was lost, if Amazon lists just one that is new. Else it stays in doubt, for hours."""
        try:
            new = set(read_feeds(await self._api.get_feeds(began))) - self._made
        except ChannelError:
            raise lost from None
        if len(new) != 1:
            raise lost
        return new.pop()

    def _now(self) -> int:
        return self._clock.now_us() // 1_000_000


def wanted_rows(rows: Sequence[StockWrite]) -> tuple[dict[str, int], list[Rejected]]:
    """SKU -> index of the rows to send, and those that cannot be. A SKU's second row stays queued: which of two
    numbers on their way wins is not defined."""
    wanted: dict[str, int] = {}
    rejected: list[Rejected] = []
    for index, row in enumerate(rows):
        if not row.listing or row.form is not Form.ABSOLUTE or not 0 <= row.quantity <= MAX_QUANTITY:
            rejected.append(Rejected(index, Reason.INVALID, f"a plain set of 0 to {MAX_QUANTITY} is all Amazon takes"))
        else:
            wanted.setdefault(row.listing, index)
    return wanted, rejected
