"""Yahoo! Shopping in memory: sign-in, gateway, rates and paths over the stock and the order desk.

Stores of one application share its tokens, its rates and its day: hand the same `application` to their emulators.
Tests may close one side alone (`stock_closed`, `order_closed`: the two have separate maintenance) and refuse the
caller with a code (`refuses`, e.g. px-04306).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import parse_qsl

from defusedxml import ElementTree
from pydantic import SecretStr
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from syncd.clock import Clock
from syncd.testing.emulator import Handler, HttpEmulator
from syncd.testing.mall import SignsIn
from syncd.testing.world import Market, World
from syncd_yahoo_shopping import emulator_xml
from syncd_yahoo_shopping.api import PATH
from syncd_yahoo_shopping.emulator_account import (
    CLIENT_ID,
    CLIENT_SECRET,
    KEY_VERSION,
    REDIRECT_URI,
    Application,
    opened,
    public_pem,
)
from syncd_yahoo_shopping.emulator_orders import OrderDesk
from syncd_yahoo_shopping.emulator_stock import StockDesk
from syncd_yahoo_shopping.emulator_xml import Answer
from syncd_yahoo_shopping.session import CONSENT_PATH, TOKEN_PATH

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

SELLER_ID = "snbx-emulated"
FORM = "application/x-www-form-urlencoded"
ORDER_PATHS = frozenset({"orderCount", "orderList", "orderInfo", "orderShipStatusChange"})
MAINTENANCE_PAGE = "<!DOCTYPE html><html><body><h1>ただいまメンテナンス中です</h1></body></html>"


class YahooShoppingEmulator(HttpEmulator, SignsIn):
    """One store. The quirks are what the fact sheet calls not confirmed or leaves open; the first is the default."""

    quirks: ClassVar[Mapping[str, Sequence[str]]] = {
        "throttle_answer": ("403", "503", "403_page", "503_page"),
        "lock_seconds": ("60", "300"),
        "error_status": ("by_code", "200"),
        "order_errors": ("error", "result"),
        "below_zero": ("negative", "clamped", "refused"),
        "signature_age": ("300", "1"),
        "signature_refusal": ("status_200", "401"),
        "refresh_answer": ("keeps", "rotates"),
        "maintenance_answer": ("coded", "page_503", "page_200"),
        "list_limits": ("none", "refused_above_500", "clamped_at_100", "week_at_most"),
        "window_end": ("inclusive", "exclusive"),
        "update_of_new": ("order_time", "empty"),
        "cancelled_quantity": ("kept", "zero"),
        "original_num": ("given", "missing"),
        "removed_line": ("gone", "zero"),
        "return_ship_status": ("3", "1"),
        "split_original": ("kept", "reset"),
        "split_order_time": ("parent", "now"),
        "children": ("repeated", "comma_list"),
        "stock_close_parameter": ("stock_close", "ignored", "refused"),
        "closed_shows": ("number", "zero"),
        "orphan_status": ("0", "1"),
        "upload_seconds": ("60", "0", "900"),
        "while_uploading": ("open", "busy"),
        "upload_type": ("not_needed", "needed"),
    }
    sign_in_quirks = ("refresh_answer",)

    def __init__(
        self,
        world: World,
        market: Market,
        clock: Clock,
        *,
        round_trip_seconds: float = 0.0,
        application: Application | None = None,
        seller_id: str = SELLER_ID,
        **quirks: str,
    ) -> None:
        super().__init__(world, market, clock, round_trip_seconds=round_trip_seconds, **quirks)
        rotates, lock_seconds = self.quirk["refresh_answer"] == "rotates", float(self.quirk["lock_seconds"])
        self.application = application or Application(clock, rotates=rotates, lock_seconds=lock_seconds)
        self.rates = self.application.rates
        self.seller_id = seller_id
        self.stock = StockDesk(market, self.quirk, self.began, seller_id)
        self.orders = OrderDesk(market, self.quirk, self.began, seller_id, self.stock)
        self.stock_closed = False
        self.order_closed = False
        self.refuses = ""

    def began(self) -> datetime:
        """When the caller began the call being answered, at the latest."""
        return self.clock.now()

    def person_signs_in(self, address: str) -> str:
        return self.application.consent(address)

    def end_access(self) -> None:
        self.application.expire_access()

    def withdraw(self) -> None:
        self.application.revoke()

    @property
    def violations(self) -> int:
        """Calls beyond the documented rates and beyond the day's, of all stores of the application."""
        return sum(rate.violations for rate in self.rates.values()) + self.application.calls_beyond

    def settle(self) -> None:
        self.stock.settle()

    def settings(self) -> dict[str, object]:
        return {
            "seller_id": self.seller_id,
            "client_id": CLIENT_ID,
            "client_secret": SecretStr(CLIENT_SECRET),
            "redirect_uri": REDIRECT_URI,
            "refresh_token": SecretStr(self.application.first_token),
            "public_key": SecretStr(public_pem()),
            "public_key_version": KEY_VERSION,
        }

    def routes(self) -> list[Route]:
        return [
            Route(CONSENT_PATH, self._consent, methods=["GET"]),
            Route(TOKEN_PATH, self.operation("token", self._token), methods=["POST"]),
            self._route("POST", "setStock", "set_stock", self._set_stock),
            self._route("POST", "getStock", "get_stock", self._get_stock),
            self._route("POST", "uploadStockFile", "upload_stock", self._upload),
            self._route("GET", "myItemList", "my_item_list", self._items),
            self._route("GET", "getItem", "get_item", self._item),
            self._route("GET", "orderCount", "order_count", self._order_count),
            self._route("POST", "orderList", "order_list", self._order_list),
            self._route("POST", "orderInfo", "order_info", self._order_info),
            self._route("POST", "orderShipStatusChange", "order_ship", self._order_ship),
        ]

    def _route(self, method: str, name: str, operation: str, handler: Handler) -> Route:
        return Route(PATH + name, self.operation(operation, handler), methods=[method])

    # -- the gateway ---------------------------------------------------------------------------------------

    def unauthorized(self, request: Request) -> Response | None:
        """What the gateway says before the API is asked: separate maintenance, session, day, signature."""
        if request.url.path == TOKEN_PATH:
            return None
        is_order = request.url.path.removeprefix(PATH) in ORDER_PATHS
        if self.order_closed if is_order else self.stock_closed:
            return self.closed()
        if not self.key_works or not self.application.is_alive(request.headers.get("authorization", "")):
            told = 'Bearer realm="yahooapis.jp", error="invalid_token", error_description="expired token"'
            message = "Please provide valid credentials. Bearer realm=yahooapis.jp"
            return _xml((401, f"{emulator_xml.HEAD}<Error><Message>{message}</Message></Error>"), told)
        if self.refuses:
            return _xml(emulator_xml.error(403, self.refuses, "Use of API is not permitted"))
        if not self.application.admit_today():
            return self.throttled("day", 60.0)
        return self._signature_refusal(request) if is_order else None

    def _signature_refusal(self, request: Request) -> Response | None:
        plain = opened(request.headers.get("x-sws-signature", "")) or ""
        seller_id, _, sent_at = plain.partition(":")
        age = abs(self.clock.now().timestamp() - int(sent_at)) if sent_at.isdigit() else float("inf")
        right = seller_id == self.seller_id and request.headers.get("x-sws-signature-version") == KEY_VERSION
        if right and age <= float(self.quirk["signature_age"]):
            return None
        if self.quirk["signature_refusal"] == "401":
            return _xml(emulator_xml.error(401, "px-04102", "session is too old"))
        answer = _xml((200, emulator_xml.result_set(["<Result><Status>OK</Status></Result>"])))
        answer.headers["X-SWS-Authorize-Status"] = "signature-error"
        return answer

    def throttled(self, operation: str, wait_seconds: float) -> Response:
        status, _, page = self.quirk["throttle_answer"].partition("_")
        body = "<html><body>Forbidden</body></html>" if page else ""
        return HTMLResponse(body, status_code=int(status))

    def closed(self) -> Response:
        if self.quirk["maintenance_answer"] == "coded":
            return _xml(emulator_xml.error(503, "ed-00002", "System is under maintenance."))
        return HTMLResponse(
            MAINTENANCE_PAGE, status_code=503 if self.quirk["maintenance_answer"] == "page_503" else 200
        )

    async def _token(self, request: Request) -> Response:
        form = dict(parse_qsl((await request.body()).decode()))
        if not self.key_works:
            return JSONResponse({"error": "invalid_grant", "error_description": "expired token"}, status_code=400)
        status, body = self.application.token(request.headers.get("authorization", ""), form)
        return JSONResponse(body, status_code=status)

    async def _consent(self, request: Request) -> Response:
        """The page where a person signs in; here everybody who opens it agrees. Made for the demo's browser."""
        return RedirectResponse(self.application.consent(str(request.url)), status_code=302)

    # -- the desks -----------------------------------------------------------------------------------------

    async def _set_stock(self, request: Request) -> Response:
        self.settle()
        return _xml(self.stock.set_stock(await _form(request)))

    async def _get_stock(self, request: Request) -> Response:
        self.settle()
        return _xml(self.stock.get_stock(await _form(request)))

    async def _upload(self, request: Request) -> Response:
        self.settle()
        content = _file_in(await request.body(), request.headers.get("content-type", ""))
        if content is None:
            return _xml(emulator_xml.error(400, "px-04001", "file is required"))
        if self.quirk["upload_type"] == "needed" and "type" not in request.query_params:
            return _xml(emulator_xml.error(400, "px-04001", "type is required"))
        return _xml(self.stock.upload(request.query_params.get("seller_id"), content))

    async def _items(self, request: Request) -> Response:
        return _xml(self.stock.items(request.query_params))

    async def _item(self, request: Request) -> Response:
        return _xml(self.stock.item(request.query_params))

    async def _order_count(self, request: Request) -> Response:
        return _authorized(self.orders.count(request.query_params.get("sellerId")))

    async def _order_list(self, request: Request) -> Response:
        return await self._with_xml(request, self.orders.find)

    async def _order_info(self, request: Request) -> Response:
        return await self._with_xml(request, self.orders.info)

    async def _order_ship(self, request: Request) -> Response:
        return await self._with_xml(request, self.orders.ship)

    @staticmethod
    async def _with_xml(request: Request, desk: Callable[[Element], Answer]) -> Response:
        try:
            root: Element = ElementTree.fromstring(await request.body(), forbid_dtd=True)
        except (ElementTree.ParseError, ValueError):
            return _authorized(emulator_xml.error(400, "od90101", "the request is no XML"))
        return _authorized(desk(root))


def _xml(answer: Answer, authenticate: str = "") -> Response:
    status, body = answer
    headers = {"WWW-Authenticate": authenticate} if authenticate else {}
    return Response(body, status_code=status, media_type="application/xml", headers=headers)


def _authorized(answer: Answer) -> Response:
    response = _xml(answer)
    response.headers["X-SWS-Authorize-Status"] = "authorized"
    return response


async def _form(request: Request) -> dict[str, str]:
    """The form of a stock call; any other kind of body reads as if nothing were in it."""
    if not request.headers.get("content-type", "").startswith(FORM):
        return {}
    return dict(parse_qsl((await request.body()).decode(), keep_blank_values=True))


def _file_in(body: bytes, kind: str) -> bytes | None:
    """The content of the part named `file`."""
    found = re.search(r"boundary=\"?([^\";]+)", kind)
    if found is None:
        return None
    for part in body.split(b"--" + found.group(1).encode()):
        head, _, content = part.partition(b"\r\n\r\n")
        if b'name="file"' in head:
            return content.removesuffix(b"\r\n")
    return None
