"""The package: its sample with every line in use is a shop file, its listings are listed."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from syncd.sdk.channel import Carrier, Quantity
from syncd.sdk.settings import ShopSettings
from syncd_yahoo_shopping.emulator_account import public_pem
from syncd_yahoo_shopping.settings import YahooShoppingSettings

FOLDER = Path(__file__).parent.parent


def test_the_sample_with_every_line_in_use_is_a_shop_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("client-secret", "refresh-token", "public-key"):
        (tmp_path / f"yahoo-main-{name}").write_text("hidden\n", encoding="utf-8")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    lines = (FOLDER / "sample.toml").read_text(encoding="utf-8").splitlines()
    table = tomllib.loads("\n".join(line.removeprefix("# ") if " = " in line else line for line in lines))
    settings = YahooShoppingSettings(**table.pop("yahoo-shopping"))
    assert ShopSettings(name="yahoo-main", **table).poll_seconds == 15
    assert settings.public_key_expires == date(2027, 11, 20)
    assert settings.carrier_codes == {Carrier.JAPAN_POST: "1003"}
    assert set(YahooShoppingSettings.model_fields) == settings.model_fields_set


def test_unknown_keys_and_odd_values_are_refused() -> None:
    with pytest.raises(ValidationError) as refused:
        YahooShoppingSettings(seler_id="x", no_tracking_reason=99)  # type: ignore[call-arg]  # that is the point
    assert {error["loc"][0] for error in refused.value.errors()} == {
        "seller_id",
        "client_id",
        "client_secret",
        "no_tracking_reason",
        "seler_id",
    }


@pytest.mark.parametrize("key", ["no key at all", "".join(public_pem().splitlines()[1:-1])])
def test_a_public_key_that_cannot_be_read_is_refused_at_once(
    open_mall: Callable[..., Any], key: str, secret: Any
) -> None:
    with pytest.raises(ValueError, match="BEGIN and END"):
        open_mall(settings={"public_key": secret(key)})


def test_the_test_system_has_an_address_of_its_own(open_mall: Callable[..., Any]) -> None:
    hosts = {
        environment: str(open_mall(settings={"environment": environment}).channel._api._http.client.base_url.host)
        for environment in ("production", "test")
    }
    assert hosts == {
        "production": "circus.shopping.yahooapis.jp",
        "test": "test.circus.shopping.yahooapis.jp",
    }


@pytest.mark.anyio
async def test_listings_are_items_and_their_variants_with_numbers(mall: Any) -> None:
    mall.market.offer("tee-1:tee-1-blue", "sku", shown=3)
    mall.market.listings[mall.keys[0]].counted = False
    mall.market.listings[mall.keys[2]].exists = False

    async def everything() -> list[Any]:
        return [info async for info in mall.channel.list_listings()]

    infos = {info.key: info for info in await mall.run(everything())}
    assert infos.keys() == {"tee-1:tee-1-blue", *mall.keys} - {mall.keys[2]}
    assert (infos["tee-1:tee-1-blue"].sku, infos["tee-1:tee-1-blue"].quantity) == ("tee-1-blue", 3)
    assert (infos[mall.keys[0]].counted, infos[mall.keys[4]].counted) == (False, True)
    assert infos[mall.keys[4]].sku == "mug-4"
    assert mall.channel.capabilities.quantity is Quantity.AVAILABLE
