"""The calls to RMS and what their answers mean: three error shapes, classed by what to do next."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx

from syncd.model import OrderState
from syncd.sdk.channel import ListingInfo, Problem, ShopContext
from syncd.sdk.errors import (
    BrokenAnswer,
    CallRefused,
    ChannelError,
    InDoubt,
    SignInRequired,
    Throttled,
    TryAgain,
    Unavailable,
)
from syncd.sdk.http import read_json, retry_after, shown
from syncd_rakuten.orders import Found, found_orders, models_of, order_states, search_body
from syncd_rakuten.settings import RakutenSettings
from syncd_rakuten.wire import (
    Complaint,
    Pair,
    StockRecord,
    complaints_of,
    expiry_of,
    lead_times_of,
    listings_of_item,
    records_in,
    stock_query,
    stock_records,
)

ADDRESS = "https://api.rms.rakuten.co.jp"
INVENTORIES = "/es/2.0/inventories"
# The gateway's and the API's word for a key that is wrong, dead or not allowed this function, at any status.
KEY_REFUSED = frozenset({"ES01-01", "GA0001"})
GATEWAY_REFUSED = "ES04-01"
CONTENT_TYPE_REFUSED = "ES04-03"
TOO_MANY = "IE0116"  # a range of more than 1000 records
FIRST_CURSOR_MARKS = ("*", "")  # not confirmed which one starts a listing


class Overloaded(Unavailable):
    """RMS answered 503 without a time to wait: overload, maintenance, or perhaps its way to throttle."""


class ReadRefused(BrokenAnswer):
    """RMS refused a read in one of its error shapes, or its answer lacks what was asked for."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that neither the key, the speed nor the mall's health has spoiled."""

    status: int
    body: Any
    complaints: tuple[Complaint, ...]

    @property
    def text(self) -> str:
        """What it complains about, for a person."""
        return shown("; ".join(str(complaint) for complaint in self.complaints)) or f"status {self.status}"


class RakutenApi:
    """One shop's door to RMS. Raises only `ChannelError`s."""

    def __init__(self, base_url: str, settings: RakutenSettings, context: ShopContext) -> None:
        keys = f"{settings.service_secret.get_secret_value()}:{settings.license_key.get_secret_value()}"
        authorization = "ESA " + base64.b64encode(keys.encode()).decode()
        self._http = context.http(base_url, headers={"Authorization": authorization})
        self._settings = settings

    async def aclose(self) -> None:
        await self._http.aclose()

    # -- stock ---------------------------------------------------------------------------------------------

    async def bulk_upsert(self, rows: Sequence[Mapping[str, Any]]) -> tuple[Complaint, ...]:
        """Write rows in one call; gives back what a refusal complains about, nothing when all were taken."""
        relative = any(row["mode"] == "RELATIVE" for row in rows)
        body = {"inventories": list(rows)}
        return await self._upsert("bulk_upsert", "POST", f"{INVENTORIES}/bulk-upsert", body, relative)

    async def upsert(self, row: Mapping[str, Any]) -> tuple[Complaint, ...]:
        """Write one row by its own path."""
        path = f"{INVENTORIES}/manage-numbers/{row['manageNumber']}/variants/{row['variantId']}"
        body = {"mode": row["mode"], "quantity": row["quantity"]}
        return await self._upsert("upsert", "PUT", path, body, row["mode"] == "RELATIVE")

    async def _upsert(
        self, operation: str, method: str, path: str, body: Mapping[str, Any], relative: bool
    ) -> tuple[Complaint, ...]:
        """A write. Only the order API's 503 is documented: here one that tells no wait proves nothing.

        A set is harmless to repeat, so it is simply tried again; a relative change is in doubt.
        """
        try:
            answer = await self._call(operation, method, path, body=body, effect=True)
        except Overloaded as error:
            if relative:
                raise InDoubt(str(error)) from None
            raise
        if answer.status == 204 or (answer.status == 200 and answer.body is None):
            return ()
        if any(complaint.code == GATEWAY_REFUSED for complaint in answer.complaints):  # its status is not confirmed
            raise CallRefused(f"{operation}: {answer.text}; is the function switched on in RMS?")
        if answer.status in (400, 404) and answer.complaints:
            return answer.complaints
        raise BrokenAnswer(f"{operation}: {answer.text}")

    async def bulk_get(self, pairs: Sequence[Pair]) -> dict[str, StockRecord]:
        """Listing -> stock record of up to 1000 pairs; pairs without one are left out."""
        answer = await self._read("bulk_get", "POST", f"{INVENTORIES}/bulk-get", body=stock_query(pairs))
        return stock_records(answer.body, pairs)

    async def lead_times(self, pair: Pair) -> dict[str, Any] | None:
        """What version 2.1 keeps of a SKU beside its number; None where it has no stock record."""
        path = "/es/2.1/inventories/bulk-get"
        answer = await self._read("bulk_get", "POST", path, body=stock_query([pair]))
        return lead_times_of(answer.body, pair)

    async def set_lead_times(self, pair: Pair, fields: Mapping[str, Any]) -> tuple[Complaint, ...]:
        """Write what 2.1 keeps of a SKU, as a whole, and leave its number as it is: a change by 0."""
        path = f"/es/2.1/inventories/manage-numbers/{pair.manage_number}/variants/{pair.variant_id}"
        body = {"mode": "RELATIVE", "quantity": 0, **fields}
        return await self._upsert("upsert", "PUT", path, body, relative=False)  # harmless to repeat

    # -- orders --------------------------------------------------------------------------------------------

    async def search_orders(
        self, start: datetime, end: datetime, statuses: Sequence[int], page: int, rows: int
    ) -> Found:
        """One page of order numbers by order time, newest first."""
        body = search_body(start, end, statuses, page, rows)
        answer = await self._read("search_order", "POST", "/es/2.0/order/searchOrder/", body=body)
        return found_orders(answer.body)

    async def get_orders(self, numbers: Sequence[str]) -> tuple[list[OrderState], list[Problem]]:
        """The states of up to 100 orders, and the orders that could not be had."""
        body = {"orderNumberList": list(numbers), "version": self._settings.order_version}
        answer = await self._read("get_order", "POST", "/es/2.0/order/getOrder/", body=body)
        return order_states(answer.body, numbers)

    async def order_models(self, numbers: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        """Up to 100 orders as Rakuten shows them, by number; what it does not give is missing."""
        body = {"orderNumberList": list(dict.fromkeys(numbers)), "version": self._settings.order_version}
        return models_of((await self._read("get_order", "POST", "/es/2.0/order/getOrder/", body=body)).body)

    async def confirm_orders(self, numbers: Sequence[str]) -> None:
        """Confirm orders (注文確認). Harmless to repeat; what became of each is for the next read to tell."""
        body = {"orderNumberList": list(numbers)}
        answer = await self._call("confirm_order", "POST", "/es/2.0/order/confirmOrder/", body=body)
        if answer.status not in (200, 400) or any(one.code == GATEWAY_REFUSED for one in answer.complaints):
            raise ReadRefused(f"confirm_order: {answer.text}; is the function switched on in RMS?")

    async def update_shipping(self, body: Mapping[str, Any]) -> tuple[Complaint, ...]:
        """Report parcels of one order; gives back what a refusal complains about, nothing when all were taken."""
        answer = await self._call(
            "update_shipping", "POST", "/es/2.0/order/updateOrderShipping/", body=body, effect=True
        )
        if any(complaint.code == GATEWAY_REFUSED for complaint in answer.complaints):
            raise CallRefused(f"update_shipping: {answer.text}; is the function switched on in RMS?")
        if answer.status in (200, 400) and answer.complaints:
            return answer.complaints
        if answer.status != 200 or not isinstance(answer.body, Mapping) or "MessageModelList" not in answer.body:
            raise BrokenAnswer(f"update_shipping: {answer.text}")
        return ()

    # -- licence and listings ------------------------------------------------------------------------------

    async def license_expiry(self) -> datetime:
        """When the licence key dies."""
        path = "/es/1.0/license-management/license-key/expiry-date"
        key = self._settings.license_key.get_secret_value()
        answer = await self._read("license_expiry", "GET", path, params={"licenseKey": key})
        try:
            return expiry_of(answer.body)
        except ValueError as error:
            raise ReadRefused(f"license_expiry: {error}") from None

    async def stock_range(self, least: int, most: int) -> dict[str, StockRecord] | None:
        """Every stock record whose number is in the range; None when there are more than RMS gives at once."""
        params = {"minQuantity": str(least), "maxQuantity": str(most)}
        answer = await self._call("bulk_get_range", "GET", f"{INVENTORIES}/bulk-get/range", params=params)
        if any(complaint.code == TOO_MANY for complaint in answer.complaints):
            return None
        if answer.status != 200 or answer.complaints or not isinstance(answer.body, Mapping):
            raise (ReadRefused if answer.complaints else BrokenAnswer)(f"bulk_get_range: {answer.text}")
        return records_in(answer.body)

    async def item_listings(self, manage_number: str) -> dict[str, ListingInfo] | None:
        """The listings that an item has now, none when there is no such item; None when RMS will not tell us."""
        path = f"/es/2.0/items/manage-numbers/{manage_number}"
        try:
            answer = await self._call("items_get", "GET", path)
        except SignInRequired:
            return None  # ItemAPI is switched on by itself: that it is off says nothing about the stock just read
        if answer.status == 404:
            return {}
        return listings_of_item(answer.body) if answer.status == 200 else None

    async def items(self, mark: str | None) -> tuple[Any, str, str]:
        """A page of items with the mark it was asked by and the next one; None asks for the first page."""
        refused = ReadRefused("items_search: never asked")
        for attempt in FIRST_CURSOR_MARKS if mark is None else (mark,):
            try:
                params = {"hits": "100", "cursorMark": attempt}
                answer = await self._read("items_search", "GET", "/es/2.0/items/search", params=params)
            except ReadRefused as error:
                refused = error
                continue
            return answer.body, attempt, str(answer.body.get("nextCursorMark") or "")
        raise refused

    # -- errors --------------------------------------------------------------------------------------------

    async def _read(
        self,
        operation: str,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        params: Mapping[str, str] | None = None,
    ) -> Answer:
        """A call that changes nothing and must be answered in full. An ERROR message counts even on 200."""
        answer = await self._call(operation, method, path, body=body, params=params)
        if answer.status != 200 or answer.complaints or not isinstance(answer.body, Mapping):
            hint = ""
            if any(complaint.code == GATEWAY_REFUSED for complaint in answer.complaints):
                hint = "; is the function switched on in RMS?"
            raise (ReadRefused if answer.complaints else BrokenAnswer)(f"{operation}: {answer.text}{hint}")
        return answer

    async def _call(
        self,
        operation: str,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        params: Mapping[str, str] | None = None,
        effect: bool = False,
    ) -> Answer:
        raw = await self._http.send(
            operation,
            method,
            path,
            params=params,
            json=body,
            headers=None if body is None else {"Content-Type": self._settings.content_type},
            effect=effect,
            accept=lambda status: status != 429,
        )
        answer = Answer(raw.status_code, *_content(raw, operation))
        error = self._class(operation, answer, raw, effect)
        if error is not None:
            raise error
        return answer

    def _class(self, operation: str, answer: Answer, raw: httpx.Response, effect: bool) -> ChannelError | None:
        """The error an answer stands for, None when its caller can read it."""
        codes = {complaint.code for complaint in answer.complaints}
        what = f"{operation}: {answer.status} {answer.text}"
        if answer.status == 401 or codes & KEY_REFUSED:
            return SignInRequired(f"{what}; the licence key is dead, too new (30 min) or the function is off in RMS")
        if answer.status == 409:
            return TryAgain(what)
        if answer.status == 415 or CONTENT_TYPE_REFUSED in codes:
            hint = f"{what}; Rakuten refuses our content_type setting"
            return CallRefused(hint) if effect else BrokenAnswer(hint)
        if answer.status == 503:
            after = retry_after(raw)
            if after is None:
                return Overloaded(what)
            self._http.limiter.throttled(operation, after)
            return Throttled(what, after_seconds=after)
        if answer.status >= 500:
            return (InDoubt if effect else Unavailable)(what)
        return None


def _content(raw: httpx.Response, operation: str) -> tuple[Any, tuple[Complaint, ...]]:
    """Body and complaints. A 5xx or an answer by status alone may hold anything; the others must be JSON."""
    if not raw.content:
        return None, ()
    if raw.status_code in (401, 409, 415) or raw.status_code >= 500:
        try:
            body = raw.json()
        except ValueError:
            return None, ()
    else:
        body = read_json(raw, operation)
    return body, complaints_of(body)
