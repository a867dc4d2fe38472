"""Pushes: what is believed, what they hint at, and the subscriptions of a shop."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from syncd.sdk.channel import Hint, Webhook
from syncd.sdk.errors import CallRefused, InDoubt, SignInRequired
from syncd.sdk.settings import ShopSettings
from syncd.testing.emulator import Fault, FaultKind
from syncd_shopify.emulator import CLIENT_SECRET, LOCATION, SHOP, TOKEN
from syncd_shopify.emulator_hooks import RETRIES, Push
from syncd_shopify.settings import ShopifySettings, StockPushes
from syncd_shopify.wire_hooks import Subscription, plan, signature

pytestmark = pytest.mark.anyio
Open = Callable[..., Any]
A, B, C = "30322695", "30322696", "30322697"
ADDRESS = "https://hooks.example.com/webhooks/test"


def signed(body: bytes, secret: str = CLIENT_SECRET, **headers: str) -> Webhook:
    named = {
        "x-shopify-topic": "orders/create",
        "x-shopify-hmac-sha256": signature(body, secret),
        "x-shopify-shop-domain": SHOP,
        "x-shopify-webhook-id": "b54557e4",
    }
    return Webhook({**named, **{f"x-shopify-{name.replace('_', '-')}": value for name, value in headers.items()}}, body)


def subscriptions(shop: Any) -> dict[str, str]:
    return {one.topic: one.uri for one in shop.emulator.pushing.subscriptions}


# -- signatures ------------------------------------------------------------------------------------------------------


def test_the_signature_is_the_base64_of_an_hmac_sha256_over_the_bytes() -> None:
    # RFC 4231, test case 2
    known = bytes.fromhex("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
    assert base64.b64decode(signature(b"what do ya want for nothing?", "Jefe")) == known
    assert signature(b"{}", "a") != signature(b"{ }", "a")


@pytest.mark.parametrize("topic", ["orders/create", "orders/updated", "orders/edited", "refunds/create"])
async def test_a_push_about_an_order_has_orders_read_and_tells_its_id(shop_of: Open, topic: str) -> None:
    hint = await shop_of().channel.receive(signed(b'{"id":1}', topic=topic))
    assert hint == Hint(orders=True, id="b54557e4")


async def test_one_byte_more_another_secret_or_no_signature_is_refused(shop_of: Open) -> None:
    channel = shop_of().channel
    good = signed(b'{"id":1}')
    bad = [
        Webhook(good.headers, good.body + b"\n"),
        signed(b'{"id":1}', secret="the secret of the notification page"),
        Webhook({**good.headers, "x-shopify-hmac-sha256": ""}, good.body),
        Webhook({**good.headers, "x-shopify-hmac-sha256": "ü"}, good.body),
        Webhook({}, b""),
    ]
    for one in bad:
        with pytest.raises(ValueError, match="signature"):
            await channel.receive(one)


async def test_a_genuine_push_of_another_shop_of_the_same_app_is_not_ours(shop_of: Open) -> None:
    with pytest.raises(ValueError, match="another shop"):
        await shop_of().channel.receive(signed(b"{}", shop_domain="other.myshopify.com"))


async def test_a_push_about_stock_names_the_item_at_our_location_only(shop_of: Open) -> None:
    channel = shop_of().channel
    topic = "inventory_levels/update"
    ours = signed(b'{"inventory_item_id":30322695,"location_id":124656943,"available":7}', topic=topic)
    assert await channel.receive(ours) == Hint(listings=(A,), id="b54557e4")
    for body in (b'{"inventory_item_id":30322695,"location_id":1}', b"<html>", b"[]", b'{"location_id":124656943}'):
        assert await channel.receive(signed(body, topic=topic)) == Hint(id="b54557e4")


async def test_a_topic_that_says_nothing_to_us_hints_at_nothing(shop_of: Open) -> None:
    assert await shop_of().channel.receive(signed(b"{}", topic="app/uninstalled")) == Hint(id="b54557e4")


def test_without_a_secret_to_verify_with_the_shop_takes_no_pushes(shop_of: Open) -> None:
    shop = shop_of()
    assert shop.channel.capabilities.publishes_webhooks
    bare = ShopifySettings(shop=SHOP, location=LOCATION, access_token=SecretStr(TOKEN))
    assert bare.push_secret is None
    channel = type(shop.channel)(ShopSettings(name="test", channel="shopify"), bare, shop.context)
    assert not channel.capabilities.publishes_webhooks


# -- subscriptions ---------------------------------------------------------------------------------------------------


async def test_each_order_topic_is_registered_and_one_that_is_lost_comes_back_alone(shop_of: Open) -> None:
    shop = shop_of()
    await shop.run(shop.channel.register_webhooks(ADDRESS))
    assert subscriptions(shop) == {"ORDERS_CREATE": ADDRESS, "ORDERS_UPDATED": ADDRESS}
    calls = len(shop.sent)
    await shop.run(shop.channel.register_webhooks(ADDRESS))
    assert len(shop.sent) == calls + 1, "one read finds that all is there"
    shop.emulator.pushing.subscriptions.pop(0)
    await shop.run(shop.channel.register_webhooks(ADDRESS))
    assert len(shop.sent) == calls + 3
    assert subscriptions(shop) == {"ORDERS_CREATE": ADDRESS, "ORDERS_UPDATED": ADDRESS}


async def test_subscriptions_of_other_programs_are_left_alone(shop_of: Open) -> None:
    shop = shop_of()
    for uri in ("https://else.example.com/hook", "https://hooks.example.com/webhooks/test-2"):
        shop.emulator.pushing.add("ORDERS_CREATE", {"uri": uri})
    await shop.run(shop.channel.register_webhooks(ADDRESS))
    assert len(shop.emulator.pushing.subscriptions) == 4


async def test_no_buyers_data_is_pushed_at_all(shop_of: Open) -> None:
    shop = shop_of()
    await shop.run(shop.channel.register_webhooks(ADDRESS))
    shop.market.buy({A: 1})
    bodies = [push.body for push in shop.emulator.pushing.queue]
    assert len(bodies) == 2
    assert not any(b"canary" in body for body in bodies)


async def test_stock_is_pushed_only_where_it_is_asked_for(shop_of: Open, plain: Callable[..., Any]) -> None:
    shop = shop_of()
    shop.channel._pushes._settings = shop.channel._settings.model_copy(update={"stock_pushes": StockPushes.ON})
    await shop.run(shop.channel.register_webhooks(ADDRESS))
    assert "INVENTORY_LEVELS_UPDATE" in subscriptions(shop)
    await shop.write(plain(A, 7))
    [push] = shop.emulator.pushing.queue
    assert await shop.channel.receive(arrived(push)) == Hint(listings=(A,), id=push.headers["X-Shopify-Webhook-Id"])


async def test_hundreds_of_subscriptions_are_read_page_by_page(shop_of: Open) -> None:
    shop = shop_of()
    for number in range(230):
        shop.emulator.pushing.add("PRODUCTS_UPDATE", {"uri": f"https://else.example.com/{number}"})
    shop.emulator.pushing.add("ORDERS_CREATE", {"uri": ADDRESS})
    await shop.run(shop.channel.register_webhooks(ADDRESS))
    assert [one.topic for one in shop.emulator.pushing.subscriptions if one.uri == ADDRESS] == [
        "ORDERS_CREATE", "ORDERS_UPDATED",
    ]  # fmt: skip


async def test_a_refused_address_is_told_and_a_lost_answer_is_found_at_the_next_look(shop_of: Open) -> None:
    shop = shop_of()
    with pytest.raises(CallRefused, match="is not supported"):
        await shop.run(shop.channel.register_webhooks("http://hooks.example.com/webhooks/test"))
    shop.emulator.faults.add(Fault("graphql", FaultKind.LOST_AFTER, skip=1))
    with pytest.raises(InDoubt):
        await shop.run(shop.channel.register_webhooks(ADDRESS))
    await shop.run(shop.channel.register_webhooks(ADDRESS))
    assert len(shop.emulator.pushing.subscriptions) == 2


async def test_a_missing_scope_asks_for_a_person(shop_of: Open) -> None:
    shop = shop_of()
    shop.emulator.granted = False
    with pytest.raises(SignInRequired):
        await shop.run(shop.channel.register_webhooks(ADDRESS))


def test_repeated_subscriptions_of_one_topic_are_taken_away() -> None:
    known = [Subscription(str(n), "ORDERS_CREATE", ADDRESS) for n in range(3)]
    assert plan(known, ("ORDERS_CREATE", "ORDERS_UPDATED"), ADDRESS) == (["ORDERS_UPDATED"], known[1:])


# -- deliveries ------------------------------------------------------------------------------------------------------


def arrived(push: Push) -> Webhook:
    """A push as the listener hands it on: names in lower case."""
    return Webhook({name.lower(): value for name, value in push.headers.items()}, push.body)


@pytest.mark.parametrize("style", ["x_shopify", "shopify"])
async def test_every_push_of_the_emulator_is_verified_and_its_repeat_has_the_same_id(shop_of: Open, style: str) -> None:
    shop = shop_of(push_headers=style)
    await shop.run(shop.channel.register_webhooks(ADDRESS))
    order = shop.market.buy({A: 1})
    shop.market.cancel(order.number)
    seen: list[Hint] = []

    async def lost(push: Push) -> int:
        seen.append(await shop.channel.receive(arrived(push)))
        return 0

    pushing = shop.emulator.pushing
    assert await pushing.deliver(lost) == 0
    await shop.clock.advance(1800)
    await pushing.deliver(lost)
    assert [one.orders for one in seen] == [True] * 6
    assert [one.id for one in seen[:3]] == [one.id for one in seen[3:]]
    assert len({one.id for one in seen}) == 3


async def test_eight_failures_in_a_row_end_a_subscription_and_the_next_look_brings_it_back(shop_of: Open) -> None:
    shop = shop_of()
    await shop.run(shop.channel.register_webhooks(ADDRESS))
    shop.market.buy({A: 1})

    async def down(_push: Push) -> int:
        return 503

    for _ in range(RETRIES):
        await shop.emulator.pushing.deliver(down)
        await shop.clock.advance(timedelta(minutes=30).total_seconds())
    assert shop.emulator.pushing.subscriptions == []
    await shop.run(shop.channel.register_webhooks(ADDRESS))
    assert len(shop.emulator.pushing.subscriptions) == 2
