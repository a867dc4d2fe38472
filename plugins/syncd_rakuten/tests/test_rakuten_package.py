"""The package: its sample with every line in use is a shop file."""

from __future__ import annotations

import logging
import tomllib
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from syncd.sdk.settings import ShopSettings
from syncd_rakuten.settings import MailSettings, RakutenSettings

SAMPLE = Path(__file__).parent.parent / "sample.toml"


def test_the_sample_with_every_line_in_use_is_a_shop_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("service-secret", "license-key", "notice-auth-key", "mail-password"):
        (tmp_path / f"rakuten-main-{name}").write_text("hidden\n", encoding="utf-8")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    lines = SAMPLE.read_text(encoding="utf-8").splitlines()
    used = [line.removeprefix("# ") if " = " in line or line == "# [rakuten.mail]" else line for line in lines]
    table = tomllib.loads("\n".join(used))
    settings = RakutenSettings(**table.pop("rakuten"))
    assert ShopSettings(name="rakuten-main", **table).poll_seconds == 10
    assert settings.license_expires == date(2027, 2, 19)
    assert settings.license_key.get_secret_value() == "hidden"
    assert set(RakutenSettings.model_fields) == settings.model_fields_set
    assert settings.mail is not None
    assert set(MailSettings.model_fields) == settings.mail.model_fields_set


def test_the_shop_url_is_compulsory_and_unknown_keys_are_refused() -> None:
    with pytest.raises(ValidationError) as refused:
        RakutenSettings(license="x")  # type: ignore[call-arg]  # that is the point
    assert {error["loc"][0] for error in refused.value.errors()} == {
        "shop_url",
        "service_secret",
        "license_key",
        "license",
    }


@pytest.mark.anyio
async def test_no_error_and_no_log_line_tells_a_key(
    open_mall: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    mall = open_mall()
    await mall.run(mall.channel.check())
    mall.emulator.key_works = False
    told = ""
    for call in (mall.channel.check(), mall.channel._api.license_expiry(), mall.channel.fetch_orders(None)):
        with pytest.raises(Exception, match="licence key") as raised:
            await mall.run(call)
        told += str(raised.value)
    for record in caplog.records:
        told += record.getMessage()
    for secret in (
        value.get_secret_value() for value in mall.emulator.settings().values() if not isinstance(value, str)
    ):
        assert secret not in told
