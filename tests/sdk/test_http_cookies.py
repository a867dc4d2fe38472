"""Cookies of a shop's client: kept when an answer sets one, not looked for otherwise."""

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
