"""Documents, feeds and reports of the emulator: what is put into and fetched from its storage, and when it is ready."""

from __future__ import annotations

import gzip
import itertools
import json
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from syncd.testing.emulator import RateJudge
from syncd.testing.world import Market, Sent
from syncd_amazon.emulator_listings import ListingDesk, Result, refused, stamp

ADDRESS_LIFE = timedelta(minutes=5)
QUEUE = timedelta(seconds=3)
REPORT_TAKES = timedelta(seconds=20)
FEEDS_IN_WINDOW = 5
WINDOW_SECONDS = 300.0
MOST_MESSAGES = 25_000
COLUMNS = {
    "item-name": "商品名",
    "listing-id": "出品ID",
    "seller-sku": "出品者SKU",
    "price": "価格",
    "quantity": "数量",
    "open-date": "出品日",
    "product-id-type": "商品IDタイプ",
    "item-condition": "コンディション",
    "asin1": "ASIN 1",
    "product-id": "商品ID",
    "pending-quantity": "在庫数",
    "fulfillment-channel": "フルフィルメント・チャンネル",
    "merchant-shipping-group": "merchant-shipping-group",
    "status": "ステータス",
}


class FeedJudge(RateJudge):
    """createFeed's own plan, and beside it five JSON_LISTINGS_FEEDs in any five minutes."""

    _times: deque[float]

    def __init__(self, per_second: float, burst: float) -> None:
        super().__init__(per_second, burst)
        self._times = deque()

    def admit(self, now: float, cost: float = 1.0) -> bool:
        while self._times and self._times[0] <= now - WINDOW_SECONDS:
            self._times.popleft()
        if len(self._times) >= FEEDS_IN_WINDOW:
            self.violations += 1
            return False
        if not super().admit(now, cost):
            return False
        self._times.append(now)
        return True


@dataclass(slots=True)
class Stored:
    """A document in the storage; `kind` is the Content-Type it was made for."""

    id: str
    kind: str
    dies: datetime
    content: bytes | None = None
    sent: Sent | None = None


@dataclass(slots=True)
class Job:
    """A feed or a report under way."""

    id: str
    created: datetime
    ends: datetime
    document: str = ""
    result: str = ""
    outcome: str = "DONE"
    is_done: bool = False

    def state(self, now: datetime) -> str:
        if now < self.created + QUEUE:
            return "IN_QUEUE"
        return self.outcome if self.is_done else "IN_PROGRESS"


class FileDesk:
    """Answers document, feed and report calls. Tests may set `next_outcome` and `hang` before a feed is made."""

    def __init__(
        self, market: Market, quirk: Mapping[str, str], listings: ListingDesk, seller: str, place: str
    ) -> None:
        self.market = market
        self.quirk = quirk
        self.listings = listings
        self.seller = seller
        self.marketplace = place
        self.stored: dict[str, Stored] = {}
        self.feeds: dict[str, Job] = {}
        self.reports: dict[str, Job] = {}
        self.next_outcome = "DONE"
        self.hang = timedelta(0)
        self._numbers = itertools.count(1)

    # -- storage -------------------------------------------------------------------------------------------

    def _store(self, kind: str, content: bytes | None = None) -> Stored:
        name = f"amzn1.tortuga.4.fe.{next(self._numbers):08d}"
        self.stored[name] = Stored(name, kind, self.market.world.now() + ADDRESS_LIFE, content)
        return self.stored[name]

    def put(self, name: str, headers: Mapping[str, str], content: bytes) -> int:
        """Status of an upload: the very Content-Type, none of the API's headers, within five minutes."""
        stored, now = self.stored.get(name), self.market.world.now()
        right = stored is not None and headers.get("content-type") == stored.kind and now <= stored.dies
        if stored is None or not right or "x-amz-access-token" in headers:
            return 403
        stored.content, stored.sent = content, self.market.sent_now(_skus(content))
        return 200

    def fetch(self, name: str) -> bytes | None:
        stored = self.stored.get(name)
        alive = stored is not None and self.market.world.now() <= stored.dies
        return stored.content if stored is not None and alive else None

    def _document(self, name: str, key: str, base: str) -> Result:
        """Where a document can be fetched for five minutes."""
        stored = self.stored.get(name)
        if stored is None:
            return refused("NotFound", "no such document", 404)
        stored.dies = self.market.world.now() + ADDRESS_LIFE
        body = {key: name, "url": f"{base}tortuga/{name}"}
        if self.quirk["compression"] == "gzip":
            body["compressionAlgorithm"] = "GZIP"
        return 200, body

    def _packed(self, content: bytes) -> bytes:
        return gzip.compress(content) if self.quirk["compression"] == "gzip" else content

    # -- feeds ---------------------------------------------------------------------------------------------

    def create_document(self, body: Any, base: str) -> Result:
        kind = body.get("contentType") if isinstance(body, Mapping) else None
        if not isinstance(kind, str):
            return refused("InvalidInput", "contentType is required")
        stored = self._store(kind)
        return 201, {"feedDocumentId": stored.id, "url": f"{base}tortuga/{stored.id}"}

    def create_feed(self, body: Any) -> Result:
        document = body.get("inputFeedDocumentId", "") if isinstance(body, Mapping) else ""
        stored = self.stored.get(document)
        wrong = stored is None or stored.content is None or body.get("marketplaceIds") != [self.marketplace]
        if wrong or body.get("feedType") != "JSON_LISTINGS_FEED":
            return refused("InvalidInput", "Invalid input")
        now = self.market.world.now()
        takes = timedelta(seconds=float(self.quirk["feed_seconds"])) + self.hang
        feed = Job(f"{123_456_000_000 + next(self._numbers)}", now, now + takes, document, outcome=self.next_outcome)
        self.feeds[feed.id] = feed
        return 202, {"feedId": feed.id}

    def get_feed(self, name: str) -> Result:
        feed = self.feeds.get(name)
        if feed is None:
            return refused("NotFound", "no such feed", 404)
        body = {"feedId": feed.id, "feedType": "JSON_LISTINGS_FEED", "marketplaceIds": [self.marketplace]}
        return 200, body | self._progress(feed, "resultFeedDocumentId")

    def get_feeds(self, query: Mapping[str, str]) -> Result:
        """Feeds made since a time, newest first."""
        size = int(query.get("pageSize", "10"))
        if not query.get("feedTypes") or not 1 <= size <= 100:
            return refused("InvalidInput", "Invalid input")
        since = datetime.fromisoformat(query.get("createdSince", "1970-01-01T00:00:00Z"))
        found = [feed.id for feed in self.feeds.values() if feed.created >= since]
        return 200, {"feeds": [self.get_feed(feed)[1] for feed in reversed(found)][:size]}

    def get_feed_document(self, name: str, base: str) -> Result:
        return self._document(name, "feedDocumentId", base)

    def _progress(self, job: Job, document: str) -> dict[str, Any]:
        now = self.market.world.now()
        body: dict[str, Any] = {"createdTime": stamp(job.created), "processingStatus": job.state(now)}
        if job.is_done and now >= job.created + QUEUE:
            body["processingStartTime"], body["processingEndTime"] = stamp(job.created + QUEUE), stamp(job.ends)
            if job.result:
                body[document] = job.result
        return body

    def settle(self) -> None:
        """Process the feeds that are due by now."""
        for feed in self.feeds.values():
            if not feed.is_done and feed.ends <= self.market.world.now():
                feed.is_done = True
                if feed.outcome == "DONE":
                    feed.result = self._store("", self._packed(self._process(feed))).id

    def _process(self, feed: Job) -> bytes:
        """Take the messages of a feed in; gives the processing report."""
        stored = self.stored[feed.document]
        header = {"sellerId": self.seller, "version": "2.0", "feedId": feed.id}
        issues: list[dict[str, Any]] = []
        try:
            messages = json.loads(stored.content or b"")["messages"]
            assert len(messages) <= MOST_MESSAGES
        except (ValueError, KeyError, TypeError, AssertionError):
            issues.append({"code": "4000001", "severity": "ERROR", "message": "The feed cannot be read."})
            messages = []
        refusals = 0
        for message in messages:
            issue = self._message(message, stored, feed)
            if issue is not None:
                refusals += 1
                issues.append({"messageId": message["messageId"], "sku": message["sku"], "severity": "ERROR", **issue})
        summary = {
            "errors": len(issues),
            "warnings": 0,
            "messagesProcessed": len(messages),
            "messagesAccepted": len(messages) - refusals,
            "messagesInvalid": refusals,
        }
        return json.dumps({"header": header, "issues": issues, "summary": summary}, ensure_ascii=False).encode()

    def _message(self, message: Mapping[str, Any], stored: Stored, feed: Job) -> dict[str, Any] | None:
        value, op, wrong = self.listings.understood(message.get("patches"))
        if wrong:
            return {"code": "BAD_REQUEST", "message": wrong}
        listing = self.market.listings.get(message["sku"])
        known = listing is not None and listing.exists
        if not known and self.quirk["unknown_in_feed"] == "refused":
            return {"code": "90220", "message": f"SKU {message['sku']} does not exist."}
        assert stored.sent is not None  # a feed is made of an uploaded document only
        self.listings.take_in(message["sku"], value, op, stored.sent, feed.ends)
        return None

    # -- reports -------------------------------------------------------------------------------------------

    def create_report(self, body: Any) -> Result:
        if not isinstance(body, Mapping) or body.get("marketplaceIds") != [self.marketplace]:
            return refused("InvalidInput", "Invalid input")
        if body.get("reportType") != "GET_MERCHANT_LISTINGS_ALL_DATA":
            return refused("InvalidInput", "Invalid input")
        now = self.market.world.now()
        report = Job(f"ID{next(self._numbers)}", now, now + REPORT_TAKES, outcome=self.next_outcome)
        self.reports[report.id] = report
        return 202, {"reportId": report.id}

    def get_report(self, name: str) -> Result:
        report = self.reports.get(name)
        if report is None:
            return refused("NotFound", "no such report", 404)
        if not report.is_done and report.ends <= self.market.world.now():
            report.is_done = True
            if report.outcome == "DONE":
                report.result = self._store("", self._packed(self.table())).id
        body = {"reportId": report.id, "reportType": "GET_MERCHANT_LISTINGS_ALL_DATA"}
        return 200, body | self._progress(report, "reportDocumentId")

    def get_report_document(self, name: str, base: str) -> Result:
        return self._document(name, "reportDocumentId", base)

    def table(self) -> bytes:
        """The listing report: tab-separated, by default in CP932 under Japanese headers."""
        japanese = self.quirk["report_headers"] == "japanese"
        lines = [list(COLUMNS.values() if japanese else COLUMNS)]
        for n, listing in enumerate(self.market.listings.values()):
            if listing.exists:
                lines.append([self._cell(name, listing.key, n) for name in COLUMNS])
        text = "".join("\t".join(cells) + "\r\n" for cells in lines)
        return text.encode(self.quirk["report_encoding"])

    def _cell(self, name: str, sku: str, n: int) -> str:
        listing, held = self.market.listings[sku], sku in self.listings.fba
        values = {
            "item-name": f'テスト商品 {n} "{sku}"',
            "listing-id": f"1121{n:08d}",
            "seller-sku": sku,
            "price": "1000",
            "quantity": "" if held or not listing.counted else str(listing.shown),
            "open-date": "2026/01/05 00:00:00 JST",
            "product-id-type": "4",
            "item-condition": "11",
            "asin1": "B000EXAMPL",
            "product-id": f"49{n:011d}",
            "pending-quantity": "0",
            "fulfillment-channel": "AMAZON_JP" if held else "DEFAULT",
            "merchant-shipping-group": "Migrated Template",
            "status": "Active" if listing.shown or held else "Inactive",
        }
        return values[name]


def _skus(content: bytes) -> list[str]:
    try:
        return [str(message["sku"]) for message in json.loads(content)["messages"]]
    except (ValueError, KeyError, TypeError):
        return []
