"""The admin token is set by reference, or made once and kept."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from syncd.config import Settings, admin_token, encryption_keys, make_admin_token
from syncd.config.settings import Keys
from syncd.sdk.settings import SecretError
from syncd.telemetry import redact


def test_a_token_is_made_once_with_mode_0600_and_then_kept(tmp_path: Path) -> None:
    settings = Settings(state_dir=tmp_path / "state")
    assert admin_token(settings) is None
    made = make_admin_token(settings)
    assert (tmp_path / "state/admin.token").stat().st_mode & 0o777 == 0o600
    assert len(made.get_secret_value()) >= 43
    assert make_admin_token(settings) == made == admin_token(settings)
    assert [f.name for f in (tmp_path / "state").iterdir()] == ["admin.token"]


def test_a_made_token_is_masked_in_the_log(tmp_path: Path) -> None:
    made = make_admin_token(Settings(state_dir=tmp_path))
    assert redact(f"Bearer {made.get_secret_value()}") == "Bearer ***"


def test_a_token_that_is_set_wins_and_nothing_is_written(tmp_path: Path) -> None:
    settings = Settings(state_dir=tmp_path, admin_token=SecretStr("set-by-hand"))
    assert make_admin_token(settings).get_secret_value() == "set-by-hand"
    assert list(tmp_path.iterdir()) == []


def test_a_token_file_that_is_empty_or_open_to_others_is_refused(tmp_path: Path) -> None:
    settings = Settings(state_dir=tmp_path)
    file = tmp_path / "admin.token"
    file.touch(mode=0o600)
    with pytest.raises(SecretError, match="is empty"):
        make_admin_token(settings)
    file.chmod(0o640)
    with pytest.raises(SecretError, match="chmod 600"):
        make_admin_token(settings)


def key_of(text: str) -> SecretStr:
    return SecretStr((text * 43)[:43] + "=")


def test_a_store_key_is_made_once_with_mode_0600_and_then_kept(tmp_path: Path) -> None:
    settings = Settings(state_dir=tmp_path / "state")
    assert encryption_keys(settings, key_of("a")) == (key_of("a"),)
    assert (tmp_path / "state/store.key").stat().st_mode & 0o777 == 0o600
    assert encryption_keys(settings, key_of("b")) == (key_of("a"),)


def test_a_store_key_that_is_set_comes_first_line_by_line_and_the_made_one_still_opens(tmp_path: Path) -> None:
    encryption_keys(Settings(state_dir=tmp_path), key_of("a"))
    lines = f"{key_of('new').get_secret_value()}\n\n{key_of('old').get_secret_value()}\n"
    settings = Settings(state_dir=tmp_path, keys=Keys(encryption=SecretStr(lines)))
    assert encryption_keys(settings, key_of("b")) == (key_of("new"), key_of("old"), key_of("a"))
    assert redact(lines) == "***\n\n***\n"


def test_a_store_key_that_is_set_leaves_the_state_folder_alone(tmp_path: Path) -> None:
    settings = Settings(state_dir=tmp_path, keys=Keys(encryption=key_of("a")))
    assert encryption_keys(settings, key_of("b")) == (key_of("a"),)
    assert list(tmp_path.iterdir()) == []


def test_a_store_key_that_is_set_and_empty_is_refused_with_how_to_make_one(tmp_path: Path) -> None:
    settings = Settings(state_dir=tmp_path, keys=Keys(encryption=SecretStr("\n")))
    with pytest.raises(SecretError, match="openssl rand"):
        encryption_keys(settings, key_of("b"))
