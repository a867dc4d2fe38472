"""The listing report (出品詳細レポート): asked for, waited for, fetched and read. It may be hours old."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping

from syncd.clock import Clock
from syncd.sdk.channel import ListingInfo
from syncd.sdk.errors import BrokenAnswer, Unavailable
from syncd_amazon.api import AmazonApi, RequestRefused
from syncd_amazon.wire import AMAZON_CHANNEL, OWN_CHANNEL, Holder
from syncd_amazon.wire_feeds import FeedState, read_progress

ASK_AGAIN_SECONDS = 10.0
PATIENCE_SECONDS = 540.0  # less than the longest a call of a plugin may take
HEADERS: Mapping[str, str] = {
    "出品者SKU": "seller-sku",
    "商品名": "item-name",
    "数量": "quantity",
    "商品ID": "product-id",
    "商品IDタイプ": "product-id-type",
    "ASIN 1": "asin1",
    "フルフィルメント・チャンネル": "fulfillment-channel",
    "ステータス": "status",
}
JAN_TYPE = "4"  # EAN, by general knowledge
JAN_LENGTHS = frozenset({8, 13})


class ListingReport:
    """One report at a time. `step` never waits; `fetch` waits until it is there."""

    def __init__(self, api: AmazonApi, clock: Clock) -> None:
        self._api = api
        self._clock = clock
        self._asked: str | None = None

    async def step(self) -> dict[str, Holder] | None:
        """Do what can be done now: who holds each SKU, or None while Amazon is still writing the report."""
        if self._asked is None:
            self._asked = await self._api.create_report()
            return None
        try:
            content = await self._fetched(self._asked)
        except RequestRefused:
            self._asked = None  # that report is gone: the next step asks for another
            raise
        if content is None:
            return None
        self._asked = None
        return {row.key: holder_of(row) for row in read_report(content)}

    async def fetch(self) -> list[ListingInfo]:
        """Ask for a report and wait for it. Raises Unavailable when it takes too long."""
        report = await self._api.create_report()
        until = self._clock.monotonic() + PATIENCE_SECONDS
        while self._clock.monotonic() < until:
            content = await self._fetched(report)
            if content is not None:
                return list(read_report(content))
            await self._clock.sleep(ASK_AGAIN_SECONDS)
        raise Unavailable(f"the listing report is not ready after {PATIENCE_SECONDS:.0f} s")

    async def _fetched(self, report: str) -> bytes | None:
        progress = read_progress(await self._api.get_report(report), "reportDocumentId")
        if not progress.state.has_ended:
            return None
        if progress.state is not FeedState.DONE or not progress.document:
            self._asked = None
            raise Unavailable(f"Amazon ended the listing report as {progress.state}")
        document = await self._api.get_report_document(progress.document)  # its address lives five minutes
        return await self._api.download(document)


def holder_of(info: ListingInfo) -> Holder:
    """Who holds a listing of the report."""
    return Holder.SELLER if info.writable else Holder.AMAZON


def read_report(content: bytes) -> Iterator[ListingInfo]:
    """The listings of a report. Columns are found by name, in Japanese or English. Raises BrokenAnswer."""
    reader = csv.reader(io.StringIO(decoded(content), newline=""), delimiter="\t", quoting=csv.QUOTE_NONE)
    try:
        header = [HEADERS.get(name.strip(), name.strip()) for name in next(reader, [])]
        missing = {"seller-sku", "fulfillment-channel"} - set(header)
        if missing:
            raise BrokenAnswer(f"the listing report has no column {' and '.join(sorted(missing))}")
        seen: set[str] = set()
        for number, cells in enumerate(reader, 2):
            if not any(cells):
                continue
            info = _listing(dict(zip(header, cells, strict=False)), number)
            if info.key not in seen:
                seen.add(info.key)
                yield info
    except csv.Error as error:
        raise BrokenAnswer(f"the listing report cannot be read: {error}") from None


def decoded(content: bytes) -> str:
    """The text: UTF-8 if it is that, else CP932. Raises BrokenAnswer where it is neither."""
    for encoding in ("utf-8-sig", "cp932"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise BrokenAnswer("the listing report is neither UTF-8 nor CP932")


def _listing(row: Mapping[str, str], number: int) -> ListingInfo:
    sku, channel = row.get("seller-sku", ""), row.get("fulfillment-channel", "")
    if not sku or not channel:
        raise BrokenAnswer(f"line {number} of the listing report has no SKU or no fulfilment channel")
    ours = channel == OWN_CHANNEL
    if not ours and not channel.startswith(AMAZON_CHANNEL):
        raise BrokenAnswer(f"line {number} of the listing report: fulfilment channel {channel[:40]!r}")
    quantity = row.get("quantity", "").strip()
    return ListingInfo(
        key=sku,
        sku=sku,
        name=row.get("item-name", ""),
        jan=_jan(row),
        quantity=int(quantity) if ours and quantity.isascii() and quantity.isdigit() else None,
        writable=ours,
        problem="" if row.get("status") != "Incomplete" else "the listing is not finished on Amazon (Incomplete)",
    )


def _jan(row: Mapping[str, str]) -> str:
    """The JAN, where the product id is one."""
    code = row.get("product-id", "").strip()
    digits = code.isascii() and code.isdigit() and len(code) in JAN_LENGTHS
    return code if digits and row.get("product-id-type", JAN_TYPE) in (JAN_TYPE, "EAN", "") else ""
