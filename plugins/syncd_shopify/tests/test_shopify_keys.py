"""Tokens, check and settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import pytest
from pydantic import SecretStr

from syncd.sdk.errors import SignInRequired, Unavailable
from syncd.testing.emulator import Fault, FaultKind
from syncd_shopify.settings import ShopifySettings

pytestmark = pytest.mark.anyio
Open = Callable[..., Any]
A = "30322695"


async def test_given_token_that_dies_asks_for_a_person(shop_of: Open) -> None:
    shop = shop_of()
    shop.emulator.key_works = False
    with pytest.raises(SignInRequired):
        await shop.run(shop.channel.read_stock([A]))
    assert len(shop.sent) == 1


async def test_token_is_fetched_once_for_many_calls(shop_of: Open) -> None:
    shop = shop_of(signs_in="client")

    async def together() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(shop.channel.read_stock, [A])

    await shop.run(together())
    assert shop.emulator.tokens_given == 1


async def test_token_is_renewed_before_its_end(shop_of: Open) -> None:
    shop = shop_of(signs_in="client")
    await shop.run(shop.channel.read_stock([A]))
    await shop.clock.advance(80_000)
    await shop.run(shop.channel.read_stock([A]))
    assert shop.emulator.tokens_given == 1
    await shop.clock.advance(6_000)
    await shop.run(shop.channel.read_stock([A]))
    assert shop.emulator.tokens_given == 2
    assert shop.emulator.calls["graphql"] == 3, "no call was made with a token that had ended"


async def test_refused_token_is_fetched_anew_once(shop_of: Open) -> None:
    shop = shop_of(signs_in="client")
    await shop.run(shop.channel.read_stock([A]))
    shop.emulator.tokens.clear()
    assert await shop.run(shop.channel.read_stock([A])) == {A: 50}
    assert shop.emulator.tokens_given == 2


async def test_credentials_that_no_longer_hold_ask_for_a_person(shop_of: Open) -> None:
    shop = shop_of(signs_in="client")
    await shop.run(shop.channel.read_stock([A]))
    shop.emulator.key_works = False
    for _ in range(2):
        with pytest.raises(SignInRequired) as caught:
            await shop.run(shop.channel.read_stock([A]))
        assert "shpss_emulated" not in str(caught.value)


async def test_write_whose_token_cannot_be_fetched_changed_nothing(shop_of: Open, plain: Any) -> None:
    shop = shop_of(signs_in="client")
    shop.emulator.faults.add(Fault("token", FaultKind.LOST_AFTER))
    with pytest.raises(Unavailable):
        await shop.write(plain(A, 3))
    assert shop.shown(A) == 50


async def test_check_names_the_shop_and_finds_no_fault(shop_of: Open) -> None:
    shop = shop_of()
    report = await shop.run(shop.channel.check())
    assert (report.account, report.key_expires_at, report.warnings) == ("548380009", None, ())


async def test_check_warns_of_another_version_and_a_closed_location(shop_of: Open) -> None:
    shop = shop_of()
    shop.emulator.supported = ("2027-01", "2027-04")
    shop.emulator.inventory.location_active = False
    report = await shop.run(shop.channel.check())
    assert ["2027-01" in text or "not active" in text for text in report.warnings] == [True, True]


async def test_check_refuses_a_location_that_is_not_there(shop_of: Open) -> None:
    shop = shop_of()
    shop.channel._location = "gid://shopify/Location/1"
    with pytest.raises(SignInRequired, match="location"):
        await shop.run(shop.channel.check())


async def test_listings_carry_sku_and_number(shop_of: Open) -> None:
    shop = shop_of()
    shop.market.listings[A].counted = False
    infos = await shop.run(_all(shop))
    assert [(info.key, info.sku, info.quantity, info.counted) for info in infos] == [
        (A, "SKU-0", None, False),
        ("30322696", "SKU-1", 50, True),
        ("30322697", "SKU-2", 50, True),
    ]


async def test_a_variant_that_sells_on_at_zero_is_not_counted(shop_of: Open) -> None:
    shop = shop_of()
    shop.emulator.inventory.sells_on.add(A)
    first, *others = await shop.run(_all(shop))
    assert (first.counted, first.quantity) == (False, None)
    assert all(info.counted for info in others)


async def _all(shop: Any) -> list[Any]:
    return [info async for info in shop.channel.list_listings()]


def test_location_is_a_number_or_a_gid() -> None:
    for given in (124656943, "124656943", "gid://shopify/Location/124656943"):
        settings = ShopifySettings(shop="a.myshopify.com", access_token=SecretStr("t"), location=given)
        assert settings.location_gid == "gid://shopify/Location/124656943"


@pytest.mark.parametrize(
    ("wrong", "what"),
    [
        ({}, "a key is missing"),
        ({"client_id": "a"}, "a key is missing"),
        ({"access_token": SecretStr("t"), "client_id": "a"}, "not both"),
        ({"access_token": SecretStr("t"), "shop": "www.example.com"}, "myshopify"),
        ({"access_token": SecretStr("t"), "api_version": "2025-10"}, "api_version"),
        ({"access_token": SecretStr("t"), "location": "Tokyo"}, "location"),
    ],
)
def test_settings_that_cannot_work_are_refused(wrong: dict[str, Any], what: str) -> None:
    with pytest.raises(ValueError, match=what):
        ShopifySettings(**{"shop": "a.myshopify.com", "location": "1", **wrong})
