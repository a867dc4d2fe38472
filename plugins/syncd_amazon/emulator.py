"""Amazon's Selling Partner API in memory: tokens, usage plans and paths over the listing, order and file desks.

Tests may put SKUs into `listings.fba` and `listings.parents`, script an order through its `extra` (`fulfillmentStatus`,
`fulfilledBy`, `associatedOrders`), and set `files.next_outcome` or `files.hang` before a feed or report is made.
"""

from __future__ import annotations

import json
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar
from urllib.parse import parse_qs, unquote

from pydantic import SecretStr
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from syncd.clock import Clock
from syncd.testing.emulator import HttpEmulator, RateJudge
from syncd.testing.mall import HasOptions
from syncd.testing.world import Market, World
from syncd_amazon.api import NOTIFICATION_SCOPE, RATES
from syncd_amazon.emulator_files import FeedJudge, FileDesk
from syncd_amazon.emulator_listings import ListingDesk, Result
from syncd_amazon.emulator_notices import SELLER, notice
from syncd_amazon.emulator_orders import LAG, OrderDesk, order_id
from syncd_amazon.emulator_queue import QueueDesk, SubscriptionDesk
from syncd_amazon.options import LEAD_ATTRIBUTE, LEAD_TIME, RESTOCK, RESTOCK_ATTRIBUTE
from syncd_amazon.settings import JAPAN

CLIENT_ID = "amzn1.application-oa2-client.emulated"
CLIENT_SECRET = "amzn1.oa2-cs.v1.emulated"  # noqa: S105  # opens the emulator only
REFRESH_TOKEN = "Atzr|emulated"  # noqa: S105  # opens the emulator only
TOKEN_SECONDS = 3600
LISTING = "/listings/2021-08-01/items/{seller}"
UNESCAPED = frozenset(b"/ #()")
Handler = Callable[[Request], Awaitable[Result]]


class AmazonEmulator(HttpEmulator, HasOptions):
    """One seller account. The quirks are what the fact sheet leaves open; the first setting is the default."""

    quirks: ClassVar[Mapping[str, Sequence[str]]] = {
        "shown_after": ("0", "5", "800"),
        "cancelled_stock": ("comes_back", "stays_off"),
        "cancelled_quantity": ("kept", "reduced"),
        "carrier_codes": ("any", "other_only"),
        "missing_item_body": ("errors", "empty", "page"),
        "throttle_wait": ("untold", "told"),
        "trouble_body": ("errors", "plain"),
        "restock_date": ("date", "datetime"),
        "zero_quantity": ("given", "missing"),
        "unknown_in_feed": ("accepted", "refused"),
        "feed_seconds": ("17", "1200"),
        "compression": ("none", "gzip"),
        "order_sort": ("oldest_first", "newest_first"),
        "report_encoding": ("cp932", "utf-8", "utf-8-sig"),
        "report_headers": ("japanese", "english"),
        "order_change_of_new": ("sent", "not_sent"),
    }

    def __init__(
        self, world: World, market: Market, clock: Clock, *, round_trip_seconds: float = 0.0, **quirks: str
    ) -> None:
        super().__init__(world, market, clock, round_trip_seconds=round_trip_seconds, **quirks)
        self._visibility = market.visibility
        market.visibility = max(market.visibility, LAG)  # no search looks at what is newer
        market.hides_changed = LAG
        if self.quirk["cancelled_stock"] == "stays_off":
            market.restocks_on_cancel = False
        self.rates = {name: RateJudge(rate, burst) for name, (rate, burst) in RATES.items()}
        self.rates["create_feed"] = FeedJudge(*RATES["create_feed"])
        self.listings = ListingDesk(market, self.quirk, self.began, JAPAN)
        self.orders = OrderDesk(market, self.quirk, self.began, JAPAN)
        self.files = FileDesk(market, self.quirk, self.listings, SELLER, JAPAN)
        self.queue = QueueDesk(clock)
        self.subscriptions = SubscriptionDesk()
        self.tokens: dict[str, float] = {}
        self.grantless: dict[str, float] = {}
        self.tokens_given = 0
        self.secret_works = True
        self.next_refresh_token = REFRESH_TOKEN
        self.roles_lost: set[str] = set()
        self._answered = 0
        self._noticed = 0

    def send_notices(self) -> None:
        """From now on put ORDER_CHANGE notifications into the queue, where somebody subscribed to them."""
        self.market.watchers.append(self._notify)

    def _notify(self, number: str) -> None:
        order = self.market.orders[number]
        is_new = order.updated_at <= order.placed_at
        if "ORDER_CHANGE" not in self.subscriptions.by_kind or (
            is_new and self.quirk["order_change_of_new"] == "not_sent"
        ):
            return
        self._noticed += 1
        self.queue.put(notice(order_id(number), id_=f"emulated-{self._noticed}"))

    def began(self) -> datetime:
        """When the caller began the call being answered."""
        return self.clock.now() - timedelta(seconds=self.round_trip_seconds / 2)

    def settings(self) -> dict[str, object]:
        return {
            "seller_id": SELLER,
            "client_id": CLIENT_ID,
            "client_secret": SecretStr(CLIENT_SECRET),
            "client_secret_issued": self.clock.now().date(),
            "refresh_token": SecretStr(REFRESH_TOKEN),
        }

    def options_of(self, key: str) -> dict[str, str]:
        kept = self.listings.options.get(key, {})
        named = {LEAD_TIME: kept.get(LEAD_ATTRIBUTE), RESTOCK: kept.get(RESTOCK_ATTRIBUTE)}
        return {name: str(value).partition("T")[0] for name, value in named.items() if value is not None}

    def settle(self) -> None:
        self.files.settle()
        self.listings.settle()

    def set_lag(self, lag: timedelta) -> None:
        """How far behind the present order searches stay. Amazon's two minutes are more than one can watch, so the demo
        asks for less, and says so."""
        self.orders.lag, self.market.visibility = lag, max(self._visibility, lag)
        self.market.hides_changed = lag

    def set_rate(self, name: str, per_second: float) -> None:
        """Give this account another plan than the usual one."""
        self.rates[name].per_second = per_second

    # -- paths ---------------------------------------------------------------------------------------------

    def routes(self) -> list[Route]:
        feeds, reports, orders = "/feeds/2021-06-30", "/reports/2021-06-30", "/orders/2026-01-01/orders"
        notices = "/notifications/v1"
        confirm = "/orders/v0/orders/{number}/shipmentConfirmation"
        return [
            Route("/auth/o2/token", self.operation("token", self._token), methods=["POST"]),
            Route("/tortuga/{name}", self.operation("upload", self._upload), methods=["PUT"]),
            Route("/tortuga/{name}", self.operation("download", self._download), methods=["GET"]),
            self._route("GET", LISTING, "search_listings", self._search_listings),
            self._route("GET", LISTING + "/{sku:path}", "get_listing", self._get_listing),
            self._route("PATCH", LISTING + "/{sku:path}", "patch_listing", self._patch_listing),
            self._route("GET", orders, "search_orders", self._search_orders),
            self._route("GET", orders + "/{number}", "get_order", self._get_order),
            self._route("POST", confirm, "confirm_shipment", self._confirm),
            self._route("POST", f"{feeds}/documents", "create_feed_document", self._create_feed_document),
            self._route("GET", feeds + "/documents/{name}", "get_feed_document", self._get_feed_document),
            self._route("POST", f"{feeds}/feeds", "create_feed", self._create_feed),
            self._route("GET", f"{feeds}/feeds", "get_feeds", self._get_feeds),
            self._route("GET", feeds + "/feeds/{name}", "get_feed", self._get_feed),
            self._route("POST", f"{reports}/reports", "create_report", self._create_report),
            self._route("GET", reports + "/reports/{name}", "get_report", self._get_report),
            self._route("GET", reports + "/documents/{name}", "get_report_document", self._get_report_document),
            self._route("GET", f"{notices}/destinations", "get_destinations", self._get_destinations),
            self._route("POST", f"{notices}/destinations", "create_destination", self._create_destination),
            self._route("GET", notices + "/subscriptions/{kind}", "get_subscription", self._get_subscription),
            self._route("POST", notices + "/subscriptions/{kind}", "create_subscription", self._create_subscription),
            Route("/", self.operation("queue", self._queue), methods=["POST"]),
            Route("/{path:path}", self._no_path, methods=["GET", "POST", "PUT", "PATCH", "DELETE"]),
        ]

    def _route(self, method: str, path: str, name: str, handler: Handler) -> Route:
        async def answered(request: Request) -> Response:
            self.settle()
            status, body = await handler(request)
            if status == 404 and name == "get_listing" and self.quirk["missing_item_body"] != "errors":
                text = "" if self.quirk["missing_item_body"] == "empty" else "<html>not here</html>"
                return PlainTextResponse(text, status_code=404)
            headers = self._headers()
            if status < 300:
                headers["x-amzn-RateLimit-Limit"] = str(float(self.rates[name].per_second))
            if body is None:
                return Response(status_code=status, headers=headers)
            return JSONResponse(body, status_code=status, headers=headers)

        return Route(path, self.operation(name, answered), methods=[method])

    def _headers(self) -> dict[str, str]:
        self._answered += 1
        return {"x-amzn-RequestId": f"00000000-0000-4000-8000-{self._answered:012d}"}

    # -- the door ------------------------------------------------------------------------------------------

    def unauthorized(self, request: Request) -> Response | None:
        path = request.url.path
        if path == "/" or path.startswith(("/auth/", "/tortuga/")):
            return None
        token = request.headers.get("x-amz-access-token")
        if token is None:
            return self._error(403, "MissingAuthenticationToken", "Missing Authentication Token")
        known = self.grantless if path.endswith("/destinations") else self.tokens
        alive = self.key_works and known.get(token, -1.0) > self.clock.monotonic()
        if not alive:
            details = "The access token you provided is revoked, malformed or invalid."
            return self._error(403, "Unauthorized", "Access to requested resource is denied.", details)
        if any(path.startswith(f"/{role}/") for role in self.roles_lost):
            return self._error(403, "Unauthorized", "Access to requested resource is denied.")
        return None

    def throttled(self, operation: str, wait_seconds: float) -> Response:
        answer = self._error(429, "QuotaExceeded", "You exceeded your quota for the requested resource.")
        answer.headers["x-amzn-ErrorType"] = "TooManyRequestsException"
        if self.quirk["throttle_wait"] == "told":
            answer.headers["Retry-After"] = str(math.ceil(max(1.0, wait_seconds)))
        return answer

    def closed(self) -> Response:
        if self.quirk["trouble_body"] == "plain":
            return PlainTextResponse("Service Unavailable", status_code=503)
        return self._error(503, "ServiceUnavailable", "Service is temporarily unavailable.")

    def _error(self, status: int, code: str, message: str, details: str = "") -> Response:
        body = {"errors": [{"code": code, "message": message, "details": details}]}
        return JSONResponse(body, status_code=status, headers=self._headers())

    async def _no_path(self, request: Request) -> Response:
        return self._error(403, "MissingAuthenticationToken", "Missing Authentication Token")

    async def _token(self, request: Request) -> Response:
        given = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        if given.get("client_id") != CLIENT_ID or given.get("client_secret") != CLIENT_SECRET or not self.secret_works:
            return _flat(401, "invalid_client", "Client authentication failed")
        if given.get("grant_type") == "client_credentials":
            return self._grantless_token(given)
        if given.get("grant_type") != "refresh_token":
            return _flat(400, "unsupported_grant_type", "The authorization grant type is not supported")
        if not self.key_works or given.get("refresh_token") not in (REFRESH_TOKEN, self.next_refresh_token):
            return _flat(400, "invalid_grant", "The request has an invalid grant parameter : refresh_token")
        self.tokens_given += 1
        token = f"Atza|emulated-{self.tokens_given}"
        self.tokens[token] = self.clock.monotonic() + TOKEN_SECONDS
        return JSONResponse(
            {
                "access_token": token,
                "refresh_token": self.next_refresh_token,
                "token_type": "bearer",
                "expires_in": TOKEN_SECONDS,
            }
        )

    def _grantless_token(self, given: Mapping[str, str]) -> Response:
        """A token of the application itself: no seller, no refresh token."""
        if given.get("scope") != NOTIFICATION_SCOPE or "refresh_token" in given:
            return _flat(400, "invalid_scope", "The requested scope is invalid")
        self.tokens_given += 1
        token = f"Atc|emulated-{self.tokens_given}"
        self.grantless[token] = self.clock.monotonic() + TOKEN_SECONDS
        return JSONResponse({"access_token": token, "token_type": "bearer", "expires_in": TOKEN_SECONDS})

    # -- the desks -----------------------------------------------------------------------------------------

    async def _search_listings(self, request: Request) -> Result:
        return self._of_seller(request) or self.listings.search(request.query_params)

    async def _get_listing(self, request: Request) -> Result:
        sku = _sku(request)
        if sku is None:
            return _denied()
        return self._of_seller(request) or self.listings.get(sku, request.query_params)

    async def _patch_listing(self, request: Request) -> Result:
        sku = _sku(request)
        if sku is None:
            return _denied()
        return self._of_seller(request) or self.listings.patch(sku, await _body(request))

    def _of_seller(self, request: Request) -> Result | None:
        right = request.query_params.get("marketplaceIds") == JAPAN and request.path_params["seller"] == SELLER
        return None if right else (400, {"errors": [{"code": "BAD_REQUEST", "message": "Invalid input"}]})

    async def _search_orders(self, request: Request) -> Result:
        return self.orders.search(request.query_params)

    async def _get_order(self, request: Request) -> Result:
        return self.orders.get(request.path_params["number"], request.query_params)

    async def _confirm(self, request: Request) -> Result:
        return self.orders.confirm(request.path_params["number"], await _body(request))

    async def _create_feed_document(self, request: Request) -> Result:
        return self.files.create_document(await _body(request), str(request.base_url))

    async def _get_feed_document(self, request: Request) -> Result:
        return self.files.get_feed_document(request.path_params["name"], str(request.base_url))

    async def _create_feed(self, request: Request) -> Result:
        return self.files.create_feed(await _body(request))

    async def _get_feeds(self, request: Request) -> Result:
        return self.files.get_feeds(request.query_params)

    async def _get_feed(self, request: Request) -> Result:
        return self.files.get_feed(request.path_params["name"])

    async def _create_report(self, request: Request) -> Result:
        return self.files.create_report(await _body(request))

    async def _get_report(self, request: Request) -> Result:
        return self.files.get_report(request.path_params["name"])

    async def _get_report_document(self, request: Request) -> Result:
        return self.files.get_report_document(request.path_params["name"], str(request.base_url))

    async def _get_destinations(self, request: Request) -> Result:
        return self.subscriptions.destinations()

    async def _create_destination(self, request: Request) -> Result:
        return self.subscriptions.create_destination(await _body(request))

    async def _get_subscription(self, request: Request) -> Result:
        return self.subscriptions.get(request.path_params["kind"])

    async def _create_subscription(self, request: Request) -> Result:
        return self.subscriptions.create(request.path_params["kind"], await _body(request))

    async def _queue(self, request: Request) -> Response:
        return await self.queue.answer(request)

    async def _upload(self, request: Request) -> Response:
        status = self.files.put(request.path_params["name"], request.headers, await request.body())
        return Response("" if status == 200 else "<Error><Code>AccessDenied</Code></Error>", status)

    async def _download(self, request: Request) -> Response:
        content = self.files.fetch(request.path_params["name"])
        if content is None:
            return Response("<Error><Code>AccessDenied</Code></Error>", 403)
        return Response(content, 200, media_type="application/octet-stream")


def _flat(status: int, code: str, message: str) -> Response:
    return JSONResponse({"error": code, "error_description": message}, status_code=status)


def _denied() -> Result:
    return 403, {"errors": [{"code": "Unauthorized", "message": "Access to requested resource is denied."}]}


def _sku(request: Request) -> str | None:
    """The SKU of the path as it was sent; None where it was not encoded in full."""
    raw: bytes = request.scope.get("raw_path") or request.url.path.encode()
    sent = raw.split(b"?")[0].removeprefix(b"/listings/2021-08-01/items/").partition(b"/")[2]
    return None if UNESCAPED.intersection(sent) else unquote(sent.decode("ascii", "replace"))


async def _body(request: Request) -> Any:
    try:
        return json.loads(await request.body())
    except ValueError:
        return None
