"""The package: its sample with every line in use is a shop file."""

from __future__ import annotations

import tomllib
from datetime import date
from pathlib import Path

import pytest
from pydantic import ValidationError

from syncd.sdk.settings import ShopSettings
from syncd_amazon.settings import AmazonSettings, Preorders

SAMPLE = Path(__file__).parent.parent / "sample.toml"


def test_the_sample_with_every_line_in_use_is_a_shop_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("client-secret", "refresh-token", "queue-key-id", "queue-secret"):
        (tmp_path / f"amazon-main-{name}").write_text("hidden\n", encoding="utf-8")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    lines = SAMPLE.read_text(encoding="utf-8").splitlines()
    used = [line.removeprefix("# ") if " = " in line else line for line in lines]
    table = tomllib.loads("\n".join(used))
    settings = AmazonSettings(**table.pop("amazon"))
    assert ShopSettings(name="amazon-main", **table).poll_seconds == 200
    assert (settings.client_secret_issued, settings.preorders) == (date(2026, 11, 1), Preorders.HOLD)
    assert settings.client_secret.get_secret_value() == "hidden"
    assert set(AmazonSettings.model_fields) == settings.model_fields_set


def test_settings_that_cannot_work_are_refused() -> None:
    with pytest.raises(ValidationError) as refused:
        AmazonSettings(seller_id="me", overlap_minutes=0, secret="x")  # type: ignore[call-arg]  # that is the point
    assert {error["loc"][0] for error in refused.value.errors()} == {
        "seller_id", "client_id", "client_secret", "refresh_token", "overlap_minutes", "secret",
    }  # fmt: skip
