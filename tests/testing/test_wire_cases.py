"""The runner of wire cases: a case holds where bytes and values are as it says, and fails by one of either."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pydantic import Field, SecretStr

from syncd.model import LineState, OrderState
from syncd.sdk.channel import (
    Accepted,
    Capabilities,
    Channel,
    CheckReport,
    Form,
    OrderPage,
    Reason,
    Rejected,
    ShopContext,
    StockWrite,
    WriteReport,
    WriteRoute,
)
from syncd.sdk.http import read_json
from syncd.sdk.settings import ChannelSettings, Secret, ShopSettings
from syncd.testing.wire_cases import WireContract, as_json

pytestmark = pytest.mark.anyio
ROUTE = WriteRoute("set", "set", frozenset({Form.ABSOLUTE}), 10)


class CartSettings(ChannelSettings):
    key: Secret = Field(description="The key.")


class Cart(Channel):
    """Two calls: one that reads, one that writes row by row."""

    slug = "cart"
    title = "Cart"
    settings_type: ClassVar[type[ChannelSettings]] = CartSettings

    def __init__(self, shop: ShopSettings, settings: ChannelSettings, context: ShopContext) -> None:
        assert isinstance(settings, CartSettings)
        self._http = context.http("https://cart.example", headers={"X-Key": settings.key.get_secret_value()})

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(routes=(ROUTE,))

    async def check(self) -> CheckReport:
        body = read_json(await self._http.send("check", "GET", "/me", params={"v": "1"}), "check")
        return CheckReport(str(body["account"]))

    async def write_stock(self, rows: Sequence[StockWrite], route: WriteRoute, key: str) -> WriteReport:
        for row in rows:
            await self._http.send("set", "PUT", f"/{row.listing}", json={"n": row.quantity}, effect=True)
        return WriteReport.all_accepted(len(rows))

    async def aclose(self) -> None:
        await self._http.aclose()


CHECK: Mapping[str, Any] = {
    "request": {
        "call": "check",
        "sends": {"method": "GET", "path": "/me", "query": {"v": "1"}, "headers": {"x-key": "k"}},
    },
    "answer": {"status": 200, "body": {"account": "me"}},
    "expected": {"is": "CheckReport", "account": "me"},
}
WRITE: Mapping[str, Any] = {
    "request": {
        "call": "write_stock",
        "route": "set",
        "key": "k",
        "rows": [{"listing": one, "form": "absolute", "quantity": 3} for one in "ab"],
        "sends": [{"method": "PUT", "path": f"/{one}", "body": {"n": 3}} for one in "ab"],
    },
    "answer": [{"status": 204}, {"status": 204}],
    "expected": {"is": "WriteReport", "rows": [{"is": "Accepted", "index": i} for i in (0, 1)]},
}


def case_of(folder: Path, files: Mapping[str, Any], **changed: Any) -> WireContract:
    """A contract of one case, parts of it changed: `answer={"status": 401}`."""
    (folder / "case").mkdir()
    for name, given in files.items():
        value = {**given, **changed[name]} if isinstance(given, dict) and name in changed else changed.get(name, given)
        (folder / "case" / f"{name}.json").write_text(json.dumps(value), encoding="utf-8")

    class Cases(WireContract):
        channel_type = Cart
        cases = folder

        def settings(self) -> Mapping[str, object]:
            return {"key": SecretStr("k")}

    return Cases()


@pytest.mark.parametrize("files", [CHECK, WRITE])
async def test_a_case_that_is_as_it_says_holds(tmp_path: Path, files: Mapping[str, Any]) -> None:
    await case_of(tmp_path, files).test_a_call_is_sent_and_its_answer_read_as_the_case_says("case")


@pytest.mark.parametrize(
    ("answer", "raised"),
    [
        ({"status": 401}, {"raises": "SignInRequired"}),
        ({"status": 429, "headers": {"Retry-After": "7"}}, {"raises": "Throttled", "after_seconds": 7}),
        ({"status": 200, "text": "<html>", "headers": {"content-type": "text/html"}}, {"raises": "BrokenAnswer"}),
    ],
)
async def test_an_error_is_named_as_what_the_call_gives(
    tmp_path: Path, answer: dict[str, Any], raised: dict[str, Any]
) -> None:
    files = {**CHECK, "answer": answer, "expected": raised}
    await case_of(tmp_path, files).test_a_call_is_sent_and_its_answer_read_as_the_case_says("case")


@pytest.mark.parametrize(
    ("files", "changed", "told"),
    [
        (CHECK, {"expected": {"account": "you"}}, '"account": "me"'),
        (CHECK, {"request": {"sends": {"method": "POST", "path": "/me"}}}, "POST"),
        (CHECK, {"request": {"sends": {"method": "GET", "path": "/me", "query": {"v": "2"}}}}, "'v': '2'"),
        (CHECK, {"request": {"sends": {"method": "GET", "path": "/me", "headers": {"x-key": "q"}}}}, "x-key"),
        (CHECK, {"request": {"sends": []}}, "were sent"),
        (CHECK, {"request": {"call": "dance"}}, "no such call: dance"),
        (WRITE, {"answer": [{"status": 204}]}, "has no answer to it"),
        (WRITE, {"request": {"sends": [{"method": "PUT", "path": "/a", "body": {"n": 4}}] * 2}}, "4"),
    ],
)
async def test_a_case_that_is_not_as_it_says_fails(
    tmp_path: Path, files: Mapping[str, Any], changed: dict[str, Any], told: str
) -> None:
    with pytest.raises(AssertionError, match=told):
        await case_of(tmp_path, files, **changed).test_a_call_is_sent_and_its_answer_read_as_the_case_says("case")


def test_values_are_written_with_their_kind_and_without_their_defaults() -> None:
    placed = datetime(2026, 11, 21, tzinfo=UTC)
    state = OrderState(
        number="1", placed_at=placed, lines=(LineState(line="1", listing="mug", ordered=2, cancelled=1),)
    )
    assert as_json(OrderPage(states=(state,), cursor={"at": 1})) == {
        "is": "OrderPage",
        "cursor": {"at": 1},
        "states": [
            {
                "is": "OrderState",
                "number": "1",
                "placed_at": "2026-11-21T00:00:00+00:00",
                "lines": [{"is": "LineState", "line": "1", "listing": "mug", "ordered": 2, "cancelled": 1}],
            }
        ],
    }
    report = WriteReport((Accepted(0), Rejected(1, Reason.STALE)))
    assert as_json(report)["rows"] == [
        {"is": "Accepted", "index": 0},
        {"is": "Rejected", "index": 1, "reason": "stale"},
    ]
