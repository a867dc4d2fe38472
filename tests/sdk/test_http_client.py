"""What a shop's client sends: cookies that an answer set, and the address of each call."""

from __future__ import annotations

import httpx
import pytest

from syncd.sdk.http import HttpClient
from syncd.testing.fakes import ManualClock

pytestmark = pytest.mark.anyio


async def test_a_cookie_that_an_answer_sets_is_sent_with_the_next_call() -> None:
    sent: list[str | None] = []

    def shop(request: httpx.Request) -> httpx.Response:
        sent.append(request.headers.get("cookie"))
        return httpx.Response(200, headers={"set-cookie": "route=7"} if len(sent) == 2 else {})

    client = HttpClient(
        httpx.AsyncClient(transport=httpx.MockTransport(shop), base_url="https://shop.test", trust_env=False),
        ManualClock(),
    )
    for _ in range(3):
        await client.send("look", "GET", "/")
    assert sent == [None, None, "route=7"]
    await client.aclose()


async def test_a_path_asked_again_goes_to_the_same_address_with_the_parameters_of_that_call_alone() -> None:
    asked: list[str] = []

    def shop(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return httpx.Response(200)

    client = HttpClient(
        httpx.AsyncClient(transport=httpx.MockTransport(shop), base_url="https://shop.test/api/", trust_env=False),
        ManualClock(),
    )
    await client.send("look", "GET", "/items")
    await client.send("look", "GET", "/items", params={"page": "2"})
    await client.send("look", "GET", "/items")
    await client.send("look", "GET", "https://other.test/items")
    assert asked == [
        "https://shop.test/api/items", "https://shop.test/api/items?page=2", "https://shop.test/api/items",
        "https://other.test/items",
    ]  # fmt: skip
    await client.aclose()
