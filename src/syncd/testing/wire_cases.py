"""Wire cases: what a call sends, and what an answer becomes. One folder of `testcases/` is one case.

    class TestWire(WireContract):
        channel_type = RakutenChannel
        cases = Path(__file__).parent.parent / "testcases"

        def settings(self) -> Mapping[str, object]:
            return {"key": SecretStr("key")}

`request.json` names the call and its arguments, and under `sends` what goes out: method, path, and as far as given
query, headers and body. `answer.json` is what the mall says: status, headers, and `body` (JSON) or `text`.
`expected.json` is what the call gives (`as_json`), or `{"raises": "Throttled", "after_seconds": 7}`. A call of several
exchanges has a list of answers and a list under `sends`. Cases hold real shapes of the fact sheet, no buyer, no key.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from datetime import date, datetime
from enum import Enum
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest

from syncd.sdk.channel import Carrier, Channel, Form, Shipment, ShopContext, StockWrite
from syncd.sdk.errors import ChannelError
from syncd.sdk.http import HttpClient
from syncd.sdk.settings import ShopSettings
from syncd.testing.fakes import ManualClock, run_until


class WireContract:
    """Every case of a plugin. A plugin with calls of its own says in `run` what they are."""

    channel_type: ClassVar[type[Channel]]
    cases: ClassVar[Path]
    pytestmark: ClassVar[Any] = pytest.mark.anyio

    def settings(self) -> Mapping[str, object]:
        """The channel's own table; secrets as SecretStr."""
        raise AssertionError("the test class has to define settings")

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        if "case" in metafunc.fixturenames:
            metafunc.parametrize("case", sorted(path.name for path in self.cases.iterdir()))

    async def run(self, channel: Channel, request: Mapping[str, Any]) -> object:
        """Make the call that a case names."""
        match request["call"]:
            case "check":
                return await channel.check()
            case "fetch_orders":
                return await channel.fetch_orders(request.get("cursor"))
            case "read_stock":
                return await channel.read_stock(request["listings"])
            case "list_listings":
                return [info async for info in channel.list_listings()]
            case "write_stock":
                [route] = [one for one in channel.capabilities.routes if one.name == request["route"]]
                return await channel.write_stock([row_of(row) for row in request["rows"]], route, request["key"])
            case "send_shipments":
                return await channel.send_shipments([parcel_of(one) for one in request["shipments"]])
        raise AssertionError(f"no such call: {request['call']}")

    async def test_a_call_is_sent_and_its_answer_read_as_the_case_says(self, case: str) -> None:
        request, answer, expected = (
            json.loads((self.cases / case / f"{name}.json").read_text(encoding="utf-8"))
            for name in ("request", "answer", "expected")
        )
        mall = Answering(as_list(answer))
        channel = self.channel_type(
            ShopSettings(name="test", channel=self.channel_type.slug),
            self.channel_type.settings_type(**self.settings()),
            mall.context,
        )
        try:
            result = as_json(await run_until(mall.clock, self.run(channel, request)))
        except ChannelError as error:
            after = getattr(error, "after_seconds", None)
            result = {"raises": type(error).__name__} | ({} if after is None else {"after_seconds": after})
        finally:
            await channel.aclose()
        gives = json.dumps(result, ensure_ascii=False, indent=2)
        assert result == expected, f"{case}: the call gives\n{gives}"
        told = as_list(request.get("sends", []))
        assert len(mall.sent) == len(told), f"{[str(one.url) for one in mall.sent]} were sent"
        for sent, wanted in zip(mall.sent, told, strict=True):
            assert_sent(sent, wanted)


class Answering:
    """A mall that gives its answers one by one and keeps what it was sent."""

    def __init__(self, answers: list[Mapping[str, Any]]) -> None:
        self.clock = ManualClock()
        self.sent: list[httpx.Request] = []
        self._answers = answers
        self.context = ShopContext(
            shop="test", clock=self.clock, http=self._http, files=_no_files, open_orders=_no_orders
        )

    def _http(self, base_url: str, *, headers: Mapping[str, str] | None = None) -> HttpClient:
        transport = httpx.MockTransport(self._reply)
        client = httpx.AsyncClient(transport=transport, base_url=base_url, headers=headers, trust_env=False)
        return HttpClient(client, self.clock)

    def _reply(self, request: httpx.Request) -> httpx.Response:
        self.sent.append(request)
        assert len(self.sent) <= len(self._answers), f"{request.url} was sent, and the case has no answer to it"
        answer = self._answers[len(self.sent) - 1]
        headers = answer.get("headers", {})
        if "body" in answer:
            return httpx.Response(answer["status"], json=answer["body"], headers=headers)
        return httpx.Response(answer["status"], text=answer.get("text", ""), headers=headers)


def _no_files(address: object) -> Any:
    raise AssertionError("a wire case has no file server")


async def _no_orders() -> list[str]:
    return []


def as_list(value: Any) -> list[Mapping[str, Any]]:
    return list(value) if isinstance(value, list) else [value]


def assert_sent(sent: httpx.Request, wanted: Mapping[str, Any]) -> None:
    """What went out is what the case says, as far as it says."""
    assert (sent.method, sent.url.path) == (wanted["method"], wanted["path"])
    if "query" in wanted:
        assert dict(sent.url.params) == wanted["query"]
    if "body" in wanted:
        assert json.loads(sent.content) == wanted["body"]
    told = {name: sent.headers.get(name) for name in wanted.get("headers", {})}
    assert told == wanted.get("headers", {})


def row_of(row: Mapping[str, Any]) -> StockWrite:
    return StockWrite(row["listing"], Form(row["form"]), row["quantity"], row.get("expected"))


def parcel_of(one: Mapping[str, Any]) -> Shipment:
    moment = datetime.fromisoformat(one["shipped_at"])
    return Shipment(**{**one, "carrier": Carrier(one["carrier"]), "shipped_at": moment})


def as_json(value: Any) -> Any:
    """A value of the sdk as JSON: its kind under `is`, and the fields that differ from their defaults."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {
            one.name: getattr(value, one.name) for one in dataclasses.fields(value) if not _is_default(one, value)
        }
        return {"is": type(value).__name__} | {name: as_json(inner) for name, inner in fields.items()}
    if isinstance(value, Mapping):
        return {str(key): as_json(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(inner) for inner in value]
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, date):
        return value.isoformat()
    return "given" if callable(value) else value


def _is_default(one: dataclasses.Field[Any], value: Any) -> bool:
    default = one.default if one.default_factory is dataclasses.MISSING else one.default_factory()
    return bool(getattr(value, one.name) == default)
