"""The calls of the Selling Partner API: token, budget, and every kind of refusal classed by what to do next."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from typing import Any
from urllib.parse import quote, urlsplit

import httpx

from syncd.sdk.channel import Budget, ShopContext
from syncd.sdk.errors import BrokenAnswer, InDoubt, SignInRequired, Throttled, Unavailable
from syncd.sdk.http import read_json, retry_after, shown
from syncd_amazon.settings import AmazonSettings
from syncd_amazon.tokens import TOKEN_ADDRESS, Tokens

ADDRESS = "https://sellingpartnerapi-fe.amazon.com"
USER_AGENT = "syncd/1.0 (Language=Python)"
RATE_HEADER = "x-amzn-RateLimit-Limit"
REQUEST_HEADER = "x-amzn-RequestId"
UNKNOWN_PATH = "MissingAuthenticationToken"
LISTINGS = "/listings/2021-08-01/items"
ORDERS = "/orders/2026-01-01/orders"
FEEDS = "/feeds/2021-06-30"
REPORTS = "/reports/2021-06-30"
NOTIFICATIONS = "/notifications/v1"
NOTIFICATION_SCOPE = "sellingpartnerapi::notifications"
FEED_TYPE = "JSON_LISTINGS_FEED"
FEED_CONTENT_TYPE = "application/json; charset=UTF-8"
LISTING_REPORT = "GET_MERCHANT_LISTINGS_ALL_DATA"
MOST_REPORT_BYTES = 256 * 1024 * 1024

RATES: Mapping[str, tuple[float, float]] = {
    "patch_listing": (5, 5),
    "get_listing": (5, 10),
    "search_listings": (5, 5),
    "create_feed_document": (0.5, 15),
    "create_feed": (0.0083, 15),
    "get_feeds": (0.0222, 10),
    "get_feed": (2, 15),
    "get_feed_document": (0.0222, 10),
    "search_orders": (0.0056, 20),
    "get_order": (0.5, 30),
    "confirm_shipment": (2, 10),
    "create_report": (0.0167, 15),
    "get_report": (2, 15),
    "get_report_document": (0.0167, 15),
    "get_destinations": (1, 5),
    "create_destination": (1, 5),
    "get_subscription": (1, 5),
    "create_subscription": (1, 5),
}
"""Calls a second and burst of each operation, by the usage plans."""

FEEDS_IN_FIVE_MINUTES = 5
FEED_WINDOW_SECONDS = 305.0
"""Feeds arrive there closer together than they leave here: five seconds are for that."""

BUDGETS = (
    *(Budget(name, frozenset({name}), per_second=rate, burst=burst) for name, (rate, burst) in RATES.items()),
    Budget(
        "json_listings_feed",
        frozenset({"create_feed"}),
        per_second=FEEDS_IN_FIVE_MINUTES / FEED_WINDOW_SECONDS,
        burst=FEEDS_IN_FIVE_MINUTES,
        window_seconds=FEED_WINDOW_SECONDS,
    ),
)


class RequestRefused(BrokenAnswer):
    """Amazon understood the request and refused it: 400, 404, 413 or 415. Nothing changed."""

    def __init__(self, message: str, status: int, code: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code


@dataclass(frozen=True, slots=True)
class Document:
    """Where a document can be fetched or put for the next five minutes. Never kept for later."""

    id: str
    url: str
    gzipped: bool = False


class AmazonApi:
    """One account's door to the Selling Partner API. Raises only `ChannelError`s."""

    def __init__(self, base_url: str | None, settings: AmazonSettings, context: ShopContext) -> None:
        self._base_url = base_url or ADDRESS
        self._http = context.http(self._base_url)
        self._tokens = Tokens(base_url or TOKEN_ADDRESS, settings, context)
        self._grantless = Tokens(base_url or TOKEN_ADDRESS, settings, context, NOTIFICATION_SCOPE)
        self._clock = context.clock
        self._settings = settings
        self._told: dict[str, str] = {}
        self._rates = {name: rate for name, (rate, _) in RATES.items()}

    async def aclose(self) -> None:
        await self._http.aclose()
        await self._tokens.aclose()
        await self._grantless.aclose()

    def per_second(self, operation: str) -> float:
        """Calls a second that this account's plan allows, as far as its answers told."""
        return self._rates[operation]

    def spare(self, operation: str) -> float:
        """Calls of this operation that may leave at once now."""
        return self._http.limiter.spare(operation)

    # -- listings ------------------------------------------------------------------------------------------

    def _listing(self, sku: str) -> str:
        """The path of a SKU, percent-encoded in full: a raw one is answered with 403."""
        return f"{LISTINGS}/{quote(self._settings.seller_id, safe='')}/{quote(sku, safe='')}"

    async def patch_listing(self, sku: str, body: Mapping[str, Any]) -> Any:
        params = {"marketplaceIds": self._settings.marketplace_id, "issueLocale": "ja_JP"}
        path = self._listing(sku)
        return await self._json("patch_listing", "PATCH", path, params=params, json=body, effect=True)

    async def get_listing(self, sku: str, included: str) -> Any:
        """One item; None where Amazon does not know the SKU, whatever body that 404 carries."""
        params = {"marketplaceIds": self._settings.marketplace_id, "includedData": included}
        try:
            return await self._json("get_listing", "GET", self._listing(sku), params=params)
        except RequestRefused as error:
            if error.status == 404:
                return None
            raise

    async def search_listings(self, params: Mapping[str, str]) -> Any:
        path = f"{LISTINGS}/{quote(self._settings.seller_id, safe='')}"
        asked = {"marketplaceIds": self._settings.marketplace_id, **params}
        return await self._json("search_listings", "GET", path, params=asked)

    # -- orders --------------------------------------------------------------------------------------------

    async def search_orders(self, params: Mapping[str, str]) -> Any:
        asked = {"marketplaceIds": self._settings.marketplace_id, "fulfilledBy": "MERCHANT", **params}
        return await self._json("search_orders", "GET", ORDERS, params=asked)

    async def get_order(self, number: str, included: str) -> Any:
        path = f"{ORDERS}/{quote(number, safe='')}"
        return await self._json("get_order", "GET", path, params={"includedData": included})

    async def confirm_shipment(self, number: str, body: Mapping[str, Any]) -> None:
        path = f"/orders/v0/orders/{quote(number, safe='')}/shipmentConfirmation"
        answer = await self._call("confirm_shipment", "POST", path, json=body, effect=True)
        if answer.status_code != 204:
            raise BrokenAnswer(f"confirm_shipment: {answer.status_code} {shown(answer.text)}")

    # -- feeds and reports ---------------------------------------------------------------------------------

    async def create_feed_document(self) -> Document:
        path, body = f"{FEEDS}/documents", {"contentType": FEED_CONTENT_TYPE}
        answer = await self._json("create_feed_document", "POST", path, json=body)
        return self._document(answer, "feedDocumentId", "create_feed_document")

    async def create_feed(self, document: str) -> str:
        """Hand an uploaded document over for processing; gives the feed's id."""
        body = {
            "feedType": FEED_TYPE,
            "marketplaceIds": [self._settings.marketplace_id],
            "inputFeedDocumentId": document,
        }
        answer = await self._json("create_feed", "POST", f"{FEEDS}/feeds", json=body, effect=True)
        return _text(answer, "feedId", "create_feed")

    async def get_feeds(self, since: str) -> Any:
        """The feeds of our kind made since a time."""
        params = {"feedTypes": FEED_TYPE, "createdSince": since, "pageSize": "10"}
        return await self._json("get_feeds", "GET", f"{FEEDS}/feeds", params=params)

    async def get_feed(self, feed: str) -> Any:
        return await self._json("get_feed", "GET", f"{FEEDS}/feeds/{quote(feed, safe='')}")

    async def get_feed_document(self, document: str) -> Document:
        path = f"{FEEDS}/documents/{quote(document, safe='')}"
        answer = await self._json("get_feed_document", "GET", path)
        return self._document(answer, "feedDocumentId", "get_feed_document")

    async def create_report(self) -> str:
        body = {"reportType": LISTING_REPORT, "marketplaceIds": [self._settings.marketplace_id]}
        return _text(await self._json("create_report", "POST", f"{REPORTS}/reports", json=body), "reportId", "report")

    async def get_report(self, report: str) -> Any:
        return await self._json("get_report", "GET", f"{REPORTS}/reports/{quote(report, safe='')}")

    async def get_report_document(self, document: str) -> Document:
        path = f"{REPORTS}/documents/{quote(document, safe='')}"
        answer = await self._json("get_report_document", "GET", path)
        return self._document(answer, "reportDocumentId", "get_report_document")

    def _document(self, answer: Any, name: str, operation: str) -> Document:
        url = _text(answer, "url", operation)
        same_place = url.startswith(self._base_url.rstrip("/") + "/")
        if urlsplit(url).scheme != "https" and not same_place:
            raise BrokenAnswer(f"{operation}: an address that is not https")
        return Document(_text(answer, name, operation), url, answer.get("compressionAlgorithm") == "GZIP")

    async def upload(self, document: Document, content: bytes) -> None:
        """Put a feed's body, with the very Content-Type its document was made for and nothing of the API's headers."""
        headers = {"Content-Type": FEED_CONTENT_TYPE}
        answer = await self._http.send("upload", "PUT", document.url, content=content, headers=headers)
        if answer.status_code != 200:
            raise Unavailable(f"upload: {answer.status_code} {shown(answer.text)}")
        if answer.content.strip():
            raise BrokenAnswer(f"upload: an answer that should be empty: {shown(answer.text)}")

    async def download(self, document: Document) -> bytes:
        answer = await self._http.send("download", "GET", document.url)
        if answer.status_code != 200:
            raise Unavailable(f"download: {answer.status_code} {shown(answer.text)}")
        return unpacked(answer.content) if document.gzipped else answer.content

    # -- notifications -------------------------------------------------------------------------------------

    async def get_destinations(self) -> list[Any]:
        """Where this application's notifications may go."""
        answer = await self._json("get_destinations", "GET", f"{NOTIFICATIONS}/destinations", tokens=self._grantless)
        found = answer.get("payload", [])
        if not isinstance(found, list):
            raise BrokenAnswer("get_destinations: no list of destinations")
        return found

    async def create_destination(self, body: Mapping[str, Any]) -> str:
        path = f"{NOTIFICATIONS}/destinations"
        answer = await self._json("create_destination", "POST", path, json=body, effect=True, tokens=self._grantless)
        return _text(_payload(answer), "destinationId", "create_destination")

    async def get_subscription(self, kind: str, version: str) -> Mapping[str, Any] | None:
        """The subscription of this seller to a kind of notification; None where there is none."""
        path, params = f"{NOTIFICATIONS}/subscriptions/{kind}", {"payloadVersion": version}
        try:
            return _payload(await self._json("get_subscription", "GET", path, params=params))
        except RequestRefused as error:
            if error.status == 404:
                return None
            raise

    async def create_subscription(self, kind: str, body: Mapping[str, Any]) -> None:
        path = f"{NOTIFICATIONS}/subscriptions/{kind}"
        await self._json("create_subscription", "POST", path, json=body, effect=True)

    # -- one call ------------------------------------------------------------------------------------------

    async def _json(self, operation: str, method: str, path: str, **sent: Any) -> Any:
        answer = await self._call(operation, method, path, **sent)
        body = read_json(answer, operation)
        if not isinstance(body, Mapping):
            raise BrokenAnswer(f"{operation}: the answer is no object")
        return body

    async def _call(
        self,
        operation: str,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        json: Any = None,
        effect: bool = False,
        tokens: Tokens | None = None,
    ) -> httpx.Response:
        """One call; with a fresh token once more after a 401 or 403. Gives a 2xx answer."""
        tokens = tokens or self._tokens
        token = await tokens.current()
        for attempt in range(2):
            answer = await self._http.send(
                operation,
                method,
                path,
                params=params,
                json=json,
                headers={
                    "x-amz-access-token": token.get_secret_value(),
                    "x-amz-date": self._clock.now().astimezone(UTC).strftime("%Y%m%dT%H%M%SZ"),
                    "user-agent": USER_AGENT,
                },
                effect=effect,
                accept=lambda status: status not in (500, 502, 504),
            )
            if answer.status_code not in (401, 403) or attempt or error_code(answer) == UNKNOWN_PATH:
                break
            token = await tokens.current(refused=token)
        self._raise_for_status(operation, answer, effect)
        self._follow_rate(operation, answer)
        return answer

    def _raise_for_status(self, operation: str, answer: httpx.Response, effect: bool) -> None:
        status = answer.status_code
        if 200 <= status < 300:
            return
        text = f"{operation}: {status} {told_by(answer)}"
        if status == 429:
            self._raise_throttled(operation, answer, text)
        code = error_code(answer)
        if code == UNKNOWN_PATH:
            raise BrokenAnswer(f"{text}; no such path, or the token header was lost on the way")
        if status in (401, 403):
            raise SignInRequired(f"{text}; the token is refused, or the application lacks the role for this")
        if status == 503:  # overload or maintenance; a set is harmless to repeat
            raise Unavailable(text)
        if status >= 500:
            raise (InDoubt if effect else Unavailable)(text)
        raise RequestRefused(text, status, code)

    def _raise_throttled(self, operation: str, answer: httpx.Response, text: str) -> None:
        """Amazon tells no wait: its bucket gains one call in 1/rate seconds."""
        after = retry_after(answer)
        self._http.limiter.throttled(operation, 1 / self.per_second(operation) if after is None else after)
        raise Throttled(text, after_seconds=after)

    def _follow_rate(self, operation: str, answer: httpx.Response) -> None:
        """Take this account's own rate over where it differs. Only `create_feed` has a second limit beside it."""
        told = answer.headers.get(RATE_HEADER, "")
        if operation == "create_feed" or not told or told == self._told.get(operation):
            return
        self._told[operation] = told
        try:
            rate = float(told)
        except ValueError:
            return
        if 0 < rate < 10_000:
            self._rates[operation] = rate
            self._http.limiter.feed(operation, available=None, per_second=rate, burst=None)


def error_code(answer: httpx.Response) -> str:
    """The code of the first error of an answer; empty where its body has another shape."""
    first = _first_error(answer)
    return str(first.get("code", ""))


def told_by(answer: httpx.Response) -> str:
    """What an answer complains about, and the id to ask Amazon about it."""
    first = _first_error(answer)
    text = " ".join(str(first[name]) for name in ("code", "message", "details") if first.get(name))
    request = answer.headers.get(REQUEST_HEADER, "")
    return shown(f"{text or answer.text} {f'(request {request})' if request else ''}")


def _first_error(answer: httpx.Response) -> Mapping[str, Any]:
    try:
        body = answer.json()
    except ValueError:
        return {}
    errors = body.get("errors") if isinstance(body, Mapping) else None
    first = errors[0] if isinstance(errors, list) and errors else None
    return first if isinstance(first, Mapping) else {}


def _text(body: Mapping[str, Any], name: str, operation: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise BrokenAnswer(f"{operation}: no {name} in the answer")
    return value


def _payload(body: Mapping[str, Any]) -> Mapping[str, Any]:
    payload = body.get("payload")
    if not isinstance(payload, Mapping):
        raise BrokenAnswer("notifications: no payload in the answer")
    return payload


def unpacked(content: bytes, most: int = MOST_REPORT_BYTES) -> bytes:
    """A gzipped document; one that grows beyond `most` bytes, or is none, is a BrokenAnswer."""
    engine = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        plain = engine.decompress(content, most + 1)
    except zlib.error:
        raise BrokenAnswer("a document said to be gzip is not") from None
    if len(plain) > most:
        raise BrokenAnswer(f"a document of more than {most} bytes")
    if not engine.eof:
        raise BrokenAnswer("a gzip document cut off")
    return plain
