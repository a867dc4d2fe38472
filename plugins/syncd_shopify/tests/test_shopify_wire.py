"""Wire cases: what a call sends, and what an answer becomes. One folder of `testcases/` is one case."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from syncd.model import OrderState
from syncd.sdk.channel import (
    Accepted,
    Carrier,
    CheckReport,
    Form,
    ListingInfo,
    OrderPage,
    Shipment,
    ShopContext,
    StockWrite,
    WriteReport,
)
from syncd.sdk.errors import ChannelError
from syncd.sdk.http import HttpClient
from syncd.sdk.settings import ShopSettings
from syncd.testing.fakes import ManualClock
from syncd_shopify.channel import SET, ShopifyChannel
from syncd_shopify.settings import ShopifySettings

pytestmark = pytest.mark.anyio

CASES = sorted(path for path in (Path(__file__).parent.parent / "testcases").iterdir() if path.is_dir())
SECRET = "shpat_not_to_be_seen"


class Wire:
    """A shop that gives one answer and keeps what it was sent."""

    def __init__(self, answer: Mapping[str, Any]) -> None:
        self.answer = answer
        self.sent: list[httpx.Request] = []
        context = ShopContext(
            shop="test", clock=ManualClock(), http=self._http, files=_no_files, open_orders=_no_orders
        )
        settings = ShopifySettings(shop="emulated.myshopify.com", location="124656943", access_token=SecretStr(SECRET))
        self.channel = ShopifyChannel(ShopSettings(name="test", channel="shopify"), settings, context)

    def _http(self, base_url: str, *, headers: Mapping[str, str] | None = None) -> HttpClient:
        client = httpx.AsyncClient(
            transport=httpx.MockTransport(self._reply), base_url=base_url, headers=headers, trust_env=False
        )
        return HttpClient(client, ManualClock())

    def _reply(self, request: httpx.Request) -> httpx.Response:
        self.sent.append(request)
        status, headers = self.answer["status"], self.answer.get("headers", {})
        if "body" in self.answer:
            return httpx.Response(status, json=self.answer["body"], headers=headers)
        return httpx.Response(status, text=self.answer.get("text", ""), headers=headers)

    async def call(self, request: Mapping[str, Any]) -> object:
        """Make the call that a request.json names."""
        if request["call"] == "write_stock":
            rows = [StockWrite(**{**row, "form": Form(row["form"])}) for row in request["rows"]]
            return await self.channel.write_stock(rows, SET, request["key"])
        if request["call"] == "read_stock":
            return await self.channel.read_stock(request["listings"])
        if request["call"] == "fetch_orders":
            return await self.channel.fetch_orders(request["cursor"])
        if request["call"] == "register_webhooks":
            return await self.channel.register_webhooks(request["address"])
        if request["call"] == "send_shipments":
            return await self.channel.send_shipments([_shipment(one) for one in request["shipments"]])
        if request["call"] == "list_listings":
            return [info async for info in self.channel.list_listings()]
        return await self.channel.check()


def _shipment(given: Mapping[str, Any]) -> Shipment:
    left_at = datetime(2026, 11, 21, 3, tzinfo=UTC)
    return Shipment(given["order"], Carrier(given["carrier"]), given["tracking"], left_at, given["lines"])


def _no_files(address: object) -> Any:
    raise AssertionError("Shopify has no files")


async def _no_orders() -> list[str]:
    return []


def as_json(value: Any) -> Any:
    """What a call gave, as expected.json spells it."""
    if isinstance(value, WriteReport):
        return {"rows": [_row(row) for row in value.rows], "unreported": value.unreported.value}
    if isinstance(value, OrderPage):
        states = [_state(state) for state in value.states]
        return {
            "states": states,
            "cursor": dict(value.cursor),
            "more": value.more,
            "problems": len(value.problems),
        }
    if isinstance(value, CheckReport):
        return {
            "account": value.account,
            "key_expires_at": value.key_expires_at,
            "warnings": list(value.warnings),
        }
    if isinstance(value, list):
        return [as_json(one) for one in value]
    if isinstance(value, ListingInfo):
        names = ("key", "sku", "name", "jan", "quantity", "counted", "problem")
        return {name: getattr(value, name) for name in names}
    return None if value is None else dict(value)


def _row(row: Any) -> dict[str, Any]:
    if isinstance(row, Accepted):
        return {"index": row.index, "outcome": "accepted", "quantity_after": row.quantity_after}
    return {"index": row.index, "outcome": "rejected", "reason": row.reason.value, "message": row.message}


def _state(state: OrderState) -> dict[str, Any]:
    names = ("line", "listing", "ordered", "cancelled", "shipped", "returned", "restocked")
    return {
        "number": state.number,
        "as_of": _time(state.as_of),
        "placed_at": _time(state.placed_at),
        "complete": state.complete,
        "shipment_opened": state.shipment_opened,
        "shipped_at": _time(state.shipped_at),
        "lines": [{name: getattr(line, name) for name in names} for line in state.lines],
    }


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.name)
async def test_wire_case(case: Path) -> None:
    request, answer, expected = (
        json.loads((case / f"{name}.json").read_text(encoding="utf-8")) for name in ("request", "answer", "expected")
    )
    wire = Wire(answer)
    if isinstance(expected, dict) and "raises" in expected:
        with pytest.raises(ChannelError) as caught:
            await wire.call(request)
        assert type(caught.value).__name__ == expected["raises"]
        assert getattr(caught.value, "after_seconds", None) == pytest.approx(expected.get("after_seconds"))
        assert SECRET not in str(caught.value)
    else:
        assert as_json(await wire.call(request)) == expected
    [sent] = wire.sent
    body = json.loads(sent.content)
    assert (sent.method, sent.url.path) == ("POST", "/admin/api/2026-10/graphql.json")
    assert sent.headers["X-Shopify-Access-Token"] == SECRET
    assert body["operationName"] == request["operation"]
    assert body["variables"] == request["variables"]
    assert set(body) == {"query", "operationName", "variables"}
