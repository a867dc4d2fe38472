"""Rakuten's RMS in memory: gateway, keys, rates and paths over the stock and the order desk.

Tests may set `license_ends`, put path prefixes into `switched_off` (a function not enabled in RMS answers
ES04-01), item numbers into `too_new` (not in the search yet), and script an order through its `extra`:
`orderProgress`, `change_reasons`, `before_sku`, `unread`, `baskets`.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar

from pydantic import SecretStr
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from syncd.clock import Clock
from syncd.sdk.channel import Webhook
from syncd.sdk.mail import MailAddress, Mailbox
from syncd.testing.emulator import Handler, HttpEmulator, RateJudge
from syncd.testing.mail import MailFolder, MemoryMailbox
from syncd.testing.mall import HasOptions, Pushes
from syncd.testing.world import Market, TruthListing, World
from syncd_rakuten.emulator_mail import mail_of
from syncd_rakuten.emulator_orders import OrderDesk
from syncd_rakuten.emulator_shipping import ShippingDesk
from syncd_rakuten.emulator_stock import StockDesk
from syncd_rakuten.wire import JST, LEAD_TIMES, SHIP_FROM, order_time

SERVICE_SECRET = "SP000000_emulated"  # noqa: S105  # opens the emulator only
LICENSE_KEY = "SL000000_emulated"
NOTICE_KEY = "notice-key-emulated"
MAIL_PASSWORD = "mail-password-emulated"  # noqa: S105  # opens the emulator only
SHOP_URL = "emulated-shop"
EVERY_METHOD = ["GET", "POST", "PUT", "PATCH", "DELETE"]
STRICT_CONTENT_TYPE = "application/json;charset=utf-8"


class RakutenEmulator(HttpEmulator, Pushes, HasOptions):
    """One Rakuten shop. The quirks are what the fact sheet calls not confirmed; the first is the default."""

    quirks: ClassVar[Mapping[str, Sequence[str]]] = {
        "throttle_answer": ("429", "429_retry_after", "503", "503_retry_after"),
        "bad_rows_in_400": ("nothing_applied", "valid_rows_applied"),
        "row_names": ("given", "missing"),
        "auth_status": ("401", "400", "403"),
        "gateway_status": ("400", "403"),
        "cursor_mark": ("star", "empty"),
        "content_type": ("any_json", "strict"),
        "variant_case": ("kept", "folded"),
        "window_end": ("inclusive", "exclusive"),
        "missing_order": ("warned", "silent"),
        "removed_line": ("gone", "flagged"),
        "restore_flag": ("item_setting", "told"),
        "expiry_format": ("local", "date", "zoned"),
        "lead_times_after_2_0": ("kept", "cleared"),
        "confirmed_order": ("awaits_shipment", "processed_first"),
        "refusal_status": ("400", "200"),
    }
    signs_pushes = False

    def __init__(
        self, world: World, market: Market, clock: Clock, *, round_trip_seconds: float = 0.0, **quirks: str
    ) -> None:
        super().__init__(world, market, clock, round_trip_seconds=round_trip_seconds, **quirks)
        orders = RateJudge(per_second=1)
        reads = RateJudge(per_second=5)
        self.rates = {
            "bulk_upsert": RateJudge(per_second=1),
            "upsert": RateJudge(per_second=1),
            "bulk_get": reads,
            "bulk_get_range": reads,
            "items_search": RateJudge(per_second=1),
            "items_get": RateJudge(per_second=5),
            "search_order": orders,
            "get_order": orders,
            "confirm_order": orders,
            "update_shipping": orders,
        }
        self.stock = StockDesk(market, self.quirk, self.began)
        self.orders = OrderDesk(market, self.quirk, self.began)
        self.shipping = ShippingDesk(market, self.quirk)
        self.pushed_orders = 0
        self.post = MailFolder(MAIL_PASSWORD)
        self.license_ends = clock.now() + timedelta(days=90)
        self.switched_off: set[str] = set()
        self.too_new: set[str] = set()

    def began(self) -> datetime:
        """When the caller began the call being answered."""
        return self.clock.now() - timedelta(seconds=self.round_trip_seconds / 2)

    @property
    def violations(self) -> int:
        """Calls beyond the documented rates; a rate that two operations share counts once."""
        return sum(rate.violations for rate in {id(rate): rate for rate in self.rates.values()}.values())

    def settings(self) -> dict[str, object]:
        return {
            "shop_url": SHOP_URL,
            "service_secret": SecretStr(SERVICE_SECRET),
            "license_key": SecretStr(LICENSE_KEY),
            "notice_auth_key": SecretStr(NOTICE_KEY),
        }

    def mail_settings(self) -> dict[str, object]:
        """The `[rakuten.mail]` table of a shop whose order mail comes to `post`."""
        return {"host": "mail.example", "user": "orders", "password": SecretStr(MAIL_PASSWORD)}

    def open_mail(self, address: MailAddress) -> Mailbox:
        return MemoryMailbox(self.post, address)

    def send_mail(self, number: str) -> int:
        """Rakuten's mail about an order arrives; gives its number in the folder."""
        return self.post.put(mail_of(self.market.orders[number]), self.clock.now())

    def pushed(self) -> list[Webhook]:
        """Notices of new orders. A person registers their address in RMS; they bear a key and no signature."""
        orders = list(self.market.orders)
        new, self.pushed_orders = orders[self.pushed_orders :], len(orders)
        return [Webhook({"content-type": "text/xml"}, self.notice_of(number)) for number in new]

    def options_of(self, key: str) -> dict[str, str]:
        kept = self.stock.lead_times.get(key, {})
        times = kept.get("operationLeadTime", {})
        found = {name: str(times[field]) for name, field in LEAD_TIMES.items() if field in times}
        ships = ",".join(str(one) for one in kept.get("shipFromIds", ()))
        return found | ({SHIP_FROM: ships} if ships else {})

    def notice_of(self, number: str) -> bytes:
        """The push notice of a new order, as Rakuten would post it."""
        order = self.market.orders[number]
        baskets = "".join(
            f"<basketModel><itemId>1</itemId><units>{line.ordered}</units></basketModel>" for line in order.lines
        )
        auth = f"<contractId>1</contractId><shopUrl>{SHOP_URL}</shopUrl><authKey>{NOTICE_KEY}</authKey>"
        return (
            f"<orderNotifyModel><authModel>{auth}</authModel><orderInfoNotifyModel>"
            f"<orderNumber>{number}</orderNumber><seqId>{list(self.market.orders).index(number) + 1}</seqId>"
            f"<orderDate>{order_time(order.placed_at)}</orderDate><orderType>1</orderType>{baskets}"
            f"</orderInfoNotifyModel></orderNotifyModel>"
        ).encode()

    def routes(self) -> list[Route]:
        sku = "/es/2.0/inventories/manage-numbers/{manage_number}/variants/{variant_id}"
        return [
            self._route("POST", "/es/2.0/inventories/bulk-upsert", "bulk_upsert", self._bulk_upsert),
            self._route("POST", "/es/2.0/inventories/bulk-get", "bulk_get", self._bulk_get),
            self._route("GET", "/es/2.0/inventories/bulk-get/range", "bulk_get_range", self._stock_range),
            self._route("PUT", sku, "upsert", self._upsert),
            self._route("GET", sku, "get", self._get_stock),
            self._route("POST", "/es/2.1/inventories/bulk-get", "bulk_get", self._bulk_get_21),
            self._route("PUT", sku.replace("2.0", "2.1"), "upsert", self._upsert_21),
            self._route("POST", "/es/2.0/order/searchOrder/", "search_order", self._search_order),
            self._route("POST", "/es/2.0/order/getOrder/", "get_order", self._get_order),
            self._route("POST", "/es/2.0/order/confirmOrder/", "confirm_order", self._confirm_order),
            self._route("POST", "/es/2.0/order/updateOrderShipping/", "update_shipping", self._update_shipping),
            self._route("GET", "/es/2.0/items/search", "items_search", self._items_search),
            self._route("GET", "/es/2.0/items/manage-numbers/{manage_number}", "items_get", self._item_get),
            self._route(
                "GET", "/es/1.0/license-management/license-key/expiry-date", "license_expiry", self._license_expiry
            ),
            Route("/{path:path}", self._unknown_path, methods=EVERY_METHOD),
        ]

    def _route(self, method: str, path: str, name: str, handler: Handler) -> Route:
        return Route(path, self.operation(name, handler), methods=[method])

    # -- the gateway ---------------------------------------------------------------------------------------

    def unauthorized(self, request: Request) -> Response | None:
        """The gateway's refusals: key, function not enabled, Content-Type."""
        expected = "ESA " + base64.b64encode(f"{SERVICE_SECRET}:{LICENSE_KEY}".encode()).decode()
        alive = self.key_works and self.clock.now() <= self.license_ends
        if not alive or request.headers.get("authorization") != expected:
            return _gateway(int(self.quirk["auth_status"]), "ES01-01", "Un-Authorised")
        if any(request.url.path.startswith(prefix) for prefix in self.switched_off):
            return _gateway(int(self.quirk["gateway_status"]), "ES04-01", "Bad Request")
        if request.method in ("POST", "PUT"):
            kind = request.headers.get("content-type", "")
            strict = self.quirk["content_type"] == "strict"
            if (strict and kind != STRICT_CONTENT_TYPE) or not kind.startswith("application/json"):
                return _gateway(415, "ES04-03", "Unsupported Media Type")
        return None

    def throttled(self, operation: str, wait_seconds: float) -> Response:
        status, _, told = self.quirk["throttle_answer"].partition("_")
        answer = _gateway(int(status), "ES04-02", "Too Many Requests")  # a stand-in: no code is documented
        if told:
            answer.headers["Retry-After"] = str(math.ceil(wait_seconds))
        return answer

    async def _unknown_path(self, request: Request) -> Response:
        return _answer((400, {"errors": [{"code": "GE0007", "message": "The path is unknown."}]}))

    # -- the desks -----------------------------------------------------------------------------------------

    async def _bulk_upsert(self, request: Request) -> Response:
        return await self._with_body(request, self.stock.bulk_upsert)

    async def _bulk_get(self, request: Request) -> Response:
        return await self._with_body(request, self.stock.bulk_get)

    async def _bulk_get_21(self, request: Request) -> Response:
        return await self._with_body(request, self.stock.bulk_get_21)

    async def _upsert_21(self, request: Request) -> Response:
        manage_number, variant_id = request.path_params["manage_number"], request.path_params["variant_id"]
        return await self._with_body(request, lambda body: self.stock.upsert_21(manage_number, variant_id, body))

    async def _stock_range(self, request: Request) -> Response:
        query = request.query_params
        return _answer(self.stock.range(query.get("minQuantity"), query.get("maxQuantity")))

    async def _upsert(self, request: Request) -> Response:
        manage_number, variant_id = request.path_params["manage_number"], request.path_params["variant_id"]
        return await self._with_body(request, lambda body: self.stock.upsert(manage_number, variant_id, body))

    async def _get_stock(self, request: Request) -> Response:
        return _answer(self.stock.get(request.path_params["manage_number"], request.path_params["variant_id"]))

    async def _search_order(self, request: Request) -> Response:
        return await self._with_body(request, self.orders.search)

    async def _get_order(self, request: Request) -> Response:
        return await self._with_body(request, self.orders.get)

    async def _confirm_order(self, request: Request) -> Response:
        return await self._with_body(request, self.shipping.confirm)

    async def _update_shipping(self, request: Request) -> Response:
        return await self._with_body(request, self.shipping.update)

    @staticmethod
    async def _with_body(request: Request, desk: Callable[[Any], tuple[int, dict[str, Any] | None]]) -> Response:
        raw = await request.body()
        try:
            body = json.loads(raw)
        except ValueError:
            return _answer((400, {"errors": [{"code": "GE0011", "message": "Request body is empty or not JSON."}]}))
        return _answer(desk(body))

    # -- licence and listings ------------------------------------------------------------------------------

    async def _license_expiry(self, request: Request) -> Response:
        if request.query_params.get("licenseKey") != LICENSE_KEY:
            return _answer((400, {"errors": [{"code": "IE0002", "message": "licenseKey is invalid."}]}))
        ends = self.license_ends.astimezone(JST)
        told = {
            "local": ends.strftime("%Y-%m-%dT%H:%M:%S"),
            "date": ends.strftime("%Y-%m-%d"),
            "zoned": ends.isoformat(timespec="seconds"),
        }[self.quirk["expiry_format"]]
        return JSONResponse({"expiryDate": told})

    async def _item_get(self, request: Request) -> Response:
        manage_number = request.path_params["manage_number"].lower()
        listings = [one for key, one in self.market.listings.items() if key.startswith(f"{manage_number}/")]
        if not any(listing.exists for listing in listings):
            return _answer((404, {"errors": [{"code": "GE0014", "message": f"Not found: {manage_number}"}]}))
        return JSONResponse(_item(manage_number, listings))

    async def _items_search(self, request: Request) -> Response:
        """Items by cursorMark; the end shows as the mark that was sent. Marks are opaque to the caller."""
        mark = request.query_params.get("cursorMark")
        first = {"star": "*", "empty": ""}[self.quirk["cursor_mark"]]
        hits = int(request.query_params.get("hits", "10"))
        if mark is None or not 1 <= hits <= 100 or (mark != first and not mark.startswith("mark-")):
            return _answer((400, {"errors": [{"code": "IE0002", "message": "cursorMark is invalid."}]}))
        items: dict[str, list[TruthListing]] = {}
        for listing in self.market.listings.values():
            if listing.key.split("/")[0] not in self.too_new:
                items.setdefault(listing.key.split("/")[0], []).append(listing)
        offset = 0 if mark == first else int(mark.removeprefix("mark-"))
        part = list(items)[offset : offset + hits]
        return JSONResponse(
            {
                "numFound": len(items),
                "offset": 0,
                "nextCursorMark": f"mark-{offset + len(part)}" if part else mark,
                "results": [{"item": _item(manage_number, items[manage_number])} for manage_number in part],
            }
        )


def _item(manage_number: str, listings: list[TruthListing]) -> dict[str, Any]:
    """An item with its variants; of a deleted one only the manageNumber is left."""
    alive = [listing for listing in listings if listing.exists]
    if not alive:
        return {"manageNumber": manage_number}
    return {
        "manageNumber": manage_number,
        "itemNumber": manage_number,
        "title": manage_number,
        "itemType": "NORMAL",
        "hideItem": False,
        "unlimitedInventoryFlag": not any(listing.counted for listing in alive),
        "variants": {
            listing.key.split("/")[1]: {
                "merchantDefinedSkuId": listing.sku,
                "selectorValues": {},
                "restockOnCancel": False,
                "backOrderFlag": not listing.counted,
                "hidden": False,
                "standardPrice": "1000",
                "articleNumber": {"value": None, "exemptionReason": 5},
            }
            for listing in alive
        },
    }


def _gateway(status: int, code: str, message: str) -> Response:
    return JSONResponse({"Results": {"errorCode": code, "message": message}}, status_code=status)


def _answer(result: tuple[int, dict[str, Any] | None]) -> Response:
    status, body = result
    return Response(status_code=status) if body is None else JSONResponse(body, status_code=status)
