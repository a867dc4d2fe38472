"""The calls to Yahoo and what their answers mean: by code first, since most codes have no documented status."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import httpx

from syncd.sdk.channel import ShopContext, StockWrite, WriteReport
from syncd.sdk.errors import (
    BrokenAnswer,
    CallRefused,
    ChannelError,
    Closed,
    InDoubt,
    SignInRequired,
    Throttled,
    TryAgain,
    Unavailable,
)
from syncd.sdk.http import retry_after, shown
from syncd_yahoo_shopping import orders as order_wire
from syncd_yahoo_shopping import stock_wire
from syncd_yahoo_shopping.session import Session
from syncd_yahoo_shopping.settings import Overdraft, StockClose, YahooShoppingSettings
from syncd_yahoo_shopping.signature import Signature
from syncd_yahoo_shopping.wire import Complaint, PageForAnswer, complaint_of, parsed

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

ADDRESS = "https://circus.shopping.yahooapis.jp"
TEST_ADDRESS = "https://test.circus.shopping.yahooapis.jp"
PATH = "/ShoppingWebService/V1/"
THROTTLED_SECONDS = 60.0  # how long a closed URL stays closed is not documented; the sheet asks for a minute
AUTHORIZED = "authorized"

SESSION_OVER = frozenset({"px-04102"})
NOT_ALLOWED = {
    "px-04303": "the order API is not approved for this store",
    "px-04306": "the address we call from is not registered with Yahoo",
    "px-04307": "the right was withdrawn, or the business id or key version is wrong",
    "px-14303": "the right was withdrawn, or the business id or key version is wrong",
    "px-14304": "this sign-in may not work for this store",
    "ed-00003": "seller_id is missing",
    "ed-00004": "there is no such store",
    "ed-00005": "the store is not open",
    "st-02100": "seller_id is wrong",
}
MAINTENANCE = frozenset({"ed-00002", "st-02000", "st-01000"})
SYSTEM = frozenset({"st-02999", "ed-00001", "od91001", "ed-00006", "ed-10001"})  # the last two: meaning not found
BUSY = ("反映またはアップロード中", "更新ができません")
ORDER_REFUSED = frozenset({"od90101", "od91133"})
ORDER_UNKNOWN = "od91801"


class OrderQueryRefused(BrokenAnswer):
    """The order API refuses a parameter: perhaps a window or a page that is too wide for it."""


class OrderUnknown(BrokenAnswer):
    """There is no such order (any more)."""


class ShipmentRefused(ChannelError):
    """The order API refuses to change a shipment. Only ever turned into a rejected row."""


class YahooApi:
    """One store's door to Yahoo. Raises only `ChannelError`s."""

    def __init__(self, base_url: str, settings: YahooShoppingSettings, session: Session, context: ShopContext) -> None:
        self._http = context.http(base_url.rstrip("/"))
        self._settings = settings
        self._session = session
        key = settings.public_key
        self._signature = (
            None if key is None else Signature(key, settings.public_key_version, settings.seller_id, context.clock)
        )

    async def aclose(self) -> None:
        await self._http.aclose()

    # -- stock ---------------------------------------------------------------------------------------------

    async def set_stock(self, sending: stock_wire.Sending) -> WriteReport:
        """Write up to 1,000 rows in one call."""
        form = stock_wire.set_stock_form(
            self._settings.seller_id, sending.rows.values(),
            overdraft_off=self._overdraft_off, release_closed=self._releases,
        )  # fmt: skip
        call = Call("set_stock", "setStock", form=form, effect=True, relative=sending.is_relative)
        return stock_wire.read_set_stock(await self._answered(call), sending)

    async def get_stock(self, listings: Sequence[str]) -> dict[str, stock_wire.Stock]:
        """Stock of up to 1,000 codes; codes that Yahoo does not know are left out."""
        form = {"seller_id": self._settings.seller_id, "item_code": ",".join(listings)}
        return stock_wire.read_get_stock(await self._answered(Call("get_stock", "getStock", form=form)), listings)

    async def upload_stock(self, rows: Sequence[StockWrite]) -> None:
        """Hand in a stock CSV; Yahoo works it off in the background and tells nobody."""
        content = stock_wire.stock_csv(rows, overdraft_off=self._overdraft_off, release_closed=self._releases)
        body, kind = _multipart(content)
        call = Call(
            "upload_stock", "uploadStockFile", params={"seller_id": self._settings.seller_id},
            content=body, content_type=kind, effect=True, relative=any(row.form.is_relative for row in rows),
        )  # fmt: skip
        await self._answered(call)

    @property
    def _overdraft_off(self) -> bool:
        return self._settings.allow_overdraft is Overdraft.OFF

    @property
    def _releases(self) -> bool:
        return self._settings.stock_close is StockClose.RELEASE

    # -- listings ------------------------------------------------------------------------------------------

    async def items(self, start: int, results: int) -> tuple[list[stock_wire.Item], int]:
        """A page of items, counted from 1, and how many there are in all."""
        params = {
            "seller_id": self._settings.seller_id, "query": "", "type": "item_code", "stock": "true",
            "start": str(start), "results": str(results),
        }  # fmt: skip
        root = await self._answered(Call("my_item_list", "myItemList", method="GET", params=params))
        return stock_wire.read_items(root)

    async def variants(self, code: str) -> list[stock_wire.Variant]:
        """The variants of one item, none when it has none."""
        params = {"seller_id": self._settings.seller_id, "item_code": code}
        return stock_wire.read_variants(await self._answered(Call("get_item", "getItem", method="GET", params=params)))

    # -- orders --------------------------------------------------------------------------------------------

    async def order_counts(self) -> dict[str, int]:
        """How many orders are in which state."""
        params = {"sellerId": self._settings.seller_id}
        call = Call("order_count", "orderCount", method="GET", params=params, signed=True)
        return order_wire.read_counts(await self._answered(call))

    async def order_list(self, query: order_wire.ListQuery) -> order_wire.Listed:
        """One page of orders by order time. Raises OrderQueryRefused when it asks for too much."""
        body = order_wire.list_body(query, self._settings.seller_id)
        return order_wire.read_list(await self._answered(Call("order_list", "orderList", xml=body, signed=True)))

    async def order_info(self, number: str) -> order_wire.Part:
        """One order as it is now. Raises OrderUnknown."""
        body = order_wire.info_body(number, self._settings.seller_id)
        root = await self._answered(Call("order_info", "orderInfo", xml=body, signed=True))
        return order_wire.read_info(root, number, frozenset(self._settings.bidding_types))

    async def ship(self, body: str) -> None:
        """Report a shipment. Raises ShipmentRefused with Yahoo's words."""
        call = Call("order_ship", "orderShipStatusChange", xml=body, signed=True, effect=True, relative=True)
        try:
            await self._answered(call)
        except CallRefused as error:
            raise ShipmentRefused(str(error)) from None

    # -- one call ------------------------------------------------------------------------------------------

    async def _answered(self, call: Call) -> Element:
        """Make a call and return its document. A dead session is renewed once, then a person is needed."""
        token = await self._session.token()
        for attempt in (1, 2):
            raw = await self._http.send(
                call.operation,
                call.method,
                PATH + call.path,
                params=call.params,
                content=call.content,
                headers={"Authorization": f"Bearer {token.get_secret_value()}", **call.headers},
                fresh_headers=self._signing(call),
                effect=call.effect,
                accept=lambda status: status != 429,
            )
            try:
                return self._document(call, raw)
            except SessionOver as error:
                if attempt == 2:
                    raise SignInRequired(f"{error}; the renewed session is refused, too") from None
                token = await self._session.token(refused=token)
        raise AssertionError("two attempts end in an answer or an error")

    def _signing(self, call: Call) -> Callable[[], Mapping[str, str]] | None:
        if not call.signed:
            return None
        if self._signature is None:
            raise SignInRequired(f"{call.operation}: order calls need public_key in the shop's file")
        return self._signature.headers

    def _document(self, call: Call, raw: httpx.Response) -> Element:
        """The document of an answer that neither session, speed nor the mall's health has spoiled."""
        if raw.status_code == 401:
            raise SessionOver(f"{call.operation}: 401 {_refusal_of(raw)}")
        try:
            root = parsed(raw.content, call.operation)
        except BrokenAnswer as error:
            raise self._without_document(call, raw, error) from None
        complaint = complaint_of(root)
        if complaint is not None:
            raise self._refused(call, raw, complaint)
        if raw.status_code >= 300:
            raise self._without_document(call, raw, BrokenAnswer(f"{call.operation}: {raw.status_code} without a code"))
        status = raw.headers.get("x-sws-authorize-status", AUTHORIZED)
        if call.signed and status.lower() != AUTHORIZED:
            raise SignInRequired(f"{call.operation}: Yahoo refuses the signature ({shown(status)}); look at public_key")
        return root

    def _without_document(self, call: Call, raw: httpx.Response, error: BrokenAnswer) -> ChannelError:
        """An answer without a code: by its status, and by what a page speaks of."""
        what = f"{call.operation}: {raw.status_code} {error}"
        if isinstance(error, PageForAnswer) and error.maintenance:
            return InDoubt(what) if call.effect else Closed(what)
        if raw.status_code in (403, 503):
            after = retry_after(raw) or THROTTLED_SECONDS
            self._http.limiter.throttled(call.operation, after)
            if raw.status_code == 503 and call.relative:
                return InDoubt(what)  # a bare 503 does not prove that nothing was done
            return Throttled(what, after_seconds=after)
        if raw.status_code >= 500:
            return InDoubt(what) if call.effect else Unavailable(what)
        if raw.status_code >= 400:
            return CallRefused(what) if call.effect else BrokenAnswer(what)
        return error

    def _refused(self, call: Call, raw: httpx.Response, complaint: Complaint) -> ChannelError:
        """The error that a code stands for."""
        what = f"{call.operation}: {raw.status_code} {shown(str(complaint))}"
        code = complaint.code
        if code in SESSION_OVER:
            return SessionOver(what)
        if code in NOT_ALLOWED:
            return SignInRequired(f"{what}: {NOT_ALLOWED[code]}")
        if code in MAINTENANCE:
            return Closed(what)
        if any(words in complaint.message for words in BUSY):
            return TryAgain(f"{what}; it is publishing or taking in a file")
        if code in SYSTEM:
            return InDoubt(what) if call.effect else Unavailable(what)
        if code == ORDER_UNKNOWN and not call.effect:
            return OrderUnknown(what)
        if code in ORDER_REFUSED and not call.effect:
            return OrderQueryRefused(what)
        if not code and (raw.status_code >= 500 or raw.status_code in (403, 503)):
            return self._without_document(call, raw, BrokenAnswer(what))
        return CallRefused(what) if call.effect else BrokenAnswer(what)


class SessionOver(ChannelError):
    """The access token is not taken any more. Never leaves this module: it is renewed once."""


class Call:
    """One request: its operation (a rate budget), its path, its body, and whether it changes the store."""

    def __init__(
        self,
        operation: str,
        path: str,
        *,
        method: str = "POST",
        params: Mapping[str, str] | None = None,
        form: Mapping[str, str] | None = None,
        xml: str | None = None,
        content: bytes | None = None,
        content_type: str = "",
        signed: bool = False,
        effect: bool = False,
        relative: bool = False,
    ) -> None:
        self.operation, self.path, self.method, self.params = operation, path, method, params
        self.signed, self.effect, self.relative = signed, effect, relative
        self.content, kind = content, content_type
        if form is not None:
            self.content, kind = urlencode(form).encode(), "application/x-www-form-urlencoded"
        elif xml is not None:
            self.content, kind = xml.encode(), "application/xml; charset=UTF-8"
        self.headers: Mapping[str, str] = {"Content-Type": kind} if kind else {}


def _refusal_of(raw: httpx.Response) -> str:
    """Why a token was refused, by its header or the code in the body."""
    told = raw.headers.get("www-authenticate", "")
    try:
        complaint = complaint_of(parsed(raw.content, "401"))
    except BrokenAnswer:
        complaint = None
    return shown(" ".join(filter(None, (told, str(complaint or "")))))


def _multipart(content: bytes) -> tuple[bytes, str]:
    """A form with one file. Nothing of a CSV of ours can contain the boundary."""
    boundary = "syncd-stock-csv-boundary"
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="stock.csv"\r\n'
        "Content-Type: text/csv\r\n\r\n"
    )
    return head.encode() + content + f"\r\n--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"
