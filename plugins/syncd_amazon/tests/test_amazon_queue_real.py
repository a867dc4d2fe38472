"""The queue over a real socket: our client against the emulator's queue, and botocore's own client against it, too."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import anyio
import anyio.lowlevel
import botocore.session
import httpx
import pytest
import uvicorn
from botocore.config import Config
from pydantic import SecretStr

from syncd.clock import SystemClock
from syncd.sdk.errors import Unavailable
from syncd.sdk.http import HttpClient, NoLimit
from syncd.sdk.settings import Orders, ShopSettings, Writes
from syncd.testing.fakes import shop_context
from syncd.testing.world import World
from syncd_amazon.channel import AmazonChannel
from syncd_amazon.emulator import AmazonEmulator
from syncd_amazon.emulator_notices import notice
from syncd_amazon.emulator_orders import order_id
from syncd_amazon.emulator_queue import ADDRESS, ARN, KEY_ID, REGION, SECRET
from syncd_amazon.settings import AmazonSettings, Subscribed

pytestmark = [pytest.mark.anyio, pytest.mark.real]
LOOPBACK = "127.0.0.1"


class _Server(uvicorn.Server):
    """Signals stay the test's."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def served(app: Any) -> AsyncIterator[str]:
    """Serve on a free port of the loopback; gives the address. Nobody listens there any more at the end."""
    bound = socket.create_server((LOOPBACK, 0))
    server = _Server(uvicorn.Config(app, lifespan="off", log_config=None, timeout_graceful_shutdown=1))
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: server.serve(sockets=[bound]))
            while not server.started:
                await anyio.lowlevel.checkpoint()
            yield f"http://{LOOPBACK}:{bound.getsockname()[1]}"
            server.should_exit = True
    finally:
        bound.close()


class RealAccount:
    """One account of the emulator behind a socket, and the channel in front of it."""

    def __init__(self) -> None:
        self.clock = SystemClock()
        self.world = World(self.clock.now)
        self.market = self.world.market("mall")
        self.world.stock("sku", 100)
        self.market.offer("TEE-0", "sku", shown=50)
        self.emulator = AmazonEmulator(self.world, self.market, self.clock)

    @asynccontextmanager
    async def opened(self, place: str) -> AsyncIterator[AmazonChannel]:
        def http(base_url: str, *, headers: Mapping[str, str] | None = None) -> HttpClient:
            client = httpx.AsyncClient(base_url=base_url, headers=headers, trust_env=False)
            return HttpClient(client, self.clock, NoLimit())

        queue = {
            "queue_arn": ARN, "queue_url": address(place), "queue_key_id": SecretStr(KEY_ID),
            "queue_secret": SecretStr(SECRET), "queue_subscription": Subscribed.BY_HAND,
        }  # fmt: skip
        shop = ShopSettings(name="amazon-main", channel="amazon", writes=Writes.ON, orders=Orders.ON, base_url=place)
        context = replace(shop_context(self.emulator), clock=self.clock, http=http)
        channel = AmazonChannel(shop, AmazonSettings(**{**self.emulator.settings(), **queue}), context)
        yield channel
        await channel.aclose()


def address(place: str) -> str:
    return place + httpx.URL(ADDRESS).path


async def test_a_notification_that_comes_while_we_wait_at_the_socket_brings_its_order_in() -> None:
    account = RealAccount()
    account.market.visible_after = timedelta  # type: ignore[assignment]  # by its number at once
    async with served(account.emulator.app) as place, account.opened(place) as channel:
        cursor = (await channel.fetch_orders(None)).cursor
        order = account.market.buy({"TEE-0": 3})
        assert order is not None
        number = order_id(order.number)
        async with anyio.create_task_group() as group:

            async def tell() -> None:
                while account.emulator.calls["queue"] == 0:  # until somebody waits at the queue
                    await account.clock.sleep(0.01)
                account.emulator.queue.put(notice(number))

            group.start_soon(tell)
            began = account.clock.monotonic()
            page = await channel.listen()
        assert [(hint.orders, hint.id) for hint in page.hints] == [(True, "n-1")]
        assert account.clock.monotonic() - began < 10, "not after the 20 seconds of a long poll"
        found = await channel.fetch_orders(cursor)
        assert [(state.number, state.lines[0].ordered) for state in found.states] == [(number, 3)]
        assert len(account.emulator.queue.messages) == 1, "not yet taken"
        assert page.acknowledge is not None
        await page.acknowledge()
        assert account.emulator.queue.messages == {}


async def test_a_queue_where_nobody_answers_is_trouble_that_passes_and_loses_no_message() -> None:
    account = RealAccount()
    account.emulator.queue.put(notice("250-1234567-1234567"))
    async with served(account.emulator.app) as place:
        pass
    async with account.opened(place) as channel:
        with pytest.raises(Unavailable):
            await channel.listen()
    async with served(account.emulator.app) as place, account.opened(place) as channel:
        assert len((await channel.listen()).hints) == 1


async def test_the_emulated_queue_speaks_as_botocores_own_client_expects() -> None:
    account = RealAccount()
    account.emulator.queue.put(notice("250-1234567-1234567"))
    async with served(account.emulator.app) as place:
        assert await anyio.to_thread.run_sync(received_by_botocore, place) == [notice("250-1234567-1234567")]
    assert account.emulator.queue.messages == {}


def received_by_botocore(place: str) -> list[str]:
    """Receive and delete all there is, as any program of Amazon's customers does. Checks the messages' MD5, too."""
    client = botocore.session.Session().create_client(
        "sqs", region_name=REGION, endpoint_url=place, aws_access_key_id=KEY_ID, aws_secret_access_key=SECRET,
        config=Config(retries={"total_max_attempts": 1}),
    )  # fmt: skip
    try:
        queue = address(place)
        messages = client.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)["Messages"]
        entries = [{"Id": str(i), "ReceiptHandle": one["ReceiptHandle"]} for i, one in enumerate(messages)]
        gone = client.delete_message_batch(QueueUrl=queue, Entries=entries)
        assert len(gone["Successful"]) == len(messages)
        return [one["Body"] for one in messages]
    finally:
        client.close()
