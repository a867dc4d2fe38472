"""The sample file, the settings page and the schemas are the models' own."""

import re
from pathlib import Path

import pytest

from syncd.config import Settings, load, sample, schema, settings_page, shop_schema
from syncd.config.samples import toml

ROOT = Path(__file__).parents[2]


def test_the_sample_in_etc_is_made_from_the_code() -> None:
    assert (ROOT / "etc/syncd.toml").read_text(encoding="utf-8") == sample(), "run: make etc"


def test_the_settings_page_is_made_from_the_code() -> None:
    assert (ROOT / "docs/settings.md").read_text(encoding="utf-8") == settings_page(), "run: make etc"


def test_the_sample_as_it_is_gives_the_defaults(tmp_path: Path) -> None:
    (tmp_path / "syncd.toml").write_text(sample(), encoding="utf-8")
    (tmp_path / "empty.toml").write_text("")
    assert load(tmp_path / "syncd.toml").settings == load(tmp_path / "empty.toml").settings


def test_every_line_of_the_sample_uncommented_gives_the_defaults_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "admin-token").write_text("a-token-for-the-test")
    (tmp_path / "store-key").write_text("a-key-for-the-test")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    (tmp_path / "shops.d").mkdir()
    (tmp_path / "syncd.toml").write_text(re.sub(r"(?m)^#(?=[a-z_]+ = )", "", sample()), encoding="utf-8")
    settings = load(tmp_path / "syncd.toml").settings
    assert settings.admin_token is not None
    assert settings.keys.encryption is not None
    assert settings.model_fields_set == set(Settings.model_fields)
    default = Settings(shops_dir=tmp_path / "shops.d", admin_token=settings.admin_token, keys=settings.keys)
    hooks = {"listen_webhooks": "127.0.0.1:8485", "webhooks_url": "https://hooks.example.com"}
    default = default.model_copy(update=hooks)
    assert settings == default


def test_toml_values_read_back_as_they_were() -> None:
    import tomllib

    values = {"a": 'quote " back \\ 店', "b": (1, 2.5, True), "c": {"file": "x"}}
    text = "\n".join(f"{key} = {toml(value)}" for key, value in values.items())
    assert tomllib.loads(text) == {"a": 'quote " back \\ 店', "b": [1, 2.5, True], "c": {"file": "x"}}


def test_the_schemas_refuse_unknown_keys_and_a_shop_cannot_set_its_name() -> None:
    assert schema()["additionalProperties"] is False
    assert "name" not in shop_schema()["properties"]
    assert shop_schema()["required"] == ["channel"]
