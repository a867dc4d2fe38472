"""The second door: what it lets in, what it answers, and what it can never reach."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import anyio
import httpx
import pytest
from starlette.types import Message

from syncd.daemon.hooks import PUSHES_AT_ONCE, HookOutcome, Hooks
from syncd.daemon.subscribing import AGAIN_US, DAY_US, Subscribing
from syncd.sdk.channel import Capabilities, Hint, Webhook
from syncd.sdk.errors import SignInRequired
from syncd.sim.trial import Trial, virtual
from syncd.testing.memory import MemoryChannel
from syncd.web.webhooks import BODY_BYTES, BODY_SECONDS, STATUS, WebhookDoor, build_webhooks

KEY = {"X-Key": "memory-key-0001"}
MALLS: dict[str, dict[str, Any]] = {"a": {}, "b": {}}


class Quiet(MemoryChannel):
    """A channel that pushes nothing."""

    slug = "quiet"

    @property
    def capabilities(self) -> Capabilities:
        values = {name: getattr(super(Quiet, self).capabilities, name) for name in Capabilities.__dataclass_fields__}
        return Capabilities(**{**values, "publishes_webhooks": False})


class Broken(MemoryChannel):
    """A channel whose `receive` fails after the signature."""

    slug = "broken"

    async def receive(self, webhook: Webhook) -> Hint:
        raise RuntimeError("a bug")


class Site:
    """The door over a running daemon."""

    def __init__(self, trial: Trial) -> None:
        assert trial.stage is not None
        self.trial = trial
        self.daemon = trial.stage.daemon
        self.hooks = Hooks(self.daemon.hub, self.daemon.runners)
        self.door = WebhookDoor(self.hooks, trial.clock)
        transport = httpx.ASGITransport(app=self.door)
        self.client = httpx.AsyncClient(transport=transport, base_url="https://hooks.example.com")

    async def push(self, shop: str, content: bytes = b"", *, key: bool = True, **headers: str) -> int:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = await self.client.post(f"/webhooks/{shop}", content=content, headers={**(KEY if key else {}), **named})
        return answer.status_code

    def counted(self, shop: str, outcome: HookOutcome) -> float:
        found = self.daemon.hub.metrics.registry.get_sample_value(
            "syncd_webhooks_total", {"shop": shop, "outcome": outcome.value}
        )
        assert found is not None
        return found


@asynccontextmanager
async def site(shops: dict[str, dict[str, Any]] | None = None, **more: Any) -> AsyncIterator[Site]:
    """Two shops that are polled every five minutes, so that only a push tells of an order soon."""
    slow = {name: {"poll_seconds": 300.0, **(shops or {}).get(name, {})} for name in MALLS}
    async with Trial.of(MALLS, {"S1": 9, "S2": 9}, shops=slow, **more) as trial:
        found = Site(trial)
        async with found.client:
            await trial.run(5)
            yield found


@virtual
async def test_a_push_brings_an_order_in_at_once_and_its_loss_costs_one_poll() -> None:
    async with site() as here:
        here.trial.buy("a", "S1", 9)
        assert await here.push("a") == 200
        assert await here.trial.run_until(lambda: here.trial.shows("b", "S1") == 0) < 3
        here.trial.buy("a", "S2", 9)
        await here.trial.run(120)
        assert here.trial.shows("b", "S2") == 9, "this push got lost"
        await here.trial.run_until(lambda: here.trial.shows("b", "S2") == 0, within=300, step=5)


@virtual
async def test_a_push_with_a_wrong_signature_is_answered_401_counted_and_wakes_nobody() -> None:
    async with site() as here:
        before = here.trial.mall("a").calls["orders"]
        assert await here.push("a", key=False) == 401
        assert await here.push("a", key=False, x_key="guessed") == 401
        await here.trial.run(10)
        assert here.trial.mall("a").calls["orders"] == before
        assert here.counted("a", HookOutcome.FORGED) == 2


@virtual
async def test_a_repeat_of_a_push_is_told_by_its_id_and_dropped() -> None:
    async with site() as here:
        calls = here.trial.mall("a").calls
        before = calls["orders"]
        for _ in range(3):
            assert await here.push("a", x_id="push-1") == 200
            await here.trial.run(5)
        assert calls["orders"] == before + 1
        assert await here.push("a", x_id="push-2") == 200
        await here.trial.run(5)
        assert calls["orders"] == before + 2
        assert (here.counted("a", HookOutcome.TAKEN), here.counted("a", HookOutcome.REPEATED)) == (2, 2)


@virtual
async def test_the_same_id_of_another_shop_is_no_repeat() -> None:
    async with site() as here:
        before = here.trial.mall("b").calls["orders"]
        await here.push("a", x_id="push-1")
        await here.push("b", x_id="push-1")
        await here.trial.run(5)
        assert here.trial.mall("b").calls["orders"] == before + 1


@virtual
async def test_a_heap_of_pushes_becomes_one_read_a_second() -> None:
    async with site() as here:
        before = here.trial.mall("a").calls["orders"]
        for number in range(40):
            assert await here.push("a", x_id=str(number)) == 200
            await here.trial.run(0.1)
        await here.trial.run(3)
        assert 4 <= here.trial.mall("a").calls["orders"] - before <= 6


@virtual
async def test_a_push_that_names_listings_has_just_those_read_and_a_hand_edit_is_found() -> None:
    async with site({"a": {"reconcile_seconds": 86_400.0}}) as here:
        await here.trial.run(60)
        reads = here.trial.mall("a").calls["read"]
        here.trial.world.markets["a"].listings["S1"].shown = 4
        assert await here.push("a", b"S1 unknown-key") == 200
        await here.trial.run(10)
        assert here.trial.mall("a").calls["read"] == reads + 1
        assert await here.trial.rows(
            "SELECT seen, believed FROM listing l JOIN shop s ON s.id = l.shop_id WHERE s.name = 'a' AND l.key = 'S1'"
        ) != [(None, 9)]


@virtual
async def test_a_push_that_tells_of_our_own_write_is_not_read_back() -> None:
    async with site() as here:
        here.trial.buy("a", "S1", 9)
        await here.push("a")
        await here.trial.run_until(lambda: here.trial.shows("b", "S1") == 0)
        await here.trial.run(1)
        reads = here.trial.mall("b").calls["read"]
        assert await here.push("b", b"S1") == 200
        await here.trial.run(3)
        assert here.trial.mall("b").calls["read"] == reads


@virtual
async def test_nothing_but_pushes_of_known_shops_is_behind_the_door() -> None:
    async with site({"b": {"channel": "quiet"}}, channels={"quiet": Quiet}) as here:
        for path in ("/", "/metrics", "/healthz", "/api/v1/status", "/webhooks/", "/webhooks/z", "/webhooks/a/x"):
            assert (await here.client.post(path, headers=KEY)).status_code == 404, path
        assert await here.push("b") == 404, "its channel pushes nothing"
        assert (await here.client.get("/webhooks/a", headers=KEY)).status_code == 405


@virtual
async def test_a_shop_at_rest_takes_a_push_kindly_so_that_the_mall_keeps_its_subscription() -> None:
    async with site() as here:
        await here.daemon.runners["a"].pause()
        await here.trial.run(3)
        assert await here.push("a", key=False) == 200
        assert here.counted("a", HookOutcome.IDLE) == 1


@virtual
async def test_a_bug_in_a_plugin_is_an_answer_of_500_and_its_shop_runs_on() -> None:
    async with site({"b": {"channel": "broken"}}, channels={"broken": Broken}) as here:
        assert await here.push("b") == 500
        assert await here.push("a") == 200
        await here.trial.run(3)
        assert [str(one.now_status()) for one in here.daemon.runners.values()] == ["running", "running"]
        assert here.counted("b", HookOutcome.FAILED) == 1


@virtual
async def test_a_flood_of_one_shop_is_answered_429_with_when_and_the_other_shop_is_served() -> None:
    async with site() as here:
        answers = [await here.push("a", key=False) for _ in range(int(PUSHES_AT_ONCE) + 20)]
        assert answers.count(429) >= 15
        assert await here.push("b") == 200
        refused = await here.client.post("/webhooks/a", headers=KEY)
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
        await here.trial.run(2)
        assert await here.push("a") == 200


@virtual
async def test_a_body_over_1_mib_is_refused_however_it_is_sent() -> None:
    async with site() as here:
        assert await here.push("a", b" " * BODY_BYTES) == 200
        assert await here.push("a", b" " * (BODY_BYTES + 1)) == 413

        async def parts() -> AsyncIterator[bytes]:
            for _ in range(17):
                yield b" " * 65_536

        assert (await here.client.post("/webhooks/a", content=parts(), headers=KEY)).status_code == 413
        assert here.counted("a", HookOutcome.TOO_LARGE) == 2


@virtual
async def test_a_body_that_never_ends_is_given_up_and_one_cut_off_is_not_taken() -> None:
    async with site() as here:
        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)

        async def never() -> Message:
            await anyio.sleep_forever()
            raise AssertionError

        async def gone() -> Message:
            return {"type": "http.disconnect"}

        scope = {"type": "http", "path": "/webhooks/a", "method": "POST", "headers": []}
        before = here.trial.clock.monotonic()
        await here.door(scope, never, send)
        assert here.trial.clock.monotonic() - before == pytest.approx(BODY_SECONDS, abs=0.1)
        await here.door(scope, gone, send)
        assert [one["status"] for one in sent if one["type"] == "http.response.start"] == [408, 408]
        assert here.door.reading == 0


def test_every_outcome_has_an_answer() -> None:
    assert set(STATUS) == set(HookOutcome)


@virtual
async def test_the_host_and_forwarding_headers_of_a_proxy_change_nothing() -> None:
    async with site() as here:
        assert await here.push("a", host="anything.example", x_forwarded_for="10.0.0.1", forwarded="for=x") == 200
        assert build_webhooks(here.hooks, here.trial.clock) is not None


# -- registration ----------------------------------------------------------------------------------------------------

URL = {"webhooks_url": "https://hooks.example.com/"}
"""A trailing slash is an operator's, not part of the address."""


def subscribing(here: Site, name: str) -> Subscribing:
    """The loop of a shop, as its runner has one."""
    shop = here.daemon.runners[name].shop
    assert shop is not None
    return Subscribing(here.daemon.hub, shop, "https://hooks.example.com")


def settings() -> dict[str, Any]:
    return {"settings": URL}


@virtual
async def test_a_shop_is_told_where_to_push_at_its_start_and_a_deleted_subscription_comes_back_within_a_day() -> None:
    async with site(**settings()) as here:
        mall = here.trial.mall("a")
        assert mall.pushes_to == "https://hooks.example.com/webhooks/a"
        mall.pushes_to = ""
        began_us = here.trial.clock.now_us()
        assert await subscribing(here, "a").turn() == began_us + DAY_US
        assert mall.pushes_to == "https://hooks.example.com/webhooks/a"


@virtual
async def test_without_an_address_and_in_a_dry_run_nothing_is_registered_at_a_shop() -> None:
    async with site() as here:
        assert here.trial.mall("a").pushes_to == ""
    async with site({"a": {"writes": "dry_run"}}, **settings()) as here:
        assert here.trial.mall("a").pushes_to == ""
        await here.daemon.runners["a"].start_writing()
        await here.trial.run(120)
        assert here.trial.mall("a").pushes_to == "https://hooks.example.com/webhooks/a"


class ByHand(MemoryChannel):
    """A channel whose pushes a person registers."""

    slug = "by_hand"

    async def register_webhooks(self, address: str) -> None:
        raise NotImplementedError


class Refusing(MemoryChannel):
    """A channel that refuses to register until it is told otherwise."""

    slug = "refusing"
    refuses = True

    async def register_webhooks(self, address: str) -> None:
        if type(self).refuses:
            raise SignInRequired("the scope is missing")
        await super().register_webhooks(address)


@virtual
async def test_pushes_that_a_person_registers_are_taken_and_never_complained_about() -> None:
    async with site({"a": {"channel": "by_hand"}}, channels={"by_hand": ByHand}, **settings()) as here:
        assert await here.push("a") == 200
        assert await here.trial.alarms() == set()


@virtual
async def test_a_registration_that_fails_is_alarmed_while_the_shop_is_polled_on_and_tried_again() -> None:
    Refusing.refuses = True
    async with site(
        {"a": {"channel": "refusing", "poll_seconds": 2.0}}, channels={"refusing": Refusing}, **settings()
    ) as here:
        assert await here.trial.alarms() == {"webhooks_missing"}
        here.trial.buy("a", "S1", 9)
        await here.trial.run_until(lambda: here.trial.shows("b", "S1") == 0)
        began_us = here.trial.clock.now_us()
        assert await subscribing(here, "a").turn() == began_us + AGAIN_US
        Refusing.refuses = False
        again = subscribing(here, "a")
        await again.turn()
        assert await here.trial.alarms() == set()
        assert here.trial.mall("a").pushes_to != ""


class Replying(MemoryChannel):
    """A channel whose mall wants to read that a push was taken."""

    slug = "replying"

    @property
    def capabilities(self) -> Capabilities:
        return replace(super().capabilities, webhook_reply="<taken/>")


@virtual
async def test_a_shop_that_wants_a_reply_reads_it_only_when_its_push_was_taken() -> None:
    async with site({"b": {"channel": "replying"}}, channels={"replying": Replying}) as it:
        answer = await it.client.post("/webhooks/b", content=b"S1", headers=KEY)
        assert (answer.status_code, answer.text) == (200, "<taken/>")
        assert answer.headers["content-type"].startswith("text/xml")
        assert (await it.client.post("/webhooks/a", content=b"S1", headers=KEY)).content == b""
        refused = await it.client.post("/webhooks/b", content=b"S1")
        assert refused.status_code == 401
        assert "taken" not in refused.text
