"""Wire cases: what a call sends, and what an answer becomes. One folder of `testcases/` is one case."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import httpx
import pytest
from pydantic import SecretStr

from syncd.model import OrderState
from syncd.sdk.channel import Accepted, Form, ShopContext, StockWrite, WriteReport
from syncd.sdk.errors import BrokenAnswer, ChannelError
from syncd.sdk.grants import Grant, MemoryGrants
from syncd.sdk.http import HttpClient
from syncd.sdk.settings import ShopSettings
from syncd.testing.fakes import ManualClock
from syncd_yahoo_shopping.api import YahooApi
from syncd_yahoo_shopping.channel import SET_STOCK, YahooShoppingChannel
from syncd_yahoo_shopping.emulator_account import opened, public_pem
from syncd_yahoo_shopping.families import Family, state_of
from syncd_yahoo_shopping.orders import ListQuery
from syncd_yahoo_shopping.session import Session
from syncd_yahoo_shopping.settings import YahooShoppingSettings
from syncd_yahoo_shopping.wire import parsed, read_time, search_time

pytestmark = pytest.mark.anyio

CASES = Path(__file__).parent.parent / "testcases"
SETTINGS = YahooShoppingSettings(
    seller_id="my-shop",
    client_id="app",
    client_secret=SecretStr("secret"),
    public_key=SecretStr(public_pem()),
    public_key_version="4",
)


class Wire:
    """A mall that gives one answer and keeps what it was sent. Somebody has signed in."""

    def __init__(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.answer = (status, body, headers)
        self.sent: list[httpx.Request] = []
        self.clock = ManualClock()
        self.grants = MemoryGrants()
        self.context = ShopContext(
            shop="test", clock=self.clock, http=self._http, files=_no_files, open_orders=_no_orders, grants=self.grants
        )

    def _http(self, base_url: str, *, headers: Mapping[str, str] | None = None) -> HttpClient:
        transport = httpx.MockTransport(self._reply)
        return HttpClient(
            httpx.AsyncClient(transport=transport, base_url=base_url, headers=headers, trust_env=False), self.clock
        )

    def _reply(self, request: httpx.Request) -> httpx.Response:
        self.sent.append(request)
        status, body, headers = self.answer
        return httpx.Response(status, content=body, headers=headers)


def _no_files(address: object) -> Any:
    raise AssertionError("Yahoo's API has no files")


async def _no_orders() -> list[str]:
    return []


def outcome_of(report: WriteReport) -> dict[str, Any]:
    rows = [
        {"index": row.index, "outcome": "accepted", "after": row.quantity_after}
        if isinstance(row, Accepted)
        else {"index": row.index, "outcome": "rejected", "reason": row.reason.value, "message": row.message}
        for row in report.rows
    ]
    return {"rows": rows, "unreported": report.unreported.value}


def state_json(state: OrderState) -> dict[str, Any]:
    names = ("line", "ordered", "cancelled", "shipped", "returned", "restocked")
    times = ("placed_at", "as_of", "shipped_at")
    return {
        "number": state.number,
        "shipment_opened": state.shipment_opened,
        **{name: moment.isoformat() if (moment := getattr(state, name)) else None for name in times},
        "lines": [{name: getattr(line, name) for name in names} for line in state.lines],
    }


async def run_call(wire: Wire, request: Mapping[str, Any]) -> Any:
    session = Session("https://auth.example", SETTINGS, wire.context)
    await wire.grants.save(session.name, Grant(SecretStr("token-1"), SecretStr("token-2")))
    api = YahooApi("https://circus.example", SETTINGS, session, wire.context)
    channel = YahooShoppingChannel(ShopSettings(name="test", channel="yahoo-shopping"), SETTINGS, wire.context)
    try:
        match request["call"]:
            case "write_stock":
                rows = [StockWrite(row["listing"], Form(row["form"]), row["quantity"]) for row in request["rows"]]
                return outcome_of(await channel.write_stock(rows, SET_STOCK, "key-1"))
            case "read_stock":
                return dict(await channel.read_stock(request["listings"]))
            case "order_counts":
                return await api.order_counts()
            case "order_list":
                begin, end = (int(datetime.fromisoformat(request[name]).timestamp()) for name in ("begin", "end"))
                listed = await api.order_list(ListQuery(begin, end, request["start"], request["rows"]))
                return {"total": listed.total, "rows": [[r.number, r.mark, r.is_open] for r in listed.rows]}
            case "order_info":
                return state_json(state_of(Family((await api.order_info(request["number"]),))))
            case "items":
                items, total = await api.items(request["start"], request["results"])
                return {"total": total, "items": [[item.code, item.name, item.quantity] for item in items]}
            case "variants":
                return [[one.code, one.quantity] for one in await api.variants(request["code"])]
    finally:
        await channel.aclose()
        await api.aclose()
        await session.aclose()
    raise AssertionError(f"no such call {request['call']}")


def assert_sent(sent: httpx.Request, expected: Mapping[str, Any]) -> None:
    assert (sent.method, sent.url.path) == (expected["method"], f"/ShoppingWebService/V1/{expected['path']}")
    assert sent.headers["authorization"] == "Bearer token-1"
    assert dict(sent.url.params) == expected.get("params", {})
    if "form" in expected:
        assert sent.headers["content-type"] == "application/x-www-form-urlencoded"
        assert dict(parse_qsl(sent.content.decode(), keep_blank_values=True)) == expected["form"]
    if "xml" in expected:
        assert sent.content.decode() == "".join(expected["xml"])
    if expected.get("signed"):
        assert opened(sent.headers["x-sws-signature"]) == "my-shop:1795219200"
        assert sent.headers["x-sws-signature-version"] == "4"
    else:
        assert "x-sws-signature" not in sent.headers


@pytest.mark.parametrize("case", sorted(path.name for path in CASES.iterdir()))
async def test_a_call_is_sent_and_its_answer_read_as_the_case_says(case: str) -> None:
    request, expected = (
        json.loads((CASES / case / f"{name}.json").read_text(encoding="utf-8")) for name in ("request", "expected")
    )
    body = (CASES / case / "answer.xml").read_bytes()
    wire = Wire(request["answered"]["status"], body, request["answered"].get("headers", {}))
    try:
        result = await run_call(wire, request)
    except ChannelError as error:
        result = {"raises": type(error).__name__}
        if getattr(error, "after_seconds", None) is not None:
            result["after_seconds"] = error.after_seconds  # type: ignore[attr-defined]  # Throttled has it
    assert result == expected
    assert_sent(wire.sent[0], request["sends"])


# --- XML that cannot be believed ----------------------------------------------------------------------------

BOMB = b"""<?xml version="1.0"?><!DOCTYPE r [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">
<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]><ResultSet><Result>&c;</Result></ResultSet>"""
OUTSIDE = b'<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/hostname">]><ResultSet>&x;</ResultSet>'
JAPANESE = "<ResultSet><Result><Name>品</Name></Result></ResultSet>"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<ResultSet><Result>",
        BOMB,
        OUTSIDE,
        JAPANESE.encode("cp932"),
        b'<?xml version="1.0" encoding="UTF-8"?>' + JAPANESE.encode("euc_jp"),
        b'<?xml version="1.0" encoding="Shift_JIS"?>' + JAPANESE.encode("cp932"),
        b'<?xml version="1.0" encoding="no-such"?><ResultSet/>',
        b"<ResultSet>\x00</ResultSet>",
        b"{}",
        b"<Other/>",
        b"<html><body>Forbidden</body></html>",
        b"<ResultSet>" + b"<Result/>" * 1_000_000 + b"</ResultSet>",
    ],
    ids=range(13),
)
def test_whatever_is_not_one_whole_document_is_a_broken_answer(content: bytes) -> None:
    with pytest.raises(BrokenAnswer):
        parsed(content, "what")


def test_an_answer_with_a_namespace_or_a_byte_order_mark_is_read() -> None:
    assert parsed(b'\xef\xbb\xbf<ResultSet xmlns="urn:yahoo:api"/>', "what") is not None


@pytest.mark.parametrize("text", ["2026-11-21T08:00:00+09:00", "2026-11-21T08:00:00", "20261121080000"])
def test_every_spelling_of_a_time_is_read_as_japans(text: str) -> None:
    assert read_time(text) == datetime(2026, 11, 20, 23, tzinfo=UTC)


def test_search_times_are_japans() -> None:
    assert search_time(int(datetime(2026, 11, 20, 23, tzinfo=UTC).timestamp())) == "20261121080000"
