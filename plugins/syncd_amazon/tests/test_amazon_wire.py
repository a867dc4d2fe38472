"""Wire cases: what a call sends, and what an answer becomes. One folder of `testcases/` is one case."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from syncd.sdk import errors
from syncd.sdk.channel import ShopContext
from syncd.sdk.errors import BrokenAnswer, ChannelError
from syncd.sdk.http import HttpClient
from syncd.testing.fakes import ManualClock
from syncd_amazon.api import AmazonApi, RequestRefused, unpacked
from syncd_amazon.orders import OrderReader
from syncd_amazon.report import read_report
from syncd_amazon.results import Receipt, Way
from syncd_amazon.settings import AmazonSettings
from syncd_amazon.shelf import Shelves
from syncd_amazon.wire import availability, patch_body, read_submission
from syncd_amazon.wire_feeds import read_processed, read_progress

pytestmark = pytest.mark.anyio

CASES = Path(__file__).parent.parent / "testcases"
SETTINGS = AmazonSettings(
    seller_id="A2EXAMPLESELLER", client_id="id", client_secret=SecretStr("hidden"), refresh_token=SecretStr("hidden")
)


class Wire:
    """An Amazon that gives one answer, and tokens beside it, and keeps what it was sent."""

    def __init__(self, answer: Mapping[str, Any]) -> None:
        self.answer = answer
        self.sent: list[httpx.Request] = []
        self.clock = ManualClock()
        self.context = ShopContext(
            shop="test", clock=self.clock, http=self._http, files=_no_files, open_orders=_no_orders
        )
        self.api = AmazonApi(None, SETTINGS, self.context)

    def _http(self, base_url: str, *, headers: Mapping[str, str] | None = None) -> HttpClient:
        transport = httpx.MockTransport(self._reply)
        return HttpClient(httpx.AsyncClient(transport=transport, base_url=base_url, trust_env=False), self.clock)

    def _reply(self, request: httpx.Request) -> httpx.Response:
        if request.url.host == "api.amazon.com":
            return httpx.Response(200, json={"access_token": f"Atza|{len(self.sent)}", "expires_in": 3600})
        self.sent.append(request)
        status, headers = self.answer["status"], self.answer.get("headers", {})
        if "body" in self.answer:
            return httpx.Response(status, json=self.answer["body"], headers=headers)
        return httpx.Response(status, text=self.answer.get("text", ""), headers=headers)


def _no_files(address: object) -> Any:
    raise AssertionError("Amazon has no files")


async def _no_orders() -> list[str]:
    return []


async def run_call(wire: Wire, request: Mapping[str, Any]) -> Any:
    match request["call"]:
        case "patch":
            body = patch_body(availability(request["quantity"]))
            told = read_submission(await wire.api.patch_listing(request["sku"], body))
            return {"id": told.id, "refused": None if told.reason is None else told.message}
        case "read":
            shelves = await Shelves(wire.api, wire.clock).look(request["skus"])
            return {sku: [shelf.holder.value, shelf.quantity] for sku, shelf in shelves.items()}
        case "orders":
            page = await OrderReader(wire.api, SETTINGS, wire.clock).page(request["cursor"])
            return {
                "states": [state_of(state) for state in page.states],
                "problems": [[one.where, one.what] for one in page.problems],
                "more": page.more,
            }
    raise AssertionError(f"no such call {request['call']}")


def state_of(state: Any) -> dict[str, Any]:
    names = ("line", "listing", "ordered", "cancelled", "shipped", "restocked")
    return {
        "number": state.number,
        **{name: _iso(getattr(state, name)) for name in ("as_of", "placed_at", "shipped_at")},
        "lines": [[getattr(line, name) for name in names] for line in state.lines],
    }


def _iso(moment: Any) -> str | None:
    return None if moment is None else str(moment.isoformat())


@pytest.mark.parametrize("case", sorted(path.name for path in CASES.iterdir()))
async def test_a_call_is_sent_and_its_answer_read_as_the_case_says(case: str) -> None:
    request, answer, expected = (
        json.loads((CASES / case / f"{name}.json").read_text(encoding="utf-8"))
        for name in ("request", "answer", "expected")
    )
    wire = Wire(answer)
    if "raises" in expected:
        kind = RequestRefused if expected["raises"] == "RequestRefused" else getattr(errors, expected["raises"])
        with pytest.raises(kind, match=expected["match"]) as raised:
            await run_call(wire, request)
        assert type(raised.value) is kind
        assert isinstance(raised.value, ChannelError)
    else:
        assert await run_call(wire, request) == expected
    sends, sent = request["sends"], wire.sent[0]
    path, _, _ = sent.url.raw_path.decode().partition("?")
    assert (sent.method, path, dict(sent.url.params)) == (sends["method"], sends["path"], sends["query"])
    assert (json.loads(sent.content) if sent.content else None) == sends.get("body")
    assert sent.headers["x-amz-access-token"].startswith("Atza|")
    assert sent.headers["x-amz-date"] == "20261121T000000Z"


async def test_a_refused_token_is_renewed_once_and_then_a_person_is_asked() -> None:
    wire = Wire({"status": 403, "body": {"errors": [{"code": "Unauthorized", "message": "denied"}]}})
    with pytest.raises(errors.SignInRequired):
        await wire.api.get_feed("1")
    assert [request.headers["x-amz-access-token"] for request in wire.sent] == ["Atza|0", "Atza|1"]


# --- hostile files ------------------------------------------------------------------------------------------------

HEADER = "seller-sku\tquantity\tfulfillment-channel\titem-name\n"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "no column"),
        (b"<html><body>Only a moment, please</body></html>", "no column"),
        (b"\x81\x20", "neither"),
        (HEADER.encode() + b"TEE\t5\n", "no SKU or no fulfilment channel"),
        (HEADER.encode() + b"\t5\tDEFAULT\tx\n", "no SKU"),
        (HEADER.encode() + b"TEE\t5\tELSEWHERE\tx\n", "ELSEWHERE"),
        (HEADER.encode() + b"x" * 200_000 + b"\t5\tDEFAULT\t\n", "cannot be read"),
    ],
)
def test_a_listing_report_that_is_none_is_a_broken_answer(content: bytes, told: str) -> None:
    with pytest.raises(BrokenAnswer, match=told):
        list(read_report(content))


def test_a_listing_report_is_read_by_its_headers_whatever_stands_in_its_cells() -> None:
    rows = (
        'TEE "1"\t5\tDEFAULT\t"open quote\nMUG\t-3\tDEFAULT\t\nCUP\t\tAMAZON_JP\tカップ\nTEE "1"\t9\tDEFAULT\ttwice\n\n'
    )
    listed = {one.key: (one.quantity, one.writable, one.name) for one in read_report((HEADER + rows).encode("cp932"))}
    assert listed == {
        'TEE "1"': (5, True, '"open quote'),
        "MUG": (None, True, ""),
        "CUP": (None, False, "カップ"),
    }


def test_a_packed_document_that_is_cut_off_wrong_or_a_bomb_is_a_broken_answer() -> None:
    packed = gzip.compress(b"a" * 1000)
    assert unpacked(packed) == b"a" * 1000
    for content, told in ((packed[:-10], "cut off"), (b"plain", "is not"), (gzip.compress(b"0" * 5000), "more than")):
        with pytest.raises(BrokenAnswer, match=told):
            unpacked(content, most=2000)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"issues": [], "summary": {}}', b'{"issues": 1}', b"\xff"])
def test_a_processing_report_that_is_none_is_a_broken_answer(content: bytes) -> None:
    with pytest.raises(BrokenAnswer):
        read_processed(content)


def test_a_whole_feed_that_was_refused_names_no_message() -> None:
    issue = {"severity": "ERROR", "code": "4000001", "message": "The feed cannot be read."}
    summary = {"messagesAccepted": 0}
    told = read_processed(json.dumps({"issues": [issue], "summary": summary}).encode())
    assert told.whole == "4000001 The feed cannot be read."
    assert not told.refused


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"processingStatus": "LATER"},
        {"processingStatus": "DONE", "processingEndTime": "2026-11-21T03:00:00"},
        {"processingStatus": "DONE", "processingEndTime": 5},
    ],
)
def test_a_feed_that_cannot_be_read_is_a_broken_answer(body: dict[str, Any]) -> None:
    with pytest.raises(BrokenAnswer):
        read_progress(body, "resultFeedDocumentId")


def test_a_receipt_comes_back_from_its_text_as_it_was() -> None:
    for receipt in (
        Receipt(Way.PATCH, 1795219200, 7, 50, "1-abc.0", 0, "a|b|c"),
        Receipt(Way.FEED, 1795219200, 0, None, "123", 25_000, "赤"),
    ):
        assert Receipt.parse(receipt.text()) == receipt
    with pytest.raises(ValueError, match="unpack"):
        Receipt.parse("something else")


@pytest.mark.parametrize("url", ["http://evil.example/x", "ftp://x", "/relative"])
async def test_a_document_is_never_fetched_or_put_over_an_open_line(url: str) -> None:
    wire = Wire({"status": 201, "body": {"feedDocumentId": "1", "url": url}})
    with pytest.raises(BrokenAnswer, match="https"):
        await wire.api.create_feed_document()
