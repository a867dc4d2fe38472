"""Wire cases: what a call sends, and what an answer becomes. One folder of `testcases/` is one case."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from syncd.model import OrderState
from syncd.sdk.channel import Accepted, Form, ShopContext, StockWrite, WriteReport
from syncd.sdk.errors import ChannelError
from syncd.sdk.http import HttpClient
from syncd.sdk.settings import ShopSettings
from syncd.testing.fakes import ManualClock
from syncd_rakuten.api import RakutenApi
from syncd_rakuten.channel import CAPABILITIES, RakutenChannel
from syncd_rakuten.settings import RakutenSettings
from syncd_rakuten.shipments import Row, body_of
from syncd_rakuten.wire import expiry_of, listings_of, order_time, pair_of, read_time

pytestmark = pytest.mark.anyio

CASES = Path(__file__).parent.parent / "testcases"
SETTINGS = RakutenSettings(shop_url="shop", service_secret=SecretStr("secret"), license_key=SecretStr("key"))


class Wire:
    """A mall that gives one answer and keeps what it was sent."""

    def __init__(self, answer: Mapping[str, Any]) -> None:
        self.answer = answer
        self.sent: list[httpx.Request] = []
        self.clock = ManualClock()
        self.context = ShopContext(
            shop="test", clock=self.clock, http=self._http, files=_no_files, open_orders=_no_orders
        )

    def _http(self, base_url: str, *, headers: Mapping[str, str] | None = None) -> HttpClient:
        client = httpx.AsyncClient(
            transport=httpx.MockTransport(self._reply), base_url=base_url, headers=headers, trust_env=False
        )
        return HttpClient(client, self.clock)

    def _reply(self, request: httpx.Request) -> httpx.Response:
        self.sent.append(request)
        status, headers = self.answer["status"], self.answer.get("headers", {})
        if "body" in self.answer:
            return httpx.Response(status, json=self.answer["body"], headers=headers)
        return httpx.Response(status, text=self.answer.get("text", ""), headers=headers)


def _no_files(address: object) -> Any:
    raise AssertionError("Rakuten's API has no files")


async def _no_orders() -> list[str]:
    return []


def outcome_of(report: WriteReport) -> dict[str, Any]:
    rows = [
        {"index": row.index, "outcome": "accepted"}
        if isinstance(row, Accepted)
        else {"index": row.index, "outcome": "rejected", "reason": row.reason.value, "message": row.message}
        for row in report.rows
    ]
    return {"rows": rows, "unreported": report.unreported.value}


def state_of(state: OrderState) -> dict[str, Any]:
    names = ("line", "listing", "ordered", "cancelled", "shipped", "returned", "restocked", "return_reason")
    return {
        "number": state.number,
        "placed_at": state.placed_at.isoformat() if state.placed_at else None,
        "shipment_opened": state.shipment_opened,
        "shipped_at": state.shipped_at.isoformat() if state.shipped_at else None,
        "complete": state.complete,
        "as_of": state.as_of,
        "lines": [{name: getattr(line, name) for name in names} for line in state.lines],
    }


async def run_call(wire: Wire, request: Mapping[str, Any]) -> Any:
    channel = RakutenChannel(ShopSettings(name="test", channel="rakuten"), SETTINGS, wire.context)
    api = RakutenApi("https://rms.example", SETTINGS, wire.context)
    try:
        match request["call"]:
            case "write_stock":
                [route] = [route for route in CAPABILITIES.routes if route.name == request["route"]]
                writes = [StockWrite(row["listing"], Form(row["form"]), row["quantity"]) for row in request["rows"]]
                return outcome_of(await channel.write_stock(writes, route, "key-1"))
            case "read_stock":
                return dict(await channel.read_stock(request["listings"]))
            case "search_orders":
                start, end = datetime.fromisoformat(request["start"]), datetime.fromisoformat(request["end"])
                found = await api.search_orders(start, end, request["statuses"], request["page"], request["rows"])
                return {"numbers": list(found.numbers), "total": found.total}
            case "update_shipping":
                rows = [Row(row["basket"], row["fields"]) for row in request["rows"]]
                return [str(one) for one in await api.update_shipping(body_of(request["order"], rows))]
            case "get_orders":
                states, problems = await api.get_orders(request["numbers"])
                return {"states": [state_of(s) for s in states], "problems": [[p.where, p.what] for p in problems]}
    finally:
        await channel.aclose()
        await api.aclose()
    raise AssertionError(f"no such call {request['call']}")


@pytest.mark.parametrize("case", sorted(path.name for path in CASES.iterdir()))
async def test_a_call_is_sent_and_its_answer_read_as_the_case_says(case: str) -> None:
    request, answer, expected = (
        json.loads((CASES / case / f"{name}.json").read_text(encoding="utf-8"))
        for name in ("request", "answer", "expected")
    )
    wire = Wire(answer)
    try:
        result = await run_call(wire, request)
    except ChannelError as error:
        result = {"raises": type(error).__name__}
        if getattr(error, "after_seconds", None) is not None:
            result["after_seconds"] = error.after_seconds  # type: ignore[attr-defined]  # Throttled has it
    assert result == expected
    [sent] = wire.sent
    assert (sent.method, sent.url.path) == (request["sends"]["method"], request["sends"]["path"])
    assert json.loads(sent.content) == request["sends"]["body"]
    assert sent.headers["authorization"] == "ESA c2VjcmV0OmtleQ=="
    assert sent.headers["content-type"] == "application/json;charset=utf-8"


def test_order_times_are_written_without_colon_and_fraction() -> None:
    assert order_time(datetime(2026, 11, 20, 23, 59, 59, 999_999, tzinfo=UTC)) == "2026-11-21T08:59:59+0900"


@pytest.mark.parametrize("text", ["2026-11-21T08:00:00+0900", "2026-11-21T08:00:00+09:00", "2026-11-21T08:00:00"])
def test_every_spelling_of_a_time_is_read_as_japans(text: str) -> None:
    assert read_time(text) == datetime(2026, 11, 20, 23, tzinfo=UTC)


def test_manage_number_is_folded_and_variant_id_kept() -> None:
    assert pair_of("Tee-001/Tee-001-S").listing == "tee-001/Tee-001-S"


@pytest.mark.parametrize("key", ["", "tee", "/s", "tee/", "tee/a b", "tee/" + "x" * 33, "ティー/s", "tee/a/b"])
def test_a_key_that_rakuten_could_not_hold_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match="is not manageNumber/variantId"):
        pair_of(key)


def test_a_day_of_expiry_means_its_last_second_in_japan() -> None:
    ends = expiry_of({"expiryDate": "2027-02-19"})
    assert ends.date() == date(2027, 2, 19)
    assert ends.astimezone(UTC) == datetime(2027, 2, 19, 14, 59, 59, tzinfo=UTC)


def test_listings_carry_sku_name_jan_and_whether_they_are_counted() -> None:
    variants = {
        "s": {
            "merchantDefinedSkuId": "T-S",
            "selectorValues": {"size": "S"},
            "articleNumber": {"value": "4901234567894"},
        },
        "m": {"selectorValues": None, "articleNumber": None, "backOrderFlag": True},
    }
    item = {"manageNumber": "TEE", "title": "シャツ", "unlimitedInventoryFlag": False, "variants": variants}
    small, medium = listings_of({"results": [{"item": item}, {"item": {"manageNumber": "deleted"}}, {}]})
    assert (small.key, small.sku, small.name, small.jan) == ("tee/s", "T-S", "シャツ S", "4901234567894")
    assert small.counted
    assert not medium.counted  # it sells on at 0
